//! The audit: when all faults are mended, everything that can be known of a network from outside is gathered.
//!
//! Judges nothing. Invariant: what stands in an audit was seen on a disk, or told by a node.

mod ends;

pub(super) use ends::{Knowledge, Left};

use super::adversary::Deeds;
use super::content::{Name, name_bytes};
use super::disk::{Holding, Stated, visit};
use super::faults::agree;
use super::history::Seen;
use super::inspector::{End, Inspector};
use super::key_search::KeySearch;
use super::ledger::Ledger;
use super::reader::Reader;
use crate::sim::client::program::access;
use crate::sim::world::{Toil, World};
use dfsd::crypto::keys::DataKeys;
use dfsd::crypto::tree;
use dfsd::ids::{Address, Hash, NameId, NodeId, RecordId, VersionId};
use dfsd::node::Node;
use dfsd::session::{Answer, ClientError, Operation};
use dfsd::wire::message::NodeStatus;
use dfsd::wire::sync_state::SyncState;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The longest that nodes may take to agree: a dead connection is noticed after ninety seconds at most, its redial takes
/// five, and nodes compare what they have once a minute.
const SETTLED_WITHIN: Duration = Duration::from_secs(240);
/// So long what was on its way when they agreed may take to come.
const QUIET_WITHIN: Duration = Duration::from_secs(20);
/// So long nothing happens afterwards: long enough for every timer of a node to come round.
const CALM: Duration = Duration::from_secs(150);
/// Between two looks.
const STEP: Duration = Duration::from_millis(500);
/// Versions that are not shown and are read all the same, at most.
const OLD_READ: usize = 16;

/// What a real client got for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// These bytes of this version, all of them.
    File {
        seen: Seen,
        hash: Hash,
        came: u64,
    },
    Absent,
    /// An error, after some bytes that were right or not.
    Failed(ClientError),
}

/// One node, its disk included.
#[derive(Debug, Default)]
pub(super) struct NodeView {
    /// Why the disk would not open, if so.
    pub(super) unreadable: Option<String>,
    pub(super) records: BTreeMap<RecordId, Stated>,
    pub(super) blocks: BTreeSet<Address>,
    pub(super) status: Option<NodeStatus>,
    pub(super) readings: BTreeMap<Name, Reading>,
    /// The versions of each name that none supersedes, as told.
    pub(super) heads: BTreeMap<Name, Vec<VersionId>>,
    /// The record that is told to be shown or the tombstone, for each name.
    pub(super) greatest: BTreeMap<Name, RecordId>,
    /// All versions of each name, the newest first, and whether another supersedes each; as told.
    pub(super) listed: BTreeMap<Name, Vec<(VersionId, bool)>>,
    /// What the node itself found to be damaged.
    pub(super) bad: Vec<Address>,
    pub(super) left: Left,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// How long it took until all nodes said the same of themselves and none was busy; or what they said in the end.
    pub(super) settled: Option<Duration>,
    /// What changed on its own when all was calm.
    pub(super) stirred: Option<String>,
    /// What was done in that time.
    pub(super) toil: Toil,
    pub(super) nodes: Vec<NodeView>,
    pub(super) names: BTreeMap<NameId, Name>,
    /// Which machines are said to hold what is shown, by name.
    pub(super) holders: BTreeMap<Name, BTreeSet<usize>>,
    /// The bytes of versions that are kept and not shown: their hash, or why they cannot be read.
    pub(super) old: BTreeMap<RecordId, Result<Hash, String>>,
    /// What was found on the disks that must not be there.
    pub(super) leaks: Vec<String>,
    /// What an adversary has made without the right to.
    pub(super) forged: Deeds,
    /// It was waited for longer than anybody counts on what he was served.
    pub(super) waited_long: bool,
}

