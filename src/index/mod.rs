//! What a node has and knows: derived from its log at every start, and kept current from then on.
//!
//! Pure: reaches no disk and no machine, and knows no connection. Invariant: nothing is in here before the group that
//! brought it has been flushed, but for grants, which are learnt at once, and for what was shown and is not kept.

mod bits;
mod builder;
mod building;
pub(crate) mod catalog;
mod completion;
pub(crate) mod entry;
mod front_coding;
pub(crate) mod grants;
pub(crate) mod graves;
pub(crate) mod holdings;
mod keyed;
mod moving;
mod names;
mod ordered;
mod packed;
mod runs;
mod segmented;
pub(crate) mod segments;
mod settings;
mod shown;
pub(crate) mod sorted;
pub(crate) mod steps;
mod unordered;

pub use builder::IndexBuilder;
pub(crate) use builder::Missing;
pub use building::Building;
pub(crate) use ordered::{Ordered, Step, Unread};
pub use segments::Pins;
pub(crate) use shown::Shown;

use crate::ids::{Address, RecordId};
use crate::seeded::{self, Bug};
use crate::store::values::{BlockPlace, LogItem, LogPlace, SegmentEnd, Verified};
use crate::wire::log_damage::LogDamage;
use crate::wire::record::Record;
use crate::wire::settings::Settings;
use bytes::Bytes;
use catalog::Catalog;
use entry::Entry;
use grants::Grants;
use holdings::Holdings;
use segments::Readers;
use settings::KnownSettings;

/// So much of what stood in removed segments is forgotten in one step.
const FORGOTTEN: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) catalog: Catalog,
    pub(crate) holdings: Holdings,
    pub(crate) grants: Grants,
    /// Versions that were shown to somebody and are not kept.
    pub(crate) shown: Shown,
    /// The number of the last group that is durable.
    pub(crate) group: u64,
    /// Where the log ends, since the first group of this run.
    pub(crate) end: SegmentEnd,
    /// What a start could not decode of the log, and no node has made good since.
    pub(crate) undecoded: LogDamage,
    pub(crate) readers: Readers,
    /// Names in order, where there is a data key to read them with.
    pub(crate) ordered: Option<Ordered>,
    /// What the network is set to.
    pub(crate) settings: Settings,
    known_settings: KnownSettings,
}

impl Index {
    /// What a start has built. `group`: the last durable one; `undecoded`: what the start could not decode.
    pub(crate) fn new(
        mut builder: IndexBuilder,
        group: u64,
        undecoded: LogDamage,
        ordered: Option<Ordered>,
    ) -> Self {
        builder.put_in_order();
        let IndexBuilder { catalog, holdings, grants, settings: known_settings, .. } = builder;
        let mut index = Self {
            catalog,
            holdings,
            grants,
            shown: Shown::default(),
            group,
            end: SegmentEnd::default(),
            undecoded,
            readers: Readers::default(),
            ordered,
            settings: Settings::default(),
            known_settings,
        };
        index.renew_settings();
        // Before anything is compared.
        index.catalog.set(&index.settings);
        index.catalog.rebind(usize::MAX);
        index
    }

    /// A record is durable: what it sets, if it sets something, is in force if no greater version sets the same.
    pub(crate) fn note_setting(&mut self, record: &Record, bytes: &Bytes) {
        if self.known_settings.note(record, bytes) {
            self.renew_settings();
        }
    }

    /// By now another version of a setting may be the greatest that is not dated in the future.
    pub(crate) fn renew_settings(&mut self) {
        let is_damaged = self.log_damage().is_any();
        self.settings = self.known_settings.in_force(&self.catalog, is_damaged);
    }

    /// The records of the settings that are in force.
    pub(crate) fn settings_records(&self) -> impl Iterator<Item = Bytes> {
        self.known_settings.records(&self.catalog)
    }

    /// Whatever depends on what the network is set to follows that.
    pub(crate) fn apply_settings(&mut self) {
        self.catalog.set(&self.settings);
    }

