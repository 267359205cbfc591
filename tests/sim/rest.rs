//! G12, at rest nothing happens: also where something cannot be had, or not be taken.

use super::raw::RawClient;
use super::replication::{network, put, record, status};
use super::world::World;
use dfsd::crypto::{sign, tags};
use dfsd::wire::message::{Message, PushedRecord, Role};
use dfsd::wire::record::{Record, RecordKind};
use std::time::Duration;

const RECORDS: u8 = 250;
const VERSIONS: u64 = 8;

/// Two nodes, of which the second has no room for what the first has, and one that is gone for good.
fn one_full_and_one_absent() -> (World, usize, usize) {
    let mut world = World::new(70, network());
    let first = world.add(&[]);
    let absent = world.add(&[first]);
    let full = world.add(&[first]);
    world.run(Duration::from_secs(5), |_| false);
    world.kill(absent);
    world.machines[full].fs.tamper().set_free(0);
    status(&mut world, full);
    world.run(Duration::from_secs(1), |_| false);
    let mut peer = RawClient::connect_as(&mut world, first, Role::Node);
    for name in 0..RECORDS {
        let record = |stamp| record(&world, name, stamp, Vec::new());
        let item = |stamp| PushedRecord { record: record(stamp), block: Default::default() };
        peer.send(&Message::Records { items: (1..=VERSIONS).map(item).collect() });
    }
    peer.pump(&mut world);
    world.run(Duration::from_secs(2), |_| false);
    peer.hang_up(&mut world);
    (world, first, full)
}

#[test]
fn a_node_without_room_is_left_in_peace_until_it_has_some() {
    let (mut world, first, full) = one_full_and_one_absent();
    let toil = world.toil_of(Duration::from_secs(70));
    let records = u64::from(RECORDS) * VERSIONS;
    assert!(toil.bytes < records * 300, "what is refused is hardly sent: {toil:?}");
    let toil = world.toil_of(Duration::from_secs(120));
    assert!(toil.bytes < 20_000 && toil.jobs < 40, "two minutes at rest: {toil:?}");
    assert_eq!(status(&mut world, first).names, u64::from(RECORDS));
    assert_eq!(status(&mut world, full).names, 0);
    world.machines[full].fs.tamper().set_free(1 << 40);
    world.run(Duration::from_secs(15), |_| false);
    assert_eq!(status(&mut world, full).records, status(&mut world, first).records);
    let toil = world.toil_of(Duration::from_secs(120));
    assert!(toil.bytes < 20_000 && toil.jobs < 20, "two minutes at rest: {toil:?}");
}

#[test]
fn a_full_node_still_learns_what_is_deleted() {
    let mut world = World::new(71, network());
    let first = world.add(&[]);
    let full = world.add(&[first]);
    world.run(Duration::from_secs(5), |_| false);
    let mut client = RawClient::connect(&mut world, first);
    put(&mut world, &mut client, 1, &[]);
    world.run(Duration::from_secs(1), |_| false);
    assert_eq!(status(&mut world, full).names, 1);
    world.machines[full].fs.tamper().set_free(0);
    status(&mut world, full);
    world.run(Duration::from_secs(1), |_| false);
    put(&mut world, &mut client, 2, &[]);
    world.run(Duration::from_secs(30), |_| false);
    assert_eq!(status(&mut world, full).names, 1, "there is no room for another");
    let mut gone = Record::decode(&record(&world, 1, 1 << 50, Vec::new())).unwrap();
    gone.kind = RecordKind::Tombstone;
    gone.signature = sign::sign(&world.write_key().sign, tags::RECORD, &gone.signed_bytes());
    let gone = gone.to_bytes().into();
    let mut peer = RawClient::connect_as(&mut world, first, Role::Node);
    peer.send(&Message::Records {
        items: vec![PushedRecord { record: gone, block: Default::default() }],
    });
    peer.pump(&mut world);
    world.run(Duration::from_secs(70), |_| false);
    assert_eq!(status(&mut world, full).names, 0);
}
