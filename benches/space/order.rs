//! The first list by a prefix of a node that has many names: what putting them in order costs.

use super::daemon::{Daemon, end_load, scratch, tell_load};
use super::probe::{slowest, watch};
use std::time::{Duration, Instant};

const PREFIX: &str = "load-1/0ab";

pub(super) fn order(count: u64) {
    let folder = scratch();
    let mut nodes = Daemon::network(folder.path(), 1);
    nodes[0].load(&format!("put --size 16 --ops {count} --conns 16 --depth 4"));
    for _ in 0..2 {
        nodes[0].settle();
        drop(nodes.pop());
        nodes.push(Daemon::start(&folder.path().join("node1"), &[]));
        let node = &nodes[0];
        // What a start gives rise to: a mark of everything.
        std::thread::sleep(Duration::from_secs(12));
        node.settle();
        tell_load();
        let (watched, idle) = (watch(node, Duration::from_secs(40)), Instant::now());
        std::thread::sleep(Duration::from_secs(5));
        let (cpu, begun) = (node.cpu(), Instant::now());
        std::thread::sleep(Duration::from_secs(5));
        let rest = (node.cpu() - cpu) / begun.elapsed().as_secs_f64();
        let (cpu, memory, begun) = (node.cpu(), node.memory(), Instant::now());
        let at = usize::try_from(idle.elapsed().as_secs()).unwrap();
        let names =
            node.expect(&["ls", PREFIX]).stdout.iter().filter(|byte| **byte == b'\n').count();
        let (first, first_cpu) = (begun.elapsed(), node.cpu() - cpu);
        let mut last = node.cpu();
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = node.cpu();
            if now - last < 1.5 * rest + 0.02 {
                break;
            }
            last = now;
        }
        let took = begun.elapsed().as_secs_f64();
        let used = node.cpu() - cpu - rest * took;
        println!(
            "the first ls of {names} of {count} names: {:.2} s, processor of the daemon {first_cpu:.2} s",
            first.as_secs_f64()
        );
        println!(
            "until all is in order    {took:.1} s at most, processor {used:.2} s beyond the probe's {rest:.3} a second"
        );
        let again = Instant::now();
        let cpu = node.cpu();
        node.expect(&["ls", PREFIX]);
        println!(
            "the second ls            {:.4} s, processor {:.4} s",
            again.elapsed().as_secs_f64(),
            node.cpu() - cpu
        );
        let told = end_load(watched);
        println!(
            "slowest get              {} us in {} s of rest, {} us in the 10 s from ls on",
            slowest(&told, 1..at),
            at - 1,
            slowest(&told, at..at + 10)
        );
        // What is free goes back to the system when the node has rested for ten seconds.
        std::thread::sleep(Duration::from_secs(12));
        let grown = node.memory().saturating_sub(memory);
        println!(
            "memory                   {:.1} bytes a name more, of names of {} bytes",
            grown as f64 / count as f64,
            "load-1/0ab/c0ab".len()
        );
    }
}
