//! A node without room: what others have is read through it and not kept, and comes when there is room.

use super::comparison::{signed, spoil as spoil_record, two_nodes};
use super::pages::{address, paged, put_all};
use super::raw::RawClient;
use super::replication::{block_of, fetch, network, put, record, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::crypto::keys::heads_hash;
use dfsd::ids::{NameId, VersionId};
use dfsd::limits::{LEAF, PEER_TIMEOUT, WANTS_MAX};
use dfsd::testing::SimError;
use dfsd::wire::condition::HeadsSummary;
use dfsd::wire::message::{Message, PushedRecord, Reason, Request, Role};
use dfsd::wire::record::{Record, RecordKind};
use std::time::Duration;

/// From now on a machine's disk has no room.
fn fill(world: &mut World, machine: usize) {
    world.machines[machine].fs.tamper().set_free(0);
    status(world, machine);
    world.run(Duration::from_secs(1), |_| false);
}

/// The record is there before the disk is full, and its block is not.
#[test]
fn a_block_that_there_was_no_room_for_comes_when_there_is() {
    let mut world = two_nodes(505);
    let block = block_of(1, 3 * LEAF);
    let record = record(&world, 1, 5, vec![reference(&block)]);
    let mut peer = RawClient::connect_as(&mut world, 1, Role::Node);
    peer.send(&Message::Records { items: vec![PushedRecord { record, block: Bytes::new() }] });
    peer.pump(&mut world);
    world.run(Duration::from_secs(10), |_| false);
    peer.hang_up(&mut world);
    fill(&mut world, 1);
    let mut client = RawClient::connect(&mut world, 0);
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    world.run(Duration::from_secs(300), |_| false);
    let had = status(&mut world, 1);
    assert_eq!((had.names, had.incomplete, had.full), (1, 1, true));
    assert_eq!(fetch(&mut world, 1, reference(&block)), Some(block));
    world.machines[1].fs.tamper().set_free(1 << 40);
    let complete = |world: &mut World| world.node(1).unwrap().summary().incomplete == 0;
    assert!(world.run(Duration::from_secs(12), complete), "not before it is tried again anyway");
}

/// What a node shows of a name, and how many versions it says there are.
fn shown(world: &mut World, machine: usize, name: NameId) -> (Option<Bytes>, u64) {
    let mut client = RawClient::connect(world, machine);
    client.send(&Message::Head { request: 3, space: Default::default(), name, relay: true });
    match client.message(world) {
        Some(Message::Heads { shown, all, .. }) => (shown, all.count),
        other => panic!("heads were expected, not {other:?}"),
    }
}

#[test]
fn what_there_is_no_room_for_is_read_through_the_node_and_not_kept() {
    let mut world = two_nodes(501);
    fill(&mut world, 1);
    let file = paged(&world);
    put_all(&mut world, 0, &file);
    world.run(Duration::from_secs(5), |_| false);
    let name = Record::decode(&file.record).unwrap().name;
    assert_eq!(shown(&mut world, 1, name), (Some(file.record.clone()), 1));
    let mut client = RawClient::connect(&mut world, 1);
    for page in &file.pages {
        client.send(&Message::GetPage { request: 4, address: address(page) });
        let answer = client.message(&mut world);
        assert_eq!(answer, Some(Message::Page { request: 4, page: Some(page.clone()) }));
    }
    for block in &file.blocks {
        assert_eq!(fetch(&mut world, 1, reference(block)).as_ref(), Some(block));
    }
    let had = status(&mut world, 1);
    assert_eq!((had.names, had.blocks, had.memory_used, had.full), (0, 0, 0, true));
    world.machines[1].fs.tamper().set_free(1 << 40);
    let whole = |world: &mut World| {
        let standing = world.node(1).unwrap().summary();
        (standing.incomplete, standing.records.count) == (0, 2)
    };
    assert!(world.run(Duration::from_secs(15), whole), "what there is room for comes at once");
    assert!(!status(&mut world, 1).full);
}

#[test]
fn the_newer_version_is_shown_that_there_was_no_room_for() {
    let mut world = two_nodes(502);
    let mut client = RawClient::connect(&mut world, 0);
    put(&mut world, &mut client, 7, &[]);
    assert!(world.run(Duration::from_secs(5), |world| {
        world.node(1).unwrap().summary().records.count == 2
    }));
    fill(&mut world, 1);
    let newer = record(&world, 7, 6, Vec::new());
    let records = vec![newer.clone()];
    client.send(&Message::Put { request: 2, conditions: Vec::new(), records, blocks: Vec::new() });
    assert!(matches!(client.message(&mut world), Some(Message::PutDone { .. })));
    world.run(Duration::from_secs(5), |_| false);
    assert_eq!(shown(&mut world, 1, NameId([7; 32])).0, Some(newer));
    let tombstone = signed(&world, |record| {
        record.kind = RecordKind::Tombstone;
        record.name = NameId([7; 32]);
        record.version.stamp = 9;
    });
    let records = vec![tombstone.clone()];
    client.send(&Message::Put { request: 2, conditions: Vec::new(), records, blocks: Vec::new() });
    assert!(matches!(client.message(&mut world), Some(Message::PutDone { .. })));
    world.run(Duration::from_secs(5), |_| false);
    assert_eq!(shown(&mut world, 1, NameId([7; 32])).0, Some(tombstone), "deletions come");
}

/// The other node is gone after the newer version was read through this one.
#[test]
fn what_was_shown_and_is_not_kept_does_not_give_way_to_what_was_before() {
    let mut world = two_nodes(506);
    let mut client = RawClient::connect(&mut world, 0);
    put(&mut world, &mut client, 7, &[]);
    world.run(Duration::from_secs(5), |_| false);
    fill(&mut world, 1);
    let newer = [(7, 6), (8, 5)].map(|(name, stamp)| record(&world, name, stamp, Vec::new()));
    let (conditions, blocks) = (Vec::new(), Vec::new());
    client.send(&Message::Put { request: 2, conditions, records: newer.to_vec(), blocks });
    assert!(matches!(client.message(&mut world), Some(Message::PutDone { .. })));
    world.run(Duration::from_secs(5), |_| false);
    for (name, newer) in [7, 8].into_iter().zip(newer) {
        assert_eq!(shown(&mut world, 1, NameId([name; 32])).0, Some(newer));
    }
    world.kill(0);
    for name in [7, 8] {
        let mut client = RawClient::connect(&mut world, 1);
        let (space, name) = (Default::default(), NameId([name; 32]));
        client.send(&Message::Head { request: 3, space, name, relay: true });
        let answer = client.message(&mut world);
        let is_refused = matches!(answer, Some(Message::DamagedHeads { kept: false, .. }));
        assert!(is_refused, "{answer:?}");
    }
}

/// A name's record rots here, and another node has it: there is no room to have it again.
#[test]
fn what_is_damaged_here_and_has_no_room_is_read_from_another() {
    let mut world = two_nodes(507);
    let mut client = RawClient::connect(&mut world, 0);
    let record = put(&mut world, &mut client, 7, &[]);
    world.run(Duration::from_secs(5), |_| false);
    fill(&mut world, 1);
    assert!(spoil_record(&world, 1, &record));
    for _ in 0..2 {
        assert_eq!(shown(&mut world, 1, NameId([7; 32])).0, Some(record.clone()));
    }
}

/// A client asks for the versions of the name 7, and the node asks a peer: the number of that request.
fn asked_for_heads(world: &mut World, client: &mut RawClient, peer: &mut RawClient) -> Request {
    let (space, name) = (Default::default(), NameId([7; 32]));
    client.send(&Message::Head { request: 3, space, name, relay: true });
    client.pump(world);
    world.run(Duration::from_millis(200), |_| false);
    loop {
        let event = peer.poll(world).expect("the peer is asked");
        if let Event::Message(Message::Head { request, .. }) = event {
            return request;
        }
    }
}

/// Beside a record that is signed it says what nobody has: versions above it, twice, in no order, and too few of them.
#[test]
fn what_a_peer_claims_beside_a_record_is_passed_on_as_far_as_it_can_be_so() {
    let mut world = World::new(514, network());
    world.add(&[]);
    fill(&mut world, 0);
    let record = record(&world, 7, 6, Vec::new());
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    let mut client = RawClient::connect(&mut world, 0);
    world.run(Duration::from_secs(5), |_| false);
    let version = |stamp| VersionId { stamp, writer: Default::default() };
    for (claimed, told) in [
        (vec![], vec![6]),
        (vec![1], vec![6, 1]),
        (vec![2, 9, 4, 4], vec![6, 4, 2]),
        ((0..6).rev().chain([6, 7]).collect(), vec![6, 5, 4, 3, 2, 1, 0]),
        ((0..6).chain(10..12).collect(), vec![6, 5, 4, 3, 2, 1, 0]),
    ] {
        let request = asked_for_heads(&mut world, &mut client, &mut peer);
        let (all, log_damage, future) = (HeadsSummary::default(), Default::default(), Vec::new());
        let (clock, kept, shown) = (5, true, Some(record.clone()));
        let versions = claimed.into_iter().map(version).collect();
        let heads =
            Message::Heads { request, clock, versions, all, future, log_damage, kept, shown };
        peer.send(&heads);
        peer.pump(&mut world);
        let Some(Message::Heads { versions, all, shown, .. }) = client.message(&mut world) else {
            panic!("heads are told");
        };
        let mut ascending: Vec<_> = told.into_iter().map(version).collect();
        assert_eq!((&versions, shown.as_ref()), (&ascending, Some(&record)));
        ascending.reverse();
        let (count, hash) = (ascending.len() as u64, heads_hash(&ascending));
        assert_eq!(all, HeadsSummary { count, hash });
    }
}

/// A quota: the disk says that it has room, and refuses to write.
#[test]
fn what_a_quota_leaves_no_room_for_is_read_through_the_node_each_time() {
    let mut world = two_nodes(513);
    let blocks = [1, 2].map(|seed| block_of(seed, 3 * LEAF));
    let record = record(&world, 1, 5, blocks.iter().map(|block| reference(block)).collect());
    let mut peer = RawClient::connect_as(&mut world, 1, Role::Node);
    peer.send(&Message::Records { items: vec![PushedRecord { record, block: Bytes::new() }] });
    peer.pump(&mut world);
    world.run(Duration::from_secs(10), |_| false);
    peer.hang_up(&mut world);
    world.machines[1].fs.tamper().fill();
    let mut client = RawClient::connect(&mut world, 0);
    put(&mut world, &mut client, 1, &blocks);
    for _ in 0..3 {
        for block in &blocks {
            assert_eq!(fetch(&mut world, 1, reference(block)).as_ref(), Some(block));
        }
    }
    let had = status(&mut world, 1);
    assert_eq!((had.incomplete, had.full), (1, true));
    world.machines[1].fs.tamper().give_room();
    let complete = |world: &mut World| world.node(1).unwrap().summary().incomplete == 0;
    assert!(world.run(Duration::from_secs(1200), complete));
}

/// The disk says that it has room, and refuses to write.
#[test]
fn a_newer_version_that_could_not_be_stored_does_not_make_the_older_the_present_one() {
    let mut world = World::new(508, network());
    world.add(&[]);
    let mut client = RawClient::connect(&mut world, 0);
    put(&mut world, &mut client, 7, &[]);
    let newer = record(&world, 7, 6, Vec::new());
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    world.run(Duration::from_secs(5), |_| false);
    for time in 0..2 {
        let request = asked_for_heads(&mut world, &mut client, &mut peer);
        world.machines[0].fs.tamper().fail_nth(0, SimError::NoSpace);
        let (all, log_damage, future) = Default::default();
        let (clock, kept) = (5, true);
        let (versions, shown) = (Vec::new(), Some(newer.clone()));
        peer.send(&Message::Heads {
            request,
            clock,
            versions,
            all,
            future,
            log_damage,
            kept,
            shown,
        });
        peer.pump(&mut world);
        let answer = client.message(&mut world);
        let is_right = match (time, &answer) {
            (0, Some(Message::Refused { reason, .. })) => *reason == Reason::Unavailable,
            // Now it is known that what the disk says is not so, and nothing is written.
            (_, Some(Message::Heads { kept: false, shown, .. })) => *shown == Some(newer.clone()),
            _ => false,
        };
        assert!(is_right, "{answer:?}");
    }
}

/// Readers who come and go, and a peer that gives them nothing.
#[test]
fn a_peer_is_asked_for_no_more_than_it_bears_however_many_read() {
    let mut world = World::new(509, network());
    world.add(&[]);
    fill(&mut world, 0);
    let block = block_of(1, 70_000);
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    for _ in 0..WANTS_MAX {
        let mut client = RawClient::connect(&mut world, 0);
        client.send(&Message::Want { block: reference(&block), first: 0, count: 3 });
        client.pump(&mut world);
        client.hang_up(&mut world);
    }
    world.run(Duration::from_secs(1), |_| false);
    let mut wants = 0;
    while asked(&mut world, &mut peer).is_some() {
        wants += 1;
    }
    assert_eq!(wants, WANTS_MAX / 2);
    // One who waits has his turn when something of that has been answered.
    let mut client = RawClient::connect(&mut world, 0);
    client.send(&Message::Want { block: reference(&block), first: 0, count: 3 });
    client.pump(&mut world);
    world.run(Duration::from_millis(100), |_| false);
    assert_eq!(asked(&mut world, &mut peer), None);
    peer.send(&Message::Absent { address: reference(&block).address });
    peer.pump(&mut world);
    world.run(Duration::from_millis(100), |_| false);
    assert!(asked(&mut world, &mut peer).is_some());
    assert!(peer.is_alive(&world));
}

/// The leaves that a node is asked for, if it is.
fn asked(world: &mut World, peer: &mut RawClient) -> Option<(u8, u8)> {
    while let Some(event) = peer.poll(world) {
        if let Event::Message(Message::Want { first, count, .. }) = event {
            return Some((first, count));
        }
    }
    None
}

/// A client reads a block through a node without room, and two other nodes have it; the first that is asked does with the
/// connection, the block and what is wanted of it what the test says. Gives how many leaves came that are none of it.
fn read_though_one_fails(
    misbehaves: impl FnOnce(&mut World, &mut RawClient, &[u8], (u8, u8)),
) -> usize {
    let mut world = World::new(503, network());
    world.add(&[]);
    fill(&mut world, 0);
    let block = block_of(1, 7 * LEAF + 5);
    let reference = reference(&block);
    let address = reference.address;
    let mut peers = [0, 1].map(|_| RawClient::connect_as(&mut world, 0, Role::Node));
    let mut client = RawClient::connect(&mut world, 0);
    let want = |first| Message::Want { block: reference, first, count: 8 - first };
    client.send(&want(0));
    client.pump(&mut world);
    world.run(Duration::from_millis(500), |_| false);
    let wanted: Vec<_> = peers.iter_mut().map(|peer| asked(&mut world, peer)).collect();
    let bad = wanted.iter().position(Option::is_some).expect("somebody is asked");
    misbehaves(&mut world, &mut peers[bad], &block, wanted[bad].unwrap());
    let (mut bytes, mut spoilt) = (Vec::new(), 0);
    for _ in 0..200 {
        if let Some((first, count)) = asked(&mut world, &mut peers[1 - bad]) {
            peers[1 - bad].stream(&block, first, count);
            peers[1 - bad].pump(&mut world);
        }
        while let Some(event) = client.poll(&mut world) {
            let next = bytes.len() / LEAF;
            match event {
                Event::Chunk { data, .. } if block[bytes.len()..].starts_with(&data) => {
                    bytes.extend_from_slice(&data);
                }
                Event::Chunk { .. } => {
                    spoilt += 1;
                    client.send(&Message::Suspect { address });
                }
                Event::Aborted | Event::Ended if bytes != block => client.send(&want(next as u8)),
                Event::Message(Message::Absent { .. }) => panic!("the other has it"),
                _ => {}
            }
            client.pump(&mut world);
        }
        world.run(Duration::from_millis(100), |_| false);
    }
    assert!(bytes == block, "{} of {} bytes came", bytes.len(), block.len());
    let had = status(&mut world, 0);
    assert_eq!((had.blocks, had.memory_used), (0, 0));
    spoilt
}

/// Sends leaves that are none of the block.
fn spoil(world: &mut World, peer: &mut RawClient, block: &[u8], (first, count): (u8, u8)) {
    peer.open(block, first, count);
    for leaf in block.chunks(LEAF).skip(first.into()).take(count.into()) {
        peer.push_chunk(&vec![1; leaf.len()]);
    }
    peer.pump(world);
    world.run(Duration::from_millis(100), |_| false);
    assert!(peer.is_alive(world));
}

#[test]
fn a_read_through_the_node_goes_on_at_another_when_one_does_not_have_it() {
    read_though_one_fails(|world, peer, block, _| {
        peer.send(&Message::Absent { address: reference(block).address });
        peer.pump(world);
    });
}

#[test]
fn a_read_through_the_node_goes_on_at_another_when_one_breaks_off_in_the_middle() {
    read_though_one_fails(|world, peer, block, (first, count)| {
        peer.open(block, first, count);
        peer.push_chunk(&block[..LEAF]);
        peer.pump(world);
        world.run(Duration::from_millis(100), |_| false);
        peer.abort();
        peer.pump(world);
    });
}

#[test]
fn a_read_through_the_node_goes_on_at_another_when_one_is_silent() {
    read_though_one_fails(|_, _, _, _| {});
}

#[test]
fn a_read_through_the_node_goes_on_at_another_when_what_one_gives_is_bad() {
    assert!(read_though_one_fails(spoil) > 0);
}

/// The one that has the block is late, and the other, which is asked instead, does not have it.
#[test]
fn a_read_through_the_node_comes_back_to_who_was_left_for_another_in_vain() {
    let mut world = World::new(510, network());
    world.add(&[]);
    fill(&mut world, 0);
    let block = block_of(1, 7 * LEAF + 5);
    let mut peers = [0, 1].map(|_| RawClient::connect_as(&mut world, 0, Role::Node));
    let mut client = RawClient::connect(&mut world, 0);
    client.send(&Message::Want { block: reference(&block), first: 0, count: 8 });
    client.pump(&mut world);
    world.run(Duration::from_millis(500), |_| false);
    let wanted: Vec<_> = peers.iter_mut().map(|peer| asked(&mut world, peer)).collect();
    let late = wanted.iter().position(Option::is_some).expect("somebody is asked");
    world.run(PEER_TIMEOUT, |_| false);
    assert!(asked(&mut world, &mut peers[1 - late]).is_some(), "the other is asked instead");
    peers[1 - late].send(&Message::Absent { address: reference(&block).address });
    peers[1 - late].pump(&mut world);
    let mut bytes = Vec::new();
    for _ in 0..50 {
        world.run(Duration::from_millis(100), |_| false);
        if let Some((first, count)) = asked(&mut world, &mut peers[late]) {
            peers[late].stream(&block, first, count);
            peers[late].pump(&mut world);
        }
        while let Some(event) = client.poll(&mut world) {
            match event {
                Event::Chunk { data, .. } => bytes.extend_from_slice(&data),
                Event::Message(Message::Absent { .. }) | Event::Aborted => panic!("{event:?}"),
                _ => {}
            }
        }
    }
    assert!(bytes == block, "{} of {} bytes came", bytes.len(), block.len());
}

/// It was given up, and another asked.
#[test]
fn what_comes_late_for_a_reader_goes_to_nobody() {
    let spoilt = read_though_one_fails(|world, peer, block, wanted| {
        world.run(PEER_TIMEOUT + Duration::from_millis(100), |_| false);
        spoil(world, peer, block, wanted);
    });
    assert_eq!(spoilt, 0);
}

/// Whoever reads is gone before what was asked for comes: it is taken, and goes to nobody.
#[test]
fn what_comes_for_a_reader_who_has_left_goes_to_nobody() {
    let mut world = World::new(504, network());
    world.add(&[]);
    fill(&mut world, 0);
    let block = block_of(1, 7 * LEAF);
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    let mut client = RawClient::connect(&mut world, 0);
    client.send(&Message::Want { block: reference(&block), first: 0, count: 7 });
    client.pump(&mut world);
    world.run(Duration::from_millis(500), |_| false);
    let (first, count) = asked(&mut world, &mut peer).expect("it is asked");
    client.hang_up(&mut world);
    let mut other = RawClient::connect(&mut world, 0);
    other.send(&Message::Want { block: reference(&block), first: 0, count: 7 });
    other.pump(&mut world);
    peer.stream(&block, first, count);
    peer.pump(&mut world);
    world.run(Duration::from_millis(500), |_| false);
    while let Some(event) = other.poll(&mut world) {
        assert!(!matches!(event, Event::Opened(_) | Event::Chunk { .. }), "{event:?}");
    }
    assert!(peer.is_alive(&world));
    let mut leaves = 0;
    for _ in 0..50 {
        if let Some((first, count)) = asked(&mut world, &mut peer) {
            peer.stream(&block, first, count);
            peer.pump(&mut world);
        }
        while let Some(event) = other.poll(&mut world) {
            leaves += usize::from(matches!(event, Event::Chunk { .. }));
        }
        world.run(Duration::from_millis(100), |_| false);
    }
    assert_eq!((leaves, status(&mut world, 0).memory_used), (7, 0));
}
