//! G4: no acknowledged version is lost silently: every node shows the greatest version, and tells of those that none
//! supersedes; and the graph of versions is one.

use super::Oracle;
use crate::sim::swarm::audit::{Audit, Reading};
use crate::sim::swarm::disk::Stated;
use crate::sim::swarm::history::{Observed, Told};
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;
use dfsd::ids::{RecordId, VersionId};
use dfsd::limits::PARENTS_MAX;
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Versions;

impl Oracle for Versions {
    fn name(&self) -> &'static str {
        "G4 versions"
    }

    fn heard(&mut self, _: &Ledger, observed: &Observed) -> Result<(), String> {
        let Told::Versions { heads, greatest } = &observed.what else { return Ok(()) };
        let (place, in_order) = (observed.place(), heads.is_sorted_by(|one, two| one > two));
        // The greatest version is superseded by none.
        if !in_order || heads.first() != greatest.as_ref() {
            return Err(format!("{place}: it tells of versions {heads:?} and shows {greatest:?}"));
        }
        Ok(())
    }

    fn at_end(&mut self, ledger: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        for name in 0..ledger.names {
            let versions = audit.versions(name);
            is_a_graph(&versions).map_err(|why| format!("name {name}: {why}"))?;
            for (machine, node) in audit.nodes.iter().enumerate() {
                let place = format!("node {machine}, name {name}");
                // Each by what it knows itself, so that this holds whatever was destroyed.
                let known: BTreeMap<_, _> = versions
                    .iter()
                    .filter(|((_, id), _)| node.records.contains_key(id))
                    .map(|(key, stated)| (*key, *stated))
                    .collect();
                if promise == Promise::Beyond {
                    continue;
                }
                let (told, heads) = (node.heads.get(&name), heads(&known));
                if let Some(told) = told.filter(|told| **told != heads) {
                    return Err(format!("{place}: tells of versions {told:?}, not of {heads:?}"));
                }
                let greatest = known.last_key_value();
                if node.greatest.get(&name) != greatest.map(|((_, id), _)| id) && told.is_some() {
                    return Err(format!("{place}: does not show the greatest of its versions"));
                }
                let file = greatest.filter(|(_, stated)| stated.is_file());
                let file = file.map(|((version, _), _)| *version);
                match node.readings.get(&name) {
                    Some(Reading::File { seen, .. }) if Some(seen.version) != file => {
                        return Err(format!(
                            "{place}: gives version {}, not {file:?}",
                            seen.version
                        ));
                    }
                    Some(Reading::Absent) if file.is_some() => {
                        return Err(format!("{place}: gives nothing, not version {file:?}"));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Nobody is its own ancestor, and no two records are one version of two kinds by two writers.
fn is_a_graph(versions: &BTreeMap<(VersionId, RecordId), &Stated>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for ((version, _), stated) in versions {
        if !seen.insert(version) {
            return Err(format!("two records are version {version}"));
        }
        if let Some(parent) = stated.parents.iter().find(|parent| parent.stamp >= version.stamp) {
            return Err(format!("version {version} supersedes {parent}, which is not before it"));
        }
    }
    Ok(())
}

/// The versions that no other supersedes, greatest first, as many as are told of: the greatest, and the least of the others.
fn heads(versions: &BTreeMap<(VersionId, RecordId), &Stated>) -> Vec<VersionId> {
    let superseded: BTreeSet<_> =
        versions.values().flat_map(|stated| stated.parents.iter().copied()).collect();
    let heads = versions.keys().rev().map(|(version, _)| *version);
    let mut heads: Vec<_> = heads.filter(|version| !superseded.contains(version)).collect();
    if heads.len() > PARENTS_MAX {
        heads.drain(1..=heads.len() - PARENTS_MAX);
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::ledger::tests::version;
    use crate::sim::swarm::oracles::tests::{audit_of, file};

    #[test]
    fn a_version_that_is_not_told_of_is_seen() {
        let ledger = Ledger::new(1, 1);
        let (one, two) = (file(version(5), &[]), file(version(6), &[]));
        let mut audit = audit_of(&[&[&one, &two]]);
        let mut check = |told: &[u64], shown: &Stated, right: bool| {
            let heads = told.iter().map(|stamp| version(*stamp)).collect();
            audit.nodes[0].heads.insert(0, heads);
            audit.nodes[0].greatest.insert(0, shown.id);
            let judged = Versions.at_end(&ledger, &audit, Promise::Kept);
            assert_eq!(judged.is_ok(), right, "{judged:?}");
        };
        check(&[6, 5], &two, true);
        check(&[6], &two, false);
        check(&[6, 5], &one, false);
    }

    #[test]
    fn of_many_versions_the_greatest_and_the_least_are_told_of() {
        let files: Vec<_> = (1..=PARENTS_MAX as u64 + 3).map(|at| file(version(at), &[])).collect();
        let all: BTreeMap<_, _> = files.iter().map(|it| ((it.version, it.id), it)).collect();
        let told: Vec<_> = heads(&all).iter().map(|version| version.stamp).collect();
        assert_eq!(told, [PARENTS_MAX as u64 + 3, 7, 6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn a_graph_that_goes_back_is_seen() {
        let ledger = Ledger::new(1, 1);
        let back = file(version(5), &[version(6)]);
        let audit = audit_of(&[&[&back]]);
        assert!(Versions.at_end(&ledger, &audit, Promise::Kept).is_err());
        let audit = audit_of(&[&[&file(version(5), &[]), &file(version(5), &[version(1)])]]);
        assert!(Versions.at_end(&ledger, &audit, Promise::Beyond).is_err());
    }
}
