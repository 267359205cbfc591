//! Uploads: leaves of held blocks on their way to whoever wants them, one stream at a time on each connection.
//!
//! Leaves go out as they are on the disk, or as a peer gives them where there is no room for them (`passing`); the reader
//! checks each, and says so if one is bad. Invariant: memory is reserved for leaves between the disk and the connection, a
//! few at a time for who reads slowly.

use super::event::{Event, Inner};
use super::memory::{Memory, Share};
use super::passing::{Passed, Passing};
use super::want::{OFFERED_BYTES, Parked, Want};
use crate::ids::Address;
use crate::index::holdings::length;
use crate::limits::{LEAF, WANTS_MAX};
use crate::seeded::{self, Bug};
use crate::server::closing::Closing;
use crate::server::context::Context;
use crate::server::output::{Link, Output};
use crate::server::timers::Timer;
use crate::server::work::Job;
use crate::store::values::{BlockPlace, LeavesRead, ReadError};
use crate::time::Instant;
use crate::wire::frame::{Open, leaves_of};
use crate::wire::message::{BlockRef, Message};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// A batch that leaves in less is followed by one twice as long; one that takes four times this, by a single leaf.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// A batch is read by the loop itself if the system has it in memory: nobody else is served meanwhile.
const BATCH_MAX: u8 = 8;
/// Leaves of the first batch.
const BATCH_FIRST: u8 = 4;
/// Who has not taken what was read for him for so long keeps none of it if others wait for memory.
const STALLED_AFTER: Duration = Duration::from_millis(200);

/// Where the leaves of a stream come from.
#[derive(Debug)]
pub(super) enum Source {
    Disk(BlockPlace),
    Peer(Passing),
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) want: Want,
    pub(super) source: Source,
    /// Leaves of it that have been handed to the connection.
    pub(super) handed: u8,
    pub(super) opened: bool,
    /// Given up: nothing more is read for it, and its end is waited for.
    pub(super) aborted: bool,
    pub(super) reading: bool,
    /// Leaves in memory: read or being read, and not yet sent.
    pub(super) reserved: u8,
    pub(super) batch_began: Instant,
}

impl Stream {
    /// The next leaves are to be read, if there are any: the last ones have left.
    pub(super) fn is_ready(&self) -> bool {
        !self.aborted && !self.reading && self.reserved == 0 && self.rest() > 0
    }

    /// Leaves that have not been handed to the connection.
    pub(super) fn rest(&self) -> u8 {
        self.want.count - self.handed
    }

    /// The next so many leaves, for which there is memory, are read from now on.
    pub(super) fn read(&mut self, batch: u8, now: Instant) -> Want {
        self.reserved = batch;
        self.reading = true;
        self.batch_began = now;
        Want { block: self.want.block, first: self.want.first + self.handed, count: batch }
    }

    /// What is reserved for it is given back.
    pub(super) fn release(&mut self, memory: &mut Memory) {
        let reserved = usize::from(std::mem::take(&mut self.reserved));
        memory.release(Share::Serving, reserved * LEAF);
    }

    /// From where it is gone, if that is why it could not be read.
    fn gone_from(&self, error: &ReadError) -> Option<BlockPlace> {
        match (&self.source, error) {
            (Source::Disk(place), ReadError::Gone) => Some(*place),
            (_, _) => None,
        }
    }

    /// What was read has not been taken for long.
    fn is_stalled(&self, now: Instant) -> bool {
        self.reserved > 0
            && !self.reading
            && !self.aborted
            && now.since(self.batch_began) >= STALLED_AFTER
    }
}

/// What one connection is being served.
#[derive(Debug, Default)]
pub(super) struct Serving {
    wants: VecDeque<Want>,
    pub(super) stream: Option<Stream>,
    /// Wants that wait for their blocks.
    parked: usize,
    /// Leaves of the next batch; none yet is zero.
    batch: u8,
    pub(super) passed: Option<Passed>,
}

impl Serving {
    fn is_busy(&self) -> bool {
        self.stream.is_some() || !self.wants.is_empty() || self.parked > 0
    }

    pub(super) fn batch(&self) -> u8 {
        if self.batch == 0 { BATCH_FIRST } else { self.batch }
    }

    /// Longer batches for who is fast, single leaves for who is slow.
    fn adapt(&mut self, taken: Duration) {
        if taken < BATCH_TIME {
            self.batch = (self.batch() * 2).min(BATCH_MAX);
        } else if taken > BATCH_TIME * 4 {
            self.batch = 1;
        }
    }

