//! One connection of the harness, and the operations that are under way on it.
//!
//! Knows no schedule. Invariant: every operation that was begun leaves by exactly one `Landed`.

use super::content::{Content, Stream};
use super::schedule::{Book, Deed};
use super::tally::kind_of;
use crate::client::Link;
use crate::session::{Answer, ClientError, Event, Meta, Op, Operation};
use crate::time::Instant;
use std::collections::HashMap;

/// Bytes that a put is fed at once.
const FEED: usize = 256 * 1024;
/// Versions of an overwritten key that a reader may still see.
const CANDIDATES: usize = 64;

/// What became of an operation.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) deed: Deed,
    /// When it was meant to begin.
    pub(super) intended: Instant,
    /// Bytes of files that went to or fro; or why it failed.
    pub(super) result: Result<u64, &'static str>,
}

/// One operation under way.
struct Under {
    deed: Deed,
    intended: Instant,
    work: Work,
    bytes: u64,
}

enum Work {
    Put(Stream),
    /// The versions that the bytes may still turn out to be; none if nobody checks.
    Get(Option<Vec<Stream>>),
    Other,
}

/// See the module.
pub(super) struct Flight {
    pub(super) link: Link,
    /// The node has let us in.
    pub(super) is_ready: bool,
    under: HashMap<Op, Under>,
}

impl Flight {
    pub(super) fn new(link: Link) -> Self {
        Self { link, is_ready: false, under: HashMap::new() }
    }

    /// Operations under way.
    pub(super) fn count(&self) -> usize {
        self.under.len()
    }

    /// Begins an operation.
    pub(super) fn begin(&mut self, now: Instant, deed: Deed, intended: Instant, book: &Book) {
        let (operation, work) = match deed {
            Deed::Put(content) => {
                let name = book.name(content.key);
                let meta = Meta { name, ..Meta::default() };
                let put = Operation::Put { meta, only_if_absent: false };
                (put, Work::Put(content.stream()))
            }
            Deed::Get(key) => (Operation::Get { name: book.name(key) }, Work::Get(None)),
            Deed::Delete(key) => (Operation::Delete { name: book.name(key) }, Work::Other),
            Deed::List => (Operation::List, Work::Other),
        };
        let op = self.link.session().start(now, operation);
        self.under.insert(op, Under { deed, intended, work, bytes: 0 });
    }

    /// Handles what the session has to tell. `check` is whether bytes are looked at.
    pub(super) fn handle_events(
        &mut self,
        buffer: &mut [u8],
        (book, check): (&Book, bool),
        landed: &mut Vec<Landed>,
    ) {
        while let Some(event) = self.link.session().poll_event() {
            match event {
                Event::Ready { .. } => self.is_ready = true,
                Event::NeedData { op, room } => self.feed(op, room, buffer),
                Event::Found { op, entry } => {
                    if check && let Some(under) = self.under.get_mut(&op) {
                        under.expect(book, entry.size);
                    }
                }
                Event::Data { op, bytes } => {
                    if let Some(under) = self.under.get_mut(&op) {
                        under.take(&bytes);
                    }
                }
                Event::Entry { .. } | Event::Progress { .. } => {}
                Event::Finished { op, result } => {
                    if let Some(under) = self.under.remove(&op) {
                        landed.push(under.land(result));
                    }
                }
            }
        }
    }

    fn feed(&mut self, op: Op, room: usize, buffer: &mut [u8]) {
        let Some(Under { work: Work::Put(stream), bytes, .. }) = self.under.get_mut(&op) else {
            return;
        };
        let part = room.min(FEED).min(buffer.len());
        let count = stream.fill(&mut buffer[..part]);
        *bytes += count as u64;
        let is_last = stream.left() == 0;
        if count > 0 {
            let taken = self.link.session().feed(op, &buffer[..count]);
            assert_eq!(taken, count, "a put takes what it has asked for");
        }
        if is_last {
            self.link.session().feed_end(op);
        }
    }

    /// The connection has ended, and all that was under way with it.
    pub(super) fn end(&mut self, error: &ClientError, landed: &mut Vec<Landed>) {
        let _ = self.link.session().closed(&error.to_string());
        for (_, under) in self.under.drain() {
            landed.push(under.land(Err(error.clone())));
        }
    }
}

impl Under {
    fn expect(&mut self, book: &Book, size: u64) {
        if let (Deed::Get(key), Work::Get(streams)) = (self.deed, &mut self.work) {
            let fits = |content: &Content| content.size == size;
            let all = book.candidates(key).take(CANDIDATES).filter(fits);
            *streams = Some(all.map(Content::stream).collect());
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if let Work::Get(Some(streams)) = &mut self.work {
            streams.retain_mut(|stream| stream.matches(bytes));
        }
    }

    fn land(self, result: Result<Answer, ClientError>) -> Landed {
        let result = match (result, &self.work) {
            (Err(error), _) => Err(kind_of(&error)),
            (Ok(_), Work::Get(Some(streams))) if !streams.iter().any(|s| s.left() == 0) => {
                Err("wrong bytes")
            }
            (Ok(_), _) => Ok(self.bytes),
        };
        Landed { deed: self.deed, intended: self.intended, result }
    }
}
