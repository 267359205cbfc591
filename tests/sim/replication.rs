//! What is stored on one node comes to all others by itself.

use super::raw::{RawClient, offer_of};
use super::world::{Network, World};
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::crypto::keys::{NetworkKey, RootKey, WriteKey};
use dfsd::crypto::{sign, tags, tree};
use dfsd::ids::{Address, NameId, RecordId, VersionId};
use dfsd::keyring::grant;
use dfsd::limits::BLOCK;
use dfsd::wire::message::{BlockRef, Message, NodeStatus};
use dfsd::wire::record::{BlockList, FORMAT, Record, RecordKind};
use std::time::Duration;

pub(super) fn network() -> Network {
    let root = RootKey::generate(&[1; 32]);
    let key = NetworkKey::generate(&[2; 32], &root);
    let sign = WriteKey::generate(&[3; 32]);
    let grant = grant::grant(&root, &sign.public(), 1_000);
    let write = WriteKey { sign, grant: grant.clone() };
    Network { key, grant, write }
}

pub(super) fn block_of(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| seed ^ (at / 7) as u8 ^ (at >> 13) as u8).collect()
}

pub(super) fn reference(block: &[u8]) -> BlockRef {
    BlockRef { address: Address(tree::tree(block).0), length: block.len() as u32 }
}

/// A signed record of a file with these blocks.
pub(super) fn record(world: &World, name: u8, stamp: u64, blocks: Vec<BlockRef>) -> Bytes {
    let mut record = Record {
        format: FORMAT,
        kind: RecordKind::File,
        space: Default::default(),
        name: NameId([name; 32]),
        version: VersionId { stamp, writer: Default::default() },
        parents: Vec::new(),
        epoch: 1,
        signer: world.write_key().public(),
        blocks: BlockList::Inline(blocks),
        extensions: Vec::new(),
        sealed_tag: [7; 32],
        sealed: vec![8; 100],
        signature: [0; 64],
    };
    record.signature = sign::sign(&world.write_key().sign, tags::RECORD, &record.signed_bytes());
    record.to_bytes().into()
}

/// Puts blocks; panics unless the node says that they are durable.
pub(super) fn bring(
    world: &mut World,
    client: &mut RawClient,
    blocks: &[Vec<u8>],
) -> Vec<BlockRef> {
    let references: Vec<_> = blocks.iter().map(|block| reference(block)).collect();
    if !references.is_empty() {
        let blocks = references.clone();
        client.send(&offer_of(world, 1, blocks));
    }
    let mut have = 0;
    while have < blocks.len() {
        match client.message(world) {
            Some(Message::Want { block, first, count }) => {
                let at = references.iter().position(|reference| *reference == block).unwrap();
                client.stream(&blocks[at], first, count);
                client.pump(world);
            }
            Some(Message::Have { addresses }) => have += addresses.len(),
            other => panic!("a want or have was expected, not {other:?}"),
        }
    }
    references
}

/// Puts blocks and a record that names them; panics unless the node says that it is durable.
pub(super) fn put(
    world: &mut World,
    client: &mut RawClient,
    name: u8,
    blocks: &[Vec<u8>],
) -> Bytes {
    let references = bring(world, client, blocks);
    let record = record(world, name, 5, references);
    let records = vec![record.clone()];
    client.send(&Message::Put { request: 2, conditions: Vec::new(), records, blocks: Vec::new() });
    assert_eq!(client.message(world), Some(Message::PutDone { request: 2, copies: 1 }));
    record
}

pub(super) fn status(world: &mut World, machine: usize) -> NodeStatus {
    let mut client = RawClient::connect(world, machine);
    client.send(&Message::Status { request: 9 });
    match client.message(world) {
        Some(Message::StatusIs { status, .. }) => *status,
        other => panic!("a status was expected, not {other:?}"),
    }
}

/// All leaves of a block, as a node serves them to a client.
pub(super) fn fetch(world: &mut World, machine: usize, block: BlockRef) -> Option<Vec<u8>> {
    let mut client = RawClient::connect(world, machine);
    let bytes = fetch_by(world, &mut client, block);
    client.hang_up(world);
    bytes
}

