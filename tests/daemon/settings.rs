//! What a network is set to: changed on any node, known on all, kept over restarts.
//!
//! Invariant: what `dfs settings` prints of a value can be given to `dfs set`.

use super::process::run_dfs;
use super::{Network, text, wait_for, write_private};

/// The first two words of each line.
fn settings(network: &Network, node: usize) -> Vec<String> {
    let printed = network.dfs(node, &["settings"]).text();
    let words = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    printed.lines().map(words).collect()
}

fn wait_for_settings(network: &Network, node: usize, expected: [&str; 2]) {
    wait_for(&format!("{expected:?} on node {node}"), || settings(network, node) == expected);
}

#[test]
fn what_is_set_on_one_node_holds_on_all_and_stays() {
    let mut network = Network::start(2);
    let defaults = ["retention 30d", "grace 1d"];
    wait_for_settings(&network, 1, defaults);
    let set = network.dfs(0, &["set", "--retention", "90s", "--grace", "0"]);
    assert_eq!(set.stderr, "set on all nodes of the network: retention 90s, grace 0\n");
    wait_for_settings(&network, 1, ["retention 90s", "grace 0"]);
    let same = network.dfs(1, &["set", "--retention", "90s"]);
    assert_eq!(same.stderr, "this is so already; nothing was changed\n");
    network.dfs(1, &["set", "--retention", "forever"]).ok();
    let expected = ["retention forever", "grace 0"];
    wait_for_settings(&network, 0, expected);
    network.nodes[0].kill();
    network.nodes[0].restart();
    network.join();
    for node in 0..3 {
        wait_for_settings(&network, node, expected);
    }
    network.dfs(2, &["set", "--retention", "30d", "--grace", "24h"]).ok();
    wait_for_settings(&network, 0, defaults);
    assert_eq!(network.names(0), [""; 0], "no name was stored by that");
}

#[test]
fn who_only_reads_sets_nothing() {
    let network = Network::start(1);
    let ticket = network.path("reader");
    write_private(&ticket, &network.dfs(0, &["ticket", "--read-only"]).ok());
    let reader = text(&ticket);
    let refused = run_dfs(&["--ticket", &reader, "set", "--grace", "1h"], b"");
    refused.fails_with(7);
    assert!(run_dfs(&["--ticket", &reader, "settings"], b"").text().contains("default"));
}
