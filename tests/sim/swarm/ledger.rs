//! The ledger: every write that a client began, what became of it, and who said that it holds it.
//!
//! Knows no node: only what clients sent and were told. Invariant: a write is running until its one end, and only an
//! acknowledgement gives it a version.

use super::content::{Contents, Name};
use super::register::Register;
use dfsd::ids::{Hash, VersionId, Writer};
use dfsd::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// What a write puts under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing {
    /// A file with this hash.
    File(Hash),
    /// The file that another name had.
    Moved(Name),
    /// What an earlier version had, with this hash: its blocks are where they were.
    Restored(Hash),
    /// Nothing any more.
    Tombstone,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Running,
    Acknowledged(VersionId),
    /// Nobody knows: the connection broke, or the node fell silent.
    Doubtful,
    /// The node or the client said that nothing of it was stored.
    Void(String),
}

#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) name: Name,
    pub(super) thing: Thing,
    /// The session that wrote it: no two sessions have the same.
    pub(super) writer: Writer,
    pub(super) machine: usize,
    pub(super) begun: Instant,
    pub(super) ended: Option<Instant>,
    pub(super) fate: Fate,
}

/// A rename that was acknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Renamed {
    pub(super) source: Name,
    pub(super) target: Name,
    /// The new name's version, and the old one's.
    pub(super) moved: VersionId,
    pub(super) deleted: VersionId,
    pub(super) machine: usize,
    pub(super) ended: Instant,
}

/// Which write.
pub(super) type WriteId = usize;

/// See the module.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) names: usize,
    pub(super) contents: Contents,
    pub(super) register: Register,
    writes: Vec<Write>,
    /// The two writes of each acknowledged rename: the new name's, and the old one's.
    renames: Vec<(WriteId, WriteId)>,
    /// The last tombstone of each acknowledged deletion that took, or may have taken, more than one.
    cleared: BTreeMap<WriteId, VersionId>,
    by_name: BTreeMap<Name, Vec<WriteId>>,
    /// The machines that are known to have had each acknowledged version durably, since when that is known, and whose disks
    /// are unharmed since.
    claims: BTreeMap<(Name, VersionId), BTreeMap<usize, Instant>>,
    /// The greatest version of each name that each machine's node has acknowledged or shown.
    floors: BTreeMap<(usize, Name), VersionId>,
    /// Acknowledged since all nodes last agreed.
    fresh: Vec<(Name, VersionId)>,
    /// When a machine's disk last lost what was durable.
    harmed: BTreeMap<usize, Instant>,
    /// Machines whose disks have lost some of it and not all: who knows what, and when it shows.
    damaged: BTreeSet<usize>,
}

impl Ledger {
    pub(super) fn new(seed: u64, names: usize) -> Self {
        let (contents, register) = (Contents::new(seed), Register::new(names));
        Self { names, contents, register, ..Self::default() }
    }

    pub(super) fn begin(&mut self, write: Write) -> WriteId {
        let id = self.writes.len();
        self.by_name.entry(write.name).or_default().push(id);
        self.writes.push(write);
        id
    }

    pub(super) fn end(&mut self, id: WriteId, now: Instant, fate: Fate) {
        let write = &mut self.writes[id];
        assert!(write.ended.is_none(), "a write ends once");
        write.ended = Some(now);
        write.fate = fate;
        let (name, machine, begun) = (write.name, write.machine, write.begun);
        if let Fate::Acknowledged(version) = write.fate {
            self.fresh.push((name, version));
            self.claim(name, version, (machine, begun), now);
            self.raise_floor((machine, begun), name, version);
        }
    }

    /// Two writes that were acknowledged were one rename.
    pub(super) fn renamed(&mut self, moved: WriteId, deleted: WriteId) {
        self.renames.push((moved, deleted));
    }

    /// A deletion that was acknowledged may have written further tombstones, up to this one.
    pub(super) fn cleared(&mut self, deletion: WriteId, last: VersionId) {
        self.cleared.insert(deletion, last);
    }

