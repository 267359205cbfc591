//! Clients and nodes that have the network key and break the rules: it is their connection that suffers, and nothing else.

use super::raw::{RawClient, default_settings, offer_of, page_of};
use super::replication::{block_of, fetch, network, put, record, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::crypto::keys::{NodeKey, WriteKey};
use dfsd::crypto::{sign, tags};
use dfsd::ids::{Address, RecordId};
use dfsd::keyring::presence::presence;
use dfsd::limits::{BLOCK, LEAF, STAMP_LEAD, STRANGERS_MAX};
use dfsd::time::{stamp_after, stamp_at};
use dfsd::wire::message::{BlockRef, Message, PushedRecord, RangeSummary, Reason, Role};
use dfsd::wire::record::Record;
use std::time::Duration;

fn world() -> (World, usize) {
    let mut world = World::new(5, network());
    let node = world.add(&[]);
    (world, node)
}

/// Another client is served as if nothing had happened, and nothing is kept of what has.
fn healthy(world: &mut World, node: usize) {
    world.run(Duration::from_secs(40), |_| false);
    let before = status(world, node);
    assert_eq!(before.memory_used, 0, "memory is reserved for nobody");
    let block = block_of(200, BLOCK);
    let mut client = RawClient::connect(world, node);
    put(world, &mut client, 200, std::slice::from_ref(&block));
    assert_eq!(fetch(world, node, reference(&block)), Some(block));
    let after = status(world, node);
    assert_eq!(after.names, before.names + 1);
    assert!(world.machines[node].outcome.is_none());
}

fn put_message(record: Bytes) -> Message {
    Message::Put { request: 7, conditions: Vec::new(), records: vec![record], blocks: Vec::new() }
}

/// What the node answers to a message of a client, if it stays connected.
fn answer(world: &mut World, node: usize, message: &Message) -> Option<Message> {
    let mut client = RawClient::connect(world, node);
    client.send(message);
    let answer = client.message(world);
    client.hang_up(world);
    answer
}

/// Why the node refuses it.
fn refusal(world: &mut World, node: usize, message: &Message) -> Option<Reason> {
    match answer(world, node, message)? {
        Message::Refused { reason, .. } => Some(reason),
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

#[test]
fn who_says_what_is_not_his_to_say_is_cut_off() {
    let (mut world, node) = world();
    let everything = RangeSummary {
        first: RecordId([0; 32]),
        last: RecordId([255; 32]),
        count: 5,
        fingerprint: Default::default(),
    };
    let liar = NodeKey::generate(&[3; 32]);
    let peers = vec![presence(&liar, &["evil:1".to_owned()], 1)];
    let messages = [
        Message::Peers { peers },
        Message::Compare { range: everything, told: false, cut: 0, settings: default_settings() },
        Message::Ids { first: everything.first, last: everything.last, ids: Vec::new() },
        Message::Fetch { ids: vec![everything.first] },
        Message::Holds { request: 1, record: everything.first },
        Message::HoldsIs { request: 1, holds: true },
        Message::PutDone { request: 1, copies: 9 },
        Message::Page { request: 1, page: None },
    ];
    for message in &messages {
        let mut client = RawClient::connect(&mut world, node);
        client.send(message);
        client.pump(&mut world);
        assert!(!client.is_alive(&world), "{message:?}");
        // Nor may anybody say anything before hello.
        let mut client = RawClient::connect_silent(&mut world, node);
        client.send(message);
        client.pump(&mut world);
        assert!(!client.is_alive(&world), "{message:?}");
    }
    let mut client = RawClient::connect(&mut world, node);
    client.hello(Role::Client);
    client.pump(&mut world);
    assert!(!client.is_alive(&world), "said hello twice");
    assert_eq!(status(&mut world, node).peers_known, 0);
    healthy(&mut world, node);
}

#[test]
fn noise_after_the_handshake_ends_the_connection() {
    for length in [2, 17, 1000, 70_000] {
        let (mut world, node) = world();
        let mut client = RawClient::connect(&mut world, node);
        let noise: Vec<u8> = (0..length).map(|at: usize| (at * 7 + 1) as u8).collect();
        client.send_raw(&mut world, &noise);
        client.pump(&mut world);
        // A record that was announced and never came is waited for, but not for ever.
        world.run(Duration::from_secs(120), |_| false);
        assert!(!client.is_alive(&world), "{length} bytes of noise");
        healthy(&mut world, node);
    }
}

#[test]
fn records_that_may_not_be_are_refused_and_leave_nothing() {
    let (mut world, node) = world();
    let mut forged = record(&world, 1, 5, Vec::new()).to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let mut client = RawClient::connect(&mut world, node);
    client.send(&put_message(forged.clone().into()));
    assert_eq!(client.message(&mut world), None);
    assert!(!client.is_alive(&world), "the first wrong signature ends the connection");

    let mut stranger = Record::decode(&record(&world, 1, 5, Vec::new())).unwrap();
    let key = WriteKey::generate(&[99; 32]);
    stranger.signer = key.public();
    stranger.signature = sign::sign(&key, tags::RECORD, &stranger.signed_bytes());
    let message = put_message(stranger.to_bytes().into());
    assert_eq!(refusal(&mut world, node, &message), Some(Reason::NotAllowed));

    let missing = vec![BlockRef { address: Address([8; 32]), length: 5 }];
    let message = put_message(record(&world, 1, 5, missing));
    assert_eq!(refusal(&mut world, node, &message), Some(Reason::Missing));

    let late = stamp_after(stamp_at(world.time().wall_ms + 5_000), STAMP_LEAD);
    let message = put_message(record(&world, 1, late, Vec::new()));
    assert_eq!(refusal(&mut world, node, &message), Some(Reason::Clock));

    for bytes in [&[][..], &[1], &forged[..100]] {
        let message = put_message(bytes.to_vec().into());
        assert_ne!(
            answer(&mut world, node, &message),
            Some(Message::PutDone { request: 7, copies: 1 })
        );
        let page = page_of(&world, 7, bytes.to_vec().into());
        assert_ne!(answer(&mut world, node, &page), Some(Message::PageDone { request: 7 }));
    }
    let now = status(&mut world, node);
    assert_eq!((now.names, now.blocks, now.incomplete), (0, 0, 0));
    healthy(&mut world, node);
}

#[test]
fn a_node_that_pushes_what_nobody_signed_is_cut_off() {
    let (mut world, node) = world();
    let mut forged = record(&world, 1, 5, Vec::new()).to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for bytes in [forged, vec![1, 2, 3]] {
        let mut peer = RawClient::connect_as(&mut world, node, Role::Node);
        let item = PushedRecord { record: bytes.into(), block: Bytes::new() };
        peer.send(&Message::Records { items: vec![item] });
        peer.pump(&mut world);
        world.run(Duration::from_secs(1), |_| false);
        assert!(!peer.is_alive(&world));
    }
    assert_eq!(status(&mut world, node).records, 1, "the grant alone");
    healthy(&mut world, node);
}

#[test]
fn leaves_that_nobody_wanted_end_the_connection() {
    let (mut world, node) = world();
    let block = block_of(1, BLOCK);
    let mut client = RawClient::connect(&mut world, node);
    client.stream(&block, 0, 32);
    client.pump(&mut world);
    assert!(!client.is_alive(&world));
    healthy(&mut world, node);
}

/// Waits for the next want, whatever else is said.
fn next_want(world: &mut World, client: &mut RawClient) -> (BlockRef, u8, u8) {
    loop {
        match client.event(world) {
            Some(Event::Message(Message::Want { block, first, count })) => {
                return (block, first, count);
            }
            Some(_) => {}
            None => panic!("a want was expected"),
        }
    }
}

fn offer(world: &World, client: &mut RawClient, blocks: Vec<BlockRef>) {
    client.send(&offer_of(world, 1, blocks));
}

#[test]
fn a_damaged_leaf_is_noticed_and_the_block_can_be_put_again() {
    for length in [LEAF / 2, 2 * LEAF, BLOCK] {
        let (mut world, node) = world();
        let block = block_of(1, length);
        let mut liar = RawClient::connect(&mut world, node);
        offer(&world, &mut liar, vec![reference(&block)]);
        let (_, first, count) = next_want(&mut world, &mut liar);
        liar.open(&block, first, count);
        for leaf in block.chunks(LEAF).skip(first.into()).take(count.into()) {
            let mut leaf = leaf.to_vec();
            leaf[9] ^= 1;
            liar.push_chunk(&leaf);
        }
        let suspected = loop {
            match liar.event(&mut world) {
                Some(Event::Message(Message::Suspect { address })) => break Some(address),
                Some(_) => {}
                None => break None,
            }
        };
        assert_eq!(suspected, Some(reference(&block).address));
        let mut honest = RawClient::connect(&mut world, node);
        put(&mut world, &mut honest, 1, std::slice::from_ref(&block));
        assert_eq!(fetch(&mut world, node, reference(&block)), Some(block));
        healthy(&mut world, node);
    }
}

#[test]
fn announced_and_never_sent_holds_nobody_up_for_long() {
    let (mut world, node) = world();
    // More than the node's memory, by clients who then say nothing, or stop in the middle of a stream.
    let mut hogs = Vec::new();
    for hog in 0..2 {
        let mut client = RawClient::connect(&mut world, node);
        let blocks: Vec<_> = (0..32).map(|seed| block_of(hog * 32 + seed, BLOCK)).collect();
        offer(&world, &mut client, blocks.iter().map(|block| reference(block)).collect());
        let (wanted, first, count) = next_want(&mut world, &mut client);
        if hog == 0 {
            let block = blocks.iter().find(|block| reference(block) == wanted).unwrap();
            client.open(block, first, count);
            client.push_chunk(&block[usize::from(first) * LEAF..][..LEAF]);
            client.pump(&mut world);
        }
        hogs.push(client);
    }
    let begun = world.time().instant;
    let mut honest = RawClient::connect(&mut world, node);
    let block = block_of(255, BLOCK);
    offer(&world, &mut honest, vec![reference(&block)]);
    let timeout = Duration::from_secs(25);
    loop {
        match honest.event(&mut world) {
            Some(Event::Message(Message::Want { first, count, .. })) => {
                honest.stream(&block, first, count);
                honest.pump(&mut world);
            }
            Some(Event::Message(Message::Have { .. })) => break,
            Some(other) => panic!("unexpected: {other:?}"),
            None => assert!(world.time().instant.since(begun) < timeout, "still waiting"),
        }
    }
    let waited = world.time().instant.since(begun);
    assert!(waited < timeout, "waited {waited:?}");
    drop(hogs);
    world.run(Duration::from_secs(200), |_| false);
    healthy(&mut world, node);
}

#[test]
fn too_much_at_once_ends_the_connection() {
    let (mut world, node) = world();
    let missing = |number: u8, length| BlockRef { address: Address([number; 32]), length };
    let mut client = RawClient::connect(&mut world, node);
    for _ in 0..20 {
        offer(&world, &mut client, (0..64).map(|number| missing(number, 1 << 20)).collect());
    }
    client.pump(&mut world);
    assert!(!client.is_alive(&world), "offers without end");

    let mut client = RawClient::connect(&mut world, node);
    let block = block_of(1, 2 * LEAF);
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    for (first, count) in [(0, 3), (2, 1), (31, 1)] {
        let mut client = RawClient::connect(&mut world, node);
        client.send(&Message::Want {
            block: BlockRef { length: 1 << 20, ..reference(&block) },
            first,
            count,
        });
        let answer = client.message(&mut world);
        let address = reference(&block).address;
        assert_eq!(
            answer,
            Some(Message::Absent { address }),
            "leaves that the block does not have"
        );
    }
    healthy(&mut world, node);
}

#[test]
fn strangers_at_the_door_do_not_keep_members_out() {
    let (mut world, node) = world();
    let links: Vec<_> = (0..STRANGERS_MAX + 200).filter_map(|_| world.accept(node)).collect();
    assert_eq!(links.len(), STRANGERS_MAX + 200);
    let gone = links.iter().filter(|link| world.has_hung_up(node, **link)).count();
    assert!(gone >= 200, "others make room");
    let mut client = RawClient::connect(&mut world, node);
    put(&mut world, &mut client, 1, &[block_of(1, 100)]);
    world.run(Duration::from_secs(6), |_| false);
    assert!(links.iter().all(|link| world.has_hung_up(node, *link)), "5 s to say who one is");
    healthy(&mut world, node);
}
