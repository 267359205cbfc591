//! A node: its connections and its `FileServer`, and the only door to them.
//!
//! A value: it takes bytes, answers from workers and the time, and gives [`Action`]s. It reaches no socket, file, clock,
//! thread or ambient randomness. Invariant: whatever a connection's other side does, it is that connection that ends.

mod action;
mod connection;
mod connections;
mod ending;
mod entrance;
mod guards;
mod local;
mod mailbox;
mod outputs;
mod program;
mod turn;

pub use crate::server::{Closing, Link};
pub use action::{Action, Gauge, Outcome};
pub use ending::Ending;
pub use guards::SessionGuard;

use crate::conn::{Conn, ConnKeys, Event, Side};
use crate::ids::NodeId;
use crate::limits::CONNECTIONS_MAX;
use crate::server::work::Done;
use crate::server::{FileServer, IndexBuilder, Leaves, Pressure, Reached, Setup, Summary};
use crate::store::values::RecoveryReport;
use crate::time::{Instant, Now};
use connection::{Connection, Native};
use connections::Connections;
use entrance::{Entrance, Entry};
use guards::Guards;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// See the module.
#[allow(missing_debug_implementations, reason = "a node holds keys")]
pub struct Node {
    keys: ConnKeys,
    /// The network's, which signs its grants.
    root: [u8; 32],
    server: FileServer,
    connections: Connections,
    /// Dialled, and not yet connected; given up then.
    dialling: BTreeMap<Link, (NodeId, Instant)>,
    /// Who has not proved everything.
    entrance: Entrance,
    /// Ended, for the shell to read a last time what is to be sent.
    closing: BTreeMap<Link, Conn>,
    guards: Guards,
    /// What the server said last.
    pressure: Pressure,
    actions: VecDeque<Action>,
    connections_max: usize,
}

impl Node {
    /// A node over what a start has found.
    #[must_use]
    pub fn new(
        keys: ConnKeys,
        setup: Setup,
        builder: IndexBuilder,
        recovered: &RecoveryReport,
        now: Now,
    ) -> Self {
        let entrance = Entrance::new(ChaCha8Rng::seed_from_u64(!setup.seed));
        let mut node = Self {
            keys,
            root: setup.root,
            server: FileServer::new(setup, builder, recovered, now),
            connections: Connections::default(),
            dialling: BTreeMap::new(),
            entrance,
            closing: BTreeMap::new(),
            guards: Guards::default(),
            pressure: Pressure::default(),
            actions: VecDeque::new(),
            connections_max: CONNECTIONS_MAX,
        };
        node.run_turn(now);
        node
    }

    /// The number of connections that are open at most, should descriptors be fewer than `CONNECTIONS_MAX`.
    pub fn set_connections_max(&mut self, count: usize) {
        self.connections_max = count.min(CONNECTIONS_MAX);
        self.entrance.set_connections_max(self.connections_max);
    }

    /// Somebody has connected. `None`: close the socket at once.
    pub fn accepted(&mut self, now: Now, from: IpAddr, entropy: [u8; 32]) -> Option<Link> {
        let link = self.connections.new_link();
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
        let conn = Conn::new(Side::Acceptor, &self.keys, entropy, now.instant);
        let native = Native::new(conn, Reached::From(from));
        self.connections.insert(now.instant, link, Connection::Native(Box::new(native)));
        self.run_turn(now);
        Some(link)
    }

    /// Whether this connection has not ended.
    #[must_use]
    pub fn is_open(&self, link: Link) -> bool {
        self.connections.contains(link)
    }

    /// The connection that `Action::Dial` asked for is open.
    pub fn dialled(&mut self, now: Now, link: Link, entropy: [u8; 32]) {
        let Some(node) = self.dial_ended(link) else {
            return;
        };
        let conn = Conn::new(Side::Dialer, &self.keys, entropy, now.instant);
        let native = Native::new(conn, Reached::Dialled(node));
        self.connections.insert(now.instant, link, Connection::Native(Box::new(native)));
        self.run_turn(now);
    }

    /// The connection that `Action::Dial` asked for cannot be opened, for a reason that a person may read.
    pub fn dial_failed(&mut self, now: Now, link: Link, why: &str) {
        if let Some(node) = self.dial_ended(link) {
            self.entrance.left(link);
            self.server.dial_failed(now, node, why);
        }
        self.run_turn(now);
    }