    pub(super) fn open(&mut self, want: Want, source: Source, now: Instant) {
        debug_assert!(self.stream.is_none(), "one stream at a time");
        self.stream = Some(Stream {
            want,
            source,
            handed: 0,
            opened: false,
            aborted: false,
            reading: false,
            reserved: 0,
            batch_began: now,
        });
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    pub(super) by_link: BTreeMap<Link, Serving>,
    /// Blocks that a reader found bad and that are being looked at, and wants that wait for that.
    suspects: HashMap<Address, Vec<Parked>>,
    /// A timer looks who does not take what was read for him.
    stalled_watched: bool,
    /// Readers whose source owes as much as it bears.
    pub(super) waiting: BTreeSet<Link>,
    pub(super) next_pass: u64,
    pub(super) events: VecDeque<Inner>,
}

impl Uploads {
    /// Somebody wants leaves.
    pub(super) fn want(&mut self, cx: &mut Context, link: Link, want: Want) {
        let serving = self.by_link.entry(link).or_default();
        if serving.wants.len() + serving.parked >= WANTS_MAX && !seeded::is_on(Bug::UnboundedWants)
        {
            return self.tell(Event::Broken { link, why: Closing::TooManyWants });
        }
        serving.wants.push_back(want);
        self.pump(cx, link);
    }

    /// Begins the connection's next stream, or reads on for the one that is open. Of a want for what is not here it tells,
    /// and is to be called again.
    pub(super) fn pump(&mut self, cx: &mut Context, link: Link) {
        while let Some(serving) = self.by_link.get_mut(&link) {
            if serving.stream.is_some() {
                return self.read_on(cx, link);
            }
            // It wants nothing more.
            let Some(want) = serving.wants.pop_front() else {
                return;
            };
            if let Some(parked) = self.suspects.get_mut(&want.address()) {
                serving.parked += 1;
                parked.push(Parked { link, want });
                continue;
            }
            let Some(place) = cx.index.holdings.block(&want.address()) else {
                return self.events.push_back(Inner::Missing(Parked { link, want }));
            };
            let end = usize::from(want.first) + usize::from(want.count);
            if length(place) == want.block.length && end <= leaves_of(want.block.length) {
                serving.open(want, Source::Disk(place), cx.now.instant);
            } else {
                // Whoever asks may only be passing on what a record or a client claims: there is no such block, and that
                // is all there is to say.
                cx.send(link, Message::Absent { address: want.address() });
            }
        }
    }

    /// Reads the stream's next leaves, if the last ones have left and there is memory.
    fn read_on(&mut self, cx: &mut Context, reader: Link) {
        // None if the reader has gone.
        let Some(serving) = self.by_link.get_mut(&reader) else {
            return;
        };
        let batch = serving.batch();
        // None while a batch is under way.
        let Some(stream) = serving.stream.as_mut().filter(|stream| stream.is_ready()) else {
            return;
        };
        let place = match &stream.source {
            Source::Disk(place) => *place,
            Source::Peer(passing) => {
                let ready = Inner::Ready { reader, source: passing.source() };
                return self.events.push_back(ready);
            }
        };
        let batch = [batch.min(stream.rest()), 1]
            .into_iter()
            .find(|batch| cx.memory.reserve(Share::Serving, usize::from(*batch) * LEAF));
        let Some(batch) = batch else {
            return self.wait_for_memory(cx, reader);
        };
        let Want { block, first, count } = stream.read(batch, cx.now.instant);
        let address = block.address;
        let pins = cx.index.pin([place]);
        cx.job(Job::ReadLeaves { reader, address, place, first, count, pins });
    }

    /// There is no memory for a reader's next leaves. Those who don't take what is read for them are looked at soon.
    pub(super) fn wait_for_memory(&mut self, cx: &mut Context, reader: Link) {
        self.watch_stalled(cx);
        cx.memory.wait(Share::Serving, reader);
    }

    fn watch_stalled(&mut self, cx: &mut Context) {
        if !std::mem::replace(&mut self.stalled_watched, true) {
            cx.after(STALLED_AFTER, Timer::Stalled);
        }
    }

    /// As long as others wait, what is read for those who don't take it is given back. It is read again when they do.
    pub(super) fn check_stalled(&mut self, cx: &mut Context) {
        self.stalled_watched = false;
        if cx.memory.waiters(Share::Serving) == 0 {
            return;
        }
        for (link, serving) in &self.by_link {
            if serving.stream.as_ref().is_some_and(|stream| stream.is_stalled(cx.now.instant)) {
                cx.output(Output::TakeBack { link: *link });
            }
        }
        self.watch_stalled(cx);
    }

    /// So many leaves did not go out and are not kept; what is on its way is not counted here any more.
    pub(super) fn taken_back(&mut self, cx: &mut Context, link: Link, count: u8) {
        if let Some(stream) = self.stream_mut(link) {
            stream.handed -= count;
            stream.release(&mut cx.memory);
        }
    }

    pub(super) fn leaves_read(
        &mut self,
        cx: &mut Context,
        link: Link,
        result: Result<LeavesRead, ReadError>,
    ) {
        // None if the reader has gone.
        let Some(stream) = self.stream_mut(link) else {
            return;
        };
        stream.reading = false;
        match result {
            Ok(read) => {
                let opened = std::mem::replace(&mut stream.opened, true);
                let Want { block, first, count } = stream.want;
                stream.handed += u8::try_from(read.chunks.len()).unwrap_or(count);
                if !opened {
                    let (address, length, leaves) = (block.address, read.length, read.leaves);
                    let open = Open { address, length, first, count, leaves };
                    cx.output(Output::OpenStream { link, open });
                }
                for data in read.chunks {
                    cx.output(Output::Chunk { link, data });
                }
            }
            Err(error) => {
                let from = stream.gone_from(&error);
                let address = stream.want.address();
                let Some(place) = from.and_then(|from| cx.index.moved(&address, from)) else {
                    return self.unreadable(cx, link, &error);
                };
                // It was moved meanwhile: it is damaged only if it is gone from there too.
                stream.source = Source::Disk(place);
                stream.release(&mut cx.memory);
                self.read_on(cx, link);
            }
        }
    }

