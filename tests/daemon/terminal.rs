//! What a person sees at a terminal while `dfs` works, and what Ctrl-C and SIGTERM leave.
//!
//! Knows no inside of `dfs`. Invariant: what is written is judged as a terminal shows it: carriage returns, the codes that
//! clear, and rows that would be broken.

use super::process::{command, wait_for_end};
use super::{Network, TIMEOUT, noise, text, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// In which whoever is told to end does so.
const END_MAX: Duration = Duration::from_millis(1500);

/// A terminal of so many columns, and what was written to it.
struct Terminal {
    near: File,
    far: File,
    written: Receiver<Vec<u8>>,
}

impl Terminal {
    fn new(columns: u16) -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        let path = ptsname(&near, Vec::new()).unwrap();
        let far = File::options().read(true).write(true).open(path.to_str().unwrap()).unwrap();
        let near = File::from(near);
        let (sender, written) = channel();
        let mut reader = near.try_clone().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let terminal = Self { near, far, written };
        terminal.resize(columns);
        terminal
    }

    fn resize(&self, columns: u16) {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.near, size).unwrap();
    }

    fn spawn(&self, network: &Network, arguments: &[&str]) -> Child {
        let mut dfs = dfs(network, arguments);
        dfs.env("TERM", "xterm").stderr(self.far.try_clone().unwrap()).spawn().unwrap()
    }

    /// All that was written, by whoever has ended.
    fn all(self) -> String {
        drop(self.far);
        let mut all = Vec::new();
        while let Ok(bytes) = self.written.recv_timeout(TIMEOUT) {
            all.extend(bytes);
        }
        String::from_utf8(all).unwrap()
    }

    /// What has been written meanwhile.
    fn so_far(&self) -> usize {
        self.written.try_iter().map(|bytes| bytes.len()).sum()
    }
}

/// What a terminal shows: its rows at the end, and the widest that any row was.
fn shown(written: &str) -> (Vec<String>, usize) {
    let (mut rows, mut row, mut at, mut widest) = (Vec::new(), Vec::new(), 0, 0);
    let mut characters = written.chars();
    while let Some(character) = characters.next() {
        match character {
            '\r' => at = 0,
            '\n' => rows.push(std::mem::take(&mut row).into_iter().collect::<String>()),
            '\u{1b}' => {
                let code: String = characters.by_ref().take(2).collect();
                assert_eq!(code, "[J", "another code than the one that clears to the end");
                row.truncate(at);
            }
            other => {
                row.resize(row.len().max(at), ' ');
                row.truncate(at);
                row.push(other);
                at += 1;
                // Those of the names here that are not ASCII are wide.
                let width: usize =
                    row.iter().map(|one| if one.is_ascii() || *one == '…' { 1 } else { 2 }).sum();
                widest = widest.max(width);
            }
        }
    }
    rows.push(row.into_iter().collect());
    (rows, widest)
}

fn dfs(network: &Network, arguments: &[&str]) -> Command {
    let mut dfs = command("dfs", Path::new("/nonexistent"));
    dfs.arg("--data").arg(&network.nodes[0].data).args(arguments);
    dfs.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    dfs
}

/// A folder that takes a while.
fn large_tree(network: &Network, name: &str) -> String {
    let root = network.path(name);
    fs::create_dir(&root).unwrap();
    for file in 0..60_u64 {
        fs::write(root.join(format!("写真-{file}")), noise(2_000_000, file)).unwrap();
    }
    text(&root)
}

fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

/// Signals it, and gives its exit status and what it said.
#[track_caller]
fn interrupted(mut child: Child, with: Signal) -> (Option<i32>, String) {
    signal(&child, with);
    let begun = Instant::now();
    let code = wait_for_end(&mut child, TIMEOUT);
    assert!(begun.elapsed() < END_MAX, "it took {:?}", begun.elapsed());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (code, said)
}

#[test]
fn the_line_of_progress_is_never_wider_than_the_terminal_and_leaves_nothing() {
    let network = Network::alone();
    let root = large_tree(&network, "写真の休日");
    for columns in [20_u16, 33, 80, 200] {
        let terminal = Terminal::new(columns);
        let mut put = terminal.spawn(&network, &["put", "-r", &root, &format!("tree{columns}")]);
        assert_eq!(wait_for_end(&mut put, TIMEOUT), Some(0));
        let written = terminal.all();
        let (rows, _) = shown(&written);
        let [said, last] = &rows[..] else { panic!("{rows:?}") };
        assert!(said.starts_with("stored 60 files, 1 folder under tree"), "{rows:?}");
        assert_eq!(last, "");
        let bar = written.rsplit_once("\r\u{1b}[J").unwrap().0;
        let (_, widest) = shown(bar);
        assert!((4..usize::from(columns)).contains(&widest), "{widest} in {columns} columns");
        assert!(columns < 100 || bar.contains(" of 61 files, "), "{bar:?}");
    }
}

