//! The catalog: every record this node knows, by id and by name.
//!
//! Knows where a record's bytes are, not what they say beyond their public half; reaches no disk. Derived: rebuilt from
//! the log at every start. Invariant: each entry is found by its id and among the versions of its name.

use super::entry::{Entry, Flag, Kind, version_key};
use super::order::{Keys, Order, Side, Spot, mix};
use super::rows::Rows;
use crate::crypto::alias::{Alias, Aliases};
use crate::crypto::keys::heads_hash;
use crate::ids::{Hash, NameId, RecordId, VersionId};
use crate::planted::{self, Bug};
use crate::store::job::LogPlace;
use crate::wire::condition::HeadsSummary;
use crate::wire::message::RangeSummary;
use crate::wire::record::Record;
use std::collections::{BTreeMap, BTreeSet};

/// Every record known.
#[derive(Debug)]
pub(super) struct Catalog {
    aliases: Aliases,
    entries: Rows<Entry>,
    by_id: Order,
    /// Every version of every name.
    by_name: Order,
    /// Named as a parent by a record, and not here: not come yet, or forgotten since.
    early: BTreeMap<Alias, Vec<VersionId>>,
    records: u64,
    shown: u64,
    incomplete: u64,
    /// The exclusive or of all ids.
    fingerprint: Hash,
    /// Forgotten because their bytes were damaged, and not had again.
    lost: BTreeSet<RecordId>,
}

/// Entries ordered by id.
struct Ids<'a>(&'a Rows<Entry>);

/// Entries ordered by name and version.
struct Names<'a>(&'a Rows<Entry>);

impl Keys for Ids<'_> {
    fn key(&self, slot: u32) -> &[u8] {
        self.0[slot].id_bytes()
    }
}

impl Keys for Names<'_> {
    fn key(&self, slot: u32) -> &[u8] {
        self.0[slot].key()
    }
}

impl Catalog {
    /// An empty one.
    pub(super) fn new(aliases: Aliases) -> Self {
        Self {
            aliases,
            entries: Rows::default(),
            by_id: Order::default(),
            by_name: Order::default(),
            early: BTreeMap::new(),
            records: 0,
            shown: 0,
            incomplete: 0,
            fingerprint: Hash::default(),
            lost: BTreeSet::new(),
        }
    }

    /// Takes in a record that has just become durable, or was found by a start. False if it was known.
    pub(super) fn insert(
        &mut self,
        id: RecordId,
        record: &Record,
        place: LogPlace,
        complete: bool,
    ) -> bool {
        let spot = self.by_id.seek(&id.0, Side::Before, &Ids(&self.entries));
        if self.slot_at(spot, &id).is_some() {
            return false;
        }
        let name = self.aliases.of(&record.name);
        let greatest = || self.versions(name).next().map(Entry::version);
        if planted::is_on(Bug::DropLesserVersion) && Some(record.version) < greatest() {
            return false;
        }
        let mut entry = Entry::new(id, &name, record, place);
        entry.set(Flag::Complete, complete);
        let kind = entry.kind();
        let slot = self.entries.push(entry);
        self.by_id.insert(spot, slot, &Ids(&self.entries));
        self.lost.remove(&id);
        self.records += 1;
        mix(&mut self.fingerprint, &id.0);
        self.incomplete += u64::from(!complete);
        if kind.is_version() {
            self.insert_version(slot, record);
        }
        true
    }

    fn insert_version(&mut self, slot: u32, record: &Record) {
        let Record { version, parents, .. } = record;
        let name = self.entries[slot].name();
        let before = self.shows(name);
        for parent in parents {
            if !self.supersede(&name, parent) {
                self.supersede_early(name, *parent);
            }
        }
        if let Some(early) = self.early.get_mut(&name)
            && early.contains(version)
        {
            self.entries[slot].set(Flag::Superseded, true);
            early.retain(|early| early != version);
            if early.is_empty() {
                self.early.remove(&name);
            }
        }
        let names = Names(&self.entries);
        let spot = self.by_name.seek(names.key(slot), Side::Before, &names);
        self.by_name.insert(spot, slot, &names);
        let after = self.shows(name);
        self.shown = self.shown + u64::from(after) - u64::from(before);
    }

    /// Marks a version as one that another supersedes. False if it is not known.
    fn supersede(&mut self, name: &Alias, version: &VersionId) -> bool {
        let key = version_key(name, version);
        let spot = self.by_name.seek(&key, Side::Before, &Names(&self.entries));
        let mut known = false;
        for slot in self.by_name.after(spot) {
            if !self.entries[slot].key().starts_with(&key) {
                break;
            }
            self.entries[slot].set(Flag::Superseded, true);
            known = true;
        }
        known
    }

