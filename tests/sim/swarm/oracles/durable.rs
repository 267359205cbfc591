//! G1: an acknowledged put survives any number of crashes and power cuts, and the loss of all but one of the disks that
//! were said to have it: in the end every node has its record, and gives its bytes if it is the one that is shown.

use super::Oracle;
use crate::sim::swarm::audit::{Audit, Reading};
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;

pub(super) struct Durable;

impl Oracle for Durable {
    fn name(&self) -> &'static str {
        "G1 acknowledged is kept"
    }

    fn at_end(&mut self, ledger: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        if promise == Promise::Beyond {
            return Ok(());
        }
        for (machine, node) in audit.nodes.iter().enumerate() {
            if let Some(why) = &node.unreadable {
                return Err(format!("node {machine}: its disk does not open: {why}"));
            }
        }
        for name in 0..ledger.names {
            let kept = ledger.acknowledged(name).map(|(version, _)| version);
            let kept = kept.filter(|version| ledger.must_be_kept(name, *version));
            for version in kept.filter(|version| !ledger.has_expired(name, *version)) {
                for (machine, node) in audit.nodes.iter().enumerate() {
                    let mut of = node.records.values();
                    let has = of.any(|stated| {
                        stated.version == version && audit.names.get(&stated.name) == Some(&name)
                    });
                    if !has {
                        return Err(format!(
                            "version {version} of name {name} was acknowledged, and node {machine} does not know it"
                        ));
                    }
                }
            }
            self.is_given(ledger, audit, name)?;
        }
        Ok(())
    }
}

impl Durable {
    /// What is shown is given by every node.
    fn is_given(&self, ledger: &Ledger, audit: &Audit, name: usize) -> Result<(), String> {
        let Some(((version, _), stated)) = audit.versions(name).pop_last() else { return Ok(()) };
        if !stated.is_file() || !ledger.must_be_kept(name, version) {
            return Ok(());
        }
        for (machine, node) in audit.nodes.iter().enumerate() {
            match node.readings.get(&name) {
                Some(Reading::File { seen, .. }) if seen.version == version => {}
                other => {
                    return Err(format!(
                        "version {version} of name {name} was acknowledged, and node {machine} gives {other:?}"
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
    use crate::sim::swarm::ledger::tests::{version, write};
    use crate::sim::swarm::ledger::{Fate, Thing};
    use crate::sim::swarm::oracles::tests::{audit_of, file};
    use dfsd::session::ClientError;
    use dfsd::time::Instant;

    #[test]
    fn what_was_acknowledged_and_is_gone_is_seen() {
        let mut ledger = Ledger::new(1, 1);
        let hash = ledger.contents.make(9);
        let put = ledger.begin(write(0, Thing::File(hash)));
        ledger.end(put, Instant(2), Fate::Acknowledged(version(5)));
        let stated = file(version(5), &[]);
        let seen = Seen { version: version(5), hash, size: 9 };
        let mut audit = audit_of(&[&[&stated], &[&stated]]);
        let check =
            |ledger: &Ledger, audit: &Audit| Durable.at_end(ledger, audit, Promise::Kept).is_ok();
        assert!(!check(&ledger, &audit), "nobody gives it");
        for node in &mut audit.nodes {
            node.readings.insert(0, Reading::File { seen, hash, came: 9 });
        }
        assert!(check(&ledger, &audit));
        audit.nodes[1].readings.insert(0, Reading::Failed(ClientError::Unavailable));
        assert!(!check(&ledger, &audit));
        audit.nodes[1].readings.insert(0, Reading::File { seen, hash, came: 9 });
        audit.nodes[1].records.clear();
        assert!(!check(&ledger, &audit));
        ledger.harm(0, Instant(5), true);
        assert!(check(&ledger, &audit), "the only disk that had it was destroyed");
    }
}
