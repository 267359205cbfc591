//! The budget of bulk memory: how many bytes of leaves may be on their way at once.
//!
//! Counts, and owns no buffer. Invariant: what is reserved never exceeds the budget less a rest, and a share's guaranteed
//! part is never used by another share. The rest is for leaves that come without a reservation, one at a time of a
//! connection: they are claimed when they are here, and while there is no room for one more nothing more is read.

use crate::limits::LEAF;

/// This part of the budget is never reserved.
const REST: usize = 16;

/// Who reserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
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
pub(super) struct Memory {
    max: usize,
    used: [usize; 3],
}

impl Memory {
    /// A budget of `max` bytes.
    #[must_use]
    pub(super) fn new(max: usize) -> Self {
        Self { max, used: [0; 3] }
    }

    /// Bytes reserved.
    #[must_use]
    pub(super) fn used(&self) -> usize {
        self.used.iter().sum()
    }

    /// The budget.
    #[must_use]
    pub(super) fn max(&self) -> usize {
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

    /// Reserves for a connection that has not shown yet that it sends what it announces: only while most is free.
    #[must_use]
    pub(super) fn reserve_for_stranger(&mut self, share: Share, bytes: usize) -> bool {
        self.used() + bytes <= self.max / 4 && self.reserve(share, bytes)
    }

    /// Counts what is here already.
    pub(super) fn claim(&mut self, share: Share, bytes: usize) {
        self.used[share as usize] += bytes;
        debug_assert!(self.used() <= self.max, "more was read than there is room for");
    }

    /// Not one leaf more could be claimed.
    #[must_use]
    pub(super) fn is_full(&self) -> bool {
        self.used() + LEAF > self.max
    }

    /// Gives back what was reserved or claimed.
    pub(super) fn release(&mut self, share: Share, bytes: usize) {
        let used = &mut self.used[share as usize];
        debug_assert!(*used >= bytes, "released more than was reserved");
        *used = used.saturating_sub(bytes);
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
        assert!(!memory.reserve_for_stranger(Share::Clients, LEAF), "more than a quarter is used");
        assert!(memory.reserve(Share::Serving, 250 * LEAF), "the clients keep their 200");
        assert!(!memory.reserve(Share::Serving, LEAF));
    }
}
