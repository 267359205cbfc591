//! The blocking shell: one socket for one session, and a thread that waits for it.
//!
//! Moves bytes and decides nothing. Invariant: nothing is read from the socket while events wait to be taken, so that a
//! slow program slows the node down and not its own memory up.

use super::interrupt::Interrupt;
use super::link::{BATCH, Link};
use crate::ids::NodeId;
use crate::keyring::Access;
use crate::limits::{HANDSHAKE_TIMEOUT, OPERATION_TIMEOUT, REDIAL_FIRST};
use crate::net::Clock;
use crate::session::{ClientError, Event, Op, Operation};
use crate::time::{Instant, Now};
use crate::wire::message::PeerAddress;
use mio::{Events, Poll, Token};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// A wait is no longer than this where it may be interrupted.
const NOTICE: Duration = Duration::from_millis(100);

/// A connection to one node of a network.
#[allow(missing_debug_implementations, reason = "it holds keys")]
pub struct Client {
    poll: Poll,
    events: Events,
    link: Link,
    clock: Clock,
    buffer: Vec<u8>,
    address: String,
    failed: Option<ClientError>,
    /// Where to connect again, and as whom.
    peers: Vec<PeerAddress>,
    access: Access,
    allow_future: bool,
    interrupt: Option<Interrupt>,
}

impl Client {
    /// Connects to the first of these nodes that answers and is the one that it should be. A default id takes any node of
    /// the network.
    pub fn connect(peers: &[PeerAddress], access: &Access) -> Result<Self, ClientError> {
        Self::connect_unless(None, peers, access)
    }

    /// The same, and every call of the client ends with `Aborted` when somebody wishes that.
    ///
    /// # Errors
    /// As for `connect`.
    pub fn connect_unless(
        interrupt: Option<&Interrupt>,
        peers: &[PeerAddress],
        access: &Access,
    ) -> Result<Self, ClientError> {
        let mut errors = Vec::new();
        for peer in peers {
            match Self::connect_to(peer, access, interrupt) {
                Ok(client) => return Ok(Self { peers: peers.to_vec(), ..client }),
                Err(ClientError::Aborted) => return Err(ClientError::Aborted),
                Err(error) => errors.push((peer, error)),
            }
        }
        // A node that answers and refuses says more than one that does not answer.
        if let Some((_, error)) =
            errors.iter().find(|(_, error)| *error == ClientError::WrongNetwork)
        {
            return Err(error.clone());
        }
        let tried = errors.iter().map(|(peer, error)| match error {
            ClientError::Unreachable(why) => format!("{}: {why}", peer.address),
            error => format!("{}: {error}", peer.address),
        });
        Err(ClientError::Unreachable(tried.collect::<Vec<_>>().join("; ")))
    }