impl Audit {
    /// All versions of a name on all nodes, in their order.
    pub(super) fn versions(&self, name: Name) -> BTreeMap<(VersionId, RecordId), &Stated> {
        let records = self.nodes.iter().flat_map(|node| node.records.values());
        let of = records.filter(|stated| self.names.get(&stated.name) == Some(&name));
        of.map(|stated| ((stated.version, stated.id), stated)).collect()
    }

    /// Looks at everything.
    pub(super) fn take(
        world: &mut World,
        ledger: &Ledger,
        leaks_of: impl Fn(&str, &[u8]) -> Option<String>,
    ) -> Self {
        let mut audit = Self::default();
        let data = access().data.expect("these keys are whole");
        let name_id = |name: Name| data.name_id(&Default::default(), &name_bytes(name));
        audit.names = (0..ledger.names).map(|name| (name_id(name), name)).collect();
        audit.nodes.resize_with(world.machines.len(), NodeView::default);
        audit.settle(world);
        audit.wait_calmly(world);
        // A handshake is dear: each node gets one inspector and one reader.
        let mut inspectors: Vec<Option<Inspector>> = audit.nodes.iter().map(|_| None).collect();
        audit.ask_all(world, &mut inspectors);
        audit.look_at_rest(world, &mut inspectors);
        audit.read_all(world, ledger, &mut inspectors);
        restart_damaged(world);
        audit.read_disks(world, &data);
        audit.ask_holders(world, ledger, &mut inspectors[0]);
        inspectors.into_iter().flatten().for_each(|inspector| inspector.hang_up(world));
        audit.read_by_readers(world, ledger);
        audit.search_disks(world, leaks_of);
        audit.start_again(world);
        audit
    }

    fn settle(&mut self, world: &mut World) {
        let begun = world.time().instant;
        while world.time().instant.since(begun) < SETTLED_WITHIN {
            if is_settled(world) {
                self.settled = Some(world.time().instant.since(begun));
                return;
            }
            world.run(STEP, |_| false);
        }
    }

    /// What each node says of itself. What does not agree now has not settled.
    fn ask_all(&mut self, world: &mut World, inspectors: &mut [Option<Inspector>]) {
        for (machine, (node, inspector)) in self.nodes.iter_mut().zip(inspectors).enumerate() {
            node.status = ask_status(world, machine, inspector);
        }
        self.settled = self.settled.filter(|_| self.agree());
    }

    fn wait_calmly(&mut self, world: &mut World) {
        let summaries = |world: &World| {
            let one = |machine| world.node(machine).map(Node::summary);
            (0..world.machines.len()).map(one).collect::<Vec<_>>()
        };
        let before = summaries(world);
        // What has been pushed to a node that has it from another meanwhile may still be on its way.
        for _ in 0..QUIET_WITHIN.as_millis() / STEP.as_millis() {
            if world.toil_of(STEP) == Toil::default() {
                break;
            }
        }
        self.toil = world.toil_of(CALM);
        let after = summaries(world);
        if self.settled.is_some() && before != after {
            self.stirred = Some(format!("{before:?} became {after:?}"));
        }
    }

    /// All nodes run, know each other, and say the same; none is busy.
    fn agree(&self) -> bool {
        let others = u32::try_from(self.nodes.len() - 1).expect("a few nodes");
        let first = self.nodes[0].status.as_ref();
        self.nodes.iter().all(|node| match (&node.status, first) {
            (Some(status), Some(first)) => {
                (status.names, status.records) == (first.names, first.records)
                    && (status.incomplete, status.memory_used) == (0, 0)
                    && status.peers_connected == others
                    && status.sync == SyncState::Complete
            }
            _ => false,
        })
    }

