//! Leaves that come when nobody waits for them any more, or from whom nobody expected them: they cost nothing.

use super::raw::{RawClient, offer_of};
use super::replication::{block_of, bring, fetch, network, reference, status};
use super::world::World;
use dfsd::conn::Event;
use dfsd::limits::{BLOCK, LEAF, OPERATION_TIMEOUT};
use dfsd::testing::SimError;
use dfsd::wire::message::Message;
use std::time::Duration;

fn one_node(seed: u64) -> World {
    let mut world = World::new(seed, network());
    world.add(&[]);
    world.run(Duration::from_secs(1), |_| false);
    world
}

/// A client that offers a block, and the first run of leaves that the node wants of it.
fn offered(world: &mut World, block: &[u8]) -> (RawClient, u8, u8) {
    let mut client = RawClient::connect(world, 0);
    offer(world, &mut client, block);
    match client.message(world) {
        Some(Message::Want { first, count, .. }) => (client, first, count),
        other => panic!("a want was expected, not {other:?}"),
    }
}

/// Nothing is reserved, and the block is what it should be.
fn sound(world: &mut World, block: &[u8]) {
    world.run(Duration::from_secs(1), |_| false);
    assert_eq!(fetch(world, 0, reference(block)).as_deref(), Some(block));
    world.run(Duration::from_secs(1), |_| false);
    let status = status(world, 0);
    assert_eq!((status.memory_used, status.blocks), (0, 1));
}

#[test]
fn who_was_too_slow_may_still_send_what_another_has_brought() {
    for already in [0, 1, 3] {
        let mut world = one_node(81);
        let block = block_of(1, BLOCK);
        let (mut late, first, count) = offered(&mut world, &block);
        let run = || block.chunks(LEAF).skip(first.into()).take(count.into());
        if already > 0 {
            late.open(&block, first, count);
            run().take(already).for_each(|leaf| late.push_chunk(leaf));
            late.pump(&mut world);
        }
        world.run(OPERATION_TIMEOUT * 2, |_| false);
        let mut quick = RawClient::connect(&mut world, 0);
        bring(&mut world, &mut quick, std::slice::from_ref(&block));
        if already == 0 {
            late.open(&block, first, count);
        }
        run().skip(already).for_each(|leaf| late.push_chunk(leaf));
        late.pump(&mut world);
        assert!(late.is_alive(&world), "{already} leaves in time");
        sound(&mut world, &block);
        // And the next block that he offers is taken.
        let other = block_of(2, 3 * LEAF);
        offer(&world, &mut late, &other);
        serve(&mut world, &mut late, &[&block, &other]);
        assert_eq!(fetch(&mut world, 0, reference(&other)), Some(other));
    }
}

#[test]
fn who_stops_in_the_middle_is_followed_by_the_next_who_has_the_block() {
    let mut world = one_node(82);
    let block = block_of(1, BLOCK);
    let (mut quitter, first, count) = offered(&mut world, &block);
    let mut other = RawClient::connect(&mut world, 0);
    offer(&world, &mut other, &block);
    other.pump(&mut world);
    quitter.open(&block, first, count);
    quitter.push_chunk(&block[usize::from(first) * LEAF..][..LEAF]);
    quitter.pump(&mut world);
    quitter.abort();
    quitter.send(&Message::Absent { address: reference(&block).address });
    quitter.pump(&mut world);
    serve(&mut world, &mut other, &[&block]);
    assert!(quitter.is_alive(&world));
    sound(&mut world, &block);
}

/// Sends what is wanted of these blocks until the node has the last of them.
fn serve(world: &mut World, client: &mut RawClient, blocks: &[&[u8]]) {
    let last = reference(blocks[blocks.len() - 1]).address;
    loop {
        match client.event(world) {
            Some(Event::Message(Message::Want { block, first, count })) => {
                let wanted = blocks.iter().find(|one| reference(one) == block);
                client.stream(wanted.unwrap(), first, count);
                client.pump(world);
            }
            Some(Event::Message(Message::Have { addresses })) if addresses.contains(&last) => {
                return;
            }
            Some(Event::Message(Message::Have { .. } | Message::Absent { .. })) => {}
            other => panic!("a want or have was expected, not {other:?}"),
        }
    }
}

