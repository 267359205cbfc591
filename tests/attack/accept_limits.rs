//! The door of a node without sockets: strangers of other machines, which a test on one machine has not got, and those
//! whom a node is told to dial.

use dfsd::conn::{Conn, ConnKeys, Side, Stage};
use dfsd::crypto::keys::{NetworkKey, NodeKey, RootKey};
use dfsd::daemon::{self, Options};
use dfsd::ids::NodeId;
use dfsd::limits::{
    ENTRANTS_PER_ADDRESS_MAX, HANDSHAKE_TIMEOUT, HANDSHAKES_MAX, MEMORY_MIN, PEERS_MAX,
    REDIAL_FIRST, REDIAL_LAST, STRANGERS_MAX,
};
use dfsd::node::{Action, Link, Node};
use dfsd::store::Config;
use dfsd::testing::SimFs;
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

/// Whoever has this key in the node's network.
fn keys(of: u8) -> ConnKeys {
    let network = NetworkKey::generate(&[2; 32], &RootKey::generate(&[1; 32]));
    ConnKeys::new(&network, &NodeKey::generate(&[of; 32]))
}

fn node(peers: Vec<PeerAddress>) -> Node {
    let root = RootKey::generate(&[1; 32]);
    let network = NetworkKey::generate(&[2; 32], &root);
    let key = NodeKey::generate(&[3; 32]);
    let opened = daemon::open(SimFs::new(), Config::default(), network.root, [4; 16]).unwrap();
    let options = Options { memory: MEMORY_MIN, peers, seed: 5, ..Options::new(&network, &key) };
    opened.start(options, START).0
}

fn machine(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number as u32))
}

/// Those whom the node has sent away since this was last asked.
fn sent_away(node: &mut Node) -> Vec<Link> {
    let mut links = Vec::new();
    while let Some(action) = node.poll_action() {
        if let Action::Close { link, .. } = action {
            links.push(link);
        }
    }
    links
}

/// What the node says on a connection at this moment.
fn said(node: &mut Node, link: Link) -> Vec<u8> {
    let mut out = Vec::new();
    node.transmit(START, link, &mut out, usize::MAX);
    out
}

/// Somebody with a key connects, and says nothing but a first message. What both have said.
fn begin(node: &mut Node, from: IpAddr, entropy: u64) -> (Link, Conn, Vec<u8>) {
    let seed = |side: u8| {
        let mut seed = [side; 32];
        seed[..8].copy_from_slice(&entropy.to_be_bytes());
        seed
    };
    let link = node.accepted(START, from, seed(1)).expect("a newcomer finds a place");
    let mut conn = Conn::new(Side::Dialer, &keys(7), seed(2), START.instant);
    conn.received(START.instant, &said(node, link)).unwrap();
    let mut words = Vec::new();
    conn.transmit(START.instant, &mut words, usize::MAX);
    node.received(START, link, &words);
    (link, conn, words)
}

/// Goes on with what was begun. True if the node has let it in.
fn go_on(node: &mut Node, link: Link, conn: &mut Conn) -> bool {
    let answer = said(node, link);
    conn.received(START.instant, &answer).is_ok() && conn.stage() == Stage::Established
}

#[test]
fn of_seventeen_strangers_of_a_machine_the_oldest_gives_way_and_loopback_brings_more() {
    let mut node = node(Vec::new());
    let mut enter = |number| node.accepted(START, machine(number), [0; 32]).unwrap();
    let links: Vec<Link> = (0..ENTRANTS_PER_ADDRESS_MAX).map(|_| enter(1)).collect();
    enter(2);
    enter(1);
    enter(1);
    assert_eq!(sent_away(&mut node), links[..2]);
    for _ in 0..ENTRANTS_PER_ADDRESS_MAX * 2 {
        assert!(node.accepted(START, Ipv4Addr::LOCALHOST.into(), [0; 32]).is_some());
    }
    assert!(sent_away(&mut node).is_empty());
    // Whoever shares an address with a crowd gets in nevertheless.
    let (link, mut conn, _) = begin(&mut node, machine(1), 9);
    assert!(go_on(&mut node, link, &mut conn));
}

