//! How far this node has come in hearing from the others what they know.
//!
//! Until it has compared with those it is connected to, what it knows may be the past: it says so with its lists and its
//! status, and asks them of each name. Invariant: it says that it is done only when all that they had when they said so is
//! in the catalog.

use super::FileServer;
use super::write::NewRecord;
use crate::planted::{self, Bug};
use crate::wire::sync_state::SyncState;

impl FileServer {
    /// See the module.
    pub(super) fn sync_state(&self) -> SyncState {
        if planted::is_on(Bug::PastAsPresent) {
            return SyncState::Complete;
        }
        let records = self.cx.index.catalog.records();
        let behind = self.cx.links.node_peers().filter(|(_, peer)| !peer.comparison.is_informed());
        match behind.map(|(_, peer)| peer.comparison.theirs()).max() {
            Some(of) => SyncState::Syncing { records, of: of.max(records) },
            None if self.cx.links.has_no_node()
                && !self.has_compared
                && self.roster.count() > 0 =>
            {
                SyncState::Unreached
            }
            None => SyncState::Complete,
        }
    }

    /// Records are in the catalog for which a comparison may wait.
    pub(super) fn records_came(&mut self, records: &[NewRecord]) {
        for link in self.cx.links.nodes() {
            if let Some(peer) = self.cx.links.get_mut(link) {
                peer.comparison.came(records.iter().map(|new| &new.id));
            }
        }
    }
}
