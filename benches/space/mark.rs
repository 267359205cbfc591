//! A mark over many records, after one of them has expired.

use super::daemon::{Daemon, end_load, scratch, tell_load, wait};
use super::probe::{slowest, watch};
use std::time::{Duration, Instant};

pub(super) fn mark(count: u64) {
    let folder = scratch();
    let nodes = Daemon::network(folder.path(), 1);
    let node = &nodes[0];
    node.load(&format!("put --size 16 --ops {count} --conns 16 --depth 4"));
    let counted = || node.whole_status()["counted_at"].to_string();
    // What the puts themselves gave rise to.
    std::thread::sleep(Duration::from_secs(90));
    node.settle();
    tell_load();
    for round in 0..3 {
        let before = counted();
        let watched = watch(node, Duration::from_secs(60));
        std::thread::sleep(Duration::from_secs(10));
        let (cpu, begun) = (node.cpu(), Instant::now());
        std::thread::sleep(Duration::from_secs(5));
        let rest = (node.cpu() - cpu) / begun.elapsed().as_secs_f64();
        node.expect(&["-q", "rm", &format!("load-1/00{round:x}/{round:x}")]);
        let (cpu, begun) = (node.cpu(), Instant::now());
        wait(Duration::from_secs(200), "a mark", || counted() != before);
        let took = begun.elapsed().as_secs_f64();
        println!(
            "mark over {count} records: counted {took:.1} s after rm, processor {:.2} s beyond the probe's {rest:.3} a second",
            node.cpu() - cpu - rest * took
        );
        let told = end_load(watched);
        println!(
            "slowest get              {} us in 10 s of rest, {} us in the 45 s that followed",
            slowest(&told, 2..14),
            slowest(&told, 15..60)
        );
    }
    tell_load();
}
