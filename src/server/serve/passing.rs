//! Passing on, as a proxy without a cache does: what this node has no room for goes from a peer straight to the client that
//! reads it.
//!
//! A stream that is passed on is like one from the disk, but for where its batches come from: each is asked of a peer when
//! the one before has left, and handed on when it is there. Nothing is kept, and the reader checks each leaf, as ever.
//! Invariant: a batch has its memory before it is asked for; what comes of one that was given up goes to nobody.

use super::super::credit::queue_run;
use super::super::output::{Link, Output};
use super::super::peers::{Peer, Run};
use super::super::want::Want;
use super::super::{FileServer, memory::Share};
use super::{Source, Stream};
use crate::ids::Address;
use crate::limits::{LEAF, OPERATION_SILENCE, WANTS_MAX};
use crate::planted::{self, Bug};
use crate::time::Now;
use crate::wire::frame::Open;
use crate::wire::message::{BlockRef, Message};
use bytes::Bytes;

/// Runs that one peer owes at a time, those that were given up too: it bears `WANTS_MAX`, and fetches need some.
const RUNS_MAX: usize = WANTS_MAX / 2;

/// A batch on its way: for whom, and a number that no other has.
pub(in crate::server) type Pass = (Link, u64);

/// Where a stream's leaves come from, if not from this disk.
#[derive(Debug)]
pub(super) struct From {
    pub(super) link: Link,
    /// Its present batch; none is 0.
    pass: u64,
    open: Option<Open>,
    /// What has come of the batch.
    leaves: Vec<Bytes>,
    /// Peers that could not give the block, or did not.
    tried: Vec<Link>,
}

/// Of the last block that was passed on to a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    address: Address,
    from: Link,
    /// It broke off, or the reader found it bad.
    is_bad: bool,
}

impl FileServer {
    /// Whether a client's want of what is not here is passed on: nobody fetches it, and there is no room for it.
    pub(super) fn is_passed_on(&self, block: &BlockRef) -> bool {
        !self.fetches.by_address.contains_key(&block.address)
            && !self.cx.space.fits(u64::from(block.length))
            && !planted::is_on(Bug::ServeOwnOnly)
    }

    /// Begins a stream whose leaves are asked of a peer.
    pub(super) fn pass_on(&mut self, now: Now, reader: Link, want: Want) {
        // There may be room again.
        self.cx.ask_space();
        let address = want.block.address;
        let Some(link) = self.passing_source(now, reader, address, &[]) else {
            return self.send_absent(reader, address);
        };
        let (open, leaves, tried) = (None, Vec::new(), Vec::new());
        let from = From { link, pass: 0, open, leaves, tried };
        self.open_stream(now, reader, want, Source::Peer(from));
    }

    /// The peer that brings most, and not the one of which the reader had something bad if there is another.
    fn passing_source(
        &self,
        now: Now,
        reader: Link,
        address: Address,
        tried: &[Link],
    ) -> Option<Link> {
        let last = self.cx.links.get(reader).and_then(|peer| peer.serving.passed);
        let was_bad = |link: Link| {
            last.is_some_and(|last| last.is_bad && (last.address, last.from) == (address, link))
        };
        let untried = self.cx.links.node_peers().filter(|(link, _)| !tried.contains(link));
        let by_merit = untried.min_by_key(|(link, peer)| {
            let waits = (peer.credit.queue.len(), peer.credit.outstanding);
            (was_bad(*link), is_laden(peer), self.is_slow(peer, now), peer.silent, waits)
        });
        by_merit.map(|(link, _)| link)
    }

    /// How many leaves may be asked of the source of a stream at a time; none if the reader has to wait until it owes less.
    pub(super) fn passing_batch(&mut self, now: Now, reader: Link, source: Link) -> Option<u8> {
        let Some(peer) = self.cx.links.get(source) else {
            return Some(1);
        };
        if !is_laden(peer) || planted::is_on(Bug::PassWithoutBound) {
            return Some(u8::try_from(peer.credit.run).unwrap_or(u8::MAX));
        }
        let oldest = peer.credit.runs.front().map_or(now.instant, |run| run.asked);
        if now.instant.since(oldest) >= OPERATION_SILENCE {
            // It answers nothing any more, and nobody waits so long.
            self.pass_elsewhere(now, reader);
        } else {
            self.fetches.passes_waiting.insert(reader);
        }
        None
    }

