//! Those who ask and do not read: their answers wait within bounds, and nobody waits for them.

use super::crowd::Crowd;
use super::flood::{Attack, sized};
use super::victim::Victim;
use super::workload_client;
use dfsd::crypto::tree;
use dfsd::ids::Address;
use dfsd::limits::{BLOCK, LEAVES};
use dfsd::wire::message::{BlockRef, Message, Role};
use std::time::Duration;

/// Files with long records, for long lists.
const NAMES: usize = 150;

fn fill(victim: &Victim) {
    let mut client = victim.client();
    for index in 0..NAMES {
        let name = format!("{}{index}", "long".repeat(60));
        workload_client::put(&mut client, &name, b"short");
    }
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    let count = sized(200, 20);
    let mut victim = Victim::start();
    fill(&victim);
    let attack = Attack {
        name: "stalled to answers",
        connections: count,
        begin: |crowd: &mut Crowd| {
            for index in crowd.members(count, Role::Client) {
                crowd.attackers[index].stalled = true;
            }
        },
        go_on: |crowd: &mut Crowd, _| {
            // All at once, so that one read brings thousands of questions.
            for index in 0..crowd.attackers.len() {
                if !crowd.is_stuck(index) && !crowd.attackers[index].gone {
                    let list = Message::List {
                        request: 1,
                        space: Default::default(),
                        after: None,
                        future: false,
                    };
                    crowd.with(index, |conn| (0..2_000).for_each(|_| conn.send(&list)));
                }
            }
        },
    };
    attack.run(&mut victim);
}

#[test]
fn blocks_that_nobody_reads_hold_no_memory() {
    let count = sized(1_000, 60);
    let mut victim = Victim::start();
    // The client seals what it puts: an offer as a stranger's is what leaves a known address.
    let block: Vec<u8> = (0..BLOCK).map(|at| (at / 7) as u8 ^ (at >> 13) as u8).collect();
    let reference = BlockRef { address: Address(tree::tree(&block).0), length: BLOCK as u32 };
    let mut giver = Crowd::new(victim.address, &victim.access);
    giver.members(1, Role::Client);
    giver.give(0, &block, reference);
    let attack = Attack {
        name: "stalled to blocks",
        connections: count,
        begin: |crowd: &mut Crowd| {
            for index in crowd.members(count, Role::Client) {
                crowd.attackers[index].stalled = true;
                let want = Message::Want { block: reference, first: 0, count: LEAVES };
                crowd.with(index, |conn| (0..100).for_each(|_| conn.send(&want)));
            }
        },
        go_on: |_: &mut Crowd, _: Duration| (),
    };
    attack.run(&mut victim);
}
