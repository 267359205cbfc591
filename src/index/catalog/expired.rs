//! Records that are gone on purpose: of them it stays known which they were and when they expired, so that peers whose
//! calendars differ can be answered.
//!
//! Invariant: no record is known and expired at a time.

use super::{Catalog, Ids, Names};
use crate::ids::RecordId;
use crate::index::entry::Flag;
use crate::index::sorted::xor_into;
use crate::store::values::Expired;

impl Catalog {
    /// A record is not held any more, if it was, or was damaged. That another supersedes it is not forgotten: should it come
    /// again, it is no head.
    pub(crate) fn expire(&mut self, Expired { id, at_ms }: Expired) {
        self.expired.insert(id, at_ms);
        if let Some(slot) = self.slot(&id) {
            self.by_id.remove(slot, &Ids(&self.entries));
            self.records -= 1;
            xor_into(&mut self.fingerprint, &id.0);
            self.take_out(slot);
        } else if let Some(Some(slot)) = self.lost.remove(&id) {
            self.take_out(slot);
        }
    }

    /// Takes an entry out of the versions of its name, if it is one of them, and forgets it.
    fn take_out(&mut self, slot: u32) {
        let entry = &self.entries[slot];
        if entry.kind().is_version() && !entry.is(Flag::Discarded) {
            let (name, version) = (entry.name(), entry.version());
            if entry.is_superseded() {
                self.early.insert((name, version));
            }
            self.damaged -= u64::from(self.is_damaged_head(slot));
            let before = self.shows(name);
            self.by_name.remove(slot, &Names(&self.entries));
            let after = self.shows(name);
            self.shown = self.shown + u64::from(after) - u64::from(before);
        }
        self.entries[slot].forget();
    }

    /// When a record expired that is not held any more.
    #[must_use]
    pub(crate) fn expired_ms(&self, id: &RecordId) -> Option<u64> {
        self.expired.get(id).copied()
    }
}
