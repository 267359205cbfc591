//! Moving: which items of a segment are needed, and that they are elsewhere from now on.
//!
//! Knows no disk. Invariant: an item is needed if what it states is known by it, at its very place; so of what stands in the
//! log twice one is needed at most.

use super::Index;
use super::graves::{Grave, Graves, Why};
use super::packed::PackedLocation;
use crate::ids::{Address, RecordId};
use crate::store::values::{LogPlace, SegmentItem, Statement};

impl Index {
    /// Whether an item of a segment is needed.
    #[must_use]
    pub(crate) fn is_needed(&self, item: &SegmentItem) -> bool {
        let address = Address(item.id);
        let place = item.place;
        match item.states {
            Statement::Record => {
                let entry = self.catalog.get(&RecordId(item.id));
                entry.is_some_and(|entry| entry.place() == place)
            }
            Statement::Page => self.holdings.page(&address) == Some(place),
            Statement::Small | Statement::BlockFile { .. } => {
                self.holdings.located(&address) == Some(located(item, place))
            }
            Statement::Lost => {
                let mut graves = self.holdings.graves().into_iter();
                graves.any(|graves| stands_there(graves, item, Why::Lost))
            }
            Statement::Dropped { .. } => {
                let [blocks, _] = self.holdings.graves();
                stands_there(blocks, item, Why::Dropped)
            }
            Statement::Expired { at_ms } => {
                // It may have come again and expired again, which is what is to be known.
                let known = self.catalog.expired_ms(&RecordId(item.id));
                known.is_none_or(|known| known == at_ms)
                    && stands_there(self.catalog.graves(), item, Why::Expired)
            }
            Statement::Removed => false,
        }
    }

    /// An item was written anew: where it was it stands, and is not needed, until that segment is removed, should it ever be.
    /// If it died meanwhile, what stands there now is not needed either.
    pub(crate) fn moved_to(&mut self, item: &SegmentItem, to: LogPlace) {
        let (address, id) = (Address(item.id), RecordId(item.id));
        let (from, segment) = (item.place, to.segment);
        match item.states {
            Statement::Record => {
                let is_moved = self.catalog.move_from(&id, from, to);
                let stands = if is_moved { from.segment } else { segment };
                self.catalog.graves_mut().leave(item.id, stands);
            }
            Statement::Page => {
                let is_moved = self.holdings.move_page(&address, from, to);
                let [_, pages] = self.holdings.graves_mut();
                pages.leave(item.id, if is_moved { from.segment } else { segment });
            }
            Statement::Small | Statement::BlockFile { .. } => {
                let stood = from.segment;
                let (from, to) = (located(item, from), located(item, to));
                let is_moved = self.holdings.move_block(&address, from, to);
                let [blocks, _] = self.holdings.graves_mut();
                blocks.leave(item.id, if is_moved { stood } else { segment });
            }
            Statement::Lost | Statement::Dropped { .. } => {
                for graves in self.holdings.graves_mut() {
                    graves.move_grave(&item.id, from.segment, segment);
                }
            }
            Statement::Expired { .. } => {
                let graves = self.catalog.graves_mut();
                graves.move_grave(&item.id, from.segment, segment);
            }
            Statement::Removed => {}
        }
    }
}

/// Where a block is that an item states.
fn located(item: &SegmentItem, place: LogPlace) -> PackedLocation {
    match item.states {
        Statement::BlockFile { length } => PackedLocation::file(place.segment, length),
        _ => place.into(),
    }
}

fn stands_there(graves: &Graves, item: &SegmentItem, why: Why) -> bool {
    graves.of(&item.id) == Some(Grave { segment: item.place.segment, why })
}
