//! How far this node has come in hearing from the others what they know.
//!
//! Until it has compared with those it is connected to, what it knows may be the past: it says so with its lists and its
//! status, and asks them of each name. Invariant: it says that it is done only when all that they had when they said so is
//! in the catalog.

use super::context::Context;
use crate::seeded::{self, Bug};
use crate::wire::sync_state::SyncState;

/// See the module. `has_compared`: this node has compared with another since it was started. `known`: how many nodes are.
pub(super) fn state(cx: &Context, has_compared: bool, known: u32) -> SyncState {
    if seeded::is_on(Bug::PastAsPresent) {
        return SyncState::Complete;
    }
    let records = cx.index.catalog.records();
    let behind = cx.links.node_peers().filter(|(_, peer)| !peer.progress.all);
    match behind.map(|(_, peer)| peer.progress.records).max() {
        Some(of) => SyncState::Syncing { records, of: of.max(records) },
        None if cx.links.has_no_node() && !has_compared && known > 0 => SyncState::Unreached,
        None => SyncState::Complete,
    }
}
