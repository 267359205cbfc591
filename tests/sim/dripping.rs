//! Those who bring what was asked of them, but a leaf now and then, or all but what somebody waits for: whoever reads does
//! not wait for them if another has the block, and does if none has.

use super::raw::{RawClient, offer_of};
use super::replication::{block_of, bring, network, put, record, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::limits::{COMING_PERIOD, LEAF, OPERATION_TIMEOUT};
use dfsd::time::Instant;
use dfsd::wire::message::{BlockRef, Message, PushedRecord, Role};
use std::collections::VecDeque;
use std::time::Duration;

const STEP: Duration = Duration::from_millis(50);

/// Somebody who sends one leaf each `gap`.
struct Dripper {
    client: RawClient,
    blocks: Vec<Vec<u8>>,
    gap: Duration,
    last: Instant,
    wants: VecDeque<(usize, u8, u8)>,
    /// Leaves of the stream that is open.
    rest: VecDeque<(usize, usize)>,
    /// The first run of this block is never sent.
    withholds: Option<usize>,
    /// Leaves that were sent.
    sent: usize,
}

impl Dripper {
    fn new(world: &World, client: RawClient, blocks: &[Vec<u8>], gap: Duration) -> Self {
        Self {
            client,
            blocks: blocks.to_vec(),
            gap,
            last: world.time().instant,
            wants: VecDeque::new(),
            rest: VecDeque::new(),
            withholds: None,
            sent: 0,
        }
    }

    fn connect(world: &mut World, machine: usize, blocks: &[Vec<u8>], gap: Duration) -> Self {
        let client = RawClient::connect_as(world, machine, Role::Node);
        Self::new(world, client, blocks, gap)
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
                let which = which.expect("one of ours");
                if self.withholds != Some(which) || first > 0 {
                    self.wants.push_back((which, first, count));
                }
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
            self.sent += 1;
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

/// A node that was told of files by one that drips, and is connected to an honest one that has them: these two, the one
/// that drips, and the blocks.
fn told_by_a_dripper(gap: Duration, withholds: Option<usize>) -> (World, [usize; 2], Dripper) {
    let mut world = World::new(91, network());
    let honest = world.add(&[]);
    let node = world.add(&[honest]);
    world.run(Duration::from_secs(2), |_| false);
    world.part(honest, node);
    let blocks: Vec<Vec<u8>> = (0..8).map(|seed| block_of(seed, 32 * LEAF)).collect();
    let mut client = RawClient::connect(&mut world, honest);
    let files = blocks.chunks(4).zip(1..);
    let records: Vec<_> =
        files.map(|(file, name)| put(&mut world, &mut client, name, file)).collect();
    let mut dripper = Dripper::connect(&mut world, node, &blocks, gap);
    dripper.withholds = withholds;
    for record in records {
        dripper.tell(&mut world, record);
    }
    wait(&mut world, std::slice::from_mut(&mut dripper), Duration::from_secs(1));
    world.mend();
    (world, [honest, node], dripper)
}

const SLOWLY: Duration = Duration::from_millis(1900);

#[test]
fn a_node_that_drips_is_left_for_one_that_does_not() {
    let (mut world, [_, node], mut dripper) = told_by_a_dripper(SLOWLY, None);
    let drippers = std::slice::from_mut(&mut dripper);
    wait(&mut world, drippers, Duration::from_secs(6));
    assert_eq!(status(&mut world, node).peers_connected, 2);
    let blocks: Vec<_> = drippers[0].blocks.iter().map(|block| reference(block)).collect();
    let took = read(&mut world, (node, drippers), &blocks, Duration::from_secs(5));
    assert!(took.is_some(), "the honest node is asked for what has not come");
}

#[test]
fn a_node_that_drips_is_left_also_when_nobody_waits() {
    let (mut world, [_, node], mut dripper) = told_by_a_dripper(SLOWLY, None);
    wait(&mut world, std::slice::from_mut(&mut dripper), Duration::from_secs(30));
    assert_eq!(status(&mut world, node).incomplete, 0);
}

#[test]
fn what_is_withheld_is_asked_of_another() {
    let (mut world, [_, node], mut dripper) = told_by_a_dripper(STEP, Some(2));
    let block = reference(&dripper.blocks[2]);
    let drippers = std::slice::from_mut(&mut dripper);
    let took = read(&mut world, (node, drippers), &[block], Duration::from_secs(8));
    assert!(took.is_some(), "however much else comes");
}

#[test]
fn what_is_read_is_asked_for_before_what_nobody_waits_for() {
    let mut world = World::new(93, network());
    let node = world.add(&[]);
    world.run(Duration::from_secs(1), |_| false);
    let blocks: Vec<Vec<u8>> = (0..4).map(|seed| block_of(seed, 32 * LEAF)).collect();
    let references: Vec<_> = blocks.iter().map(|block| reference(block)).collect();
    let mut dripper = Dripper::connect(&mut world, node, &blocks, STEP);
    let record = record(&world, 1, 5, references.clone());
    dripper.tell(&mut world, record);
    let drippers = std::slice::from_mut(&mut dripper);
    wait(&mut world, drippers, STEP);
    let took = read(&mut world, (node, drippers), &references[3..], Duration::from_secs(30));
    assert!(took.is_some());
    assert!(dripper.sent < 2 * 32, "{} leaves were sent, of which 32 were read", dripper.sent);
}

#[test]
fn who_was_slow_is_asked_last_also_when_it_connects_anew() {
    let (mut world, [honest, node], mut dripper) = told_by_a_dripper(SLOWLY, None);
    wait(&mut world, std::slice::from_mut(&mut dripper), Duration::from_secs(15));
    let key = dripper.client.key.clone();
    dripper.client.hang_up(&mut world);
    let mut again = RawClient::connect_with(&mut world, node, key);
    again.hello(Role::Node);
    again.pump(&mut world);
    // The honest node's connection is the younger one, so that the other would be asked if they were equals.
    world.kill(honest);
    world.start(honest, Vec::new());
    world.run(Duration::from_secs(8), |_| false);
    assert_eq!(status(&mut world, node).peers_connected, 2);
    let block = [block_of(77, 32 * LEAF)];
    let mut client = RawClient::connect(&mut world, honest);
    let block = bring(&mut world, &mut client, &block);
    let took = read(&mut world, (node, &mut []), &block, Duration::from_secs(5));
    assert!(took.is_some());
    while let Some(event) = again.poll(&mut world) {
        assert!(!matches!(event, Event::Message(Message::Want { .. })), "the other has it");
    }
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

#[test]
fn who_reads_over_a_slow_line_is_told_that_it_comes() {
    let mut world = World::new(98, network());
    let node = world.add(&[]);
    world.run(Duration::from_secs(1), |_| false);
    let blocks = [block_of(1, 16 * LEAF), block_of(2, 2 * LEAF)];
    let mut dripper =
        Dripper::connect(&mut world, node, &blocks, COMING_PERIOD + Duration::from_millis(100));
    let references: Vec<_> = blocks.iter().map(|block| reference(block)).collect();
    let record = record(&world, 1, 5, references.clone());
    dripper.tell(&mut world, record);
    wait(&mut world, std::slice::from_mut(&mut dripper), Duration::from_secs(2));
    let mut reader = RawClient::connect(&mut world, node);
    reader.send(&Message::Want { block: references[1], first: 0, count: 2 });
    let (mut heard, mut said) = (world.time().instant, 0);
    for _ in 0..60 * 20 {
        wait(&mut world, std::slice::from_mut(&mut dripper), STEP);
        while let Some(event) = reader.poll(&mut world) {
            match event {
                Event::Message(Message::Coming { address }) => {
                    assert_eq!(address, references[1].address);
                    said += 1;
                }
                Event::Ended => return assert!(said > 1, "it was on its way for long: {said}"),
                _ => {}
            }
            heard = world.time().instant;
        }
        assert!(world.time().instant.since(heard) < OPERATION_TIMEOUT / 2, "without a word");
    }
    panic!("it has not come");
}

const LATE: Duration = Duration::from_secs(3);

#[test]
fn who_is_late_is_waited_for_if_nobody_else_can_be_asked() {
    let mut world = World::new(96, network());
    let node = world.add(&[]);
    world.run(Duration::from_secs(1), |_| false);
    let blocks = [block_of(1, 4 * LEAF)];
    let mut dripper = Dripper::connect(&mut world, node, &blocks, LATE);
    let record = record(&world, 1, 5, vec![reference(&blocks[0])]);
    dripper.tell(&mut world, record);
    wait(&mut world, std::slice::from_mut(&mut dripper), Duration::from_secs(16));
    assert_eq!((status(&mut world, node).incomplete, dripper.sent), (0, 4), "none was sent twice");
}

#[test]
fn of_two_that_are_late_the_one_that_has_it_is_asked_again() {
    let mut world = World::new(97, network());
    let node = world.add(&[]);
    world.run(Duration::from_secs(1), |_| false);
    let blocks = [block_of(1, 32 * LEAF)];
    let mut without = RawClient::connect_as(&mut world, node, Role::Node);
    let mut dripper = Dripper::connect(&mut world, node, &blocks, Duration::from_millis(2500));
    let record = record(&world, 1, 5, vec![reference(&blocks[0])]);
    dripper.tell(&mut world, record);
    let mut wants = Vec::new();
    for _ in 0..40 {
        wait(&mut world, std::slice::from_mut(&mut dripper), LATE);
        for block in wants.drain(..) {
            without.send(&Message::Absent { address: block });
        }
        while let Some(event) = without.poll(&mut world) {
            if let Event::Message(Message::Want { block, .. }) = event {
                wants.push(block.address);
            }
        }
        without.pump(&mut world);
    }
    assert_eq!(status(&mut world, node).incomplete, 0);
    assert!(dripper.sent <= 32 + 8, "{} leaves were sent: one run twice at most", dripper.sent);
}

#[test]
fn what_comes_late_of_who_is_slow_is_taken_if_nobody_else_has_it() {
    let mut world = World::new(94, network());
    let other = world.add(&[]);
    let node = world.add(&[other]);
    world.run(Duration::from_secs(2), |_| false);
    let blocks = [block_of(1, 32 * LEAF)];
    let mut dripper = Dripper::connect(&mut world, node, &blocks, Duration::from_millis(300));
    let references = [reference(&blocks[0])];
    let record = record(&world, 1, 5, references.to_vec());
    dripper.tell(&mut world, record);
    let drippers = std::slice::from_mut(&mut dripper);
    let took = read(&mut world, (node, drippers), &references, Duration::from_secs(60));
    assert!(took.is_some());
    assert_eq!(dripper.sent, 32, "none was thrown away");
}

#[test]
fn who_reads_does_not_wait_for_an_upload_that_drips() {
    let mut world = World::new(95, network());
    let honest = world.add(&[]);
    let node = world.add(&[honest]);
    world.run(Duration::from_secs(2), |_| false);
    let blocks = [block_of(1, 32 * LEAF)];
    let mut client = RawClient::connect(&mut world, honest);
    let references = bring(&mut world, &mut client, &blocks);
    let mut uploader = RawClient::connect(&mut world, node);
    uploader.send(&offer_of(&world, 1, references.clone()));
    let mut dripper = Dripper::new(&world, uploader, &blocks, SLOWLY);
    let drippers = std::slice::from_mut(&mut dripper);
    wait(&mut world, drippers, Duration::from_secs(3));
    let took = read(&mut world, (node, drippers), &references, Duration::from_secs(5));
    assert!(took.is_some(), "a node has it");
    assert!(dripper.sent > 0);
}
