//! `dfsd check`: what a person does with a data folder that has been harmed, and what comes back.
//!
//! Knows the names of files in a data folder. Invariant: a folder is checked and harmed only while no daemon uses it,
//! but where the test is about just that.

use super::process::run_dfsd;
use super::{Ended, Network, files_below, json_field, noise, text};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

const MIB: usize = 1024 * 1024;

pub(super) fn check(data: &Path, options: &[&str]) -> Ended {
    let data = text(data);
    run_dfsd(&[&["check", "--data", &data], options].concat())
}

/// Every file below a folder with its bytes and its mode.
fn picture(data: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let read = |path: PathBuf| {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        let bytes = fs::read(&path).unwrap();
        (path, (bytes, mode))
    };
    files_below(data).into_iter().map(read).collect()
}

/// A check that changes nothing.
#[track_caller]
fn looked(data: &Path, code: i32) -> String {
    let before = picture(data);
    let ended = check(data, &[]);
    assert_eq!(ended.code, code, "{}{}", ended.text(), ended.stderr);
    assert!(picture(data) == before, "a check has changed something");
    ended.text()
}

fn flip(path: &Path, offset: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

/// The segment with the most in it, and where its zeros begin.
fn segment(data: &Path) -> (PathBuf, u64) {
    let used = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        (path, end as u64 + 1)
    };
    files_below(&data.join("log")).into_iter().map(used).max_by_key(|(_, end)| *end).unwrap()
}

/// Files of all kinds, and what is in them: without blocks, in the log, in the tree, in pages.
fn fill(network: &Network) -> Vec<(String, Vec<u8>)> {
    let sizes = [0, 1, 700, 30_000, 200_000, 3 * MIB + 5, 40 * MIB];
    let files = sizes.into_iter().enumerate();
    let files = files.map(|(index, size)| (format!("file {index}"), noise(size, index as u64)));
    let files: Vec<_> = files.collect();
    for (name, bytes) in &files {
        network.put(0, name, bytes);
    }
    files
}

fn all_back(network: &Network, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        assert!(network.cat(0, name) == *bytes, "{name}");
    }
}

#[test]
fn a_folder_in_use_is_left_alone_and_a_sound_one_is_clean() {
    let mut network = Network::alone();
    let files = fill(&network);
    let data = network.nodes[0].data.clone();
    let refused = check(&data, &["--rebuild"]);
    assert!(refused.fails_with(5).stderr.contains("dfs verify"), "{}", refused.stderr);
    network.nodes[0].kill();
    let said = looked(&data, 0);
    assert!(said.contains("clean: ") && said.contains("8 records"), "{said}");
    check(&data, &["--rebuild"]).ok();
    network.nodes[0].restart();
    all_back(&network, &files);
    check(&network.path("nothing"), &[]).fails_with(1);
}

type Harm = (&'static str, fn(&Path), &'static str);

fn tree_file(data: &Path, index: usize) -> PathBuf {
    let mut files = files_below(&data.join("blocks"));
    files.sort();
    files.swap_remove(index)
}

const HARMS: [Harm; 7] = [
    ("a block rots", |data| flip(&tree_file(data, 3), 70_000), "leaf 2 of "),
    ("a block is cut", |data| cut(&tree_file(data, 3)), "bytes long, and should be"),
    ("a block is gone", |data| fs::remove_file(tree_file(data, 3)).unwrap(), "missing, and"),
    ("a block is garbage", |data| fs::write(tree_file(data, 3), b"x").unwrap(), "1 bytes long"),
    (
        "the log rots",
        |data| {
            let (path, end) = segment(data);
            flip(&path, 8192 + (end - 8192) / 2);
        },
        "are damaged: groups",
    ),
    (
        "a header rots",
        |data| {
            let (path, _) = segment(data);
            flip(&path, 12);
            flip(&path, 4096 + 12);
        },
        "neither copy of its header",
    ),
    ("the log is gone", |data| fs::remove_dir_all(data.join("log")).unwrap(), "no group names"),
];

