//! Messages: one of each kind with its bytes, the rules, and changed bytes.

use super::*;
use crate::ids::{Address, Hash, NameId, NodeId, RecordId, Space, StoreId, VersionId, Writer};
use crate::wire::collection::{CollectionStatus, CollectionVoid};
use crate::wire::condition::{Condition, HeadsSummary};
use crate::wire::log_damage::LogDamage;
use crate::wire::log_use::LogUse;
use crate::wire::permit::Permit;
use crate::wire::presence::Presence;
use crate::wire::sync_state::SyncState;
use crate::wire::view::View;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// One of every kind, with something in every field.
pub(crate) fn one_of_each() -> Vec<Message> {
    let request = 0x0102_0304;
    let address = Address([0xa1; 32]);
    let block = BlockRef { address, length: 65_536 };
    let bytes = Bytes::from_static(b"bytes");
    let peer = PeerAddress { node: NodeId([0xa2; 32]), address: "10.0.0.1:7400".to_owned() };
    let version = VersionId { stamp: 9, writer: Writer([0xa3; 8]) };
    let id = RecordId([0xa4; 32]);
    let heads = HeadsSummary { count: 1, hash: Hash([0xaa; 32]) };
    let permit = Some(Permit { signer: [0xaa; 32], not_after: 7, signature: [0xab; 64] });
    let (space, name) = (Space([0xa5; 16]), NameId([0xa6; 32]));
    let range = RangeSummary {
        first: RecordId([0; 32]),
        last: id,
        count: 3,
        fingerprint: Hash([0xa7; 32]),
    };
    let hello = Hello {
        role: Role::Node,
        verify_key: [0xa8; 32],
        boot: 4,
        addresses: vec!["node.example:7400".to_owned()],
        store: StoreId([0xa9; 16]),
        group: 5,
        clock: 6,
    };
    let status = NodeStatus {
        node: peer.node,
        address: peer.address.clone(),
        uptime_s: 1,
        names: 2,
        records: 3,
        blocks: 4,
        block_bytes: 5,
        incomplete: 6,
        damaged: 19,
        unnamed: 13,
        unnamed_bytes: 14,
        collection: CollectionStatus {
            reclaimable: 21,
            reclaimable_bytes: 22,
            collected_ms: 23,
            collected: 24,
            collected_bytes: 25,
            counted_ms: 26,
            shown_bytes: 27,
            undo_bytes: 28,
            undo_next_ms: 29,
            void: CollectionVoid::Page,
        },
        free_bytes: 7,
        full: true,
        memory_used: 8,
        memory_max: 9,
        peers_connected: 10,
        peers_known: 11,
        group: 12,
        sync: SyncState::Syncing { records: 15, of: 16 },
        log_damage: LogDamage { places: 17, bytes: 18 },
        twins: vec![peer.node],
        began_ms: 20,
        log_use: LogUse {
            segments: 21,
            bytes: 22,
            needed: 23,
            compacted_ms: 24,
            rewritten: 25,
            freed: 26,
        },
    };
    let presence = Presence {
        verify_key: [0xaa; 32],
        static_key: [0xab; 32],
        counter: 13,
        addresses: vec![peer.address.clone()],
        signature: [0xac; 64],
    };
    let member =
        Member { peer: peer.clone(), connected: true, last_seen_ms: 7, trouble: "a:1: no".into() };
    let item = PushedRecord { record: bytes.clone(), block: Bytes::new() };
    let sealed = SealedNames { epoch: 3, tag: [0xad; 32], bytes: bytes.clone() };
    let (mark, listed) = (VersionMark { version, record: id }, bytes.clone());
    vec![
        Message::Hello(hello),
        Message::Ping { token: 1 },
        Message::Pong { token: 2 },
        Message::Peers { peers: vec![presence; 2] },
        Message::Head { request, space, name, relay: true },
        Message::Heads {
            request,
            clock: 8,
            versions: vec![version],
            all: heads,
            future: vec![version],
            log_damage: LogDamage { places: 20, bytes: 21 },
            kept: true,
            shown: Some(bytes.clone()),
        },
        Message::DamagedHeads {
            request,
            clock: 8,
            versions: vec![version],
            all: heads,
            future: vec![version],
            kept: true,
        },
        Message::Put {
            request,
            conditions: vec![Condition::Any, Condition::Unchanged(heads)],
            records: vec![bytes.clone(); 2],
            blocks: vec![bytes.clone()],
        },
        Message::PutDone { request, copies: 2 },
        Message::PutPage { request, page: bytes.clone(), permit: None },
        Message::PageDone { request },
        Message::GetPage { request, address },
        Message::Page { request, page: None },
        Message::Offer { request, blocks: vec![block; 2], permit },
        Message::Want { block: BlockRef { address, length: 1 << 20 }, first: 1, count: 31 },
        Message::Have { addresses: vec![address] },
        Message::Absent { address },
        Message::Suspect { address },
        Message::Settled { upto: request },
        Message::Coming { address },
        Message::Damaged { address },
        Message::Records { items: vec![item] },
        Message::Compare { range, told: true, cut: 7, settings: 9 },
        Message::SettingsDiffer,
        Message::Parts { first: range.first, last: id, ranges: vec![range] },
        Message::Ids { first: range.first, last: id, ids: vec![id] },
        Message::Fetch { ids: vec![id] },
        Message::Expired { records: vec![ExpiredRecord { record: id, at_ms: 7 }] },
        Message::Room { free: true },
        Message::List { request, space, after: Some(name), future: true },
        Message::Listed {
            request,
            records: vec![bytes.clone()],
            next: None,
            damaged: 1,
            sync: SyncState::Unreached,
            log_damage: LogDamage { places: 2, bytes: 3 },
        },
        Message::Holders { request, record: id },
        Message::HoldersAre { request, count: 2, holders: vec![peer] },
        Message::Holds { request, record: id },
        Message::HoldsIs { request, holds: false },
        Message::Status { request },
        Message::StatusIs { request, status: Box::new(status) },
        Message::Members { request },
        Message::MembersAre { request, members: vec![member] },
        Message::Verify { request, after: None },
        Message::Verified { request, good: 1, bytes: 2, bad: vec![address], next: Some(address) },
        Message::Versions { request, space, name, before: Some(mark), limit: 6 },
        Message::VersionsAre {
            request,
            versions: vec![ListedVersion { version, superseded: true, record: listed }],
            next: Some(mark),
            sync: SyncState::Complete,
            log_damage: LogDamage { places: 4, bytes: 5 },
        },
        Message::ListPast { request, space, after: Some(name), view: View::At(7) },
        Message::ListNames { request, future: true, question: sealed.clone() },
        Message::NamesListed {
            request,
            records: vec![bytes],
            found: sealed,
            damaged: 1,
            sync: SyncState::Complete,
            log_damage: LogDamage { places: 6, bytes: 7 },
        },
        Message::NotInOrder { request },
        Message::BeingOrdered { request },
        Message::Refused { request, reason: Reason::Clock, detail: "an hour ahead".to_owned() },
    ]
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn none_is_without_an_example() {
    let seen: BTreeSet<u8> = one_of_each().iter().map(|message| encoded(message)[0]).collect();
    let tags = (0..=u8::MAX)
        .filter(|tag| Message::decode(&[*tag]) != Err(Malformed("an unknown message")));
    assert!(seen.into_iter().eq(tags));
}

#[test]
fn one_of_each_reads_back_and_never_changes() {
    let mut lines = String::new();
    for message in one_of_each() {
        let bytes = encoded(&message);
        assert_eq!(Message::decode(&bytes), Ok(message));
        lines += &hex(&bytes);
        lines += "\n";
    }
    assert_eq!(lines, include_str!("vectors.txt"));
}

#[test]
fn every_beginning_of_a_message_is_refused_and_so_is_more() {
    for message in one_of_each() {
        let mut bytes = encoded(&message);
        for length in 0..bytes.len() {
            assert!(Message::decode(&bytes[..length]).is_err(), "{length} bytes of {message:?}");
        }
        bytes.push(0);
        assert!(Message::decode(&bytes).is_err(), "{message:?}");
    }
}

#[test]
fn messages_keep_the_rules() {
    let address = Address([1; 32]);
    let refused = |message: Message| assert!(Message::decode(&encoded(&message)).is_err());
    let want = |length, first, count| {
        let block = BlockRef { address, length };
        refused(Message::Want { block, first, count });
    };
    want(1 << 20, 0, 0);
    want(1 << 20, 1, 32);
    want(1 << 20, 255, 255);
    want(1, 0, 2);
    want(0, 0, 1);
    refused(Message::Ids { first: RecordId([1; 32]), last: RecordId([0; 32]), ids: Vec::new() });
    let blocks = vec![BlockRef { address, length: 0 }];
    refused(Message::Offer { request: 1, blocks, permit: None });
    let records = vec![Bytes::from(vec![0; RECORD_MAX + 1])];
    refused(Message::Listed {
        request: 1,
        records,
        next: None,
        damaged: 0,
        sync: SyncState::Complete,
        log_damage: LogDamage::default(),
    });
    let version = VersionId { stamp: 1, writer: Writer([0; 8]) };
    let record = Bytes::from(vec![0; RECORD_MAX + 1]);
    refused(Message::VersionsAre {
        request: 1,
        versions: vec![ListedVersion { version, superseded: false, record }],
        next: None,
        sync: SyncState::Complete,
        log_damage: LogDamage::default(),
    });
    let log_damage = LogDamage { places: 0, bytes: 1 };
    let status = Box::new(NodeStatus { log_damage, ..NodeStatus::default() });
    refused(Message::StatusIs { request: 1, status });
    let holders = vec![PeerAddress { node: NodeId([0; 32]), address: "a b:1".to_owned() }];
    refused(Message::HoldersAre { request: 1, count: 1, holders });
    refused(Message::HoldersAre {
        request: 1,
        count: 0,
        holders: vec![PeerAddress { node: NodeId([0; 32]), address: "a:1".to_owned() }],
    });
    for address in ["a b:1", ""] {
        let addresses = vec![address.to_owned()];
        let (verify_key, static_key, signature) = ([0; 32], [0; 32], [0; 64]);
        let presence = Presence { verify_key, static_key, counter: 0, addresses, signature };
        refused(Message::Peers { peers: vec![presence] });
    }
}

#[test]
fn whichever_byte_is_no_number_of_ours_the_rest_is_not_guessed() {
    for message in one_of_each() {
        for at in 0..encoded(&message).len() {
            let mut bytes = encoded(&message);
            bytes[at] = u8::MAX;
            if let Ok(other) = Message::decode(&bytes) {
                assert_eq!(encoded(&other), bytes, "byte {at} of {message:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn a_changed_message_decodes_to_itself_or_not_at_all(
        which in 0_usize..one_of_each().len(), at: proptest::sample::Index, to: u8,
    ) {
        let mut bytes = encoded(&one_of_each()[which]);
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(encoded(&message), bytes);
        }
    }

    #[test]
    fn any_bytes_decode_or_do_not(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(encoded(&message), bytes);
        }
    }
}
