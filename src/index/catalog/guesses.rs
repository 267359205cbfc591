//! Versions of which a start has guessed from what was left of their bytes.
//!
//! Knows no entry. Invariant: of a version there is at most one guess; it counts as log damage until a sound record names
//! that version as a parent.

use crate::crypto::alias::Alias;
use crate::ids::{RecordId, VersionId};
use crate::wire::log_damage::LogDamage;
use std::collections::BTreeMap;

/// A version of a name.
pub(super) type Of = (Alias, VersionId);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    all: BTreeMap<Of, Guess>,
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
    /// One of them.
    pub(super) fn first(&self) -> Option<Of> {
        self.all.first_key_value().map(|(of, _)| *of)
    }

    /// A version is guessed from so many bytes.
    pub(super) fn insert(&mut self, of: Of, id: RecordId, length: usize) {
        self.remove(&of);
        let length = length as u64;
        self.all.insert(of, Guess { id, length, confirmed: false });
        self.unconfirmed.add(length);
    }

    /// It is not guessed any more; the record that it was.
    pub(super) fn remove(&mut self, of: &Of) -> Option<RecordId> {
        self.confirm(of);
        self.all.remove(of).map(|guess| guess.id)
    }

    /// Somebody supersedes it: there is such a name, and there was such a version of it.
    pub(super) fn confirm(&mut self, of: &Of) {
        if let Some(guess) = self.all.get_mut(of)
            && !std::mem::replace(&mut guess.confirmed, true)
        {
            self.unconfirmed.places -= 1;
            self.unconfirmed.bytes -= guess.length;
        }
    }

    /// Places of which a name is only guessed, so that it may have been another.
    pub(super) fn unconfirmed(&self) -> LogDamage {
        self.unconfirmed
    }
}