    /// Every rename that was acknowledged.
    pub(super) fn renames(&self) -> impl Iterator<Item = Renamed> {
        self.renames.iter().filter_map(|(moved, deleted)| {
            let (moved, deleted) = (&self.writes[*moved], &self.writes[*deleted]);
            let version = |write: &Write| match write.fate {
                Fate::Acknowledged(version) => Some(version),
                Fate::Running | Fate::Doubtful | Fate::Void(_) => None,
            };
            Some(Renamed {
                source: deleted.name,
                target: moved.name,
                moved: version(moved)?,
                deleted: version(deleted)?,
                machine: moved.machine,
                ended: moved.ended?,
            })
        })
    }

    pub(super) fn write(&self, id: WriteId) -> &Write {
        &self.writes[id]
    }

    pub(super) fn of(&self, name: Name) -> impl Iterator<Item = &Write> {
        self.by_name.get(&name).into_iter().flatten().map(|id| &self.writes[*id])
    }

    /// Every acknowledged version of a name, and what it is.
    pub(super) fn acknowledged(&self, name: Name) -> impl Iterator<Item = (VersionId, &Write)> {
        self.of(name).filter_map(|write| match write.fate {
            Fate::Acknowledged(version) => Some((version, write)),
            Fate::Running | Fate::Doubtful | Fate::Void(_) => None,
        })
    }

    pub(super) fn acknowledged_count(&self) -> usize {
        (0..self.names).map(|name| self.acknowledged(name).count()).sum()
    }

    /// A node has said now that it holds a version durably, in answer to what was asked then.
    pub(super) fn claim(
        &mut self,
        name: Name,
        version: VersionId,
        (machine, asked): (usize, Instant),
        now: Instant,
    ) {
        let counts = !self.is_harmed_since(machine, asked);
        let claims = self.claims.entry((name, version)).or_default();
        if counts {
            claims.entry(machine).or_insert(now);
        }
    }

    /// All nodes have said just now that they have the same, and all of it. What nobody has any more, since the disks of all who
    /// had it are lost, they agree about too.
    pub(super) fn all_agree(&mut self, machines: usize, now: Instant) {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.retain(|(name, version)| self.must_be_kept(*name, *version));
        for (name, version) in fresh {
            for machine in 0..machines {
                self.claim(name, version, (machine, now), now);
            }
        }
    }

    /// Whether somebody whose disk is unharmed has said that it holds this version.
    pub(super) fn must_be_kept(&self, name: Name, version: VersionId) -> bool {
        self.claims.get(&(name, version)).is_some_and(|machines| !machines.is_empty())
    }

    /// Whether a node had said by then that it holds a version durably, and all blocks of it.
    pub(super) fn has_whole(
        &self,
        name: Name,
        version: VersionId,
        (machine, asked): (usize, Instant),
    ) -> bool {
        let since = self.claims.get(&(name, version)).and_then(|machines| machines.get(&machine));
        since.is_some_and(|since| *since <= asked) && self.brings_blocks(name, version)
    }

    /// Whether a version came with its blocks. A rename brings none, nor does a restoration: they are where they were, or
    /// still on their way.
    pub(super) fn brings_blocks(&self, name: Name, version: VersionId) -> bool {
        let mut of = self.of(name).filter(|write| write.writer == version.writer);
        of.all(|write| matches!(write.thing, Thing::File(_) | Thing::Tombstone))
    }

    /// How a version was written, for whoever looks into a failure.
    pub(super) fn how(&self, version: VersionId) -> String {
        let of = self.writes.iter().filter(|write| write.fate == Fate::Acknowledged(version));
        let how = of.map(|write| {
            let Write { name, thing, machine, begun, ended, .. } = write;
            let ended = ended.unwrap_or_default().0;
            format!(" ({thing:?} of name {name} on machine {machine}, {} to {ended} us)", begun.0)
        });
        how.collect()
    }

    /// Whether a version may have expired by now.
    pub(super) fn may_have_expired(&self, name: Name, version: VersionId) -> bool {
        let register = &self.register;
        register.may_have_expired(name, version, || {
            self.of(name).any(|write| match &write.fate {
                Fate::Acknowledged(other) => {
                    *other > version
                        && (register.may_have_missed() || !register.has_seen(name, *other))
                }
                Fate::Running | Fate::Doubtful => true,
                Fate::Void(_) => false,
            })
        })
    }

