//! Cost against size: work that must not grow with what is stored or connected, each beside the same with a thousand times
//! as much.
//!
//! Knows nodes as `nodes` does. To be read in pairs: of two lines that differ in the number alone, the second may be no
//! more than a little worse.

use super::nodes::{Pair, start};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use dfsd::crypto::keys::record_id;
use dfsd::crypto::tree;
use dfsd::ids::{Address, NameId, VersionId};
use dfsd::session::Operation;
use dfsd::store::fs::FileSystem;
use dfsd::store::values::Group;
use dfsd::testing::SimFs;
use dfsd::wire::message::BlockRef;
use dfsd::wire::page::{Entries, Page};
use dfsd::wire::record::{BlockList, FORMAT, Record, RecordKind};
use std::time::{Duration, Instant};

/// Few, and a thousand times as many.
const SIZES: [u64; 2] = [10, 10_000];
/// Records in a group.
const GROUP: usize = 1000;
const SMALL: &[u8] = b"a small file";

pub(super) fn growth(criterion: &mut Criterion) {
    with_versions_and_names(criterion);
    with_clients_and_puts(criterion);
    with_what_is_short(criterion);
    with_pages(criterion);
}

fn with_versions_and_names(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cost against size");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for versions in SIZES {
        let mut pair = Pair::new();
        (0..versions).for_each(|_| pair.put_as("one", SMALL));
        group.bench_function(format!("look up a name of {versions} versions"), |bencher| {
            bencher.iter(|| pair.run(Operation::Stat { name: "one".into() }, &[]));
        });
        group.bench_function(format!("overwrite a name of {versions} versions"), |bencher| {
            bencher.iter(|| pair.put_as("one", SMALL));
        });
    }
    for names in SIZES {
        let mut pair = Pair::new();
        (0..names).for_each(|_| pair.put(SMALL));
        group.bench_function(format!("overwrite one of {names} names"), |bencher| {
            bencher.iter(|| pair.put_as("0", SMALL));
        });
    }
    group.finish();
}

fn with_clients_and_puts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cost against size");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for connections in SIZES {
        let mut pair = Pair::new();
        let idle: Vec<_> = (0..connections).map(|count| pair.idle(count)).collect();
        group.bench_function(format!("overwrite beside {connections} idle clients"), |bencher| {
            bencher.iter(|| pair.put_as("one", SMALL));
        });
        drop(idle);
    }
    group.sample_size(10);
    for puts in SIZES {
        let mut pair = Pair::new();
        group.throughput(Throughput::Elements(puts));
        group.bench_function(format!("{puts} puts at once, each"), |bencher| {
            bencher.iter(|| pair.put_at_once(puts, SMALL));
        });
    }
    group.finish();
}

fn with_what_is_short(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cost against size");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for short in SIZES {
        let list = |number: u64| {
            let address = Address(tree::tree(&number.to_be_bytes()).0);
            BlockList::Inline(vec![BlockRef { address, length: 100_000 }])
        };
        let mut pair = Pair::that_have(&groups(short, list));
        pair.short = short;
        // Each asks the other for everything once.
        (0..20 * short).for_each(|_| pair.turn());
        group.bench_function(format!("overwrite beside {short} files without blocks"), |bencher| {
            bencher.iter(|| pair.put_as("one", SMALL));
        });
        group.bench_function(format!("a turn beside {short} files without blocks"), |bencher| {
            bencher.iter(|| pair.turn());
        });
    }
    group.finish();
}

fn with_pages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cost against size");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for files in SIZES {
        let pages: Vec<Bytes> = (0..files).map(page).collect();
        let root = |number: u64| {
            let root = address(&pages[usize::try_from(number).expect("it is small")]);
            BlockList::Pages { root, depth: 1, blocks: 1, bytes: SMALL.len() as u64 }
        };
        let small = vec![(address(SMALL), Bytes::from_static(SMALL))];
        let named = pages.iter().map(|page| (address(page), page.clone())).collect();
        let mut all = vec![Group { small, pages: named, ..Group::default() }];
        all.extend(groups(files, root));
        let mut pair = Pair::that_have(&all);
        while pair.machines.iter().any(|machine| machine.node.summary().incomplete > 0) {
            pair.turn();
        }
        let what = format!("mend a damaged page beside {files} files with pages");
        group.bench_function(what, |bencher| {
            let disk = pair.machines[0].fs.clone();
            // To the end: what is left to be done after the answer would count for the next.
            bencher
                .iter_custom(|times| (0..times).map(|_| mend(&mut pair, &disk, &pages[0])).sum());
        });
        // What is stored is read, once; no page is looked for again.
        group.throughput(Throughput::Elements(files));
        let disk = pair.machines[1].fs.clone();
        group.bench_function(format!("start with {files} files with pages, each"), |bencher| {
            bencher.iter_batched(|| disk.restart(), start, BatchSize::PerIteration);
        });
        group.throughput(Throughput::Elements(1));
    }
    group.finish();
}

/// How long it takes until a page that was damaged is given, and here again; not how long it takes to damage it.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn mend(pair: &mut Pair, disk: &SimFs, page: &[u8]) -> Duration {
    spoil(disk, page);
    let began = Instant::now();
    pair.run(Operation::Page { address: address(page) }, &[]);
    while pair.machines[0].node.summary().incomplete > 0 {
        pair.turn();
    }
    began.elapsed()
}

fn address(bytes: &[u8]) -> Address {
    Address(tree::tree(bytes).0)
}

/// A page of its own for each number, of the same one block.
fn page(number: u64) -> Bytes {
    let length = u32::try_from(SMALL.len()).expect("it is small");
    let block = BlockRef { address: address(SMALL), length };
    let mut sealed = vec![0; 64];
    sealed[..8].copy_from_slice(&number.to_be_bytes());
    let mut bytes = Vec::new();
    Page { sealed, entries: Entries::Blocks(vec![block]) }.encode(&mut bytes);
    bytes.into()
}

/// Files with these lists of blocks, of which nobody asks who has signed them.
fn groups(count: u64, list: impl Fn(u64) -> BlockList) -> Vec<Group> {
    let record = |number: u64| {
        let mut name = NameId::default();
        name.0[..8].copy_from_slice(&number.to_be_bytes());
        let record = Record {
            format: FORMAT,
            kind: RecordKind::File,
            space: Default::default(),
            name,
            version: VersionId { stamp: 5, writer: Default::default() },
            parents: Vec::new(),
            epoch: 1,
            signer: [0; 32],
            blocks: list(number),
            extensions: Vec::new(),
            sealed_tag: [7; 32],
            sealed: vec![8; 100],
            signature: [0; 64],
        };
        let bytes = Bytes::from(record.to_bytes());
        (record_id(&bytes), bytes)
    };
    let records: Vec<_> = (0..count).map(record).collect();
    let group = |records: &[_]| Group { records: records.to_vec(), ..Group::default() };
    records.chunks(GROUP).map(group).collect()
}

/// Turns a bit over in these bytes, wherever the log has them.
fn spoil(disk: &SimFs, bytes: &[u8]) {
    let found = disk.paths("log").into_iter().any(|path| {
        let file = disk.open(&path).expect("it is there");
        let length = disk.length(&file).expect("it is there");
        let mut log = vec![0; usize::try_from(length).expect("it is short")];
        disk.read_at(&file, 0, &mut log).expect("it is there");
        let at = log.windows(bytes.len()).position(|window| window == bytes);
        at.is_some_and(|at| disk.tamper().flip(&path, at + bytes.len() / 2))
    });
    assert!(found, "the log has the page");
}
