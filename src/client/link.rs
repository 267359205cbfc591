//! One session and its socket: readiness in, bytes to and fro, never waiting.
//!
//! Moves bytes and decides nothing; who polls is who owns it: `Client` one of them, `dfs-load` thousands. Invariant: what
//! the socket would not take goes before anything new.

use super::remote::{Entropy, RemoteSession};
use crate::keyring::Access;
use crate::net::{Progress, Socket, entropy};
use crate::session::ClientError;
use crate::time::Instant;
use mio::event::Event;
use mio::{Registry, Token};
use std::io;
use std::net::SocketAddr;

/// One read, and about one write.
pub const BATCH: usize = 256 * 1024;

/// See the module.
#[allow(missing_debug_implementations, reason = "it holds keys")]
pub struct Link {
    socket: Socket,
    session: RemoteSession,
    outward: Vec<u8>,
}

impl Link {
    /// Begins to connect. Events come from this registry, by this token.
    pub fn connect(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        access: Access,
        now: Instant,
    ) -> io::Result<Self> {
        let mut socket = Socket::connect(address)?;
        socket.register(registry, token)?;
        let entropy = Entropy { key: entropy(), handshake: entropy() };
        let session = RemoteSession::new(access, &entropy, now);
        Ok(Self { socket, session, outward: Vec::new() })
    }

    /// What the bytes mean.
    #[must_use]
    pub fn session(&mut self) -> &mut RemoteSession {
        &mut self.session
    }

    /// Small messages are not to wait for each other. Only once the socket is connected.
    pub fn set_nodelay(&self) {
        self.socket.set_nodelay();
    }

    /// Notes what mio says of the socket.
    pub fn ready(&mut self, event: &Event) {
        self.socket.ready(event);
    }

    /// Whether there may be something to read: no further event will say so.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.socket.is_readable()
    }

    /// An error of the socket itself, such as a connection that was refused.
    pub fn take_error(&mut self) -> Result<(), ClientError> {
        let connected = self.socket.is_connected();
        connected.map(drop).map_err(|error| ClientError::Unreachable(error.to_string()))
    }

    /// Reads once. True if something came; an error ends the session.
    pub fn receive(&mut self, now: Instant, buffer: &mut [u8]) -> Result<bool, ClientError> {
        match self.socket.read(buffer) {
            Progress::Bytes(count) => self.session.received(now, &buffer[..count]).map(|()| true),
            Progress::Blocked => Ok(false),
            Progress::Ended => {
                let failure = self.socket.take_failure().map(|error| error.to_string());
                let why = failure.as_deref().unwrap_or("the node closed it");
                Err(self.session.closed(why))
            }
        }
    }

    /// Writes as much as there is, and as the socket takes.
    pub fn send(&mut self, now: Instant) {
        while self.socket.is_writable() {
            let progress = if self.socket.is_flushed() {
                self.outward.clear();
                self.session.transmit(now, &mut self.outward, BATCH);
                if self.outward.is_empty() {
                    return;
                }
                self.socket.send(&self.outward)
            } else {
                self.socket.flush()
            };
            if progress == Progress::Ended {
                self.socket.end_writing();
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
