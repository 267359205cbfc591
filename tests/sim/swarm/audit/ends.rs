//! What is left of what has expired, and what a start makes of a disk on which nothing is under way.
//!
//! Judges nothing. Invariant: a node is compared with its own start while it hears of nobody else.

use super::{Audit, NodeView, STEP, opened};
use crate::sim::client::program::access;
use crate::sim::swarm::disk::Holding;
use crate::sim::swarm::inspector::Inspector;
use crate::sim::swarm::reader::Reader;
use crate::sim::world::World;
use dfsd::ids::{Address, NameId, VersionId};
use dfsd::limits::SUPERSEDED_MIN;
use dfsd::node::Node;
use dfsd::session::{Answer, Operation};
use dfsd::store::fs::FileSystem;
use dfsd::time::{step_after, step_ms, steps_of};
use dfsd::wire::message::RangeSummary;
use dfsd::wire::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};

/// All versions of a name, and whether another supersedes each.
type Listed = BTreeMap<NameId, Vec<(VersionId, bool)>>;

/// What a node knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sim::swarm) struct Knowledge {
    pub(in crate::sim::swarm) records: RangeSummary,
    pub(in crate::sim::swarm) incomplete: u64,
    /// Records of which the disk lacks something.
    pub(in crate::sim::swarm) lacking: u64,
    pub(in crate::sim::swarm) listed: Listed,
    /// The versions that none supersedes, as told.
    pub(in crate::sim::swarm) heads: BTreeMap<NameId, Vec<VersionId>>,
}

/// What is left on a machine.
#[derive(Debug, Default)]
pub(in crate::sim::swarm) struct Left {
    /// Its disk has lost nothing.
    pub(in crate::sim::swarm) is_sound: bool,
    pub(in crate::sim::swarm) calendar_ms: u64,
    pub(in crate::sim::swarm) settings: Option<Settings>,
    /// Blocks that are files.
    pub(in crate::sim::swarm) files: BTreeSet<Address>,
    /// Blocks that its records name.
    pub(in crate::sim::swarm) reach: BTreeSet<Address>,
    /// Bytes of the segment of its log that is written to.
    pub(in crate::sim::swarm) open_segment: u64,
    /// Before it was started once more, and after that.
    pub(in crate::sim::swarm) knows: Option<(Knowledge, Knowledge)>,
}

impl Audit {
    /// Looks at what is left, before anybody asks for anything more.
    pub(super) fn look_at_rest(&mut self, world: &mut World, inspectors: &mut [Option<Inspector>]) {
        for (machine, (node, inspector)) in self.nodes.iter_mut().zip(inspectors).enumerate() {
            let Some(inspector) = opened(world, machine, inspector) else { continue };
            let asked = inspector.call(world, Operation::Settings { change: Vec::new() });
            let settings = match asked.result {
                Ok(Answer::Settings { settings, .. }) => {
                    let set = settings.iter().filter_map(|told| told.value);
                    Some(set.fold(Settings::default(), Settings::with))
                }
                _ => None,
            };
            let (there, now) = (&world.machines[machine], world.time());
            let paths = there.fs.paths("");
            // What could not be removed stays until a start finds it.
            let unremoved = there.fs.unremoved();
            let files = paths.iter().filter(|path| !unremoved.contains(*path));
            let files = files.filter_map(|path| path.strip_prefix("blocks/"));
            let files = files.filter_map(|path| path.rsplit('/').next()?.parse().ok()).collect();
            let log = paths.iter().filter(|path| path.starts_with("log/")).max();
            let length = log.and_then(|path| there.fs.length(&there.fs.open(path).ok()?).ok());
            node.left = Left {
                is_sound: there.harm == 0,
                calendar_ms: now.wall_ms.saturating_add_signed(there.ahead_ms),
                settings,
                files,
                open_segment: length.unwrap_or(0),
                ..Left::default()
            };
        }
    }

    /// Starts every node once more, each on its own, and asks it what it knows.
    pub(super) fn start_again(&mut self, world: &mut World) {
        for machine in 0..self.nodes.len() {
            if !world.is_running(machine) || world.machines[machine].harm > 0 {
                continue;
            }
            for other in (0..self.nodes.len()).filter(|other| *other != machine) {
                world.part(machine, other);
            }
            let names: Vec<NameId> = self.names.keys().copied().collect();
            let before = knowledge(world, machine, &names);
            match world.dice(2) {
                0 => world.kill(machine),
                _ => world.power_cut(machine),
            }
            world.start(machine, Vec::new());
            world.run(STEP, |_| false);
            let after = knowledge(world, machine, &names);
            self.nodes[machine].left.knows = before.zip(after);
        }
    }
}

fn knowledge(world: &mut World, machine: usize, names: &[NameId]) -> Option<Knowledge> {
    let summary = world.node(machine).map(Node::summary)?;
    let keys = access().data.expect("these keys are whole");
    let mut reader = Reader::connect(world, machine);
    let (mut listed, mut heads) = (BTreeMap::new(), BTreeMap::new());
    for name in names {
        listed.insert(*name, reader.versions(world, *name)?);
        heads.insert(*name, reader.head(world, *name)?.0);
    }
    reader.hang_up(world);
    let (records, incomplete) = (summary.records, summary.incomplete);
    let lacking = Holding::of(world.machines[machine].fs.restart(), &keys).ok()?.lacking();
    Some(Knowledge { records, incomplete, lacking, listed, heads })
}

impl NodeView {
    /// When a version of a node expires, by what it has itself, in milliseconds since 1970; none for one that does not.
    pub(in crate::sim::swarm) fn expiries(&self) -> BTreeMap<(NameId, VersionId), u64> {
        let Some(settings) = &self.left.settings else { return BTreeMap::new() };
        let life = steps_of(settings.retention.max(SUPERSEDED_MIN));
        let mut expiries = BTreeMap::new();
        for stated in self.records.values() {
            let at = step_ms(step_after(stated.version.stamp).saturating_add(life));
            for parent in &stated.parents {
                let expires = expiries.entry((stated.name, *parent)).or_insert(at);
                *expires = at.min(*expires);
            }
        }
        expiries
    }
}
