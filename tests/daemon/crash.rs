//! Crashes: what was acknowledged survives kill -9, and what was not is not there at all.
//!
//! Knows no power cut (the simulator does). Invariant: a process is killed by SIGKILL, without a warning.

use super::process::{Daemon, spawn_dfs, wait_for_end};
use super::{Network, TIMEOUT, noise, text};
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::time::Duration;

#[test]
fn all_killed_and_started_again_have_everything() {
    let mut network = Network::start(3);
    let large = noise(5_000_000, 1);
    network.put(0, "large", &large);
    for index in 0..20_usize {
        let name = format!("small/{index}");
        network.put(index % 3, &name, &noise(index * 1000, index as u64));
    }
    // Acknowledged this moment: durable on the one that said so.
    network.put(1, "last", b"last");
    for node in &mut network.nodes {
        node.kill();
    }
    for node in &mut network.nodes {
        node.restart();
    }
    network.wait_connected();
    assert!(network.cat(2, "large") == large);
    assert_eq!(network.cat(0, "last"), b"last");
    for index in 0..20_usize {
        let name = format!("small/{index}");
        let expected = noise(index * 1000, index as u64);
        assert!(network.cat((index + 1) % 3, &name) == expected, "{name}");
    }
    assert_eq!(network.dfs(0, &["verify"]).code, 0);
}

#[test]
fn an_acknowledged_put_outlives_its_node_at_once() {
    let mut network = Network::alone();
    for round in 0..4_u64 {
        let bytes = noise(1_300_000, round);
        network.put(0, "kept", &bytes);
        network.nodes[0].kill();
        network.nodes[0].restart();
        assert!(network.cat(0, "kept") == bytes, "round {round}");
    }
}

#[test]
fn an_interrupted_put_is_not_there() {
    let network = Network::start(2);
    network.put(0, "page", b"before");
    for name in ["page", "torso"] {
        let data = text(&network.nodes[0].data);
        let mut child = spawn_dfs(&["--data", &data, "put", "-", name]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&noise(3_500_000, 1)).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        child.kill().unwrap();
        child.wait().unwrap();
        drop(stdin);
    }
    network.dfs(0, &["stat", "torso"]).fails_with(4);
    network.dfs(1, &["stat", "torso"]).fails_with(4);
    assert_eq!(network.cat(0, "page"), b"before");
    assert_eq!(network.names(1), ["page"]);
}

#[test]
fn a_put_whose_node_dies_fails() {
    let mut network = Network::alone();
    let data = text(&network.nodes[0].data);
    let mut child = spawn_dfs(&["--data", &data, "put", "-", "torso"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&noise(3_500_000, 2)).unwrap();
    network.nodes[0].kill();
    // It may fail while it is written to.
    let _ = stdin.write_all(&noise(3_500_000, 3));
    drop(stdin);
    let code = wait_for_end(&mut child, TIMEOUT);
    assert_eq!(code, Some(5));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("torso: the connection to the node broke"), "{said}");
    network.nodes[0].restart();
    network.dfs(0, &["stat", "torso"]).fails_with(4);
}

#[test]
fn a_get_whose_source_dies_leaves_no_plausible_file() {
    let mut network = Network::alone();
    let bytes = noise(48 << 20, 4);
    network.put(0, "large", &bytes);
    network.join();
    network.wait_connected();
    let out = network.path("out");
    fs::create_dir(&out).unwrap();
    let back = out.join("back");
    let data = text(&network.nodes[1].data);
    let mut child = spawn_dfs(&["--data", &data, "get", "large", &text(&back)]);
    std::thread::sleep(Duration::from_millis(150));
    network.nodes[0].kill();
    match wait_for_end(&mut child, TIMEOUT) {
        // It was quicker than the kill.
        Some(0) => assert!(fs::read(&back).unwrap() == bytes),
        code => {
            assert!(code.is_some_and(|code| code != 0), "{code:?}");
            assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "something is left");
        }
    }
    // Not a word of it later either.
    let again = network.dfs(1, &["cat", "large"]);
    assert!(again.code != 0 || again.stdout == bytes);
}

