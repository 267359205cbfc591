//! The workloads: short, so that every call of theirs can be the last, and every state after it opened.
//!
//! Most are deeds of a program, done by a real node; a few are groups that a node would only make by chance. A new one
//! is a line in `all` and a list of deeds.

use super::collection;
use super::local_node::Deed::{self, Delete, Put, Rename};
use super::script::{Script, Step};
use bytes::Bytes;
use dfsd::crypto::tree;
use dfsd::ids::{Address, RecordId};
use dfsd::store::values::{Dropped, Expired, Group};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;

/// Every workload.
pub(super) fn all() -> Vec<Script> {
    let of_nodes = collection::all();
    [listed(), compacted(), indexes(), of_nodes].into_iter().flatten().collect()
}

fn listed() -> Vec<Script> {
    let kill: Option<Deed> = None;
    let node = |name, deeds: &[Option<Deed>]| Script::of_node(name, deeds);
    vec![
        node("small put", &[put("a", 100)]),
        node("empty put", &[put("a", 0)]),
        node("file block put", &[put("a", 70_000)]),
        node("overwrite", &[put("a", 100), put("a", 40_000)]),
        node("delete", &[put("a", 3_000), Some(Delete("a"))]),
        node("rename", &[put("a", 500), Some(Rename("a", "b"))]),
        node("segment roll", &[put("a", 12_000), put("b", 12_000), put("c", 12_000)]),
        node("killed and restarted", &[put("a", 200), kill.clone(), put("b", 200)]),
        node("killed twice", &[kill.clone(), put("a", 200), kill.clone(), kill]),
        script(
            "closed and reopened",
            vec![draft(1, 900), commit(&[(1, 900)], &[1]), restart(false), commit(&[], &[2])],
        ),
        script(
            "several puts in one group",
            vec![draft(1, 700), draft(2, 1_300), commit(&[(1, 700), (2, 1_300)], &[1, 2, 3])],
        ),
        script(
            "two groups with files",
            vec![
                draft(1, 700),
                commit(&[(1, 700)], &[1]),
                draft(2, 600),
                commit(&[(2, 600)], &[2]),
            ],
        ),
        script(
            "a file of pages",
            vec![draft(1, 40_000), draft(2, 800), pages(), commit(&[], &[1])],
        ),
        script("a lost block", vec![draft(1, 700), commit(&[(1, 700)], &[1]), lose(700)]),
        script("a dropped block", vec![draft(1, 700), commit(&[(1, 700)], &[1]), drop_block(700)]),
        script("an expired record", vec![commit(&[], &[1, 2]), expire(1), commit(&[], &[3])]),
        script("a removed segment", [segments(3), vec![remove(&[2])]].concat()),
        script(
            "removed segments",
            [
                segments(4),
                vec![remove(&[3]), commit(&[], &[5]), restart(true), remove(&[1, 4])],
                vec![commit(&[], &[6]), restart(false), remove(&[2, 5])],
            ]
            .concat(),
        ),
        script(
            "full at a removal",
            [segments(3), vec![Step::Full(0), remove(&[1]), remove(&[1])]].concat(),
        ),
        script(
            "full at the append",
            vec![
                draft(1, 700),
                commit(&[], &[1]),
                Step::Full(3),
                commit(&[(1, 700)], &[2]),
                commit(&[], &[3]),
            ],
        ),
        script(
            "full at the flush",
            vec![
                draft(1, 700),
                commit(&[], &[1]),
                Step::Full(4),
                commit(&[(1, 700)], &[2]),
                commit(&[], &[3]),
            ],
        ),
        script(
            "full at the flush, and killed",
            vec![Step::Full(2), commit(&[], &[1]), restart(true), commit(&[], &[2])],
        ),
        script(
            "full at the rename",
            vec![
                draft(1, 700),
                commit(&[], &[1]),
                Step::Full(2),
                commit(&[(1, 700)], &[2]),
                commit(&[], &[3]),
            ],
        ),
        script(
            "full at a new segment",
            vec![commit(&[], &[1; 60]), Step::Full(1), commit(&[], &[2]), commit(&[], &[3])],
        ),
        script(
            "the list of peers",
            vec![peers("a node"), commit(&[], &[1]), peers("another node, further away")],
        ),
    ]
}

