//! A node: its connections and its `FileServer`, and the only door to them.
//!
//! A value: it takes bytes, answers from workers and the time, and gives [`Action`]s. It reaches no socket, file, clock,
//! thread or ambient randomness. Invariant: whatever a connection's other side does, it is that connection that ends.

use crate::conn::{Conn, ConnKeys, Event, Side, Stage};
use crate::ids::NodeId;
use crate::limits::{CONNECTIONS_MAX, HANDSHAKE_TIMEOUT, OUTBOX_HARD_MAX};
use crate::planted::{self, Bug};
use crate::server::work::{Done, Job};
use crate::server::{FileServer, Leaves, Loading, Output, Reached, Setup, Standing, Tight};
use crate::store::values::Recovered;
use crate::time::{Instant, Now};
use crate::wire::message::PeerAddress;
use bytes::Bytes;
use entrance::{Entrance, Entry};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

mod ending;
mod entrance;
mod turn;

pub use crate::server::{Closing, Link};
pub use ending::Ending;

/// How a node's run has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that was accepted is finished.
    Drained,
    /// The disk has failed; the sentence says how. Nothing was acknowledged since.
    DiskFailed(String),
}

/// What a shell is to do.
#[derive(Debug)]
pub enum Action {
    /// Connect to this address (`host:port`); then call `dialled` or `closed`.
    Dial {
        /// The connection's number from now on.
        link: Link,
        /// Where to.
        address: String,
    },
    /// Send what `transmit` still gives, then close the socket; the link is gone.
    Close {
        /// Which.
        link: Link,
        /// Why this side ends it.
        why: Ending,
    },
    /// There is something to send.
    Transmit {
        /// Where.
        link: Link,
    },
    /// `wants_read` is true again.
    Read {
        /// Where.
        link: Link,
    },
    /// Have a worker do this, and call `done`.
    Job(Job),
    /// The run is over.
    Stopped(Outcome),
}

/// What a node keeps in memory for others at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge {
    /// Bulk memory reserved.
    pub reserved: usize,
    /// Bulk memory at most.
    pub budget: usize,
    /// Bytes of messages that wait to be sent, on the connection where they are most.
    pub outbox: usize,
    /// Bytes of an unfinished transport record, on the connection where they are most.
    pub partial: usize,
}

impl Connection {
    /// Its other end is in this process.
    fn is_here(&self) -> bool {
        self.reached == Reached::Here && !planted::is_on(Bug::HurryPrograms)
    }
}

struct Connection {
    conn: Conn,
    /// How it came about.
    reached: Reached,
    /// How far it had come when the entrance was last told.
    stage: Stage,
    /// The shell was told not to read.
    paused: bool,
    /// What has come and the server does not take now.
    unread: Bytes,
    /// The shell knows that there is something to send.
    transmitting: bool,
    /// When the connection's own timer is set.
    timer: Option<Instant>,
    /// What it takes of the memory for control, and since when it has not become less.
    held: usize,
    held_since: Instant,
}

/// See the module.
#[allow(missing_debug_implementations, reason = "a node holds keys")]
pub struct Node {
    keys: ConnKeys,
    server: FileServer,
    connections: BTreeMap<Link, Connection>,
    /// Dialled, and not yet connected; given up then.
    dialling: BTreeMap<Link, (NodeId, Instant)>,
    next_link: Link,
    /// Who has not proved everything.
    entrance: Entrance,
    /// Ended, for the shell to read a last time what is to be sent.
    closing: BTreeMap<Link, Conn>,
    /// Paused, or with something unread.
    waiting: BTreeSet<Link>,
    /// What the server said last.
    tight: Tight,
    touched: BTreeSet<Link>,
    timers: BTreeSet<(Instant, Link)>,
    actions: VecDeque<Action>,
    /// Memory for control that all connections take.
    control: usize,
    connections_max: usize,
}

impl Node {
    /// A node over what a start has found.
    #[must_use]
    pub fn new(
        keys: ConnKeys,
        setup: Setup,
        loading: Loading,
        recovered: &Recovered,
        now: Now,
    ) -> Self {
        let entrance = Entrance::new(ChaCha8Rng::seed_from_u64(!setup.seed));
        let mut node = Self {
            keys,
            server: FileServer::new(setup, loading, recovered, now),
            connections: BTreeMap::new(),
            dialling: BTreeMap::new(),
            next_link: 0,
            entrance,
            closing: BTreeMap::new(),
            waiting: BTreeSet::new(),
            tight: Tight::default(),
            touched: BTreeSet::new(),
            timers: BTreeSet::new(),
            actions: VecDeque::new(),
            control: 0,
            connections_max: CONNECTIONS_MAX,
        };
        node.turn(now);
        node
    }

    /// The number of connections that are open at most, should descriptors be fewer than `CONNECTIONS_MAX`.
    pub fn set_connections_max(&mut self, count: usize) {
        self.connections_max = count.min(CONNECTIONS_MAX);
        self.entrance.set_connections_max(self.connections_max);
    }

