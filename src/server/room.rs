//! Room for what peers have: of records, they are told once when there is no more of it, and once when there is again.
//!
//! A refusal that nobody remembers is repeated for ever: so whoever has no room says so, nobody sends it files' records
//! until it says otherwise, and it looks by itself whether there is room again. Deletions and grants come in any case, or
//! nothing could ever be deleted. Invariant: what is said and logged follows changes, not attempts.

use super::context::Context;
use super::output::Link;
use super::timers::Timer;
use crate::index::entry::Kind;
use crate::seeded::{self, Bug};
use crate::time::Instant;
use crate::wire::message::Message;
use std::time::Duration;

/// A disk without room is looked at again after this long, and after twice as long each time that it had none after all.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// It doubles so many times: to ten minutes.
const DOUBLINGS: u32 = 6;
/// Room that lasted so long was room.
const LASTS: Duration = Duration::from_secs(1200);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// There was none for so many bytes of records, and the peers know.
    lacking: Option<u64>,
    /// The smallest of the blocks for which there was none.
    blocks: Option<u64>,
    /// A timer is set to look.
    watched: bool,
    /// It is time to see whether there is room; before, an answer of the disk changes nothing.
    looking: bool,
    /// When there was room again, and how often that was not for long. A quota lets a disk tell of room and refuse it.
    found: Option<Instant>,
    in_vain: u32,
}

impl Room {
    /// Nothing has been refused, or there is room again.
    pub(super) fn is_there(&self) -> bool {
        self.lacking.is_none()
    }

    /// Something has been refused, and there is no room for it yet.
    pub(super) fn is_lacking(&self) -> bool {
        self.lacking.is_some() || self.blocks.is_some()
    }

    /// Records of so many bytes are refused. True if there was room for such before.
    fn refuse(&mut self, now: Instant, bytes: u64) -> bool {
        let is_new = self.lacking.replace(bytes).is_none();
        if is_new && self.blocks.is_none() {
            self.doubt(now);
        }
        is_new
    }

    /// The same of a block.
    fn refuse_block(&mut self, now: Instant, bytes: u64) -> bool {
        let least = self.blocks.map_or(bytes, |least| least.min(bytes));
        let is_new = self.blocks.replace(least).is_none();
        if is_new && self.lacking.is_none() {
            self.doubt(now);
        }
        is_new
    }

    /// There is less room than was believed.
    fn doubt(&mut self, now: Instant) {
        let lasted = self.found.is_none_or(|found| now.since(found) >= LASTS);
        self.in_vain = if lasted { 0 } else { self.in_vain + 1 };
    }

    /// When to look again.
    fn pause(&self) -> Duration {
        LOOK_AGAIN * 2_u32.pow(self.in_vain.min(DOUBLINGS))
    }

    /// A timer is to be set, if none is.
    fn watch(&mut self) -> bool {
        self.is_lacking() && !std::mem::replace(&mut self.watched, true)
    }

    /// It is time to look. False if nothing is lacking.
    fn look(&mut self) -> bool {
        self.watched = false;
        self.looking = self.is_lacking();
        self.looking
    }

    /// The disk has told what it has left. Whether there is room from now on for records, and for blocks.
    fn answered(&mut self, now: Instant, fits: impl Fn(u64) -> bool) -> Found {
        let looks = std::mem::take(&mut self.looking);
        let found = |lacking: &mut Option<u64>| looks && lacking.take_if(|it| fits(*it)).is_some();
        let (records, blocks) = (found(&mut self.lacking), found(&mut self.blocks));
        if records || blocks {
            self.found = Some(now);
        }
        Found { records, blocks }
    }
}

/// There is room again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) records: bool,
    pub(super) blocks: bool,
}

