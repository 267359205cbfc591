//! Compaction: every second file of a log goes, so that all segments are half full.

use super::daemon::{Daemon, end_load, mib, scratch, tell_load};
use super::probe::Seen;
use std::time::{Duration, Instant};

pub(super) fn compact(count: u64) {
    let folder = scratch();
    let nodes = Daemon::network(folder.path(), 1);
    let node = &nodes[0];
    // Side by side, at one rate: a segment has as many of both. A little more goes than stays.
    let words = |size: u32, seed: u32| {
        format!("put --size {size} --ops {count} --rate 400 --conns 8 --seed {seed}")
    };
    let (stays, goes) = (node.begin_load(&words(15_000, 1)), node.begin_load(&words(16_384, 2)));
    end_load(stays);
    end_load(goes);
    node.settle();
    println!("2 x {count} small files in {:.0} MiB of log", mib(node.status("log_bytes")));
    tell_load();
    let mut rest = Seen::rounds(3, node);
    node.settle();
    let (cpu, written) = (node.cpu(), node.written_and_read().0);
    node.expect(&["-q", "rm", "-r", "load-2"]);
    let deleted = Instant::now();
    let number = |key| node.status(key);
    while number("compaction_written_bytes") == 0 {
        assert!(deleted.elapsed() < Duration::from_secs(300), "compaction does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("compaction began         {:.1} s after rm", deleted.elapsed().as_secs_f64());
    let (mut busy, mut probed) = (Seen::default(), 0);
    let mut last = u64::MAX;
    // It is over when a whole round brought nothing more.
    loop {
        let now = number("compaction_freed_bytes") + number("compaction_written_bytes");
        if now == last {
            break;
        }
        if last != u64::MAX {
            println!(
                "  {:5.1} s: {:.0} MiB written, {:.0} MiB freed",
                deleted.elapsed().as_secs_f64(),
                mib(number("compaction_written_bytes")),
                mib(number("compaction_freed_bytes"))
            );
        }
        last = now;
        busy.round(node);
        probed += 1;
    }
    let (anew, freed) = (number("compaction_written_bytes"), number("compaction_freed_bytes"));
    let all = node.written_and_read().0 - written;
    println!(
        "written anew             {:.0} MiB for {:.0} MiB of segments removed: {:.2} for each byte that came free",
        mib(anew),
        mib(freed),
        anew as f64 / (freed.saturating_sub(anew)).max(1) as f64
    );
    println!(
        "written by the process   {:.0} MiB, with tombstones, expiries and the probe ({probed} rounds): {:.2}",
        mib(all),
        all as f64 / (freed.saturating_sub(anew)).max(1) as f64
    );
    println!("processor                {:.1} s, the probe's operations included", node.cpu() - cpu);
    (0..2).for_each(|_| rest.round(node));
    busy.tell(&rest, "during compaction");
    println!(
        "log                      {:.0} MiB, {:.0} needed",
        mib(number("log_bytes")),
        mib(number("log_needed_bytes"))
    );
    tell_load();
}
