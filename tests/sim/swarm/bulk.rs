//! Bulk: in some runs nodes hear of many records, more than clients make, so that what is bounded by bytes and counts is
//! met too.
//!
//! Knows no promise. Invariants: they are signed deletions of names that nobody uses, so that no client's answer depends
//! on them; which, and told to whom, depends on the seed alone.

use crate::sim::raw::RawClient;
use crate::sim::world::World;
use bytes::Bytes;
use dfsd::crypto::{sign, tags};
use dfsd::ids::{NameId, VersionId, Writer};
use dfsd::limits::{FRAME_BODY_MAX, MESSAGE_RECORDS_MAX, PUT_RECORDS_MAX};
use dfsd::time::{Instant, stamp_at};
use dfsd::wire::message::{Message, PushedRecord, Role};
use dfsd::wire::record::{BlockList, FORMAT, Record, RecordKind};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// The sealed part of a record.
const SHORT: usize = 40;
/// The same of one that is nearly as long as may be.
const LONG: usize = 3_000;
/// How long it takes to tell of all, about.
const LASTS: Duration = Duration::from_secs(1);
/// What a record has besides its sealed part, and what surrounds it in a message.
const AROUND: usize = 400;

/// See the module.
pub(super) struct Bulk {
    rng: ChaCha8Rng,
    role: Role,
    /// Records still to be told of, and in how many messages all are.
    left: usize,
    messages: usize,
    /// Of the sealed part of each, in bytes.
    sealed: usize,
    line: Option<RawClient>,
    /// When the next are told of. None when all are, or it is too late.
    due: Option<Instant>,
}

impl Bulk {
    /// The bulk of a seed, if it has one: by dice of its own, so that the rest of a plan is what it was.
    pub(super) fn of(seed: u64) -> Option<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xb01c_0000_0000_0000);
        let (count, role, sealed) = match rng.random_range(0..2000) {
            0 => (50_000, Role::Node, SHORT),
            1..20 => (rng.random_range(50..1_000), Role::Node, SHORT),
            20..35 => (rng.random_range(50..800), Role::Node, LONG),
            35..80 => (rng.random_range(400..800), Role::Client, LONG),
            _ => return None,
        };
        let due = Some(Instant(rng.random_range(0..1_000_000)));
        let messages = count / records_of_a_message(role, sealed) + 1;
        Some(Self { rng, role, left: count, messages, sealed, line: None, due })
    }

    pub(super) fn next_step(&self) -> Option<Instant> {
        self.due
    }

    /// Nothing of it is told until then.
    pub(super) fn rest(&mut self, until: Instant) {
        self.due = self.due.map(|due| due.max(until));
    }

    /// No more of it.
    pub(super) fn hang_up(&mut self, world: &mut World) {
        self.due = None;
        if let Some(line) = self.line.take() {
            line.hang_up(world);
        }
    }

    /// Goes on, if it is time.
    pub(super) fn step(&mut self, world: &mut World) {
        let now = world.time().instant;
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let pause = 2 * LASTS.as_micros() / self.messages as u128;
        let pause = self.rng.random_range(0..=pause as u64);
        self.due = Some(now + Duration::from_micros(pause));
        // Now and then another machine is told, which may be beyond a partition from those before.
        let changes = self.rng.random_range(0..200) == 0;
        if let Some(line) = self.line.take_if(|line| changes || !line.is_alive(world)) {
            line.hang_up(world);
        }
        if self.line.is_none() {
            let machine = self.rng.random_range(0..world.machines.len());
            if !world.is_running(machine) || world.is_frozen(machine) {
                return;
            }
            let Some(mut line) = RawClient::try_connect(world, machine) else { return };
            line.hello(self.role);
            self.line = Some(line);
        }
        let Some(mut line) = self.line.take() else { return };
        if line.is_read(world) {
            line.send(&self.message(world));
        }
        line.pump(world);
        while line.poll(world).is_some() {}
        self.line = Some(line);
        if self.left == 0 {
            self.hang_up(world);
        }
    }

    fn message(&mut self, world: &World) -> Message {
        let count = records_of_a_message(self.role, self.sealed).min(self.left);
        self.left -= count;
        let records: Vec<Bytes> = (0..count).map(|_| self.record(world)).collect();
        match self.role {
            Role::Client => {
                Message::Put { request: 1, conditions: Vec::new(), records, blocks: Vec::new() }
            }
            Role::Node => {
                let item = |record| PushedRecord { record, block: Bytes::new() };
                Message::Records { items: records.into_iter().map(item).collect() }
            }
        }
    }

    fn record(&mut self, world: &World) -> Bytes {
        let write = world.write_key();
        let mut record = Record {
            format: FORMAT,
            kind: RecordKind::Tombstone,
            space: Default::default(),
            name: NameId(self.rng.random()),
            version: VersionId {
                stamp: stamp_at(world.time().wall_ms),
                writer: Writer(self.rng.random()),
            },
            parents: Vec::new(),
            epoch: 1,
            signer: write.public(),
            blocks: BlockList::Inline(Vec::new()),
            extensions: Vec::new(),
            sealed_tag: self.rng.random(),
            sealed: vec![7; self.sealed],
            signature: [0; 64],
        };
        record.signature = sign::sign(&write.sign, tags::RECORD, &record.signed_bytes());
        record.to_bytes().into()
    }
}

fn records_of_a_message(role: Role, sealed: usize) -> usize {
    let most = match role {
        Role::Client => PUT_RECORDS_MAX,
        Role::Node => MESSAGE_RECORDS_MAX / 2,
    };
    most.min(FRAME_BODY_MAX / (sealed + AROUND))
}

#[test]
fn a_few_seeds_have_many_records_and_fewer_very_many() {
    let counts = |least: usize| {
        let bulks = (0..20_000).filter_map(Bulk::of);
        bulks.filter(|bulk| bulk.left >= least).count()
    };
    assert!((600..1_000).contains(&counts(0)) && (3..20).contains(&counts(50_000)));
}
