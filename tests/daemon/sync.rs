//! Keeping a folder in step: what `put -r` and `get -r` skip, what `--delete` deletes, and what `-n` says of both.
//!
//! Knows no inside of `dfs`. Invariant: what was not meant is still there: every test compares whole lists and trees.

use super::process::Ended;
use super::{Network, text, wait_for};
use rustix::fs::{Timespec, Timestamps};
use rustix::process::Signal;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

/// Everything below a folder, in order: its path, mode, time and contents. Times of folders change with what is in them.
fn told(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let what = if found.is_symlink() {
                format!("link to {:?}", fs::read_link(&path).unwrap())
            } else if found.is_dir() {
                folders.push(path.clone());
                "folder".to_owned()
            } else {
                let (at, nanos) = (found.mtime(), found.mtime_nsec());
                format!("{:o} {at}.{nanos:09} {:?}", found.mode(), fs::read(&path).unwrap())
            };
            all.push(format!("{} {what}", path.strip_prefix(root).unwrap().display()));
        }
    }
    all.sort();
    all
}

fn set_time(path: &Path, seconds: i64) {
    let at = Timespec { tv_sec: seconds, tv_nsec: 7 };
    let times = Timestamps { last_access: at, last_modification: at };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Files, folders and links, by the name `tree` in the network too.
fn stored() -> Network {
    let network = Network::alone();
    let root = network.path("tree");
    for folder in ["a/b", "empty"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (file, seconds) in [("a/x", 1), ("a/b/y", 2), ("z", 3)] {
        fs::write(root.join(file), file).unwrap();
        set_time(&root.join(file), seconds);
    }
    symlink("a/x", root.join("link")).unwrap();
    put(&network, &[]).ok();
    network
}

fn put(network: &Network, options: &[&str]) -> Ended {
    let root = text(&network.path("tree"));
    network.dfs(0, &[&["put", "-r", &root, "tree"], options].concat())
}

fn get(network: &Network, options: &[&str]) -> Ended {
    let back = text(&network.path("back"));
    network.dfs(0, &[&["get", "-r", "tree", &back], options].concat())
}

fn records(network: &Network) -> String {
    super::json_field(&network.dfs(0, &["status", "--json"]).text(), "records")
}

const ALL: [&str; 8] = [
    "tree/",
    "tree/a/",
    "tree/a/b/",
    "tree/a/b/y",
    "tree/a/x",
    "tree/empty/",
    "tree/link",
    "tree/z",
];

fn without(gone: &[&str]) -> Vec<&'static str> {
    ALL.into_iter().filter(|name| !gone.contains(name)).collect()
}

/// Another byte of the same file, which says nothing of it.
fn change_unseen(path: &Path) {
    let before = fs::metadata(path).unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::write(path, bytes).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
}

#[test]
fn a_second_put_stores_nothing_and_reads_only_for_a_checksum() {
    let network = stored();
    let root = network.path("tree");
    assert_eq!(network.names(0), ALL);
    let before = records(&network);
    for options in [&[][..], &["--checksum"], &["--delete"]] {
        let again = put(&network, options);
        assert_eq!(again.stderr, "nothing to store under tree: 8 unchanged\n");
        again.ok();
    }
    assert_eq!(records(&network), before);
    change_unseen(&root.join("a/x"));
    assert_eq!(put(&network, &[]).stderr, "nothing to store under tree: 8 unchanged\n");
    assert_eq!(network.cat(0, "tree/a/x"), b"a/x");
    let planned = put(&network, &["--checksum", "-n"]);
    assert_eq!(planned.text(), "would store tree/a/x\n");
    assert_eq!(planned.stderr, "would store 1 file under tree, 7 unchanged\n");
    assert_eq!(network.cat(0, "tree/a/x"), b"a/x");
    let found = put(&network, &["--checksum"]);
    assert_eq!(found.stderr, "stored 1 file under tree, 7 unchanged: 1 copy or more of each\n");
    assert_eq!(network.cat(0, "tree/a/x"), b"`/x");
}

#[test]
fn what_differs_in_time_mode_or_target_is_stored_anew() {
    let network = stored();
    let root = network.path("tree");
    set_time(&root.join("a/x"), 9);
    set_mode(&root.join("z"), 0o600);
    fs::remove_file(root.join("link")).unwrap();
    symlink("a/y", root.join("link")).unwrap();
    let planned = put(&network, &["-n"]);
    let mut lines: Vec<String> = planned.text().lines().map(str::to_owned).collect();
    lines.sort();
    let expected = ["tree/", "tree/a/x", "tree/link", "tree/z"];
    assert_eq!(lines, expected.map(|name| format!("would store {name}")));
    assert!(put(&network, &[]).stderr.starts_with("stored 3 files, 1 folder under tree, 4 "));
    assert_eq!(network.stat(0, "tree/z", "mode").unwrap(), 0o600.to_string());
    assert_eq!(put(&network, &[]).stderr, "nothing to store under tree: 8 unchanged\n");
}

#[test]
fn put_delete_deletes_what_is_gone_and_nothing_else() {
    let network = stored();
    let root = network.path("tree");
    network.put(0, "tree.txt", b"beside");
    network.put(0, "other/x", b"elsewhere");
    network.dfs_with(0, &["put", "--raw-names", "-", "tree/a\tb"], b"no file").ok();
    fs::remove_file(root.join("z")).unwrap();
    fs::remove_file(root.join("link")).unwrap();
    fs::remove_dir_all(root.join("a/b")).unwrap();
    // Where a folder was there is a file of that name.
    fs::remove_dir(root.join("empty")).unwrap();
    fs::write(root.join("empty"), "a file").unwrap();
    let before = network.names(0);
    let planned = put(&network, &["--delete", "-n"]);
    let deletes: Vec<String> =
        planned.text().lines().filter(|line| line.contains("delete")).map(str::to_owned).collect();
    let gone = ["tree/a/b/y", "tree/link", "tree/z", "tree/empty/", "tree/a/b/"];
    assert_eq!(deletes, gone.map(|name| format!("would delete {name}")));
    assert!(
        planned.stderr.ends_with("would delete 3 files, 2 folders under tree\n"),
        "{planned:?}"
    );
    planned.ok();
    assert_eq!(network.names(0), before);
    let deleted = put(&network, &["--delete", "--json"]);
    assert!(deleted.stderr.contains("1 name that no file here can have: not deleted"));
    assert!(deleted.stderr.ends_with("deleted 3 files, 2 folders under tree\n"), "{deleted:?}");
    for name in gone {
        let line = format!("{{\"name\":\"{name}\",\"action\":\"deleted\"}}\n");
        assert!(deleted.text().contains(&line), "{deleted:?}");
    }
    deleted.ok();
    let mut left = without(&gone);
    left.extend(["tree/empty", "tree/a\\tb", "tree.txt", "other/x"]);
    left.sort_unstable();
    assert_eq!(network.names(0), left);
    assert_eq!(network.cat(0, "tree/empty"), b"a file");
    assert!(put(&network, &["--delete", "-q"]).stderr.contains("not deleted"));
}

#[test]
fn put_deletes_nothing_where_the_folder_was_not_read_whole() {
    let network = stored();
    let root = network.path("tree");
    fs::remove_file(root.join("z")).unwrap();
    // It cannot be stored, so that not everything is.
    super::make_pipe(&root.join("pipe"));
    for options in [&["--delete"][..], &["--delete", "-n"]] {
        let failed = put(&network, options);
        assert!(failed.fails_with(3).stderr.ends_with("; nothing was deleted\n"), "{failed:?}");
        assert!(!failed.text().contains("delete"), "{failed:?}");
    }
    fs::remove_file(root.join("pipe")).unwrap();
    fs::write(root.join("not\na name"), "").unwrap();
    assert!(put(&network, &["--delete"]).fails_with(3).stderr.contains("nothing was deleted"));
    assert_eq!(network.names(0), ALL);
    // An empty folder may be one on which nothing is mounted.
    let empty = network.path("mount");
    fs::create_dir(&empty).unwrap();
    let empty = text(&empty);
    let refused = network.dfs(0, &["put", "-r", "--delete", &empty, "tree"]);
    assert!(refused.fails_with(2).stderr.contains("mount is empty"), "{refused:?}");
    for prefix in ["", "/"] {
        let refused = network.dfs(0, &["put", "-r", "--delete", &text(&root), prefix]);
        assert!(refused.fails_with(2).stderr.contains("--all"), "{refused:?}");
    }
    network.dfs(0, &["put", "-r", "--delete", "/nowhere/at/all", "tree"]).fails_with(1);
    assert_eq!(network.names(0), ALL);
    network.dfs(0, &["put", "-r", "--delete", "--all", &empty, "tree"]).ok();
    assert_eq!(network.names(0), ["tree/"]);
}

#[test]
fn the_data_folder_of_a_node_is_neither_stored_nor_removed() {
    let network = Network::alone();
    network.put(0, "all/file", b"stored");
    let root = network.nodes[0].data.parent().unwrap().to_owned();
    fs::write(root.join("old"), "not stored").unwrap();
    let got = network.dfs(0, &["get", "-r", "all", &text(&root), "--delete"]);
    assert!(got.stderr.contains("node0: not removed: the data folder of a node"), "{got:?}");
    got.ok();
    assert!(root.join("file").exists() && root.join("node0/node.key").exists());
    assert!(!root.join("old").exists());
    let data = text(&network.nodes[0].data);
    network.dfs(0, &["get", "-r", "all", &data, "--delete"]).fails_with(1);
    assert!(network.nodes[0].data.join("node.key").exists());
    network.put(0, "all/more", b"the daemon is well");
}

#[test]
fn a_second_get_fetches_nothing_and_reads_only_for_a_checksum() {
    let network = stored();
    let (root, back) = (network.path("tree"), network.path("back"));
    let planned = get(&network, &["-n"]);
    assert_eq!(planned.stderr, format!("would fetch 4 files, 4 folders into {}\n", back.display()));
    assert!(!back.exists());
    get(&network, &[]).ok();
    assert_eq!(told(&back), told(&root));
    let inode = |file: &str| fs::symlink_metadata(back.join(file)).unwrap().ino();
    let before = ["a/x", "z", "link"].map(inode);
    let nothing = format!("nothing to fetch into {}, 4 unchanged\n", back.display());
    for options in [&[][..], &["--checksum"], &["--delete"], &["-n", "--delete", "--checksum"]] {
        let again = get(&network, options);
        assert_eq!((again.stderr.as_str(), again.text().as_str()), (nothing.as_str(), ""));
        again.ok();
    }
    assert_eq!(["a/x", "z", "link"].map(inode), before, "no file was replaced");
    change_unseen(&back.join("a/x"));
    assert_eq!(get(&network, &[]).stderr, nothing);
    assert_eq!(get(&network, &["-n", "--checksum"]).text(), "would fetch tree/a/x\n");
    assert_eq!(fs::read(back.join("a/x")).unwrap(), b"`/x");
    let found = get(&network, &["--checksum", "--json"]);
    assert!(
        found.stderr.starts_with("fetched 1 file into")
            && found.stderr.ends_with(", 3 unchanged\n")
    );
    assert!(found.text().contains("{\"name\":\"tree/a/x\",\"action\":\"fetched\"}\n"), "{found:?}");
    assert_eq!(told(&back), told(&root));
}

#[test]
fn what_has_the_right_content_gets_mode_and_time_and_is_not_fetched() {
    let network = stored();
    network.put(0, "tree/piped", b"of no known time");
    let (root, back) = (network.path("tree"), network.path("back"));
    get(&network, &[]).ok();
    let inode = |file: &str| fs::metadata(back.join(file)).unwrap().ino();
    let before = ["a/x", "z", "piped"].map(inode);
    set_mode(&back.join("a/x"), 0o755);
    set_time(&back.join("z"), 99);
    // By its time it is another; by its content it is not.
    assert_eq!(get(&network, &["-n"]).text(), "would fetch tree/z\n");
    let got = get(&network, &["--checksum"]);
    assert!(got.stderr.starts_with("nothing to fetch"), "{got:?}");
    assert_eq!(["a/x", "z", "piped"].map(inode), before);
    fs::remove_file(back.join("piped")).unwrap();
    assert_eq!(told(&back), told(&root));
    get(&network, &[]).ok();
    fs::write(back.join("piped"), b"of no known TIME").unwrap();
    get(&network, &[]).ok();
    assert_eq!(fs::read(back.join("piped")).unwrap(), b"of no known time");
}

#[test]
fn get_delete_removes_what_is_not_stored_and_follows_no_link() {
    let network = stored();
    let (root, back, outside) = (network.path("tree"), network.path("back"), network.path("out"));
    get(&network, &[]).ok();
    fs::create_dir_all(outside.join("deep")).unwrap();
    fs::write(outside.join("deep/x"), "outside").unwrap();
    fs::create_dir_all(back.join("old/deep")).unwrap();
    for file in ["old/deep/x", "a/more", "a/b/last"] {
        fs::write(back.join(file), file).unwrap();
    }
    symlink(&outside, back.join("away")).unwrap();
    symlink(&outside, back.join("old/deep/away")).unwrap();
    let before = told(&back);
    let planned = get(&network, &["--delete", "-n"]);
    let names = ["a/b/last", "a/more", "away", "old/deep/away", "old/deep/x", "old/deep/", "old/"];
    let expected: String = names.iter().map(|name| format!("would remove {name}\n")).collect();
    assert_eq!(planned.text(), expected);
    planned.ok();
    assert_eq!(told(&back), before);
    let removed = get(&network, &["--delete"]);
    let sentence = format!("removed 5 files, 2 folders from {}\n", back.display());
    assert!(removed.stderr.ends_with(&sentence), "{removed:?}");
    removed.ok();
    assert_eq!(told(&back), told(&root));
    assert_eq!(fs::read(outside.join("deep/x")).unwrap(), b"outside");
    assert_eq!(
        fs::metadata(back.join("a")).unwrap().mtime(),
        fs::metadata(root.join("a")).unwrap().mtime()
    );
}

#[test]
fn what_is_in_the_way_stays_unless_it_may_be_removed() {
    let network = stored();
    let (root, back, outside) = (network.path("tree"), network.path("back"), network.path("out"));
    get(&network, &[]).ok();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("y"), "outside").unwrap();
    for folder in ["a/b", "empty"] {
        fs::remove_dir_all(back.join(folder)).unwrap();
    }
    for file in ["a/x", "z", "link"] {
        fs::remove_file(back.join(file)).unwrap();
    }
    // Links where a folder and a file are to be, a file where a folder is to be, folders where a file and a link are to be.
    symlink(&outside, back.join("a/b")).unwrap();
    symlink(outside.join("y"), back.join("a/x")).unwrap();
    fs::write(back.join("empty"), "a file").unwrap();
    for folder in ["z/deep", "link"] {
        fs::create_dir_all(back.join(folder)).unwrap();
        fs::write(back.join(folder).join("old"), "old").unwrap();
    }
    let before = told(&back);
    for options in [&[][..], &["-n"]] {
        let failed = get(&network, options);
        assert_eq!(failed.stderr.matches("\ndfs: ").count(), 6, "{failed:?}");
        failed.fails_with(1);
        assert_eq!(told(&back), before);
    }
    let planned = get(&network, &["--delete", "-n"]);
    for line in [
        "would fetch tree/a/b/y",
        "would fetch tree/z",
        "would remove a/b",
        "would remove z/deep/old",
    ] {
        assert!(planned.text().contains(&format!("{line}\n")), "{line}: {planned:?}");
    }
    planned.ok();
    assert_eq!(told(&back), before);
    let got = get(&network, &["--delete"]);
    assert!(
        got.stderr.ends_with(&format!("removed 5 files, 3 folders from {}\n", back.display())),
        "{got:?}"
    );
    got.ok();
    assert_eq!(told(&back), told(&root));
    assert_eq!(fs::read(outside.join("y")).unwrap(), b"outside");
}

