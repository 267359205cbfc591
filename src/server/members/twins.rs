//! Twins: two nodes that run with one key, as a copied disk or image makes them.
//!
//! A node's boot number is new with each start. A second connection of a node with another boot is either the node after a
//! start, whose old connection is dead and does not know it yet, or a twin. Which of the two is found out by asking the
//! older connection something: a node that is gone does not answer. Each boot keeps one connection, so that twins do not
//! push each other out, and what either has comes to everybody. Invariant: a twin is warned of once, and told of in the
//! status as long as both are there.

use crate::ids::NodeId;
use crate::limits::{PEERS_MAX, TWINS_TOLD_MAX};
use std::collections::BTreeSet;

/// Of which nodes it has been said.
#[derive(Debug, Default)]
pub(super) struct Twins {
    /// Two of them are connected, and the older one has answered. This node's own twin counts until the next start.
    present: BTreeSet<NodeId>,
    /// A warning was given.
    warned: BTreeSet<NodeId>,
}

impl Twins {
    /// Two nodes run with the key of this one, which was last reached there.
    pub(super) fn found(&mut self, node: NodeId, addresses: impl FnOnce() -> String) {
        if self.note(node) {
            let addresses = addresses();
            log::warn!(
                "two nodes run with one key, that of node {}, at {addresses}: a data folder was copied; stop one of them \
                 and start it once with --new-node-key, so that it is a node of its own",
                node.short(),
            );
        }
    }

    /// Another start of this node itself was reached, which says that it is there.
    pub(super) fn found_own(&mut self, node: NodeId, addresses: &[String]) {
        if self.note(node) {
            log::warn!(
                "another node runs with this node's key, at {}: a data folder was copied; stop one of them and start it \
                 once with --new-node-key, so that it is a node of its own",
                addresses.join(", "),
            );
        }
    }

    /// Two are there. True the first time.
    fn note(&mut self, node: NodeId) -> bool {
        if self.present.len() < PEERS_MAX {
            self.present.insert(node);
        }
        self.warned.len() < PEERS_MAX && self.warned.insert(node)
    }

    /// No two of a node are connected any more.
    pub(super) fn parted(&mut self, node: &NodeId) {
        self.present.remove(node);
    }

    /// Those that are there now, a few of them.
    pub(super) fn told(&self) -> Vec<NodeId> {
        self.present.iter().take(TWINS_TOLD_MAX).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_told_of_while_both_are_there_and_warned_of_once() {
        let node = NodeId([7; 32]);
        let mut twins = Twins::default();
        assert!(twins.note(node) && !twins.note(node));
        assert_eq!(twins.told(), [node]);
        twins.parted(&node);
        assert!(twins.told().is_empty() && !twins.note(node), "no second warning");
        assert_eq!(twins.told(), [node]);
    }
}