    /// What may be missing here, since a start could not decode all of the log.
    pub(crate) fn log_damage(&self) -> LogDamage {
        if seeded::is_on(Bug::HideLogDamage) {
            return LogDamage::default();
        }
        self.undecoded.and(self.catalog.guessed())
    }

    /// Whether a block or a page is here.
    pub(crate) fn has(&self, address: &Address) -> bool {
        self.holdings.block(address).is_some() || self.holdings.page(address).is_some()
    }

    /// A job begins that reads from these places: until it has ended their segments are not removed.
    pub(crate) fn pin(&mut self, places: impl IntoIterator<Item = BlockPlace>) -> Pins {
        self.readers.pin(places.into_iter().filter_map(|place| match place {
            BlockPlace::Log(place) => Some(place.segment),
            BlockPlace::Tree { .. } => None,
        }))
    }

    /// Where a block is now, that was gone from where it was read. None if it is not held, or should be there: then it is
    /// damaged.
    pub(crate) fn moved(&self, address: &Address, from: BlockPlace) -> Option<BlockPlace> {
        self.holdings.block(address).filter(|place| *place != from)
    }

    /// The same of an item of the log.
    pub(crate) fn moved_item(&self, item: &LogItem) -> Option<LogPlace> {
        let address = Address(item.id);
        let record = || self.catalog.get(&RecordId(item.id)).map(Entry::place);
        let place = record().or_else(|| self.holdings.page(&address)).or_else(|| {
            match self.holdings.block(&address)? {
                BlockPlace::Log(place) => Some(place),
                BlockPlace::Tree { .. } => None,
            }
        });
        place.filter(|place| *place != item.place)
    }

    /// What was looked at, and what was found of it. What was moved meanwhile is not bad, whatever stands where it was: it is
    /// not known how it is where it is now.
    pub(crate) fn judge(&self, looked_at: &[(Address, BlockPlace)], found: Verified) -> Verified {
        let is_moved = |bad: &Address| {
            let mut at = looked_at.iter().filter(|(address, _)| address == bad);
            at.any(|(address, from)| match *from {
                BlockPlace::Tree { .. } => self.moved(address, *from).is_some(),
                BlockPlace::Log(place) => {
                    self.moved_item(&LogItem { id: address.0, place }).is_some()
                }
            })
        };
        let Verified { bytes, bad, mut unread } = found;
        let (moved, bad): (Vec<_>, Vec<_>) = bad.into_iter().partition(is_moved);
        unread.extend(moved);
        Verified { bytes, bad, unread }
    }

    /// Bytes of a segment that are needed.
    #[must_use]
    pub(crate) fn live_bytes(&self, segment: u32) -> u64 {
        let graves = self.holdings.graves().into_iter().chain([self.catalog.graves()]);
        let graves = graves.map(|graves| graves.live().of(segment)).sum::<u64>();
        self.catalog.live().of(segment) + self.holdings.live().of(segment) + graves
    }

    /// The same of all segments.
    #[must_use]
    pub(crate) fn all_live_bytes(&self) -> u64 {
        let graves = self.holdings.graves().into_iter().chain([self.catalog.graves()]);
        let graves = graves.map(|graves| graves.live().all()).sum::<u64>();
        self.catalog.live().all() + self.holdings.live().all() + graves
    }

    /// A segment of which fewer bytes are needed than when it was last told, if there is one.
    pub(crate) fn take_fallen(&mut self) -> Option<u32> {
        let Self { catalog, holdings, .. } = self;
        let mut fallen = catalog.live_mut().take_fallen();
        fallen = fallen.or_else(|| holdings.live_mut().take_fallen());
        fallen = fallen.or_else(|| catalog.graves_mut().live_mut().take_fallen());
        for graves in holdings.graves_mut() {
            fallen = fallen.or_else(|| graves.live_mut().take_fallen());
        }
        fallen
    }

