//! G3 and G4 of a rename, which is one operation: what it moves is what its source had. The greatest version that the
//! node had acknowledged of the source by then is moved, or one above it; or it is above the deletion, and still shown.

use super::Oracle;
use crate::sim::swarm::audit::Audit;
use crate::sim::swarm::disk::Stated;
use crate::sim::swarm::ledger::{Ledger, Renamed};
use crate::sim::swarm::plan::Promise;
use dfsd::ids::{Hash, VersionId};

pub(super) struct Moves;

impl Oracle for Moves {
    fn name(&self) -> &'static str {
        "renames"
    }

    fn at_end(&mut self, ledger: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        if promise != Promise::Kept {
            return Ok(());
        }
        ledger.renames().try_for_each(|renamed| is_whole(ledger, audit, &renamed))
    }
}

fn is_whole(ledger: &Ledger, audit: &Audit, renamed: &Renamed) -> Result<(), String> {
    let Renamed { source, target, moved, deleted, machine, .. } = *renamed;
    let versions = |name| {
        // Also of those that have expired.
        let expired = ledger.register.versions(name).map(|it| ((it.version, it.id), it));
        let mut versions = audit.versions(name);
        versions.extend(expired);
        versions
    };
    let target_versions = versions(target);
    let mut stated = target_versions.iter().filter(|((version, _), _)| *version == moved);
    let Some(hash) = stated.next().and_then(|(_, stated)| hash_of(stated)) else {
        return Ok(());
    };
    let Some(greatest) = greatest_before(ledger, renamed) else { return Ok(()) };
    let had = |version: VersionId| version >= greatest && version < deleted;
    let source_versions = versions(source);
    let mut candidates = source_versions.iter().filter(|((version, _), _)| had(*version));
    if candidates.any(|(_, stated)| hash_of(stated) == Some(hash)) {
        return Ok(());
    }
    if ledger.register.may_have_missed() {
        return Ok(());
    }
    Err(format!(
        "node {machine}: name {source} had version {greatest} when it was renamed to {target}, and what \
         was moved (version {moved}) is older: {greatest} is hidden by the deletion {deleted}"
    ))
}

/// The greatest version of the source that the same node had acknowledged before it acknowledged the rename, and that
/// the rename's deletion hides.
fn greatest_before(ledger: &Ledger, renamed: &Renamed) -> Option<VersionId> {
    let before = ledger.acknowledged(renamed.source).filter(|(version, write)| {
        write.machine == renamed.machine
            && write.ended.is_some_and(|ended| ended <= renamed.ended)
            && *version < renamed.deleted
            && !ledger.is_harmed_since(renamed.machine, write.begun)
    });
    before.map(|(version, _)| version).max()
}

fn hash_of(stated: &Stated) -> Option<Hash> {
    stated.sealed.as_ref().filter(|_| stated.is_file()).map(|sealed| Hash(sealed.hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::ledger::tests::{version, write};
    use crate::sim::swarm::ledger::{Fate, Thing};
    use crate::sim::swarm::oracles::tests::{audit_of, file};
    use dfsd::ids::NameId;
    use dfsd::time::Instant;
    use dfsd::wire::record::Sealed;

    fn stated(name: u8, stamp: u64, hash: Hash) -> Stated {
        let sealed = Some(Sealed { hash: hash.0, ..Sealed::default() });
        Stated { name: NameId([name; 32]), sealed, ..file(version(stamp), &[]) }
    }

    #[test]
    fn an_overwrite_that_a_rename_hides_is_seen() {
        let mut ledger = Ledger::new(1, 2);
        let (old, new) = (ledger.contents.make(10), ledger.contents.make(11));
        let put = |ledger: &mut Ledger, name, thing, stamp, at| {
            let id = ledger.begin(write(name, thing));
            ledger.end(id, Instant(at), Fate::Acknowledged(version(stamp)));
            id
        };
        put(&mut ledger, 0, Thing::File(old), 5, 2);
        put(&mut ledger, 0, Thing::File(new), 6, 3);
        let moved = put(&mut ledger, 1, Thing::Moved(0), 8, 4);
        let deleted = put(&mut ledger, 0, Thing::Tombstone, 7, 4);
        ledger.renamed(moved, deleted);
        let judge = |hash| {
            let records = [stated(1, 5, old), stated(1, 6, new), stated(2, 8, hash)];
            let records: Vec<_> = records.iter().collect();
            let mut audit = audit_of(&[&records]);
            audit.names.insert(NameId([2; 32]), 1);
            Moves.at_end(&ledger, &audit, Promise::Kept)
        };
        assert!(judge(old).is_err());
        assert_eq!(judge(new), Ok(()));
    }
}
