//! G4, G9: whoever lacks a write key changes nothing: no record that he made is on a disk, and no block either.

use super::Oracle;
use crate::sim::swarm::audit::Audit;
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;

pub(super) struct Authority;

impl Oracle for Authority {
    fn name(&self) -> &'static str {
        "G4 authority"
    }

    fn at_end(&mut self, _: &Ledger, audit: &Audit, _: Promise) -> Result<(), String> {
        for (machine, node) in audit.nodes.iter().enumerate() {
            if let Some(id) = audit.forged.records.iter().find(|id| node.records.contains_key(id)) {
                return Err(format!(
                    "node {machine} has record {id}, which nobody with a grant signed"
                ));
            }
            let block = audit.forged.blocks.intersection(&node.blocks).next();
            if let Some(address) = block {
                return Err(format!(
                    "node {machine} has block {address}, which nobody may have stored"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::ledger::tests::version;
    use crate::sim::swarm::oracles::tests::{audit_of, file};
    use dfsd::ids::Address;

    #[test]
    fn what_somebody_without_a_grant_has_made_is_seen() {
        let stated = file(version(1), &[]);
        let look = |audit: &Audit| Authority.at_end(&Ledger::new(1, 1), audit, Promise::Beyond);
        let mut audit = audit_of(&[&[&stated]]);
        assert!(look(&audit).is_ok());
        audit.forged.records.insert(stated.id);
        assert!(look(&audit).is_err());
        let mut audit = audit_of(&[&[]]);
        audit.forged.blocks.insert(Address([1; 32]));
        assert!(look(&audit).is_ok());
        audit.nodes[0].blocks.insert(Address([1; 32]));
        assert!(look(&audit).is_err());
    }
}
