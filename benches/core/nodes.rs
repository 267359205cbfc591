//! Two nodes and a program in one process, without socket, thread or file: what the state machines cost.
//!
//! Bytes are sealed and moved as between machines, and disks are in memory. Knows no time: it stands still but for
//! what the nodes wait for.

use criterion::{Criterion, Throughput};
use dfsd::crypto::data::DataKeys;
use dfsd::crypto::keys::{NetworkKey, NodeKey, RootKey, WriteKey};
use dfsd::daemon::{self, Options};
use dfsd::gateway::Gateway;
use dfsd::keyring::{Access, grant};
use dfsd::node::{Action, Link, Node};
use dfsd::server::work::execute;
use dfsd::session::{Answer, Event, Meta, Op, Operation, Overwrite};
use dfsd::store::values::Group;
use dfsd::store::{self, Disk};
use dfsd::testing::SimFs;
use dfsd::time::{Instant, Now};
use dfsd::wire::message::PeerAddress;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const NAMES: u64 = 2_000;

/// A start over what a disk has, until nothing is left to be done.
pub(super) fn start(fs: SimFs) -> Node {
    let now = Now { instant: Instant(1), wall_ms: 1_795_305_600_000 };
    let mut machine = Machine::over(fs, &NodeKey::generate(&[5; 32]), Vec::new(), now);
    machine.act(now);
    machine.node
}

fn access() -> Access {
    let root = RootKey::generate(&[1; 32]);
    let network = NetworkKey::generate(&[2; 32], &root);
    let sign = WriteKey::generate(&[3; 32]);
    let grant = grant::grant(&root, &sign.public(), 1_000);
    let data = Some(DataKeys::generate(&[4; 32]));
    Access { network, data, write: Some(WriteKey { sign, grant }) }
}

pub(super) struct Machine {
    pub(super) node: Node,
    /// What the disk is.
    pub(super) fs: SimFs,
    disk: Disk<SimFs>,
    /// To the other node.
    link: Option<Link>,
}

impl Machine {
    /// One that has stored this before.
    fn new(key: &NodeKey, peers: Vec<PeerAddress>, now: Now, groups: &[Group]) -> Self {
        let fs = SimFs::new();
        let opened = store::open(fs.clone(), store::Config::default(), [5; 16], drop);
        let (disk, _) = opened.expect("the disk opens");
        for group in groups {
            disk.commit(group).expect("the disk takes it");
        }
        drop(disk);
        Self::over(fs.restart(), key, peers, now)
    }

    /// The same over what a disk has already.
    fn over(fs: SimFs, key: &NodeKey, peers: Vec<PeerAddress>, now: Now) -> Self {
        let (access, config) = (access(), store::Config::default());
        let root = access.network.root;
        let opened = daemon::open(fs.clone(), config, root, [6; 16]).expect("the disk opens");
        let network = &access.network;
        let options = Options { memory: 8 << 20, peers, seed: 7, ..Options::new(network, key) };
        let (node, disk) = opened.start(options, now);
        Self { node, fs, disk, link: None }
    }

    /// Does what the node wants. The link that it dials, if it does.
    fn act(&mut self, now: Now) -> Option<Link> {
        let mut dialled = None;
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Job(job) => self.node.done(now, execute(&self.disk, job)),
                Action::Dial { link, .. } => dialled = Some(link),
                _ => {}
            }
        }
        dialled
    }
}

pub(super) struct Pair {
    pub(super) machines: [Machine; 2],
    gateway: Gateway,
    now: Now,
    count: u64,
    /// Records that both have and neither can complete.
    pub(super) short: u64,
}

impl Pair {
    pub(super) fn new() -> Self {
        Self::that_have(&[])
    }

    /// Both have stored this before.
    pub(super) fn that_have(groups: &[Group]) -> Self {
        let now = Now { instant: Instant(1), wall_ms: 1_795_305_600_000 };
        let keys = [[5; 32], [6; 32]].map(|seed| NodeKey::generate(&seed));
        let peer = PeerAddress { node: keys[1].node_id(), address: "127.0.0.1:1".to_owned() };
        let first = Machine::new(&keys[0], vec![peer], now, groups);
        let mut machines = [first, Machine::new(&keys[1], Vec::new(), now, groups)];
        let gateway = Gateway::open(&mut machines[0].node, access(), &[9; 32], now);
        let gateway = gateway.expect("there is room for one");
        let mut pair = Self { machines, gateway, now, count: 0, short: 0 };
        while pair.machines[0].node.summary().peers + pair.machines[1].node.summary().peers < 2 {
            pair.turn();
        }
        pair
    }

