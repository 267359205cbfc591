//! What a start costs on a large log: `cargo bench --locked --features testing --bench start -- FOLDER [COUNT] [versions]`.
//!
//! Fills FOLDER, if it is empty, with COUNT names of 4 KiB, or with as many versions of one name; else it starts on it, as
//! after a kill: the seconds until a node can answer, and the bytes that were read. Knows no daemon and no socket.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it reads a clock, the entropy and what the system counts"
)]

use bytes::Bytes;
use dfsd::crypto::keys::{NetworkKey, NodeKey, RootKey, record_id};
use dfsd::crypto::tree;
use dfsd::daemon::{self, Options};
use dfsd::ids::{Address, NameId, VersionId, Writer};
use dfsd::node::Action;
use dfsd::server::work::execute;
use dfsd::store::fs::RealFs;
use dfsd::store::values::Group;
use dfsd::store::{self, Config};
use dfsd::time::{Instant, Now};
use dfsd::wire::message::BlockRef;
use dfsd::wire::record::{BlockList, Record, RecordKind};
use rand::rngs::{ChaCha8Rng, SysRng};
use rand::{Rng, SeedableRng, TryRng};
use std::path::Path;

const GROUP: u64 = 64;
const STAMP: u64 = 1_795_305_600_000 << 16;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let Some(folder) = words.first().map(Path::new) else {
        println!("a folder is wanted; see benches/start.rs");
        return;
    };
    let count = words.get(1).map_or(1_000_000, |word| word.parse().expect("a number is wanted"));
    if !folder.join("log").exists() {
        return fill(folder, count, words.get(2).is_some_and(|word| word == "versions"));
    }
    start(folder);
}

fn fill(folder: &Path, count: u64, is_one_name: bool) {
    let fs = RealFs::new(folder).expect("the folder can be made");
    let (disk, _) = store::open(fs, Config::default(), [1; 16], drop).expect("it opens");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for first in (0..count).step_by(usize::try_from(GROUP).expect("it is small")) {
        let mut group = Group::default();
        for number in first..count.min(first + GROUP) {
            let mut block = vec![0; 4096];
            rng.fill_bytes(&mut block);
            let address = Address(tree::tree(&block).0);
            group.small.push((address, Bytes::from(block)));
            let record = Bytes::from(record(number, address, is_one_name, &mut rng).to_bytes());
            group.records.push((record_id(&record), record));
        }
        disk.commit(&group).expect("it is written");
    }
    // As after a kill.
    std::mem::forget(disk);
}

fn record(number: u64, block: Address, is_one_name: bool, rng: &mut ChaCha8Rng) -> Record {
    let version = |number| VersionId { stamp: STAMP + number, writer: Writer([7; 8]) };
    let mut name = NameId([9; 32]);
    let mut record = Record::unsigned(RecordKind::File, name, version(number));
    if !is_one_name {
        rng.fill_bytes(&mut name.0);
        record.name = name;
    } else if number > 0 {
        record.parents = vec![version(number - 1)];
    }
    record.blocks = BlockList::Inline(vec![BlockRef { address: block, length: 4096 }]);
    record.sealed = vec![0; 200];
    rng.fill_bytes(&mut record.sealed);
    rng.fill_bytes(&mut record.signature);
    record
}

/// Bytes that this process has read until now.
fn read() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.map_or(0, |bytes| bytes.parse().expect("it is a number"))
}

fn start(folder: &Path) {
    let root = RootKey::generate(&[1; 32]);
    let network = NetworkKey::generate(&[2; 32], &root);
    let key = NodeKey::generate(&[5; 32]);
    let now = Now { instant: Instant(1), wall_ms: 1_795_305_600_000 };
    // No two starts have the same entropy.
    let mut entropy = [0; 16];
    SysRng.try_fill_bytes(&mut entropy).expect("the system gives random bytes");
    let (began, before) = (std::time::Instant::now(), read());
    let fs = RealFs::new(folder).expect("it is there");
    let opened = daemon::open(fs, Config::default(), network.root, entropy).expect("it opens");
    let (opened_s, opened_bytes) = (began.elapsed().as_secs_f64(), read() - before);
    let (mut node, disk) = opened.start(Options::new(&network, &key), now);
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "opened after {opened_s:.2} s, started after {seconds:.2} s, {} MiB read, {} records",
        opened_bytes >> 20,
        node.summary().records.count
    );
    while let Some(action) = node.poll_action() {
        if let Action::Job(job) = action {
            node.done(now, execute(&disk, job));
        }
    }
    println!("what it had to do then was done after {:.2} s", began.elapsed().as_secs_f64());
    std::mem::forget(disk);
    drop(node);
}
