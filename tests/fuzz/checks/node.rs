//! A whole node on a simulated disk, and up to three others who hold the network key and say what
//! the input makes them say: messages of any kind, records well signed, streams true and false.
//!
//! Knows no rule of the server. Invariant: the node never panics, keeps the rules of the connection,
//! gives all memory back, and its disk opens again.

use super::Input;
use super::frames::Story;
use bytes::Bytes;
use dfsd::conn::{Conn, ConnKeys, Side};
use dfsd::crypto::keys::{NetworkKey, NodeKey, RootKey, WriteKey};
use dfsd::crypto::sign::{SignKey, sign};
use dfsd::crypto::{tags, tree};
use dfsd::daemon::{self, Options};
use dfsd::ids::{Address, Hash, StoreId};
use dfsd::limits::{LEAF, MEMORY_MIN, PERMIT_LIFE, RECORD_MAX};
use dfsd::node::{Action, Link, Node};
use dfsd::server::work::{Job, execute};
use dfsd::store::{Config, Disk};
use dfsd::testing::SimFs;
use dfsd::time::{Instant, Now, stamp_after, stamp_at};
use dfsd::wire::condition::{Condition, HeadsSummary};
use dfsd::wire::frame::Open;
use dfsd::wire::message::{BlockRef, Hello, Message, PushedRecord, Role};
use dfsd::wire::record::Record;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;
use std::time::Duration;

/// More would only make one execution slow.
const STEPS_MAX: usize = 64;
const PEERS: usize = 3;
const START: Now = Now { instant: Instant(1_000_000), wall_ms: 1_795_305_600_000 };
/// Longer than the longest pause before a node tries again to get what a record lacks.
const REST_MS: u64 = 90_000;
/// Bytes moved at once.
const PIECE: usize = 64 * 1024;
/// Stands in a message for the address of a block, whose number follows.
const MARK: &[u8] = b"@@";
/// Lengths of the blocks that the peers have.
const BLOCKS: [usize; 6] = [5, 40_000, 65_536, 65_537, 100_000, 1 << 20];

/// What all executions share.
struct Network {
    key: NetworkKey,
    write: SignKey,
    grant: Vec<u8>,
    node: NodeKey,
    peers: Vec<NodeKey>,
    blocks: Vec<(Bytes, Vec<Hash>, Address)>,
}

fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| {
        let root = RootKey::generate(&[1; 32]);
        let write = WriteKey::generate(&[3; 32]);
        let grant = dfsd::keyring::grant::grant(&root, &write.public(), 1_000);
        let block = |length: usize| {
            let bytes: Vec<u8> = (0..length).map(|at| (at / 7) as u8).collect();
            let leaves = tree::leaf_hashes(&bytes);
            let address = Address(tree::root(&leaves).0);
            (Bytes::from(bytes), leaves, address)
        };
        Network {
            key: NetworkKey::generate(&[2; 32], &root),
            write,
            grant,
            node: NodeKey::generate(&[4; 32]),
            peers: (10..10 + PEERS as u8).map(|who| NodeKey::generate(&[who; 32])).collect(),
            blocks: BLOCKS.into_iter().map(block).collect(),
        }
    })
}

pub(super) fn node(data: &[u8]) {
    let mut input = Input(data);
    let mut bench = Bench::new(SimFs::new(), START);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        bench.step(&mut input);
    }
    bench.end();
}

/// Somebody connected.
struct Peer {
    link: Link,
    conn: Conn,
    story: Story,
}

struct Bench {
    now: Now,
    fs: SimFs,
    disk: Disk<SimFs>,
    node: Node,
    peers: [Option<Peer>; PEERS],
    jobs: VecDeque<Job>,
    /// How many connections there have been, for entropy that is never used twice.
    count: u8,
}

impl Bench {
    fn new(fs: SimFs, now: Now) -> Self {
        let (node, disk) = start(&fs, now);
        let mut bench = Self {
            now,
            fs,
            disk,
            node,
            peers: [const { None }; PEERS],
            jobs: VecDeque::new(),
            count: 0,
        };
        bench.settle();
        bench
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let first = input.byte();
        let who = usize::from(first >> 6) % PEERS;
        match first & 15 {
            0..=4 => self.message(who, input),
            5 | 6 => self.record(who, input),
            7 | 8 => self.stream(who, input),
            9 => self.wait(u64::from(input.number()) * 4),
            10 | 11 => self.connect(who, first & 0x30),
            12 => self.hang_up(who),
            13 => self.abort(who),
            14 => self.do_jobs(1 + usize::from(input.byte())),
            _ => self.do_jobs(usize::MAX),
        }
        self.settle();
        if first & 0x20 == 0 {
            self.do_jobs(usize::MAX);
        }
    }

