//! What a node tells while it has not yet heard from the others what they know: what stands comes first, and until all of
//! it is here the node says so.

use super::comparison::{numbered, signed, tell};
use super::raw::{RawClient, default_settings};
use super::replication::{block_of, network, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::ids::{NameId, RecordId, VersionId, Writer};
use dfsd::limits::LEAF;
use dfsd::wire::message::{BlockRef, Message, PushedRecord, RangeSummary, Role};
use dfsd::wire::record::{BlockList, Record, RecordKind};
use dfsd::wire::sync_state::SyncState;
use std::collections::BTreeSet;
use std::time::Duration;

const STEP: Duration = Duration::from_millis(20);

/// Every name that a node lists, and whether it says that it has heard of all.
fn list(world: &mut World, machine: usize) -> (BTreeSet<NameId>, SyncState) {
    let mut client = RawClient::connect(world, machine);
    let (mut names, mut all, mut after) = (BTreeSet::new(), SyncState::Complete, None);
    loop {
        client.send(&Message::List { request: 1, space: Default::default(), after, future: false });
        let Some(Message::Listed { records, next, sync, .. }) = client.message(world) else {
            panic!("a list was expected");
        };
        names.extend(records.iter().map(|record| Record::decode(record).unwrap().name));
        all = all.and(sync);
        after = next;
        if after.is_none() {
            client.hang_up(world);
            return (names, all);
        }
    }
}

fn version(stamp: u64) -> VersionId {
    VersionId { stamp, writer: Writer([1; 8]) }
}

/// A version that supersedes an older one, of a name that has a number.
fn of_name(world: &World, number: u32, change: impl FnOnce(&mut Record)) -> Bytes {
    let mut name = [0; 32];
    name[..4].copy_from_slice(&number.to_be_bytes());
    signed(world, |record| {
        record.name = NameId(name);
        record.version = version(5);
        change(record);
    })
}

fn deletion(world: &World, number: u32) -> Bytes {
    of_name(world, number, |record| {
        record.kind = RecordKind::Tombstone;
        record.version = version(6);
        record.parents = vec![version(5)];
    })
}

/// A node that has lists of many names, every fourth of which is deleted.
fn one_node(seed: u64, count: u32) -> World {
    let mut world = World::new(seed, network());
    world.add(&[]);
    let records: Vec<Bytes> = (0..count).map(|number| of_name(&world, number, |_| {})).collect();
    tell(&mut world, 0, &records);
    let deleted: Vec<Bytes> =
        (0..count).step_by(4).map(|number| deletion(&world, number)).collect();
    tell(&mut world, 0, &deleted);
    world.run(Duration::from_secs(5), |_| false);
    world
}

#[test]
fn who_joins_says_that_it_is_synchronising_until_it_lists_what_the_others_list() {
    let mut lesser = BTreeSet::new();
    for seed in 1..=6 {
        let mut world = one_node(seed, 2_000);
        let (all, sync) = list(&mut world, 0);
        assert_eq!(
            (all.len(), sync),
            (1_500, SyncState::Complete),
            "a node alone has heard of all"
        );
        let new = world.add(&[0]);
        lesser.insert(world.node_id(new) < world.node_id(0));
        let mut said = BTreeSet::new();
        for step in 0.. {
            assert!(
                step < 1_500,
                "seed {seed} comes to an end: {:?}",
                status(&mut world, new).sync
            );
            let (names, sync) = list(&mut world, new);
            if sync == SyncState::Complete {
                assert_eq!(names.len(), all.len(), "seed {seed}, step {step}");
                assert!(names == all, "what was deleted is not listed");
                break;
            }
            said.insert(matches!(sync, SyncState::Syncing { of: 2_501, .. }));
            world.run(STEP, |_| false);
        }
        assert!(said.contains(&true), "seed {seed}: it said of how many records");
        assert_eq!(status(&mut world, new).sync, SyncState::Complete);
        assert_eq!(status(&mut world, 0).sync, SyncState::Complete);
    }
    assert_eq!(lesser.len(), 2, "either of the two may be the one that asks");
}

/// The two never have the same at the same time.
#[test]
fn who_joins_while_others_are_busy_has_heard_of_all_some_time() {
    let mut lesser = BTreeSet::new();
    for seed in 11..=14 {
        let mut world = one_node(seed, 200);
        let new = world.add(&[0]);
        lesser.insert(world.node_id(new) < world.node_id(0));
        let mut client = RawClient::connect(&mut world, 0);
        let mut synced = false;
        for number in 10_000..10_400 {
            let records = vec![numbered(&world, number)];
            let (request, conditions, blocks) = (7, Vec::new(), Vec::new());
            client.send(&Message::Put { request, conditions, records, blocks });
            client.pump(&mut world);
            world.run(STEP, |_| false);
            synced |= status(&mut world, new).sync == SyncState::Complete;
        }
        assert!(synced, "seed {seed}: {:?}", status(&mut world, new).sync);
    }
    assert_eq!(lesser.len(), 2, "either of the two may be the one that asks");
}

fn everything(count: u64) -> RangeSummary {
    let (first, last) = (RecordId([0; 32]), RecordId([255; 32]));
    RangeSummary { first, last, count, fingerprint: Default::default() }
}

#[test]
fn who_is_told_of_all_has_heard_of_it_when_it_is_durable() {
    let mut world = one_node(21, 10);
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    let records: Vec<Bytes> = (500..600).map(|number| numbered(&world, number)).collect();
    let item = |record: &Bytes| PushedRecord { record: record.clone(), block: Bytes::new() };
    peer.send(&Message::Records { items: records.iter().map(item).collect() });
    peer.send(&Message::Compare {
        range: everything(100),
        told: true,
        cut: 0,
        settings: default_settings(),
    });
    peer.send(&Message::Status { request: 5 });
    peer.pump(&mut world);
    let mut complete = false;
    for _ in 0..200 {
        let answers = std::iter::from_fn(|| peer.poll(&mut world));
        for event in answers.collect::<Vec<_>>() {
            if let Event::Message(Message::StatusIs { status, .. }) = event {
                complete = status.sync == SyncState::Complete;
                assert!(!complete || status.records > 100, "only {} records", status.records);
            }
        }
        peer.send(&Message::Status { request: 5 });
        peer.pump(&mut world);
        world.run(Duration::from_millis(1), |_| false);
    }
    assert!(complete);
}

#[test]
fn a_node_that_has_reached_nobody_since_its_start_says_so() {
    let mut world = one_node(22, 10);
    let second = world.add(&[0]);
    world.run(Duration::from_secs(10), |_| false);
    assert_eq!(status(&mut world, second).sync, SyncState::Complete);
    world.power_cut(0);
    world.run(Duration::from_secs(10), |_| false);
    assert_eq!(
        status(&mut world, second).sync,
        SyncState::Complete,
        "it has heard of all there was"
    );
    world.power_cut(second);
    let peer = world.peer(0);
    world.start(second, vec![peer]);
    world.run(Duration::from_secs(10), |_| false);
    assert_eq!(status(&mut world, second).sync, SyncState::Unreached);
    world.start(0, Vec::new());
    let complete = |world: &mut World| status(world, 1).sync == SyncState::Complete;
    assert!(world.run(Duration::from_secs(30), complete));
}

/// A peer that has nothing is sent what stands before what is superseded, whichever of the two asks.
#[test]
fn what_stands_is_sent_before_what_was_once() {
    let mut lesser = BTreeSet::new();
    for seed in 31..=36 {
        let mut world = one_node(seed, 400);
        let mut peer = RawClient::connect_silent(&mut world, 0);
        lesser.insert(peer.key.node_id() < world.node_id(0));
        peer.hello(Role::Node);
        peer.send(&Message::Compare {
            range: everything(0),
            told: false,
            cut: 0,
            settings: default_settings(),
        });
        peer.pump(&mut world);
        let (mut came, mut late) = (BTreeSet::new(), Vec::new());
        for _ in 0..500 {
            while let Some(event) = peer.poll(&mut world) {
                match event {
                    Event::Message(Message::Compare { range, .. }) => {
                        let (first, last) = (range.first, range.last);
                        peer.send(&Message::Ids { first, last, ids: Vec::new() });
                    }
                    Event::Message(Message::Records { items }) => {
                        for item in items {
                            let record = Record::decode(&item.record).unwrap();
                            if came.insert(item.record) {
                                late.push(is_superseded(&record));
                            }
                        }
                    }
                    _ => {}
                }
            }
            peer.pump(&mut world);
            world.run(STEP, |_| false);
        }
        assert_eq!(late.len(), 501, "seed {seed}: all come, and the grant");
        assert!(late.is_sorted(), "seed {seed}: what stands comes first");
    }
    assert_eq!(lesser.len(), 2, "either of the two may be the one that asks");
}

/// Every fourth name of these tests is deleted.
fn is_superseded(record: &Record) -> bool {
    let number = u32::from_be_bytes([0, 1, 2, 3].map(|at| record.name.0[at]));
    record.kind == RecordKind::File && number.is_multiple_of(4)
}

#[test]
fn blocks_of_what_was_once_are_fetched_last() {
    let mut world = one_node(41, 0);
    let block = |number: u32| reference(&block_of(number as u8 + 1, 3 * LEAF));
    let with = |record: &mut Record, number| {
        record.blocks = BlockList::Inline(vec![block(number)]);
    };
    let old = (0..30).map(|number| of_name(&world, number, |record| with(record, number)));
    let new = (0..30).map(|number| {
        of_name(&world, number, |record| {
            record.version = version(6);
            record.parents = vec![version(5)];
            with(record, 100 + number);
        })
    });
    let records: Vec<Bytes> = old.chain(new).collect();
    tell(&mut world, 0, &records);
    world.run(Duration::from_secs(5), |_| false);
    world.power_cut(0);
    world.start(0, Vec::new());
    world.run(Duration::from_secs(5), |_| false);
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    let shown: Vec<BlockRef> = (100..130).map(block).collect();
    let mut wanted: Vec<BlockRef> = Vec::new();
    for _ in 0..2_000 {
        peer.pump(&mut world);
        while let Some(event) = peer.poll(&mut world) {
            if let Event::Message(Message::Want { block, .. }) = event
                && !wanted.contains(&block)
            {
                wanted.push(block);
                peer.send(&Message::Absent { address: block.address });
            }
        }
        world.run(Duration::from_millis(5), |_| false);
    }
    assert_eq!(wanted.len(), 60, "all are asked for");
    let is_shown: Vec<bool> = wanted.iter().map(|block| shown.contains(block)).collect();
    // All but those that are completed at the same time as the last of the others.
    let (first, last) = (&is_shown[..22], &is_shown[38..]);
    assert!(!first.contains(&false) && !last.contains(&true), "what is shown first: {is_shown:?}");
}
