//! Real daemons on this machine, used through the command line only: what the program promises to a person.
//!
//! Knows nothing of the inside of `dfsd` but the names of its folders. Invariant: every process that a test starts
//! ends with the test, and every wait has a deadline.

mod check;
mod coast;
mod copies;
mod crash;
mod crowd;
mod damage;
mod distribution;
mod files;
mod future;
mod health;
mod journal;
mod json;
mod keys;
mod large;
mod limits;
mod load;
mod local_network;
mod oddities;
mod prefixes;
mod process;
mod proxy;
mod ranges;
mod refusals;
mod rounds;
mod secrecy;
mod settings;
mod start;
mod swaps;
mod sync;
mod terminal;
mod texts;
mod trees;
mod versions;
mod volume;
mod waiting;

use process::{Daemon, Ended, run_dfs};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What takes a moment may take this long on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Daemons of one network, each with a folder of its own, and a folder for other files.
struct Network {
    nodes: Vec<Daemon>,
    folder: TempDir,
    /// Where nodes listen: `HOST:PORT`.
    listen: String,
}

impl Network {
    /// A network of connected nodes.
    fn start(count: usize) -> Self {
        let mut network = Self::alone();
        for _ in 1..count {
            network.join();
        }
        network.wait_connected();
        network
    }

    /// A network of one node, node 0, which made its keys.
    fn alone() -> Self {
        Self::alone_with(&[])
    }

    fn alone_with(options: &[&str]) -> Self {
        Self::alone_at("127.0.0.1:0", options)
    }

    fn alone_at(listen: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("node0");
        Self::begin(folder, &data, (listen, options))
    }

    fn begin(folder: TempDir, data: &Path, (listen, options): (&str, &[&str])) -> Self {
        let first = Daemon::start(data, listen, options);
        let network = Self { nodes: vec![first], folder, listen: listen.to_owned() };
        let ticket = network.dfs(0, &["ticket"]).ok();
        write_private(&network.ticket(), &ticket);
        network
    }

    /// Starts a further node, and does not wait until it is connected.
    fn join(&mut self) {
        self.join_with(&[]);
    }

    fn join_with(&mut self, options: &[&str]) {
        let data = self.path(&format!("node{}", self.nodes.len()));
        let ticket = self.ticket();
        let own = ["--join", ticket.to_str().unwrap()];
        self.nodes.push(Daemon::start(&data, &self.listen, &[&own, options].concat()));
    }

    /// Leaves the folders to whoever looks for a fault.
    fn keep(&mut self) {
        self.folder.disable_cleanup(true);
        eprintln!("the folders stay in {}", self.folder.path().display());
    }

    fn ticket(&self) -> PathBuf {
        self.path("ticket")
    }

    /// A path in the folder of this test.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a local file.
    fn local(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        text(&path)
    }

    fn dfs(&self, node: usize, arguments: &[&str]) -> Ended {
        self.dfs_with(node, arguments, b"")
    }

    fn dfs_with(&self, node: usize, arguments: &[&str], input: &[u8]) -> Ended {
        let data = text(&self.nodes[node].data);
        let all = [&["--data", &data], arguments].concat();
        run_dfs(&all, input)
    }

    fn put(&self, node: usize, name: &str, bytes: &[u8]) {
        self.dfs_with(node, &["put", "-", name], bytes).ok();
    }

    fn cat(&self, node: usize, name: &str) -> Vec<u8> {
        self.dfs(node, &["cat", name]).ok()
    }

    /// The names that a node lists, in order.
    fn names(&self, node: usize) -> Vec<String> {
        let listed = String::from_utf8(self.dfs(node, &["ls"]).ok()).unwrap();
        let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// One field of what `stat --json` says; none if the name is not there.
    fn stat(&self, node: usize, name: &str, field: &str) -> Option<String> {
        let ended = self.dfs(node, &["stat", name, "--json"]);
        (ended.code == 0).then(|| json_field(&ended.text(), field))
    }

    /// How many others a node is connected to.
    fn connected(&self, node: usize) -> usize {
        let peers = self.dfs(node, &["peers", "--json"]).text();
        peers.matches("\"connected\":true").count()
    }

    fn wait_connected(&self) {
        let others = self.nodes.len() - 1;
        for node in 0..self.nodes.len() {
            wait_for("all nodes are connected", || self.connected(node) == others);
        }
    }

    fn wait_for_copies(&self, node: usize, name: &str, copies: usize) {
        let expected = copies.to_string();
        wait_for(&format!("{copies} copies of {name}"), || {
            self.stat(node, name, "copies").as_ref() == Some(&expected)
        });
    }
}

/// Waits until something holds. Fails the test when the timeout ends.
#[track_caller]
fn wait_for(what: &str, holds: impl FnMut() -> bool) {
    wait_up_to(TIMEOUT, what, holds);
}

/// The same, of what may take longer.
#[track_caller]
fn wait_up_to(timeout: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < timeout, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Bytes that repeat nowhere and are the same in each run.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    use rand::{Rng, SeedableRng};
    let mut bytes = vec![0; length];
    rand::rngs::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Makes a named pipe that its owner alone may use.
fn make_pipe(path: &Path) {
    let kind = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
}

fn write_private(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// A number or a text of one flat JSON object; as it stands there, without the quotes.
fn json_field(line: &str, field: &str) -> String {
    let mark = format!("\"{field}\":");
    let at = line.find(&mark).unwrap_or_else(|| panic!("no {field} in {line}"));
    let rest = line[at + mark.len()..].trim_start();
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap().to_owned(),
        None => rest.chars().take_while(|char| !",}] \n".contains(*char)).collect(),
    }
}

/// All files below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Removes what a node stores, but not its keys and the addresses of its peers.
fn wipe(data: &Path) {
    for entry in fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        let is_key = path.extension().is_some_and(|ending| ending == "key");
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else if !is_key && !path.ends_with("peers") {
            fs::remove_file(path).unwrap();
        }
    }
}
