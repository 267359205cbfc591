//! One session and its socket: readiness in, bytes to and fro, never waiting.
//!
//! Moves bytes and decides nothing; who polls is who owns it: `Client` one of them, `dfs-load` thousands. Invariant: like
//! every socket on mio, readiness is remembered and cleared only by `WouldBlock`.

use super::remote::{Entropy, RemoteSession};
use crate::keyring::Access;
use crate::session::ClientError;
use crate::time::Instant;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rand::TryRng;
use rand::rngs::SysRng;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

/// One read, and about one write.
pub const BATCH: usize = 256 * 1024;

/// A socket that is to be opened.
#[derive(Debug)]
pub struct Socket<'a> {
    /// Where its events come from.
    pub registry: &'a Registry,
    /// What they say that they are of.
    pub token: Token,
    /// Where to.
    pub address: SocketAddr,
}

/// See the module.
#[allow(missing_debug_implementations, reason = "it holds keys")]
pub struct Link {
    stream: TcpStream,
    session: RemoteSession,
    readable: bool,
    writable: bool,
    unsent: Vec<u8>,
    sent: usize,
}

impl Link {
    /// Begins to connect.
    pub fn connect(socket: &Socket<'_>, access: Access, now: Instant) -> io::Result<Self> {
        let mut stream = TcpStream::connect(socket.address)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        socket.registry.register(&mut stream, socket.token, both)?;
        let entropy = Entropy { key: random(), handshake: random() };
        Ok(Self {
            stream,
            session: RemoteSession::new(access, &entropy, now),
            readable: false,
            writable: false,
            unsent: Vec::new(),
            sent: 0,
        })
    }

    /// What the bytes mean.
    #[must_use]
    pub fn session(&mut self) -> &mut RemoteSession {
        &mut self.session
    }

    /// Small messages are not to wait for each other. Only once the socket is connected.
    pub fn set_nodelay(&self) {
        let _ = self.stream.set_nodelay(true);
    }

    /// Notes what mio says of the socket.
    pub fn ready(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable();
    }

    /// Whether there may be something to read: no further event will say so.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// An error of the socket itself, such as a connection that was refused.
    pub fn take_error(&self) -> Result<(), ClientError> {
        match self.stream.take_error() {
            Ok(Some(error)) => Err(ClientError::Unreachable(error.to_string())),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Reads once. True if something came; an error ends the session.
    pub fn receive(&mut self, now: Instant, buffer: &mut [u8]) -> Result<bool, ClientError> {
        match self.stream.read(buffer) {
            Ok(0) => Err(self.session.closed("the node closed it")),
            Ok(count) => self.session.received(now, &buffer[..count]).map(|()| true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(false)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(self.session.closed(&error.to_string())),
        }
    }

    /// Writes as much as there is, and as the socket takes.
    pub fn send(&mut self, now: Instant) {
        while self.writable {
            if self.sent == self.unsent.len() {
                self.sent = 0;
                self.unsent.clear();
                self.session.transmit(now, &mut self.unsent, BATCH);
                if self.unsent.is_empty() {
                    return;
                }
            }
            match self.stream.write(&self.unsent[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::NotConnected => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What the node said before it went is still to be read.
                Err(_) => {
                    self.writable = false;
                    self.readable = true;
                }
            }
        }
    }

    /// Ends what took too long. An error ends the session.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ClientError> {
        if self.session.poll_timeout().is_some_and(|due| due <= now) {
            self.session.handle_timeout(now)?;
        }
        Ok(())
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
