//! The daemon under attack: a process of its own, and what the system says of it.
//!
//! Knows `/proc`. Invariant: it is killed when the test ends, whatever the end.

use dfsd::client::Client;
use dfsd::keyring::{Access, Keyring};
use dfsd::wire::message::PeerAddress;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running daemon.
pub(super) struct Victim {
    child: Child,
    pub(super) address: SocketAddr,
    pub(super) access: Access,
    folder: TempDir,
}

impl Victim {
    pub(super) fn start() -> Self {
        Self::start_with(&[], None)
    }

    /// One that may have only so many descriptors.
    pub(super) fn start_with(options: &[&str], descriptors: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("node");
        let log = File::create(folder.path().join("log")).unwrap();
        let program = std::env::var_os("DFSD_PROGRAM");
        let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_dfsd").into());
        // The limit holds from its first instruction: it looks at it once.
        let limit = descriptors.map_or_else(String::new, |count| format!("ulimit -n {count}; "));
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limit}exec \"$0\" \"$@\"")]).arg(program);
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("DFSD_") {
                command.env_remove(&key);
            }
        }
        let mut child = command
            .env("XDG_STATE_HOME", folder.path())
            .arg("--data")
            .arg(&data)
            .args(["--listen", "127.0.0.1:0", "--log", "info"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let address = loop {
            assert!(child.try_wait().unwrap().is_none(), "the daemon ended at its start");
            assert!(begun.elapsed() < Duration::from_secs(30), "the daemon does not start");
            let written = fs::read_to_string(data.join("address")).unwrap_or_default();
            if let Ok(address) = written.trim().parse() {
                break address;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let access = Keyring::open(&data).unwrap().access;
        Self { child, address, access, folder }
    }

    /// A real client of it.
    pub(super) fn client(&self) -> Client {
        let peer = PeerAddress { node: Default::default(), address: self.address.to_string() };
        Client::connect(&[peer], &self.access).unwrap()
    }

    /// Memory in use, in bytes, without what is shared with files.
    pub(super) fn memory(&self) -> usize {
        let field = "RssAnon:";
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// Time of a processor that it has used.
    pub(super) fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let ticks = rest.split(' ').skip(11).take(2);
        Duration::from_millis(10) * ticks.map(|field| field.parse::<u32>().unwrap()).sum()
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// It still runs.
    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the daemon\n{}", self.log());
        }
    }
}
