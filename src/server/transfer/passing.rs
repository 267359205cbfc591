//! Passing on, as a proxy without a cache does: what this node has no room for goes from a peer straight to the client that
//! reads it.
//!
//! A stream that is passed on is like one from the disk, but for where its batches come from: each is asked of a peer when
//! the one before has left, and handed on when it is there. Nothing is kept, and the reader checks each leaf, as ever.
//! Invariant: a batch has its memory before it is asked for; what comes of one that was given up goes to nobody.

use super::event::{Event, Inner};
use super::memory::Share;
use super::uploads::{Source, Stream, Uploads};
use super::want::Want;
use crate::ids::Address;
use crate::limits::LEAF;
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::server::output::{Link, Output};
use crate::wire::frame::Open;
use crate::wire::message::Message;
use bytes::Bytes;

/// A batch on its way: for whom, and a number that no other has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) reader: Link,
    number: u64,
}

/// Where a stream's leaves come from, if not from this disk.
#[derive(Debug)]
pub(super) struct Passing {
    source: Link,
    /// Its present batch.
    pass: Option<Pass>,
    open: Option<Open>,
    /// What has come of the batch.
    leaves: Vec<Bytes>,
    /// Peers that could not give the block, or did not.
    tried: Vec<Link>,
}

impl Passing {
    /// Which peer gives it.
    pub(super) fn source(&self) -> Link {
        self.source
    }
}

/// Of the last block that was passed on to a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    address: Address,
    from: Link,
    /// It broke off, or the reader found it bad.
    is_bad: bool,
}

/// What is to be passed on, and which peers are not to be asked for it.
#[derive(Debug)]
pub(super) struct Sought {
    pub(super) tried: Vec<Link>,
    /// The reader had something bad of this one.
    pub(super) bad: Option<Link>,
}

impl Uploads {
    /// Begins a stream whose leaves are asked of a peer.
    pub(super) fn pass_on(&mut self, cx: &Context, reader: Link, want: Want, source: Link) {
        let (open, leaves, tried) = (None, Vec::new(), Vec::new());
        let passing = Passing { source, pass: None, open, leaves, tried };
        let serving = self.by_link.entry(reader).or_default();
        serving.open(want, Source::Peer(passing), cx.now.instant);
    }

    /// Who is not to be asked for a block that is passed on to a reader from its beginning.
    pub(super) fn seek(&self, reader: Link, address: Address) -> Sought {
        let last = self.by_link.get(&reader).and_then(|serving| serving.passed);
        let bad = last.filter(|last| last.is_bad && last.address == address);
        Sought { tried: Vec::new(), bad: bad.map(|last| last.from) }
    }

    /// The same of one that is being passed on; if this is its present batch.
    pub(super) fn seek_for(&mut self, pass: Pass) -> Option<Sought> {
        let stream = self.passed_stream(pass)?;
        let (address, tried) = match &stream.source {
            Source::Peer(passing) => (stream.want.address(), passing.tried.clone()),
            Source::Disk(_) => return None,
        };
        Some(Sought { tried, ..self.seek(pass.reader, address) })
    }

    /// Asks for the next batch, of as many leaves as the source may be asked for at a time, if there is memory. A peer may
    /// be unresponsive with what is reserved for it: only while most is free it is more than a leaf.
    pub(super) fn ask(&mut self, cx: &mut Context, reader: Link, most: u8) {
        // None if the reader has gone.
        let Some(serving) = self.by_link.get_mut(&reader) else {
            return;
        };
        let batch = serving.batch();
        // None while a batch is under way.
        let Some(stream) = serving.stream.as_mut().filter(|stream| stream.is_ready()) else {
            return;
        };
        let rest = stream.rest();
        // The block is here by now, and is read from the disk.
        let Source::Peer(passing) = &mut stream.source else {
            return;
        };
        let batch = [batch.min(rest).min(most.max(1)), 1].into_iter().find(|batch| {
            let bytes = usize::from(*batch) * LEAF;
            match *batch > 1 {
                true => cx.memory.reserve_for_untrusted(Share::Serving, bytes),
                false => cx.memory.reserve(Share::Serving, bytes),
            }
        });
        let Some(batch) = batch else {
            return self.wait_for_memory(cx, reader);
        };
        self.next_pass += 1;
        let pass = Pass { reader, number: self.next_pass };
        passing.pass = Some(pass);
        passing.leaves.clear();
        let source = passing.source;
        let want = stream.read(batch, cx.now.instant);
        serving.passed = Some(Passed { address: want.address(), from: source, is_bad: false });
        self.events.push_back(Inner::Ask { source, want, pass });
    }

    /// The source of a reader's stream owes as much as it bears: the reader waits until it owes less.
    pub(super) fn wait(&mut self, reader: Link) {
        self.waiting.insert(reader);
    }