    /// A connection with its hello, as a node, a client, or a node that says nothing.
    fn connect(&mut self, who: usize, role: u8) {
        self.hang_up(who);
        let own = network();
        self.count += 1;
        let keys = keys_of(&own.peers[who]);
        let mut conn = Conn::new(Side::Dialer, &keys, [self.count; 32], self.now.instant);
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let link = self.node.accepted(self.now, from, [255 - self.count; 32]);
        let link = link.expect("there is room for three");
        if role != 0x30 {
            conn.send(&Message::Hello(Hello {
                role: if role & 0x10 == 0 { Role::Node } else { Role::Client },
                verify_key: own.peers[who].verify_key(),
                boot: u64::from(self.count),
                addresses: vec![format!("127.0.0.1:{}", 7500 + who)],
                store: StoreId([who as u8; 16]),
                group: 0,
                clock: 0,
            }));
        }
        self.peers[who] = Some(Peer { link, conn, story: Story::default() });
    }

    fn send(&mut self, who: usize, message: &Message) {
        if self.peers[who].is_none() {
            self.connect(who, 0);
        }
        if let Some(peer) = &mut self.peers[who] {
            peer.conn.send(message);
        }
    }

    /// A message as it stands in the input, where marks become addresses.
    fn message(&mut self, who: usize, input: &mut Input<'_>) {
        let length = usize::from(input.number() & 0x0fff);
        let mut bytes = input.bytes(length).to_vec();
        set_addresses(&mut bytes);
        if let Ok(mut message) = Message::decode(&bytes) {
            self.permit(&mut message);
            self.send(who, &message);
        }
    }

    /// A permit that says that it never ends is one by somebody who may, and good for an hour.
    fn permit(&self, message: &mut Message) {
        let (permit, blocks) = match message {
            Message::Offer { permit: Some(permit), blocks, .. } => (permit, blocks.clone()),
            Message::PutPage { permit: Some(permit), page, .. } => {
                let (address, length) = (Address(tree::tree(page).0), page.len() as u32);
                (permit, vec![BlockRef { address, length }])
            }
            _ => return,
        };
        if permit.not_after == u64::MAX {
            permit.not_after = stamp_after(stamp_at(self.now.wall_ms), PERMIT_LIFE);
            permit.signer = network().write.public();
            permit.signature = sign(&network().write, tags::PERMIT, &permit.signed_bytes(&blocks));
        }
    }

    /// A record as it stands in the input, but signed by somebody who may; put or pushed.
    fn record(&mut self, who: usize, input: &mut Input<'_>) {
        let (how, length) = (input.byte(), usize::from(input.number()) % RECORD_MAX);
        let mut bytes = input.bytes(length).to_vec();
        set_addresses(&mut bytes);
        let Ok(mut record) = Record::decode(&bytes) else {
            return;
        };
        record.signer = network().write.public();
        record.signature = sign(&network().write, tags::RECORD, &record.signed_bytes());
        let record = Bytes::from(record.to_bytes());
        if record.len() > RECORD_MAX {
            return;
        }
        let block = network().blocks[0].0.clone();
        let blocks = if how & 2 == 0 { Vec::new() } else { vec![block.clone()] };
        let block = if how & 2 == 0 { Bytes::new() } else { block };
        let request = u32::from(how);
        let conditions = match how >> 2 & 3 {
            0 => Vec::new(),
            1 => vec![Condition::Absent],
            2 => vec![Condition::Newest],
            _ => vec![Condition::Unchanged(HeadsSummary::default())],
        };
        let message = if how & 1 == 0 {
            Message::Put { request, conditions, records: vec![record], blocks }
        } else {
            Message::Records { items: vec![PushedRecord { record, block }] }
        };
        self.send(who, &message);
    }

    /// Leaves of a block, one perhaps wrong, perhaps not all.
    fn stream(&mut self, who: usize, input: &mut Input<'_>) {
        let (which, first, count) = (input.byte(), input.byte(), input.byte());
        let flaw = input.byte();
        let Some(peer) = self.peers[who].as_mut().filter(|peer| !peer.conn.is_streaming()) else {
            return;
        };
        let (block, leaves, address) = &network().blocks[usize::from(which) % BLOCKS.len()];
        let first = first % leaves.len() as u8;
        let count = count % (leaves.len() as u8 - first) + 1;
        let length = block.len() as u32;
        let (address, leaves) = (*address, leaves.clone());
        peer.conn.open_stream(&Open { address, length, first, count, leaves });
        let leaves = block.chunks(LEAF).skip(first.into()).take(count.into());
        for (index, leaf) in leaves.enumerate() {
            let mut leaf = leaf.to_vec();
            if flaw & 0x80 != 0 && index == usize::from(flaw & 0x1f) {
                leaf[0] ^= 1;
            }
            if flaw & 0x40 != 0 && index == usize::from(flaw & 0x1f) {
                return;
            }
            peer.conn.push_chunk(Bytes::from(leaf));
        }
    }

