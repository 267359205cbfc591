//! What somebody brings without a writer's leave: refused before it moves, whatever key he holds.

use super::raw::{RawClient, offer_of, page_of};
use super::replication::{block_of, bring, network, record, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::crypto::keys::WriteKey;
use dfsd::keyring::permit::permit;
use dfsd::limits::{LEAF, PERMIT_LIFE, PERMIT_LIFE_MAX};
use dfsd::time::{stamp_after, stamp_at};
use dfsd::wire::message::{BlockRef, Message, Reason, Role};
use dfsd::wire::permit::Permit;
use std::time::Duration;

/// A well-formed page of one block that nobody has.
fn page() -> Bytes {
    let mut page = vec![1, 0, 1];
    page.extend_from_slice(&[8; 32]);
    page.extend_from_slice(&100_u32.to_be_bytes());
    page.extend_from_slice(&[9; 64]);
    page.into()
}

/// A permit of the world's writer that ends so long after the node's present.
fn good_for(world: &World, blocks: &[BlockRef], life: Duration) -> Permit {
    permit(world.write_key(), blocks, stamp_after(stamp_at(world.time().wall_ms), life))
}

/// What is wrong with each permit, for a block or page.
fn void(world: &World, block: BlockRef) -> Vec<(&'static str, Option<Permit>)> {
    let good = good_for(world, &[block], PERMIT_LIFE);
    let other = BlockRef { address: reference(b"another").address, ..block };
    let longer = BlockRef { length: block.length + 1, ..block };
    let stranger = WriteKey { sign: WriteKey::generate(&[9; 32]), grant: Vec::new() };
    let past = stamp_at(world.time().wall_ms - 60_000);
    let too_long = PERMIT_LIFE_MAX + Duration::from_secs(60);
    vec![
        ("none", None),
        ("a stranger's", Some(permit(&stranger, &[block], good.not_after))),
        (
            "in another's name",
            Some(Permit {
                signer: world.write_key().public(),
                ..permit(&stranger, &[block], good.not_after)
            }),
        ),
        ("for another block", Some(good_for(world, &[other], PERMIT_LIFE))),
        ("for another length", Some(good_for(world, &[longer], PERMIT_LIFE))),
        ("for one more", Some(good_for(world, &[block, other], PERMIT_LIFE))),
        ("for none", Some(good_for(world, &[], PERMIT_LIFE))),
        ("made longer", Some(Permit { not_after: good.not_after + 1, ..good })),
        ("ended", Some(permit(world.write_key(), &[block], past))),
        ("for ever", Some(good_for(world, &[block], too_long))),
    ]
}

fn world() -> (World, usize) {
    let mut world = World::new(81, network());
    let node = world.add(&[]);
    world.run(Duration::from_secs(1), |_| false);
    (world, node)
}

#[test]
fn without_a_permit_nothing_is_taken_in() {
    let (mut world, node) = world();
    let (block, page) = (block_of(1, 3 * LEAF), page());
    for role in [Role::Client, Role::Node] {
        for (what, permit) in void(&world, reference(&block)) {
            let mut client = RawClient::connect_as(&mut world, node, role);
            let blocks = vec![reference(&block)];
            client.send(&Message::Offer { request: 7, blocks, permit });
            assert_eq!(refusal(&mut world, &mut client), Some(Reason::NotAllowed), "{what}");
            client.hang_up(&mut world);
        }
        for (what, permit) in void(&world, reference(&page)) {
            let mut client = RawClient::connect_as(&mut world, node, role);
            client.send(&Message::PutPage { request: 7, page: page.clone(), permit });
            assert_eq!(refusal(&mut world, &mut client), Some(Reason::NotAllowed), "{what}");
            client.hang_up(&mut world);
        }
    }
    let now = status(&mut world, node);
    assert_eq!((now.blocks, now.unnamed, now.memory_used), (0, 0, 0));
}

/// Why request 7 was refused; none if it was not. What a node says of itself meanwhile is not looked at.
fn refusal(world: &mut World, client: &mut RawClient) -> Option<Reason> {
    loop {
        match client.message(world)? {
            Message::Refused { request: 7, reason, detail } => {
                assert!(detail.contains("nothing of this was kept"), "{detail}");
                return Some(reason);
            }
            Message::Want { .. } | Message::PageDone { .. } => return None,
            _ => {}
        }
    }
}

#[test]
fn a_permit_is_good_for_an_hour() {
    let (mut world, node) = world();
    let block = block_of(1, 3 * LEAF);
    let client = RawClient::connect(&mut world, node);
    let offer = offer_of(&world, 7, vec![reference(&block)]);
    world.run(PERMIT_LIFE / 2, |_| false);
    let mut client = renewed(&mut world, node, client, &offer);
    assert!(matches!(client.message(&mut world), Some(Message::Want { .. })));
    client.hang_up(&mut world);
    world.run(PERMIT_LIFE / 2 + Duration::from_secs(1), |_| false);
    client = RawClient::connect(&mut world, node);
    client.send(&offer);
    assert_eq!(refusal(&mut world, &mut client), Some(Reason::NotAllowed));
}

/// A new connection, on which the offer is made; the old one is dead by now.
fn renewed(world: &mut World, node: usize, old: RawClient, offer: &Message) -> RawClient {
    old.hang_up(world);
    let mut client = RawClient::connect(world, node);
    client.send(offer);
    client
}

#[test]
fn what_no_record_names_yet_is_counted_until_one_does() {
    let (mut world, node) = world();
    let mut client = RawClient::connect(&mut world, node);
    let blocks = bring(&mut world, &mut client, &[block_of(1, 3 * LEAF), block_of(2, 4 * LEAF)]);
    let page = page();
    client.send(&page_of(&world, 2, page.clone()));
    assert_eq!(client.message(&mut world), Some(Message::PageDone { request: 2 }));
    let now = status(&mut world, node);
    assert_eq!((now.unnamed, now.unnamed_bytes), (3, 7 * LEAF as u64 + page.len() as u64));
    let records = vec![record(&world, 1, 5, blocks)];
    let put = Message::Put { request: 3, conditions: Vec::new(), records, blocks: Vec::new() };
    client.send(&put);
    assert_eq!(client.message(&mut world), Some(Message::PutDone { request: 3, copies: 1 }));
    let now = status(&mut world, node);
    assert_eq!((now.unnamed, now.unnamed_bytes), (1, page.len() as u64));
}