    fn passed_stream(&mut self, pass: Pass) -> Option<&mut Stream> {
        let stream = self.stream_mut(pass.reader)?;
        let is_it = match &stream.source {
            Source::Peer(passing) => {
                passing.pass == Some(pass) || seeded::is_on(Bug::PassWhatIsLate)
            }
            Source::Disk(_) => false,
        };
        (is_it && !stream.aborted).then_some(stream)
    }

    /// A batch begins to come.
    pub(super) fn pass_opened(&mut self, pass: Pass, open: Open) {
        if let Some(Stream { source: Source::Peer(passing), .. }) = self.passed_stream(pass) {
            passing.open = Some(open);
        }
    }

    /// A leaf has come. With the last the batch is handed on: memory that is given back when a batch has left must not be
    /// given back when a part of it has.
    pub(super) fn pass_leaf(&mut self, cx: &mut Context, pass: Pass, data: Bytes, is_last: bool) {
        // None if it was given up, or the reader has gone.
        let Some(stream) = self.passed_stream(pass) else {
            return;
        };
        // It is read from the disk by now.
        let Source::Peer(passing) = &mut stream.source else {
            return;
        };
        passing.leaves.push(data);
        if !is_last {
            return;
        }
        let leaves = std::mem::take(&mut passing.leaves);
        let Want { first, count, .. } = stream.want;
        let open = passing.open.take().filter(|_| !stream.opened);
        passing.pass = None;
        stream.opened = true;
        stream.reading = false;
        stream.batch_began = cx.now.instant;
        stream.handed += u8::try_from(leaves.len()).unwrap_or(count);
        let link = pass.reader;
        if let Some(open) = open {
            let open = Open { first, count, ..open };
            cx.output(Output::OpenStream { link, open });
        }
        for data in leaves {
            cx.output(Output::Chunk { link, data });
        }
    }

    /// Nothing more is waited for of a batch, and its memory is given back. False if it is nobody's present one.
    pub(super) fn end_pass(&mut self, cx: &mut Context, pass: Pass) -> bool {
        // None if it was given up, or the reader has gone.
        let Some(stream) = self.passed_stream(pass) else {
            return false;
        };
        stream.reading = false;
        stream.release(&mut cx.memory);
        if let Source::Peer(passing) = &mut stream.source {
            passing.pass = None;
            passing.leaves.clear();
        }
        true
    }

    /// A better peer goes on with a reader's stream. The one before may be asked again.
    pub(super) fn go_on_with(&mut self, cx: &mut Context, reader: Link, source: Link) {
        if let Some(Stream { source: Source::Peer(passing), .. }) = self.stream_mut(reader) {
            passing.source = source;
        }
        self.pump(cx, reader);
    }

    /// The source of a reader's stream cannot give the block, or does not. Whom not to ask for it.
    pub(super) fn leave_source(&mut self, reader: Link) -> Option<Sought> {
        let stream = self.stream_mut(reader)?;
        // It is read from the disk by now.
        let Source::Peer(passing) = &mut stream.source else {
            return None;
        };
        passing.tried.push(passing.source);
        let (tried, address) = (passing.tried.clone(), stream.want.address());
        Some(Sought { tried, ..self.seek(reader, address) })
    }

    /// Another peer goes on with a reader's stream, or the stream is over. The next has the same block, or says that it has
    /// not: the stream goes on where it is.
    pub(super) fn go_elsewhere(&mut self, cx: &mut Context, reader: Link, next: Option<Link>) {
        // None if the reader, or its stream, has gone.
        let Some(serving) = self.by_link.get_mut(&reader) else {
            return;
        };
        let Some(stream) = &mut serving.stream else {
            return;
        };
        if let Some(next) = next {
            return self.go_on_with(cx, reader, next);
        }
        if stream.opened {
            // The reader may ask anew. Until `stream_sent` no other begins.
            stream.aborted = true;
            if let Some(passed) = &mut serving.passed {
                passed.is_bad = true;
            }
            cx.output(Output::AbortStream { link: reader });
        } else {
            let address = stream.want.address();
            serving.stream = None;
            self.tell(Event::Absent { reader, address });
        }
        self.pump(cx, reader);
    }

    /// A reader found bad what was passed on to it. Whoever gave it looks for itself. False if it was not passed on.
    pub(super) fn suspect_passed(
        &mut self,
        cx: &mut Context,
        reader: Link,
        address: Address,
    ) -> bool {
        if cx.index.holdings.block(&address).is_some() {
            return false;
        }
        let passed = self.by_link.get_mut(&reader).and_then(|serving| serving.passed.as_mut());
        // None if something else was passed on to it since, or it has said so before.
        let Some(passed) = passed.filter(|passed| passed.address == address && !passed.is_bad)
        else {
            return false;
        };
        passed.is_bad = true;
        let from = passed.from;
        cx.send(from, Message::Suspect { address });
        true
    }
}
