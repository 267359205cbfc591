//! Whatever happens to nodes, disks and network: what was acknowledged is there in the end, on every node, whole.
//!
//! Each run is one seed. `DFSD_SEED=n` replays one, `DFSD_SEEDS=n` tries more of them, `DFSD_SECONDS=n` longer ones.

use super::load::{Ledger, Load};
use super::raw::RawClient;
use super::replication::{fetch_by, network, record, reference, status};
use super::world::World;
use dfsd::conn::Event;
use dfsd::node::Outcome;
use dfsd::store::fs::SimError;
use dfsd::wire::message::{Message, NodeStatus};
use dfsd::wire::record::RecordKind;
use std::collections::BTreeSet;
use std::time::Duration;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds(usual: u64) -> std::ops::Range<u64> {
    match variable("DFSD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("DFSD_SEEDS").unwrap_or(usual),
    }
}

/// Three nodes under load; `fault` is called again and again until the time is over.
fn check(seed: u64, mut fault: impl FnMut(&mut World, &mut Load)) -> (World, Load) {
    let mut world = World::new(seed, network());
    let first = world.add(&[]);
    world.add(&[first]);
    world.add(&[first]);
    let mut load = Load::new(&world, 2);
    let seconds = variable("DFSD_SECONDS").unwrap_or(4);
    let end = world.time().instant + Duration::from_secs(seconds);
    while world.time().instant < end {
        let quiet = Duration::from_millis(50 + world.dice(900) as u64);
        load.run(&mut world, quiet);
        fault(&mut world, &mut load);
    }
    world.mend();
    for machine in 0..3 {
        if !world.is_running(machine) {
            world.start(machine, Vec::new());
        }
    }
    load.finish(&mut world);
    settle(&mut world, seed);
    for machine in 0..3 {
        verify(&mut world, machine, &load.ledger);
    }
    (world, load)
}

/// What must be the same on all nodes in the end.
fn summary(status: &NodeStatus) -> (u64, u64, u64, u64, u64) {
    (
        status.names,
        status.records,
        status.incomplete,
        status.memory_used,
        status.peers_connected.into(),
    )
}

fn settle(world: &mut World, seed: u64) {
    let mut seen = Vec::new();
    for _ in 0..90 {
        world.run(Duration::from_secs(1), |_| false);
        seen = (0..3).map(|machine| summary(&status(world, machine))).collect::<Vec<_>>();
        let (_, _, incomplete, memory, connected) = seen[0];
        if seen.iter().all(|one| *one == seen[0]) && (incomplete, memory, connected) == (0, 0, 2) {
            return;
        }
    }
    panic!(
        "seed {seed}: the nodes do not agree: names, records, incomplete, memory, peers {seen:?}"
    );
}

fn verify(world: &mut World, machine: usize, ledger: &Ledger) {
    let mut client = RawClient::connect(world, machine);
    let mut seen = BTreeSet::new();
    for (name, versions) in &ledger.acknowledged {
        let (space, relay) = (Default::default(), false);
        client.send(&Message::Head { request: 1, space, name: *name, relay });
        let Some(Message::Heads { shown: Some(shown), .. }) = client.message(world) else {
            panic!("node {machine} does not know {name}");
        };
        let expected = ledger.shown(name).map_or(&shown, |version| &version.record);
        assert_eq!(&shown, expected, "node {machine} shows another version of {name}");
        let files = versions.iter().filter(|version| version.kind == RecordKind::File);
        for block in files.flat_map(|version| &version.blocks) {
            if seen.insert(reference(block).address) {
                let held = fetch_by(world, &mut client, reference(block));
                assert!(held.as_ref() == Some(block), "node {machine} lacks a block of {name}");
            }
        }
    }
    client.hang_up(world);
}

fn restart(world: &mut World, load: &mut Load, machine: usize) {
    let away = Duration::from_millis(world.dice(3000) as u64);
    load.run(world, away);
    world.start(machine, Vec::new());
}

#[test]
fn power_cuts_and_kills_under_load() {
    for seed in seeds(3) {
        let (_, load) = check(seed, |world, load| {
            let machine = world.dice(3);
            if world.dice(3) == 0 {
                world.kill(machine);
            } else {
                world.power_cut(machine);
            }
            restart(world, load, machine);
        });
        assert!(load.ledger.count() > 20, "seed {seed}: only {}", load.ledger.count());
    }
}

