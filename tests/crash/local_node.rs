//! A whole node on a simulated disk, with a program in the same process that puts and gets: no thread, no socket.
//!
//! Every job of the node can be listened to, and time passes as fast as nothing happens. Invariant: one operation at a time,
//! so that what is durable when one is answered is known.

use crate::access::access;
use dfsd::crypto::keys::NodeKey;
use dfsd::daemon::{self, Options};
use dfsd::gateway::Gateway;
use dfsd::node::{Action, Node, Outcome};
use dfsd::server::work::{Done, Job, execute};
use dfsd::session::{Answer, ClientError, Event, Meta, Operation, Overwrite, VersionsWanted};
use dfsd::store::{self, Disk, OpenError};
use dfsd::testing::SimFs;
use dfsd::time::{Instant, Now};
use dfsd::wire::message::NodeStatus;
use dfsd::wire::settings::Setting;
use std::collections::BTreeMap;
use std::time::Duration;

/// Segments are soon full.
pub(super) const CONFIG: store::Config =
    store::Config { reserve: 0, reserve_percent: 0, segment: 16 * 1024, now_ms: 0 };

/// When a node of the first life starts, and how much later one of the next: longer than any deed takes.
const BEGAN_MS: u64 = 1_795_305_600_000;
const LIFE_MS: u64 = 20_000_000;
/// Whatever a node has to do for so long as it is let alone is done in so many turns.
const TURNS_MAX: u32 = 100_000;

/// What the program sees: names, and the bytes behind them.
pub(super) type Names = BTreeMap<String, Vec<u8>>;

