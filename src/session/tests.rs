//! A session and a node of a few lines, message by message: no connection, no socket, no time that passes by itself.

use super::*;
use crate::crypto::keys::{DataKeys, NetworkKey, RootKey, WriteKey};
use crate::crypto::tree;
use crate::keyring::grant::grant;
use crate::limits::{ATTRIBUTES_MAX, OPERATION_TIMEOUT};
use crate::time::FileTime;
use crate::wire::attributes::{Attributes, Xattr};
use crate::wire::condition::HeadsSummary;
use crate::wire::frame::Open;
use crate::wire::message::NodeStatus;
use std::collections::HashMap;

const START: Instant = Instant(1);

/// Keeps what it is given.
#[derive(Default)]
struct Node {
    records: Vec<Bytes>,
    blocks: HashMap<Address, Vec<u8>>,
    pages: HashMap<Address, Bytes>,
    coming: Option<(Open, Vec<u8>)>,
    /// The requests by which blocks were offered, and what was told to be settled.
    offers: Vec<Request>,
    settled: Vec<Request>,
    /// How many heads each name is said to have.
    heads: u64,
    /// What it shows another keeps.
    is_full: bool,
}

impl Node {
    /// What an honest node answers.
    fn hear(&mut self, output: Output) -> Vec<Input> {
        match output {
            Output::Send(message) => self.message(message),
            Output::OpenStream(open) => {
                self.coming = Some((open, Vec::new()));
                Vec::new()
            }
            Output::Chunk(data) => {
                let (open, mut block) = self.coming.take().expect("it was opened");
                block.extend_from_slice(&data);
                if block.len() < open.length as usize {
                    self.coming = Some((open, block));
                    return Vec::new();
                }
                self.blocks.insert(open.address, block);
                let have = Message::Have { addresses: vec![open.address] };
                vec![Input::StreamSent, Input::Message(have)]
            }
        }
    }

    fn message(&mut self, message: Message) -> Vec<Input> {
        let answer = match message {
            Message::Offer { request, blocks, .. } => {
                self.offers.push(request);
                let wants = blocks.into_iter().map(|block| {
                    let leaves = block.length.div_ceil(32 * 1024);
                    let count = u8::try_from(leaves).unwrap();
                    Input::Message(Message::Want { block, first: 0, count })
                });
                return wants.collect();
            }
            Message::Want { block, .. } => return self.stream(block.address),
            Message::Head { request, .. } => {
                let shown = self.records.last().cloned();
                let (versions, future, log_damage) = Default::default();
                let all = HeadsSummary { count: self.heads, ..HeadsSummary::default() };
                let (clock, kept) = (1 << 20, !self.is_full);
                Message::Heads { request, clock, versions, all, future, log_damage, kept, shown }
            }
            Message::Put { request, records, blocks, .. } => {
                self.records.extend(records);
                for block in blocks {
                    self.blocks.insert(Address(tree::tree(&block).0), block.to_vec());
                }
                Message::PutDone { request, copies: 1 }
            }
            Message::PutPage { request, page, .. } => {
                self.pages.insert(Address(tree::tree(&page).0), page);
                Message::PageDone { request }
            }
            Message::GetPage { request, address } => {
                Message::Page { request, page: self.pages.get(&address).cloned() }
            }
            Message::Status { request } => {
                Message::StatusIs { request, status: Box::new(NodeStatus::default()) }
            }
            Message::Settled { upto } => {
                self.settled.push(upto);
                return Vec::new();
            }
            Message::Hello(_) | Message::Records { .. } | Message::Suspect { .. } => {
                return Vec::new();
            }
            other => panic!("{other:?}"),
        };
        vec![Input::Message(answer)]
    }

