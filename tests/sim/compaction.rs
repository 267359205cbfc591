//! G1, G2, G6 and G8 where the log is compacted: what is kept stays, what is gone stays gone, and its room comes back.

use super::raw::{RawClient, page_of};
use super::replication::{block_of, fetch, network, put, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::ids::Address;
use dfsd::server::work::Job;
use dfsd::wire::message::{BlockRef, Message};
use dfsd::wire::page::{Entries, Page};
use std::time::Duration;

pub(super) const SEGMENT: u64 = 64 * 1024;
/// More than a segment.
pub(super) const WASTE: usize = 6;

fn world(seed: u64) -> (World, RawClient) {
    let mut world = World::new(seed, network());
    world.segment = SEGMENT;
    world.add(&[]);
    let client = RawClient::connect(&mut world, 0);
    (world, client)
}

/// A page that nobody needs twice is put so many times.
pub(super) fn waste(world: &mut World, client: &mut RawClient, count: usize) {
    let block = BlockRef { address: Address([9; 32]), length: 9 };
    let mut page = Vec::new();
    Page { entries: Entries::Blocks(vec![block; 200]), sealed: vec![9; 200 * 64] }
        .encode(&mut page);
    let page = Bytes::from(page);
    for _ in 0..count {
        client.send(&page_of(world, 4, page.clone()));
        assert_eq!(client.message(world), Some(Message::PageDone { request: 4 }));
    }
}

pub(super) fn segments(world: &World) -> Vec<String> {
    world.machines[0].fs.paths("log/")
}

fn restart(world: &mut World, is_cut: bool) {
    match is_cut {
        true => world.power_cut(0),
        false => world.kill(0),
    }
    world.start(0, Vec::new());
}

#[test]
fn what_is_kept_is_there_and_what_is_not_takes_no_room() {
    let (mut world, mut client) = world(610);
    let mut kept = Vec::new();
    for name in 0..30 {
        let mut blocks = vec![block_of(name, 1_500 + usize::from(name))];
        if name % 6 == 0 {
            blocks.push(block_of(name, 70_000));
        }
        put(&mut world, &mut client, name, &blocks);
        kept.extend(blocks);
        waste(&mut world, &mut client, 3);
    }
    for is_cut in [false, true] {
        world.run(Duration::from_secs(20), |_| false);
        let told = status(&mut world, 0);
        assert!(told.log_use.bytes < 5 * SEGMENT, "{:?}", told.log_use);
        assert_eq!(told.log_use.segments as usize, segments(&world).len());
        assert_eq!((told.names, told.blocks, told.incomplete), (30, 35, 0));
        if !is_cut {
            assert!(told.log_use.freed > 20 * SEGMENT && told.log_use.compacted_ms > 0);
            let written = told.log_use.rewritten;
            assert!(written <= told.log_use.freed - written, "{:?}", told.log_use);
        }
        for block in &kept {
            assert_eq!(fetch(&mut world, 0, reference(block)).as_ref(), Some(block));
        }
        let toil = world.toil_of(Duration::from_secs(60));
        assert!(toil.jobs < 5, "a minute at rest: {toil:?}");
        restart(&mut world, is_cut);
    }
    assert_eq!(status(&mut world, 0).names, 30);
}

/// A file of the tree is damaged: it is put away, and the log says that it is lost, in a later segment than the one that
/// names it.
fn lose(world: &mut World, client: &mut RawClient, block: &[u8]) -> BlockRef {
    let files = world.machines[0].fs.paths("blocks/");
    assert!(files.len() == 1 && world.machines[0].fs.tamper().flip(&files[0], block.len() / 2));
    let lost = reference(block);
    client.send(&Message::Suspect { address: lost.address });
    client.pump(world);
    world.run(Duration::from_millis(200), |_| false);
    lost
}

#[test]
fn what_was_lost_is_still_known_to_be_when_the_segment_that_said_so_is_gone() {
    let (mut world, mut client) = world(611);
    let block = block_of(1, 70_000);
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    // Most of the first segment is needed.
    for name in 2..22 {
        put(&mut world, &mut client, name, &[block_of(name, 3_000)]);
    }
    let first = segments(&world)[0].clone();
    lose(&mut world, &mut client, &block);
    let said = segments(&world).last().cloned().unwrap();
    waste(&mut world, &mut client, 2 * WASTE);
    world.run(Duration::from_secs(20), |_| false);
    let left = segments(&world);
    assert!(left.contains(&first) && !left.contains(&said), "{said} of {left:?}");
    for is_cut in [true, false] {
        assert!(status(&mut world, 0).incomplete > 0, "the block");
        restart(&mut world, is_cut);
        assert!(status(&mut world, 0).incomplete > 0, "the block");
        assert_eq!(fetch(&mut world, 0, reference(&block)), None);
        world.run(Duration::from_secs(20), |_| false);
    }
}

#[test]
fn what_is_lost_while_it_is_written_anew_stays_lost() {
    let (mut world, mut client) = world(612);
    let block = block_of(1, 70_000);
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    world.slow = Some(|job| matches!(job, Job::ReadItems { .. }));
    waste(&mut world, &mut client, WASTE);
    let first = segments(&world)[0].clone();
    // It is read and is on its way into a group.
    world.run(Duration::from_millis(300), |_| false);
    lose(&mut world, &mut client, &block);
    world.run(Duration::from_secs(20), |_| false);
    assert!(!segments(&world).contains(&first), "{:?}", segments(&world));
    for is_cut in [true, false] {
        assert!(status(&mut world, 0).incomplete > 0, "the block");
        restart(&mut world, is_cut);
    }
    assert!(status(&mut world, 0).incomplete > 0, "the block");
}

#[test]
fn a_segment_in_which_somebody_reads_stays_as_long() {
    let (mut world, mut client) = world(613);
    let small = block_of(1, 2_000);
    put(&mut world, &mut client, 1, std::slice::from_ref(&small));
    let first = segments(&world)[0].clone();
    world.slow = Some(|job| matches!(job, Job::ReadLeaves { .. }));
    let mut reader = RawClient::connect(&mut world, 0);
    reader.send(&Message::Want { block: reference(&small), first: 0, count: 1 });
    reader.pump(&mut world);
    waste(&mut world, &mut client, 2 * WASTE);
    world.run(Duration::from_millis(500), |_| false);
    assert!(segments(&world).contains(&first), "{:?}", segments(&world));
    let mut read = Vec::new();
    while read.len() < small.len() {
        match reader.event(&mut world) {
            Some(Event::Opened(_) | Event::Message(Message::Coming { .. })) => {}
            Some(Event::Chunk { data, .. }) => read.extend_from_slice(&data),
            other => panic!("a leaf was expected, not {other:?}"),
        }
    }
    assert_eq!(read, small);
    world.run(Duration::from_secs(20), |_| false);
    assert!(!segments(&world).contains(&first), "{:?}", segments(&world));
    assert_eq!(fetch(&mut world, 0, reference(&small)), Some(small));
}
