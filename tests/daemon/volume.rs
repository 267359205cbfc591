//! Small volumes that fill up, and one that breaks: real ENOSPC and EIO, from a kernel.
//!
//! Needs the right to mount; where there is none a test says so and passes. Invariant: what was mounted is unmounted with
//! the test, however it ends.

use super::process::{Daemon, wait_for_end};
use super::{Network, TIMEOUT, noise, wait_for};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A file system of its own.
struct Volume {
    base: TempDir,
    /// What it stands on, if that is one too.
    below: Option<Box<Self>>,
}

impl Volume {
    /// One in memory, of so many bytes. None without the right to mount.
    fn in_memory(bytes: u64) -> Option<Self> {
        let size = format!("size={bytes}");
        Self::mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], None)
    }

    /// One that promises more than it has: a disk of `bytes` on a volume in memory of `backed`. When it has taken that
    /// much its writes fail.
    fn overcommitted(bytes: u64, backed: u64) -> Option<Self> {
        let below = Self::in_memory(backed)?;
        let image = below.path().join("image");
        fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        let image = image.to_str().unwrap();
        // Without a journal, whose failure would make the volume read-only before a flush could fail.
        let made = run("mkfs.ext4", &["-q", "-F", "-O", "^has_journal", image]);
        if !made {
            println!("skipped: no mkfs.ext4 here");
            return None;
        }
        let point = ["-o", "loop", image];
        Self::mount(&point, Some(Box::new(below)))
    }

    fn mount(arguments: &[&str], below: Option<Box<Self>>) -> Option<Self> {
        let volume = Self { base: tempfile::tempdir().unwrap(), below };
        fs::create_dir(volume.path()).unwrap();
        let point = volume.path();
        let mounted = run("mount", &[arguments, &[point.to_str().unwrap()]].concat());
        if !mounted {
            println!("skipped: nothing may be mounted here");
        }
        mounted.then_some(volume)
    }

    fn path(&self) -> PathBuf {
        self.base.path().join("data")
    }

    /// Takes all the room there is.
    fn fill_up(&self) -> Ballast {
        let path = self.path().join("ballast");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        Ballast(path)
    }

    /// Takes room from everybody else.
    fn ballast(&self, bytes: u64) -> Ballast {
        let path = self.path().join("ballast");
        fs::write(&path, vec![1; usize::try_from(bytes).unwrap()]).unwrap();
        Ballast(path)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        run("umount", &["-l", self.path().to_str().unwrap()]);
        drop(self.below.take());
    }
}

struct Ballast(PathBuf);

