//! Discarded: which versions records that are here discard, since when, and which of those are here themselves.
//!
//! Knows entries by their numbers only. Invariant: what a record that is gone has discarded is not known any more, as after a
//! start, which does not find that record.

use crate::crypto::alias::Alias;
use crate::ids::VersionId;
use crate::time::Step;
use std::collections::{BTreeMap, BTreeSet};

/// A version of a name.
type Of = (Alias, VersionId);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Discarded {
    /// By whom, and the step of that one.
    all: BTreeMap<Of, BTreeMap<u32, Step>>,
    /// What each of them discards.
    by: BTreeMap<u32, Vec<Of>>,
    /// Entries that are discarded, which are not among the versions of their names.
    here: BTreeSet<(Alias, VersionId, u32)>,
}

impl Discarded {
    /// A record discards a version, here or not.
    pub(super) fn insert(&mut self, of: Of, by: u32, step: Step) {
        self.all.entry(of).or_default().insert(by, step);
        self.by.entry(by).or_default().push(of);
    }

    /// Since when a version is discarded, if it is.
    pub(super) fn since(&self, of: &Of) -> Option<Step> {
        self.all.get(of)?.values().min().copied()
    }

    /// An entry of this version is here, and is discarded.
    pub(super) fn enter(&mut self, (name, version): Of, slot: u32) {
        self.here.insert((name, version, slot));
    }

    /// The entries of a version that are discarded.
    pub(super) fn entries(&self, (name, version): Of) -> Vec<u32> {
        let all = (name, version, 0)..=(name, version, u32::MAX);
        self.here.range(all).map(|(_, _, slot)| *slot).collect()
    }

    /// The records that discard a version.
    pub(super) fn by_whom(&self, of: &Of) -> impl Iterator<Item = u32> {
        self.all.get(of).into_iter().flat_map(|by| by.keys().copied())
    }

    /// The entries that a record discards.
    pub(super) fn by(&self, slot: u32) -> Vec<u32> {
        let all = self.by.get(&slot).into_iter().flatten();
        all.flat_map(|of| self.entries(*of)).collect()
    }

    /// An entry goes, and what it has said with it. What it discarded has gone before it.
    pub(super) fn remove(&mut self, (name, version): Of, slot: u32) {
        self.here.remove(&(name, version, slot));
        for of in self.by.remove(&slot).unwrap_or_default() {
            if let Some(by) = self.all.get_mut(&of) {
                by.remove(&slot);
                if by.is_empty() {
                    self.all.remove(&of);
                }
            }
        }
    }
}
