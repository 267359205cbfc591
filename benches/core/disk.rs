//! The store alone: appending groups to the log, on a disk in memory and on a real one, and opening it again.
//!
//! Knows no node. A real disk's times are its flushes.

use super::wire::record;
use criterion::{BatchSize, Criterion, Throughput};
use dfsd::crypto::keys::record_id;
use dfsd::store::fs::{FileSystem, RealFs};
use dfsd::store::values::Group;
use dfsd::store::{Config, Disk, open};
use dfsd::testing::SimFs;

const RECORDS: u64 = 10_000;

fn group(first: u64, count: u64) -> Group {
    let records = (first..first + count).map(|stamp| {
        let mut record = record();
        record.version.stamp = stamp;
        let bytes = record.to_bytes();
        (record_id(&bytes), bytes.into())
    });
    Group { records: records.collect(), ..Group::default() }
}

fn opened<F: FileSystem>(fs: F) -> Disk<F> {
    open(fs, Config::default(), [6; 16], drop).expect("the disk opens").0
}

fn append<F: FileSystem>(disk: &Disk<F>, group: &Group) {
    disk.commit(group).expect("the disk takes it");
}

pub(super) fn log(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("log");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let real = opened(RealFs::new(folder.path()).expect("it is there"));
    let memory = opened(SimFs::new());
    for count in [1, 64] {
        bench.throughput(Throughput::Elements(count));
        bench.bench_function(format!("append of {count}, in memory"), |bencher| {
            bencher.iter_batched(
                || group(0, count),
                |group| append(&memory, &group),
                BatchSize::SmallInput,
            );
        });
        bench.bench_function(format!("append of {count}, flushed"), |bencher| {
            bencher.iter_batched(
                || group(0, count),
                |group| append(&real, &group),
                BatchSize::SmallInput,
            );
        });
    }
    bench.finish();
}

pub(super) fn recovery(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("recovery");
    let fs = SimFs::new();
    let disk = opened(fs.clone());
    (0..RECORDS / 50).for_each(|at| append(&disk, &group(at * 50, 50)));
    drop(disk);
    bench.throughput(Throughput::Elements(RECORDS)).sample_size(10);
    bench.bench_function("of 10,000 records", |bencher| {
        bencher.iter_batched(|| fs.restart(), opened, BatchSize::LargeInput);
    });
    bench.finish();
}
