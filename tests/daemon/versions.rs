//! Versions of names on real nodes: listed, fetched and restored from any of them, and what names were before.
//!
//! Invariant: each version is told of by its first digits, and these lead to its bytes.

use super::process::program;
use super::{Network, json_field, noise, text, wait_for};
use std::fs;
use std::process::Command;

/// One line of `dfs versions`: the version, and what is said of it.
#[derive(Debug)]
struct Line {
    version: String,
    size: String,
    state: String,
}

fn versions(network: &Network, node: usize, name: &str) -> Vec<Line> {
    let printed = network.dfs(node, &["versions", name]).text();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [version, _date, _time, _zone, size @ .., _writer, state] = &words[..] else {
            panic!("no version: {line}");
        };
        Line { version: version.to_string(), size: size.join(" "), state: state.to_string() }
    };
    printed.lines().map(line).collect()
}

fn states(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.state.as_str()).collect()
}

fn wait_for_states(network: &Network, node: usize, name: &str, expected: &[&str]) -> Vec<Line> {
    wait_for(&format!("{expected:?} of {name} on node {node}"), || {
        network.dfs(node, &["versions", name]).code == 0
            && states(&versions(network, node, name)) == expected
    });
    versions(network, node, name)
}

#[test]
fn what_was_overwritten_elsewhere_is_listed_fetched_and_restored_here() {
    let network = Network::start(3);
    let contents = [b"first".to_vec(), noise(3_000_000, 7), b"third one".to_vec()];
    for (node, content) in contents.iter().enumerate() {
        network.put(node, "report", content);
        wait_for("the others know of it", || network.cat((node + 1) % 3, "report") == *content);
    }
    let lines = wait_for_states(&network, 0, "report", &["shown", "superseded", "superseded"]);
    let sizes: Vec<&str> = lines.iter().map(|line| line.size.as_str()).collect();
    assert_eq!(sizes, ["9 B", "2.8 MiB", "5 B"]);
    let back = text(&network.path("back"));
    for (line, content) in lines.iter().zip(contents.iter().rev()) {
        let version = line.version.as_str();
        let printed = network.dfs(1, &["cat", "report", "--version", version]).ok();
        assert!(printed == *content, "{line:?}");
        network.dfs(2, &["get", "report", &back, "--version", version]).ok();
        assert!(fs::read(&back).unwrap() == *content, "{line:?}");
    }
    let ended = network.dfs(1, &["restore", "report", "--version", &lines[2].version]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("restored report: the version of 20"), "{}", ended.stderr);
    assert_eq!(network.cat(1, "report"), contents[0]);
    let expected = ["shown", "superseded", "superseded", "superseded"];
    let now = wait_for_states(&network, 2, "report", &expected);
    assert_eq!(now[3].version[..12], lines[2].version[..12]);
    assert_eq!(versions(&network, 2, "report").len(), 4);
    // Without a version: what was shown before.
    network.dfs(2, &["restore", "report"]).ok();
    assert_eq!(network.cat(2, "report"), contents[2]);
    let same = network.dfs(2, &["restore", "report", "--version", &newest(&network, 2)]);
    assert_eq!(same.code, 0);
    assert!(same.stderr.contains("shown already"), "{}", same.stderr);
    assert_eq!(versions(&network, 2, "report").len(), 5);
}

fn newest(network: &Network, node: usize) -> String {
    let json = network.dfs(node, &["versions", "report", "--newest", "1", "--json"]).text();
    assert_eq!(json.lines().count(), 1);
    assert_eq!(json_field(&json, "state"), "shown");
    json_field(&json, "version")
}

