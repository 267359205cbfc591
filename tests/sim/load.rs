//! Clients that put and delete all the time, whatever happens to the nodes, and remember what was acknowledged.

use super::raw::RawClient;
use super::replication::reference;
use super::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::crypto::{sign, tags};
use dfsd::ids::{NameId, VersionId, Writer};
use dfsd::time::Instant;
use dfsd::wire::message::{BlockRef, Message};
use dfsd::wire::page::{Entries, Page};
use dfsd::wire::record::{BlockList, FORMAT, Record, RecordKind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Longer than any operation may take on a machine that runs.
const PATIENCE: Duration = Duration::from_secs(30);

/// One version of one name, acknowledged or attempted.
pub(super) struct Version {
    pub record: Bytes,
    pub version: VersionId,
    pub kind: RecordKind,
    pub blocks: Vec<Vec<u8>>,
}

/// What is known of one name: all versions that were acknowledged, and those of which nobody knows.
#[derive(Default)]
pub(super) struct Ledger {
    pub acknowledged: BTreeMap<NameId, Vec<Version>>,
    pub doubtful: BTreeMap<NameId, Vec<Version>>,
}

impl Ledger {
    pub(super) fn count(&self) -> usize {
        self.acknowledged.values().map(Vec::len).sum()
    }

    /// The version that every node must show, unless an attempt that was not acknowledged is above it.
    pub(super) fn shown(&self, name: &NameId) -> Option<&Version> {
        let greatest = self.acknowledged.get(name)?.iter().max_by_key(|version| version.version)?;
        let attempts = self.doubtful.get(name).map_or(&[][..], Vec::as_slice);
        let doubt = attempts.iter().any(|attempt| attempt.version > greatest.version);
        (!doubt).then_some(greatest)
    }
}

/// What a client is in the middle of.
struct Task {
    version: Version,
    page: Option<Bytes>,
    missing: BTreeSet<dfsd::ids::Address>,
    wants: VecDeque<(BlockRef, u8, u8)>,
    streaming: bool,
    began: Instant,
}

/// One client of one machine.
struct Client {
    machine: usize,
    number: u8,
    raw: Option<RawClient>,
    task: Option<Task>,
    stamp: u64,
}

/// All clients, and what became of their work.
pub(super) struct Load {
    clients: Vec<Client>,
    /// Blocks that several files share.
    shared: Vec<Vec<u8>>,
    pub ledger: Ledger,
    pub refused: usize,
}

impl Load {
    /// So many clients for each machine of the world.
    pub(super) fn new(world: &World, each: usize) -> Self {
        let count = world.machines.len() * each;
        let client = |number: usize| Client {
            machine: number / each,
            number: number as u8,
            raw: None,
            task: None,
            stamp: 0,
        };
        let shared = (0..6).map(|seed| content(1000 + seed, 40_000 * (1 + seed as usize)));
        Self {
            clients: (0..count).map(client).collect(),
            shared: shared.collect(),
            ledger: Ledger::default(),
            refused: 0,
        }
    }

    /// Lets the world and the clients go on.
    pub(super) fn run(&mut self, world: &mut World, duration: Duration) {
        let end = world.time().instant + duration;
        while world.time().instant < end {
            self.step(world, true);
            world.run(Duration::from_millis(5), |_| false);
        }
    }

    /// Waits until no client is in the middle of anything; they begin nothing new.
    pub(super) fn finish(&mut self, world: &mut World) {
        while self.clients.iter().any(|client| client.task.is_some()) {
            self.step(world, false);
            world.run(Duration::from_millis(5), |_| false);
        }
        for client in &mut self.clients {
            if let Some(raw) = client.raw.take() {
                raw.hang_up(world);
            }
        }
    }

    fn step(&mut self, world: &mut World, begin: bool) {
        for at in 0..self.clients.len() {
            self.step_one(world, at, begin);
        }
    }

    fn step_one(&mut self, world: &mut World, at: usize, begin: bool) {
        let client = &mut self.clients[at];
        let alive = client.raw.as_ref().is_some_and(|raw| raw.is_alive(world));
        if !alive {
            client.raw = None;
            if let Some(task) = client.task.take() {
                let name = name_of(&task.version.record);
                self.ledger.doubtful.entry(name).or_default().push(task.version);
            }
            if world.is_running(client.machine) && !world.is_frozen(client.machine) {
                client.raw = Some(RawClient::connect(world, client.machine));
            }
            return;
        }
        while let Some(event) = self.clients[at].raw.as_mut().and_then(|raw| raw.poll(world)) {
            self.handle(world, at, event);
        }
        let client = &mut self.clients[at];
        match &client.task {
            None if begin && world.dice(4) == 0 => self.begin(world, at),
            None => {}
            Some(task) => {
                let waited = world.time().instant.since(task.began);
                assert!(waited < PATIENCE || world.is_frozen(client.machine), "a put never ended");
            }
        }
    }

    fn begin(&mut self, world: &mut World, at: usize) {
        let mut blocks = Vec::new();
        let dice = world.dice(100);
        let count = match dice {
            0..50 => 1,
            50..75 => 1 + world.dice(4),
            75..85 => 5 + world.dice(3),
            _ => 0,
        };
        for _ in 0..count {
            let length = [200, 3_000, 10_000, 40_000, 150_000, 1 << 20][world.dice(6)];
            let block = match world.dice(6) {
                0 => self.shared[world.dice(self.shared.len())].clone(),
                _ => content(world.dice(1 << 30) as u64, 1 + world.dice(length)),
            };
            blocks.push(block);
        }
        let client = &mut self.clients[at];
        client.stamp += 1;
        // A client has a few names, so that versions and tombstones follow each other.
        let name = NameId([client.number * 8 + world.dice(8) as u8; 32]);
        let kind = if dice >= 90 { RecordKind::Tombstone } else { RecordKind::File };
        let writer = Writer([client.number; 8]);
        let version = VersionId { stamp: client.stamp, writer };
        let references: Vec<_> = blocks.iter().map(|block| reference(block)).collect();
        let (list, page) = list_of(&references);
        let record = signed(world, (kind, name, version), list);
        let missing = references.iter().map(|block| block.address).collect();
        let version = Version { record, version, kind, blocks };
        let began = world.time().instant;
        let wants = VecDeque::new();
        client.task = Some(Task { version, page, missing, wants, streaming: false, began });
        let raw = client.raw.as_mut().expect("it is connected");
        if references.is_empty() {
            return self.next(world, at);
        }
        raw.send(&Message::Offer { request: 1, blocks: references, permit: Bytes::new() });
        raw.pump(world);
    }

    /// All blocks are there: the page is next, and then the record.
    fn next(&mut self, world: &mut World, at: usize) {
        let client = &mut self.clients[at];
        let (Some(task), Some(raw)) = (&mut client.task, &mut client.raw) else {
            return;
        };
        if let Some(page) = task.page.take() {
            raw.send(&Message::PutPage { request: 2, page });
        } else {
            let records = vec![task.version.record.clone()];
            let (only_if_absent, blocks) = (false, Vec::new());
            raw.send(&Message::Put { request: 3, only_if_absent, records, blocks });
        }
        raw.pump(world);
    }

    fn handle(&mut self, world: &mut World, at: usize, event: Event) {
        let client = &mut self.clients[at];
        let (Some(task), Some(raw)) = (&mut client.task, &mut client.raw) else {
            return;
        };
        match event {
            Event::Message(Message::Want { block, first, count }) => {
                task.wants.push_back((block, first, count));
            }
            Event::Message(Message::Have { addresses }) => {
                let before = task.missing.len();
                task.missing.retain(|address| !addresses.contains(address));
                if task.missing.is_empty() && before > 0 {
                    self.next(world, at);
                }
                return;
            }
            Event::StreamSent => task.streaming = false,
            Event::Message(Message::PageDone { .. }) => return self.next(world, at),
            Event::Message(Message::PutDone { .. }) => {
                let version = client.task.take().expect("it was looked at").version;
                let name = name_of(&version.record);
                self.ledger.acknowledged.entry(name).or_default().push(version);
                return;
            }
            Event::Message(Message::Absent { .. } | Message::Refused { .. }) => {
                self.refused += 1;
                client.task = None;
                return;
            }
            Event::Message(Message::Suspect { .. }) => panic!("what was sent was right"),
            Event::Message(_) | Event::Established { .. } | Event::StreamLow => return,
            other => panic!("unexpected: {other:?}"),
        }
        if task.streaming {
            return;
        }
        if let Some((block, first, count)) = task.wants.pop_front() {
            let mut blocks = task.version.blocks.iter();
            let bytes = blocks.find(|bytes| reference(bytes) == block);
            raw.stream(bytes.expect("it was offered"), first, count);
            task.streaming = true;
            raw.pump(world);
        }
    }
}

/// Bytes that look random and depend on the seed alone.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(super) fn name_of(record: &[u8]) -> NameId {
    Record::decode(record).expect("a record of this test").name
}

