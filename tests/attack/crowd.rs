//! Many connections held by one thread: strangers who send bytes, and members who send whatever a test tells them to.
//!
//! Knows no daemon but its address, and no meaning of any message. Invariant: nothing is read for one who is stalled, and
//! nothing is sent that the test did not ask for.

use bytes::Bytes;
use dfsd::conn::{Conn, ConnKeys, Event, Side};
use dfsd::crypto::keys::NodeKey;
use dfsd::crypto::tree;
use dfsd::keyring::Access;
use dfsd::keyring::permit::permit;
use dfsd::limits::{LEAF, PERMIT_LIFE};
use dfsd::time::{Instant, stamp_after, stamp_at};
use dfsd::wire::frame::Open;
use dfsd::wire::message::{BlockRef, Hello, Message, Role};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rand::TryRng;
use rand::rngs::SysRng;
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Handshakes under way at a time: a daemon drops strangers beyond 256.
const AT_ONCE: usize = 64;
/// Source addresses, each with ports of its own.
const SOURCES: u8 = 16;

/// One connection.
pub(super) struct Attacker {
    stream: TcpStream,
    conn: Option<Conn>,
    unsent: Vec<u8>,
    /// It takes nothing off its socket.
    pub(super) stalled: bool,
    /// The daemon has closed it.
    pub(super) gone: bool,
    ready: bool,
    /// Bytes sent that were no part of any conversation.
    pub(super) sent_raw: usize,
}

/// All of them.
pub(crate) struct Crowd {
    address: SocketAddr,
    access: Access,
    poll: Poll,
    origin: std::time::Instant,
    buffer: Vec<u8>,
    /// Whose turn is next, where each has one a second.
    next: f64,
    pub(super) attackers: Vec<Attacker>,
    /// What has been said to whom since a test last looked.
    pub(super) events: Vec<(usize, Event)>,
}

