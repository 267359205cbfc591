//! Health: a daemon that has nothing to do does nothing, and one that has worked keeps nothing.
//!
//! Knows `/proc`. Invariant: bounds are wide enough for a busy machine, and far below what the fault would give.

use super::process::run_dfs;
use super::{Network, noise, text};
use std::fs;
use std::thread;
use std::time::Duration;

#[test]
fn a_disconnect_keeps_nobody_busy() {
    let mut network = Network::start(3);
    network.put(0, "file", &noise(100_000, 1));
    network.wait_for_copies(0, "file", 3);
    network.nodes[2].kill();
    thread::sleep(Duration::from_secs(1));
    let before = network.nodes[0].processor_time();
    thread::sleep(Duration::from_secs(3));
    let used = network.nodes[0].processor_time() - before;
    assert!(used < Duration::from_millis(300), "{used:?} in 3 s");
    let lines = network.nodes[0].log().lines().count();
    assert!(lines < 100, "{lines} lines of log");
}

#[test]
fn a_client_that_goes_away_keeps_nobody_busy() {
    let network = Network::alone();
    network.put(0, "file", &noise(8 << 20, 2));
    let data = text(&network.nodes[0].data);
    for _ in 0..5 {
        let mut child = super::process::spawn_dfs(&["--data", &data, "cat", "file"]);
        thread::sleep(Duration::from_millis(50));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    thread::sleep(Duration::from_millis(500));
    let before = network.nodes[0].processor_time();
    thread::sleep(Duration::from_secs(2));
    let used = network.nodes[0].processor_time() - before;
    assert!(used < Duration::from_millis(200), "{used:?} in 2 s");
}

#[test]
fn operations_leave_no_descriptor_open() {
    let network = Network::start(2);
    let round = |index: usize| {
        let name = format!("file {}", index % 20);
        // Every second one is a file of blocks in the tree.
        let size = if index.is_multiple_of(2) { 10 } else { 100_000 };
        network.put(0, &name, &noise(size, index as u64));
        network.cat(1, &name);
        network.dfs(0, &["stat", "missing"]).fails_with(4);
        network.dfs(0, &["ls"]).ok();
    };
    (0..5).for_each(round);
    let before = network.nodes.iter().map(|node| node.descriptors());
    let before: Vec<Option<usize>> = before.collect();
    (0..50).for_each(round);
    // Connections that have just ended may still be counted.
    thread::sleep(Duration::from_millis(500));
    for (node, before) in network.nodes.iter().zip(before) {
        let (Some(before), Some(after)) = (before, node.descriptors()) else {
            eprintln!("the system does not tell of descriptors");
            return;
        };
        assert!(after <= before + 8, "{before} before, {after} after");
    }
}

#[test]
fn memory_does_not_grow_with_a_file() {
    let network = Network::start(2);
    let local = network.path("large");
    fs::write(&local, noise(96 << 20, 3)).unwrap();
    network.dfs(0, &["put", &text(&local), "large"]).ok();
    let back = text(&network.path("back"));
    network.dfs(1, &["get", "large", &back]).ok();
    assert!(fs::read(&back).unwrap() == fs::read(&local).unwrap());
    for node in &network.nodes {
        let status = fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib: u64 = line
            .and_then(|line| line.split_whitespace().nth(1))
            .and_then(|number| number.parse().ok())
            .unwrap();
        assert!(kib < 80 * 1024, "{kib} KiB at the most");
    }
}

#[test]
fn status_and_peers_tell_something() {
    let network = Network::start(2);
    for arguments in [&["status"][..], &["status", "--json"], &["peers"], &["peers", "--json"]] {
        let said = network.dfs(0, arguments).text();
        assert!(!said.trim().is_empty(), "{arguments:?}");
    }
    assert_eq!(network.dfs(0, &["peers", "--json"]).text().lines().count(), 1);
    let version = run_dfs(&["--version"], b"").text();
    assert!(version.starts_with("dfs "), "{version}");
}