    fn stream(&self, address: Address) -> Vec<Input> {
        let block = &self.blocks[&address];
        let leaves: Vec<_> = block.chunks(32 * 1024).map(tree::leaf_hash).collect();
        let count = u8::try_from(leaves.len()).unwrap();
        let length = u32::try_from(block.len()).unwrap();
        let open = Open { address, length, first: 0, count, leaves };
        let chunks = block.chunks(32 * 1024).zip(0..);
        let chunks =
            chunks.map(|(leaf, index)| Input::Chunk { index, data: Bytes::copy_from_slice(leaf) });
        let ends = [Input::Ended];
        [Input::Opened(open)].into_iter().chain(chunks).chain(ends).collect()
    }
}

fn access() -> Access {
    let root = RootKey::generate(&[1; 32]);
    let sign = WriteKey::generate(&[3; 32]);
    let grant = grant(&root, &sign.public(), 1_000);
    Access {
        network: NetworkKey::generate(&[2; 32], &root),
        data: Some(DataKeys::generate(&[4; 32])),
        write: Some(WriteKey { sign, grant }),
    }
}

fn session() -> Session {
    let mut session = Session::new(access(), &NodeKey::generate(&[5; 32]), Where::Elsewhere, START);
    session.established([6; 32]);
    let hello = Hello {
        role: Role::Node,
        verify_key: [7; 32],
        boot: 1,
        addresses: Vec::new(),
        store: StoreId::default(),
        group: 0,
        clock: 1 << 20,
    };
    session.received(START, Input::Message(Message::Hello(hello))).unwrap();
    session
}

/// Moves what there is both ways, and gives what a program is told; a put takes this input.
fn run(session: &mut Session, node: &mut Node, mut input: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let before = events.len();
        while let Some(event) = session.poll_event() {
            if let Event::NeedData { op, .. } = event {
                let taken = session.feed(op, input);
                input = &input[taken..];
                if taken == 0 {
                    session.feed_end(op);
                }
            }
            events.push(event);
        }
        let outputs: Vec<Output> = std::iter::from_fn(|| session.poll_output()).collect();
        if outputs.is_empty() && events.len() == before {
            return events;
        }
        for input in outputs.into_iter().flat_map(|output| node.hear(output)).collect::<Vec<_>>() {
            session.received(START, input).unwrap();
        }
        session.end_turn(START);
    }
}

/// How operations ended.
fn ends(events: Vec<Event>) -> Vec<Result<Answer, ClientError>> {
    let end = |event| match event {
        Event::Finished { result, .. } => Some(result),
        _ => None,
    };
    events.into_iter().filter_map(end).collect()
}

fn put(name: &str) -> Operation {
    let meta = Meta { name: name.into(), ..Meta::default() };
    Operation::Put { meta, overwrite: Overwrite::Always }
}

#[test]
fn what_is_put_is_got_without_a_connection() {
    let (mut session, mut node) = (session(), Node::default());
    for size in [0, 1, 70_000, 3 * BLOCK + 5, 9 * BLOCK] {
        let plain: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        session.start(START, put("a"));
        let stored = ends(run(&mut session, &mut node, &plain));
        assert!(matches!(stored.as_slice(), [Ok(Answer::Put { .. })]), "{stored:?}");
        assert!(node.blocks.values().all(|block| block.is_empty() || !plain.starts_with(block)));
        session.start(START, Operation::Get { name: b"a".to_vec() });
        let events = run(&mut session, &mut node, &[]);
        let output: Vec<u8> = events
            .iter()
            .filter_map(|event| match event {
                Event::Data { bytes, .. } => Some(bytes.as_ref()),
                _ => None,
            })
            .collect::<Vec<_>>()
            .concat();
        assert!(output == plain, "{size} bytes came back otherwise");
        let got = ends(events);
        assert!(matches!(got.as_slice(), [Ok(Answer::Got(_))]), "{got:?}");
    }
}

/// Moves what there is both ways once.
fn step(session: &mut Session, node: &mut Node) {
    let outputs: Vec<Output> = std::iter::from_fn(|| session.poll_output()).collect();
    for input in outputs.into_iter().flat_map(|output| node.hear(output)).collect::<Vec<_>>() {
        session.received(START, input).unwrap();
    }
    session.end_turn(START);
}

