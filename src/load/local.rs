//! A local network: daemons of this build on fresh folders, and what they cost, seen from outside.
//!
//! Knows a daemon by its command line and by what the system says of its process. Invariant: every daemon that was
//! started ends with the value; its folder goes with the `Scratch` that it is in.

use super::driver::Target;
use super::stop::Stop;
use crate::cli::text::tell;
use crate::client::Client;
use crate::config;
use crate::ids::NodeId;
use crate::keyring::{Access, Keyring, Ticket};
use crate::wire::message::PeerAddress;
use serde::Serialize;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A daemon starts, or stops, within this.
const TIMEOUT: Duration = Duration::from_secs(30);
/// All nodes have everything within this after the load has ended.
const SETTLE: Duration = Duration::from_secs(600);

/// A fresh folder that goes, with all that is in it, when it is no longer needed; unless it is to be kept.
pub(super) struct Scratch {
    path: PathBuf,
    is_kept: bool,
}

impl Scratch {
    /// Below `parent`, or the system's temporary folder.
    pub(super) fn new(parent: Option<&Path>, is_kept: bool) -> io::Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let path = parent.join(format!("dfs-load.{}", std::process::id()));
        DirBuilder::new().mode(0o700).recursive(true).create(&path)?;
        Ok(Self { path, is_kept })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tell(format_args!("dfs-load: {} is left behind: {error}", self.path.display()));
        }
    }
}

/// See the module.
pub(super) struct Local {
    folder: PathBuf,
    options: Vec<String>,
    daemons: Vec<Daemon>,
    access: Option<Access>,
    stop: Stop,
}

struct Daemon {
    data: PathBuf,
    process: Child,
    address: String,
}

/// What a process has used since it started.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Usage {
    /// Processor time.
    pub(super) cpu_seconds: f64,
    /// Resident memory now, and the most there was.
    pub(super) rss_bytes: u64,
    pub(super) peak_rss_bytes: u64,
    /// What reached the disk, or will.
    pub(super) written_bytes: u64,
}

impl Usage {
    /// What was used after the earlier one was measured.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
            ..*self
        }
    }
}

impl Local {
    /// So many connected nodes, in a folder where nothing is yet.
    pub(super) fn start(
        count: u8,
        folder: &Path,
        options: Option<&str>,
        stop: &Stop,
    ) -> Result<Self, String> {
        let made = DirBuilder::new().mode(0o700).recursive(true).create(folder);
        made.map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        let options = options.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let (folder, stop) = (folder.to_owned(), stop.clone());
        let mut local = Self { folder, options, daemons: Vec::new(), access: None, stop };
        local.add(&[])?;
        local.write_ticket().map_err(|error| format!("no ticket: {error}"))?;
        local.join(count - 1)?;
        Ok(local)
    }

    /// So many more, connected to all others.
    pub(super) fn join(&mut self, count: u8) -> Result<(), String> {
        let ticket = self.ticket();
        for _ in 0..count {
            self.add(&["--join", ticket.to_str().ok_or("the folder's name is no text")?])?;
        }
        let others = self.daemons.len() - 1;
        self.wait_for("the nodes to connect", TIMEOUT, |statuses| {
            statuses.iter().all(|status| status.peers_connected as usize == others)
        })
    }

    /// Waits until every node has every record, whether or not it has the blocks.
    pub(super) fn agree(&self) -> Result<(), String> {
        self.wait_for("all nodes to have every record", TIMEOUT, |statuses| {
            statuses.windows(2).all(|pair| pair[0].records == pair[1].records)
        })
    }

    fn ticket(&self) -> PathBuf {
        self.folder.join("ticket")
    }

    fn add(&mut self, options: &[&str]) -> Result<(), String> {
        let data = self.folder.join(format!("node{}", self.daemons.len() + 1));
        let program = program()?;
        let mut command = Command::new(&program);
        command.arg("--data").arg(&data).args(["--listen", "127.0.0.1:0", "--log", "warn"]);
        command.args(options).args(&self.options);
        // What it remembers beside its data goes with the folder.
        command.env("XDG_STATE_HOME", &self.folder);
        // Ctrl-C is for the harness, which then stops them itself.
        let started = command.stdout(Stdio::null()).process_group(0).spawn();
        let process = started.map_err(|error| format!("{}: {error}", program.display()))?;
        let mut daemon = Daemon { data, process, address: String::new() };
        let address = daemon.await_address(&self.stop);
        self.daemons.push(daemon);
        let address = address?;
        self.daemons.iter_mut().for_each(|daemon| {
            if daemon.address.is_empty() {
                daemon.address.clone_from(&address);
            }
        });
        Ok(())
    }

