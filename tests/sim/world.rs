//! A world of nodes without sockets, disks, threads or clocks: one seed drives the network, the disks and the time.
//!
//! Drives the same `Node`, connections, cryptography and store code that the daemon runs. What a world decides is when
//! things happen, and what is lost; never what they mean.

mod at_once;
mod disks;
mod faults;
mod network;

use dfsd::crypto::keys::{NetworkKey, NodeKey, WriteKey};
use dfsd::daemon::{self, Options};
use dfsd::ids::NodeId;
use dfsd::limits::SEGMENT;
use dfsd::node::{Action, Link, Node, Outcome};
use dfsd::server::work::{BackgroundKind, Done, Job, execute};
use dfsd::store::fs::FileSystem;
use dfsd::store::{Config, Disk, OpenError};
use dfsd::testing::SimFs;
use dfsd::time::{Instant, Now};
use dfsd::wire::message::PeerAddress;
use faults::Faults;
pub(super) use network::LinkEnd;
use network::{Port, Wires};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// 2026-11-22, about.
const WALL_START_MS: u64 = 1_795_305_600_000;
/// Events that are remembered to be told.
const RECENT: usize = 100;
/// The bulk memory of a simulated node.
const MEMORY: usize = 8 * 1024 * 1024;

/// Keys that all nodes of a world share.
pub(super) struct Network {
    pub key: NetworkKey,
    pub grant: Vec<u8>,
    pub write: WriteKey,
}

/// One machine: what is on its disk, and the node that runs on it, if one does.
pub(super) struct Machine {
    pub address: String,
    key: NodeKey,
    pub fs: SimFs,
    life: Option<Life>,
    /// Runs of its node until now; what belongs to an earlier one is void.
    pub boots: u64,
    pub outcome: Option<Outcome>,
    /// How often its disk has lost what was durable: wiped, rotten, lost or misdirected writes.
    pub harm: u64,
    /// How often of these it has lost all.
    pub wipes: u64,
    /// How far its calendar clock is ahead.
    pub(super) ahead_ms: i64,
}

struct Life {
    node: Node,
    disk: Disk<SimFs>,
}

#[derive(Debug)]
enum Event {
    Connect {
        from: Port,
        address: String,
    },
    Deliver {
        from: Port,
        to: Port,
        bytes: Vec<u8>,
    },
    /// The other side of `to`, which was `from`, is gone.
    Closed {
        from: Port,
        to: Port,
    },
    /// The network takes more bytes of this side.
    Writable {
        /// The machine that has read.
        from: usize,
        port: Port,
    },
    Work {
        machine: usize,
        boot: u64,
        job: Job,
    },
    Done {
        machine: usize,
        boot: u64,
        done: Done,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { from, address } => write!(formatter, "{from} reaches {address}"),
            Self::Deliver { from, to, bytes } => {
                write!(formatter, "{from} to {to}: {} bytes", bytes.len())
            }
            Self::Closed { from, to } => write!(formatter, "{to} learns that {from} is gone"),
            Self::Writable { port, .. } => write!(formatter, "{port} may send more"),
            Self::Work { machine, .. } => write!(formatter, "machine {machine} works"),
            Self::Done { machine, .. } => write!(formatter, "machine {machine} has worked"),
        }
    }
}

/// What has been done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Toil {
    /// Bytes that nodes have sent to each other.
    pub bytes: u64,
    /// Jobs of workers, but for those of collections.
    pub jobs: u64,
    /// Jobs of collections.
    pub collecting: u64,
}

impl Toil {
    fn add(&mut self, job: &Job) {
        let kind = job.background().map(|work| work.kind);
        *match kind {
            Some(BackgroundKind::Collect) => &mut self.collecting,
            _ => &mut self.jobs,
        } += 1;
    }
}

/// Sees all bytes that a simulated wire carries.
pub(super) type Tap = Box<dyn FnMut(&[u8])>;

