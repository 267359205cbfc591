//! Holdings: which blocks and pages are durable on this node, and where.
//!
//! Reaches no disk. Derived: rebuilt from the log at every start. Invariant: nothing is in here before the group that
//! names it has been flushed.

use crate::ids::Address;
use crate::store::job::{BlockPlace, LogPlace};
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

/// What is held.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    blocks: BTreeMap<Address, BlockPlace>,
    pages: BTreeMap<Address, LogPlace>,
    bytes: u64,
}

impl Holdings {
    /// A block has become durable.
    pub(super) fn insert(&mut self, address: Address, place: BlockPlace) {
        if let Some(before) = self.blocks.insert(address, place) {
            self.bytes -= u64::from(length(before));
        }
        self.bytes += u64::from(length(place));
    }

    /// A page has become durable.
    pub(super) fn insert_page(&mut self, address: Address, place: LogPlace) {
        self.pages.insert(address, place);
    }

    /// A block or page turned out to be bad or gone. False if it was not held.
    pub(super) fn remove(&mut self, address: &Address) -> bool {
        if let Some(place) = self.blocks.remove(address) {
            self.bytes -= u64::from(length(place));
            return true;
        }
        self.pages.remove(address).is_some()
    }

    /// Where a block is.
    #[must_use]
    pub(super) fn block(&self, address: &Address) -> Option<BlockPlace> {
        self.blocks.get(address).copied()
    }

    /// Where a page is.
    #[must_use]
    pub(super) fn page(&self, address: &Address) -> Option<LogPlace> {
        self.pages.get(address).copied()
    }

    /// The next `count` blocks and pages after an address, in order, for a walk over all of them.
    #[must_use]
    pub(super) fn after(&self, after: Option<Address>, count: usize) -> Vec<(Address, BlockPlace)> {
        let start = || (after.map_or(Unbounded, Excluded), Unbounded);
        let blocks = self.blocks.range(start()).map(|(address, place)| (*address, *place));
        let pages = self.pages.range(start());
        let pages = pages.map(|(address, place)| (*address, BlockPlace::Log(*place)));
        let mut next: Vec<_> = blocks.take(count).chain(pages.take(count)).collect();
        next.sort_by_key(|(address, _)| *address);
        next.truncate(count);
        next
    }

    /// How many blocks.
    #[must_use]
    pub(super) fn count(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// How many bytes they have.
    #[must_use]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The length of a block.
#[must_use]
pub(super) fn length(place: BlockPlace) -> u32 {
    match place {
        BlockPlace::Tree { length } | BlockPlace::Log(LogPlace { length, .. }) => length,
    }
}