/// What is needed of a segment is written anew, and the segment is removed.
fn compacted() -> Vec<Script> {
    vec![
        script(
            "a segment written anew and removed",
            [
                vec![draft(1, 700), commit(&[(1, 700)], &[1; 60]), commit(&[], &[2; 60])],
                vec![draft(2, 600), commit(&[(2, 600)], &[3]), drop_block(600), expire(3)],
                vec![copies(&[700], &[1], &[]), remove(&[1]), restart(true)],
                vec![copies(&[], &[], &[600]), commit(&[], &[4]), remove(&[2])],
            ]
            .concat(),
        ),
        script(
            "full while a segment is written anew",
            [
                vec![draft(1, 700), commit(&[(1, 700)], &[1; 60]), commit(&[], &[2; 60])],
                vec![Step::Full(0), copies(&[700], &[1], &[]), copies(&[700], &[1], &[])],
                vec![remove(&[1]), restart(false), commit(&[], &[4])],
            ]
            .concat(),
        ),
    ]
}

/// Segments get their indexes.
fn indexes() -> Vec<Script> {
    vec![
        script("the index of a segment", [segments(2), vec![index(1), commit(&[], &[3])]].concat()),
        script(
            "the index of a segment with all kinds of items",
            vec![
                draft(1, 40_000),
                draft(2, 800),
                pages(),
                commit(&[], &[1, 2]),
                drop_block(800),
                expire(1),
                restart(true),
                index(1),
                commit(&[], &[3]),
                restart(false),
                index(2),
            ],
        ),
        script(
            "the index of a segment that is removed",
            [segments(3), vec![index(2), remove(&[2]), restart(true), index(1)]].concat(),
        ),
        script(
            "full at the index of a segment",
            [segments(2), vec![Step::Full(0), index(1), restart(true), index(1)]].concat(),
        ),
    ]
}

/// A workload by dice.
pub(super) fn by_dice(seed: u64) -> Script {
    match seed % 4 {
        0 => collection::by_dice(seed),
        _ => groups_by_dice(seed),
    }
}

/// Some groups with and without files, restarts, a full disk.
fn groups_by_dice(seed: u64) -> Script {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut steps, mut drafts, mut records) = (Vec::new(), 0, 0);
    let mut held = Vec::new();
    for _ in 0..rng.random_range(2..5) {
        match rng.random_range(0..10) {
            0 => steps.push(restart(true)),
            1 => steps.push(restart(false)),
            2 => steps.push(Step::Full(rng.random_range(0..6))),
            3 if !held.is_empty() && rng.random() => steps.push(lose(held.remove(0))),
            3 if !held.is_empty() => steps.push(drop_block(held.remove(0))),
            5 if rng.random() => {
                steps.extend(segments(rng.random_range(1..3)));
                steps.push(remove(&[rng.random_range(1..4), rng.random_range(1..6)]));
            }
            6 if rng.random() => steps.push(index(rng.random_range(1..4))),
            6 => steps.push(expire(rng.random_range(1..6))),
            7 if !held.is_empty() => steps.push(copies(&held[..1], &[rng.random_range(1..6)], &[])),
            4 => steps.push(peers(&"a node ".repeat(rng.random_range(1..200)))),
            _ => {
                let mut files = Vec::new();
                for _ in 0..rng.random_range(0..3) {
                    drafts += 1;
                    // Lengths differ, and so do the bytes.
                    let length = rng.random_range(1..30) * 100 + drafts as usize;
                    steps.push(draft(drafts, length));
                    files.push((drafts, length));
                    held.push(length);
                }
                let count = rng.random_range(1..6);
                let ids: Vec<u8> = (records + 1..=records + count).collect();
                records += count;
                steps.push(commit(&files, &ids));
            }
        }
    }
    script(&format!("dice {seed}"), steps)
}