    /// Asks for the next batch, for which there is memory.
    pub(super) fn ask_to_pass(
        &mut self,
        now: Now,
        reader: Link,
        (block, first, count): (BlockRef, u8, u8),
    ) {
        let pass = self.serial();
        let Some(serving) = self.cx.links.get_mut(reader).map(|peer| &mut peer.serving) else {
            return;
        };
        let Some(Stream { source: Source::Peer(from), .. }) = &mut serving.stream else {
            return;
        };
        from.pass = pass;
        from.leaves.clear();
        let link = from.link;
        let (address, is_bad) = (block.address, false);
        serving.passed = Some(Passed { address, from: link, is_bad });
        let run = Run {
            address,
            length: block.length,
            first,
            count,
            share: Share::Serving,
            come: 0,
            live: true,
            reserved: false,
            asked: now.instant,
            pass: Some((reader, pass)),
        };
        let Some(source) = self.cx.links.get_mut(link) else {
            return self.pass_failed(now, (reader, pass));
        };
        if queue_run(&mut source.credit, run) {
            self.watch_silence(now, link);
            self.watch_pace(now, link);
        }
        self.send(link, Message::Want { block, first, count });
    }

    fn passed_stream(&mut self, (reader, pass): Pass) -> Option<&mut Stream> {
        let stream = self.cx.links.get_mut(reader)?.serving.stream.as_mut()?;
        let is_it = match &stream.source {
            Source::Peer(from) => from.pass == pass || planted::is_on(Bug::PassWhatIsLate),
            Source::Disk(_) => false,
        };
        (is_it && !stream.aborted).then_some(stream)
    }

    /// A batch begins to come.
    pub(in crate::server) fn pass_opened(&mut self, pass: Pass, open: Open) {
        if let Some(Stream { source: Source::Peer(from), .. }) = self.passed_stream(pass) {
            from.open = Some(open);
        }
    }

    /// A leaf has come. With the last the batch is handed on: memory that is given back when a batch has left must not be
    /// given back when a part of it has.
    pub(in crate::server) fn pass_leaf(
        &mut self,
        now: Now,
        pass: Pass,
        data: Bytes,
        is_last: bool,
    ) {
        let Some(stream) = self.passed_stream(pass) else {
            return;
        };
        let Source::Peer(from) = &mut stream.source else {
            return;
        };
        from.leaves.push(data);
        if !is_last {
            return;
        }
        let leaves = std::mem::take(&mut from.leaves);
        let Want { first, count, .. } = stream.want;
        let open = from.open.take().filter(|_| !stream.opened);
        from.pass = 0;
        stream.opened = true;
        stream.reading = false;
        stream.batch_began = now.instant;
        stream.handed += u8::try_from(leaves.len()).unwrap_or(count);
        let link = pass.0;
        if let Some(open) = open {
            let open = Open { first, count, ..open };
            self.cx.output(Output::OpenStream { link, open });
        }
        self.cx.outputs.extend(leaves.into_iter().map(|data| Output::Chunk { link, data }));
    }

    /// A peer owes less than before, or is gone: what was given up is asked of others, and who waited asks.
    pub(in crate::server) fn pump_passes(&mut self, now: Now) {
        while let Some(pass) = self.fetches.passes_lost.pop() {
            self.pass_failed(now, pass);
        }
        if std::mem::take(&mut self.fetches.passes_freed) {
            for reader in std::mem::take(&mut self.fetches.passes_waiting) {
                self.pump_serving(now, reader);
            }
        }
    }

