//! A node that is asked to stop: what it has accepted is done, and nothing new begins.
//!
//! Invariant: what is answered as done was accepted before.

use super::raw::RawClient;
use super::replication::{block_of, network, put, record, reference};
use super::world::World;
use dfsd::conn::Event;
use dfsd::limits::{BLOCK, DRAIN_TIMEOUT, LEAVES};
use dfsd::node::Outcome;
use dfsd::wire::message::Message;
use std::time::Duration;

#[test]
fn stopping_finishes_what_was_accepted_and_takes_no_more() {
    let mut world = World::new(9, network());
    let node = world.add(&[]);
    let mut client = RawClient::connect(&mut world, node);
    let put = |world: &World, name| {
        let records = vec![record(world, name, 5, Vec::new())];
        Message::Put { request: name.into(), conditions: Vec::new(), records, blocks: Vec::new() }
    };
    let (accepted, late) = (put(&world, 1), put(&world, 2));
    client.send(&accepted);
    client.pump(&mut world);
    world.stop(node);
    client.send(&late);
    let mut answers = Vec::new();
    for _ in 0..100 {
        while let Some(event) = client.poll(&mut world) {
            answers.extend(match event {
                Event::Message(Message::PutDone { request, .. }) => Some((request, true)),
                Event::Message(Message::Refused { request, .. }) => Some((request, false)),
                _ => None,
            });
        }
        world.run(Duration::from_millis(1), |_| false);
    }
    answers.sort_unstable();
    assert_eq!(answers, [(1, true), (2, false)]);
    assert_eq!(world.machines[node].outcome, Some(Outcome::Drained));
}

#[test]
fn stopping_does_not_wait_for_long_for_who_reads_nothing() {
    let mut world = World::new(10, network());
    let node = world.add(&[]);
    let mut client = RawClient::connect(&mut world, node);
    let block = block_of(1, BLOCK);
    put(&mut world, &mut client, 1, std::slice::from_ref(&block));
    let mut deaf = RawClient::connect(&mut world, node);
    let want = Message::Want { block: reference(&block), first: 0, count: LEAVES };
    assert!(deaf.push_only(&mut world, &want));
    world.stop(node);
    let second = Duration::from_secs(1);
    world.run(DRAIN_TIMEOUT - second, |_| false);
    assert_eq!(world.machines[node].outcome, None, "he may yet read");
    world.run(second * 2, |_| false);
    assert_eq!(world.machines[node].outcome, Some(Outcome::Drained));
}
