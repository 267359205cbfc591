//! A session: one client of a node, without the connection between them. Operations in, events out; messages and leaves
//! of blocks both ways.
//!
//! Whoever holds it moves its inputs and outputs: `client` over a connection, `node` within the process. Seals and opens
//! here, so that the node sees ciphertext only. Knows no connection, socket, clock, file or thread. Here messages find
//! the operation that they belong to; what operations do is in their own files, and none knows another. Invariant: every
//! operation that was started is answered by exactly one `Finished`.

mod again;
mod answer;
mod ask;
mod clear;
mod context;
mod deadline;
mod deferred;
mod delete;
mod downloads;
mod entry;
mod error;
mod get;
mod heads;
mod history;
mod list;
mod list_under;
mod listing;
mod machine;
mod operations;
mod output;
mod pages;
mod part;
mod permit;
mod put;
mod relying;
mod rename;
mod restore;
mod seal;
mod settings;
mod signers;
mod sweep;
mod uploads;
mod verify;
mod version;
mod versions;

pub use answer::{Answer, Event, Holders, Op, Operation, Source};
pub use entry::{Entry, Meta, Overwrite};
pub use error::{ClientError, log_damage};
pub use output::{Input, Output};
pub use part::Part;
pub use settings::SettingTold;
pub use version::{
    NoVersionPrefix, Standing, Version, VersionPrefix, VersionsTold, VersionsWanted,
};

use crate::crypto::keys::{NodeKey, node_id};
use crate::ids::{Address, NodeId, StoreId};
use crate::keyring::Access;
use crate::limits::{BLOCK, RECORD_MAX};
use crate::time::{Instant, latest_credible};
use crate::wire::message::{Hello, Message, PushedRecord, Reason, Request, Role};
use bytes::Bytes;
use context::Context;
use downloads::Downloads;
use get::StreamEnd;
use machine::{Machine, Step};
use operations::Operations;
use permit::Brought;
use put::Made;
use relying::Relying;
use seal::Seals;
use signers::Signers;
use std::time::Duration;
use uploads::{Uploads, Wanted};

/// Where the node of a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// In another process: whatever it says may be a lie.
    Elsewhere,
    /// In this one. Who has signed a record is not looked at again, since the node has done so before it committed it, or
    /// showed what it does not keep.
    Here,
}

/// See the module.
#[allow(missing_debug_implementations, reason = "it holds keys")]
pub struct Session {
    context: Context,
    operations: Operations,
    uploads: Uploads,
    downloads: Downloads,
    relying: Relying,
    /// The transport key that the node has proved to hold.
    static_key: Option<[u8; 32]>,
    node: Option<NodeId>,
}

impl Session {
    /// A session of somebody with this access, whose key for this session is `key`. It introduces itself first.
    #[must_use]
    pub fn new(access: Access, key: &NodeKey, node: Where, now: Instant) -> Self {
        let signers = match node {
            Where::Elsewhere => Signers::new(&access),
            Where::Here => Signers::judged_by_node(&access),
        };
        let mut context = Context::new(Seals::new(access, key, signers), now);
        context.send(Message::Hello(Hello {
            role: Role::Client,
            verify_key: key.verify_key(),
            boot: 0,
            addresses: Vec::new(),
            store: StoreId::default(),
            group: 0,
            clock: 0,
        }));
        if let Some(record) = context.seals.grant() {
            let items = vec![PushedRecord { record, block: Bytes::new() }];
            context.send(Message::Records { items });
        }
        Self {
            context,
            operations: Operations::new(now),
            uploads: Uploads::default(),
            downloads: Downloads::default(),
            relying: Relying::default(),
            static_key: None,
            node: None,
        }
    }

    /// The node at the other end, once it has said hello.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// Begins an operation.
    pub fn start(&mut self, now: Instant, operation: Operation) -> Op {
        self.context.set_now(now);
        let op = self.operations.next();
        match Machine::begin(&mut self.context, op, operation) {
            Ok(machine) => {
                self.operations.insert(now, op, machine);
                self.advance(op);
            }
            Err(error) => {
                self.context.forget(op);
                self.context.tell(Event::Finished { op, result: Err(error) });
            }
        }
        op
    }