#[test]
fn a_deleted_name_is_listed_and_comes_back_with_what_it_had() {
    let network = Network::start(2);
    let local = network.local("local", b"the only copy");
    network.dfs(0, &["put", &local, "kept/letter"]).ok();
    network.put(0, "kept/other", b"other");
    network.put(0, "elsewhere", b"elsewhere");
    let mode = network.stat(0, "kept/letter", "mode");
    let hash = network.stat(0, "kept/letter", "hash");
    wait_for("it is known there", || network.names(1).len() == 3);
    network.dfs(1, &["rm", "kept/letter"]).ok();
    let deleted = network.dfs(1, &["ls", "--deleted"]).text();
    assert!(deleted.ends_with("  kept/letter\n") && deleted.lines().count() == 1, "{deleted}");
    let json = network.dfs(1, &["ls", "--deleted", "--json", "kept"]).text();
    assert_eq!(json_field(&json, "name"), "kept/letter");
    assert!(json_field(&json, "deleted").ends_with('Z'), "{json}");
    network.dfs(1, &["ls", "--deleted", "elsewhere"]).fails_with(4);
    let lines = wait_for_states(&network, 0, "kept/letter", &["deleted", "superseded"]);
    assert_eq!(lines[0].size, "-");
    network.dfs(0, &["cat", "kept/letter"]).fails_with(4);
    network.dfs(0, &["cat", "kept/letter", "--version", &lines[0].version]).fails_with(1);
    network.dfs(0, &["restore", "kept/letter"]).ok();
    assert_eq!(network.cat(0, "kept/letter"), b"the only copy");
    assert_eq!(network.stat(0, "kept/letter", "mode"), mode);
    assert_eq!(network.stat(0, "kept/letter", "hash"), hash);
    wait_for("nothing is deleted there", || network.dfs(1, &["ls", "--deleted"]).text().is_empty());
    assert_eq!(network.names(1), ["elsewhere", "kept/letter", "kept/other"]);
}

#[test]
fn what_was_shown_at_a_time_is_listed() {
    let network = Network::alone();
    network.put(0, "a", b"12345");
    let json = network.dfs(0, &["versions", "a", "--json"]).text();
    let before = json_field(&json, "stored");
    // What is printed of a moment has seconds, or milliseconds: the next is another.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    network.put(0, "a", b"1234567");
    network.put(0, "b", b"new");
    network.dfs(0, &["rm", "a"]).ok();
    let listed = network.dfs(0, &["ls", "--at", &before, "--json"]).text();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert_eq!(
        (json_field(&listed, "name"), json_field(&listed, "size")),
        ("a".into(), "5".into())
    );
    let printed = network.dfs(0, &["versions", "a"]).text();
    let first = printed.lines().last().unwrap();
    let date = first.split_whitespace().skip(1).take(3).collect::<Vec<_>>().join(" ");
    assert_eq!(network.dfs(0, &["ls", "--at", &date]).text(), "a\n", "{first}");
    assert_eq!(network.dfs(0, &["ls", "--at", "2100-01-01 00:00", "--sort"]).text(), "b\n");
    assert_eq!(network.dfs(0, &["ls", "--at", "2001-01-01T00:00:00Z"]).text(), "");
    network.dfs(0, &["ls", "--at", "noon"]).fails_with(2);
}

/// What `dfs` prints where the calendar is this.
fn printed_in(network: &Network, zone: &str, arguments: &[&str]) -> String {
    let data = text(&network.nodes[0].data);
    let mut command = Command::new(program("dfs"));
    let ended = command.args(["--data", &data]).args(arguments).env("TZ", zone).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    String::from_utf8(ended.stdout).unwrap()
}

#[test]
fn a_time_without_a_zone_is_of_the_place_where_it_is_typed() {
    let network = Network::alone();
    network.put(0, "a", b"one");
    for zone in ["UTC0", "HERE-9", "THERE+3:30"] {
        let line = printed_in(&network, zone, &["versions", "a"]);
        let words: Vec<&str> = line.split_whitespace().collect();
        let local = format!("{} {}", words[1], words[2]);
        assert_eq!(printed_in(&network, zone, &["ls", "--at", &local]), "a\n", "{line}");
        // The same reading of a clock is hours earlier further east.
        assert_eq!(printed_in(&network, "EAST-12", &["ls", "--at", &local]), "", "{line}");
        let zoned = format!("{local} {}", words[3]);
        assert_eq!(printed_in(&network, "EAST-12", &["ls", "--at", &zoned]), "a\n", "{line}");
    }
}

#[test]
fn versions_that_are_not_there_or_not_one_are_refused() {
    let network = Network::alone();
    network.put(0, "a", b"one");
    network.dfs(0, &["versions", "b"]).fails_with(4);
    network.dfs(0, &["restore", "b"]).fails_with(4);
    let none = network.dfs(0, &["restore", "a"]);
    assert_eq!(none.code, 4);
    assert!(none.stderr.contains("a: there is no earlier version"), "{}", none.stderr);
    network.dfs(0, &["cat", "a", "--version", "00"]).fails_with(4);
    network.dfs(0, &["cat", "a", "--version", "a name"]).fails_with(2);
    network.put(0, "a", b"two");
    // All stamps of these years begin so.
    let many = network.dfs(0, &["cat", "a", "--version", "01"]);
    assert_eq!(many.code, 2);
    assert!(many.stderr.contains("give more digits"), "{}", many.stderr);
    assert_eq!(network.cat(0, "a"), b"two");
}
