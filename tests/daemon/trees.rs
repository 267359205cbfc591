//! Trees: what comes back of a folder is what went in, and what is refused loses nothing.
//!
//! Knows no fault of a node. Invariant: bytes, modes, times, links and empty folders are compared, by themselves.

use super::{Network, make_pipe, noise, text, wait_for};
use rustix::fs::{Timespec, Timestamps, XattrFlags};
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A thing in a tree: its path, mode, time and contents; a link's mode means nothing.
fn told(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        all.push(one(root, &folder));
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                folders.push(path);
            } else {
                all.push(one(root, &path));
            }
        }
    }
    all.sort();
    all
}

fn one(root: &Path, path: &Path) -> String {
    let found = fs::symlink_metadata(path).unwrap();
    let contents = if found.is_symlink() {
        format!("link to {:?}", fs::read_link(path).unwrap())
    } else if found.is_dir() {
        "folder".to_owned()
    } else {
        format!("{:?}", fs::read(path).unwrap().len())
    };
    let mode = if found.is_symlink() { 0 } else { found.mode() };
    let path = path.strip_prefix(root).unwrap();
    format!("{path:?} {mode:o} {}.{:09} {contents}", found.mtime(), found.mtime_nsec())
}

fn set_time(path: &Path, seconds: i64, nanos: i64) {
    let at = Timespec { tv_sec: seconds, tv_nsec: nanos };
    let times = Timestamps { last_access: at, last_modification: at };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// One of everything.
fn make_tree(root: &Path) {
    for folder in ["", "a", "a/b", "empty", "closed", "ä", "wide"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    let files =
        [("a/x", 0o644), ("a/b/run", 0o755), ("secret", 0), ("closed/y", 0o664), ("ä/ö", 0o400)];
    for ((name, mode), seed) in files.into_iter().zip(1..) {
        fs::write(root.join(name), noise(seed * 30_000, seed as u64)).unwrap();
        set_mode(&root.join(name), mode);
        set_time(&root.join(name), -(seed as i64) * 1_000_000_000, seed as i64);
    }
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xffodd")), "odd").unwrap();
    for (link, target) in
        [("link", "a/x"), ("out", "/etc/passwd"), ("a/loop", ".."), ("lost", "no")]
    {
        symlink(target, root.join(link)).unwrap();
        set_time(&root.join(link), 1_000, 7);
    }
    for (folder, mode) in [("closed", 0o500), ("wide", 0o1777), ("a/b", 0o750), ("", 0o700)] {
        set_mode(&root.join(folder), mode);
    }
    for (folder, seconds) in [("a", 5), ("a/b", -5), ("empty", 1 << 33), ("closed", 6), ("", 9)] {
        set_time(&root.join(folder), seconds, 999_999_999);
    }
}

#[test]
fn what_comes_back_is_what_went_in() {
    let network = Network::start(2);
    let (root, back) = (network.path("tree"), network.path("back"));
    make_tree(&root);
    let said = network.dfs(0, &["put", "-r", &text(&root)]);
    assert!(said.stderr.contains("stored 10 files, 7 folders under tree"), "{}", said.stderr);
    let names = network.names(0).len();
    wait_for("all names have come", || network.names(1).len() == names);
    network.dfs(1, &["get", "-r", "tree", &text(&back)]).ok();
    assert_eq!(told(&back), told(&root));
    // A second time over the same folder, too.
    network.dfs(0, &["get", "-r", "tree/", &text(&back)]).ok();
    assert_eq!(told(&back), told(&root));
}

#[test]
fn what_is_unchanged_is_not_stored_again() {
    let network = Network::alone();
    let root = network.path("tree");
    make_tree(&root);
    let records = || network.dfs(0, &["status", "--json"]).text();
    let records = || super::json_field(&records(), "records");
    network.dfs(0, &["put", "-r", &text(&root)]).ok();
    let before = records();
    let again = network.dfs(0, &["put", "-r", &text(&root)]);
    assert!(again.stderr.contains("nothing to store under tree: 17 unchanged"), "{}", again.stderr);
    assert_eq!(records(), before);
    set_mode(&root.join("a/x"), 0o600);
    let again = network.dfs(0, &["put", "-r", &text(&root)]);
    assert!(again.stderr.contains("stored 1 file under tree, 16 unchanged"), "{}", again.stderr);
    let (file, big) = (network.local("small", b"same"), network.local("big", &noise(2_000_000, 3)));
    for file in [&file, &big] {
        network.dfs(0, &["put", file, "name"]).ok();
        let told = network.dfs(0, &["put", file, "name", "--json"]).text();
        assert!(told.contains("\"unchanged\":true") && told.contains("\"copies\":null"), "{told}");
        set_time(Path::new(file), 1, 0);
        let told = network.dfs(0, &["put", file, "name", "--json"]).text();
        assert!(told.contains("\"unchanged\":false"), "{told}");
    }
}

#[test]
fn holes_and_attributes_come_back() {
    let network = Network::alone();
    let (root, back) = (network.path("tree"), network.path("back"));
    fs::create_dir(&root).unwrap();
    let sparse = root.join("sparse");
    let file = File::create(&sparse).unwrap();
    file.set_len(64 << 20).unwrap();
    file.write_all_at(b"in the middle", 40 << 20).unwrap();
    drop(file);
    let has_xattrs =
        rustix::fs::setxattr(&sparse, "user.note", b"\0note", XattrFlags::empty()).is_ok();
    network.dfs(0, &["put", "-r", "--xattrs", &text(&root)]).ok();
    network.dfs(0, &["get", "-r", "--xattrs", "tree", &text(&back)]).ok();
    let there = back.join("sparse");
    assert!(fs::read(&there).unwrap() == fs::read(&sparse).unwrap());
    let taken = fs::metadata(&there).unwrap().blocks() * 512;
    assert!(taken < 1 << 20, "{taken} bytes for a few");
    if has_xattrs {
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(&there, "user.note", &mut value[..]).unwrap();
        assert_eq!(&value[..length], b"\0note");
    }
}

#[test]
fn a_destination_that_cannot_be_is_refused_and_stays_as_it_is() {
    let network = Network::alone();
    network.put(0, "f/file", &noise(50_000, 1));
    let at = |name: &str| text(&network.path(name));
    network.dfs(0, &["get", "f/file", &at("none/")]).fails_with(1);
    network.dfs(0, &["get", "f/file", &at("none/x")]).fails_with(1);
    symlink("nowhere", network.path("dangling")).unwrap();
    network.dfs(0, &["get", "f/file", &at("dangling")]).fails_with(1);
    assert!(fs::symlink_metadata(network.path("dangling")).unwrap().is_symlink());
    fs::create_dir(network.path("folder")).unwrap();
    for folder in ["folder", "folder/"] {
        network.dfs(0, &["get", "f/file", &at(folder)]).ok();
        assert_eq!(fs::read(network.path("folder/file")).unwrap().len(), 50_000);
        fs::remove_file(network.path("folder/file")).unwrap();
    }
    network.dfs(0, &["get", "f/file", "f/file", "--to", &at("made/here")]).ok();
    assert!(network.path("made/here/file").is_file());
    let printed = network.dfs(0, &["get", "f/file", "/dev/stdout"]).ok();
    assert!(printed == noise(50_000, 1));
}

#[test]
fn names_and_files_are_not_taken_for_each_other() {
    let network = Network::alone();
    let (one, two) = (network.local("one.txt", b"1"), network.local("two.txt", b"2"));
    let refused = network.dfs(0, &["put", &one, &two]);
    assert!(refused.stderr.contains("one.txt and ") && refused.stderr.contains("--to PREFIX/"));
    refused.fails_with(2);
    network.dfs(0, &["put", &one, &two, &one]).fails_with(2);
    network.dfs(0, &["put", &one, &two, "--to", "all"]).ok();
    network.dfs(0, &["put", &one, "--as", "a/b"]).ok();
    network.dfs(0, &["put", &one, "docs/"]).ok();
    assert_eq!(network.names(0), ["a/b", "all/one.txt", "all/two.txt", "docs/one.txt"]);
    assert_eq!(network.cat(0, "all/two.txt"), b"2");
    let odd = network.dfs_with(0, &["put", "-", "a\nb"], b"x");
    assert!(odd.stderr.contains("control characters"), "{}", odd.stderr);
    odd.fails_with(2);
    network.dfs_with(0, &["put", "--raw-names", "-", "a\nb"], b"x").ok();
}

#[test]
fn a_source_that_is_not_whole_is_not_stored() {
    let network = Network::alone();
    network.put(0, "name", b"before");
    let data = text(&network.nodes[0].data);
    let sh = |script: &str| {
        let script = script.replace("DFS", &format!("{} --data {data}", env!("CARGO_BIN_EXE_dfs")));
        Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status().unwrap().code()
    };
    assert_eq!(sh("DFS put - name <&-"), Some(1));
    assert_eq!(sh("DFS put --command 'echo half; exit 3' name"), Some(1));
    assert_eq!(network.cat(0, "name"), b"before");
    assert_eq!(sh("DFS put --command 'echo whole' name"), Some(0));
    assert_eq!(network.cat(0, "name"), b"whole\n");
    assert_eq!(sh("DFS put - name </dev/null"), Some(0));
    assert_eq!(network.cat(0, "name"), b"");
}

#[test]
fn a_file_that_grows_while_it_is_read_is_not_stored() {
    let network = Network::alone();
    let root = network.path("tree");
    fs::create_dir(&root).unwrap();
    let growing = root.join("log");
    let file = File::create(&growing).unwrap();
    file.set_len(600 << 20).unwrap();
    let put = |options: &[&str]| {
        let mut put = Command::new(env!("CARGO_BIN_EXE_dfs"));
        put.arg("--data").arg(&network.nodes[0].data).arg("put").args(options).arg("-r").arg(&root);
        let mut put = put.stderr(Stdio::null()).spawn().unwrap();
        // It reads for longer than this takes, however fast the machine is.
        let grown = wait_until_read(&put, &growing);
        file.write_all_at(b"more", 0).unwrap();
        assert!(grown, "the put had ended");
        put.wait().unwrap().code()
    };
    assert_eq!(put(&[]), Some(3));
    assert!(!network.names(0).contains(&"tree/log".to_owned()));
    assert_eq!(put(&["--allow-changed"]), Some(0));
    assert!(network.names(0).contains(&"tree/log".to_owned()));
}

/// Waits until a process has the file open and has read some of it.
fn wait_until_read(process: &std::process::Child, file: &Path) -> bool {
    let folder = PathBuf::from(format!("/proc/{}", process.id()));
    let position = || -> Option<u64> {
        let open = fs::read_dir(folder.join("fd")).ok()?.flatten();
        let mut open = open.filter(|one| fs::read_link(one.path()).is_ok_and(|to| to == file));
        let info = folder.join("fdinfo").join(open.next()?.file_name());
        let text = fs::read_to_string(info).ok()?;
        text.lines().next()?.strip_prefix("pos:")?.trim().parse().ok()
    };
    let begun = super::Instant::now();
    while begun.elapsed() < super::TIMEOUT && folder.join("fd").exists() {
        if position().is_some_and(|at| at > 1 << 20) {
            return true;
        }
    }
    false
}

#[test]
fn the_data_folder_of_a_node_is_left_out_and_special_files_are_told() {
    let network = Network::alone();
    let root = network.nodes[0].data.parent().unwrap().to_owned();
    make_pipe(&root.join("fifo"));
    fs::write(root.join("file"), "x").unwrap();
    let ended = network.dfs(0, &["put", "-r", &text(&root), "all"]);
    assert!(ended.stderr.contains("skipped: FIFO"), "{}", ended.stderr);
    assert!(ended.stderr.contains("node0: skipped: the data folder of a node"), "{}", ended.stderr);
    ended.fails_with(3);
    let names = network.names(0);
    assert!(
        names.contains(&"all/file".to_owned()) && !names.iter().any(|name| name.contains("key"))
    );
    let refused = network.dfs(0, &["put", "-r", &text(&network.nodes[0].data)]);
    refused.fails_with(1);
}

#[test]
fn a_folder_is_told_by_whoever_takes_it_for_a_file() {
    let network = Network::alone();
    let root = network.path("tree");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("x"), "x").unwrap();
    symlink("x", root.join("link")).unwrap();
    network.dfs(0, &["put", "-r", &text(&root)]).ok();
    for command in [&["cat", "tree"][..], &["stat", "tree"], &["get", "tree", "/dev/null"]] {
        let ended = network.dfs(0, command);
        assert!(ended.stderr.contains("tree is a folder: get -r tree"), "{}", ended.stderr);
        ended.fails_with(4);
    }
    let back = network.path("back");
    network.dfs(0, &["cat", "tree/link"]).fails_with(1);
    network.dfs(0, &["get", "tree/link", &text(&back)]).ok();
    assert_eq!(fs::read_link(&back).unwrap(), Path::new("x"));
    // Where it leads nowhere it is a link all the same, and a file does not take its place.
    network.dfs(0, &["get", "tree/link", &text(&back)]).ok();
    network.dfs(0, &["get", "tree/x", &text(&back)]).fails_with(1);
    assert_eq!(fs::read_link(&back).unwrap(), Path::new("x"));
    network.dfs(0, &["get", "-r", "tree/x", &text(&network.path("one"))]).ok();
    assert_eq!(fs::read(network.path("one/x")).unwrap(), b"x");
    network.dfs(0, &["get", "-r", "tre", &text(&network.path("none"))]).fails_with(4);
}
