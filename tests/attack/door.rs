//! The door of a node without sockets: strangers of other machines, which a test on one machine has not got, and those
//! whom a node is told to dial.

use dfsd::conn::ConnKeys;
use dfsd::crypto::keys::{NetworkKey, NodeKey, RootKey};
use dfsd::ids::NodeId;
use dfsd::limits::{
    CONNECTIONS_MAX, HANDSHAKE_TIMEOUT, HANDSHAKES_MAX, MEMORY_MIN, PEERS_MAX, REDIAL_FIRST,
    REDIAL_LAST, STRANGERS_MAX, STRANGERS_PER_ADDRESS_MAX,
};
use dfsd::node::{Action, Link, Node};
use dfsd::server::{Loading, Setup};
use dfsd::store;
use dfsd::store::fs::SimFs;
use dfsd::time::{Instant, Now};
use dfsd::wire::message::PeerAddress;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const START: Now = Now { instant: Instant(1), wall_ms: 1_795_305_600_000 };

/// Some time after the start.
fn at(time: Duration) -> Now {
    Now { instant: START.instant + time, ..START }
}

fn node(peers: Vec<PeerAddress>) -> Node {
    let root = RootKey::generate(&[1; 32]);
    let network = NetworkKey::generate(&[2; 32], &root);
    let key = NodeKey::generate(&[3; 32]);
    let loading = Loading::new(network.root, [4; 16]);
    let (_, recovered) =
        store::open(SimFs::new(), store::Config::default(), [4; 16], |_| ()).unwrap();
    let keys = ConnKeys::new(&network, &key);
    let setup = Setup {
        node: key.node_id(),
        verify_key: key.verify_key(),
        root: network.root,
        addresses: Vec::new(),
        grants: Vec::new(),
        memory: MEMORY_MIN,
        peers,
        seed: 5,
        boot: 6,
    };
    Node::new(keys, setup, (loading, &recovered), START)
}

fn machine(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number as u32))
}

/// Those whom the node has sent away since this was last asked.
fn sent_away(node: &mut Node) -> Vec<Link> {
    let mut links = Vec::new();
    while let Some(action) = node.poll_action() {
        if let Action::Close { link } = action {
            links.push(link);
        }
    }
    links
}

#[test]
fn one_machine_brings_sixteen_strangers_and_loopback_as_many_as_it_likes() {
    let mut node = node(Vec::new());
    for _ in 0..STRANGERS_PER_ADDRESS_MAX {
        assert!(node.accepted(START, machine(1), [0; 32]).is_some());
    }
    assert_eq!(node.accepted(START, machine(1), [0; 32]), None);
    assert!(node.accepted(START, machine(2), [0; 32]).is_some(), "another is let in");
    for _ in 0..STRANGERS_PER_ADDRESS_MAX * 2 {
        assert!(node.accepted(START, Ipv4Addr::LOCALHOST.into(), [0; 32]).is_some());
    }
    assert!(sent_away(&mut node).is_empty());
}

#[test]
fn of_too_many_strangers_the_oldest_goes() {
    let mut node = node(Vec::new());
    let mut enter = |number| node.accepted(START, machine(number), [0; 32]).unwrap();
    let links: Vec<Link> = (0..STRANGERS_MAX + 100).map(&mut enter).collect();
    assert_eq!(sent_away(&mut node), links[..100]);
    // None has said anything in time.
    node.handle_timeout(at(HANDSHAKE_TIMEOUT));
    let mut gone = sent_away(&mut node);
    gone.sort_unstable();
    assert_eq!(gone, links[100..]);
}

#[test]
fn with_few_descriptors_a_stranger_makes_room_for_the_next() {
    let mut node = node(Vec::new());
    node.set_connections_max(usize::MAX);
    node.set_connections_max(10);
    let mut enter = |number| node.accepted(START, machine(number), [0; 32]).unwrap();
    let links: Vec<Link> = (0..30).map(&mut enter).collect();
    assert_eq!(sent_away(&mut node), links[..20]);
    const { assert!(CONNECTIONS_MAX > STRANGERS_MAX + HANDSHAKES_MAX) };
}

#[test]
fn of_too_many_peers_some_are_known_and_a_few_are_dialled_at_a_time() {
    let peer = |number: usize| {
        let mut id = NodeId([0; 32]);
        id.0[..8].copy_from_slice(&number.to_be_bytes());
        PeerAddress { node: id, address: format!("10.0.0.1:{}", number + 1) }
    };
    let mut node = node((0..PEERS_MAX * 2).map(peer).collect());
    let (mut seen, mut time) = (BTreeSet::new(), Duration::ZERO);
    // Nobody answers.
    while time < (HANDSHAKE_TIMEOUT + REDIAL_LAST) * 40 {
        let mut dialled = 0;
        while let Some(action) = node.poll_action() {
            if let Action::Dial { address, .. } = action {
                dialled += 1;
                seen.insert(address);
            }
        }
        assert!(dialled <= HANDSHAKES_MAX, "{dialled} at once");
        time += REDIAL_FIRST;
        node.handle_timeout(at(time));
    }
    assert_eq!(seen.len(), PEERS_MAX);
}
