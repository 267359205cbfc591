//! What somebody does to the files and folders of `dfs put` and `dfs get` who means ill or is careless.
//!
//! Knows no inside of `dfs`. Invariant: nothing is lost, nobody gets more rights, and the message names what to do.

use super::{Network, noise, text};
use rustix::fs::{FallocateFlags, XattrFlags};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn two_that_would_become_one_are_refused() {
    let network = Network::alone();
    for folder in ["a", "b"] {
        fs::create_dir(network.path(folder)).unwrap();
    }
    let (one, two) = (network.local("a/x", b"1"), network.local("b/x", b"2"));
    let refused = network.dfs(0, &["put", &one, &two, "--to", "p/"]);
    assert!(refused.stderr.contains("would both be stored as p/x"), "{}", refused.stderr);
    refused.fails_with(2);
    network.dfs(0, &["put", &one, &one, "--to", "p/"]).ok();
    network.put(0, "q/x", b"2");
    let to = text(&network.path("to"));
    let refused = network.dfs(0, &["get", "p/x", "q/x", "--to", &to]);
    assert!(refused.stderr.contains("p/x and q/x would both become x"), "{}", refused.stderr);
    refused.fails_with(2);
    assert!(!network.path("to").exists());
    network.dfs(0, &["get", "-r", "p", "-"]).fails_with(2);
    network.dfs(0, &["get", "p/x", ""]).fails_with(2);
}

#[test]
fn an_existing_folder_keeps_what_its_owner_may_do_and_a_shared_one_all() {
    let network = Network::alone();
    let root = network.path("tree");
    fs::create_dir_all(root.join("closed")).unwrap();
    fs::write(root.join("closed/x"), "x").unwrap();
    set_mode(&root.join("closed"), 0o500);
    set_mode(&root, 0o500);
    network.dfs(0, &["put", "-r", &text(&root)]).ok();
    for (before, after) in [(0o755, 0o700), (0o1777, 0o1777), (0o700, 0o700)] {
        let there = network.path(&format!("there{before:o}"));
        fs::create_dir(&there).unwrap();
        set_mode(&there, before);
        network.dfs(0, &["get", "-r", "tree", &text(&there)]).ok();
        assert_eq!(mode_of(&there), after, "{before:o}");
        assert_eq!(mode_of(&there.join("closed")), 0o500);
        network.dfs(0, &["get", "-r", "tree", &text(&there)]).ok();
        assert_eq!(mode_of(&there.join("closed")), 0o500);
    }
}

#[test]
fn only_the_blocks_of_a_file_on_its_disk_changed() {
    let network = Network::alone();
    let root = network.path("tree");
    fs::create_dir(&root).unwrap();
    let path = root.join("file");
    let file = File::create(&path).unwrap();
    file.set_len(1 << 20).unwrap();
    let before = file.metadata().unwrap();
    network.dfs(0, &["put", "-r", &text(&root)]).ok();
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 1 << 20).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    assert_ne!(file.metadata().unwrap().blocks(), before.blocks());
    let again = network.dfs(0, &["put", "-r", &text(&root)]);
    assert!(again.stderr.contains("nothing to store under tree: 2 unchanged"), "{}", again.stderr);
}

#[test]
fn attributes_are_those_of_what_a_link_leads_to() {
    let network = Network::alone();
    let file = network.local("file", b"x");
    let set = rustix::fs::setxattr(&file, "user.note", b"note", XattrFlags::empty());
    if set.is_err() {
        return;
    }
    set_mode(Path::new(&file), 0o400);
    let link = network.path("link");
    symlink(&file, &link).unwrap();
    network.dfs(0, &["put", "--xattrs", &text(&link), "name"]).ok();
    let back = network.path("back");
    network.dfs(0, &["get", "--xattrs", "name", &text(&back)]).ok();
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(&back, "user.note", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"note");
    assert_eq!(mode_of(&back), 0o400);
}

#[test]
fn a_full_device_loses_nothing_and_is_said() {
    let network = Network::alone();
    network.put(0, "name", &noise(3_000_000, 1));
    let full = network.dfs(0, &["get", "name", "/dev/full"]);
    assert!(full.stderr.contains("cannot write /dev/full: No space left"), "{}", full.stderr);
    full.fails_with(1);
}
