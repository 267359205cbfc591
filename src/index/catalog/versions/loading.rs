//! Loading: a start notes what the versions that it finds say of others, and puts all in order when it has found them.
//!
//! To put each in its place at once would cost several looks at entries that are far from the processor, and what a version
//! says that has expired since would have to be taken back. Invariant: what is here then is superseded by what is here, and by
//! nothing else.

use super::{ByName, Entries, Versions};
use crate::crypto::alias::Mark;
use crate::index::entry::{Entry, Flag, Kind};
use crate::index::sorted::{Cursor, SortedIndex};
use crate::time::step_after;
use crate::wire::discards::discards;
use crate::wire::record::Record;

impl Versions {
    /// None, for as long as a start finds ever more.
    pub(in crate::index::catalog) fn for_start() -> Self {
        Self { is_loading: true, ..Self::default() }
    }

    /// A start finds ever more: then what is found is only noted.
    pub(in crate::index::catalog) fn is_loading(&self) -> bool {
        self.is_loading
    }

    /// A start has found a version that names these parents.
    pub(in crate::index::catalog) fn note(
        &mut self,
        entries: &mut Entries,
        slot: u32,
        record: &Record,
        parents: Vec<Mark>,
    ) {
        self.descent.note(entries, slot, parents);
        let name = entries[slot].name();
        for discarded in discards(record) {
            self.discarded.insert((name, discarded), slot, step_after(record.version.stamp));
        }
    }

    /// A start has found all.
    pub(in crate::index::catalog) fn put_in_order(
        &mut self,
        entries: &mut Entries,
        mark: impl Fn(&Entry) -> Mark,
    ) {
        if !std::mem::take(&mut self.is_loading) {
            return;
        }
        let versions = entries.rows().filter(|slot| entries[*slot].kind().is_version());
        let mut versions: Vec<_> = versions.collect();
        for (slot, since) in self.descent.superseded(entries, &versions, mark) {
            entries[slot].become_superseded();
            entries[slot].set_since(since);
        }
        for slot in versions.iter().copied() {
            let entry = &mut entries[slot];
            let of = (entry.name(), entry.version());
            if let Some(since) = self.discarded.since(&of) {
                let is_first = entry.is_head() || since < entry.since();
                entry.set_since(if is_first { since } else { entry.since() });
                entry.set(Flag::Discarded, true);
                self.discarded.enter(of, slot);
            } else if entry.is_head() && entry.kind() == Kind::Tombstone {
                entry.set_since(step_after(of.1.stamp));
            }
        }
        self.descent.put_in_order(entries, &versions);
        self.expiry.put_in_order(entries, &versions);
        versions.retain(|slot| !entries[*slot].is(Flag::Discarded));
        self.order = SortedIndex::of(versions.into_iter(), &ByName(entries));
        self.count_all_shown(entries);
    }

    /// Nothing is counted yet.
    fn count_all_shown(&mut self, entries: &Entries) {
        let mut slots = self.order.after(Cursor::FIRST).peekable();
        let mut shown = 0;
        while let Some(slot) = slots.next() {
            let (entry, mut is_one) = (&entries[slot], true);
            while slots.next_if(|next| entries[*next].name() == entry.name()).is_some() {
                is_one = false;
            }
            let shows =
                if is_one { entry.kind() == Kind::File } else { self.shows(entries, entry.name()) };
            shown += u64::from(shows);
        }
        self.shown = shown;
    }
}