#[test]
fn a_put_that_has_ended_is_told_of_as_far_as_no_other_counts_on_the_same() {
    let (mut session, mut node) = (session(), Node::default());
    let data = [vec![1; BLOCK], vec![2; BLOCK]];
    let first = session.start(START, put("a"));
    session.feed(first, &data[0]);
    step(&mut session, &mut node);
    // The second counts on the block of the first, and brings one of its own.
    let second = session.start(START, put("b"));
    session.feed(second, &data[0]);
    for _ in 0..4 {
        step(&mut session, &mut node);
    }
    session.feed_end(first);
    for _ in 0..8 {
        step(&mut session, &mut node);
    }
    assert_eq!(node.records.len(), 1, "the first has ended");
    session.feed(second, &data[1]);
    session.feed_end(second);
    for _ in 0..8 {
        step(&mut session, &mut node);
    }
    assert_eq!(node.records.len(), 2);
    let [offered, other] = node.offers[..] else { panic!("{:?}", node.offers) };
    let [settled] = node.settled[..] else { panic!("{:?}", node.settled) };
    assert!(offered < other && other < settled);
    // One that brings no block says nothing.
    session.start(START, put("c"));
    run(&mut session, &mut node, &[7; 100]);
    assert_eq!((node.records.len(), node.settled.len()), (3, 1));
}

/// Whoever hashes what it has read, and not what it was asked for.
#[test]
fn of_a_stream_whose_hashes_are_not_the_address_s_nothing_is_handed_out() {
    let (mut session, mut node) = (session(), Node::default());
    for size in [100, 3 * BLOCK + 5] {
        session.start(START, put("a"));
        run(&mut session, &mut node, &vec![7; size]);
        node.blocks.values_mut().for_each(|block| block[0] ^= 1);
        session.start(START, Operation::Get { name: b"a".to_vec() });
        let events = run(&mut session, &mut node, &[]);
        let data = events.iter().filter(|event| matches!(event, Event::Data { .. })).count();
        assert_eq!(data, 0, "of {size} bytes");
        let got = ends(events);
        assert!(matches!(got.as_slice(), [Err(ClientError::Damaged(_))]), "{got:?}");
        node.blocks.clear();
    }
}

/// What a put comes to that need not write, after the same node has been asked for `b"old"` of mode 0644.
fn put_again(meta: Meta, bytes: &[u8], change: impl FnOnce(&mut Node)) -> (bool, Node) {
    let (mut session, mut node) = (session(), Node::default());
    let first = Meta { name: b"a".to_vec(), mode: 0o100_644, ..Meta::default() };
    session.start(START, Operation::Put { meta: first, overwrite: Overwrite::Always });
    run(&mut session, &mut node, b"old");
    change(&mut node);
    session.start(START, Operation::Put { meta, overwrite: Overwrite::IfChanged });
    let ended = ends(run(&mut session, &mut node, bytes));
    let [Ok(Answer::Put { is_new, hash, size, .. })] = ended[..] else { panic!("{ended:?}") };
    assert_eq!((hash, size), (tree::tree(bytes), bytes.len() as u64));
    (is_new, node)
}

