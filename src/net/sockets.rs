//! The sockets of a node's connections: dialled or accepted, read and written in turn, and closed.
//!
//! mio is edge-triggered: readiness is remembered per socket and cleared only by `WouldBlock`. A paused connection has
//! no event coming, so whoever frees space or queues data must wake it. Each socket gets one read of at most
//! `READ_MAX` bytes a turn, so that a fast one does not starve the others. An address that is a number is used at once; a
//! name is looked up, and every address that it has is tried in turn. Knows no listener and no worker. Invariant: each
//! link that was dialled or accepted comes to exactly one end, of which the node is told, unless the node closes it before.

use super::clock::Clock;
use super::lookup::{Answer, Lookups};
use super::socket::{Progress, Socket};
use crate::node::{Link, Node};
use crate::time::Instant;
use mio::net::TcpStream;
use mio::{Registry, Token, Waker};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// One read.
const READ_MAX: usize = 256 * 1024;
/// What is sealed at a time for one socket.
const WRITE_BATCH: usize = 128 * 1024;
/// So many batches are written to one socket before the others have their turn.
const WRITES_MAX: usize = 4;

/// A connection's socket.
struct Attached {
    socket: Socket,
    link: Link,
    /// Dialled, and the outcome is not known yet.
    connecting: Option<Attempt>,
    /// It is to be looked at.
    queued: bool,
}

/// A dial that goes on.
struct Attempt {
    /// Still to be tried.
    addresses: VecDeque<SocketAddr>,
    /// Why it has failed, if none of these answers.
    why: String,
}

/// See the module.
pub(super) struct Sockets {
    registry: Registry,
    clock: Clock,
    sockets: Slab<Attached>,
    by_link: HashMap<Link, usize>,
    lookups: Lookups,
    /// Sockets that are to be looked at.
    ready: VecDeque<usize>,
    /// What was just read, or is about to be written; one for all sockets.
    inward: Vec<u8>,
    outward: Vec<u8>,
}

impl Attempt {
    fn new(addresses: VecDeque<SocketAddr>) -> Self {
        Self { addresses, why: "the name has no address".to_owned() }
    }
}

impl Sockets {
    /// None yet. Their tokens are small numbers.
    pub(super) fn new(registry: Registry, waker: Arc<Waker>, clock: Clock) -> Self {
        Self {
            registry,
            clock,
            sockets: Slab::new(),
            by_link: HashMap::new(),
            lookups: Lookups::new(waker, clock),
            ready: VecDeque::new(),
            inward: vec![0; READ_MAX],
            outward: Vec::new(),
        }
    }

    /// How many are to be looked at before the loop waits again.
    pub(super) fn waiting(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn dial(&mut self, node: &mut Node, link: Link, address: &str) {
        if let Ok(address) = address.parse() {
            return self.connect(node, link, Attempt::new(VecDeque::from([address])));
        }
        if !self.lookups.begin(link, address) {
            node.dial_failed(self.clock.now(), link, "too many names are being looked up");
        }
    }

    /// Dials what was found for names, and gives up what was not.
    pub(super) fn dial_found(&mut self, node: &mut Node) {
        while let Some(Answer { link, found }) =
            self.lookups.next().or_else(|| self.lookups.next_late())
        {
            match found {
                Ok(addresses) => self.connect(node, link, Attempt::new(addresses)),
                Err(why) => node.dial_failed(self.clock.now(), link, &why),
            }
        }
    }

    /// When a name is given up that the system has not found by then: `dial_found` sees to it.
    pub(super) fn lookup_due(&self) -> Option<Instant> {
        self.lookups.due()
    }

    /// Somebody has dialled us.
    pub(super) fn accepted(&mut self, node: &mut Node, link: Link, stream: TcpStream) {
        self.add(node, link, Socket::accepted(stream), None);
    }

    /// Tries the first of these addresses that the system lets us try; without any, the dial has failed.
    fn connect(&mut self, node: &mut Node, link: Link, mut attempt: Attempt) {
        while let Some(address) = attempt.addresses.pop_front() {
            match Socket::connect(address) {
                Ok(socket) => return self.add(node, link, socket, Some(attempt)),
                Err(error) => {
                    log::debug!("cannot dial {address}: {error}");
                    attempt.why = error.to_string();
                }
            }
        }
        node.dial_failed(self.clock.now(), link, &attempt.why);
    }

    /// Watches a new socket.
    fn add(
        &mut self,
        node: &mut Node,
        link: Link,
        mut socket: Socket,
        connecting: Option<Attempt>,
    ) {
        let entry = self.sockets.vacant_entry();
        let key = entry.key();
        socket.set_nodelay();
        match socket.register(&self.registry, Token(key)) {
            Ok(()) => {
                entry.insert(Attached { socket, link, connecting, queued: false });
                self.by_link.insert(link, key);
                self.queue(key);
            }
            Err(error) => {
                log::warn!("a connection could not be watched: {error}");
                node.closed(self.clock.now(), link);
            }
        }
    }

    /// Remembers what mio says of a socket.
    pub(super) fn note(&mut self, key: usize, event: &mio::event::Event) {
        // It may have been closed while the event was on its way.
        if let Some(attached) = self.sockets.get_mut(key) {
            attached.socket.ready(event);
            self.queue(key);
        }
    }

    /// The node takes bytes of this one again.
    pub(super) fn wake(&mut self, link: Link) {
        if let Some(&key) = self.by_link.get(&link) {
            self.queue(key);
        }
    }

    /// Has a socket looked at before the loop waits again.
    fn queue(&mut self, key: usize) {
        if let Some(attached) = self.sockets.get_mut(key)
            && !std::mem::replace(&mut attached.queued, true)
        {
            self.ready.push_back(key);
        }
    }

    /// One read and one write for each socket that is ready for it; whether anything was read.
    pub(super) fn serve_ready(&mut self, node: &mut Node) -> bool {
        let mut has_read = false;
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else {
                break;
            };
            if let Some(attached) = self.sockets.get_mut(key) {
                attached.queued = false;
            }
            self.connect_finished(node, key);
            self.write(node, key);
            has_read |= self.read(node, key);
        }
        has_read
    }

