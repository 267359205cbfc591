//! The prober: a client that asks for versions and for parts of files, which the product's client does not do yet.
//!
//! Opens what it gets by itself, with the keys of the network. Invariant: it asks one thing at a time.

use super::content::{Name, name_bytes};
use super::disk::Stated;
use super::history::{Observed, Seen, Told};
use super::ledger::Ledger;
use crate::sim::client::program::access;
use crate::sim::raw::RawClient;
use crate::sim::world::World;
use bytes::Bytes;
use dfsd::conn::Event;
use dfsd::crypto::block::keystream;
use dfsd::crypto::keys::DataKeys;
use dfsd::crypto::tree::leaf_hash;
use dfsd::ids::{Hash, VersionId};
use dfsd::limits::LEAF;
use dfsd::session::ClientError;
use dfsd::time::Instant;
use dfsd::wire::frame::{Open, leaves_of};
use dfsd::wire::message::{BlockRef, Message};
use dfsd::wire::record::{BlockList, RecordKind, Secret};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// Between two questions, at most.
const PACE_MS: u64 = 300;

/// What it waits for.
#[derive(Debug)]
enum Waiting {
    /// For a name's versions, which this node knew to be at least these.
    Heads { floor: Option<VersionId> },
    /// For leaves of a block that begins so far into the file.
    Leaves { of: Seen, begins: u64, secret: Secret, open: Option<Open> },
}

/// See the module.
pub(super) struct Prober {
    rng: ChaCha8Rng,
    data: DataKeys,
    machine: usize,
    boot: u64,
    client: Option<RawClient>,
    name: Name,
    asked: Instant,
    waiting: Option<Waiting>,
    due: Instant,
    pub(super) told: Vec<Observed>,
}