/// In the record if it may stand there, or on a page of its own.
fn list_of(blocks: &[BlockRef]) -> (BlockList, Option<Bytes>) {
    if blocks.len() <= dfsd::limits::RECORD_BLOCKS_MAX {
        return (BlockList::Inline(blocks.to_vec()), None);
    }
    let entries = Entries::Blocks(blocks.to_vec());
    let (count, bytes) = entries.totals();
    let page = Page { entries, sealed: vec![9; blocks.len() * 64] };
    let mut encoded = Vec::new();
    page.encode(&mut encoded);
    let root = reference(&encoded).address;
    (BlockList::Pages { root, depth: 1, blocks: count, bytes }, Some(encoded.into()))
}

fn signed(
    world: &World,
    (kind, name, version): (RecordKind, NameId, VersionId),
    blocks: BlockList,
) -> Bytes {
    let mut record = Record {
        format: FORMAT,
        kind,
        space: Default::default(),
        name,
        version,
        parents: Vec::new(),
        epoch: 1,
        signer: world.write_key().public(),
        blocks,
        extensions: Vec::new(),
        sealed_tag: [7; 32],
        sealed: vec![8; 100],
        signature: [0; 64],
    };
    let key = &world.write_key().sign;
    record.signature = sign::sign(key, tags::RECORD, &record.signed_bytes());
    record.to_bytes().into()
}
