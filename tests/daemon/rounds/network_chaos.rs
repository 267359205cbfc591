//! Daemons whose every connection goes through a proxy, on a bad network: whatever it does to bytes, nothing wrong is
//! served, all agree once it is fair, and no daemon leaks, spins or fills its log.
//!
//! `DFSD_SECONDS` makes the storm longer, `DFSD_SEED` another one. Invariant: the ledger judges as it does after kills.

use super::load::{Curtain, Scene, run_client};
use super::{NODES, audit, sleep_ms, variable};
use crate::daemon::coast::Coast;
use crate::daemon::process::Daemon;
use crate::daemon::proxy::{Chaos, Proxy, Way};
use crate::daemon::{Network, noise, wait_for, write_private};
use crate::endings::faults_in;
use dfsd::conn::{ConnError, Rule};
use dfsd::keyring::ticket::Ticket;
use dfsd::node::Ending;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What a daemon may hold in memory whatever happens: its budgets and the program.
const RESIDENT_KIB_MAX: u64 = 128 * 1024;

/// How a connection ends whose bytes were changed.
const CHANGED_ON_THE_WAY: [Ending; 3] = [
    Ending::Conn(ConnError::Unauthenticated),
    Ending::Conn(ConnError::Broke(Rule::RecordLength)),
    Ending::Conn(ConnError::Broke(Rule::Authentic)),
];

fn pick_chaos(rng: &mut ChaCha8Rng) -> Chaos {
    match rng.random_range(0..9) {
        0 => Chaos::Off,
        1 | 2 => Chaos::Frozen,
        3 => Chaos::Slow(rng.random_range(1..60)),
        4 => Chaos::Throttled(rng.random_range(16..2_000)),
        5 => Chaos::Split(rng.random_range(1..900)),
        6 => Chaos::Merged,
        7 => Chaos::Corrupt(rng.random_range(2_000..200_000)),
        _ => Chaos::Cut,
    }
}

/// Another chaos in one direction or both, here and there, until the time is over.
fn storm(proxies: &[&Proxy], length: Duration, rng: &mut ChaCha8Rng) {
    let begun = Instant::now();
    while begun.elapsed() < length {
        for proxy in proxies {
            if rng.random_range(0..2) == 0 {
                proxy.set(Way::There, pick_chaos(rng));
                proxy.set(Way::Back, pick_chaos(rng));
            }
        }
        sleep_ms(rng.random_range(20..300));
    }
    for proxy in proxies {
        proxy.set_both(Chaos::Off);
    }
}

#[test]
fn a_storm_passes_and_nothing_wrong_was_served() {
    let seed = variable("DFSD_SEED").unwrap_or(1);
    let length = Duration::from_secs(variable("DFSD_SECONDS").unwrap_or(4));
    let coast = Coast::start_with(NODES, seed, &["--log", "debug"]);
    // Clients have a proxy of their own to each node.
    let doors: Vec<Proxy> = (0..NODES as u64).map(|node| Proxy::start(!seed ^ node)).collect();
    for (door, node) in doors.iter().zip(&coast.network.nodes) {
        door.lead_to(node.address);
    }
    let addresses: Vec<SocketAddr> = doors.iter().map(Proxy::address).collect();
    let text = std::fs::read_to_string(coast.network.ticket()).unwrap();
    let scene = Scene::new(addresses.try_into().unwrap(), Ticket::parse(&text).unwrap().access);
    let before: Vec<_> = coast.network.nodes.iter().map(Daemon::descriptors).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    std::thread::scope(|threads| {
        for client in 0..4 {
            let scene = &scene;
            threads.spawn(move || run_client(scene, seed.wrapping_add(client)));
        }
        let _curtain = Curtain(&scene);
        let all: Vec<&Proxy> = coast.between.iter().chain(&doors).collect();
        storm(&all, length, &mut rng);
    });
    let names: BTreeSet<String> = scene.ledger().names().into_iter().collect();
    audit::check_each(&scene, &names);
    audit::converge(&scene);
    audit::check_bytes(&scene, &names);
    let losses = scene.losses.lock().unwrap().clone();
    assert!(losses.is_empty(), "seed {seed}: {losses:#?}");
    let changed: u64 = coast.between.iter().chain(&doors).map(Proxy::changed).sum();
    let (acknowledged, doubtful) = scene.ledger().counts();
    println!(
        "{acknowledged} acknowledged, {doubtful} in doubt, {changed} bytes changed on the way"
    );
    for (node, before) in coast.network.nodes.iter().zip(before) {
        is_healthy(node, before, length);
    }
}

