//! What a node refuses or leaves aside, what it says of that, and that nothing else comes of it.

use super::comparison::{numbered, signed, spoil, summary, tell, two_nodes, verify};
use super::raw::{RawClient, offer_of, page_of};
use super::replication::{block_of, bring, fetch, network, put, record, reference, status};
use super::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::crypto::keys::{RootKey, WriteKey};
use dfsd::crypto::{sign, tags};
use dfsd::ids::{Address, NameId};
use dfsd::keyring::grant;
use dfsd::limits::{LEAF, MESSAGE_IDS_MAX, RECONCILE_PERIOD};
use dfsd::testing::SimError;
use dfsd::wire::message::{BlockRef, Message, Reason, Role};
use dfsd::wire::record::{Record, RecordKind};
use std::time::Duration;

/// One node, and a client of it.
fn one_node(seed: u64) -> (World, RawClient) {
    let mut world = World::new(seed, network());
    world.add(&[]);
    let client = RawClient::connect(&mut world, 0);
    (world, client)
}

fn put_of(records: Vec<Bytes>, blocks: Vec<Bytes>) -> Message {
    Message::Put { request: 7, conditions: Vec::new(), records, blocks }
}

/// Why the node refuses a message.
fn refusal(world: &mut World, client: &mut RawClient, message: &Message) -> Reason {
    client.send(message);
    match client.message(world) {
        Some(Message::Refused { request: 7, reason, .. }) => reason,
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

#[test]
fn a_put_that_makes_no_sense_is_refused_and_the_client_stays() {
    let (mut world, mut client) = one_node(61);
    let good = record(&world, 1, 5, Vec::new());
    let granted = signed(&world, |record| record.kind = RecordKind::Grant);
    let unnamed = vec![Bytes::from_static(b"nobody names this block")];
    let puts = [
        put_of(Vec::new(), Vec::new()),
        put_of(vec![Bytes::from_static(b"no record")], Vec::new()),
        put_of(vec![granted], Vec::new()),
        put_of(vec![good.clone()], unnamed),
        page_of(&world, 7, Bytes::from_static(b"no page")),
    ];
    for put in &puts {
        assert_eq!(refusal(&mut world, &mut client, put), Reason::Malformed);
    }
    assert_eq!((status(&mut world, 0).names, status(&mut world, 0).blocks), (0, 0));
    client.send(&put_of(vec![good], Vec::new()));
    assert_eq!(client.message(&mut world), Some(Message::PutDone { request: 7, copies: 1 }));
}

/// A page that is well formed.
fn page() -> Bytes {
    let mut page = vec![1, 0, 1];
    page.extend_from_slice(&[8; 32]);
    page.extend_from_slice(&100_u32.to_be_bytes());
    page.extend_from_slice(&[9; 64]);
    page.into()
}

#[test]
fn without_room_nothing_is_taken_in_but_deletions() {
    let (mut world, mut client) = one_node(62);
    world.machines[0].fs.tamper().set_free(0);
    status(&mut world, 0);
    world.run(Duration::from_secs(1), |_| false);
    let file = signed(&world, |_| {});
    let deletion = signed(&world, |record| record.kind = RecordKind::Tombstone);
    let put = put_of(vec![file], Vec::new());
    assert_eq!(refusal(&mut world, &mut client, &put), Reason::NoSpace);
    let put_page = page_of(&world, 7, page());
    assert_eq!(refusal(&mut world, &mut client, &put_page), Reason::NoSpace);
    client.send(&put_of(vec![deletion], Vec::new()));
    assert_eq!(client.message(&mut world), Some(Message::PutDone { request: 7, copies: 1 }));
    world.machines[0].fs.tamper().set_free(1 << 40);
    assert_eq!(status(&mut world, 0).names, 0);
    world.run(Duration::from_secs(1), |_| false);
    client.send(&put_page);
    assert_eq!(client.message(&mut world), Some(Message::PageDone { request: 7 }));
}

#[test]
fn a_node_that_stops_refuses_whatever_would_have_to_be_kept() {
    let (mut world, mut client) = one_node(63);
    let mut slow = RawClient::connect(&mut world, 0);
    // It has not stopped before this put is done.
    world.slow_disk(0, Duration::from_secs(1));
    slow.send(&put_of(vec![signed(&world, |_| {})], Vec::new()));
    slow.pump(&mut world);
    world.stop(0);
    let late = [
        put_of(vec![numbered(&world, 9)], Vec::new()),
        page_of(&world, 7, page()),
        offer_of(&world, 7, vec![reference(&[1, 2, 3])]),
    ];
    for message in &late {
        assert_eq!(refusal(&mut world, &mut client, message), Reason::Unavailable);
    }
    assert_eq!(slow.message(&mut world), Some(Message::PutDone { request: 7, copies: 1 }));
}

#[test]
fn what_is_said_needlessly_is_no_offence() {
    let (mut world, mut client) = one_node(64);
    let address = Address([4; 32]);
    client.send(&Message::Absent { address });
    client.send(&Message::Have { addresses: vec![address] });
    client.send(&Message::Suspect { address });
    client.send(&Message::Status { request: 7 });
    assert!(matches!(client.message(&mut world), Some(Message::StatusIs { .. })));
}

/// The grant of a key may come after what it signed.
#[test]
fn a_record_waits_elsewhere_until_its_key_is_granted() {
    let mut world = two_nodes(65);
    let key = WriteKey::generate(&[55; 32]);
    let mut new = Record::decode(&record(&world, 1, 5, Vec::new())).unwrap();
    new.signer = key.public();
    new.signature = sign::sign(&key, tags::RECORD, &new.signed_bytes());
    let new = Bytes::from(new.to_bytes());
    tell(&mut world, 0, std::slice::from_ref(&new));
    assert_eq!(status(&mut world, 0).names, 0, "nobody granted its key");
    let grant = grant::grant(&RootKey::generate(&[1; 32]), &key.public(), 1_000);
    tell(&mut world, 1, &[grant.into(), new]);
    world.run(RECONCILE_PERIOD * 2, |_| false);
    assert_eq!((status(&mut world, 0).names, status(&mut world, 1).names), (1, 1));
    assert_eq!(summary(&world, 0), summary(&world, 1));
}

/// Peers take nothing that a key has signed before they know its grant.
#[test]
fn a_grant_for_which_there_was_no_room_is_written_when_there_is() {
    let mut world = World::new(73, network());
    let first = world.add(&[]);
    world.machines[first].fs.tamper().fail_nth(0, SimError::NoSpace);
    world.run(Duration::from_secs(5), |_| false);
    let mut client = RawClient::connect(&mut world, first);
    put(&mut world, &mut client, 1, &[]);
    world.run(Duration::from_secs(1), |_| false);
    assert_eq!(status(&mut world, first).records, 2);
    world.power_cut(first);
    world.start(first, Vec::new());
    assert_eq!(status(&mut world, first).records, 2);
}

#[test]
fn of_two_lengths_of_one_block_the_second_is_not_waited_for() {
    let (mut world, mut client) = one_node(66);
    let block = block_of(1, 2 * LEAF);
    let good = reference(&block);
    let lie = BlockRef { length: good.length - 1, ..good };
    client.send(&offer_of(&world, 1, vec![good]));
    assert!(matches!(client.message(&mut world), Some(Message::Want { .. })));
    let mut reader = RawClient::connect(&mut world, 0);
    reader.send(&Message::Want { block: lie, first: 0, count: 1 });
    let absent = Message::Absent { address: good.address };
    assert_eq!(reader.message(&mut world), Some(absent.clone()));
    let mut other = RawClient::connect(&mut world, 0);
    other.send(&offer_of(&world, 1, vec![lie]));
    assert_eq!(other.message(&mut world), Some(absent));
    // The reader of the right length is served when it is here.
    reader.send(&Message::Want { block: good, first: 0, count: 2 });
    reader.pump(&mut world);
    client.stream(&block, 0, 2);
    assert_eq!(client.message(&mut world), Some(Message::Have { addresses: vec![good.address] }));
    assert!(matches!(reader.event(&mut world), Some(Event::Opened(_))));
}

/// What a node is asked for, whatever else it is told.
fn wants(world: &mut World, client: &mut RawClient) -> usize {
    let mut count = 0;
    client.pump(world);
    while let Some(event) = client.poll(world) {
        count += usize::from(matches!(event, Event::Message(Message::Want { .. })));
    }
    count
}

/// A client's offer takes the place of the peer that was asked, and then does not bring the block: the peer is asked again
/// while its first answer is still to come.
#[test]
fn a_peer_that_is_asked_twice_and_has_nothing_is_believed_twice() {
    let (mut world, mut client) = one_node(68);
    let block = reference(&block_of(1, 3 * LEAF));
    let mut peer = RawClient::connect_as(&mut world, 0, Role::Node);
    let mut reader = RawClient::connect(&mut world, 0);
    reader.send(&Message::Want { block, first: 0, count: 3 });
    reader.pump(&mut world);
    assert_eq!(wants(&mut world, &mut peer), 1);
    client.send(&offer_of(&world, 1, vec![block]));
    client.pump(&mut world);
    // Until a worker has looked at the permit.
    world.run(Duration::from_millis(10), |_| false);
    assert_eq!(wants(&mut world, &mut client), 1);
    let absent = Message::Absent { address: block.address };
    client.send(&absent);
    client.pump(&mut world);
    assert_eq!(wants(&mut world, &mut peer), 1);
    for _ in 0..2 {
        peer.send(&absent);
        peer.pump(&mut world);
    }
    assert_eq!(reader.message(&mut world), Some(absent));
}

#[test]
fn a_stream_of_another_length_than_was_wanted_ends_the_connection() {
    let (mut world, mut client) = one_node(67);
    let block = block_of(1, LEAF + 500);
    let wanted = BlockRef { length: (LEAF + 600) as u32, ..reference(&block) };
    client.send(&offer_of(&world, 1, vec![wanted]));
    assert!(matches!(client.message(&mut world), Some(Message::Want { .. })));
    client.stream(&block, 0, 2);
    client.pump(&mut world);
    assert!(!client.is_alive(&world));
    world.run(Duration::from_secs(1), |_| false);
    let now = status(&mut world, 0);
    assert_eq!((now.blocks, now.memory_used), (0, 0));
}

#[test]
fn a_block_that_many_suspect_is_looked_at_once_while_its_readers_wait() {
    for rotten in [false, true] {
        let (mut world, mut client) = one_node(68);
        let block = block_of(1, 3 * LEAF);
        bring(&mut world, &mut client, std::slice::from_ref(&block));
        let address = reference(&block).address;
        if rotten {
            let disk = &world.machines[0].fs;
            assert!(disk.paths("blocks").iter().any(|path| disk.tamper().flip(path, 1000)));
        }
        client.send(&Message::Suspect { address });
        client.send(&Message::Suspect { address });
        client.send(&Message::Want { block: reference(&block), first: 0, count: 3 });
        let answer = client.event(&mut world);
        match rotten {
            false => assert!(matches!(answer, Some(Event::Opened(_))), "{answer:?}"),
            true => assert_eq!(answer, Some(Event::Message(Message::Damaged { address }))),
        }
        assert_eq!(verify(&mut world, 0), usize::from(rotten));
    }
}

#[test]
fn two_who_ask_for_a_rotten_record_at_once_are_both_told() {
    let (mut world, mut client) = one_node(69);
    let rotten = put(&mut world, &mut client, 1, &[]);
    assert!(spoil(&world, 0, &rotten));
    let name = NameId([1; 32]);
    let ask = Message::Head { request: 7, space: Default::default(), name, relay: false };
    client.send(&ask);
    client.send(&ask);
    for _ in 0..2 {
        let answer = client.message(&mut world);
        assert!(matches!(answer, Some(Message::DamagedHeads { .. })), "{answer:?}");
    }
    assert_eq!((status(&mut world, 0).names, verify(&mut world, 0)), (1, 1));
}

/// A version and a deletion after it, whichever of these rots: what was before is not shown, and a list says that it is
/// short. What is put then supersedes what is damaged.
#[test]
fn a_rotten_version_never_gives_way_to_the_one_before() {
    let (mut world, mut client) = one_node(70);
    for stamp in [5, 6] {
        let put = put_of(vec![record(&world, 1, stamp, Vec::new())], Vec::new());
        client.send(&put);
        let answer = client.message(&mut world);
        assert!(matches!(answer, Some(Message::PutDone { .. })), "{answer:?}");
    }
    let rotten = record(&world, 1, 6, Vec::new());
    assert!(spoil(&world, 0, &rotten));
    let (space, name) = (Default::default(), NameId([1; 32]));
    for _ in 0..3 {
        client.send(&Message::Head { request: 7, space, name, relay: true });
        let Some(Message::DamagedHeads { versions, .. }) = client.message(&mut world) else {
            panic!("it is damaged, at every asking");
        };
        assert_eq!(versions.first().map(|version| version.stamp), Some(6));
    }
    client.send(&Message::List { request: 8, space, after: None, future: false });
    let listed = client.message(&mut world);
    let Some(Message::Listed { records, damaged, .. }) = listed else {
        panic!("not {listed:?}");
    };
    assert_eq!((records.len(), damaged), (0, 1), "a list says what it left out");
    client.send(&put_of(vec![record(&world, 1, 7, Vec::new())], Vec::new()));
    assert!(matches!(client.message(&mut world), Some(Message::PutDone { .. })));
    client.send(&Message::Head { request: 9, space, name, relay: true });
    let answer = client.message(&mut world);
    assert!(matches!(answer, Some(Message::Heads { shown: Some(_), .. })), "{answer:?}");
}

/// As when descriptors have run out: neither good nor bad, so that nobody may rely on it.
#[test]
fn what_could_not_be_looked_at_is_not_vouched_for() {
    let (mut world, mut client) = one_node(72);
    let (large, small) = (block_of(1, 3 * LEAF), Bytes::from(block_of(2, 900)));
    bring(&mut world, &mut client, &[large.clone(), small.to_vec()]);
    let put = put_of(vec![record(&world, 1, 5, vec![reference(&small)])], vec![small]);
    world.machines[0].fs.tamper().set_exhausted(true);
    let verify_all = Message::Verify { request: 7, after: None };
    assert_eq!(refusal(&mut world, &mut client, &verify_all), Reason::Unavailable);
    assert_eq!(refusal(&mut world, &mut client, &put), Reason::Unavailable);
    let offer = offer_of(&world, 1, vec![reference(&large)]);
    client.send(&offer);
    let answer = client.message(&mut world);
    assert!(matches!(answer, Some(Message::Want { .. })), "it is to be sent again: {answer:?}");
    world.machines[0].fs.tamper().set_exhausted(false);
    client.stream(&large, 0, 3);
    let addresses = vec![reference(&large).address];
    assert_eq!(client.message(&mut world), Some(Message::Have { addresses }));
    client.send(&put);
    assert_eq!(client.message(&mut world), Some(Message::PutDone { request: 7, copies: 1 }));
    assert_eq!(verify(&mut world, 0), 0);
    assert_eq!(fetch(&mut world, 0, reference(&large)), Some(large));
}

/// More than one answer holds.
#[test]
fn a_thousand_things_that_are_missing_are_told_of_in_parts() {
    let (mut world, _) = one_node(70);
    let count = MESSAGE_IDS_MAX + 100;
    let records: Vec<Bytes> = (0..count as u32).map(|number| numbered(&world, number)).collect();
    tell(&mut world, 0, &records);
    assert_eq!(status(&mut world, 0).names, count as u64);
    for record in &records {
        assert!(spoil(&world, 0, record));
    }
    assert_eq!(verify(&mut world, 0), count);
    assert_eq!(status(&mut world, 0).names, count as u64, "damaged, and not forgotten");
    assert_eq!(verify(&mut world, 0), count, "they are still missing");
}