#[test]
fn a_get_goes_on_from_another_source() {
    let mut network = Network::start(2);
    let bytes = noise(48 << 20, 5);
    network.put(0, "large", &bytes);
    network.wait_for_copies(0, "large", 2);
    network.join();
    let back = network.path("back");
    let data = text(&network.nodes[2].data);
    network.wait_connected();
    let mut child = spawn_dfs(&["--data", &data, "get", "large", &text(&back)]);
    std::thread::sleep(Duration::from_millis(150));
    network.nodes[0].kill();
    assert_eq!(wait_for_end(&mut child, TIMEOUT), Some(0));
    assert!(fs::read(&back).unwrap() == bytes);
}

/// Like a pager that shows the first page for a while.
#[test]
fn a_cat_outlives_its_node() {
    let mut network = Network::alone();
    let bytes = noise((48 << 20) + 12_345, 6);
    network.put(0, "large", &bytes);
    let data = text(&network.nodes[0].data);
    let mut child = spawn_dfs(&["--data", &data, "cat", "large"]);
    let mut output = child.stdout.take().unwrap();
    let mut read = vec![0; 5_000_000];
    output.read_exact(&mut read).unwrap();
    for signal in [None, Some(Signal::TERM)] {
        match signal {
            None => network.nodes[0].kill(),
            Some(signal) => assert!(network.nodes[0].stop(signal).is_some()),
        }
        // It goes on for as long as there are bytes, and then waits for a node.
        network.nodes[0].restart();
        let more = read.len() + 10_000_000;
        let already = read.len();
        read.resize(more, 0);
        output.read_exact(&mut read[already..]).unwrap();
    }
    output.read_to_end(&mut read).unwrap();
    assert_eq!(wait_for_end(&mut child, TIMEOUT), Some(0));
    assert!(read == bytes);
}

#[test]
fn a_get_goes_on_at_another_node_of_its_ticket() {
    goes_on_elsewhere(Daemon::kill);
}

#[test]
fn a_get_goes_on_at_another_node_when_its_own_falls_silent() {
    goes_on_elsewhere(|node| node.freeze());
}

fn goes_on_elsewhere(harm: impl Fn(&mut Daemon)) {
    let mut network = Network::start(2);
    let bytes = noise(32 << 20, 8);
    network.put(0, "large", &bytes);
    network.wait_for_copies(0, "large", 2);
    let both = network.path("both");
    super::write_private(&both, &network.dfs(0, &["ticket"]).ok());
    let mut child = spawn_dfs(&["--ticket", &text(&both), "cat", "large"]);
    let mut output = child.stdout.take().unwrap();
    let mut read = vec![0; 3_000_000];
    output.read_exact(&mut read).unwrap();
    harm(&mut network.nodes[0]);
    output.read_to_end(&mut read).unwrap();
    assert_eq!(wait_for_end(&mut child, TIMEOUT), Some(0));
    assert!(read == bytes);
}

#[test]
fn a_get_ends_when_no_node_comes_back() {
    let mut network = Network::alone();
    network.put(0, "large", &noise(48 << 20, 7));
    let data = text(&network.nodes[0].data);
    let mut child = spawn_dfs(&["--data", &data, "cat", "large"]);
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0; 1_000_000]).unwrap();
    network.nodes[0].kill();
    output.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(wait_for_end(&mut child, TIMEOUT), Some(5));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("large: the connection to the node broke"), "{said}");
}

#[test]
fn signals_end_a_daemon_well() {
    let mut network = Network::alone();
    network.put(0, "kept", b"kept");
    for signal in [Signal::TERM, Signal::INT] {
        assert_eq!(network.nodes[0].stop(signal), Some(0));
        network.nodes[0].restart();
        assert_eq!(network.cat(0, "kept"), b"kept");
    }
}
