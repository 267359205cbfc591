//! A node's start: a folder is opened, and a node begins on what it holds. The daemon, programs that embed a node, the
//! simulator, tests and benchmarks start one here and nowhere else.
//!
//! Knows no socket, thread or clock. Invariant: no node begins before all of its log, or of what is full the index, was read
//! and the verdict on it is durable; the folder is this process's for as long as the disk is there.

use crate::conn::ConnKeys;
use crate::crypto::keys::{DataKeys, NetworkKey, NodeKey};
use crate::keyring::presence::presence;
use crate::limits::{COLLECT_RATE, MEMORY_DEFAULT};
use crate::node::Node;
use crate::server::{IndexBuilder, Remembered, Setup};
use crate::store::fs::FileSystem;
use crate::store::values::RecoveryReport;
use crate::store::{self, Config, Disk, OpenError};
use crate::time::Now;
use crate::wire::message::PeerAddress;

/// Who a node is, and what it may use.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "it holds keys")]
pub struct Options<'a> {
    /// The key of its network.
    pub network: &'a NetworkKey,
    /// Its own.
    pub node: &'a NodeKey,
    /// The key that reads names, if it has it.
    pub data: Option<&'a DataKeys>,
    /// Where it can be dialled.
    pub addresses: Vec<String>,
    /// Grants that it brings along, encoded.
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
    /// Drives jitter, and nothing secret.
    pub seed: u64,
    /// Tells one run of this node's program from another.
    pub boot: u64,
}

impl<'a> Options<'a> {
    /// A node with these keys that nobody can dial and that knows nobody.
    #[must_use]
    pub fn new(network: &'a NetworkKey, node: &'a NodeKey) -> Self {
        Self {
            network,
            node,
            data: None,
            addresses: Vec::new(),
            grants: Vec::new(),
            memory: MEMORY_DEFAULT,
            collect_rate: COLLECT_RATE,
            peers: Vec::new(),
            remembered: Vec::new(),
            began_ms: 0,
            seed: 0,
            boot: 0,
        }
    }
}

/// A folder that this process has, and what its log holds.
#[allow(missing_debug_implementations, reason = "it holds a disk")]
pub struct Opened<F: FileSystem> {
    disk: Disk<F>,
    builder: IndexBuilder,
    recovered: RecoveryReport,
}

/// Opens a folder, which is made if there is none, as the store of a node in the network below this root. The entropy is
/// fresh at every start.
///
/// # Errors
/// Why the folder cannot be used; then nothing was served and nothing was lost.
pub fn open<F: FileSystem>(
    fs: F,
    config: Config,
    root: [u8; 32],
    entropy: [u8; 16],
) -> Result<Opened<F>, OpenError> {
    let mut builder = IndexBuilder::new(root, entropy);
    let (disk, recovered) = store::open(fs, config, entropy, |found| builder.found(found))?;
    Ok(Opened { disk, builder, recovered })
}

impl<F: FileSystem> Opened<F> {
    /// What the operator should know of the folder.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.recovered.notes
    }

    /// A node on what the folder holds. Whoever has both does the node's jobs on the disk, by `server::work::execute`.
    #[must_use]
    pub fn start(self, options: Options<'_>, now: Now) -> (Node, Disk<F>) {
        let Options { network, node, data, addresses, grants, memory, .. } = options;
        let setup = Setup {
            node: node.node_id(),
            verify_key: node.verify_key(),
            root: network.root,
            data: data.cloned(),
            presence: presence(node, &addresses, now.wall_ms),
            addresses,
            grants,
            memory,
            collect_rate: options.collect_rate,
            peers: options.peers,
            remembered: options.remembered,
            began_ms: options.began_ms,
            seed: options.seed,
            boot: options.boot,
        };
        let keys = ConnKeys::new(network, node);
        (Node::new(keys, setup, self.builder, &self.recovered, now), self.disk)
    }
}
