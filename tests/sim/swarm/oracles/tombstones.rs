//! G6: a deleted name does not come back by itself.

use super::Oracle;
use crate::sim::swarm::audit::{Audit, Reading};
use crate::sim::swarm::history::{Observed, Told};
use crate::sim::swarm::ledger::{Ledger, Thing};
use crate::sim::swarm::plan::Promise;

pub(super) struct Tombstones;

impl Oracle for Tombstones {
    fn name(&self) -> &'static str {
        "G6 deleted stays deleted"
    }

    /// On the node that has acknowledged the deletion, at once.
    fn heard(&mut self, ledger: &Ledger, observed: &Observed) -> Result<(), String> {
        let floor = observed.floor.filter(|_| ledger.is_trusted(observed.machine, observed.asked));
        match (&observed.what, floor) {
            (Told::Shown(seen), Some(floor))
                if seen.version < floor && ledger.is_tombstone(observed.name, floor) =>
            {
                let (place, version) = (observed.place(), seen.version);
                Err(format!("{place}: shows version {version}, deleted by version {floor}"))
            }
            _ => Ok(()),
        }
    }

    /// On all nodes, in the end.
    fn at_end(&mut self, ledger: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        if promise == Promise::Beyond {
            return Ok(());
        }
        for (machine, node) in audit.nodes.iter().enumerate() {
            for (name, reading) in &node.readings {
                let Reading::File { seen, .. } = reading else { continue };
                let above = ledger.acknowledged(*name).find(|(version, write)| {
                    write.thing == Thing::Tombstone
                        && *version > seen.version
                        && ledger.must_be_kept(*name, *version)
                });
                if let Some((deletion, _)) = above {
                    return Err(format!(
                        "node {machine}, name {name}: version {} is back, deleted by version {deletion}",
                        seen.version
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::history::Seen;
    use crate::sim::swarm::ledger::Fate;
    use crate::sim::swarm::ledger::tests::{version, write};
    use crate::sim::swarm::oracles::tests::{audit_of_reading, observed};
    use dfsd::time::Instant;

    #[test]
    fn a_name_that_comes_back_is_seen() {
        let mut ledger = Ledger::new(1, 2);
        let hash = ledger.contents.make(100);
        let deleted = ledger.begin(write(0, Thing::Tombstone));
        ledger.end(deleted, Instant(2), Fate::Acknowledged(version(5)));
        for (stamp, right) in [(4, false), (6, true)] {
            let seen = Seen { version: version(stamp), hash, size: 100 };
            let told = Observed { floor: ledger.floor(0, 0), ..observed(0, Told::Shown(seen)) };
            assert_eq!(Tombstones.heard(&ledger, &told).is_ok(), right);
            let audit = audit_of_reading(Reading::File { seen, hash, came: 100 });
            assert_eq!(Tombstones.at_end(&ledger, &audit, Promise::Kept).is_ok(), right);
        }
    }
}
