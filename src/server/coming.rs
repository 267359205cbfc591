//! What is coming: records on their way into the catalog, from their arrival until their group is durable.
//!
//! Decides nothing: `Write` alone changes it. Invariant: a record is in here as long as it is being checked, or in a group
//! that has not been answered.

use crate::ids::RecordId;
use std::collections::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Coming {
    /// Counted, since one may be on its way more than once.
    times: HashMap<RecordId, u32>,
}

impl Coming {
    pub(super) fn contains(&self, id: &RecordId) -> bool {
        self.times.contains_key(id)
    }

    /// All of them, in no order.
    pub(super) fn ids(&self) -> impl Iterator<Item = RecordId> {
        self.times.keys().copied()
    }

    /// It is on its way, once more.
    pub(super) fn add(&mut self, id: RecordId) {
        *self.times.entry(id).or_default() += 1;
    }

    /// It has come, or will not, once.
    pub(super) fn remove(&mut self, id: &RecordId) {
        let times = self.times.get_mut(id).expect("what comes or does not was on its way");
        *times -= 1;
        if *times == 0 {
            self.times.remove(id);
        }
    }
}