#[test]
fn partitions_freezes_and_slow_lines_under_load() {
    for seed in seeds(3) {
        let (_, load) = check(1000 + seed, |world, load| {
            let (one, other) = ([0, 0, 1], [1, 2, 2]);
            let pair = world.dice(3);
            let (one, other) = (one[pair], other[pair]);
            let lasts = Duration::from_millis(world.dice(6000) as u64);
            match world.dice(3) {
                0 => {
                    world.part(one, other);
                    load.run(world, lasts);
                    world.heal(one, other);
                }
                1 => {
                    world.freeze(one);
                    load.run(world, lasts);
                    world.thaw(one);
                }
                _ => world.slow(one, other, lasts / 20),
            }
        });
        assert!(load.ledger.count() > 20, "seed {seed}: only {}", load.ledger.count());
    }
}

#[test]
fn full_and_failing_disks_under_load() {
    for seed in seeds(3) {
        check(2000 + seed, |world, load| {
            let machine = world.dice(3);
            let calls = world.dice(40) as u64;
            match world.dice(3) {
                0 => world.machines[machine].fs.fail_nth(calls, SimError::NoSpace),
                1 => {
                    world.machines[machine].fs.set_free(1 << 20);
                    load.run(world, Duration::from_millis(700));
                    world.machines[machine].fs.set_free(1 << 40);
                }
                _ => {
                    world.machines[machine].fs.fail_nth(calls, SimError::Io);
                    load.run(world, Duration::from_millis(700));
                }
            }
            // A daemon whose disk has failed ends; somebody starts it again.
            for machine in 0..3 {
                if world.machines[machine].outcome.is_some() {
                    world.kill(machine);
                    restart(world, load, machine);
                }
            }
        });
    }
}

#[test]
fn everything_at_once_and_the_same_twice() {
    let run = |seed| {
        check(seed, |world, load| {
            let machine = world.dice(3);
            let other = (machine + 1) % 3;
            let lasts = Duration::from_millis(world.dice(2500) as u64);
            match world.dice(5) {
                0 => {
                    world.power_cut(machine);
                    restart(world, load, machine);
                }
                1 => {
                    world.part(machine, other);
                    load.run(world, lasts);
                    world.kill(other);
                    restart(world, load, other);
                    world.heal(machine, other);
                }
                2 => {
                    world.freeze(machine);
                    load.run(world, lasts);
                    world.power_cut(other);
                    restart(world, load, other);
                    world.thaw(machine);
                }
                3 => world.slow(machine, other, lasts / 10),
                _ => {
                    world.mend();
                    load.run(world, lasts);
                }
            }
        })
        .0
        .trace
    };
    for seed in seeds(2) {
        let trace = run(3000 + seed);
        if seed == 0 {
            assert_eq!(trace, run(3000), "one seed gives one run");
        }
    }
}

#[test]
fn stopping_finishes_what_was_accepted_and_takes_no_more() {
    let mut world = World::new(9, network());
    let node = world.add(&[]);
    let mut client = RawClient::connect(&mut world, node);
    let put = |world: &World, name| {
        let records = vec![record(world, name, 5, Vec::new())];
        Message::Put { request: name.into(), only_if_absent: false, records, blocks: Vec::new() }
    };
    let (accepted, late) = (put(&world, 1), put(&world, 2));
    client.send(&accepted);
    client.pump(&mut world);
    world.stop(node);
    client.send(&late);
    let mut answers = Vec::new();
    for _ in 0..100 {
        while let Some(event) = client.poll(&mut world) {
            answers.extend(match event {
                Event::Message(Message::PutDone { request, .. }) => Some((request, true)),
                Event::Message(Message::Refused { request, .. }) => Some((request, false)),
                _ => None,
            });
        }
        world.run(Duration::from_millis(1), |_| false);
    }
    answers.sort_unstable();
    assert_eq!(answers, [(1, true), (2, false)]);
    assert_eq!(world.machines[node].outcome, Some(Outcome::Drained));
}
