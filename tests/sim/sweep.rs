//! Every call of a node's disk fails while it receives from another, gives to another, or mends what rotted.
//!
//! What one node does for its programs is swept in `crash::calls`. Invariant: whatever call failed, both nodes hold all in
//! the end on disks that work again, without a hand; a node that stops says so, and one that goes on needs no restart.

use super::comparison::{numbered, signed, verify};
use super::pages::{Paged, paged, put_all};
use super::raw::RawClient;
use super::replication::{block_of, fetch_by, network, put, reference};
use super::world::World;
use crate::crash::calls::FAULTS;
use bytes::Bytes;
use dfsd::node::{Node, Outcome};
use dfsd::testing::SimError;
use dfsd::wire::message::{BlockRef, Message};
use dfsd::wire::record::RecordKind;
use std::time::Duration;

/// So long the disk fails, if it goes on failing.
const FAILING: Duration = Duration::from_secs(15);
/// Nodes compare what they have once a minute.
const WHOLE_WITHIN: Duration = Duration::from_secs(150);
/// Records of all that is put, and the grant.
const RECORDS: u64 = 5;

/// The nodes: one has all, the other comes late.
const FIRST: usize = 0;
const LATE: usize = 1;

/// What is put on the first node.
struct Stock {
    small: Vec<u8>,
    large: Vec<u8>,
    paged: Paged,
}

impl Stock {
    fn blocks(&self) -> impl Iterator<Item = &Vec<u8>> {
        [&self.small, &self.large].into_iter().chain(&self.paged.blocks)
    }
}

/// A small file, a large one, one with pages, and the tombstone of a name.
fn stocked() -> (World, Stock) {
    let mut world = World::new(77, network());
    world.add(&[]);
    let stock = Stock { small: block_of(9, 900), large: block_of(8, 90_000), paged: paged(&world) };
    let mut client = RawClient::connect(&mut world, FIRST);
    put(&mut world, &mut client, 1, std::slice::from_ref(&stock.small));
    put(&mut world, &mut client, 2, std::slice::from_ref(&stock.large));
    put_all(&mut world, FIRST, &stock.paged);
    put_record(&mut world, &mut client, tombstone);
    client.hang_up(&mut world);
    (world, stock)
}

fn tombstone(world: &World) -> Bytes {
    let name = numbered(world, 4);
    let name = dfsd::wire::record::Record::decode(&name).expect("a record").name;
    signed(world, |record| {
        record.kind = RecordKind::Tombstone;
        record.name = name;
        record.sealed = Vec::new();
        record.sealed_tag = [0; 32];
    })
}

fn put_record(world: &mut World, client: &mut RawClient, record: impl Fn(&World) -> Bytes) {
    let records = vec![record(world)];
    client.send(&Message::Put { request: 2, conditions: Vec::new(), records, blocks: Vec::new() });
    assert_eq!(client.message(world), Some(Message::PutDone { request: 2, copies: 1 }));
}

fn is_whole(world: &World, machine: usize) -> bool {
    world.node(machine).is_some_and(|node| {
        let summary = node.summary();
        (summary.incomplete, summary.records.count) == (0, RECORDS)
    })
}

fn are_whole(world: &World) -> bool {
    is_whole(world, FIRST) && is_whole(world, LATE)
}

/// What happens while a disk fails.
#[derive(Debug, Clone, Copy)]
enum Doing {
    /// The late node receives all.
    Receive,
    /// The first node gives all.
    Give,
    /// The late node finds a block rotten, and has it anew.
    Mend,
}

impl Doing {
    fn machine(self) -> usize {
        match self {
            Self::Receive | Self::Mend => LATE,
            Self::Give => FIRST,
        }
    }

