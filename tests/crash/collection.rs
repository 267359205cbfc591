//! Workloads of a node that keeps nothing of the past: versions expire, blocks go, segments are written anew and removed, and
//! those that are closed get their indexes.
//!
//! Nobody says which groups the node makes of that. Invariant: each of these workloads has all kinds that it is there for,
//! or the test at the end would not pass.

use super::local_node::Deed::{self, Delete, KeepNothing, Rename, Stay};
use super::script::{Script, Step};
use super::workloads::put;
use dfsd::limits::SERVED_IDLE;
use dfsd::store::values::Group;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// Until what is superseded has expired.
const EXPIRED: Option<Deed> = Some(Stay(Duration::from_secs(60)));
/// Until nothing is spared for a reader either.
const COLLECTED: Option<Deed> = Some(Stay(Duration::from_secs(SERVED_IDLE.as_secs() + 200)));
const KILL: Option<Deed> = None;
const NAMES: [&str; 3] = ["a", "b", "c"];

/// Every one.
pub(super) fn all() -> Vec<Script> {
    vec![
        Script::of_node(
            "blocks are collected",
            &[
                Some(KeepNothing),
                put("a", 70_000),
                put("b", 66_000),
                put("a", 71_000),
                Some(Delete("b")),
                COLLECTED,
            ],
        ),
        Script::of_node(
            "segments are compacted",
            &[
                Some(KeepNothing),
                put("a", 300),
                put("b", 9_000),
                put("c", 9_100),
                Some(Delete("b")),
                put("c", 400),
                put("d", 9_200),
                COLLECTED,
                put("e", 200),
            ],
        ),
        Script::of_node(
            "collected and compacted between kills",
            &[
                Some(KeepNothing),
                put("a", 70_000),
                put("b", 9_000),
                put("c", 9_100),
                put("a", 9_200),
                Some(Delete("b")),
                KILL,
                EXPIRED,
                Some(Rename("c", "d")),
                put("a", 72_000),
                KILL,
                COLLECTED,
            ],
        ),
        // What says that something is gone is written anew as long as what said that it was here stands in another segment.
        Script::of_node(
            "graves are copied",
            &[
                Some(KeepNothing),
                put("a", 70_000),
                put("b", 9_000),
                put("a", 71_000),
                COLLECTED,
                put("c", 9_100),
                put("d", 300),
                Some(Delete("c")),
                COLLECTED,
                KILL,
                put("b", 9_200),
                put("d", 9_300),
                COLLECTED,
            ],
        ),
        // Where they were copied to nothing else is needed in the end.
        Script::of_node(
            "copied twice",
            &[
                Some(KeepNothing),
                put("a", 300),
                put("b", 9_000),
                Some(Delete("b")),
                put("c", 9_100),
                COLLECTED,
                Some(Delete("c")),
                put("d", 9_200),
                put("e", 9_300),
                Some(Delete("d")),
                COLLECTED,
                KILL,
                put("e", 9_400),
                COLLECTED,
            ],
        ),
        Script::of_node(
            "put again after it was collected",
            &[
                Some(KeepNothing),
                put("a", 70_000),
                Some(Delete("a")),
                KILL,
                EXPIRED,
                put("b", 70_000),
                Some(Delete("b")),
                COLLECTED,
                put("b", 70_000),
            ],
        ),
    ]
}

/// One by dice: a node that perhaps keeps nothing does some deeds, and time passes.
pub(super) fn by_dice(seed: u64) -> Script {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut deeds = vec![Some(KeepNothing)];
    for number in 0..rng.random_range(4..9) {
        let at = rng.random_range(0..3);
        let (first, second) = (NAMES[at], NAMES[(at + rng.random_range(1..3)) % 3]);
        deeds.push(match rng.random_range(0..12) {
            0 => Some(Delete(first)),
            1 => Some(Rename(first, second)),
            2 => EXPIRED,
            3 | 4 => COLLECTED,
            5 => KILL,
            // Lengths differ, and so do the bytes, but for a few.
            6 => put(first, 70_000),
            7 => put(first, 66_000 + number),
            8 => put(first, rng.random_range(0..600)),
            _ => put(first, 9_000 + number),
        });
    }
    deeds.push(COLLECTED);
    Script::of_node(&format!("dice of a node {seed}"), &deeds)
}

fn is_of_compaction(group: &Group) -> bool {
    group.records.len() > 2 || !group.named.is_empty()
}

/// What a node makes of its deeds may change: then the deeds are to be others.
#[test]
fn these_workloads_have_groups_of_every_kind() {
    let scripts = all();
    let steps = || scripts.iter().flat_map(|script| &script.steps);
    let has_group = |is_such: fn(&Group) -> bool| {
        steps().any(|step| matches!(step, Step::Commit(group) if is_such(group)))
    };
    assert!(has_group(|group| group.dropped.len() == 1), "a block goes");
    assert!(has_group(|group| group.expired.len() > 1), "versions expire");
    assert!(has_group(|group| !group.removed.is_empty()), "a segment is removed");
    // Records come alone, but in groups of the compaction.
    assert!(has_group(|group| group.records.len() > 2 && !group.small.is_empty()));
    assert!(has_group(|group| !group.named.is_empty()), "what names a file is copied");
    assert!(has_group(|group| !group.records.is_empty() && !group.expired.is_empty()));
    assert!(has_group(|group| !group.records.is_empty() && !group.dropped.is_empty()));
    for script in &scripts {
        let groups = script.steps.iter().filter_map(|step| match step {
            Step::Commit(group) => Some(group),
            _ => None,
        });
        let groups: Vec<_> = groups.collect();
        let mut pairs = groups.windows(2).filter(|pair| is_of_compaction(pair[0]));
        assert!(pairs.all(|pair| !pair[1].removed.is_empty()), "what was copied goes");
    }
    let indexes = steps().filter(|step| matches!(step, Step::IndexSegment(_)));
    assert!(indexes.count() > 10, "closed segments get indexes");
}