    /// Whenever this version comes, another has superseded it before.
    fn supersede_early(&mut self, name: Alias, version: VersionId) {
        let early = self.early.entry(name).or_default();
        if !early.contains(&version) {
            early.push(version);
        }
    }

    /// The spot after all versions of a name.
    fn past(&self, name: &Alias) -> Spot {
        self.by_name.seek(&name.0, Side::After, &Names(&self.entries))
    }

    /// All versions of a name that lie before a spot, greatest first.
    fn slots_before(&self, spot: Spot, name: Alias) -> impl Iterator<Item = u32> {
        let slots = self.by_name.before(spot);
        slots.take_while(move |slot| self.entries[*slot].key().starts_with(&name.0))
    }

    /// All versions of a name, greatest first.
    fn versions(&self, name: Alias) -> impl Iterator<Item = &Entry> {
        self.slots_before(self.past(&name), name).map(|slot| &self.entries[slot])
    }

    /// Forgets a record whose bytes are damaged on the disk.
    pub(super) fn remove(&mut self, id: &RecordId) {
        let Some(slot) = self.slot(id) else {
            return;
        };
        self.by_id.remove(slot, &Ids(&self.entries));
        self.lost.insert(*id);
        self.records -= 1;
        mix(&mut self.fingerprint, &id.0);
        self.set_slot_complete(slot, true);
        let entry = &self.entries[slot];
        let (name, version) = (entry.name(), entry.version());
        if entry.is(Flag::Superseded) {
            self.supersede_early(name, version);
        }
        let before = self.shows(name);
        self.by_name.remove(slot, &Names(&self.entries));
        self.entries[slot].forget();
        let after = self.shows(name);
        self.shown = self.shown + u64::from(after) - u64::from(before);
    }

    fn slot(&self, id: &RecordId) -> Option<u32> {
        let spot = self.by_id.seek(&id.0, Side::Before, &Ids(&self.entries));
        self.slot_at(spot, id)
    }

    /// The same, where the spot before the id is known.
    fn slot_at(&self, spot: Spot, id: &RecordId) -> Option<u32> {
        let slot = self.by_id.after(spot).next();
        slot.filter(|slot| self.entries[*slot].id_bytes() == id.0)
    }

    /// The entry of a record.
    #[must_use]
    pub(super) fn get(&self, id: &RecordId) -> Option<&Entry> {
        self.slot(id).map(|slot| &self.entries[slot])
    }

    /// Whether a record is known.
    #[must_use]
    pub(super) fn contains(&self, id: &RecordId) -> bool {
        self.slot(id).is_some()
    }

    /// The greatest version of a name, a tombstone too.
    #[must_use]
    pub(super) fn greatest(&self, name: &NameId) -> Option<&Entry> {
        self.versions(self.aliases.of(name)).next()
    }

    /// The version that a reader of the name sees: the greatest, if that is not a tombstone.
    #[must_use]
    pub(super) fn shown(&self, name: &NameId) -> Option<&Entry> {
        let name = self.aliases.of(name);
        self.shown_before(self.past(&name), name)
    }

    /// The same, where the spot after the name's versions is known.
    fn shown_before(&self, spot: Spot, name: Alias) -> Option<&Entry> {
        let slots = self.slots_before(spot, name);
        let entry = |slot| &self.entries[slot];
        if planted::is_on(Bug::ShowLastCome) {
            return slots.max().map(entry).filter(|entry| entry.kind() == Kind::File);
        }
        let count = if planted::is_on(Bug::ReviveDeleted) { usize::MAX } else { 1 };
        slots.take(count).map(entry).find(|entry| entry.kind() == Kind::File)
    }

    /// Whether a reader of the name sees anything.
    fn shows(&self, name: Alias) -> bool {
        self.shown_before(self.past(&name), name).is_some()
    }

    /// The versions that no other supersedes, greatest first, at most `count`. The greatest is one of them, whatever a
    /// record that is known no more has said of it.
    #[must_use]
    pub(super) fn heads(&self, name: &NameId, count: usize) -> Vec<VersionId> {
        let count = if planted::is_on(Bug::TellOneHead) { 1 } else { count };
        let heads = self.versions(self.aliases.of(name));
        let mut heads: Vec<_> = heads
            .enumerate()
            .filter(|(at, entry)| *at == 0 || !entry.is(Flag::Superseded))
            .map(|(_, entry)| entry.version())
            .take(count)
            .collect();
        heads.dedup();
        heads
    }

    /// How many versions of a name no other supersedes, and the hash of all of them.
    #[must_use]
    pub(super) fn heads_summary(&self, name: &NameId) -> HeadsSummary {
        let mut heads = self.heads(name, usize::MAX);
        heads.reverse();
        HeadsSummary { count: heads.len() as u64, hash: heads_hash(&heads) }
    }

