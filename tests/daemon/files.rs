//! Files: what goes in comes out, by every command of `dfs`.
//!
//! Knows no fault. Invariant: sizes stand on both sides of a leaf, a block and a page.

use super::{Network, files_below, noise, run_dfs, text, wait_for};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn files_of_all_sizes_come_back_from_another_node() {
    let network = Network::start(2);
    let leaf = 32 * 1024;
    let block = 1024 * 1024;
    let sizes =
        [0, 1, leaf - 1, leaf, leaf + 1, 2 * leaf, 2 * leaf + 1, block, block + 1, 5 * block + 1];
    for (size, seed) in sizes.into_iter().zip(1..) {
        let bytes = noise(size, seed);
        let name = format!("sizes/{size}");
        let local = network.local("local", &bytes);
        let back = text(&network.path("back"));
        network.dfs(0, &["put", &local, &name]).ok();
        network.dfs(1, &["get", &name, &back]).ok();
        assert!(fs::read(&back).unwrap() == bytes, "{size} bytes, by get");
        assert!(network.cat(1, &name) == bytes, "{size} bytes, by cat");
        let piped = network.dfs(0, &["get", &name, "-"]).ok();
        assert!(piped == bytes, "{size} bytes, by get -");
        let stated = network.stat(1, &name, "size");
        assert_eq!(stated.as_deref(), Some(size.to_string().as_str()));
    }
}

#[test]
fn hash_of_a_local_file_is_that_of_the_stored_one() {
    let network = Network::alone();
    for (size, seed) in [0, 1, 40_000, 3_000_000].into_iter().zip(11..) {
        let local = network.local("local", &noise(size, seed));
        network.dfs(0, &["put", &local, "hashed"]).ok();
        let printed = network.dfs(0, &["hash", &local]).text();
        let stated = network.stat(0, "hashed", "hash").unwrap();
        assert!(printed.contains(&stated), "{printed} against {stated}");
        assert_eq!(stated.len(), 64);
    }
}

#[test]
fn names_default_to_the_last_component() {
    let network = Network::alone();
    let local = network.local("letter.txt", b"dear");
    network.dfs(0, &["put", &local]).ok();
    assert_eq!(network.names(0), ["letter.txt"]);
    assert_eq!(network.cat(0, "letter.txt"), b"dear");
}

#[test]
fn a_second_put_is_a_new_version_and_a_get_replaces() {
    let network = Network::start(2);
    network.put(0, "page", b"first");
    network.put(1, "page", b"second, longer");
    let back = network.local("back", b"something that was there before");
    network.dfs(1, &["get", "page", &back]).ok();
    assert_eq!(fs::read(&back).unwrap(), b"second, longer");
    assert_eq!(network.names(0), ["page"]);
    network.dfs_with(0, &["put", "--no-clobber", "-", "page"], b"third").fails_with(8);
    assert_eq!(network.cat(0, "page"), b"second, longer");
}

#[test]
fn mv_gives_another_name_and_takes_none() {
    let network = Network::start(2);
    let bytes = noise(1_500_000, 21);
    network.put(0, "old", &bytes);
    network.put(0, "other", b"other");
    network.dfs(0, &["mv", "old", "other"]).fails_with(8);
    network.dfs(1, &["mv", "old", "new"]).ok();
    assert_eq!(network.names(1), ["new", "other"]);
    assert!(network.cat(1, "new") == bytes);
    assert_eq!(network.cat(1, "other"), b"other");
    network.dfs(1, &["cat", "old"]).fails_with(4);
    network.dfs(1, &["mv", "old", "newer"]).fails_with(4);
}

#[test]
fn rm_spares_the_neighbours() {
    let network = Network::alone();
    let names = ["a", "a-b", "a.b", "a/b", "a/b/c", "ab"];
    for name in names {
        network.put(0, name, name.as_bytes());
    }
    network.dfs(0, &["rm", "a"]).ok();
    network.dfs(0, &["rm", "a/b"]).ok();
    assert_eq!(network.names(0), ["a-b", "a.b", "a/b/c", "ab"]);
    for name in network.names(0) {
        assert_eq!(network.cat(0, &name), name.as_bytes());
    }
    network.dfs(0, &["rm", "a"]).fails_with(4);
}