    /// A node is silent or slow: what it was to bring for readers is asked of better ones that have not been asked, as far as
    /// there are any. It may be asked again if these do not have it.
    pub(in crate::server) fn leave_passes(&mut self, now: Now, link: Link) {
        let Some(peer) = self.cx.links.get(link) else {
            return;
        };
        let runs = peer.credit.runs.iter().chain(&peer.credit.current);
        let passes: Vec<_> = runs.filter(|run| run.live).filter_map(|run| run.pass).collect();
        for pass in passes {
            let Some(Stream { want, source: Source::Peer(from), .. }) = self.passed_stream(pass)
            else {
                continue;
            };
            let (address, mut tried) = (want.block.address, from.tried.clone());
            tried.push(link);
            let next = self.passing_source(now, pass.0, address, &tried);
            let is_better =
                |peer: &Peer| !peer.silent && !is_laden(peer) && !self.is_slow(peer, now);
            let next = next.filter(|next| self.cx.links.get(*next).is_some_and(is_better));
            if let Some(next) = next {
                self.give_up_runs(link, |run| run.pass == Some(pass));
                self.fetches.passes_lost.retain(|lost| *lost != pass);
                self.pass_ended(pass);
                if let Some(Source::Peer(from)) = self.source_of(pass.0) {
                    from.link = next;
                }
                self.pump_serving(now, pass.0);
            }
        }
        self.fetches.passes_freed = true;
    }

    fn source_of(&mut self, reader: Link) -> Option<&mut Source> {
        let stream = self.cx.links.get_mut(reader)?.serving.stream.as_mut()?;
        Some(&mut stream.source)
    }

    /// Nothing more is waited for of a batch, and its memory is given back. False if it is nobody's present one.
    fn pass_ended(&mut self, pass: Pass) -> bool {
        let Some(stream) = self.passed_stream(pass) else {
            return false;
        };
        stream.reading = false;
        let reserved = usize::from(std::mem::take(&mut stream.reserved));
        if let Source::Peer(from) = &mut stream.source {
            from.pass = 0;
            from.leaves.clear();
        }
        self.cx.memory.release(Share::Serving, reserved * LEAF);
        true
    }

    fn pass_failed(&mut self, now: Now, pass: Pass) {
        if self.pass_ended(pass) {
            self.pass_elsewhere(now, pass.0);
        }
    }

    /// The source of a stream can't give the block, or does not: another is asked, or the stream is over.
    fn pass_elsewhere(&mut self, now: Now, reader: Link) {
        let Some(serving) = self.cx.links.get_mut(reader).map(|peer| &mut peer.serving) else {
            return;
        };
        let Some(Stream { want, opened, source: Source::Peer(from), .. }) = &mut serving.stream
        else {
            return;
        };
        let (address, opened) = (want.block.address, *opened);
        from.tried.push(from.link);
        let tried = from.tried.clone();
        let next = self.passing_source(now, reader, address, &tried);
        let Some(serving) = self.cx.links.get_mut(reader).map(|peer| &mut peer.serving) else {
            return;
        };
        match (next, &mut serving.stream) {
            // The next has the same block, or says that it has not: the stream goes on where it is.
            (Some(next), Some(Stream { source: Source::Peer(from), .. })) => from.link = next,
            (None, Some(stream)) if opened => {
                // The reader may ask anew. Until `stream_sent` no other begins.
                stream.aborted = true;
                if let Some(passed) = &mut serving.passed {
                    passed.is_bad = true;
                }
                self.cx.output(Output::AbortStream { link: reader });
            }
            _ => {
                serving.stream = None;
                self.send_absent(reader, address);
            }
        }
        self.pump_serving(now, reader);
    }

    /// A reader found bad what was passed on to it. Whoever gave it looks for itself. False if it was not passed on.
    pub(in crate::server) fn suspect_passed(&mut self, reader: Link, address: Address) -> bool {
        if self.cx.index.holdings.block(&address).is_some() {
            return false;
        }
        let passed = self.cx.links.get_mut(reader).and_then(|peer| peer.serving.passed.as_mut());
        let Some(passed) = passed.filter(|passed| passed.address == address && !passed.is_bad)
        else {
            return false;
        };
        passed.is_bad = true;
        let from = passed.from;
        self.send(from, Message::Suspect { address });
        true
    }
}

/// It owes as much as it is to be asked for at a time.
fn is_laden(peer: &Peer) -> bool {
    peer.credit.runs.len() >= RUNS_MAX
}
