//! Graves: what in the log says that something is gone, and in which segments that stands still which it buries.
//!
//! The next start reads what is left of the log, in its order: were a grave gone before what it buries, that would be back.
//! So the bytes of a grave are needed as long as something that it buries stands in a segment; and of an expired record as
//! long as it is to be known that it has. Knows nothing of what is not buried but where copies of it stand that are not
//! needed. Invariant: of each id that is here something stands in the log which is not needed, or a grave which is.

use super::segments::LiveBytes;
use crate::seeded::{self, Bug};
use crate::store::values::ITEM_HEAD;
use std::collections::{BTreeMap, BTreeSet};

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
#[derive(Debug, Default)]
struct Standing {
    /// In how many segments something of it stands that is not needed.
    segments: u32,
    grave: Option<Grave>,
    /// It is to be known that it is gone, whatever stands of it.
    is_told: bool,
    /// The bytes of its grave are counted.
    is_needed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Graves {
    ids: BTreeMap<Id, Standing>,
    /// Where that stands which is not needed.
    standing: BTreeSet<(u32, Id)>,
    /// Segments of which all that is needed is being written anew. What has been, and is gone now, stands there too.
    moving: BTreeSet<u32>,
    live: LiveBytes,
}

impl Graves {
    /// Something of this id stands in a segment, and is not needed any more, since it is had elsewhere, or was damaged.
    pub(crate) fn leave(&mut self, id: Id, segment: u32) {
        if self.standing.insert((segment, id)) {
            self.ids.entry(id).or_default().segments += 1;
            self.judge(id);
        }
    }

    /// The same of what stood there until now: if that was being moved, it stands where it came from too.
    pub(crate) fn leave_all(&mut self, id: Id, stood: u32) {
        let moving = self.moving.iter().copied().filter(|moving| *moving < stood);
        let stood: Vec<_> = moving.chain([stood]).collect();
        stood.into_iter().for_each(|segment| self.leave(id, segment));
    }

    /// It is gone, as an item says in this segment. `stood`: where it was until now, if it was held.
    pub(crate) fn bury(&mut self, id: Id, grave: Grave, stood: Option<u32>) {
        self.rise(&id);
        if let Some(stood) = stood {
            self.leave_all(id, stood);
        }
        let standing = self.ids.entry(id).or_default();
        standing.grave = Some(grave);
        standing.is_told = grave.why == Why::Expired;
        self.judge(id);
    }

    /// It has come again, and stands behind its grave.
    pub(crate) fn rise(&mut self, id: &Id) {
        if self.ids.is_empty() {
            return;
        }
        if let Some(standing) = self.ids.get_mut(id) {
            standing.is_told = false;
            if let Some(grave) = standing.grave.take()
                && std::mem::take(&mut standing.is_needed)
            {
                self.live.remove_bytes(grave.segment, grave.bytes());
            }
            self.judge(*id);
        }
    }

    /// Nobody asks any more whether it is gone.
    pub(crate) fn forget(&mut self, id: &Id) {
        if let Some(standing) = self.ids.get_mut(id) {
            standing.is_told = false;
            self.judge(*id);
        }
    }

    /// Counts the grave of an id if it is needed: what it buries stands in another segment than its own, which may go before.
    fn judge(&mut self, id: Id) {
        let Some(standing) = self.ids.get_mut(&id) else {
            return;
        };
        if let Some(grave) = standing.grave {
            let own = u32::from(self.standing.contains(&(grave.segment, id)));
            let is_needed = standing.is_told || standing.segments > own;
            let is_needed = is_needed && !seeded::is_on(Bug::ForgetGraves);
            match (std::mem::replace(&mut standing.is_needed, is_needed), is_needed) {
                (false, true) => self.live.add_bytes(grave.segment, grave.bytes()),
                (true, false) => self.live.remove_bytes(grave.segment, grave.bytes()),
                (true, true) | (false, false) => {}
            }
        }
        if standing.segments == 0 && !standing.is_told {
            self.ids.remove(&id);
        }
    }

    /// The grave of an id, if it is needed.
    #[must_use]
    pub(crate) fn of(&self, id: &Id) -> Option<Grave> {
        self.ids.get(id).filter(|standing| standing.is_needed)?.grave
    }

    /// Whether something of an id stands somewhere that is not needed.
    #[must_use]
    pub(crate) fn stands(&self, id: &Id) -> bool {
        self.ids.get(id).is_some_and(|standing| standing.segments > 0)
    }

    /// A grave was written anew. False if it is not needed any more, or is another now.
    pub(crate) fn move_grave(&mut self, id: &Id, from: u32, to: u32) -> bool {
        let standing = self.ids.get_mut(id).filter(|standing| standing.is_needed);
        let Some(Standing { grave: Some(grave), is_needed, .. }) = standing else {
            return false;
        };
        if grave.segment != from {
            return false;
        }
        self.live.remove_bytes(from, grave.bytes());
        grave.segment = to;
        *is_needed = false;
        self.judge(*id);
        true
    }

    /// What is needed of a segment will be written anew, some now and some later, until it is removed.
    pub(crate) fn begin_moving(&mut self, segment: u32) {
        self.moving.insert(segment);
    }

