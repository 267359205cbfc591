//! Many names on real daemons: two nodes that differ soon hold the same, on the connection that they have; and where
//! nothing changes next to nothing is done.
//!
//! `DFSD_LARGE=full` is the long form: up to a million names, and a minute of rest. Invariant: what nodes say to each
//! other goes through proxies that count it.

use super::coast::Coast;
use super::load::load;
use super::process::Daemon;
use super::proxy::Chaos;
use super::{Network, json_field, text, wait_for, wait_up_to};
use crate::endings::faults_in;
use std::thread;
use std::time::{Duration, Instant};

/// What a name of 16 bytes takes on the wire at least: its record.
const RECORD: u64 = 250;

fn is_full() -> bool {
    std::env::var_os("DFSD_LARGE").is_some_and(|form| form == "full")
}

/// Stores so many names; another seed, other names.
fn put_many(node: &Daemon, count: u64, seed: u64) {
    let data = text(&node.data);
    let words = format!(
        "put -q --data {data} --size 16 --conns 16 --depth 4 --ops {count} --seed {seed} --json"
    );
    let ended = load(&words);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

/// Has so many names, and what they stand for.
fn has(network: &Network, node: usize, names: u64) -> bool {
    let status = network.dfs(node, &["status", "--json"]).text();
    let number = |field| json_field(&status, field).parse::<u64>().unwrap();
    (number("names"), number("incomplete")) == (names, 0)
}

/// Two nodes have so many names in common and so many each alone, and meet.
fn come_together(common: u64, alone: u64, timeout: Duration) {
    let coast = Coast::start_with(2, common ^ alone, &["--log", "debug"]);
    let network = &coast.network;
    let both = |names| (0..2).all(|node| has(network, node, names));
    if common > 0 {
        put_many(&network.nodes[0], common, 1);
        wait_up_to(timeout, "both have what they are to have in common", || both(common));
    }
    coast.set(Chaos::Cut);
    wait_for("they are parted", || (0..2).all(|node| network.connected(node) == 0));
    thread::scope(|threads| {
        for (node, seed) in network.nodes.iter().zip(2..) {
            threads.spawn(move || put_many(node, alone, seed));
        }
    });
    assert!((0..2).all(|node| has(network, node, common + alone)), "they are parted");
    let (carried, begun) = (coast.carried(), Instant::now());
    let worked: Vec<_> = network.nodes.iter().map(Daemon::processor_time).collect();
    coast.set(Chaos::Off);
    wait_up_to(timeout, "both have everything", || both(common + 2 * alone));
    let carried = coast.carried() - carried;
    println!("{common} names and {alone} on each side: {:.1?}, {carried} bytes", begun.elapsed());
    for (node, worked) in network.nodes.iter().zip(worked) {
        let worked = node.processor_time() - worked;
        println!("  {worked:.1?} of a processor, {} KiB of memory at most", node.peak_kib());
        let log = node.log();
        let faults = faults_in(&log, &[]);
        assert!(faults.is_empty(), "our own limits ended connections: {faults:#?}");
    }
    let all = common * RECORD;
    assert!(common == 0 || carried < all, "{carried} bytes, where all is {all} at least");
}

#[test]
fn who_was_away_while_a_few_of_many_names_came_has_them_soon() {
    match is_full() {
        true => come_together(50_000, 1_000, Duration::from_secs(60)),
        false => come_together(5_000, 250, Duration::from_secs(30)),
    }
}

#[test]
fn two_halves_of_a_network_become_a_whole() {
    match is_full() {
        true => come_together(0, 50_000, Duration::from_secs(120)),
        false => come_together(0, 3_000, Duration::from_secs(30)),
    }
}

/// Only in the long form.
#[test]
fn few_of_a_million_names_are_found() {
    if is_full() {
        come_together(1_000_000, 250, Duration::from_secs(300));
    }
}

#[test]
fn with_a_full_and_an_absent_node_next_to_nothing_is_done() {
    let (names, seconds) = if is_full() { (20_000, 60) } else { (2_000, 20) };
    let mut coast = Coast::start(1, 5);
    put_many(&coast.network.nodes[0], names, 1);
    coast.join(&["--reserve", "2TiB"]);
    coast.join(&[]);
    coast.network.wait_connected();
    // Both know an address at which nobody answers from now on.
    coast.network.nodes[2].kill();
    wait_for("it is missed", || (0..2).all(|node| coast.network.connected(node) == 1));
    thread::sleep(Duration::from_secs(seconds / 4));
    let nodes = &coast.network.nodes[..2];
    let worked = || nodes.iter().map(Daemon::processor_time).sum::<Duration>();
    let lines = || nodes.iter().map(|node| node.log().lines().count()).sum::<usize>();
    let before = (worked(), lines(), coast.carried());
    thread::sleep(Duration::from_secs(seconds));
    let (worked, lines) = (worked() - before.0, lines() - before.1);
    let carried = coast.carried() - before.2;
    println!("{seconds} s of rest: {worked:?} of a processor, {lines} lines, {carried} bytes");
    let share = |of_a_minute: u64| of_a_minute * seconds / 60 + of_a_minute / 5;
    assert!(worked <= Duration::from_millis(share(500)), "{worked:?}");
    assert!(lines as u64 <= share(20), "{lines} lines in the logs");
    assert!(carried <= share(20_000), "{carried} bytes");
    assert!(has(&coast.network, 1, 0) && has(&coast.network, 0, names));
}
