//! Passing on: what this node has no room for goes from a peer straight to the client that reads it.
//!
//! A stream that is passed on is like one from the disk, but for where its batches come from: each is asked of a peer when
//! the one before has left. Nothing is kept, and the reader checks each leaf, as ever. Invariant: a batch has its memory
//! before it is asked for; what comes of one that was given up goes to nobody.

use super::super::credit::queue_run;
use super::super::output::{Link, Output};
use super::super::peers::Run;
use super::super::want::Want;
use super::super::{FileServer, memory::Share};
use super::{Source, Stream};
use crate::ids::Address;
use crate::limits::LEAF;
use crate::planted::{self, Bug};
use crate::time::Now;
use crate::wire::frame::Open;
use crate::wire::message::{BlockRef, Message};
use bytes::Bytes;

/// A batch on its way: for whom, and a number that no other has.
pub(in crate::server) type Pass = (Link, u64);

/// Where a stream's leaves come from, if not from this disk.
#[derive(Debug)]
pub(super) struct From {
    link: Link,
    /// Its present batch.
    pass: u64,
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
            && !self.space.fits(u64::from(block.length))
            && !planted::is_on(Bug::ServeOwnOnly)
    }

    /// Begins a stream whose leaves are asked of a peer.
    pub(super) fn pass_on(&mut self, now: Now, reader: Link, want: Want) {
        // There may be room again.
        self.ask_space();
        let address = want.block.address;
        let Some(link) = self.passing_source(now, reader, address, &[]) else {
            return self.send_absent(reader, address);
        };
        let from = From { link, pass: 0, tried: Vec::new() };
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
        let last = self.peers.get(&reader).and_then(|peer| peer.serving.passed);
        let was_bad = |link: Link| {
            last.is_some_and(|last| last.is_bad && (last.address, last.from) == (address, link))
        };
        let untried = self.node_peers().filter(|(link, _)| !tried.contains(link));
        let by_merit = untried.min_by_key(|(link, peer)| {
            let waits = (peer.credit.queue.len(), peer.credit.outstanding);
            (was_bad(**link), self.is_slow(peer, now), peer.silent, waits)
        });
        by_merit.map(|(link, _)| *link)
    }

    /// Asks for the next batch, for which there is memory.
    pub(super) fn ask_to_pass(
        &mut self,
        now: Now,
        reader: Link,
        (block, first, count): (BlockRef, u8, u8),
    ) {
        let pass = self.serial();
        let Some(peer) = self.peers.get_mut(&reader) else {
            return;
        };
        let Some(Source::Peer(from)) = peer.serving.stream.as_mut().map(|it| &mut it.source) else {
            return;
        };
        from.pass = pass;
        let link = from.link;
        let (address, is_bad) = (block.address, false);
        peer.serving.passed = Some(Passed { address, from: link, is_bad });
        let run = Run {
            address,
            first,
            count,
            share: Share::Serving,
            come: 0,
            live: true,
            reserved: false,
            asked: now.instant,
            pass: Some((reader, pass)),
        };
        let Some(source) = self.peers.get_mut(&link) else {
            return self.pass_failed(now, (reader, pass));
        };
        if queue_run(&mut source.credit, run) {
            self.watch_silence(now, link);
            self.watch_pace(now, link);
        }
        self.send(link, Message::Want { block, first, count });
    }

    fn passed_stream(&mut self, (reader, pass): Pass) -> Option<&mut Stream> {
        let stream = self.peers.get_mut(&reader)?.serving.stream.as_mut()?;
        let is_it = match &stream.source {
            Source::Peer(from) => from.pass == pass || planted::is_on(Bug::PassWhatIsLate),
            Source::Disk(_) => false,
        };
        (is_it && !stream.aborted).then_some(stream)
    }

    /// A batch begins to come. False if it is of another length than the block that is wanted.
    pub(in crate::server) fn pass_opened(&mut self, pass: Pass, open: Open) -> bool {
        let Some(stream) = self.passed_stream(pass) else {
            return true;
        };
        let Want { block, first, count } = stream.want;
        if open.length != block.length {
            return false;
        }
        if !std::mem::replace(&mut stream.opened, true) {
            let open = Open { first, count, ..open };
            self.outputs.push_back(Output::OpenStream { link: pass.0, open });
        }
        true
    }

    /// A leaf has come.
    pub(in crate::server) fn pass_leaf(&mut self, pass: Pass, data: Bytes, is_last: bool) {
        let Some(stream) = self.passed_stream(pass) else {
            return;
        };
        stream.handed += 1;
        stream.reading = !is_last;
        self.outputs.push_back(Output::Chunk { link: pass.0, data });
    }

    /// What was asked of peers for readers and given up since is asked of others.
    pub(in crate::server) fn pass_from_others(&mut self, now: Now) {
        while let Some(pass) = self.fetches.passes_lost.pop() {
            self.pass_failed(now, pass);
        }
    }

    fn pass_failed(&mut self, now: Now, pass: Pass) {
        let reader = pass.0;
        let Some(stream) = self.passed_stream(pass) else {
            return;
        };
        stream.reading = false;
        let reserved = usize::from(std::mem::take(&mut stream.reserved));
        let (address, opened) = (stream.want.block.address, stream.opened);
        let Source::Peer(from) = &mut stream.source else {
            return;
        };
        from.tried.push(from.link);
        let tried = from.tried.clone();
        self.memory.release(Share::Serving, reserved * LEAF);
        let next = self.passing_source(now, reader, address, &tried);
        let Some(serving) = self.peers.get_mut(&reader).map(|peer| &mut peer.serving) else {
            return;
        };
        match (opened, next, &mut serving.stream) {
            (true, _, Some(stream)) => {
                // The reader asks for the rest anew. Until `stream_sent` no other begins.
                stream.aborted = true;
                if let Some(passed) = &mut serving.passed {
                    passed.is_bad = true;
                }
                self.outputs.push_back(Output::AbortStream { link: reader });
            }
            (false, Some(next), Some(Stream { source: Source::Peer(from), .. })) => {
                from.link = next;
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
        let passed = self.peers.get_mut(&reader).and_then(|peer| peer.serving.passed.as_mut());
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
