//! The event loop: one thread, one `mio::Poll`.
//!
//! mio is edge-triggered: readiness is remembered per socket and cleared only by `WouldBlock`. A paused connection has
//! no event coming, so whoever frees space or queues data must wake it. Each socket gets one read of at most
//! `READ_MAX` bytes a turn, so that a fast one does not starve the others.

use super::heap;
use super::lookup::Lookups;
use super::socket::{Progress, Socket};
use crate::limits::MEMORY_IDLE;
use crate::node::{Action, Link, Node, Outcome};
use crate::server::work::{Done, Job};
use crate::time::{Instant, Now};
use crate::worker::Workers;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
const SIGNALS: Token = Token(usize::MAX - 2);

/// One read.
const READ_MAX: usize = 256 * 1024;
/// What is sealed at a time for one socket.
const WRITE_BATCH: usize = 128 * 1024;
/// So many batches are written to one socket before the others have their turn.
const WRITES_MAX: usize = 4;
/// What is done at once may lead to more of the same: so often before the others have their turn.
const ROUNDS_MAX: usize = 4;
/// After so many jobs that were done at once a turn leaves to the workers what only takes little time: together it is no
/// longer than writing to one socket.
const CHECKS_MAX: usize = 8;
/// So many connections are accepted before the others have their turn.
const ACCEPTS_MAX: usize = 64;
/// Events taken from the system at a time.
const EVENTS: usize = 1024;
/// When descriptors have run out, the next attempt to accept comes after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a loop could not begin or go on.
#[derive(Debug)]
pub enum LoopError {
    /// Nobody can listen at this address.
    Listen(SocketAddr, io::Error),
    /// The system refused something else.
    System(&'static str, io::Error),
}

impl fmt::Display for LoopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "can't listen on {address}: {error}"),
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for LoopError {}

/// See the module.
#[allow(missing_debug_implementations, reason = "it holds a node")]
pub struct EventLoop {
    pub(super) poll: Poll,
    waker: Arc<Waker>,
    listener: TcpListener,
    signals: Signals,
    pub(super) sockets: Slab<Socket>,
    pub(super) by_link: HashMap<Link, usize>,
    pub(super) lookups: Lookups,
    /// Sockets that may have bytes to be read.
    ready: VecDeque<usize>,
    accepting: bool,
    accept_again: Option<Instant>,
    /// When free memory is given back, if nothing is read until then.
    trim_at: Option<Instant>,
    /// What was just read, or is about to be written; one for all sockets.
    inward: Vec<u8>,
    outward: Vec<u8>,
    origin: std::time::Instant,
    outcome: Option<Outcome>,
}

