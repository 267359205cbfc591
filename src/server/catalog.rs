//! The catalog: every record this node knows, by id and by name.
//!
//! Knows where a record's bytes are, not what they say beyond their public half; reaches no disk. Derived: rebuilt from
//! the log at every start. Invariant: each entry is found by its id and among the versions of its name.

use crate::ids::{Hash, NameId, RecordId, VersionId};
use crate::planted::{self, Bug};
use crate::store::job::LogPlace;
use crate::wire::message::RangeSummary;
use crate::wire::record::{BlockList, Record, RecordKind};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

/// What the catalog keeps of a record.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The record.
    pub id: RecordId,
    /// The name it is about.
    pub name: NameId,
    /// The version.
    pub version: VersionId,
    /// Where its bytes are.
    pub place: LogPlace,
    /// What it states.
    pub kind: Kind,
    /// Every page and block that it names is held here.
    pub complete: bool,
    /// Its blocks are listed in pages.
    paged: bool,
    /// Another record names it as a parent.
    superseded: bool,
    /// The entry of the name's next lesser version.
    older: u32,
}

/// The kinds that the catalog tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A version of a file.
    File,
    /// A deletion.
    Tombstone,
    /// A grant.
    Grant,
    /// Kept and forwarded only.
    Other,
}

impl Kind {
    /// The catalog's view of a record's kind.
    #[must_use]
    pub(super) fn of(kind: RecordKind) -> Self {
        match kind {
            RecordKind::File => Self::File,
            RecordKind::Tombstone => Self::Tombstone,
            RecordKind::Grant => Self::Grant,
            RecordKind::Admission | RecordKind::Presence | RecordKind::Other(_) => Self::Other,
        }
    }

    fn is_version(self) -> bool {
        match self {
            Self::File | Self::Tombstone => true,
            Self::Grant | Self::Other => false,
        }
    }
}

/// No entry.
const NONE: u32 = u32::MAX;

/// Every record known.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    entries: Vec<Entry>,
    by_id: BTreeMap<RecordId, u32>,
    /// The greatest version of each name, from which `Entry::older` leads to the others.
    names: BTreeMap<NameId, u32>,
    /// Named as a parent by a record, and not here: not come yet, or forgotten since.
    early: BTreeMap<NameId, Vec<VersionId>>,
    shown: u64,
    incomplete: u64,
    /// The exclusive or of all ids.
    fingerprint: Hash,
    /// Forgotten because their bytes were damaged, and not had again.
    lost: BTreeSet<RecordId>,
}

impl Catalog {
    /// Takes in a record that has just become durable, or was found by a start. False if it was known.
    pub(super) fn insert(
        &mut self,
        id: RecordId,
        record: &Record,
        place: LogPlace,
        complete: bool,
    ) -> bool {
        if self.by_id.contains_key(&id) {
            return false;
        }
        let greatest = self.greatest(&record.name).map(|entry| entry.version);
        if planted::is_on(Bug::DropLesserVersion) && Some(record.version) < greatest {
            return false;
        }
        let kind = Kind::of(record.kind);
        let slot =
            u32::try_from(self.entries.len()).expect("fewer than 2^32 records fit in memory");
        let entry = Entry {
            id,
            name: record.name,
            version: record.version,
            place,
            kind,
            complete,
            paged: matches!(record.blocks, BlockList::Pages { .. }),
            superseded: false,
            older: NONE,
        };
        if self.entries.len() == self.entries.capacity() {
            // Doubling would leave as much again unused.
            self.entries.reserve_exact(self.entries.len() / 8 + 256);
        }
        self.entries.push(entry);
        self.by_id.insert(id, slot);
        self.lost.remove(&id);
        mix(&mut self.fingerprint, &id);
        self.incomplete += u64::from(!complete);
        if kind.is_version() {
            self.insert_version(slot, &record.parents);
        }
        true
    }

