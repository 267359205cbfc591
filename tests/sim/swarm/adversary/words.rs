//! What an adversary says: any message, with names, ids and addresses that he has heard, or has made up.
//!
//! Knows no connection. Invariant: every record and every block that is made here without a right to make it is in `deeds`.

use super::{Adversary, Deeds};
use crate::sim::raw::RawClient;
use crate::sim::world::World;
use bytes::Bytes;
use dfsd::crypto::keys::{NodeKey, WriteKey, record_id};
use dfsd::crypto::{sign, tags, tree};
use dfsd::ids::{Address, Hash, NameId, RecordId, VersionId, Writer};
use dfsd::keyring::presence::presence;
use dfsd::limits::{LEAF, MESSAGE_IDS_MAX, MESSAGE_PRESENCES_MAX};
use dfsd::wire::frame::leaves_of;
use dfsd::wire::message::{
    BlockRef, ExpiredRecord, Hello, Message, PushedRecord, RangeSummary, Role, VersionMark,
};
use dfsd::wire::permit::Permit;
use dfsd::wire::presence::Presence;
use dfsd::wire::record::{BlockList, FORMAT, Record, RecordKind};
use dfsd::wire::settings::Settings;
use dfsd::wire::view::View;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt};
use std::collections::VecDeque;

/// Things heard that he remembers, of each kind.
const HEARD_MAX: usize = 64;
/// A stamp of 2026, and how far on he may go, in milliseconds shifted as stamps are.
const STAMP: u64 = 1_795_305_600_000 << 16;

/// See the module.
pub(super) struct Words {
    kind: Adversary,
    write: Option<WriteKey>,
    deeds: Deeds,
    records: VecDeque<Bytes>,
    ids: VecDeque<RecordId>,
    names: VecDeque<NameId>,
    blocks: VecDeque<BlockRef>,
    made: Vec<Vec<u8>>,
}

impl Words {
    pub(super) fn new(kind: Adversary) -> Self {
        let (records, ids, names, blocks) = Default::default();
        Self {
            kind,
            write: None,
            deeds: Deeds::default(),
            records,
            ids,
            names,
            blocks,
            made: Vec::new(),
        }
    }

    pub(super) fn deeds(&self) -> &Deeds {
        &self.deeds
    }

    /// A member has the network's write key.
    pub(super) fn sign_for(&mut self, world: &World) {
        if self.kind == Adversary::Member && self.write.is_none() {
            self.write = Some(world.write_key().clone());
        }
    }

    /// Takes note of what can be used later.
    pub(super) fn heard(&mut self, message: &Message) {
        match message {
            Message::Records { items } => {
                for item in items {
                    self.note_record(&item.record);
                }
            }
            Message::Heads { shown: Some(record), .. } => self.note_record(record),
            Message::Listed { records, .. } | Message::NamesListed { records, .. } => {
                records.iter().for_each(|each| self.note_record(each));
            }
            Message::VersionsAre { versions, .. } => {
                versions.iter().for_each(|each| self.note_record(&each.record));
            }
            Message::Ids { ids, .. } | Message::Fetch { ids } => {
                ids.iter().for_each(|id| remember(&mut self.ids, *id));
            }
            Message::Want { block, .. } => remember(&mut self.blocks, *block),
            _ => {}
        }
    }

    fn note_record(&mut self, bytes: &Bytes) {
        let Ok(record) = Record::decode(bytes) else { return };
        remember(&mut self.records, bytes.clone());
        remember(&mut self.ids, record_id(bytes));
        remember(&mut self.names, record.name);
        if let BlockList::Inline(blocks) = &record.blocks {
            blocks.iter().for_each(|block| remember(&mut self.blocks, *block));
        }
    }

    /// The first word on a connection.
    pub(super) fn hello(&mut self, rng: &mut ChaCha8Rng, key: &NodeKey, role: Role) -> Message {
        let addresses = match role {
            Role::Node if rng.random_range(0..2) == 0 => vec![address(rng)],
            Role::Node | Role::Client => Vec::new(),
        };
        Message::Hello(Hello {
            role,
            verify_key: key.verify_key(),
            boot: rng.random(),
            addresses,
            store: Default::default(),
            group: rng.random_range(0..1000),
            clock: clock(rng),
        })
    }