    /// The entry of one version of a name.
    #[must_use]
    pub(super) fn version(&self, name: &NameId, version: &VersionId) -> Option<&Entry> {
        let key = version_key(&self.aliases.of(name), version);
        let spot = self.by_name.seek(&key, Side::Before, &Names(&self.entries));
        let slot = self.by_name.after(spot).next()?;
        Some(&self.entries[slot]).filter(|entry| entry.key().starts_with(&key))
    }

    /// Names shown after `after`, in the order of their aliases.
    pub(super) fn names_after(&self, after: Option<Alias>) -> impl Iterator<Item = &Entry> {
        let mut spot = after.map_or(Spot::FIRST, |name| self.past(&name));
        let next_name = move || {
            let name = self.entries[self.by_name.after(spot).next()?].name();
            spot = self.past(&name);
            Some((spot, name))
        };
        std::iter::from_fn(next_name).filter_map(|(spot, name)| self.shown_before(spot, name))
    }

    /// Records with ids from `first` to `last`, both included.
    pub(super) fn range(&self, first: RecordId, last: RecordId) -> impl Iterator<Item = &Entry> {
        let spot = self.by_id.seek(&first.0, Side::Before, &Ids(&self.entries));
        let entries = self.by_id.after(spot).map(|slot| &self.entries[slot]);
        entries.take_while(move |entry| entry.id_bytes() <= &last.0[..])
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
        let ids = Ids(&self.entries);
        let from = self.by_id.seek(&first.0, Side::Before, &ids);
        let to = self.by_id.seek(&last.0, Side::After, &ids);
        let (count, fingerprint) = self.by_id.sum(from, to, &ids);
        RangeSummary { first, last, count, fingerprint }
    }

    /// Records that were damaged and have not come again.
    pub(super) fn lost(&self) -> &BTreeSet<RecordId> {
        &self.lost
    }

    /// Every record of one kind.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.kind() == kind)
    }

    /// Every record whose blocks are listed in pages.
    pub(super) fn paged(&self) -> impl Iterator<Item = RecordId> {
        self.entries.iter().filter(|entry| entry.is(Flag::Paged)).map(Entry::id)
    }

    /// Every record that names something which is not here.
    pub(super) fn all_incomplete(&self) -> impl Iterator<Item = RecordId> {
        self.entries.iter().filter(|entry| !entry.is(Flag::Complete)).map(Entry::id)
    }

    /// Says whether all that a record names is here.
    pub(super) fn set_complete(&mut self, id: &RecordId, complete: bool) {
        if let Some(slot) = self.slot(id) {
            self.set_slot_complete(slot, complete);
        }
    }

    fn set_slot_complete(&mut self, slot: u32, complete: bool) {
        let entry = &mut self.entries[slot];
        let before = entry.is(Flag::Complete);
        self.incomplete = self.incomplete + u64::from(before) - u64::from(complete);
        entry.set(Flag::Complete, complete);
    }

    /// Records known.
    #[must_use]
    pub(super) fn records(&self) -> u64 {
        self.records
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Space, Writer};
    use crate::wire::record::{BlockList, FORMAT, RecordKind};

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
        let mut catalog = Catalog::new(Aliases::new([9; 16]));
        for (kind, stamp, parents) in order {
            insert(&mut catalog, *kind, *stamp, parents);
        }
        let found = catalog.shown(&NAME).map(|entry| entry.version().stamp);
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
        let mut catalog = Catalog::new(Aliases::new([9; 16]));
        let ids: Vec<_> =
            (1..=3).map(|stamp| insert(&mut catalog, RecordKind::File, stamp, &[])).collect();
        for (removed, shown) in [(ids[1], Some(3)), (ids[2], Some(1)), (ids[0], None)] {
            catalog.remove(&removed);
            assert_eq!(catalog.shown(&NAME).map(|entry| entry.version().stamp), shown);
        }
        assert_eq!((catalog.names(), catalog.records()), (0, 0));
        insert(&mut catalog, RecordKind::File, 1, &[]);
        assert_eq!(catalog.names(), 1);
    }

    #[test]
    fn what_a_removed_version_superseded_is_told_of_again() {
        let mut catalog = Catalog::new(Aliases::new([9; 16]));
        insert(&mut catalog, RecordKind::File, 1, &[]);
        let removed = insert(&mut catalog, RecordKind::File, 2, &[1]);
        catalog.remove(&removed);
        assert_eq!(catalog.heads(&NAME, 8), [version(1)]);
        insert(&mut catalog, RecordKind::File, 2, &[1]);
        assert_eq!(catalog.heads(&NAME, 8), [version(2)]);
    }

    #[test]
    fn the_summaries_of_the_parts_make_that_of_the_whole() {
        let mut catalog = Catalog::new(Aliases::new([9; 16]));
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
