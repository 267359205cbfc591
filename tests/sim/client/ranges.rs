//! Parts of files: what is handed out, and how little is asked for.

use super::elsewhere::{collect_part, serve_stored, spoils_the_last};
use super::hostile::Pair;
use super::program::{Program, access, content, meta, world};
use bytes::Bytes;
use dfsd::conn::Conn;
use dfsd::crypto::tree;
use dfsd::limits::{BLOCK, LEAF, LOG_BLOCK_MAX};
use dfsd::session::{Answer, ClientError, Event, Op, Operation, Overwrite, Part, Source};
use dfsd::wire::frame::Open;
use dfsd::wire::message::{BlockRef, Message};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

fn part_of(name: &str, part: Part) -> Operation {
    Operation::GetPart { source: Source::Name(name.into()), part }
}

fn range(first: usize, end: usize) -> Part {
    Part::Range { first: first as u64, end: end as u64 }
}

/// By its name, and of a version that was told of.
#[test]
fn any_part_of_a_file_is_read_from_a_node() {
    let mut world = world(8, 1);
    let mut program = Program::connect(&mut world, 0, access());
    for size in [1, LOG_BLOCK_MAX + 1, 2 * BLOCK, 5 * BLOCK + 5 * LEAF + 9] {
        let bytes = content(3, size);
        program.put(&mut world, "file", &bytes).result.unwrap();
        let stat = program.call(&mut world, Operation::Stat { name: b"file".into() });
        let Ok(Answer::Stat(entry)) = stat.result else { panic!("{stat:?}") };
        let edges = [0, LEAF, LOG_BLOCK_MAX, BLOCK, 4 * BLOCK, 5 * BLOCK + 5 * LEAF, size];
        let around = edges.into_iter().flat_map(|edge| [edge.saturating_sub(1), edge, edge + 1]);
        for (first, length) in
            around.zip([1, 2, LEAF, 2 * LEAF + 1, BLOCK, 3 * BLOCK].into_iter().cycle())
        {
            let end = size.min(first + length);
            for source in [Source::Name(b"file".into()), Source::Version(entry.clone())] {
                let part = range(first, first + length);
                let got = program.call(&mut world, Operation::GetPart { source, part });
                if first >= size {
                    let error = got.result.unwrap_err();
                    assert_eq!(error, ClientError::BeyondEnd { size: size as u64 });
                    continue;
                }
                assert!(matches!(got.result, Ok(Answer::Got(_))), "{part:?} of {size}: {got:?}");
                assert!(got.data == bytes[first..end], "{part:?} of {size}");
            }
            let got = program.call(&mut world, part_of("file", Part::Tail(length as u64)));
            assert!(
                got.data == bytes[size.saturating_sub(length)..],
                "the last {length} of {size}"
            );
        }
    }
}

/// What a node was asked for.
#[derive(Default)]
struct Asked {
    pages: Cell<usize>,
    leaves: Cell<usize>,
}

/// Counts what is asked for. Equal blocks are brought once.
fn counting(asked: &Rc<Asked>) -> impl FnMut(&mut Conn, &Message) -> bool + 'static {
    let asked = Rc::clone(asked);
    let mut brought = BTreeSet::new();
    move |conn, message| match message {
        Message::Offer { blocks, .. } if !brought.insert(blocks[0].address) => {
            conn.send(&Message::Have { addresses: vec![blocks[0].address] });
            true
        }
        Message::GetPage { .. } => {
            asked.pages.set(asked.pages.get() + 1);
            false
        }
        Message::Want { count, .. } => {
            asked.leaves.set(asked.leaves.get() + usize::from(*count));
            false
        }
        _ => false,
    }
}

fn put_zeros(pair: &mut Pair, blocks: usize) {
    let op = pair
        .session
        .start(pair.now, Operation::Put { meta: meta("zeros"), overwrite: Overwrite::Always });
    let block = vec![0; BLOCK];
    for _ in 0..blocks {
        let mut rest = &block[..];
        while !rest.is_empty() {
            let taken = pair.session.feed(op, rest);
            rest = &rest[taken..];
            pair.pump();
        }
    }
    pair.session.feed_end(op);
    pair.pump();
    assert!(matches!(pair.result(op), Some(Ok(Answer::Put { .. }))));
}

fn bytes_of(pair: &Pair, op: Op) -> usize {
    let data = pair.events.iter().filter_map(|event| match event {
        Event::Data { op: other, bytes } if *other == op => Some(bytes.len()),
        _ => None,
    });
    data.sum()
}

/// A file of three pages below a root: of a part one path of pages is asked for, and the leaves that it touches.
#[test]
fn a_part_costs_one_path_of_pages_and_the_leaves_that_it_touches() {
    let asked = Rc::new(Asked::default());
    let mut pair = Pair::new(counting(&asked));
    put_zeros(&mut pair, 1100);
    let (size, part) = (1100 * BLOCK, 64 * 1024);
    let page = 512 * BLOCK;
    // Where it begins; how many pages and leaves it may take.
    for (first, pages, leaves) in [
        (0, 2, 2),
        (LEAF + 1, 2, 3),
        (300 * BLOCK - 1, 2, 3),
        (page, 2, 2),
        (page - 100, 3, 3),
        (2 * page + 5 * BLOCK + 77, 2, 3),
        (size - part, 2, 2),
        (size - 1, 2, 1),
    ] {
        let op = pair.start(part_of("zeros", range(first, first + part)));
        pair.pump();
        assert_eq!(bytes_of(&pair, op), part.min(size - first), "from {first}");
        assert!(matches!(pair.result(op), Some(Ok(Answer::Got(_)))), "from {first}");
        assert_eq!((asked.pages.take(), asked.leaves.take()), (pages, leaves), "from {first}");
    }
    let op = pair.start(part_of("zeros", Part::Tail(0)));
    pair.pump();
    assert!(matches!(pair.result(op), Some(Ok(Answer::Got(_)))));
    assert_eq!((asked.pages.take(), asked.leaves.take()), (0, 0), "nothing is wanted");
}