    /// The same when all that came has been seen.
    pub(super) fn has_expired(&self, name: Name, version: VersionId) -> bool {
        let register = &self.register;
        let may_miss = register.may_have_missed();
        register.may_have_expired(name, version, || {
            may_miss
                && self.of(name).any(|write| match &write.fate {
                    Fate::Acknowledged(other) => *other > version,
                    Fate::Running | Fate::Doubtful => true,
                    Fate::Void(_) => false,
                })
        })
    }

    pub(super) fn raise_floor(
        &mut self,
        (machine, asked): (usize, Instant),
        name: Name,
        version: VersionId,
    ) {
        if self.is_trusted(machine, asked) {
            let floor = self.floors.entry((machine, name)).or_insert(version);
            *floor = (*floor).max(version);
        }
    }

    /// The version that a node must show, or one ordered after it.
    pub(super) fn floor(&self, machine: usize, name: Name) -> Option<VersionId> {
        self.floors.get(&(machine, name)).copied()
    }

    /// A machine's disk has lost what was durable, all of it or some: nothing that its node has said before counts any
    /// more.
    pub(super) fn harm(&mut self, machine: usize, now: Instant, all: bool) {
        self.harmed.insert(machine, now);
        if !all {
            self.damaged.insert(machine);
        }
        self.floors.retain(|(other, _), _| *other != machine);
        for machines in self.claims.values_mut() {
            machines.remove(&machine);
        }
    }

    pub(super) fn is_harmed_since(&self, machine: usize, asked: Instant) -> bool {
        self.harmed.get(&machine).is_some_and(|at| *at >= asked)
    }

    /// Whether a node that was asked then must know what it had told.
    pub(super) fn is_trusted(&self, machine: usize, asked: Instant) -> bool {
        !self.damaged.contains(&machine) && !self.is_harmed_since(machine, asked)
    }

    pub(super) fn any_damage(&self) -> bool {
        !self.damaged.is_empty()
    }

    /// Whether a version is a deletion, as far as acknowledgements tell.
    pub(super) fn is_tombstone(&self, name: Name, version: VersionId) -> bool {
        self.acknowledged(name)
            .any(|(other, write)| other == version && write.thing == Thing::Tombstone)
    }

    /// Whether a deletion of this name may be above a version.
    pub(super) fn may_be_deleted(&self, name: Name, above: VersionId) -> bool {
        let all = self.by_name.get(&name).into_iter().flatten();
        let all = all.map(|id| (id, &self.writes[*id]));
        all.filter(|(_, write)| write.thing == Thing::Tombstone).any(|(id, write)| {
            match write.fate {
                Fate::Acknowledged(version) => {
                    self.cleared.get(id).map_or(version, |last| version.max(*last)) >= above
                }
                Fate::Running | Fate::Doubtful => true,
                Fate::Void(_) => false,
            }
        })
    }

    /// Whether a file may be there at all.
    pub(super) fn may_exist(&self, name: Name) -> bool {
        self.of(name)
            .any(|write| write.thing != Thing::Tombstone && !matches!(write.fate, Fate::Void(_)))
    }

    /// Whether somebody put this version with this hash under this name: it is shown, so it must be of a write.
    pub(super) fn explain(&self, name: Name, version: VersionId, hash: Hash) -> Result<(), String> {
        let mut why = "nobody wrote that version".to_owned();
        for write in self.of(name).filter(|write| write.writer == version.writer) {
            if !self.could_be(write.thing, hash, &mut BTreeSet::new()) {
                continue;
            }
            match &write.fate {
                Fate::Acknowledged(told) if *told == version => return Ok(()),
                Fate::Running | Fate::Doubtful => return Ok(()),
                Fate::Acknowledged(told) => why = format!("its writer was told of version {told}"),
                Fate::Void(said) => {
                    why = format!("its writer was told that nothing was stored: {said}");
                }
            }
        }
        Err(why)
    }

