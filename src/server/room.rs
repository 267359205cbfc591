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
use crate::time::Now;
use crate::wire::message::Message;
use std::time::Duration;

/// A disk without room is looked at again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// There was none for so many bytes of records, and the peers know.
    lacking: Option<u64>,
}

impl Room {
    /// Nothing has been refused, or there is room again.
    pub(super) fn is_there(&self) -> bool {
        self.lacking.is_none()
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
        if self.room.lacking.replace(bytes).is_none() {
            log::warn!(
                "the disk has no room (or no more than the reserve) for {bytes} bytes of records: what is new on other \
                 nodes does not come here until there is; deletions do"
            );
            self.tell_room_to_all();
            self.after(now, LOOK_AGAIN, Timer::Room);
        }
    }

    /// It is time to see whether there is room again.
    pub(super) fn look_for_room(&mut self, now: Now) {
        if self.room.lacking.is_some() {
            self.ask_space();
            self.after(now, LOOK_AGAIN, Timer::Room);
        }
    }

    /// The disk has answered how much it has left.
    pub(super) fn room_answered(&mut self, now: Now) {
        if self.room.lacking.is_some_and(|bytes| self.space.fits(bytes)) {
            self.find_room(now);
        }
    }

    fn find_room(&mut self, now: Now) {
        self.room.lacking = None;
        log::info!("the disk has room again: what is new on other nodes is fetched");
        self.tell_room_to_all();
        self.reconcile_with_all(now);
        self.retry_soon(now);
    }

    fn tell_room_to_all(&mut self) {
        for link in self.node_links() {
            self.send(link, Message::Room { free: self.room.lacking.is_none() });
        }
    }

    /// A new peer does not know yet.
    pub(super) fn tell_room(&mut self, link: Link) {
        if self.room.lacking.is_some() {
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
