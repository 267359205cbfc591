//! Rounds of harm: three daemons on real folders under load, killed at any moment, started again, and audited; and the
//! same load on a bad network between them.
//!
//! `DFSD_ROUNDS` is how many, `DFSD_SEED` the first network's seed, and `DFSD_REPORT` a file that gets a line a network and
//! from which a later run goes on. A seed decides sizes and moments as far as real processes allow. Invariant: a round
//! ends with three nodes that run and have lost nothing.

mod audit;
mod ledger;
mod load;
mod network_chaos;
mod report;

use super::process::Daemon;
use super::{Network, files_below, wait_for};
use crate::endings::faults_in;
use dfsd::keyring::ticket::Ticket;
use ledger::NODES;
use load::{Curtain, Scene, run_client};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use report::{Batch, Report};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Rounds before a network of new folders.
const ROUNDS_OF_A_NETWORK: u64 = 100;
/// Every so many rounds all nodes must agree; in between kills meet nodes that do not agree yet.
const AGREEMENT: u64 = 4;
/// Every so many rounds every byte is read from every node.
const FULL_CHECK: u64 = 20;
/// Clients at once.
const CLIENTS: u64 = 3;
/// Their logs tell why connections were ended.
const TELLING: [&str; 2] = ["--log", "debug"];
/// Names read from all nodes when they agree.
const SAMPLE: usize = 40;

/// Three daemons and what is known of them.
struct Field {
    network: Network,
    scene: Scene,
    rng: ChaCha8Rng,
}

impl Field {
    fn start(seed: u64) -> Self {
        let mut network = Network::alone_at(&address_of_our_own(), &TELLING);
        for _ in 1..NODES {
            network.join_with(&TELLING);
        }
        network.wait_connected();
        let text = std::fs::read_to_string(network.ticket()).unwrap();
        let addresses: Vec<SocketAddr> = network.nodes.iter().map(|node| node.address).collect();
        let access = Ticket::parse(&text).unwrap().access;
        let scene = Scene::new(addresses.try_into().unwrap(), access);
        Self { network, scene, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Load, kills, new starts, more load, and the audit.
    fn round(&mut self, number: u64) {
        self.play();
        let written = self.scene.ledger().take_written();
        audit::check_each(&self.scene, &written);
        if number.is_multiple_of(AGREEMENT) {
            audit::converge(&self.scene);
            let sample = self.sample(number);
            audit::check_bytes(&self.scene, &sample);
        }
        self.check_folders();
    }

    fn play(&mut self) {
        let Self { network, scene, rng } = self;
        let scene = &*scene;
        let seeds: Vec<u64> = (0..CLIENTS).map(|_| rng.random()).collect();
        scene.stop.store(false, Ordering::Relaxed);
        std::thread::scope(|threads| {
            for seed in seeds {
                threads.spawn(move || run_client(scene, seed));
            }
            let _curtain = Curtain(scene);
            sleep_ms(rng.random_range(5..150));
            kill_and_start(&mut network.nodes, rng);
            sleep_ms(rng.random_range(0..50));
        });
    }

    /// What is read from all nodes: everything now and then, else a little.
    fn sample(&mut self, number: u64) -> BTreeSet<String> {
        let all = self.scene.ledger().names();
        if number.is_multiple_of(FULL_CHECK) {
            return all.into_iter().collect();
        }
        (0..SAMPLE).map(|_| all[self.rng.random_range(0..all.len())].clone()).collect()
    }

    /// Nothing is left under way, nobody has panicked, and no connection was ended by a limit of our own.
    fn check_folders(&self) {
        for node in &self.network.nodes {
            wait_for("no temporary file is left", || {
                files_below(&node.data.join("tmp")).is_empty()
            });
            let log = node.log();
            assert!(!log.contains("panicked"), "a daemon has panicked");
            let faults = faults_in(&log, &[]);
            assert!(faults.is_empty(), "our own limits ended connections: {faults:#?}");
        }
    }

    /// An end as it should be, a last start, and a look at everything.
    fn finish(&mut self) {
        for node in &mut self.network.nodes {
            assert_eq!(node.stop(Signal::TERM), Some(0));
        }
        for node in &mut self.network.nodes {
            node.restart_with(&TELLING);
        }
        let names: BTreeSet<String> = self.scene.ledger().names().into_iter().collect();
        audit::check_each(&self.scene, &names);
        audit::converge(&self.scene);
        audit::check_bytes(&self.scene, &names);
    }

    fn losses(&self) -> Vec<String> {
        self.scene.losses.lock().unwrap().clone()
    }
}

/// One, two or all three are killed; and some of them again while they start.
fn kill_and_start(nodes: &mut [Daemon], rng: &mut ChaCha8Rng) {
    let victims: u32 = rng.random_range(1..1 << NODES);
    let is_victim = |index: usize| victims & (1 << index) != 0;
    for (index, node) in nodes.iter_mut().enumerate() {
        if is_victim(index) {
            assert!(node.is_running(), "it ended by itself:\n{}", node.log());
            node.kill();
            sleep_ms(rng.random_range(0..4));
        }
    }
    sleep_ms(rng.random_range(0..30));
    for (index, node) in nodes.iter_mut().enumerate() {
        if is_victim(index) {
            node.launch(&TELLING);
            while rng.random_range(0..3) == 0 {
                std::thread::sleep(Duration::from_micros(rng.random_range(0..25_000)));
                assert!(node.is_running(), "it did not start:\n{}", node.log());
                node.kill();
                node.launch(&TELLING);
            }
        }
    }
    for node in nodes {
        node.await_ready();
    }
}

fn sleep_ms(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// A loopback address of this process alone: no outgoing connection takes a daemon's port while it is down.
fn address_of_our_own() -> String {
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{}.{high}.{low}:0", 100 + std::process::id() / 65_536 % 100)
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// One network's rounds. Ends early at a loss.
fn run_batch(seed: u64, rounds: u64, report: &Report) -> Batch {
    let mut field = Field::start(seed);
    let mut done = 0;
    while done < rounds && field.losses().is_empty() {
        done += 1;
        field.round(done);
        report.tick(seed, done, field.scene.ledger().counts());
    }
    if field.losses().is_empty() {
        field.finish();
    }
    let (acknowledged, doubtful) = field.scene.ledger().counts();
    let losses = field.losses();
    for loss in losses.iter().take(10) {
        eprintln!("seed {seed}, round {done}: {loss}");
    }
    if !losses.is_empty() {
        field.network.keep();
    }
    Batch { seed, rounds: done, acknowledged, doubtful, losses: losses.len() as u64 }
}

#[test]
fn nothing_acknowledged_is_lost_by_kills() {
    let rounds = variable("DFSD_ROUNDS").unwrap_or(3);
    let mut report = Report::open(variable("DFSD_SEED").unwrap_or(1));
    while report.rounds() < rounds {
        let count = (rounds - report.rounds()).min(ROUNDS_OF_A_NETWORK);
        let batch = run_batch(report.next_seed(), count, &report);
        report.add(&batch);
        assert_eq!(batch.losses, 0, "again: DFSD_SEED={} DFSD_ROUNDS={}", batch.seed, batch.rounds);
    }
    report.summary();
}
