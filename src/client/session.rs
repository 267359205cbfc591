//! One client's connection, without its socket: many operations at once over one `Conn`.
//!
//! Knows no socket, clock, file or thread. Routes what the node says to the operation it belongs to; what operations do
//! is in their own files. Invariant: every operation that was started is answered by exactly one `Finished`.

use super::again::Again;
use super::answer::{Answer, Event, Op, Operation};
use super::ask::Ask;
use super::clear;
use super::deadline::{Deadline, Traffic};
use super::error::ClientError;
use super::get::Get;
use super::permit::Permits;
use super::put::Put;
use super::seal::Seals;
use super::upload::Uploads;
use crate::conn::{self, Conn, ConnError, ConnKeys, Side, Stage, Wait};
use crate::crypto::keys::{NodeKey, node_id};
use crate::ids::{NodeId, StoreId};
use crate::keyring::Access;
use crate::limits::{BLOCK, RECORD_MAX};
use crate::planted::{self, Bug};
use crate::time::{Instant, latest_credible};
use crate::wire::message::{Hello, Message, PushedRecord, Reason, Request, Role};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// Secret randomness for a session: for its key and for its handshake.
pub struct Entropy {
    /// For the session's key.
    pub key: [u8; 32],
    /// For the handshake.
    pub handshake: [u8; 32],
}

#[derive(Debug)]
pub(super) enum Kind {
    Put(Box<Put>),
    Get(Box<Get>),
    Ask(Ask),
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) kind: Kind,
    pub(super) again: Again,
    deadline: Deadline,
}

/// See the module.
#[allow(missing_debug_implementations, reason = "it holds keys")]
pub struct Session {
    conn: Conn,
    key: NodeKey,
    static_key: Option<[u8; 32]>,
    node: Option<NodeId>,
    pub(super) seals: Seals,
    pub(super) ops: BTreeMap<Op, Running>,
    requests: HashMap<Request, Op>,
    next_request: Request,
    next_op: u64,
    pub(super) permits: Permits,
    pub(super) uploads: Uploads,
    pub(super) downloads: super::get::Downloads,
    pub(super) events: VecDeque<Event>,
    now: Instant,
    allow_future: bool,
    /// What moves for all operations: one connection carries them in turn.
    traffic: Traffic,
    /// Since when the program takes no events.
    paused: Option<Instant>,
    /// How the node has broken the rules.
    broken_off: Option<ClientError>,
}

impl Session {
    /// A session of somebody with this access; the dialler of a connection that is about to open.
    #[must_use]
    pub fn new(access: Access, entropy: &Entropy, now: Instant) -> Self {
        let key = NodeKey::generate(&entropy.key);
        let keys = ConnKeys::new(&access.network, &key);
        let conn = Conn::new(Side::Dialer, &keys, entropy.handshake, now);
        let mut session = Self {
            conn,
            seals: Seals::new(access, &key),
            key,
            static_key: None,
            node: None,
            ops: BTreeMap::new(),
            requests: HashMap::new(),
            next_request: 0,
            next_op: 0,
            permits: Permits::default(),
            uploads: Uploads::default(),
            downloads: super::get::Downloads::default(),
            events: VecDeque::new(),
            now,
            allow_future: false,
            traffic: Traffic::new(now),
            paused: None,
            broken_off: None,
        };
        session.introduce();
        session
    }

    fn introduce(&mut self) {
        let hello = Hello {
            role: Role::Client,
            verify_key: self.key.verify_key(),
            boot: 0,
            addresses: Vec::new(),
            store: StoreId::default(),
            group: 0,
            clock: 0,
        };
        self.send(&Message::Hello(hello));
        if let Some(record) = self.seals.grant() {
            let items = vec![PushedRecord { record, block: Bytes::new() }];
            self.send(&Message::Records { items });
        }
    }

    /// The node at the other end, once it has said hello.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// Begins an operation.
    pub fn start(&mut self, now: Instant, operation: Operation) -> Op {
        self.now = now;
        self.next_op += 1;
        let op = Op(self.next_op);
        let begun = match operation {
            Operation::Put { meta, only_if_absent } => self.begin_put(op, meta, only_if_absent),
            Operation::Get { name } => self.begin_get(op, &name),
            Operation::GetEntry { entry, from } => self.begin_get_entry(op, *entry, from),
            operation => self.begin_ask(op, operation),
        };
        match begun {
            Ok(kind) => {
                let deadline = Deadline::new(now, &self.traffic);
                self.ops.insert(op, Running { kind, again: Again::default(), deadline });
                self.advance(op);
            }
            Err(error) => {
                self.requests.retain(|_, other| *other != op);
                self.events.push_back(Event::Finished { op, result: Err(error) });
            }
        }
        op
    }

    /// What the caller's own calendar says: no version is signed that is dated over a day beyond it, whatever the node says
    /// that the time is. Without it, or with one that is plainly wrong, nothing is judged.
    pub fn set_calendar(&mut self, wall_ms: Option<u64>) {
        self.seals.set_latest(wall_ms.and_then(latest_credible));
    }

