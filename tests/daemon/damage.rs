//! Damage: what rots on a disk is found, repaired from a peer, and never given out as good.
//!
//! Knows where block files and segments lie. Invariant: a test damages one node's disk only.

use super::process::wait_for_end;
use super::{Duration, Instant, Network, TIMEOUT, files_below, make_pipe, noise, text};
use rustix::process::Signal;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const BLOCKS: usize = 3;
const SIZE: usize = BLOCKS * 1024 * 1024;

pub(super) fn block_files(data: &Path) -> Vec<PathBuf> {
    let mut files = files_below(&data.join("blocks"));
    files.sort();
    files
}

pub(super) fn flip(path: &Path, offset: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

fn truncate(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(500_000).unwrap();
}

type Harm = fn(&Path);

/// How a block file can be bad.
const HARMS: [(&str, Harm); 4] = [
    ("flipped in the data", |path| flip(path, 600_000)),
    ("flipped in the first byte", |path| flip(path, 0)),
    ("truncated", truncate),
    ("gone", |path| fs::remove_file(path).unwrap()),
];

#[test]
fn a_damaged_block_comes_from_a_peer() {
    let network = Network::start(2);
    for (index, (what, harm)) in HARMS.into_iter().enumerate() {
        let bytes = noise(SIZE, index as u64);
        let before = block_files(&network.nodes[0].data);
        network.put(0, what, &bytes);
        network.wait_for_copies(0, what, 2);
        let mut files = block_files(&network.nodes[0].data);
        files.retain(|path| !before.contains(path));
        assert_eq!(files.len(), BLOCKS);
        harm(&files[1]);
        assert!(network.cat(0, what) == bytes, "{what}");
        // And again, from a disk that is whole again or not.
        assert!(network.cat(0, what) == bytes, "{what}, again");
    }
}

#[test]
fn a_damaged_block_is_never_good_data() {
    for (index, (what, harm)) in HARMS.into_iter().enumerate() {
        let mut network = Network::alone();
        network.put(0, "file", &noise(SIZE, index as u64));
        assert_eq!(network.dfs(0, &["verify"]).code, 0, "{what}");
        harm(&block_files(&network.nodes[0].data)[1]);
        let out = network.path("out");
        fs::create_dir(&out).unwrap();
        let back = out.join("back");
        for time in 0..3 {
            let got = network.dfs(0, &["get", "file", &text(&back)]);
            assert_eq!(got.code, 6, "{what}, {time}: {}", got.stderr);
            assert!(got.stderr.contains("what is stored is damaged: block"), "{}", got.stderr);
            let left = fs::read_dir(&out).unwrap().count();
            assert_eq!(left, 0, "{what}: something is left");
            if time == 1 {
                network.nodes[0].kill();
                network.nodes[0].restart();
            }
        }
        // The rest of the node is well.
        network.put(0, "other", b"other");
        assert_eq!(network.cat(0, "other"), b"other");
    }
}

/// Of what is in the log: a small block, and a page of the list of blocks of a file that has many.
#[test]
fn damage_in_the_log_is_told_as_damage_each_time() {
    // What is flipped is the file's small block, or the page with the addresses of its blocks.
    for size in [20_000, 20 << 20] {
        let mut network = Network::alone();
        network.put(0, "file", &noise(size, 9));
        let path = newest_segment(&network);
        flip(&path, middle_of_longest_item(&path));
        for time in 0..3 {
            let got = network.dfs(0, &["cat", "file"]);
            assert_eq!(got.code, 6, "{size}, {time}: {}", got.stderr);
            assert!(got.stderr.contains("what is stored is damaged: "), "{}", got.stderr);
            if time == 1 {
                let verified = network.dfs(0, &["verify"]);
                assert_eq!(verified.code, 6, "{}", verified.stderr);
                assert!(verified.text().contains("file"), "whose it is: {}", verified.text());
                network.nodes[0].kill();
                network.nodes[0].restart();
            }
        }
        network.put(0, "file", &noise(size, 9));
        assert!(network.cat(0, "file") == noise(size, 9), "it is repaired by being stored again");
    }
}

#[test]
fn verify_tells_of_damage_that_nobody_read() {
    for (index, (what, harm)) in HARMS.into_iter().enumerate() {
        let network = Network::alone();
        network.put(0, "file", &noise(SIZE, 50 + index as u64));
        harm(&block_files(&network.nodes[0].data)[2]);
        let verified = network.dfs(0, &["verify"]);
        assert_eq!(verified.code, 6, "{what}: {}", verified.stderr);
    }
}

#[test]
fn verify_still_tells_of_damage_that_a_get_has_found() {
    let mut network = Network::alone();
    network.put(0, "file", &noise(SIZE, 70));
    flip(&block_files(&network.nodes[0].data)[0], 100_000);
    network.dfs(0, &["cat", "file"]);
    network.dfs(0, &["verify"]).fails_with(6);
    // A start forgets nothing of it.
    network.nodes[0].kill();
    network.nodes[0].restart();
    network.dfs(0, &["verify"]).fails_with(6);
}

#[test]
fn a_block_damaged_while_the_node_was_down_is_mended() {
    let mut network = Network::start(2);
    let bytes = noise(SIZE, 60);
    network.put(0, "file", &bytes);
    network.wait_for_copies(0, "file", 2);
    network.nodes[0].kill();
    let files = block_files(&network.nodes[0].data);
    flip(&files[0], 40_000);
    fs::remove_file(&files[1]).unwrap();
    truncate(&files[2]);
    network.nodes[0].restart();
    network.wait_connected();
    assert!(network.cat(0, "file") == bytes);
}

#[test]
fn a_flipped_bit_in_the_log_costs_nothing_that_a_peer_has() {
    let mut network = Network::start(2);
    for index in 0..30_usize {
        network.put(0, &format!("file {index}"), &noise(index * 500, index as u64));
    }
    for index in 0..30_usize {
        network.wait_for_copies(0, &format!("file {index}"), 2);
    }
    network.nodes[0].kill();
    let mut segments = files_below(&network.nodes[0].data.join("log"));
    segments.sort();
    let segment = segments.iter().max_by_key(|path| used(path)).expect("there is a log");
    // The middle of what is written.
    flip(segment, used(segment) / 2);
    network.nodes[0].restart();
    network.wait_connected();
    for index in 0..30_usize {
        let name = format!("file {index}");
        let expected = noise(index * 500, index as u64);
        assert!(network.cat(0, &name) == expected, "{name}");
    }
}

/// Files that came together share a group of the log, and not their fate.
#[test]
fn a_flipped_bit_in_the_log_of_a_lone_node_costs_one_file() {
    let mut network = Network::alone();
    let folder = network.folder.path().join("many");
    fs::create_dir(&folder).unwrap();
    let names: Vec<String> = (0..20).map(|index| format!("many/{index}")).collect();
    for (index, name) in (0..).zip(&names) {
        fs::write(network.folder.path().join(name), noise(1_000, index)).unwrap();
    }
    fs::write(folder.join("large"), noise(60_000, 77)).unwrap();
    network.dfs(0, &["put", "-r", &folder.display().to_string(), "many"]).ok();
    let path = newest_segment(&network);
    network.nodes[0].kill();
    flip(&path, middle_of_longest_item(&path));
    network.nodes[0].restart();
    for time in 0..2 {
        for (index, name) in (0..).zip(&names) {
            assert!(network.cat(0, name) == noise(1_000, index), "{name}");
        }
        let got = network.dfs(0, &["cat", "many/large"]);
        assert_eq!(got.code, 6, "{}", got.stderr);
        assert!(got.stderr.contains("what is stored is damaged: "), "{}", got.stderr);
        let listed = network.dfs(0, &["ls"]).ok();
        assert_eq!(String::from_utf8(listed).unwrap().lines().count(), 22);
        let status = network.dfs(0, &["status", "--json"]);
        assert!(String::from_utf8(status.stdout).unwrap().contains("\"incomplete\":2,"), "{time}");
        network.nodes[0].kill();
        network.nodes[0].restart();
    }
    network.put(0, "many/large", &noise(60_000, 77));
    assert!(network.cat(0, "many/large") == noise(60_000, 77));
    network.nodes[0].kill();
    network.nodes[0].restart();
    assert!(network.cat(0, "many/large") == noise(60_000, 77));
}

/// The middle of the longest item in a segment of the log. Counted from the end of the log nothing has a fixed place:
/// how many groups a put becomes, and in which the pages are, is a matter of time.
fn middle_of_longest_item(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let frames = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"dfsG"));
    let items = frames.flat_map(|frame| {
        let end = frame + 32 + number(frame + 4);
        std::iter::successors(Some(frame + 32), move |item| Some(item + 41 + number(item + 33)))
            .take_while(move |item| *item < end)
    });
    let longest = items.max_by_key(|item| number(item + 33)).expect("something is stored");
    (longest + 41 + number(longest + 33) / 2) as u64
}

