//! Lists and texts that are one longer than a message or a record may have them: refused as they are read.
//!
//! Nobody can encode one, so they are forged from shorter ones. Invariant: what is as long as permitted is read.

use bytes::Bytes;
use dfsd::ids::{Address, NodeId, RecordId, VersionId};
use dfsd::limits::{
    BLOCK, EXTENSIONS_MAX, INLINE_BLOCK_MAX, MESSAGE_IDS_MAX, MESSAGE_PEERS_MAX,
    MESSAGE_PRESENCES_MAX, MESSAGE_RANGES_MAX, MESSAGE_RECORDS_MAX, MESSAGE_TEXT_MAX,
    MESSAGE_VERSIONS_MAX, NAMES_QUESTION_MAX, NETWORK_ADDRESS_MAX, NODE_ADDRESSES_MAX,
    OFFER_BLOCKS_MAX, PARENTS_MAX, PUT_RECORDS_MAX, RECORD_BLOCKS_MAX, RECORD_MAX, TWINS_TOLD_MAX,
};
use dfsd::wire::message::{
    BlockRef, Hello, ListedVersion, Member, Message, NodeStatus, PeerAddress, PushedRecord,
    RangeSummary, Reason, Role,
};
use dfsd::wire::names::SealedNames;
use dfsd::wire::presence::Presence;
use dfsd::wire::record::{BlockList, Extension, FORMAT, Record, RecordKind};

/// A message with `count` equal items, made of those with one and with two.
fn forged(make: &impl Fn(usize) -> Message, count: usize) -> Vec<u8> {
    let encoded = |count| {
        let mut bytes = Vec::new();
        make(count).encode(&mut bytes);
        bytes
    };
    let (one, two) = (encoded(1), encoded(2));
    let at = one.iter().zip(&two).position(|(one, two)| one != two).unwrap();
    assert_eq!((one[at], two[at]), (1, 2), "the number of items is what differs");
    let (start, length) = (at + 1, two.len() - one.len());
    let count_bytes = u16::try_from(count).unwrap().to_be_bytes();
    let items = one[start..start + length].repeat(count);
    [&one[..at - 1], &count_bytes, &items, &one[start + length..]].concat()
}

/// What a node says of itself, with so many addresses. Nobody looks at the signature here.
fn told(count: usize) -> Presence {
    Presence {
        verify_key: [1; 32],
        static_key: [2; 32],
        counter: 3,
        addresses: vec!["host:1".to_owned(); count],
        signature: [4; 64],
    }
}

#[track_caller]
fn check(max: usize, make: impl Fn(usize) -> Message) {
    let reads = |count| Message::decode(&forged(&make, count)).is_ok();
    assert!(reads(max), "{max} are permitted");
    assert!(!reads(max + 1), "{max} and one more");
    assert!(!reads(usize::from(u16::MAX)), "as many as can be announced");
}

#[test]
fn lists_of_messages_have_an_end() {
    let id = RecordId([1; 32]);
    let address = Address([2; 32]);
    let peer = || PeerAddress { node: NodeId([3; 32]), address: "host:1".to_owned() };
    let record = || vec![4; 200].into();
    let block = BlockRef { address, length: 9 };
    let range = RangeSummary { first: id, last: id, count: 0, fingerprint: Default::default() };
    let version = VersionId { stamp: 1, writer: Default::default() };
    let item = || PushedRecord { record: record(), block: Default::default() };
    let list = |count| (0..count).map(|_| record()).collect::<Vec<_>>();
    check(MESSAGE_PRESENCES_MAX, |count| Message::Peers { peers: vec![told(1); count] });
    check(MESSAGE_PEERS_MAX, |count| Message::HoldersAre {
        request: 0,
        count: u32::MAX,
        holders: vec![peer(); count],
    });
    check(TWINS_TOLD_MAX, |count| Message::StatusIs {
        request: 0,
        status: Box::new(NodeStatus {
            twins: vec![NodeId([3; 32]); count],
            ..NodeStatus::default()
        }),
    });
    check(MESSAGE_RECORDS_MAX, |count| Message::Records {
        items: (0..count).map(|_| item()).collect(),
    });
    check(MESSAGE_RECORDS_MAX, |count| Message::Listed {
        request: 0,
        records: list(count),
        next: None,
        damaged: 0,
        sync: Default::default(),
        log_damage: Default::default(),
    });
    let listed = || ListedVersion { version, superseded: true, record: record() };
    check(MESSAGE_RECORDS_MAX, |count| Message::VersionsAre {
        request: 0,
        versions: (0..count).map(|_| listed()).collect(),
        next: None,
        sync: Default::default(),
        log_damage: Default::default(),
    });
    check(MESSAGE_RECORDS_MAX, |count| Message::NamesListed {
        request: 0,
        records: list(count),
        found: SealedNames { epoch: 1, tag: [0; 32], bytes: Bytes::new() },
        damaged: 0,
        sync: Default::default(),
        log_damage: Default::default(),
    });
    check(MESSAGE_IDS_MAX, |count| Message::Ids { first: id, last: id, ids: vec![id; count] });
    check(MESSAGE_IDS_MAX, |count| Message::Fetch { ids: vec![id; count] });
    check(MESSAGE_RANGES_MAX, |count| Message::Parts {
        first: id,
        last: id,
        ranges: vec![range; count],
    });
    check(MESSAGE_VERSIONS_MAX, |count| Message::DamagedHeads {
        request: 1,
        clock: 1,
        versions: vec![Default::default(); count],
        all: Default::default(),
        future: Vec::new(),
        kept: true,
    });
    check(MESSAGE_VERSIONS_MAX, |count| Message::Heads {
        request: 0,
        clock: 0,
        versions: vec![version; count],
        all: Default::default(),
        future: Vec::new(),
        log_damage: Default::default(),
        kept: true,
        shown: None,
    });
    check(PUT_RECORDS_MAX, |count| Message::Put {
        request: 0,
        conditions: Vec::new(),
        records: list(count),
        blocks: Vec::new(),
    });
    check(OFFER_BLOCKS_MAX, |count| Message::Offer {
        request: 0,
        blocks: vec![block; count],
        permit: None,
    });
}

