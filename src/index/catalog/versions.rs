//! The versions of every name, in order: first the heads, then those that another supersedes.
//!
//! Keeps numbers of entries, which lie with the catalog. Invariant, but while a start finds them: in here is each entry that
//! is a version and was not discarded, damaged ones too; no question about a name costs a look at versions that are superseded.

mod bounded;
mod changes;
mod discarded;
mod loading;

pub(super) use changes::Lineage;

use super::bound::Bound;
use super::descent::Descent;
use super::expiry::Expiry;
use super::{Listed, Named, Viewed};
use crate::crypto::alias::Alias;
use crate::ids::{RecordId, VersionId, Writer};
use crate::index::entry::{Entry, Flag, Kind, others_key, record_key, version_key};
use crate::index::segmented::SegmentedVec;
use crate::index::sorted::{Cursor, Keys, Side, SortedIndex};
use crate::index::steps::Steps;
use crate::seeded::{self, Bug};
use crate::wire::message::VersionMark;
use crate::wire::view::View;
use discarded::Discarded;

type Entries = SegmentedVec<Entry>;

/// See the module.
#[derive(Debug)]
pub(super) struct Versions {
    order: SortedIndex,
    /// A start finds ever more: nothing is in order yet, and none is known to supersede another.
    is_loading: bool,
    pub(super) descent: Descent,
    pub(super) expiry: Expiry,
    pub(super) bound: Bound,
    discarded: Discarded,
    /// What is dated after this stamp is dated in the future.
    latest: u64,
    /// Names of which a reader sees something.
    shown: u64,
    /// Damaged heads.
    damaged: u64,
    /// Entries that were looked at.
    pub(super) steps: Steps,
}

/// Entries ordered by name and version.
struct ByName<'a>(&'a Entries);

impl Keys for ByName<'_> {
    type Key<'a>
        = &'a [u8]
    where
        Self: 'a;

    fn key(&self, slot: u32) -> &[u8] {
        self.0[slot].key()
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self {
            order: SortedIndex::default(),
            is_loading: false,
            descent: Descent::default(),
            expiry: Expiry::default(),
            bound: Bound::default(),
            discarded: Discarded::default(),
            latest: u64::MAX,
            shown: 0,
            damaged: 0,
            steps: Steps::default(),
        }
    }
}

/// What they are asked.
impl Versions {
    /// While a start finds ever more, what is asked of more than one entry has no answer yet.
    pub(super) fn assert_found(&self) {
        debug_assert!(!self.is_loading, "a start has not found all");
    }

    fn order(&self) -> &SortedIndex {
        self.assert_found();
        &self.order
    }

    /// Names of which a reader sees something.
    pub(super) fn shown_names(&self) -> u64 {
        self.assert_found();
        self.shown
    }

    /// Damaged heads.
    pub(super) fn damaged(&self) -> u64 {
        self.assert_found();
        self.damaged
    }

    /// The entries of one version: more than one if a writer gave it twice.
    pub(super) fn of_version(
        &self,
        entries: &Entries,
        name: &Alias,
        version: &VersionId,
    ) -> impl Iterator<Item = u32> + use<> {
        let slots =
            [true, false].map(|head| self.slots(entries, &version_key(name, version, head)));
        slots.into_iter().flatten()
    }

    /// The greatest version of a name that counts. It may be superseded by a record that has been lost since, or by one
    /// whose stamp breaks the rules.
    pub(super) fn greatest(&self, entries: &Entries, name: Alias) -> Option<u32> {
        self.greatest_before(entries, self.past(entries, &name), name, self.latest())
    }

    /// Whether a file is among the heads of a name.
    pub(super) fn has_file_head(&self, entries: &Entries, name: Alias) -> bool {
        let heads = self.before(entries, self.past_heads(entries, &name), name);
        heads.map(|slot| &entries[slot]).any(|entry| entry.kind() == Kind::File)
    }