/// It has given back what the storm took, and has not told of it again and again.
fn is_healthy(node: &Daemon, descriptors: Option<usize>, length: Duration) {
    if let Some(before) = descriptors {
        wait_for("descriptors are given back", || node.descriptors() <= Some(before + 4));
    }
    let resident = node.resident_kib();
    assert!(resident < RESIDENT_KIB_MAX, "{resident} KiB resident");
    let log = node.log();
    let lines = log.lines().filter(|line| !line.contains("[DEBUG]")).count() as u64;
    let most = 100 + 60 * length.as_secs();
    assert!(lines < most, "{lines} lines in the log:\n{log}");
    assert!(!log.contains("panicked"));
    let mut faults = faults_in(&log, &CHANGED_ON_THE_WAY);
    // So it seems when the first bytes were changed.
    faults.retain(|line| !line.contains("the protocol") && !line.contains("the network key"));
    assert!(faults.is_empty(), "our own limits ended connections: {faults:#?}");
}

#[test]
fn frozen_peers_stall_no_put_and_spin_no_processor() {
    let coast = Coast::start(NODES, 2);
    let network = &coast.network;
    network.put(0, "before", &noise(200_000, 1));
    coast.set(Chaos::Frozen);
    network.put(0, "meanwhile", &noise(2_000_000, 2));
    assert!(network.cat(0, "meanwhile") == noise(2_000_000, 2));
    let used = |node: &Daemon| node.processor_time();
    let before: Vec<Duration> = network.nodes.iter().map(used).collect();
    sleep_ms(1_500);
    for (node, before) in network.nodes.iter().zip(before) {
        let used = node.processor_time() - before;
        assert!(used < Duration::from_millis(200), "{used:?} of a processor for nothing");
    }
    coast.set(Chaos::Off);
    network.wait_for_copies(0, "meanwhile", NODES);
    assert!(network.cat(2, "meanwhile") == noise(2_000_000, 2));
}

#[test]
fn corrupted_connections_are_closed_and_dialled_again() {
    let coast = Coast::start(2, 3);
    let network = &coast.network;
    let proxies = &coast.between;
    let dialled = || proxies.iter().map(Proxy::accepted).sum::<u64>();
    let before = dialled();
    coast.set(Chaos::Corrupt(30_000));
    for index in 0..6 {
        network.put(index % 2, &format!("file/{index}"), &noise(700_000, index as u64));
    }
    wait_for("they dial again", || dialled() > before + 2);
    coast.set(Chaos::Off);
    for index in 0..6 {
        let name = format!("file/{index}");
        network.wait_for_copies(0, &name, 2);
        for node in 0..2 {
            assert!(network.cat(node, &name) == noise(700_000, index as u64), "{name} at {node}");
        }
    }
    for node in 0..2 {
        assert_eq!(network.dfs(node, &["verify"]).code, 0);
        is_healthy(&network.nodes[node], None, Duration::from_secs(4));
    }
}

#[test]
fn a_client_whose_connection_is_corrupted_or_cut_says_so() {
    let network = Network::alone();
    let bytes = noise(6_000_000, 4);
    network.put(0, "file", &bytes);
    let door = Proxy::start(4);
    door.lead_to(network.nodes[0].address);
    let ticket = network.path("through");
    // The same keys, and another way in.
    let text = std::fs::read_to_string(network.ticket()).unwrap();
    let mut changed = Ticket::parse(&text).unwrap();
    for peer in &mut changed.peers {
        peer.address = door.address().to_string();
    }
    write_private(&ticket, changed.encode().as_bytes());
    let ticket = ticket.to_str().unwrap();
    for chaos in [Chaos::Corrupt(400_000), Chaos::Cut] {
        door.set_both(chaos);
        for arguments in [["cat", "file"], ["stat", "file"]] {
            let options = ["--ticket", ticket];
            let ended = crate::daemon::run_dfs(&[&options[..], &arguments[..]].concat(), b"");
            if ended.code == 0 {
                assert!(arguments[0] == "stat" || ended.stdout == bytes);
            } else {
                assert!(bytes.starts_with(&ended.stdout), "wrong bytes came out");
                assert!(!ended.stderr.contains("panicked") && !ended.stderr.is_empty());
                println!("{chaos:?} {arguments:?}: {} {}", ended.code, ended.stderr.trim());
            }
        }
    }
}