/// Where the zeros of a preallocated segment begin.
fn used(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0);
    end.map_or(0, |end| end as u64 + 1)
}

/// What an operator's slip leaves: open files without a name, into which writing goes well.
#[test]
fn a_folder_that_is_removed_under_a_daemon_is_noticed_before_it_acknowledges() {
    let mut network = Network::alone();
    network.put(0, "before", b"before");
    let data = network.nodes[0].data.clone();
    fs::remove_dir_all(data.join("log")).unwrap();
    let put = network.dfs_with(0, &["put", "-", "after"], b"after");
    assert_ne!(put.code, 0, "{put:?}");
    let code = wait_for_end(network.nodes[0].process(), TIMEOUT);
    assert_eq!(code, Some(9));
    assert!(network.nodes[0].log().contains("the folder log was removed"));
}

#[test]
fn what_is_odd_in_a_data_folder_is_left_and_told_of() {
    let mut network = Network::alone();
    network.put(0, "file", b"file");
    assert_eq!(network.nodes[0].stop(Signal::TERM), Some(0));
    let data = network.nodes[0].data.clone();
    for odd in ["tmp/odd", "log/odd", "log/00000900.seg", "blocks/odd"] {
        fs::create_dir(data.join(odd)).unwrap();
    }
    for odd in ["log/00000901.seg", "tmp/pipe", "blocks/pipe"] {
        make_pipe(&data.join(odd));
    }
    network.nodes[0].restart();
    assert_eq!(network.cat(0, "file"), b"file");
    let log = network.nodes[0].log();
    for odd in ["log/odd", "log/00000900.seg", "log/00000901.seg"] {
        assert!(log.contains(odd) && data.join(odd).exists(), "{odd}: {log}");
    }
    assert!(log.contains("tmp/odd") && data.join("tmp/left-alone-odd").exists(), "{log}");
    network.put(0, "more", b"more");
}

