//! Throughput of put and get with the real programs, next to what bounds them: SHA-256 of the same bytes on one core, and
//! plain TCP on the loopback device, all in one run.
//!
//! `DFSD_BENCH_MIB=n` sets the size of the file (512), `DFSD_BENCH_FILES=n` the number of small files (5000). Each
//! number is the best of `ROUNDS`: the others measure what else the machine did.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark uses the machine, and nobody needs its last digit"
)]

use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;
const MIB: usize = 1 << 20;

fn main() {
    // `cargo test --all-targets` runs this too; it measures nothing then.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mib = number("DFSD_BENCH_MIB", 512);
    let files = number("DFSD_BENCH_FILES", 5000);
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    write_noise(&source, mib, 0);
    println!("a file of {mib} MiB, warm, best of {ROUNDS}\n");

    let hash = rate(mib, best(|_| sha256(&source)));
    let tcp = rate(mib, best(|_| loopback(mib)));
    println!("SHA-256, one core        {hash:8.0} MiB/s");
    println!("TCP on loopback          {tcp:8.0} MiB/s");

    let first = Daemon::start(&folder.path().join("node1"), &[]);
    // A new file each time: what is stored already is not sent again.
    let put = best(|round| {
        write_noise(&source, mib, round as u64 + 1);
        first.dfs(&["put", text(&source), &format!("big{round}")])
    });
    report("put", rate(mib, put), (hash, tcp));
    let get = best(|_| first.dfs(&["get", "big0", "-"]));
    report("get from the same node", rate(mib, get), (hash, tcp));

    let ticket = folder.path().join("ticket");
    fs::write(&ticket, first.output(&["ticket"])).unwrap();
    let second = Daemon::start(&folder.path().join("node2"), &["--join", text(&ticket)]);
    let copied = timed(|| second.wait_for_copies("big2"));
    report("copy to a late node", rate(mib * ROUNDS, copied), (hash, tcp));
    let get = best(|_| second.dfs(&["get", "big0", "-"]));
    report("get from the other node", rate(mib, get), (hash, tcp));

    let tree = folder.path().join("tree");
    write_tree(&tree, files);
    let put = first.dfs(&["put", "-r", text(&tree), "tree"]);
    let back = folder.path().join("back");
    let get = first.dfs(&["get", "-r", "tree", text(&back)]);
    println!("\n{files} files of 1 to 4 KiB");
    println!("put -r                   {:8.0} files/s", files as f64 / put.as_secs_f64());
    println!("get -r                   {:8.0} files/s", files as f64 / get.as_secs_f64());
    println!("\npeak memory              {} and {} KiB", first.peak_kib(), second.peak_kib());
}

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn best(mut measure: impl FnMut(usize) -> Duration) -> Duration {
    (0..ROUNDS).map(&mut measure).min().expect("there is a round")
}

fn timed(act: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    act();
    begun.elapsed()
}

fn rate(mib: usize, taken: Duration) -> f64 {
    mib as f64 / taken.as_secs_f64()
}

fn report(what: &str, rate: f64, (hash, tcp): (f64, f64)) {
    let (of_hash, of_tcp) = (rate / hash, rate / tcp);
    println!("{what:24} {rate:8.0} MiB/s   {of_hash:.2} of SHA-256, {of_tcp:.2} of TCP");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the folder's name is text")
}

fn write_noise(path: &Path, mib: usize, seed: u64) {
    let mut rng = rand::rngs::ChaCha8Rng::seed_from_u64(seed);
    let mut block = vec![0; MIB];
    let mut file = File::create(path).unwrap();
    for _ in 0..mib {
        rng.fill_bytes(&mut block);
        file.write_all(&block).unwrap();
    }
    // What is measured next must not wait for this.
    file.sync_all().unwrap();
}

fn write_tree(folder: &Path, files: usize) {
    let mut rng = rand::rngs::ChaCha8Rng::seed_from_u64(7);
    for at in 0..files {
        let parent = folder.join(format!("{:02}", at % 50));
        fs::create_dir_all(&parent).unwrap();
        let mut bytes = vec![0; 1024 + at * 37 % 3072];
        rng.fill_bytes(&mut bytes);
        fs::write(parent.join(format!("file{at}")), bytes).unwrap();
    }
}

fn sha256(path: &Path) -> Duration {
    let mut file = File::open(path).unwrap();
    let mut block = vec![0; MIB];
    let mut hash = Sha256::new();
    let mut taken = Duration::ZERO;
    loop {
        let count = file.read(&mut block).unwrap();
        if count == 0 {
            break;
        }
        taken += timed(|| hash.update(&block[..count]));
    }
    std::hint::black_box(hash.finalize());
    taken
}

fn loopback(mib: usize) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sender = std::thread::spawn(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        let block = vec![7; MIB / 4];
        for _ in 0..mib * 4 {
            socket.write_all(&block).unwrap();
        }
    });
    let (mut socket, _) = listener.accept().unwrap();
    let mut block = vec![0; MIB / 4];
    let taken = timed(|| while socket.read(&mut block).unwrap() > 0 {});
    sender.join().unwrap();
    taken
}

/// A running daemon; killed when dropped.
struct Daemon {
    data: String,
    process: Child,
}

impl Daemon {
    fn start(data: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dfsd"));
        command.args(["--data", text(data), "--listen", "127.0.0.1:0", "--log", "warn"]);
        command.args(options).env("XDG_STATE_HOME", data.with_extension("state"));
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while !data.join("address").exists() {
            assert!(begun.elapsed() < Duration::from_secs(30), "a daemon did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { data: text(data).to_owned(), process }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dfs"));
        command.args(["--data", &self.data]).args(arguments);
        command
    }

    /// How long a command takes; its output goes nowhere.
    fn dfs(&self, arguments: &[&str]) -> Duration {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut status = None;
        let taken = timed(|| status = Some(command.status().unwrap()));
        assert!(status.is_some_and(|status| status.success()), "dfs {arguments:?} failed");
        taken
    }

    fn output(&self, arguments: &[&str]) -> Vec<u8> {
        self.command(arguments).output().unwrap().stdout
    }

    fn wait_for_copies(&self, name: &str) {
        loop {
            let stat = self.output(&["stat", name, "--json"]);
            if String::from_utf8_lossy(&stat).contains("\"copies\":2") {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The most memory that it has had.
    fn peak_kib(&self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.unwrap_or("?").trim().trim_end_matches(" kB").to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
