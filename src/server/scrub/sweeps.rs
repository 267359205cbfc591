//! Sweeps: who has asked for a part of the store to be verified, and whose turn it is.
//!
//! Knows no disk. Invariant: at most one is under way on the node, and at most one more of each connection waits.

use crate::ids::Address;
use crate::seeded::{self, Bug};
use crate::server::asker::Asker;
use crate::server::output::Link;
use std::collections::VecDeque;

/// A part of the store that somebody wants verified: what comes after an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct Wanted {
    pub(super) asker: Asker,
    pub(super) after: Option<Address>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    under_way: bool,
    waiting: VecDeque<Wanted>,
}

impl Sweeps {
    /// One more. False if its connection has one that waits already.
    pub(super) fn ask(&mut self, wanted: Wanted) -> bool {
        if self.waiting.iter().any(|other| other.asker.link == wanted.asker.link)
            && !seeded::is_on(Bug::VerifyWithoutBound)
        {
            return false;
        }
        self.waiting.push_back(wanted);
        true
    }

    /// The next one, which is under way from now on.
    pub(super) fn next(&mut self) -> Option<Wanted> {
        if self.under_way && !seeded::is_on(Bug::VerifyWithoutBound) {
            return None;
        }
        let next = self.waiting.pop_front();
        self.under_way |= next.is_some();
        next
    }

    /// The one under way has been answered.
    pub(super) fn ended(&mut self) {
        self.under_way = false;
    }

    pub(super) fn link_closed(&mut self, link: Link) {
        self.waiting.retain(|wanted| wanted.asker.link != link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_under_way_and_one_of_each_connection_waits() {
        let mut sweeps = Sweeps::default();
        let wanted = |link, request| Wanted { asker: Asker { link, request }, after: None };
        assert!(sweeps.ask(wanted(1, 1)));
        assert_eq!(sweeps.next(), Some(wanted(1, 1)));
        assert!(sweeps.ask(wanted(1, 2)));
        assert!(!sweeps.ask(wanted(1, 3)));
        assert!(sweeps.ask(wanted(2, 1)) && sweeps.ask(wanted(3, 1)));
        assert_eq!(sweeps.next(), None);
        sweeps.link_closed(2);
        sweeps.ended();
        assert_eq!(sweeps.next(), Some(wanted(1, 2)));
        sweeps.ended();
        assert_eq!(sweeps.next(), Some(wanted(3, 1)));
        sweeps.ended();
        assert_eq!(sweeps.next(), None);
    }
}