    /// Jobs are done at once, bytes are moved, and time passes a little.
    pub(super) fn turn(&mut self) {
        self.now.instant = self.now.instant + Duration::from_micros(100);
        for at in 0..2 {
            self.machines[at].node.handle_timeout(self.now);
            if let Some(link) = self.machines[at].act(self.now) {
                self.connect(at, link);
            }
        }
        self.carry(0, 1);
        self.carry(1, 0);
    }

    fn connect(&mut self, dialler: usize, link: Link) {
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.machines[dialler].node.dialled(self.now, link, [12; 32]);
        let acceptor = &mut self.machines[1 - dialler];
        let accepted = acceptor.node.accepted(self.now, from, [13; 32]);
        acceptor.link = accepted;
        self.machines[dialler].link = Some(link);
    }

    /// A client that has said hello, and nothing since.
    pub(super) fn idle(&mut self, count: u64) -> Gateway {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&count.to_be_bytes());
        let node = &mut self.machines[0].node;
        let mut gateway =
            Gateway::open(node, access(), &key, self.now).expect("there is room for one");
        for _ in 0..4 {
            while gateway.poll_event(&mut self.machines[0].node, self.now).is_some() {}
            self.machines[0].act(self.now);
        }
        gateway
    }

    fn start(&mut self, operation: Operation) -> Op {
        let node = &mut self.machines[0].node;
        self.gateway.start(node, self.now, operation).expect("nobody hangs up")
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.gateway.poll_event(&mut self.machines[0].node, self.now)
    }

    fn feed(&mut self, op: Op, bytes: &[u8]) -> usize {
        self.gateway.feed(&mut self.machines[0].node, self.now, op, bytes)
    }

    fn feed_end(&mut self, op: Op) {
        self.gateway.feed_end(&mut self.machines[0].node, self.now, op);
    }

    fn carry(&mut self, from: usize, to: usize) {
        let (Some(link), Some(there)) = (self.machines[from].link, self.machines[to].link) else {
            return;
        };
        let mut bytes = Vec::new();
        self.machines[from].node.transmit(self.now, link, &mut bytes, 128 * 1024);
        if !bytes.is_empty() {
            self.machines[to].node.received(self.now, there, &bytes);
        }
    }

    pub(super) fn run(&mut self, operation: Operation, input: &[u8]) -> Answer {
        let op = self.start(operation);
        let mut fed = 0;
        loop {
            while let Some(event) = self.poll_event() {
                match event {
                    Event::NeedData { .. } if fed == input.len() => self.feed_end(op),
                    Event::NeedData { .. } => fed += self.feed(op, &input[fed..]),
                    Event::Finished { result, .. } => return result.expect("nothing fails"),
                    _ => {}
                }
            }
            self.turn();
        }
    }

    /// Stores under so many names at the same time.
    pub(super) fn put_at_once(&mut self, count: u64, bytes: &[u8]) {
        let mut fed = HashMap::new();
        for number in 0..count {
            let meta = Meta { name: number.to_string().into(), ..Meta::default() };
            let put = Operation::Put { meta, overwrite: Overwrite::Always };
            fed.insert(self.start(put), 0);
        }
        while !fed.is_empty() {
            while let Some(event) = self.poll_event() {
                match event {
                    Event::NeedData { op, .. } => match fed.get_mut(&op) {
                        Some(fed) if *fed == bytes.len() => self.feed_end(op),
                        Some(fed) => *fed += self.feed(op, &bytes[*fed..]),
                        None => {}
                    },
                    Event::Finished { op, result } => {
                        result.expect("nothing fails");
                        fed.remove(&op);
                    }
                    _ => {}
                }
            }
            self.turn();
        }
    }

    /// Stores under the next name, and returns when the other node has it whole too.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let name = self.count.to_string();
        self.count += 1;
        self.put_as(&name, bytes);
    }

    /// The same under this name.
    pub(super) fn put_as(&mut self, name: &str, bytes: &[u8]) {
        let meta = Meta { name: name.into(), ..Meta::default() };
        self.run(Operation::Put { meta, overwrite: Overwrite::Always }, bytes);
        while self.machines[0].node.summary() != self.machines[1].node.summary()
            || self.machines[1].node.summary().incomplete > self.short
        {
            self.turn();
        }
    }
}

pub(super) fn nodes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("two nodes in memory");
    for (size, what) in [(4096, "4 KiB"), (1 << 20, "1 MiB")] {
        let mut pair = Pair::new();
        let bytes = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("put {what}, until both have it"), |bencher| {
            bencher.iter(|| pair.put(&bytes));
        });
    }
    let mut pair = Pair::new();
    (0..NAMES).for_each(|_| pair.put(b"a small file"));
    let mut next = 0;
    group.throughput(Throughput::Elements(1));
    group.bench_function("look up one name of 2,000", |bencher| {
        bencher.iter(|| {
            next = (next + 7) % NAMES;
            pair.run(Operation::Stat { name: next.to_string().into() }, &[])
        });
    });
    group.finish();
}
