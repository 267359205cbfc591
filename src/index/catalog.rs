//! The catalog: every record this node knows, by id and by name.
//!
//! Knows where a record's bytes are, not what they say beyond their public half; reaches no disk. Derived: rebuilt from
//! the log at every start. Invariant: each entry is found by its id or is damaged, and if it is a version also among those of
//! its name; what was known of a version is not forgotten with its bytes until the record is had again; what a start only
//! guesses from what is left of them gives way to any record of that version, and to what a peer knows.

mod bound;
mod cuts;
mod descent;
mod expired;
mod expiring;
mod expiry;
mod guesses;
mod ids;
mod loading;
mod remains;
#[cfg(test)]
mod tests;
mod versions;

use super::entry::{Entry, Flag, Kind};
use super::graves::{Grave, Graves, Why};
use super::segmented::SegmentedVec;
use super::segments::LiveBytes;
use crate::crypto::alias::{Alias, Aliases};
use crate::crypto::keys::heads_hash;
use crate::ids::{NameId, RecordId, VersionId};
use crate::seeded::{self, Bug};
use crate::store::values::{Expired, LogPlace};
use crate::wire::condition::HeadsSummary;
use crate::wire::log_damage::LogDamage;
use crate::wire::message::{RangeSummary, VersionMark};
use crate::wire::record::Record;
use crate::wire::view::View;
use cuts::Cuts;
use expired::ExpiredIds;
pub(crate) use expiring::Verdict;
use guesses::{Guesses, Of};
use ids::Ids;
use std::collections::BTreeMap;
use std::ops::{Range, RangeBounds};
use versions::{Lineage, Versions};

/// Every record known.
#[derive(Debug)]
pub(crate) struct Catalog {
    aliases: Aliases,
    entries: SegmentedVec<Entry>,
    ids: Ids,
    versions: Versions,
    /// Their bytes were damaged, and have not been had again: each with the entry that says what is known of it, if it is a
    /// version of a name.
    lost: BTreeMap<RecordId, Option<u32>>,
    /// Gone on purpose, and when they expired, so that peers whose calendars differ can be answered.
    expired: ExpiredIds,
    cuts: Cuts,
    /// How many have gone so, all told.
    expirations: u64,
    guesses: Guesses,
    /// Also of records that are damaged and of which it is to be known that they were.
    live: LiveBytes,
    graves: Graves,
}

/// What a list says of a name.
#[derive(Debug)]
pub(crate) enum Listed<'a> {
    /// A reader sees this version of it; its bytes may be damaged.
    Shown(&'a Entry),
    /// A version of it is dated in the future; without that, a reader would see this.
    Future(Alias, Option<&'a Entry>),
}

/// What there is to be known of a name that a list has or counts, from one of its records.
#[derive(Debug)]
pub(crate) enum Named<'a> {
    /// This record says how it is called.
    Sound(&'a Entry),
    /// This one would.
    Damaged(Alias),
    /// All its versions are dated in the future.
    Future(Alias),
}

/// What a view has of a name.
#[derive(Debug)]
pub(crate) struct Viewed<'a> {
    /// The name.
    pub(crate) name: Alias,
    /// Its record, if there is one; its bytes may be damaged.
    pub(crate) entry: Option<&'a Entry>,
    /// A version of the name is dated in the future: without that, the view would have this.
    pub(crate) is_future: bool,
}

/// What changes it.
impl Catalog {
    /// An empty one.
    pub(crate) fn new(aliases: Aliases) -> Self {
        Self {
            aliases,
            entries: SegmentedVec::default(),
            ids: Ids::default(),
            versions: Versions::default(),
            lost: BTreeMap::new(),
            expired: ExpiredIds::default(),
            cuts: Cuts::default(),
            expirations: 0,
            guesses: Guesses::default(),
            live: LiveBytes::default(),
            graves: Graves::default(),
        }
    }