    fn insert_version(&mut self, slot: u32, parents: &[VersionId]) {
        let Entry { name, version, id, .. } = self.entries[slot as usize];
        let before = self.shown(&name).is_some();
        for parent in parents {
            if !self.supersede(&name, parent) {
                self.supersede_early(name, *parent);
            }
        }
        if let Some(early) = self.early.get_mut(&name)
            && early.contains(&version)
        {
            self.entries[slot as usize].superseded = true;
            early.retain(|early| *early != version);
            if early.is_empty() {
                self.early.remove(&name);
            }
        }
        let last = planted::is_on(Bug::ShowLastCome);
        let lesser = |entry: &Entry| last || (entry.version, entry.id) < (version, id);
        self.link(slot, lesser);
        let after = self.shown(&name).is_some();
        self.shown = self.shown + u64::from(after) - u64::from(before);
    }

    /// Puts an entry before the first of its name's versions that is `lesser`.
    fn link(&mut self, slot: u32, lesser: impl Fn(&Entry) -> bool) {
        let name = self.entries[slot as usize].name;
        let first = self.names.get(&name).copied().unwrap_or(NONE);
        let (mut newer, mut at) = (NONE, first);
        while at != NONE && !lesser(&self.entries[at as usize]) {
            newer = at;
            at = self.entries[at as usize].older;
        }
        self.entries[slot as usize].older = at;
        match newer {
            NONE => {
                self.names.insert(name, slot);
            }
            newer => self.entries[newer as usize].older = slot,
        }
    }

    /// Takes an entry out of its name's versions.
    fn unlink(&mut self, slot: u32) {
        let Entry { name, older, .. } = self.entries[slot as usize];
        let mut at = self.names.get(&name).copied().unwrap_or(NONE);
        if at == slot {
            match older {
                NONE => self.names.remove(&name),
                older => self.names.insert(name, older),
            };
            return;
        }
        while at != NONE {
            let next = self.entries[at as usize].older;
            if next == slot {
                self.entries[at as usize].older = older;
                return;
            }
            at = next;
        }
    }

    /// Marks a version as one that another supersedes. False if it is not known.
    fn supersede(&mut self, name: &NameId, version: &VersionId) -> bool {
        let mut at = self.names.get(name).copied().unwrap_or(NONE);
        let mut known = false;
        while at != NONE {
            let entry = &mut self.entries[at as usize];
            if entry.version == *version {
                entry.superseded = true;
                known = true;
            }
            at = entry.older;
        }
        known
    }

    /// Whenever this version comes, another has superseded it before.
    fn supersede_early(&mut self, name: NameId, version: VersionId) {
        let early = self.early.entry(name).or_default();
        if !early.contains(&version) {
            early.push(version);
        }
    }

    /// All versions of a name, greatest first.
    fn versions(&self, name: &NameId) -> impl Iterator<Item = &Entry> {
        let slot = |slot: u32| self.entries.get(slot as usize);
        let newest = self.names.get(name).copied().and_then(slot);
        std::iter::successors(newest, move |entry| slot(entry.older))
    }

    /// Forgets a record whose bytes are damaged on the disk.
    pub(super) fn remove(&mut self, id: &RecordId) {
        let Some(slot) = self.by_id.remove(id) else {
            return;
        };
        self.lost.insert(*id);
        mix(&mut self.fingerprint, id);
        self.set_slot_complete(slot, true);
        let Entry { name, version, superseded, .. } = self.entries[slot as usize];
        if superseded {
            self.supersede_early(name, version);
        }
        let before = self.shown(&name).is_some();
        self.entries[slot as usize].kind = Kind::Other;
        self.unlink(slot);
        let after = self.shown(&name).is_some();
        self.shown = self.shown + u64::from(after) - u64::from(before);
    }

    /// The entry of a record.
    #[must_use]
    pub(super) fn get(&self, id: &RecordId) -> Option<&Entry> {
        self.by_id.get(id).map(|slot| &self.entries[*slot as usize])
    }

    /// Whether a record is known.
    #[must_use]
    pub(super) fn contains(&self, id: &RecordId) -> bool {
        self.by_id.contains_key(id)
    }

    /// The greatest version of a name, a tombstone too.
    #[must_use]
    pub(super) fn greatest(&self, name: &NameId) -> Option<&Entry> {
        self.names.get(name).map(|slot| &self.entries[*slot as usize])
    }

    /// The version that a reader of the name sees: the greatest, if that is not a tombstone.
    #[must_use]
    pub(super) fn shown(&self, name: &NameId) -> Option<&Entry> {
        let count = if planted::is_on(Bug::ReviveDeleted) { usize::MAX } else { 1 };
        self.versions(name).take(count).find(|entry| entry.kind == Kind::File)
    }