    /// The versions of a name that are dated in the future and neither superseded nor discarded, greatest first; and if there
    /// are any, then those that are superseded: they would be heads again when what supersedes them is discarded and gone.
    pub(super) fn future<'a>(
        &'a self,
        entries: &'a Entries,
        name: Alias,
    ) -> impl Iterator<Item = VersionId> {
        let part = move |cursor, head: bool| {
            let slots = self.before(entries, cursor, name).map(|slot| &entries[slot]);
            slots.take_while(move |entry| entry.is_head() == head && !self.is_credible(entry))
        };
        let mut heads = part(self.past_heads(entries, &name), true).peekable();
        let is_any = heads.peek().is_some() && !seeded::is_on(Bug::LeaveFutureParents);
        let others = is_any.then(|| part(self.past(entries, &name), false));
        heads.chain(others.into_iter().flatten()).map(Entry::version)
    }

    /// Versions that no other supersedes, in descending order, at most `count`: the greatest and, so that whoever names
    /// these as parents leaves fewer behind, the least. The greatest is one of them, whatever a record that is known no
    /// more has said of it.
    pub(super) fn heads(&self, entries: &Entries, name: Alias, count: usize) -> Vec<VersionId> {
        let Some(greatest) = self.greatest(entries, name).map(|slot| entries[slot].version())
        else {
            return Vec::new();
        };
        if seeded::is_on(Bug::TellGreatestHeads) {
            let greatest = self.before(entries, self.past_heads(entries, &name), name);
            return greatest.map(|slot| entries[slot].version()).take(count).collect();
        }
        let count = if seeded::is_on(Bug::TellOneHead) { 1 } else { count };
        let mut heads: Vec<VersionId> = Vec::new();
        for version in self.credible_heads(entries, name) {
            if heads.len() + 1 >= count {
                break;
            }
            if version != greatest && heads.last() != Some(&version) {
                heads.push(version);
            }
        }
        heads.push(greatest);
        heads.reverse();
        heads
    }

    /// The heads of a name that are not dated in the future, least first: they stand at the beginning of its versions.
    fn credible_heads(&self, entries: &Entries, name: Alias) -> impl Iterator<Item = VersionId> {
        let first = self.order().seek(&name.0, Side::Before, &ByName(entries));
        let slots = self.order().after(first).map(|slot| self.look(entries, slot));
        let heads = slots.take_while(move |entry| entry.name() == name && entry.is_head());
        heads.take_while(|entry| self.is_credible(entry)).map(Entry::version)
    }

    /// The names after `after` that a list has or counts, in the order of their aliases.
    pub(super) fn names_after<'a>(
        &'a self,
        entries: &'a Entries,
        after: Option<Alias>,
    ) -> impl Iterator<Item = Listed<'a>> {
        let mut cursor = after.map_or(Cursor::FIRST, |name| self.past(entries, &name));
        let next_name = move || {
            let name = entries[self.order().after(cursor).next()?].name();
            cursor = self.past(entries, &name);
            Some((cursor, name))
        };
        std::iter::from_fn(next_name)
            .filter_map(|(past, name)| self.listed_before(entries, past, name))
    }

    /// What an entry says of the name that it is of.
    pub(super) fn named<'a>(&self, entries: &'a Entries, slot: u32) -> Option<Named<'a>> {
        let entry = &entries[slot];
        if entry.is(Flag::Gone) || !entry.kind().is_version() {
            return None;
        }
        let is_sound = !entry.is(Flag::Damaged) && !entry.is(Flag::Discarded);
        if is_sound && entry.is_head() && is_file(&entry) && self.is_credible(entry) {
            // Mostly it is the one that is shown. Where another is, the name is the same.
            return Some(Named::Sound(entry));
        }
        match self.listed(entries, entry.name())? {
            Listed::Shown(shown) | Listed::Future(_, Some(shown)) if shown.id() == entry.id() => {
                let is_damaged = entry.is(Flag::Damaged);
                Some(if is_damaged { Named::Damaged(entry.name()) } else { Named::Sound(shown) })
            }
            Listed::Shown(_) | Listed::Future(_, Some(_)) => None,
            Listed::Future(name, None) => Some(Named::Future(name)),
        }
    }

    /// What a list says of one name.
    pub(super) fn listed<'a>(&self, entries: &'a Entries, name: Alias) -> Option<Listed<'a>> {
        self.listed_before(entries, self.past(entries, &name), name)
    }

    /// `past` lies after all of the name's versions.
    fn listed_before<'a>(
        &self,
        entries: &'a Entries,
        past: Cursor,
        name: Alias,
    ) -> Option<Listed<'a>> {
        let shown = self.shown_before(entries, past, name, self.latest());
        if self.greatest_head(entries, past, name).is_some_and(|head| !self.is_credible(head)) {
            return Some(Listed::Future(name, shown));
        }
        shown.map(Listed::Shown)
    }

    /// The versions of a name before this one, or all that are not dated in the future: the greatest first. Only those are
    /// looked at that are taken.
    pub(super) fn descending<'a>(
        &'a self,
        entries: &'a Entries,
        name: Alias,
        before: Option<VersionMark>,
    ) -> impl Iterator<Item = &'a Entry> {
        let last = VersionId { stamp: self.latest(), writer: Writer([u8::MAX; Writer::LENGTH]) };
        let last = VersionMark { version: last, record: RecordId([u8::MAX; RecordId::LENGTH]) };
        let before = before.map_or(last, |before| before.min(last));
        let [mut heads, mut others] = [true, false].map(|head| {
            let key = record_key(&name, &before, head);
            let cursor = self.order().seek(&key, Side::Before, &ByName(entries));
            let slots = self.before(entries, cursor, name).map(|slot| &entries[slot]);
            slots.take_while(move |entry| entry.is_head() == head).peekable()
        });
        std::iter::from_fn(move || {
            let head = heads.peek().map(|entry| entry.rank());
            let other = others.peek().map(|entry| entry.rank());
            if head >= other { heads.next() } else { others.next() }
        })
    }

    /// The names after `after`, in the order of their aliases, and of each what a view has.
    pub(super) fn past_after<'a>(
        &'a self,
        entries: &'a Entries,
        after: Option<Alias>,
        view: View,
    ) -> impl Iterator<Item = Viewed<'a>> {
        let mut cursor = after.map_or(Cursor::FIRST, |name| self.past(entries, &name));
        std::iter::from_fn(move || {
            let name = entries[self.order().after(cursor).next()?].name();
            cursor = self.past(entries, &name);
            Some(self.viewed(entries, cursor, name, view))
        })
    }

    /// What a view has of a name; `past` lies after all of the name's versions.
    fn viewed<'a>(
        &self,
        entries: &'a Entries,
        past: Cursor,
        name: Alias,
        view: View,
    ) -> Viewed<'a> {
        let greatest = |latest| {
            let slot = self.greatest_before(entries, past, name, latest);
            slot.map(|slot| &entries[slot])
        };
        let is_tombstone = |entry: &&Entry| entry.kind() == Kind::Tombstone;
        let (entry, is_future) = match view {
            View::Deleted => {
                let head = self.greatest_head(entries, past, name);
                let is_future = head.is_some_and(|head| !self.is_credible(head));
                (greatest(self.latest()).filter(is_tombstone), is_future)
            }
            View::At(stamp) => (greatest(stamp.min(self.latest())).filter(is_file), false),
        };
        Viewed { name, entry, is_future: is_future && entry.is_some() }
    }

    /// The entries whose keys begin so, which is a version as a head or as one that is superseded.
    fn slots(&self, entries: &Entries, key: &[u8]) -> Vec<u32> {
        let cursor = self.order().seek(key, Side::Before, &ByName(entries));
        let slots = self.order().after(cursor);
        slots.take_while(|slot| self.look(entries, *slot).key().starts_with(key)).collect()
    }

    /// An entry on the way through the versions of a name.
    fn look<'a>(&self, entries: &'a Entries, slot: u32) -> &'a Entry {
        self.steps.note();
        &entries[slot]
    }

    /// The cursor after all versions of a name.
    fn past(&self, entries: &Entries, name: &Alias) -> Cursor {
        self.order().seek(&name.0, Side::After, &ByName(entries))
    }

    /// The cursor after the heads of a name, and before its other versions.
    fn past_heads(&self, entries: &Entries, name: &Alias) -> Cursor {
        self.order().seek(&others_key(name), Side::Before, &ByName(entries))
    }

    /// The versions of a name that lie before a cursor, the nearest first.
    fn before<'a>(
        &'a self,
        entries: &'a Entries,
        cursor: Cursor,
        name: Alias,
    ) -> impl Iterator<Item = u32> + 'a {
        let slots = self.order().before(cursor);
        slots.take_while(move |slot| self.look(entries, *slot).name() == name)
    }

    /// The greatest of a name's heads, whatever its date; `past` lies after all of the name's versions.
    fn greatest_head<'a>(
        &self,
        entries: &'a Entries,
        past: Cursor,
        name: Alias,
    ) -> Option<&'a Entry> {
        let last = &entries[self.before(entries, past, name).next()?];
        if last.is_head() {
            // None is superseded.
            return Some(last);
        }
        let heads = self.past_heads(entries, &name);
        self.before(entries, heads, name).next().map(|slot| &entries[slot])
    }

    /// See `greatest`; `past` lies after all of the name's versions.
    fn greatest_before(
        &self,
        entries: &Entries,
        past: Cursor,
        name: Alias,
        latest: u64,
    ) -> Option<u32> {
        let mut last = self.before(entries, past, name);
        let greatest = last.next()?;
        if last.next().is_none() {
            return (entries[greatest].version().stamp <= latest).then_some(greatest);
        }
        let heads = self.past_heads(entries, &name);
        let heads = Part { name, head: true, past: heads };
        let others = Part { name, head: false, past };
        let parts = [heads, others].map(|part| self.last_dated(entries, part, latest));
        parts.into_iter().flatten().max_by_key(|slot| entries[*slot].rank())
    }

    /// The greatest of a part that is dated no later.
    fn last_dated(&self, entries: &Entries, part: Part, latest: u64) -> Option<u32> {
        let Part { name, head, past } = part;
        let is_one = |slot: &u32| entries[*slot].is_head() == head;
        let last = self.before(entries, past, name).next().filter(is_one)?;
        if entries[last].version().stamp <= latest {
            return Some(last);
        }
        let later = VersionId { stamp: latest + 1, writer: Writer::default() };
        let key = version_key(&name, &later, head);
        let cursor = self.order().seek(&key, Side::Before, &ByName(entries));
        self.before(entries, cursor, name).next().filter(is_one)
    }

    fn latest(&self) -> u64 {
        if seeded::is_on(Bug::FutureIsHead) { u64::MAX } else { self.latest }
    }

    fn is_credible(&self, entry: &Entry) -> bool {
        entry.version().stamp <= self.latest()
    }

    /// The version that a reader of the name sees: the greatest, if that is not a tombstone; `past` lies after all of the
    /// name's versions.
    fn shown_before<'a>(
        &self,
        entries: &'a Entries,
        past: Cursor,
        name: Alias,
        latest: u64,
    ) -> Option<&'a Entry> {
        let entry = |slot| &entries[slot];
        let all = || self.before(entries, past, name);
        if seeded::is_on(Bug::ShowLastCome) {
            return all().max().map(entry).filter(is_file);
        }
        if seeded::is_on(Bug::ReviveDeleted) {
            return all().map(entry).filter(is_file).max_by_key(|entry| entry.rank());
        }
        self.greatest_before(entries, past, name, latest).map(entry).filter(is_file)
    }

    /// Whether a reader of the name sees anything, by whatever calendar: what is counted does not change with time alone.
    fn shows(&self, entries: &Entries, name: Alias) -> bool {
        self.shown_before(entries, self.past(entries, &name), name, u64::MAX).is_some()
    }
}

fn is_file(entry: &&Entry) -> bool {
    entry.kind() == Kind::File
}

/// The heads of a name, or its other versions.
#[derive(Debug, Clone, Copy)]
struct Part {
    name: Alias,
    head: bool,
    /// After all of them.
    past: Cursor,
}

#[cfg(test)]
impl Versions {
    /// Bytes for which there is room.
    pub(super) fn room(&self) -> usize {
        self.order.room() + self.descent.room() + self.expiry.room()
    }
}