    /// Through a real client on each node.
    fn read_all(
        &mut self,
        world: &mut World,
        ledger: &Ledger,
        inspectors: &mut [Option<Inspector>],
    ) {
        for (machine, slot) in inspectors.iter_mut().enumerate() {
            let Some(inspector) = opened(world, machine, slot) else { continue };
            let get = |name| Operation::Get { name: name_bytes(name) };
            let ends = inspector.call_all(world, (0..ledger.names).map(get).collect());
            let mut readings: BTreeMap<_, _> = ends.into_iter().map(reading).enumerate().collect();
            for (name, reading_of) in &mut readings {
                // What is damaged is had anew once it has been seen.
                if matches!(reading_of, Reading::Failed(_)) {
                    world.run(Duration::from_secs(5), |_| false);
                    *reading_of = reading(inspector.call(world, get(*name)));
                }
            }
            self.nodes[machine].readings = readings;
            // What could not be read well has been noted by the node, and is had anew; or nobody needs it, which is known after
            // the next mark.
            for _ in 0..20 {
                let verify = inspector.call(world, Operation::Verify);
                let Ok(Answer::Verified { bad, .. }) = verify.result else { break };
                self.nodes[machine].bad = bad;
                if self.nodes[machine].bad.is_empty() {
                    break;
                }
                world.run(Duration::from_secs(15), |_| false);
            }
        }
    }

    fn read_by_readers(&mut self, world: &mut World, ledger: &Ledger) {
        let running = (0..self.nodes.len()).filter(|machine| world.is_running(*machine));
        let machines: Vec<_> = running.collect();
        let mut readers: BTreeMap<usize, Reader> = BTreeMap::new();
        for machine in machines {
            readers.insert(machine, Reader::connect(world, machine));
        }
        for (machine, reader) in &mut readers {
            self.ask_versions(world, *machine, reader);
        }
        self.read_old(world, ledger, &mut readers);
        readers.into_values().for_each(|reader| reader.hang_up(world));
    }

    fn ask_versions(&mut self, world: &mut World, machine: usize, reader: &mut Reader) {
        for (id, name) in &self.names {
            if let Some((heads, shown)) = reader.head(world, *id) {
                let node = &mut self.nodes[machine];
                node.heads.insert(*name, heads);
                if let Some(record) = shown {
                    let id = dfsd::crypto::keys::record_id(&record);
                    node.greatest.insert(*name, id);
                }
            }
            if let Some(listed) = reader.versions(world, *id) {
                self.nodes[machine].listed.insert(*name, listed);
            }
        }
    }

    fn read_disks(&mut self, world: &World, data: &DataKeys) {
        for (machine, node) in self.nodes.iter_mut().enumerate() {
            match Holding::of(world.machines[machine].fs.restart(), data) {
                Ok(holding) => {
                    node.left.reach = holding.reach();
                    (node.records, node.blocks) = (holding.records, holding.blocks);
                }
                Err(why) => node.unreadable = Some(why),
            }
        }
    }

    fn ask_holders(
        &mut self,
        world: &mut World,
        ledger: &Ledger,
        inspector: &mut Option<Inspector>,
    ) {
        let machines: BTreeMap<NodeId, usize> =
            (0..self.nodes.len()).map(|machine| (world.node_id(machine), machine)).collect();
        let Some(inspector) = opened(world, 0, inspector) else { return };
        let shown: Vec<(Name, RecordId)> = (0..ledger.names)
            .filter_map(|name| {
                let (_, stated) = self.versions(name).pop_last()?;
                stated.is_file().then_some((name, stated.id))
            })
            .collect();
        let ask = |(_, record): &(Name, RecordId)| Operation::Holders { record: *record };
        let ends = inspector.call_all(world, shown.iter().map(ask).collect());
        for ((name, _), end) in shown.iter().zip(ends) {
            if let Ok(Answer::Holders(holders)) = end.result {
                let held = holders.listed.iter();
                let held = held.filter_map(|holder| machines.get(&holder.node)).copied();
                self.holders.insert(*name, held.collect());
            }
        }
    }