    /// Takes in a record that has just become durable, or was found by a start. False if it was known: then this is where it
    /// is from now on, since the segment of an older copy may be about to go.
    pub(crate) fn insert(&mut self, id: RecordId, record: &Record, place: LogPlace) -> bool {
        let vacancy = match self.ids.find(&self.entries, &id) {
            Err(vacancy) => vacancy,
            Ok(slot) => {
                self.move_entry(slot, place);
                return false;
            }
        };
        let name = self.aliases.of(&record.name);
        if seeded::is_on(Bug::DropLesserVersion) && self.is_less(name, &record.version) {
            return false;
        }
        self.give_way(&(name, record.version));
        let damaged = self.lost.remove(&id).flatten();
        let slot = match damaged {
            Some(slot) => {
                self.versions.become_sound(&mut self.entries, slot);
                self.move_entry(slot, place);
                slot
            }
            None => {
                self.live.add(place);
                self.entries.insert(Entry::new(id, &name, record, place))
            }
        };
        self.ids.insert(&self.entries, vacancy, slot);
        self.forget_expired_id(&id);
        self.graves.rise(&id.0);
        let mut changed = vec![slot];
        if damaged.is_none() && self.entries[slot].kind().is_version() {
            for parent in &record.parents {
                self.guesses.confirm(&(name, *parent));
            }
            if self.versions.is_loading() {
                self.note(slot, name, record);
                return true;
            }
            let lineage = self.lineage(name, record);
            changed = self.versions.insert(&mut self.entries, slot, record, lineage);
        }
        self.expire_anew(&changed);
        self.note_bound();
        true
    }

    /// A start has found one more version.
    fn note(&mut self, slot: u32, name: Alias, record: &Record) {
        let parents = record.parents.iter().map(|parent| self.aliases.mark(&name, parent));
        self.versions.note(&mut self.entries, slot, record, parents.collect());
    }

    /// An entry is elsewhere from now on, and what is left of it where it was is not needed.
    fn move_entry(&mut self, slot: u32, place: LogPlace) {
        let before = self.entries[slot].place();
        self.live.remove(before);
        self.live.add(place);
        self.entries[slot].move_to(place);
        if before.segment != place.segment {
            self.graves.leave(self.entries[slot].id().0, before.segment);
        }
    }

    /// A record was written anew, since the segment in which it is will be removed. False if it is not there any more.
    pub(crate) fn move_from(&mut self, id: &RecordId, from: LogPlace, to: LogPlace) -> bool {
        let slot = self.ids.slot(&self.entries, id);
        let Some(slot) = slot.filter(|slot| self.entries[*slot].place() == from) else {
            return false;
        };
        self.live.remove(from);
        self.live.add(to);
        self.entries[slot].move_to(to);
        true
    }

    fn is_less(&self, name: Alias, version: &VersionId) -> bool {
        if self.versions.is_loading() {
            return false;
        }
        let greatest = self.versions.greatest(&self.entries, name);
        greatest.is_some_and(|slot| *version < self.entries[slot].version())
    }

    /// The bytes of a record are damaged on the disk: it is no longer had, so that peers give it again. That there is
    /// such a version is still known.
    pub(crate) fn damage(&mut self, id: &RecordId) {
        let Some(slot) = self.ids.slot(&self.entries, id) else {
            return;
        };
        self.ids.remove(&self.entries, slot);
        self.cuts.forget_entry(&self.entries, slot);
        let entry = &self.entries[slot];
        if entry.kind().is_version() && !entry.is(Flag::Discarded) {
            self.versions.become_damaged(&mut self.entries, slot);
            self.lost.insert(*id, Some(slot));
        } else {
            self.graves.leave(id.0, entry.place().segment);
            self.take_out(slot);
            self.lost.insert(*id, None);
        }
    }

    /// A record is not held any more on purpose, if it was, or was damaged; and the segment that says so.
    pub(crate) fn expire(&mut self, expired: Expired, segment: u32) {
        let id = expired.id;
        self.expirations += 1;
        let found = self.ids.slot(&self.entries, &id);
        if let Some(slot) = found {
            self.ids.remove(&self.entries, slot);
            self.cuts.forget_entry(&self.entries, slot);
        }
        let slot = found.or_else(|| self.lost.remove(&id).flatten());
        let stood = slot.map(|slot| self.entries[slot].place().segment);
        self.graves.bury(id.0, Grave { segment, why: Why::Expired }, stood);
        if let Some(slot) = slot {
            self.take_out(slot);
        }
        self.forget_expired_id(&id);
        let slot = self.expired.insert(expired);
        self.cuts.add_expired(&self.expired, slot);
    }

    /// A record is held again, or its expiry is to be known anew.
    fn forget_expired_id(&mut self, id: &RecordId) {
        if let Some(slot) = self.expired.slot(id) {
            self.cuts.forget_expired(&self.expired, slot);
            self.expired.remove(slot);
        }
    }

    /// It is another time now when these expire, or one is held again.
    fn expire_anew(&mut self, changed: &[u32]) {
        for slot in changed {
            let expires = self.versions.expiry.of(&self.entries[*slot]);
            self.cuts.expire_anew(&self.entries, *slot, expires);
        }
    }