#[test]
fn the_same_bytes_under_two_names_outlive_one_of_them() {
    let network = Network::alone();
    let bytes = noise(2_000_000, 31);
    network.put(0, "one", &bytes);
    network.put(0, "two", &bytes);
    network.dfs(0, &["rm", "one"]).ok();
    assert!(network.cat(0, "two") == bytes);
}

#[test]
fn ls_lists_by_prefix_also_as_json() {
    let network = Network::alone();
    for name in ["x/2", "x/1", "y", "a \"quoted\"\nname"] {
        network.dfs_with(0, &["put", "--raw-names", "-", name], b"12345").ok();
    }
    let sorted = network.dfs(0, &["ls", "x/", "--sort"]).text();
    assert_eq!(sorted, "x/1\nx/2\n");
    let json = network.dfs(0, &["ls", "--json"]).text();
    assert_eq!(json.lines().count(), 4, "{json}");
    assert!(json.contains(r#"a \"quoted\"\nname"#), "{json}");
    assert!(json.lines().all(|line| line.contains("\"size\":5")), "{json}");
    network.dfs(0, &["ls", "none/"]).fails_with(4);
}

#[test]
fn a_folder_goes_there_and_back() {
    let network = Network::start(2);
    let folder = network.path("tree");
    for index in 0..120_usize {
        let below = folder.join(format!("d{}", index % 7));
        fs::create_dir_all(&below).unwrap();
        let bytes = noise(index * 300, 100 + index as u64);
        fs::write(below.join(format!("file {index}.txt")), bytes).unwrap();
    }
    let back = network.path("back");
    network.dfs(0, &["put", "-r", &text(&folder)]).ok();
    wait_for("all names have come", || network.names(1).len() == 120 + 8);
    network.dfs(1, &["get", "-r", "tree", &text(&back)]).ok();
    assert!(contents(&folder) == contents(&back));
    // A bare prefix is no file.
    let file = network.path("file");
    network.dfs(1, &["get", "tree", &text(&file)]).fails_with(4);
    assert!(!file.exists());
}

#[test]
fn what_nobody_else_may_read_stays_so() {
    let network = Network::alone();
    let (local, back) = (network.path("local"), network.path("back"));
    fs::write(&local, "secret").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for private in [0o600, 0o700, 0o400, 0o000] {
        fs::set_permissions(&local, Permissions::from_mode(private)).unwrap();
        network.dfs(0, &["put", &text(&local), "x"]).ok();
        let _ = fs::remove_file(&back);
        network.dfs(0, &["get", "x", &text(&back)]).ok();
        assert_eq!(mode(&back), private, "{private:o}");
    }
    // Nothing is known of what comes through a pipe.
    run_dfs(&["--data", &text(&network.nodes[0].data), "put", "-", "y"], b"piped").ok();
    network.dfs(0, &["get", "y", &text(&back)]).ok();
    assert_eq!(mode(&back) & 0o700, 0o600);
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = files_below(folder).into_iter();
    let pairs = files.map(|path| {
        let below = text(path.strip_prefix(folder).unwrap());
        (below, fs::read(path).unwrap())
    });
    pairs.collect()
}

#[test]
fn many_puts_and_gets_at_once_are_all_right() {
    let network = Network::start(3);
    let round = |index: usize| {
        let bytes = noise(index * 170_001, 200 + index as u64);
        let name = format!("busy/{index}");
        network.put(index % 3, &name, &bytes);
        assert!(network.cat((index + 1) % 3, &name) == bytes, "{name}");
    };
    std::thread::scope(|scope| {
        for index in 0..9 {
            let round = &round;
            scope.spawn(move || round(index));
        }
    });
    assert_eq!(network.names(0).len(), 9);
}
