//! The names of which versions are in flight to the disk, which the catalog does not know yet.
//!
//! Knows no catalog and no group. Invariant: a name is here as long as one of its versions is on its way.

use super::record::NewRecord;
use crate::ids::{NameId, VersionId};
use crate::wire::record::RecordKind;
use std::collections::HashMap;

/// What is on its way of one name.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    versions: usize,
    files: usize,
    /// The greatest of these versions, and of those that went with them.
    greatest: VersionId,
}

impl InFlight {
    /// Whether a version of a file is among them.
    pub(super) fn has_file(&self) -> bool {
        self.files > 0
    }

    /// None of them is above this one.
    pub(super) fn greatest(&self) -> VersionId {
        self.greatest
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct NamesInFlight(HashMap<NameId, InFlight>);

impl NamesInFlight {
    /// One more version is on its way, if the record is one.
    pub(super) fn insert(&mut self, new: &NewRecord) {
        let Some(is_file) = version_is_file(new) else { return };
        let version = new.record.version;
        let none = InFlight { versions: 0, files: 0, greatest: version };
        let name = self.0.entry(new.record.name).or_insert(none);
        name.versions += 1;
        name.files += usize::from(is_file);
        name.greatest = name.greatest.max(version);
    }

    /// It has arrived, or will not.
    pub(super) fn remove(&mut self, new: &NewRecord) {
        let Some(is_file) = version_is_file(new) else { return };
        if let Some(name) = self.0.get_mut(&new.record.name) {
            name.versions -= 1;
            name.files -= usize::from(is_file);
            if name.versions == 0 {
                self.0.remove(&new.record.name);
            }
        }
    }

    /// What is on its way of a name, if anything.
    pub(super) fn get(&self, name: &NameId) -> Option<InFlight> {
        self.0.get(name).copied()
    }

    /// Nothing is on its way.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `None` for what is no version of a name.
fn version_is_file(new: &NewRecord) -> Option<bool> {
    match new.record.kind {
        RecordKind::File => Some(true),
        RecordKind::Tombstone | RecordKind::Setting => Some(false),
        RecordKind::Admission | RecordKind::Presence | RecordKind::Grant | RecordKind::Other(_) => {
            None
        }
    }
}