/// Names that were stored one by one have no record of their folder.
#[test]
fn a_folder_stays_that_something_is_stored_in() {
    let network = Network::alone();
    for name in ["tree/a/b/x", "tree/c"] {
        network.put(0, name, b"stored");
    }
    let back = network.path("back");
    fs::create_dir_all(back.join("a/b/old")).unwrap();
    let planned = get(&network, &["--delete", "-n"]).text();
    assert_eq!(planned, "would fetch tree/a/b/x\nwould fetch tree/c\nwould remove a/b/old/\n");
    get(&network, &["--delete"]).ok();
    assert_eq!(fs::read(back.join("a/b/x")).unwrap(), b"stored");
    assert!(!back.join("a/b/old").exists());
    assert_eq!(get(&network, &["--delete", "-n"]).text(), "");
}

#[test]
fn get_removes_nothing_where_not_everything_was_fetched() {
    let network = stored();
    let back = network.path("back");
    get(&network, &[]).ok();
    fs::write(back.join("old"), "old").unwrap();
    // What cannot become a path here is left out, and so nothing is known of it.
    network.dfs_with(0, &["put", "--raw-names", "-", "tree/a\tb"], b"no file").ok();
    for options in [&["--delete"][..], &["--delete", "-n"]] {
        let failed = get(&network, options);
        assert!(failed.fails_with(3).stderr.ends_with("; nothing was removed\n"), "{failed:?}");
        assert!(back.join("old").exists());
    }
    network.dfs(0, &["rm", "tree/a\tb"]).ok();
    // A file, or nothing, is no folder that this could be made equal to.
    for prefix in ["tree/z", "nothing", "tre"] {
        network.dfs(0, &["get", "-r", prefix, &text(&back), "--delete"]).fails_with(4);
    }
    let other = Network::alone();
    other.dfs(0, &["get", "-r", "", &text(&back), "--delete"]).fails_with(4);
    assert!(back.join("old").exists() && back.join("z").exists());
    get(&network, &["--delete"]).ok();
    assert_eq!(told(&back), told(&network.path("tree")));
}