impl Context {
    /// Records of so many bytes had no room. True if that is new: the peers have been told, and what they have told since
    /// may be forgotten.
    pub(super) fn lack_room(&mut self, bytes: u64) -> bool {
        if seeded::is_on(Bug::ForgetRefusal) {
            log::warn!("no room for records of a peer");
            return false;
        }
        let is_new = self.room.refuse(self.now.instant, bytes);
        if is_new {
            log::warn!(
                "the disk has no room (or no more than the reserve) for {bytes} bytes of records: what is new on other \
                 nodes does not come here until there is; deletions do"
            );
            self.tell_room_to_all();
            self.watch_room();
        }
        is_new
    }

    /// A block of so many bytes had no room.
    pub(super) fn lack_room_for_block(&mut self, bytes: u64) {
        if seeded::is_on(Bug::ForgetBlockRefusal) {
            return;
        }
        if self.room.refuse_block(self.now.instant, bytes) {
            log::warn!(
                "the disk has no room (or no more than the reserve) for a block of {bytes} bytes: what there is no room for \
                 is read from other nodes, and comes here when there is"
            );
            self.watch_room();
        }
    }

    fn watch_room(&mut self) {
        if self.room.watch() {
            self.after(self.room.pause(), Timer::Room);
        }
    }

    /// It is time to see whether there is room again.
    pub(super) fn look_for_room(&mut self) {
        if self.room.look() {
            self.ask_space();
            self.watch_room();
        }
    }

    /// The disk has answered how much it has left. Whether there is room again that was lacking.
    pub(super) fn room_answered(&mut self) -> Found {
        let found = self.room.answered(self.now.instant, |bytes| self.space.fits(bytes));
        if found.records || found.blocks {
            log::info!(
                "the disk has room again: what other nodes have and this one lacks is fetched"
            );
        }
        if found.records {
            self.tell_room_to_all();
        }
        found
    }

    fn tell_room_to_all(&mut self) {
        for link in self.links.nodes() {
            self.send(link, Message::Room { free: self.room.is_there() });
        }
    }

    /// A new peer does not know yet.
    pub(super) fn tell_room(&mut self, link: Link) {
        if !self.room.is_there() {
            self.send(link, Message::Room { free: false });
        }
    }
}

/// Whether a record of this kind adds no contents: such a one comes also where there is no room.
pub(super) fn adds_nothing(kind: Kind) -> bool {
    match kind {
        Kind::Tombstone | Kind::Grant | Kind::Setting => true,
        Kind::File | Kind::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_tells_of_room_and_refuses_it_is_believed_ever_more_rarely() {
        let mut room = Room::default();
        let mut now = Instant(0);
        let mut changes = 0;
        while now < Instant(0) + Duration::from_secs(24 * 3600) {
            assert!(room.refuse(now, 500));
            assert!(!room.refuse(now, 600), "said once");
            assert_eq!(
                room.answered(now, |_| true),
                Found { records: false, blocks: false },
                "nobody has looked"
            );
            now = now + room.pause();
            assert!(
                room.look()
                    && room.answered(now, |_| false) == Found { records: false, blocks: false }
            );
            assert!(
                room.look()
                    && room.answered(now, |bytes| bytes == 600)
                        == Found { records: true, blocks: false }
            );
            assert!(room.is_there());
            changes += 1;
        }
        assert!(changes < 24 * 6 + 10, "{changes} in a day");
        now = now + LASTS;
        assert!(room.refuse(now, 500));
        assert_eq!(room.pause(), LOOK_AGAIN);
    }

    #[test]
    fn room_for_the_smallest_block_is_room_and_one_timer_looks_for_all() {
        let mut room = Room::default();
        let now = Instant(0);
        assert!(!room.watch() && room.refuse_block(now, 700) && room.watch());
        assert!(!room.refuse_block(now, 500) && !room.refuse_block(now, 900));
        assert!(room.refuse(now, 50) && !room.watch(), "one timer");
        assert!(
            room.look()
                && room.answered(now, |bytes| bytes <= 50)
                    == Found { records: true, blocks: false }
        );
        assert!(room.watch() && room.look());
        assert_eq!(
            room.answered(now, |bytes| bytes <= 500),
            Found { records: false, blocks: true }
        );
        assert!(!room.watch() && !room.look());
    }
}
