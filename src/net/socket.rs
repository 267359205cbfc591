//! One socket's side of a connection: what mio has said of it, and what it would not take yet.
//!
//! mio is edge-triggered: readiness is remembered here and cleared only by `WouldBlock`. Invariant: an idle socket owns
//! no buffer.

use crate::node::Link;
use mio::net::TcpStream;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

/// A connection's socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    pub(super) link: Link,
    state: State,
    pub(super) readable: bool,
    /// The other side has said that nothing more comes, or the connection has failed: that is found by reading on.
    pub(super) ending: bool,
    pub(super) writable: bool,
    /// It stands in the loop's queue.
    pub(super) queued: bool,
    /// Sealed, and not yet taken by the socket.
    unsent: Vec<u8>,
    sent: usize,
}

#[derive(Debug)]
enum State {
    /// Dialled, and the outcome is not known yet; the addresses to try if it fails.
    Connecting(VecDeque<SocketAddr>),
    Open,
}

/// What a read or write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now; mio will tell.
    Blocked,
    /// The connection has ended.
    Ended,
}

impl Socket {
    /// One that was accepted.
    pub(super) fn accepted(stream: TcpStream, link: Link) -> Self {
        Self::new(stream, link, State::Open)
    }

    /// One whose connection is under way.
    pub(super) fn dialled(stream: TcpStream, link: Link, others: VecDeque<SocketAddr>) -> Self {
        Self::new(stream, link, State::Connecting(others))
    }

    fn new(stream: TcpStream, link: Link, state: State) -> Self {
        let open = matches!(state, State::Open);
        Self {
            stream,
            link,
            state,
            readable: open,
            ending: false,
            writable: open,
            queued: false,
            unsent: Vec::new(),
            sent: 0,
        }
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting(_))
    }

    /// The other side has answered.
    pub(super) fn become_connected(&mut self) {
        self.state = State::Open;
        self.readable = true;
    }

    /// What is left to be tried of a dialled one that has failed.
    pub(super) fn into_others(self) -> (Link, VecDeque<SocketAddr>) {
        match self.state {
            State::Connecting(others) => (self.link, others),
            State::Open => (self.link, VecDeque::new()),
        }
    }

    /// Whether bytes may be written now.
    pub(super) fn takes_bytes(&self) -> bool {
        self.writable && !self.is_connecting()
    }

    /// Nothing waits to be taken by the socket.
    pub(super) fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// One read into `buffer`.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Progress {
        match outcome(|| self.stream.read(buffer)) {
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
    pub(super) fn send(&mut self, bytes: &[u8]) -> Progress {
        debug_assert!(self.is_flushed(), "what came before goes first");
        let (taken, progress) = self.write_all(bytes);
        self.unsent.extend_from_slice(&bytes[taken..]);
        progress
    }

    /// Writes what was kept, until all is taken or the socket takes no more.
    pub(super) fn flush(&mut self) -> Progress {
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

    fn write_all(&mut self, bytes: &[u8]) -> (usize, Progress) {
        let mut taken = 0;
        while taken < bytes.len() {
            match outcome(|| self.stream.write(&bytes[taken..])) {
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
}

fn outcome(mut attempt: impl FnMut() -> io::Result<usize>) -> Progress {
    loop {
        match attempt() {
            Ok(count) => return Progress::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Blocked,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Progress::Ended,
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
        (Socket::accepted(TcpStream::from_std(ours), 1), theirs)
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
