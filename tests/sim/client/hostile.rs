//! A session and a node that lies, refuses or keeps silent.

use super::program::{access, content, meta};
use bytes::Bytes;
use dfsd::client::{Entropy, RemoteSession};
use dfsd::conn::{self, Conn, ConnKeys, Side};
use dfsd::crypto::keys::NodeKey;
use dfsd::crypto::tree;
use dfsd::ids::Address;
use dfsd::keyring::Access;
use dfsd::limits::{BLOCK, LEAF, LIST_BARREN_MAX};
use dfsd::session::{Answer, ClientError, Event, Op, Operation, Overwrite};
use dfsd::time::Instant;
use dfsd::wire::frame::Open;
use dfsd::wire::message::{BlockRef, Hello, Message, Reason, Role};
use std::collections::HashMap;
use std::time::Duration;

/// Keeps what it is given, and does what the test says it does otherwise.
#[derive(Default, Clone)]
pub(super) struct Held {
    pub(super) records: Vec<Bytes>,
    blocks: HashMap<Address, Vec<u8>>,
    pages: HashMap<Address, Bytes>,
}

impl Held {
    /// The one block that it was given.
    pub(super) fn only_block(&self) -> (Address, Vec<u8>) {
        assert_eq!(self.blocks.len(), 1);
        let (address, block) = self.blocks.iter().next().expect("there is one");
        (*address, block.clone())
    }
}

type Twist = Box<dyn FnMut(&mut Conn, &Message) -> bool>;
type Spoil = Box<dyn FnMut(&mut Vec<u8>)>;

/// A node of sorts, and a session that talks to it.
pub(super) struct Pair {
    pub(super) session: RemoteSession,
    pub(super) conn: Conn,
    pub(super) held: Held,
    /// The stream that comes in.
    coming: Option<(Open, Vec<u8>)>,
    streams: Vec<Open>,
    /// Sees each message first; true if it has dealt with it.
    twist: Twist,
    /// Changes leaves before they are sent.
    pub(super) spoil: Spoil,
    pub(super) now: Instant,
    pub(super) events: Vec<Event>,
}

impl Pair {
    pub(super) fn new(twist: impl FnMut(&mut Conn, &Message) -> bool + 'static) -> Self {
        Self::of(access(), twist)
    }

    /// With a session of somebody with this access.
    pub(super) fn of(
        access: Access,
        twist: impl FnMut(&mut Conn, &Message) -> bool + 'static,
    ) -> Self {
        let now = Instant(1);
        let entropy = Entropy { key: [5; 32], handshake: [6; 32] };
        let network = access.network.clone();
        let key = NodeKey::generate(&[7; 32]);
        let keys = ConnKeys::new(&network, &key);
        let mut conn = Conn::new(Side::Acceptor, &keys, [8; 32], now);
        conn.send(&Message::Hello(Hello {
            role: Role::Node,
            verify_key: key.verify_key(),
            boot: 1,
            addresses: Vec::new(),
            store: Default::default(),
            group: 0,
            clock: 1 << 20,
        }));
        Self {
            session: RemoteSession::new(access, &entropy, now),
            conn,
            held: Held::default(),
            coming: None,
            streams: Vec::new(),
            twist: Box::new(twist),
            spoil: Box::new(|_| {}),
            now,
            events: Vec::new(),
        }
    }

    pub(super) fn honest() -> Self {
        Self::new(|_, _| false)
    }

    pub(super) fn pump(&mut self) {
        loop {
            let mut there = Vec::new();
            self.session.transmit(self.now, &mut there, 64 * 1024);
            self.conn.received(self.now, &there).expect("a client keeps the rules");
            self.hear();
            let mut back = Vec::new();
            self.conn.transmit(self.now, &mut back, 64 * 1024);
            self.hear();
            if there.is_empty() && back.is_empty() {
                return;
            }
            let _ = self.session.received(self.now, &back);
            self.events.extend(std::iter::from_fn(|| self.session.poll_event()));
        }
    }

    /// The node hears what its connection tells. False if that is nothing.
    pub(super) fn hear(&mut self) -> bool {
        let mut heard = false;
        while let Some(event) = self.conn.poll_event() {
            self.node_event(event);
            heard = true;
        }
        heard
    }

