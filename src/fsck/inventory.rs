//! The inventory: what the log says is here.
//!
//! Reads nothing. Invariant: what is said to be lost, or was found to be bad, does not count as held.

use crate::ids::{Address, RecordId};
use crate::store::records;
use crate::store::values::{BlockPlace, Dropped, Expired, LogEntry, LogPlace, Remains};
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    blocks: BTreeMap<Address, BlockPlace>,
    pages: BTreeMap<Address, LogPlace>,
    records: BTreeMap<RecordId, LogPlace>,
    /// Blocks held once, said to be lost since, and not had again.
    lost_blocks: BTreeSet<Address>,
    /// The same of pages, and of what was found to be bad and may be either.
    lost: BTreeSet<Address>,
    /// Held once, said not to be owed any more, and not had again.
    dropped: BTreeSet<Address>,
    /// Known once, and gone on purpose.
    expired: BTreeSet<RecordId>,
}

impl Inventory {
    pub(super) fn take(&mut self, found: &LogEntry) {
        match found {
            LogEntry::Record(id, place, _) | LogEntry::Outline(id, place, _) => {
                self.expired.remove(id);
                self.records.entry(*id).or_insert(*place);
            }
            LogEntry::Page(address, place, _) | LogEntry::PageEntries(address, place, _) => {
                self.lost.remove(address);
                self.pages.insert(*address, *place);
            }
            LogEntry::Block(address, place, _) => {
                self.lost_blocks.remove(address);
                self.lost.remove(address);
                self.dropped.remove(address);
                self.blocks.insert(*address, *place);
            }
            LogEntry::Lost(address, _) => {
                if self.blocks.remove(address).is_some() {
                    self.lost_blocks.insert(*address);
                } else if self.pages.remove(address).is_some() {
                    self.lost.insert(*address);
                }
            }
            // A page may have the same address, and is not dropped with the block.
            LogEntry::Dropped(Dropped { address, .. }, _) => {
                self.lost_blocks.remove(address);
                self.blocks.remove(address);
                self.dropped.insert(*address);
            }
            LogEntry::Expired(Expired { id, .. }, _) => {
                self.records.remove(id);
                self.expired.insert(*id);
            }
            // Nothing of them was read.
            LogEntry::Removed(_) => {}
        }
    }

    /// What is left in damaged bytes, once all that is whole was taken.
    pub(super) fn take_remains(&mut self, remains: &[Remains], rotten: &[Address]) {
        let is_known = |one: &&Remains| !self.expired.contains(&one.id);
        for Remains { id, bytes, place, .. } in remains.iter().filter(is_known) {
            if let (Some(place), Ok(_)) = (place, records::verify(id, bytes)) {
                self.records.entry(*id).or_insert(*place);
            }
        }
        let is_here = |at: &&Address| self.blocks.contains_key(at) || self.pages.contains_key(at);
        self.lost.extend(rotten.iter().filter(|at| !is_here(at)));
    }

    /// A block was found to be bad.
    pub(super) fn lose_block(&mut self, address: &Address) {
        self.blocks.remove(address);
        self.lost_blocks.insert(*address);
    }

    /// A page was found to be bad.
    pub(super) fn lose_page(&mut self, address: &Address) {
        self.pages.remove(address);
        self.lost.insert(*address);
    }

    /// Whether a block that a record needs ought to be here and is not.
    pub(super) fn lacks_block(&self, address: &Address) -> bool {
        !self.blocks.contains_key(address) && !self.dropped.contains(address)
    }

    /// Whether a block is held as a file of its own.
    pub(super) fn has_file(&self, address: &Address) -> bool {
        matches!(self.blocks.get(address), Some(BlockPlace::Tree { .. }))
    }

    pub(super) fn is_lost(&self, address: &Address) -> bool {
        self.lost_blocks.contains(address) || self.lost.contains(address)
    }

    pub(super) fn page(&self, address: &Address) -> Option<LogPlace> {
        self.pages.get(address).copied()
    }

    /// Blocks that are held, in order.
    pub(super) fn blocks(&self) -> Vec<(Address, BlockPlace)> {
        self.blocks.iter().map(|(address, place)| (*address, *place)).collect()
    }

    /// Pages that are held, in order.
    pub(super) fn pages(&self) -> Vec<(Address, LogPlace)> {
        self.pages.iter().map(|(address, place)| (*address, *place)).collect()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = (&RecordId, &LogPlace)> {
        self.records.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const PLACE: LogPlace = LogPlace { segment: 1, offset: 9_000, length: 7 };

    #[test]
    fn with_a_block_that_is_dropped_no_page_of_its_address_is_forgotten() {
        let address = Address([5; 32]);
        let block = LogEntry::Block(address, BlockPlace::Log(PLACE), 1);
        for then in [
            vec![LogEntry::Dropped(address.into(), 1)],
            vec![block.clone(), LogEntry::Dropped(address.into(), 1)],
            vec![block, LogEntry::Lost(address, 1), LogEntry::Dropped(address.into(), 1)],
        ] {
            let mut inventory = Inventory::default();
            inventory.take(&LogEntry::Page(address, PLACE, Bytes::new()));
            then.iter().for_each(|found| inventory.take(found));
            assert_eq!(inventory.page(&address), Some(PLACE), "{then:?}");
            assert!(!inventory.is_lost(&address) && !inventory.lacks_block(&address));
            inventory.take(&LogEntry::Lost(address, 1));
            inventory.take(&LogEntry::Dropped(address.into(), 1));
            assert!(inventory.is_lost(&address), "the page");
        }
    }
}
