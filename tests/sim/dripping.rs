//! Nodes that bring what was asked of them, but a leaf now and then: whoever reads does not wait for them if another has
//! the block, and does if none has.

use super::raw::RawClient;
use super::replication::{block_of, network, put, record, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::limits::LEAF;
use dfsd::time::Instant;
use dfsd::wire::message::{BlockRef, Message, PushedRecord, Role};
use std::collections::VecDeque;
use std::time::Duration;

const STEP: Duration = Duration::from_millis(50);

/// A node that sends one leaf each `gap`.
struct Dripper {
    client: RawClient,
    blocks: Vec<Vec<u8>>,
    gap: Duration,
    last: Instant,
    wants: VecDeque<(usize, u8, u8)>,
    /// Leaves of the stream that is open.
    rest: VecDeque<(usize, usize)>,
}

impl Dripper {
    fn connect(world: &mut World, machine: usize, blocks: &[Vec<u8>], gap: Duration) -> Self {
        Self {
            client: RawClient::connect_as(world, machine, Role::Node),
            blocks: blocks.to_vec(),
            gap,
            last: world.time().instant,
            wants: VecDeque::new(),
            rest: VecDeque::new(),
        }
    }

    /// Tells of a file.
    fn tell(&mut self, world: &mut World, record: Bytes) {
        let items = vec![PushedRecord { record, block: Bytes::new() }];
        self.client.send(&Message::Records { items });
        self.client.pump(world);
    }

    fn turn(&mut self, world: &mut World) {
        while let Some(event) = self.client.poll(world) {
            if let Event::Message(Message::Want { block, first, count }) = event {
                let which = self.blocks.iter().position(|own| reference(own) == block);
                self.wants.push_back((which.expect("one of ours"), first, count));
            }
        }
        if world.time().instant.since(self.last) < self.gap {
            return;
        }
        self.last = world.time().instant;
        if self.rest.is_empty()
            && let Some((which, first, count)) = self.wants.pop_front()
        {
            self.client.open(&self.blocks[which], first, count);
            let leaves = usize::from(first)..usize::from(first) + usize::from(count);
            self.rest.extend(leaves.map(|leaf| (which, leaf)));
        }
        if let Some((which, leaf)) = self.rest.pop_front() {
            let leaf = self.blocks[which].chunks(LEAF).nth(leaf).unwrap();
            self.client.push_chunk(leaf);
        }
        self.client.pump(world);
    }
}

/// Time passes, in which they drip.
fn wait(world: &mut World, drippers: &mut [Dripper], time: Duration) {
    let end = world.time().instant + time;
    while world.time().instant < end {
        world.run(STEP, |_| false);
        drippers.iter_mut().for_each(|dripper| dripper.turn(world));
    }
}

/// Reads whole blocks from a node, one after the other; how long it took, if not longer than a client waits.
fn read(
    world: &mut World,
    (machine, drippers): (usize, &mut [Dripper]),
    blocks: &[BlockRef],
    most: Duration,
) -> Option<Duration> {
    let mut reader = RawClient::connect(world, machine);
    let begun = world.time().instant;
    for block in blocks {
        let count = (block.length as usize).div_ceil(LEAF) as u8;
        reader.send(&Message::Want { block: *block, first: 0, count });
        let mut ended = false;
        while !ended {
            if world.time().instant.since(begun) > most {
                return None;
            }
            wait(world, drippers, STEP);
            while let Some(event) = reader.poll(world) {
                assert!(!matches!(event, Event::Message(Message::Absent { .. }) | Event::Aborted));
                ended |= matches!(event, Event::Ended);
            }
        }
    }
    Some(world.time().instant.since(begun))
}

/// A node that was told of a file of 4 MiB by one that drips, and is connected to an honest one that has it.
fn told_by_a_dripper() -> (World, usize, [Dripper; 1], Vec<BlockRef>) {
    let mut world = World::new(91, network());
    let honest = world.add(&[]);
    let node = world.add(&[honest]);
    world.run(Duration::from_secs(2), |_| false);
    world.part(honest, node);
    let blocks: Vec<Vec<u8>> = (0..4).map(|seed| block_of(seed, 32 * LEAF)).collect();
    let mut client = RawClient::connect(&mut world, honest);
    let record = put(&mut world, &mut client, 1, &blocks);
    let mut dripper = Dripper::connect(&mut world, node, &blocks, Duration::from_millis(1900));
    dripper.tell(&mut world, record);
    let mut drippers = [dripper];
    wait(&mut world, &mut drippers, Duration::from_secs(1));
    world.mend();
    let references = blocks.iter().map(|block| reference(block)).collect();
    (world, node, drippers, references)
}

#[test]
fn a_node_that_drips_is_left_for_one_that_does_not() {
    let (mut world, node, mut drippers, blocks) = told_by_a_dripper();
    wait(&mut world, &mut drippers, Duration::from_secs(6));
    assert_eq!(status(&mut world, node).peers_connected, 2);
    let took = read(&mut world, (node, &mut drippers), &blocks, Duration::from_secs(5));
    assert!(took.is_some(), "the honest node is asked for what has not come");
}

#[test]
fn a_node_that_drips_is_left_also_when_nobody_waits() {
    let (mut world, node, mut drippers, _) = told_by_a_dripper();
    wait(&mut world, &mut drippers, Duration::from_secs(30));
    assert_eq!(status(&mut world, node).incomplete, 0);
}

#[test]
fn who_is_slow_is_waited_for_if_nobody_is_faster() {
    let mut world = World::new(92, network());
    let node = world.add(&[]);
    world.run(Duration::from_secs(1), |_| false);
    let blocks = [block_of(1, 16 * LEAF)];
    let gaps = [300, 400].map(Duration::from_millis);
    let mut drippers = gaps.map(|gap| Dripper::connect(&mut world, node, &blocks, gap));
    let record = record(&world, 1, 5, vec![reference(&blocks[0])]);
    drippers[0].tell(&mut world, record);
    let references = [reference(&blocks[0])];
    let took = read(&mut world, (node, &mut drippers), &references, Duration::from_secs(30));
    assert!(took.is_some(), "all that was slow to come has come");
}