/// One node, whose log loses a bit of the newest version while it is down.
#[test]
fn a_version_that_rotted_while_the_node_was_down_is_damaged_and_not_the_one_before() {
    let mut network = Network::alone();
    let log = |network: &Network| {
        let mut segments = files_below(&network.nodes[0].data.join("log"));
        segments.sort();
        segments.pop().expect("there is a log")
    };
    network.put(0, "changed", b"one");
    network.put(0, "deleted", b"there");
    network.put(0, "changed", b"two");
    let first = used(&log(&network));
    assert_eq!(network.dfs(0, &["rm", "deleted"]).code, 0);
    let second = used(&log(&network));
    network.put(0, "other", b"other");
    let path = log(&network);
    network.nodes[0].kill();
    // In the signatures, which end their groups but for the mark of four bytes.
    flip(&path, first - 30);
    flip(&path, second - 30);
    network.nodes[0].restart();
    for _ in 0..2 {
        for name in ["changed", "deleted"] {
            let got = network.dfs(0, &["cat", name]);
            assert_eq!((got.code, got.stdout.as_slice()), (6, &b""[..]), "{name}: {}", got.stderr);
        }
        network.dfs(0, &["ls"]).fails_with(6);
        // Which name the damaged records were about is only guessed.
        let got = network.dfs(0, &["cat", "other"]);
        assert_eq!((got.code, got.stdout.as_slice()), (6, &b"other"[..]), "{}", got.stderr);
        let status = network.dfs(0, &["status", "--json"]);
        assert!(String::from_utf8(status.stdout).unwrap().contains("\"damaged\":2,"));
    }
    network.put(0, "changed", b"three");
    network.dfs(0, &["rm", "deleted"]).ok();
    assert_eq!(network.cat(0, "changed"), b"three");
    assert_eq!(network.cat(0, "other"), b"other");
    let status = network.dfs(0, &["status", "--json"]);
    assert!(String::from_utf8(status.stdout).unwrap().contains("\"damaged\":0,"));
}

/// The log of the only node of a network: its newest segment.
fn newest_segment(network: &Network) -> PathBuf {
    let mut segments = files_below(&network.nodes[0].data.join("log"));
    segments.sort();
    segments.pop().expect("there is a log")
}