    /// The versions that no other supersedes, greatest first, at most `count`. The greatest is one of them, whatever a
    /// record that is known no more has said of it.
    #[must_use]
    pub(super) fn heads(&self, name: &NameId, count: usize) -> Vec<VersionId> {
        let count = if planted::is_on(Bug::TellOneHead) { 1 } else { count };
        let heads = self.versions(name);
        let mut heads: Vec<_> = heads
            .enumerate()
            .filter(|(at, entry)| *at == 0 || !entry.superseded)
            .map(|(_, entry)| entry.version)
            .take(count)
            .collect();
        heads.dedup();
        heads
    }

    /// Names shown after `after`, in the order of their ids.
    pub(super) fn names_after(&self, after: Option<NameId>) -> impl Iterator<Item = &Entry> {
        let start = after.map_or(Unbounded, Excluded);
        self.names.range((start, Unbounded)).filter_map(|(name, _)| self.shown(name))
    }

    /// Records with ids from `first` to `last`, both included.
    pub(super) fn range(&self, first: RecordId, last: RecordId) -> impl Iterator<Item = &Entry> {
        let range = (first <= last).then(|| self.by_id.range((Included(first), Included(last))));
        range.into_iter().flatten().map(|(_, slot)| &self.entries[*slot as usize])
    }

    /// What there is in all; known at any time, however much that is.
    #[must_use]
    pub(super) fn whole(&self) -> RangeSummary {
        let (first, last) = (RecordId([0; 32]), RecordId([u8::MAX; 32]));
        RangeSummary { first, last, count: self.records(), fingerprint: self.fingerprint }
    }

    /// What lies between two ids, both included.
    #[must_use]
    pub(super) fn summary(&self, first: RecordId, last: RecordId) -> RangeSummary {
        let mut summary = RangeSummary { first, last, count: 0, fingerprint: Hash::default() };
        for entry in self.range(first, last) {
            summary.count += 1;
            mix(&mut summary.fingerprint, &entry.id);
        }
        summary
    }

    /// Records that were damaged and have not come again.
    pub(super) fn lost(&self) -> &BTreeSet<RecordId> {
        &self.lost
    }

    /// Every record of one kind.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.kind == kind)
    }

    /// Every record whose blocks are listed in pages.
    pub(super) fn paged(&self) -> impl Iterator<Item = RecordId> {
        self.entries.iter().filter(|entry| entry.paged).map(|entry| entry.id)
    }

    /// Every record that names something which is not here.
    pub(super) fn all_incomplete(&self) -> impl Iterator<Item = RecordId> {
        self.entries.iter().filter(|entry| !entry.complete).map(|entry| entry.id)
    }

    /// Says whether all that a record names is here.
    pub(super) fn set_complete(&mut self, id: &RecordId, complete: bool) {
        if let Some(slot) = self.by_id.get(id) {
            self.set_slot_complete(*slot, complete);
        }
    }

    fn set_slot_complete(&mut self, slot: u32, complete: bool) {
        let entry = &mut self.entries[slot as usize];
        self.incomplete = self.incomplete + u64::from(entry.complete) - u64::from(complete);
        entry.complete = complete;
    }

    /// Records known.
    #[must_use]
    pub(super) fn records(&self) -> u64 {
        self.by_id.len() as u64
    }

    /// Names shown.
    #[must_use]
    pub(super) fn names(&self) -> u64 {
        self.shown
    }

    /// Records that name something which is not here.
    #[must_use]
    pub(super) fn incomplete(&self) -> u64 {
        self.incomplete
    }
}

