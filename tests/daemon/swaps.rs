//! What somebody does to the files and folders of `dfs put` and `dfs get` who means ill or is careless.
//!
//! Knows no inside of `dfs`. Invariant: nothing is lost, nobody gets more rights, and the message names what to do.

use super::{Network, noise, text};
use dfsd::client::Client;
use dfsd::ids::NodeId;
use dfsd::keyring::Keyring;
use dfsd::session::Meta;
use dfsd::wire::attributes::{Attributes, Xattr};
use dfsd::wire::message::PeerAddress;
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
fn who_stores_a_file_gives_it_no_rights_where_it_is_fetched() {
    let network = Network::alone();
    let access = Keyring::open(&network.nodes[0].data).unwrap().access;
    let address = network.nodes[0].address.to_string();
    let mut client =
        Client::connect(&[PeerAddress { node: NodeId::default(), address }], &access).unwrap();
    // A capability, as the kernel keeps it: who runs the program may do everything.
    let all: Vec<u8> = [1, 0, 0, 2].into_iter().chain([0xff; 8]).chain([0; 8]).collect();
    let names = ["security.capability", "trusted.note", "user.note"];
    let xattr = |name: &str| Xattr { name: name.into(), value: all.clone() };
    let attributes = Attributes { xattrs: names.map(xattr).into(), ..Attributes::default() };
    let meta = Meta { name: b"tool".to_vec(), mode: 0o106_755, attributes, ..Meta::default() };
    client.put(meta, &b"tool"[..]).unwrap();
    let back = network.path("back");
    network.dfs(0, &["get", "--xattrs", "tool", &text(&back)]).ok();
    assert_eq!(mode_of(&back), 0o755);
    let mut found = [0; 256];
    let length = rustix::fs::listxattr(&back, &mut found[..]).unwrap_or(0);
    let found = String::from_utf8_lossy(&found[..length]);
    assert!(found.split_terminator('\0').all(|name| name == "user.note"), "{found}");
}

#[test]
fn a_full_device_loses_nothing_and_is_said() {
    let network = Network::alone();
    network.put(0, "name", &noise(3_000_000, 1));
    let full = network.dfs(0, &["get", "name", "/dev/full"]);
    assert!(full.stderr.contains("cannot write /dev/full: No space left"), "{}", full.stderr);
    full.fails_with(1);
}
