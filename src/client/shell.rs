//! The blocking shell: one socket for one session, and a thread that waits for it.
//!
//! Moves bytes and decides nothing. Invariant: nothing is read from the socket while events wait to be taken, so that a
//! slow program slows the node down and not its own memory up.

use super::answer::{Event, Op, Operation};
use super::error::ClientError;
use super::session::{Entropy, Session};
use crate::ids::NodeId;
use crate::keyring::Access;
use crate::limits::HANDSHAKE_TIMEOUT;
use crate::time::Instant;
use crate::wire::message::PeerAddress;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rand::TryRng;
use rand::rngs::SysRng;
use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::time::Duration;

/// One read, and about one write.
const BATCH: usize = 256 * 1024;

/// A connection to one node of a network.
#[allow(missing_debug_implementations, reason = "it holds keys")]
pub struct Client {
    poll: Poll,
    events: Events,
    stream: TcpStream,
    session: Session,
    origin: std::time::Instant,
    readable: bool,
    writable: bool,
    unsent: Vec<u8>,
    sent: usize,
    buffer: Vec<u8>,
    address: String,
    failed: Option<ClientError>,
}

impl Client {
    /// Connects to the first of these nodes that answers and is the one that it should be. A default id takes any node of
    /// the network.
    pub fn connect(peers: &[PeerAddress], access: &Access) -> Result<Self, ClientError> {
        let mut errors = Vec::new();
        for peer in peers {
            match Self::connect_to(peer, access) {
                Ok(client) => return Ok(client),
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

    fn connect_to(peer: &PeerAddress, access: &Access) -> Result<Self, ClientError> {
        let unreachable = |error: io::Error| ClientError::Unreachable(error.to_string());
        let mut last = ClientError::Unreachable("the name leads nowhere".to_owned());
        for address in peer.address.to_socket_addrs().map_err(unreachable)? {
            let connected = TcpStream::connect(address)
                .map_err(unreachable)
                .and_then(|stream| Self::open(stream, peer, access));
            match connected {
                Ok(client) => return Ok(client),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn open(
        mut stream: TcpStream,
        peer: &PeerAddress,
        access: &Access,
    ) -> Result<Self, ClientError> {
        let unreachable = |error: io::Error| ClientError::Unreachable(error.to_string());
        let poll = Poll::new().map_err(unreachable)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(0), interest).map_err(unreachable)?;
        let entropy = Entropy { key: random(), handshake: random() };
        let mut client = Self {
            poll,
            events: Events::with_capacity(8),
            stream,
            session: Session::new(access.clone(), &entropy, Instant(0)),
            origin: std::time::Instant::now(),
            readable: false,
            writable: false,
            unsent: Vec::new(),
            sent: 0,
            buffer: vec![0; BATCH],
            address: peer.address.clone(),
            failed: None,
        };
        client.await_ready(peer.node)?;
        Ok(client)
    }

    /// Waits until the node has let us in.
    fn await_ready(&mut self, expected: NodeId) -> Result<(), ClientError> {
        let deadline = self.now() + HANDSHAKE_TIMEOUT;
        while self.session.node().is_none() {
            if self.now() >= deadline {
                return Err(ClientError::Unreachable("it does not answer".to_owned()));
            }
            self.turn(Some(deadline))?;
        }
        let _ = self.stream.set_nodelay(true);
        let node = self.session.node().unwrap_or_default();
        if expected != NodeId::default() && node != expected {
            let why = format!("node {} answers in its place", node.short());
            return Err(ClientError::Unreachable(why));
        }
        Ok(())
    }

    /// Where the node was reached.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Begins an operation; its events come from `wait`.
    pub fn start(&mut self, operation: Operation) -> Op {
        let now = self.now();
        self.session.start(now, operation)
    }

    /// Gives a put its next bytes. Says how many it has taken; `NeedData` asks for more.
    pub fn feed(&mut self, op: Op, bytes: &[u8]) -> usize {
        self.session.feed(op, bytes)
    }

    /// The put has all its bytes.
    pub fn feed_end(&mut self, op: Op) {
        self.session.feed_end(op);
    }

    /// Gives up an operation.
    pub fn abort(&mut self, op: Op) {
        self.session.abort(op);
    }

    /// The next event. Only to be called while an operation is under way; an error is the connection's, and every
    /// operation has ended with it.
    pub fn wait(&mut self) -> Result<Event, ClientError> {
        let now = self.now();
        self.session.resume(now);
        loop {
            match self.session.poll_event() {
                Some(Event::Ready { .. }) => {}
                Some(event) => {
                    self.session.pause();
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
    pub(super) fn breathe(&mut self) -> bool {
        if self.failed.is_none() {
            self.turn_or_fail(Some(self.now()));
        }
        self.failed.is_none()
    }

    /// One turn; a broken connection ends every operation.
    fn turn_or_fail(&mut self, deadline: Option<Instant>) {
        if let Err(error) = self.turn(deadline) {
            let why = match &error {
                ClientError::Disconnected(why) => why.clone(),
                error => error.to_string(),
            };
            self.failed = Some(self.session.closed(&why));
        }
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn turn(&mut self, deadline: Option<Instant>) -> Result<(), ClientError> {
        self.write()?;
        if self.readable && self.read()? {
            return self.handle_timeout();
        }
        let now = self.now();
        let due = self.session.poll_timeout().into_iter().chain(deadline).min();
        let patience = due.map(|due| due.since(now) + Duration::from_micros(100));
        match self.poll.poll(&mut self.events, patience) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ClientError::Disconnected(error.to_string())),
        }
        for event in &self.events {
            self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            self.writable |= event.is_writable();
        }
        if let Ok(Some(error)) = self.stream.take_error() {
            return Err(ClientError::Unreachable(error.to_string()));
        }
        if self.readable {
            // Looked at first: what came while the program was busy was not late.
            return Ok(());
        }
        self.handle_timeout()
    }

    fn handle_timeout(&mut self) -> Result<(), ClientError> {
        let now = self.now();
        if self.session.poll_timeout().is_some_and(|due| due <= now) {
            self.session.handle_timeout(now)?;
        }
        Ok(())
    }

    /// True if something came.
    fn read(&mut self) -> Result<bool, ClientError> {
        match self.stream.read(&mut self.buffer) {
            Ok(0) => {
                let error = self.session.closed("the node closed it");
                self.failed = Some(error.clone());
                Err(error)
            }
            Ok(count) => {
                let now = self.now();
                self.session.received(now, &self.buffer[..count])?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(self.session.closed(&error.to_string())),
        }
    }

    fn write(&mut self) -> Result<(), ClientError> {
        while self.writable {
            if self.sent == self.unsent.len() {
                self.sent = 0;
                self.unsent.clear();
                let now = self.now();
                self.session.transmit(now, &mut self.unsent, BATCH);
                if self.unsent.is_empty() {
                    return Ok(());
                }
            }
            match self.stream.write(&self.unsent[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What the node said before it went is still to be read.
                Err(_) => {
                    self.writable = false;
                    self.readable = true;
                }
            }
        }
        Ok(())
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
