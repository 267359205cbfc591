//! The budget of bulk memory: how many bytes of leaves may be on their way at once.
//!
//! Counts, and owns no buffer. Invariant: what is reserved never exceeds the budget less a rest, and a share's guaranteed
//! part is never used by another share. The rest is for leaves that come without a reservation, one at a time of a
//! connection: they are claimed when they are here, and while there is no room for one more nothing more is read.

use crate::limits::LEAF;
use crate::server::output::Link;
use std::collections::{BTreeSet, VecDeque};

/// This part of the budget is never reserved.
const REST: usize = 16;

/// Who reserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::server) enum Share {
    /// Leaves read from the disk on their way to somebody.
    Serving,
    /// Leaves asked of peers.
    Peers,
    /// Leaves asked of clients.
    Clients,
}

impl Share {
    /// Every one.
    pub(super) const ALL: [Self; 3] = [Self::Serving, Self::Peers, Self::Clients];
}

/// The counted budget.
#[derive(Debug)]
pub(in crate::server) struct Memory {
    max: usize,
    used: [usize; 3],
    /// Connections that found nothing of a share, in the order in which they asked: nobody waits behind one whose share is
    /// used up for long.
    waiting: [VecDeque<Link>; 3],
    /// The same as a set, so that none is in a queue twice.
    waits: BTreeSet<(Share, Link)>,
    /// Somebody has begun to wait when nobody did.
    became_short: bool,
}

impl Memory {
    /// A budget of `max` bytes.
    #[must_use]
    pub(in crate::server) fn new(max: usize) -> Self {
        Self {
            max,
            used: [0; 3],
            waiting: Default::default(),
            waits: BTreeSet::new(),
            became_short: false,
        }
    }

    /// Bytes reserved.
    #[must_use]
    pub(in crate::server) fn used(&self) -> usize {
        self.used.iter().sum()
    }

    /// The budget.
    #[must_use]
    pub(in crate::server) fn max(&self) -> usize {
        self.max
    }

    /// Reserves all of `bytes`, or nothing.
    #[must_use]
    pub(super) fn reserve(&mut self, share: Share, bytes: usize) -> bool {
        let own = self.used[share as usize] + bytes;
        let others = Share::ALL
            .into_iter()
            .filter(|other| *other != share)
            .map(|other| self.used[other as usize].max(self.guaranteed(other)))
            .sum::<usize>();
        let granted = own + others + self.max / REST <= self.max;
        if granted {
            self.used[share as usize] = own;
        }
        granted
    }

    /// Reserves for a connection that is not trusted yet to send what it announces: only while most is free.
    #[must_use]
    pub(super) fn reserve_for_untrusted(&mut self, share: Share, bytes: usize) -> bool {
        self.used() + bytes <= self.max / 4 && self.reserve(share, bytes)
    }

    /// Counts what is here already.
    pub(super) fn claim(&mut self, share: Share, bytes: usize) {
        self.used[share as usize] += bytes;
        debug_assert!(self.used() <= self.max, "more was read than there is room for");
    }

    /// Not one leaf more could be claimed.
    #[must_use]
    pub(in crate::server) fn is_full(&self) -> bool {
        self.used() + LEAF > self.max
    }

    /// Gives back what was reserved or claimed.
    pub(super) fn release(&mut self, share: Share, bytes: usize) {
        let used = &mut self.used[share as usize];
        debug_assert!(*used >= bytes, "released more than was reserved");
        *used = used.saturating_sub(bytes);
    }

    /// A connection found nothing of a share, and tries again when some has come back.
    pub(super) fn wait(&mut self, share: Share, link: Link) {
        if self.waits.insert((share, link)) {
            self.became_short |= self.waits.len() == 1;
            self.waiting[share as usize].push_back(link);
        }
    }

    /// How many wait for a share.
    pub(super) fn waiters(&self, share: Share) -> usize {
        self.waiting[share as usize].len()
    }

    /// Whoever has waited longest for a share, and does no longer.
    pub(super) fn next_waiter(&mut self, share: Share) -> Option<Link> {
        let link = self.waiting[share as usize].pop_front()?;
        self.waits.remove(&(share, link));
        Some(link)
    }

    /// Whether a connection waits for a share.
    pub(super) fn is_awaited_by(&self, share: Share, link: Link) -> bool {
        self.waits.contains(&(share, link))
    }

    /// Whether anybody waits.
    pub(super) fn is_awaited(&self) -> bool {
        !self.waits.is_empty()
    }

    /// Whether somebody has begun to wait, when nobody did, since this was last asked.
    pub(super) fn take_became_short(&mut self) -> bool {
        std::mem::take(&mut self.became_short)
    }

    /// Somebody waits, or a good part is used: what was reserved for those who do not answer is better given back.
    pub(super) fn is_short(&self) -> bool {
        self.is_awaited() || self.used() > self.max / 8
    }

    fn guaranteed(&self, share: Share) -> usize {
        match share {
            Share::Serving => self.max / 8,
            Share::Peers | Share::Clients => self.max / 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_what_is_guaranteed_to_others() {
        let mut memory = Memory::new(800 * LEAF);
        let mut reserve = |share, leaves| memory.reserve(share, leaves * LEAF);
        assert!(reserve(Share::Clients, 450));
        assert!(!reserve(Share::Clients, 1), "200 are the peers', 100 the readers', 50 a rest");
        assert!(reserve(Share::Peers, 200));
        assert!(!reserve(Share::Peers, 1));
        assert!(reserve(Share::Serving, 100));
        memory.claim(Share::Peers, 49 * LEAF);
        assert!(!memory.is_full());
        memory.claim(Share::Peers, LEAF);
        assert!(memory.is_full());
        memory.release(Share::Peers, 50 * LEAF);
        memory.release(Share::Clients, 450 * LEAF);
        assert!(!memory.reserve_for_untrusted(Share::Clients, LEAF), "more than a quarter is used");
        assert!(memory.reserve(Share::Serving, 250 * LEAF), "the clients keep their 200");
        assert!(!memory.reserve(Share::Serving, LEAF));
    }

    #[test]
    fn who_finds_nothing_waits_once_in_turn() {
        let mut memory = Memory::new(800 * LEAF);
        for link in [3, 1, 3, 2] {
            memory.wait(Share::Peers, link);
        }
        memory.wait(Share::Serving, 3);
        assert!(memory.take_became_short() && !memory.take_became_short());
        assert_eq!((memory.waiters(Share::Peers), memory.waiters(Share::Clients)), (3, 0));
        assert_eq!(memory.next_waiter(Share::Peers), Some(3));
        assert!(memory.is_awaited_by(Share::Serving, 3) && !memory.is_awaited_by(Share::Peers, 3));
        memory.wait(Share::Peers, 3);
        let next = || memory.next_waiter(Share::Peers);
        assert_eq!(std::iter::from_fn(next).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(memory.is_awaited() && !memory.take_became_short());
        assert_eq!(memory.next_waiter(Share::Serving), Some(3));
        memory.wait(Share::Clients, 1);
        assert!(memory.take_became_short());
    }
}
