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

fn wait_for_settings(network: &Network, node: usize, expected: [&str; 3]) {
    wait_for(&format!("{expected:?} on node {node}"), || settings(network, node) == expected);
}

#[test]
fn what_is_set_on_one_node_holds_on_all_and_stays() {
    let mut network = Network::start(2);
    let defaults = ["retention 30d", "keep-versions all", "grace 1d"];
    wait_for_settings(&network, 1, defaults);
    let set = network.dfs(0, &["set", "--retention", "90s", "--grace", "0"]);
    assert_eq!(set.stderr, "set on all nodes of the network: retention 90s, grace 0\n");
    wait_for_settings(&network, 1, ["retention 90s", "keep-versions all", "grace 0"]);
    let same = network.dfs(1, &["set", "--retention", "90s"]);
    assert_eq!(same.stderr, "this is so already; nothing was changed\n");
    network.dfs(1, &["set", "--retention", "forever"]).ok();
    let expected = ["retention forever", "keep-versions all", "grace 0"];
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
fn only_so_many_versions_of_a_name_are_kept() {
    let network = Network::start(2);
    let file = network.path("file");
    let versions = |node: usize| -> Vec<String> {
        let printed = network.dfs(node, &["versions", "name"]).text();
        printed.lines().map(|line| line.split_whitespace().last().unwrap().to_owned()).collect()
    };
    let store = |content: &str| {
        std::fs::write(&file, content).unwrap();
        network.dfs(0, &["put", file.to_str().unwrap(), "name"]).ok();
    };
    (0..6).for_each(|number| store(&format!("content {number}")));
    let set = network.dfs(1, &["set", "--keep-versions", "2"]);
    assert_eq!(set.stderr, "set on all nodes of the network: keep-versions 2\n");
    wait_for_settings(&network, 0, ["retention 30d", "keep-versions 2", "grace 1d"]);
    let json = network.dfs(0, &["settings", "--json"]).text();
    assert!(json.contains(r#""keep_versions":2,"#), "{json}");
    let left: Vec<String> = ["shown", "superseded", "superseded"].map(str::to_owned).to_vec();
    for node in [0, 1] {
        wait_for(&format!("two superseded versions on node {node}"), || versions(node) == left);
    }
    store("another");
    let wrong = network.dfs(0, &["set", "--keep-versions", "10001"]);
    wrong.fails_with(2);
    assert!(
        wrong.stderr.contains("expected a whole number from 0 to 10000, or all"),
        "{}",
        wrong.stderr
    );
    network.dfs(0, &["set", "--keep-versions", "all"]).ok();
    let restored = network.dfs(1, &["restore", "name"]);
    assert!(restored.stderr.contains("restored name"), "{}", restored.stderr);
    assert_eq!(network.dfs(0, &["cat", "name"]).text(), "content 5");
    wait_for_settings(&network, 1, ["retention 30d", "keep-versions all", "grace 1d"]);
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