    /// Entries are beyond the bound now, or are not any more.
    fn note_bound(&mut self) {
        for slot in self.versions.bound.take_changed() {
            let expires = self.versions.expiry.of(&self.entries[slot]);
            self.cuts.recount(&self.entries, slot, expires);
        }
    }

    /// Marks of a record's version, and of what it supersedes.
    fn lineage(&self, name: Alias, record: &Record) -> Lineage {
        let mark = |version: &VersionId| self.aliases.mark(&name, version);
        let parents = record.parents.iter().map(mark).collect();
        Lineage { mark: mark(&record.version), parents }
    }

    /// An entry that is not found by its id is not needed any more.
    fn take_out(&mut self, slot: u32) {
        self.live.remove(self.entries[slot].place());
        self.versions.remove(&mut self.entries, slot);
        self.entries[slot].set(Flag::Gone, true);
        self.entries.remove(slot);
        self.note_bound();
    }

    /// What was guessed of a version is not believed any more. Nor is it by the record that it was: the guess knew nothing of
    /// what that supersedes.
    pub(super) fn give_way(&mut self, of: &Of) {
        let guess = self.guesses.remove(of);
        if let Some(Some(slot)) = guess.and_then(|guess| self.lost.remove(&guess)) {
            self.take_out(slot);
        }
    }

    /// From now on what is dated after this stamp is dated in the future.
    pub(crate) fn set_latest(&mut self, latest: u64) {
        self.versions.set_latest(latest);
    }
}

/// What it is asked of a record or of a name.
impl Catalog {
    /// The entry of a record.
    #[must_use]
    pub(crate) fn get(&self, id: &RecordId) -> Option<&Entry> {
        self.ids.slot(&self.entries, id).map(|slot| &self.entries[slot])
    }

    /// Whether a record is known.
    #[must_use]
    pub(crate) fn contains(&self, id: &RecordId) -> bool {
        self.ids.slot(&self.entries, id).is_some()
    }

    /// When a record expired that is not held any more.
    #[must_use]
    pub(crate) fn expired_ms(&self, id: &RecordId) -> Option<u64> {
        self.expired.slot(id).map(|slot| self.expired.get(slot).at_ms)
    }

    /// The greatest version of a name, a tombstone too, and one whose bytes are damaged.
    #[must_use]
    pub(crate) fn greatest(&self, name: &NameId) -> Option<&Entry> {
        let slot = self.versions.greatest(&self.entries, self.aliases.of(name));
        slot.map(|slot| &self.entries[slot])
    }

    /// The version that a reader of the name sees: the greatest, if that is not a tombstone. Its bytes may be damaged.
    #[must_use]
    pub(crate) fn shown(&self, name: &NameId) -> Option<&Entry> {
        self.greatest(name).filter(|entry| entry.kind() == Kind::File)
    }

    /// The versions of a name that are dated in the future and neither superseded nor discarded, the greatest ones; then, if
    /// there are any, those that are superseded.
    #[must_use]
    pub(crate) fn future(&self, name: &NameId, count: usize) -> Vec<VersionId> {
        self.versions.future(&self.entries, self.aliases.of(name)).take(count).collect()
    }

    /// Versions that no other supersedes, in descending order, at most `count`: the greatest, and the least.
    #[must_use]
    pub(crate) fn heads(&self, name: &NameId, count: usize) -> Vec<VersionId> {
        self.versions.heads(&self.entries, self.aliases.of(name), count)
    }

    /// How many versions of a name no other supersedes, and the hash of all of them.
    #[must_use]
    pub(crate) fn heads_summary(&self, name: &NameId) -> HeadsSummary {
        let mut heads = self.heads(name, usize::MAX);
        heads.reverse();
        HeadsSummary { count: heads.len() as u64, hash: heads_hash(&heads) }
    }

    /// The versions of a name before this one, or all that are not dated in the future: the greatest first, damaged ones
    /// too. Only those are looked at that are taken.
    pub(crate) fn versions_before(
        &self,
        name: &NameId,
        before: Option<VersionMark>,
    ) -> impl Iterator<Item = &Entry> {
        self.versions.descending(&self.entries, self.aliases.of(name), before)
    }

