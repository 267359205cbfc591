//! Room for the records of peers: they are told once when there is no more of it, and once when there is again.
//!
//! A refusal that nobody remembers is repeated for ever: so whoever has no room says so, nobody sends it files' records
//! until it says otherwise, and it looks by itself whether there is room again. Deletions and grants come in any case, or
//! nothing could ever be deleted. Invariant: what is said and logged follows changes, not attempts.

use super::FileServer;
use super::Timer;
use super::entry::Kind;
use super::output::Link;
use crate::planted::{self, Bug};
use crate::time::{Instant, Now};
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

    /// So many bytes are refused. True if there was room before.
    fn refuse(&mut self, now: Instant, bytes: u64) -> bool {
        if self.lacking.replace(bytes).is_some() {
            return false;
        }
        let lasted = self.found.is_none_or(|found| now.since(found) >= LASTS);
        self.in_vain = if lasted { 0 } else { self.in_vain + 1 };
        true
    }

    /// When to look again.
    fn pause(&self) -> Duration {
        LOOK_AGAIN * 2_u32.pow(self.in_vain.min(DOUBLINGS))
    }

    /// It is time to look. False if nothing is lacking.
    fn look(&mut self) -> bool {
        self.looking = self.lacking.is_some();
        self.looking
    }

    /// The disk has told what it has left. True if there is room from now on.
    fn answered(&mut self, now: Instant, fits: impl FnOnce(u64) -> bool) -> bool {
        let found = std::mem::take(&mut self.looking) && self.lacking.is_some_and(fits);
        if found {
            self.lacking = None;
            self.found = Some(now);
        }
        found
    }
}

impl FileServer {
    /// Whether there is room for records of peers; without it they are told, once.
    pub(super) fn has_room_for_records(&mut self, now: Now, bytes: u64) -> bool {
        let room = self.has_room(now, bytes);
        if !room {
            self.lack_room(now, bytes);
        }
        room
    }

    /// Records of so many bytes had no room.
    pub(super) fn lack_room(&mut self, now: Now, bytes: u64) {
        if planted::is_on(Bug::ForgetRefusal) {
            return log::warn!("no room for records of a peer");
        }
        if self.room.refuse(now.instant, bytes) {
            log::warn!(
                "the disk has no room (or no more than the reserve) for {bytes} bytes of records: what is new on other \
                 nodes does not come here until there is; deletions do"
            );
            self.tell_room_to_all();
            self.after(now, self.room.pause(), Timer::Room);
        }
    }

    /// It is time to see whether there is room again.
    pub(super) fn look_for_room(&mut self, now: Now) {
        if self.room.look() {
            self.ask_space();
            self.after(now, self.room.pause(), Timer::Room);
        }
    }

    /// The disk has answered how much it has left.
    pub(super) fn room_answered(&mut self, now: Now) {
        if self.room.answered(now.instant, |bytes| self.space.fits(bytes)) {
            self.find_room(now);
        }
    }

    fn find_room(&mut self, now: Now) {
        log::info!("the disk has room again: what is new on other nodes is fetched");
        self.tell_room_to_all();
        self.reconcile_with_all(now);
        for link in self.node_links() {
            self.has_news(now, link);
        }
    }

    fn tell_room_to_all(&mut self) {
        for link in self.node_links() {
            self.send(link, Message::Room { free: self.room.is_there() });
        }
    }

    /// A new peer does not know yet.
    pub(super) fn tell_room(&mut self, link: Link) {
        if !self.room.is_there() {
            self.send(link, Message::Room { free: false });
        }
    }

    /// A peer says whether it has room. It asks by itself for what it lacks, when it has.
    pub(super) fn room_told(&mut self, link: Link, free: bool) {
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.has_room = free;
        }
    }
}

/// Whether a record of this kind adds no contents: such a one comes also where there is no room.
pub(super) fn adds_nothing(kind: Kind) -> bool {
    match kind {
        Kind::Tombstone | Kind::Grant => true,
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
            assert!(!room.answered(now, |_| true), "nobody has looked");
            now = now + room.pause();
            assert!(room.look() && !room.answered(now, |_| false));
            assert!(room.look() && room.answered(now, |bytes| bytes == 600) && room.is_there());
            changes += 1;
        }
        assert!(changes < 24 * 6 + 10, "{changes} in a day");
        now = now + LASTS;
        assert!(room.refuse(now, 500));
        assert_eq!(room.pause(), LOOK_AGAIN);
    }
}
