//! Processes: `dfsd` and `dfs` as a person starts them, with an end in any case.
//!
//! Knows no network. Invariant: no variable `DFSD_*` but a seeded bug's name, and no home of the person who runs the tests reaches them.

use super::{TIMEOUT, text, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A `dfs` that takes longer hangs.
const COMMAND_MAX: Duration = Duration::from_secs(60);

/// A running daemon, or one that was stopped. Killed when dropped.
pub(super) struct Daemon {
    pub(super) data: PathBuf,
    pub(super) address: SocketAddr,
    process: Option<Child>,
}

impl Daemon {
    /// Starts one and waits until it is ready.
    #[track_caller]
    pub(super) fn start(data: &Path, listen: &str, options: &[&str]) -> Self {
        let child = spawn_daemon(data, listen, options);
        let address = listen.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
        // Owned before it is waited for: one that never gets ready is killed with the test.
        let mut daemon = Self { data: data.to_owned(), address, process: Some(child) };
        daemon.address = wait_for_address(daemon.process(), data);
        daemon
    }

    /// One that was started by other means, once it is ready.
    #[track_caller]
    pub(super) fn started(data: &Path, child: Child) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut daemon = Self { data: data.to_owned(), address, process: Some(child) };
        daemon.address = wait_for_address(daemon.process(), data);
        daemon
    }

    /// Starts it again, at its old address.
    #[track_caller]
    pub(super) fn restart(&mut self) {
        self.restart_with(&[]);
    }

    #[track_caller]
    pub(super) fn restart_with(&mut self, options: &[&str]) {
        assert!(self.process.is_none(), "it still runs");
        let listen = self.address.to_string();
        *self = Self::start(&self.data, &listen, options);
    }

    /// Starts it again at its old address, and does not wait.
    pub(super) fn launch(&mut self, options: &[&str]) {
        assert!(self.process.is_none(), "it still runs");
        self.process = Some(spawn_daemon(&self.data, &self.address.to_string(), options));
    }

    /// Waits until one that was launched is ready; nothing to do for one that is.
    #[track_caller]
    pub(super) fn await_ready(&mut self) {
        let child = self.process.as_mut().expect("it runs");
        wait_for_address(child, &self.data);
    }

    /// False once it has ended by itself.
    pub(super) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// To wait for.
    pub(super) fn process(&mut self) -> &mut Child {
        self.process.as_mut().expect("it was started")
    }

    pub(super) fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// kill -9.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// Asks it to end, and gives its exit status.
    #[track_caller]
    pub(super) fn stop(&mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        let mut child = self.process.take().expect("it runs");
        wait_for_end(&mut child, TIMEOUT)
    }

    pub(super) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(super) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    pub(super) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(log_of(&self.data)).unwrap()
    }

    /// What it has printed for people, on stdout.
    pub(super) fn printed(&self) -> String {
        fs::read_to_string(printed_of(&self.data)).unwrap()
    }

    /// Time of a processor that it has used.
    pub(super) fn processor_time(&self) -> Duration {
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // The second field is a name in parentheses; utime and stime are the 14th and 15th.
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let ticks = rest.split(' ').skip(11).take(2);
        TICK * ticks.map(|field| field.parse::<u32>().unwrap()).sum()
    }

    /// Memory that it has in use.
    pub(super) fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// The most memory that it has had in use.
    pub(super) fn peak_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    fn memory_kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Open descriptors; none if the system does not tell us.
    pub(super) fn descriptors(&self) -> Option<usize> {
        let folder = fs::read_dir(format!("/proc/{}/fd", self.id())).ok()?;
        Some(folder.count())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!(
                "--- log of {}\n{}",
                self.data.display(),
                fs::read_to_string(log_of(&self.data)).unwrap_or_default()
            );
        }
    }
}

fn log_of(data: &Path) -> PathBuf {
    data.with_extension("log")
}

fn printed_of(data: &Path) -> PathBuf {
    data.with_extension("printed")
}

/// Where one of our programs is: built for tests, or beside the one that `DFSD_PROGRAM` names.
pub(super) fn program(name: &str) -> PathBuf {
    let other = std::env::var_os("DFSD_PROGRAM");
    let dfsd = other.map_or_else(|| env!("CARGO_BIN_EXE_dfsd").into(), PathBuf::from);
    dfsd.with_file_name(name)
}

