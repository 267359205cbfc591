//! G4: what is overwritten or deleted stays among the versions of its name: every node lists all that it knows, the newest
//! first, wherever one answer ends and the next begins.

use super::Oracle;
use crate::sim::swarm::audit::Audit;
use crate::sim::swarm::disk::Stated;
use crate::sim::swarm::history::{Observed, Told};
use crate::sim::swarm::ledger::{Ledger, Write};
use crate::sim::swarm::plan::Promise;
use dfsd::ids::{RecordId, VersionId};
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Lists;

impl Oracle for Lists {
    fn name(&self) -> &'static str {
        "G4 lists of versions"
    }

    /// A node lists all that it has acknowledged and that has not expired.
    fn heard(&mut self, ledger: &Ledger, observed: &Observed) -> Result<(), String> {
        let Told::Listed { versions } = &observed.what else { return Ok(()) };
        let (machine, name) = (observed.machine, observed.name);
        let place = observed.place();
        if !versions.is_sorted_by(|one, two| one > two) {
            return Err(format!("{place}: it lists versions {versions:?}"));
        }
        let is_due = |write: &Write| {
            write.machine == machine
                && write.ended.is_some_and(|ended| ended <= observed.asked)
                && ledger.is_trusted(machine, write.begun)
        };
        let lacks = |version: &VersionId| {
            !versions.contains(version) && !ledger.may_have_expired(name, *version)
        };
        let mut due = ledger.acknowledged(name).filter(|(_, write)| is_due(write));
        match due.find(|(version, _)| lacks(version)) {
            Some((version, _)) => {
                Err(format!("{place}: it lists versions {versions:?}, and not {version}"))
            }
            None => Ok(()),
        }
    }

    fn at_end(&mut self, ledger: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        if promise == Promise::Beyond {
            return Ok(());
        }
        for name in 0..ledger.names {
            let versions = audit.versions(name);
            for (machine, node) in audit.nodes.iter().enumerate() {
                let Some(told) = node.listed.get(&name) else { continue };
                let listed = listed(&versions, |id| node.records.contains_key(id));
                if *told != listed {
                    return Err(format!(
                        "node {machine}, name {name}: lists versions {told:?}, not {listed:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// The versions of which a node has the record, the newest first, and whether another of them supersedes each.
fn listed(
    versions: &BTreeMap<(VersionId, RecordId), &Stated>,
    is_here: impl Fn(&RecordId) -> bool,
) -> Vec<(VersionId, bool)> {
    let known = || versions.values().filter(|stated| is_here(&stated.id));
    let superseded: BTreeSet<_> =
        known().flat_map(|stated| stated.parents.iter().copied()).collect();
    known().rev().map(|stated| (stated.version, superseded.contains(&stated.version))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::ledger::tests::version;
    use crate::sim::swarm::oracles::tests::{audit_of, file};

    #[test]
    fn a_version_that_is_not_listed_is_seen() {
        let ledger = Ledger::new(1, 1);
        let (one, two) = (file(version(5), &[]), file(version(6), &[version(5)]));
        let mut audit = audit_of(&[&[&one, &two]]);
        let mut check = |told: &[(u64, bool)], right: bool| {
            let told = told.iter().map(|(stamp, superseded)| (version(*stamp), *superseded));
            audit.nodes[0].listed.insert(0, told.collect());
            let judged = Lists.at_end(&ledger, &audit, Promise::Kept);
            assert_eq!(judged.is_ok(), right, "{judged:?}");
        };
        check(&[(6, false), (5, true)], true);
        check(&[(6, false)], false);
        check(&[(5, true), (6, false)], false);
        check(&[(6, false), (5, false)], false);
    }
}
