//! Nodes that hold many records, or whose disks fail to say what they hold, and still come to hold the same.

use super::raw::RawClient;
use super::replication::{block_of, fetch, network, put, record, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::crypto::keys::record_id;
use dfsd::crypto::{sign, tags};
use dfsd::ids::{NameId, VersionId, Writer};
use dfsd::limits::{BLOCK, LEAF, OUTBOX_MAX, RECONCILE_PERIOD};
use dfsd::store::fs::FileSystem;
use dfsd::wire::message::{Message, PushedRecord, RangeSummary, Role};
use dfsd::wire::record::{Record, RecordKind};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Two nodes that know each other, and nothing else.
pub(super) fn two_nodes(seed: u64) -> World {
    let mut world = World::new(seed, network());
    let first = world.add(&[]);
    world.add(&[first]);
    world.run(Duration::from_secs(5), |_| false);
    world
}

/// An empty file, one of as many as one likes.
pub(super) fn numbered(world: &World, number: u32) -> Bytes {
    let mut name = [0; 32];
    name[..4].copy_from_slice(&number.to_be_bytes());
    signed(world, |record| record.name = NameId(name))
}

pub(super) fn signed(world: &World, change: impl FnOnce(&mut Record)) -> Bytes {
    let mut new = Record::decode(&record(world, 0, 5, Vec::new())).unwrap();
    change(&mut new);
    new.signature = sign::sign(&world.write_key().sign, tags::RECORD, &new.signed_bytes());
    new.to_bytes().into()
}

/// A peer of which nobody has heard tells a node of these records.
pub(super) fn tell(world: &mut World, machine: usize, records: &[Bytes]) {
    let mut peer = RawClient::connect_as(world, machine, Role::Node);
    for records in records.chunks(100) {
        let item = |record: &Bytes| PushedRecord { record: record.clone(), block: Bytes::new() };
        peer.send(&Message::Records { items: records.iter().map(item).collect() });
        peer.pump(world);
        world.run(Duration::from_millis(100), |_| false);
    }
    assert!(peer.is_alive(world));
    peer.hang_up(world);
}

pub(super) fn summary(world: &World, machine: usize) -> RangeSummary {
    world.node(machine).unwrap().summary().records
}

/// Turns a bit over within these bytes, wherever the log has them. False if it does not.
pub(super) fn spoil(world: &World, machine: usize, bytes: &[u8]) -> bool {
    spoil_at(world, machine, bytes, bytes.len() / 2)
}

/// The same of this byte of them.
pub(super) fn spoil_at(world: &World, machine: usize, bytes: &[u8], offset: usize) -> bool {
    let disk = &world.machines[machine].fs;
    disk.paths("log").into_iter().any(|path| {
        let file = disk.open(&path).unwrap();
        let mut log = vec![0; disk.length(&file).unwrap() as usize];
        disk.read_at(&file, 0, &mut log).unwrap();
        let at = log.windows(bytes.len()).position(|window| window == bytes);
        at.is_some_and(|at| disk.tamper().flip(&path, at + offset))
    })
}

/// All that a node finds bad or missing of its own, which makes it look.
pub(super) fn verify(world: &mut World, machine: usize) -> usize {
    let mut client = RawClient::connect(world, machine);
    let (mut found, mut after) = (0, None);
    loop {
        client.send(&Message::Verify { request: 1, after });
        match client.message(world) {
            Some(Message::Verified { bad, next, .. }) => {
                found += bad.len();
                after = next;
            }
            other => panic!("it verifies, not {other:?}"),
        }
        if after.is_none() {
            return found;
        }
    }
}

/// Whose ids are many is compared part by part, and what both have is not sent.
fn few_of_many(count: u32, extra: u32) {
    let mut world = two_nodes(31);
    let both: Vec<Bytes> = (0..count).map(|number| numbered(&world, number)).collect();
    world.part(0, 1);
    for machine in [0, 1] {
        tell(&mut world, machine, &both);
        let own = (machine as u32 + 1) * 1_000_000;
        let own: Vec<Bytes> = (own..own + extra).map(|number| numbered(&world, number)).collect();
        tell(&mut world, machine, &own);
    }
    world.run(Duration::from_secs(120), |_| false);
    assert_ne!(summary(&world, 0), summary(&world, 1));
    let carried = Arc::new(AtomicUsize::new(0));
    let tapped = Arc::clone(&carried);
    world.tap = Some(Box::new(move |bytes| {
        tapped.fetch_add(bytes.len(), Ordering::Relaxed);
    }));
    world.heal(0, 1);
    let agree = |world: &mut World| summary(world, 0) == summary(world, 1);
    assert!(world.run(Duration::from_secs(30), agree));
    let names = u64::from(count + 2 * extra);
    assert_eq!((status(&mut world, 0).names, status(&mut world, 1).names), (names, names));
    let all: usize = both.iter().map(Bytes::len).sum();
    let carried = carried.load(Ordering::Relaxed);
    assert!(count == 0 || carried < all, "{carried} bytes for {} records of {count}", 2 * extra);
}

#[test]
fn of_many_records_only_those_are_sent_that_differ() {
    few_of_many(600, 3);
}

#[test]
fn of_thousands_of_records_only_those_are_sent_that_differ() {
    few_of_many(5_000, 60);
}

/// More is left out of what is sent, in all, than may be at a time.
#[test]
fn where_many_of_many_records_differ_all_are_sent_on_one_connection() {
    few_of_many(5_000, 600);
}

/// Neither has anything that the other has, as after a long part.
#[test]
fn thousands_of_records_on_each_side_come_together_on_one_connection() {
    few_of_many(0, 3_000);
}

#[test]
fn a_part_of_which_one_side_has_nothing_is_sent_whole() {
    let mut world = two_nodes(32);
    let begins_with = |nibble: u8| {
        let world = &world;
        let records = (0..).map(move |number| numbered(world, number));
        records.filter(move |record| record_id(record).0[0] >> 4 == nibble).take(20)
    };
    // Neither has anything of the part that the other alone has.
    let both: Vec<Bytes> = (0..14).flat_map(begins_with).collect();
    let own: [Vec<Bytes>; 2] = [14, 15].map(|nibble| begins_with(nibble).collect());
    world.part(0, 1);
    for machine in [0, 1] {
        tell(&mut world, machine, &both);
        tell(&mut world, machine, &own[machine]);
    }
    world.run(Duration::from_secs(120), |_| false);
    world.heal(0, 1);
    let agree = |world: &mut World| summary(world, 0) == summary(world, 1);
    assert!(world.run(Duration::from_secs(30), agree));
    assert_eq!(status(&mut world, 0).names, 16 * 20);
}

#[test]
fn a_record_that_has_rotted_is_not_sent_and_comes_back_from_who_has_it() {
    let mut world = two_nodes(33);
    let mut client = RawClient::connect(&mut world, 0);
    let rotten = put(&mut world, &mut client, 1, &[]);
    put(&mut world, &mut client, 2, &[]);
    world.run(Duration::from_secs(1), |_| false);
    assert!(spoil(&world, 0, &rotten));
    // A third is to be told of it, which is when the first looks.
    let third = world.add(&[0]);
    let whole = |world: &mut World| (0..3).all(|machine| summary(world, machine).count == 3);
    assert!(world.run(Duration::from_secs(20), whole));
    assert_eq!(status(&mut world, third).names, 2);
    world.run(Duration::from_secs(5), |_| false);
    assert_eq!(verify(&mut world, 0), 0, "written anew");
}

#[test]
fn records_that_cannot_be_read_now_are_sent_when_they_can() {
    let mut world = two_nodes(34);
    world.power_cut(1);
    let mut client = RawClient::connect(&mut world, 0);
    put(&mut world, &mut client, 1, &[]);
    world.machines[0].fs.tamper().set_exhausted(true);
    world.start(1, vec![world.peer(0)]);
    world.run(Duration::from_secs(5), |_| false);
    assert_eq!(world.node(1).unwrap().summary().peers, 1);
    assert_eq!(summary(&world, 1).count, 1, "its own grant");
    world.machines[0].fs.tamper().set_exhausted(false);
    let agree = |world: &mut World| summary(world, 0) == summary(world, 1);
    assert!(world.run(Duration::from_secs(60), agree));
}

#[test]
fn a_file_is_fetched_when_its_record_can_be_read_again() {
    let mut world = two_nodes(35);
    world.machines[1].fs.tamper().set_exhausted(true);
    let mut client = RawClient::connect(&mut world, 0);
    let block = block_of(1, BLOCK);
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    world.run(Duration::from_secs(2), |_| false);
    assert_eq!(world.node(1).unwrap().summary().incomplete, 1, "it knows of the file");
    world.machines[1].fs.tamper().set_exhausted(false);
    let complete = |world: &mut World| world.node(1).unwrap().summary().incomplete == 0;
    assert!(world.run(Duration::from_secs(120), complete));
    world.power_cut(0);
    assert_eq!(fetch(&mut world, 1, reference(&block)), Some(block));
}

#[test]
fn a_record_that_rots_before_its_file_is_there_comes_again_and_the_file_with_it() {
    let mut world = two_nodes(36);
    let block = block_of(1, 3 * LEAF);
    let waiting = record(&world, 1, 5, vec![reference(&block)]);
    tell(&mut world, 1, std::slice::from_ref(&waiting));
    world.run(RECONCILE_PERIOD * 2, |_| false);
    assert_eq!(summary(&world, 0), summary(&world, 1));
    assert_eq!(status(&mut world, 1).incomplete, 1, "nobody has its block");
    assert!(spoil(&world, 1, &waiting));
    let mut client = RawClient::connect(&mut world, 0);
    put(&mut world, &mut client, 2, std::slice::from_ref(&block));
    let complete = |world: &mut World| {
        let standing = world.node(1).unwrap().summary();
        standing.incomplete == 0 && standing.records == summary(world, 0)
    };
    assert!(world.run(Duration::from_secs(300), complete));
    assert_eq!(verify(&mut world, 1), 0, "written anew");
}

#[test]
fn an_old_version_that_rotted_and_came_back_is_still_superseded() {
    let mut world = two_nodes(37);
    let version = |stamp| VersionId { stamp, writer: Writer([1; 8]) };
    let versions = [(5, Vec::new()), (6, vec![version(5)])].map(|(stamp, parents)| {
        signed(&world, |record| {
            record.version = version(stamp);
            record.parents = parents;
        })
    });
    tell(&mut world, 0, &versions);
    world.run(RECONCILE_PERIOD * 2, |_| false);
    assert_eq!(summary(&world, 0), summary(&world, 1));
    assert!(spoil(&world, 0, &versions[0]));
    assert_eq!(verify(&mut world, 0), 1);
    let agree = |world: &mut World| summary(world, 0) == summary(world, 1);
    assert!(world.run(Duration::from_secs(10), agree), "it came back");
    let mut client = RawClient::connect(&mut world, 0);
    let (space, name) = (Default::default(), NameId([0; 32]));
    client.send(&Message::Head { request: 3, space, name, relay: false });
    match client.message(&mut world) {
        Some(Message::Heads { versions, .. }) => assert_eq!(versions, [version(6)]),
        other => panic!("heads were expected, not {other:?}"),
    }
}

#[test]
fn a_small_block_that_rots_while_no_peer_is_there_is_still_missed_after_a_restart() {
    let mut world = two_nodes(39);
    let block = block_of(1, 50_000);
    let mut client = RawClient::connect(&mut world, 0);
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    world.run(Duration::from_secs(5), |_| false);
    world.power_cut(1);
    assert!(spoil(&world, 0, &block));
    assert_eq!(fetch(&mut world, 0, reference(&block)), None, "nobody has it now");
    assert_eq!(verify(&mut world, 0), 1);
    world.run(Duration::from_secs(1), |_| false);
    world.power_cut(0);
    world.start(0, Vec::new());
    assert_eq!(verify(&mut world, 0), 1, "that is not forgotten");
    let peer = world.peer(0);
    world.start(1, vec![peer]);
    world.run(Duration::from_secs(20), |_| false);
    assert_eq!(verify(&mut world, 0), 0);
    world.power_cut(1);
    assert_eq!(fetch(&mut world, 0, reference(&block)), Some(block));
}

/// What waits for him has a bound: the rest is read from the log when he takes it.
#[test]
fn a_peer_that_reads_late_is_told_of_all_that_came_meanwhile() {
    let mut world = World::new(40, network());
    world.add(&[]);
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    let records: Vec<Bytes> = (0..2_000).map(|number| numbered(&world, number)).collect();
    let mut client = RawClient::connect(&mut world, 0);
    for records in records.chunks(8) {
        let (request, records) = (7, records.to_vec());
        client.send(&Message::Put { request, conditions: Vec::new(), records, blocks: Vec::new() });
        assert_eq!(client.message(&mut world), Some(Message::PutDone { request: 7, copies: 1 }));
    }
    let all: usize = records.iter().map(Bytes::len).sum();
    assert!(all > OUTBOX_MAX, "{all} bytes could all wait");
    let mut told = BTreeSet::new();
    while let Some(event) = peer.event(&mut world) {
        if let Event::Message(Message::Records { items }) = event {
            told.extend(items.into_iter().map(|item| item.record));
        }
    }
    let missing = records.iter().filter(|record| !told.contains(*record)).count();
    assert_eq!(missing, 0, "of {}", records.len());
}

/// Records of kinds that this program does not know are kept and passed on.
#[test]
fn what_a_newer_program_states_reaches_every_node() {
    let mut world = two_nodes(38);
    let kinds = [RecordKind::Admission, RecordKind::Presence, RecordKind::Other(77)];
    let records = kinds.map(|kind| signed(&world, |record| record.kind = kind));
    tell(&mut world, 0, &records);
    world.run(RECONCILE_PERIOD * 2, |_| false);
    for machine in [0, 1] {
        let status = status(&mut world, machine);
        assert_eq!(status.records, 1 + kinds.len() as u64);
        assert_eq!(status.names, 0, "they are no files");
    }
}

/// More than the queue for a peer holds is stored while that does not read.
#[test]
fn what_was_dropped_for_want_of_room_comes_soon() {
    let mut world = two_nodes(38);
    let mut client = RawClient::connect(&mut world, 0);
    world.freeze(1);
    for number in 0..750 {
        let records = (0..8).map(|one| numbered(&world, number * 8 + one)).collect();
        let (conditions, blocks) = (Vec::new(), Vec::new());
        client.send(&Message::Put { request: 7, conditions, records, blocks });
        assert_eq!(client.message(&mut world), Some(Message::PutDone { request: 7, copies: 1 }));
    }
    world.thaw(1);
    let agree = |world: &mut World| summary(world, 0) == summary(world, 1);
    assert!(world.run(Duration::from_secs(15), agree));
    assert!(world.node(1).unwrap().summary().peers == 1, "on the connection that was there");
}
