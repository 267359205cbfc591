//! Puts with conditions, and renames: what was decided holds when it is committed.

use super::client::program::{self, Program};
use super::raw::RawClient;
use super::replication::{block_of, network, put, record, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::crypto::{sign, tags};
use dfsd::ids::{NameId, VersionId};
use dfsd::limits::BLOCK;
use dfsd::session::Operation;
use dfsd::wire::condition::{Condition, HeadsSummary};
use dfsd::wire::message::{Message, PushedRecord, Reason, Role};
use dfsd::wire::record::{BlockList, Record, RecordKind};
use std::time::Duration;

/// One node, and a client of it.
fn one_node(seed: u64) -> (World, RawClient) {
    let mut world = World::new(seed, network());
    world.add(&[]);
    let client = RawClient::connect(&mut world, 0);
    (world, client)
}

fn summary(world: &mut World, client: &mut RawClient, name: u8) -> HeadsSummary {
    let (space, name) = (Default::default(), NameId([name; 32]));
    client.send(&Message::Head { request: 3, space, name, relay: false });
    match client.message(world) {
        Some(Message::Heads { all, .. }) => all,
        other => panic!("heads were expected, not {other:?}"),
    }
}

fn put_if(request: u32, records: Vec<Bytes>, condition: Condition) -> Message {
    let some = condition != Condition::Any;
    let conditions = if some { vec![condition; records.len()] } else { Vec::new() };
    Message::Put { request, conditions, records, blocks: Vec::new() }
}

/// What became of the puts, in the order of the answers.
fn answers(world: &mut World, client: &mut RawClient, count: usize) -> Vec<(u32, Option<Reason>)> {
    let mut answer = || match client.message(world) {
        Some(Message::PutDone { request, .. }) => (request, None),
        Some(Message::Refused { request, reason, .. }) => (request, Some(reason)),
        other => panic!("an answer to a put was expected, not {other:?}"),
    };
    let mut all: Vec<_> = (0..count).map(|_| answer()).collect();
    all.sort_by_key(|(request, _)| *request);
    all
}

#[test]
fn a_condition_on_heads_that_have_changed_is_refused() {
    let (mut world, mut client) = one_node(40);
    put(&mut world, &mut client, 1, &[]);
    let was = summary(&mut world, &mut client, 1);
    assert_eq!(was.count, 1);
    let next = |world: &World, stamp| vec![record(world, 1, stamp, Vec::new())];
    client.send(&put_if(7, next(&world, 1 << 30), Condition::Unchanged(was)));
    assert_eq!(answers(&mut world, &mut client, 1), [(7, None)]);
    client.send(&put_if(8, next(&world, (1 << 30) + 1), Condition::Unchanged(was)));
    assert_eq!(answers(&mut world, &mut client, 1), [(8, Some(Reason::Changed))]);
    let is = summary(&mut world, &mut client, 1);
    client.send(&put_if(9, next(&world, (1 << 30) + 1), Condition::Unchanged(is)));
    assert_eq!(answers(&mut world, &mut client, 1), [(9, None)]);
}

/// Both are decided before either is on the disk.
#[test]
fn of_two_puts_under_one_condition_one_commits() {
    let (mut world, mut client) = one_node(41);
    put(&mut world, &mut client, 1, &[]);
    let was = summary(&mut world, &mut client, 1);
    for stamp in 0..2 {
        let next = vec![record(&world, 1, (1 << 30) + stamp, Vec::new())];
        let request = u32::try_from(stamp).unwrap();
        client.send(&put_if(request, next, Condition::Unchanged(was)));
    }
    assert_eq!(answers(&mut world, &mut client, 2), [(0, None), (1, Some(Reason::Changed))]);
}

#[test]
fn a_version_below_what_is_known_is_refused_if_it_is_to_be_the_newest() {
    let (mut world, mut client) = one_node(42);
    let stamps = [(1, 1 << 30), (2, (1 << 30) - 1)];
    for (request, stamp) in stamps {
        let put = put_if(request, vec![record(&world, 1, stamp, Vec::new())], Condition::Newest);
        client.send(&put);
    }
    assert_eq!(answers(&mut world, &mut client, 2), [(1, None), (2, Some(Reason::Changed))]);
}

/// The one whose condition holds is not stored either.
#[test]
fn a_put_is_refused_whole_for_one_broken_condition() {
    let (mut world, mut client) = one_node(43);
    put(&mut world, &mut client, 1, &[]);
    let records =
        vec![record(&world, 2, 1 << 30, Vec::new()), record(&world, 1, 1 << 30, Vec::new())];
    let conditions = vec![Condition::Absent, Condition::Unchanged(HeadsSummary::default())];
    client.send(&Message::Put { request: 7, conditions, records, blocks: Vec::new() });
    assert_eq!(answers(&mut world, &mut client, 1), [(7, Some(Reason::Changed))]);
    assert_eq!(summary(&mut world, &mut client, 2).count, 0);
}

/// Two programs at once on one node: whatever the order, what was acknowledged is under one of the two names.
#[test]
fn a_rename_beside_a_put_hides_nothing() {
    for round in 0..40_u64 {
        let mut world = program::world(100 + round, 1);
        let mut mover = Program::connect(&mut world, 0, program::access());
        let mut writer = Program::connect(&mut world, 0, program::access());
        writer.put(&mut world, "a", b"old").result.unwrap();
        let (source, target) = (b"a".to_vec(), b"b".to_vec());
        let rename = mover.start(&world, Operation::Rename { source, target, replace: false });
        let put = writer.start_put(&world, "a", b"new".to_vec());
        // The put begins while the rename has come so far.
        for _ in 0..round {
            mover.pump(&mut world);
            world.run(Duration::from_micros(50), |_| false);
        }
        for _ in 0..10_000 {
            mover.pump(&mut world);
            writer.pump(&mut world);
            world.run(Duration::from_micros(50), |_| false);
            if mover.ended.contains_key(&rename) && writer.ended.contains_key(&put) {
                break;
            }
        }
        mover.finish(&mut world, rename).result.unwrap();
        writer.finish(&mut world, put).result.unwrap();
        let read = |program: &mut Program, world: &mut World, name| program.get(world, name).data;
        let names = [read(&mut mover, &mut world, "a"), read(&mut mover, &mut world, "b")];
        assert!(names.contains(&b"new".to_vec()), "round {round}: {names:?}");
    }
}

/// A record of the second name with the same blocks, and the deletion of the first, which has that version.
fn rename_of(world: &World, source: &Bytes) -> Vec<Bytes> {
    let key = world.write_key();
    let signed = |mut record: Record| {
        record.signature = sign::sign(&key.sign, tags::RECORD, &record.signed_bytes());
        Bytes::from(record.to_bytes())
    };
    let source = Record::decode(source).unwrap();
    let (version, parents) = (VersionId { stamp: 1 << 30, ..source.version }, vec![source.version]);
    let moved = Record { name: NameId([2; 32]), version, ..source.clone() };
    let (kind, blocks) = (RecordKind::Tombstone, BlockList::Inline(Vec::new()));
    vec![signed(moved), signed(Record { kind, version, parents, blocks, ..source })]
}

#[test]
fn a_file_is_renamed_where_its_record_is_known_and_its_blocks_are_not_yet() {
    let (mut world, mut client) = one_node(44);
    let block = block_of(3, BLOCK);
    let source = record(&world, 1, 5, vec![reference(&block)]);
    let unknown = rename_of(&world, &source);
    client.send(&put_if(7, unknown.clone(), Condition::Newest));
    assert_eq!(answers(&mut world, &mut client, 1), [(7, Some(Reason::Missing))]);

    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    let items = vec![PushedRecord { record: source, block: Bytes::new() }];
    peer.send(&Message::Records { items });
    peer.pump(&mut world);
    world.run(Duration::from_secs(1), |_| false);
    client.send(&put_if(8, unknown, Condition::Newest));
    assert_eq!(answers(&mut world, &mut client, 1), [(8, None)]);
    assert_eq!(status(&mut world, 0).incomplete, 2, "what is not here is still said not to be");

    let other = record(&world, 1, 6, vec![reference(&block_of(4, BLOCK))]);
    client.send(&put_if(9, rename_of(&world, &other), Condition::Any));
    assert_eq!(answers(&mut world, &mut client, 1), [(9, Some(Reason::Missing))]);
}
