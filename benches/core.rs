//! What the parts of the core cost, each alone and in memory: `make bench`.
//!
//! Knows no daemon and no socket. Rates are to be read beside each other, in one run: `tree` beside
//! `sha256`, `seal` and `open` beside what they are made of.

#[path = "core/disk.rs"]
mod disk;
#[path = "core/growth.rs"]
mod growth;
#[path = "core/nodes.rs"]
mod nodes;
#[path = "core/wire.rs"]
mod wire;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dfsd::crypto::block::{keystream, seal_block};
use dfsd::crypto::data::DataKeys;
use dfsd::crypto::tree;
use dfsd::ids::Space;
use dfsd::limits::{BLOCK, LEAF};
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::time::Duration;

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hashing 1 MiB");
    let data = vec![7; BLOCK];
    group.throughput(Throughput::Bytes(BLOCK as u64));
    group.bench_function("sha256", |bencher| bencher.iter(|| Sha256::digest(black_box(&data))));
    group.bench_function("tree", |bencher| bencher.iter(|| tree::tree(black_box(&data))));
    group.bench_function("tree of 8 leaves", |bencher| {
        bencher.iter(|| (0..4).for_each(|_| drop(tree::leaf_hashes(black_box(&data[..8 * LEAF])))));
    });
    group.finish();
}

fn sealing(criterion: &mut Criterion) {
    let keys = DataKeys::generate(&[7; 32]).newest(&Space::default());
    let mut group = criterion.benchmark_group("sealing 1 MiB");
    let mut data = vec![7; BLOCK];
    group.throughput(Throughput::Bytes(BLOCK as u64));
    group.bench_function("aes-256-ctr", |bencher| {
        bencher.iter(|| keystream(&[3; 32], black_box(&mut data), 0));
    });
    group.bench_function("seal", |bencher| {
        bencher.iter(|| seal_block(&keys, &[0; 32], black_box(&mut data)));
    });
    group.bench_function("open", |bencher| {
        bencher.iter(|| {
            let hashes = tree::leaf_hashes(black_box(&data));
            keystream(&[3; 32], &mut data, 0);
            hashes
        });
    });
    group.finish();
}

fn briefly() -> Criterion {
    let short = Duration::from_millis(300);
    Criterion::default().without_plots().warm_up_time(short).measurement_time(4 * short)
}

criterion_group! { name = core; config = briefly(); targets = hashing, sealing, wire::codecs, wire::transport,
disk::log, disk::recovery, nodes::nodes, growth::growth }
criterion_main!(core);