/// A node that answers each want with a stream of these leaves of the block, whatever was asked for.
fn sends(bytes: &[u8], first: u8, count: u8) -> (Pair, BlockRef) {
    let mut honest = Pair::honest();
    honest.put("a", bytes);
    let (address, block) = honest.held.only_block();
    let told = BlockRef { address, length: block.len() as u32 };
    let mut pair = Pair::new(move |conn, message| {
        let Message::Want { block: BlockRef { address, length }, .. } = message else {
            return false;
        };
        let (address, length, leaves) = (*address, *length, tree::leaf_hashes(&block));
        conn.open_stream(&Open { address, length, first, count, leaves });
        for leaf in block.chunks(LEAF).skip(first.into()).take(count.into()) {
            conn.push_chunk(Bytes::copy_from_slice(leaf));
        }
        true
    });
    pair.held.records = honest.held.records;
    (pair, told)
}

#[test]
fn leaves_that_were_not_asked_for_are_not_handed_out() {
    let bytes = content(5, 10 * LEAF);
    let part = range(4 * LEAF + 9, 6 * LEAF);
    for (first, count) in [(0, 4), (0, 5), (5, 1), (6, 4), (9, 1)] {
        let (mut pair, block) = sends(&bytes, first, count);
        let op = pair.start(part_of("a", part));
        pair.pump();
        let handed_out = bytes_of(&pair, op);
        let is_asked_for = (first..first + count).contains(&4);
        assert_eq!(handed_out, if is_asked_for { LEAF - 9 } else { 0 }, "{first}, {count}");
        let error = pair.error(op);
        let named = error.to_string().contains(&block.address.to_string());
        assert!(matches!(error, ClientError::Damaged(_)) && named, "{first}, {count}: {error}");
    }
    // More than was asked for does no harm.
    let (mut pair, _) = sends(&bytes, 0, 10);
    let op = pair.start(part_of("a", part));
    pair.pump();
    assert_eq!(bytes_of(&pair, op), 2 * LEAF - 9);
    assert!(matches!(pair.result(op), Some(Ok(Answer::Got(_)))));
}

/// A get of what the program does not have: for each block from the first on, what it has.
#[test]
fn blocks_that_are_there_are_told_of_and_not_asked_for() {
    let asked = Rc::new(Asked::default());
    let mut pair = Pair::new(counting(&asked));
    let bytes = content(9, 7 * BLOCK + 5);
    pair.put("a", &bytes);
    let trees: Vec<_> = bytes.chunks(BLOCK).map(tree::tree).collect();
    // Which blocks are there.
    for here in [vec![], vec![0], vec![7], vec![1, 2, 6], vec![0, 3, 4, 5, 7], (0..8).collect()] {
        let there = |at: usize| here.contains(&at);
        let held = trees.iter().enumerate();
        let held = held.map(|(at, tree)| if there(at) { *tree } else { trees[0] });
        let mut held: Vec<_> = held.collect();
        if !there(0) {
            held[0] = trees[1];
        }
        let source = Source::Name(b"a".into());
        let op = pair.start(Operation::GetMissing { source, from: 0, here: held.into() });
        pair.pump();
        let mut at = 0;
        for event in &pair.events {
            match event {
                Event::Data { bytes: data, .. } => {
                    assert!(bytes[at..].starts_with(data), "at {at}");
                    assert!(!there(at / BLOCK), "at {at}");
                    at += data.len();
                }
                Event::Here { bytes: passed, .. } => {
                    assert!(at.is_multiple_of(BLOCK) && there(at / BLOCK), "at {at}");
                    at += *passed as usize;
                }
                _ => {}
            }
        }
        assert_eq!(at, bytes.len(), "{here:?}");
        assert!(matches!(pair.result(op), Some(Ok(Answer::Got(_)))), "{here:?}");
        let leaves = |at: usize| if at == 7 { 1 } else { 32 };
        let missing: usize = (0..8).filter(|at| !there(*at)).map(leaves).sum();
        assert_eq!(asked.leaves.take(), missing, "{here:?}");
    }
}

#[test]
fn a_part_that_one_node_fails_goes_on_at_another_where_it_was() {
    let bytes = content(9, 6 * BLOCK + 5);
    for part in [Part::Tail(2 * BLOCK as u64), range(5 * BLOCK - 7, usize::MAX)] {
        let span = part.of(bytes.len() as u64).unwrap();
        let nodes =
            [serve_stored(&bytes, |leaf| spoils_the_last(leaf)), serve_stored(&bytes, |_| {})];
        let (got, result) = collect_part(&nodes, part);
        assert_eq!(result, Ok(()));
        assert!(got == bytes[span.start as usize..], "{part:?}");
        let (got, result) = collect_part(&nodes[..1], part);
        assert!(matches!(result, Err(ClientError::Damaged(_))), "{result:?}");
        assert_eq!(got.len() as u64, span.end - span.start - 5, "what came before is right");
    }
}