/// Whatever the length, which may be others' doing: what is encoded is read, and has not more than the limit.
#[test]
fn whatever_is_too_long_is_cut_and_nobody_dies() {
    let id = RecordId([1; 32]);
    let address = Address([2; 32]);
    let peer = PeerAddress { node: NodeId([3; 32]), address: "host:1".to_owned() };
    let trouble = String::new();
    let member = Member { peer: peer.clone(), connected: true, last_seen_ms: 1, trouble };
    let range = RangeSummary { first: id, last: id, count: 0, fingerprint: Default::default() };
    let version = VersionId { stamp: 1, writer: Default::default() };
    let block = BlockRef { address, length: 9 };
    let reads = |message: &Message| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert!(Message::decode(&bytes).is_ok(), "{bytes:.60?}");
    };
    for count in [0, 1, 64, 65, 128, 129, 256, 257, 1024, 1025, 70_000] {
        let record = || Bytes::from(vec![4; 9]);
        let records = || (0..count).map(|_| record()).collect::<Vec<_>>();
        let item = || PushedRecord { record: record(), block: Default::default() };
        let (request, next, (first, last)) = (0, None, (id, id));
        let (addresses, ids, peers) =
            (vec![address; count], vec![id; count], vec![peer.clone(); count]);
        let members = vec![member.clone(); count];
        let all = [
            Message::Peers { peers: vec![told(count.min(9)); count] },
            Message::HoldersAre { request, count: u32::MAX, holders: peers.clone() },
            Message::MembersAre { request, members: members.clone() },
            Message::Have { addresses: addresses.clone() },
            Message::Verified { request, good: 0, bytes: 0, bad: addresses.clone(), next },
            Message::Ids { first, last, ids: ids.clone() },
            Message::Fetch { ids: ids.clone() },
            Message::Records { items: (0..count).map(|_| item()).collect() },
            Message::Listed {
                request,
                records: records(),
                next: None,
                damaged: u32::MAX,
                sync: Default::default(),
                log_damage: Default::default(),
            },
            Message::Parts { first, last, ranges: vec![range; count] },
            Message::Heads {
                request,
                clock: 0,
                versions: vec![version; count],
                all: Default::default(),
                future: vec![version; count],
                log_damage: Default::default(),
                kept: true,
                shown: None,
            },
            Message::Put { request, conditions: vec![], records: records(), blocks: records() },
            Message::Offer { request, blocks: vec![block; count], permit: None },
            Message::Refused { request, reason: Reason::Clock, detail: "\u{20ac}".repeat(count) },
            Message::Page { request, page: Some(vec![6; count].into()) },
            Message::holders_are(request, 0, peers),
            Message::members_are(request, members),
            Message::verified(request, 0, 0, addresses.clone(), next),
            Message::refused(request, Reason::Clock, &"\u{20ac}".repeat(count)),
        ];
        all.iter().for_each(reads);
        let had = Message::have(&addresses).inspect(reads).map(|message| match message {
            Message::Have { addresses } => addresses.len(),
            other => panic!("{other:?}"),
        });
        assert_eq!(had.sum::<usize>(), count, "in as many messages as it takes");
        Message::fetch(&ids).for_each(|message| reads(&message));
    }
}