pub(super) fn fetch_by(
    world: &mut World,
    client: &mut RawClient,
    block: BlockRef,
) -> Option<Vec<u8>> {
    let count = block.length.div_ceil(32 * 1024) as u8;
    client.send(&Message::Want { block, first: 0, count });
    let mut bytes = Vec::new();
    loop {
        match client.event(world)? {
            Event::Opened(_) | Event::Message(Message::Coming { .. }) => {}
            Event::Chunk { data, .. } => bytes.extend_from_slice(&data),
            Event::Ended => return Some(bytes),
            Event::Message(Message::Absent { .. } | Message::Damaged { .. }) | Event::Aborted => {
                return None;
            }
            other => panic!("a stream was expected, not {other:?}"),
        }
    }
}

pub(super) fn holds(world: &mut World, machine: usize, record: RecordId) -> bool {
    let mut client = RawClient::connect(world, machine);
    client.send(&Message::Holders { request: 3, record });
    match client.message(world) {
        Some(Message::HoldersAre { holders, .. }) => {
            holders.iter().any(|holder| holder.node == world.node_id(machine))
        }
        other => panic!("holders were expected, not {other:?}"),
    }
}

#[test]
fn two_nodes_and_no_faults() {
    let mut world = World::new(1, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    let blocks = vec![block_of(1, BLOCK), block_of(2, BLOCK), block_of(3, 100_000)];
    let mut client = RawClient::connect(&mut world, first);
    let record = put(&mut world, &mut client, 1, &blocks);
    let id = dfsd::crypto::keys::record_id(&record);
    let mut done = false;
    for _ in 0..100 {
        world.run(Duration::from_millis(50), |_| false);
        done = holds(&mut world, second, id);
        if done {
            break;
        }
    }
    assert!(done, "the second node has everything within five seconds");
    for block in &blocks {
        assert_eq!(fetch(&mut world, second, reference(block)).as_ref(), Some(block));
    }
    let status = status(&mut world, second);
    assert_eq!((status.names, status.blocks, status.incomplete), (1, 3, 0));
}

#[test]
fn a_late_node_and_a_wiped_node_get_everything() {
    let mut world = World::new(2, network());
    let first = world.add(&[]);
    let second = world.add(&[first]);
    let mut client = RawClient::connect(&mut world, first);
    for name in 1..=20 {
        let length = if name % 5 == 0 { 300_000 } else { usize::from(name) * 1_000 };
        put(&mut world, &mut client, name, &[block_of(name, length)]);
    }
    let third = world.add(&[second]);
    world.run(Duration::from_secs(20), |_| false);
    let late = status(&mut world, third);
    assert_eq!((late.names, late.blocks, late.incomplete), (20, 20, 0));
    assert_eq!(late.peers_connected, 2, "told of the one by the other");
    world.wipe(second);
    world.run(Duration::from_secs(20), |_| false);
    let wiped = status(&mut world, second);
    assert_eq!((wiped.names, wiped.blocks, wiped.incomplete), (20, 20, 0));
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    for seed in 0..20 {
        let mut world = World::new(seed, network());
        let first = world.add(&[]);
        let mut client = RawClient::connect(&mut world, first);
        let blocks = vec![block_of(1, BLOCK), block_of(2, 5_000)];
        put(&mut world, &mut client, 1, &blocks);
        world.power_cut(first);
        world.start(first, Vec::new());
        for block in &blocks {
            assert_eq!(fetch(&mut world, first, reference(block)).as_ref(), Some(block), "{seed}");
        }
        assert_eq!(status(&mut world, first).names, 1);
    }
}

#[test]
fn one_seed_gives_one_run() {
    let run = || {
        let mut world = World::new(7, network());
        let first = world.add(&[]);
        world.add(&[first]);
        let mut client = RawClient::connect(&mut world, first);
        put(&mut world, &mut client, 1, &[block_of(1, BLOCK)]);
        world.run(Duration::from_secs(5), |_| false);
        world.trace
    };
    assert_eq!(run(), run());
}