    /// Anything.
    pub(super) fn say(&mut self, rng: &mut ChaCha8Rng) -> Message {
        let request = rng.random_range(0..4);
        let space = Default::default();
        match rng.random_range(0..25) {
            0 => Message::Peers {
                peers: (0..=rng.random_range(0..MESSAGE_PRESENCES_MAX))
                    .map(|_| peer(rng))
                    .collect(),
            },
            1 => Message::Head { request, space, name: self.name(rng), relay: rng.random() },
            2 => self.offer(rng),
            3 => Message::PutPage { request, page: self.bytes(rng), permit: permit(rng) },
            4 => Message::GetPage { request, address: self.address(rng) },
            5 => self.record_message(rng),
            6 => {
                let settings = [Settings::default().digest(), rng.random()][rng.random_range(0..2)];
                let (range, told, cut) = (self.range(rng), rng.random(), cut(rng));
                Message::Compare { range, told, cut, settings }
            }
            22 => Message::Expired { records: self.expired(rng) },
            7 => {
                let mut ids = self.ids(rng);
                ids.sort_unstable();
                ids.dedup();
                Message::Ids { first: RecordId([0; 32]), last: RecordId([255; 32]), ids }
            }
            8 => Message::Fetch { ids: self.ids(rng) },
            9 => Message::Holders { request, record: self.id(rng) },
            10 => Message::Holds { request, record: self.id(rng) },
            11 => {
                Message::Verify { request, after: rng.random::<bool>().then(|| self.address(rng)) }
            }
            12 => Message::Suspect { address: self.address(rng) },
            13 => Message::Have { addresses: vec![self.address(rng)] },
            14 => Message::Absent { address: self.address(rng) },
            15 => self.want(rng),
            16 => Message::List {
                request,
                space,
                after: rng.random::<bool>().then(|| self.name(rng)),
                future: rng.random(),
            },
            17 => {
                let record = self.forge(rng);
                Message::Put {
                    request,
                    conditions: Vec::new(),
                    records: vec![record],
                    blocks: Vec::new(),
                }
            }
            23 => Message::Settled { upto: rng.random_range(0..8) },
            24 => Message::SettingsDiffer,
            18 => parts(&self.range(rng), Vec::new()),
            19 => Message::Versions {
                request,
                space,
                name: self.name(rng),
                before: rng
                    .random::<bool>()
                    .then(|| VersionMark { version: version(rng), record: self.id(rng) }),
                limit: rng.random_range(0..300),
            },
            20 => Message::ListPast {
                request,
                space,
                after: rng.random::<bool>().then(|| self.name(rng)),
                view: if rng.random() { View::Deleted } else { View::At(clock(rng)) },
            },
            _ => Message::Status { request },
        }
    }

    /// What a node asks of him is answered by a lie, or not at all.
    pub(super) fn answer(&mut self, rng: &mut ChaCha8Rng, line: &mut RawClient, asked: &Message) {
        let lies = rng.random_range(0..4) > 0;
        match asked {
            Message::Ping { token } => line.send(&Message::Pong { token: *token }),
            Message::Holds { request, .. } => {
                line.send(&Message::HoldsIs { request: *request, holds: lies });
            }
            Message::Head { request, .. } if lies => {
                let versions = vec![version(rng)];
                let shown = self.records.front().cloned().filter(|_| rng.random());
                let (all, future, log_damage) = Default::default();
                line.send(&Message::Heads {
                    request: *request,
                    clock: clock(rng),
                    versions,
                    all,
                    future,
                    log_damage,
                    kept: rng.random(),
                    shown,
                });
            }
            Message::Want { block, first, count } => {
                self.deliver(rng, line, (*block, *first, *count));
            }
            Message::Compare { range, .. } if lies => {
                let ranges = if rng.random() { vec![self.range(rng)] } else { Vec::new() };
                line.send(&parts(range, ranges));
            }
            Message::GetPage { request, .. } => {
                let page = lies.then(|| self.bytes(rng));
                line.send(&Message::Page { request: *request, page });
            }
            _ => {}
        }
    }

