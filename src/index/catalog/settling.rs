//! Settling: when a start has found everything, of names of which something has expired it is looked once more what supersedes
//! what is left.
//!
//! The log may say that a version has expired behind one that came only after that: what says so is written anew when its
//! segment goes, and the bytes of the expired version may stand longer. Invariant: after it a catalog says what it did before
//! the start, and notes nothing more.

use super::Catalog;
use crate::crypto::alias::Alias;
use crate::ids::VersionId;
use crate::index::entry::Entry;
use std::collections::BTreeSet;

/// Names, as long as a start goes on.
#[derive(Debug)]
pub(super) struct Settling(Option<BTreeSet<Alias>>);

impl Default for Settling {
    fn default() -> Self {
        Self(Some(BTreeSet::new()))
    }
}

impl Settling {
    /// A version goes: those that it supersedes may be there still.
    pub(super) fn note(&mut self, entry: &Entry) {
        if let Some(names) = self.0.as_mut().filter(|_| entry.has_parent()) {
            names.insert(entry.name());
        }
    }
}

impl Catalog {
    /// A start has found everything.
    pub(crate) fn settle(&mut self) {
        for name in self.settling.0.take().unwrap_or_default() {
            let Self { aliases, entries, versions, .. } = self;
            let mark = |version: &VersionId| aliases.mark(&name, version);
            versions.settle(entries, name, mark);
        }
    }
}
