//! G8 and G12: what no kept version needs goes. What was superseded for longer than the network is set to has expired on every
//! node, what nobody names is collected, and the log has room for little besides.

use super::Oracle;
use crate::sim::swarm::audit::{Audit, NodeView};
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;
use dfsd::wire::collection::CollectionVoid;

/// It has gone so long after its time.
const MARGIN_MS: u64 = 60_000;
/// What a segment has besides its items: its head and the longest list of what is gone.
const SEGMENT_OVERHEAD: u64 = 8192 + 4096;

pub(super) struct Expired;

impl Oracle for Expired {
    fn name(&self) -> &'static str {
        "G8 what expired is gone"
    }

    fn at_end(&mut self, _: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        if promise == Promise::Beyond || audit.settled.is_none() {
            return Ok(());
        }
        for (machine, node) in audit.nodes.iter().enumerate() {
            let place = |why: String| format!("node {machine}: {why}");
            records_are_gone(node).map_err(place)?;
            log_is_compacted(node).map_err(place)?;
            if audit.waited_long {
                blocks_are_gone(node).map_err(place)?;
            }
        }
        Ok(())
    }
}

fn records_are_gone(node: &NodeView) -> Result<(), String> {
    let expiries = node.expiries();
    for stated in node.records.values() {
        let expires = expiries.get(&(stated.name, stated.version));
        if expires.is_some_and(|at_ms| at_ms + MARGIN_MS <= node.left.calendar_ms) {
            return Err(format!("version {} has expired, and is still there", stated.version));
        }
    }
    Ok(())
}

/// But for what is served, which counts for an hour.
fn blocks_are_gone(node: &NodeView) -> Result<(), String> {
    let left = &node.left;
    let Some(status) = &node.status else { return Ok(()) };
    let (unnamed, collection) = (status.unnamed, status.collection);
    let said =
        format!("of which {unnamed} were never named, and says of collection {collection:?}");
    if let Some(file) = left.files.difference(&left.reach).next() {
        return Err(format!("it has the file of block {file}, which no record names, {said}"));
    }
    if status.blocks > left.reach.len() as u64 {
        let (has, named) = (status.blocks, left.reach.len());
        return Err(format!("it has {has} blocks, and its records name {named}, {said}"));
    }
    if unnamed > 0 || collection.reclaimable > 0 || collection.void != CollectionVoid::No {
        return Err(format!("it has {} blocks, {said}", status.blocks));
    }
    Ok(())
}

/// Of a closed segment less than twice what is needed of it is left; the open one is as it is.
fn log_is_compacted(node: &NodeView) -> Result<(), String> {
    let Some(status) = node.status.as_ref().filter(|_| node.left.is_sound) else { return Ok(()) };
    let log = status.log_use;
    let most = 2 * log.needed + u64::from(log.segments) * SEGMENT_OVERHEAD + node.left.open_segment;
    match log.bytes <= most {
        true => Ok(()),
        false => Err(format!("its log has more than twice what is needed: {log:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::ledger::tests::version;
    use crate::sim::swarm::oracles::tests::{audit_of, file};
    use dfsd::ids::{Address, VersionId};
    use dfsd::limits::CALENDAR_MIN;
    use dfsd::time::stamp_at;
    use dfsd::wire::message::NodeStatus;
    use dfsd::wire::record::BlockList;
    use dfsd::wire::settings::Settings;
    use std::time::Duration;

    fn sees(audit: &Audit) -> bool {
        Expired.at_end(&Ledger::new(1, 1), audit, Promise::Kept).is_err()
    }

    #[test]
    fn a_version_that_should_have_expired_is_seen() {
        let dated = |seconds: u64| VersionId {
            stamp: stamp_at(CALENDAR_MIN + seconds * 1000),
            ..version(1)
        };
        let bare = file(version(1), &[]);
        let old = crate::sim::swarm::disk::Stated { version: dated(0), ..bare.clone() };
        let new = crate::sim::swarm::disk::Stated {
            id: dfsd::ids::RecordId([9; 32]),
            version: dated(15),
            parents: vec![dated(0)],
            ..bare
        };
        let mut audit = audit_of(&[&[&old, &new]]);
        let retention = Duration::from_secs(100);
        audit.nodes[0].left.settings = Some(Settings { retention, ..Settings::default() });
        for (after, is_seen) in [(100, false), (179, false), (180, true)] {
            audit.nodes[0].left.calendar_ms = CALENDAR_MIN + after * 1000;
            assert_eq!(sees(&audit), is_seen, "after {after} s");
        }
        audit.nodes[0].records.remove(&old.id);
        assert!(!sees(&audit));
    }

    #[test]
    fn a_block_that_nobody_names_and_a_log_that_is_not_compacted_are_seen() {
        let mut stated = file(version(5), &[]);
        stated.blocks = BlockList::Inline(Vec::new());
        let mut audit = audit_of(&[&[&stated]]);
        audit.waited_long = true;
        audit.nodes[0].status = Some(NodeStatus::default());
        audit.nodes[0].left.files.insert(Address([3; 32]));
        assert!(sees(&audit));
        audit.nodes[0].left.reach.insert(Address([3; 32]));
        assert!(!sees(&audit));
        let mut status = NodeStatus { blocks: 2, ..NodeStatus::default() };
        audit.nodes[0].status = Some(status.clone());
        assert!(sees(&audit));
        status.blocks = 1;
        status.log_use.bytes = 100_000;
        audit.nodes[0].status = Some(status);
        assert!(!sees(&audit), "the segment may be damaged");
        audit.nodes[0].left.is_sound = true;
        assert!(sees(&audit));
    }
}
