//! Names with more heads than a record can name: what is deleted or moved away ends with one.

use super::program::{Program, access, world};
use crate::sim::comparison::{signed, tell};
use crate::sim::raw::RawClient;
use crate::sim::world::World;
use bytes::Bytes;
use dfsd::ids::{NameId, VersionId};
use dfsd::limits::{PARENTS_MAX, TOMBSTONES_MAX};
use dfsd::session::{Answer, ClientError, Operation};
use dfsd::wire::message::Message;
use dfsd::wire::record::Record;
use std::time::Duration;

/// Versions of one name that know nothing of each other.
const HEADS: u64 = 40;

/// A node with a name of so many heads, of which a program has put the greatest.
fn crowded(seed: u64, count: u64) -> (World, Program, NameId) {
    let mut world = world(seed, 1);
    let mut program = Program::connect(&mut world, 0, access());
    program.put(&mut world, "one", b"the greatest").result.unwrap();
    let name = name_of(&mut world);
    let heads: Vec<Bytes> = (1..count)
        .map(|stamp| {
            signed(&world, |record| {
                record.name = name;
                record.version.stamp = stamp;
            })
        })
        .collect();
    tell(&mut world, 0, &heads);
    world.run(Duration::from_secs(1), |_| false);
    assert_eq!(heads_of(&mut world, name), count);
    (world, program, name)
}

/// The only name that the node lists.
fn name_of(world: &mut World) -> NameId {
    let mut client = RawClient::connect(world, 0);
    client.send(&Message::List {
        request: 1,
        space: Default::default(),
        after: None,
        future: false,
    });
    match client.message(world) {
        Some(Message::Listed { records, .. }) => Record::decode(&records[0]).unwrap().name,
        other => panic!("a list was expected, not {other:?}"),
    }
}

fn heads_of(world: &mut World, name: NameId) -> u64 {
    versions_of(world, name).1
}

/// The first of the heads, and how many there are.
fn versions_of(world: &mut World, name: NameId) -> (Vec<VersionId>, u64) {
    let mut client = RawClient::connect(world, 0);
    let space = Default::default();
    client.send(&Message::Head { request: 3, space, name, relay: false });
    match client.message(world) {
        Some(Message::Heads { versions, all, .. }) => (versions, all.count),
        other => panic!("heads were expected, not {other:?}"),
    }
}

#[test]
fn a_deleted_name_ends_with_one_head_however_many_it_had() {
    assert!(HEADS > 4 * PARENTS_MAX as u64);
    let (mut world, mut program, name) = crowded(60, HEADS);
    let deleted = program.call(&mut world, Operation::Delete { name: "one".into() });
    let Ok(Answer::Deleted { version, last }) = deleted.result else {
        panic!("another answer was expected than {:?}", deleted.result);
    };
    assert!(last > version);
    assert_eq!(versions_of(&mut world, name), (vec![last], 1));
    assert!(matches!(program.get(&mut world, "one").result, Err(ClientError::NotFound)));
}

#[test]
fn a_name_that_is_moved_away_ends_with_one_head_and_the_file_is_elsewhere() {
    let (mut world, mut program, name) = crowded(61, HEADS);
    let (source, target) = (b"one".to_vec(), b"two".to_vec());
    let moved = program.call(&mut world, Operation::Rename { source, target, replace: false });
    let Ok(Answer::Renamed { deleted, last, .. }) = moved.result else {
        panic!("another answer was expected than {:?}", moved.result);
    };
    assert!(last > deleted);
    assert_eq!(versions_of(&mut world, name), (vec![last], 1));
    assert!(matches!(program.get(&mut world, "one").result, Err(ClientError::NotFound)));
    assert_eq!(program.get(&mut world, "two").data, b"the greatest");
}

#[test]
fn a_name_with_very_many_heads_is_deleted_though_it_is_not_cleared() {
    let of_each = PARENTS_MAX as u64 - 1;
    let count = (u64::from(TOMBSTONES_MAX) + 5) * of_each;
    let (mut world, mut program, name) = crowded(59, count);
    let deleted = program.call(&mut world, Operation::Delete { name: "one".into() });
    assert!(matches!(deleted.result, Ok(Answer::Deleted { .. })));
    let left = heads_of(&mut world, name);
    assert!(left > 1 && left < 5 * PARENTS_MAX as u64, "{left}");
    assert!(matches!(program.get(&mut world, "one").result, Err(ClientError::NotFound)));
}

/// Whoever stores under the name while it is being cleared is not deleted.
#[test]
fn what_is_stored_while_a_name_is_cleared_stays() {
    for round in 0..30_u64 {
        let (mut world, mut program, _) = crowded(62 + round, HEADS);
        let mut writer = Program::connect(&mut world, 0, access());
        let delete = program.start(&world, Operation::Delete { name: "one".into() });
        let mut put = None;
        for step in 0..20_000 {
            if step == 20 * round {
                put = Some(writer.start_put(&world, "one", b"new".to_vec()));
            }
            program.pump(&mut world);
            writer.pump(&mut world);
            world.run(Duration::from_micros(50), |_| false);
            let is_put = put.is_some_and(|put| writer.ended.contains_key(&put));
            if is_put && program.ended.contains_key(&delete) {
                break;
            }
        }
        let deleted = program.finish(&mut world, delete).result.unwrap();
        let put = writer.finish(&mut world, put.unwrap()).result.unwrap();
        let (Answer::Deleted { version: gone, .. }, Answer::Put { version: came, .. }) =
            (deleted, put)
        else {
            panic!("other answers were expected");
        };
        // The first tombstone may come after the put; what clears comes after that, and never over it.
        if came > gone {
            assert_eq!(program.get(&mut world, "one").data, b"new", "round {round}");
        }
    }
}