    /// Whether a write could have given a file with this hash.
    fn could_be(&self, thing: Thing, hash: Hash, seen: &mut BTreeSet<Name>) -> bool {
        match thing {
            Thing::File(content) | Thing::Restored(content) => content == hash,
            Thing::Tombstone => false,
            Thing::Moved(source) => {
                seen.insert(source)
                    && self.of(source).any(|write| self.could_be(write.thing, hash, seen))
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn version(stamp: u64) -> VersionId {
        VersionId { stamp, writer: Writer([1; 8]) }
    }

    pub(in super::super) fn write(name: Name, thing: Thing) -> Write {
        Write {
            name,
            thing,
            writer: Writer([1; 8]),
            machine: 0,
            begun: Instant(1),
            ended: None,
            fate: Fate::Running,
        }
    }

    #[test]
    fn only_what_was_put_and_not_refused_is_explained() {
        let mut ledger = Ledger::new(1, 4);
        let (one, two) = (ledger.contents.make(100), ledger.contents.make(100));
        assert!(ledger.explain(0, version(5), one).is_err());
        let put = ledger.begin(write(0, Thing::File(one)));
        assert!(ledger.explain(0, version(5), one).is_ok(), "it may be there before it is told");
        assert!(ledger.explain(0, version(5), two).is_err());
        assert!(ledger.explain(1, version(5), one).is_err());
        ledger.end(put, Instant(2), Fate::Acknowledged(version(6)));
        assert!(ledger.explain(0, version(5), one).is_err());
        assert!(ledger.explain(0, version(6), one).is_ok());
        let put = ledger.begin(write(1, Thing::File(two)));
        ledger.end(put, Instant(2), Fate::Void("full".to_owned()));
        assert!(ledger.explain(1, version(6), two).is_err());
        ledger.begin(write(1, Thing::Moved(0)));
        assert!(ledger.explain(1, version(9), one).is_ok(), "a name may get what another had");
        assert!(ledger.explain(1, version(9), two).is_err());
    }

    #[test]
    fn a_claim_ends_with_the_disk_it_is_about() {
        let mut ledger = Ledger::new(1, 4);
        let hash = ledger.contents.make(9);
        let put = ledger.begin(write(0, Thing::File(hash)));
        ledger.end(put, Instant(2), Fate::Acknowledged(version(6)));
        ledger.claim(0, version(6), (2, Instant(3)), Instant(3));
        assert_eq!(ledger.floor(0, 0), Some(version(6)));
        ledger.harm(0, Instant(4), true);
        assert!(ledger.must_be_kept(0, version(6)) && ledger.floor(0, 0).is_none());
        ledger.harm(2, Instant(5), true);
        assert!(!ledger.must_be_kept(0, version(6)));
        ledger.claim(0, version(6), (2, Instant(5)), Instant(6));
        assert!(!ledger.must_be_kept(0, version(6)), "it was asked before");
        ledger.claim(0, version(6), (2, Instant(6)), Instant(6));
        assert!(ledger.must_be_kept(0, version(6)) && ledger.is_trusted(2, Instant(6)));
    }

    #[test]
    fn nodes_that_agree_after_the_only_disk_with_a_version_was_lost_need_not_have_it() {
        let mut ledger = Ledger::new(1, 4);
        for (name, stamp) in [(0, 6), (1, 7)] {
            let hash = ledger.contents.make(9);
            let put = ledger.begin(write(name, Thing::File(hash)));
            ledger.end(put, Instant(2), Fate::Acknowledged(version(stamp)));
        }
        ledger.claim(1, version(7), (2, Instant(3)), Instant(3));
        ledger.harm(0, Instant(4), true);
        ledger.all_agree(3, Instant(5));
        assert!(!ledger.must_be_kept(0, version(6)), "nobody has it");
        assert!(ledger.must_be_kept(1, version(7)));
        assert!(!ledger.has_whole(1, version(7), (0, Instant(4))), "it was asked before");
        assert!(ledger.has_whole(1, version(7), (0, Instant(5))));
    }
}