#[test]
fn a_terminal_that_is_made_narrower_is_taken_as_it_is() {
    let network = Network::alone();
    let root = large_tree(&network, "tree");
    let terminal = Terminal::new(150);
    let mut put =
        terminal.spawn(&network, &["put", "-r", &root, "写真写真写真写真写真写真写真写真写真"]);
    wait_for("the line is there", || terminal.so_far() > 0);
    terminal.resize(24);
    // What was on its way may be as wide as before.
    thread::sleep(Duration::from_millis(50));
    terminal.so_far();
    assert_eq!(wait_for_end(&mut put, TIMEOUT), Some(0));
    let written = terminal.all();
    let bar = written.rsplit_once("\r\u{1b}[J").map_or("", |(bar, _)| bar);
    assert!(shown(bar).1 < 24, "{bar:?}");
}

/// A folder with a file that is stored at once, and one of zeros that takes long and little room.
fn slow_tree(network: &Network, length: u64) -> String {
    let root = network.path("slow");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("small"), "small").unwrap();
    File::create(root.join("large")).unwrap().set_len(length).unwrap();
    text(&root)
}

fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().mode()
}

#[test]
fn an_interrupted_put_says_what_was_stored() {
    let network = Network::alone();
    let root = slow_tree(&network, 64 << 30);
    for (with, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let prefix = code.to_string();
        let put = dfs(&network, &["put", "-r", &root, &prefix]).spawn().unwrap();
        let small = format!("{prefix}/small");
        wait_for("some is stored", || network.names(0).contains(&small));
        network.nodes[0].freeze();
        let (ended, said) = interrupted(put, with);
        network.nodes[0].thaw();
        assert_eq!(ended, Some(code), "{said}");
        // Answers that had not come when the node stopped are not counted.
        let may_say = ["0 names", "1 name", "2 names"].map(|names| {
            format!("dfs: interrupted: {names} stored; repeat the command for the others\n")
        });
        assert!(may_say.contains(&said), "{said}");
        assert!(!network.names(0).contains(&format!("{prefix}/large")));
    }
    let terminal = Terminal::new(80);
    let mut put = terminal.spawn(&network, &["put", &format!("{root}/large")]);
    wait_for("the line is there", || terminal.so_far() > 0);
    signal(&put, Signal::INT);
    assert_eq!(wait_for_end(&mut put, END_MAX), Some(130));
    let (rows, _) = shown(&terminal.all());
    assert_eq!(rows[..], ["dfs: interrupted before large was acknowledged as stored", ""]);
    assert!(!network.names(0).contains(&"large".to_owned()));
}

#[test]
fn an_interrupted_get_leaves_whole_files_alone() {
    let network = Network::alone();
    let root = slow_tree(&network, 1 << 30);
    network.dfs(0, &["put", "-r", &root]).ok();
    let back = network.path("back");
    let terminal = Terminal::new(80);
    let mut get = terminal.spawn(&network, &["get", "-r", "slow", &text(&back)]);
    wait_for("it has begun", || back.is_dir());
    network.nodes[0].freeze();
    signal(&get, Signal::INT);
    assert_eq!(wait_for_end(&mut get, END_MAX), Some(130));
    let (rows, _) = shown(&terminal.all());
    let [said, last] = &rows[..] else { panic!("{rows:?}") };
    let end = " of 3 names fetched; repeat the command for the others";
    assert!(said.starts_with("dfs: interrupted: ") && said.ends_with(end), "{said}");
    assert_eq!(last, "");
    assert!(fs::read_dir(&back).unwrap().all(|entry| entry.unwrap().file_name() == "small"));
    // It is open to whom it was open before.
    assert_eq!(mode_of(&back), mode_of(Path::new(&root)));
    // It does not answer at all.
    let one = network.path("one");
    let get = dfs(&network, &["get", "slow/small", &text(&one)]).spawn().unwrap();
    thread::sleep(Duration::from_millis(300));
    let (ended, said) = interrupted(get, Signal::TERM);
    network.nodes[0].thaw();
    assert_eq!((ended, said.as_str()), (Some(143), "dfs: interrupted\n"));
    let left = fs::read_dir(one.parent().unwrap()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == "one" || name.to_string_lossy().ends_with(".part")));
}
