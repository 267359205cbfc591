//! Reliance: who counts on what is here, from the moment when he was told or saw that it is until a record names it, or he
//! gives up.
//!
//! Keeps no address: what somebody counts on is noted in the holdings, under the epoch in which that began. There are two
//! epochs at a time. The older ends, and what was noted in it is free, when nobody is left who began in it. Invariant: what
//! somebody counts on who has not ended is noted in one of the two.

use super::context::Context;
use super::output::Link;
use crate::ids::Address;
use crate::index::holdings::{Epoch, Holdings};
use crate::wire::message::Message;
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reliance {
    /// Of either epoch, how many began in it and have not ended.
    open: [u64; 2],
    /// Connections that were told in either epoch what they need not bring.
    told: BTreeMap<Link, [bool; 2]>,
    /// Somebody has given up: perhaps nobody else needs what he counted on.
    let_down: bool,
    /// A connection has ended that counted on something, whether or not a record names that now.
    has_left: bool,
}

impl Reliance {
    fn begin(&mut self, epoch: Epoch) -> Epoch {
        *epoch.of_mut(&mut self.open) += 1;
        epoch
    }

    /// Whoever began in this epoch is done: a record that is durable names what he counted on.
    pub(super) fn end(&mut self, epoch: Epoch) {
        let open = epoch.of_mut(&mut self.open);
        *open = open.checked_sub(1).expect("who ends has begun");
    }

    /// Or he has given up.
    pub(super) fn give_up(&mut self, epoch: Epoch) {
        self.end(epoch);
        self.let_down = true;
    }

    /// Whether somebody has given up since this was last asked.
    pub(super) fn take_let_down(&mut self) -> bool {
        std::mem::take(&mut self.let_down)
    }

    /// Whether a connection has ended since this was last asked that counted on something.
    pub(super) fn take_left(&mut self) -> bool {
        std::mem::take(&mut self.has_left)
    }

    fn tell(&mut self, link: Link, epoch: Epoch) {
        let told = epoch.of_mut(self.told.entry(link).or_default());
        if !std::mem::replace(told, true) {
            self.begin(epoch);
        }
    }

    /// A connection counts on nothing any more.
    pub(super) fn link_closed(&mut self, link: Link) {
        let told = self.told.remove(&link).unwrap_or_default();
        for (told, open) in told.into_iter().zip(&mut self.open) {
            *open -= u64::from(told);
            self.has_left |= told;
        }
    }

    /// Whether the older epoch can end.
    pub(super) fn may_advance(&self, holdings: &Holdings) -> bool {
        *holdings.epoch().other().of(&self.open) == 0
    }

    /// Both epochs end if they can, the older first: what nobody counts on any more is free.
    pub(super) fn advance(&self, holdings: &mut Holdings) {
        for _ in 0..2 {
            if self.may_advance(holdings) {
                holdings.advance();
            }
        }
    }
}

impl Context {
    /// Somebody begins to count on what is here. `Reliance::end` is to be called.
    pub(super) fn rely(&mut self) -> Epoch {
        let epoch = self.index.holdings.epoch();
        self.reliance.begin(epoch)
    }

    /// A client is told that these blocks are here: it counts on them until its connection ends.
    pub(super) fn tell_have(&mut self, client: Link, addresses: &[Address]) {
        for address in addresses {
            self.rely_on(client, address);
        }
        self.send_all(client, Message::have(addresses));
    }

    /// A client counts on this block or page until its connection ends.
    pub(super) fn rely_on(&mut self, client: Link, address: &Address) {
        if self.links.contains(client) {
            self.index.holdings.rely(address);
            let epoch = self.index.holdings.epoch();
            self.reliance.tell(client, epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::holdings::{SweepCursor, Young};
    use crate::server::links::Peer;
    use crate::store::values::BlockPlace;

    fn address(number: u8) -> Address {
        Address([number; 32])
    }

    fn sweep(cx: &mut Context) -> Vec<u8> {
        let swept = cx.index.holdings.sweep(SweepCursor::default(), Young::Stays, 16);
        swept.files.iter().map(|address| address.0[0]).collect()
    }

    fn advance(cx: &mut Context) {
        let Context { reliance, index, .. } = cx;
        reliance.advance(&mut index.holdings);
    }

    #[test]
    fn what_a_client_was_told_of_stays_until_its_connection_ends() {
        let mut cx = Context::for_tests();
        (1..4).for_each(|link| cx.links.insert(link, Peer::for_tests(None)));
        for number in 1..6 {
            cx.index.holdings.insert(address(number), BlockPlace::Tree { length: 70_000 }, 1);
        }
        advance(&mut cx);
        cx.tell_have(1, &[address(1), address(2)]);
        advance(&mut cx);
        cx.tell_have(2, &[address(2), address(3)]);
        cx.tell_have(1, &[address(4)]);
        // Whoever has gone counts on nothing.
        cx.tell_have(9, &[address(5)]);
        for swept in [&[5][..], &[], &[]] {
            advance(&mut cx);
            assert_eq!(sweep(&mut cx), swept);
        }
        assert!(!cx.reliance.may_advance(&cx.index.holdings) && !cx.reliance.take_left());
        cx.reliance.link_closed(1);
        assert!(cx.reliance.take_left() && !cx.reliance.take_left());
        advance(&mut cx);
        assert_eq!(
            sweep(&mut cx),
            [1],
            "the second connection was told of the others, or in their time"
        );
        cx.reliance.link_closed(2);
        advance(&mut cx);
        assert_eq!(sweep(&mut cx), [2, 3, 4]);
        assert!(cx.reliance.told.is_empty() && cx.reliance.open == [0, 0]);
    }

    #[test]
    fn who_began_in_an_epoch_keeps_it_until_he_ends() {
        let mut cx = Context::for_tests();
        cx.index.holdings.insert(address(1), BlockPlace::Tree { length: 70_000 }, 1);
        advance(&mut cx);
        let first = cx.rely();
        cx.index.holdings.name(&address(1));
        for _ in 0..5 {
            advance(&mut cx);
            let others = cx.rely();
            assert!(sweep(&mut cx).is_empty());
            cx.reliance.end(others);
        }
        cx.reliance.end(first);
        advance(&mut cx);
        assert_eq!(sweep(&mut cx), [1]);
    }
}