impl EventLoop {
    /// Listens; port 0 takes any.
    pub fn bind(address: SocketAddr) -> Result<Self, LoopError> {
        let system = |what: &'static str| move |error| LoopError::System(what, error);
        let poll = Poll::new().map_err(system("no event queue"))?;
        let mut listener =
            TcpListener::bind(address).map_err(|error| LoopError::Listen(address, error))?;
        let registry = poll.registry();
        registry
            .register(&mut listener, LISTENER, Interest::READABLE)
            .map_err(system("can't wait for connections"))?;
        let waker = Arc::new(Waker::new(registry, WAKER).map_err(system("no waker"))?);
        let wanted = [SIGTERM, SIGINT];
        let mut signals = Signals::new(wanted).map_err(system("can't wait for signals"))?;
        registry
            .register(&mut signals, SIGNALS, Interest::READABLE)
            .map_err(system("can't wait for signals"))?;
        Ok(Self {
            poll,
            listener,
            lookups: Lookups::new(Arc::clone(&waker)),
            waker,
            signals,
            sockets: Slab::new(),
            by_link: HashMap::new(),
            ready: VecDeque::new(),
            accepting: false,
            accept_again: None,
            trim_at: Some(Instant(0) + MEMORY_IDLE),
            inward: vec![0; READ_MAX],
            outward: Vec::new(),
            origin: std::time::Instant::now(),
            outcome: None,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Wakes the loop from another thread.
    #[must_use]
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// What time it is, on both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        now_since(self.origin)
    }

    /// Runs a node until it stops.
    pub fn run(
        mut self,
        node: &mut Node,
        workers: &Workers<Job, Done>,
    ) -> Result<Outcome, LoopError> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            self.carry_out(node, workers);
            if let Some(outcome) = self.outcome.take() {
                return Ok(outcome);
            }
            let patience =
                if workers.has_done() { Some(Duration::ZERO) } else { self.patience(node) };
            match self.poll.poll(&mut events, patience) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(LoopError::System("can't wait for events", error)),
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accepting = true,
                    WAKER => self.dial_found(node),
                    SIGNALS => self.signalled(node),
                    Token(key) => self.note(key, event),
                }
            }
            self.hand_over(node, workers);
            self.accept(node);
            self.read_ready(node);
            let now = self.now();
            if node.poll_timeout().is_some_and(|at| at <= now.instant) {
                node.handle_timeout(now);
            }
            self.trim_if_idle(now.instant);
        }
    }

    /// When nothing has been read for a while, the memory that it took goes back to the system.
    fn trim_if_idle(&mut self, now: Instant) {
        if self.trim_at.is_some_and(|at| at <= now) {
            self.trim_at = None;
            heap::trim();
        }
    }

    /// How long nothing need be done.
    fn patience(&self, node: &Node) -> Option<Duration> {
        if !self.ready.is_empty() || self.accepting {
            return Some(Duration::ZERO);
        }
        let now = self.now().instant;
        let others = self.accept_again.into_iter().chain(self.trim_at);
        let due = node.poll_timeout().into_iter().chain(others).min()?;
        // The system's clock ticks in milliseconds: a wait that is cut short would be followed by one of nothing.
        Some(due.since(now) + Duration::from_micros(if due > now { 100 } else { 0 }))
    }

    fn signalled(&mut self, node: &mut Node) {
        if self.signals.pending().count() > 0 {
            log::info!("shutting down: finishing accepted operations");
            let now = self.now();
            node.stop(now);
        }
    }

    /// Remembers what mio says of a socket.
    fn note(&mut self, key: usize, event: &mio::event::Event) {
        let Some(socket) = self.sockets.get_mut(key) else {
            return;
        };
        if event.is_writable() {
            socket.writable = true;
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            socket.readable = true;
            socket.ending |= event.is_read_closed() || event.is_error();
        }
        self.queue(key);
    }

    /// Has a socket looked at before the loop waits again.
    pub(super) fn queue(&mut self, key: usize) {
        if let Some(socket) = self.sockets.get_mut(key)
            && !std::mem::replace(&mut socket.queued, true)
        {
            self.ready.push_back(key);
        }
    }

    fn accept(&mut self, node: &mut Node) {
        let now = self.now();
        if self.accept_again.is_some_and(|at| at <= now.instant) {
            self.accept_again = None;
            self.accepting = true;
        }
        for _ in 0..ACCEPTS_MAX {
            if !self.accepting {
                return;
            }
            match self.listener.accept() {
                Ok((stream, from)) => {
                    let from = from.ip().to_canonical();
                    if let Some(link) = node.accepted(now, from, super::entropy()) {
                        self.add(node, Socket::accepted(stream, link));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.accepting = false,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Out of descriptors, most likely: those that wait are taken when others have gone.
                    log::debug!("can't accept a connection now: {error}");
                    self.accepting = false;
                    self.accept_again = Some(now.instant + ACCEPT_PAUSE);
                }
            }
        }
    }

    /// One read and one write for each socket that is ready for it.
    fn read_ready(&mut self, node: &mut Node) {
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else {
                return;
            };
            if let Some(socket) = self.sockets.get_mut(key) {
                socket.queued = false;
            }
            self.connect_finished(node, key);
            self.write(node, key);
            self.read(node, key);
        }
    }

    fn read(&mut self, node: &mut Node, key: usize) {
        let Some(socket) = self.sockets.get_mut(key) else {
            return;
        };
        let link = socket.link;
        if socket.is_connecting() || !socket.readable || !node.wants_read(link) {
            return;
        }
        let max = node.read_max(link).min(READ_MAX);
        match socket.read(&mut self.inward[..max]) {
            Progress::Bytes(count) => {
                let now = self.now();
                self.trim_at = Some(now.instant + MEMORY_IDLE);
                node.received(now, link, &self.inward[..count]);
                if self.sockets.get(key).is_some_and(|socket| socket.readable) {
                    self.queue(key);
                }
            }
            Progress::Blocked => {}
            Progress::Ended => self.drop_socket(node, key),
        }
    }

    /// Sends on: what the socket would not take before, then what the node has, while the socket takes all.
    fn write(&mut self, node: &mut Node, key: usize) {
        for _ in 0..WRITES_MAX {
            let Some(socket) = self.sockets.get_mut(key) else {
                return;
            };
            if !socket.takes_bytes() {
                return;
            }
            let progress = if socket.is_flushed() {
                self.outward.clear();
                let now = now_since(self.origin);
                node.transmit(now, socket.link, &mut self.outward, WRITE_BATCH);
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

    /// The socket is gone, and the node is told.
    fn drop_socket(&mut self, node: &mut Node, key: usize) {
        if let Some(socket) = self.sockets.try_remove(key) {
            self.by_link.remove(&socket.link);
            let now = self.now();
            node.closed(now, socket.link);
        }
    }

    /// Does what the node wants, until it wants nothing, or somebody else should have a turn.
    fn carry_out(&mut self, node: &mut Node, workers: &Workers<Job, Done>) {
        let (mut rounds, mut done_here) = (0, 0);
        loop {
            while let Some(action) = node.poll_action() {
                match action {
                    Action::Dial { link, address } => self.dial(node, link, &address),
                    Action::Transmit { link } => {
                        if let Some(&key) = self.by_link.get(&link) {
                            self.write(node, key);
                        }
                    }
                    Action::Read { link } => {
                        if let Some(&key) = self.by_link.get(&link) {
                            self.queue(key);
                        }
                    }
                    Action::Close { link, .. } => self.close(node, link),
                    Action::Job(job) => {
                        // The one whose bytes led to the job may still be queued. Of many jobs a few are done here.
                        let has_time = done_here < CHECKS_MAX && self.ready.len() <= 1;
                        done_here += usize::from(workers.submit(job, has_time));
                    }
                    Action::Stopped(outcome) => self.outcome = Some(outcome),
                }
            }
            workers.run_pending();
            if !workers.has_done() || rounds == ROUNDS_MAX {
                return;
            }
            rounds += 1;
            self.hand_over(node, workers);
        }
    }

    /// Gives the node what the workers have done.
    fn hand_over(&mut self, node: &mut Node, workers: &Workers<Job, Done>) {
        while let Some(done) = workers.take_done() {
            let now = self.now();
            node.done(now, done);
        }
    }

    /// What the socket still takes is sent; the rest is lost.
    fn close(&mut self, node: &mut Node, link: Link) {
        match self.by_link.get(&link).copied() {
            Some(key) => {
                self.write(node, key);
                self.drop_socket(node, key);
            }
            None => {
                self.lookups.forget(link);
                let now = self.now();
                node.closed(now, link);
            }
        }
    }
}

fn now_since(origin: std::time::Instant) -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now {
        instant: Instant(u64::try_from(origin.elapsed().as_micros()).unwrap_or(u64::MAX)),
        wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
    }
}
