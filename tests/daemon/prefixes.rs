//! Prefixes: one meaning in every command, and what is said to somebody who means a folder and asks for a file.
//!
//! Knows no fault. Invariant: a prefix is a name and the folder of that name, never a beginning of other names.

use super::{Network, files_below, text, write_private};
use std::fs;

/// Files with markers of their folders for some, and none for others.
const NAMES: [&str; 6] = ["a", "a/b", "a/b/c", "a/bc", "ab", "z/deep/x"];

fn stored() -> Network {
    let network = Network::alone();
    for name in NAMES {
        network.put(0, name, name.as_bytes());
    }
    network
}

fn listed(network: &Network, arguments: &[&str]) -> Vec<String> {
    let all = [&["ls", "--sort"], arguments].concat();
    network.dfs(0, &all).text().lines().map(str::to_owned).collect()
}

#[test]
fn ls_get_and_verify_mean_the_same_by_a_prefix() {
    let network = stored();
    let cases: [(&str, &[&str]); 5] = [
        ("a/b", &["a/b", "a/b/c"]),
        ("a/b/", &["a/b", "a/b/c"]),
        ("a", &["a", "a/b", "a/b/c", "a/bc"]),
        ("z/deep/x", &["z/deep/x"]),
        ("", &NAMES),
    ];
    for (prefix, expected) in cases {
        assert_eq!(listed(&network, &[prefix]), expected, "{prefix:?}");
        network.dfs(0, &["verify", prefix]).ok();
    }
    let back = network.path("back");
    network.dfs(0, &["get", "-r", "z/", &text(&back)]).ok();
    assert_eq!(files_below(&back), [back.join("deep/x")]);
    for prefix in ["b", "z/dee", "a/b/c/d", "z/deep/x/y"] {
        network.dfs(0, &["ls", prefix]).fails_with(4);
        let verified = network.dfs(0, &["verify", prefix]);
        assert!(verified.fails_with(4).stdout.is_empty(), "{verified:?}");
        let nowhere = network.path("nowhere");
        network.dfs(0, &["get", "-r", prefix, &text(&nowhere)]).fails_with(4);
        assert!(!nowhere.exists(), "{prefix}");
        let removed = network.dfs(0, &["rm", "-r", prefix]);
        assert!(removed.fails_with(4).stderr.contains(prefix), "{removed:?}");
    }
    assert_eq!(network.names(0), NAMES);
}

