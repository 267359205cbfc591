//! Limits that the system sets for one process: they are reasons to refuse, and none to end.
//!
//! Knows no inside of the programs. Invariant: after a refusal the daemon serves what it has.

use super::process::Daemon;
use super::{Network, noise, wait_for};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs;

/// A running daemon's files may be so long and no longer; or as long as they like again.
fn limit_files(daemon: &Daemon, current: Option<u64>) {
    let id = Pid::from_raw(i32::try_from(daemon.id()).unwrap()).unwrap();
    prlimit(Some(id), Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
}

#[test]
fn a_file_that_may_not_grow_is_no_room_and_no_end() {
    let mut network = Network::alone();
    network.put(0, "before", b"small");
    limit_files(&network.nodes[0], Some(200 << 10));
    let large = network.local("large", &noise(3 << 20, 1));
    network.dfs(0, &["put", &large]).fails_with(5);
    assert_eq!(network.names(0), ["before"]);
    assert_eq!(network.cat(0, "before"), b"small");
    limit_files(&network.nodes[0], None);
    // The free space is asked for again after a refusal.
    wait_for("there is room again", || network.dfs(0, &["put", &large]).code == 0);
    assert_eq!(network.cat(0, "large"), fs::read(&large).unwrap());
    network.nodes[0].kill();
    network.nodes[0].restart();
    assert_eq!(network.names(0), ["before", "large"]);
    assert_eq!(network.cat(0, "large"), fs::read(&large).unwrap());
}
