//! Of a damaged group a start believes what proves itself, and nothing else.

use super::comparison::spoil;
use super::raw::RawClient;
use super::replication::{block_of, fetch, network, put, record, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::ids::{NameId, VersionId};
use dfsd::store::fs::FileSystem;
use dfsd::wire::message::Message;
use dfsd::wire::record::Record;
use std::time::Duration;

const SMALL: u8 = 3;
const RECORD: u8 = 5;
/// Before an item's own bytes in the log, and before a group's first item.
const ITEM_HEAD: usize = 41;
const HEAD: usize = 32;

/// One put, which is one group: a record for each block, under the names 1, 2, ...
fn stored(blocks: &[Vec<u8>]) -> (World, Vec<Bytes>) {
    let mut world = World::new(520, network());
    world.add(&[]);
    let mut client = RawClient::connect(&mut world, 0);
    let records: Vec<_> = (1..)
        .zip(blocks)
        .map(|(name, block)| record(&world, name, 5, vec![reference(block)]))
        .collect();
    client.send(&Message::Put {
        request: 2,
        conditions: Vec::new(),
        records: records.clone(),
        blocks: blocks.iter().cloned().map(Bytes::from).collect(),
    });
    assert_eq!(client.message(&mut world), Some(Message::PutDone { request: 2, copies: 1 }));
    // The last group of a log could be a torn one.
    put(&mut world, &mut client, 200, &[]);
    world.kill(0);
    (world, records)
}

fn shown(world: &mut World, name: u8) -> Option<Bytes> {
    let mut client = RawClient::connect(world, 0);
    let (space, name) = (Default::default(), NameId([name; 32]));
    client.send(&Message::Head { request: 3, space, name, relay: true });
    match client.message(world) {
        Some(Message::Heads { shown, .. }) => shown,
        other => panic!("heads were expected, not {other:?}"),
    }
}

#[test]
fn of_a_damaged_group_everything_else_is_read_after_a_start() {
    let blocks: Vec<_> = (1..5).map(|seed| block_of(seed, 3_000 * usize::from(seed))).collect();
    let (mut world, records) = stored(&blocks);
    let whole = world.machines[0].fs.restart();
    for rotten in 0..blocks.len() {
        world.machines[0].fs = whole.restart();
        assert!(spoil(&world, 0, &blocks[rotten]));
        for _ in 0..2 {
            world.start(0, Vec::new());
            for (name, record) in (1..).zip(&records) {
                assert_eq!(shown(&mut world, name).as_ref(), Some(record));
            }
            for (at, block) in blocks.iter().enumerate().filter(|(at, _)| *at != rotten) {
                assert_eq!(fetch(&mut world, 0, reference(block)).as_ref(), Some(block), "{at}");
            }
            let mut client = RawClient::connect(&mut world, 0);
            let block = reference(&blocks[rotten]);
            client.send(&Message::Want { block, first: 0, count: 1 });
            let told = loop {
                match client.message(&mut world) {
                    Some(Message::Coming { .. }) => {}
                    other => break other,
                }
            };
            let address = block.address;
            assert_eq!(told, Some(Message::Damaged { address }), "it was here");
            let status = status(&mut world, 0);
            // The file, and its block.
            assert_eq!((status.names, status.incomplete), (5, 2));
            assert!(status.damaged == 0 && !status.log_damage.is_any());
            world.kill(0);
        }
    }
}

/// The grant of the key that this node itself writes with comes with its keys.
#[test]
fn a_rotten_grant_takes_nothing_with_it() {
    let block = block_of(1, 3_000);
    let (mut world, records) = stored(std::slice::from_ref(&block));
    let grant = world.write_key().grant.clone();
    assert!(spoil(&world, 0, &grant) && spoil(&world, 0, &block));
    world.start(0, Vec::new());
    assert_eq!(shown(&mut world, 1).as_ref(), Some(&records[0]));
}

/// The kind or the check sum of its item has rotted, so that it cannot be read where it is.
#[test]
fn a_record_whose_item_is_damaged_and_not_itself_is_written_anew() {
    let block = block_of(1, 3_000);
    let (mut world, records) = stored(std::slice::from_ref(&block));
    let (whole, at) = (world.machines[0].fs.restart(), place_of(&world, &records[0]));
    for before in [ITEM_HEAD, 2] {
        world.machines[0].fs = whole.restart();
        assert!(world.machines[0].fs.tamper().flip("log/00000001.seg", at - before));
        for _ in 0..2 {
            world.start(0, Vec::new());
            world.run(Duration::from_secs(1), |_| false);
            assert_eq!(shown(&mut world, 1).as_ref(), Some(&records[0]));
            assert_eq!(status(&mut world, 0).damaged, 0);
            assert_eq!(fetch(&mut world, 0, reference(&block)).as_ref(), Some(&block));
            world.kill(0);
        }
    }
}

/// An item as the log has it, with the right check sum.
fn item(kind: u8, id: [u8; 32], bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    let head = [&[kind][..], &id, &length].concat();
    let check = crc32c::crc32c_append(crc32c::crc32c(&head), bytes).to_be_bytes();
    [&head, &check[..], bytes].concat()
}

/// Whoever sends a block may compose bytes that look like a group, and wait for rot to uncover them.
#[test]
fn what_looks_like_items_in_a_block_is_not_believed() {
    let (wanted, other) = (block_of(7, 900), vec![0x66; 900]);
    let mut forged = {
        let world = World::new(1, network());
        Record::decode(&record(&world, 9, 6, vec![reference(&wanted)])).unwrap()
    };
    forged.signature[5] ^= 1;
    let forged = forged.to_bytes();
    let id = dfsd::crypto::keys::record_id(&forged).0;
    let mut block = [&block_of(3, 2_000)[..], b"dfsG", &[0; HEAD - 4]].concat();
    block.extend(item(SMALL, reference(&wanted).address.0, &other));
    block.extend(item(RECORD, id, &forged));
    // Above what is stored under name 1, and not whole by its check sum.
    let mut above = Record::decode(&record(&World::new(520, network()), 1, 6, Vec::new())).unwrap();
    above.parents = vec![VersionId { stamp: 5, ..above.version }];
    above.signature[5] ^= 1;
    let above = above.to_bytes();
    let mut broken = item(RECORD, dfsd::crypto::keys::record_id(&above).0, &above);
    broken[ITEM_HEAD - 1] ^= 1;
    block.extend(broken);
    let signed = record(&World::new(520, network()), 8, 5, Vec::new());
    block.extend(item(RECORD, [0x77; 32], &signed));
    let (mut world, records) = stored(std::slice::from_ref(&block));
    let at = place_of(&world, &block);
    // The head of the group, and the length of the block.
    for at in [at - ITEM_HEAD - HEAD + 9, at - 8] {
        assert!(world.machines[0].fs.tamper().flip("log/00000001.seg", at));
    }
    world.start(0, Vec::new());
    assert_eq!(shown(&mut world, 9), None, "nobody has signed it");
    assert_eq!(shown(&mut world, 1).as_ref(), Some(&records[0]), "that was signed");
    let mut client = RawClient::connect(&mut world, 0);
    let block = reference(&wanted);
    client.send(&Message::Want { block, first: 0, count: 1 });
    world.run(Duration::from_secs(30), |_| false);
    // Whether it ever was here, nobody can know.
    let told = client.message(&mut world);
    let is_refused = matches!(told, Some(Message::Absent { .. } | Message::Damaged { .. }));
    assert!(is_refused, "{told:?}");
    let status = status(&mut world, 0);
    assert_eq!((status.names, status.blocks, status.damaged), (2, 0, 0));
    assert_eq!(shown(&mut world, 8), None, "under its own id it never came");
    assert!(status.log_damage.is_any());
}

fn place_of(world: &World, bytes: &[u8]) -> usize {
    let fs = &world.machines[0].fs;
    let file = fs.open("log/00000001.seg").unwrap();
    let mut log = vec![0; usize::try_from(fs.length(&file).unwrap()).unwrap()];
    fs.read_at(&file, 0, &mut log).unwrap();
    log.windows(bytes.len()).position(|window| window == bytes).expect("it is in the log")
}
