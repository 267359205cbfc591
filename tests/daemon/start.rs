//! How a daemon starts and goes on: on a folder that is new, lost or its own, with a ticket that is good or gone, and what it
//! does at a hangup.
//!
//! Knows the sentences that people read. Invariant: a start that is refused has made nothing.

use super::process::{Daemon, Ended, refused_daemon, run_dfsd};
use super::{Network, json_field, text, wait_for};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

fn node_id(network: &Network, node: usize) -> String {
    json_field(&network.dfs(node, &["status", "--json"]).text(), "node")
}

/// Refused with 1, and nothing made in a folder that is empty or not there.
#[track_caller]
fn refused(data: &Path, options: &[&str], parts: &[&str]) {
    let was_there = data.exists();
    let (code, said) = refused_daemon(data, options);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    assert_eq!(data.exists(), was_there, "{said}");
    assert!(!was_there || fs::read_dir(data).unwrap().next().is_none(), "{said}");
}

#[test]
fn the_first_start_of_a_network_says_so_and_status_too() {
    let mut network = Network::alone();
    let data = text(&network.nodes[0].data);
    let line = format!(
        "dfsd: began a new network in {data}: its keys are there and nowhere else; back up {data}/*.key\n"
    );
    assert!(network.nodes[0].printed().starts_with(&line), "{}", network.nodes[0].printed());
    let status = |network: &Network, node| network.dfs(node, &["status"]).text();
    let row = "network  begun on this node, 2";
    assert!(status(&network, 0).contains(row), "{}", status(&network, 0));
    let since = |network: &Network, node| network.dfs(node, &["status", "--json"]).text();
    assert!(since(&network, 0).contains(r#""new_network_since":"2"#), "{}", since(&network, 0));
    assert_eq!(network.nodes[0].stop(Signal::TERM), Some(0));
    network.nodes[0].restart();
    assert_eq!(network.nodes[0].printed().matches("began a new").count(), 1);
    assert!(status(&network, 0).contains(row), "it is still alone");
    network.join();
    network.wait_connected();
    assert!(!network.nodes[1].printed().contains("began"));
    for node in 0..2 {
        assert!(!status(&network, node).contains("network  "), "{}", status(&network, node));
        assert!(since(&network, node).contains(r#""new_network_since":null"#));
    }
}

#[test]
fn a_folder_that_is_empty_by_mistake_is_refused_until_it_is_said_what_is_meant() {
    let mut network = Network::start(2);
    let (data, before) = (network.nodes[1].data.clone(), node_id(&network, 1));
    let noted = network.path(".local/state/dfsd/folders");
    assert_eq!(fs::metadata(&noted).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(network.nodes[1].stop(Signal::TERM), Some(0));
    // The disk is not mounted.
    fs::rename(&data, network.path("unmounted")).unwrap();
    let gone = ["held a node of the network ", "mounted", "--join TICKET", "--create"];
    refused(&data, &[], &gone);
    fs::create_dir(&data).unwrap();
    refused(&data, &[], &gone);
    refused(&data, &["--existing"], &["holds no node", "mounted", "--join TICKET", "--create"]);
    refused(&data, &["--join", &text(&network.path("no-ticket"))], &["no-ticket", "No such file"]);
    // It is mounted again.
    fs::remove_dir(&data).unwrap();
    fs::rename(network.path("unmounted"), &data).unwrap();
    network.nodes[1].restart_with(&["--existing"]);
    assert_eq!(node_id(&network, 1), before);
    assert_eq!(network.nodes[1].stop(Signal::TERM), Some(0));
    // It is lost, and the node joins again as another.
    fs::remove_dir_all(&data).unwrap();
    let ticket = text(&network.ticket());
    network.nodes[1].restart_with(&["--join", &ticket]);
    assert_ne!(node_id(&network, 1), before);
    wait_for("it is connected", || network.connected(1) == 1);
    assert_eq!(network.nodes[1].stop(Signal::TERM), Some(0));
    // A new network is meant.
    fs::remove_dir_all(&data).unwrap();
    network.nodes[1].restart_with(&["--create"]);
    assert!(network.nodes[1].printed().contains("began a new network"));
    assert_eq!(network.nodes[1].stop(Signal::TERM), Some(0));
    network.nodes[1].restart_with(&["--create"]);
    let log = network.nodes[1].log();
    assert!(log.contains("--create was not needed"), "{log}");
}

#[test]
fn a_configuration_may_say_that_a_node_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("node"), folder.path().join("dfsd.toml"));
    fs::write(&file, "existing = true\n").unwrap();
    let config = ["--config", &text(&file)];
    refused(&data, &config, &["holds no node", "existing in the configuration file"]);
    let mut node = Daemon::start(&data, "127.0.0.1:0", &[&config[..], &["--create"]].concat());
    assert_eq!(node.stop(Signal::TERM), Some(0));
    node.restart_with(&config);
    let (code, said) = refused_daemon(&data, &["--create", "--existing"]);
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn a_ticket_that_is_gone_is_no_error_for_a_node_that_belongs() {
    let mut network = Network::start(2);
    let before = node_id(&network, 1);
    let ticket = text(&network.ticket());
    let spoil: [fn(&Path); 3] = [
        |path| fs::remove_file(path).unwrap(),
        |path| super::write_private(path, b"dfsd1-half"),
        |path| fs::set_permissions(path, fs::Permissions::from_mode(0o622)).unwrap(),
    ];
    for spoil in spoil {
        assert_eq!(network.nodes[1].stop(Signal::TERM), Some(0));
        let lines = network.nodes[1].log().lines().count();
        spoil(&network.ticket());
        network.nodes[1].restart_with(&["--join", &ticket]);
        assert_eq!(node_id(&network, 1), before);
        network.wait_connected();
        let log = network.nodes[1].log();
        let needless = log.lines().skip(lines).filter(|line| line.contains("was not needed"));
        assert_eq!(needless.count(), 1, "{log}");
    }
}

#[test]
fn a_ticket_that_leads_to_the_joiner_itself_is_said_to() {
    let mut network = Network::alone();
    assert_eq!(network.nodes[0].stop(Signal::TERM), Some(0));
    // As on another machine, where the address is this machine's own.
    let listen = network.nodes[0].address.to_string();
    let ticket = text(&network.ticket());
    let joiner = Daemon::start(&network.path("joiner"), &listen, &["--join", &ticket]);
    network.nodes.push(joiner);
    let said = || network.nodes[1].log().contains("that address leads to this node itself");
    wait_for("it says so", said);
    let status = network.dfs(1, &["status"]).text();
    assert!(status.contains("warning  no other node of this network is known"), "{status}");
}

#[test]
fn why_a_node_cannot_be_reached_is_in_peers_and_in_the_log() {
    let mut network = Network::alone_with(&["--advertise", "nosuch.invalid:7400"]);
    network.join();
    // As the resolver says it.
    let reason = "nosuch.invalid:7400: failed to lookup address information";
    wait_for("peers has it", || network.dfs(1, &["peers"]).text().contains(reason));
    let peers = network.dfs(1, &["peers", "--json"]).text();
    assert!(peers.contains(&format!(r#""last_seen":null,"error":"{reason}"#)), "{peers}");
    let logged = "unreachable (down, moved or another network): failed to lookup address";
    wait_for("the log has it", || network.nodes[1].log().contains(logged));
}

#[test]
fn when_a_node_was_last_seen_survives_a_restart() {
    let mut network = Network::start(2);
    let seen = |network: &Network| {
        let peers = network.dfs(0, &["peers", "--json"]).text();
        (json_field(&peers, "last_seen_ms").parse::<u64>().unwrap(), peers)
    };
    std::thread::sleep(Duration::from_secs(2));
    let (ms, peers) = seen(&network);
    assert!(now_ms() - ms < 2000, "it is connected, and seen now: {peers}");
    assert_eq!(network.nodes[1].stop(Signal::TERM), Some(0));
    wait_for("it is gone", || network.connected(0) == 0);
    let (last, peers) = seen(&network);
    assert!(now_ms() - last < 5000 && last >= ms, "{peers}");
    assert_eq!(network.nodes[0].stop(Signal::TERM), Some(0));
    network.nodes[0].restart();
    let (again, peers) = seen(&network);
    assert_eq!(again, last, "{peers}");
    assert!(
        peers.contains(r#""last_seen":"2"#) && peers.contains("\"connected\":false"),
        "{peers}"
    );
    wait_for("and why it cannot be reached", || seen(&network).1.contains("refused"));
    network.nodes[1].restart();
    network.wait_connected();
    assert!(seen(&network).1.contains(r#""error":null"#));
}

#[test]
fn nodes_that_join_or_start_at_once_lose_no_connection() {
    let mut network = Network::start(3);
    for round in 0..3 {
        for node in &network.nodes {
            let log = node.log();
            assert!(!log.contains("lost the connection"), "round {round}: {log}");
        }
        for node in &mut network.nodes {
            node.kill();
            fs::remove_file(node.data.with_extension("log")).unwrap();
        }
        network.nodes.iter_mut().for_each(|node| node.launch(&[]));
        network.nodes.iter_mut().for_each(Daemon::await_ready);
        network.wait_connected();
    }
}

#[test]
fn a_hangup_reloads_the_log_level_and_never_kills() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("node"), folder.path().join("dfsd.toml"));
    fs::write(&file, "log = \"info\"\nmemory = \"16MiB\"\n").unwrap();
    let mut node = Daemon::start(&data, "127.0.0.1:0", &["--config", &text(&file)]);
    let mut hang_up = |file_says: &str, expected: &str| {
        fs::write(&file, file_says).unwrap();
        let before = node.log().len();
        node.signal(Signal::HUP);
        let said = || node.log()[before..].contains(expected);
        wait_for(expected, said);
        assert!(node.is_running());
    };
    hang_up("log = \"info\"\nmemory = \"16MiB\"\n", "log is still info; nothing else has changed");
    hang_up("log = \"debug\"\n", "log is now debug; a restart is needed for memory");
    hang_up("log = \"loud\"\n", "everything stays as it was");
    hang_up("log = \"error\"\nmemory = \"16MiB\"\n", "log is now error; nothing else has changed");
    super::process::run_dfs(&["--data", &text(&data), "ls"], b"").ok();
    assert_eq!(node.stop(Signal::TERM), Some(0));
    let lines = node.log().lines().count();
    node.restart();
    node.signal(Signal::HUP);
    wait_for("it says that there is no file", || node.log().contains("no configuration file"));
    assert!(node.log().lines().count() > lines && node.is_running());
}

#[test]
fn version_and_configuration_are_told_and_nothing_is_started() {
    let version = run_dfsd(&["--version"]);
    assert_eq!(version.code, 0, "{version:?}");
    assert!(version.text().starts_with("dfsd "), "{version:?}");
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (text(&folder.path().join("node")), folder.path().join("dfsd.toml"));
    fs::write(&file, "memory = \"64MiB\"\nlog = \"warn\"\n").unwrap();
    let check = |options: &[&str]| -> Ended {
        let own = ["--check-config", "--data", &data, "--config", &text(&file)];
        run_dfsd(&[&own[..], options].concat())
    };
    let told = check(&["--log", "debug", "--join", "no-such-ticket"]);
    assert_eq!(told.code, 0, "{told:?}");
    let lines = told.text();
    for line in ["memory = \"64MiB\"", "log = \"debug\"", "# join = \"no-such-ticket\""] {
        assert!(lines.lines().any(|told| told == line), "{line}: {lines}");
    }
    // What it prints is a configuration that comes to the same.
    let printed = folder.path().join("printed.toml");
    fs::write(&printed, &lines).unwrap();
    let again =
        run_dfsd(&["--check-config", "--config", &text(&printed), "--join", "no-such-ticket"]);
    assert_eq!(again.text(), lines);
    fs::write(&file, "\nmemroy = 1\n").unwrap();
    let wrong = check(&[]);
    assert_eq!((wrong.code, wrong.text().as_str()), (2, ""), "{wrong:?}");
    assert!(wrong.stderr.contains("memroy") && wrong.stderr.contains("line 2"), "{wrong:?}");
    assert!(!Path::new(&data).exists(), "nothing was made");
}
