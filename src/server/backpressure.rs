//! Backpressure: of which connection how much is taken in.
//!
//! Changes nothing. Invariant: two nodes cannot wait for each other, each with a full outbox: a node's outbox does not
//! count, only what it has asked, which is answered without a question to anybody.

use super::context::Context;
use super::output::Link;
use crate::limits::{FRAME_BODY_MAX, GROUP_BYTES_MAX, OUTBOX_HARD_MAX, OUTBOX_MAX, REQUESTS_MAX};
use crate::seeded::{self, Bug};

/// Bytes that wait for workers to check them, or for the disk to say what of them it has; with more, nothing is read.
const CHECKS_BYTES_MAX: usize = GROUP_BYTES_MAX / 2;
/// One read of a connection that sends leaves.
const READ_MAX: usize = 256 * 1024;
/// Requests under way of a connection that has one among them whose answer may be as long as a frame.
const LONG_ANSWERS_MAX: usize = (OUTBOX_HARD_MAX - OUTBOX_MAX) / FRAME_BODY_MAX / 2;

/// What the machines say of themselves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// More waits to be written than the disk keeps up with.
    pub(super) has_backlog: bool,
    /// The connection owes leaves.
    pub(super) owes_leaves: bool,
}

/// For whom this node has no ear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressure {
    /// More has come than the workers and the disk keep up with: nothing is taken from anybody.
    pub work: bool,
    /// There is no memory for one more leaf: nothing is taken from those who send any.
    pub memory: bool,
}

impl Pressure {
    /// Whether there was pressure of a kind before that there is not now.
    #[must_use]
    pub fn eased(self, now: Self) -> bool {
        (self.work && !now.work) || (self.memory && !now.memory)
    }
}

/// Which pressure there is now.
pub(super) fn pressure(cx: &Context, has_backlog: bool) -> Pressure {
    let work = has_backlog || cx.checking > CHECKS_BYTES_MAX;
    Pressure { work, memory: cx.memory.is_full() }
}

/// How many bytes of a connection are taken in at a time; none while it has to wait.
pub(super) fn read_max(cx: &Context, link: Link, load: Load) -> usize {
    let Load { has_backlog, owes_leaves } = load;
    let Some(peer) = cx.links.get(link) else {
        // It has not been authenticated yet.
        return READ_MAX / 8;
    };
    let is_long = peer.awaits_long && !peer.is_node();
    let requests_max = if is_long { LONG_ANSWERS_MAX } else { REQUESTS_MAX };
    let is_counted = !peer.is_node() || !seeded::is_on(Bug::UncountedNodes);
    let is_full = (peer.requests >= requests_max && is_counted)
        || (peer.outbox > OUTBOX_MAX && !peer.is_node());
    let pressure = pressure(cx, has_backlog);
    if pressure.work || is_full || (pressure.memory && owes_leaves) {
        0
    } else if peer.is_node() || owes_leaves {
        READ_MAX
    } else {
        READ_MAX / 8
    }
}