    /// Begins it. The disk fails from here on.
    fn begin(self, world: &mut World, fail: impl Fn(&World)) {
        match self {
            Self::Give => {
                fail(world);
                world.add(&[FIRST]);
            }
            Self::Receive => {
                world.add(&[FIRST]);
                fail(world);
            }
            Self::Mend => {
                world.add(&[FIRST]);
                assert!(world.run(WHOLE_WITHIN, |world| are_whole(world)), "nothing has failed");
                let fs = &world.machines[LATE].fs;
                let path = fs.paths("blocks").into_iter().next().expect("a block has a file");
                assert!(fs.tamper().flip(&path, 40_000));
                fail(world);
                verify_begun(world);
            }
        }
    }
}

/// A program asks the late node to look at all that it has, and perhaps is never answered.
fn verify_begun(world: &mut World) {
    let mut client = RawClient::connect(world, LATE);
    client.send(&Message::Verify { request: 1, after: None });
    client.pump(world);
    world.run(Duration::from_secs(1), |_| false);
    client.hang_up(world);
}

/// False if there were fewer calls.
fn one(doing: Doing, call: u64, (error, lasts): (SimError, bool)) -> Result<bool, String> {
    let (mut world, stock) = stocked();
    let machine = doing.machine();
    let first = std::cell::Cell::new(0);
    doing.begin(&mut world, |world| {
        let fs = &world.machines[machine].fs;
        fs.tamper().fail_call(call, error, lasts);
        first.set(fs.all_calls() + call);
    });
    world.run(FAILING, |world| world.machines[machine].outcome.is_some() || are_whole(world));
    let reached = world.machines[machine].fs.all_calls() > first.get();
    let stopped = world.machines[machine].outcome.take();
    if let Some(other) = stopped.as_ref().filter(|it| !matches!(it, Outcome::DiskFailed(_))) {
        return Err(format!("the node stopped with {other:?}"));
    }
    // What was not reached by now is not to fail later.
    world.machines[machine].fs.tamper().fail_call(u64::MAX / 2, error, false);
    if stopped.is_some() || lasts {
        world.kill(machine);
        let other = world.peer(FIRST + LATE - machine);
        world.start(machine, vec![other]);
    }
    if !world.run(WHOLE_WITHIN, |world| are_whole(world)) {
        let told = [FIRST, LATE].map(|machine| world.node(machine).map(Node::summary));
        return Err(format!("not whole: {told:?}"));
    }
    judge(&mut world, &stock)?;
    Ok(reached)
}

/// Each node gives all without the other, after a power cut.
fn judge(world: &mut World, stock: &Stock) -> Result<(), String> {
    // What rotted and was met by nobody yet is met now.
    for machine in [FIRST, LATE] {
        if verify(world, machine) > 0 {
            world.run(Duration::from_secs(10), |_| false);
        }
    }
    world.part(FIRST, LATE);
    for machine in [FIRST, LATE] {
        world.power_cut(machine);
        world.start(machine, Vec::new());
        if !is_whole(world, machine) {
            let told = world.node(machine).map(Node::summary);
            return Err(format!("node {machine} has less after a power cut: {told:?}"));
        }
        let mut client = RawClient::connect(world, machine);
        for block in stock.blocks() {
            let reference: BlockRef = reference(block);
            if fetch_by(world, &mut client, reference).as_ref() != Some(block) {
                return Err(format!("node {machine} does not give {:?}", reference.address));
            }
        }
    }
    Ok(())
}

fn sweep(doing: Doing) -> u64 {
    let mut cases = 0;
    for fault in FAULTS {
        for call in 0.. {
            match one(doing, call, fault) {
                Ok(true) => cases += 1,
                Ok(false) => break,
                Err(why) => panic!("{doing:?}, call {call} fails with {fault:?}: {why}"),
            }
        }
    }
    println!("{doing:?}: {cases} cases");
    cases
}

#[test]
fn every_call_of_a_node_that_receives_fails() {
    assert!(sweep(Doing::Receive) > 100);
}

#[test]
fn every_call_of_a_node_that_gives_fails() {
    assert!(sweep(Doing::Give) > 20);
}

#[test]
fn every_call_of_a_node_that_mends_fails() {
    assert!(sweep(Doing::Mend) > 20);
}