    /// Somebody has connected. `None`: close the socket at once.
    pub fn accepted(&mut self, now: Now, from: IpAddr, entropy: [u8; 32]) -> Option<Link> {
        let link = self.new_link();
        match self.entrance.arrived(link, from) {
            Entry::Refused => return None,
            Entry::InPlaceOf(other) => self.end(now, other, Ending::MadeRoom),
            Entry::Free => {}
        }
        // Of those that are let in, not of the one that comes: it would be the least tried of all.
        while self.connections.len() + self.dialling.len() >= self.connections_max {
            match self.entrance.gives_way(link) {
                Some(other) => self.end(now, other, Ending::MadeRoom),
                None => {
                    self.entrance.left(link);
                    return None;
                }
            }
        }
        self.open(now, link, Side::Acceptor, Reached::From(from), entropy);
        self.turn(now);
        Some(link)
    }

    /// A program in this process opens a connection. It can't be dead, and when it is slow that is its own affair: no time
    /// is set for anything, but for its coming back at all.
    pub fn accepted_here(&mut self, now: Now, entropy: [u8; 32]) -> Option<Link> {
        if self.connections.len() >= self.connections_max {
            return None;
        }
        let link = self.new_link();
        self.open(now, link, Side::Acceptor, Reached::Here, entropy);
        self.turn(now);
        Some(link)
    }

    /// Whether this connection has not ended.
    #[must_use]
    pub fn is_open(&self, link: Link) -> bool {
        self.connections.contains_key(&link)
    }

    /// The connection that `Action::Dial` asked for is open.
    pub fn dialled(&mut self, now: Now, link: Link, entropy: [u8; 32]) {
        let Some(node) = self.dial_ended(link) else {
            return;
        };
        self.open(now, link, Side::Dialer, Reached::Dialled(node), entropy);
        self.turn(now);
    }

    fn open(&mut self, now: Now, link: Link, side: Side, reached: Reached, entropy: [u8; 32]) {
        let conn = Conn::new(side, &self.keys, entropy, now.instant);
        let connection = Connection {
            stage: conn.stage(),
            conn,
            reached,
            paused: false,
            unread: Bytes::new(),
            transmitting: false,
            timer: None,
            held: 0,
            held_since: now.instant,
        };
        self.connections.insert(link, connection);
        self.touched.insert(link);
    }

    fn new_link(&mut self) -> Link {
        self.next_link += 1;
        self.next_link
    }

    /// The socket has ended, or could not be opened.
    pub fn closed(&mut self, now: Now, link: Link) {
        self.closing.remove(&link);
        if let Some(node) = self.dial_ended(link) {
            self.entrance.left(link);
            self.server.dial_failed(now, node);
        }
        self.forget(now, link);
        self.turn(now);
    }