    /// Right leaves, one leaf, none, others, or a no.
    fn deliver(
        &self,
        rng: &mut ChaCha8Rng,
        line: &mut RawClient,
        (block, first, count): (BlockRef, u8, u8),
    ) {
        let is_it = |made: &&Vec<u8>| reference(made).address == block.address;
        match self.made.iter().find(is_it) {
            Some(made) if !line.is_streaming() => match rng.random_range(0..4) {
                0..3 => line.stream(made, first, count),
                _ => {
                    line.open(made, first, count);
                    line.abort();
                }
            },
            None if rng.random() => line.send(&Message::Absent { address: block.address }),
            Some(_) | None => {}
        }
    }

    fn offer(&mut self, rng: &mut ChaCha8Rng) -> Message {
        let mut block = vec![0; rng.random_range(1..4 * LEAF)];
        rng.fill_bytes(&mut block[..]);
        let reference = reference(&block);
        self.deeds.blocks.insert(reference.address);
        self.made.push(block);
        if self.made.len() > 8 {
            self.made.remove(0);
        }
        Message::Offer { request: 1, blocks: vec![reference], permit: permit(rng) }
    }

    fn record_message(&mut self, rng: &mut ChaCha8Rng) -> Message {
        // What he has heard is everybody's, and may be said again.
        let heard = self.records.front().cloned().filter(|_| rng.random());
        let record = heard.unwrap_or_else(|| self.forge(rng));
        Message::Records { items: vec![PushedRecord { record, block: Bytes::new() }] }
    }

    /// A record that only a member can sign.
    fn forge(&mut self, rng: &mut ChaCha8Rng) -> Bytes {
        let writer =
            VersionId { stamp: STAMP + rng.random_range(0..1 << 40), writer: Writer(rng.random()) };
        // A member spoils names of its own, since what it does to those of others is its right, and by deletions, since
        // it may seal what nobody can open.
        let (name, kind) = match self.write {
            Some(_) => (NameId([rng.random_range(0..3); 32]), RecordKind::Tombstone),
            None if rng.random() => (self.name(rng), RecordKind::File),
            None => (self.name(rng), RecordKind::Tombstone),
        };
        let mut record = Record {
            format: FORMAT,
            kind,
            space: Default::default(),
            name,
            version: writer,
            parents: Vec::new(),
            epoch: 1,
            signer: rng.random(),
            blocks: BlockList::Inline(Vec::new()),
            extensions: Vec::new(),
            sealed_tag: rng.random(),
            sealed: vec![7; 40],
            signature: [0; 64],
        };
        let Some(write) = &self.write else {
            rng.fill_bytes(&mut record.signature[..]);
            let heard = self.records.front().filter(|_| rng.random());
            if let Some(Ok(heard)) = heard.map(|heard| Record::decode(heard)) {
                // The signature of another record, by a key that has a grant.
                (record.signer, record.signature) = (heard.signer, heard.signature);
            }
            let bytes = Bytes::from(record.to_bytes());
            self.deeds.records.insert(record_id(&bytes));
            return bytes;
        };
        record.signer = write.public();
        record.signature = sign::sign(&write.sign, tags::RECORD, &record.signed_bytes());
        record.to_bytes().into()
    }

    fn range(&self, rng: &mut ChaCha8Rng) -> RangeSummary {
        let mut ends = [RecordId(rng.random()), RecordId(rng.random())];
        ends.sort_unstable();
        let whole = [RecordId([0; 32]), RecordId([255; 32])];
        let [first, last] = if rng.random() { whole } else { ends };
        let count = [0, 1, u64::MAX >> 1][rng.random_range(0..3)];
        RangeSummary { first, last, count, fingerprint: Hash(rng.random()) }
    }

    fn want(&self, rng: &mut ChaCha8Rng) -> Message {
        let known =
            BlockRef { address: Address(rng.random()), length: rng.random_range(1..1 << 20) };
        let block = pick(&self.blocks, rng).unwrap_or(known);
        let leaves = u8::try_from(leaves_of(block.length)).expect("a block has 32 leaves");
        if rng.random() {
            return Message::Want { block, first: 0, count: leaves };
        }
        let first = rng.random_range(0..leaves);
        Message::Want { block, first, count: rng.random_range(1..=leaves - first) }
    }