fn cut(path: &Path) {
    File::options().write(true).open(path).unwrap().set_len(5_000).unwrap();
}

#[test]
fn what_was_harmed_comes_back_from_peers() {
    let mut network = Network::start(2);
    let files = fill(&network);
    let data = network.nodes[0].data.clone();
    for (what, harm, said) in HARMS {
        for (name, _) in &files {
            network.wait_for_copies(0, name, 2);
        }
        // In order, so that no group is in doubt: a harmed block of the last one would void it.
        assert_eq!(network.nodes[0].stop(Signal::TERM), Some(0));
        harm(&data);
        let found = check(&data, &[]);
        assert!(found.text().contains(said), "{what}: {}", found.text());
        let repaired = check(&data, &["--rebuild"]);
        assert!(matches!(repaired.code, 0 | 6), "{what}: {}{}", repaired.text(), repaired.stderr);
        assert!(
            repaired.text().contains("repaired: ") || repaired.code == 0,
            "{what}: {}",
            repaired.text()
        );
        network.nodes[0].restart();
        network.wait_connected();
        super::wait_for(what, || {
            files.iter().all(|(name, _)| network.stat(0, name, "size").is_some())
        });
        all_back(&network, &files);
    }
}

#[test]
fn alone_the_rest_stays_and_the_loss_is_named() {
    let mut network = Network::alone();
    let files = fill(&network);
    let data = network.nodes[0].data.clone();
    network.nodes[0].kill();
    let blocks = files_below(&data.join("blocks"));
    for path in blocks.iter().filter(|path| fs::metadata(path).unwrap().len() < 210_000) {
        flip(path, 50_000);
    }
    let said = looked(&data, 6);
    assert!(said.contains("missing: file 4: "), "the name of the file is told: {said}");
    let repaired = check(&data, &["--rebuild", "--json"]);
    assert_eq!(repaired.code, 6);
    let text = repaired.text();
    let last = text.lines().last().unwrap();
    assert_eq!(json_field(last, "grade"), "summary");
    assert_eq!(
        (json_field(last, "damaged"), json_field(last, "missing")),
        ("0".into(), "1".into())
    );
    network.nodes[0].restart();
    for (name, bytes) in &files {
        let got = network.dfs(0, &["cat", name]);
        match name.as_str() {
            "file 4" => assert!(matches!(got.code, 5 | 6), "{}", got.stderr),
            _ => assert!(got.ok() == *bytes, "{name}"),
        }
    }
    network.dfs(0, &["verify"]).fails_with(6);
}

#[test]
fn verify_names_the_files_and_tells_what_was_repaired() {
    let mut network = Network::start(2);
    let files = fill(&network);
    for (name, _) in &files {
        network.wait_for_copies(0, name, 2);
    }
    let data = network.nodes[0].data.clone();
    let whole = network.dfs(0, &["verify"]);
    assert!(
        whole.text().starts_with("57 objects verified, ") && whole.code == 0,
        "{}",
        whole.text()
    );
    for path in files_below(&data.join("blocks")) {
        flip(&path, 5_000);
    }
    let verified = network.dfs(0, &["verify"]);
    let said = verified.text();
    assert_eq!(verified.code, 0, "{said}{}", verified.stderr);
    for name in ["file 4", "file 5", "file 6"] {
        assert!(said.contains(&format!("repaired {name}: ")), "{name}: {said}");
    }
    all_back(&network, &files);
    // Alone nobody sends it again.
    network.nodes[1].kill();
    flip(&tree_file(&data, 0), 9);
    let other = network.dfs(0, &["verify", "file 0", "--json"]);
    assert_eq!(other.code, 0, "another file's damage: {}", other.text());
    let verified = network.dfs(0, &["verify", "--json"]);
    let said = verified.fails_with(6).text();
    let last = said.lines().last().unwrap();
    assert_eq!(
        (json_field(last, "damaged"), json_field(last, "missing")),
        ("1".into(), "1".into())
    );
    assert!(said.contains("\"state\":\"missing\"") && said.contains("\"name\":\"file "), "{said}");
}

