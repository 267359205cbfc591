//! Those who announce much and send nothing: frames, records, offers, streams.

use super::crowd::Crowd;
use super::flood::{Attack, sized};
use super::victim::Victim;
use dfsd::conn::Event;
use dfsd::crypto::tree;
use dfsd::ids::Address;
use dfsd::limits::{BLOCK, FRAME_BODY_MAX, LEAF, OFFER_BLOCKS_MAX};
use dfsd::wire::frame::Open;
use dfsd::wire::message::{BlockRef, Message, Role};
use std::time::Duration;

#[test]
fn frames_that_are_announced_and_do_not_come() {
    let count = sized(1_000, 100);
    let mut victim = Victim::start();
    let attack = Attack {
        name: "announced frames",
        connections: count,
        begin: |crowd: &mut Crowd| {
            for index in crowd.members(count, Role::Client) {
                // Its length, and all but one byte of it.
                let length = FRAME_BODY_MAX as u16;
                crowd.send_raw(index, &length.to_be_bytes());
                crowd.send_raw(index, &vec![7; usize::from(length) - 1]);
            }
        },
        go_on: |_: &mut Crowd, _: Duration| (),
    };
    attack.run(&mut victim);
}

/// Blocks that nobody has.
fn invented(index: usize) -> Vec<BlockRef> {
    let block = |at: usize| {
        let mut address = Address([9; 32]);
        address.0[..8].copy_from_slice(&((index << 8) + at).to_be_bytes());
        BlockRef { address, length: BLOCK as u32 }
    };
    (0..OFFER_BLOCKS_MAX).map(block).collect()
}

#[test]
fn offers_behind_which_is_nothing() {
    let count = sized(1_000, 100);
    let mut victim = Victim::start();
    let offer = |crowd: &mut Crowd, index: usize| {
        let blocks = invented(index);
        crowd.offer(index, blocks);
    };
    let attack = Attack {
        name: "empty offers",
        connections: count,
        begin: |crowd: &mut Crowd| {
            crowd.members(count, Role::Client).for_each(|index| offer(crowd, index));
        },
        go_on: |crowd: &mut Crowd, _: Duration| {
            // Who is told that nobody waits any more offers again.
            let events = std::mem::take(&mut crowd.events);
            let absent = |event: &Event| matches!(event, Event::Message(Message::Absent { .. }));
            let mut again: Vec<_> =
                events.iter().filter(|(_, event)| absent(event)).map(|(index, _)| *index).collect();
            again.dedup();
            again.into_iter().for_each(|index| offer(crowd, index));
        },
    };
    attack.run(&mut victim);
}

#[test]
fn streams_that_are_opened_and_do_not_go_on() {
    let count = sized(1_000, 100);
    let mut victim = Victim::start();
    let block = |index: usize| {
        let seed = (index * 31) as u8 ^ (index >> 3) as u8;
        (0..3 * LEAF).map(|at| seed ^ (at / 9) as u8 ^ (at >> 12) as u8).collect::<Vec<u8>>()
    };
    let blocks: Vec<Vec<u8>> = (0..count).map(block).collect();
    let reference = |block: &Vec<u8>| BlockRef {
        address: Address(tree::tree(block).0),
        length: block.len() as u32,
    };
    let attack = Attack {
        name: "empty streams",
        connections: count,
        begin: |crowd: &mut Crowd| {
            for index in crowd.members(count, Role::Client) {
                let blocks = vec![reference(&blocks[index])];
                crowd.offer(index, blocks);
            }
        },
        go_on: |crowd: &mut Crowd, _: Duration| {
            for (index, event) in std::mem::take(&mut crowd.events) {
                if let Event::Message(Message::Want { block, first, count }) = event {
                    let leaves = tree::leaf_hashes(&blocks[index]);
                    let (address, length) = (block.address, block.length);
                    let open = Open { address, length, first, count, leaves };
                    crowd.with(index, |conn| {
                        if !conn.is_streaming() {
                            conn.open_stream(&open);
                        }
                    });
                }
            }
        },
    };
    attack.run(&mut victim);
}
