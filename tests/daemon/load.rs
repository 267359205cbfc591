//! `dfs-load` as scripts use it: what it counts is true, what it starts it stops, and its exit status tells.

use super::process::{Ended, program};
use super::{Network, text};
use std::process::Command;
use std::time::Instant;

pub(super) fn load(words: &str) -> Ended {
    let begun = Instant::now();
    let mut command = Command::new(program("dfs-load"));
    let output = command.args(words.split_whitespace()).output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: begun.elapsed(),
    }
}

fn number(ended: &Ended, field: &str) -> f64 {
    super::json_field(&ended.text(), field).parse().unwrap()
}

#[test]
fn a_put_on_its_own_network_counts_every_operation() {
    let ended = load("put --spawn 3 --size 4096 --conns 8 --ops 300 --json");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!((number(&ended, "operations"), number(&ended, "error_count")), (300.0, 0.0));
    assert_eq!(number(&ended, "bytes"), 300.0 * 4096.0);
    assert!(ended.text().contains("\"daemon_cpu_seconds\":"));
}

#[test]
fn a_mixed_load_compares_what_it_reads() {
    let words = "mixed --spawn 2 --verify --ops 400 --keys 50 --popularity zipf --depth 4 \
                 --size lognormal:8KiB:1.5 --json";
    let ended = load(words);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.text().contains("\"verified\":true"));
}

#[test]
fn an_open_loop_keeps_its_rate_and_a_page_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let words = format!(
        "get --spawn 1 --rate 200 --duration 1 --keys 20 --html {} --folder {}",
        page.display(),
        folder.path().display()
    );
    let ended = load(&words);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.text().contains("200 operations"), "{}", ended.text());
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg") && !page.contains("http"));
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "the page is all that is left");
}

#[test]
fn every_other_workload_ends_without_errors() {
    for words in [
        "overwrite --spawn 1 --ops 60 --keys 10",
        "list --spawn 1 --ops 5 --keys 30",
        "delete --spawn 1 --ops 40",
        "connect --spawn 1 --ops 60 --conns 8",
        "idle --spawn 1 --conns 50 --duration 0.5 --keys 5",
    ] {
        let ended = load(words);
        assert_eq!(ended.code, 0, "{words}: {}", ended.stderr);
    }
}

#[test]
fn what_cannot_be_run_is_said() {
    assert_eq!(load("put --spawn 0").code, 2);
    let folder = tempfile::tempdir().unwrap();
    let ended = load(&format!("put --ops 1 --data {}", folder.path().join("none").display()));
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("no daemon runs"), "{}", ended.stderr);
    let mut network = Network::alone();
    let (ticket, address) = (text(&network.ticket()), network.nodes[0].address);
    network.nodes[0].kill();
    let ended = load(&format!("get --ops 5 --ticket {ticket} --nodes {address}"));
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains(&address.to_string()), "{}", ended.stderr);
}
