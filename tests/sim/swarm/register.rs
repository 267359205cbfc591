//! The register: every record that was seen on a disk at some time of a run, and which of them may have expired since.
//!
//! Knows no client and judges nothing. Invariant: a version counts as one that may have expired only if something supersedes
//! it that is old enough by the calendar of some machine.

use super::content::{Name, name_bytes};
use super::disk::{Stated, records};
use crate::sim::client::program::access;
use crate::sim::world::World;
use dfsd::crypto::keys::DataKeys;
use dfsd::ids::{NameId, RecordId, VersionId};
use dfsd::limits::{RETENTION_DEFAULT, SUPERSEDED_MIN};
use dfsd::server::Summary;
use dfsd::time::{Instant, step_after, step_ms, steps_of};
use std::collections::BTreeMap;
use std::time::Duration;

/// The disks are looked at so often: whatever is superseded stays for longer, unless a clock jumps.
const PERIOD: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Register {
    data: DataKeys,
    names: BTreeMap<NameId, Name>,
    records: BTreeMap<RecordId, Stated>,
    /// The least stamp of what supersedes each version.
    superseded: BTreeMap<(Name, VersionId), u64>,
    /// Of each machine how often it had been started when its disk was last looked at, and what its node had if it ran.
    looked: BTreeMap<usize, (u64, Option<Summary>)>,
    due: Instant,
    /// The shortest that the network was ever set to.
    retention: Duration,
    /// The last time that any machine's calendar has shown, and how far that was ahead at most.
    latest_ms: u64,
    pub(super) most_ahead_ms: i64,
    /// Some machine's calendar was not that of the world: a version may have come and gone between two looks.
    is_turned: bool,
}

impl Default for Register {
    fn default() -> Self {
        Self {
            data: access().data.expect("these keys are whole"),
            names: BTreeMap::new(),
            records: BTreeMap::new(),
            superseded: BTreeMap::new(),
            looked: BTreeMap::new(),
            due: Instant(0),
            retention: RETENTION_DEFAULT,
            latest_ms: 0,
            most_ahead_ms: 0,
            is_turned: false,
        }
    }
}

impl Register {
    pub(super) fn new(names: usize) -> Self {
        let register = Self::default();
        let id = |name| register.data.name_id(&Default::default(), &name_bytes(name));
        let names = (0..names).map(|name| (id(name), name)).collect();
        Self { names, ..register }
    }

    /// The network is about to be set to this.
    pub(super) fn set(&mut self, retention: Duration) {
        self.retention = self.retention.min(retention);
    }

    /// Whether anything can expire in a run.
    pub(super) fn is_short(&self) -> bool {
        self.retention < RETENTION_DEFAULT
    }

    /// Whether some version may have come and gone unseen.
    pub(super) fn may_have_missed(&self) -> bool {
        self.is_short() && self.is_turned
    }

    /// Takes note of what time it is everywhere, and looks at the disks if that is due.
    pub(super) fn watch(&mut self, world: &World) {
        let ahead = world.machines.iter().map(|machine| machine.ahead_ms);
        self.is_turned |= ahead.clone().any(|ahead| ahead != 0);
        let ahead = ahead.max().unwrap_or(0);
        self.most_ahead_ms = self.most_ahead_ms.max(ahead);
        self.latest_ms = self.latest_ms.max(world.time().wall_ms.saturating_add_signed(ahead));
        if self.is_short() && self.due <= world.time().instant {
            self.look(world);
        }
    }

    /// Looks at the disks of all machines that have something else than when they were last looked at.
    pub(super) fn look(&mut self, world: &World) {
        self.due = world.time().instant + PERIOD;
        for machine in 0..world.machines.len() {
            let there = &world.machines[machine];
            let state = (there.boots, world.node(machine).map(dfsd::node::Node::summary));
            if self.looked.get(&machine) != Some(&state) {
                let known = &self.records;
                let disk = there.fs.restart();
                let (found, is_all) = records(disk, &self.data, |id| !known.contains_key(id));
                if is_all {
                    self.looked.insert(machine, state);
                }
                found.into_iter().for_each(|stated| self.add(stated));
            }
        }
    }

    /// A record was seen.
    pub(super) fn add(&mut self, stated: Stated) {
        if let Some(name) = self.names.get(&stated.name) {
            for parent in &stated.parents {
                let least = self.superseded.entry((*name, *parent)).or_insert(u64::MAX);
                *least = stated.version.stamp.min(*least);
            }
        }
        self.records.insert(stated.id, stated);
    }

    /// All versions of a name that were ever seen.
    pub(super) fn versions(&self, name: Name) -> impl Iterator<Item = &Stated> {
        self.records.values().filter(move |stated| self.names.get(&stated.name) == Some(&name))
    }

    /// Which name this is.
    pub(super) fn name(&self, id: &NameId) -> Option<Name> {
        self.names.get(id).copied()
    }

    /// Whether a version was seen.
    pub(super) fn has_seen(&self, name: Name, version: VersionId) -> bool {
        self.versions(name).any(|stated| stated.version == version)
    }

    /// Whether a version may have expired by now. `has_unseen`: something may supersede it that was not seen.
    pub(super) fn may_have_expired(
        &self,
        name: Name,
        version: VersionId,
        has_unseen: impl FnOnce() -> bool,
    ) -> bool {
        let seen = self.superseded.get(&(name, version)).copied();
        // A version that is slow to come expires what it supersedes by its stamp all the same.
        let unseen = || has_unseen().then_some(version.stamp);
        if !self.is_short() {
            return false;
        }
        seen.into_iter().chain(unseen()).min().is_some_and(|stamp| {
            let life = steps_of(self.retention.max(SUPERSEDED_MIN));
            step_ms(step_after(stamp).saturating_add(life)) <= self.latest_ms
        })
    }
}
