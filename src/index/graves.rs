//! Graves: what in the log says that something is gone, and in which segments that stands still which it buries.
//!
//! The next start reads what is left of the log, in its order: were a grave gone before what it buries, that would be back.
//! So the bytes of a grave are needed as long as something that it buries stands in a segment; and of an expired record as
//! long as it is to be known that it has. Knows nothing of what is not buried but where copies of it stand that are not
//! needed. What stood in a segment that is gone is forgotten a few rows at a time, since that may be very much. Invariant: of
//! each id that is here something stands in the log which is not needed, or a grave which is; it has a row for each segment
//! in which something of it stands, or one that is of none, and its first row says of its grave.

use super::segmented::SegmentedVec;
use super::segments::LiveBytes;
use super::sorted::{Cursor, Keys, Side, SortedIndex};
use crate::seeded::{self, Bug};
use crate::store::values::ITEM_HEAD;
use std::collections::BTreeMap;

/// What is gone: the id of a record, or the address of a block or page.
type Id = [u8; 32];

/// An item of the log that says that something is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grave {
    /// Where it stands.
    pub(crate) segment: u32,
    pub(crate) why: Why,
}

/// Why something is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was damaged, and is to be had again.
    Lost,
    /// It is not owed any more.
    Dropped,
    /// It was superseded for long enough.
    Expired,
}

impl Grave {
    /// Bytes of its item.
    fn bytes(self) -> u64 {
        ITEM_HEAD as u64 + if self.why == Why::Expired { 8 } else { 0 }
    }
}

/// What is known of an id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Mark {
    grave: Option<Grave>,
    /// It is to be known that it is gone, whatever stands of it.
    is_told: bool,
    /// The bytes of its grave are counted.
    is_needed: bool,
}

impl Mark {
    const TOLD: u8 = 1 << 2;
    const NEEDED: u8 = 1 << 3;

    /// Few bytes, since there may be a row for each item that is not needed.
    fn pack(self) -> [u8; 5] {
        let (segment, why) = match self.grave {
            None => (0, 0),
            Some(Grave { segment, why: Why::Lost }) => (segment, 1),
            Some(Grave { segment, why: Why::Dropped }) => (segment, 2),
            Some(Grave { segment, why: Why::Expired }) => (segment, 3),
        };
        let told = if self.is_told { Self::TOLD } else { 0 };
        let needed = if self.is_needed { Self::NEEDED } else { 0 };
        let [a, b, c, d] = segment.to_be_bytes();
        [a, b, c, d, why | told | needed]
    }

    fn unpack([a, b, c, d, bits]: [u8; 5]) -> Self {
        let segment = u32::from_be_bytes([a, b, c, d]);
        let why = match bits & 3 {
            0 => None,
            1 => Some(Why::Lost),
            2 => Some(Why::Dropped),
            _ => Some(Why::Expired),
        };
        let grave = why.map(|why| Grave { segment, why });
        let (is_told, is_needed) = (bits & Self::TOLD != 0, bits & Self::NEEDED != 0);
        Self { grave, is_told, is_needed }
    }
}

const ID: usize = size_of::<Id>();
/// In place of a segment, where nothing stands: it comes after all segments.
const NOWHERE: u32 = u32::MAX;
/// No row.
const END: u32 = u32::MAX;

/// Something of an id stands in a segment.
#[derive(Debug)]
struct Row {
    /// The id, and then the segment.
    key: [u8; ID + 4],
    /// Of the id, if this is its first row.
    mark: [u8; 5],
    /// The next row of the same segment.
    next: [u8; 4],
}

fn key(id: &Id, segment: u32) -> [u8; ID + 4] {
    let mut key = [0; ID + 4];
    key[..ID].copy_from_slice(id);
    key[ID..].copy_from_slice(&segment.to_be_bytes());
    key
}

impl Row {
    fn id(&self) -> Id {
        std::array::from_fn(|at| self.key[at])
    }

    fn segment(&self) -> u32 {
        u32::from_be_bytes(std::array::from_fn(|at| self.key[ID + at]))
    }

    fn mark(&self) -> Mark {
        Mark::unpack(self.mark)
    }
}

/// Rows by id, and those of an id by segment.
#[derive(Debug, Default)]
struct Rows(SegmentedVec<Row>);

impl Keys for Rows {
    type Key<'a>
        = &'a [u8]
    where
        Self: 'a;

