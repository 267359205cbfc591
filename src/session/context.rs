//! The context: what every operation of a session needs, handed to each of their verbs.
//!
//! Calls no operation. Invariant: each question has a number that no other has, and its answer finds the operation that
//! asked, as long as that is under way.

use super::answer::{Event, Op};
use super::error::ClientError;
use super::output::Output;
use super::permit::{Bringing, Brought, Permits};
use super::seal::Seals;
use crate::ids::NameId;
use crate::time::Instant;
use crate::wire::condition::Condition;
use crate::wire::message::{Message, Request};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};

/// See the module.
#[derive(Debug)]
pub(super) struct Context {
    /// When the present event happens.
    now: Instant,
    pub(super) seals: Seals,
    permits: Permits,
    /// Who has asked what is not answered yet.
    requests: HashMap<Request, Op>,
    next_request: Request,
    allow_future: bool,
    outputs: VecDeque<Output>,
    events: VecDeque<Event>,
}

impl Context {
    pub(super) fn new(seals: Seals, now: Instant) -> Self {
        Self {
            now,
            seals,
            permits: Permits::default(),
            requests: HashMap::new(),
            next_request: 0,
            allow_future: false,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Versions that are dated in the future are passed over by what reads, and discarded by what writes.
    pub(super) fn allow_future(&mut self, allow: bool) {
        self.allow_future = allow;
    }

    pub(super) fn allows_future(&self) -> bool {
        self.allow_future
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn send(&mut self, message: Message) {
        self.output(Output::Send(message));
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(super) fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// A number by which the answer finds its way to an operation.
    pub(super) fn request(&mut self, op: Op) -> Request {
        let request = self.number();
        self.requests.insert(request, op);
        request
    }

    /// A number that no other question has.
    pub(super) fn number(&mut self) -> Request {
        self.next_request = self.next_request.wrapping_add(1);
        self.next_request
    }

    /// The operation that has asked this, which is now answered.
    pub(super) fn answered(&mut self, request: Request) -> Option<Op> {
        self.requests.remove(&request)
    }

    /// Nobody waits any more for what this operation has asked.
    pub(super) fn forget(&mut self, op: Op) {
        self.requests.retain(|_, other| *other != op);
    }

    /// Asks for the versions of a name. Gives its id.
    pub(super) fn ask_head(&mut self, op: Op, name: &[u8]) -> Result<NameId, ClientError> {
        let name = self.seals.name_id(name)?;
        self.ask_versions(op, name);
        Ok(name)
    }

    pub(super) fn ask_versions(&mut self, op: Op, name: NameId) {
        let (request, space) = (self.request(op), self.seals.space());
        self.send(Message::Head { request, space, name, relay: true });
    }

    /// Has records stored, all or none, each under its condition.
    pub(super) fn put_records(
        &mut self,
        op: Op,
        records: Vec<Bytes>,
        conditions: Vec<Condition>,
        blocks: Vec<Bytes>,
    ) {
        let request = self.request(op);
        self.send(Message::Put { request, conditions, records, blocks });
    }

    /// Offers a block or puts a page, as soon as there can be a permit for it.
    pub(super) fn bring(&mut self, request: Request, brought: Brought) {
        let bringing = Bringing { request, brought };
        let key = self.seals.write_key().ok();
        self.outputs.extend(self.permits.message(self.now, key, bringing).map(Output::Send));
    }

    /// The node tells its clock: what waited for that is brought.
    pub(super) fn clock_told(&mut self, clock: u64) {
        for Bringing { request, brought } in self.permits.clock_told(self.now, clock) {
            self.bring(request, brought);
        }
    }
}
