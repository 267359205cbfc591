//! Remains: what a start finds left of a record in damaged bytes of the log, and what it guesses from that.
//!
//! Invariant: a guess is taken in only where nothing better is known of that version, supersedes nothing, and gives way to
//! any record of it and to what a peer knows.

use super::{Catalog, Kind};
use crate::crypto::keys::record_id;
use crate::seeded::{self, Bug};
use crate::store::values::{LogPlace, Remains};
use crate::wire::record::Record;

impl Catalog {
    /// A start has found what is left of a record in damaged bytes of the log, and nothing better. False if that does not
    /// say which version of which name it was.
    pub(crate) fn insert_remains(&mut self, remains: &Remains) -> bool {
        let is_exact = record_id(&remains.bytes) == remains.id;
        let front = || match is_exact || seeded::is_on(Bug::GuessFromTheWhole) {
            true => None,
            false => Record::decode_front(&remains.bytes).ok(),
        };
        let Some(mut record) = Record::decode(&remains.bytes).ok().or_else(front) else {
            return self.contains(&remains.id);
        };
        let (id, version) = (remains.id, record.version);
        let is_here = self.contains(&id) || self.version(&record.name, &version).is_some();
        let is_past = self.expired_ms(&id).is_some() || self.lost.contains_key(&id);
        if is_here || is_past || seeded::is_on(Bug::ForgetRemains) {
            return true;
        }
        if !Kind::of(record.kind).is_version() {
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

    /// A peer has told all that it knows: what was only guessed is left to that.
    pub(crate) fn forget_guesses(&mut self) {
        while let Some(of) = self.guesses.first() {
            self.give_way(&of);
        }
    }
}
