//! The event loop: one thread, one `mio::Poll`.
//!
//! Joins the node with its sockets, its workers, whoever dials, programs in the process, signals and the clock. What it knows of a socket is its
//! token. Invariant: it never waits while something can be done.

use super::clock::Clock;
use super::handle::Connector;
use super::heap;
use super::programs::Programs;
use super::sockets::Sockets;
use crate::limits::MEMORY_IDLE;
use crate::node::{Action, Node, Outcome};
use crate::server::work::{Done, Job};
use crate::time::{Instant, Now};
use crate::worker::Workers;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
const SIGNALS: Token = Token(usize::MAX - 2);

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
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for LoopError {}

/// See the module.
#[allow(missing_debug_implementations, reason = "it holds a node")]
pub struct EventLoop {
    poll: Poll,
    waker: Arc<Waker>,
    listener: TcpListener,
    /// None if signals are somebody else's.
    signals: Option<Signals>,
    sockets: Sockets,
    programs: Programs,
    clock: Clock,
    accepting: bool,
    accept_again: Option<Instant>,
    /// When free memory is given back, if nothing is read until then.
    trim_at: Option<Instant>,
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
            .map_err(system("cannot wait for connections"))?;
        let waker = Arc::new(Waker::new(registry, WAKER).map_err(system("no waker"))?);
        let registry = registry.try_clone().map_err(system("no event queue"))?;
        let clock = Clock::start();
        Ok(Self {
            poll,
            listener,
            sockets: Sockets::new(registry, Arc::clone(&waker), clock),
            programs: Programs::new(Arc::clone(&waker)),
            waker,
            signals: None,
            clock,
            accepting: false,
            accept_again: None,
            trim_at: Some(Instant(0) + MEMORY_IDLE),
            outcome: None,
        })
    }

    /// SIGTERM and SIGINT have the node finish what it has accepted, and stop.
    pub fn stop_on_signals(&mut self) -> Result<(), LoopError> {
        let failed = |error| LoopError::System("cannot wait for signals", error);
        let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(failed)?;
        let registry = self.poll.registry();
        registry.register(&mut signals, SIGNALS, Interest::READABLE).map_err(failed)?;
        self.signals = Some(signals);
        Ok(())
    }

    /// Where programs in this process get their ways into the node.
    #[must_use]
    pub fn connector(&self) -> Connector {
        self.programs.connector()
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
        self.clock.now()
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
            let timeout =
                if workers.has_done() { Some(Duration::ZERO) } else { self.timeout(node) };
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(LoopError::System("cannot wait for events", error)),
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accepting = true,
                    WAKER => self.woken(node),
                    SIGNALS => self.signalled(node),
                    Token(key) => self.sockets.note(key, event),
                }
            }
            self.hand_over(node, workers);
            self.accept(node);
            let has_read = self.sockets.serve_ready(node);
            let now = self.now();
            if has_read {
                self.trim_at = Some(now.instant + MEMORY_IDLE);
            }
            if self.sockets.lookup_due().is_some_and(|at| at <= now.instant) {
                self.sockets.dial_found(node);
            }
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
            heap::trim_heap();
        }
    }

    /// How long nothing need be done.
    fn timeout(&self, node: &Node) -> Option<Duration> {
        if self.sockets.waiting() > 0 || self.accepting {
            return Some(Duration::ZERO);
        }
        let now = self.now().instant;
        let others =
            self.accept_again.into_iter().chain(self.trim_at).chain(self.sockets.lookup_due());
        let due = node.poll_timeout().into_iter().chain(others).min()?;
        // The system's clock ticks in milliseconds: a wait that is cut short would be followed by one of nothing.
        Some(due.since(now) + Duration::from_micros(if due > now { 100 } else { 0 }))
    }

    /// Somebody in this process has something for the loop; workers' answers are taken anyway.
    fn woken(&mut self, node: &mut Node) {
        self.sockets.dial_found(node);
        let now = self.now();
        self.programs.serve(node, now);
    }

    fn signalled(&mut self, node: &mut Node) {
        let signals = self.signals.as_mut();
        if signals.is_some_and(|signals| signals.pending().count() > 0) {
            log::info!("shutting down: finishing accepted operations");
            let now = self.now();
            node.stop(now);
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
                        self.sockets.accepted(node, link, stream);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.accepting = false,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Out of descriptors, most likely: those that wait are taken when others have gone.
                    log::debug!("cannot accept a connection now: {error}");
                    self.accepting = false;
                    self.accept_again = Some(now.instant + ACCEPT_PAUSE);
                }
            }
        }
    }

    /// Does what the node wants, until it wants nothing, or somebody else should have a turn.
    fn carry_out(&mut self, node: &mut Node, workers: &Workers<Job, Done>) {
        let (mut rounds, mut done_here) = (0, 0);
        loop {
            while let Some(action) = node.poll_action() {
                match action {
                    Action::Dial { link, address } => self.sockets.dial(node, link, &address),
                    Action::Transmit { link } => self.sockets.transmit(node, link),
                    Action::Read { link } => self.sockets.wake(link),
                    Action::Close { link, .. } => {
                        self.sockets.close(node, link);
                        let now = self.now();
                        self.programs.serve_one(node, now, link);
                    }
                    Action::Event { link } => {
                        let now = self.now();
                        self.programs.serve_one(node, now, link);
                    }
                    Action::Job(job) => {
                        // The one whose bytes led to the job may still be queued. Of many jobs a few are done here.
                        let has_time = done_here < CHECKS_MAX && self.sockets.waiting() <= 1;
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
}