    /// A segment is gone, and what stood in it.
    pub(crate) fn segment_removed(&mut self, segment: u32) {
        self.moving.remove(&segment);
        let mut rest = self.standing.split_off(&(segment, Id::default()));
        if let Some(next) = segment.checked_add(1) {
            let mut later = rest.split_off(&(next, Id::default()));
            self.standing.append(&mut later);
        }
        for (_, id) in rest {
            if let Some(standing) = self.ids.get_mut(&id) {
                standing.segments -= 1;
                self.judge(id);
            }
        }
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
        let mut live = LiveBytes::default();
        for (id, standing) in &self.ids {
            let stands = |segment: &u32| self.standing.contains(&(*segment, *id));
            let segments: BTreeSet<_> = self.standing.iter().map(|(segment, _)| *segment).collect();
            let segments: Vec<_> = segments.into_iter().filter(stands).collect();
            assert_eq!(segments.len(), standing.segments as usize);
            assert!(standing.segments > 0 || standing.is_told, "nothing is left of it");
            if let Some(grave) = standing.grave
                && (standing.is_told || segments.iter().any(|segment| *segment != grave.segment))
            {
                live.add_bytes(grave.segment, grave.bytes());
            }
        }
        live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Id = [7; 32];

    fn grave(segment: u32, why: Why) -> Grave {
        Grave { segment, why }
    }

    #[test]
    fn a_grave_is_needed_until_all_that_it_buries_is_gone() {
        let mut graves = Graves::default();
        graves.leave(ID, 2);
        graves.leave(ID, 2);
        graves.bury(ID, grave(5, Why::Dropped), Some(4));
        assert_eq!((graves.of(&ID), graves.live().of(5)), (Some(grave(5, Why::Dropped)), 41));
        graves.segment_removed(4);
        graves.segment_removed(3);
        assert!(graves.of(&ID).is_some());
        assert!(graves.move_grave(&ID, 5, 8) && !graves.move_grave(&ID, 5, 9));
        assert_eq!((graves.live().of(5), graves.live().of(8)), (0, 41));
        graves.segment_removed(2);
        assert_eq!((graves.of(&ID), graves.live().of(8)), (None, 0));
        assert!(graves.ids.is_empty() && graves.standing.is_empty());
    }

    #[test]
    fn that_a_record_has_expired_is_known_until_nobody_asks_for_it() {
        let mut graves = Graves::default();
        graves.bury(ID, grave(5, Why::Expired), Some(4));
        graves.segment_removed(4);
        assert_eq!(graves.live().of(5), 49);
        graves.forget(&ID);
        assert!(graves.ids.is_empty() && graves.live().of(5) == 0);
        // And longer, if its bytes stand.
        graves.bury(ID, grave(5, Why::Expired), Some(4));
        graves.forget(&ID);
        assert!(graves.of(&ID).is_some());
        graves.segment_removed(4);
        assert!(graves.of(&ID).is_none());
    }

    #[test]
    fn what_has_come_again_has_no_grave_and_what_stood_of_it_is_buried_with_it_again() {
        let mut graves = Graves::default();
        graves.bury(ID, grave(3, Why::Expired), Some(2));
        graves.rise(&ID);
        assert!(graves.of(&ID).is_none() && graves.live().of(3) == 0);
        graves.bury(ID, grave(6, Why::Dropped), Some(5));
        graves.segment_removed(5);
        assert_eq!(graves.of(&ID), Some(grave(6, Why::Dropped)), "the second stands");
        graves.bury(ID, grave(7, Why::Lost), None);
        assert_eq!([6, 7].map(|segment| graves.live().of(segment)), [0, 41]);
        graves.segment_removed(2);
        assert!(graves.ids.is_empty());
        graves.bury(ID, grave(8, Why::Lost), None);
        assert!(graves.ids.is_empty(), "it buries nothing");
    }

    #[test]
    fn with_its_own_segment_goes_what_a_grave_buries_there() {
        let mut graves = Graves::default();
        graves.bury(ID, grave(5, Why::Dropped), Some(5));
        assert_eq!((graves.of(&ID), graves.live().of(5)), (None, 0));
        graves.segment_removed(5);
        assert!(graves.ids.is_empty());
        graves.leave(ID, 3);
        graves.bury(ID, grave(5, Why::Dropped), Some(5));
        assert_eq!(graves.live().of(5), 41, "the other stands");
        assert!(graves.move_grave(&ID, 5, 6));
        graves.segment_removed(3);
        assert_eq!(graves.live().of(6), 41, "and now the one where it stood itself");
        graves.segment_removed(5);
        assert!(graves.ids.is_empty());
    }

    #[test]
    fn what_was_written_anew_and_then_goes_stands_in_both_segments() {
        let mut graves = Graves::default();
        graves.begin_moving(2);
        graves.bury(ID, grave(7, Why::Dropped), Some(6));
        graves.segment_removed(6);
        assert!(graves.of(&ID).is_some());
        graves.segment_removed(2);
        assert!(graves.ids.is_empty() && graves.moving.is_empty());
    }
}