    fn ids(&self, rng: &mut ChaCha8Rng) -> Vec<RecordId> {
        (0..[1, 10, MESSAGE_IDS_MAX][rng.random_range(0..3)]).map(|_| self.id(rng)).collect()
    }

    fn expired(&self, rng: &mut ChaCha8Rng) -> Vec<ExpiredRecord> {
        let ids = self.ids(rng).into_iter();
        ids.map(|record| ExpiredRecord { record, at_ms: clock(rng) >> 16 }).collect()
    }

    fn id(&self, rng: &mut ChaCha8Rng) -> RecordId {
        let known = pick(&self.ids, rng).filter(|_| rng.random_range(0..4) > 0);
        known.unwrap_or_else(|| RecordId(rng.random()))
    }

    fn name(&self, rng: &mut ChaCha8Rng) -> NameId {
        pick(&self.names, rng).unwrap_or_else(|| NameId(rng.random()))
    }

    fn address(&self, rng: &mut ChaCha8Rng) -> Address {
        pick(&self.blocks, rng).map_or_else(|| Address(rng.random()), |block| block.address)
    }

    fn bytes(&self, rng: &mut ChaCha8Rng) -> Bytes {
        let mut bytes = vec![0; rng.random_range(0..200)];
        rng.fill_bytes(&mut bytes[..]);
        bytes.into()
    }
}

fn remember<T: PartialEq>(heard: &mut VecDeque<T>, new: T) {
    if !heard.contains(&new) {
        heard.push_front(new);
        heard.truncate(HEARD_MAX);
    }
}

fn pick<T: Clone>(heard: &VecDeque<T>, rng: &mut ChaCha8Rng) -> Option<T> {
    (!heard.is_empty()).then(|| heard[rng.random_range(0..heard.len())].clone())
}

fn reference(block: &[u8]) -> BlockRef {
    let address = Address(tree::root(&tree::leaf_hashes(block)).0);
    BlockRef { address, length: u32::try_from(block.len()).expect("a block is short") }
}

/// From long ago, now, or from the end of time.
fn clock(rng: &mut ChaCha8Rng) -> u64 {
    [0, STAMP, STAMP + (1 << 40), (1 << 63) - 2][rng.random_range(0..4)]
}

/// A step of 10 s since 1970.
fn cut(rng: &mut ChaCha8Rng) -> u32 {
    let now = u32::try_from((STAMP >> 16) / 10_000).unwrap();
    [0, now, now + rng.random_range(0..9_000), u32::MAX][rng.random_range(0..4)]
}

fn version(rng: &mut ChaCha8Rng) -> VersionId {
    VersionId { stamp: clock(rng).max(1), writer: Writer(rng.random()) }
}

/// Where nobody is, or where a machine of this run is under another's name.
fn address(rng: &mut ChaCha8Rng) -> String {
    format!("node{}:7400", rng.random_range(0..200))
}

/// A node that nobody has seen, anywhere; half of them have signed it themselves.
fn peer(rng: &mut ChaCha8Rng) -> Presence {
    let addresses: Vec<_> = (0..rng.random_range(0..4)).map(|_| address(rng)).collect();
    let mut peer = presence(&NodeKey::generate(&rng.random()), &addresses, rng.random());
    if rng.random() {
        peer.counter = rng.random();
    }
    peer
}

/// The parts of a range that somebody asked about, or did not.
fn parts(of: &RangeSummary, ranges: Vec<RangeSummary>) -> Message {
    Message::Parts { first: of.first, last: of.last, ranges }
}

/// None, or one that nobody has signed.
fn permit(rng: &mut ChaCha8Rng) -> Option<Permit> {
    let mut signature = [0; 64];
    rng.fill_bytes(&mut signature);
    let not_after = clock(rng);
    rng.random::<bool>().then(|| Permit { signer: rng.random(), not_after, signature })
}