    /// Whether somebody reads in a segment.
    #[must_use]
    pub(crate) fn is_read(&self, segment: u32) -> bool {
        self.readers.of(segment) > 0 && !seeded::is_on(Bug::RemoveWhileRead)
    }

    /// A segment has been removed: whoever had that done has seen to it that nobody needs it. `forget_gone` is to be called.
    pub(crate) fn removed(&mut self, segment: u32) {
        assert_eq!(self.live_bytes(segment), 0, "segment {segment} was removed and is needed");
        assert_eq!(self.readers.of(segment), 0, "segment {segment} was removed and is read");
        self.bury_segment(segment);
    }

    /// Nothing stands any more in a segment.
    fn bury_segment(&mut self, segment: u32) {
        self.readers.closed(segment);
        self.catalog.graves_mut().segment_removed(segment);
        let graves = self.holdings.graves_mut().into_iter();
        graves.for_each(|graves| graves.segment_removed(segment));
    }

    /// Forgets some of what stood in segments that were removed. Whether there is more.
    pub(crate) fn forget_gone(&mut self) -> bool {
        let mut left = FORGOTTEN;
        left -= self.catalog.graves_mut().forget_gone(left);
        for graves in self.holdings.graves_mut() {
            left -= graves.forget_gone(left);
        }
        left == 0
    }

    /// A record's bytes are damaged on the disk: it is no longer had, so that comparing with the peers brings it back.
    pub(crate) fn damage(&mut self, id: &RecordId) {
        log::warn!("record {id} is damaged on this disk; it is asked of the peers");
        self.catalog.damage(id);
    }
}

#[cfg(test)]
impl Index {
    /// Of a node that has nothing.
    pub(crate) fn for_tests() -> Self {
        Self {
            catalog: Catalog::new(crate::crypto::alias::Aliases::new([7; 16])),
            holdings: Holdings::default(),
            grants: Grants::new([7; 32]),
            shown: Shown::default(),
            group: 0,
            end: SegmentEnd::default(),
            undecoded: LogDamage::default(),
            readers: Readers::default(),
            ordered: None,
            settings: Settings::default(),
            known_settings: KnownSettings::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_while_it_was_looked_at_is_not_bad() {
        let mut index = Index::for_tests();
        let [stays, page, block] = [1, 2, 3].map(|byte| Address([byte; 32]));
        let at = |segment| LogPlace { segment, offset: 9_000, length: 7 };
        index.holdings.insert(stays, BlockPlace::Log(at(1)), 1);
        index.holdings.insert_page(page, at(1));
        index.holdings.insert(block, BlockPlace::Log(at(1)), 1);
        let looked_at = [stays, page, block].map(|address| (address, BlockPlace::Log(at(1))));
        let bad = || Verified { bad: vec![stays, page, block], ..Verified::default() };
        assert_eq!(index.judge(&looked_at, bad()), bad());
        index.holdings.insert_page(page, at(2));
        index.holdings.insert(block, BlockPlace::Log(at(2)), 2);
        let found = index.judge(&looked_at, bad());
        assert_eq!((found.bad, found.unread), (vec![stays], vec![page, block]));
    }

    #[test]
    #[should_panic(expected = "is needed")]
    fn a_segment_that_is_needed_is_not_removed() {
        let mut index = Index::for_tests();
        index.holdings.insert(Address([1; 32]), BlockPlace::Tree { length: 70_000 }, 4);
        index.removed(3);
        index.removed(4);
    }

    #[test]
    #[should_panic(expected = "is read")]
    fn a_segment_that_is_read_is_not_removed() {
        let mut index = Index::for_tests();
        let place = LogPlace { segment: 4, offset: 9_000, length: 7 };
        let pins = index.pin([BlockPlace::Log(place), BlockPlace::Tree { length: 70_000 }]);
        let again = index.pin([BlockPlace::Log(place)]);
        index.readers.unpin(pins);
        index.removed(3);
        index.removed(4);
        index.readers.unpin(again);
    }
}
