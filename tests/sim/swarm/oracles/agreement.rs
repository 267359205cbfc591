//! G5: when faults stop, all nodes agree on every name within a bounded time.

use super::Oracle;
use crate::sim::swarm::audit::{Audit, Reading};
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;

pub(super) struct Agreement;

impl Oracle for Agreement {
    fn name(&self) -> &'static str {
        "G5 agreement"
    }

    fn at_end(&mut self, _: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        if promise == Promise::Beyond {
            return Ok(());
        }
        if audit.settled.is_none() {
            return Err(format!("nodes do not settle: {}", states(audit)));
        }
        if let Some(what) = &audit.stirred {
            return Err(format!("nothing happens, and yet {what}"));
        }
        for (machine, node) in audit.nodes.iter().enumerate().skip(1) {
            let first = &audit.nodes[0];
            let lacks = |one: &crate::sim::swarm::audit::NodeView,
                         other: &crate::sim::swarm::audit::NodeView| {
                let mut records = one.records.values();
                records.find(|stated| !other.records.contains_key(&stated.id)).cloned()
            };
            for (who, stated) in [(machine, lacks(first, node)), (0, lacks(node, first))] {
                if let Some(stated) = stated {
                    let name = audit.names.get(&stated.name);
                    let version = stated.version;
                    return Err(format!(
                        "node {who} does not know version {version} of name {name:?}"
                    ));
                }
            }
            for (name, reading) in &node.readings {
                let other = first.readings.get(name);
                if shows(Some(reading)) != shows(other) {
                    return Err(format!(
                        "name {name}: node 0 gives {other:?} and node {machine} {reading:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// What two nodes must give alike.
fn shows(reading: Option<&Reading>) -> Option<dfsd::ids::VersionId> {
    match reading {
        Some(Reading::File { seen, .. }) => Some(seen.version),
        Some(Reading::Absent | Reading::Failed(_)) | None => None,
    }
}

/// What the nodes said of themselves last.
fn states(audit: &Audit) -> String {
    let one = |(machine, node): (usize, &crate::sim::swarm::audit::NodeView)| match &node.status {
        Some(status) => format!(
            "node {machine}: {} names, {} records, {} incomplete, {} bytes reserved, {} peers, {:?}",
            status.names,
            status.records,
            status.incomplete,
            status.memory_used,
            status.peers_connected,
            status.sync
        ),
        None => format!("node {machine}: no answer"),
    };
    audit.nodes.iter().enumerate().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::ledger::tests::version;
    use crate::sim::swarm::oracles::tests::{audit_of, file};
    use std::time::Duration;

    #[test]
    fn nodes_that_differ_or_never_settle_are_seen() {
        let ledger = Ledger::new(1, 1);
        let (one, two) = (file(version(5), &[]), file(version(6), &[]));
        let check = |nodes: &[&[_]], settled, promise| {
            let audit = Audit { settled, ..audit_of(nodes) };
            Agreement.at_end(&ledger, &audit, promise).is_ok()
        };
        let soon = Some(Duration::from_secs(1));
        assert!(check(&[&[&one], &[&one]], soon, Promise::Kept));
        assert!(!check(&[&[&one], &[&one]], None, Promise::Kept));
        let stirred = Some("node 0 has one more".to_owned());
        let audit = Audit { stirred, ..audit_of(&[&[&one]]) };
        assert!(Agreement.at_end(&ledger, &audit, Promise::Kept).is_err());
        assert!(!check(&[&[&one], &[&one, &two]], soon, Promise::Kept));
        assert!(!check(&[&[&one], &[]], soon, Promise::Kept));
        assert!(check(&[&[&one], &[]], None, Promise::Beyond));
    }
}