/// A bit of the head of a record in the log, so that nobody can say what was there.
#[test]
fn what_nobody_can_decode_of_the_log_is_told_until_it_is_given_up() {
    let mut network = Network::alone();
    network.put(0, "in/changed", b"one");
    let before = used(&newest_segment(&network));
    network.put(0, "in/changed", b"two");
    let after = used(&newest_segment(&network));
    network.put(0, "in/other", b"other");
    let path = newest_segment(&network);
    network.nodes[0].kill();
    let log = fs::read(&path).unwrap();
    // A record begins with its format, its kind and the default space, and before it is the length.
    let group = usize::try_from(before).unwrap()..usize::try_from(after).unwrap();
    let begin = [&[2, 1][..], &[0; 16]].concat();
    let at = log[group.clone()].windows(begin.len()).rposition(|bytes| bytes == begin).unwrap();
    flip(&path, u64::try_from(group.start + at - 8).unwrap());
    for _ in 0..2 {
        network.nodes[0].restart();
        let listed = network.dfs(0, &["ls", "--sort"]);
        assert_eq!(listed.code, 6, "{}", listed.stderr);
        assert!(listed.stderr.contains("1 place of the node's log"), "{}", listed.stderr);
        assert_eq!(listed.stdout, b"in/changed\nin/other\n", "what is known is listed");
        let status = network.dfs(0, &["status"]);
        let said = String::from_utf8(status.stdout).unwrap();
        assert!(said.contains("warning  names may be missing or out of date here"), "{said}");
        let status = network.dfs(0, &["status", "--json"]);
        assert!(String::from_utf8(status.stdout).unwrap().contains("\"log_damage\":1,"));
        for command in [
            &["cat", "none"][..],
            &["stat", "none"],
            &["rm", "none"],
            &["put", "--no-clobber", "-", "none"],
            &["mv", "none", "there"],
        ] {
            let absent = network.dfs_with(0, command, b"none");
            assert_eq!(absent.code, 6, "{}", absent.stderr);
            assert!(absent.stderr.contains("is not here, and may have been"), "{}", absent.stderr);
        }
        let moved = network.dfs(0, &["mv", "in/changed", "there"]);
        assert_eq!(moved.code, 6, "{}", moved.stderr);
        assert!(moved.stderr.contains("nothing was moved"), "{}", moved.stderr);
        let file = text(&network.path("file"));
        for command in
            [&["cat", "in/changed"][..], &["get", "in/changed", &file], &["stat", "in/changed"]]
        {
            let got = network.dfs(0, command);
            assert_eq!(got.code, 6, "{}", got.stderr);
            assert!(got.stderr.contains("may not be the newest version"), "{}", got.stderr);
            assert!(command[0] != "cat" || got.stdout == b"one", "what is there is delivered");
        }
        assert_eq!(fs::read(&file).unwrap(), b"one", "what is there is delivered");
        let out = network.path("out");
        let got = network.dfs(0, &["get", "-r", "in", &text(&out)]);
        assert_eq!(got.code, 6, "{}", got.stderr);
        assert_eq!(fs::read(out.join("other")).unwrap(), b"other", "the others can be had");
        fs::remove_dir_all(&out).unwrap();
        network.nodes[0].kill();
    }
    super::check::check(&network.nodes[0].data, &["--rebuild"]);
    network.nodes[0].restart();
    network.dfs(0, &["ls"]).ok();
    network.dfs(0, &["cat", "none"]).fails_with(4);
    assert_eq!(network.cat(0, "in/changed"), b"one");
}

#[test]
fn what_nobody_can_decode_of_the_log_comes_from_a_node_that_has_it() {
    let mut network = Network::start(2);
    network.put(0, "changed", b"one");
    network.put(0, "changed", b"two");
    network.put(0, "other", b"other");
    network.wait_for_copies(0, "other", 2);
    network.wait_for_copies(0, "changed", 2);
    for node in [0, 1] {
        assert_eq!(network.nodes[node].stop(Signal::TERM), Some(0));
    }
    let mut segments = files_below(&network.nodes[0].data.join("log"));
    segments.sort();
    let path = segments.iter().max_by_key(|path| used(path)).expect("there is a log");
    // Both copies of its header: the whole segment cannot be read.
    flip(path, 20);
    flip(path, 4096 + 20);
    network.nodes[0].restart();
    network.dfs(0, &["ls"]).fails_with(6);
    network.nodes[1].restart();
    network.wait_connected();
    let begun = Instant::now();
    while network.dfs(0, &["ls"]).code != 0 {
        assert!(begun.elapsed() < TIMEOUT, "{}", network.dfs(0, &["status"]).stderr);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(network.cat(0, "changed"), b"two");
}
