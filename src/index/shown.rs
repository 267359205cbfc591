//! Versions that were shown to somebody and are not kept, for want of room: nothing older passes for the present one.
//!
//! Invariant: of a name the greatest is remembered; of too many names those that were shown first are forgotten.

use crate::ids::{NameId, VersionId};
use crate::limits::SHOWN_MAX;
use std::collections::{HashMap, VecDeque};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    versions: HashMap<NameId, VersionId>,
    order: VecDeque<NameId>,
}

impl Shown {
    /// A version is shown.
    pub(crate) fn note(&mut self, name: NameId, version: VersionId) {
        let known = self.versions.get(&name).copied();
        if known.is_none() {
            self.order.push_back(name);
        }
        self.versions.insert(name, known.unwrap_or_default().max(version));
        if self.order.len() > SHOWN_MAX
            && let Some(first) = self.order.pop_front()
        {
            self.versions.remove(&first);
        }
    }

    /// The greatest version of a name that was shown.
    pub(crate) fn version(&self, name: &NameId) -> Option<VersionId> {
        self.versions.get(name).copied()
    }

    /// Whether a newer version was shown than the greatest that is kept.
    pub(crate) fn is_newer(&self, name: &NameId, kept: Option<VersionId>) -> bool {
        self.versions.get(name).is_some_and(|version| kept < Some(*version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> NameId {
        let mut name = NameId::default();
        name.0[..8].copy_from_slice(&number.to_be_bytes());
        name
    }

    #[test]
    fn the_greatest_version_of_a_name_is_remembered_and_of_names_the_last() {
        let version = |stamp| VersionId { stamp, ..VersionId::default() };
        let mut shown = Shown::default();
        assert!(!shown.is_newer(&name(1), None));
        shown.note(name(1), version(7));
        shown.note(name(1), version(6));
        assert!(shown.is_newer(&name(1), None) && shown.is_newer(&name(1), Some(version(6))));
        assert!(!shown.is_newer(&name(1), Some(version(7))) && !shown.is_newer(&name(2), None));
        (2..SHOWN_MAX + 2).for_each(|number| shown.note(name(number), version(1)));
        assert!(!shown.is_newer(&name(1), None) && shown.is_newer(&name(2), None));
        assert_eq!((shown.versions.len(), shown.order.len()), (SHOWN_MAX, SHOWN_MAX));
    }
}
