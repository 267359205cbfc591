//! 64 KiB of a file of many GiB, through a proxy that counts.

use super::daemon::{Daemon, mib, scratch, tell_load};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const TIMES: u32 = 50;

pub(super) fn range(gib: u64) {
    let folder = scratch();
    let nodes = Daemon::network(folder.path(), 1);
    let node = &nodes[0];
    // All its blocks are one, so that it takes no room; its pages are as many as those of any file as long.
    let source = folder.path().join("source");
    File::create(&source).unwrap().set_len(gib << 30).unwrap();
    let begun = Instant::now();
    node.expect(&["-q", "put", source.to_str().unwrap(), "large"]);
    println!(
        "{gib} GiB stored in        {:.1} s, {:.1} MiB on the disk",
        begun.elapsed().as_secs_f64(),
        mib(node.occupied())
    );
    node.settle();
    tell_load();
    let (sent, came) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let door = folder.path().join("door");
    counting_door(&node.data, &door, &sent, &came);
    let count = |words: &[&str]| {
        let before = (
            sent.load(Ordering::Relaxed),
            came.load(Ordering::Relaxed),
            node.written_and_read().1,
            node.cpu(),
        );
        let begun = Instant::now();
        let (mut bytes, mut client) = (0, 0.0);
        for _ in 0..TIMES {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dfs"));
            let own = children_cpu();
            let output = command.arg("--data").arg(&door).args(words).output().unwrap();
            client += children_cpu() - own;
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            bytes = output.stdout.len();
        }
        let each = |total: f64| total / f64::from(TIMES);
        println!("{words:?}: {bytes} bytes");
        println!(
            "  sent to the node       {:.0} bytes",
            each((sent.load(Ordering::Relaxed) - before.0) as f64)
        );
        println!(
            "  came from the node     {:.0} bytes",
            each((came.load(Ordering::Relaxed) - before.1) as f64)
        );
        println!(
            "  read by the daemon     {:.0} bytes",
            each((node.written_and_read().1 - before.2) as f64)
        );
        println!("  time                   {:.2} ms", 1e3 * each(begun.elapsed().as_secs_f64()));
        println!(
            "  processor              daemon {:.2} ms, client {:.2} ms",
            1e3 * each(node.cpu() - before.3),
            1e3 * each(client)
        );
    };
    count(&["stat", "large"]);
    let last = 64 * 1024 - 1;
    for first in [0, (gib << 29) + 12_345, (gib << 30) - 100_000] {
        count(&["cat", "large", "--range", &format!("{first}-{}", first + last)]);
    }
    tell_load();
}

/// Seconds of a processor that programs which have ended have used.
fn children_cpu() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    let rest = text.rsplit(") ").next().unwrap();
    // Of user and system mode, in hundredths.
    let ticks: u64 =
        rest.split(' ').skip(13).take(2).map(|word| word.parse::<u64>().unwrap()).sum();
    ticks as f64 / 100.0
}

/// A folder with the keys of a node, and the address of a proxy to it.
fn counting_door(data: &Path, door: &Path, sent: &Arc<AtomicU64>, came: &Arc<AtomicU64>) {
    fs::create_dir(door).unwrap();
    for key in ["network.key", "data.key", "write.key", "node.key"] {
        fs::copy(data.join(key), door.join(key)).unwrap();
    }
    let node = fs::read_to_string(data.join("address")).unwrap().trim().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    fs::write(door.join("address"), format!("{}\n", listener.local_addr().unwrap())).unwrap();
    let (sent, came) = (Arc::clone(sent), Arc::clone(came));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let node = TcpStream::connect(&node).unwrap();
            let (other_client, other_node) =
                (client.try_clone().unwrap(), node.try_clone().unwrap());
            let (sent, came) = (Arc::clone(&sent), Arc::clone(&came));
            std::thread::spawn(move || carry(client, node, &sent));
            std::thread::spawn(move || carry(other_node, other_client, &came));
        }
    });
}

fn carry(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        count.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}