    /// Versions that are acknowledged, kept and not shown, each from one node.
    fn read_old(
        &mut self,
        world: &mut World,
        ledger: &Ledger,
        readers: &mut BTreeMap<usize, Reader>,
    ) {
        let mut old: Vec<Stated> = Vec::new();
        for name in 0..ledger.names {
            let versions = self.versions(name);
            let below = versions.values().rev().skip(1).filter(|stated| stated.is_file());
            let kept = below.filter(|stated| ledger.must_be_kept(name, stated.version));
            old.extend(kept.map(|stated| (*stated).clone()));
        }
        // The same few for the same seed, and others for another.
        old.sort_by_key(|stated| stated.sealed_tag);
        old.truncate(OLD_READ);
        let machines: Vec<_> = readers.keys().copied().collect();
        for (turn, stated) in old.iter().enumerate() {
            let reader = machines.get(turn % machines.len().max(1));
            let Some(reader) = reader.and_then(|machine| readers.get_mut(machine)) else { return };
            let read = reader.read(world, stated).map(|bytes| tree::tree(&bytes));
            self.old.insert(stated.id, read);
        }
    }

    /// For marks, and for the keys that stand sealed in the records.
    fn search_disks(&mut self, world: &World, leaks_of: impl Fn(&str, &[u8]) -> Option<String>) {
        let records = self.nodes.iter().flat_map(|node| node.records.values());
        let sealed = records.filter_map(|stated| stated.sealed.as_ref());
        let keys = sealed.flat_map(|sealed| sealed.secrets.iter().map(|secret| secret.key));
        let search = KeySearch::new(keys.collect());
        for (machine, there) in world.machines.iter().enumerate() {
            visit(&there.fs, |path, bytes| {
                if let Some(leak) = leaks_of(path, bytes) {
                    self.leaks.push(format!("node {machine}, {path}: {leak}"));
                }
                if let Some(at) = search.find(bytes) {
                    self.leaks
                        .push(format!("node {machine}, {path}: a block's key, {at} bytes in"));
                }
            });
        }
    }
}

/// What is rotten between the items of a log is met by a start alone. What is not here then comes from the others.
fn restart_damaged(world: &mut World) {
    let damaged = |machine: &usize| world.machines[*machine].harm > 0 && world.is_running(*machine);
    for machine in (0..world.machines.len()).filter(damaged).collect::<Vec<_>>() {
        world.kill(machine);
        world.start(machine, Vec::new());
        let begun = world.time().instant;
        while !is_settled(world) && world.time().instant.since(begun) < SETTLED_WITHIN {
            world.run(STEP, |_| false);
        }
    }
}

/// All nodes run, know each other, have the same, and none is busy.
fn is_settled(world: &World) -> bool {
    let others = world.machines.len() - 1;
    let rests = |machine| {
        let node: Option<&Node> = world.node(machine);
        node.is_some_and(|node| node.summary().peers == others && node.gauge().reserved == 0)
    };
    agree(world) && (0..=others).all(rests)
}

fn opened<'a>(
    world: &mut World,
    machine: usize,
    slot: &'a mut Option<Inspector>,
) -> Option<&'a mut Inspector> {
    if !slot.as_ref().is_some_and(|inspector| inspector.is_open(world)) {
        *slot = if world.is_running(machine) { Inspector::open(world, machine) } else { None };
    }
    slot.as_mut()
}

fn ask_status(
    world: &mut World,
    machine: usize,
    slot: &mut Option<Inspector>,
) -> Option<NodeStatus> {
    match opened(world, machine, slot)?.call(world, Operation::Status).result {
        Ok(Answer::Status(status)) => Some(*status),
        _ => None,
    }
}

fn reading(end: End) -> Reading {
    match end.result {
        Ok(Answer::Got(entry)) => {
            let data = end.data.concat();
            let seen = Seen { version: entry.version, hash: entry.hash, size: entry.size };
            Reading::File { seen, hash: tree::tree(&data), came: data.len() as u64 }
        }
        Err(ClientError::NotFound) => Reading::Absent,
        Err(error) => Reading::Failed(error),
        Ok(_) => Reading::Failed(ClientError::Protocol("another answer".to_owned())),
    }
}
