//! A data folder that was copied, as a disk's image is: two nodes with one key, and how one becomes a node of its own.
//!
//! Knows no wire. Invariant: what either of them has acknowledged reaches everybody.

use super::process::Daemon;
use super::{Network, json_field, wait_for};
use rustix::process::Signal;
use std::fs;
use std::path::Path;

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_copied_node_is_told_of_and_becomes_a_node_of_its_own_with_a_new_key() {
    let mut network = Network::start(2);
    network.put(0, "first", b"first");
    network.wait_for_copies(0, "first", 2);
    network.nodes[1].stop(Signal::TERM);
    let twin = network.path("node2");
    copy(&network.nodes[1].data, &twin);
    network.nodes[1].restart();
    network.wait_connected();
    network.nodes.push(Daemon::start(&twin, "127.0.0.1:0", &[]));

    let warning = |network: &Network, node| {
        let status = String::from_utf8(network.dfs(node, &["status"]).ok()).unwrap();
        status.lines().any(|line| line.starts_with("warning") && line.contains("--new-node-key"))
    };
    wait_for("whoever sees both says so", || warning(&network, 0));
    network.put(2, "of-the-copy", b"a");
    network.put(1, "of-the-other", b"b");
    let all = ["first", "of-the-copy", "of-the-other"];
    wait_for("both replicate", || network.names(0) == all);

    network.nodes[2].stop(Signal::TERM);
    wait_for("it is over", || !warning(&network, 0));
    // Elsewhere: its old address may have been looked at while nobody listened there, and is left alone for a while.
    network.nodes[2] = Daemon::start(&twin, "127.0.0.1:0", &["--new-node-key"]);
    let node = |network: &Network, node| {
        json_field(&network.dfs(node, &["status", "--json"]).text(), "node")
    };
    let new = node(&network, 2);
    assert_ne!(new, node(&network, 1));
    network.wait_connected();
    wait_for("it hears of what it lacks", || network.names(2) == all);
    network.nodes[2].stop(Signal::TERM);
    network.nodes[2].restart();
    assert_eq!(node(&network, 2), new, "and keeps its key");
    network.wait_connected();
    assert!((0..3).all(|node| !warning(&network, node)));
}
