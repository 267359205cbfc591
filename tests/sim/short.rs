//! What is short: asked for when there is news of it, and otherwise left alone, however much it is.

use super::comparison::{spoil, tell, two_nodes};
use super::pages::{address, paged_of, prepare, put_all};
use super::raw::RawClient;
use super::replication::{block_of, bring, network, put, record, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::limits::{LEAF, VAIN_MAX};
use dfsd::wire::message::{BlockRef, Message, PushedRecord, Role};
use std::time::Duration;

/// A block of its own for each number.
fn block(number: u64) -> Vec<u8> {
    let mut block = block_of(number as u8, LEAF + 100);
    block[..8].copy_from_slice(&number.to_be_bytes());
    block
}

/// Records of files whose blocks are not known to anybody.
fn records(world: &World, blocks: &[BlockRef]) -> Vec<Bytes> {
    let of = |(number, block): (usize, &BlockRef)| {
        record(world, (number % 250) as u8, 5 + number as u64, vec![*block])
    };
    blocks.iter().enumerate().map(of).collect()
}

fn blocks(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(block).collect()
}

fn references(blocks: &[Vec<u8>]) -> Vec<BlockRef> {
    blocks.iter().map(|block| reference(block)).collect()
}

fn incomplete(world: &World, machine: usize) -> u64 {
    world.node(machine).unwrap().summary().incomplete
}

/// Two nodes that are short of the blocks of so many files, and have asked each other for them.
fn two_that_are_short(seed: u64, blocks: &[BlockRef]) -> World {
    let mut world = two_nodes(seed);
    let records = records(&world, blocks);
    for records in records.chunks(100) {
        tell(&mut world, 0, records);
    }
    world.run(Duration::from_secs(120), |_| false);
    for machine in 0..2 {
        assert_eq!(incomplete(&world, machine), blocks.len() as u64);
    }
    world
}

#[test]
fn what_nobody_has_is_left_alone_however_much_it_is() {
    let toil = [20, 1_500].map(|count| {
        let mut world = two_that_are_short(80, &references(&blocks(count)));
        world.run(Duration::from_secs(300), |_| false);
        world.toil_of(Duration::from_secs(300))
    });
    for toil in toil {
        assert!(toil.jobs < 20 && toil.bytes < 20_000, "five minutes at rest: {toil:?}");
    }
}

#[test]
fn the_holder_that_comes_back_is_asked_for_everything() {
    let blocks = blocks(300);
    let mut world = two_that_are_short(81, &references(&blocks));
    let holder = world.add(&[]);
    let mut client = RawClient::connect(&mut world, holder);
    bring_all(&mut world, &mut client, &blocks);
    client.hang_up(&mut world);
    let peers = vec![world.peer(0)];
    world.power_cut(holder);
    world.start(holder, peers);
    let whole = |world: &mut World| (0..2).all(|machine| incomplete(world, machine) == 0);
    assert!(world.run(Duration::from_secs(60), whole));
}

#[test]
fn who_asked_in_vain_is_told_when_it_comes() {
    let blocks = blocks(40);
    let mut world = two_that_are_short(82, &references(&blocks));
    let mut client = RawClient::connect(&mut world, 1);
    for (brought, block) in (1..).zip(&blocks) {
        bring(&mut world, &mut client, std::slice::from_ref(block));
        let left = blocks.len() as u64 - brought;
        let is_here = |world: &mut World| (0..2).all(|machine| incomplete(world, machine) == left);
        assert!(world.run(Duration::from_secs(10), is_here), "{brought}");
    }
}

#[test]
fn who_asked_for_more_than_is_remembered_learns_that_something_has_come() {
    let count = VAIN_MAX as u64 + 300;
    let blocks = blocks(count);
    let mut world = two_that_are_short(83, &references(&blocks));
    let mut client = RawClient::connect(&mut world, 1);
    for block in [&blocks[0], &blocks[VAIN_MAX / 2], &blocks[VAIN_MAX + 299]] {
        bring(&mut world, &mut client, std::slice::from_ref(block));
    }
    let is_here = |world: &mut World| (0..2).all(|machine| incomplete(world, machine) == count - 3);
    assert!(world.run(Duration::from_secs(1800), is_here));
    // The round that has found it ends in its own time.
    world.run(Duration::from_secs(3600), |_| false);
    let toil = world.toil_of(Duration::from_secs(300));
    assert!(toil.jobs < 20 && toil.bytes < 20_000, "five minutes at rest: {toil:?}");
}

/// A peer that says of nothing that it does not have it.
#[test]
fn who_does_not_answer_is_asked_ever_more_rarely() {
    let mut world = World::new(84, network());
    world.add(&[]);
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    let records = records(&world, &references(&blocks(1_000)));
    for records in records.chunks(100) {
        let item = |record: &Bytes| PushedRecord { record: record.clone(), block: Bytes::new() };
        peer.send(&Message::Records { items: records.iter().map(item).collect() });
        peer.pump(&mut world);
    }
    for _ in 0..600 {
        world.run(Duration::from_secs(5), |_| false);
        peer.send(&Message::Pong { token: 0 });
        peer.pump(&mut world);
    }
    assert!(peer.is_alive(&world));
    assert_eq!(incomplete(&world, 0), 1_000);
    let before = world.toil;
    for _ in 0..12 {
        world.run(Duration::from_secs(5), |_| false);
        peer.send(&Message::Pong { token: 0 });
        peer.pump(&mut world);
    }
    let jobs = world.toil.jobs - before.jobs;
    assert!(jobs < 300, "{jobs} jobs in a minute");
}

#[test]
fn a_damaged_page_costs_the_same_however_many_files_have_pages() {
    let jobs = [2, 60].map(|files| {
        let mut world = two_nodes(85);
        let files: Vec<_> = (0..files).map(|number| paged_of(&world, 70_000 + number)).collect();
        for file in &files {
            put_all(&mut world, 0, file);
        }
        world.run(Duration::from_secs(60), |_| false);
        assert_eq!(incomplete(&world, 1), 0);
        let before = world.toil;
        assert!(spoil(&world, 1, &files[0].pages[0]));
        let mut client = RawClient::connect(&mut world, 1);
        let page = address(&files[0].pages[0]);
        client.send(&Message::GetPage { request: 4, address: page });
        assert!(matches!(client.message(&mut world), Some(Message::Page { page: Some(_), .. })));
        world.run(Duration::from_secs(30), |_| false);
        assert_eq!(incomplete(&world, 1), 0);
        world.toil.jobs - before.jobs
    });
    assert!(jobs[0] < 20 && jobs[1] <= jobs[0] + 4, "{jobs:?}");
}

/// The third node has a block that the second could not have from the first.
#[test]
fn what_came_to_another_by_replication_comes_on() {
    let block = block(7);
    let mut world = two_that_are_short(86, &[reference(&block)]);
    let third = world.add(&[]);
    let mut client = RawClient::connect(&mut world, third);
    put(&mut world, &mut client, 9, &[block]);
    let peers = vec![world.peer(1)];
    world.power_cut(third);
    world.start(third, peers);
    let whole = |world: &mut World| (0..2).all(|machine| incomplete(world, machine) == 0);
    assert!(world.run(Duration::from_secs(60), whole));
    assert_eq!(status(&mut world, 0).incomplete, 0);
}

/// Whatever a start looks through, it is not what is whole or known to be short.
#[test]
fn a_start_looks_through_nothing_that_it_can_judge_by_what_it_reads() {
    let jobs = [10, 200].map(|files| {
        let mut world = two_nodes(87);
        let mut client = RawClient::connect(&mut world, 0);
        let blocks = blocks(2 * files);
        // The one half comes by replication, each block after its record, and the other half does not.
        let (here, nowhere) = blocks.split_at(files as usize);
        let all = records(&world, &references(&blocks));
        let (whole, short) = all.split_at(files as usize);
        bring_all(&mut world, &mut client, here);
        for records in [whole, short] {
            tell(&mut world, 0, records);
        }
        world.run(Duration::from_secs(120), |_| false);
        assert_eq!(incomplete(&world, 1), nowhere.len() as u64);
        world.power_cut(0);
        world.power_cut(1);
        let before = world.toil;
        world.start(1, Vec::new());
        assert_eq!(incomplete(&world, 1), nowhere.len() as u64);
        world.run(Duration::from_secs(10), |_| false);
        world.toil.jobs - before.jobs
    });
    assert_eq!(jobs[0], jobs[1]);
}

/// Files with pages, of which one half is whole and the other lacks a block.
#[test]
fn a_start_walks_no_pages_and_knows_of_each_file_what_it_lacks() {
    let jobs = [2, 12].map(|files| {
        let mut world = two_nodes(88);
        let mut lacked = Vec::new();
        for number in 0..files {
            let whole = paged_of(&world, 70_000 + number);
            put_all(&mut world, 0, &whole);
            let mut short = paged_of(&world, 80_000 + number);
            lacked.extend(short.blocks.pop());
            prepare(&mut world, 1, &short);
            tell(&mut world, 0, std::slice::from_ref(&short.record));
        }
        world.run(Duration::from_secs(120), |_| false);
        for machine in 0..2 {
            assert_eq!(incomplete(&world, machine), files as u64);
            world.power_cut(machine);
        }
        let before = world.toil;
        world.start(1, Vec::new());
        assert_eq!(incomplete(&world, 1), files as u64, "it is known at once");
        world.run(Duration::from_secs(10), |_| false);
        let jobs = world.toil.jobs - before.jobs;
        let mut client = RawClient::connect(&mut world, 1);
        bring_all(&mut world, &mut client, &lacked);
        assert!(world.run(Duration::from_secs(60), |world| incomplete(world, 1) == 0));
        let peers = vec![world.peer(1)];
        world.start(0, peers);
        assert!(world.run(Duration::from_secs(60), |world| incomplete(world, 0) == 0));
        jobs
    });
    assert_eq!(jobs[0], jobs[1]);
}

fn bring_all(world: &mut World, client: &mut RawClient, blocks: &[Vec<u8>]) {
    for blocks in blocks.chunks(50) {
        bring(world, client, blocks);
    }
}
