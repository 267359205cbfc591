//! What many peers, or one that lies, say of nodes: counted, bounded, and believed of none but the node itself.
//!
//! Invariant: no test here has a peer with more than the network key.

use super::comparison::two_nodes;
use super::raw::{RawClient, default_settings};
use super::replication::{block_of, network, put, status};
use super::world::World;
use dfsd::conn::Event;
use dfsd::crypto::keys::{NodeKey, record_id};
use dfsd::ids::RecordId;
use dfsd::keyring::presence::{presence, subject};
use dfsd::limits::{CANDIDATE_BURST, CANDIDATE_PERIOD, MESSAGE_PEERS_MAX, MESSAGE_PRESENCES_MAX};
use dfsd::wire::message::{Member, Message, RangeSummary, Role};
use dfsd::wire::presence::Presence;
use std::time::Duration;

/// More than one message names.
const CROWD: usize = 200;

#[test]
fn two_hundred_peers_that_hold_a_file_are_counted_and_a_part_is_named() {
    let mut world = World::new(90, network());
    let node = world.add(&[]);
    let mut client = RawClient::connect(&mut world, node);
    let record = put(&mut world, &mut client, 1, &[block_of(1, 100)]);
    let connect = |_| RawClient::connect_as(&mut world, node, Role::Node);
    let mut peers: Vec<_> = (0..CROWD).map(connect).collect();
    client.send(&Message::Holders { request: 3, record: record_id(&record) });
    client.pump(&mut world);
    for peer in &mut peers {
        let mut answers = Vec::new();
        while let Some(event) = peer.poll(&mut world) {
            if let Event::Message(Message::Holds { request, .. }) = event {
                answers.push(Message::HoldsIs { request, holds: true });
            }
        }
        assert_eq!(answers.len(), 1, "each is asked once");
        answers.iter().for_each(|answer| peer.send(answer));
        peer.pump(&mut world);
    }
    match client.message(&mut world) {
        Some(Message::HoldersAre { count, holders, .. }) => {
            assert_eq!((count as usize, holders.len()), (CROWD + 1, MESSAGE_PEERS_MAX));
        }
        other => panic!("holders were expected, not {other:?}"),
    }
}

fn members(world: &mut World, machine: usize) -> Vec<Member> {
    let mut client = RawClient::connect(world, machine);
    client.send(&Message::Members { request: 7 });
    match client.message(world) {
        Some(Message::MembersAre { members, .. }) => members,
        other => panic!("members were expected, not {other:?}"),
    }
}

