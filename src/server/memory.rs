//! The budget of bulk memory: how many bytes of leaves may be on their way at once.
//!
//! Counts, and owns no buffer. Invariant: what is reserved never exceeds the budget, and a share's guaranteed part is
//! never used by another share.

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
        let granted = own + others <= self.max;
        if granted {
            self.used[share as usize] = own;
        }
        granted
    }

    /// Gives back what was reserved.
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
        let mut memory = Memory::new(800);
        assert!(memory.reserve(Share::Clients, 500));
        assert!(!memory.reserve(Share::Clients, 1), "200 are the peers' and 100 the readers'");
        assert!(memory.reserve(Share::Peers, 200));
        assert!(!memory.reserve(Share::Peers, 1));
        assert!(memory.reserve(Share::Serving, 100));
        assert_eq!(memory.used(), memory.max());
        memory.release(Share::Clients, 500);
        assert!(memory.reserve(Share::Serving, 300), "the clients keep their 200");
        assert!(!memory.reserve(Share::Serving, 1));
    }
}