fn offer(world: &World, client: &mut RawClient, block: &[u8]) {
    client.send(&offer_of(world, 1, vec![reference(block)]));
}

/// The leaf is found to be damaged when its sender is gone and another was asked for the rest.
#[test]
fn what_one_sent_damaged_before_he_left_is_asked_of_the_next() {
    let mut world = one_node(83);
    let block = block_of(1, BLOCK);
    let (mut liar, first, count) = offered(&mut world, &block);
    let mut other = RawClient::connect(&mut world, 0);
    offer(&world, &mut other, &block);
    other.pump(&mut world);
    world.slow_disk(0, Duration::from_secs(1));
    liar.open(&block, first, count);
    for leaf in block.chunks(LEAF).skip(first.into()).take(count.into()) {
        let mut leaf = leaf.to_vec();
        leaf[7] ^= 1;
        liar.push_chunk(&leaf);
    }
    liar.pump(&mut world);
    liar.hang_up(&mut world);
    serve(&mut world, &mut other, &[&block]);
    world.slow_disk(0, Duration::ZERO);
    sound(&mut world, &block);
}

#[test]
fn leaves_that_come_when_the_disk_is_full_keep_no_memory() {
    let mut world = one_node(86);
    let block = block_of(1, BLOCK);
    let (mut client, first, count) = offered(&mut world, &block);
    client.open(&block, first, count);
    let mut leaves = block.chunks(LEAF).skip(first.into()).take(count.into());
    client.push_chunk(leaves.next().unwrap());
    client.pump(&mut world);
    world.machines[0].fs.tamper().fail_nth(0, SimError::NoSpace);
    world.run(Duration::from_millis(100), |_| false);
    leaves.for_each(|leaf| client.push_chunk(leaf));
    let absent = Message::Absent { address: reference(&block).address };
    while client.message(&mut world).expect("it is told") != absent {}
    assert!(client.is_alive(&world));
    // What was wanted before is sent or not: nobody waits for it.
    world.run(OPERATION_TIMEOUT * 2, |_| false);
    let now = status(&mut world, 0);
    assert_eq!((now.memory_used, now.blocks), (0, 0));
    assert!(world.machines[0].outcome.is_none(), "a full disk ends nothing");
}

#[test]
fn half_a_small_block_whose_sender_left_keeps_no_memory() {
    let mut world = one_node(84);
    let block = block_of(1, 2 * LEAF);
    let (mut client, first, count) = offered(&mut world, &block);
    assert_eq!((first, count), (0, 2));
    client.open(&block, first, count);
    client.push_chunk(&block[..LEAF]);
    client.pump(&mut world);
    client.hang_up(&mut world);
    world.run(Duration::from_secs(1), |_| false);
    let now = status(&mut world, 0);
    assert_eq!((now.memory_used, now.blocks), (0, 0));
}

#[test]
fn a_reader_who_leaves_while_his_leaves_are_read_keeps_no_memory() {
    let mut world = one_node(85);
    let block = block_of(1, BLOCK);
    let mut client = RawClient::connect(&mut world, 0);
    bring(&mut world, &mut client, std::slice::from_ref(&block));
    world.slow_disk(0, Duration::from_secs(1));
    let mut reader = RawClient::connect(&mut world, 0);
    reader.send(&Message::Want { block: reference(&block), first: 0, count: 32 });
    reader.pump(&mut world);
    reader.hang_up(&mut world);
    // One waits for a block that another is to bring, and leaves before it is there.
    let coming = block_of(2, BLOCK);
    let (mut bringer, first, count) = offered(&mut world, &coming);
    let mut waiting = RawClient::connect(&mut world, 0);
    waiting.send(&Message::Want { block: reference(&coming), first: 0, count: 32 });
    waiting.pump(&mut world);
    waiting.hang_up(&mut world);
    bringer.stream(&coming, first, count);
    serve(&mut world, &mut bringer, &[&coming]);
    world.slow_disk(0, Duration::ZERO);
    world.run(Duration::from_secs(5), |_| false);
    assert_eq!(status(&mut world, 0).memory_used, 0);
    assert_eq!(fetch(&mut world, 0, reference(&coming)), Some(coming));
}