    /// What the caller's own calendar says: no version is signed that is dated over a day beyond it, whatever the node says
    /// that the time is. One that is plainly wrong judges nothing. With none the future is allowed: versions that are dated
    /// in it are passed over by what reads, and discarded by what writes.
    pub fn set_calendar(&mut self, wall_ms: Option<u64>) {
        self.context.seals.set_latest(wall_ms.and_then(latest_credible));
        self.context.allow_future(wall_ms.is_none());
    }

    /// Gives a put its next bytes. Says how many it has taken.
    pub fn feed(&mut self, op: Op, bytes: &[u8]) -> usize {
        let taken = self.operations.put(op).map_or(0, |put| put.feed(bytes));
        self.bring(op);
        self.advance(op);
        taken
    }

    /// The put has all its bytes.
    pub fn feed_end(&mut self, op: Op) {
        if let Some(put) = self.operations.put(op) {
            put.feed_end();
        }
        self.bring(op);
        self.advance(op);
    }

    /// Gives up an operation. A put that was given up stored nothing that a name leads to.
    pub fn abort(&mut self, op: Op) {
        self.finish(op, Err(ClientError::Aborted));
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.context.poll_event()
    }

    /// What goes to the node next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.context.poll_output()
    }

    /// Whether something goes to the node.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.context.has_output()
    }

    /// The node has proved to hold the secret of this X25519 key; its hello will name the other half of its identity.
    pub fn established(&mut self, static_key: [u8; 32]) {
        self.static_key = Some(static_key);
    }

    /// Something has come from the node. An error says that it breaks the rules, and ends the session: it is to be told so
    /// by `closed`.
    pub fn received(&mut self, now: Instant, input: Input) -> Result<(), ClientError> {
        self.context.set_now(now);
        match input {
            Input::Message(message) => return self.message(message),
            Input::Opened(open) => {
                self.downloads.opened(open);
                self.go_on_with_gets();
            }
            Input::Chunk { index, data } => self.chunk(index, data),
            Input::Ended => self.stream_ended(true),
            Input::Aborted => self.stream_ended(false),
            Input::StreamSent => self.uploads.stream_sent(&mut self.context),
        }
        Ok(())
    }

    /// So many bytes have left while a stream of ours was under way.
    pub fn sent(&mut self, now: Instant, bytes: usize) {
        self.context.set_now(now);
        self.operations.note_traffic(now, bytes);
        self.uploads.leaving().into_iter().for_each(|op| self.came_on(op));
    }

    /// To be called after whatever was received or sent at one time: looks at who waits now.
    pub fn end_turn(&mut self, now: Instant) {
        self.context.set_now(now);
        self.operations.update_deadlines(now, self.owed());
    }

    /// When `handle_timeout` wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.operations.next_deadline()
    }

    /// Ends operations without progress.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.end_turn(now);
        for op in self.operations.overdue(now) {
            self.finish(op, Err(ClientError::Silent));
        }
    }

    /// The program takes no events for a while, or takes them again; what comes meanwhile is not to be read for it, which
    /// is not the node's fault.
    pub fn pause(&mut self) {
        self.operations.pause(self.context.now());
    }

    /// See `pause`.
    pub fn resume(&mut self, now: Instant) {
        self.operations.resume(now);
        self.end_turn(now);
    }

    /// The program was elsewhere for so long: nobody could see what the node did.
    pub fn excuse(&mut self, now: Instant, away: Duration) {
        self.context.set_now(now);
        self.operations.put_off(now, away);
    }

    /// Bytes of blocks that it holds, for the node or until others have come.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.uploads.offered_bytes() + self.operations.held_bytes()
    }

    /// Whether something waits for the node.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.operations.are_waiting()
    }

    /// The way to the node has ended: so has everything that was under way.
    pub fn closed(&mut self, error: &ClientError) {
        self.relying = Relying::default();
        for op in self.operations.all() {
            self.finish(op, Err(error.clone()));
        }
    }

    /// Bytes that the node owes to operations: one may have to wait until others have theirs.
    fn owed(&self) -> u64 {
        (self.downloads.waiting() * BLOCK + self.uploads.offered_bytes()) as u64
    }

    fn came_on(&mut self, op: Op) {
        let owed = self.owed();
        self.operations.came_on(self.context.now(), op, owed);
    }

    /// Ends an operation, unless it has ended.
    fn finish(&mut self, op: Op, result: Result<Answer, ClientError>) {
        let Some(machine) = self.operations.remove(op) else { return };
        let result = machine.outcome(result);
        self.context.forget(op);
        self.uploads.forget(op);
        self.downloads.forget(op);
        self.relying.end(&mut self.context, op);
        self.context.tell(Event::Finished { op, result });
        self.go_on_with_puts();
    }

    fn message(&mut self, message: Message) -> Result<(), ClientError> {
        match message {
            Message::Hello(hello) => self.hello(&hello),
            Message::Want { block, first, count } => {
                return self.uploads.wanted(&mut self.context, Wanted { block, first, count });
            }
            Message::Records { items } => {
                items.iter().for_each(|item| self.context.seals.learn_grant(&item.record));
            }
            Message::Have { addresses } => self.have(&addresses),
            Message::Absent { address } => self.absent(address, false),
            Message::Damaged { address } => self.absent(address, true),
            Message::Coming { address } => self.coming(&address),
            Message::Refused { request, reason, detail } => self.refused(request, reason, detail),
            message => self.answer(message),
        }
        Ok(())
    }

    fn hello(&mut self, hello: &Hello) {
        self.node = self.static_key.map(|key| node_id(&hello.verify_key, &key));
        if let Some(node) = self.node {
            self.context.tell(Event::Ready { node });
        }
        self.context.clock_told(hello.clock);
    }

    fn refused(&mut self, request: Request, reason: Reason, detail: String) {
        if let Some(address) = self.uploads.offered_by(request) {
            self.not_taken(&address, &ClientError::refused(reason, detail));
        } else if let Some(op) = self.context.answered(request)
            && !(reason == Reason::Changed && self.operations.try_again(&mut self.context, op))
        {
            self.finish(op, Err(ClientError::refused(reason, detail)));
        }
    }

    /// An answer to a request goes to the operation that asked.
    fn answer(&mut self, message: Message) {
        // An answer to what nobody waits for any more.
        let request = message.answers();
        let Some(op) = request.and_then(|request| self.context.answered(request)) else { return };
        if let Message::Heads { future, .. } | Message::DamagedHeads { future, .. } = &message
            && !future.is_empty()
            && !self.context.allows_future()
        {
            return self.finish(op, Err(ClientError::Future));
        }
        self.operations.note_traffic(self.context.now(), RECORD_MAX);
        self.came_on(op);
        let Some(machine) = self.operations.machine(op) else { return };
        let step = machine.answered(&mut self.context, message);
        self.take_step(op, step);
    }

    fn take_step(&mut self, op: Op, step: Result<Step, ClientError>) {
        match step {
            Ok(Step::Waits) => self.advance(op),
            Ok(Step::Done(answer)) => self.finish(op, Ok(answer)),
            Ok(Step::Clears(clear)) => self.operations.become_clear(op, clear),
            Err(error) => self.finish(op, Err(error)),
        }
    }

    /// Lets a transfer do what it can; what else waits, waits for an answer.
    fn advance(&mut self, op: Op) {
        let result = match self.operations.machine(op) {
            Some(Machine::Put(put)) if put.wants_input() && !self.uploads.has_room() => {
                return self.uploads.defer(op);
            }
            Some(Machine::Put(put)) => put.advance(&mut self.context),
            Some(Machine::Get(get)) => {
                while get.wants_block() {
                    if !self.downloads.has_room() {
                        return self.downloads.defer(op);
                    }
                    if let Some(want) = get.next_block(&mut self.context) {
                        self.downloads.want(&mut self.context, op, want);
                    }
                }
                get.advance(&mut self.context)
            }
            _ => return,
        };
        match result {
            Ok(None) => self.bring(op),
            Ok(Some(answer)) => self.finish(op, Ok(answer)),
            Err(error) => self.finish(op, Err(error)),
        }
    }

    /// Brings to the node what a put has made.
    fn bring(&mut self, op: Op) {
        while let Some(made) = self.operations.put(op).and_then(|put| put.poll_made()) {
            match made {
                Made::Block(sealed, data) => {
                    let request = self.uploads.offer(&mut self.context, op, sealed, data);
                    self.relying.begin(op, request);
                }
                Made::Page((address, page)) => {
                    let request = self.context.request(op);
                    self.context.bring(request, Brought::Page(address, page));
                    self.relying.begin(op, request);
                }
            }
        }
    }

    /// Puts that wait for fewer blocks on offer.
    fn go_on_with_puts(&mut self) {
        while let Some(op) = self.uploads.next_deferred() {
            self.advance(op);
        }
    }

    /// A want was answered: a get that waits for room goes on.
    fn go_on_with_gets(&mut self) {
        self.downloads.next_deferred().into_iter().for_each(|op| self.advance(op));
    }

    /// Blocks are durable on the node.
    fn have(&mut self, addresses: &[Address]) {
        for address in addresses {
            for op in self.uploads.settled(address) {
                if let Some(put) = self.operations.put(op) {
                    put.block_done();
                }
                self.came_on(op);
                self.advance(op);
            }
        }
        self.go_on_with_puts();
    }

    /// The node could not take a block, or would not.
    fn not_taken(&mut self, address: &Address, error: &ClientError) {
        for op in self.uploads.settled(address) {
            self.finish(op, Err(error.clone()));
        }
    }

    fn chunk(&mut self, index: u8, data: Bytes) {
        self.operations.note_traffic(self.context.now(), data.len());
        let Some(leaf) = self.downloads.chunk(index, data) else { return };
        let op = leaf.op;
        let get = self.operations.get(op);
        if get.is_some_and(|get| get.leaf(&mut self.context, leaf)) {
            self.came_on(op);
        }
    }

    /// A stream is over: complete, or broken off by the node.
    fn stream_ended(&mut self, is_complete: bool) {
        let Some(received) = self.downloads.stream_ended() else { return };
        let (address, is_bad) = (received.address, received.is_bad);
        if is_bad {
            self.context.send(Message::Suspect { address });
        }
        let downloads::Waiter { op, serial } = received.waiter;
        let Some(get) = self.operations.get(op) else { return };
        match get.stream_ended(serial, StreamEnd { is_complete, is_bad }) {
            Ok(Some(want)) => self.downloads.want(&mut self.context, op, want),
            Ok(None) => self.advance(op),
            Err(error) => self.finish(op, Err(error)),
        }
    }

    /// The node does not have a block yet, and waits for it itself: whoever wants it next waits on.
    fn coming(&mut self, address: &Address) {
        for downloads::Waiter { op, serial } in self.downloads.waiters(address) {
            if self.operations.get(op).is_some_and(|get| get.waits_on(serial)) {
                self.came_on(op);
            }
        }
    }

    /// The node cannot give, or could not take, a block; or what it has of it is damaged.
    fn absent(&mut self, address: Address, is_damaged: bool) {
        let Some(downloads::Waiter { op, serial }) = self.downloads.answered(&address) else {
            return self.not_taken(&address, &ClientError::NotTaken);
        };
        if let Some(get) = self.operations.get(op) {
            let result = get.cannot_have(serial, address, is_damaged);
            self.finish(op, result);
        }
        self.go_on_with_gets();
    }
}

#[cfg(test)]
mod tests;
