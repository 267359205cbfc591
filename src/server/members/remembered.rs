//! What an earlier run knew of nodes, as it stands in the file of peers.
//!
//! Knows no file. Invariant: whatever the text is, what is read of it are addresses that a message could carry.

use crate::ids::NodeId;
use crate::wire::message::PeerAddress;

/// A node that an earlier run knew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Who, and one address.
    pub peer: PeerAddress,
    /// When it was last connected, in milliseconds since 1970; 0 for never.
    pub last_seen_ms: u64,
}

/// Reads what `AddressBook::text` wrote. A line that is damaged is left out: the others tell of that node again.
#[must_use]
pub fn read_peers(text: &str) -> Vec<Remembered> {
    let mut peers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(Ok(node)), seen) = (words.next().map(str::parse::<NodeId>), words.next()) else {
            continue;
        };
        let last_seen_ms = seen.and_then(|seen| seen.parse().ok()).unwrap_or(0);
        let read = words.filter_map(|address| PeerAddress::read(node, address));
        peers.extend(read.map(|peer| Remembered { peer, last_seen_ms }));
    }
    peers
}