/// Hears of every job before it is done, and of what became of it.
pub(super) type Listener<'a> = &'a mut dyn FnMut(Heard<'_>);

#[derive(Clone, Copy)]
pub(super) enum Heard<'a> {
    Job(&'a Job),
    Done(&'a Done),
}

pub(super) struct LocalNode {
    node: Node,
    fs: SimFs,
    disk: Disk<SimFs>,
    gateway: Gateway,
    life: u8,
    /// The number of the program, which begins with that of the life.
    programs: u8,
    began_ms: u64,
    now: Now,
    pub(super) outcome: Option<Outcome>,
}

/// One thing that a program does.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Put(&'static str, Vec<u8>),
    Get(&'static str),
    Delete(&'static str),
    Rename(&'static str, &'static str),
    List,
    Verify,
    /// Nothing is kept of what is superseded, nor of what was never named.
    KeepNothing,
    /// Lets so much time pass.
    Stay(Duration),
}

/// What an operation gave.
struct Given {
    answer: Answer,
    /// Names of a list.
    listed: Names,
    bytes: Vec<u8>,
    versions: usize,
}

impl LocalNode {
    pub(super) fn start(fs: SimFs, life: u8) -> Result<Self, OpenError> {
        let access = access();
        let key = NodeKey::generate(&[5; 32]);
        let network = &access.network;
        let opened = daemon::open(fs.clone(), CONFIG, network.root, [life; 16])?;
        let began_ms = BEGAN_MS + u64::from(life) * LIFE_MS;
        let now = Now { instant: Instant(1), wall_ms: began_ms };
        let (seed, boot) = (u64::from(life), u64::from(life));
        let options = Options { memory: 8 << 20, seed, boot, ..Options::new(network, &key) };
        let (mut node, disk) = opened.start(options, now);
        let gateway = open(&mut node, [life; 2], now);
        Ok(Self { node, fs, disk, gateway, life, programs: life, began_ms, now, outcome: None })
    }

    fn turn(&mut self, listener: Listener<'_>) -> Result<(), ClientError> {
        if !self.node.is_open(self.gateway.link()) {
            return Err(ClientError::Disconnected("the node has ended the session".to_owned()));
        }
        self.act(listener);
        // A millisecond a turn: retries and deadlines come.
        self.become_later(Instant(self.now.instant.0 + 1_000));
        if self.node.poll_timeout().is_some_and(|due| due <= self.now.instant) {
            self.node.handle_timeout(self.now);
        }
        Ok(())
    }

    fn become_later(&mut self, instant: Instant) {
        self.now = Now { instant, wall_ms: self.began_ms + instant.0 / 1_000 };
    }

    /// Lets time pass. `None`: the node has stopped, or does not come to rest.
    fn stay(&mut self, time: Duration, listener: Listener<'_>) -> Option<()> {
        let end = self.now.instant + time;
        for _ in 0..TURNS_MAX {
            self.act(listener);
            if self.outcome.is_some() {
                return None;
            }
            let due = self.node.poll_timeout().filter(|due| *due <= end);
            self.become_later(due.unwrap_or(end).max(self.now.instant));
            if due.is_none() {
                self.come_back();
                return Some(());
            }
            self.node.handle_timeout(self.now);
        }
        None
    }

    /// A program that says nothing for long is let go.
    fn come_back(&mut self) {
        if !self.node.is_open(self.gateway.link()) {
            self.programs = self.programs.wrapping_add(1);
            let seed = [self.life, self.programs];
            self.gateway = open(&mut self.node, seed, self.now);
        }
    }

    fn act(&mut self, listener: Listener<'_>) {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Job(job) => {
                    listener(Heard::Job(&job));
                    let done = execute(&self.disk, job);
                    listener(Heard::Done(&done));
                    self.node.done(self.now, done);
                }
                Action::Stopped(outcome) => self.outcome = Some(outcome),
                _ => {}
            }
        }
    }

    /// Does it; the bytes or names that it gave. `None`: the node has stopped, or says nothing any more.
    pub(super) fn run(
        &mut self,
        deed: &Deed,
        listener: Listener<'_>,
    ) -> Option<Result<Names, ClientError>> {
        let text = |name: &str| name.as_bytes().to_vec();
        let (operation, input): (_, &[u8]) = match deed {
            Deed::Put(name, bytes) => {
                let meta = Meta { name: text(name), ..Meta::default() };
                (Operation::Put { meta, overwrite: Overwrite::Always }, bytes)
            }
            Deed::Get(name) => (Operation::Get { name: text(name) }, &[]),
            Deed::Delete(name) => (Operation::Delete { name: text(name) }, &[]),
            Deed::Rename(source, target) => {
                let (source, target) = (text(source), text(target));
                (Operation::Rename { source, target, replace: true }, &[])
            }
            Deed::List => (Operation::List, &[]),
            Deed::Verify => (Operation::Verify, &[]),
            Deed::KeepNothing => {
                let (retention, grace) = (Duration::ZERO, Duration::ZERO);
                let change = vec![Setting::Retention(retention), Setting::Grace(grace)];
                (Operation::Settings { change }, &[])
            }
            Deed::Stay(time) => return self.stay(*time, listener).map(|()| Ok(Names::new())),
        };
        let given = self.operate(operation, input, listener)?;
        Some(given.map(|given| match (deed, given.answer) {
            (Deed::Get(name), Answer::Got(_)) => [((*name).to_owned(), given.bytes)].into(),
            _ => given.listed,
        }))
    }

    fn operate(
        &mut self,
        operation: Operation,
        input: &[u8],
        listener: Listener<'_>,
    ) -> Option<Result<Given, ClientError>> {
        let op = self.gateway.start(&mut self.node, self.now, operation).ok()?;
        let (mut listed, mut bytes, mut versions, mut fed) = (Names::new(), Vec::new(), 0, 0);
        for _ in 0..20_000 {
            while let Some(event) = self.gateway.poll_event(&mut self.node, self.now) {
                let Self { gateway, node, now, .. } = self;
                match event {
                    Event::NeedData { .. } if fed == input.len() => {
                        gateway.feed_end(node, *now, op);
                    }
                    Event::NeedData { .. } => fed += gateway.feed(node, *now, op, &input[fed..]),
                    Event::Data { bytes: more, .. } => bytes.extend_from_slice(&more),
                    Event::Version { .. } => versions += 1,
                    Event::Entry { entry, .. } => {
                        let name = String::from_utf8_lossy(&entry.name).into_owned();
                        listed.insert(name, Vec::new());
                    }
                    Event::Finished { result, .. } => {
                        // What its end has led to is done too: nobody waited for a turn of the loop.
                        self.act(listener);
                        return Some(result.map(|answer| Given {
                            answer,
                            listed,
                            bytes,
                            versions,
                        }));
                    }
                    _ => {}
                }
            }
            if self.outcome.is_some() || self.turn(listener).is_err() {
                return None;
            }
        }
        None
    }

    /// What it says of itself.
    pub(super) fn status(&mut self) -> Result<NodeStatus, String> {
        match self.operate(Operation::Status, &[], &mut |_| {}) {
            Some(Ok(Given { answer: Answer::Status(status), .. })) => Ok(*status),
            other => Err(format!("it does not say how it is: {:?}", other.map(Result::err))),
        }
    }

    /// How many versions of a name it tells of.
    pub(super) fn versions(&mut self, name: &str) -> Result<usize, String> {
        let wanted = VersionsWanted { name: name.into(), from: None, newest: None };
        match self.operate(Operation::Versions { wanted }, &[], &mut |_| {}) {
            Some(Ok(given)) => Ok(given.versions),
            Some(Err(ClientError::NotFound)) => Ok(0),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the node does not answer".to_owned()),
        }
    }

    /// All names and their bytes, as this node shows them.
    pub(super) fn names(&mut self, known: &[&'static str]) -> Result<Names, String> {
        let listed = self.run(&Deed::List, &mut |_| {});
        let listed =
            listed.ok_or("the node does not answer")?.map_err(|error| error.to_string())?;
        let mut names = Names::new();
        for name in known {
            match self.run(&Deed::Get(name), &mut |_| {}).ok_or("the node does not answer")? {
                Ok(got) => names.extend(got),
                Err(ClientError::NotFound) => {}
                Err(error) => return Err(format!("{name} cannot be read: {error}")),
            }
        }
        if listed.keys().eq(names.keys()) {
            Ok(names)
        } else {
            Err(format!("{:?} are listed and {:?} can be read", listed.keys(), names.keys()))
        }
    }

    /// SIGTERM.
    pub(super) fn stop(&mut self, listener: Listener<'_>) -> Option<Outcome> {
        self.node.stop(self.now);
        for _ in 0..1_000 {
            if self.outcome.is_some() || self.turn(listener).is_err() {
                break;
            }
        }
        self.act(listener);
        self.outcome.take()
    }

    /// `kill -9`: nothing is closed in order.
    pub(super) fn kill(self) {
        self.fs.tamper().kill();
    }
}

/// A program in the process of the node.
fn open(node: &mut Node, [life, number]: [u8; 2], now: Now) -> Gateway {
    let mut seed = [life; 32];
    seed[0] = number;
    Gateway::open(node, access(), &seed, now).expect("the node takes connections")
}

/// What a deed makes of the names.
pub(super) fn after(names: &Names, deed: &Deed) -> Names {
    let mut names = names.clone();
    match deed {
        Deed::Put(name, bytes) => drop(names.insert((*name).to_owned(), bytes.clone())),
        Deed::Delete(name) => drop(names.remove(*name)),
        Deed::Rename(source, target) => {
            if let Some(bytes) = names.remove(*source) {
                names.insert((*target).to_owned(), bytes);
            }
        }
        Deed::Get(_) | Deed::List | Deed::Verify | Deed::KeepNothing | Deed::Stay(_) => {}
    }
    names
}