/// Adds an id to a sum, or takes it away.
fn mix(sum: &mut Hash, id: &RecordId) {
    for (sum, byte) in sum.0.iter_mut().zip(id.0) {
        *sum ^= byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Space, Writer};
    use crate::wire::record::FORMAT;

    const NAME: NameId = NameId([7; 32]);

    fn version(stamp: u64) -> VersionId {
        VersionId { stamp, writer: Writer([1; 8]) }
    }

    fn insert(catalog: &mut Catalog, kind: RecordKind, stamp: u64, parents: &[u64]) -> RecordId {
        let id = RecordId([u8::try_from(stamp).unwrap(); 32]);
        let record = Record {
            format: FORMAT,
            kind,
            space: Space::default(),
            name: NAME,
            version: version(stamp),
            parents: parents.iter().map(|parent| version(*parent)).collect(),
            epoch: 1,
            signer: [0; 32],
            blocks: BlockList::Inline(Vec::new()),
            extensions: Vec::new(),
            sealed_tag: [0; 32],
            sealed: Vec::new(),
            signature: [0; 64],
        };
        let place = LogPlace { segment: 1, offset: 64, length: 200 };
        assert!(catalog.insert(id, &record, place, true));
        assert!(!catalog.insert(id, &record, place, true), "a record is known once");
        id
    }

    /// Inserts in this order and looks at what is shown and at the heads, greatest first.
    fn check(order: &[(RecordKind, u64, &[u64])], shown: Option<u64>, heads: &[u64]) {
        let mut catalog = Catalog::default();
        for (kind, stamp, parents) in order {
            insert(&mut catalog, *kind, *stamp, parents);
        }
        let found = catalog.shown(&NAME).map(|entry| entry.version.stamp);
        assert_eq!(found, shown, "{order:?}");
        assert_eq!(catalog.names(), u64::from(shown.is_some()), "{order:?}");
        let found: Vec<_> = catalog.heads(&NAME, 8).iter().map(|head| head.stamp).collect();
        assert_eq!(found, heads, "{order:?}");
    }

    #[test]
    fn the_greatest_version_is_shown_whatever_came_first() {
        use RecordKind::{File, Tombstone};
        let (one, two, gone) = ((File, 1, &[][..]), (File, 2, &[1][..]), (Tombstone, 3, &[2][..]));
        check(&[one, two], Some(2), &[2]);
        check(&[two, one], Some(2), &[2]);
        check(&[one, two, gone], None, &[3]);
        check(&[gone, two, one], None, &[3]);
        check(&[two, gone, one], None, &[3]);
        let beside = (File, 4, &[1][..]);
        check(&[one, beside, two], Some(4), &[4, 2]);
        check(&[beside, two, one], Some(4), &[4, 2]);
    }

    #[test]
    fn what_is_removed_gives_way_to_the_version_before() {
        let mut catalog = Catalog::default();
        let ids: Vec<_> =
            (1..=3).map(|stamp| insert(&mut catalog, RecordKind::File, stamp, &[])).collect();
        for (removed, shown) in [(ids[1], Some(3)), (ids[2], Some(1)), (ids[0], None)] {
            catalog.remove(&removed);
            assert_eq!(catalog.shown(&NAME).map(|entry| entry.version.stamp), shown);
        }
        assert_eq!((catalog.names(), catalog.records()), (0, 0));
        insert(&mut catalog, RecordKind::File, 1, &[]);
        assert_eq!(catalog.names(), 1);
    }

    #[test]
    fn what_a_removed_version_superseded_is_told_of_again() {
        let mut catalog = Catalog::default();
        insert(&mut catalog, RecordKind::File, 1, &[]);
        let removed = insert(&mut catalog, RecordKind::File, 2, &[1]);
        catalog.remove(&removed);
        assert_eq!(catalog.heads(&NAME, 8), [version(1)]);
        insert(&mut catalog, RecordKind::File, 2, &[1]);
        assert_eq!(catalog.heads(&NAME, 8), [version(2)]);
    }

    #[test]
    fn the_summaries_of_the_parts_make_that_of_the_whole() {
        let mut catalog = Catalog::default();
        for stamp in 1..100 {
            insert(&mut catalog, RecordKind::File, stamp, &[]);
        }
        let edge = |byte| RecordId([byte; 32]);
        let (low, high) =
            (catalog.summary(edge(0), edge(49)), catalog.summary(edge(50), edge(255)));
        let whole = catalog.summary(edge(0), edge(255));
        assert_eq!(low.count + high.count, whole.count);
        for at in 0..32 {
            assert_eq!(low.fingerprint.0[at] ^ high.fingerprint.0[at], whole.fingerprint.0[at]);
        }
        assert_eq!(catalog.range(edge(10), edge(9)).count(), 0);
    }
}
