//! The catalog: every record this node knows, by id and by name.
//!
//! Knows where a record's bytes are, not what they say beyond their public half; reaches no disk. Derived: rebuilt from
//! the log at every start. Invariant: each entry is found by its id and among the versions of its name; no question about
//! a name costs a look at versions that are superseded.

use self::damaged::Guesses;
use super::entry::{Entry, Flag, Kind, heads_key, version_key};
use super::segmented::SegmentedVec;
use super::sorted::{Cursor, Keys, Side, SortedIndex, xor_into};
use super::steps::Steps;
use crate::crypto::alias::{Alias, Aliases};
use crate::crypto::keys::heads_hash;
use crate::ids::{Hash, NameId, RecordId, VersionId, Writer};
use crate::planted::{self, Bug};
use crate::store::values::LogPlace;
use crate::wire::condition::HeadsSummary;
use crate::wire::discards::discards;
use crate::wire::message::RangeSummary;
use crate::wire::record::Record;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

/// Every record known.
#[derive(Debug)]
pub(crate) struct Catalog {
    aliases: Aliases,
    entries: SegmentedVec<Entry>,
    by_id: SortedIndex,
    /// Every version of every name.
    by_name: SortedIndex,
    /// Named as a parent by a record, and not here: not come yet, or forgotten since.
    early: BTreeSet<(Alias, VersionId)>,
    /// Discarded by a record, here or not.
    discarded: BTreeSet<(Alias, VersionId)>,
    /// What is dated after this stamp is dated in the future.
    latest: u64,
    records: u64,
    shown: u64,
    /// Damaged heads.
    damaged: u64,
    /// The exclusive or of all ids.
    fingerprint: Hash,
    /// Their bytes were damaged, and have not been had again: each with the entry that says what is known of it, if it is a
    /// version of a name.
    lost: BTreeMap<RecordId, Option<u32>>,
    /// Not held any more, and when they expired.
    expired: BTreeMap<RecordId, u64>,
    guesses: Guesses,
    steps: Steps,
}

/// What a list says of a name.
#[derive(Debug)]
pub(crate) enum Listed<'a> {
    /// A reader sees this version of it; its bytes may be damaged.
    Shown(&'a Entry),
    /// A version of it is dated in the future; without that, a reader would see this.
    Future(Alias, Option<&'a Entry>),
}

/// Entries ordered by id.
struct Ids<'a>(&'a SegmentedVec<Entry>);

