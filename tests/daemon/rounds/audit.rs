//! The audit after a round: every node is asked for what it shows, and the ledger judges.
//!
//! Knows no kill; all nodes run. Invariant: it ends, with all nodes in agreement or with a loss.

use super::ledger::NODES;
use super::load::{Scene, judge_bytes, shown};
use crate::daemon::TIMEOUT;
use dfsd::client::{CallError, Client, GetJob, Sink};
use dfsd::session::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

type Listing = BTreeMap<String, Entry>;

/// Bytes of one file, as they come.
struct Fetched {
    entry: Entry,
    bytes: Vec<u8>,
}

impl Sink for Fetched {
    fn begin(&mut self, _entry: &Entry) -> io::Result<()> {
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// All nodes are up: each has what it has acknowledged, byte for byte.
pub(super) fn check_each(scene: &Scene, written: &BTreeSet<String>) {
    for node in 0..NODES {
        let Some(mut client) = door(scene, node) else { continue };
        let listing = list(scene, &mut client);
        let ledger = scene.ledger();
        let mut own = BTreeSet::new();
        for name in ledger.names() {
            let floor = ledger.floor(&name, node);
            let entry = listing.get(&name);
            let verdict = ledger.judge(&name, floor, entry.map(shown));
            scene.judge(verdict.map_err(|why| format!("node {node} after its start: {why}")));
            // A version above the floor may be another node's, whose blocks are still on their way.
            if written.contains(&name)
                && floor.is_some()
                && floor == entry.map(|entry| entry.version)
            {
                own.insert(name);
            }
        }
        drop(ledger);
        read(scene, (node, &mut client), &listing, &own);
    }
}

/// Waits until all nodes show the same, and makes it the truth.
pub(super) fn converge(scene: &Scene) {
    let begun = Instant::now();
    loop {
        let listings: Vec<Listing> = (0..NODES)
            .filter_map(|node| door(scene, node).map(|mut client| list(scene, &mut client)))
            .collect();
        if listings.len() == NODES && listings.iter().all(|other| is_same(&listings[0], other)) {
            return settle(scene, &listings[0]);
        }
        if begun.elapsed() > TIMEOUT {
            return scene.judge(Err(format!("the nodes do not agree: {}", difference(&listings))));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_same(one: &Listing, other: &Listing) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| one.0 == other.0 && one.1.record == other.1.record)
}

fn difference(listings: &[Listing]) -> String {
    let Some((first, others)) = listings.split_first() else { return "none answers".to_owned() };
    let differs = |name: &&String| {
        let record = |listing: &Listing| listing.get(*name).map(|entry| entry.record);
        others.iter().any(|other| record(other) != record(first))
    };
    let names: BTreeSet<&String> = listings.iter().flat_map(Listing::keys).collect();
    format!("{:?}", names.into_iter().filter(differs).take(5).collect::<Vec<_>>())
}

fn settle(scene: &Scene, listing: &Listing) {
    let mut ledger = scene.ledger();
    for name in ledger.names() {
        let entry = listing.get(&name).map(shown);
        let verdict = ledger.judge(&name, ledger.floor_of_all(&name), entry);
        scene.judge(verdict.map_err(|why| format!("all nodes: {why}")));
        ledger.settle(&name, entry);
    }
    for name in listing.keys() {
        scene.judge(ledger.judge(name, None, listing.get(name).map(shown)));
    }
}

/// Reads these names, byte for byte, from all nodes.
pub(super) fn check_bytes(scene: &Scene, names: &BTreeSet<String>) {
    for node in 0..NODES {
        let Some(mut client) = door(scene, node) else { continue };
        let listing = list(scene, &mut client);
        read(scene, (node, &mut client), &listing, names);
    }
}

/// A client of a node that runs.
fn door(scene: &Scene, node: usize) -> Option<Client> {
    let begun = Instant::now();
    loop {
        match scene.connect(node) {
            Ok(client) => return Some(client),
            Err(error) if begun.elapsed() > TIMEOUT => {
                scene.judge(Err(format!("node {node} lets nobody in: {error}")));
                return None;
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn list(scene: &Scene, client: &mut Client) -> Listing {
    let mut listing = Listing::new();
    let listed = client.list(|entry| {
        listing.insert(String::from_utf8_lossy(&entry.name).into_owned(), entry);
        ControlFlow::Continue(())
    });
    scene.judge(listed.map(drop).map_err(|why| format!("a list failed: {why}")));
    listing
}

fn read(
    scene: &Scene,
    (node, client): (usize, &mut Client),
    listing: &Listing,
    names: &BTreeSet<String>,
) {
    let jobs = names.iter().filter_map(|name| listing.get(name)).map(|entry| GetJob {
        entry: entry.clone(),
        sink: Fetched { entry: entry.clone(), bytes: Vec::new() },
    });
    let about = |why: String| format!("node {node}: {why}");
    let judge = |fetched: Fetched, result: Result<Entry, CallError>| {
        let name = String::from_utf8_lossy(&fetched.entry.name).into_owned();
        let verdict = match result {
            Ok(_) => judge_bytes(&scene.ledger, &fetched.entry, &fetched.bytes),
            Err(error) => Err(format!("{name} cannot be read: {error}")),
        };
        scene.judge(verdict.map_err(about));
    };
    let ended = client.get_many(jobs, 8, judge);
    scene.judge(ended.map_err(|error| about(error.to_string())));
}
