//! An inspector: a real client that asks one question after the other, and waits for each answer.
//!
//! Invariant: it waits for at most a minute of the world, and says so if that is not enough.

use super::line::Line;
use crate::sim::client::program::access;
use crate::sim::world::World;
use bytes::Bytes;
use dfsd::client::Entropy;
use dfsd::session::{Answer, ClientError, Event, Op, Operation};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks.
const STEP: Duration = Duration::from_millis(2);

/// What an operation came to.
#[derive(Debug)]
pub(super) struct End {
    pub(super) result: Result<Answer, ClientError>,
    pub(super) data: Vec<Bytes>,
}

/// See the module.
pub(super) struct Inspector {
    line: Line,
}

impl Inspector {
    pub(super) fn open(world: &mut World, machine: usize) -> Option<Self> {
        let entropy = Entropy { key: world.entropy(), handshake: world.entropy() };
        Line::open(world, machine, access(), &entropy).map(|line| Self { line })
    }

    pub(super) fn is_open(&self, world: &World) -> bool {
        self.line.is_open(world)
    }

    /// Does one thing.
    pub(super) fn call(&mut self, world: &mut World, operation: Operation) -> End {
        let mut ends = self.call_all(world, vec![operation]);
        ends.pop().expect("every operation ends")
    }

    /// Does several things at once; their ends are in the same order.
    pub(super) fn call_all(&mut self, world: &mut World, operations: Vec<Operation>) -> Vec<End> {
        let now = world.time().instant;
        let start = |operation| (self.line.session.start(now, operation), Part::default());
        let mut parts: BTreeMap<Op, Part> = operations.into_iter().map(start).collect();
        let until = now + TIMEOUT;
        while parts.values().any(|part| part.result.is_none()) && world.time().instant < until {
            if let Err(error) = self.line.pump(world, 64) {
                let _ = self.line.session.closed(&error.to_string());
            }
            while let Some(event) = self.line.session.poll_event() {
                take(&mut parts, event);
            }
            if parts.values().any(|part| part.result.is_none()) {
                world.run(STEP, |_| false);
            }
        }
        parts.into_values().map(Part::end).collect()
    }

    pub(super) fn hang_up(self, world: &mut World) {
        self.line.hang_up(world);
    }
}

#[derive(Default)]
struct Part {
    data: Vec<Bytes>,
    result: Option<Result<Answer, ClientError>>,
}

impl Part {
    fn end(self) -> End {
        let Self { data, result } = self;
        let result = result.unwrap_or(Err(ClientError::Silent));
        End { result, data }
    }
}

fn take(parts: &mut BTreeMap<Op, Part>, event: Event) {
    match event {
        Event::Data { op, bytes } => {
            if let Some(part) = parts.get_mut(&op) {
                part.data.push(bytes);
            }
        }
        Event::Finished { op, result } => {
            if let Some(part) = parts.get_mut(&op) {
                part.result = Some(result);
            }
        }
        Event::Ready { .. }
        | Event::NeedData { .. }
        | Event::Found { .. }
        | Event::Entry { .. }
        | Event::Version { .. }
        | Event::Folder { .. }
        | Event::Here { .. }
        | Event::Progress { .. } => {}
    }
}