#[test]
fn a_put_that_says_the_same_writes_nothing() {
    let same = || Meta { name: b"a".to_vec(), mode: 0o100_644, ..Meta::default() };
    let (is_new, node) = put_again(same(), b"old", |_| {});
    assert!(!is_new && node.records.len() == 1, "nothing differs");
    // Nobody has said that the node still has the block: it is brought.
    let (is_new, node) = put_again(same(), b"old", |node| node.blocks.clear());
    assert!(!is_new && node.blocks.len() == 1, "the block was lost");
    let at = |seconds| Some(FileTime { seconds, nanos: 0 });
    let allocated = Attributes { allocated: Some(0), ..Attributes::default() };
    let meta = Meta { attributes: allocated, ..same() };
    assert!(!put_again(meta, b"old", |_| {}).0, "where it is on its disk is nothing about it");
    let xattrs = vec![Xattr { name: b"user.a".to_vec(), value: Vec::new() }];
    let attributes = Attributes { xattrs, ..Attributes::default() };
    for meta in [
        Meta { mode: 0o100_600, ..same() },
        Meta { mtime: at(0), ..same() },
        Meta { attributes, ..same() },
    ] {
        let (is_new, node) = put_again(meta.clone(), b"old", |_| {});
        assert!(is_new && node.records.len() == 2, "{meta:?}");
    }
    assert!(put_again(same(), b"new", |_| {}).0, "other bytes");
    assert!(put_again(same(), b"old", |node| node.heads = 2).0, "another head is superseded");
    assert!(put_again(same(), b"old", |node| node.is_full = true).0, "the node does not keep it");
    assert!(put_again(same(), b"old", |node| node.records.clear()).0, "it was deleted");
}

/// Whether bytes were asked for, and whether a version was made, where the node has `b"old"` of mode 0644.
fn put_if_outdated(
    mode: u32,
    overwrite: Overwrite,
    change: impl FnOnce(&mut Node),
) -> (bool, bool) {
    let (mut session, mut node) = (session(), Node::default());
    let meta = |mode| Meta { name: b"a".to_vec(), mode, ..Meta::default() };
    session.start(START, Operation::Put { meta: meta(0o100_644), overwrite: Overwrite::Always });
    run(&mut session, &mut node, b"old");
    change(&mut node);
    let records = node.records.len();
    session.start(START, Operation::Put { meta: meta(mode), overwrite });
    let events = run(&mut session, &mut node, b"new");
    let is_asked = events.iter().any(|event| matches!(event, Event::NeedData { .. }));
    let ended = ends(events);
    let [Ok(Answer::Put { is_new, hash, .. })] = ended[..] else { panic!("{ended:?}") };
    assert_eq!(hash, tree::tree(if is_new { b"new" } else { b"old" }));
    assert_eq!(node.records.len() - records, usize::from(is_new));
    (is_asked, is_new)
}

#[test]
fn a_put_of_what_is_not_outdated_asks_for_no_bytes() {
    let same = |size, hash| Overwrite::IfOutdated { size, hash };
    let (old, new) = (tree::tree(b"old"), tree::tree(b"new"));
    let is_put = |mode, overwrite| put_if_outdated(mode, overwrite, |_| {});
    let nothing = (false, false);
    assert_eq!(is_put(0o100_644, same(3, None)), nothing, "the bytes are not looked at");
    assert_eq!(is_put(0o100_644, same(3, Some(old))), nothing);
    let all = (true, true);
    assert_eq!(is_put(0o100_644, same(3, Some(new))), all, "another hash");
    assert_eq!(is_put(0o100_644, same(4, None)), all, "another size");
    assert_eq!(is_put(0o100_600, same(3, None)), all, "another mode");
    let with = |change: fn(&mut Node)| put_if_outdated(0o100_644, same(3, None), change);
    assert_eq!(with(|node| node.heads = 2), all, "another head is superseded");
    assert_eq!(with(|node| node.is_full = true), all, "the node does not keep it");
}

#[test]
fn attributes_that_fit_in_no_record_are_refused_before_anything_is_sent() {
    let (mut session, mut node) = (session(), Node::default());
    let xattrs = vec![Xattr { name: b"user.a".to_vec(), value: vec![1; ATTRIBUTES_MAX] }];
    let attributes = Attributes { xattrs, ..Attributes::default() };
    let meta = Meta { name: b"a".to_vec(), attributes, ..Meta::default() };
    session.start(START, Operation::Put { meta, overwrite: Overwrite::Always });
    let ended = ends(run(&mut session, &mut node, b"x"));
    assert!(matches!(ended[..], [Err(ClientError::LongAttributes)]), "{ended:?}");
    assert!(node.records.is_empty() && node.blocks.is_empty());
}

