//! `make run`: the network of an earlier run goes on, and every hint that is printed can be pasted, the first time and later.
//!
//! Knows the script by its lines. Invariant: it runs in a folder of the test, on the programs of the test.

use super::process::{program, wait_for_end};
use super::{TIMEOUT, text, wait_up_to};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A place like the source's own folder, with a blank in its name.
struct Place {
    folder: TempDir,
    root: PathBuf,
    runs: usize,
}

/// A run of the script, stopped when it is dropped.
struct Run {
    script: Child,
    printed: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a place");
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::create_dir_all(root.join("tests")).unwrap();
        fs::create_dir_all(root.join("src")).unwrap();
        fs::create_dir_all(root.join("target/release")).unwrap();
        fs::copy(source.join("tests/local-network.sh"), root.join("tests/local-network.sh"))
            .unwrap();
        fs::write(root.join("README.md"), "a text\n").unwrap();
        fs::write(root.join("src/code.rs"), "some code\n").unwrap();
        for name in ["dfsd", "dfs", "dfs-load"] {
            symlink(program(name), root.join("target/release").join(name)).unwrap();
        }
        Self { folder, root, runs: 0 }
    }

    /// Runs it until the hints are printed.
    fn run(&mut self, variables: &[(&str, &str)]) -> Run {
        self.runs += 1;
        let printed = self.folder.path().join(format!("printed{}", self.runs));
        let out = File::create(&printed).unwrap();
        let mut command = self.command("tests/local-network.sh run");
        command.envs(variables.iter().copied()).env("NODES", "2").env("LARGE_MIB", "3");
        let script = command.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
        let mut run = Run { script, printed };
        wait_up_to(TIMEOUT * 2, "the hints are printed", || {
            assert!(run.script.try_wait().unwrap().is_none(), "it ended: {}", run.printed());
            run.printed().contains("Ctrl-C stops every node")
        });
        run
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new("bash");
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("DFSD_") {
                command.env_remove(&key);
            }
        }
        command.args(["-c", words]).current_dir(&self.root).stdin(Stdio::null());
        command.env("HOME", self.folder.path()).env_remove("XDG_STATE_HOME");
        command.env("CARGO_TARGET_DIR", self.root.join("target"));
        command
    }

    /// Pastes the hints into a shell that stops at the first that fails.
    fn paste(&self, hints: &[String]) -> String {
        let output = self.command(&format!("cd /; set -e\n{}", hints.join("\n"))).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{hints:#?}\n{said}");
        said
    }

    fn node(&self, number: usize) -> String {
        fs::read_to_string(self.root.join(format!("run/node{number}/node.key"))).unwrap()
    }
}

impl Run {
    fn printed(&self) -> String {
        fs::read_to_string(&self.printed).unwrap()
    }

    /// The lines that can be pasted, and the one that starts a daemon.
    fn hints(&self) -> (Vec<String>, String) {
        let printed = self.printed();
        let (_, hints) = printed.split_once("The network runs").unwrap();
        let hints = hints.lines().filter_map(|line| line.strip_prefix("  "));
        let (daemon, hints): (Vec<_>, Vec<_>) =
            hints.map(str::to_owned).partition(|line| line.starts_with("dfsd "));
        let [daemon] = &daemon[..] else { panic!("{daemon:?}") };
        (hints, daemon.clone())
    }

    #[track_caller]
    fn stop(mut self) {
        self.signal();
        wait_for_end(&mut self.script, TIMEOUT);
    }

    fn signal(&self) {
        let id = i32::try_from(self.script.id()).unwrap();
        let _ = kill_process(Pid::from_raw(id).unwrap(), Signal::TERM);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.script.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal();
            let _ = self.script.wait();
        }
    }
}

/// All hints, then the one of the further node, which is seen to join and stopped.
fn try_hints(place: &Place, run: &Run) {
    let (hints, daemon) = run.hints();
    let said = place.paste(&hints);
    assert!(said.contains("README.md") && said.contains("a text"), "{said}");
    let setting = hints[..2].join("\n");
    let mut child = place
        .command(&format!("{setting}\nexec {daemon}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let peers = format!("dfs --data {} peers --json", quoted(&place.root.join("run/extra")));
    let connected = || {
        let output = place.command(&format!("{setting}\n{peers}")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).matches("\"connected\":true").count()
    };
    wait_up_to(TIMEOUT, "the further node is connected to both", || {
        assert!(child.try_wait().unwrap().is_none(), "{daemon} has ended");
        connected() == 2
    });
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    assert_eq!(wait_for_end(&mut child, TIMEOUT), Some(0));
}

fn quoted(path: &Path) -> String {
    format!("'{}'", text(path))
}

#[test]
fn a_second_run_goes_on_with_the_network_and_every_hint_can_be_pasted_both_times() {
    let mut place = Place::new();
    let first = place.run(&[]);
    try_hints(&place, &first);
    let (hints, _) = first.hints();
    place.paste(&[hints[..2].join("\n"), "echo kept | dfs put - kept".to_owned()]);
    first.stop();
    let nodes = [place.node(1), place.node(2)];

    let second = place.run(&[]);
    assert!(second.printed().contains("the network of the last run"), "{}", second.printed());
    assert!(!second.printed().contains("removing"), "{}", second.printed());
    assert_eq!([place.node(1), place.node(2)], nodes);
    try_hints(&place, &second);
    let (hints, _) = second.hints();
    let said = place.paste(&[hints[..2].join("\n"), "dfs cat kept; dfs ls".to_owned()]);
    assert!(said.starts_with("kept\n") && said.contains("demo/large"), "{said}");
    second.stop();

    let fresh = place.run(&[("FRESH", "1")]);
    for path in ["run/node1", "run/node2", "run/extra", "run/ticket"] {
        assert!(fresh.printed().contains(&format!("removing {path}\n")), "{}", fresh.printed());
    }
    assert_ne!(place.node(1), nodes[0]);
    try_hints(&place, &fresh);
    fresh.stop();
    let noted = place.root.join("run/state/dfsd/folders");
    assert!(fs::read_to_string(noted).unwrap().contains("/run/node1"));
}