/// A command without what the tests' own environment would tell it.
pub(super) fn command(name: &str, home: &Path) -> Command {
    let mut command = Command::new(program(name));
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        // A seeded bug is to be found in the programs too.
        let is_meant = name == "DFSD_SEEDED";
        if !is_meant && (name.starts_with("DFSD_") || name.starts_with("XDG_")) {
            command.env_remove(&key);
        }
    }
    command.env("HOME", home);
    command
}

pub(super) fn spawn_daemon(data: &Path, listen: &str, options: &[&str]) -> Child {
    let _ = fs::remove_file(data.join("address"));
    let append = |path| File::options().create(true).append(true).open(path).unwrap();
    let mut command = daemon_command(data, listen, options);
    command.stdout(append(printed_of(data))).stderr(append(log_of(data))).spawn().unwrap()
}

fn daemon_command(data: &Path, listen: &str, options: &[&str]) -> Command {
    let mut command = command("dfsd", data.parent().unwrap());
    command
        .args(["--data", &text(data), "--listen", listen, "--workers", "1"])
        .args(options)
        .stdin(Stdio::null());
    command
}

/// One whose log goes elsewhere.
pub(super) fn spawn_daemon_telling(
    data: &Path,
    listen: &str,
    options: &[&str],
    log: Stdio,
) -> Child {
    daemon_command(data, listen, options).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

#[track_caller]
fn wait_for_address(child: &mut Child, data: &Path) -> SocketAddr {
    let mut address = None;
    wait_for("the daemon is ready", || {
        if let Some(status) = child.try_wait().unwrap() {
            let log = fs::read_to_string(log_of(data)).unwrap_or_default();
            panic!("the daemon ended at its start, {status}:\n{log}");
        }
        let written = fs::read_to_string(data.join("address")).unwrap_or_default();
        address = written.trim().parse().ok();
        address.is_some()
    });
    address.unwrap()
}

/// A daemon that must not start: its exit status and what it said.
#[track_caller]
pub(super) fn refused_daemon(data: &Path, options: &[&str]) -> (Option<i32>, String) {
    let before = fs::read_to_string(log_of(data)).unwrap_or_default().len();
    let mut child = spawn_daemon(data, "127.0.0.1:0", options);
    let code = wait_for_end(&mut child, TIMEOUT);
    let log = fs::read_to_string(log_of(data)).unwrap();
    (code, log[before..].to_owned())
}

/// Waits for a process to end, and kills it when the time is over.
#[track_caller]
pub(super) fn wait_for_end(child: &mut Child, limit: Duration) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if begun.elapsed() > limit {
            let _ = child.kill();
            child.wait().unwrap();
            panic!("it had not ended after {limit:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// What a command left.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
    pub(super) took: Duration,
}

impl Ended {
    /// Its output; fails the test if the command failed.
    #[track_caller]
    pub(super) fn ok(self) -> Vec<u8> {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    /// Fails the test unless the command ended so, with a sentence that says why.
    #[track_caller]
    pub(super) fn fails_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert!(!self.stderr.trim().is_empty(), "it failed without a word");
        let panicked = self.stderr.contains("panicked");
        assert!(!panicked, "{}", self.stderr);
        self
    }
}

/// Starts `dfs` with pipes to it.
pub(super) fn spawn_dfs(arguments: &[&str]) -> Child {
    spawn("dfs", arguments)
}

fn spawn(name: &str, arguments: &[&str]) -> Child {
    command(name, Path::new("/nonexistent"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs `dfs` to its end.
#[track_caller]
pub(super) fn run_dfs(arguments: &[&str], input: &[u8]) -> Ended {
    run(spawn_dfs(arguments), input)
}

/// Runs a `dfsd` that is to end by itself.
#[track_caller]
pub(super) fn run_dfsd(arguments: &[&str]) -> Ended {
    run_program("dfsd", arguments)
}

/// Runs any of our programs that is to end by itself.
#[track_caller]
pub(super) fn run_program(name: &str, arguments: &[&str]) -> Ended {
    run(spawn(name, arguments), b"")
}

#[track_caller]
fn run(mut child: Child, input: &[u8]) -> Ended {
    let begun = Instant::now();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            // A command that fails need not read it all.
            let _ = stdin.write_all(input);
        });
        let stdout = scope.spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).map(|_| bytes)
        });
        let stderr = scope.spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).map(|_| bytes)
        });
        let code = wait_for_end(&mut child, COMMAND_MAX);
        let stderr = stderr.join().unwrap().unwrap();
        Ended {
            code: code.expect("no signal ended it"),
            stdout: stdout.join().unwrap().unwrap(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            took: begun.elapsed(),
        }
    })
}
