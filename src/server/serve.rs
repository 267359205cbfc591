//! Serving: leaves of held blocks on their way to whoever wants them, one stream at a time on each connection.
//!
//! Leaves go out as they are on the disk, or as a peer gives them where there is no room for them; the reader checks each,
//! and says so if one is bad. Invariant: memory is
//! reserved for leaves between the disk and the connection, a few at a time for who reads slowly.

use super::FileServer;
use super::closing::Closing;
use super::memory::Share;
use super::output::{Link, Output};
use super::peers::Peer;
use super::timers::Timer;
use super::want::{Interest, OFFERED_BYTES, Parked, Want};
use super::work::Job;
use crate::ids::Address;
use crate::limits::{LEAF, WANTS_MAX};
use crate::planted::{self, Bug};
use crate::store::values::{BlockPlace, LeavesRead, ReadError};
use crate::time::{Instant, Now};
use crate::wire::frame::{Open, leaves_of};
use crate::wire::message::{BlockRef, Message};
use std::collections::VecDeque;
use std::time::Duration;

/// A batch that leaves in less is followed by one twice as long; one that takes four times this, by a single leaf.
const BATCH_TIME: Duration = Duration::from_millis(50);

/// A batch is read by the loop itself if the system has it in memory: nobody else is served meanwhile.
const BATCH_MAX: u8 = 8;

mod passing;

pub(super) use passing::Pass;

/// Where the leaves of a stream come from.
#[derive(Debug)]
enum Source {
    Disk(BlockPlace),
    Peer(passing::From),
}

#[derive(Debug)]
struct Stream {
    want: Want,
    source: Source,
    /// Leaves of it that have been handed to the connection.
    handed: u8,
    opened: bool,
    /// Given up: nothing more is read for it, and its end is waited for.
    aborted: bool,
    reading: bool,
    /// Leaves in memory: read or being read, and not yet sent.
    reserved: u8,
    batch_began: Instant,
}

/// What one connection is being served.
#[derive(Debug, Default)]
pub(super) struct Serving {
    wants: VecDeque<Want>,
    stream: Option<Stream>,
    /// Wants that wait for their blocks.
    parked: usize,
    /// Leaves of the next batch; none yet is zero.
    batch: u8,
    passed: Option<passing::Passed>,
}

/// Who has not taken what was read for him for so long keeps none of it if others wait for memory.
const DEAF_AFTER: Duration = Duration::from_millis(200);

impl Serving {
    pub(super) fn is_busy(&self) -> bool {
        self.stream.is_some() || !self.wants.is_empty() || self.parked > 0
    }

    /// What waiting wants take in memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.wants.len() * size_of::<Want>() + self.parked * OFFERED_BYTES
    }

    /// One more want waits for its block.
    pub(super) fn park(&mut self) {
        self.parked += 1;
    }

    fn batch(&self) -> u8 {
        match self.batch {
            0 => 4,
            batch => batch,
        }
    }
}

