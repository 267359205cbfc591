//! Reliance: who counts on what is here, from the moment when he was told or saw that it is until a record names it, or he
//! gives up.
//!
//! Keeps no address: what somebody counts on is noted in the holdings, under the epoch in which that began. There are two
//! epochs at a time. The older ends, and what was noted in it is free, when nobody is left who began in it. Invariant: what
//! somebody counts on who has not ended is noted in one of the two.

use super::asker::Asker;
use super::context::Context;
use super::output::Link;
use crate::ids::Address;
use crate::index::holdings::{Epoch, Holdings};
use crate::wire::message::{Message, Request};
use std::collections::BTreeMap;

/// What a connection that brings something was told.
#[derive(Debug, Default)]
struct Told {
    /// The latest request by which it brought something.
    last: Option<Request>,
    /// The same when it was last told, in either epoch, what it need not bring: it counts on that.
    until: [Option<Request>; 2],
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reliance {
    /// Of either epoch, how many began in it and have not ended.
    open: [u64; 2],
    /// Connections that bring blocks or pages.
    told: BTreeMap<Link, Told>,
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

    /// A connection brings something by this request.
    pub(super) fn hear(&mut self, Asker { link, request }: Asker) {
        let last = &mut self.told.entry(link).or_default().last;
        if last.is_none_or(|last| is_past(last, request)) {
            *last = Some(request);
        }
    }

    fn tell(&mut self, link: Link, epoch: Epoch) {
        let told = self.told.entry(link).or_default();
        let last = told.last.unwrap_or_default();
        if epoch.of_mut(&mut told.until).replace(last).is_none() {
            self.begin(epoch);
        }
    }

    /// A connection counts no more on what it was told before this request.
    pub(super) fn settled(&mut self, link: Link, upto: Request) {
        // None if it was told nothing.
        let Some(told) = self.told.get_mut(&link) else {
            return;
        };
        for (until, open) in told.until.iter_mut().zip(&mut self.open) {
            if until.take_if(|until| is_past(*until, upto)).is_some() {
                *open -= 1;
                self.has_left = true;
            }
        }
    }

    /// A connection counts on nothing any more.
    pub(super) fn link_closed(&mut self, link: Link) {
        let told = self.told.remove(&link).unwrap_or_default();
        for (until, open) in told.until.into_iter().zip(&mut self.open) {
            *open -= u64::from(until.is_some());
            self.has_left |= until.is_some();
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

/// Whether this request is over when the other comes. Their numbers begin anew after the last.
fn is_past(request: Request, other: Request) -> bool {
    other.wrapping_sub(request).cast_signed() > 0
}

impl Context {
    /// Somebody begins to count on what is here. `Reliance::end` is to be called.
    pub(super) fn rely(&mut self) -> Epoch {
        let epoch = self.index.holdings.epoch();
        self.reliance.begin(epoch)
    }

    /// A client is told that these blocks are here: it counts on them until it says that it does not, or its connection
    /// ends.
    pub(super) fn tell_have(&mut self, client: Link, addresses: &[Address]) {
        for address in addresses {
            self.rely_on(client, address);
        }
        self.send_all(client, Message::have(addresses));
    }

    /// A client counts on this block or page, for as long.
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
    fn a_client_counts_on_what_it_was_told_until_it_says_that_it_does_not() {
        let mut cx = Context::for_tests();
        cx.links.insert(1, Peer::for_tests(None));
        for number in 1..3 {
            cx.index.holdings.insert(address(number), BlockPlace::Tree { length: 70_000 }, 1);
        }
        advance(&mut cx);
        for request in [u32::MAX, 4] {
            cx.reliance.hear(Asker { link: 1, request });
            cx.tell_have(1, &[address(if request == 4 { 2 } else { 1 })]);
            advance(&mut cx);
        }
        for (upto, swept) in
            [(u32::MAX - 1, &[][..]), (u32::MAX, &[]), (3, &[1]), (4, &[]), (5, &[2])]
        {
            cx.reliance.settled(1, upto);
            advance(&mut cx);
            assert_eq!(sweep(&mut cx), swept, "{upto}");
        }
        assert_eq!(cx.reliance.open, [0, 0]);
        cx.reliance.settled(1, 9);
        cx.reliance.link_closed(1);
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
