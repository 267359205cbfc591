//! Requests that cost the asker nothing and the node much: looked at a few at a time, and after what somebody waits for.

use super::raw::RawClient;
use super::replication::{block_of, bring, network};
use super::world::World;
use dfsd::limits::{LEAF, SUSPECTS_MAX};
use dfsd::wire::message::{Message, Reason, Role};
use dfsd::worker::{Work, Workers};
use std::time::Duration;

fn world() -> (World, usize) {
    let mut world = World::new(95, network());
    let node = world.add(&[]);
    world.run(Duration::from_secs(1), |_| false);
    (world, node)
}

#[test]
fn of_a_flood_of_verifying_one_part_is_under_way() {
    let (mut world, node) = world();
    let roles = [Role::Node, Role::Client, Role::Node];
    let mut crowd = roles.map(|role| RawClient::connect_as(&mut world, node, role));
    world.run(Duration::from_secs(1), |_| false);
    for client in &mut crowd {
        for request in 0..100 {
            client.send(&Message::Verify { request, after: None });
        }
        // No time passes, so that no worker does anything.
        client.pump(&mut world);
    }
    assert_eq!(world.background_jobs(node), 1);
    world.run(Duration::from_secs(1), |_| false);
    let (mut done, mut refused) = (0, 0);
    for client in &mut crowd {
        let (mut answered, end) = (0, 100);
        while answered < end {
            match client.message(&mut world) {
                Some(Message::Verified { .. }) => done += 1,
                Some(Message::Refused { reason: Reason::Unavailable, .. }) => refused += 1,
                Some(_) => continue,
                None => panic!("each is answered"),
            }
            answered += 1;
        }
    }
    assert_eq!((done, refused), (4, 296), "the first, and one that waited of each connection");
}

#[test]
fn a_flood_of_suspicions_is_looked_at_a_few_at_a_time() {
    let (mut world, node) = world();
    let blocks: Vec<Vec<u8>> = (0..40).map(|seed| block_of(seed, 3 * LEAF)).collect();
    let mut client = RawClient::connect(&mut world, node);
    let blocks = bring(&mut world, &mut client, &blocks);
    for block in &blocks {
        client.send(&Message::Suspect { address: block.address });
    }
    client.pump(&mut world);
    assert_eq!(world.background_jobs(node), SUSPECTS_MAX);
    world.run(Duration::from_secs(1), |_| false);
    client.send(&Message::Suspect { address: blocks[39].address });
    client.pump(&mut world);
    assert_eq!(world.background_jobs(node), 1, "they are forgotten once they are looked at");
}

/// Numbers; from 10 on they are of the background.
struct Numbers;

impl Work<u8, u8> for Numbers {
    fn at_once(&self, _: &u8, _: bool) -> Option<u8> {
        None
    }

    fn execute(&self, job: u8) -> u8 {
        job
    }

    fn background(&self, job: &u8) -> Option<u8> {
        (*job >= 10).then_some(1)
    }
}

#[test]
fn a_flood_in_the_background_is_behind_what_somebody_waits_for() {
    let workers = Workers::start(0, Numbers, || {}).unwrap();
    for job in [10, 11, 12, 1] {
        workers.submit(job, false);
    }
    while workers.run_pending() {}
    let done: Vec<u8> = std::iter::from_fn(|| workers.take_done()).collect();
    assert_eq!(done, [1, 10, 11, 12]);
}
