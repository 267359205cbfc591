//! Odd things in a data folder: what somebody else has put there is told of, and keeps nobody from anything.
//!
//! Knows the names of files. Invariant: a check judges as a start does, and what is not the daemon's stays as it is.

use super::process::run_dfsd;
use super::{Network, make_pipe, noise, text};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A check that finds nothing wrong.
#[track_caller]
fn looked(data: &Path) -> String {
    let ended = run_dfsd(&["check", "--data", &text(data)]);
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.text()
}

/// Everything that can have a name and is no segment, under names of segments near and far.
fn litter(log: &Path) {
    for (folder, pipe, device, nowhere, circle) in [(70, 71, 72, 73, 74), (3, 5, 6, 8, 9)] {
        let at = |number: u32| log.join(format!("{number:08}.seg"));
        fs::create_dir(at(folder)).unwrap();
        make_pipe(&at(pipe));
        symlink("/dev/zero", at(device)).unwrap();
        symlink("nowhere", at(nowhere)).unwrap();
        symlink(at(circle), at(circle)).unwrap();
    }
    for number in [u32::MAX, u32::MAX - 1] {
        fs::write(log.join(format!("{number:08}.seg")), noise(20_000, 1)).unwrap();
    }
    fs::write(log.join("4000000000.seg"), b"short").unwrap();
    fs::create_dir(log.join("3999999999.seg")).unwrap();
}

#[test]
fn what_only_has_a_segments_name_keeps_no_daemon_from_starting() {
    let mut network = Network::alone();
    network.put(0, "first", b"small");
    let data = network.nodes[0].data.clone();
    network.nodes[0].kill();
    let log = data.join("log");
    // The first segment is there; the next starts would have used these.
    litter(&log);
    for round in 0..4 {
        let said = looked(&data);
        for number in [70, 71, 72, 73, 74, 3, 5, 6, 8, 9, 3_999_999_999_u32] {
            let name = format!("note: log/{number:08}.seg: it has a segment's name and is no file");
            assert!(said.contains(&name), "{name}: {said}");
        }
        for name in ["4294967295", "4294967294", "4000000000"] {
            let name = format!("note: log/{name}.seg: a file that is not dfsd's");
            assert!(said.contains(&name), "{name}: {said}");
        }
        network.nodes[0].restart();
        assert_eq!(network.cat(0, "first"), b"small");
        network.put(0, &format!("round {round}"), &noise(90_000, round));
        let told = network.nodes[0].log();
        assert!(told.contains("log/00000070.seg is no file: left alone"), "{told}");
        assert!(
            told.contains("log/4000000000.seg is no segment of this log: left alone"),
            "{told}"
        );
        network.nodes[0].kill();
    }
    network.nodes[0].restart();
    for round in 0..4 {
        assert_eq!(network.cat(0, &format!("round {round}")), noise(90_000, round));
    }
    assert_eq!(fs::read(log.join("4294967295.seg")).unwrap(), noise(20_000, 1));
    assert_eq!(fs::read(log.join("4000000000.seg")).unwrap(), b"short");
    assert!(log.join("00000003.seg").is_dir());
}

#[test]
fn what_is_no_file_below_tmp_keeps_no_daemon_from_starting() {
    let mut network = Network::alone();
    let data = network.nodes[0].data.clone();
    network.nodes[0].kill();
    let tmp = data.join("tmp");
    // Names that a start, the list of peers and the first blocks would use.
    for name in ["address", "peers", "made-good", "0000000000000001", "other"] {
        fs::create_dir(tmp.join(name)).unwrap();
        fs::write(tmp.join(name).join("inside"), name).unwrap();
    }
    for round in 0..2 {
        network.nodes[0].restart();
        let told = network.nodes[0].log();
        for name in ["address", "peers", "other"] {
            let said = match round {
                0 => format!("tmp/{name} is no file: left alone, as tmp/left-alone-{name}"),
                _ => format!("tmp/left-alone-{name} is no file: left alone"),
            };
            assert!(told.contains(&said), "{said}: {told}");
        }
        network.put(0, &format!("round {round}"), &noise(3_000_000, round));
        network.nodes[0].kill();
    }
    network.nodes[0].restart();
    for round in 0..2 {
        assert_eq!(network.cat(0, &format!("round {round}")), noise(3_000_000, round));
    }
    let kept = fs::read(tmp.join("left-alone-other").join("inside")).unwrap();
    assert_eq!(kept, b"other");
}

#[test]
fn odd_names_do_nothing_to_a_terminal_or_a_log() {
    let mut network = Network::alone();
    let data = network.nodes[0].data.clone();
    network.nodes[0].kill();
    fs::write(data.join("log").join("x\u{1b}[2J\u{202e}\nfalse"), b"x").unwrap();
    let shown = "log/x\\u{1b}[2J\\u{202e}\\nfalse";
    let said = looked(&data);
    assert!(said.contains(shown), "{said}");
    network.nodes[0].restart();
    let told = network.nodes[0].log();
    assert!(told.contains(shown), "{told}");
    let json = run_dfsd(&["check", "--json", "--data", &text(&data)]).text();
    for text in [said, told, json] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}

#[test]
fn what_only_has_a_blocks_name_is_told_of_by_a_check() {
    let mut network = Network::alone();
    network.put(0, "file", &noise(300_000, 5));
    let data = network.nodes[0].data.clone();
    network.nodes[0].kill();
    let block = |name: &str| {
        let folder = data.join("blocks").join(&name[..2]).join(&name[2..4]);
        fs::create_dir_all(&folder).unwrap();
        folder.join(name)
    };
    fs::create_dir(block(&"a1".repeat(32))).unwrap();
    make_pipe(&block(&"b2".repeat(32)));
    symlink("/dev/zero", block(&"c3".repeat(32))).unwrap();
    let said = looked(&data);
    assert!(said.contains("3 block files that no group names, and that are bad"), "{said}");
    let rebuilt = run_dfsd(&["check", "--rebuild", "--data", &text(&data)]);
    assert_eq!(rebuilt.code, 0, "{rebuilt:?}");
    network.nodes[0].restart();
    assert_eq!(network.cat(0, "file"), noise(300_000, 5));
}
