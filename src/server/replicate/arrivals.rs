//! Arrivals of what a peer has asked for in vain: when it comes here the peer is told, and asks again.
//!
//! So nobody has to ask twice for what is not there. Only so much is remembered of each peer; beyond that it is told now
//! and then that something has come. Invariant: whoever was told that something is not here is told when it is.

use crate::ids::Address;
use crate::limits::{MESSAGE_IDS_MAX, RECONCILE_PERIOD, VAIN_MAX};
use crate::seeded::{self, Bug};
use crate::server::context::Context;
use crate::server::output::Link;
use crate::server::timers::Timer;
use crate::wire::message::Message;
use std::collections::{BTreeMap, BTreeSet};

/// What one peer has asked for.
#[derive(Debug, Default)]
struct Vain {
    keys: BTreeSet<u64>,
    /// It has asked for more than is remembered.
    more: bool,
    /// It is to be told that something has come.
    owed: bool,
}

impl Vain {
    /// What it takes in memory, about.
    fn held_bytes(&self) -> usize {
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

    /// It is to be told in a while that something has come.
    fn owe_news(&mut self, cx: &mut Context, link: Link) {
        if !std::mem::replace(&mut self.owed, true) {
            cx.after(RECONCILE_PERIOD, Timer::News(link));
        }
    }

    /// Something has come. Whether the peer asked for it, as far as that is remembered.
    fn came(&mut self, address: &Address) -> bool {
        self.keys.remove(&key(address))
    }
}

/// What stands for an address: one that stands for two costs a question.
pub(in crate::server) fn key(address: &Address) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&address.0[..8]);
    u64::from_be_bytes(bytes)
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::server) struct Arrivals {
    by_link: BTreeMap<Link, Vain>,
}

impl Arrivals {
    /// A connection is told that a block or page is not here.
    pub(in crate::server) fn asked_in_vain(&mut self, cx: &Context, link: Link, address: &Address) {
        if cx.links.leads_to_node(link) {
            self.by_link.entry(link).or_default().note(address);
        }
    }

    /// A connection is told that a block is not here, since it could not be read now: it is to ask again after a while.
    pub(in crate::server) fn unread(&mut self, cx: &mut Context, link: Link) {
        if cx.links.leads_to_node(link) {
            self.by_link.entry(link).or_default().owe_news(cx, link);
        }
    }

    /// Blocks or pages have come: whoever asked for them is told.
    pub(in crate::server) fn came(&mut self, cx: &mut Context, addresses: &[Address]) {
        if addresses.is_empty() || seeded::is_on(Bug::KeepArrivals) {
            return;
        }
        for (link, vain) in self.by_link.iter_mut().filter(|(_, vain)| !vain.is_empty()) {
            let came = addresses.iter().filter(|address| vain.came(address));
            let came: Vec<_> = came.copied().collect();
            let may_lack_more = vain.more && came.len() < addresses.len();
            cx.send_all(*link, Message::have(&came));
            if may_lack_more {
                vain.owe_news(cx, *link);
            }
        }
    }

    /// It is time to tell a peer that something has come: it asks for all that it lacks.
    pub(in crate::server) fn tell(&mut self, cx: &mut Context, link: Link) {
        if self.by_link.remove(&link).is_some() {
            cx.send(link, Message::Have { addresses: Vec::new() });
        }
    }

    /// What is kept for a connection, in memory, about.
    pub(in crate::server) fn held_bytes(&self, link: Link) -> usize {
        self.by_link.get(&link).map_or(0, Vain::held_bytes)
    }

    pub(in crate::server) fn link_closed(&mut self, link: Link) {
        self.by_link.remove(&link);
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