    /// Versions that are dated in the future are passed over by what reads, and discarded by what writes.
    pub fn allow_future(&mut self, allow: bool) {
        self.allow_future = allow;
    }

    pub(super) fn allows_future(&self) -> bool {
        self.allow_future
    }

    /// Gives up an operation. A put that was given up stored nothing that a name leads to.
    pub fn abort(&mut self, op: Op) {
        self.finish(op, Err(ClientError::Aborted));
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Bytes have come. An error ends the session; whatever was under way is told.
    pub fn received(&mut self, now: Instant, bytes: &[u8]) -> Result<(), ClientError> {
        self.now = now;
        let result = self.conn.received(now, bytes);
        self.handle_events();
        self.note_waiting();
        match self.broken_off.take() {
            Some(error) => Err(error),
            None => result.map_err(|error| self.ended_by(&error)),
        }
    }

    /// Appends what is to be sent next.
    pub fn transmit(&mut self, now: Instant, out: &mut Vec<u8>, max: usize) {
        self.now = now;
        let before = out.len();
        let streaming = self.conn.is_streaming();
        self.conn.transmit(now, out, max);
        if streaming && out.len() > before {
            self.traffic.note(now, out.len() - before);
            self.uploading();
        }
        self.handle_events();
        self.note_waiting();
    }

    /// Whether there is something to send.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        self.conn.wants_transmit()
    }