impl Ballast {
    fn remove(self) {
        fs::remove_file(&self.0).unwrap();
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Puts until the node says that there is no room. What it took.
fn fill(network: &Network, (prefix, size): (&str, usize)) -> Vec<String> {
    let mut taken = Vec::new();
    loop {
        let name = format!("{prefix}/{}", taken.len());
        let content = content(&name, size);
        let ended = network.dfs_with(0, &["put", "-", &name], &content);
        if ended.code != 0 {
            ended.fails_with(5);
            assert!(ended.stderr.contains("full"), "{}", ended.stderr);
            return taken;
        }
        taken.push(name);
        assert!(taken.len() < 500, "it never fills up");
    }
}

/// The free space is asked for again after a refusal: the next put, or the one after it, is taken.
fn wait_for_room(network: &Network, name: &str) {
    let bytes = content(name, 1_000_000);
    wait_for("there is room again", || network.dfs_with(0, &["put", "-", name], &bytes).code == 0);
    assert!(network.cat(0, name) == bytes);
}

fn content(name: &str, size: usize) -> Vec<u8> {
    noise(size, name.bytes().fold(7, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte)))
}

fn check(network: &Network, node: usize, names: &[String], size: usize) {
    for name in names {
        assert!(network.cat(node, name) == content(name, size), "{name}");
    }
}

#[test]
fn a_disk_filled_to_the_last_byte_loses_nothing() {
    let Some(volume) = Volume::in_memory(24 * MIB) else { return };
    let options = ["--reserve", "0"];
    let ballast = volume.ballast(4 * MIB);
    let mut network = Network::in_folder(&volume.path(), &options);
    let large = fill(&network, ("large", 1_500_000));
    let small = fill(&network, ("small", 30_000));
    assert!(large.len() > 5, "only {large:?}");
    for _ in 0..2 {
        check(&network, 0, &large, 1_500_000);
        check(&network, 0, &small, 30_000);
        network.dfs(0, &["stat", &format!("large/{}", large.len())]).fails_with(4);
        assert!(network.nodes[0].is_running());
        network.nodes[0].kill();
        network.nodes[0].restart_with(&options);
    }
    ballast.remove();
    wait_for_room(&network, "later");
    assert_eq!(network.dfs(0, &["verify"]).code, 0);
}

#[test]
fn a_node_starts_without_a_byte_of_room() {
    let Some(volume) = Volume::in_memory(16 * MIB) else { return };
    let options = ["--reserve", "0"];
    let mut network = Network::in_folder(&volume.path(), &options);
    network.put(0, "file", b"small");
    let ballast = volume.fill_up();
    network.nodes[0].kill();
    network.nodes[0].restart_with(&options);
    assert_eq!(network.cat(0, "file"), b"small");
    network.dfs(0, &["rm", "file"]).ok();
    // What the start has got back is taken again.
    ballast.remove();
    let ballast = volume.fill_up();
    network.nodes[0].kill();
    network.nodes[0].restart_with(&options);
    network.dfs(0, &["stat", "file"]).fails_with(4);
    ballast.remove();
    wait_for_room(&network, "later");
}

#[test]
fn below_the_reserve_puts_are_refused_and_all_else_works() {
    let Some(volume) = Volume::in_memory(32 * MIB) else { return };
    let options = ["--reserve", "8MiB"];
    let ballast = volume.ballast(4 * MIB);
    let mut network = Network::in_folder(&volume.path(), &options);
    let mut taken = fill(&network, ("file", 1_000_000));
    let deleted = taken.pop().unwrap();
    network.dfs(0, &["rm", &deleted]).ok();
    check(&network, 0, &taken, 1_000_000);
    assert_eq!(network.names(0).len(), taken.len());
    network.nodes[0].kill();
    network.nodes[0].restart_with(&options);
    network.dfs(0, &["stat", &deleted]).fails_with(4);
    check(&network, 0, &taken, 1_000_000);
    // The start has given back what the log had set aside; then it is full again.
    let again = fill(&network, ("again", 1_000_000));
    assert!(again.len() < 8, "the reserve was used");
    ballast.remove();
    wait_for_room(&network, "more");
}

#[test]
fn a_replica_without_room_stalls_nobody() {
    let Some(volume) = Volume::in_memory(16 * MIB) else { return };
    let options = ["--reserve", "1MiB"];
    let mut network = Network::start(2);
    let ballast = volume.ballast(6 * MIB);
    let ticket = network.ticket();
    let join = ["--join", ticket.to_str().unwrap(), "--reserve", "1MiB"];
    network.nodes.push(Daemon::start(&volume.path(), "127.0.0.1:0", &join));
    network.wait_connected();
    let names: Vec<String> = (0..16).map(|index| format!("file/{index}")).collect();
    for name in &names {
        network.put(0, name, &content(name, 1_000_000));
    }
    for name in &names {
        // The one without room has a part of them.
        wait_for("another copy", || network.stat(0, name, "copies").is_some_and(|it| *it >= *"2"));
    }
    check(&network, 1, &names, 1_000_000);
    let full = &mut network.nodes[2];
    assert!(full.is_running());
    let before = full.processor_time();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let used = full.processor_time() - before;
    assert!(used.as_millis() < 500, "{used:?} of a processor for nothing");
    let lines = full.log().lines().count();
    assert!(lines < 200, "{lines} lines in the log:\n{}", full.log());
    full.kill();
    full.restart_with(&options);
    network.wait_connected();
    ballast.remove();
    let last = &names[..4];
    for name in last {
        network.dfs(2, &["cat", name]);
    }
    assert!(network.nodes[2].is_running());
    check(&network, 0, &names, 1_000_000);
}

/// One whose writes fail: no journal, so that a flush says so first.
#[test]
fn a_disk_that_breaks_ends_the_daemon_with_a_status_of_its_own() {
    let Some(volume) = Volume::overcommitted(96 * MIB, 12 * MIB) else { return };
    let options = ["--reserve", "0"];
    let network = Network::in_folder(&volume.path(), &options);
    let mut acknowledged = 0;
    loop {
        let name = format!("file/{acknowledged}");
        let put = network.dfs_with(0, &["put", "-", &name], &content(&name, 1_000_000));
        if put.code != 0 {
            put.fails_with(5);
            break;
        }
        acknowledged += 1;
        assert!(acknowledged < 64, "it never breaks");
    }
    let mut daemon = network.nodes.into_iter().next().unwrap();
    let code = wait_for_end(daemon.process(), TIMEOUT);
    assert_eq!(code, Some(9), "{}", daemon.log());
    assert!(daemon.log().contains("the disk failed"), "{}", daemon.log());
}

/// Where a data folder is given.
impl Network {
    fn in_folder(data: &Path, options: &[&str]) -> Self {
        Self::begin(tempfile::tempdir().unwrap(), data, ("127.0.0.1:0", options))
    }
}