    fn node_event(&mut self, event: conn::Event) {
        match event {
            conn::Event::Message(message) => {
                if !(self.twist)(&mut self.conn, &message) {
                    self.behave(message);
                }
            }
            conn::Event::Opened(open) => self.coming = Some((open, Vec::new())),
            conn::Event::Chunk { data, .. } => {
                self.coming.as_mut().expect("it was opened").1.extend_from_slice(&data);
            }
            conn::Event::Ended => {
                let (open, data) = self.coming.take().expect("it was opened");
                if data.len() < open.length as usize {
                    return;
                }
                assert_eq!(tree::tree(&data).0, open.address.0);
                self.held.blocks.insert(open.address, data);
                self.conn.send(&Message::Have { addresses: vec![open.address] });
            }
            conn::Event::StreamSent => self.next_stream(),
            conn::Event::Established { .. } | conn::Event::Aborted | conn::Event::StreamLow => {}
        }
    }

    /// What an honest node does, as far as these tests need it.
    fn behave(&mut self, message: Message) {
        let answer = match message {
            Message::Head { request, .. } => {
                let shown = self.held.records.last().cloned();
                let (versions, all, future, log_damage) = Default::default();
                let (clock, kept) = (1 << 20, true);
                Message::Heads { request, clock, versions, all, future, log_damage, kept, shown }
            }
            Message::List { request, .. } => Message::Listed {
                request,
                records: self.held.records.clone(),
                next: None,
                damaged: 0,
                sync: Default::default(),
                log_damage: Default::default(),
            },
            Message::Offer { blocks, .. } => {
                let block = blocks[0];
                let count = (block.length as usize).div_ceil(LEAF) as u8;
                Message::Want { block, first: 0, count }
            }
            Message::PutPage { request, page, .. } => {
                self.held.pages.insert(Address(tree::tree(&page).0), page);
                Message::PageDone { request }
            }
            Message::GetPage { request, address } => {
                Message::Page { request, page: self.held.pages.get(&address).cloned() }
            }
            Message::Put { request, records, blocks, .. } => {
                self.held.records.extend(records);
                let blocks =
                    blocks.iter().map(|block| (Address(tree::tree(block).0), block.to_vec()));
                self.held.blocks.extend(blocks);
                Message::PutDone { request, copies: 1 }
            }
            Message::Want { block, first, count } => {
                let Some(data) = self.held.blocks.get(&block.address) else {
                    return self.conn.send(&Message::Absent { address: block.address });
                };
                let leaves = tree::leaf_hashes(data);
                let (address, length) = (block.address, block.length);
                self.streams.push(Open { address, length, first, count, leaves });
                return self.next_stream();
            }
            _ => return,
        };
        self.conn.send(&answer);
    }

    fn next_stream(&mut self) {
        if self.conn.is_streaming() || self.streams.is_empty() {
            return;
        }
        let open = self.streams.remove(0);
        let data = &self.held.blocks[&open.address];
        self.conn.open_stream(&open);
        for leaf in data.chunks(LEAF).skip(open.first.into()).take(open.count.into()) {
            let mut leaf = leaf.to_vec();
            (self.spoil)(&mut leaf);
            self.conn.push_chunk(Bytes::from(leaf));
        }
    }

    pub(super) fn start(&mut self, operation: Operation) -> Op {
        self.session.start(self.now, operation)
    }

    pub(super) fn put(&mut self, name: &str, content: &[u8]) -> Op {
        let op = self.start(Operation::Put { meta: meta(name), overwrite: Overwrite::Always });
        let mut fed = 0;
        while fed < content.len() {
            let taken = self.session.feed(op, &content[fed..]);
            fed += taken;
            self.pump();
            if taken == 0 {
                break;
            }
        }
        self.session.feed_end(op);
        self.pump();
        op
    }

    pub(super) fn get(&mut self, name: &str) -> Op {
        let op = self.start(Operation::Get { name: name.into() });
        self.pump();
        op
    }

    /// How an operation ended: once, and nothing of it came after.
    pub(super) fn result(&mut self, op: Op) -> Option<Result<Answer, ClientError>> {
        self.events.extend(std::iter::from_fn(|| self.session.poll_event()));
        let mut ends = Vec::new();
        for event in self.events.drain(..) {
            match event {
                Event::Finished { op: other, result } if other == op => ends.push(result),
                Event::Data { op: other, .. } | Event::NeedData { op: other, .. } => {
                    assert!(other != op || ends.is_empty(), "something came after the end");
                }
                _ => {}
            }
        }
        assert!(ends.len() <= 1, "{ends:?}");
        ends.pop()
    }

