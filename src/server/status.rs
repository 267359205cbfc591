//! Status: what a node says of itself to whoever asks.
//!
//! Decides nothing. Invariant: what is told is what is known at that moment.

use super::collect;
use super::context::Context;
use super::members;
use crate::ids::NodeId;
use crate::wire::collection::{CollectionStatus, CollectionVoid};
use crate::wire::log_use::LogUse;
use crate::wire::message::{NodeStatus, PeerAddress, RangeSummary};
use crate::wire::sync_state::SyncState;

/// What a node has. Two nodes of one network that are done have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// All records.
    pub records: RangeSummary,
    /// Records whose blocks are not all here yet, and blocks to be had again.
    pub incomplete: u64,
    /// Nodes connected.
    pub peers: usize,
}

/// What the machines know of this node.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) address: PeerAddress,
    pub(super) uptime_s: u64,
    /// Records that name something which is not here, and what was found damaged and has not come again.
    pub(super) incomplete: u64,
    /// How many nodes it knows.
    pub(super) known: u32,
    /// Nodes whose key more than one uses.
    pub(super) twins: Vec<NodeId>,
    /// When it began its network, if it knows no other node.
    pub(super) began_ms: u64,
    pub(super) sync: SyncState,
    pub(super) log_use: LogUse,
    pub(super) collection: collect::State,
}

/// All of it.
pub(super) fn status(cx: &Context, own: Own) -> NodeStatus {
    let Own { address: PeerAddress { node, address }, uptime_s, incomplete, known, .. } = own;
    let (unnamed, unnamed_bytes) = cx.index.holdings.unnamed();
    NodeStatus {
        node,
        address,
        uptime_s,
        names: cx.index.catalog.names(),
        records: cx.index.catalog.records(),
        blocks: cx.index.holdings.count(),
        block_bytes: cx.index.holdings.bytes(),
        incomplete,
        damaged: cx.index.catalog.damaged(),
        unnamed,
        unnamed_bytes,
        collection: collection(cx, own.collection),
        free_bytes: cx.space.free(),
        full: cx.room.is_lacking(),
        memory_used: cx.memory.used() as u64,
        memory_max: cx.memory.max() as u64,
        peers_connected: u32::try_from(members::connected(cx)).unwrap_or(u32::MAX),
        peers_known: known,
        group: cx.index.group,
        sync: own.sync,
        log_damage: cx.index.log_damage(),
        twins: own.twins,
        began_ms: own.began_ms,
        log_use: own.log_use,
    }
}

fn collection(cx: &Context, state: collect::State) -> CollectionStatus {
    let collect::State { reclaimable, last, needed, void } = state;
    let gone = last.map_or_else(Default::default, |last| last.gone);
    CollectionStatus {
        reclaimable: reclaimable.count,
        reclaimable_bytes: reclaimable.bytes,
        collected_ms: last.map_or(0, |last| last.at_ms),
        collected: gone.count,
        collected_bytes: gone.bytes,
        counted_ms: needed.map_or(0, |needed| needed.at_ms),
        shown_bytes: needed.map_or(0, |needed| needed.standing.bytes),
        undo_bytes: needed.map_or(0, |needed| needed.past.bytes),
        undo_next_ms: cx.index.catalog.next_superseded(cx.now.wall_ms).unwrap_or(0),
        void: match void {
            None => CollectionVoid::No,
            Some(collect::Void::Damaged) => CollectionVoid::Damaged,
            Some(collect::Void::Page) => CollectionVoid::Page,
            Some(collect::Void::Unread) => CollectionVoid::Disk,
        },
    }
}
