//! Keys that were lost or harmed: each is told of by what it is, and the way back that is told of works.
//!
//! Knows the names of key files. Invariant: what was stored is served again once the keys are back.

use super::process::{refused_daemon, run_dfs, run_dfsd};
use super::{Network, make_pipe, text, write_private};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn a_lost_network_key_comes_back_with_a_ticket_of_its_network_alone() {
    let other = Network::alone();
    let foreign = text(&other.ticket());
    let blind = other.path("blind");
    write_private(&blind, &other.dfs(0, &["ticket", "--blind"]).ok());
    let mut network = Network::alone();
    network.put(0, "file", b"small");
    let data = network.nodes[0].data.clone();
    assert_eq!(network.nodes[0].stop(Signal::TERM), Some(0));
    let key = fs::read(data.join("network.key")).unwrap();
    // The first node, which has the root; one that has keys by a ticket; and one that has none but its own.
    for lost in [&["network.key"][..], &["root.key"], &["write.key", "data.key"]] {
        for file in lost {
            fs::rename(data.join(file), network.path(file)).unwrap();
        }
        let _ = fs::remove_file(data.join("network.key"));
        let (code, said) = refused_daemon(&data, &[]);
        assert_eq!(code, Some(7), "{said}");
        let way = "network.key is missing in the data folder: restore it from a copy, or join again with a ticket of the \
                   same network (dfsd --join TICKET)";
        assert!(said.contains(way), "{said}");
        let checked = run_dfsd(&["check", "--data", &text(&data)]);
        assert!(checked.code == 6 && checked.text().contains(way), "{checked:?}");
        for ticket in [&foreign, &text(&blind)] {
            let (code, said) = refused_daemon(&data, &["--join", ticket]);
            assert_eq!(code, Some(7), "{said}");
            assert!(said.contains("another network"), "{said}");
            assert!(!data.join("network.key").exists());
        }
        let ticket = text(&network.ticket());
        network.nodes[0].restart_with(&["--join", &ticket]);
        assert_eq!(network.cat(0, "file"), b"small");
        assert_eq!(fs::read(data.join("network.key")).unwrap(), key);
        assert_eq!(network.nodes[0].stop(Signal::TERM), Some(0));
    }
    // Another network's key in its place, where nothing else than the note tells the network.
    fs::copy(other.nodes[0].data.join("network.key"), data.join("network.key")).unwrap();
    let (code, said) = refused_daemon(&data, &[]);
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("network.key is of another network than the data folder"), "{said}");
}

/// What an earlier run wrote of the peers is of use, and no reason not to start.
#[test]
fn a_file_of_peers_that_is_odd_keeps_no_daemon_from_starting() {
    let mut network = Network::alone();
    network.put(0, "file", b"small");
    let path = network.nodes[0].data.join("peers");
    let odd: [fn(&Path); 4] = [
        |path| fs::create_dir(path).unwrap(),
        make_pipe,
        |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        |path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap(),
    ];
    for make in odd {
        assert_eq!(network.nodes[0].stop(Signal::TERM), Some(0));
        let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
        make(&path);
        network.nodes[0].restart();
        assert_eq!(network.cat(0, "file"), b"small");
    }
}

#[test]
fn what_has_a_keys_name_and_is_no_file_is_said_to_be_what_it_is() {
    let mut network = Network::alone();
    assert_eq!(network.nodes[0].stop(Signal::TERM), Some(0));
    let data = network.nodes[0].data.clone();
    let path = data.join("data.key");
    let aside = network.path("aside");
    fs::rename(&path, &aside).unwrap();
    let makers: [(&str, &dyn Fn()); 3] = [
        ("a folder", &|| fs::create_dir(&path).unwrap()),
        ("a pipe", &|| make_pipe(&path)),
        ("a device", &|| std::os::unix::fs::symlink("/dev/zero", &path).unwrap()),
    ];
    for (kind, make) in makers {
        make();
        let (code, said) = refused_daemon(&data, &[]);
        assert_eq!(code, Some(7), "{said}");
        assert!(said.contains(&format!("data.key is {kind}")), "{kind}: {said}");
        let checked = run_dfsd(&["check", "--data", &text(&data)]);
        assert_eq!(checked.code, 6, "{checked:?}");
        assert!(checked.text().contains(&format!("data.key is {kind}")), "{checked:?}");
        run_dfs(&["--data", &text(&data), "ls"], b"").fails_with(7);
        if kind == "a folder" {
            fs::remove_dir(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
    }
    fs::rename(&aside, &path).unwrap();
    network.nodes[0].restart();
}

#[test]
fn a_ticket_that_others_may_write_is_refused_as_a_key_is() {
    let network = Network::alone();
    let ticket = network.ticket();
    fs::set_permissions(&ticket, fs::Permissions::from_mode(0o622)).unwrap();
    let data = network.path("joining");
    let (code, said) = refused_daemon(&data, &["--join", &text(&ticket)]);
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("others may write"), "{said}");
    assert!(!data.join("network.key").exists());
    run_dfs(&["--ticket", &text(&ticket), "ls"], b"").fails_with(7);
}