    pub(super) fn error(&mut self, op: Op) -> ClientError {
        self.result(op).expect("it has ended").expect_err("it cannot go well")
    }

    pub(super) fn later(&mut self, duration: Duration) {
        self.now = self.now + duration;
        let _ = self.session.handle_timeout(self.now);
        self.pump();
    }
}

#[test]
fn an_honest_node_of_these_tests_is_one() {
    let mut pair = Pair::honest();
    for length in [0, 9, 3 * BLOCK, 6 * BLOCK + 1] {
        let put = pair.put("a", &content(3, length));
        assert!(matches!(pair.result(put), Some(Ok(Answer::Put { .. }))), "{length}");
        let get = pair.get("a");
        assert!(matches!(pair.result(get), Some(Ok(Answer::Got(_)))), "{length}");
    }
}

#[test]
fn the_record_of_another_name_is_refused() {
    let mut pair = Pair::honest();
    pair.put("theirs", b"theirs");
    let shown = |pair: &mut Pair, operation| {
        let op = pair.start(operation);
        pair.pump();
        pair.error(op)
    };
    let name = || b"mine".to_vec();
    let rename = Operation::Rename { source: name(), target: b"x".into(), replace: true };
    let operations = [
        Operation::Get { name: name() },
        Operation::Stat { name: name() },
        Operation::Delete { name: name() },
        rename,
    ];
    for operation in operations {
        let error = shown(&mut pair, operation);
        assert!(matches!(error, ClientError::Damaged(_)), "{error}");
    }
    assert_eq!(pair.held.records.len(), 1, "nothing was stored");
}

#[test]
fn a_changed_record_is_refused() {
    let mut pair = Pair::honest();
    pair.put("a", b"content");
    let record = pair.held.records[0].to_vec();
    for at in (0..record.len()).step_by(3) {
        let mut changed = record.clone();
        changed[at] ^= 1;
        pair.held.records = vec![Bytes::from(changed)];
        let get = pair.get("a");
        let error = pair.error(get);
        let refused = matches!(error, ClientError::Damaged(_) | ClientError::Forged);
        assert!(refused, "byte {at}: {error}");
    }
}

#[test]
fn a_bad_leaf_is_asked_for_again_and_never_handed_out() {
    let mut pair = Pair::honest();
    let bytes = content(1, 2 * BLOCK + 5);
    pair.put("a", &bytes);
    let mut spoilt = 0;
    pair.spoil = Box::new(move |leaf| {
        spoilt += 1;
        if spoilt == 40 {
            leaf[9] ^= 1;
        }
    });
    let get = pair.get("a");
    assert!(matches!(pair.result(get), Some(Ok(Answer::Got(_)))));
    pair.spoil = Box::new(|leaf| leaf[0] ^= 1);
    let get = pair.get("a");
    let handed_out = pair.events.iter().any(|event| matches!(event, Event::Data { .. }));
    assert!(!handed_out);
    assert!(matches!(pair.error(get), ClientError::Damaged(_)));
}

#[test]
fn a_changed_page_is_refused_and_a_missing_one_is_temporary() {
    let mut pair = Pair::honest();
    pair.put("a", &content(1, 6 * BLOCK));
    for page in pair.held.pages.values_mut() {
        let mut changed = page.to_vec();
        changed[70] ^= 1;
        *page = Bytes::from(changed);
    }
    let get = pair.get("a");
    assert!(matches!(pair.error(get), ClientError::Damaged(_)));
    pair.held.pages.clear();
    let get = pair.get("a");
    assert_eq!(pair.error(get), ClientError::Unavailable);
}

#[test]
fn a_missing_block_is_temporary() {
    let mut pair = Pair::honest();
    pair.put("a", &content(1, 6 * BLOCK));
    let gone = *pair.held.blocks.keys().next().unwrap();
    pair.held.blocks.remove(&gone);
    let get = pair.get("a");
    assert_eq!(pair.error(get), ClientError::Unavailable);
}