    fn connect_to(
        peer: &PeerAddress,
        access: &Access,
        interrupt: Option<&Interrupt>,
    ) -> Result<Self, ClientError> {
        let unreachable = |error: io::Error| ClientError::Unreachable(error.to_string());
        let mut last = ClientError::Unreachable("the name has no address".to_owned());
        for address in peer.address.to_socket_addrs().map_err(unreachable)? {
            match Self::open(address, peer, access, interrupt) {
                Ok(client) => return Ok(client),
                Err(ClientError::Aborted) => return Err(ClientError::Aborted),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn open(
        address: SocketAddr,
        peer: &PeerAddress,
        access: &Access,
        interrupt: Option<&Interrupt>,
    ) -> Result<Self, ClientError> {
        let unreachable = |error: io::Error| ClientError::Unreachable(error.to_string());
        let poll = Poll::new().map_err(unreachable)?;
        let clock = Clock::start();
        let now = clock.now().instant;
        let link = Link::connect(address, poll.registry(), Token(0), access.clone(), now);
        let mut client = Self {
            link: link.map_err(unreachable)?,
            poll,
            events: Events::with_capacity(8),
            clock,
            buffer: vec![0; BATCH],
            address: peer.address.clone(),
            failed: None,
            peers: Vec::new(),
            access: access.clone(),
            allow_future: false,
            interrupt: interrupt.cloned(),
        };
        client.await_ready(peer.node)?;
        Ok(client)
    }

    /// Waits until the node has let us in.
    fn await_ready(&mut self, expected: NodeId) -> Result<(), ClientError> {
        let deadline = self.now() + HANDSHAKE_TIMEOUT;
        while self.link.session().node().is_none() {
            if self.now() >= deadline {
                return Err(ClientError::Unreachable("it does not answer".to_owned()));
            }
            self.turn(Some(deadline))?;
        }
        self.link.set_nodelay();
        let node = self.link.session().node().unwrap_or_default();
        if expected != NodeId::default() && node != expected {
            let why = format!("node {} answers in its place", node.short());
            return Err(ClientError::Unreachable(why));
        }
        Ok(())
    }

    /// Connects anew, as soon as a node answers: the others that were named are tried before this one. What was under way
    /// is not begun again.
    ///
    /// # Errors
    /// None has let us in for `OPERATION_TIMEOUT`.
    pub(super) fn connect_again(&mut self) -> Result<(), ClientError> {
        let begun = std::time::Instant::now();
        let (present, mut others) = self.by_presence();
        // Each in its turn: those after this one first.
        let place = self.peers.iter().position(|peer| present.contains(peer)).unwrap_or(0);
        let count = others.len();
        others.rotate_left(place.min(count));
        others.extend(present);
        loop {
            match Self::connect_unless(self.interrupt.as_ref(), &others, &self.access) {
                Ok(client) => {
                    *self = client.allow_future(self.allow_future);
                    return Ok(());
                }
                Err(ClientError::Aborted) => return Err(ClientError::Aborted),
                Err(_) if begun.elapsed() < OPERATION_TIMEOUT => {
                    std::thread::sleep(REDIAL_FIRST);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// How many other nodes were named.
    pub(super) fn choices(&mut self) -> usize {
        self.by_presence().1.len()
    }

    /// Where the present node is, and where others are, by all that was named.
    fn by_presence(&mut self) -> (Vec<PeerAddress>, Vec<PeerAddress>) {
        let node = self.link.session().node();
        let is_present =
            |peer: &PeerAddress| Some(peer.node) == node || peer.address == self.address;
        self.peers.iter().cloned().partition(is_present)
    }

    /// Where the node was reached.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether a version may be signed though it is dated over a day beyond this machine's calendar.
    #[must_use]
    pub fn allow_future(mut self, allow: bool) -> Self {
        self.allow_future = allow;
        self
    }

    /// Begins an operation; its events come from `wait`.
    pub fn start(&mut self, operation: Operation) -> Op {
        let Now { instant, wall_ms } = self.clock.now();
        let calendar = (!self.allow_future).then_some(wall_ms);
        self.link.session().set_calendar(calendar);
        self.link.session().start(instant, operation)
    }

    /// Gives a put its next bytes. Says how many it has taken; `NeedData` asks for more.
    pub fn feed(&mut self, op: Op, bytes: &[u8]) -> usize {
        self.link.session().feed(op, bytes)
    }

    /// The put has all its bytes.
    pub fn feed_end(&mut self, op: Op) {
        self.link.session().feed_end(op);
    }

    /// Gives up an operation.
    pub fn abort(&mut self, op: Op) {
        self.link.session().abort(op);
    }

    /// The next event. Only to be called while an operation is under way; an error is the connection's, and every
    /// operation has ended with it.
    pub fn wait(&mut self) -> Result<Event, ClientError> {
        let now = self.now();
        self.link.session().resume(now);
        loop {
            self.check_interrupt()?;
            match self.link.session().poll_event() {
                Some(Event::Ready { .. }) => {}
                Some(event) => {
                    self.link.session().pause();
                    return Ok(event);
                }
                None => match &self.failed {
                    Some(error) => return Err(error.clone()),
                    None => self.turn_or_fail(None),
                },
            }
        }
    }

    /// Serves the connection without waiting for anything: for a program whose input is slow. False
    /// once the connection is broken.
    pub(super) fn poll_once(&mut self) -> bool {
        if self.failed.is_none() {
            self.turn_or_fail(Some(self.now()));
        }
        self.failed.is_none() && self.check_interrupt().is_ok()
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self) {
        let now = self.now();
        self.link.send(now);
    }

    fn check_interrupt(&self) -> Result<(), ClientError> {
        match &self.interrupt {
            Some(interrupt) if interrupt.is_requested() => Err(ClientError::Aborted),
            Some(_) | None => Ok(()),
        }
    }

    /// One turn; a broken connection ends every operation.
    fn turn_or_fail(&mut self, deadline: Option<Instant>) {
        // An interrupt is noticed by whoever waits.
        if let Err(error) = self.turn(deadline)
            && error != ClientError::Aborted
        {
            let why = match &error {
                ClientError::Disconnected(why) => why.clone(),
                error => error.to_string(),
            };
            self.failed = Some(self.link.session().closed(&why));
        }
    }

    fn now(&self) -> Instant {
        self.clock.now().instant
    }

    fn turn(&mut self, deadline: Option<Instant>) -> Result<(), ClientError> {
        self.check_interrupt()?;
        let now = self.now();
        self.link.send(now);
        if self.link.is_readable() && self.link.receive(now, &mut self.buffer)? {
            return self.link.handle_timeout(now);
        }
        let due = self.link.session().poll_timeout().into_iter().chain(deadline).min();
        let timeout = due.map(|due| due.since(now) + Duration::from_micros(100));
        let timeout = match &self.interrupt {
            Some(_) => Some(timeout.map_or(NOTICE, |timeout| timeout.min(NOTICE))),
            None => timeout,
        };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ClientError::Disconnected(error.to_string())),
        }
        self.events.iter().for_each(|event| self.link.ready(event));
        self.link.take_error()?;
        if self.link.is_readable() {
            // Looked at first: what came while the program was busy was not late.
            return Ok(());
        }
        self.link.handle_timeout(self.now())
    }
}
