//! G3: on one node one reads one's own acknowledged write, or a version ordered after it, also after its restart.
//!
//! Held to more than that: what anybody was told by a node, by acknowledgement or by being shown it, that node does not
//! take back while its disk is unharmed.

use super::Oracle;
use crate::sim::swarm::history::{Observed, Told};
use crate::sim::swarm::ledger::Ledger;
use dfsd::ids::VersionId;

pub(super) struct History;

impl Oracle for History {
    fn name(&self) -> &'static str {
        "G3 own writes"
    }

    fn heard(&mut self, ledger: &Ledger, observed: &Observed) -> Result<(), String> {
        let Some(floor) =
            observed.floor.filter(|_| ledger.is_trusted(observed.machine, observed.asked))
        else {
            return Ok(());
        };
        let before = |what: &str, version: VersionId| {
            let place = observed.place();
            Err(format!("{place}: {what} {version}, after version {floor} was told"))
        };
        match &observed.what {
            // Those below a deletion are looked at by another oracle.
            Told::Shown(seen)
                if seen.version < floor && !ledger.is_tombstone(observed.name, floor) =>
            {
                before("it shows version", seen.version)
            }
            Told::Acknowledged { version, .. } if *version <= floor => {
                before("it acknowledges version", *version)
            }
            Told::Absent if !ledger.may_be_deleted(observed.name, floor) => {
                let place = observed.place();
                Err(format!("{place}: it knows no such name, after version {floor} was told"))
            }
            Told::Versions { greatest, .. } if greatest.is_none_or(|greatest| greatest < floor) => {
                before("its greatest version is", greatest.unwrap_or_default())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::history::Seen;
    use crate::sim::swarm::ledger::tests::{version, write};
    use crate::sim::swarm::ledger::{Fate, Thing};
    use crate::sim::swarm::oracles::tests::observed;
    use dfsd::time::Instant;

    #[test]
    fn what_was_told_is_not_taken_back() {
        let mut ledger = Ledger::new(1, 2);
        let hash = ledger.contents.make(100);
        let put = ledger.begin(write(0, Thing::File(hash)));
        ledger.end(put, Instant(2), Fate::Acknowledged(version(5)));
        let shown = |stamp| Told::Shown(Seen { version: version(stamp), hash, size: 100 });
        let heard = |ledger: &Ledger, what| {
            let observed = Observed { floor: ledger.floor(0, 0), ..observed(0, what) };
            History.heard(ledger, &observed).is_ok()
        };
        assert!(heard(&ledger, shown(5)) && heard(&ledger, shown(6)));
        assert!(!heard(&ledger, shown(4)) && !heard(&ledger, Told::Absent));
        let deleted = ledger.begin(write(0, Thing::Tombstone));
        assert!(heard(&ledger, Told::Absent), "it may be deleted already");
        ledger.end(deleted, Instant(3), Fate::Void("no".to_owned()));
        assert!(!heard(&ledger, Told::Absent));
        ledger.harm(0, Instant(15), true);
        assert!(heard(&ledger, Told::Absent), "a wiped node may ask again");
    }
}
