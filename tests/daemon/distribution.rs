//! Distribution: files reach nodes without anybody asking, whoever was away, late, wiped or frozen.
//!
//! Knows no damage. Invariant: a node that is asked alone, the others stopped, shows what it holds itself.

use super::process::{Daemon, run_dfs};
use super::{Network, noise, text, wait_for, wipe};
use rustix::process::Signal;
use std::time::Duration;

const MANY_BLOCKS: usize = 5 * 1024 * 1024 + 1;

#[test]
fn every_node_alone_gives_what_was_put_on_one() {
    let mut network = Network::start(3);
    let large = noise(MANY_BLOCKS, 1);
    network.put(0, "large", &large);
    network.put(0, "small", b"small");
    network.put(0, "empty", b"");
    for name in ["large", "small", "empty"] {
        network.wait_for_copies(0, name, 3);
    }
    network.nodes[0].kill();
    network.nodes[1].kill();
    assert!(network.cat(2, "large") == large);
    network.nodes[2].kill();
    network.nodes[1].restart();
    assert!(network.cat(1, "large") == large);
    assert_eq!(network.cat(1, "small"), b"small");
    assert_eq!(network.cat(1, "empty"), b"");
}

#[test]
fn a_node_gives_at_once_what_it_has_not_got() {
    let network = Network::start(3);
    let bytes = noise(MANY_BLOCKS, 2);
    network.put(0, "fresh", &bytes);
    // No wait: the copy is at most under way.
    assert!(network.cat(2, "fresh") == bytes);
    assert!(network.cat(1, "fresh") == bytes);
}

/// A node whose disk is full to its reserve, and what it is for a reader all the same.
#[test]
fn a_node_without_room_is_read_through_and_has_everything_once_there_is_room() {
    let mut network = Network::alone();
    network.join_with(&["--reserve", "1000000GiB"]);
    network.wait_connected();
    let files = [("small", 5), ("blocks", 3_000_000), ("pages", 20 << 20)];
    for (seed, (name, size)) in files.into_iter().enumerate() {
        network.put(0, name, &noise(size, seed as u64));
    }
    network.put(0, "doomed", b"doomed");
    for (seed, (name, size)) in files.into_iter().enumerate() {
        assert!(network.cat(1, name) == noise(size, seed as u64), "{name}");
    }
    network.dfs(1, &["cat", "none"]).fails_with(4);
    let refused = network.dfs_with(1, &["put", "-", "new"], b"new");
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    let status = network.dfs(1, &["status"]).text();
    assert!(status.contains("blocks   0 (0 B)"), "nothing is kept: {status}");
    assert!(status.contains("warning  the disk has no room beyond its reserve"), "{status}");
    network.dfs(1, &["rm", "doomed"]).ok();
    wait_for("it is deleted everywhere", || network.dfs(0, &["cat", "doomed"]).code == 4);
    assert_eq!(network.nodes[1].stop(Signal::TERM), Some(0));
    network.nodes[1].restart();
    for (name, _) in files {
        network.wait_for_copies(0, name, 2);
    }
    network.nodes[0].kill();
    for (seed, (name, size)) in files.into_iter().enumerate() {
        assert!(network.cat(1, name) == noise(size, seed as u64), "{name}");
    }
}

#[test]
fn copies_are_not_claimed_before_they_are_there() {
    let mut network = Network::start(2);
    network.nodes[1].freeze();
    let bytes = noise(MANY_BLOCKS, 3);
    network.put(0, "claimed", &bytes);
    let copies = network.stat(0, "claimed", "copies");
    assert_eq!(copies.as_deref(), Some("1"));
    network.nodes[1].thaw();
    network.wait_for_copies(0, "claimed", 2);
    network.nodes[0].kill();
    assert!(network.cat(1, "claimed") == bytes);
}

#[test]
fn a_node_that_was_away_gets_puts_and_deletes() {
    let mut network = Network::start(3);
    network.put(0, "doomed", &noise(200_000, 4));
    network.wait_for_copies(0, "doomed", 3);
    network.nodes[2].stop(Signal::TERM);
    network.dfs(0, &["rm", "doomed"]).ok();
    let bytes = noise(MANY_BLOCKS, 5);
    network.put(1, "new", &bytes);
    network.wait_for_copies(1, "new", 2);
    network.nodes[2].restart();
    network.wait_for_copies(0, "new", 3);
    wait_for("the delete has come", || network.names(2) == ["new"]);
    network.nodes[0].kill();
    network.nodes[1].kill();
    assert!(network.cat(2, "new") == bytes);
    assert_eq!(network.dfs(2, &["cat", "doomed"]).stdout, b"");
    assert_eq!(network.names(2), ["new"]);
}

#[test]
fn a_wiped_node_refills() {
    let mut network = Network::start(3);
    let bytes = noise(MANY_BLOCKS, 6);
    network.put(0, "kept", &bytes);
    network.put(2, "small", b"small");
    network.wait_for_copies(0, "kept", 3);
    network.wait_for_copies(0, "small", 3);
    network.nodes[2].kill();
    wipe(&network.nodes[2].data);
    network.nodes[2].restart();
    network.wait_connected();
    network.wait_for_copies(0, "kept", 3);
    network.wait_for_copies(0, "small", 3);
    network.nodes[0].kill();
    network.nodes[1].kill();
    assert!(network.cat(2, "kept") == bytes);
    assert_eq!(network.cat(2, "small"), b"small");
}

