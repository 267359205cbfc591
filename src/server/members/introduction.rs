//! An introduction: how far one peer has been told whom this node knows.
//!
//! Knows no connection. Invariant: from its beginning on each is told once, and then one at a time in turn.

use crate::ids::NodeId;
use crate::wire::presence::Presence;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    /// The last of whom it was told; none at the beginning.
    told: Option<NodeId>,
    /// It has not come to the end since the peer came.
    under_way: bool,
}

impl Introduction {
    /// A peer has come: it is to be told of all.
    pub(super) fn begun() -> Self {
        Self { told: None, under_way: true }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// The last of whom it was told.
    pub(super) fn told(&self) -> Option<NodeId> {
        self.told
    }

    /// It is told of these, which are the next, at most so many.
    pub(super) fn go_on(&mut self, next: &[(NodeId, Presence)], most: usize) {
        self.told = next.last().map(|(node, _)| *node);
        if next.len() < most {
            *self = Self::default();
        }
    }
}

/// The length of a presence in a message, about.
pub(super) fn length(presence: &Presence) -> usize {
    let addresses = presence.addresses.iter().map(|address| 2 + address.len());
    138 + addresses.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::super::address_book::AddressBook;
    use super::*;
    use crate::crypto::keys::NodeKey;
    use crate::keyring::presence::{presence, subject};
    use crate::limits::MESSAGE_PRESENCES_MAX;
    use crate::time::{Instant, Now};
    use crate::wire::message::PeerAddress;
    use std::collections::BTreeSet;

    /// Of so many nodes, each of which has answered where it says that it is.
    fn book(count: u64) -> AddressBook {
        let now = Now { instant: Instant(0), wall_ms: 1 };
        let mut book = AddressBook::new(NodeId::default(), &[], &[], now.instant);
        for number in 0..count {
            let mut seed = [7; 32];
            seed[..8].copy_from_slice(&number.to_be_bytes());
            let address = format!("node{number}:7400");
            let presence = presence(&NodeKey::generate(&seed), std::slice::from_ref(&address), 1);
            let node = subject(&presence);
            book.remember(&PeerAddress { node, address: address.clone() }, 1, now.instant);
            book.connected(node, usize::try_from(number).unwrap(), &[address], now);
            book.introduces_itself(node, presence);
        }
        book
    }

    #[test]
    fn who_comes_is_told_of_each_of_hundreds_once_and_then_of_one_at_a_time_in_turn() {
        for count in [1_u64, 24, 25, 700] {
            let book = book(count);
            let mut introduction = Introduction { told: None, under_way: true };
            let (mut told, mut messages) = (Vec::new(), 0);
            while introduction.under_way {
                let next = book.passed_on_after(introduction.told, MESSAGE_PRESENCES_MAX);
                introduction.go_on(&next, MESSAGE_PRESENCES_MAX);
                told.extend(next.into_iter().map(|(node, _)| node));
                messages += 1;
            }
            let all: BTreeSet<_> = told.iter().copied().collect();
            assert_eq!((told.len() as u64, all.len() as u64), (count, count), "each once");
            assert_eq!(messages, told.len() / MESSAGE_PRESENCES_MAX + 1);
            let mut again = BTreeSet::new();
            for _ in 0..2 * count {
                let next = book.passed_on_after(introduction.told, 1);
                introduction.go_on(&next, 1);
                again.extend(next.into_iter().map(|(node, _)| node));
            }
            assert_eq!(again, all);
        }
    }
}
