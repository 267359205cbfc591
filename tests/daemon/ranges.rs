//! Parts of files: `--range` and `--tail`.
//!
//! Knows no inside but where block files lie. Invariant: ranges stand on both sides of a leaf, a block and a page.

use super::damage::{block_files, flip};
use super::{Network, noise, text};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

const LEAF: usize = 32 * 1024;
const BLOCK: usize = 1024 * 1024;

/// The bytes from `first` to `last`, both included.
fn range(network: &Network, node: usize, (first, last): (usize, usize)) -> Vec<u8> {
    network.dfs(node, &["cat", "file", "--range", &format!("{first}-{last}")]).ok()
}

fn tail(network: &Network, count: &str) -> Vec<u8> {
    network.dfs(0, &["cat", "file", "--tail", count]).ok()
}

/// From the node that took the file, and from one that may have to fetch blocks first.
#[test]
fn a_range_is_what_lies_between_its_ends() {
    let network = Network::start(2);
    for (size, seed) in [1, LEAF, 70_000, BLOCK + 1, 6 * BLOCK + LEAF + 7].into_iter().zip(1..) {
        let bytes = noise(size, seed);
        network.put(0, "file", &bytes);
        let edges = [1, LEAF, 2 * LEAF, BLOCK, 4 * BLOCK, 6 * BLOCK + LEAF, size];
        let inside = edges.into_iter().filter(|edge| *edge <= size);
        for (at, edge) in inside.enumerate() {
            for (first, last) in [(edge - 1, edge - 1), (edge - 1, edge), (edge / 2, edge + LEAF)] {
                let expected = &bytes[first..size.min(last + 1)];
                let got = range(&network, at % 2, (first, last));
                assert!(got == expected, "{first}-{last} of {size}");
            }
        }
        let all = network.dfs(1, &["cat", "file", "--range", "0-"]).ok();
        assert!(all == bytes, "all of {size}");
        assert!(tail(&network, "1") == bytes[size - 1..]);
        let count = size.min(2048);
        assert!(tail(&network, "2KiB") == bytes[size - count..], "the end of {size}");
        assert!(tail(&network, "1TiB") == bytes, "a tail that is longer than {size}");
        assert!(tail(&network, "0").is_empty());
    }
}

#[test]
fn a_range_beyond_the_end_is_an_error_that_tells_the_size() {
    let network = Network::alone();
    network.put(0, "file", b"12345");
    network.put(0, "empty", b"");
    assert_eq!(network.dfs(0, &["cat", "file", "--range", "4-9"]).ok(), b"5");
    let kept = network.local("kept", b"kept");
    for (name, first, size) in [("file", "5-", 5), ("file", "1MiB-2MiB", 5), ("empty", "0-", 0)] {
        let sentence = format!(
            "dfs: {name}: the range begins beyond the end of the file, which has {size} bytes\n"
        );
        for command in [&["cat", name][..], &["get", name, "-"], &["get", name, &kept]] {
            let ended = network.dfs(0, &[command, &["--range", first]].concat());
            assert_eq!((ended.code, ended.stdout.as_slice()), (1, &b""[..]), "{}", ended.stderr);
            assert_eq!(ended.stderr, sentence);
        }
    }
    assert_eq!(fs::read(&kept).unwrap(), b"kept");
    assert_eq!(network.dfs(0, &["cat", "empty", "--tail", "5"]).ok(), b"");
    network.dfs(0, &["cat", "none", "--range", "0-"]).fails_with(4);
    for wrong in ["5", "-5", "2-1", "x-", "0-1-2"] {
        network.dfs(0, &["cat", "file", &format!("--range={wrong}")]).fails_with(2);
    }
}

#[test]
fn a_range_fetched_to_a_file_is_all_that_the_file_holds() {
    let network = Network::alone();
    let bytes = noise(3 * BLOCK, 5);
    network.put(0, "file", &bytes);
    network.put(0, "other", b"other");
    let back = network.local("back", &noise(BLOCK, 6));
    let got = network.dfs(0, &["get", "file", &back, "--range", "1MiB-1MiB"]);
    assert_eq!((got.code, got.stderr.as_str()), (0, "fetched file: 1 B of 3.0 MiB\n"));
    assert_eq!(fs::read(&back).unwrap(), &bytes[BLOCK..=BLOCK]);
    let folder = text(&network.path("folder/"));
    network.dfs(0, &["get", "file", "--to", &folder, "--range", "100-99999"]).ok();
    assert!(fs::read(network.path("folder/file")).unwrap() == bytes[100..100_000]);
    let several = ["get", "file", "other", "--to", &folder, "--range", "0-9"];
    network.dfs(0, &several).fails_with(2);
    network.dfs(0, &["get", "-r", "file", &folder, "--range", "0-9"]).fails_with(2);
    // What a link leads to has no ranges.
    let links = network.path("links");
    fs::create_dir(&links).unwrap();
    std::os::unix::fs::symlink("nowhere", links.join("link")).unwrap();
    network.dfs(0, &["put", "-r", &text(&links)]).ok();
    let refused = network.dfs(0, &["get", "links/link", &back, "--range", "0-2"]);
    assert!(refused.fails_with(1).stderr.contains("--range is for files"), "{}", refused.stderr);
}

/// What rots in a block costs a range elsewhere in it nothing.
#[test]
fn a_range_is_delivered_from_a_block_that_is_damaged_elsewhere() {
    let network = Network::alone();
    let bytes = noise(BLOCK, 7);
    network.put(0, "file", &bytes);
    flip(&block_files(&network.nodes[0].data)[0], 20 * LEAF as u64 + 5);
    for ends in [(0, 64 * 1024), (20 * LEAF - 10, 20 * LEAF - 1), (21 * LEAF, BLOCK)] {
        assert!(range(&network, 0, ends) == bytes[ends.0..BLOCK.min(ends.1 + 1)], "{ends:?}");
    }
    let ended = network.dfs(0, &["cat", "file", "--range", &format!("{}-", 20 * LEAF)]);
    assert_eq!((ended.code, ended.stdout.len()), (6, 0), "{}", ended.stderr);
}

/// Whose list of blocks is two pages deep. Most of it is zeros, which are one block.
#[test]
fn ranges_of_a_long_file_are_read_on_both_sides_of_a_page() {
    let network = Network::alone();
    let (size, page) = (1026 * BLOCK + 77, 512 * BLOCK);
    let local = network.path("local");
    let file = File::create(&local).unwrap();
    file.set_len(size as u64).unwrap();
    for at in [page - 5_000, 2 * page - 5_000, size - 5_000] {
        file.write_all_at(&noise(10_000.min(size - at), at as u64), at as u64).unwrap();
    }
    network.dfs(0, &["put", &text(&local), "file"]).ok();
    for (first, length) in
        [(page - 9, 9), (page, 1), (page - 9, 65_536), (2 * page - 4_000, 8_000), (size - 77, 77)]
    {
        let mut expected = vec![0; length];
        File::open(&local).unwrap().read_exact_at(&mut expected, first as u64).unwrap();
        assert!(range(&network, 0, (first, first + length - 1)) == expected, "from {first}");
    }
    assert_eq!(tail(&network, "5000"), noise(5_000, (size - 5_000) as u64));
}
