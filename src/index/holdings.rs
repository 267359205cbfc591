//! Holdings: which blocks and pages are durable on this node, and where.
//!
//! Reaches no disk. Derived: rebuilt from the log at every start. Invariant: nothing is in here before the group that
//! names it has been flushed.

use super::packed::PackedLocation;
use super::segmented::SegmentedVec;
use super::sorted::{Cursor, Keys, Side, SortedIndex};
use crate::ids::Address;
use crate::store::values::{BlockPlace, LogPlace};
use crate::wire::record::{BlockList, Record};

/// What is held.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    blocks: AddressIndex,
    pages: AddressIndex,
    bytes: u64,
}

impl Holdings {
    /// A block has become durable.
    pub(crate) fn insert(&mut self, address: Address, place: BlockPlace) {
        let place = PackedLocation::from(place);
        if let Some(before) = self.blocks.insert(address, place) {
            self.bytes -= u64::from(length(before));
        }
        self.bytes += u64::from(length(place.into()));
    }

    /// A page has become durable.
    pub(crate) fn insert_page(&mut self, address: Address, place: LogPlace) {
        self.pages.insert(address, place.into());
    }

    /// A block or page turned out to be bad or gone. False if it was not held.
    pub(crate) fn remove(&mut self, address: &Address) -> bool {
        if let Some(place) = self.blocks.remove(address) {
            self.bytes -= u64::from(length(place));
            return true;
        }
        self.pages.remove(address).is_some()
    }

    /// Where a block is.
    #[must_use]
    pub(crate) fn block(&self, address: &Address) -> Option<BlockPlace> {
        self.blocks.get(address)
    }

    /// Where a page is.
    #[must_use]
    pub(crate) fn page(&self, address: &Address) -> Option<LogPlace> {
        match self.pages.get(address) {
            Some(BlockPlace::Log(place)) => Some(place),
            Some(BlockPlace::Tree { .. }) | None => None,
        }
    }

    /// Whether every block that stands in a record itself is held. Never so for a list of pages.
    #[must_use]
    pub(crate) fn has_all_inline(&self, record: &Record) -> bool {
        match &record.blocks {
            BlockList::Inline(blocks) => {
                blocks.iter().all(|block| self.block(&block.address).is_some())
            }
            BlockList::Pages { .. } => false,
        }
    }

    /// The next `count` blocks and pages after an address, in order, for a walk over all of them.
    #[must_use]
    pub(crate) fn after(&self, after: Option<Address>, count: usize) -> Vec<(Address, BlockPlace)> {
        let (blocks, pages) = (self.blocks.after(after), self.pages.after(after));
        let mut next: Vec<_> = blocks.take(count).chain(pages.take(count)).collect();
        next.sort_by_key(|(address, _)| *address);
        next.truncate(count);
        next
    }

    /// A block or page is here, and no record is known to name it.
    pub(crate) fn await_name(&mut self, address: &Address) {
        self.blocks.await_name(address);
        self.pages.await_name(address);
    }

    /// A record names this block or page, if it is here.
    pub(crate) fn name(&mut self, address: &Address) {
        self.blocks.name(address);
        self.pages.name(address);
    }

    /// How many blocks and pages no record is known to name, and their bytes.
    #[must_use]
    pub(crate) fn unnamed(&self) -> (u64, u64) {
        let (blocks, pages) = (&self.blocks.unnamed, &self.pages.unnamed);
        (blocks.count + pages.count, blocks.bytes + pages.bytes)
    }

    /// How many blocks.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.blocks.count
    }

    /// How many bytes they have.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Places by their addresses.
#[derive(Debug, Default)]
struct AddressIndex {
    places: Places,
    order: SortedIndex,
    /// Slots that hold nothing now.
    free: Vec<u32>,
    count: u64,
    unnamed: Unnamed,
}

/// Which of a index's slots hold what no record is known to name: one bit each.
#[derive(Debug, Default)]
struct Unnamed {
    bits: Vec<u64>,
    count: u64,
    bytes: u64,
}

impl Unnamed {
    /// Sets or clears a slot's bit; what is there has so many bytes.
    fn set(&mut self, slot: u32, unnamed: bool, bytes: u32) {
        let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
        if word >= self.bits.len() {
            if !unnamed {
                return;
            }
            self.bits.resize(word + 1, 0);
        }
        if (self.bits[word] & bit != 0) == unnamed {
            return;
        }
        self.bits[word] ^= bit;
        if unnamed {
            self.count += 1;
            self.bytes += u64::from(bytes);
        } else {
            self.count -= 1;
            self.bytes -= u64::from(bytes);
        }
    }
}

#[derive(Debug, Default)]
struct Places(SegmentedVec<(Address, PackedLocation)>);

impl Keys for Places {
    fn key(&self, slot: u32) -> &[u8] {
        &self.0[slot].0.0
    }
}

impl AddressIndex {
    fn cursor(&self, address: &Address) -> Cursor {
        self.order.seek(&address.0, Side::Before, &self.places)
    }

    /// The slot of an address, the cursor before it being known.
    fn slot(&self, cursor: Cursor, address: &Address) -> Option<u32> {
        self.order.after(cursor).next().filter(|slot| self.places.0[*slot].0 == *address)
    }

    fn get(&self, address: &Address) -> Option<BlockPlace> {
        self.slot(self.cursor(address), address).map(|slot| self.places.0[slot].1.into())
    }

    /// Tells where it was before.
    fn insert(&mut self, address: Address, place: PackedLocation) -> Option<BlockPlace> {
        let cursor = self.cursor(&address);
        if let Some(slot) = self.slot(cursor, &address) {
            let (was, is) = (length(self.places.0[slot].1.into()), length(place.into()));
            if was != is {
                self.unnamed.set(slot, false, was);
            }
            return Some(std::mem::replace(&mut self.places.0[slot].1, place).into());
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.places.0[slot] = (address, place);
                slot
            }
            None => self.places.0.push((address, place)),
        };
        self.order.insert(cursor, slot, &self.places);
        self.count += 1;
        None
    }

    fn remove(&mut self, address: &Address) -> Option<BlockPlace> {
        let slot = self.slot(self.cursor(address), address)?;
        self.order.remove(slot, &self.places);
        self.unnamed.set(slot, false, length(self.places.0[slot].1.into()));
        self.free.push(slot);
        self.count -= 1;
        Some(self.places.0[slot].1.into())
    }

    fn await_name(&mut self, address: &Address) {
        if let Some(slot) = self.slot(self.cursor(address), address) {
            self.unnamed.set(slot, true, length(self.places.0[slot].1.into()));
        }
    }

    fn name(&mut self, address: &Address) {
        if self.unnamed.count > 0
            && let Some(slot) = self.slot(self.cursor(address), address)
        {
            self.unnamed.set(slot, false, length(self.places.0[slot].1.into()));
        }
    }

    fn after(&self, after: Option<Address>) -> impl Iterator<Item = (Address, BlockPlace)> {
        let sought = after.as_ref().map_or(&[][..], |after| &after.0);
        let side = if after.is_some() { Side::After } else { Side::Before };
        let cursor = self.order.seek(sought, side, &self.places);
        self.order.after(cursor).map(|slot| {
            let (address, place) = self.places.0[slot];
            (address, place.into())
        })
    }
}

/// The length of a block.
#[must_use]
pub(crate) fn length(place: BlockPlace) -> u32 {
    match place {
        BlockPlace::Tree { length } | BlockPlace::Log(LogPlace { length, .. }) => length,
    }
}
