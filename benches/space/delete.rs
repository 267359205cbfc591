//! All files are deleted: how soon their space is back on every node, and what others see until then.

use super::daemon::{Daemon, mib, scratch, tell_load, wait_for_all};
use super::probe::Seen;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Two thirds of the files stand in the log and the others are block files.
const SIZE: &str = "uniform:32KiB-80KiB";

pub(super) fn delete(count: u64, size: Option<&str>) {
    let folder = scratch();
    let nodes = Daemon::network(folder.path(), 2);
    let size = size.unwrap_or(SIZE);
    println!("{count} files of {size} on two nodes");
    nodes[0].load(&format!("put --size {size} --ops {count} --conns 16"));
    wait_for_all(&nodes);
    nodes.iter().for_each(|node| _ = node.settle());
    let stored: Vec<u64> = nodes.iter().map(Daemon::occupied).collect();
    println!("stored                   {:.0} and {:.0} MiB", mib(stored[0]), mib(stored[1]));
    tell_load();
    let mut rest = Seen::rounds(3, &nodes[0]);
    let before: Vec<f64> = nodes.iter().map(Daemon::cpu).collect();
    let (mut during, mut after) = (Seen::default(), Seen::default());
    let begun = Instant::now();
    let is_deleted = AtomicBool::new(false);
    let is_back = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            nodes[0].expect(&["-q", "rm", "-r", "load-1"]);
            println!("rm -r took               {:.1} s", begun.elapsed().as_secs_f64());
            is_deleted.store(true, Ordering::Relaxed);
            await_space(&nodes, &stored, begun);
            is_back.store(true, Ordering::Relaxed);
        });
        while !is_back.load(Ordering::Relaxed) {
            let seen = if is_deleted.load(Ordering::Relaxed) { &mut after } else { &mut during };
            seen.round(&nodes[0]);
        }
    });
    let used = nodes.iter().zip(before).map(|(node, before)| node.cpu() - before);
    println!(
        "processor of each node   {:.1?} s, the probe's own operations included",
        used.collect::<Vec<_>>()
    );
    nodes.iter().for_each(|node| _ = node.settle());
    (0..2).for_each(|_| rest.round(&nodes[0]));
    during.tell(&rest, "during rm");
    after.tell(&rest, "after rm");
    tell_load();
}

/// Waits until what was stored is gone from the disk, but for the log's half-full segments, tombstones and the probe's files.
fn await_space(nodes: &[Daemon], stored: &[u64], begun: Instant) {
    let deleted = Instant::now();
    let mut back = vec![None; nodes.len()];
    while back.iter().any(Option::is_none) {
        std::thread::sleep(Duration::from_secs(1));
        assert!(deleted.elapsed() < Duration::from_secs(900), "the space does not come back");
        for (at, node) in nodes.iter().enumerate() {
            let status = node.whole_status();
            let number = |key: &str| status[key].as_u64().unwrap_or(0);
            let log_is_back = number("log_bytes") <= 2 * number("log_needed_bytes") + (160 << 20);
            let is_back = log_is_back && number("block_bytes") < stored[at] / 100 + (16 << 20);
            if back[at].is_none() && is_back {
                back[at] = Some(());
                println!(
                    "space back on node {}     {:.1} s after rm began, {:.1} s after it ended; {:.0} MiB left on the disk",
                    at + 1,
                    begun.elapsed().as_secs_f64(),
                    deleted.elapsed().as_secs_f64(),
                    mib(node.occupied())
                );
            } else if back[at].is_none() && deleted.elapsed().as_secs().is_multiple_of(10) {
                println!(
                    "  {:4.0} s, node {}: {} blocks, {:.0} MiB; log {:.0} MiB, {:.0} needed; {} records",
                    deleted.elapsed().as_secs_f64(),
                    at + 1,
                    number("blocks"),
                    mib(number("block_bytes")),
                    mib(number("log_bytes")),
                    mib(number("log_needed_bytes")),
                    number("records")
                );
            }
        }
    }
}
