//! JSON: the keys that real commands print are those of the table in the README.
//!
//! Knows no value. Invariant: a key that is printed and not in the table fails, and one in the table that nobody prints.

use super::process::program;
use super::{Network, files_below, noise, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

type Keys = BTreeMap<String, BTreeSet<String>>;

/// The rows `| key | commands | meaning |` below the heading of the table.
fn documented() -> Keys {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, rest) = readme.split_once("| key | printed by | meaning |\n|---|---|---|\n").unwrap();
    let rows = rest.lines().take_while(|line| line.starts_with('|'));
    let mut keys = Keys::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{row}");
        let quoted = |cell: &str| -> Vec<String> {
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        for command in quoted(cells[1]) {
            keys.entry(command).or_default().extend(quoted(cells[0]));
        }
    }
    keys
}

fn note(keys: &mut Keys, command: &str, printed: &str) {
    assert!(!printed.is_empty(), "{command} printed nothing");
    for line in printed.lines() {
        let Value::Object(object) = serde_json::from_str(line).unwrap() else {
            panic!("no object: {line}")
        };
        keys.entry(command.to_owned()).or_default().extend(object.keys().cloned());
    }
}

#[test]
fn every_key_is_in_the_table_of_the_readme() {
    let network = Network::start(2);
    let data = network.nodes[0].data.clone();
    let mut keys = Keys::new();
    let local = network.local("local", &noise(300_000, 1));
    let strange = Command::new(program("dfs"))
        .args(["--data", &text(&data), "put", &local, "--json", "--as"])
        .arg(OsStr::from_bytes(b"strange \xff"))
        .output()
        .unwrap();
    assert!(strange.status.success(), "{strange:?}");
    note(&mut keys, "put", &String::from_utf8(strange.stdout).unwrap());
    note(&mut keys, "put", &network.dfs(0, &["put", "--json", &local, "plain"]).text());
    let back = network.path("back");
    let got = network.dfs(0, &["get", "-r", "", &text(&back), "--json"]).text();
    note(&mut keys, "get", &got);
    let strange = fs::read_dir(&back).unwrap().count();
    assert_eq!(strange, 2, "what is no text has a file too");
    note(&mut keys, "rm", &network.dfs(0, &["rm", "-r", "--all", "-n", "--json"]).text());
    note(&mut keys, "ls", &network.dfs(0, &["ls", "--json"]).text());
    note(&mut keys, "find", &network.dfs(0, &["find", "--json", "*"]).text());
    note(&mut keys, "du", &network.dfs(0, &["du", "--json"]).text());
    note(&mut keys, "stat", &network.dfs(0, &["stat", "--json", "plain"]).text());
    note(&mut keys, "versions", &network.dfs(0, &["versions", "--json", "plain"]).text());
    network.dfs(0, &["mv", "plain", "moved"]).ok();
    network.dfs(0, &["mv", "moved", "plain"]).ok();
    note(&mut keys, "ls", &network.dfs(0, &["ls", "--deleted", "--json"]).text());
    note(&mut keys, "settings", &network.dfs(0, &["settings", "--json"]).text());
    note(&mut keys, "status", &network.dfs(0, &["status", "--json"]).text());
    note(&mut keys, "peers", &network.dfs(0, &["peers", "--json"]).text());
    let stated = Command::new(program("dfs"))
        .args(["--data", &text(&data), "stat", "--json"])
        .arg(OsStr::from_bytes(b"strange \xff"))
        .output()
        .unwrap();
    note(&mut keys, "stat", &String::from_utf8(stated.stdout).unwrap());
    let listed = Command::new(program("dfs"))
        .args(["--data", &text(&data), "versions", "--json"])
        .arg(OsStr::from_bytes(b"strange \xff"))
        .output()
        .unwrap();
    note(&mut keys, "versions", &String::from_utf8(listed.stdout).unwrap());
    for block in files_below(&data.join("blocks")) {
        let mut bytes = fs::read(&block).unwrap();
        bytes[1000] ^= 1;
        fs::write(&block, bytes).unwrap();
    }
    note(&mut keys, "verify", &network.dfs(0, &["verify", "--json"]).text());
    assert_eq!(keys, documented());
}
