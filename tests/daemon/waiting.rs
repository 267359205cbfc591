//! Waiting: a script starts `dfsd` and runs `dfs` at once; and where no daemon comes that is said in time.
//!
//! Knows the folder's lock and the file `address`. Invariant: what is certain is not waited for.

use super::process::{Daemon, Ended, run_dfs, spawn_daemon, spawn_dfs, wait_for_end};
use super::{Network, TIMEOUT, text, write_private};
use rustix::fs::FlockOperation;
use rustix::process::Signal;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn took_about(ended: &Ended, seconds: u64) {
    let (least, most) = (Duration::from_secs(seconds), Duration::from_secs(seconds + 2));
    assert!((least..most).contains(&ended.took), "{ended:?}");
}

fn is_ready(data: &Path) -> bool {
    data.join("address").exists()
}

#[test]
fn a_command_waits_for_a_daemon_that_was_just_started() {
    for round in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let (data, out) = (folder.path().join("data"), folder.path().join("ticket"));
        let mut child = spawn_daemon(&data, "127.0.0.1:0", &[]);
        assert!(!is_ready(&data) || round > 0, "else this shows nothing");
        let ended = run_dfs(&["--data", &text(&data), "ticket", "--out", &text(&out)], b"");
        let log = fs::read_to_string(folder.path().join("data.log")).unwrap_or_default();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{log}");
        let found = fs::metadata(&out).unwrap();
        assert!(found.len() > 100 && found.mode() & 0o777 == 0o600);
    }
}

/// While many look whether the folder is taken, a daemon gets it all the same.
#[test]
fn who_waits_does_not_keep_the_daemon_from_its_folder() {
    let mut network = Network::alone();
    network.put(0, "x", b"x");
    network.nodes[0].stop(Signal::TERM);
    let data = text(&network.nodes[0].data);
    let mut waiting: Vec<_> = (0..8).map(|_| spawn_dfs(&["--data", &data, "cat", "x"])).collect();
    std::thread::sleep(Duration::from_millis(300));
    network.nodes[0].restart();
    for child in &mut waiting {
        assert_eq!(wait_for_end(child, TIMEOUT), Some(0));
    }
}

#[test]
fn a_daemon_that_does_not_come_is_waited_for_so_long_and_no_longer() {
    let mut network = Network::alone();
    network.nodes[0].stop(Signal::TERM);
    let data = network.nodes[0].data.clone();
    // The address of an earlier run, and nobody has the folder.
    took_about(network.dfs(0, &["ls"]).fails_with(5), 2);
    // A process has it: a daemon that starts, as far as can be seen.
    let lock = File::open(data.join("lock")).unwrap();
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
    let ended = network.dfs(0, &["ls"]);
    took_about(ended.fails_with(5), 5);
    assert_eq!(ended.stderr.lines().count(), 1, "no terminal: nothing but the error: {ended:?}");
    drop(lock);
    fs::remove_file(data.join("address")).unwrap();
    took_about(network.dfs(0, &["ls"]).fails_with(5), 2);
    let none = network.path("none");
    let ended = run_dfs(&["--data", &text(&none), "ls"], b"");
    took_about(ended.fails_with(5), 2);
    assert!(ended.stderr.contains("start it with: dfsd --data "), "{ended:?}");
    assert!(!none.exists());
}

#[test]
fn what_is_certain_is_not_waited_for() {
    let mut network = Network::alone();
    let ticket = text(&network.ticket());
    network.nodes[0].stop(Signal::TERM);
    took_about(run_dfs(&["--ticket", &ticket, "ls"], b"").fails_with(5), 0);
    let bad = network.path("bad");
    write_private(&bad, b"hello");
    took_about(run_dfs(&["--ticket", &text(&bad), "ls"], b"").fails_with(7), 0);
    // The keys of another network than that of the daemon that answers.
    let listen = network.nodes[0].address.to_string();
    let other = Daemon::start(&network.path("other"), &listen, &[]);
    took_about(network.dfs(0, &["ls"]).fails_with(7), 0);
    drop(other);
    fs::write(network.nodes[0].data.join("network.key"), "nonsense").unwrap();
    took_about(network.dfs(0, &["ls"]).fails_with(7), 0);
}

#[test]
fn a_person_is_told_what_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (data, dfs) = (text(&folder.path().join("none")), env!("CARGO_BIN_EXE_dfs"));
    let said = |options: &str| {
        let command = format!("{dfs} {options} --data {data} ls");
        let ended = Command::new("script").args(["-qec", &command, "/dev/null"]).output();
        ended.map(|ended| String::from_utf8_lossy(&ended.stdout).into_owned())
    };
    // Without that program there is no terminal to look at.
    let Ok(all) = said("") else { return };
    let line = format!("dfs: waiting for the daemon of {data}\r\n");
    assert_eq!(all.matches(&line).count(), 1, "{all}");
    assert!(!said("-q").unwrap().contains("waiting"));
}

#[test]
fn a_ticket_that_cannot_be_written_leaves_no_file() {
    let network = Network::alone();
    let (data, dfs) = (text(&network.nodes[0].data), env!("CARGO_BIN_EXE_dfs"));
    let out = network.path("out");
    let command = format!("ulimit -f 0; exec {dfs} --data {data} ticket --out {}", text(&out));
    let ended = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(!out.exists(), "{ended:?}");
    network.dfs(0, &["ticket", "--out", &text(&out)]).ok();
    let first = fs::read(&out).unwrap();
    network.dfs(0, &["ticket", "--out", &text(&out)]).fails_with(8);
    assert_eq!(fs::read(&out).unwrap(), first, "what is there stays");
    network.dfs(0, &["ticket", "--out", "/nonexistent/ticket"]).fails_with(1);
}