impl FileServer {
    /// Somebody wants leaves.
    pub(super) fn want(&mut self, now: Now, link: Link, want: Want) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        let waiting = peer.serving.wants.len() + peer.serving.parked;
        if waiting >= WANTS_MAX && !planted::is_on(Bug::UnboundedWants) {
            return self.close(now, link, Closing::TooManyWants);
        }
        peer.serving.wants.push_back(want);
        self.pump_serving(now, link);
    }

    /// Begins the connection's next stream, or reads on for the one that is open.
    pub(super) fn pump_serving(&mut self, now: Now, link: Link) {
        while let Some(peer) = self.cx.links.get_mut(link) {
            if peer.serving.stream.is_some() {
                return self.read_on(now, link);
            }
            let Some(want) = peer.serving.wants.pop_front() else {
                return;
            };
            if self.suspects.contains_key(&want.block.address) {
                self.park_for_suspect(Parked { link, want });
                continue;
            }
            match self.cx.index.holdings.block(&want.block.address) {
                Some(place) => self.begin_stream(now, link, want, place),
                None => self.want_missing(now, link, want),
            }
        }
    }

    fn begin_stream(&mut self, now: Now, link: Link, want: Want, place: BlockPlace) {
        let length = super::holdings::length(place);
        let end = usize::from(want.first) + usize::from(want.count);
        if length != want.block.length || end > leaves_of(length) {
            // Whoever asks may only be passing on what a record or a client claims: there is no such block, and that
            // is all there is to say.
            return self.send(link, Message::Absent { address: want.block.address });
        }
        self.open_stream(now, link, want, Source::Disk(place));
    }

    fn open_stream(&mut self, now: Now, link: Link, want: Want, source: Source) {
        if let Some(peer) = self.cx.links.get_mut(link) {
            peer.serving.stream = Some(Stream {
                want,
                source,
                handed: 0,
                opened: false,
                aborted: false,
                reading: false,
                reserved: 0,
                batch_began: now.instant,
            });
        }
    }

    /// A client's want makes this node fetch the block, or pass it on; a peer is told to look elsewhere.
    fn want_missing(&mut self, now: Now, link: Link, want: Want) {
        if self.cx.links.get(link).is_some_and(Peer::is_client) {
            if self.is_passed_on(&want.block) {
                return self.pass_on(now, link, want);
            }
            if let Some(peer) = self.cx.links.get_mut(link) {
                peer.serving.park();
            }
            self.fetch(now, want.block, Interest::Read(Parked { link, want }), None);
        } else {
            self.asked_in_vain(link, &want.block.address);
            self.send(link, Message::Absent { address: want.block.address });
        }
    }

    /// Reads the stream's next leaves, if the last ones have left and there is memory.
    fn read_on(&mut self, now: Now, link: Link) {
        let Some(serving) = self.cx.links.get(link).map(|peer| &peer.serving) else {
            return;
        };
        let Some(stream) = &serving.stream else {
            return;
        };
        let rest = stream.want.count - stream.handed;
        if stream.aborted || stream.reading || stream.reserved > 0 || rest == 0 {
            return;
        }
        let mut batch = serving.batch().min(rest);
        let passed_from = match &stream.source {
            Source::Peer(from) => Some(from.link),
            Source::Disk(_) => None,
        };
        if let Some(source) = passed_from {
            match self.passing_batch(now, link, source) {
                Some(most) => batch = batch.min(most.max(1)),
                None => return,
            }
        }
        // A peer may be silent with what is reserved for it: only while most is free it is more than a leaf.
        let batch = [batch, 1].into_iter().find(|batch| {
            let bytes = usize::from(*batch) * LEAF;
            match passed_from.is_some() && *batch > 1 {
                true => self.cx.memory.reserve_for_stranger(Share::Serving, bytes),
                false => self.cx.memory.reserve(Share::Serving, bytes),
            }
        });
        let Some(batch) = batch else {
            return self.starve(now, link, Share::Serving);
        };
        let peer = self.cx.links.get_mut(link);
        let Some(stream) = peer.and_then(|peer| peer.serving.stream.as_mut()) else {
            return;
        };
        stream.reserved = batch;
        stream.reading = true;
        stream.batch_began = now.instant;
        let (block, first, count) = (stream.want.block, stream.want.first + stream.handed, batch);
        match stream.source {
            Source::Peer(_) => self.ask_to_pass(now, link, (block, first, count)),
            Source::Disk(place) => {
                let address = block.address;
                self.job(Job::ReadLeaves { reader: link, address, place, first, count });
            }
        }
    }

    pub(super) fn leaves_read(
        &mut self,
        now: Now,
        link: Link,
        result: Result<LeavesRead, ReadError>,
    ) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        let Some(stream) = peer.serving.stream.as_mut() else {
            return;
        };
        stream.reading = false;
        match result {
            Ok(read) => {
                let want = stream.want;
                let opened = std::mem::replace(&mut stream.opened, true);
                stream.handed += u8::try_from(read.chunks.len()).unwrap_or(stream.want.count);
                if !opened {
                    let Want { block, first, count } = want;
                    let address = block.address;
                    let open =
                        Open { address, length: read.length, first, count, leaves: read.leaves };
                    self.cx.output(Output::OpenStream { link, open });
                }
                for data in read.chunks {
                    self.cx.output(Output::Chunk { link, data });
                }
            }
            Err(error) => self.unreadable(now, link, &error),
        }
    }

    /// A block that the log promises can't be read. If it is damaged or gone it is no longer held, and fetched anew; if
    /// the disk would not say, for want of descriptors for instance, it stays.
    fn unreadable(&mut self, now: Now, link: Link, error: &ReadError) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        let Some(stream) = peer.serving.stream.as_mut() else {
            return;
        };
        let reserved = usize::from(std::mem::take(&mut stream.reserved));
        let Stream { want, opened, .. } = *stream;
        let Source::Disk(place) = stream.source else {
            return;
        };
        if opened {
            // It may take long to leave: until `stream_sent` no other begins.
            stream.aborted = true;
            self.cx.output(Output::AbortStream { link });
        } else {
            peer.serving.stream = None;
        }
        self.cx.memory.release(Share::Serving, reserved * LEAF);
        let address = want.block.address;
        match error {
            ReadError::Gone | ReadError::Damaged => {
                self.lost(now, address, super::holdings::length(place));
                if !opened && let Some(peer) = self.cx.links.get_mut(link) {
                    peer.serving.wants.push_front(want);
                }
            }
            ReadError::Disk(why) => {
                log::error!("block {address} could not be read now: {why:?}");
                if !opened {
                    self.unread_for(now, link);
                    self.send(link, Message::Absent { address });
                }
            }
        }
        self.pump_serving(now, link);
    }

    /// A block is damaged or gone: says so in the log, and sees to it that it comes again.
    pub(super) fn lost(&mut self, now: Now, address: Address, length: u32) {
        if self.cx.index.holdings.remove(&address) {
            log::warn!("block {address} is damaged or gone on this disk; it is fetched anew");
            self.lane.add_lost(address);
            self.fetches.repairs.insert(address, length);
            self.fetch(now, BlockRef { address, length }, Interest::Repair, None);
        }
    }

    /// All leaves that were handed over have left.
    pub fn stream_low(&mut self, now: Now, link: Link) {
        self.cx.now = now;
        self.batch_left(now, link);
        self.pump_serving(now, link);
    }

    /// The stream was sent whole.
    pub fn stream_sent(&mut self, now: Now, link: Link) {
        self.cx.now = now;
        self.batch_left(now, link);
        if let Some(peer) = self.cx.links.get_mut(link) {
            peer.serving.stream = None;
        }
        self.pump_serving(now, link);
    }

    /// Others wait for memory: those who don't take what is read for them are looked at soon.
    pub(super) fn watch_deaf(&mut self, now: Now) {
        if !std::mem::replace(&mut self.deaf_watched, true) {
            self.after(now, DEAF_AFTER, Timer::Deaf);
        }
    }

    /// As long as others wait, what is read for those who don't take it is given back. It is read again when they do.
    pub(super) fn check_deaf(&mut self, now: Now) {
        self.deaf_watched = false;
        if self.fetches.starved[Share::Serving as usize].is_empty() {
            return;
        }
        for (link, peer) in self.cx.links.iter() {
            if let Some(stream) = &peer.serving.stream
                && stream.reserved > 0
                && !stream.reading
                && !stream.aborted
                && now.instant.since(stream.batch_began) >= DEAF_AFTER
            {
                self.cx.outputs.push_back(Output::TakeBack { link });
            }
        }
        self.watch_deaf(now);
    }

    /// So many leaves did not go out and are not kept; what is on its way is not counted here any more.
    pub fn taken_back(&mut self, link: Link, count: u8) {
        if let Some(peer) = self.cx.links.get_mut(link)
            && let Some(stream) = peer.serving.stream.as_mut()
        {
            stream.handed -= count;
            let reserved = std::mem::take(&mut stream.reserved);
            self.cx.memory.release(Share::Serving, usize::from(reserved) * LEAF);
        }
    }

    fn batch_left(&mut self, now: Now, link: Link) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        let Some(stream) = peer.serving.stream.as_mut() else {
            return;
        };
        if stream.reading {
            return;
        }
        let reserved = std::mem::take(&mut stream.reserved);
        self.cx.memory.release(Share::Serving, usize::from(reserved) * LEAF);
        let taken = now.instant.since(stream.batch_began);
        if taken < BATCH_TIME {
            peer.serving.batch = (peer.serving.batch() * 2).min(BATCH_MAX);
        } else if taken > BATCH_TIME * 4 {
            peer.serving.batch = 1;
        }
    }

    /// The block that a want waited for is here.
    pub(super) fn unpark(&mut self, now: Now, parked: Parked) {
        if let Some(peer) = self.cx.links.get_mut(parked.link) {
            peer.serving.parked = peer.serving.parked.saturating_sub(1);
            peer.serving.wants.push_front(parked.want);
        }
        self.pump_serving(now, parked.link);
    }

    /// A parked want was answered otherwise. Others did not wait for it.
    pub(super) fn want_answered(&mut self, link: Link) {
        if let Some(peer) = self.cx.links.get_mut(link) {
            peer.serving.parked = peer.serving.parked.saturating_sub(1);
        }
    }

    pub(super) fn serving_link_closed(&mut self, link: Link) {
        let Some(peer) = self.cx.links.get_mut(link) else {
            return;
        };
        if let Some(stream) = peer.serving.stream.take()
            && !planted::is_on(Bug::KeepReaderMemory)
        {
            self.cx.memory.release(Share::Serving, usize::from(stream.reserved) * LEAF);
        }
    }
}
