//! Records whose bytes are damaged: what is still known of them, so that no older version passes for the present one.
//!
//! Invariant: what was known of a version is not forgotten with its bytes, until the record is had again; what a start only
//! guesses from what is left of them gives way to any record of that version, and to what a peer knows.

use super::{Catalog, Ids, Names};
use crate::crypto::alias::Alias;
use crate::crypto::keys::record_id;
use crate::ids::{RecordId, VersionId};
use crate::index::entry::{Flag, Kind};
use crate::index::sorted::xor_into;
use crate::planted::{self, Bug};
use crate::store::values::{LogPlace, Remains};
use crate::wire::log_damage::LogDamage;
use crate::wire::record::Record;
use std::collections::BTreeMap;

/// Versions of which a start has guessed from what was left of their bytes.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    all: BTreeMap<(Alias, VersionId), Guess>,
    /// Those that no sound record names.
    unconfirmed: LogDamage,
}

#[derive(Debug)]
struct Guess {
    id: RecordId,
    length: u64,
    confirmed: bool,
}

impl Guesses {
    fn get(&self, of: &(Alias, VersionId)) -> Option<RecordId> {
        self.all.get(of).map(|guess| guess.id)
    }

    fn first(&self) -> Option<(Alias, VersionId)> {
        self.all.first_key_value().map(|(of, _)| *of)
    }

    fn insert(&mut self, of: (Alias, VersionId), id: RecordId, length: usize) {
        self.remove(&of);
        let length = length as u64;
        self.all.insert(of, Guess { id, length, confirmed: false });
        self.unconfirmed.add(length);
    }

    fn remove(&mut self, of: &(Alias, VersionId)) -> Option<RecordId> {
        self.confirm(of);
        self.all.remove(of).map(|guess| guess.id)
    }

    /// Somebody supersedes it: there is such a name, and there was such a version of it.
    pub(crate) fn confirm(&mut self, of: &(Alias, VersionId)) {
        if let Some(guess) = self.all.get_mut(of)
            && !std::mem::replace(&mut guess.confirmed, true)
        {
            self.unconfirmed.places -= 1;
            self.unconfirmed.bytes -= guess.length;
        }
    }
}

impl Catalog {
    /// The bytes of a record are damaged on the disk: it is no longer had, so that peers give it again. That there is
    /// such a version is still known.
    pub(crate) fn damage(&mut self, id: &RecordId) {
        let Some(slot) = self.slot(id) else {
            return;
        };
        self.by_id.remove(slot, &Ids(&self.entries));
        self.records -= 1;
        xor_into(&mut self.fingerprint, &id.0);
        if self.entries[slot].kind().is_version() && !self.entries[slot].is(Flag::Discarded) {
            self.lost.insert(*id, Some(slot));
            self.entries[slot].set(Flag::Damaged, true);
            self.damaged += u64::from(self.is_damaged_head(slot));
            if planted::is_on(Bug::ForgetDamaged) {
                let name = self.entries[slot].name();
                let before = self.shows(name);
                self.by_name.remove(slot, &Names(&self.entries));
                let after = self.shows(name);
                self.shown = self.shown + u64::from(after) - u64::from(before);
            }
        } else {
            self.lost.insert(*id, None);
            self.entries[slot].forget();
        }
    }

    /// Whether it is damaged and no other version supersedes it: whoever asks for the name may be told so.
    pub(crate) fn is_damaged_head(&self, slot: u32) -> bool {
        let entry = &self.entries[slot];
        entry.is(Flag::Damaged) && entry.is_head() && !entry.is(Flag::Discarded)
    }

    /// How many there are of these.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The entry of a version whose bytes were damaged.
    pub(crate) fn damaged_slot(&self, id: &RecordId) -> Option<u32> {
        self.lost.get(id).copied().flatten()
    }

    /// A start has found what is left of a record in damaged bytes of the log, and nothing better. False if that does not
    /// say which version of which name it was.
    pub(crate) fn insert_remains(&mut self, remains: &Remains) -> bool {
        let is_exact = record_id(&remains.bytes) == remains.id;
        let front = || match is_exact || planted::is_on(Bug::GuessFromTheWhole) {
            true => None,
            false => Record::decode_front(&remains.bytes).ok(),
        };
        let Some(mut record) = Record::decode(&remains.bytes).ok().or_else(front) else {
            return self.contains(&remains.id);
        };
        let (id, version) = (remains.id, record.version);
        let is_version = Kind::of(record.kind).is_version();
        let is_here = self.contains(&id) || self.version(&record.name, &version).is_some();
        let is_past = self.expired_ms(&id).is_some();
        if is_here || is_past || self.lost.contains_key(&id) || planted::is_on(Bug::ForgetRemains) {
            return true;
        }
        if !is_version {
            return is_exact;
        }
        let of = (self.aliases.of(&record.name), version);
        if !is_exact {
            record.parents.clear();
            record.extensions.clear();
        }
        self.insert(id, &record, LogPlace { segment: 0, offset: 0, length: 0 });
        let is_superseded = self.get(&id).is_some_and(|entry| entry.is_superseded());
        self.damage(&id);
        if !is_exact {
            self.guesses.insert(of, id, remains.bytes.len());
            if is_superseded {
                self.guesses.confirm(&of);
            }
        }
        true
    }

    /// What was guessed of this version is not believed any more, since a record of it comes.
    pub(crate) fn give_way(&mut self, name: &Alias, version: &VersionId, id: &RecordId) {
        let of = (*name, *version);
        match self.guesses.get(&of) {
            // It is the one, and its entry becomes sound.
            Some(guess) if guess == *id => drop(self.guesses.remove(&of)),
            Some(_) => self.forget_guess(&of),
            None => {}
        }
    }

    /// Places of which a name is only guessed, so that it may have been another.
    pub(crate) fn guessed(&self) -> LogDamage {
        self.guesses.unconfirmed
    }

    /// A peer has told all that it knows: what was only guessed is left to that.
    pub(crate) fn forget_guesses(&mut self) {
        while let Some(of) = self.guesses.first() {
            self.forget_guess(&of);
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
            self.damaged -= u64::from(self.is_damaged_head(slot));
            self.entries[slot].forget();
        }
        self.lost.remove(&guess);
    }
}