/// Entries ordered by name and version.
struct Names<'a>(&'a SegmentedVec<Entry>);

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
    pub(crate) fn new(aliases: Aliases) -> Self {
        Self {
            aliases,
            entries: SegmentedVec::default(),
            by_id: SortedIndex::default(),
            by_name: SortedIndex::default(),
            early: BTreeSet::new(),
            discarded: BTreeSet::new(),
            latest: u64::MAX,
            records: 0,
            shown: 0,
            damaged: 0,
            fingerprint: Hash::default(),
            lost: BTreeMap::new(),
            expired: BTreeMap::new(),
            guesses: Guesses::default(),
            steps: Steps::default(),
        }
    }

    /// Takes in a record that has just become durable, or was found by a start. False if it was known.
    pub(crate) fn insert(&mut self, id: RecordId, record: &Record, place: LogPlace) -> bool {
        let cursor = self.by_id.seek(&id.0, Side::Before, &Ids(&self.entries));
        if self.slot_at(cursor, &id).is_some() {
            return false;
        }
        let name = self.aliases.of(&record.name);
        let greatest = || self.greatest_slot(name).map(|slot| self.entries[slot].version());
        if planted::is_on(Bug::DropLesserVersion) && Some(record.version) < greatest() {
            return false;
        }
        self.give_way(&name, &record.version, &id);
        let damaged = self.damaged_slot(&id);
        let slot = match damaged {
            Some(slot) => slot,
            None => self.entries.push(Entry::new(id, &name, record, place)),
        };
        self.damaged -= u64::from(self.is_damaged_head(slot));
        let entry = &mut self.entries[slot];
        entry.become_sound(place);
        let kind = entry.kind();
        self.by_id.insert(cursor, slot, &Ids(&self.entries));
        self.lost.remove(&id);
        self.expired.remove(&id);
        self.records += 1;
        xor_into(&mut self.fingerprint, &id.0);
        if damaged.is_none() && kind.is_version() {
            self.insert_version(slot, record);
        }
        true
    }

    fn insert_version(&mut self, slot: u32, record: &Record) {
        let Record { version, parents, .. } = record;
        let name = self.entries[slot].name();
        let before = self.shows(name);
        for parent in parents {
            self.guesses.confirm(&(name, *parent));
            if !self.supersede(&name, parent) {
                // Whenever this version comes, another has superseded it before.
                self.early.insert((name, *parent));
            }
        }
        for discarded in discards(record) {
            self.discarded.insert((name, discarded));
            self.discard(&name, &discarded);
        }
        if self.early.remove(&(name, *version)) {
            self.entries[slot].become_superseded();
        }
        if self.discarded.contains(&(name, *version)) {
            self.entries[slot].set(Flag::Discarded, true);
        } else {
            self.insert_by_name(slot);
        }
        let after = self.shows(name);
        self.shown = self.shown + u64::from(after) - u64::from(before);
    }

    fn insert_by_name(&mut self, slot: u32) {
        let names = Names(&self.entries);
        let cursor = self.by_name.seek(names.key(slot), Side::Before, &names);
        self.by_name.insert(cursor, slot, &names);
    }

    /// The entries of one version, as heads or as superseded: more than one if a writer gave it twice.
    fn version_slots(&self, name: &Alias, version: &VersionId, head: bool) -> Vec<u32> {
        let key = version_key(name, version, head);
        let cursor = self.by_name.seek(&key, Side::Before, &Names(&self.entries));
        let slots = self.by_name.after(cursor);
        slots.take_while(|slot| self.look(*slot).key().starts_with(&key)).collect()
    }

    /// Marks a version as one that another supersedes. False if it is not known.
    fn supersede(&mut self, name: &Alias, version: &VersionId) -> bool {
        let heads = self.version_slots(name, version, true);
        for slot in &heads {
            self.damaged -= u64::from(self.is_damaged_head(*slot));
            self.by_name.remove(*slot, &Names(&self.entries));
            self.entries[*slot].become_superseded();
            self.insert_by_name(*slot);
        }
        !heads.is_empty() || !self.version_slots(name, version, false).is_empty()
    }

    /// Takes a version out of the versions of its name, and keeps its record.
    fn discard(&mut self, name: &Alias, version: &VersionId) {
        let slots = [true, false].map(|head| self.version_slots(name, version, head));
        for slot in slots.into_iter().flatten() {
            self.damaged -= u64::from(self.is_damaged_head(slot));
            self.by_name.remove(slot, &Names(&self.entries));
            self.entries[slot].set(Flag::Discarded, true);
        }
    }

    /// An entry on the way through the versions of a name.
    fn look(&self, slot: u32) -> &Entry {
        self.steps.note();
        &self.entries[slot]
    }

    /// The cursor after all versions of a name.
    fn past(&self, name: &Alias) -> Cursor {
        self.by_name.seek(&name.0, Side::After, &Names(&self.entries))
    }

    /// All versions of a name that lie before a cursor: the heads, greatest first, and then the others.
    fn slots_before(&self, cursor: Cursor, name: Alias) -> impl Iterator<Item = u32> {
        let slots = self.by_name.before(cursor);
        slots.take_while(move |slot| self.look(*slot).name() == name)
    }

    /// The greatest version of a name that counts, where the cursor after all of them is known. It may be superseded by a
    /// record that has been lost since, or by one whose stamp breaks the rules.
    fn greatest_before(&self, past: Cursor, name: Alias, latest: u64) -> Option<u32> {
        let mut last = self.slots_before(past, name);
        let greatest = last.next()?;
        if last.next().is_none() {
            return (self.entries[greatest].version().stamp <= latest).then_some(greatest);
        }
        let head = self.last_dated(past, name, true, latest);
        let cursor = self.by_name.seek(&heads_key(&name), Side::Before, &Names(&self.entries));
        let superseded = self.last_dated(cursor, name, false, latest);
        let rank = |slot: &u32| self.entries[*slot].rank();
        head.into_iter().chain(superseded).max_by_key(rank)
    }

    /// The greatest of a name's heads, or of its other versions, that is dated no later; `past` lies after all of these.
    fn last_dated(&self, past: Cursor, name: Alias, head: bool, latest: u64) -> Option<u32> {
        let is_one = |slot: &u32| self.entries[*slot].is_head() == head;
        let last = self.slots_before(past, name).next().filter(is_one)?;
        if self.entries[last].version().stamp <= latest {
            return Some(last);
        }
        let later = VersionId { stamp: latest + 1, writer: Writer::default() };
        let key = version_key(&name, &later, head);
        let cursor = self.by_name.seek(&key, Side::Before, &Names(&self.entries));
        self.slots_before(cursor, name).next().filter(is_one)
    }

    fn greatest_slot(&self, name: Alias) -> Option<u32> {
        self.greatest_before(self.past(&name), name, self.latest())
    }

    /// The versions of a name that are dated in the future and neither superseded nor discarded, the greatest ones.
    #[must_use]
    pub(crate) fn future(&self, name: &NameId, count: usize) -> Vec<VersionId> {
        let name = self.aliases.of(name);
        let last = self.slots_before(self.past(&name), name).map(|slot| &self.entries[slot]);
        let above = last.take_while(|entry| entry.is_head() && !self.is_credible(entry));
        above.map(Entry::version).take(count).collect()
    }

    /// From now on what is dated after this stamp is dated in the future.
    pub(crate) fn set_latest(&mut self, latest: u64) {
        self.latest = latest;
    }

    fn latest(&self) -> u64 {
        if planted::is_on(Bug::FutureIsHead) { u64::MAX } else { self.latest }
    }

    fn is_credible(&self, entry: &Entry) -> bool {
        entry.version().stamp <= self.latest()
    }

    fn slot(&self, id: &RecordId) -> Option<u32> {
        let cursor = self.by_id.seek(&id.0, Side::Before, &Ids(&self.entries));
        self.slot_at(cursor, id)
    }

    /// The same, where the cursor before the id is known.
    fn slot_at(&self, cursor: Cursor, id: &RecordId) -> Option<u32> {
        let slot = self.by_id.after(cursor).next();
        slot.filter(|slot| self.entries[*slot].id_bytes() == id.0)
    }

    /// The entry of a record.
    #[must_use]
    pub(crate) fn get(&self, id: &RecordId) -> Option<&Entry> {
        self.slot(id).map(|slot| &self.entries[slot])
    }

    /// Whether a record is known.
    #[must_use]
    pub(crate) fn contains(&self, id: &RecordId) -> bool {
        self.slot(id).is_some()
    }

    /// The greatest version of a name, a tombstone too, and one whose bytes are damaged.
    #[must_use]
    pub(crate) fn greatest(&self, name: &NameId) -> Option<&Entry> {
        self.greatest_slot(self.aliases.of(name)).map(|slot| &self.entries[slot])
    }

    /// The version that a reader of the name sees: the greatest, if that is not a tombstone. Its bytes may be damaged.
    #[must_use]
    pub(crate) fn shown(&self, name: &NameId) -> Option<&Entry> {
        self.greatest(name).filter(|entry| entry.kind() == Kind::File)
    }

    /// The same, where the cursor after the name's versions is known.
    fn shown_before(&self, cursor: Cursor, name: Alias, latest: u64) -> Option<&Entry> {
        let entry = |slot| &self.entries[slot];
        let is_file = |entry: &&Entry| entry.kind() == Kind::File;
        if planted::is_on(Bug::ShowLastCome) {
            return self.slots_before(cursor, name).max().map(entry).filter(is_file);
        }
        if planted::is_on(Bug::ReviveDeleted) {
            return self.slots_before(cursor, name).map(entry).find(is_file);
        }
        self.greatest_before(cursor, name, latest).map(entry).filter(is_file)
    }

    /// Whether a reader of the name sees anything, by whatever calendar: what is counted does not change with time alone.
    fn shows(&self, name: Alias) -> bool {
        self.shown_before(self.past(&name), name, u64::MAX).is_some()
    }

    /// Versions that no other supersedes, in descending order, at most `count`: the greatest and, so that whoever names
    /// these as parents leaves fewer behind, the least. The greatest is one of them, whatever a record that is known no
    /// more has said of it.
    #[must_use]
    pub(crate) fn heads(&self, name: &NameId, count: usize) -> Vec<VersionId> {
        let name = self.aliases.of(name);
        let Some(greatest) = self.greatest_slot(name).map(|slot| self.entries[slot].version())
        else {
            return Vec::new();
        };
        let count = if planted::is_on(Bug::TellOneHead) { 1 } else { count };
        let cursor = self.by_name.seek(&heads_key(&name), Side::Before, &Names(&self.entries));
        let slots = self.by_name.after(cursor).take_while(|slot| self.look(*slot).name() == name);
        let least = slots.map(|slot| &self.entries[slot]);
        let mut heads: Vec<VersionId> = Vec::new();
        for version in least.take_while(|entry| self.is_credible(entry)).map(Entry::version) {
            if heads.len() + 1 >= count {
                break;
            }
            if version != greatest && heads.last() != Some(&version) {
                heads.push(version);
            }
        }
        if planted::is_on(Bug::TellGreatestHeads) {
            let greatest = self.slots_before(self.past(&name), name);
            let heads =
                greatest.map(|slot| &self.entries[slot]).take_while(|entry| entry.is_head());
            return heads.map(Entry::version).take(count).collect();
        }
        heads.push(greatest);
        heads.reverse();
        heads
    }

    /// How many versions of a name no other supersedes, and the hash of all of them.
    #[must_use]
    pub(crate) fn heads_summary(&self, name: &NameId) -> HeadsSummary {
        let mut heads = self.heads(name, usize::MAX);
        heads.reverse();
        HeadsSummary { count: heads.len() as u64, hash: heads_hash(&heads) }
    }

    /// The entry of one version of a name, if its bytes are not damaged.
    #[must_use]
    pub(crate) fn version(&self, name: &NameId, version: &VersionId) -> Option<&Entry> {
        let name = self.aliases.of(name);
        let slots = [true, false].map(|head| self.version_slots(&name, version, head));
        let mut entries = slots.into_iter().flatten().map(|slot| &self.entries[slot]);
        entries.find(|entry| !entry.is(Flag::Damaged))
    }

    /// The names after `after` that a list has or counts, in the order of their aliases.
    pub(crate) fn names_after(&self, after: Option<Alias>) -> impl Iterator<Item = Listed<'_>> {
        let mut cursor = after.map_or(Cursor::FIRST, |name| self.past(&name));
        let next_name = move || {
            let name = self.entries[self.by_name.after(cursor).next()?].name();
            cursor = self.past(&name);
            Some((cursor, name))
        };
        std::iter::from_fn(next_name).filter_map(|(cursor, name)| {
            let last = self.slots_before(cursor, name).next().map(|slot| &self.entries[slot]);
            let shown = self.shown_before(cursor, name, self.latest());
            if last.is_some_and(|last| last.is_head() && !self.is_credible(last)) {
                return Some(Listed::Future(name, shown));
            }
            shown.map(Listed::Shown)
        })
    }

    /// Records with ids from `first` to `last`, both included.
    pub(crate) fn range(&self, first: RecordId, last: RecordId) -> impl Iterator<Item = &Entry> {
        let cursor = self.by_id.seek(&first.0, Side::Before, &Ids(&self.entries));
        let entries = self.by_id.after(cursor).map(|slot| &self.entries[slot]);
        entries.take_while(move |entry| entry.id_bytes() <= &last.0[..])
    }

    /// What there is in all; known at any time, however much that is.
    #[must_use]
    pub(crate) fn whole(&self) -> RangeSummary {
        let (first, last) = (RecordId([0; 32]), RecordId([u8::MAX; 32]));
        RangeSummary { first, last, count: self.records(), fingerprint: self.fingerprint }
    }

    /// What lies between two ids, both included.
    #[must_use]
    pub(crate) fn summary(&self, first: RecordId, last: RecordId) -> RangeSummary {
        let ids = Ids(&self.entries);
        let from = self.by_id.seek(&first.0, Side::Before, &ids);
        let to = self.by_id.seek(&last.0, Side::After, &ids);
        let (count, fingerprint) = self.by_id.sum(from, to, &ids);
        RangeSummary { first, last, count, fingerprint }
    }

    /// Records that were damaged and have not come again.
    pub(crate) fn lost(&self, ids: impl RangeBounds<RecordId>) -> impl Iterator<Item = RecordId> {
        self.lost.range(ids).map(|(id, _)| *id)
    }

    /// The ids of all records, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = RecordId> {
        self.range(RecordId::default(), RecordId([u8::MAX; 32])).map(Entry::id)
    }

    /// Records known.
    #[must_use]
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Names shown.
    #[must_use]
    pub(crate) fn names(&self) -> u64 {
        self.shown
    }
}

mod damaged;
mod expired;
#[cfg(test)]
mod tests;