#[test]
fn verify_looks_at_records_too() {
    let mut network = Network::start(2);
    network.put(0, "file", b"inline");
    network.wait_for_copies(0, "file", 2);
    // The record is the last thing in the log; its signature is the last of it, before the end mark.
    let (path, end) = segment(&network.nodes[0].data);
    flip(&path, end - 10);
    let verified = network.dfs(0, &["verify"]);
    let said = verified.text();
    assert!(said.contains("\nbad ") && said.contains(": repaired: "), "{said}{}", verified.stderr);
    assert_eq!(verified.code, 0, "{said}");
    assert_eq!(network.cat(0, "file"), b"inline");
    network.nodes[1].kill();
    let (path, end) = segment(&network.nodes[0].data);
    flip(&path, end - 10);
    network.dfs(0, &["verify"]).fails_with(6);
    network.dfs(0, &["verify"]).fails_with(6);
}

#[test]
fn keys_modes_and_strange_files_are_told_of() {
    let mut network = Network::alone();
    network.put(0, "file", b"small");
    let data = network.nodes[0].data.clone();
    network.nodes[0].kill();
    fs::set_permissions(data.join("node.key"), Permissions::from_mode(0o644)).unwrap();
    fs::write(data.join("strange"), b"x").unwrap();
    fs::write(data.join("peers"), b"nonsense\n").unwrap();
    fs::write(data.join("tmp").join("00000000000000ff"), b"half").unwrap();
    let said = looked(&data, 6);
    for part in [
        "damage: node.key: others can read",
        "note: strange: ",
        "note: peers: 1 of its 1",
        "note: tmp/",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    check(&data, &["--rebuild"]).ok();
    network.nodes[0].restart();
    assert_eq!(network.cat(0, "file"), b"small");
    network.nodes[0].kill();
    let key = fs::read(data.join("node.key")).unwrap();
    fs::remove_file(data.join("node.key")).unwrap();
    assert!(looked(&data, 6).contains("node.key is missing"));
    fs::write(data.join("node.key"), &key[..key.len() / 2]).unwrap();
    fs::set_permissions(data.join("node.key"), Permissions::from_mode(0o600)).unwrap();
    assert!(looked(&data, 6).contains("not a valid key file"));
}

#[test]
fn a_copy_of_a_running_nodes_folder_is_clean_or_explained() {
    let network = Network::alone();
    for round in 0..4 {
        let copy = network.path(&format!("copy{round}"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for index in 0..12 {
                    let bytes = noise(index * 40_000, 100 * round + index as u64);
                    network.put(0, &format!("{round} {index}"), &bytes);
                }
            });
            // The log first: what it names may be missing from no later copy of the tree.
            for folder in ["log", "blocks", "tmp"] {
                copy_below(&network.nodes[0].data, &copy, folder);
            }
        });
        for key in ["network.key", "data.key", "write.key", "root.key", "node.key"] {
            fs::copy(network.nodes[0].data.join(key), copy.join(key)).unwrap();
        }
        let ended = check(&copy, &[]);
        assert_eq!(ended.code, 0, "{}{}", ended.text(), ended.stderr);
    }
}

/// As `cp -r` does, of what may vanish meanwhile.
fn copy_below(from: &Path, to: &Path, folder: &str) {
    fs::create_dir_all(to.join(folder)).unwrap();
    let Ok(entries) = fs::read_dir(from.join(folder)) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if entry.path().is_dir() {
            copy_below(from, to, &name);
        } else {
            let _ = fs::copy(entry.path(), to.join(&name));
        }
    }
}
