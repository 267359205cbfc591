//! One socket: what mio has said of it, and what it would not take yet. Every shell has this one: the daemon, a client,
//! the load harness.
//!
//! mio is edge-triggered: readiness is remembered here and cleared only by `WouldBlock`, or by a read that says that there
//! is no more. Invariant: an idle socket owns no buffer.

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

/// See the module.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    readable: bool,
    /// The other side has said that nothing more comes, or the connection has failed: that is found by reading on.
    ending: bool,
    writable: bool,
    /// Not taken yet, and how much of it is.
    unsent: Vec<u8>,
    sent: usize,
    /// Why it has ended, if that is an error.
    failure: Option<io::Error>,
}

/// What a read or write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now; mio will tell.
    Blocked,
    /// The connection has ended; `failure` has why, if that is an error.
    Ended,
}

impl Socket {
    /// One that was accepted: it may be read and written until it says otherwise.
    #[must_use]
    pub fn accepted(stream: TcpStream) -> Self {
        Self::new(stream, true)
    }

    /// One that begins to connect: mio says when it has.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::new(TcpStream::connect(address)?, false))
    }

    fn new(stream: TcpStream, open: bool) -> Self {
        let (unsent, sent, failure) = (Vec::new(), 0, None);
        Self { stream, readable: open, ending: false, writable: open, unsent, sent, failure }
    }

    /// Has mio tell of it, by this token.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Small messages are not to wait for the other side's acknowledgements. It cannot be had on a dying socket only.
    pub fn set_nodelay(&self) {
        let _ = self.stream.set_nodelay(true);
    }

    /// Remembers what mio says of it.
    pub fn ready(&mut self, event: &Event) {
        self.writable |= event.is_writable();
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.readable = true;
            self.ending |= event.is_read_closed() || event.is_error();
        }
    }

    /// Whether there may be something to read: no further event will say so.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// Whether it may take bytes.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Nothing waits to be taken by it.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Whether the other side has answered; an error if it has refused, or cannot be reached.
    pub fn is_connected(&mut self) -> io::Result<bool> {
        match self.stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(self.writable && self.stream.peer_addr().is_ok()),
        }
    }

    /// It is connected: there may be something to read.
    pub fn become_connected(&mut self) {
        self.readable = true;
    }

    /// Why it has ended; nothing if the other side has closed it in order.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// One read into `buffer`.
    pub fn read(&mut self, buffer: &mut [u8]) -> Progress {
        let result = attempt(|| self.stream.read(buffer));
        match self.outcome(result) {
            Progress::Bytes(0) => Progress::Ended,
            Progress::Blocked => {
                self.readable = false;
                Progress::Blocked
            }
            Progress::Bytes(count) => {
                // Less than there was room for was all that had come (epoll(7)): what comes later is told of.
                self.readable = self.ending || count == buffer.len();
                Progress::Bytes(count)
            }
            Progress::Ended => Progress::Ended,
        }
    }

    /// Writes `bytes`, and keeps what the socket does not take.
    pub fn send(&mut self, bytes: &[u8]) -> Progress {
        debug_assert!(self.is_flushed(), "what came before goes first");
        let (taken, progress) = self.write_all(bytes);
        self.unsent.extend_from_slice(&bytes[taken..]);
        progress
    }

    /// Writes what was kept, until all is taken or the socket takes no more.
    pub fn flush(&mut self) -> Progress {
        let unsent = std::mem::take(&mut self.unsent);
        let (taken, progress) = self.write_all(&unsent[self.sent..]);
        self.sent += taken;
        if self.sent < unsent.len() {
            self.unsent = unsent;
        } else {
            self.sent = 0;
        }
        progress
    }

    /// It takes no more: what the other side said before it went is still to be read.
    pub fn end_writing(&mut self) {
        self.writable = false;
        self.readable = true;
    }

    fn write_all(&mut self, bytes: &[u8]) -> (usize, Progress) {
        let mut taken = 0;
        while taken < bytes.len() {
            let result = attempt(|| self.stream.write(&bytes[taken..]));
            match self.outcome(result) {
                Progress::Bytes(0) | Progress::Ended => return (taken, Progress::Ended),
                Progress::Bytes(count) => taken += count,
                Progress::Blocked => {
                    self.writable = false;
                    return (taken, Progress::Blocked);
                }
            }
        }
        (taken, Progress::Bytes(taken))
    }

    fn outcome(&mut self, result: io::Result<usize>) -> Progress {
        match result {
            Ok(count) => Progress::Bytes(count),
            // Not connected yet: mio said more than it knew.
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) =>
            {
                Progress::Blocked
            }
            Err(error) => {
                self.failure = Some(error);
                Progress::Ended
            }
        }
    }
}

/// A signal in the middle is no outcome.
fn attempt(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream as Plain};

    fn pair() -> (Socket, Plain) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = Plain::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        (Socket::accepted(TcpStream::from_std(ours)), theirs)
    }

    #[test]
    fn what_a_full_socket_does_not_take_is_kept_and_goes_first() {
        let (mut socket, mut theirs) = pair();
        let bytes: Vec<u8> = (0..16_000_000_u32).map(|at| (at >> 8) as u8).collect();
        assert_eq!(socket.send(&bytes), Progress::Blocked);
        assert!(!socket.is_flushed() && !socket.writable);
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).unwrap();
            all
        });
        while !socket.is_flushed() {
            assert_ne!(socket.flush(), Progress::Ended);
            std::thread::yield_now();
        }
        assert!(socket.unsent.capacity() == 0, "an idle socket owns no buffer");
        drop(socket);
        assert!(reader.join().unwrap() == bytes);
    }

    #[test]
    fn readiness_is_cleared_by_an_empty_read_and_the_end_is_seen() {
        let (mut socket, mut theirs) = pair();
        let mut buffer = [0; 8];
        assert_eq!(socket.read(&mut buffer), Progress::Blocked);
        assert!(!socket.readable);
        theirs.write_all(b"abc").unwrap();
        while socket.read(&mut buffer) != Progress::Bytes(3) {}
        assert!(!socket.readable, "that was all");
        theirs.write_all(b"abcdefgh").unwrap();
        while socket.read(&mut buffer) != Progress::Bytes(8) {}
        assert!(socket.readable, "there may be more");
        theirs.write_all(b"abc").unwrap();
        socket.ending = true;
        while socket.read(&mut buffer) != Progress::Bytes(3) {}
        assert!(socket.readable, "the end is still to be seen");
        drop(theirs);
        while socket.read(&mut buffer) == Progress::Blocked {}
        assert_eq!(socket.read(&mut buffer), Progress::Ended);
    }
}
