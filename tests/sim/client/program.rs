//! A program that uses a session, in the world of the simulator; and the keys it has.

pub(in crate::sim) use crate::access::access;
use crate::sim::world::{Network, World};
use dfsd::client::{Entropy, RemoteSession};
use dfsd::keyring::Access;
use dfsd::node::Link;
use dfsd::session::{Answer, ClientError, Event, Meta, Op, Operation, Overwrite, Version};
use std::collections::HashMap;
use std::time::Duration;

/// So many nodes that know each other.
pub(in crate::sim) fn world(seed: u64, nodes: usize) -> World {
    let Access { network, write, .. } = access();
    let write = write.expect("these keys are whole");
    let mut world = World::new(seed, Network { key: network, grant: write.grant.clone(), write });
    // So that logs are compacted in every run.
    world.segment = 128 * 1024;
    for index in 0..nodes {
        let peers: Vec<usize> = (0..index).collect();
        world.add(&peers);
    }
    world.run(Duration::from_secs(2), |_| false);
    world
}

pub(in crate::sim) fn meta(name: &str) -> Meta {
    Meta { name: name.into(), mode: 0o640, ..Meta::default() }
}

pub(in crate::sim) fn content(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| seed ^ (at / 7) as u8 ^ (at >> 13) as u8 ^ (at >> 20) as u8).collect()
}

/// What came of an operation.
#[derive(Debug)]
pub(in crate::sim) struct End {
    pub(in crate::sim) result: Result<Answer, ClientError>,
    pub(in crate::sim) data: Vec<u8>,
    pub(in crate::sim) names: Vec<String>,
    pub(in crate::sim) versions: Vec<Version>,
}

/// A program with one session.
pub(in crate::sim) struct Program {
    machine: usize,
    link: Link,
    pub(in crate::sim) session: RemoteSession,
    sources: HashMap<Op, Vec<u8>>,
    running: HashMap<Op, (Vec<u8>, Vec<String>)>,
    /// What lists have told of.
    versions: HashMap<Op, Vec<Version>>,
    pub(in crate::sim) ended: HashMap<Op, End>,
}

impl Program {
    pub(in crate::sim) fn connect(world: &mut World, machine: usize, access: Access) -> Self {
        let entropy = Entropy { key: world.entropy(), handshake: world.entropy() };
        let session = RemoteSession::new(access, &entropy, world.time().instant);
        let link = world.accept(machine).expect("the node takes connections");
        let (sources, running, versions, ended) = Default::default();
        Self { machine, link, session, sources, running, versions, ended }
    }

    pub(in crate::sim) fn start(&mut self, world: &World, operation: Operation) -> Op {
        let op = self.session.start(world.time().instant, operation);
        self.running.insert(op, Default::default());
        op
    }

    pub(in crate::sim) fn start_put(&mut self, world: &World, name: &str, content: Vec<u8>) -> Op {
        let put = Operation::Put { meta: meta(name), overwrite: Overwrite::Always };
        let op = self.start(world, put);
        self.sources.insert(op, content);
        op
    }

    /// Runs one operation to its end.
    pub(in crate::sim) fn call(&mut self, world: &mut World, operation: Operation) -> End {
        let op = self.start(world, operation);
        self.finish(world, op)
    }

    pub(in crate::sim) fn put(&mut self, world: &mut World, name: &str, content: &[u8]) -> End {
        let op = self.start_put(world, name, content.to_vec());
        self.finish(world, op)
    }

    pub(in crate::sim) fn get(&mut self, world: &mut World, name: &str) -> End {
        self.call(world, Operation::Get { name: name.into() })
    }

    /// Until an operation has ended, for at most a minute of the world.
    pub(in crate::sim) fn finish(&mut self, world: &mut World, op: Op) -> End {
        for _ in 0..60_000 {
            self.pump(world);
            if let Some(end) = self.ended.remove(&op) {
                return end;
            }
            world.run(Duration::from_millis(1), |_| false);
            self.handle_timeout(world);
        }
        panic!("an operation does not end");
    }

    fn handle_timeout(&mut self, world: &World) {
        let now = world.time().instant;
        if self.session.poll_timeout().is_some_and(|due| due <= now) {
            self.session.handle_timeout(now).expect("the node answers");
        }
    }

    /// Stays connected while nothing is under way.
    pub(in crate::sim) fn stay(&mut self, world: &mut World) {
        self.pump(world);
        self.handle_timeout(world);
        self.pump(world);
    }

    /// Moves bytes both ways, and does what events ask for, until nothing moves.
    pub(in crate::sim) fn pump(&mut self, world: &mut World) {
        loop {
            while let Some(event) = self.session.poll_event() {
                self.happen(event);
            }
            let now = world.time().instant;
            let mut out = Vec::new();
            self.session.transmit(now, &mut out, 64 * 1024);
            if !out.is_empty() {
                world.hand_over(self.machine, self.link, &out);
            }
            let back = world.take_sent(self.machine, self.link);
            if !back.is_empty() {
                self.session.received(now, &back).expect("a node keeps the rules");
            }
            if out.is_empty() && back.is_empty() {
                return;
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::NeedData { op, .. } => self.feed(op),
            Event::Data { op, bytes } => {
                self.running.get_mut(&op).expect("it runs").0.extend_from_slice(&bytes);
            }
            Event::Entry { op, entry } | Event::Found { op, entry } => {
                let name = String::from_utf8(entry.name.clone()).expect("a name of these tests");
                self.running.get_mut(&op).expect("it runs").1.push(name);
            }
            Event::Folder { op, name } => {
                let name = String::from_utf8(name).expect("a name of these tests");
                self.running.get_mut(&op).expect("it runs").1.push(name);
            }
            Event::Finished { op, result } => {
                let (data, names) = self.running.remove(&op).expect("it ends once");
                let versions = self.versions.remove(&op).unwrap_or_default();
                self.ended.insert(op, End { result, data, names, versions });
            }
            Event::Version { op, version } => {
                self.versions.entry(op).or_default().push(*version);
            }
            Event::Ready { .. } | Event::Here { .. } | Event::Progress { .. } => {}
        }
    }

    /// In pieces that fit no block.
    fn feed(&mut self, op: Op) {
        let Some(source) = self.sources.get_mut(&op) else { return };
        let piece = source.len().min(300_007);
        let taken = self.session.feed(op, &source[..piece]);
        source.drain(..taken);
        if source.is_empty() {
            self.sources.remove(&op);
            self.session.feed_end(op);
        }
    }
}
