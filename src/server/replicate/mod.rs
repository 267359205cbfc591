//! Replication: how records come to every node.
//!
//! Two machines, of which neither names the other: `Reconcile` finds out what a peer lacks and sends it, and `Arrivals`
//! remembers what a peer has asked for in vain. Invariant: nothing here waits for a peer that does not take what it is sent.

mod arrivals;
mod comparison;
mod push;
mod ranges;
mod reconcile;
mod side;
#[cfg(test)]
mod tests;

pub(super) use arrivals::{Arrivals, key};
pub(super) use comparison::Span;
pub(super) use push::Batch;
pub(super) use reconcile::{AGAIN, Event, Reconcile, UNREAD_AGAIN};
