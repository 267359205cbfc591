//! G12: where nothing happens, next to nothing is sent and done.

use super::Oracle;
use crate::sim::swarm::audit::Audit;
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;

/// What two nodes may say to each other in the time: signs of life, and that they have the same.
const BYTES_BETWEEN_TWO: u64 = 8 * 1024;
/// What the workers of a node may do meanwhile.
const JOBS_OF_ONE: u64 = 32;
/// Once after something was written a node looks which blocks its records name, and that may fall into the time: it is one
/// job for many records, or for one with pages.
const RECORDS_OF_A_JOB: u64 = 4;

pub(super) struct Rest;

impl Oracle for Rest {
    fn name(&self) -> &'static str {
        "G12 rest"
    }

    fn at_end(&mut self, _: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        if promise == Promise::Beyond || audit.settled.is_none() {
            return Ok(());
        }
        let nodes = audit.nodes.len() as u64;
        let pairs = nodes * nodes.saturating_sub(1) / 2;
        let records: u64 = audit.nodes.iter().map(|node| node.records.len() as u64).sum();
        let jobs = nodes * JOBS_OF_ONE + records / RECORDS_OF_A_JOB;
        if audit.toil.bytes > pairs * BYTES_BETWEEN_TWO || audit.toil.jobs > jobs {
            return Err(format!("nothing happens, and yet {nodes} nodes did {:?}", audit.toil));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::oracles::tests::audit_of;
    use crate::sim::world::Toil;

    #[test]
    fn much_ado_is_a_violation() {
        let judge = |bytes, jobs| {
            let audit = Audit { toil: Toil { bytes, jobs }, ..audit_of(&[&[], &[]]) };
            Rest.at_end(&Ledger::new(1, 1), &audit, Promise::Kept)
        };
        assert!(judge(BYTES_BETWEEN_TWO, 2 * JOBS_OF_ONE).is_ok());
        assert!(judge(BYTES_BETWEEN_TWO + 1, 0).is_err());
        assert!(judge(0, 2 * JOBS_OF_ONE + 1).is_err());
    }
}
