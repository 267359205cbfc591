//! A daemon in a folder of its own, and what the system says of it. It is killed when dropped.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// See the module.
pub(super) struct Daemon {
    pub(super) data: PathBuf,
    process: Child,
}

impl Daemon {
    /// In this folder, with these options more.
    pub(super) fn start(data: &Path, options: &[&str]) -> Self {
        let address = data.join("address");
        let _ = fs::remove_file(&address);
        let mut command = Command::new(env!("CARGO_BIN_EXE_dfsd"));
        command.arg("--data").arg(data).args(["--listen", "127.0.0.1:0", "--log", "warn"]);
        command.args(options).env("XDG_STATE_HOME", data.with_extension("state"));
        let daemon =
            Self { data: data.to_owned(), process: command.stdout(Stdio::null()).spawn().unwrap() };
        wait(Duration::from_secs(300), "a daemon to start", || {
            address.exists() && daemon.dfs(&["status"]).status.code() != Some(5)
        });
        daemon
    }

    /// A network of so many nodes, in which nothing that was deleted stays.
    pub(super) fn network(folder: &Path, count: usize) -> Vec<Self> {
        let mut all = vec![Self::start(&folder.join("node1"), &[])];
        all[0].expect(&["set", "--retention", "0", "--grace", "0"]);
        let ticket = folder.join("ticket");
        fs::write(&ticket, all[0].expect(&["ticket"]).stdout).unwrap();
        for number in 2..=count {
            let data = folder.join(format!("node{number}"));
            all.push(Self::start(&data, &["--join", ticket.to_str().unwrap()]));
        }
        all
    }

    pub(super) fn dfs(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dfs"));
        command.arg("--data").arg(&self.data).args(words).output().unwrap()
    }

    /// A command that must succeed.
    pub(super) fn expect(&self, words: &[&str]) -> Output {
        let output = self.dfs(words);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "dfs {words:?}: {told}");
        output
    }

    /// A load on this daemon alone, that can be waited for.
    pub(super) fn begin_load(&self, words: &str) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dfs-load"));
        command.args(words.split(' ')).arg("--data").arg(&self.data).args(["--json", "--quiet"]);
        command.stdout(Stdio::piped()).spawn().unwrap()
    }

    /// A load on this daemon alone, to its end.
    pub(super) fn load(&self, words: &str) -> Value {
        end_load(self.begin_load(words))
    }

    /// A number of `dfs status --json`.
    pub(super) fn status(&self, key: &str) -> u64 {
        self.whole_status()[key].as_u64().unwrap_or(0)
    }

    /// All of `dfs status --json`.
    pub(super) fn whole_status(&self) -> Value {
        serde_json::from_slice(&self.dfs(&["status", "--json"]).stdout).unwrap_or_default()
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).unwrap_or_default()
    }

    /// Seconds of a processor that all its threads have used, in nanoseconds where the scheduler counts them.
    pub(super) fn cpu(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let nanos = tasks.flatten().map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0_u64)
        });
        nanos.sum::<u64>() as f64 / 1e9
    }

    /// Bytes of memory that it has now.
    pub(super) fn memory(&self) -> u64 {
        1024 * field(&self.proc("status"), "VmRSS:")
    }

    /// Bytes that it has written, as far as they reached the disk or will; and read, from memory or the disk.
    pub(super) fn written_and_read(&self) -> (u64, u64) {
        let io = self.proc("io");
        (field(&io, "write_bytes:"), field(&io, "rchar:"))
    }

    /// Waits until it has done nothing to speak of for two seconds; how much of a processor it has used by then.
    pub(super) fn settle(&self) -> f64 {
        loop {
            let before = self.cpu();
            std::thread::sleep(Duration::from_secs(2));
            if self.cpu() - before < 0.02 {
                return before;
            }
        }
    }

    /// Bytes that its blocks and its log occupy on the disk.
    pub(super) fn occupied(&self) -> u64 {
        let files = walkdir::WalkDir::new(&self.data).into_iter().flatten();
        // What is a file now may be gone then.
        let sizes = files
            .filter(|entry| entry.file_type().is_file())
            .filter_map(|entry| entry.metadata().ok());
        sizes.map(|metadata| 512 * metadata.blocks()).sum()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// What a load told.
pub(super) fn end_load(load: Child) -> Value {
    let output = load.wait_with_output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).expect("it tells JSON");
    assert_eq!(told["error_count"], 0, "{}", told["errors"]);
    told
}

/// Waits until something holds.
pub(super) fn wait(at_most: Duration, what: &str, holds: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < at_most, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(50));
    }
    begun.elapsed()
}

/// Waits until all have every block of as many names.
pub(super) fn wait_for_all(all: &[Daemon]) {
    wait(Duration::from_secs(900), "all nodes to have everything", || {
        let told: Vec<_> = all.iter().map(Daemon::whole_status).collect();
        told.iter().all(|status| status["names"] == told[0]["names"] && status["incomplete"] == 0)
    });
}

/// A folder of its own under the system's temporary one.
pub(super) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The load of the machine, which every figure is to be read beside.
pub(super) fn tell_load() {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load of the machine      {}", text.split(' ').next().unwrap_or("?"));
}

pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