impl Prober {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x0070_726f_6265),
            data: access().data.expect("these keys are whole"),
            machine: 0,
            boot: 0,
            client: None,
            name: 0,
            asked: Instant(0),
            waiting: None,
            due: Instant(0),
            told: Vec::new(),
        }
    }

    pub(super) fn next_step(&self) -> Instant {
        self.due
    }

    /// Asks nothing more until then.
    pub(super) fn rest(&mut self, until: Instant) {
        self.due = until;
    }

    /// Since when it waits, and for what.
    pub(super) fn oldest(&self) -> Option<(Instant, String)> {
        let waiting = self.waiting.as_ref()?;
        Some((self.asked, format!("{waiting:?} of name {} of node {}", self.name, self.machine)))
    }

    pub(super) fn hang_up(&mut self, world: &mut World) {
        self.waiting = None;
        if let Some(client) = self.client.take() {
            client.hang_up(world);
        }
    }

    pub(super) fn step(&mut self, world: &mut World, ledger: &mut Ledger, begin: bool) {
        let now = world.time().instant;
        if world.is_frozen(self.machine) {
            // Who stands still is not waited for.
            self.asked = now;
        }
        if self.client.as_ref().is_some_and(|client| !client.is_alive(world)) {
            self.client = None;
            self.waiting = None;
        }
        while let Some(event) = self.client.as_mut().and_then(|client| client.poll(world)) {
            self.happen(world, ledger, event);
        }
        if self.due > now {
            return;
        }
        self.due = now + Duration::from_millis(1 + self.rng.random_range(0..PACE_MS));
        if begin && self.waiting.is_none() {
            self.begin(world, ledger);
        }
    }

    fn begin(&mut self, world: &mut World, ledger: &Ledger) {
        if self.client.is_none() || self.rng.random_range(0..8) == 0 {
            self.hang_up(world);
            self.machine = self.rng.random_range(0..world.machines.len());
            if !world.is_running(self.machine) || world.is_frozen(self.machine) {
                return;
            }
            self.boot = world.machines[self.machine].boots;
            self.client = Some(RawClient::connect(world, self.machine));
        }
        self.name = self.rng.random_range(0..ledger.names);
        self.asked = world.time().instant;
        let floor = ledger.floor(self.machine, self.name);
        self.waiting = Some(Waiting::Heads { floor });
        let space = Default::default();
        let name = self.data.name_id(&space, &name_bytes(self.name));
        self.send(world, &Message::Head { request: 1, space, name, relay: true });
    }

    fn send(&mut self, world: &mut World, message: &Message) {
        if let Some(client) = &mut self.client {
            client.send(message);
            client.pump(world);
        }
    }

    fn happen(&mut self, world: &mut World, ledger: &mut Ledger, event: Event) {
        match (self.waiting.take(), event) {
            (
                Some(Waiting::Heads { floor }),
                Event::Message(Message::Heads { versions, kept, shown, .. }),
            ) => self.heads(world, ledger, floor, (versions, kept, shown)),
            (Some(Waiting::Leaves { of, begins, secret, .. }), Event::Opened(open)) => {
                let open = Some(open);
                self.waiting = Some(Waiting::Leaves { of, begins, secret, open });
            }
            (Some(Waiting::Leaves { of, begins, secret, open }), Event::Chunk { index, data }) => {
                let at = u64::from(index) * LEAF as u64;
                let is_right = is_stated(open.as_ref(), index, &data);
                self.leaf(world, (of, begins + at), (&secret, at), (is_right, data));
                self.waiting = Some(Waiting::Leaves { of, begins, secret, open });
            }
            (Some(Waiting::Leaves { .. }), Event::Ended | Event::Aborted) => {}
            (
                Some(Waiting::Leaves { .. }),
                Event::Message(Message::Absent { .. } | Message::Damaged { .. }),
            ) => {
                self.tell(world, None, Told::Failed(ClientError::Unavailable));
            }
            (Some(Waiting::Heads { .. }), Event::Message(Message::DamagedHeads { kept, .. })) => {
                let error = match kept {
                    true => ClientError::Damaged("the newest version is damaged".to_owned()),
                    false => ClientError::Unavailable,
                };
                self.tell(world, None, Told::Failed(error));
            }
            (Some(_), Event::Message(Message::Refused { reason, detail, .. })) => {
                self.tell(world, None, Told::Failed(ClientError::Refused(reason, detail)));
            }
            (waiting, _) => self.waiting = waiting,
        }
    }

    /// A leaf: right or not, which only its stated hash says, as for any reader.
    fn leaf(
        &mut self,
        world: &World,
        (of, offset): (Seen, u64),
        (secret, at): (&Secret, u64),
        (is_right, data): (bool, Bytes),
    ) {
        if !is_right {
            let error = ClientError::Damaged("a leaf is not what its hash says".to_owned());
            return self.tell(world, None, Told::Failed(error));
        }
        let mut leaf = Vec::from(data);
        keystream(&secret.key, &mut leaf, at);
        self.tell(world, None, Told::Bytes { of, offset, bytes: Bytes::from(leaf) });
    }

    fn heads(
        &mut self,
        world: &mut World,
        ledger: &mut Ledger,
        floor: Option<VersionId>,
        (heads, kept, shown): (Vec<VersionId>, bool, Option<Bytes>),
    ) {
        let stated = shown.and_then(|shown| Stated::of(&shown, &self.data));
        let greatest = stated.as_ref().map(|stated| stated.version);
        self.tell(world, floor, Told::Versions { heads, greatest });
        let Some(stated) = stated else { return };
        if kept {
            ledger.raise_floor((self.machine, self.asked), self.name, stated.version);
        }
        let Some(sealed) = stated.sealed.filter(|_| stated.kind == RecordKind::File) else {
            return;
        };
        let (version, hash, size) = (stated.version, Hash(sealed.hash), sealed.size);
        let of = Seen { version, hash, size };
        self.tell(world, floor, Told::Shown(of));
        let BlockList::Inline(blocks) = stated.blocks else { return };
        if !blocks.is_empty() {
            let at = self.rng.random_range(0..blocks.len());
            let begins = blocks[..at].iter().map(|block| u64::from(block.length)).sum();
            let secret = sealed.secrets[at].clone();
            self.waiting = Some(Waiting::Leaves { of, begins, secret, open: None });
            self.want(world, blocks[at]);
        }
    }

    /// Some leaves of a block, from anywhere to anywhere.
    fn want(&mut self, world: &mut World, block: BlockRef) {
        let leaves = u8::try_from(leaves_of(block.length)).expect("a block has 32 leaves");
        let first = self.rng.random_range(0..leaves);
        let count = self.rng.random_range(1..=leaves - first);
        self.send(world, &Message::Want { block, first, count });
    }

    fn tell(&mut self, world: &World, floor: Option<VersionId>, what: Told) {
        let (machine, boot, name) = (self.machine, self.boot, self.name);
        let (asked, told) = (self.asked, world.time().instant);
        self.told.push(Observed { machine, boot, name, floor, asked, told, what });
    }
}

/// Whether a leaf is what the stream's beginning has said, whose hashes are the address's.
fn is_stated(open: Option<&Open>, index: u8, data: &[u8]) -> bool {
    open.is_some_and(|open| open.leaves.get(usize::from(index)) == Some(&leaf_hash(data)))
}
