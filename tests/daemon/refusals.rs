//! Refusals: each thing that cannot be done has its sentence and its exit status, and harms nothing else.
//!
//! Knows the exit codes of section 9 of the design. Invariant: after a refusal the network works.

use super::process::{Daemon, refused_daemon, run_dfs, run_dfsd, run_program};
use super::{Network, noise, text, wait_for, write_private};
use rustix::process::Signal;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

#[test]
fn names_out_of_bounds_are_usage_errors() {
    let network = Network::alone();
    let long = "n".repeat(2000);
    for name in ["", long.as_str()] {
        network.dfs_with(0, &["put", "-", name], b"x").fails_with(2);
    }
    let fits = "n".repeat(1000);
    network.put(0, &fits, b"x");
    assert_eq!(network.names(0), [fits]);
}

#[test]
fn wrong_usage_is_said_so() {
    for arguments in [&["frobnicate"][..], &["put"], &["get"], &["rm"], &["mv", "a"]] {
        run_dfs(arguments, b"").fails_with(2);
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("node");
    let (code, _) = refused_daemon(&data, &["--no-such-option"]);
    assert_eq!(code, Some(2));
    let (code, said) = refused_daemon(&data, &["--memory", "lots"]);
    assert_eq!(code, Some(2), "{said}");
    let file = folder.path().join("dfsd.toml");
    fs::write(&file, "workers = 1\nwrokers = 2\n").unwrap();
    let (code, said) = refused_daemon(&data, &["--config", &text(&file)]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains('2') && said.contains("wrokers"), "{said}");
    // Nor is a file without an end read to its end.
    let (code, said) = refused_daemon(&data, &["--config", "/dev/zero"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("64KiB"), "{said}");
}

#[test]
fn what_was_typed_does_nothing_to_the_terminal() {
    let evil = "x\u{1b}[2J\r\u{9b}1m\u{202e}\nerror: y";
    let option = format!("--{evil}");
    let told = [
        run_dfs(&[evil], b""),
        run_dfs(&[&option], b""),
        run_dfs(&["hash", &option], b""),
        run_dfsd(&[&option]),
        run_dfsd(&["--memory", evil]),
        run_program("dfs-load", &[evil]),
        run_program("dfs-load", &[&option]),
    ];
    for ended in told {
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains("x\\u{1b}[2J\\r\\u{9b}1m\\u{202e}\\nerror: y"), "{ended:?}");
        let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!ended.stderr.contains(raw), "{ended:?}");
        let errors = ended.stderr.lines().filter(|line| line.starts_with("error:")).count();
        assert!(errors <= 1, "{ended:?}");
    }
}

