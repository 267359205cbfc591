//! G8: nothing that a kept version needs is gone, also if it is not the one that is shown.

use super::Oracle;
use crate::sim::swarm::audit::Audit;
use crate::sim::swarm::history::{Observed, Told};
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;

pub(super) struct Reach;

impl Oracle for Reach {
    fn name(&self) -> &'static str {
        "G8 kept versions are whole"
    }

    /// A node that had all of a version gives all of it, as long as it cannot have expired; and longer, if it has shown it to
    /// whoever asks, on the same connection.
    fn heard(&mut self, ledger: &Ledger, observed: &Observed) -> Result<(), String> {
        let Told::Unread { of, served } = &observed.what else { return Ok(()) };
        let Observed { machine, name, asked, .. } = observed;
        if !ledger.is_trusted(*machine, *asked)
            || !ledger.has_whole(*name, of.version, (*machine, *asked))
        {
            return Ok(());
        }
        let (place, version) = (observed.place(), of.version);
        if *served {
            return Err(format!(
                "{place}: version {version} was shown, and cannot be read any more"
            ));
        }
        if !ledger.may_have_expired(*name, version) {
            return Err(format!("{place}: version {version} is kept, and cannot be read"));
        }
        Ok(())
    }

    fn at_end(&mut self, ledger: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        for name in 0..ledger.names {
            for ((version, id), stated) in audit.versions(name) {
                let place = format!("version {version} of name {name}");
                match audit.old.get(&id) {
                    Some(Ok(hash)) => {
                        let said = stated.sealed.as_ref().map(|sealed| sealed.hash);
                        let right =
                            said == Some(hash.0) && ledger.explain(name, version, *hash).is_ok();
                        if !right {
                            return Err(format!("{place} is kept, and has other bytes"));
                        }
                    }
                    Some(Err(why)) if promise == Promise::Kept => {
                        return Err(format!("{place} is kept, and cannot be read: {why}"));
                    }
                    Some(Err(_)) | None => {}
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::ledger::tests::{version, write};
    use crate::sim::swarm::ledger::{Fate, Thing};
    use crate::sim::swarm::oracles::tests::{audit_of, file};
    use dfsd::time::Instant;

    #[test]
    fn a_kept_version_that_is_not_whole_is_seen() {
        let mut ledger = Ledger::new(1, 1);
        let (hash, other) = (ledger.contents.make(9), ledger.contents.make(9));
        let put = ledger.begin(write(0, Thing::File(hash)));
        ledger.end(put, Instant(2), Fate::Acknowledged(version(5)));
        let mut stated = file(version(5), &[]);
        stated.sealed.as_mut().unwrap().hash = hash.0;
        let mut audit = audit_of(&[&[&stated]]);
        let mut check = |read, right: bool| {
            audit.old.insert(stated.id, read);
            assert_eq!(Reach.at_end(&ledger, &audit, Promise::Kept).is_ok(), right);
        };
        check(Ok(hash), true);
        check(Ok(other), false);
        check(Err("it is gone".to_owned()), false);
    }
}
