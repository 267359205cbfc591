//! Connections between honest nodes last: nothing that one of them does, however slow the other or the line is, meets a
//! limit or a rule of the other.

use super::comparison::{signed, summary, two_nodes};
use super::raw::RawClient;
use super::replication::{block_of, put};
use super::world::{LinkEnd, World};
use dfsd::ids::NameId;
use dfsd::limits::{BLOCK, LAST_SOURCE_TIMEOUT, OUTBOX_HARD_MAX, PUT_RECORDS_MAX, RECORD_MAX};
use dfsd::node::{Closing, Ending};
use dfsd::wire::message::Message;
use std::time::Duration;

/// Nobody has ended any, but what is too much when both dial at once.
fn all_last(world: &World) {
    let others = |end: &&LinkEnd| end.why != Ending::Server(Closing::Duplicate);
    let ended: Vec<&LinkEnd> = world.link_ends().iter().filter(others).collect();
    assert!(ended.is_empty(), "{ended:?}");
}

#[test]
fn who_takes_nothing_for_a_while_is_sent_no_more_than_may_wait_and_gets_all_in_the_end() {
    let mut world = two_nodes(91);
    world.part(0, 1);
    let mut client = RawClient::connect(&mut world, 0);
    let puts = u32::try_from(2 * OUTBOX_HARD_MAX / (PUT_RECORDS_MAX * RECORD_MAX)).unwrap();
    for request in 0..puts {
        let record = |number: u32| {
            signed(&world, |record| {
                let mut name = [request as u8; 32];
                name[..4].copy_from_slice(&number.to_be_bytes());
                record.name = NameId(name);
                record.sealed = vec![7; RECORD_MAX - 400];
            })
        };
        let records = (0..PUT_RECORDS_MAX as u32).map(record).collect();
        let (conditions, blocks) = Default::default();
        client.send(&Message::Put { request, conditions, records, blocks });
        let answer = client.message(&mut world);
        assert!(matches!(answer, Some(Message::PutDone { .. })), "{answer:?}");
    }
    world.run(Duration::from_secs(10), |_| false);
    assert_ne!(summary(&world, 0), summary(&world, 1));
    world.heal(0, 1);
    let agree = |world: &mut World| summary(world, 0) == summary(world, 1);
    assert!(world.run(Duration::from_secs(120), agree));
    all_last(&world);
}

#[test]
fn what_a_silent_node_brings_late_is_taken_for_what_it_is() {
    let mut world = two_nodes(92);
    // What is asked for comes after more than the silence that is waited for; what is asked for then, at once.
    world.slow(0, 1, LAST_SOURCE_TIMEOUT * 5 / 8);
    let mut client = RawClient::connect(&mut world, 0);
    put(&mut world, &mut client, 1, &[block_of(1, BLOCK)]);
    world.run(LAST_SOURCE_TIMEOUT * 2, |_| false);
    world.slow(0, 1, Duration::ZERO);
    let whole = |world: &mut World| {
        summary(world, 0) == summary(world, 1)
            && world.node(1).is_some_and(|node| node.summary().incomplete == 0)
    };
    assert!(world.run(Duration::from_secs(120), whole));
    world.run(Duration::from_secs(10), |_| false);
    all_last(&world);
}
