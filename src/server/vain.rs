//! What a peer asked for in vain: when that comes here, the peer is told, and asks again.
//!
//! So nobody has to ask twice for what is not there. Only so much is remembered of each peer; beyond that it is told now
//! and then that something has come. Invariant: whoever was told that something is not here is told when it is.

use super::FileServer;
use super::output::Link;
use super::timers::Timer;
use crate::ids::Address;
use crate::limits::{MESSAGE_IDS_MAX, RECONCILE_PERIOD, VAIN_MAX};
use crate::planted::{self, Bug};
use crate::time::Now;
use crate::wire::message::Message;
use std::collections::BTreeSet;

/// See the module: of one peer.
#[derive(Debug, Default)]
pub(super) struct Vain {
    keys: BTreeSet<u64>,
    /// It has asked for more than is remembered.
    more: bool,
    /// It is to be told that something has come.
    owed: bool,
}

impl Vain {
    /// What it takes in memory, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.keys.len() * 2 * size_of::<u64>()
    }

    fn note(&mut self, address: &Address) {
        if self.keys.len() < VAIN_MAX {
            self.keys.insert(key(address));
        } else {
            self.more |= !self.keys.contains(&key(address));
        }
    }

    /// The peer lacks nothing that it has asked for.
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.more
    }

    /// Something has come. Whether the peer asked for it, as far as that is remembered.
    fn came(&mut self, address: &Address) -> bool {
        self.keys.remove(&key(address))
    }
}

/// What stands for an address: one that stands for two costs a question.
pub(super) fn key(address: &Address) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&address.0[..8]);
    u64::from_be_bytes(bytes)
}

impl FileServer {
    /// A peer is told that a block or page is not here.
    pub(super) fn asked_in_vain(&mut self, link: Link, address: &Address) {
        if let Some(peer) = self.cx.links.get_mut(link)
            && peer.is_node()
        {
            peer.vain.note(address);
        }
    }

    /// A peer is told that a block is not here, since it could not be read now: it is to ask again after a while.
    pub(super) fn unread_for(&mut self, now: Now, link: Link) {
        self.owe_news(now, link);
    }

    /// Blocks or pages have come: whoever asked for them is told.
    pub(super) fn tell_who_asked(&mut self, now: Now, addresses: &[Address]) {
        if addresses.is_empty() || planted::is_on(Bug::KeepArrivals) {
            return;
        }
        for link in self.cx.links.nodes() {
            let peer = self.cx.links.get_mut(link).filter(|peer| !peer.vain.is_empty());
            let Some(peer) = peer else {
                continue;
            };
            let came = addresses.iter().filter(|address| peer.vain.came(address));
            let came: Vec<_> = came.copied().collect();
            let may_lack_more = peer.vain.more && came.len() < addresses.len();
            self.send_all(link, Message::have(&came));
            if may_lack_more {
                self.owe_news(now, link);
            }
        }
    }

    fn owe_news(&mut self, now: Now, link: Link) {
        if let Some(peer) = self.cx.links.get_mut(link)
            && peer.is_node()
            && !std::mem::replace(&mut peer.vain.owed, true)
        {
            self.after(now, RECONCILE_PERIOD, Timer::News(link));
        }
    }

    /// It is time to tell a peer that something has come: it asks for all that it lacks.
    pub(super) fn tell_news(&mut self, link: Link) {
        if let Some(peer) = self.cx.links.get_mut(link) {
            peer.vain = Vain::default();
            self.send(link, Message::Have { addresses: Vec::new() });
        }
    }
}

const _: () = assert!(VAIN_MAX <= MESSAGE_IDS_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> Address {
        let mut address = Address::default();
        address.0[..8].copy_from_slice(&(number as u64).to_be_bytes());
        address
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_that_there_was_more_is_known() {
        let mut vain = Vain::default();
        for number in 0..VAIN_MAX {
            vain.note(&address(number));
            vain.note(&address(0));
        }
        assert!(!vain.more);
        for number in 0..10 * VAIN_MAX {
            vain.note(&address(number));
        }
        assert!(vain.more && vain.keys.len() == VAIN_MAX);
        assert!(
            vain.came(&address(7)) && !vain.came(&address(7)) && !vain.came(&address(VAIN_MAX))
        );
    }
}
