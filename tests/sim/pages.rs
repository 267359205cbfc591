//! Files whose blocks are listed in pages: they come to the other nodes whatever a peer answers, and what rots comes back.

use super::comparison::{signed, spoil, summary, tell, two_nodes, verify};
use super::raw::{RawClient, page_of};
use super::replication::{block_of, bring, fetch, holds, network, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::crypto::keys::record_id;
use dfsd::crypto::tree;
use dfsd::ids::Address;
use dfsd::limits::{QUESTION_PAGES_MAX, QUESTIONS_MAX, RECONCILE_PERIOD};
use dfsd::time::Instant;
use dfsd::wire::message::{BlockRef, Message, PushedRecord, Reason, Role};
use dfsd::wire::page::{Entries, Page, PageRef};
use dfsd::wire::record::BlockList;
use std::collections::VecDeque;
use std::time::Duration;

/// A file whose list of blocks is two pages deep.
pub(super) struct Paged {
    pub(super) blocks: Vec<Vec<u8>>,
    /// The root is the last.
    pub(super) pages: Vec<Bytes>,
    pub(super) record: Bytes,
}

fn encoded(entries: Entries) -> Bytes {
    let page = Page { sealed: vec![9; entries.count() * 64], entries };
    let mut bytes = Vec::new();
    page.encode(&mut bytes);
    bytes.into()
}

pub(super) fn address(page: &Bytes) -> Address {
    Address(tree::tree(page).0)
}

pub(super) fn paged(world: &World) -> Paged {
    paged_of(world, 70_000)
}

/// The same of blocks of this length.
pub(super) fn paged_of(world: &World, length: usize) -> Paged {
    let blocks: Vec<Vec<u8>> = (0..6).map(|seed| block_of(seed, length)).collect();
    let bytes = length as u64;
    let references: Vec<BlockRef> = blocks.iter().map(|block| reference(block)).collect();
    let halves = references.chunks(3).map(|blocks| Entries::Blocks(blocks.to_vec()));
    let mut pages: Vec<Bytes> = halves.map(encoded).collect();
    let below = |page: &Bytes| PageRef { address: address(page), blocks: 3, bytes: 3 * bytes };
    pages.push(encoded(Entries::Pages { depth: 2, pages: pages.iter().map(below).collect() }));
    let root = address(&pages[2]);
    let list = BlockList::Pages { root, depth: 2, blocks: 6, bytes: 6 * bytes };
    let record = signed(world, |record| record.blocks = list);
    Paged { blocks, pages, record }
}

/// A file of one block, which its many pages name again and again.
fn long(world: &World, pages: usize) -> Paged {
    let block = block_of(1, 70_000);
    let of = |times: usize| encoded(Entries::Blocks(vec![reference(&block); times]));
    let below = |page: &Bytes, times: usize| {
        let blocks = times as u64;
        PageRef { address: address(page), blocks, bytes: blocks * 70_000 }
    };
    let mut made: Vec<Bytes> = (1..=pages).map(of).collect();
    let refs = made.iter().zip(1..).map(|(page, times)| below(page, times)).collect();
    made.push(encoded(Entries::Pages { depth: 2, pages: refs }));
    let root = address(&made[pages]);
    let blocks = (pages * (pages + 1) / 2) as u64;
    let list = BlockList::Pages { root, depth: 2, blocks, bytes: blocks * 70_000 };
    let record = signed(world, |record| record.blocks = list);
    Paged { blocks: vec![block], pages: made, record }
}

/// Puts all of it but the record.
pub(super) fn prepare(world: &mut World, machine: usize, file: &Paged) {
    let mut client = RawClient::connect(world, machine);
    bring(world, &mut client, &file.blocks);
    for page in &file.pages {
        client.send(&page_of(world, 2, page.clone()));
        assert_eq!(client.message(world), Some(Message::PageDone { request: 2 }));
    }
}

/// What a node says to a put of the record alone.
fn put_record(world: &mut World, machine: usize, file: &Paged) -> Option<Message> {
    let mut client = RawClient::connect(world, machine);
    let records = vec![file.record.clone()];
    client.send(&Message::Put { request: 2, conditions: Vec::new(), records, blocks: Vec::new() });
    client.message(world)
}

pub(super) fn put_all(world: &mut World, machine: usize, file: &Paged) {
    prepare(world, machine, file);
    let answer = put_record(world, machine, file);
    assert_eq!(answer, Some(Message::PutDone { request: 2, copies: 1 }));
}

fn get_page(world: &mut World, machine: usize, page: Address) -> Option<Bytes> {
    let mut client = RawClient::connect(world, machine);
    client.send(&Message::GetPage { request: 4, address: page });
    match client.message(world) {
        Some(Message::Page { page, .. }) => page,
        Some(Message::Refused { reason: Reason::Damaged, .. }) => None,
        other => panic!("a page or none was expected, not {other:?}"),
    }
}

fn is_whole(world: &mut World, machine: usize) -> bool {
    let standing = world.node(machine).unwrap().summary();
    standing.incomplete == 0 && standing.records.count == 2
}

/// Two nodes that hold the file whole.
fn copied(seed: u64) -> (World, Paged) {
    let mut world = two_nodes(seed);
    let file = paged(&world);
    put_all(&mut world, 0, &file);
    assert!(world.run(Duration::from_secs(20), |world| is_whole(world, 1)));
    (world, file)
}

#[test]
fn a_file_with_pages_of_pages_comes_to_the_other_node_whole() {
    let (mut world, file) = copied(41);
    world.wipe(1);
    assert!(world.run(Duration::from_secs(20), |world| is_whole(world, 1)));
    world.power_cut(0);
    assert!(holds(&mut world, 1, record_id(&file.record)));
    for block in &file.blocks {
        assert_eq!(fetch(&mut world, 1, reference(block)).as_ref(), Some(block));
    }
}

#[test]
fn a_put_is_refused_whose_pages_are_not_all_here() {
    for missing in 0..3 {
        let mut world = World::new(42, network());
        world.add(&[]);
        let mut file = paged(&world);
        let page = file.pages.remove(missing);
        prepare(&mut world, 0, &file);
        let answer = put_record(&mut world, 0, &file);
        assert!(matches!(answer, Some(Message::Refused { reason: Reason::Missing, .. })));
        assert_eq!(status(&mut world, 0).names, 0);
        file.pages = vec![page];
        put_all(&mut world, 0, &file);
    }
}

#[test]
fn a_page_that_has_rotted_is_read_from_the_other_node_at_once() {
    for page in 0..3 {
        let (mut world, file) = copied(43);
        assert!(spoil(&world, 0, &file.pages[page]));
        let page = &file.pages[page];
        assert_eq!(get_page(&mut world, 0, address(page)).as_ref(), Some(page));
        world.run(Duration::from_secs(10), |_| false);
        world.power_cut(1);
        assert_eq!(get_page(&mut world, 0, address(page)).as_ref(), Some(page), "it is here again");
        assert!(is_whole(&mut world, 0));
    }
}

#[test]
fn a_page_that_has_rotted_is_had_again_however_that_was_noticed() {
    let looks: [fn(&mut World, &Paged); 2] = [
        |world, _| assert_eq!(verify(world, 0), 1),
        |world, file| assert!(!holds(world, 0, record_id(&file.record))),
    ];
    for look in looks {
        let (mut world, file) = copied(44);
        let page = &file.pages[1];
        assert!(spoil(&world, 0, page));
        look(&mut world, &file);
        world.run(RECONCILE_PERIOD * 2, |_| false);
        world.power_cut(1);
        assert_eq!(get_page(&mut world, 0, address(page)).as_ref(), Some(page));
        assert_eq!(verify(&mut world, 0), 0);
        assert!(is_whole(&mut world, 0));
    }
}

#[test]
fn a_page_that_rots_before_the_file_is_whole_is_had_again() {
    let mut world = two_nodes(49);
    let mut file = paged(&world);
    let last = file.blocks.pop().unwrap();
    prepare(&mut world, 1, &file);
    tell(&mut world, 0, std::slice::from_ref(&file.record));
    world.run(Duration::from_secs(10), |_| false);
    assert_eq!(get_page(&mut world, 0, address(&file.pages[1])).as_ref(), Some(&file.pages[1]));
    assert!(!is_whole(&mut world, 0), "a block is missing");
    assert!(spoil(&world, 0, &file.pages[1]));
    let mut client = RawClient::connect(&mut world, 1);
    bring(&mut world, &mut client, std::slice::from_ref(&last));
    assert!(world.run(Duration::from_secs(180), |world| is_whole(world, 0)));
    world.power_cut(1);
    assert_eq!(verify(&mut world, 0), 0);
    assert_eq!(fetch(&mut world, 0, reference(&last)), Some(last));
}

#[test]
fn a_page_that_rots_while_no_peer_is_there_is_had_again_after_a_restart() {
    let (mut world, file) = copied(45);
    world.power_cut(1);
    assert!(spoil(&world, 0, &file.pages[0]));
    assert_eq!(get_page(&mut world, 0, address(&file.pages[0])), None);
    assert!(!is_whole(&mut world, 0), "and that is not hidden");
    world.run(Duration::from_secs(1), |_| false);
    world.power_cut(0);
    world.start(0, Vec::new());
    assert_eq!(verify(&mut world, 0), 1, "nor forgotten");
    let peer = world.peer(0);
    world.start(1, vec![peer]);
    assert!(world.run(Duration::from_secs(20), |world| is_whole(world, 0)));
    assert_eq!(verify(&mut world, 0), 0);
}

/// What a peer answers that is asked for a page, if anything.
type Answer = fn(&Paged, u32) -> Option<Message>;

#[test]
fn whatever_a_peer_answers_the_pages_come_from_the_next() {
    let answers: [Answer; 5] = [
        |_, _| None,
        |_, request| Some(Message::Page { request, page: None }),
        |file, request| Some(Message::Page { request, page: Some(file.pages[1].clone()) }),
        |_, request| Some(Message::Page { request, page: Some(Bytes::from_static(b"no page")) }),
        |_, request| {
            let (reason, detail) = (Reason::Unavailable, String::new());
            Some(Message::Refused { request, reason, detail })
        },
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let mut world = two_nodes(46);
        let file = paged(&world);
        prepare(&mut world, 1, &file);
        // He has told of the record, and is asked first.
        let mut liar = RawClient::connect_as(&mut world, 0, Role::Node);
        let item = PushedRecord { record: file.record.clone(), block: Bytes::new() };
        liar.send(&Message::Records { items: vec![item] });
        let mut asked = 0;
        for _ in 0..1000 {
            match liar.poll(&mut world) {
                Some(Event::Message(Message::GetPage { request, .. })) => {
                    asked += 1;
                    answer(&file, request).inspect(|answer| liar.send(answer));
                }
                Some(Event::Message(Message::Want { block, .. })) => {
                    liar.send(&Message::Absent { address: block.address });
                }
                Some(_) => {}
                None => {
                    world.run(Duration::from_millis(20), |_| false);
                }
            }
        }
        assert!(asked > 0, "answer {number}");
        assert!(is_whole(&mut world, 0), "answer {number}");
    }
}

/// A node that has all of a file, at the end of a line that takes 3 s there and back.
fn answer_late(world: &mut World, far: &mut RawClient, file: &Paged, until: Duration) -> usize {
    let mut late = VecDeque::new();
    let mut asked = 0;
    let end = world.time().instant + until;
    while world.time().instant < end {
        while let Some(event) = far.poll(world) {
            if let Event::Message(message) = event {
                asked += usize::from(matches!(message, Message::GetPage { .. }));
                late.push_back((world.time().instant + Duration::from_secs(3), message));
            }
        }
        let is_due = |late: &VecDeque<(Instant, Message)>, world: &World| {
            late.front().is_some_and(|(at, _)| *at <= world.time().instant)
        };
        while is_due(&late, world) && !far.is_streaming() {
            match late.pop_front().map(|(_, message)| message) {
                Some(Message::GetPage { request, address: page }) => {
                    let page = file.pages.iter().find(|own| address(own) == page).cloned();
                    far.send(&Message::Page { request, page });
                }
                Some(Message::Want { block, first, count }) => {
                    let own = file.blocks.iter().find(|own| reference(own) == block);
                    far.stream(own.expect("one of the file's"), first, count);
                }
                _ => {}
            }
            far.pump(world);
        }
        world.run(Duration::from_millis(20), |_| false);
    }
    asked
}

#[test]
fn where_only_one_can_be_asked_its_pages_are_waited_for() {
    let mut world = World::new(50, network());
    world.add(&[]);
    world.run(Duration::from_secs(1), |_| false);
    let file = paged(&world);
    let mut far = RawClient::connect_as(&mut world, 0, Role::Node);
    let item = PushedRecord { record: file.record.clone(), block: Bytes::new() };
    far.send(&Message::Records { items: vec![item] });
    let asked = answer_late(&mut world, &mut far, &file, Duration::from_secs(30));
    assert!(is_whole(&mut world, 0));
    assert_eq!(asked, 3, "each page is asked for once");
}

#[test]
fn a_page_that_nobody_has_is_said_to_be_absent() {
    let mut world = two_nodes(47);
    assert_eq!(get_page(&mut world, 0, Address([8; 32])), None);
    // Nor does a record wait for it for ever.
    let file = paged(&world);
    tell(&mut world, 0, std::slice::from_ref(&file.record));
    assert_eq!(get_page(&mut world, 0, address(&file.pages[2])), None);
    put_all(&mut world, 1, &file);
    assert!(world.run(Duration::from_secs(180), |world| is_whole(world, 0)));
    assert_eq!(summary(&world, 0), summary(&world, 1));
}

/// Whenever it is that the disk stops to say what it has: nothing is taken for lost.
#[test]
fn a_page_that_could_not_be_read_is_not_taken_for_lost() {
    let (mut world, file) = copied(48);
    let record = record_id(&file.record);
    world.power_cut(1);
    let mut without = 0;
    for delay in 0..60 {
        let mut client = RawClient::connect(&mut world, 0);
        client.send(&Message::Holders { request: 3, record });
        client.pump(&mut world);
        world.run(Duration::from_micros(delay * 100), |_| false);
        world.machines[0].fs.tamper().set_exhausted(true);
        match client.message(&mut world) {
            Some(Message::HoldersAre { holders, .. }) => without += usize::from(holders.is_empty()),
            other => panic!("holders were expected, not {other:?}"),
        }
        world.machines[0].fs.tamper().set_exhausted(false);
        assert!(holds(&mut world, 0, record), "after {delay}");
    }
    assert!(without > 0, "the disk was asked");
    assert_eq!(verify(&mut world, 0), 0);
}

/// What lies beyond is answered by what was found when the file came.
#[test]
fn a_question_about_a_long_file_reads_a_few_pages() {
    let mut world = World::new(50, network());
    world.add(&[]);
    let file = long(&world, QUESTION_PAGES_MAX + 3);
    put_all(&mut world, 0, &file);
    let record = record_id(&file.record);
    assert!(holds(&mut world, 0, record));
    assert!(spoil(&world, 0, &file.pages[QUESTION_PAGES_MAX]));
    assert!(holds(&mut world, 0, record), "it has read all pages");
    assert!(spoil(&world, 0, &file.pages[1]));
    assert!(!holds(&mut world, 0, record), "it has read none");
}

#[test]
fn many_questions_at_once_are_answered_by_what_is_known() {
    let (mut world, file) = copied(51);
    assert!(spoil(&world, 0, &file.pages[1]));
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    let record = record_id(&file.record);
    let more = 10;
    for request in 0..QUESTIONS_MAX + more {
        peer.send(&Message::Holds { request: request as u32, record });
    }
    let (mut answers, mut known) = (0, 0);
    while answers < QUESTIONS_MAX + more {
        if let Message::HoldsIs { holds, .. } = peer.message(&mut world).expect("it answers") {
            answers += 1;
            known += usize::from(holds);
        }
    }
    assert_eq!(known, more, "the others have looked");
}
