//! A put of what must not exist yet: on one node it never replaces a file that this node has told of, and it is refused
//! only if there may be one. Across nodes nothing is promised.

use super::Oracle;
use crate::sim::swarm::history::{Observed, Told};
use crate::sim::swarm::ledger::Ledger;
use dfsd::session::ClientError;

pub(super) struct Conditional;

impl Oracle for Conditional {
    fn name(&self) -> &'static str {
        "put if absent"
    }

    fn heard(&mut self, ledger: &Ledger, observed: &Observed) -> Result<(), String> {
        let floor = observed.floor.filter(|_| ledger.is_trusted(observed.machine, observed.asked));
        let (name, place) = (observed.name, observed.place());
        match (&observed.what, floor) {
            (Told::Acknowledged { version, only_if_absent: true }, Some(floor))
                if !ledger.may_be_deleted(name, floor) =>
            {
                Err(format!("{place}: version {version} replaces {floor}, which existed"))
            }
            (Told::Failed(ClientError::Exists), _) if !ledger.may_exist(name) => {
                Err(format!("{place}: it is said to exist, and nobody put it"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::ledger::tests::{version, write};
    use crate::sim::swarm::ledger::{Fate, Thing};
    use crate::sim::swarm::oracles::tests::observed;
    use dfsd::time::Instant;

    #[test]
    fn a_condition_that_was_not_kept_is_seen() {
        let mut ledger = Ledger::new(1, 2);
        let exists = observed(0, Told::Failed(ClientError::Exists));
        assert!(Conditional.heard(&ledger, &exists).is_err());
        let hash = ledger.contents.make(100);
        let put = ledger.begin(write(0, Thing::File(hash)));
        ledger.end(put, Instant(2), Fate::Acknowledged(version(5)));
        assert!(Conditional.heard(&ledger, &exists).is_ok());
        let told = Told::Acknowledged { version: version(6), only_if_absent: true };
        let told = Observed { floor: ledger.floor(0, 0), ..observed(0, told) };
        assert!(Conditional.heard(&ledger, &told).is_err());
        ledger.begin(write(0, Thing::Tombstone));
        assert!(Conditional.heard(&ledger, &told).is_ok());
    }
}
