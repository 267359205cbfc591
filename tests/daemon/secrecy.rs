//! Secrecy: nothing readable lies in a data folder or passes on a socket.
//!
//! Knows the seeded texts. Invariant: they are looked for as they are, in whole files and whole conversations.

use super::process::{Daemon, refused_daemon, run_dfs, spawn_dfs};
use super::{Network, files_below, text, wait_for, write_private};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

const PLAIN: &[u8] = b"Attack at dawn, by the eastern gate.";
const NAME: &str = "plans-of-the-general/eastern-gate.txt";

/// The seeded words, also such as would show in a part.
fn seeded() -> [&'static [u8]; 4] {
    [PLAIN, NAME.as_bytes(), b"plans-of-the-general", b"eastern"]
}

fn holds(bytes: &[u8], words: &[u8]) -> bool {
    memchr::memmem::find(bytes, words).is_some()
}

/// A file of many blocks with the seeded text in each, and a small one.
fn files() -> [Vec<u8>; 2] {
    [PLAIN.repeat(60_000), PLAIN.to_vec()]
}

fn assert_sealed(bytes: &[u8], place: &Path) {
    for words in seeded() {
        let shown = String::from_utf8_lossy(words);
        assert!(!holds(bytes, words), "{shown} in {}", place.display());
    }
}

#[test]
fn nothing_readable_lies_on_a_disk() {
    let mut network = Network::start(3);
    for (index, bytes) in files().iter().enumerate() {
        let name = format!("{NAME}{index}");
        network.put(index, &name, bytes);
        assert!(network.cat(2, &name) == *bytes);
        network.wait_for_copies(0, &name, 3);
    }
    network.dfs(0, &["mv", &format!("{NAME}1"), &format!("{NAME}-moved")]).ok();
    for node in &mut network.nodes {
        node.kill();
        let files = files_below(&node.data);
        assert!(files.len() > 5);
        for path in files {
            assert_sealed(&fs::read(&path).unwrap(), &path);
            assert_sealed(path.to_str().unwrap().as_bytes(), &path);
        }
        assert_sealed(node.log().as_bytes(), Path::new("the log"));
    }
}

#[test]
fn keys_tickets_and_stores_are_private() {
    let network = Network::alone();
    network.put(0, "file", b"file");
    let data = &network.nodes[0].data;
    let mode = fs::metadata(data).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "the folder is open: {mode:o}");
    for path in files_below(data) {
        if path.extension().is_some_and(|ending| ending == "key") {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} is open: {mode:o}", path.display());
        }
    }
}