#[test]
fn a_node_that_joins_late_gets_everything() {
    let mut network = Network::alone();
    let bytes = noise(MANY_BLOCKS, 7);
    network.put(0, "early", &bytes);
    network.put(0, "gone", b"gone");
    network.dfs(0, &["rm", "gone"]).ok();
    network.join();
    network.wait_for_copies(0, "early", 2);
    network.nodes[0].kill();
    assert!(network.cat(1, "early") == bytes);
    assert_eq!(network.names(1), ["early"]);
}

#[test]
fn a_node_that_has_not_heard_from_the_others_says_so() {
    let mut network = Network::start(2);
    network.put(0, "kept", b"kept");
    network.wait_for_copies(0, "kept", 2);
    wait_for("all is heard", || network.dfs(1, &["ls", "--strict"]).code == 0);
    network.nodes[0].stop(Signal::TERM);
    network.dfs(1, &["ls", "--strict"]).ok();
    network.nodes[1].stop(Signal::TERM);
    network.nodes[1].restart();
    let listed = network.dfs(1, &["ls"]);
    assert!(listed.stderr.contains("compared with no other since its start"), "{}", listed.stderr);
    assert_eq!(listed.ok(), b"kept\n");
    let strict = network.dfs(1, &["ls", "--strict"]);
    assert_eq!((strict.code, strict.text().as_str()), (3, "kept\n"), "{}", strict.stderr);
    assert_eq!(network.dfs(1, &["-q", "ls"]).stderr, "");
    let absent = network.dfs(1, &["cat", "other"]);
    assert_eq!(absent.code, 4);
    assert!(absent.stderr.contains("it may not know of the name yet"), "{}", absent.stderr);
    let status = String::from_utf8(network.dfs(1, &["status"]).ok()).unwrap();
    assert!(status.contains("sync     compared with no other node since the start"), "{status}");
    network.nodes[0].restart();
    wait_for("all is heard", || network.dfs(1, &["ls", "--strict"]).code == 0);
}

#[test]
fn a_peer_that_comes_late_joins_all_the_same() {
    let mut network = Network::alone();
    network.nodes[0].stop(Signal::TERM);
    network.join();
    std::thread::sleep(Duration::from_millis(300));
    network.nodes[0].restart();
    network.join();
    network.wait_connected();
}

#[test]
fn nodes_find_each_other_again_after_all_were_stopped() {
    let mut network = Network::start(3);
    for node in &mut network.nodes {
        assert_eq!(node.stop(Signal::TERM), Some(0));
    }
    // The order is another one, and no ticket is given again.
    for node in network.nodes.iter_mut().rev() {
        node.restart();
    }
    network.wait_connected();
}

#[test]
fn a_frozen_peer_delays_nobody() {
    let network = Network::start(3);
    let bytes = noise(MANY_BLOCKS, 8);
    network.nodes[2].freeze();
    let put = network.dfs_with(0, &["put", "-", "quick"], &bytes);
    assert!(put.took < Duration::from_secs(5), "put took {:?}", put.took);
    put.ok();
    let got = network.dfs(1, &["cat", "quick"]);
    assert!(got.took < Duration::from_secs(6), "get took {:?}", got.took);
    assert!(got.ok() == bytes);
    let missing = network.dfs(0, &["cat", "nowhere"]);
    let took = missing.took;
    assert!(took < Duration::from_secs(6), "a missing name took {took:?}");
    network.nodes[2].thaw();
    network.wait_for_copies(0, "quick", 3);
}

#[test]
fn a_dead_peer_fails_no_put_and_no_get() {
    let mut network = Network::start(3);
    network.nodes[2].kill();
    for index in 0..5 {
        let name = format!("file {index}");
        let put = network.dfs_with(index % 2, &["put", "-", &name], name.as_bytes());
        assert!(put.took < Duration::from_secs(5), "put took {:?}", put.took);
        put.ok();
        assert_eq!(network.cat(1 - index % 2, &name), name.as_bytes());
    }
    network.nodes[2].restart();
    network.wait_for_copies(0, "file 4", 3);
}

#[test]
fn a_ticket_is_all_that_a_client_needs() {
    let mut network = Network::start(2);
    let ticket = text(&network.ticket());
    let bytes = noise(MANY_BLOCKS, 9);
    run_dfs(&["--ticket", &ticket, "put", "-", "far"], &bytes).ok();
    assert!(run_dfs(&["--ticket", &ticket, "cat", "far"], b"").ok() == bytes);
    // A ticket of two addresses is good while one of them answers.
    let both = network.path("both");
    super::write_private(&both, &network.dfs(1, &["ticket"]).ok());
    network.wait_for_copies(1, "far", 2);
    network.nodes[1].kill();
    let got = run_dfs(&["--ticket", &text(&both), "cat", "far"], b"");
    assert!(got.ok() == bytes);
}

#[test]
fn a_ticket_can_come_by_stdin() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let network = Network::alone();
    let data = network.path("piped");
    let ticket = std::fs::read(network.ticket()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_dfsd"))
        .args(["--data", &text(&data), "--listen", "127.0.0.1:0", "--join", "-"])
        .env("HOME", network.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&ticket).unwrap();
    wait_for("it joins", || network.connected(0) == 1);
    wait_for("it has written down where the other is", || data.join("peers").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    // Once is enough.
    let _again = Daemon::start(&data, "127.0.0.1:0", &[]);
    wait_for("it joins again", || network.connected(0) == 1);
}