pub(super) fn put(name: &'static str, length: usize) -> Option<Deed> {
    Some(Put(name, content(length as u64, length)))
}

/// Bytes that nothing else has.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut word = seed;
    let bytes = (0..length).map(|_| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (word >> 56) as u8
    });
    bytes.collect()
}

fn script(name: &str, steps: Vec<Step>) -> Script {
    Script {
        name: name.to_owned(),
        steps: steps.into_iter().flat_map(parts).collect(),
        shown: Vec::new(),
        known: Vec::new(),
    }
}

/// A draft is written and finished one after the other.
fn parts(step: Step) -> Vec<Step> {
    let Step::Write { draft, chunks, leaves, .. } = &step else {
        return vec![step];
    };
    let length = chunks.iter().map(Bytes::len).sum::<usize>() as u32;
    let finish = Step::Finish { draft: *draft, length, leaves: Arc::clone(leaves) };
    vec![step, finish]
}

fn draft(draft: u64, length: usize) -> Step {
    let block = Bytes::from(content(length as u64, length));
    let leaves = tree::leaf_hashes(&block).into();
    Step::Write { draft, first: 0, chunks: vec![block], leaves }
}

fn address(length: usize) -> Address {
    Address(tree::tree(&content(length as u64, length)).0)
}

/// A group with these drafts (number and length) and a record of 300 bytes for each id.
fn commit(drafts: &[(u64, usize)], records: &[u8]) -> Step {
    let blocks = drafts.iter().map(|(draft, length)| (*draft, address(*length), *length as u32));
    let records = records.iter().map(|id| (RecordId([*id; 32]), Bytes::from(vec![*id; 300])));
    let group = Group { blocks: blocks.collect(), records: records.collect(), ..Group::default() };
    Step::Commit(group)
}

/// What is needed of a segment, in a group of its own: what names files of these lengths, a record of each id, and that
/// files of these lengths were dropped.
fn copies(files: &[usize], records: &[u8], dropped: &[usize]) -> Step {
    let Step::Commit(group) = commit(&[], records) else { unreachable!("it is a group") };
    let named = files.iter().map(|length| (address(*length), *length as u32)).collect();
    let dropped = dropped.iter().map(|length| address(*length));
    let dropped = dropped.map(|address| Dropped { address, since: Some(1) }).collect();
    Step::Commit(Group { named, dropped, ..group })
}

/// Two blocks and the page that lists them; its record comes with the next group.
fn pages() -> Step {
    let page = Bytes::from(content(7, 5_000));
    let blocks = vec![(1, address(40_000), 40_000), (2, address(800), 800)];
    let group =
        Group { blocks, pages: vec![(Address(tree::tree(&page).0), page)], ..Group::default() };
    Step::Commit(group)
}

fn lose(length: usize) -> Step {
    let group = Group { lost: vec![address(length)], ..Group::default() };
    Step::Commit(group)
}

fn drop_block(length: usize) -> Step {
    Step::Commit(Group { dropped: vec![address(length).into()], ..Group::default() })
}

fn expire(id: u8) -> Step {
    let expired = vec![Expired { id: RecordId([id; 32]), at_ms: u64::from(id) }];
    Step::Commit(Group { expired, ..Group::default() })
}

/// Groups that fill so many segments.
fn segments(count: u8) -> Vec<Step> {
    (1..=count).map(|id| commit(&[], &[id; 60])).collect()
}

fn remove(segments: &[u32]) -> Step {
    Step::Commit(Group { removed: segments.to_vec(), ..Group::default() })
}

/// A segment gets its index, if it is closed.
fn index(segment: u32) -> Step {
    Step::IndexSegment(segment)
}

fn restart(killed: bool) -> Step {
    Step::Restart { killed }
}

fn peers(text: &str) -> Step {
    Step::WritePeers(text.to_owned())
}
