//! Groups of the compaction: what is needed of a segment is written anew in groups of its own, and segments are removed.
//!
//! Knows nothing of turns. Invariant: when a group goes, what has died since it was made is taken out, since no later group
//! could have said so before this one; what dies while it is on its way stands behind it in the log, and is not taken into
//! the index.

use super::event::Compacted;
use crate::ids::{Address, RecordId};
use crate::index::Index;
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::store::values::{
    Committed, DiskError, Dropped, Expired, Group, LogPlace, SegmentItem, Statement,
};
use bytes::Bytes;

/// An item of a segment that is written anew, and its bytes, if it is a record, a page or a small block.
#[derive(Debug)]
pub(in crate::server) struct Copy {
    pub(in crate::server) item: SegmentItem,
    pub(in crate::server) bytes: Bytes,
}

/// What a group of the compaction does.
#[derive(Debug)]
pub(in crate::server) enum Rewrite {
    Copies(Vec<Copy>),
    /// These segments are removed, if nothing of them is needed and nobody reads in them.
    Removal(Vec<u32>),
}

/// What of such a group is in flight.
#[derive(Debug)]
enum InFlight {
    /// Items in the order in which the group has them.
    Copies(Moving),
    Removal(Vec<u32>),
}

/// Items that are written anew, those of each kind in the order in which the group has them.
#[derive(Debug, Default)]
struct Moving {
    small: Vec<SegmentItem>,
    pages: Vec<SegmentItem>,
    records: Vec<SegmentItem>,
    /// What has no bytes of its own.
    others: Vec<SegmentItem>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rewrites {
    waiting: Option<Rewrite>,
    in_flight: Option<InFlight>,
}

impl Rewrites {
    /// One at a time.
    pub(super) fn add(&mut self, rewrite: Rewrite) {
        debug_assert!(self.waiting.is_none() && self.in_flight.is_none(), "one at a time");
        self.waiting = Some(rewrite);
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// What waits will not go.
    pub(super) fn stop(&mut self) {
        self.waiting = None;
    }

    /// One waits.
    pub(super) fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// The group that waits, if one does.
    pub(super) fn dispatch(&mut self, cx: &mut Context) -> Option<Group> {
        let (group, in_flight) = match self.waiting.take()? {
            Rewrite::Copies(copies) => copies_group(&cx.index, copies),
            Rewrite::Removal(numbers) => removal_group(&mut cx.index, numbers),
        };
        self.in_flight = Some(in_flight);
        Some(group)
    }

    /// The disk has answered for it.
    pub(super) fn complete(
        &mut self,
        cx: &mut Context,
        result: Result<Committed, DiskError>,
    ) -> Result<Compacted, String> {
        let in_flight = self.in_flight.take().expect("one is in flight, and answered once");
        match (result, in_flight) {
            (Ok(committed), InFlight::Copies(moving)) => {
                enter(&mut cx.index, &committed);
                Ok(Compacted::Copied { bytes: moving.enter(&mut cx.index, &committed) })
            }
            (Ok(committed), InFlight::Removal(asked)) => {
                enter(&mut cx.index, &committed);
                asked.iter().for_each(|segment| cx.index.readers.closed(*segment));
                committed.removed.iter().for_each(|segment| cx.index.removed(*segment));
                let (removed, kept) =
                    asked.into_iter().partition(|segment| committed.removed.contains(segment));
                Ok(Compacted::Removed { removed, kept })
            }
            (Err(DiskError::Failed(why)), _) => Err(why),
            (Err(error @ (DiskError::Full | DiskError::Scarce(_))), in_flight) => {
                log::debug!("a segment of the log could not be compacted now: {error:?}");
                if error == DiskError::Full {
                    cx.space.ran_out();
                }
                if let InFlight::Removal(asked) = in_flight {
                    asked.iter().for_each(|segment| cx.index.readers.closed(*segment));
                }
                Ok(Compacted::NotNow)
            }
        }
    }
}

fn enter(index: &mut Index, committed: &Committed) {
    index.group = committed.number;
    index.end = committed.end;
}

/// What of these is needed still.
fn copies_group(index: &Index, copies: Vec<Copy>) -> (Group, InFlight) {
    let (mut group, mut moving) = (Group::default(), Moving::default());
    for Copy { item, bytes } in copies {
        if !index.is_needed(&item) && !seeded::is_on(Bug::CopyTheDead) {
            continue;
        }
        let (address, id) = (Address(item.id), RecordId(item.id));
        match item.states {
            Statement::Record => {
                group.records.push((id, bytes));
                moving.records.push(item);
                continue;
            }
            Statement::Page => {
                group.pages.push((address, bytes));
                moving.pages.push(item);
                continue;
            }
            Statement::Small => {
                group.small.push((address, bytes));
                moving.small.push(item);
                continue;
            }
            Statement::BlockFile { length } => group.named.push((address, length)),
            Statement::Lost => group.lost.push(address),
            Statement::Dropped { since } => {
                // Who has come since this was first written may name it.
                let since = Some(since.unwrap_or(item.place.segment));
                group.dropped.push(Dropped { address, since });
            }
            Statement::Expired { .. } if seeded::is_on(Bug::CopyNoExpired) => {}
            Statement::Expired { at_ms } => group.expired.push(Expired { id, at_ms }),
            // A later segment's head says so.
            Statement::Removed => continue,
        }
        moving.others.push(item);
    }
    (group, InFlight::Copies(moving))
}

fn removal_group(index: &mut Index, mut numbers: Vec<u32>) -> (Group, InFlight) {
    numbers.retain(|number| index.live_bytes(*number) == 0 && !index.is_read(*number));
    numbers.iter().for_each(|number| index.readers.close(*number));
    (Group { removed: numbers.clone(), ..Group::default() }, InFlight::Removal(numbers))
}

impl Moving {
    /// They are durable where they are now. Bytes that were written.
    fn enter(self, index: &mut Index, committed: &Committed) -> u64 {
        let Self { small, pages, records, others } = self;
        let places = [(small, &committed.small), (pages, &committed.pages)];
        let places = places.into_iter().chain([(records, &committed.records)]);
        let placed = places.flat_map(|(items, places)| items.into_iter().zip(places));
        let placed: Vec<_> = placed.map(|(item, place)| (item, *place)).collect();
        let segment = committed.segment;
        let others = others.into_iter().map(|item| {
            let place = LogPlace { segment, ..item.place };
            (item, place)
        });
        let mut bytes = 0;
        for (item, place) in placed.into_iter().chain(others) {
            bytes += item.bytes();
            index.moved_to(&item, place);
        }
        bytes
    }
}