/// Somebody whom a liar made up, at an address of a third party.
fn invented(number: usize) -> Presence {
    let mut seed = [77; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    presence(&NodeKey::generate(&seed), &[format!("victim:{}", number % 500)], 1)
}

/// How often a machine has dialled the third party.
fn dials(world: &World, machine: usize) -> usize {
    let to_victim =
        |(from, address): &&(usize, String)| *from == machine && address.starts_with("victim:");
    world.dials.iter().filter(to_victim).count()
}

#[test]
fn who_lies_about_a_thousand_nodes_is_believed_by_nobody() {
    const LASTS: Duration = Duration::from_secs(20);
    let mut world = World::new(91, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    world.run(Duration::from_secs(5), |_| false);
    let mut liar = RawClient::connect_as(&mut world, first, Role::Node);
    let lies: Vec<_> = (0..1024).map(invented).collect();
    for lies in lies.chunks(MESSAGE_PRESENCES_MAX) {
        liar.send(&Message::Peers { peers: lies.to_vec() });
        liar.pump(&mut world);
    }
    assert!(liar.is_alive(&world), "each is signed by the node that it is about");
    world.run(Duration::from_millis(500), |_| false);
    liar.hang_up(&mut world);
    world.run(LASTS, |_| false);
    let most = CANDIDATE_BURST as u64 + LASTS.as_secs() / CANDIDATE_PERIOD.as_secs() + 2;
    let dialled = dials(&world, first);
    assert!((1..=most as usize).contains(&dialled), "{dialled} dials, {most} at most");
    assert_eq!(dials(&world, second), 0, "nobody else is told");
    for node in [first, second] {
        let members = members(&mut world, node);
        assert_eq!(members.len(), 1, "nor is anybody who asks: {members:?}");
        assert!(members.iter().all(|member| member.peer.address.starts_with("node")));
    }
    world.kill(first);
    world.start(first, Vec::new());
    world.run(LASTS, |_| false);
    assert_eq!(dials(&world, first), dialled, "nothing was written down");
    assert_eq!(status(&mut world, first).peers_connected, 1);
}

#[test]
fn an_address_that_its_node_did_not_sign_ends_the_connection() {
    let mut world = World::new(92, network());
    let node = world.add(&[]);
    let mut liar = RawClient::connect_as(&mut world, node, Role::Node);
    let mut lie = invented(1);
    lie.addresses = vec!["victim:1".to_owned()];
    lie.counter += 1;
    liar.send(&Message::Peers { peers: vec![lie] });
    liar.pump(&mut world);
    assert!(!liar.is_alive(&world));
    world.run(Duration::from_secs(20), |_| false);
    assert_eq!(dials(&world, node), 0);
}

/// The address that a node gives for itself is one that others may have to suffer for.
#[test]
fn where_a_peer_has_not_answered_it_is_not_said_to_be() {
    let mut world = World::new(93, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    let mut liar = RawClient::connect_silent(&mut world, first);
    liar.hello_from(Role::Node, vec!["victim:1".to_owned()]);
    let own = presence(&liar.key, &["victim:1".to_owned()], 1);
    liar.send(&Message::Peers { peers: vec![own] });
    liar.pump(&mut world);
    assert!(liar.is_alive(&world));
    world.run(Duration::from_secs(20), |_| false);
    let known = members(&mut world, first);
    assert_eq!(known.len(), 2, "it is connected");
    assert!(known.iter().all(|member| !member.peer.address.starts_with("victim")));
    assert!((1..=2).contains(&dials(&world, first)));
    assert_eq!(dials(&world, second), 0);
}

#[test]
fn nodes_of_one_ticket_find_each_other_at_once_and_again_elsewhere() {
    let mut world = World::new(94, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    let third = world.add(&[first]);
    world.run(Duration::from_secs(1), |_| false);
    for node in [first, second, third] {
        assert_eq!(status(&mut world, node).peers_connected, 2, "node {node}");
    }
    // One moves.
    world.power_cut(third);
    world.machines[third].address = "elsewhere:7400".to_owned();
    world.run(Duration::from_secs(30), |_| false);
    world.start(third, Vec::new());
    world.run(Duration::from_secs(2), |_| false);
    let moved = world.node_id(third);
    for node in [first, second] {
        let members = members(&mut world, node);
        let member = members.iter().find(|member| member.peer.node == moved).unwrap();
        assert!(member.connected);
        assert_eq!(member.peer.address, "elsewhere:7400", "node {node}");
    }
}

/// Whoever had no room for it when it was told learns it some time.
#[test]
fn whom_a_node_knows_is_told_again_with_a_comparison() {
    let mut world = two_nodes(93);
    let known = world.node_id(1);
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    let is_told = |world: &mut World, peer: &mut RawClient| {
        peer.pump(world);
        std::iter::from_fn(|| peer.poll(world)).any(|event| match event {
            Event::Message(Message::Peers { peers }) => {
                peers.iter().any(|presence| subject(presence) == known)
            }
            _ => false,
        })
    };
    assert!(is_told(&mut world, &mut peer), "when it comes");
    while peer.poll(&mut world).is_some() {}
    for _ in 0..3 {
        let (first, last) = (RecordId([0; 32]), RecordId([u8::MAX; 32]));
        let range = RangeSummary { first, last, count: 0, fingerprint: Default::default() };
        peer.send(&Message::Compare { range, told: false, cut: 0, settings: default_settings() });
        assert!(is_told(&mut world, &mut peer));
        while peer.poll(&mut world).is_some() {}
    }
}

#[test]
fn two_that_could_not_reach_each_other_when_they_were_introduced_meet_soon_after_they_can() {
    let mut world = World::new(94, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    let third = world.add(&[first]);
    world.part(second, third);
    world.run(Duration::from_secs(90), |_| false);
    let peers = |world: &World, machine| world.node(machine).unwrap().summary().peers;
    assert_eq!([first, second, third].map(|machine| peers(&world, machine)), [2, 1, 1]);
    world.heal(second, third);
    let meet = |world: &mut World| peers(world, second) == 2 && peers(world, third) == 2;
    assert!(world.run(Duration::from_secs(300), meet));
}