/// Everything.
pub(super) struct World {
    now: Instant,
    rng: ChaCha8Rng,
    network: Network,
    pub machines: Vec<Machine>,
    events: BTreeMap<(Instant, u64), Event>,
    serial: u64,
    wires: Wires,
    faults: Faults,
    /// A sum over everything that happened, to compare two runs.
    pub trace: u64,
    /// See `tail`.
    recent: VecDeque<String>,
    noted: Vec<String>,
    pub tap: Option<Tap>,
    /// A node has done something on a connection from beside the network.
    woken: bool,
    /// How often a node has said that it reads a connection again.
    pub reads: u64,
    /// Every dial: which machine's, and where to.
    pub dials: Vec<(usize, String)>,
    /// All that was done until now.
    pub toil: Toil,
    /// What a loop can do at once is not left to a worker.
    at_once: bool,
    /// A segment of a log that has grown past this is full.
    pub segment: u64,
    /// Jobs that are answered a second later.
    pub slow: Option<fn(&Job) -> bool>,
}

impl World {
    pub(super) fn new(seed: u64, network: Network) -> Self {
        Self {
            now: Instant(1),
            rng: ChaCha8Rng::seed_from_u64(seed),
            network,
            machines: Vec::new(),
            events: BTreeMap::new(),
            serial: 0,
            wires: Wires::default(),
            faults: Faults::default(),
            trace: seed,
            recent: VecDeque::new(),
            noted: Vec::new(),
            tap: None,
            woken: false,
            reads: 0,
            dials: Vec::new(),
            toil: Toil::default(),
            at_once: false,
            segment: SEGMENT,
            slow: None,
        }
    }

    pub(super) fn time(&self) -> Now {
        Now { instant: self.now, wall_ms: WALL_START_MS + self.now.0 / 1000 }
    }

    /// What time it is on a machine.
    fn time_on(&self, machine: usize) -> Now {
        let now = self.time();
        let ahead = self.machines[machine].ahead_ms;
        Now { wall_ms: now.wall_ms.saturating_add_signed(ahead), ..now }
    }

    /// What is done while nothing happens for so long.
    pub(super) fn toil_of(&mut self, rest: Duration) -> Toil {
        let before = self.toil;
        self.run(rest, |_| false);
        Toil {
            bytes: self.toil.bytes - before.bytes,
            jobs: self.toil.jobs - before.jobs,
            collecting: self.toil.collecting - before.collecting,
        }
    }

    /// Jobs of a machine that no worker has begun.
    pub(super) fn jobs(&self, index: usize) -> impl Iterator<Item = &Job> {
        self.events.values().filter_map(move |event| match event {
            Event::Work { machine, job, .. } if *machine == index => Some(job),
            _ => None,
        })
    }

    /// Those of the background.
    pub(super) fn background_jobs(&self, index: usize) -> usize {
        self.jobs(index).filter(|job| job.background().is_some()).count()
    }