    /// Bytes have come.
    pub fn received(&mut self, now: Now, link: Link, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&link) else {
            return;
        };
        if connection.unread.is_empty() {
            self.take_in(now, link, bytes);
        } else {
            let all = [&connection.unread, bytes].concat();
            connection.unread = all.into();
        }
        self.turn(now);
    }

    /// Appends what is to be sent next, about `max` bytes of it. To be called when the socket has taken all that was
    /// given before: that is how the node knows what has left.
    pub fn transmit(&mut self, now: Now, link: Link, out: &mut Vec<u8>, max: usize) {
        if let Some(conn) = self.closing.get_mut(&link) {
            return conn.transmit(now.instant, out, max);
        }
        self.handle_departures(now, link);
        let Some(connection) = self.connections.get_mut(&link) else {
            return;
        };
        connection.conn.transmit(now.instant, out, max);
        connection.transmitting = false;
        let waiting = connection.conn.outbox_bytes();
        self.touched.insert(link);
        self.server.outbox_level(now, link, waiting);
        self.turn(now);
    }

    /// What was handed to the socket before has left.
    fn handle_departures(&mut self, now: Now, link: Link) {
        while let Some(connection) = self.connections.get_mut(&link) {
            match connection.conn.poll_departure() {
                Some(Event::StreamLow) => self.server.leaves(now, link, Leaves::Low),
                Some(_) => self.server.leaves(now, link, Leaves::Sent),
                None => return,
            }
            self.carry_out(now);
        }
    }

    /// Whether the next bytes of a connection may be read; if not, `Action::Read` says when.
    pub fn wants_read(&mut self, link: Link) -> bool {
        let Some(connection) = self.connections.get_mut(&link) else {
            return true;
        };
        let wants = connection.unread.is_empty() && self.server.read_max(link) > 0;
        if !wants && !connection.paused {
            connection.paused = true;
            connection.conn.pause();
            self.waiting.insert(link);
        }
        wants
    }

    /// How many bytes of a connection's may be read at once: few if no leaves are expected of it, since messages that
    /// can't be taken in at once have to be kept.
    #[must_use]
    pub fn read_max(&self, link: Link) -> usize {
        self.server.read_max(link)
    }

    /// A worker has answered.
    pub fn done(&mut self, now: Now, done: Done) {
        self.server.done(now, done);
        self.turn(now);
    }

    /// What this node has.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.server.standing()
    }

    /// When `handle_timeout` wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let conn = self.timers.first().map(|(instant, _)| *instant);
        conn.into_iter().chain(self.server.poll_timeout()).min()
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(&(at, link)) = self.timers.first() {
            if at > now.instant {
                break;
            }
            self.timers.pop_first();
            if self.dialling.contains_key(&link) {
                // Nobody is there to refuse: what the system may still try would only be in the way of the next attempt.
                self.end(now, link, Ending::Unanswered);
                continue;
            }
            let Some(connection) = self.connections.get_mut(&link) else {
                continue;
            };
            if connection.is_here() {
                self.end(now, link, Ending::Abandoned);
                continue;
            }
            connection.timer = None;
            self.touched.insert(link);
            if let Err(error) = connection.conn.handle_timeout(now.instant) {
                self.end(now, link, Ending::Conn(error));
            }
        }
        self.server.handle_timeout(now);
        self.turn(now);
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Finishes what was accepted, and says `Stopped`.
    pub fn stop(&mut self, now: Now) {
        self.server.drain(now);
        self.turn(now);
    }

    /// For whoever watches over memory.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        let (reserved, budget) = self.server.memory_use();
        let conns = || self.connections.values().map(|connection| &connection.conn);
        let outbox = conns().map(Conn::outbox_bytes).max().unwrap_or(0);
        let partial = conns().map(Conn::partial_bytes).max().unwrap_or(0);
        Gauge { reserved, budget, outbox, partial }
    }

    fn carry_out(&mut self, now: Now) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Send { link, message } => {
                    if let Some(connection) = self.connections.get_mut(&link) {
                        connection.conn.send(&message);
                        let waiting = connection.conn.outbox_bytes();
                        self.touched.insert(link);
                        self.server.outbox_grown(link, waiting);
                        if waiting > OUTBOX_HARD_MAX {
                            self.end(now, link, Ending::OutboxFull);
                        }
                    }
                }
                Output::OpenStream { link, open } => {
                    self.with_conn(link, |conn| conn.open_stream(&open));
                }
                Output::Chunk { link, data } => self.with_conn(link, |conn| conn.push_chunk(data)),
                Output::TakeBack { link } => {
                    if let Some(connection) = self.connections.get_mut(&link) {
                        let count = connection.conn.take_back_chunks();
                        self.touched.insert(link);
                        self.server.leaves(now, link, Leaves::TakenBack { count });
                    }
                }
                Output::AbortStream { link } => self.with_conn(link, Conn::abort_stream),
                Output::Close { link, why } => self.end(now, link, Ending::Server(why)),
                Output::Dial(peer) => self.dial(now, peer),
                Output::Job(job) => self.actions.push_back(Action::Job(job)),
                Output::Drained => self.actions.push_back(Action::Stopped(Outcome::Drained)),
                Output::Failed(why) => {
                    self.actions.push_back(Action::Stopped(Outcome::DiskFailed(why)));
                }
            }
        }
    }

    fn with_conn(&mut self, link: Link, act: impl FnOnce(&mut Conn)) {
        if let Some(connection) = self.connections.get_mut(&link) {
            act(&mut connection.conn);
            self.touched.insert(link);
        }
    }

    fn dial(&mut self, now: Now, peer: PeerAddress) {
        let link = self.new_link();
        match self.entrance.dials(link) {
            Entry::Refused => return self.server.dial_failed(now, peer.node),
            Entry::InPlaceOf(other) => self.end(now, other, Ending::MadeRoom),
            Entry::Free => {}
        }
        let until = now.instant + HANDSHAKE_TIMEOUT;
        self.dialling.insert(link, (peer.node, until));
        self.timers.insert((until, link));
        self.actions.push_back(Action::Dial { link, address: peer.address });
    }

    fn dial_ended(&mut self, link: Link) -> Option<NodeId> {
        let (node, until) = self.dialling.remove(&link)?;
        self.timers.remove(&(until, link));
        Some(node)
    }

    /// Ends a connection from this side.
    fn end(&mut self, now: Now, link: Link, why: Ending) {
        log::debug!("connection {link} is closed: {why}");
        if let Some(node) = self.dial_ended(link) {
            self.entrance.left(link);
            self.server.dial_failed(now, node);
            self.actions.push_back(Action::Close { link, why });
        }
        if let Some(connection) = self.connections.remove(&link) {
            self.control -= connection.held;
            if let Some(timer) = connection.timer {
                self.timers.remove(&(timer, link));
            }
            self.after_end(now, link, connection.reached);
            self.closing.insert(link, connection.conn);
            self.actions.push_back(Action::Close { link, why });
        }
    }

    fn forget(&mut self, now: Now, link: Link) {
        if let Some(connection) = self.connections.remove(&link) {
            self.control -= connection.held;
            if let Some(timer) = connection.timer {
                self.timers.remove(&(timer, link));
            }
            self.after_end(now, link, connection.reached);
        }
    }

    fn after_end(&mut self, now: Now, link: Link, reached: Reached) {
        self.waiting.remove(&link);
        self.touched.remove(&link);
        self.entrance.left(link);
        self.server.link_closed(now, link);
        if let Reached::Dialled(node) = reached {
            self.server.dial_failed(now, node);
        }
    }
}