#[test]
fn one_level_names_folders_for_what_is_in_them() {
    let network = stored();
    let one_level = |arguments: &[&str]| {
        let ls = [&["ls", "-1"], arguments].concat();
        network.dfs(0, &ls).text().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    // The first list of all, while the node has yet to put names in order.
    let mut first = one_level(&[]);
    first.sort();
    let expected = ["a", "a/", "ab", "z/"];
    assert_eq!(first, expected);
    super::wait_for("names are in order", || one_level(&[]) == expected);
    assert_eq!(one_level(&["a"]), ["a", "a/b", "a/b/", "a/bc"]);
    assert_eq!(one_level(&["z"]), ["z/deep/"]);
    network.put(0, "a/0", b"new");
    network.dfs(0, &["rm", "a/b/c"]).ok();
    assert_eq!(one_level(&["a/"]), ["a", "a/0", "a/b", "a/bc"]);
    let json = one_level(&["--json", "z"]);
    assert_eq!(json, [r#"{"name":"z/deep/","kind":"folder"}"#]);
    let long = one_level(&["-l", "z"]);
    assert!(long[0].starts_with("d?????????") && long[0].ends_with("  z/deep/"), "{long:?}");
    let all = network.dfs(0, &["ls"]).text();
    assert_eq!(all.lines().collect::<Vec<_>>(), ["a", "a/0", "a/b", "a/bc", "ab", "z/deep/x"]);
}

#[test]
fn find_lists_what_matches_a_pattern() {
    let network = stored();
    network.put(0, "z/deep/photo.jpg", b"jpg");
    let cases: [(&str, &[&str]); 8] = [
        ("a*", &["a", "ab"]),
        ("a/*", &["a/b", "a/bc"]),
        ("a/**", &["a/b", "a/b/c", "a/bc"]),
        ("**/*.jpg", &["z/deep/photo.jpg"]),
        ("z/*/x", &["z/deep/x"]),
        ("a/b?", &["a/bc"]),
        ("[za]/[a-c]", &["a/b"]),
        ("a/b/c", &["a/b/c"]),
    ];
    for (pattern, expected) in cases {
        let found = network.dfs(0, &["find", pattern]).text();
        let mut found: Vec<_> = found.lines().collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{pattern}");
    }
    let json = network.dfs(0, &["find", "--json", "z/*/x"]).text();
    assert!(json.starts_with("{\"name\":\"z/deep/x\",\"kind\":\"file\""), "{json}");
    let none = network.dfs(0, &["find", "a/x*"]);
    assert!(none.fails_with(4).stderr.contains("no name matches"), "{none:?}");
    network.dfs(0, &["find", "nowhere/*"]).fails_with(4);
    let broken = network.dfs(0, &["find", "a/[b"]);
    assert!(broken.fails_with(2).stderr.contains("a/[b cannot be read"), "{broken:?}");
}

#[test]
fn du_sums_up_each_part_of_a_folder() {
    let network = Network::alone();
    for (name, size) in [("a/one", 1_000), ("a/two", 2_000), ("a/in/three", 3_000), ("b", 500)] {
        network.put(0, name, &vec![7; size]);
    }
    let sums = |arguments: &[&str]| {
        let du = [&["du", "--json"], arguments].concat();
        network.dfs(0, &du).text().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let line = |name: &str, files: u64, size: u64| {
        format!(r#"{{"name":"{name}","files":{files},"size":{size}}}"#)
    };
    assert_eq!(sums(&[]), [line("a/", 3, 6_000), line("b", 1, 500), line("", 4, 6_500)]);
    let of_a = [line("a/in/", 1, 3_000), line("a/one", 1, 1_000), line("a/two", 1, 2_000)];
    assert_eq!(sums(&["a"])[..3], of_a);
    assert_eq!(sums(&["a/"])[3], line("a", 3, 6_000));
    assert_eq!(sums(&["b"]), [line("b", 1, 500)]);
    let text = network.dfs(0, &["du"]).text();
    assert!(text.lines().last().unwrap().ends_with("4 files  in all"), "{text}");
    network.dfs(0, &["du", "x"]).fails_with(4);
}

#[test]
fn a_folder_is_renamed_name_by_name() {
    let network = stored();
    network.put(0, "new/b", b"is there");
    let moved = network.dfs(0, &["mv", "-r", "a", "new"]);
    // One name is taken: the others have moved, and it has stayed.
    assert!(moved.fails_with(3).stderr.contains("new/b: the name exists"), "{moved:?}");
    assert_eq!(network.names(0), ["a", "a/b", "ab", "new/b", "new/b/c", "new/bc", "z/deep/x"]);
    network.dfs(0, &["rm", "new/b"]).ok();
    network.dfs(0, &["mv", "-r", "a/", "new/"]).ok();
    assert_eq!(network.names(0), ["a", "ab", "new/b", "new/b/c", "new/bc", "z/deep/x"]);
    assert_eq!(network.cat(0, "new/b"), b"a/b");
    for (from, to) in [("", "x"), ("new", ""), ("new", "new/in"), ("z", "z")] {
        network.dfs(0, &["mv", "-r", from, to]).fails_with(2);
    }
    let folder = network.path("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), b"file").unwrap();
    for name in ["one", "two"] {
        network.dfs(0, &["put", "-r", &text(&folder), name]).ok();
    }
    network.dfs(0, &["rm", "two/file"]).ok();
    network.dfs(0, &["mv", "-r", "one", "two"]).ok();
    assert_eq!(network.dfs(0, &["find", "*/file"]).text(), "two/file\n");
    network.dfs(0, &["ls", "one"]).fails_with(4);
    network.dfs(0, &["mv", "-r", "ab", "x"]).fails_with(4);
    network.dfs(0, &["mv", "-r", "nothing", "x"]).fails_with(4);
    network.dfs(0, &["mv", "a", "x"]).ok();
    network.dfs(0, &["mv", "new", "x"]).fails_with(4);
}

#[test]
fn of_an_empty_store_everything_is_nothing_and_no_error() {
    let network = Network::alone();
    assert_eq!(network.dfs(0, &["ls"]).ok(), b"");
    assert_eq!(network.dfs(0, &["ls", ""]).ok(), b"");
    network.dfs(0, &["ls", "--strict", "--sort", "--json"]).ok();
    network.dfs(0, &["verify", ""]).ok();
    let back = network.path("back");
    network.dfs(0, &["get", "-r", "", &text(&back)]).ok();
    assert!(back.is_dir());
    network.dfs(0, &["rm", "-r", "--all"]).ok();
    network.dfs(0, &["ls", "x"]).fails_with(4);
}

#[test]
fn rm_deletes_all_below_and_nothing_beside() {
    let network = stored();
    let removed = network.dfs(0, &["rm", "-r", "a/b"]);
    assert_eq!(removed.stderr, "deleted 2 files\n");
    removed.ok();
    assert_eq!(network.names(0), ["a", "a/bc", "ab", "z/deep/x"]);
    // One that is not there does not keep the others.
    let removed = network.dfs(0, &["rm", "-r", "nothing", "z", "a/bc", "z/deep"]);
    assert!(removed.fails_with(3).stderr.contains("nothing: there is no such"), "{removed:?}");
    assert_eq!(network.names(0), ["a", "ab"]);
    assert_eq!(network.dfs(0, &["-q", "rm", "-r", "a"]).stderr, "");
    assert_eq!(network.names(0), ["ab"]);
    // An empty word, of a script's variable say, deletes nothing.
    for all in ["", "/"] {
        let removed = network.dfs(0, &["rm", "-r", all]);
        assert!(removed.fails_with(2).stderr.contains("--all"), "{removed:?}");
    }
    assert_eq!(network.names(0), ["ab"]);
    network.dfs(0, &["rm", "-r", "--all"]).ok();
    assert!(network.names(0).is_empty());
}

#[test]
fn rm_of_very_many_prefixes_deletes_the_same() {
    let network = stored();
    let nothing: Vec<_> = (0..30).map(|number| format!("nothing {number}")).collect();
    let mut words = vec!["rm", "-r", "z", "a/bc", "z/deep", "a/b"];
    words.extend(nothing.iter().map(String::as_str));
    let removed = network.dfs(0, &words);
    assert!(removed.stderr.contains("deleted 4 files"), "{removed:?}");
    assert!(removed.fails_with(3).stderr.contains("nothing 29: there is no such"), "{removed:?}");
    assert_eq!(network.names(0), ["a", "ab"]);
}

#[test]
fn rm_deletes_a_tree_with_its_folders() {
    let network = Network::start(2);
    let tree = network.path("tree");
    for index in 0..120 {
        let below = tree.join(format!("d{}/e{}", index % 5, index % 3));
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join(format!("{index}")), "x").unwrap();
    }
    network.dfs(0, &["put", "-r", &text(&tree)]).ok();
    network.put(0, "tree.txt", b"beside");
    let removed = network.dfs(0, &["rm", "-r", "tree"]);
    // Before it, perhaps, that the node is still hearing from the other.
    assert!(removed.stderr.ends_with("deleted 120 files, 21 folders\n"), "{removed:?}");
    removed.ok();
    assert_eq!(network.names(0), ["tree.txt"]);
    network.dfs(0, &["rm", "-r", "tree"]).fails_with(4);
    let ticket = network.path("reading");
    write_private(&ticket, &network.dfs(0, &["ticket", "--read-only"]).ok());
    let refused = super::run_dfs(&["--ticket", &text(&ticket), "rm", "-r", "tree.txt"], b"");
    refused.fails_with(7);
    assert_eq!(network.names(0), ["tree.txt"]);
}

/// With a record of its own, and where files were put one by one.
#[test]
fn a_folder_is_said_to_be_one_and_no_file() {
    let network = Network::alone();
    let tree = network.path("made");
    fs::create_dir_all(tree.join("below")).unwrap();
    network.dfs(0, &["put", "-r", &text(&tree)]).ok();
    network.put(0, "bare/x", b"x");
    let before = network.names(0);
    let out = network.path("out");
    for name in ["made", "bare"] {
        for (arguments, says) in [
            (&["get", name, &text(&out)][..], "get -r"),
            (&["cat", name], "get -r"),
            (&["stat", name], "ls"),
            (&["rm", name], "rm -r"),
            (&["mv", name, "other"], "mv"),
        ] {
            let ended = network.dfs(0, arguments);
            let said = &ended.fails_with(4).stderr;
            assert!(said.contains(&format!("{name} is a folder: ")), "{said}");
            assert!(said.contains(says), "{said}");
        }
        let slashed = format!("{name}/");
        for arguments in [&["cat", &slashed][..], &["rm", &slashed], &["mv", &slashed, "other"]] {
            let ended = network.dfs(0, arguments);
            assert!(ended.fails_with(1).stderr.contains("is a folder: "), "{ended:?}");
        }
    }
    assert!(!out.exists());
    assert_eq!(network.names(0), before);
    let said = network.dfs(0, &["rm", "neither"]);
    assert!(!said.fails_with(4).stderr.contains("folder:"), "{said:?}");
}

#[test]
fn mv_into_a_folder_keeps_the_last_component() {
    let network = Network::alone();
    network.put(0, "a/x", b"x");
    network.dfs(0, &["mv", "a/x", "b/"]).ok();
    assert_eq!(network.names(0), ["b/x"]);
    network.dfs(0, &["mv", "b/x", "b/"]).fails_with(8);
}

#[test]
fn ls_says_what_each_name_is() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let network = Network::alone();
    let tree = network.path("t");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "12345").unwrap();
    fs::set_permissions(tree.join("file"), PermissionsExt::from_mode(0o640)).unwrap();
    symlink("file", tree.join("link")).unwrap();
    fs::set_permissions(&tree, PermissionsExt::from_mode(0o700)).unwrap();
    network.dfs(0, &["put", "-r", &text(&tree)]).ok();
    network.put(0, "piped", b"x");
    let long = listed(&network, &["-l"]);
    let starts =
        ["-?????????         1 B  ", "drwx------", "-rw-r-----         5 B  ", "lrwxrwxrwx"];
    let ends = ["  piped", "  t/", "  t/file", "  t/link"];
    assert_eq!(long.len(), starts.len(), "{long:?}");
    for (line, (start, end)) in long.iter().zip(starts.into_iter().zip(ends)) {
        assert!(line.starts_with(start) && line.ends_with(end), "{long:#?}");
    }
    let kinds: Vec<String> =
        listed(&network, &["--json"]).iter().map(|line| super::json_field(line, "kind")).collect();
    assert_eq!(kinds, ["file", "folder", "file", "link"]);
    assert_eq!(network.stat(0, "t/", "kind").as_deref(), Some("folder"));
    assert!(network.dfs(0, &["stat", "t/file"]).text().contains("\nmode     -rw-r-----\n"));
}