#[test]
fn texts_and_bytes_of_messages_have_an_end() {
    let hello = |addresses| {
        Message::Hello(Hello {
            role: Role::Node,
            verify_key: [0; 32],
            boot: 0,
            addresses,
            store: Default::default(),
            group: 0,
            clock: 0,
        })
    };
    check(NODE_ADDRESSES_MAX, |count| Message::Peers { peers: vec![told(count)] });
    check(NODE_ADDRESSES_MAX, |count| hello(vec!["host:1".to_owned(); count]));
    check(NETWORK_ADDRESS_MAX, |count| hello(vec!["a".repeat(count)]));
    check(MESSAGE_TEXT_MAX, |count| Message::Refused {
        request: 0,
        reason: Reason::Clock,
        detail: "a".repeat(count),
    });
    let put = |records: Vec<Bytes>, blocks| Message::Put {
        request: 0,
        conditions: Vec::new(),
        records,
        blocks,
    };
    check(RECORD_MAX, |count| put(vec![vec![0; count].into()], Vec::new()));
    check(INLINE_BLOCK_MAX, |count| put(Vec::new(), vec![vec![0; count].into()]));
}

/// A record of which `change` made something; its encoding.
fn record(change: impl FnOnce(&mut Record)) -> Vec<u8> {
    let mut record = Record {
        format: FORMAT,
        kind: RecordKind::File,
        space: Default::default(),
        name: Default::default(),
        version: VersionId { stamp: 1000, writer: Default::default() },
        parents: Vec::new(),
        epoch: 1,
        signer: [1; 32],
        blocks: BlockList::Inline(Vec::new()),
        extensions: Vec::new(),
        sealed_tag: [2; 32],
        sealed: vec![3; 100],
        signature: [4; 64],
    };
    change(&mut record);
    record.to_bytes()
}

/// Reads with `max` items; with one more put after them, of `item` bytes, it does not.
#[track_caller]
fn check_record(max: usize, make: impl Fn(&mut Record, usize), item: &[u8]) {
    let full = record(|record| make(record, max));
    let less = record(|record| make(record, max - 1));
    assert!(Record::decode(&full).is_ok(), "{max} are permitted");
    let at = full.iter().zip(&less).position(|(full, less)| full != less).unwrap();
    assert_eq!(usize::from(full[at]), max, "the number of items is what differs");
    let end = at + 1 + max * item.len();
    let count = [u8::try_from(max + 1).unwrap()];
    let more = [&full[..at], &count, &full[at + 1..end], item, &full[end..]].concat();
    assert!(Record::decode(&more).is_err(), "{max} and one more");
}

#[test]
fn a_question_for_names_has_an_end() {
    let message = |length: usize| {
        let bytes = Bytes::from(vec![7; length]);
        let question = SealedNames { epoch: 1, tag: [0; 32], bytes };
        let mut bytes = Vec::new();
        Message::ListNames { request: 1, future: false, question }.encode(&mut bytes);
        Message::decode(&bytes)
    };
    assert!(message(NAMES_QUESTION_MAX).is_ok());
    assert!(message(NAMES_QUESTION_MAX + 1).is_err());
}

#[test]
fn lists_of_a_record_have_an_end() {
    let parents = |record: &mut Record, count: usize| {
        let version = |at| VersionId { stamp: 100 - at as u64, writer: Default::default() };
        record.parents = (0..count).map(version).collect();
    };
    check_record(PARENTS_MAX, parents, &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 8]].concat());
    let block = BlockRef { address: Address([5; 32]), length: BLOCK as u32 };
    let blocks = |record: &mut Record, count: usize| {
        record.blocks = BlockList::Inline(vec![block; count]);
    };
    let item = [&[5; 32][..], &block.length.to_be_bytes()].concat();
    check_record(RECORD_BLOCKS_MAX, blocks, &item);
    let extensions = |record: &mut Record, count: usize| {
        let extension = |at| Extension { tag: at as u16 + 1, value: Vec::new() };
        record.extensions = (0..count).map(extension).collect();
    };
    check_record(EXTENSIONS_MAX, extensions, &[0, 99, 0, 0]);
    assert!(Record::decode(&record(|record| record.sealed = vec![0; RECORD_MAX])).is_err());
}
