//! Things run short, rot half way, or somebody lies: what is good stays, what waits has a bound, and nobody else pays.

use super::raw::{RawClient, offer_of, page_of};
use super::replication::{block_of, fetch, network, put, record, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::ids::{Address, NameId};
use dfsd::limits::{BLOCK, LEAF, LEAVES, PAGE_ENTRIES_MAX};
use dfsd::testing::SimError;
use dfsd::wire::message::{BlockRef, Message, Reason};
use dfsd::wire::page::{Entries, Page};
use std::time::Duration;

fn want(block: BlockRef) -> Message {
    Message::Want { block, first: 0, count: LEAVES }
}

/// One node that holds these blocks under one name, and a client of it.
fn one_node(blocks: &[Vec<u8>]) -> (World, RawClient) {
    let mut world = World::new(3, network());
    world.add(&[]);
    let mut client = RawClient::connect(&mut world, 0);
    put(&mut world, &mut client, 1, blocks);
    (world, client)
}

/// Rot in what a block's file says of its leaves, which is seen at the next read.
fn spoil(world: &World, machine: usize, block: BlockRef) {
    let paths = world.machines[machine].fs.paths("blocks");
    let path = paths.iter().find(|path| path.ends_with(&block.address.to_string()));
    let path = path.expect("the block has a file");
    assert!(world.machines[machine].fs.tamper().flip(path, block.length as usize + 1));
}

/// Reads leaves until something else is said.
fn next_but_leaves(world: &mut World, client: &mut RawClient) -> Option<Event> {
    loop {
        match client.event(world)? {
            Event::Opened(_) | Event::Chunk { .. } => {}
            other => return Some(other),
        }
    }
}

#[test]
fn what_cannot_be_read_for_want_of_descriptors_is_still_there() {
    let blocks = vec![block_of(1, BLOCK), block_of(2, 5_000)];
    let (mut world, mut client) = one_node(&blocks);
    world.machines[0].fs.tamper().set_exhausted(true);
    for block in &blocks {
        assert_eq!(fetch(&mut world, 0, reference(block)), None);
    }
    let (request, name) = (5, NameId([1; 32]));
    client.send(&Message::Head { request, space: Default::default(), name, relay: true });
    let answer = client.message(&mut world);
    assert!(matches!(answer, Some(Message::Refused { reason: Reason::Unavailable, .. })));
    client.send(&Message::List { request, space: Default::default(), after: None, future: false });
    let answer = client.message(&mut world);
    assert!(matches!(answer, Some(Message::Refused { reason: Reason::Unavailable, .. })));
    world.run(Duration::from_secs(1), |_| false);
    world.machines[0].fs.tamper().set_exhausted(false);
    assert_eq!(status(&mut world, 0).names, 1);
    for block in &blocks {
        assert_eq!(fetch(&mut world, 0, reference(block)).as_ref(), Some(block));
    }
}

#[test]
fn a_block_for_which_there_is_no_descriptor_is_refused_alone_and_may_come_later() {
    let (mut world, mut client) = one_node(&[]);
    let block = block_of(1, 3 * LEAF);
    let address = reference(&block).address;
    let blocks = vec![reference(&block)];
    let offer = offer_of(&world, 1, blocks);
    for has_descriptors in [false, true] {
        world.machines[0].fs.tamper().set_exhausted(!has_descriptors);
        client.send(&offer);
        let answer = client.message(&mut world);
        assert!(matches!(answer, Some(Message::Want { .. })), "{answer:?}");
        client.stream(&block, 0, 3);
        let expected = match has_descriptors {
            true => Message::Have { addresses: vec![address] },
            false => Message::Absent { address },
        };
        assert_eq!(client.message(&mut world), Some(expected));
    }
    assert_eq!(fetch(&mut world, 0, reference(&block)), Some(block));
}

#[test]
fn a_page_that_cannot_be_read_now_is_not_forgotten() {
    let (mut world, mut client) = one_node(&[]);
    let page = full_page(0);
    let address = reference(&page).address;
    client.send(&page_of(&world, 2, page.clone()));
    assert_eq!(client.message(&mut world), Some(Message::PageDone { request: 2 }));
    world.machines[0].fs.tamper().set_exhausted(true);
    client.send(&Message::GetPage { request: 3, address });
    let answer = client.message(&mut world);
    assert!(matches!(answer, Some(Message::Refused { reason: Reason::Unavailable, .. })));
    world.machines[0].fs.tamper().set_exhausted(false);
    client.send(&Message::GetPage { request: 4, address });
    assert_eq!(client.message(&mut world), Some(Message::Page { request: 4, page: Some(page) }));
}

#[test]
fn a_stream_that_fails_half_way_has_left_before_the_next_begins() {
    let blocks = vec![block_of(1, BLOCK), block_of(2, BLOCK)];
    let (mut world, mut client) = one_node(&blocks);
    client.send(&want(reference(&blocks[0])));
    client.send(&want(reference(&blocks[1])));
    client.pump(&mut world);
    world.run(Duration::from_millis(50), |_| false);
    // The first leaves leave, and the next are to be read.
    client.pump(&mut world);
    spoil(&world, 0, reference(&blocks[0]));
    // Meanwhile the client takes nothing: the end of the first stream waits on the connection.
    world.run(Duration::from_millis(50), |_| false);
    assert_eq!(next_but_leaves(&mut world, &mut client), Some(Event::Aborted));
    assert_eq!(next_but_leaves(&mut world, &mut client), Some(Event::Ended), "the second is whole");
    client.send(&want(reference(&blocks[1])));
    assert_eq!(next_but_leaves(&mut world, &mut client), Some(Event::Ended), "and a third");
    assert_eq!(status(&mut world, 0).memory_used, 0, "nothing stays reserved");
}

#[test]
fn a_client_that_asks_and_does_not_read_is_not_read_from() {
    let (mut world, mut client) = one_node(&[]);
    client.pump(&mut world);
    let ask = Message::Status { request: 7 };
    let mut asked = 0;
    while client.push_only(&mut world, &ask) {
        asked += 1;
        assert!(asked < 20_000, "answers pile up without a bound");
    }
    assert!(asked > 100, "some may wait");
    // It reads after all, and is served on.
    for _ in 0..asked {
        let answer = client.message(&mut world);
        assert!(matches!(answer, Some(Message::StatusIs { .. })));
    }
    client.send(&ask);
    assert!(client.message(&mut world).is_some());
}

#[test]
fn what_waits_to_be_checked_has_a_bound() {
    let (mut world, mut client) = one_node(&[]);
    client.pump(&mut world);
    // No time passes, so that no worker does anything.
    let mut bytes = 0;
    for seed in 0.. {
        let page = full_page(seed);
        bytes += page.len();
        let message = page_of(&world, 1, page);
        if !client.push_only(&mut world, &message) {
            break;
        }
        assert!(bytes < 8 << 20, "pages pile up before the workers");
    }
    world.run(Duration::from_secs(1), |_| false);
    client.send(&Message::Status { request: 7 });
    let done = |message| matches!(message, Message::PageDone { .. });
    let mut answers = std::iter::from_fn(|| client.message(&mut world));
    assert!(answers.any(|message| !done(message)), "and goes on when they have caught up");
}

#[test]
fn a_lie_about_a_length_costs_nobody_a_connection() {
    let mut world = World::new(4, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    world.run(Duration::from_secs(2), |_| false);
    // The second node is to have no copy: the block is put without a record, which is what spreads.
    let block = block_of(1, BLOCK);
    let mut client = RawClient::connect(&mut world, first);
    client.send(&offer_of(&world, 1, vec![reference(&block)]));
    loop {
        match client.message(&mut world) {
            Some(Message::Want { first, count, .. }) => {
                client.stream(&block, first, count);
                client.pump(&mut world);
            }
            Some(Message::Have { .. }) => break,
            other => panic!("a want or have was expected, not {other:?}"),
        }
    }
    let lie = BlockRef { length: 40_000, ..reference(&block) };
    assert_eq!(fetch_run(&mut world, second, lie, 2), None);
    assert_eq!(fetch_run(&mut world, first, lie, 2), None);
    let status = status(&mut world, second);
    assert_eq!(status.peers_connected, 1, "the peer was told a lie, and not by this node");
    assert_eq!(fetch(&mut world, second, reference(&block)).as_ref(), Some(&block));
}

#[test]
fn what_rots_while_no_peer_is_there_comes_again_when_one_is() {
    for restarts in [false, true] {
        let mut world = World::new(5, network());
        let first = world.add(&[]);
        let second = world.add(&[first]);
        let mut client = RawClient::connect(&mut world, first);
        let block = block_of(1, BLOCK);
        put(&mut world, &mut client, 1, std::slice::from_ref(&block));
        world.run(Duration::from_secs(5), |_| false);
        assert_eq!(status(&mut world, second).blocks, 1);
        world.power_cut(second);
        world.run(Duration::from_secs(1), |_| false);
        spoil(&world, first, reference(&block));
        assert_eq!(fetch(&mut world, first, reference(&block)), None, "nobody has it now");
        assert_eq!(status(&mut world, first).incomplete, 1, "and that is not hidden");
        assert_eq!(verify(&mut world, first), [reference(&block).address]);
        if restarts {
            world.run(Duration::from_secs(1), |_| false);
            world.power_cut(first);
            world.start(first, Vec::new());
            assert_eq!(verify(&mut world, first), [reference(&block).address], "nor forgotten");
        }
        let peer = world.peer(first);
        world.start(second, vec![peer]);
        world.run(Duration::from_secs(10), |_| false);
        assert_eq!(status(&mut world, first).incomplete, 0);
        assert_eq!(verify(&mut world, first), []);
        world.power_cut(second);
        world.run(Duration::from_secs(1), |_| false);
        assert_eq!(fetch(&mut world, first, reference(&block)).as_ref(), Some(&block));
    }
}

#[test]
fn a_put_does_not_wait_for_a_slow_peer_that_has_the_block_too() {
    let mut world = World::new(6, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    world.run(Duration::from_secs(2), |_| false);
    let block = block_of(1, BLOCK);
    let mut client = RawClient::connect(&mut world, first);
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    // The second has the record at once and fetches the block, slowly, while a client of it puts the same block.
    world.freeze(first);
    let mut other = RawClient::connect(&mut world, second);
    let began = world.time().instant;
    put(&mut world, &mut other, 2, std::slice::from_ref(&block));
    assert!(world.time().instant.since(began) < Duration::from_secs(1));
}

/// All that a node finds bad or missing.
fn verify(world: &mut World, machine: usize) -> Vec<Address> {
    let mut client = RawClient::connect(world, machine);
    let mut found = Vec::new();
    let mut after = None;
    loop {
        client.send(&Message::Verify { request: 1, after });
        match client.message(world) {
            Some(Message::Verified { bad, next, .. }) => {
                found.extend(bad);
                after = next;
            }
            other => panic!("it verifies, not {other:?}"),
        }
        if after.is_none() {
            return found;
        }
    }
}

/// The leaves from the first on, as a node serves them to a client.
fn fetch_run(world: &mut World, machine: usize, block: BlockRef, count: u8) -> Option<()> {
    let mut client = RawClient::connect(world, machine);
    client.send(&Message::Want { block, first: 0, count });
    match client.event(world) {
        Some(Event::Message(Message::Absent { address })) => {
            assert_eq!(address, block.address);
            None
        }
        other => panic!("it is absent, not {other:?}"),
    }
}

pub(super) fn full_page(seed: u32) -> Bytes {
    let block = |at: usize| {
        let mut address = Address([at as u8; 32]);
        address.0[..4].copy_from_slice(&seed.to_be_bytes());
        BlockRef { address, length: BLOCK as u32 }
    };
    let entries = Entries::Blocks((0..PAGE_ENTRIES_MAX).map(block).collect());
    let page = Page { sealed: vec![9; entries.count() * 64], entries };
    let mut encoded = Vec::new();
    page.encode(&mut encoded);
    encoded.into()
}

#[test]
fn a_put_that_came_twice_is_acknowledged_only_if_it_is_there() {
    let mut refused = 0;
    for seed in 0..60 {
        let mut world = World::new(seed, network());
        world.add(&[]);
        let mut clients = [0, 0].map(|machine| RawClient::connect(&mut world, machine));
        world.run(Duration::from_secs(1), |_| false);
        let records = vec![record(&world, 1, 5, Vec::new())];
        let put = |request| Message::Put {
            request,
            conditions: Vec::new(),
            records: records.clone(),
            blocks: Vec::new(),
        };
        // No room for the group that the first is in; for the next there is.
        world.machines[0].fs.tamper().fail_nth(0, SimError::NoSpace);
        let mut done = false;
        for client in &mut clients {
            client.send(&put(1));
            client.pump(&mut world);
            world.run(Duration::from_micros(1 + seed * 60), |_| false);
        }
        for client in &mut clients {
            match client.message(&mut world) {
                Some(Message::PutDone { .. }) => done = true,
                Some(Message::Refused { reason: Reason::NoSpace, .. }) => refused += 1,
                other => panic!("done or refused, not {other:?}"),
            }
        }
        world.power_cut(0);
        world.start(0, Vec::new());
        assert!(!done || status(&mut world, 0).names == 1, "seed {seed}");
    }
    assert!(refused > 0, "no room was met");
}