#[test]
fn of_too_many_strangers_the_fullest_prefix_loses_one() {
    let mut node = node(Vec::new());
    let mut enter = |number| node.accepted(START, machine(number), [0; 32]).unwrap();
    // Each from a network of its own, but for a crowd that shares one.
    let friends: BTreeSet<Link> = (0..100).map(|number| enter(number * 256)).collect();
    let crowd: Vec<Link> = (0..STRANGERS_MAX * 3).map(|n| enter(200 * 256 + n % 250)).collect();
    let gone = sent_away(&mut node);
    assert_eq!(gone.len(), 100 + crowd.len() - STRANGERS_MAX);
    assert!(gone.iter().all(|link| !friends.contains(link)), "who was no part of it went");
    assert_ne!(gone, crowd[..gone.len()], "who comes cannot tell for how long he stays");
    // None has said anything in time.
    node.handle_timeout(at(HANDSHAKE_TIMEOUT));
    assert_eq!(sent_away(&mut node).len(), STRANGERS_MAX);
}

#[test]
fn with_few_descriptors_a_stranger_makes_room_for_the_next() {
    let mut node = node(Vec::new());
    node.set_connections_max(usize::MAX);
    node.set_connections_max(10);
    let mut enter = |number: usize| node.accepted(START, machine(number * 256), [0; 32]).unwrap();
    let links: BTreeSet<Link> = (0..30).map(&mut enter).collect();
    let gone = sent_away(&mut node);
    assert_eq!(gone.len(), 20);
    assert!(gone.iter().all(|link| links.contains(link)));
    // Those with a key take half of what there is before they have proved the rest.
    for number in 0..100 {
        begin(&mut node, machine(number * 256), number as u64);
    }
    let (link, mut conn, _) = begin(&mut node, machine(1), 1000);
    assert!(go_on(&mut node, link, &mut conn), "a member gets in");
}

#[test]
fn handshakes_that_do_not_go_on_keep_nobody_out() {
    let mut node = node(Vec::new());
    let mut open = 0;
    for number in 0..HANDSHAKES_MAX * 2 {
        // From as many networks, and from one machine.
        let from = if number % 2 == 0 { machine(number * 256) } else { machine(1) };
        begin(&mut node, from, number as u64);
        open += 1;
        open -= sent_away(&mut node).len();
        assert!(open <= HANDSHAKES_MAX, "{open} are under way");
    }
    assert_eq!(open, HANDSHAKES_MAX);
    for number in 0..20 {
        let (link, mut conn, _) = begin(&mut node, machine(number), 10_000 + number as u64);
        assert!(go_on(&mut node, link, &mut conn), "a member gets in");
    }
}

#[test]
fn a_first_message_that_was_recorded_is_worth_nothing() {
    let mut node = node(Vec::new());
    let (link, mut conn, words) = begin(&mut node, machine(1), 1);
    assert!(go_on(&mut node, link, &mut conn));
    let mut third = Vec::new();
    conn.transmit(START.instant, &mut third, usize::MAX);
    node.received(START, link, &third);
    sent_away(&mut node);
    for number in 0..3000_u64 {
        let entropy = std::array::from_fn(|at| number.to_be_bytes()[at % 8]);
        let link = node.accepted(START, machine(2), entropy).expect("a newcomer finds a place");
        node.received(START, link, &[&words[..], &third].concat());
        assert_eq!(sent_away(&mut node), [link], "a replay is answered");
        let answer = said(&mut node, link);
        assert_eq!((answer.len(), &answer[16..]), (16 + 96, &[0; 96][..]), "and told nothing");
        node.closed(START, link);
    }
    let (link, mut conn, _) = begin(&mut node, machine(2), 2);
    assert!(go_on(&mut node, link, &mut conn));
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
