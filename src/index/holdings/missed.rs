//! Missed: what was held, was found damaged and is to be had again; and whether a mark has come by it since it began.
//!
//! Knows no record. Invariant: what nobody has told to be missed is not in here, and a mark that has come by everything has
//! come by all that somebody needs.

use crate::ids::Address;
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// Each with the last mark that has come by it, or that ran when it was lost.
    all: BTreeMap<Address, u64>,
    mark: u64,
    /// It is not past what records name.
    is_open: bool,
}

impl Missed {
    pub(super) fn insert(&mut self, address: Address) {
        self.all.insert(address, self.mark);
    }

    pub(super) fn remove(&mut self, address: &Address) {
        self.all.remove(address);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// A mark begins.
    pub(super) fn begin_mark(&mut self) {
        self.mark += 1;
        self.is_open = true;
    }

    /// It has come by all that records name: what it comes by from now on nobody needs but who reads.
    pub(super) fn end_naming(&mut self) {
        self.is_open = false;
    }

    /// A mark has come by it, or a record that has just come names it.
    pub(super) fn name(&mut self, address: &Address) {
        if self.is_open
            && let Some(mark) = self.all.get_mut(address)
        {
            *mark = self.mark;
        }
    }

    /// Takes out what the mark did not come by.
    pub(super) fn take_unnamed(&mut self) -> Vec<Address> {
        let mark = self.mark;
        self.all.extract_if(.., |_, named| *named != mark).map(|(address, _)| address).collect()
    }
}