#[test]
fn an_answer_that_does_not_fit_ends_its_operation_and_no_other() {
    let mut session = session();
    let (get, status) = (
        session.start(START, Operation::Get { name: b"a".to_vec() }),
        session.start(START, Operation::Status),
    );
    let request = std::iter::from_fn(|| session.poll_output()).find_map(|output| match output {
        Output::Send(Message::Head { request, .. }) => Some(request),
        _ => None,
    });
    let request = request.unwrap();
    session.received(START, Input::Message(Message::PageDone { request })).unwrap();
    session.received(START, Input::Message(Message::PageDone { request })).unwrap();
    let events: Vec<Event> = std::iter::from_fn(|| session.poll_event()).collect();
    assert!(
        matches!(events.as_slice(), [Event::Ready { .. }, Event::Finished { op, result: Err(ClientError::Protocol(_)) }] if *op == get),
        "{events:?}"
    );
    session.closed(&ClientError::Silent);
    let left = session.poll_event();
    assert!(matches!(left, Some(Event::Finished { op, .. }) if op == status), "{left:?}");
}

#[test]
fn a_put_whose_versions_are_asked_for_takes_no_other_answer() {
    let mut session = session();
    let op = session.start(START, put("a"));
    session.feed_end(op);
    let request = std::iter::from_fn(|| session.poll_output()).find_map(|output| match output {
        Output::Send(Message::Head { request, .. }) => Some(request),
        _ => None,
    });
    let answer = Message::PageDone { request: request.unwrap() };
    session.received(START, Input::Message(answer)).unwrap();
    let ended = ends(std::iter::from_fn(|| session.poll_event()).collect());
    assert!(matches!(ended.as_slice(), [Err(ClientError::Protocol(_))]), "{ended:?}");
}

#[test]
fn what_others_change_is_tried_again_with_their_versions() {
    let (mut session, mut node) = (session(), Node::default());
    session.start(START, put("a"));
    ends(run(&mut session, &mut node, b"old"));
    session.start(START, Operation::Delete { name: b"a".to_vec() });
    let mut asked = 0;
    for _ in 0..3 {
        let outputs: Vec<Output> = std::iter::from_fn(|| session.poll_output()).collect();
        for output in outputs {
            let answers = match output {
                Output::Send(Message::Put { request, .. }) if asked < 2 => {
                    let reason = Reason::Changed;
                    vec![Input::Message(Message::refused(request, reason, "others wrote"))]
                }
                output => {
                    asked += usize::from(matches!(output, Output::Send(Message::Head { .. })));
                    node.hear(output)
                }
            };
            for answer in answers {
                session.received(START, answer).unwrap();
            }
        }
    }
    let ended = ends(run(&mut session, &mut node, &[]));
    assert!(asked == 2, "asked {asked} times");
    assert!(matches!(ended.as_slice(), [Ok(Answer::Deleted { .. })]), "{ended:?}");
}

#[test]
fn who_waits_for_the_node_is_late_in_time_and_nobody_is_while_the_program_pauses() {
    let mut session = session();
    session.start(START, Operation::Status);
    session.end_turn(START);
    let due = session.poll_timeout().expect("something is waited for");
    assert_eq!(due, START + OPERATION_TIMEOUT);
    session.pause();
    assert_eq!(session.poll_timeout(), None);
    let later = START + Duration::from_secs(100);
    session.handle_timeout(later);
    session.resume(later);
    assert_eq!(session.poll_timeout(), Some(later + OPERATION_TIMEOUT));
    session.handle_timeout(later + OPERATION_TIMEOUT);
    let ended = ends(std::iter::from_fn(|| session.poll_event()).collect());
    assert!(matches!(ended.as_slice(), [Err(ClientError::Silent)]), "{ended:?}");
}