#[test]
fn a_refused_offer_ends_all_who_share_it_once() {
    let mut pair = Pair::new(|conn, message| {
        let Message::Offer { request, .. } = message else { return false };
        let detail = "full".to_owned();
        conn.send(&Message::Refused { request: *request, reason: Reason::NoSpace, detail });
        true
    });
    let ops = ["a", "b"].map(|name| {
        let op = pair.start(Operation::Put { meta: meta(name), overwrite: Overwrite::Always });
        pair.session.feed(op, &vec![0; 3 * BLOCK]);
        op
    });
    pair.pump();
    let events = std::mem::take(&mut pair.events);
    for op in ops {
        let ends = events.iter().filter_map(|event| match event {
            Event::Finished { op: other, result } if *other == op => Some(result),
            _ => None,
        });
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends.len(), 1);
        assert!(matches!(ends[0], Err(ClientError::Refused(Reason::NoSpace, _))));
    }
}

#[test]
fn a_block_that_the_node_does_not_take_ends_the_put_once() {
    let mut pair = Pair::new(|conn, message| {
        let Message::Offer { blocks, .. } = message else { return false };
        conn.send(&Message::Absent { address: blocks[0].address });
        true
    });
    let op = pair.put("zeros", &vec![0; 3 * BLOCK]);
    assert_eq!(pair.error(op), ClientError::NotTaken);
}

#[test]
fn a_node_that_wants_without_end_is_left() {
    let mut pair = Pair::honest();
    pair.pump();
    let block = BlockRef { address: Address([9; 32]), length: 5 };
    for _ in 0..100_000 {
        pair.conn.send(&Message::Want { block, first: 0, count: 1 });
        let mut bytes = Vec::new();
        pair.conn.transmit(pair.now, &mut bytes, usize::MAX);
        // It takes nothing of what it is told.
        if let Err(error) = pair.session.received(pair.now, &bytes) {
            return assert!(matches!(error, ClientError::Protocol(_)), "{error}");
        }
    }
    panic!("the client keeps whatever the node wants");
}

#[test]
fn a_verification_that_turns_back_or_tells_nothing_ends() {
    for (good, turns_back) in [(16, true), (0, false)] {
        let mut asked = 0;
        let mut pair = Pair::new(move |conn, message| {
            let Message::Verify { request, .. } = message else { return false };
            asked += 1;
            assert!(u32::from(asked) <= LIST_BARREN_MAX, "it goes on and on");
            let next = Some(Address([if turns_back { 5 } else { asked }; 32]));
            let (request, bad) = (*request, Vec::new());
            conn.send(&Message::Verified { request, good, bytes: 5, bad, next });
            true
        });
        let op = pair.start(Operation::Verify);
        pair.pump();
        let error = pair.error(op);
        assert!(matches!(error, ClientError::Protocol(_)), "{error}");
    }
}

#[test]
fn the_end_of_the_connection_ends_everything() {
    let mut pair = Pair::new(|_, message| matches!(message, Message::Head { .. }));
    let stat = pair.start(Operation::Stat { name: b"a".into() });
    pair.pump();
    let error = pair.session.closed("the node closed it");
    assert!(matches!(error, ClientError::Disconnected(_)));
    assert_eq!(pair.error(stat), error);
}

#[test]
fn only_a_refusal_is_another_network_and_an_end_or_no_answer_may_be_tried_again() {
    let entropy = || Entropy { key: [5; 32], handshake: [6; 32] };
    let preface = |epoch| [&b"dfsd\x05\x05"[..], &[0, epoch], &[7; 8]].concat();
    for said in [vec![], preface(1), [preface(1), vec![0; 95]].concat()] {
        let mut session = RemoteSession::new(access(), &entropy(), Instant(0));
        session.received(Instant(0), &said).unwrap();
        let error = session.closed("the node closed it");
        assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
        assert!(error.to_string().contains("busy or out of reach"), "{error}");
    }
    for said in [b"GET / HTTP/1.1".to_vec(), preface(9), [preface(1), vec![0; 96]].concat()] {
        let mut session = RemoteSession::new(access(), &entropy(), Instant(0));
        let error = session.received(Instant(0), &said).unwrap_err();
        assert_eq!(error, ClientError::WrongNetwork);
    }
    let mut session = RemoteSession::new(access(), &entropy(), Instant(0));
    let late = Instant(0) + Duration::from_secs(6);
    let error = session.handle_timeout(late).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
}