#[test]
fn nothing_is_removed_while_the_list_may_be_incomplete() {
    let mut network = Network::start(2);
    network.put(0, "tree/x", b"x");
    network.wait_for_copies(0, "tree/x", 2);
    wait_for("all is heard", || network.dfs(1, &["ls", "--strict"]).code == 0);
    let back = network.path("back");
    let get = |network: &Network, options: &[&str]| {
        network.dfs(1, &[&["get", "-r", "tree", &text(&back)], options].concat())
    };
    get(&network, &[]).ok();
    fs::write(back.join("old"), "old").unwrap();
    network.nodes[0].stop(Signal::TERM);
    network.nodes[1].stop(Signal::TERM);
    network.nodes[1].restart();
    for options in [&["--delete", "-n"][..], &["--delete"]] {
        let refused = get(&network, options);
        assert!(refused.fails_with(3).stderr.ends_with("; nothing was removed\n"), "{refused:?}");
        assert!(back.join("old").exists());
    }
    network.nodes[0].restart();
    wait_for("all is heard", || get(&network, &["--delete"]).code == 0);
    assert!(!back.join("old").exists() && back.join("x").exists());
}

#[test]
fn rm_says_what_it_would_delete() {
    let network = stored();
    let planned = network.dfs(0, &["rm", "-rn", "tree/a", "tree/z"]);
    let names = ["tree/a/b/y", "tree/a/x", "tree/z", "tree/a/b/", "tree/a/"];
    let expected: String = names.iter().map(|name| format!("would delete {name}\n")).collect();
    assert_eq!(planned.text(), expected);
    assert_eq!(planned.stderr, "would delete 3 files, 2 folders\n");
    planned.ok();
    let planned = network.dfs(0, &["rm", "-r", "--dry-run", "--json", "tree/z", "none"]);
    assert_eq!(planned.text(), "{\"name\":\"tree/z\",\"action\":\"would delete\"}\n");
    planned.fails_with(3);
    network.dfs(0, &["rm", "-rn", "none"]).fails_with(4);
    network.dfs(0, &["rm", "-rn", "--all"]).ok();
    assert_eq!(network.names(0), ALL);
    let removed = network.dfs(0, &["rm", "-r", "--json", "tree/z"]);
    assert_eq!(removed.text(), "{\"name\":\"tree/z\",\"action\":\"deleted\"}\n");
    assert_eq!(network.names(0), without(&["tree/z"]));
}
