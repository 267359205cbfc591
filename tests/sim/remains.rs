//! G3 over a restart: a record that has rotted hides what was before it, as far as what is left of it tells.

use super::comparison::{signed, spoil, summary, tell, two_nodes, verify};
use super::raw::RawClient;
use super::replication::{network, status};
use super::world::World;
use bytes::Bytes;
use dfsd::crypto::keys::record_id;
use dfsd::ids::{NameId, VersionId};
use dfsd::limits::RECONCILE_PERIOD;
use dfsd::store::fs::FileSystem;
use dfsd::wire::log_damage::LogDamage;
use dfsd::wire::message::{Message, Role};
use dfsd::wire::record::{Record, RecordKind};
use dfsd::wire::sync_state::SyncState;
use std::collections::BTreeSet;
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
fn rot_at_the_end_of_the_log_is_not_taken_for_a_torn_group() {
    for is_stopped in [true, false] {
        let mut world = World::new(95, network());
        world.add(&[]);
        let records = [(1, 5), (1, 6), (2, 5)].map(|(name, at)| version(&world, name, at));
        // After a stop in order that is so of the last group too.
        let told = if is_stopped { &records[..2] } else { &records[..] };
        for record in told {
            tell(&mut world, 0, std::slice::from_ref(record));
        }
        if is_stopped {
            world.stop(0);
            let stopped = |world: &mut World| world.machines[0].outcome.is_some();
            assert!(world.run(Duration::from_secs(10), stopped));
            world.leave(0);
        } else {
            world.kill(0);
        }
        told[1..].iter().for_each(|record| assert!(spoil(&world, 0, record)));
        for _ in 0..2 {
            world.start(0, Vec::new());
            assert_eq!(said(&mut world, 0, 1), Err(()), "not that it is there");
            world.kill(0);
        }
    }
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

/// What a node says with its status that nobody can decode of its log; with its lists it says the same.
fn told(world: &mut World, machine: usize) -> LogDamage {
    let mut client = RawClient::connect(world, machine);
    client.send(&Message::List {
        request: 1,
        space: Default::default(),
        after: None,
        future: true,
    });
    let Some(Message::Listed { log_damage, .. }) = client.message(world) else {
        panic!("a list was expected");
    };
    client.hang_up(world);
    assert_eq!(status(world, machine).log_damage, log_damage);
    log_damage
}

/// Wherever what follows a record's version has rotted, be it a length.
#[test]
fn a_damaged_record_that_cannot_be_read_as_a_whole_hides_what_was_before_it() {
    let mut world = World::new(96, network());
    world.add(&[]);
    let [before, record, other] =
        [(1, 5), (1, 6), (2, 5)].map(|(name, at)| version(&world, name, at));
    for record in [&before, &record, &other] {
        tell(&mut world, 0, std::slice::from_ref(record));
    }
    world.kill(0);
    let version_at = record.windows(32).position(|bytes| bytes == [1; 32]).unwrap() + 32;
    let unreadable = (version_at + 40..record.len()).step_by(4).filter(|at| {
        let mut bytes = record.to_vec();
        bytes[*at] ^= 0xff;
        Record::decode(&bytes).is_err()
    });
    let unreadable: Vec<_> = unreadable.collect();
    assert!(!unreadable.is_empty());
    let whole = world.machines[0].fs.restart();
    for at in unreadable {
        world.machines[0].fs = whole.restart();
        assert!(overwrite(&world, &record, at));
        world.start(0, Vec::new());
        assert_eq!(said(&mut world, 0, 1), Err(()), "byte {at}");
        world.kill(0);
    }
}

/// Turns all bits of one byte of a record over.
fn overwrite(world: &World, record: &Bytes, at: usize) -> bool {
    let fs = &world.machines[0].fs;
    fs.paths("log/").into_iter().any(|path| {
        let file = fs.open(&path).unwrap();
        let mut log = vec![0; usize::try_from(fs.length(&file).unwrap()).unwrap()];
        fs.read_at(&file, 0, &mut log).unwrap();
        let found = log.windows(record.len()).position(|window| window == record);
        let place = found.map(|found| found + at);
        place.is_some_and(|place| fs.write_at(&file, place as u64, &[log[place] ^ 0xff]).is_ok())
    })
}

/// Turns a bit over in the length of a record that stands in the log, so that nobody can say what was there.
fn lose(world: &World, machine: usize, record: &Bytes) -> bool {
    let length = u32::try_from(record.len()).unwrap().to_be_bytes();
    spoil(world, machine, &[&record_id(record).0[28..], &length].concat())
}

#[test]
fn what_nobody_can_decode_is_told_at_every_start() {
    let mut world = World::new(92, network());
    world.add(&[]);
    let all = stored(&mut world, 3);
    assert!(!told(&mut world, 0).is_any());
    world.kill(0);
    assert!(lose(&world, 0, &all[1][1]));
    for _ in 0..3 {
        world.start(0, Vec::new());
        let damage = told(&mut world, 0);
        assert!(damage.places == 1 && damage.bytes > 100, "{damage:?}");
        world.kill(0);
    }
    // Whoever has it all from here gives nothing back.
    world.start(0, Vec::new());
    let new = world.add(&[0]);
    assert!(world.run(Duration::from_secs(60), |world| summary(world, 0) == summary(world, 1)));
    world.run(RECONCILE_PERIOD * 2, |_| false);
    assert_eq!(status(&mut world, 0).sync, SyncState::Complete);
    assert_eq!(told(&mut world, 0).places, 1);
    assert!(!told(&mut world, new).is_any(), "its own log is whole");
}

#[test]
fn what_nobody_could_decode_is_made_good_by_a_node_that_has_it() {
    let mut lesser = BTreeSet::new();
    for seed in 93..99 {
        let mut world = two_nodes(seed);
        lesser.insert(world.node_id(0) < world.node_id(1));
        let all = stored(&mut world, 3);
        let agree = |world: &mut World| summary(world, 0) == summary(world, 1);
        assert!(world.run(Duration::from_secs(120), agree));
        let before = summary(&world, 0);
        world.kill(0);
        assert!(lose(&world, 0, &all[1][1]));
        world.start(0, vec![world.peer(1)]);
        assert_eq!(told(&mut world, 0).places, 1, "not before they have compared");
        assert!(world.run(Duration::from_secs(120), |world| summary(world, 0) == before));
        world.run(Duration::from_secs(5), |_| false);
        assert!(is_deleted(&said(&mut world, 0, 1)));
        assert!(!told(&mut world, 0).is_any(), "seed {seed}");
        // It knows of that when it is alone, too; but not of what is lost then.
        world.kill(1);
        for _ in 0..2 {
            world.kill(0);
            world.start(0, Vec::new());
            assert!(!told(&mut world, 0).is_any() && is_deleted(&said(&mut world, 0, 1)));
        }
        world.kill(0);
        assert!(lose(&world, 0, &all[0][0]));
        world.start(0, Vec::new());
        assert!(told(&mut world, 0).is_any());
    }
    assert_eq!(lesser.len(), 2, "either of the two may be the one that asks");
}

/// Which bytes are wrong nobody knows, and the name may be among them.
#[test]
fn a_guess_is_told_as_damage_until_somebody_writes_to_that_name() {
    let mut world = World::new(99, network());
    world.add(&[]);
    let all = stored(&mut world, 2);
    world.kill(0);
    let record = &all[1][1];
    assert!(spoil(&world, 0, &record[record.len() - 64..]));
    for _ in 0..2 {
        world.start(0, Vec::new());
        assert_eq!(told(&mut world, 0).places, 1);
        assert_eq!(said(&mut world, 0, 1), Err(()));
        world.kill(0);
    }
    world.start(0, Vec::new());
    let newer = version(&world, 1, 7);
    tell(&mut world, 0, &[newer]);
    assert!(!told(&mut world, 0).is_any());
    world.kill(0);
    world.start(0, Vec::new());
    assert!(!told(&mut world, 0).is_any());
}
