//! What many peers, or one that lies, say of nodes: counted, bounded, and believed of none but the node itself.
//!
//! Invariant: no test here has a peer with more than the network key.

use super::raw::RawClient;
use super::replication::{block_of, network, put};
use super::world::World;
use dfsd::conn::Event;
use dfsd::crypto::keys::record_id;
use dfsd::limits::MESSAGE_PEERS_MAX;
use dfsd::wire::message::{Message, Role};

/// More than one message names.
const CROWD: usize = 200;

#[test]
fn two_hundred_peers_that_hold_a_file_are_counted_and_a_part_is_named() {
    let mut world = World::new(90, network());
    let node = world.add(&[]);
    let mut client = RawClient::connect(&mut world, node);
    let record = put(&mut world, &mut client, 1, &[block_of(1, 100)]);
    let connect = |_| RawClient::connect_as(&mut world, node, Role::Node);
    let mut peers: Vec<_> = (0..CROWD).map(connect).collect();
    client.send(&Message::Holders { request: 3, record: record_id(&record) });
    client.pump(&mut world);
    for peer in &mut peers {
        let mut answers = Vec::new();
        while let Some(event) = peer.poll(&mut world) {
            if let Event::Message(Message::Holds { request, .. }) = event {
                answers.push(Message::HoldsIs { request, holds: true });
            }
        }
        assert_eq!(answers.len(), 1, "each is asked once");
        answers.iter().for_each(|answer| peer.send(answer));
        peer.pump(&mut world);
    }
    match client.message(&mut world) {
        Some(Message::HoldersAre { count, holders, .. }) => {
            assert_eq!((count as usize, holders.len()), (CROWD + 1, MESSAGE_PEERS_MAX));
        }
        other => panic!("holders were expected, not {other:?}"),
    }
}