    fn abort(&mut self, who: usize) {
        if let Some(peer) = &mut self.peers[who] {
            peer.conn.abort_stream();
        }
    }

    fn hang_up(&mut self, who: usize) {
        if let Some(peer) = self.peers[who].take() {
            self.node.closed(self.now, peer.link);
        }
    }

    /// Time passes, and what is due is done.
    fn wait(&mut self, length_ms: u64) {
        let end = self.now.instant + Duration::from_millis(length_ms);
        self.do_jobs(usize::MAX);
        while let Some(due) = self.node.poll_timeout().filter(|due| *due <= end) {
            self.set_time(due);
            self.node.handle_timeout(self.now);
            self.settle();
            self.do_jobs(usize::MAX);
        }
        self.set_time(end);
    }

    fn set_time(&mut self, to: Instant) {
        let passed = to.since(self.now.instant);
        self.now.instant = self.now.instant.max(to);
        self.now.wall_ms += passed.as_millis() as u64;
    }

    fn do_jobs(&mut self, count: usize) {
        for _ in 0..count {
            let Some(job) = self.jobs.pop_front() else {
                return;
            };
            let done = execute(&self.disk, job);
            self.node.done(self.now, done);
            self.settle();
        }
    }

    /// Moves bytes until nothing moves.
    fn settle(&mut self) {
        loop {
            let mut moved = self.take_actions();
            for who in 0..PEERS {
                moved |= self.pump(who);
            }
            if !moved {
                return;
            }
        }
    }

    fn take_actions(&mut self) -> bool {
        let mut any = false;
        while let Some(action) = self.node.poll_action() {
            any = true;
            match action {
                Action::Dial { link, .. } => self.node.closed(self.now, link),
                Action::Close { link, .. } => {
                    let mut last = Vec::new();
                    self.node.transmit(self.now, link, &mut last, PIECE);
                    for peer in &mut self.peers {
                        peer.take_if(|peer| peer.link == link);
                    }
                    self.node.closed(self.now, link);
                }
                Action::Job(job) => self.jobs.push_back(job),
                Action::Transmit { .. } | Action::Read { .. } | Action::Event { .. } => {}
                Action::Stopped(outcome) => panic!("the node stopped: {outcome:?}"),
            }
        }
        any
    }

    fn pump(&mut self, who: usize) -> bool {
        let Some(peer) = &mut self.peers[who] else {
            return false;
        };
        let (mut out, mut back) = (Vec::new(), Vec::new());
        if self.node.read_max(peer.link) > 0 {
            peer.conn.transmit(self.now.instant, &mut out, PIECE);
            self.node.received(self.now, peer.link, &out);
        }
        self.node.transmit(self.now, peer.link, &mut back, PIECE);
        peer.conn.received(self.now.instant, &back).expect("a node keeps the rules");
        while let Some(event) = peer.conn.poll_event() {
            peer.story.hear(&event);
        }
        !out.is_empty() || !back.is_empty()
    }

    /// Everybody goes; nothing is kept for nobody, and what is on the disk opens.
    fn end(mut self) {
        self.do_jobs(usize::MAX);
        for who in 0..PEERS {
            self.hang_up(who);
        }
        self.wait(REST_MS);
        let gauge = self.node.gauge();
        assert!(gauge.reserved == 0 && gauge.outbox == 0 && gauge.partial == 0, "{gauge:?}");
        let summary = self.node.summary();
        let mut next = Self::new(self.fs.restart(), self.now);
        next.wait(REST_MS);
        let again = next.node.summary();
        assert!(again == summary, "{summary:?}, then {again:?}");
    }
}

/// A node on what the disk has.
fn start(fs: &SimFs, now: Now) -> (Node, Disk<SimFs>) {
    let own = network();
    let config = Config { segment: 64 * 1024, ..Config::default() };
    let opened = daemon::open(fs.clone(), config, own.key.root, [9; 16]);
    let opened = opened.expect("the disk opens");
    assert!(opened.notes().is_empty(), "{:?}", opened.notes());
    let options = Options {
        addresses: vec!["127.0.0.1:7400".to_owned()],
        grants: vec![own.grant.clone()],
        memory: MEMORY_MIN,
        ..Options::new(&own.key, &own.node)
    };
    opened.start(options, now)
}

fn keys_of(node: &NodeKey) -> ConnKeys {
    let key = &network().key;
    ConnKeys::new(key, node)
}

/// Puts the address of a block over each mark and what follows it.
fn set_addresses(bytes: &mut [u8]) {
    let mut at = 0;
    while at + 32 <= bytes.len() {
        if bytes[at..].starts_with(MARK) {
            let (_, _, address) = &network().blocks[usize::from(bytes[at + 2]) % BLOCKS.len()];
            bytes[at..at + 32].copy_from_slice(&address.0);
            at += 32;
        } else {
            at += 1;
        }
    }
}
