//! One connection of the harness, and the operations that are in flight on it.
//!
//! Knows no schedule. Invariant: every operation that was begun leaves by exactly one `Completed`.

use super::content::{Content, Stream};
use super::schedule::{PlannedOp, Schedule};
use super::tally::kind_of;
use crate::client::Link;
use crate::session::{Answer, ClientError, Event, Meta, Op, Operation, Overwrite};
use crate::time::Instant;
use std::collections::HashMap;

/// Bytes that a put is fed at once.
const FEED: usize = 256 * 1024;
/// Versions of an overwritten key that a reader may still see.
const CANDIDATES: usize = 64;

/// What became of an operation.
#[derive(Debug)]
pub(super) struct Completed {
    pub(super) planned: PlannedOp,
    /// When it was meant to begin.
    pub(super) intended: Instant,
    /// Bytes of files that went to or fro; or why it failed.
    pub(super) result: Result<u64, &'static str>,
}

/// One operation in flight.
struct InFlightOp {
    planned: PlannedOp,
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
pub(super) struct InFlight {
    pub(super) link: Link,
    /// The node has let us in.
    pub(super) is_ready: bool,
    ops: HashMap<Op, InFlightOp>,
}

impl InFlight {
    pub(super) fn new(link: Link) -> Self {
        Self { link, is_ready: false, ops: HashMap::new() }
    }

    /// Operations in flight.
    pub(super) fn count(&self) -> usize {
        self.ops.len()
    }

    /// Begins an operation.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        planned: PlannedOp,
        intended: Instant,
        schedule: &Schedule,
    ) {
        let (operation, work) = match planned {
            PlannedOp::Put(content) => {
                let name = schedule.name(content.key);
                let meta = Meta { name, ..Meta::default() };
                let put = Operation::Put { meta, overwrite: Overwrite::Always };
                (put, Work::Put(content.stream()))
            }
            PlannedOp::Get(key) => (Operation::Get { name: schedule.name(key) }, Work::Get(None)),
            PlannedOp::Delete(key) => (Operation::Delete { name: schedule.name(key) }, Work::Other),
            PlannedOp::List => (Operation::List, Work::Other),
        };
        let op = self.link.session().start(now, operation);
        self.ops.insert(op, InFlightOp { planned, intended, work, bytes: 0 });
    }

    /// Handles what the session has to tell. With a schedule every byte that comes back is compared.
    pub(super) fn handle_events(
        &mut self,
        buffer: &mut [u8],
        schedule: Option<&Schedule>,
        completed: &mut Vec<Completed>,
    ) {
        while let Some(event) = self.link.session().poll_event() {
            match event {
                Event::Ready { .. } => self.is_ready = true,
                Event::NeedData { op, room } => self.feed(op, room, buffer),
                Event::Found { op, entry } => {
                    if let (Some(schedule), Some(under)) = (schedule, self.ops.get_mut(&op)) {
                        under.expect(schedule, entry.size);
                    }
                }
                Event::Data { op, bytes } => {
                    if let Some(under) = self.ops.get_mut(&op) {
                        under.take(&bytes);
                    }
                }
                Event::Entry { .. }
                | Event::Folder { .. }
                | Event::Version { .. }
                | Event::Here { .. }
                | Event::Progress { .. } => {}
                Event::Finished { op, result } => {
                    if let Some(under) = self.ops.remove(&op) {
                        completed.push(under.complete(result));
                    }
                }
            }
        }
    }

    fn feed(&mut self, op: Op, room: usize, buffer: &mut [u8]) {
        let Some(InFlightOp { work: Work::Put(stream), bytes, .. }) = self.ops.get_mut(&op) else {
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

    /// The connection has ended, and all that was in flight with it.
    pub(super) fn end(&mut self, error: &ClientError, completed: &mut Vec<Completed>) {
        let _ = self.link.session().closed(&error.to_string());
        for (_, under) in self.ops.drain() {
            completed.push(under.complete(Err(error.clone())));
        }
    }
}

impl InFlightOp {
    fn expect(&mut self, schedule: &Schedule, size: u64) {
        if let (PlannedOp::Get(key), Work::Get(streams)) = (self.planned, &mut self.work) {
            let fits = |content: &Content| content.size == size;
            let all = schedule.candidates(key).take(CANDIDATES).filter(fits);
            *streams = Some(all.map(Content::stream).collect());
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if let Work::Get(Some(streams)) = &mut self.work {
            streams.retain_mut(|stream| stream.matches(bytes));
        }
    }

    fn complete(self, result: Result<Answer, ClientError>) -> Completed {
        let result = match (result, &self.work) {
            (Err(error), _) => Err(kind_of(&error)),
            (Ok(_), Work::Get(Some(streams))) if !streams.iter().any(|s| s.left() == 0) => {
                Err("wrong bytes")
            }
            (Ok(_), _) => Ok(self.bytes),
        };
        Completed { planned: self.planned, intended: self.intended, result }
    }
}
