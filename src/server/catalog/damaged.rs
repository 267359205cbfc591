//! Records whose bytes are damaged: what is still known of them, so that no older version passes for the present one.
//!
//! Invariant: what was known of a version is not forgotten with its bytes, until the record is had again; what a start only
//! guesses from what is left of them gives way to any record of that version, and to what a peer knows.

use super::{Catalog, Ids, Names};
use crate::crypto::alias::Alias;
use crate::crypto::keys::record_id;
use crate::ids::{RecordId, VersionId};
use crate::planted::{self, Bug};
use crate::server::entry::{Flag, Kind};
use crate::server::order::mix;
use crate::store::job::{LogPlace, Remains};
use crate::wire::record::Record;

impl Catalog {
    /// The bytes of a record are damaged on the disk: it is no longer had, so that peers give it again. That there is
    /// such a version is still known.
    pub(in crate::server) fn damage(&mut self, id: &RecordId) {
        let Some(slot) = self.slot(id) else {
            return;
        };
        self.by_id.remove(slot, &Ids(&self.entries));
        self.lost.insert(*id);
        self.records -= 1;
        mix(&mut self.fingerprint, &id.0);
        self.set_slot_complete(slot, true);
        if self.entries[slot].kind().is_version() && !self.entries[slot].is(Flag::Discarded) {
            self.entries[slot].set(Flag::Damaged, true);
            if planted::is_on(Bug::ForgetDamaged) {
                let name = self.entries[slot].name();
                let before = self.shows(name);
                self.by_name.remove(slot, &Names(&self.entries));
                let after = self.shows(name);
                self.shown = self.shown + u64::from(after) - u64::from(before);
            }
        } else {
            self.entries[slot].forget();
        }
    }

    /// The entry of a version whose bytes were damaged.
    pub(super) fn damaged_slot(
        &self,
        id: &RecordId,
        name: &Alias,
        version: &VersionId,
    ) -> Option<u32> {
        if !self.lost.contains(id) {
            return None;
        }
        let mut slots = self.version_slots(name, version, true);
        slots.extend(self.version_slots(name, version, false));
        slots.into_iter().find(|slot| self.entries[*slot].id() == *id)
    }

    /// A start has found what is left of a record in damaged bytes of the log, and nothing better.
    pub(in crate::server) fn insert_remains(&mut self, remains: &Remains) {
        let Ok(mut record) = Record::decode(&remains.bytes) else {
            return;
        };
        let (id, version) = (remains.id, record.version);
        let is_version = Kind::of(record.kind).is_version();
        let is_here = self.contains(&id) || self.version(&record.name, &version).is_some();
        if is_here || self.lost.contains(&id) || !is_version || planted::is_on(Bug::ForgetRemains) {
            return;
        }
        let is_exact = record_id(&remains.bytes) == id;
        let of = (self.aliases.of(&record.name), version);
        if !is_exact {
            record.parents.clear();
            record.extensions.clear();
        }
        self.insert(id, &record, LogPlace { segment: 0, offset: 0, length: 0 }, true);
        self.damage(&id);
        if !is_exact {
            self.guesses.insert(of, id);
        }
    }

    /// What was guessed of this version is not believed any more, since a record of it comes.
    pub(super) fn give_way(&mut self, name: &Alias, version: &VersionId, id: &RecordId) {
        let of = (*name, *version);
        match self.guesses.get(&of) {
            // It is the one, and its entry becomes sound.
            Some(guess) if guess == id => drop(self.guesses.remove(&of)),
            Some(_) => self.forget_guess(&of),
            None => {}
        }
    }

    /// A peer has told all that it knows: what was only guessed is left to that.
    pub(in crate::server) fn forget_guesses(&mut self) {
        while let Some((of, _)) = self.guesses.first_key_value() {
            self.forget_guess(&of.clone());
        }
    }

    fn forget_guess(&mut self, of: &(Alias, VersionId)) {
        let Some(guess) = self.guesses.remove(of) else {
            return;
        };
        let (name, version) = *of;
        let slots = [true, false].map(|head| self.version_slots(&name, &version, head));
        let mut slots = slots.into_iter().flatten();
        if let Some(slot) = slots.find(|slot| self.entries[*slot].id() == guess) {
            let before = self.shows(name);
            self.by_name.remove(slot, &Names(&self.entries));
            let after = self.shows(name);
            self.shown = self.shown + u64::from(after) - u64::from(before);
            self.entries[slot].forget();
        }
        self.lost.remove(&guess);
    }
}