    fn key(&self, slot: u32) -> &[u8] {
        &self.0[slot].key
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Graves {
    rows: Rows,
    order: SortedIndex,
    /// Of each segment the row that came last: with it begins a chain of all of them.
    segments: BTreeMap<u32, u32>,
    /// The same of segments that are gone.
    gone: Vec<u32>,
    live: LiveBytes,
}

impl Graves {
    /// Something of this id stands in a segment, and is not needed any more, since it is had elsewhere, or was damaged.
    pub(crate) fn leave(&mut self, id: Id, segment: u32) {
        let key = key(&id, segment);
        let cursor = self.order.seek(&key, Side::Before, &self.rows);
        let next = self.order.after(cursor).next();
        if next.is_some_and(|slot| self.rows.0[slot].key == key) {
            return;
        }
        let mark = match self.first(&id) {
            // The only one, which has the same place in the order whatever segment it is of.
            Some(first) if self.rows.0[first].segment() == NOWHERE => {
                self.rows.0[first].key = key;
                self.chain(first, segment);
                return self.judge(first);
            }
            Some(first) => std::mem::take(&mut self.rows.0[first].mark),
            None => Mark::default().pack(),
        };
        let slot =
            self.rows.0.insert(Row { key, mark: Mark::default().pack(), next: END.to_be_bytes() });
        self.order.insert(cursor, slot, &self.rows);
        self.chain(slot, segment);
        let first = self.first(&id).expect("it has just come");
        self.rows.0[first].mark = mark;
        self.judge(first);
    }

    /// A row is one of this segment.
    fn chain(&mut self, slot: u32, segment: u32) {
        let next = self.segments.insert(segment, slot).unwrap_or(END);
        self.rows.0[slot].next = next.to_be_bytes();
    }

    fn rows_of(&self, id: &Id) -> impl Iterator<Item = u32> {
        let cursor: Cursor = self.order.seek(id, Side::Before, &self.rows);
        let id = *id;
        self.order.after(cursor).take_while(move |slot| self.rows.0[*slot].key.starts_with(&id))
    }

    /// The first row of an id.
    fn first(&self, id: &Id) -> Option<u32> {
        self.rows_of(id).next()
    }

    /// It is gone, as an item says in this segment. `stood`: where it was until now, if it was held.
    pub(crate) fn bury(&mut self, id: Id, grave: Grave, stood: Option<u32>) {
        self.rise(&id);
        if let Some(stood) = stood {
            self.leave(id, stood);
        }
        let is_told = grave.why == Why::Expired;
        let first = match self.first(&id) {
            Some(first) => first,
            None if is_told => self.insert_nowhere(&id),
            None => return,
        };
        self.rows.0[first].mark = Mark { grave: Some(grave), is_told, is_needed: false }.pack();
        self.judge(first);
    }

    fn insert_nowhere(&mut self, id: &Id) -> u32 {
        let (key, mark) = (key(id, NOWHERE), Mark::default().pack());
        let slot = self.rows.0.insert(Row { key, mark, next: END.to_be_bytes() });
        let cursor = self.order.seek(&key, Side::Before, &self.rows);
        self.order.insert(cursor, slot, &self.rows);
        slot
    }

    /// It has come again, and stands behind its grave.
    pub(crate) fn rise(&mut self, id: &Id) {
        if self.order.is_empty() {
            return;
        }
        if let Some(first) = self.first(id) {
            let mark = self.rows.0[first].mark();
            if let Some(grave) = mark.grave.filter(|_| mark.is_needed) {
                self.live.remove_bytes(grave.segment, grave.bytes());
            }
            self.rows.0[first].mark = Mark::default().pack();
            self.judge(first);
        }
    }

    /// Nobody asks any more whether it is gone.
    pub(crate) fn forget(&mut self, id: &Id) {
        if let Some(first) = self.first(id) {
            let mark = Mark { is_told: false, ..self.rows.0[first].mark() };
            self.rows.0[first].mark = mark.pack();
            self.judge(first);
        }
    }

    /// Counts the grave of an id, whose first row this is, if it is needed: what it buries stands in another segment than its
    /// own, which may go before.
    fn judge(&mut self, first: u32) {
        let row = &self.rows.0[first];
        let (mark, id, stands) = (row.mark(), row.id(), row.segment() != NOWHERE);
        if let Some(grave) = mark.grave {
            let buries = |slot| {
                let segment = self.rows.0[slot].segment();
                segment != NOWHERE && segment != grave.segment
            };
            let is_needed = mark.is_told || self.rows_of(&id).any(buries);
            let is_needed = is_needed && !seeded::is_on(Bug::ForgetGraves);
            match (mark.is_needed, is_needed) {
                (false, true) => self.live.add_bytes(grave.segment, grave.bytes()),
                (true, false) => self.live.remove_bytes(grave.segment, grave.bytes()),
                (true, true) | (false, false) => {}
            }
            self.rows.0[first].mark = Mark { is_needed, ..mark }.pack();
        }
        if !stands && !mark.is_told {
            self.remove(first);
        }
    }

    fn remove(&mut self, slot: u32) {
        self.order.remove(slot, &self.rows);
        self.rows.0.remove(slot);
    }

    /// The grave of an id, if it is needed.
    #[must_use]
    pub(crate) fn of(&self, id: &Id) -> Option<Grave> {
        let mark = self.rows.0[self.first(id)?].mark();
        mark.grave.filter(|_| mark.is_needed)
    }

    /// Whether something of an id stands somewhere that is not needed.
    #[must_use]
    pub(crate) fn stands(&self, id: &Id) -> bool {
        self.first(id).is_some_and(|first| self.rows.0[first].segment() != NOWHERE)
    }

    /// A grave was written anew. False if it is not needed any more, or is another now.
    pub(crate) fn move_grave(&mut self, id: &Id, from: u32, to: u32) -> bool {
        let Some(grave) = self.of(id).filter(|grave| grave.segment == from) else {
            return false;
        };
        let first = self.first(id).expect("it has a grave");
        self.live.remove_bytes(from, grave.bytes());
        let grave = Some(Grave { segment: to, ..grave });
        let mark = Mark { grave, is_needed: false, ..self.rows.0[first].mark() };
        self.rows.0[first].mark = mark.pack();
        self.judge(first);
        true
    }

    /// A segment is gone, and what stood in it: `forget_gone` is to be called until that is forgotten.
    pub(crate) fn segment_removed(&mut self, segment: u32) {
        self.gone.extend(self.segments.remove(&segment));
    }

    /// Forgets so much of what stood in segments that are gone. How much that was: less if there is no more.
    pub(crate) fn forget_gone(&mut self, most: usize) -> usize {
        let mut count = 0;
        while count < most
            && let Some(slot) = self.gone.pop()
        {
            let next = u32::from_be_bytes(self.rows.0[slot].next);
            self.gone.extend((next != END).then_some(next));
            self.stands_no_more(slot);
            count += 1;
        }
        count
    }

    fn stands_no_more(&mut self, slot: u32) {
        let id = self.rows.0[slot].id();
        if self.rows_of(&id).nth(1).is_none() {
            self.rows.0[slot].key = key(&id, NOWHERE);
            return self.judge(slot);
        }
        let first = self.first(&id).expect("it has two rows");
        let mark = std::mem::take(&mut self.rows.0[first].mark);
        self.remove(slot);
        let first = self.first(&id).expect("it has another row");
        self.rows.0[first].mark = mark;
        self.judge(first);
    }

    /// Bytes of the log that its graves have.
    pub(crate) fn live(&self) -> &LiveBytes {
        &self.live
    }

    pub(crate) fn live_mut(&mut self) -> &mut LiveBytes {
        &mut self.live
    }
}

#[cfg(test)]
impl Graves {
    /// Where all graves are that are needed, counted anew.
    pub(super) fn recount(&self) -> LiveBytes {
        let mut ids: BTreeMap<Id, (Mark, Vec<u32>)> = BTreeMap::new();
        for slot in self.order.after(Cursor::FIRST) {
            let row = &self.rows.0[slot];
            let (mark, segments) = ids.entry(row.id()).or_default();
            if segments.is_empty() {
                *mark = row.mark();
            } else {
                assert_eq!(row.mark(), Mark::default(), "the first row says it");
            }
            segments.push(row.segment());
        }
        let mut live = LiveBytes::default();
        for (mark, segments) in ids.into_values() {
            assert!(segments.is_sorted() && (segments.len() == 1 || !segments.contains(&NOWHERE)));
            assert!(segments != [NOWHERE] || mark.is_told, "nothing is left of it");
            if let Some(grave) = mark.grave
                && (mark.is_told || segments.iter().any(|segment| *segment != grave.segment))
            {
                live.add_bytes(grave.segment, grave.bytes());
            }
        }
        live
    }

    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// All that stood in a segment is forgotten.
    fn segment_forgotten(&mut self, segment: u32) {
        self.segment_removed(segment);
        self.forget_gone(usize::MAX);
    }
}

#[cfg(test)]
mod tests;
