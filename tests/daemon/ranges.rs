//! Parts of files: `--range` and `--tail`, and what a get goes on with.
//!
//! Knows no inside but where block files lie. Invariant: ranges stand on both sides of a leaf, a block and a page.

use super::damage::{block_files, flip};
use super::{Network, noise, text};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};

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

#[test]
fn a_get_goes_on_with_what_is_there_and_fetches_what_is_not() {
    let network = Network::alone();
    let bytes = noise(4 * BLOCK + 99, 8);
    network.put(0, "file", &bytes);
    let (back, draft) = (network.path("back"), network.path("back.dfs-part"));
    let get = || network.dfs(0, &["get", "--continue", "file", &text(&back)]);
    // Whichever block it is, something comes before this leaf.
    let blocks = || block_files(&network.nodes[0].data);
    flip(&blocks()[0], BLOCK as u64 - 5);
    let broken = get();
    let kept = format!(
        "dfs: file: what has come is kept in {}; repeat the command to go on\n",
        draft.display()
    );
    assert!(broken.fails_with(6).stderr.starts_with(&kept), "{}", broken.stderr);
    assert!(!back.exists());
    let found = fs::metadata(&draft).unwrap();
    assert!(found.len() > 0 && found.mode() & 0o777 == 0o600, "{found:?}");
    assert!(fs::read(&draft).unwrap() == bytes[..usize::try_from(found.len()).unwrap()]);
    // What rots meanwhile is fetched again too, and so is what differs behind the end.
    network.put(0, "file", &bytes);
    flip(&draft, 100_000);
    File::options().write(true).open(&draft).unwrap().set_len(9 * BLOCK as u64).unwrap();
    let got = get();
    assert_eq!((got.code, got.stderr.as_str()), (0, "fetched file: 4.0 MiB\n"));
    assert!(fs::read(&back).unwrap() == bytes);
    assert!(!draft.exists());
    // Of what is all there nothing is fetched: the node could not give it.
    fs::rename(&back, &draft).unwrap();
    fs::set_permissions(&draft, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    blocks().iter().for_each(|path| fs::remove_file(path).unwrap());
    // The last bytes are in the log.
    assert_eq!(get().code, 0);
    assert!(fs::read(&back).unwrap() == bytes);
    network.dfs(0, &["cat", "file"]).fails_with(6);
}

#[test]
fn a_get_that_can_go_on_leaves_nothing_of_what_has_not_begun() {
    let network = Network::alone();
    network.put(0, "file", b"content");
    let (back, draft) = (network.path("back"), network.path("back.dfs-part"));
    let get = |words: &[&str]| network.dfs(0, &[&["get", "--continue"], words].concat());
    get(&["none", &text(&back)]).fails_with(4);
    assert!(!draft.exists() && !back.exists());
    for wrong in [&["file", "-"][..], &["-r", "file", &text(&back)], &["file", "/dev/null"]] {
        get(wrong).fails_with(2);
    }
    fs::write(&draft, b"another's").unwrap();
    fs::set_permissions(&draft, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let refused = get(&["file", &text(&back)]);
    assert!(refused.fails_with(1).stderr.contains("cannot go on with"), "{}", refused.stderr);
    assert_eq!(fs::read(&draft).unwrap(), b"another's");
    fs::remove_file(&draft).unwrap();
    fs::write(&back, b"before").unwrap();
    get(&["--no-clobber", "file", &text(&back)]).fails_with(8);
    get(&["file", &text(&back)]).ok();
    assert_eq!(fs::read(&back).unwrap(), b"content");
    assert!(!draft.exists());
}

#[test]
fn an_earlier_version_has_ranges_and_is_gone_on_with_too() {
    let network = Network::alone();
    let (bytes, back) = (noise(2 * BLOCK, 9), text(&network.path("back")));
    network.put(0, "file", &bytes);
    let version = network.stat(0, "file", "version").unwrap();
    network.put(0, "file", b"newer");
    let earlier = |words: &[&str]| network.dfs(0, &[words, &["--version", &version]].concat());
    assert!(earlier(&["cat", "file", "--range", "1MiB-"]).ok() == bytes[BLOCK..]);
    assert!(earlier(&["cat", "file", "--tail", "9"]).ok() == bytes[2 * BLOCK - 9..]);
    earlier(&["get", "file", &back, "--range", "5-6"]).ok();
    assert_eq!(fs::read(&back).unwrap(), &bytes[5..=6]);
    earlier(&["get", "file", &back, "--continue"]).ok();
    assert!(fs::read(&back).unwrap() == bytes);
}
