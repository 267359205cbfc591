//! Crowds at a daemon's door: sockets that say nothing, or more of them than there are descriptors.
//!
//! Knows nothing of the protocol but the clear bytes. Invariant: whoever has the key is served meanwhile.

use super::process::Daemon;
use super::{Network, noise, wait_for};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn crowd(network: &Network, count: usize) -> Vec<TcpStream> {
    let address = network.nodes[0].address;
    (0..count).map(|_| TcpStream::connect(address).unwrap()).collect()
}

/// Whether the other side has closed it.
fn is_closed(socket: &mut TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let mut bytes = [0; 64];
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Lets a running daemon have only so many descriptors.
fn limit_descriptors(daemon: &Daemon, count: u64) {
    let id = Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    let limit = Rlimit { current: Some(count), maximum: Some(count) };
    prlimit(id, Resource::Nofile, limit).unwrap();
}

#[test]
fn silent_strangers_are_sent_away_and_keep_nobody_out() {
    let network = Network::alone();
    let mut strangers = crowd(&network, 600);
    network.put(0, "note", b"written meanwhile");
    assert_eq!(network.cat(0, "note"), b"written meanwhile");
    wait_for("all strangers are sent away", || strangers.iter_mut().all(is_closed));
    let before = network.nodes[0].processor_time();
    std::thread::sleep(Duration::from_secs(1));
    let used = network.nodes[0].processor_time() - before;
    assert!(used < Duration::from_millis(100), "{used:?} of a processor for nothing");
}

#[test]
fn without_descriptors_a_daemon_waits_and_then_goes_on() {
    let network = Network::alone();
    network.put(0, "before", &noise(300_000, 1));
    let Some(open) = network.nodes[0].descriptors() else {
        return;
    };
    limit_descriptors(&network.nodes[0], open as u64 + 20);
    let strangers = crowd(&network, 100);
    let before = network.nodes[0].processor_time();
    let begun = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    let used = network.nodes[0].processor_time() - before;
    assert!(used < begun.elapsed() / 4, "{used:?} of a processor while it cannot accept");
    assert!(network.nodes[0].log().lines().count() < 50, "a flood in the log");
    drop(strangers);
    wait_for("it serves again", || network.dfs(0, &["cat", "before"]).code == 0);
    network.put(0, "after", b"still here");
    assert_eq!(network.cat(0, "after"), b"still here");
}