    /// The entry of one version of a name, if its bytes are not damaged.
    #[must_use]
    pub(crate) fn version(&self, name: &NameId, version: &VersionId) -> Option<&Entry> {
        let slots = self.versions.of_version(&self.entries, &self.aliases.of(name), version);
        let mut entries = slots.map(|slot| &self.entries[slot]);
        entries.find(|entry| !entry.is(Flag::Damaged))
    }
}

/// What it is asked of all, or of a range.
impl Catalog {
    /// The names after `after` that a list has or counts, in the order of their aliases.
    pub(crate) fn names_after(&self, after: Option<Alias>) -> impl Iterator<Item = Listed<'_>> {
        self.versions.names_after(&self.entries, after)
    }

    /// The names after `after`, in the order of their aliases, and of each what a view has.
    pub(crate) fn past_after(
        &self,
        after: Option<Alias>,
        view: View,
    ) -> impl Iterator<Item = Viewed<'_>> {
        self.versions.past_after(&self.entries, after, view)
    }

    /// There are rows of records below this number.
    pub(crate) fn rows(&self) -> u32 {
        self.entries.end()
    }

    /// What the records in these rows say of names that a list has or counts. It may be told of one twice, and of others
    /// too; the rows of what stands near one another in the log are mostly near one another.
    pub(crate) fn named(&self, rows: Range<u32>) -> impl Iterator<Item = Named<'_>> {
        rows.filter_map(|row| self.versions.named(&self.entries, row))
    }

    /// What a list says of one name. None if it says nothing.
    pub(crate) fn listed(&self, name: &NameId) -> Option<Listed<'_>> {
        self.versions.listed(&self.entries, self.aliases.of(name))
    }

    /// The same of the name with this alias.
    pub(crate) fn listed_as(&self, alias: Alias) -> Option<Listed<'_>> {
        self.versions.listed(&self.entries, alias)
    }

    /// The alias of a name, by which lists go on.
    pub(crate) fn alias(&self, name: &NameId) -> Alias {
        self.aliases.of(name)
    }

    /// Records with ids from `first` to `last`, both included.
    pub(crate) fn range(&self, first: RecordId, last: RecordId) -> impl Iterator<Item = &Entry> {
        self.ids.range(&self.entries, first, last)
    }

    /// What there is in all; known at any time, however much that is.
    #[must_use]
    pub(crate) fn whole(&self) -> RangeSummary {
        self.ids.whole()
    }

    /// What lies between two ids, both included.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn summary(&self, first: RecordId, last: RecordId) -> RangeSummary {
        self.ids.summary(&self.entries, first, last)
    }

    /// Records that were damaged and have not come again.
    pub(crate) fn lost(&self, ids: impl RangeBounds<RecordId>) -> impl Iterator<Item = RecordId> {
        self.lost.range(ids).map(|(id, _)| *id)
    }

    /// The ids of all records, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = RecordId> {
        self.range(RecordId::default(), RecordId([u8::MAX; 32])).map(Entry::id)
    }

    /// How many records have expired since the start, all told.
    pub(crate) fn expirations(&self) -> u64 {
        self.expirations
    }

    /// Records known.
    #[must_use]
    pub(crate) fn records(&self) -> u64 {
        self.ids.count()
    }

    /// Names shown.
    #[must_use]
    pub(crate) fn names(&self) -> u64 {
        self.versions.shown_names()
    }

    /// Damaged versions that no other supersedes: whoever asks for their names may be told so.
    pub(crate) fn damaged(&self) -> u64 {
        self.versions.damaged()
    }

    /// Places of which a name is only guessed, so that it may have been another.
    pub(crate) fn guessed(&self) -> LogDamage {
        self.guesses.unconfirmed()
    }

    /// Bytes of the log that its records have.
    pub(crate) fn live(&self) -> &LiveBytes {
        &self.live
    }

    pub(super) fn live_mut(&mut self) -> &mut LiveBytes {
        &mut self.live
    }

    /// Records that are gone, and where that is said.
    pub(crate) fn graves(&self) -> &Graves {
        &self.graves
    }

    pub(super) fn graves_mut(&mut self) -> &mut Graves {
        &mut self.graves
    }
}

#[cfg(test)]
impl Catalog {
    /// Where all records are, counted anew, also those that are damaged.
    pub(super) fn recount(&self) -> LiveBytes {
        let mut live = LiveBytes::default();
        let sound = self.range(RecordId::default(), RecordId([u8::MAX; 32]));
        let damaged = self.lost.values().flatten().map(|slot| &self.entries[*slot]);
        sound.chain(damaged).for_each(|entry| live.add(entry.place()));
        live
    }
}
