//! Holdings: which blocks and pages are durable on this node, where, and what is known of each.
//!
//! Reaches no disk. Derived: rebuilt from the log at every start. Invariant: nothing is in here before the group that
//! names it has been flushed; a block takes at most 50 bytes.

mod flags;
mod garbage;
mod missed;

pub(crate) use flags::Epoch;
pub(crate) use garbage::{Amount, SweepCursor, Young};

use super::bits::Bits;
use super::graves::{Grave, Graves, Why};
use super::keyed::KeyedIndex;
use super::packed::PackedLocation;
use super::segmented::SegmentedVec;
use super::segments::LiveBytes;
use super::sorted::{Keys, Side};
use crate::ids::Address;
use crate::seeded::{self, Bug};
use crate::store::values::{BlockPlace, LogPlace};
use crate::wire::record::{BlockList, Record};
use flags::Flags;
use missed::Missed;

/// What is held.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    blocks: AddressIndex,
    pages: AddressIndex,
    bytes: u64,
    /// Marked since the marks were cleared.
    marked: Amount,
    live: LiveBytes,
    epoch: Epoch,
    /// Something has come that nobody names yet.
    came_young: bool,
    missed: Missed,
}

/// What is said of a block or page with one bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "placement will ask"))]
pub(crate) enum Bit {
    /// This node is to keep it. All are today.
    Owed,
    /// It is kept as long as there is room for it.
    Cached,
    /// A collection has come by it.
    Marked,
}

impl Holdings {
    /// None, for as long as a start finds ever more. Nothing that goes over all may be called.
    pub(crate) fn for_start() -> Self {
        let for_start = || AddressIndex { index: KeyedIndex::for_start(), ..Default::default() };
        Self { blocks: for_start(), pages: for_start(), ..Self::default() }
    }

    /// A start has found all.
    pub(crate) fn put_in_order(&mut self) {
        for AddressIndex { index, places, .. } in [&mut self.blocks, &mut self.pages] {
            index.put_in_order(places);
        }
    }

    /// A block has become durable, as a group in this segment says.
    pub(crate) fn insert(&mut self, address: Address, place: BlockPlace, segment: u32) {
        let place = match place {
            BlockPlace::Tree { length } => PackedLocation::file(segment, length),
            BlockPlace::Log(place) => place.into(),
        };
        if let Some(before) = self.blocks.insert(address, place, self.epoch) {
            self.bytes -= u64::from(before.length());
            self.live.remove(before);
        }
        self.bytes += u64::from(place.length());
        self.live.add(place);
    }

    /// A page has become durable.
    pub(crate) fn insert_page(&mut self, address: Address, place: LogPlace) {
        if let Some(before) = self.pages.insert(address, place.into(), self.epoch) {
            self.live.remove(before);
        }
        self.live.add(place);
    }

    /// A block or page is not held any more. False if it was not held.
    pub(crate) fn remove(&mut self, address: &Address) -> bool {
        let block = self.blocks.remove(address);
        self.bytes -= block.map_or(0, |place| u64::from(place.length()));
        let removed = block.or_else(|| self.pages.remove(address));
        if let Some(place) = removed {
            self.live.remove(place);
        }
        removed.is_some()
    }

    /// A block or page was found to be damaged: it is not held any more, and what stands of it in the log is bad. False if
    /// it was not held.
    pub(crate) fn lose(&mut self, address: &Address) -> bool {
        let block = self.blocks.get(address);
        let page = || self.pages.get(address);
        match (block, block.or_else(page)) {
            (Some(place), _) => self.blocks.graves.leave(address.0, place.segment()),
            (None, Some(place)) => self.pages.graves.leave(address.0, place.segment()),
            (None, None) => {}
        }
        self.remove(address)
    }

    /// An item of this segment says that a block or page is lost.
    pub(crate) fn lost(&mut self, address: &Address, segment: u32) {
        self.lose(address);
        let grave = Grave { segment, why: Why::Lost };
        for index in [&mut self.blocks, &mut self.pages] {
            if index.graves.stands(&address.0) && index.slot(address).is_none() {
                return index.graves.bury(address.0, grave, None);
            }
        }
    }

    /// An item of this segment says that a block is not owed any more. A page may have the same address, and is not dropped
    /// with the block.
    pub(crate) fn dropped(&mut self, address: &Address, segment: u32) {
        let place = self.blocks.get(address);
        let grave = Grave { segment, why: Why::Dropped };
        self.blocks.graves.bury(address.0, grave, place.map(PackedLocation::segment));
        if place.is_some() {
            self.remove(address);
        }
    }