    /// A dialled socket has become ready: it is connected, or it is not, or there is no telling yet.
    fn connect_finished(&mut self, node: &mut Node, key: usize) {
        let attached = self.sockets.get_mut(key).filter(|it| it.connecting.is_some());
        // None if it has been connected for long, or has ended.
        let Some(Attached { socket, link, connecting, .. }) = attached else {
            return;
        };
        match socket.is_connected() {
            Ok(false) => {}
            Ok(true) => {
                *connecting = None;
                socket.become_connected();
                node.dialled(self.clock.now(), *link, super::entropy());
            }
            Err(error) => self.try_next(node, key, &error),
        }
    }

    /// This address leads nowhere.
    fn try_next(&mut self, node: &mut Node, key: usize, error: &io::Error) {
        if let Some(Attached { link, connecting, .. }) = self.sockets.try_remove(key) {
            self.by_link.remove(&link);
            let addresses = connecting.map(|attempt| attempt.addresses).unwrap_or_default();
            self.connect(node, link, Attempt { addresses, why: error.to_string() });
        }
    }

    fn read(&mut self, node: &mut Node, key: usize) -> bool {
        // None if it has just been closed.
        let Some(Attached { socket, link, connecting, .. }) = self.sockets.get_mut(key) else {
            return false;
        };
        let link = *link;
        if connecting.is_some() || !socket.is_readable() {
            return false;
        }
        let max = node.read_max(link).min(READ_MAX);
        if max == 0 {
            return false;
        }
        match socket.read(&mut self.inward[..max]) {
            Progress::Bytes(count) => {
                node.received(self.clock.now(), link, &self.inward[..count]);
                if self.sockets.get(key).is_some_and(|it| it.socket.is_readable()) {
                    self.queue(key);
                }
                true
            }
            Progress::Blocked => false,
            Progress::Ended => {
                self.drop_socket(node, key);
                false
            }
        }
    }

    /// The node has something to send.
    pub(super) fn transmit(&mut self, node: &mut Node, link: Link) {
        if let Some(&key) = self.by_link.get(&link) {
            self.write(node, key);
        }
    }

    /// Sends on: what the socket would not take before, then what the node has, while the socket takes all.
    fn write(&mut self, node: &mut Node, key: usize) {
        for _ in 0..WRITES_MAX {
            // None if it has just been closed.
            let Some(Attached { socket, link, connecting, .. }) = self.sockets.get_mut(key) else {
                return;
            };
            if connecting.is_some() || !socket.is_writable() {
                return;
            }
            let progress = if socket.is_flushed() {
                // Each call is a turn of the node.
                if !node.wants_transmit(*link) {
                    return;
                }
                self.outward.clear();
                node.transmit(self.clock.now(), *link, &mut self.outward, WRITE_BATCH);
                if self.outward.is_empty() {
                    return;
                }
                socket.send(&self.outward)
            } else {
                socket.flush()
            };
            match progress {
                Progress::Bytes(_) => {}
                Progress::Blocked => return,
                Progress::Ended => return self.drop_socket(node, key),
            }
        }
        self.queue(key);
    }

    /// What the socket still takes is sent; the rest is lost.
    pub(super) fn close(&mut self, node: &mut Node, link: Link) {
        match self.by_link.get(&link).copied() {
            Some(key) => {
                self.write(node, key);
                self.drop_socket(node, key);
            }
            None => {
                self.lookups.forget(link);
                node.closed(self.clock.now(), link);
            }
        }
    }

    /// The socket is gone, and the node is told.
    fn drop_socket(&mut self, node: &mut Node, key: usize) {
        if let Some(Attached { link, .. }) = self.sockets.try_remove(key) {
            self.by_link.remove(&link);
            node.closed(self.clock.now(), link);
        }
    }
}
