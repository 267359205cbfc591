//! What a `FileServer` is told of itself when it begins.
//!
//! Knows no file and no key but public ones. Invariant: values only.

use super::Remembered;
use crate::crypto::data::DataKeys;
use crate::ids::NodeId;
use crate::wire::message::PeerAddress;
use crate::wire::presence::Presence;

/// Who this node is and what it may use.
#[derive(Debug, Clone)]
pub struct Setup {
    /// This node's id.
    pub node: NodeId,
    /// Its Ed25519 verify key.
    pub verify_key: [u8; 32],
    /// The root's verify key, which signs grants.
    pub root: [u8; 32],
    /// Where it can be dialled.
    pub addresses: Vec<String>,
    /// The key that reads names, where this node has it: a list in order is made here then.
    pub data: Option<DataKeys>,
    /// Grants that this node brings along, encoded; none is here once it is in the log, or on its way there.
    pub grants: Vec<Vec<u8>>,
    /// Bulk memory in bytes.
    pub memory: usize,
    /// Bytes that collection reads in a second.
    pub collect_rate: u64,
    /// Nodes to begin with, of which the operator has said where they are.
    pub peers: Vec<PeerAddress>,
    /// Nodes that an earlier run knew.
    pub remembered: Vec<Remembered>,
    /// When it began its network, in milliseconds since 1970; 0 if it has joined one.
    pub began_ms: u64,
    /// What this node says of itself, signed by its own key.
    pub presence: Presence,
    /// Drives jitter, and nothing secret.
    pub seed: u64,
    /// Tells one run of this node's program from another.
    pub boot: u64,
}