    /// A block was written anew, or what names its file, since the segment of that will be removed. False if it is not there
    /// any more.
    pub(crate) fn move_block(
        &mut self,
        address: &Address,
        from: PackedLocation,
        to: PackedLocation,
    ) -> bool {
        self.blocks.move_from(address, from, to, &mut self.live)
    }

    /// The same of a page.
    pub(crate) fn move_page(&mut self, address: &Address, from: LogPlace, to: LogPlace) -> bool {
        self.pages.move_from(address, from.into(), to.into(), &mut self.live)
    }

    /// Where a block is, and if that is a file, which segment names it.
    #[must_use]
    pub(crate) fn located(&self, address: &Address) -> Option<PackedLocation> {
        self.blocks.get(address)
    }

    /// Where a block is.
    #[must_use]
    pub(crate) fn block(&self, address: &Address) -> Option<BlockPlace> {
        self.blocks.get(address).map(BlockPlace::from)
    }

    /// Where a page is.
    #[must_use]
    pub(crate) fn page(&self, address: &Address) -> Option<LogPlace> {
        match self.pages.get(address).map(BlockPlace::from) {
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
        self.came_young = true;
    }

    /// A record names this block or page, if it is here.
    pub(crate) fn name(&mut self, address: &Address) {
        self.name_block(address);
        self.name_page(address);
    }

    /// A record names this block, and counts on it. Whether it is here.
    pub(crate) fn name_block(&mut self, address: &Address) -> bool {
        self.missed.name(address);
        self.blocks.name(address, self.epoch)
    }

    /// The same of a page.
    pub(crate) fn name_page(&mut self, address: &Address) -> bool {
        self.missed.name(address);
        self.pages.name(address, self.epoch)
    }

    /// A block or page was found damaged, and is to be had again if somebody needs it.
    pub(crate) fn miss(&mut self, address: Address) {
        self.missed.insert(address);
    }

    /// Whether something is.
    #[must_use]
    pub(crate) fn misses_something(&self) -> bool {
        !self.missed.is_empty()
    }

    /// A mark is past all that records name, and goes on with what was served.
    pub(crate) fn end_naming(&mut self) {
        self.missed.end_naming();
    }

    /// It is here again.
    pub(crate) fn miss_no_more(&mut self, address: &Address) {
        self.missed.remove(address);
    }

    /// A mark has come by everything: what of that which was missed it did not come by is needed by nobody, and is missed no
    /// more.
    pub(crate) fn take_unneeded(&mut self) -> Vec<Address> {
        self.missed.take_unnamed()
    }

    /// How many blocks and pages no record is known to name, and their bytes.
    #[must_use]
    pub(crate) fn unnamed(&self) -> (u64, u64) {
        let (blocks, pages) = (&self.blocks.unnamed, &self.pages.unnamed);
        (blocks.count + pages.count, blocks.bytes + pages.bytes)
    }

    /// A collection begins: nothing is marked.
    pub(crate) fn clear_marks(&mut self) {
        self.blocks.flags.marked.clear();
        self.pages.flags.marked.clear();
        self.marked = Amount::default();
        self.missed.begin_mark();
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

    /// Bytes of the log that blocks and pages have, and what names block files.
    pub(crate) fn live(&self) -> &LiveBytes {
        &self.live
    }

    pub(super) fn live_mut(&mut self) -> &mut LiveBytes {
        &mut self.live
    }

    /// Blocks, and then pages, that are gone, and where that is said.
    pub(crate) fn graves(&self) -> [&Graves; 2] {
        [&self.blocks.graves, &self.pages.graves]
    }

    pub(crate) fn graves_mut(&mut self) -> [&mut Graves; 2] {
        [&mut self.blocks.graves, &mut self.pages.graves]
    }
}

#[cfg_attr(not(test), expect(dead_code, reason = "placement will ask"))]
impl Holdings {
    /// Whether that is so of a block or page.
    #[must_use]
    pub(crate) fn is(&self, address: &Address, of: Bit) -> bool {
        [&self.blocks, &self.pages].into_iter().any(|index| index.is(address, of))
    }

    /// From now on it is so of a block or page that is here, or not.
    pub(crate) fn set(&mut self, address: &Address, of: Bit, on: bool) {
        self.blocks.set(address, of, on);
        self.pages.set(address, of, on);
    }
}

/// Places by their addresses.
#[derive(Debug, Default)]
struct AddressIndex {
    places: Places,
    index: KeyedIndex,
    count: u64,
    unnamed: Unnamed,
    flags: Flags,
    graves: Graves,
}

/// Which of a index's slots hold what no record is known to name.
#[derive(Debug, Default)]
struct Unnamed {
    bits: Bits,
    count: u64,
    bytes: u64,
}

impl Unnamed {
    /// Sets or clears a slot's bit; what is there has so many bytes.
    fn set(&mut self, slot: u32, unnamed: bool, bytes: u32) {
        if !self.bits.set(slot, unnamed) {
            return;
        }
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
    type Key<'a>
        = &'a [u8]
    where
        Self: 'a;

    fn key(&self, slot: u32) -> &[u8] {
        &self.0[slot].0.0
    }
}

impl AddressIndex {
    fn slot(&self, address: &Address) -> Option<u32> {
        self.index.slot(&address.0, &self.places)
    }

    fn get(&self, address: &Address) -> Option<PackedLocation> {
        self.slot(address).map(|slot| self.places.0[slot].1)
    }

    /// Tells where it was before.
    fn insert(
        &mut self,
        address: Address,
        place: PackedLocation,
        epoch: Epoch,
    ) -> Option<PackedLocation> {
        let vacancy = match self.index.find(&address.0, &self.places) {
            Err(vacancy) => vacancy,
            Ok(slot) => {
                epoch.of_mut(&mut self.flags.relied).set(slot, true);
                let was = std::mem::replace(&mut self.places.0[slot].1, place);
                if was.length() != place.length() {
                    self.unnamed.set(slot, false, was.length());
                }
                if was.segment() != place.segment() {
                    self.graves.leave(address.0, was.segment());
                }
                return Some(was);
            }
        };
        let slot = self.places.0.insert((address, place));
        self.index.insert(vacancy, slot, &self.places);
        self.flags.bits_mut(Bit::Owed).set(slot, true);
        // A mark that runs may be past whoever names it.
        epoch.of_mut(&mut self.flags.relied).set(slot, true);
        self.count += 1;
        self.graves.rise(&address.0);
        None
    }

    fn move_from(
        &mut self,
        address: &Address,
        from: PackedLocation,
        to: PackedLocation,
        live: &mut LiveBytes,
    ) -> bool {
        let Some(slot) = self.slot(address).filter(|slot| self.places.0[*slot].1 == from) else {
            return false;
        };
        live.remove(from);
        if !seeded::is_on(Bug::CountNoCopies) {
            live.add(to);
        }
        self.places.0[slot].1 = to;
        true
    }

    fn remove(&mut self, address: &Address) -> Option<PackedLocation> {
        let slot = self.slot(address)?;
        Some(self.remove_slot(slot))
    }

    fn remove_slot(&mut self, slot: u32) -> PackedLocation {
        let place = self.places.0[slot].1;
        self.index.remove(slot, &self.places);
        self.unnamed.set(slot, false, place.length());
        self.flags.forget(slot);
        self.places.0.remove(slot);
        self.count -= 1;
        place
    }

    fn await_name(&mut self, address: &Address) {
        if let Some(slot) = self.slot(address) {
            self.unnamed.set(slot, true, self.places.0[slot].1.length());
            self.flags.set_young(slot, 0);
        }
    }

    fn name(&mut self, address: &Address, epoch: Epoch) -> bool {
        let slot = self.slot(address);
        if let Some(slot) = slot {
            self.become_named(slot);
            epoch.of_mut(&mut self.flags.relied).set(slot, true);
        }
        slot.is_some()
    }

    fn become_named(&mut self, slot: u32) {
        self.unnamed.set(slot, false, self.places.0[slot].1.length());
        self.flags.become_named(slot);
    }

    fn is(&self, address: &Address, of: Bit) -> bool {
        self.slot(address).is_some_and(|slot| self.flags.bits(of).is(slot))
    }

    fn set(&mut self, address: &Address, of: Bit, on: bool) {
        if let Some(slot) = self.slot(address) {
            self.flags.bits_mut(of).set(slot, on);
        }
    }

    fn after(&self, after: Option<Address>) -> impl Iterator<Item = (Address, BlockPlace)> {
        let sought = after.as_ref().map_or(&[][..], |after| &after.0);
        let side = if after.is_some() { Side::After } else { Side::Before };
        let order = self.index.order();
        let cursor = order.seek(sought, side, &self.places);
        order.after(cursor).map(|slot| {
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

#[cfg(test)]
impl Holdings {
    /// Where all blocks and pages are, counted anew.
    pub(super) fn recount(&self) -> LiveBytes {
        let mut live = LiveBytes::default();
        for index in [&self.blocks, &self.pages] {
            let all = index.index.order().after(crate::index::sorted::Cursor::FIRST);
            all.for_each(|slot| live.add(index.places.0[slot].1));
        }
        live
    }
}

#[cfg(test)]
mod tests;