#[test]
fn a_missing_file_leaves_nothing() {
    let network = Network::start(2);
    let out = network.path("out");
    fs::create_dir(&out).unwrap();
    let back = text(&out.join("back"));
    for node in 0..2 {
        network.dfs(node, &["get", "nowhere", &back]).fails_with(4);
        network.dfs(node, &["cat", "nowhere"]).fails_with(4);
        network.dfs(node, &["stat", "nowhere"]).fails_with(4);
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    // What was there stays as it was.
    let kept = network.local("kept", b"kept");
    network.dfs(0, &["get", "nowhere", &kept]).fails_with(4);
    assert_eq!(fs::read(&kept).unwrap(), b"kept");
}

#[test]
fn local_files_that_cannot_be_read_or_written_are_errors() {
    let network = Network::alone();
    let folder = text(network.folder.path());
    network.dfs(0, &["put", "/nonexistent/file"]).fails_with(1);
    let put = network.dfs(0, &["put", &folder, "name"]);
    assert!(matches!(put.code, 1 | 2), "{put:?}");
    assert!(!put.stderr.is_empty());
    assert_eq!(network.names(0).len(), 0);
    network.put(0, "file", &noise(100_000, 1));
    network.dfs(0, &["get", "file", "/nonexistent/folder/file"]).fails_with(1);
    network.dfs(0, &["get", "file", "/dev/null/file"]).fails_with(1);
}

#[test]
fn a_full_pipe_and_a_closed_one_are_not_success_and_no_panic() {
    use std::process::{Command, Stdio};
    let network = Network::alone();
    network.put(0, "file", &noise(3_000_000, 2));
    let data = text(&network.nodes[0].data);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_dfs"))
        .args(["--data", &data, "cat", "file"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let mut child = Command::new(env!("CARGO_BIN_EXE_dfs"))
        .args(["--data", &data, "cat", "file"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(said.trim(), "", "a closed pipe is quiet");
}

#[test]
fn get_of_a_tree_stays_in_its_folder() {
    let network = Network::alone();
    for name in ["p/good", "p/../../evil", "p/a/../../../evil", "p//evil", "p/./evil"] {
        if name != "p/good" {
            network.dfs_with(0, &["put", "-", name], name.as_bytes()).fails_with(2);
        }
        network.dfs_with(0, &["put", "--raw-names", "-", name], name.as_bytes()).ok();
    }
    let out = network.path("deep").join("out");
    fs::create_dir_all(&out).unwrap();
    network.dfs(0, &["get", "-r", "p", &text(&out)]).fails_with(3);
    assert_eq!(fs::read(out.join("good")).unwrap(), b"p/good");
    let found = super::files_below(&network.path("deep"));
    for path in &found {
        assert!(path.starts_with(&out), "{} is outside", path.display());
    }
    assert!(!network.path("evil").exists());
}

#[test]
fn no_daemon_is_a_temporary_failure() {
    let mut network = Network::alone();
    network.nodes[0].stop(Signal::TERM);
    network.dfs(0, &["ls"]).fails_with(5);
    network.dfs_with(0, &["put", "-", "x"], b"x").fails_with(5);
    let ticket = text(&network.ticket());
    run_dfs(&["--ticket", &ticket, "cat", "x"], b"").fails_with(5);
}

#[test]
fn no_room_is_said_and_reads_still_work() {
    let mut network = Network::alone();
    network.put(0, "file", b"file");
    network.put(0, "doomed", b"doomed");
    let listen = network.nodes[0].address.to_string();
    network.nodes[0].stop(Signal::TERM);
    let data = network.nodes[0].data.clone();
    network.nodes[0] = Daemon::start(&data, &listen, &["--reserve", "1000000GiB"]);
    for size in [10, 3_000_000] {
        let put = network.dfs_with(0, &["put", "-", "more"], &noise(size, 3));
        put.fails_with(5);
    }
    assert_eq!(network.cat(0, "file"), b"file");
    network.dfs(0, &["rm", "doomed"]).ok();
    assert_eq!(network.names(0), ["file"]);
}

#[test]
fn a_wrong_network_key_is_refused() {
    let mut other = Network::alone();
    let address = other.nodes[0].address.to_string();
    other.nodes[0].stop(Signal::TERM);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("node");
    let node = Daemon::start(&data, &address, &[]);
    let ticket = text(&other.ticket());
    run_dfs(&["--ticket", &ticket, "ls"], b"").fails_with(7);
    run_dfs(&["--ticket", &ticket, "put", "-", "x"], b"x").fails_with(7);
    let listed = run_dfs(&["--data", &text(&node.data), "ls"], b"");
    assert_eq!(listed.ok(), b"");
}

#[test]
fn a_damaged_ticket_is_refused() {
    let network = Network::alone();
    let good = fs::read_to_string(network.ticket()).unwrap();
    let bad = network.path("bad");
    let cut = &good[..good.len() / 2];
    for ticket in ["", "dfsd1-", cut, "hello"] {
        write_private(&bad, ticket.as_bytes());
        let ended = run_dfs(&["--ticket", &text(&bad), "ls"], b"");
        assert!(matches!(ended.code, 1 | 2 | 7), "{ticket}: {ended:?}");
        assert!(!ended.stderr.is_empty());
        let data = network.path("joining");
        let (code, said) = refused_daemon(&data, &["--join", &text(&bad)]);
        assert!(code.is_some_and(|code| code != 0), "{ticket}: {said}");
    }
}

#[test]
fn open_keys_are_not_used() {
    let mut network = Network::alone();
    network.nodes[0].stop(Signal::TERM);
    let data = network.nodes[0].data.clone();
    for key in ["network.key", "data.key", "write.key", "node.key"] {
        let path = data.join(key);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let (code, said) = refused_daemon(&data, &[]);
        assert!(code.is_some_and(|code| code != 0), "{key}: it started");
        assert!(said.contains(key), "{key}: {said}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    network.nodes[0].restart();
}

#[test]
fn damaged_keys_are_not_used() {
    let mut network = Network::alone();
    network.nodes[0].stop(Signal::TERM);
    let data = network.nodes[0].data.clone();
    let path = data.join("network.key");
    let good = fs::read(&path).unwrap();
    for bad in [&b""[..], &good[..good.len() / 2], b"nonsense\n"] {
        write_private(&path, bad);
        let (code, said) = refused_daemon(&data, &[]);
        assert!(code.is_some_and(|code| code != 0), "it started");
        assert!(said.contains("network.key"), "{said}");
    }
    write_private(&path, &good);
    network.nodes[0].restart();
}

#[test]
fn a_second_daemon_on_a_folder_refuses() {
    let network = Network::alone();
    network.put(0, "file", b"file");
    let data = &network.nodes[0].data;
    let address = fs::read(data.join("address")).unwrap();
    let mut second = super::process::spawn_daemon(data, "127.0.0.1:0", &[]);
    // What it removed to see the first one's start anew.
    fs::write(data.join("address"), address).unwrap();
    let code = super::process::wait_for_end(&mut second, super::TIMEOUT);
    assert!(code.is_some_and(|code| code != 0), "it started");
    let said = network.nodes[0].log();
    assert!(!said.trim().is_empty(), "it refused without a word");
    assert_eq!(network.cat(0, "file"), b"file");
}

/// All that a node says to somebody who sends this and then waits.
fn conversation(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(12))).unwrap();
    // It may close before it has read it all.
    let _ = stream.write_all(bytes);
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return heard,
            Ok(length) => heard.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return heard,
            // A read with a deadline ends when its process was stopped and goes on.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("the connection is not closed: {error}"),
        }
    }
}

#[test]
fn a_stranger_gets_sixteen_bytes_and_a_closed_connection() {
    let network = Network::alone();
    let address = network.nodes[0].address;
    let head = |versions: [u8; 2], epoch| [&b"dfsd"[..], &versions, &[0, epoch]].concat();
    let preface = [head([5, 5], 1), vec![7; 8]].concat();
    let wrong_key = [preface.clone(), noise(48, 4)].concat();
    for bytes in [&b""[..], &head([1, 1], 1), &head([5, 5], 1), &preface, &wrong_key] {
        let heard = conversation(address, bytes);
        let (preface, rest) = heard.split_at(16);
        assert!(preface.starts_with(&head([5, 5], 1)), "{heard:?}");
        // The refusal of a key says no more than that.
        let refusal = if bytes == wrong_key { vec![0; 96] } else { Vec::new() };
        assert_eq!(rest, refusal, "{bytes:?}");
    }
}

#[test]
fn garbage_harms_nobody() {
    let network = Network::start(2);
    let address = network.nodes[0].address;
    network.put(0, "file", b"file");
    for (length, seed) in [1, 7, 8, 9, 56, 57, 1000, 70_000].into_iter().zip(5..) {
        let heard = conversation(address, &noise(length, seed));
        assert!(heard.len() <= 16, "{length} bytes of garbage: {heard:?}");
    }
    let heard = conversation(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(heard.len() <= 16);
    // Many at once that say nothing.
    let idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
    let begun = Instant::now();
    assert_eq!(network.cat(0, "file"), b"file");
    network.put(1, "more", b"more");
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(idle);
    wait_for("the node is well", || network.cat(0, "more") == b"more");
}

#[test]
fn too_few_descriptors_are_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("node");
    let dfsd = env!("CARGO_BIN_EXE_dfsd");
    let limited = |limit: u64| {
        let command = format!(
            "ulimit -n {limit}; exec {dfsd} --data {} --listen 127.0.0.1:0",
            data.display()
        );
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &command]).env("HOME", folder.path()).output().unwrap()
    };
    let ended = limited(256);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("256") && said.contains("ulimit"), "{said}");
    assert!(!data.exists(), "nothing was made");
}

