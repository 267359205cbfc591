//! G12: where nothing happens, next to nothing is sent and done.

use super::Oracle;
use crate::sim::swarm::audit::Audit;
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;
use crate::sim::world::Toil;

/// What two nodes may say to each other in the time: signs of life, and that they have the same.
const BYTES_BETWEEN_TWO: u64 = 8 * 1024;
/// What the workers of a node may do meanwhile.
const JOBS_OF_ONE: u64 = 32;
/// Of one collection, which follows once when something was written, and may fall into the time: it reads several records,
/// or pages, at a time.
const COLLECTING_OF_ONE: u64 = 64;
/// See `COLLECTING_OF_ONE`.
const RECORDS_OF_A_JOB: u64 = 64;
/// What is rotten on a disk may be met by that collection: it is asked for, and each of the others may give it.
const HAD_ANEW: u64 = 32 * 1024;

pub(super) struct Rest;

impl Oracle for Rest {
    fn name(&self) -> &'static str {
        "G12 rest"
    }

    fn at_end(&mut self, ledger: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        if promise == Promise::Beyond || audit.settled.is_none() {
            return Ok(());
        }
        let nodes = audit.nodes.len() as u64;
        let pairs = nodes * nodes.saturating_sub(1) / 2;
        let Toil { bytes, jobs, collecting } = audit.toil;
        let records: u64 = audit.nodes.iter().map(|node| node.records.len() as u64).sum();
        let most = nodes * COLLECTING_OF_ONE + records / RECORDS_OF_A_JOB;
        let givers = if ledger.any_damage() { nodes.saturating_sub(1) } else { 0 };
        let most_bytes = pairs * BYTES_BETWEEN_TWO + givers * HAD_ANEW;
        let is_much = bytes > most_bytes || jobs > nodes * JOBS_OF_ONE;
        if is_much || collecting > most {
            return Err(format!("nothing happens, and yet {nodes} nodes did {:?}", audit.toil));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::oracles::tests::audit_of;
    use dfsd::time::Instant;

    #[test]
    fn much_ado_is_a_violation() {
        let judge = |bytes, jobs, collecting| {
            let audit = Audit { toil: Toil { bytes, jobs, collecting }, ..audit_of(&[&[], &[]]) };
            Rest.at_end(&Ledger::new(1, 1), &audit, Promise::Kept)
        };
        assert!(judge(BYTES_BETWEEN_TWO, 2 * JOBS_OF_ONE, 2 * COLLECTING_OF_ONE).is_ok());
        assert!(judge(BYTES_BETWEEN_TWO + 1, 0, 0).is_err());
        assert!(judge(0, 2 * JOBS_OF_ONE + 1, 0).is_err());
        assert!(judge(0, 0, 2 * COLLECTING_OF_ONE + 1).is_err());
        let mut ledger = Ledger::new(1, 1);
        ledger.harm(0, Instant(1), false);
        let bytes = BYTES_BETWEEN_TWO + HAD_ANEW;
        for (bytes, is_right) in [(bytes, true), (bytes + 1, false)] {
            let toil = Toil { bytes, ..Toil::default() };
            let audit = Audit { toil, ..audit_of(&[&[], &[]]) };
            assert_eq!(Rest.at_end(&ledger, &audit, Promise::Kept).is_ok(), is_right);
        }
    }
}