impl Crowd {
    pub(crate) fn new(address: SocketAddr, access: &Access) -> Self {
        raise_descriptors();
        Self {
            address,
            access: access.clone(),
            poll: Poll::new().unwrap(),
            origin: std::time::Instant::now(),
            buffer: vec![0; 64 * 1024],
            next: 0.,
            attackers: Vec::new(),
            events: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.origin.elapsed().as_micros()).unwrap())
    }

    /// Opens a connection, and says nothing. Its number.
    pub(super) fn stranger(&mut self) -> usize {
        let source = u8::try_from(self.attackers.len() % usize::from(SOURCES)).unwrap();
        let stream = connect(self.address, source);
        self.add(stream, None)
    }

    fn add(&mut self, mut stream: TcpStream, conn: Option<Conn>) -> usize {
        let index = self.attackers.len();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest).unwrap();
        self.attackers.push(Attacker {
            stream,
            conn,
            unsent: Vec::new(),
            stalled: false,
            gone: false,
            ready: false,
            sent_raw: 0,
        });
        index
    }

    /// Opens connections that end the handshake and say hello.
    pub(crate) fn members(&mut self, count: usize, role: Role) -> std::ops::Range<usize> {
        let first = self.attackers.len();
        while self.attackers.len() < first + count {
            let batch = AT_ONCE.min(first + count - self.attackers.len());
            let begun = self.attackers.len();
            for _ in 0..batch {
                self.member(role);
            }
            let late = std::time::Instant::now() + Duration::from_secs(30);
            while self.attackers[begun..].iter().any(|attacker| !attacker.ready) {
                self.turn(Duration::from_millis(100));
                assert!(std::time::Instant::now() < late, "the handshake does not end");
            }
        }
        first..first + count
    }

    fn member(&mut self, role: Role) {
        let index = self.stranger();
        let key = NodeKey::generate(&random());
        let keys = ConnKeys::new(&self.access.network, &key);
        let mut conn = Conn::new(Side::Dialer, &keys, random(), self.now());
        conn.send(&Message::Hello(Hello {
            role,
            verify_key: key.verify_key(),
            boot: 0,
            addresses: Vec::new(),
            store: Default::default(),
            group: 0,
            clock: 0,
        }));
        self.attackers[index].conn = Some(conn);
        self.flush(index);
    }

    /// Queues a message, and sends what the socket takes.
    pub(crate) fn send(&mut self, index: usize, message: &Message) {
        if let Some(conn) = &mut self.attackers[index].conn {
            conn.send(message);
        }
        self.flush(index);
    }

    /// What `act` does to a connection, sent as far as the socket takes it.
    pub(super) fn with(&mut self, index: usize, act: impl FnOnce(&mut Conn)) {
        if let Some(conn) = &mut self.attackers[index].conn {
            act(conn);
        }
        self.flush(index);
    }

    /// Sends bytes that are no part of any conversation.
    pub(super) fn send_raw(&mut self, index: usize, bytes: &[u8]) {
        let attacker = &mut self.attackers[index];
        attacker.sent_raw += bytes.len();
        attacker.unsent.extend_from_slice(bytes);
        self.flush(index);
    }

    /// Offers blocks, with the permit of a writer.
    pub(super) fn offer(&mut self, index: usize, blocks: Vec<BlockRef>) {
        let write = self.access.write.as_ref().expect("the daemon's own keys");
        let wall = std::time::UNIX_EPOCH.elapsed().unwrap();
        let clock = stamp_at(u64::try_from(wall.as_millis()).unwrap());
        let permit = Some(permit(write, &blocks, stamp_after(clock, PERMIT_LIFE)));
        self.send(index, &Message::Offer { request: 1, blocks, permit });
    }

    /// Puts a block as an honest client does; nothing names it.
    pub(super) fn give(&mut self, index: usize, block: &[u8], reference: BlockRef) {
        self.offer(index, vec![reference]);
        let late = std::time::Instant::now() + Duration::from_secs(10);
        let mut streams = VecDeque::new();
        loop {
            assert!(std::time::Instant::now() < late, "the daemon does not take a block");
            self.turn(Duration::from_millis(10));
            for (_, event) in std::mem::take(&mut self.events) {
                match event {
                    Event::Message(Message::Want { first, count, .. }) => {
                        streams.push_back((first, count));
                    }
                    Event::Message(Message::Have { .. }) => return,
                    _ => {}
                }
            }
            let conn = self.attackers[index].conn.as_mut().expect("a member");
            if !conn.is_streaming()
                && let Some((first, count)) = streams.pop_front()
            {
                let (address, length) = (reference.address, reference.length);
                let leaves = tree::leaf_hashes(block);
                conn.open_stream(&Open { address, length, first, count, leaves });
                for leaf in block.chunks(LEAF).skip(first.into()).take(count.into()) {
                    conn.push_chunk(Bytes::copy_from_slice(leaf));
                }
                self.flush(index);
            }
        }
    }

    /// Whether the socket takes no more.
    pub(super) fn is_stuck(&self, index: usize) -> bool {
        !self.attackers[index].unsent.is_empty()
    }

    /// How many connections the daemon has not closed.
    pub(super) fn alive(&self) -> usize {
        self.attackers.iter().filter(|attacker| !attacker.gone).count()
    }

    /// Those whose turn comes within so much time, if everybody has one a second.
    pub(super) fn due(&mut self, since: Duration) -> Vec<usize> {
        let count = self.attackers.len();
        let last = self.next + count as f64 * since.as_secs_f64().min(1.);
        let due = (self.next as usize..last as usize).map(|at| at % count).collect();
        self.next = last % count as f64;
        due
    }

    /// Waits for something to happen, and takes in all that has.
    pub(crate) fn turn(&mut self, timeout: Duration) {
        let mut events = Events::with_capacity(1024);
        match self.poll.poll(&mut events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            Err(error) => panic!("{error}"),
        }
        for event in &events {
            let Token(index) = event.token();
            self.read(index);
            self.flush(index);
        }
    }

    /// Turns for so long.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = std::time::Instant::now() + duration;
        while let Some(rest) = end.checked_duration_since(std::time::Instant::now()) {
            self.turn(rest.min(Duration::from_millis(100)));
        }
    }

    fn read(&mut self, index: usize) {
        let now = self.now();
        let attacker = &mut self.attackers[index];
        while !attacker.stalled && !attacker.gone {
            match attacker.stream.read(&mut self.buffer) {
                Ok(0) => attacker.gone = true,
                Ok(count) => {
                    if let Some(conn) = &mut attacker.conn {
                        // A daemon that ends the handshake sends a preface first, and no more.
                        attacker.gone |= conn.received(now, &self.buffer[..count]).is_err();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => attacker.gone = true,
            }
        }
        while let Some(event) = attacker.conn.as_mut().and_then(Conn::poll_event) {
            match event {
                Event::Established { .. } => {}
                Event::Message(Message::Hello(_)) => attacker.ready = true,
                event => self.events.push((index, event)),
            }
        }
    }

    fn flush(&mut self, index: usize) {
        let now = self.now();
        let attacker = &mut self.attackers[index];
        loop {
            if attacker.unsent.is_empty() {
                if let Some(conn) = &mut attacker.conn {
                    conn.transmit(now, &mut attacker.unsent, 64 * 1024);
                }
                if attacker.unsent.is_empty() {
                    attacker.unsent = Vec::new();
                    return;
                }
            }
            match attacker.stream.write(&attacker.unsent) {
                Ok(count) => drop(attacker.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    attacker.gone = true;
                    return;
                }
            }
        }
    }
}

/// Connects from one of several addresses of this machine.
pub(super) fn connect(address: SocketAddr, source: u8) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2 + source), 0));
    socket.bind(&from.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    TcpStream::from_std(socket.into())
}

/// As many descriptors as this process may have.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes).unwrap();
    bytes
}