/// Else it would be a blind node from then on, and nobody would know.
#[test]
fn a_key_that_is_lost_is_missed_by_its_name() {
    let mut network = Network::alone();
    let data = network.nodes[0].data.clone();
    assert_eq!(network.nodes[0].stop(Signal::TERM), Some(0));
    for key in ["data.key", "write.key"] {
        let aside = network.path(key);
        fs::rename(data.join(key), &aside).unwrap();
        let (code, said) = refused_daemon(&data, &[]);
        assert_eq!(code, Some(7), "{said}");
        assert!(said.contains(key) && said.contains("--join"), "{said}");
        let checked = run_dfsd(&["check", "--data", &text(&data)]);
        assert_eq!(checked.code, 6, "{checked:?}");
        assert!(checked.text().contains(key), "{checked:?}");
        // The ticket has it.
        let ticket = text(&network.ticket());
        network.nodes[0].restart_with(&["--join", &ticket]);
        assert_eq!(network.nodes[0].stop(Signal::TERM), Some(0));
        assert_eq!(fs::read(data.join(key)).unwrap(), fs::read(aside).unwrap());
    }
    // On purpose.
    fs::remove_file(data.join("write.key")).unwrap();
    fs::remove_file(data.join("role")).unwrap();
    network.nodes[0].restart();
}