    /// The socket has ended, or was never opened.
    pub fn closed(&mut self, now: Now, link: Link) {
        self.closing.remove(&link);
        if let Some(node) = self.dial_ended(link) {
            self.entrance.left(link);
            self.server.dial_failed(now, node, &Ending::Unanswered.to_string());
        }
        if let Some(Connection::Local(local)) = self.remove(now, link, None) {
            self.keep_events(link, *local, "the node closed it");
        }
        self.run_turn(now);
    }

    /// Bytes have come.
    pub fn received(&mut self, now: Now, link: Link, bytes: &[u8]) {
        let Some(native) = self.connections.native(link) else {
            return;
        };
        if native.unread.is_empty() {
            self.ingest(now, link, bytes);
        } else {
            let all = [&native.unread, bytes].concat();
            native.unread = all.into();
        }
        self.run_turn(now);
    }

    /// Appends what is to be sent next, about `max` bytes of it. To be called when the socket has taken all that was
    /// given before: that is how the node knows what has left.
    pub fn transmit(&mut self, now: Now, link: Link, out: &mut Vec<u8>, max: usize) {
        if let Some(conn) = self.closing.get_mut(&link) {
            return conn.transmit(now.instant, out, max);
        }
        self.handle_sent_events(now, link);
        let Some(native) = self.connections.native(link) else {
            return;
        };
        native.conn.transmit(now.instant, out, max);
        native.transmitting = false;
        let waiting = native.conn.outbox_bytes();
        self.connections.touch(link);
        self.server.outbox_level(now, link, waiting);
        self.run_turn(now);
    }

    /// Whether `transmit` has something to give, or to be told of.
    #[must_use]
    pub fn wants_transmit(&self, link: Link) -> bool {
        match self.closing.get(&link) {
            Some(conn) => conn.wants_transmit(),
            None => self.connections.wants_transmit(link),
        }
    }

    /// What was handed to the socket before has left.
    fn handle_sent_events(&mut self, now: Now, link: Link) {
        while let Some(native) = self.connections.native(link) {
            match native.conn.poll_sent() {
                Some(Event::StreamLow) => self.server.leaves(now, link, Leaves::Low),
                Some(_) => self.server.leaves(now, link, Leaves::Sent),
                None => return,
            }
            self.apply_outputs(now);
        }
    }

    /// How many bytes of a connection's may be read now; with none, `Action::Read` says when some may. Few if no leaves are
    /// expected of it, since messages that cannot be taken in at once have to be kept.
    pub fn read_max(&mut self, link: Link) -> usize {
        let max = self.server.read_max(link);
        // A program in the process reads nothing.
        let Some(native) = self.connections.native(link) else {
            return max;
        };
        if native.unread.is_empty() && max > 0 {
            return max;
        }
        if !native.paused {
            native.paused = true;
            native.conn.pause();
            self.connections.wait(link);
        }
        0
    }

    /// A worker has answered.
    pub fn done(&mut self, now: Now, done: Done) {
        self.server.done(now, done);
        self.run_turn(now);
    }

    /// What this node has.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.server.summary()
    }

    /// When `handle_timeout` wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let conn = self.connections.next_timer();
        conn.into_iter().chain(self.server.poll_timeout()).min()
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(link) = self.connections.pop_due(now.instant) {
            if self.dialling.contains_key(&link) {
                // Nobody is there to refuse: what the system may still try would only be in the way of the next attempt.
                self.end(now, link, Ending::Unanswered);
            } else if let Some(connection) = self.connections.touch(link)
                && let Err(why) = connection.handle_timeout(now.instant)
            {
                self.end(now, link, why);
            }
        }
        self.server.handle_timeout(now);
        self.run_turn(now);
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Finishes what was accepted, and says `Stopped`.
    pub fn stop(&mut self, now: Now) {
        self.server.drain(now);
        self.run_turn(now);
    }

    /// For whoever watches over memory.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        let (reserved, budget) = self.server.memory_use();
        let connections = || self.connections.all();
        let outbox = connections().map(Connection::outbox_bytes).max().unwrap_or(0);
        let partial = connections().map(Connection::partial_bytes).max().unwrap_or(0);
        let programs = connections().map(Connection::program_bytes).sum();
        Gauge { reserved, budget, outbox, partial, programs }
    }
}
