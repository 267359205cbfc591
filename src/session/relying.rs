//! Which puts count on what the node has said to be here, so that the node can be told when none does any more.
//!
//! Keeps a number for each put that has brought a block or page. Invariant: what a put counts on was asked with this number or
//! a later one, and the node is told no number that one of them still needs.

use super::answer::Op;
use super::context::Context;
use crate::wire::message::{Message, Request};
use std::collections::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Relying {
    /// The first request by which the put brought something, or somebody else for it.
    since: HashMap<Op, Request>,
}

impl Relying {
    /// A put counts on what comes of this request.
    pub(super) fn begin(&mut self, op: Op, request: Request) {
        let since = self.since.entry(op).or_insert(request);
        *since = older(*since, request);
    }

    /// An operation has ended.
    pub(super) fn end(&mut self, context: &mut Context, op: Op) {
        let Some(since) = self.since.remove(&op) else {
            return;
        };
        let next = context.number();
        let upto = self.since.values().copied().fold(next, older);
        if older(since, upto) != upto {
            context.send(Message::Settled { upto });
        }
    }
}

/// Numbers begin anew after the last.
fn older(one: Request, other: Request) -> Request {
    if one.wrapping_sub(other).cast_signed() < 0 { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_began_anew_are_later() {
        assert_eq!(older(3, 4), 3);
        assert_eq!(older(4, 3), 3);
        assert_eq!(older(Request::MAX, 0), Request::MAX);
        assert_eq!(older(0, Request::MAX), Request::MAX);
    }
}