    fn write_ticket(&mut self) -> Result<(), String> {
        let daemon = self.daemons.first().ok_or("there is no node")?;
        let keyring = Keyring::open(&daemon.data).map_err(|error| error.to_string())?;
        let peer = PeerAddress { node: keyring.node.node_id(), address: daemon.address.clone() };
        let ticket = Ticket { peers: vec![peer], access: keyring.access.clone() };
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(self.ticket());
        let written = opened.and_then(|mut file| file.write_all(ticket.encode().as_bytes()));
        written.map_err(|error| error.to_string())?;
        self.access = Some(keyring.access);
        Ok(())
    }

    /// Where its nodes listen, and its keys.
    pub(super) fn target(&self) -> Result<Target, String> {
        let parse = |daemon: &Daemon| daemon.address.parse().map_err(|_| daemon.address.clone());
        let addresses = self.daemons.iter().map(parse).collect::<Result<_, _>>()?;
        let access = self.access.clone().ok_or("there are no keys")?;
        Ok(Target { addresses, access })
    }

    /// The last one alone.
    pub(super) fn last(&self) -> Result<Target, String> {
        let Target { addresses, access } = self.target()?;
        Ok(Target { addresses: addresses.into_iter().next_back().into_iter().collect(), access })
    }

    /// Waits until every node has every block of every record, and all agree; how long that took.
    pub(super) fn settle(&self) -> Result<Duration, String> {
        let begun = Instant::now();
        self.wait_for("all nodes to have everything", SETTLE, |statuses| {
            statuses
                .windows(2)
                .all(|pair| (pair[0].names, pair[0].records) == (pair[1].names, pair[1].records))
                && statuses.iter().all(|status| status.incomplete == 0)
        })?;
        Ok(begun.elapsed())
    }

    fn wait_for(
        &self,
        what: &str,
        timeout: Duration,
        holds: impl Fn(&[crate::wire::message::NodeStatus]) -> bool,
    ) -> Result<(), String> {
        let access = self.access.as_ref().ok_or("there are no keys")?;
        let connect = |daemon: &Daemon| {
            let peer = PeerAddress { node: NodeId::default(), address: daemon.address.clone() };
            Client::connect(&[peer], access)
        };
        let clients = self.daemons.iter().map(connect).collect::<Result<Vec<_>, _>>();
        let mut clients = clients.map_err(|error| error.to_string())?;
        let begun = Instant::now();
        loop {
            let statuses: Result<Vec<_>, _> = clients.iter_mut().map(Client::status).collect();
            if holds(&statuses.map_err(|error| error.to_string())?) {
                return Ok(());
            }
            if begun.elapsed() > timeout {
                return Err(format!("timed out after {} s waiting for {what}", timeout.as_secs()));
            }
            self.stop.sleep(Duration::from_millis(5))?;
        }
    }

    /// What each daemon has used.
    pub(super) fn usage(&self) -> Vec<Usage> {
        self.daemons.iter().map(|daemon| usage(daemon.process.id())).collect()
    }
}

/// The daemon of this build: it lies beside this program.
fn program() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let beside = own.with_file_name("dfsd");
    if beside.exists() {
        return Ok(beside);
    }
    Err(format!("{} is not there: build it, or start a network and give --data", beside.display()))
}

impl Daemon {
    fn await_address(&mut self, stop: &Stop) -> Result<String, String> {
        let begun = Instant::now();
        loop {
            match fs::read_to_string(config::address_file(&self.data)) {
                Ok(address) if !address.trim().is_empty() => return Ok(address.trim().to_owned()),
                Ok(_) | Err(_) => {}
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!("a daemon ended at its start: {status}"));
            }
            if begun.elapsed() > TIMEOUT {
                return Err("a daemon does not start".to_owned());
            }
            stop.sleep(Duration::from_millis(5))?;
        }
    }

    fn stop(&mut self) {
        if let Some(id) =
            i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < TIMEOUT {
            if let Ok(Some(_)) = self.process.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.daemons.iter_mut().for_each(Daemon::stop);
    }
}

/// What a process of this machine has used; zeros for what the system does not tell.
pub(super) fn usage(process: u32) -> Usage {
    let folder = PathBuf::from(format!("/proc/{process}"));
    let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
    let io = fs::read_to_string(folder.join("io")).unwrap_or_default();
    Usage {
        cpu_seconds: cpu_seconds(&folder).unwrap_or_default(),
        rss_bytes: 1024 * field(&status, "VmRSS:"),
        peak_rss_bytes: 1024 * field(&status, "VmHWM:"),
        written_bytes: field(&io, "write_bytes:"),
    }
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// All threads' time on a processor, in nanoseconds where the scheduler counts them.
fn cpu_seconds(folder: &Path) -> io::Result<f64> {
    let mut nanos = 0_u64;
    for task in fs::read_dir(folder.join("task"))? {
        let stat = fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += stat.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos).as_secs_f64())
}

/// Bytes that have gone over the loopback device since the machine started.
pub(super) fn loopback_bytes() -> u64 {
    let text = fs::read_to_string("/sys/class/net/lo/statistics/tx_bytes").unwrap_or_default();
    text.trim().parse().unwrap_or_default()
}