    /// A block that the log promises cannot be read. If it is damaged or gone it is no longer held, and fetched anew; if
    /// the disk would not say, for want of descriptors for instance, it stays.
    fn unreadable(&mut self, cx: &mut Context, link: Link, error: &ReadError) {
        // None if the reader has gone; its stream is over; or it is passed on.
        let Some(serving) = self.by_link.get_mut(&link) else {
            return;
        };
        let Some(stream) = serving.stream.as_mut() else {
            return;
        };
        let Source::Disk(place) = stream.source else {
            return;
        };
        stream.release(&mut cx.memory);
        let (want, opened, address) = (stream.want, stream.opened, stream.want.address());
        if opened {
            // It may take long to leave: until `stream_sent` no other begins.
            stream.aborted = true;
            cx.output(Output::AbortStream { link });
        } else {
            serving.stream = None;
        }
        match error {
            ReadError::Gone | ReadError::Damaged => {
                if !opened {
                    serving.wants.push_front(want);
                }
                let block = BlockRef { address, length: length(place) };
                self.tell(Event::Lost { reader: link, block });
            }
            ReadError::Disk(why) => {
                log::error!("block {address} could not be read now: {why:?}");
                if !opened {
                    self.tell(Event::Unread { link });
                    cx.send(link, Message::Absent { address });
                }
                self.pump(cx, link);
            }
        }
    }

    /// All leaves that were handed over have left.
    pub(super) fn stream_low(&mut self, cx: &mut Context, link: Link) {
        self.batch_left(cx, link);
        self.pump(cx, link);
    }

    /// The stream was sent whole.
    pub(super) fn stream_sent(&mut self, cx: &mut Context, link: Link) {
        self.batch_left(cx, link);
        if let Some(serving) = self.by_link.get_mut(&link) {
            serving.stream = None;
        }
        self.pump(cx, link);
    }

    fn batch_left(&mut self, cx: &mut Context, link: Link) {
        // None if the reader has gone, or its stream is over.
        let Some(serving) = self.by_link.get_mut(&link) else {
            return;
        };
        let Some(stream) = serving.stream.as_mut().filter(|stream| !stream.reading) else {
            return;
        };
        stream.release(&mut cx.memory);
        let taken = cx.now.instant.since(stream.batch_began);
        serving.adapt(taken);
    }

    /// A want waits until its block is here.
    pub(super) fn park(&mut self, link: Link) {
        self.by_link.entry(link).or_default().parked += 1;
    }

    /// The block that a want waited for is here, or is to be looked for once more.
    pub(super) fn unpark(&mut self, cx: &mut Context, Parked { link, want }: Parked) {
        if let Some(serving) = self.by_link.get_mut(&link) {
            serving.parked = serving.parked.saturating_sub(1);
            serving.wants.push_front(want);
        }
        self.pump(cx, link);
    }

    /// A parked want was answered otherwise. Others did not wait for it.
    pub(super) fn answered(&mut self, link: Link) {
        if let Some(serving) = self.by_link.get_mut(&link) {
            serving.parked = serving.parked.saturating_sub(1);
        }
    }

    /// A block that is here is looked at: wants of it wait for that.
    pub(super) fn suspect(&mut self, address: Address) {
        self.suspects.entry(address).or_default();
    }

    pub(super) fn is_suspected(&self, address: &Address) -> bool {
        self.suspects.contains_key(address)
    }

    /// It has been looked at. The wants that waited for that.
    pub(super) fn clear(&mut self, address: &Address) -> Vec<Parked> {
        self.suspects.remove(address).unwrap_or_default()
    }

    /// The connection is gone.
    pub(super) fn link_closed(&mut self, cx: &mut Context, link: Link) {
        let serving = self.by_link.remove(&link);
        if let Some(mut stream) = serving.and_then(|serving| serving.stream)
            && !seeded::is_on(Bug::KeepReaderMemory)
        {
            stream.release(&mut cx.memory);
        }
    }

    pub(super) fn stream_mut(&mut self, link: Link) -> Option<&mut Stream> {
        self.by_link.get_mut(&link)?.stream.as_mut()
    }

    /// Something is being sent to a connection, or waits for that.
    pub(super) fn is_busy(&self) -> bool {
        self.by_link.values().any(Serving::is_busy)
    }

    /// What waiting wants of a connection take in memory.
    pub(super) fn held_bytes(&self, link: Link) -> usize {
        self.by_link.get(&link).map_or(0, |serving| {
            serving.wants.len() * size_of::<Want>() + serving.parked * OFFERED_BYTES
        })
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(Inner::Out(event));
    }
}