    pub(super) fn entropy(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// One of `0..below`.
    pub(super) fn dice(&mut self, below: usize) -> usize {
        self.rng.random_range(0..below)
    }

    pub(super) fn network_keys(&self) -> (dfsd::ids::ClusterId, [u8; 32]) {
        (self.network.key.cluster, self.network.key.secret)
    }

    pub(super) fn write_key(&self) -> &WriteKey {
        &self.network.write
    }

    /// All but the keys of a machine is gone, and its node starts anew.
    pub(super) fn wipe(&mut self, index: usize) {
        self.lose_disk(index);
        self.start(index, Vec::new());
    }

    /// A connection to a machine's node from beside the network.
    pub(super) fn accept(&mut self, index: usize) -> Option<Link> {
        let (now, entropy) = (self.time_on(index), self.entropy());
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let link = self.machines[index].life.as_mut()?.node.accepted(now, ip, entropy);
        self.settle(index);
        link
    }

    /// Bytes for a connection that `accept` has opened.
    pub(super) fn hand_over(&mut self, index: usize, link: Link, bytes: &[u8]) {
        self.tap(bytes);
        let now = self.time_on(index);
        if let Some(life) = &mut self.machines[index].life {
            life.node.received(now, link, bytes);
        }
        self.settle(index);
    }

    /// What a node has to send on such a connection.
    pub(super) fn take_sent(&mut self, index: usize, link: Link) -> Vec<u8> {
        let now = self.time_on(index);
        let mut bytes = Vec::new();
        if let Some(life) = &mut self.machines[index].life {
            life.node.transmit(now, link, &mut bytes, 64 * 1024);
        }
        self.tap(&bytes);
        self.settle(index);
        bytes
    }

    /// Whether the node would read such a connection's next bytes.
    pub(super) fn wants_read(&mut self, index: usize, link: Link) -> bool {
        let life = self.machines[index].life.as_mut();
        life.is_some_and(|life| life.node.read_max(link) > 0)
    }

    /// The client's end of such a connection is gone.
    pub(super) fn hang_up(&mut self, index: usize, link: Link) {
        let now = self.time_on(index);
        if let Some(life) = &mut self.machines[index].life {
            life.node.closed(now, link);
        }
        self.settle(index);
    }

    /// Whether the node has closed such a connection.
    pub(super) fn has_hung_up(&self, index: usize, link: Link) -> bool {
        self.wires.hung_up.contains(&self.port(index, link))
    }

    /// Adds a machine that knows where `peers` are.
    pub(super) fn add(&mut self, peers: &[usize]) -> usize {
        let index = self.machines.len();
        let key = NodeKey::generate(&self.entropy());
        let address = format!("node{index}:7400");
        let fs = SimFs::new();
        let machine = Machine {
            address,
            key,
            fs,
            life: None,
            boots: 0,
            outcome: None,
            harm: 0,
            wipes: 0,
            ahead_ms: 0,
        };
        self.machines.push(machine);
        let peers = peers.iter().map(|peer| self.peer(*peer)).collect();
        self.start(index, peers);
        index
    }

    pub(super) fn peer(&self, index: usize) -> PeerAddress {
        let machine = &self.machines[index];
        PeerAddress { node: machine.key.node_id(), address: machine.address.clone() }
    }

    pub(super) fn node_id(&self, index: usize) -> NodeId {
        self.machines[index].key.node_id()
    }

    pub(super) fn is_running(&self, index: usize) -> bool {
        self.machines[index].life.is_some()
    }

    /// Starts the node of a machine on what is on its disk.
    pub(super) fn start(&mut self, index: usize, peers: Vec<PeerAddress>) {
        self.try_start(index, peers).expect("a simulated disk opens");
    }

    /// Like `start`, on a disk that may fail.
    pub(super) fn try_start(
        &mut self,
        index: usize,
        peers: Vec<PeerAddress>,
    ) -> Result<(), OpenError> {
        let (now, seed, store_id) = (self.time_on(index), self.rng.random(), self.rng.random());
        let machine = &mut self.machines[index];
        assert!(machine.life.is_none(), "a machine has one node");
        let root = self.network.key.root;
        machine.fs.tamper().set_in_memory(self.at_once);
        let config = Config { segment: self.segment, now_ms: now.wall_ms, ..Config::default() };
        let opened = daemon::open(machine.fs.clone(), config, root, store_id);
        let lies = machine.fs.tamper().take_lies();
        machine.harm += lies;
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.machines[index].fs = machine.fs.restart();
                return Err(error);
            }
        };
        let remembered = dfsd::server::read_peers(&read_file(&machine.fs, "peers"));
        let addresses = vec![machine.address.clone()];
        machine.boots += 1;
        machine.outcome = None;
        // Every third machine stores without reading.
        let data = crate::access::access().data.filter(|_| index % 3 != 2);
        let options = Options {
            data: data.as_ref(),
            addresses,
            memory: MEMORY,
            grants: vec![self.network.grant.clone()],
            peers,
            remembered,
            seed,
            boot: machine.boots,
            ..Options::new(&self.network.key, &machine.key)
        };
        let (node, disk) = opened.start(options, now);
        machine.life = Some(Life { node, disk });
        self.settle(index);
        Ok(())
    }

    /// The power fails: the node is gone, its connections break, and of its disk remains what the disk keeps.
    pub(super) fn power_cut(&mut self, index: usize) {
        let seed = self.rng.random();
        let fs = self.machines[index].fs.power_cut(seed);
        self.end_life(index, fs);
    }

    /// `kill -9`: the node is gone, its connections break, and its disk has what was written.
    pub(super) fn kill(&mut self, index: usize) {
        let fs = self.machines[index].fs.restart();
        self.end_life(index, fs);
    }

    /// SIGTERM.
    pub(super) fn stop(&mut self, index: usize) {
        let now = self.time_on(index);
        if let Some(life) = &mut self.machines[index].life {
            life.node.stop(now);
        }
        self.settle(index);
    }

    /// The process ends after it has stopped, and closes its store in order.
    pub(super) fn leave(&mut self, index: usize) {
        self.machines[index].life = None;
        self.kill(index);
    }

    /// The machine has lost its power, and nobody is left to tell the others: their connections to it stay open.
    pub(super) fn power_cut_silently(&mut self, index: usize) {
        let others: Vec<_> = (0..self.machines.len()).filter(|other| *other != index).collect();
        for other in others {
            self.half_open(index, other);
        }
        self.power_cut(index);
    }

    fn end_life(&mut self, index: usize, fs: SimFs) {
        self.machines[index].life = None;
        self.machines[index].fs = fs;
        self.cut_all(index);
    }

    fn latency(&mut self) -> Duration {
        Duration::from_micros(self.rng.random_range(20..2_000))
    }

    fn schedule(&mut self, delay: Duration, event: Event) {
        self.serial += 1;
        self.events.insert((self.now + delay, self.serial), event);
    }

    /// Lets the world go on until a node wants something on a connection from beside the network, or `until` has come.
    pub(super) fn run_until_woken(&mut self, until: Instant) {
        let duration = until.since(self.now);
        self.run(duration, |world| world.woken);
        self.woken = false;
    }

    fn is_outside(&self, index: usize, link: Link) -> bool {
        !self.wires.ends.contains_key(&self.port(index, link))
    }

    /// Lets the world go on for `duration`, or until `until` holds. True if it does.
    pub(super) fn run(
        &mut self,
        duration: Duration,
        mut until: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        let end = self.now + duration;
        loop {
            if until(self) {
                return true;
            }
            let timer = (0..self.machines.len())
                .filter(|index| !self.faults.is_frozen(*index))
                .filter_map(|index| Some((self.node(index)?.poll_timeout()?, index)))
                .min();
            let event = self.events.keys().next().map(|(at, _)| *at);
            let next = timer.map(|(at, _)| at).into_iter().chain(event).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return until(self);
            };
            self.now = self.now.max(next);
            self.trace = self.trace.rotate_left(7) ^ next.0;
            match timer {
                Some((at, index)) if event.is_none_or(|event| at <= event) => {
                    let now = self.time_on(index);
                    if let Some(life) = &mut self.machines[index].life {
                        life.node.handle_timeout(now);
                    }
                    self.settle(index);
                }
                _ => {
                    let (_, event) = self.events.pop_first().expect("an event was seen");
                    self.note_event(&event);
                    if self.is_blocked(&event) {
                        self.faults.hold(event);
                    } else {
                        self.happen(event);
                    }
                }
            }
        }
    }

    /// All that was noted, and then the last events, one a line.
    pub(super) fn tail(&self) -> Vec<String> {
        self.noted.iter().chain(&self.recent).cloned().collect()
    }

    /// Takes note of something that is to be told if the run fails.
    pub(super) fn note(&mut self, what: &str) {
        let line = self.line(what);
        self.noted.push(line);
    }

    fn note_event(&mut self, event: &Event) {
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(self.line(&event.to_string()));
    }

    fn line(&self, what: &str) -> String {
        format!("{:>12} us  {what}", self.now.0)
    }

    fn tap(&mut self, bytes: &[u8]) {
        if let Some(tap) = &mut self.tap {
            tap(bytes);
        }
    }

    pub(super) fn node(&self, index: usize) -> Option<&Node> {
        self.machines[index].life.as_ref().map(|life| &life.node)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Connect { from, address } => self.connect(from, &address),
            Event::Deliver { from, to, bytes } => self.deliver(from, to, bytes),
            Event::Closed { to, .. } => self.other_side_gone(to),
            Event::Writable { port, .. } => {
                if self.is_current(port) {
                    self.transmit(port);
                    self.settle(port.machine);
                }
            }
            Event::Work { machine, boot, job } => self.work(machine, boot, job),
            Event::Done { machine, boot, done } => {
                let now = self.time_on(machine);
                if self.machines[machine].boots != boot {
                    return;
                }
                if let Some(life) = &mut self.machines[machine].life {
                    life.node.done(now, done);
                }
                self.settle(machine);
            }
        }
    }

    fn work(&mut self, machine: usize, boot: u64, job: Job) {
        if self.machines[machine].boots != boot {
            return;
        }
        let Some(life) = &self.machines[machine].life else {
            return;
        };
        let is_slow = self.slow.is_some_and(|is_slow| is_slow(&job));
        self.toil.add(&job);
        let done = execute(&life.disk, job);
        self.note_lies(machine);
        let mut delay = self.work_time(machine);
        if is_slow {
            delay += Duration::from_secs(1);
        }
        self.schedule(delay, Event::Done { machine, boot, done });
    }

    /// Carries out what a node wants.
    fn settle(&mut self, index: usize) {
        let boot = self.machines[index].boots;
        let mut done = Vec::new();
        while let Some(life) = &mut self.machines[index].life {
            let Some(action) = life.node.poll_action() else {
                match self.hand_back(index, &mut done) {
                    true => continue,
                    false => return,
                }
            };
            match action {
                Action::Dial { link, address } => {
                    let (from, delay) = (self.port(index, link), self.latency());
                    self.wires.dialling.insert(from);
                    self.dials.push((index, address.clone()));
                    self.schedule(delay, Event::Connect { from, address });
                }
                Action::Transmit { link } => {
                    self.woken |= self.is_outside(index, link);
                    self.transmit(self.port(index, link));
                }
                Action::Close { link, why } => {
                    self.woken |= self.is_outside(index, link);
                    self.close(self.port(index, link), why);
                }
                Action::Read { link } => {
                    self.reads += 1;
                    self.woken |= self.is_outside(index, link);
                    self.read(self.port(index, link));
                }
                Action::Job(job) => match self.try_at_once(index, job, done.len()) {
                    Ok(result) => done.push(result),
                    Err(job) => {
                        let delay = Duration::from_micros(self.rng.random_range(1..500));
                        self.schedule(delay, Event::Work { machine: index, boot, job });
                    }
                },
                Action::Event { .. } => {}
                Action::Stopped(outcome) => self.machines[index].outcome = Some(outcome),
            }
        }
    }
}

/// A file of text; nothing if there is none.
fn read_file(fs: &SimFs, path: &str) -> String {
    let read = || {
        let file = fs.open(path)?;
        let mut bytes = vec![0; usize::try_from(fs.length(&file)?).unwrap_or(0)];
        fs.read_at(&file, 0, &mut bytes)?;
        std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}
