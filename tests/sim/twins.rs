//! Nodes that run with one key, as a copied disk makes them, before a node that sees them all.

use super::raw::RawClient;
use super::replication::{network, status};
use super::world::World;
use dfsd::conn::Event;
use dfsd::crypto::keys::NodeKey;
use dfsd::limits::{INSTANCE_ANSWER, INSTANCES_MAX};
use dfsd::wire::message::{Message, Role};
use std::time::Duration;

fn one_node(seed: u64) -> World {
    let mut world = World::new(seed, network());
    world.add(&[]);
    world
}

/// A node with this key, started with this number.
fn instance(world: &mut World, boot: u64) -> RawClient {
    let mut node = RawClient::connect_with(world, 0, NodeKey::generate(&[77; 32]));
    node.hello_since(Role::Node, boot);
    node.pump(world);
    node
}

/// Answers whoever asks whether it is there. How often it was asked.
fn answer(node: &mut RawClient, world: &mut World) -> usize {
    let mut asked = 0;
    while let Some(event) = node.poll(world) {
        if let Event::Message(Message::Status { request }) = event {
            asked += 1;
            node.send(&Message::StatusIs { request, status: Default::default() });
        }
    }
    node.pump(world);
    asked
}

#[test]
fn two_nodes_with_one_key_both_stay_and_are_told_of() {
    let mut world = one_node(1);
    let mut one = instance(&mut world, 1);
    assert_eq!(status(&mut world, 0).twins, []);
    let mut other = instance(&mut world, 2);
    assert_eq!(answer(&mut one, &mut world), 1, "the older one is asked whether it is there");
    for _ in 0..10 {
        world.run(INSTANCE_ANSWER, |_| false);
        answer(&mut one, &mut world);
        answer(&mut other, &mut world);
        assert!(one.is_alive(&world) && other.is_alive(&world), "one has pushed the other out");
    }
    let now = status(&mut world, 0);
    assert_eq!(now.twins, [one.key.node_id()]);
    assert_eq!(now.peers_connected, 1, "they count as one");
    one.hang_up(&mut world);
    world.run(Duration::from_secs(1), |_| false);
    let now = status(&mut world, 0);
    assert_eq!((now.twins.len(), now.peers_connected), (0, 1));
}

#[test]
fn the_connection_of_an_earlier_start_that_does_not_answer_is_closed() {
    let mut world = one_node(2);
    let one = instance(&mut world, 1);
    let other = instance(&mut world, 2);
    world.run(INSTANCE_ANSWER / 2, |_| false);
    assert!(one.is_alive(&world));
    world.run(INSTANCE_ANSWER, |_| false);
    assert!(!one.is_alive(&world) && other.is_alive(&world));
    let now = status(&mut world, 0);
    assert_eq!((now.twins.len(), now.peers_connected), (0, 1), "it was started anew, no more");
}

#[test]
fn one_start_of_a_node_has_one_connection() {
    let mut world = one_node(3);
    let one = instance(&mut world, 1);
    let again = instance(&mut world, 1);
    world.run(Duration::from_secs(1), |_| false);
    assert!(!one.is_alive(&world) && again.is_alive(&world));
}

#[test]
fn of_many_nodes_with_one_key_a_few_are_let_in() {
    let mut world = one_node(4);
    let mut nodes: Vec<RawClient> = Vec::new();
    for boot in 0..INSTANCES_MAX as u64 + 3 {
        nodes.push(instance(&mut world, boot));
        nodes.iter_mut().for_each(|node| {
            answer(node, &mut world);
        });
    }
    world.run(INSTANCE_ANSWER * 2, |_| false);
    let alive: Vec<bool> = nodes.iter().map(|node| node.is_alive(&world)).collect();
    assert_eq!(alive, [true, true, true, true, false, false, false]);
}