/// The soft and the hard limit of a core file's size.
fn core_limits(process: u32) -> String {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    line.unwrap().split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn no_program_leaves_its_keys_in_a_core_file() {
    let network = Network::alone();
    assert_eq!(core_limits(network.nodes[0].id()), "0 0");
    // It waits for the rest of its standard input.
    let mut child = spawn_dfs(&["--data", &text(&network.nodes[0].data), "put", "-", "x"]);
    wait_for("dfs forbids core files", || core_limits(child.id()) == "0 0");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_ticket_file_is_private_and_what_others_may_have_written_is_not_used() {
    let set_mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    let network = Network::alone();
    let path = network.path("new-ticket");
    network.dfs(0, &["ticket", "--out", &text(&path)]).ok();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    network.dfs(0, &["ticket", "--out", &text(&path)]).fails_with(8);
    let list = || run_dfs(&["--ticket", &text(&path), "ls"], b"");
    list().ok();
    set_mode(&path, 0o644).unwrap();
    let ended = list();
    assert!(ended.stderr.contains("run: chmod 600"), "{ended:?}");
    ended.ok();
    set_mode(&path, 0o666).unwrap();
    assert!(list().fails_with(7).stderr.contains("others may write the ticket"));
    let data = network.path("joins");
    let (code, said) = refused_daemon(&data, &["--join", &text(&path)]);
    assert!(code.is_some_and(|code| code != 0) && said.contains("others may write"), "{said}");
}

#[test]
fn a_data_folder_that_others_may_write_is_refused() {
    let mut network = Network::alone();
    let data = network.nodes[0].data.clone();
    network.nodes[0].kill();
    fs::set_permissions(&data, Permissions::from_mode(0o777)).unwrap();
    let (code, said) = refused_daemon(&data, &[]);
    assert!(code == Some(7) && said.contains("chmod go-w"), "{code:?} {said}");
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    network.nodes[0].restart();
}

#[test]
fn a_hostile_path_does_nothing_to_the_terminal() {
    let network = Network::alone();
    let folder = network.path("tree");
    fs::create_dir(&folder).unwrap();
    let hostile = "a\u{1b}]0;title\u{7}\u{202e}b";
    std::os::unix::net::UnixListener::bind(folder.join(hostile)).unwrap();
    for words in [&["put", "-r"][..], &["put"], &["hash"]] {
        let path = if words.len() > 1 { folder.clone() } else { folder.join(hostile).join("x") };
        let ended = network.dfs(0, &[words, &[&text(&path)]].concat());
        let said = ended.stderr;
        let is_shown = |character: char| {
            character == '\n' || !(character.is_control() || character == '\u{202e}')
        };
        assert!(said.chars().all(is_shown) && said.contains("\\u{1b}"), "{said:?}");
    }
}

/// Somebody who stands between a node and all who dial it, and writes down every byte.
struct Eavesdropper {
    address: SocketAddr,
    target: Arc<OnceLock<SocketAddr>>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Eavesdropper {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let this = Self {
            address: listener.local_addr().unwrap(),
            target: Arc::default(),
            heard: Arc::default(),
        };
        let target = Arc::clone(&this.target);
        let heard = Arc::clone(&this.heard);
        // Ends with the process.
        thread::spawn(move || {
            for dialer in listener.incoming() {
                let dialer = dialer.unwrap();
                let Some(target) = target.get() else { continue };
                let Ok(node) = TcpStream::connect(target) else {
                    continue;
                };
                let there = (dialer.try_clone().unwrap(), node.try_clone().unwrap());
                for (from, to) in [there, (node, dialer)] {
                    let heard = Arc::clone(&heard);
                    thread::spawn(move || overhear(from, to, &heard));
                }
            }
        });
        this
    }
}

fn overhear(mut from: TcpStream, mut to: TcpStream, heard: &Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut said = Vec::new();
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        said.extend_from_slice(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
        // A conversation in pieces would hide a word that is cut in two.
        if said.len() > 1 << 20 {
            heard.lock().unwrap().append(&mut said);
        }
    }
    heard.lock().unwrap().append(&mut said);
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn nothing_readable_passes_on_a_socket() {
    let eavesdropper = Eavesdropper::start();
    let advertised = eavesdropper.address.to_string();
    let network = Network::alone_with(&["--advertise", &advertised]);
    eavesdropper.target.set(network.nodes[0].address).unwrap();
    let ticket = network.path("overheard");
    write_private(&ticket, &network.dfs(0, &["ticket"]).ok());
    let ticket = text(&ticket);
    // A node that dials the eavesdropper, and a client that does.
    let data = network.path("second");
    let second = Daemon::start(&data, "127.0.0.1:0", &["--join", &ticket]);
    wait_for("the second node is connected", || network.connected(0) == 1);
    for (index, bytes) in files().iter().enumerate() {
        let name = format!("{NAME}{index}");
        run_dfs(&["--ticket", &ticket, "put", "-", &name], bytes).ok();
        assert!(run_dfs(&["--ticket", &ticket, "cat", &name], b"").ok() == *bytes);
        network.wait_for_copies(0, &name, 2);
    }
    run_dfs(&["--ticket", &ticket, "ls"], b"").ok();
    drop(second);
    drop(network);
    let long = |heard: &Vec<u8>| heard.len() > 5 * PLAIN.len() * 60_000 / 2;
    wait_for("it has heard all", || long(&eavesdropper.heard.lock().unwrap()));
    assert_sealed(&eavesdropper.heard.lock().unwrap(), Path::new("a conversation"));
}