    /// When `handle_timeout` wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let silent = self.ops.values().filter_map(|running| running.deadline.at()).min();
        silent.filter(|_| self.paused.is_none()).into_iter().chain(self.conn.poll_timeout()).min()
    }

    /// Ends operations without progress. An error ends the session.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ClientError> {
        self.now = now;
        self.note_waiting();
        let is_over = |running: &Running| running.deadline.at().is_some_and(|at| at <= now);
        let ops = self.ops.iter().filter(|(_, running)| is_over(running)).map(|(op, _)| *op);
        // Nothing is read for a program that takes no events.
        let ops = ops.filter(|_| self.paused.is_none());
        for op in ops.collect::<Vec<_>>() {
            self.finish(op, Err(ClientError::Silent));
        }
        self.conn.handle_timeout(now).map_err(|error| self.ended_by(&error))
    }

    /// The program takes no events for a while, or takes them again; what comes meanwhile stays in
    /// the socket, which is not the node's fault.
    pub fn pause(&mut self) {
        self.paused.get_or_insert(self.now);
        self.conn.pause();
    }

    /// See `pause`.
    pub fn resume(&mut self, now: Instant) {
        if let Some(since) = self.paused.take() {
            self.put_off(now.since(since));
        }
        self.now = now;
        self.conn.resume(now);
        self.note_waiting();
    }

    /// Whether the program takes no events.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// The program was elsewhere for so long: nobody could see what the node did.
    pub fn excuse(&mut self, now: Instant, away: Duration) {
        self.now = now;
        self.conn.pause();
        self.conn.resume(now);
        self.put_off(away);
    }

    fn put_off(&mut self, away: Duration) {
        self.traffic.put_off(away);
        self.ops.values_mut().for_each(|running| running.deadline.put_off(away));
    }

    /// Whether something waits for the node.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.ops.values().any(Running::waits_for_node)
    }

    /// Bytes that the node owes to operations: one may have to wait until others have theirs.
    fn owed(&self) -> u64 {
        (self.downloads.waiting() * BLOCK + self.uploads.offered_bytes()) as u64
    }

    fn note_waiting(&mut self) {
        let owed = self.owed();
        for running in self.ops.values_mut() {
            let waits = running.waits_for_node();
            running.deadline.look(self.now, &self.traffic, (waits, owed));
        }
    }

    /// An operation has come on.
    pub(super) fn came_on(&mut self, op: Op) {
        let owed = self.owed();
        if let Some(running) = self.ops.get_mut(&op) {
            running.deadline.came_on(self.now, &self.traffic, owed);
        }
    }

    /// The node breaks the rules: the session ends with what is being taken in.
    pub(super) fn break_off(&mut self, what: &str) {
        self.broken_off = Some(ClientError::Protocol(what.to_owned()));
    }

    /// The connection has ended: so has everything that was under way.
    pub fn closed(&mut self, why: &str) -> ClientError {
        let error = self.broken(why);
        for op in self.ops.keys().copied().collect::<Vec<_>>() {
            self.finish(op, Err(error.clone()));
        }
        error
    }

    /// An end alone says nothing of keys: a node that refuses one says so. Until it has said hello it
    /// has let nobody in, and nothing was under way.
    fn broken(&self, why: &str) -> ClientError {
        if planted::is_on(Bug::BusyIsWrongNetwork) && self.conn.stage() != Stage::Established {
            return ClientError::WrongNetwork;
        }
        match self.node {
            Some(_) => ClientError::Disconnected(why.to_owned()),
            None => ClientError::Unreachable(format!(
                "{why} before it let us in: it is busy or out of reach, try again"
            )),
        }
    }

    /// Why the connection's own rules have ended it.
    fn ended_by(&self, error: &ConnError) -> ClientError {
        match error {
            ConnError::Stranger | ConnError::Epoch { .. } => ClientError::WrongNetwork,
            ConnError::Version { .. } => ClientError::Protocol(error.to_string()),
            ConnError::TimedOut(Wait::Handshake) => ClientError::Unreachable(error.to_string()),
            ConnError::TimedOut(Wait::Frame | Wait::Arrival | Wait::Departure)
            | ConnError::Broke(_) => ClientError::Disconnected(error.to_string()),
        }
    }

    /// When the program last called.
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn send(&mut self, message: &Message) {
        self.conn.send(message);
    }

    pub(super) fn conn(&mut self) -> &mut Conn {
        &mut self.conn
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

    /// Ends an operation, unless it has ended.
    pub(super) fn finish(&mut self, op: Op, result: Result<Answer, ClientError>) {
        let Some(running) = self.ops.remove(&op) else {
            return;
        };
        let result = clear::result_of(running.kind, result);
        self.requests.retain(|_, other| *other != op);
        self.uploads.forget(op);
        self.downloads.forget(op);
        self.events.push_back(Event::Finished { op, result });
        self.feed_held_back();
    }

    fn handle_events(&mut self) {
        while let Some(event) = self.conn.poll_event() {
            match event {
                conn::Event::Established { static_key } => self.static_key = Some(static_key),
                conn::Event::Message(message) => self.message(message),
                conn::Event::Opened(open) => self.opened(open),
                conn::Event::Chunk { index, data } => {
                    self.traffic.note(self.now, data.len());
                    self.chunk(index, data);
                }
                conn::Event::Ended => self.stream_ended(true),
                conn::Event::Aborted => self.stream_ended(false),
                conn::Event::StreamLow => {}
                conn::Event::StreamSent => self.serve_next(),
            }
        }
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Hello(hello) => {
                self.node = self.static_key.map(|key| node_id(&hello.verify_key, &key));
                self.events.extend(self.node.map(|node| Event::Ready { node }));
                self.clock_told(hello.clock);
            }
            Message::Want { block, first, count } => self.wanted(block, first, count),
            Message::Records { items } => {
                items.iter().for_each(|item| self.seals.signers.learn(&item.record));
            }
            Message::Have { addresses } => self.have(&addresses),
            Message::Absent { address } => self.absent(address, false),
            Message::Damaged { address } => self.absent(address, true),
            Message::Coming { address } => self.coming(&address),
            Message::Refused { request, reason, detail } => {
                if let Some(address) = self.offered_by(request) {
                    self.not_taken(&address, &ClientError::refused(reason, detail));
                } else if let Some(op) = self.requests.remove(&request)
                    && !(reason == Reason::Changed && self.try_again(op))
                {
                    self.finish(op, Err(ClientError::refused(reason, detail)));
                }
            }
            message => self.answer(message),
        }
    }

    /// An answer to a request goes to the operation that asked.
    fn answer(&mut self, message: Message) {
        let Some(op) = request_of(&message).and_then(|request| self.requests.remove(&request))
        else {
            return;
        };
        if let Message::Heads { future, .. } | Message::DamagedHeads { future, .. } = &message
            && !future.is_empty()
            && !self.allow_future
        {
            return self.finish(op, Err(ClientError::Future));
        }
        self.traffic.note(self.now, RECORD_MAX);
        self.came_on(op);
        let Some(running) = self.ops.get(&op) else { return };
        let result = match &running.kind {
            Kind::Put(_) => self.put_answered(op, message),
            Kind::Get(_) => self.get_answered(op, message),
            Kind::Ask(_) => self.ask_answered(op, message),
        };
        match result {
            Ok(()) => self.advance(op),
            Err(error) => self.finish(op, Err(error)),
        }
    }

    /// Lets an operation do what it can.
    pub(super) fn advance(&mut self, op: Op) {
        let Some(running) = self.ops.get(&op) else { return };
        let result = match &running.kind {
            Kind::Put(_) => self.advance_put(op),
            Kind::Get(_) => self.advance_get(op),
            Kind::Ask(_) => Ok(()),
        };
        if let Err(error) = result {
            self.finish(op, Err(error));
        }
    }
}

impl Running {
    /// Not so while a put waits for its input.
    fn waits_for_node(&self) -> bool {
        match &self.kind {
            Kind::Put(put) => put.waits_for_node(),
            Kind::Get(_) | Kind::Ask(_) => true,
        }
    }
}

fn request_of(message: &Message) -> Option<Request> {
    match message {
        Message::Heads { request, .. }
        | Message::DamagedHeads { request, .. }
        | Message::PutDone { request, .. }
        | Message::PageDone { request }
        | Message::Page { request, .. }
        | Message::Listed { request, .. }
        | Message::HoldersAre { request, .. }
        | Message::StatusIs { request, .. }
        | Message::MembersAre { request, .. }
        | Message::Verified { request, .. } => Some(*request),
        _ => None,
    }
}

/// The answer does not fit the question.
pub(super) fn unexpected(message: &Message) -> ClientError {
    let text: String = format!("{message:?}").chars().take(60).collect();
    ClientError::Protocol(format!("an unexpected answer, {text}"))
}
