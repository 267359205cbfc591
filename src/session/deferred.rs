//! Operations that wait for room, in turn.
//!
//! Knows not for what. Invariant: one that has ended, or has its turn, waits no more.

use super::answer::Op;
use std::collections::VecDeque;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Deferred(VecDeque<Op>);

impl Deferred {
    /// This one waits; more than once if it asks again.
    pub(super) fn push(&mut self, op: Op) {
        self.0.push_back(op);
    }

    /// The one that has waited for longest.
    pub(super) fn next(&mut self) -> Option<Op> {
        let op = self.0.pop_front()?;
        self.forget(op);
        Some(op)
    }

    pub(super) fn forget(&mut self, op: Op) {
        self.0.retain(|other| *other != op);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
