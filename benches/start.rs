//! What a start costs on a large log: `cargo bench --locked --features testing --bench start -- FOLDER [COUNT] [KIND]`.
//!
//! Fills FOLDER, if it is empty, with COUNT names of 4 KiB; or, by KIND, with as many `versions` of one name, or `names`
//! or `one` (versions of one name) that all have one block. Else it starts on it, as after a kill: the seconds until a node
//! can answer, the bytes that were read, and the memory that it takes; and goes on until the first mark of a collection is
//! over, by a clock that does not wait: the processor time of that, and of its longest step. Knows no daemon and no socket.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::cast_precision_loss,
    reason = "it reads a clock, the entropy and what the system counts, and nobody needs the last digit"
)]

use bytes::Bytes;
use dfsd::crypto::keys::{NetworkKey, NodeKey, RootKey, record_id};
use dfsd::crypto::tree;
use dfsd::daemon::{self, Options};
use dfsd::ids::{Address, NameId, VersionId, Writer};
use dfsd::node::{Action, Node};
use dfsd::server::work::execute;
use dfsd::store::fs::RealFs;
use dfsd::store::values::Group;
use dfsd::store::{self, Config, Disk};
use dfsd::time::{Instant, Now};
use dfsd::wire::message::BlockRef;
use dfsd::wire::record::{BlockList, Record, RecordKind};
use rand::rngs::{ChaCha8Rng, SysRng};
use rand::{Rng, SeedableRng, TryRng};
use std::path::Path;
use std::time::Duration;

const GROUP: u64 = 64;
/// By then the first mark is over, with the pause after a start.
const MARKED: Duration = Duration::from_secs(60);
const STAMP: u64 = 1_795_305_600_000 << 16;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let Some(folder) = words.first().map(Path::new) else {
        println!("a folder is wanted; see benches/start.rs");
        return;
    };
    let count = words.get(1).map_or(1_000_000, |word| word.parse().expect("a number is wanted"));
    if !folder.join("log").exists() {
        let kind = words.get(2).map(String::as_str).unwrap_or_default();
        let (is_one_name, is_one_block) =
            (matches!(kind, "versions" | "one"), matches!(kind, "names" | "one"));
        return fill(folder, count, is_one_name, is_one_block);
    }
    start(folder);
}

fn fill(folder: &Path, count: u64, is_one_name: bool, is_one_block: bool) {
    let fs = RealFs::new(folder).expect("the folder can be made");
    let (disk, _) = store::open(fs, Config::default(), [1; 16], drop).expect("it opens");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for first in (0..count).step_by(usize::try_from(GROUP).expect("it is small")) {
        let mut group = Group::default();
        for number in first..count.min(first + GROUP) {
            let mut block = vec![0; 4096];
            if !is_one_block {
                rng.fill_bytes(&mut block);
            }
            let address = Address(tree::tree(&block).0);
            if !is_one_block || number == 0 {
                group.small.push((address, Bytes::from(block)));
            }
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

/// Bytes of memory that this process has, or has had at most.
fn memory(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    1024 * kib.unwrap_or(0)
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
    let (began, before, memory) = (std::time::Instant::now(), read(), memory("VmRSS:"));
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
    let count = node.summary().records.count.max(1);
    // As a daemon does that has read nothing for a while.
    dfsd::net::trim_heap();
    let taken = |now: u64| now.saturating_sub(memory) as f64 / count as f64;
    println!(
        "memory {:.1} bytes a record, {:.1} at most",
        taken(self::memory("VmRSS:")),
        taken(self::memory("VmHWM:"))
    );
    let end = go_on(&mut node, &disk, now, now.instant);
    println!("what it had to do then was done after {:.2} s", began.elapsed().as_secs_f64());
    go_on(&mut node, &disk, Now { instant: end, ..now }, end + MARKED);
    std::mem::forget(disk);
    drop(node);
}

/// Does what the node asks for, and what is due until then.
fn go_on(node: &mut Node, disk: &Disk<RealFs>, mut now: Now, until: Instant) -> Instant {
    let (mut steps, mut total, mut longest, mut jobs) = (0_u64, 0, 0, 0);
    let mut step = |work: &mut dyn FnMut()| {
        let before = cpu();
        work();
        let took = cpu() - before;
        (steps, total, longest) = (steps + 1, total + took, longest.max(took));
    };
    loop {
        if let Some(action) = node.poll_action() {
            let Action::Job(job) = action else { continue };
            let before = cpu();
            let mut done = Some(execute(disk, job));
            jobs += cpu() - before;
            step(&mut || node.done(now, done.take().expect("it is done once")));
            continue;
        }
        let Some(due) = node.poll_timeout().filter(|due| *due <= until) else { break };
        let passed = due.max(now.instant).since(now.instant);
        let millis = u64::try_from(passed.as_millis()).expect("it is soon");
        now = Now { instant: due.max(now.instant), wall_ms: now.wall_ms + millis };
        step(&mut || node.handle_timeout(now));
    }
    let ms = |nanos: u64| nanos as f64 / 1e6;
    println!(
        "  {steps} steps of the loop, {:.1} ms in all, the longest {:.2} ms; work on the disk {:.1} ms",
        ms(total),
        ms(longest),
        ms(jobs)
    );
    now.instant
}

/// Nanoseconds of a processor that this thread has used.
fn cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).expect("it is positive")
}
