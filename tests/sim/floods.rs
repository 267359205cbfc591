//! Requests that cost the asker nothing and the node much: looked at a few at a time, and after what somebody waits for.

use super::raw::{RawClient, page_of};
use super::replication::{block_of, bring, network, put};
use super::world::World;
use bytes::Bytes;
use dfsd::crypto::tree;
use dfsd::ids::{Address, NameId};
use dfsd::limits::{
    FOREGROUND_RUN, HELD_QUESTIONS_MAX, LEAF, PAGE_ENTRIES_MAX, REQUESTS_MAX, SUSPECTS_MAX,
};
use dfsd::wire::message::{BlockRef, Message, Reason, Role};
use dfsd::wire::page::{Entries, Page};
use dfsd::worker::{Background, Work, Workers};
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

#[test]
fn requests_of_nodes_are_counted_as_those_of_clients() {
    let (mut world, node) = world();
    let mut client = RawClient::connect(&mut world, node);
    put(&mut world, &mut client, 1, &[block_of(1, 3 * LEAF)]);
    let mut peer = RawClient::connect_as(&mut world, node, Role::Node);
    world.run(Duration::from_secs(1), |_| false);
    peer.pump(&mut world);
    let (space, name) = (Default::default(), NameId([1; 32]));
    for request in 0..REQUESTS_MAX as u32 {
        assert!(peer.is_read(&mut world), "{request} are under way");
        peer.send(&Message::Head { request, space, name, relay: false });
        // No time passes, so that no worker does anything.
        peer.pump(&mut world);
    }
    assert!(!peer.is_read(&mut world));
    world.run(Duration::from_secs(1), |_| false);
    assert!(peer.is_read(&mut world));
}

/// A page as long as pages get.
fn long_page() -> Bytes {
    let block = |at: usize| BlockRef { address: Address([at as u8; 32]), length: 1 << 20 };
    let entries = Entries::Blocks((0..PAGE_ENTRIES_MAX).map(block).collect());
    let page = Page { sealed: vec![9; entries.count() * 64], entries };
    let mut bytes = Vec::new();
    page.encode(&mut bytes);
    bytes.into()
}

#[test]
fn a_node_that_takes_no_answers_keeps_its_connection() {
    let (mut world, node) = world();
    let page = long_page();
    let address = Address(tree::tree(&page).0);
    let mut client = RawClient::connect(&mut world, node);
    client.send(&page_of(&world, 1, page));
    assert_eq!(client.message(&mut world), Some(Message::PageDone { request: 1 }));
    let mut peer = RawClient::connect_as(&mut world, node, Role::Node);
    world.run(Duration::from_secs(1), |_| false);
    peer.pump(&mut world);
    let end = 2 * HELD_QUESTIONS_MAX as u32;
    for request in 0..end {
        assert!(peer.push_only(&mut world, &Message::GetPage { request, address }));
        world.run(Duration::from_millis(10), |_| false);
    }
    assert!(peer.is_alive(&world), "what it has not taken is not too much");
    let (mut pages, mut refused) = (0, 0);
    while pages + refused < end as usize {
        match peer.message(&mut world).expect("each is answered") {
            Message::Page { page: Some(_), .. } => pages += 1,
            Message::Refused { reason: Reason::Unavailable, .. } => refused += 1,
            _ => {}
        }
    }
    assert!(pages >= HELD_QUESTIONS_MAX && refused > 0, "{pages} pages");
}

/// Numbers; from 10 on they are of the background.
struct Numbers;

impl Work<usize, usize> for Numbers {
    fn at_once(&self, job: usize, _: bool) -> Result<usize, usize> {
        Err(job)
    }

    fn execute(&self, job: usize) -> usize {
        job
    }

    fn background(&self, job: &usize) -> Option<Background> {
        (*job >= 10).then_some(Background { kind: 1, owner: 0 })
    }
}

#[test]
fn a_flood_in_the_background_is_behind_what_somebody_waits_for() {
    let workers = Workers::start(0, Numbers, || {}).unwrap();
    for job in [10, 11, 12, 1] {
        workers.submit(job, false);
    }
    while workers.run_pending() {}
    let done: Vec<usize> = std::iter::from_fn(|| workers.take_done()).collect();
    assert_eq!(done, [1, 10, 11, 12]);
}

#[test]
fn a_flood_that_somebody_waits_for_does_not_stop_the_background() {
    let workers = Workers::start(0, Numbers, || {}).unwrap();
    workers.submit(10, false);
    let mut done = Vec::new();
    for _ in 0..=FOREGROUND_RUN {
        workers.submit(1, false);
        workers.run_pending();
        done.extend(std::iter::from_fn(|| workers.take_done()));
    }
    assert_eq!(done.iter().position(|job| *job == 10), Some(FOREGROUND_RUN));
}
