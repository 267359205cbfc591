//! G3 over a restart: a record that has rotted hides what was before it, as far as what is left of it tells.

use super::comparison::{signed, spoil, summary, tell, two_nodes, verify};
use super::raw::RawClient;
use super::replication::network;
use super::world::World;
use bytes::Bytes;
use dfsd::ids::{NameId, VersionId};
use dfsd::wire::message::{Message, Role};
use dfsd::wire::record::{Record, RecordKind};
use std::time::Duration;

/// A record of this name; its second version deletes it.
fn version(world: &World, name: u8, stamp: u64) -> Bytes {
    signed(world, |record| {
        let before = VersionId { stamp: stamp - 1, ..record.version };
        record.name = NameId([name; 32]);
        record.version.stamp = stamp;
        record.parents = (stamp > 5).then_some(before).into_iter().collect();
        record.kind = if stamp > 5 { RecordKind::Tombstone } else { RecordKind::File };
    })
}

/// Two versions of each name, and more after them.
fn stored(world: &mut World, names: u8) -> Vec<[Bytes; 2]> {
    let all: Vec<_> =
        (0..names).map(|name| [5, 6].map(|stamp| version(world, name, stamp))).collect();
    for versions in &all {
        for record in versions {
            tell(world, 0, std::slice::from_ref(record));
        }
    }
    tell(world, 0, &[version(world, 200, 5)]);
    all
}

/// What a node says of a name: that it is damaged, or which of its versions it shows, if any.
fn said(world: &mut World, machine: usize, name: u8) -> Result<Option<Bytes>, ()> {
    let mut client = RawClient::connect_as(world, machine, Role::Client);
    let (space, name) = (Default::default(), NameId([name; 32]));
    client.send(&Message::Head { request: 3, space, name, relay: true });
    match client.message(world) {
        Some(Message::Heads { shown, .. }) => Ok(shown),
        Some(Message::DamagedHeads { .. }) => Err(()),
        other => panic!("heads were expected, not {other:?}"),
    }
}

fn is_deleted(said: &Result<Option<Bytes>, ()>) -> bool {
    let kind = |bytes: &Bytes| Record::decode(bytes).unwrap().kind;
    matches!(said, Ok(Some(bytes)) if kind(bytes) == RecordKind::Tombstone)
}

#[test]
fn a_damaged_record_hides_what_was_before_it_after_a_start_too() {
    let mut world = World::new(90, network());
    world.add(&[]);
    let all = stored(&mut world, 3);
    world.kill(0);
    assert!(spoil(&world, 0, &all[1][1]));
    world.start(0, Vec::new());
    for _ in 0..2 {
        assert!(is_deleted(&said(&mut world, 0, 0)) && is_deleted(&said(&mut world, 0, 2)));
        assert_eq!(said(&mut world, 0, 1), Err(()), "not that it is there");
        world.kill(0);
        world.start(0, Vec::new());
    }
    // Whoever stores under the name anew is not hidden.
    let newer = version(&world, 1, 7);
    tell(&mut world, 0, std::slice::from_ref(&newer));
    assert_eq!(said(&mut world, 0, 1), Ok(Some(newer)));
}

#[test]
fn a_record_that_rotted_before_a_start_comes_back_and_is_damaged_no_more() {
    let mut world = two_nodes(91);
    let all = stored(&mut world, 3);
    let agree = |world: &mut World| summary(world, 0) == summary(world, 1);
    assert!(world.run(Duration::from_secs(120), agree));
    // In its signature, and where its name stands.
    let record = &all[2][1];
    let name = record.windows(32).position(|bytes| bytes == [2; 32]).unwrap();
    for bytes in [&record[record.len() - 64..], &record[name..name + 32]] {
        world.kill(0);
        assert!(spoil(&world, 0, bytes));
        world.start(0, vec![world.peer(1)]);
        assert!(world.run(Duration::from_secs(120), agree));
        for name in 0..3 {
            assert!(is_deleted(&said(&mut world, 0, name)), "{name}");
        }
        assert_eq!(verify(&mut world, 0), 0);
        world.kill(1);
        for _ in 0..2 {
            world.kill(0);
            world.start(0, Vec::new());
            assert!(is_deleted(&said(&mut world, 0, 2)), "it is here again");
        }
        world.start(1, vec![world.peer(0)]);
        world.run(Duration::from_secs(5), |_| false);
    }
}
