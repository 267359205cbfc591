//! Single promises, each in the smallest world that shows whether it is kept.

use super::client::program::{self, Program};
use super::raw::RawClient;
use super::replication::{block_of, fetch, network, put, record, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::crypto::keys::{RootKey, WriteKey};
use dfsd::crypto::{sign, tags};
use dfsd::ids::{NameId, Space, VersionId, Writer};
use dfsd::keyring::grant;
use dfsd::limits::{BLOCK, LEAF, STAMP_LEAD};
use dfsd::time::{STAMP_MAX, stamp_after, stamp_at};
use dfsd::wire::condition::Condition;
use dfsd::wire::message::{BlockRef, Hello, Message, PeerAddress, PushedRecord, Reason, Role};
use dfsd::wire::record::Record;
use std::time::Duration;

/// One node, and a client of it.
fn one_node(seed: u64) -> (World, RawClient) {
    let mut world = World::new(seed, network());
    world.add(&[]);
    let client = RawClient::connect(&mut world, 0);
    (world, client)
}

fn put_message(record: Bytes) -> Message {
    Message::Put { request: 7, conditions: Vec::new(), records: vec![record], blocks: Vec::new() }
}

/// What a node says of a name: its clock, and the versions that nothing supersedes.
fn heads(world: &mut World, client: &mut RawClient, name: u8) -> (u64, Vec<VersionId>) {
    let (space, name) = (Default::default(), NameId([name; 32]));
    client.send(&Message::Head { request: 3, space, name, relay: false });
    match client.message(world) {
        Some(Message::Heads { clock, versions, .. }) => (clock, versions),
        other => panic!("heads were expected, not {other:?}"),
    }
}

#[test]
fn a_wrong_id_at_a_right_address_costs_no_connection() {
    let mut world = World::new(8, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    world.run(Duration::from_secs(1), |_| false);
    world.kill(second);
    let address = world.machines[first].address.clone();
    let node = dfsd::ids::NodeId([9; 32]);
    world.start(second, vec![world.peer(first), PeerAddress { node, address }]);
    world.run(Duration::from_secs(1), |_| false);
    for _ in 0..500 {
        world.run(Duration::from_millis(20), |_| false);
        for machine in [first, second] {
            let peers = world.node(machine).unwrap().summary().peers;
            assert_eq!(peers, 1, "machine {machine} has lost the other");
        }
    }
}

#[test]
fn a_wrong_id_at_another_name_of_a_right_address_is_forgotten() {
    let mut world = World::new(20, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    world.run(Duration::from_secs(1), |_| false);
    world.kill(second);
    let address = world.machines[first].address.replace(':', ".:");
    let node = dfsd::ids::NodeId([9; 32]);
    world.start(second, vec![world.peer(first), PeerAddress { node, address }]);
    world.run(Duration::from_secs(5), |_| false);
    let status = status(&mut world, second);
    assert_eq!((status.peers_known, status.peers_connected), (1, 1));
}

#[test]
fn a_grant_that_the_root_did_not_sign_grants_nothing() {
    let (mut world, mut liar) = one_node(1);
    let key = WriteKey { sign: WriteKey::generate(&[99; 32]), grant: Vec::new() };
    let root = RootKey::generate(&[98; 32]);
    let mut forged = Record::decode(&grant::grant(&root, &key.public(), 1_000)).unwrap();
    forged.signer = network().key.root;
    let record = forged.to_bytes().into();
    liar.send(&Message::Records { items: vec![PushedRecord { record, block: Bytes::new() }] });
    liar.pump(&mut world);
    world.run(Duration::from_secs(1), |_| false);
    assert!(!liar.is_alive(&world));

    let mut written = Record::decode(&record_of(&world, 1, 5, 0)).unwrap();
    written.signer = key.public();
    written.signature = sign::sign(&key.sign, tags::RECORD, &written.signed_bytes());
    let mut client = RawClient::connect(&mut world, 0);
    client.send(&put_message(written.to_bytes().into()));
    let answer = client.message(&mut world);
    assert!(matches!(answer, Some(Message::Refused { reason: Reason::NotAllowed, .. })));
}

fn record_of(world: &World, name: u8, stamp: u64, writer: u8) -> Bytes {
    let mut record = Record::decode(&record(world, name, stamp, Vec::new())).unwrap();
    record.version.writer = Writer([writer; 8]);
    record.signature = sign::sign(&world.write_key().sign, tags::RECORD, &record.signed_bytes());
    record.to_bytes().into()
}

#[test]
fn a_clock_far_ahead_is_not_followed() {
    let (mut world, mut client) = one_node(2);
    let mut ahead = RawClient::connect_silent(&mut world, 0);
    let verify_key = ahead.key.verify_key();
    ahead.send(&Message::Hello(Hello {
        role: Role::Node,
        verify_key,
        boot: 0,
        addresses: Vec::new(),
        store: Default::default(),
        group: 0,
        clock: STAMP_MAX - 1,
    }));
    ahead.pump(&mut world);
    let (clock, _) = heads(&mut world, &mut client, 1);
    assert!(clock < stamp_after(stamp_at(world.time().wall_ms), STAMP_LEAD), "{clock}");
}

#[test]
fn of_two_versions_at_once_both_are_told() {
    let (mut world, mut client) = one_node(3);
    let versions = [(5, 1), (5, 2), (4, 3)];
    for (stamp, writer) in versions {
        client.send(&put_message(record_of(&world, 1, stamp, writer)));
        assert_eq!(client.message(&mut world), Some(Message::PutDone { request: 7, copies: 1 }));
    }
    let version = |(stamp, writer)| VersionId { stamp, writer: Writer([writer; 8]) };
    let (_, told) = heads(&mut world, &mut client, 1);
    assert_eq!(told, [(5, 2), (5, 1), (4, 3)].map(version));
}

#[test]
fn of_many_versions_at_once_the_greatest_and_the_least_are_told() {
    let (mut world, mut client) = one_node(3);
    for stamp in 1..=12 {
        client.send(&put_message(record_of(&world, 1, stamp, 1)));
        assert_eq!(client.message(&mut world), Some(Message::PutDone { request: 7, copies: 1 }));
    }
    let (_, told) = heads(&mut world, &mut client, 1);
    let told: Vec<_> = told.iter().map(|version| version.stamp).collect();
    assert_eq!(told, [12, 7, 6, 5, 4, 3, 2, 1], "so that the least are superseded too");
}

#[test]
fn a_new_record_reaches_every_node_at_once() {
    let mut world = World::new(4, network());
    for index in 0..5 {
        let peers: Vec<usize> = (0..index).collect();
        world.add(&peers);
    }
    world.run(Duration::from_secs(10), |_| false);
    let mut client = RawClient::connect(&mut world, 2);
    put(&mut world, &mut client, 1, &[block_of(1, 500)]);
    world.run(Duration::from_millis(100), |_| false);
    for machine in 0..5 {
        assert_eq!(status(&mut world, machine).names, 1, "node {machine}");
    }
}

#[test]
fn nodes_that_all_start_anew_find_each_other() {
    let mut world = World::new(5, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    world.run(Duration::from_secs(5), |_| false);
    for machine in [first, second] {
        world.kill(machine);
    }
    for machine in [first, second] {
        world.start(machine, Vec::new());
    }
    world.run(Duration::from_secs(15), |_| false);
    assert_eq!(status(&mut world, second).peers_connected, 1);
}

#[test]
fn rot_in_one_place_of_the_log_costs_what_is_there_and_no_more() {
    for offset in [9_000, 10_000, 12_000, 16_000] {
        let (mut world, mut client) = one_node(6);
        for name in 1..=40 {
            put(&mut world, &mut client, name, &[]);
        }
        world.power_cut(0);
        let disk = &world.machines[0].fs;
        let segment = disk.paths("log").into_iter().max().unwrap();
        assert!(disk.tamper().flip(&segment, offset), "{segment} is that long");
        world.start(0, Vec::new());
        let names = status(&mut world, 0).names;
        assert!((38..=40).contains(&names), "{names} are left of 40");
    }
}

#[test]
fn any_run_of_leaves_is_read_from_where_it_begins() {
    let (mut world, mut client) = one_node(7);
    for length in [BLOCK, 2 * LEAF] {
        let block = block_of(9, length);
        put(&mut world, &mut client, 1, std::slice::from_ref(&block));
        client.send(&Message::Want { block: reference(&block), first: 1, count: 1 });
        let mut came = Vec::new();
        loop {
            match client.event(&mut world) {
                Some(Event::Opened(_)) => {}
                Some(Event::Chunk { index, data }) => came.push((index, data)),
                Some(Event::Ended) => break,
                other => panic!("a stream was expected, not {other:?}"),
            }
        }
        assert_eq!(came, [(1, Bytes::copy_from_slice(&block[LEAF..2 * LEAF]))]);
    }
}

#[test]
fn a_held_block_that_has_rotted_is_written_again_when_it_is_put_again() {
    let (mut world, mut client) = one_node(8);
    let block = block_of(9, BLOCK);
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    world.run(Duration::from_secs(1), |_| false);
    let disk = &world.machines[0].fs;
    let path =
        disk.paths("blocks").into_iter().find(|path| disk.tamper().flip(path, 1000)).unwrap();
    assert!(path.ends_with(&reference(&block).address.to_string()));
    put(&mut world, &mut client, 2, std::slice::from_ref(&block));
    assert_eq!(fetch(&mut world, 0, reference(&block)), Some(block));
}

#[test]
fn a_reader_that_goes_away_leaves_no_memory_behind() {
    let (mut world, mut client) = one_node(9);
    let block = block_of(9, BLOCK);
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    let mut reader = RawClient::connect(&mut world, 0);
    let want = Message::Want { block: reference(&block), first: 0, count: 32 };
    assert!(reader.push_only(&mut world, &want));
    world.run(Duration::from_secs(1), |_| false);
    assert!(status(&mut world, 0).memory_used > 0, "leaves wait for the reader");
    reader.hang_up(&mut world);
    world.run(Duration::from_secs(1), |_| false);
    assert_eq!(status(&mut world, 0).memory_used, 0);
}

#[test]
fn who_has_the_record_alone_is_no_holder() {
    let mut world = World::new(10, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    world.run(Duration::from_secs(5), |_| false);
    // A peer tells of a file that nobody has.
    let missing = BlockRef { address: reference(&[1, 2, 3]).address, length: 70_000 };
    let record = record(&world, 1, 5, vec![missing]);
    let id = dfsd::crypto::keys::record_id(&record);
    let mut peer = RawClient::connect_as(&mut world, second, Role::Node);
    peer.send(&Message::Records { items: vec![PushedRecord { record, block: Bytes::new() }] });
    peer.pump(&mut world);
    world.run(Duration::from_secs(90), |_| false);
    let mut client = RawClient::connect(&mut world, first);
    client.send(&Message::Holders { request: 3, record: id });
    let answer = client.message(&mut world);
    assert_eq!(answer, Some(Message::HoldersAre { request: 3, count: 0, holders: Vec::new() }));
}

/// Both sides have as many records, and not the same ones.
#[test]
fn who_has_as_many_records_may_still_lack_some() {
    let mut world = World::new(11, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    world.run(Duration::from_secs(5), |_| false);
    world.part(first, second);
    for (machine, name) in [(first, 1), (second, 2)] {
        let mut client = RawClient::connect(&mut world, machine);
        put(&mut world, &mut client, name, &[]);
    }
    world.run(Duration::from_secs(120), |_| false);
    world.heal(first, second);
    world.run(Duration::from_secs(60), |_| false);
    for machine in [first, second] {
        assert_eq!(status(&mut world, machine).names, 2, "node {machine}");
    }
}

#[test]
fn what_there_was_no_room_for_comes_when_there_is() {
    let mut world = World::new(12, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    world.run(Duration::from_secs(5), |_| false);
    world.machines[second].fs.tamper().set_free(0);
    status(&mut world, second);
    world.run(Duration::from_secs(1), |_| false);
    let mut client = RawClient::connect(&mut world, first);
    put(&mut world, &mut client, 1, &[block_of(1, 500)]);
    world.run(Duration::from_secs(1), |_| false);
    assert_eq!(status(&mut world, second).names, 0, "there was room");
    world.machines[second].fs.tamper().set_free(1 << 40);
    world.run(Duration::from_secs(130), |_| false);
    assert_eq!(status(&mut world, second).names, 1);
}

#[test]
fn a_file_whose_block_nobody_had_is_complete_when_somebody_has_it() {
    let mut world = World::new(13, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    world.run(Duration::from_secs(5), |_| false);
    let block = block_of(1, 3 * LEAF);
    let record = record(&world, 1, 5, vec![reference(&block)]);
    let mut peer = RawClient::connect_as(&mut world, second, Role::Node);
    peer.send(&Message::Records { items: vec![PushedRecord { record, block: Bytes::new() }] });
    peer.pump(&mut world);
    world.run(Duration::from_secs(30), |_| false);
    assert_eq!(status(&mut world, second).incomplete, 1);
    let mut client = RawClient::connect(&mut world, first);
    put(&mut world, &mut client, 2, &[block]);
    world.run(Duration::from_secs(600), |_| false);
    assert_eq!(status(&mut world, second).incomplete, 0);
}

/// Nobody is connected whom it could ask.
#[test]
fn a_file_is_complete_when_its_block_comes_with_another() {
    let (mut world, _) = one_node(13);
    let block = block_of(1, 3 * LEAF);
    let record = record(&world, 1, 5, vec![reference(&block)]);
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    peer.send(&Message::Records { items: vec![PushedRecord { record, block: Bytes::new() }] });
    peer.pump(&mut world);
    world.run(Duration::from_secs(30), |_| false);
    peer.hang_up(&mut world);
    world.run(Duration::from_secs(300), |_| false);
    assert_eq!(status(&mut world, 0).incomplete, 1);
    let mut client = RawClient::connect(&mut world, 0);
    put(&mut world, &mut client, 2, &[block]);
    world.run(Duration::from_secs(90), |_| false);
    assert_eq!(status(&mut world, 0).incomplete, 0);
}

#[test]
fn a_node_that_was_away_for_long_is_dialled_when_it_is_back() {
    let mut world = World::new(14, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    world.run(Duration::from_secs(5), |_| false);
    world.power_cut(second);
    world.run(Duration::from_secs(120), |_| false);
    // It knows nobody any more: it must be found.
    world.machines[second].fs = dfsd::testing::SimFs::new();
    world.start(second, Vec::new());
    world.run(Duration::from_secs(20), |_| false);
    assert_eq!(status(&mut world, first).peers_connected, 1);
}

#[test]
fn who_wants_without_end_and_reads_nothing_is_cut_off() {
    let (mut world, mut client) = one_node(15);
    let block = block_of(9, BLOCK);
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    let mut hog = RawClient::connect(&mut world, 0);
    let want = Message::Want { block: reference(&block), first: 0, count: 32 };
    for _ in 0..600 {
        if !hog.is_alive(&world) {
            return;
        }
        hog.push_only(&mut world, &want);
    }
    panic!("600 wants wait");
}

#[test]
fn a_put_that_must_be_new_is_refused_by_the_node_too() {
    let (mut world, mut client) = one_node(16);
    put(&mut world, &mut client, 1, &[]);
    let records = vec![record_of(&world, 1, 6, 1)];
    let (request, blocks) = (7, Vec::new());
    let conditions = vec![Condition::Absent];
    client.send(&Message::Put { request, conditions, records, blocks });
    let answer = client.message(&mut world);
    assert!(matches!(answer, Some(Message::Refused { reason: Reason::Exists, .. })), "{answer:?}");
}

/// A node whose clock is an hour ahead has made a version; one here follows it all the same.
#[test]
fn a_new_version_follows_one_from_the_future() {
    let mut world = program::world(17, 1);
    let access = program::access();
    let name = access.data.as_ref().unwrap().name_id(&Space::default(), b"a");
    let hour = Duration::from_secs(3_600);
    let stamp = stamp_after(stamp_at(world.time().wall_ms), hour);
    let mut future = Record::decode(&record(&world, 1, stamp, Vec::new())).unwrap();
    future.name = name;
    future.signature = sign::sign(&world.write_key().sign, tags::RECORD, &future.signed_bytes());
    let record = future.to_bytes().into();
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    peer.send(&Message::Records { items: vec![PushedRecord { record, block: Bytes::new() }] });
    peer.pump(&mut world);
    world.run(Duration::from_secs(1), |_| false);
    assert_eq!(status(&mut world, 0).names, 1);
    let mut program = Program::connect(&mut world, 0, access);
    program.put(&mut world, "a", b"now").result.unwrap();
    assert_eq!(program.get(&mut world, "a").data, b"now");
}

/// There is no other event for what has come meanwhile.
#[test]
fn who_was_not_read_from_is_told_when_he_is() {
    let (mut world, mut client) = one_node(18);
    client.pump(&mut world);
    while client.push_only(&mut world, &Message::Status { request: 7 }) {}
    assert_eq!(world.reads, 0);
    client.pump(&mut world);
    assert!(world.reads > 0, "the node reads, and nobody knows");
}

#[test]
fn a_reader_that_found_no_memory_is_served_when_there_is_some() {
    let (mut world, mut client) = one_node(19);
    let block = block_of(9, BLOCK);
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    let want = Message::Want { block: reference(&block), first: 0, count: 32 };
    let mut reader = RawClient::connect(&mut world, 0);
    let mut hogs: Vec<RawClient> = (0..60).map(|_| RawClient::connect(&mut world, 0)).collect();
    for hog in &mut hogs {
        assert!(hog.push_only(&mut world, &want));
    }
    // Before what nobody takes is taken back: he finds nothing, and must be told.
    assert!(reader.push_only(&mut world, &want));
    world.run(Duration::from_secs(1), |_| false);
    for hog in hogs {
        hog.hang_up(&mut world);
    }
    let mut leaves = 0;
    loop {
        match reader.event(&mut world) {
            Some(Event::Opened(_)) => {}
            Some(Event::Chunk { .. }) => leaves += 1,
            Some(Event::Ended) => break,
            other => panic!("leaves were expected, not {other:?}"),
        }
    }
    assert_eq!(leaves, 32);
}
