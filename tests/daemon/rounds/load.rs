//! The load of a round: clients of the library in threads, which put, overwrite, delete and read until they are told
//! to stop.
//!
//! Knows no kill: an end of a connection is an event like others. Invariant: whatever is tried stands in the ledger before
//! it is tried, and whatever is read is judged by it.

use super::ledger::{Attempt, Ledger, NODES, Shown, Wish};
use crate::daemon::noise;
use dfsd::client::{CallError, Client};
use dfsd::ids::NodeId;
use dfsd::keyring::Access;
use dfsd::session::{Answer, ClientError, Entry, Event, Meta, Operation};
use dfsd::time::FileTime;
use dfsd::wire::message::PeerAddress;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Names that all clients fight for.
const NAMES: u64 = 24;
/// Operations before a client looks for another node.
const STAY: u64 = 20;

/// What all clients of a network share.
pub(super) struct Scene {
    pub(super) ledger: Mutex<Ledger>,
    pub(super) addresses: [SocketAddr; NODES],
    pub(super) access: Access,
    /// What must not be, in words.
    pub(super) losses: Mutex<Vec<String>>,
    pub(super) stop: AtomicBool,
}

impl Scene {
    pub(super) fn new(addresses: [SocketAddr; NODES], access: Access) -> Self {
        Self {
            ledger: Mutex::default(),
            addresses,
            access,
            losses: Mutex::default(),
            stop: AtomicBool::default(),
        }
    }

    pub(super) fn connect(&self, node: usize) -> Result<Client, ClientError> {
        let address = self.addresses[node].to_string();
        Client::connect(&[PeerAddress { node: NodeId::default(), address }], &self.access)
    }

    pub(super) fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    pub(super) fn judge(&self, verdict: Result<(), String>) {
        if let Err(why) = verdict {
            self.losses.lock().unwrap().push(why);
        }
    }
}

/// Ends the load however its owner ends, or the clients of a test that has failed would go on for ever.
pub(super) struct Curtain<'a>(pub(super) &'a Scene);

impl Drop for Curtain<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// What an attempt puts.
pub(super) fn content(attempt: Attempt, size: usize) -> Vec<u8> {
    noise(size, attempt)
}

/// Each attempt's version has a time of its own, by which it is known again.
fn mtime_of(attempt: Attempt) -> FileTime {
    FileTime { seconds: i64::try_from(attempt).unwrap(), nanos: 0 }
}

fn attempt_of(entry: &Entry) -> Attempt {
    entry.mtime.and_then(|time| Attempt::try_from(time.seconds).ok()).unwrap_or_default()
}

pub(super) fn shown(entry: &Entry) -> Shown {
    Shown { version: entry.version, attempt: attempt_of(entry) }
}

/// Whether these are all the bytes of the version that they are said to be of.
pub(super) fn judge_bytes(
    ledger: &Mutex<Ledger>,
    entry: &Entry,
    bytes: &[u8],
) -> Result<(), String> {
    let size = ledger.lock().unwrap().size(attempt_of(entry));
    let name = String::from_utf8_lossy(&entry.name).into_owned();
    match size {
        Some(size) if bytes == content(attempt_of(entry), size) => Ok(()),
        size => Err(format!(
            "{name}: {} bytes were served that attempt {} of {size:?} bytes did not put",
            bytes.len(),
            attempt_of(entry)
        )),
    }
}

/// Puts and reads until it is told to stop.
pub(super) fn run_client(scene: &Scene, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    while !scene.stop.load(Ordering::Relaxed) {
        let node = rng.random_range(0..NODES);
        match scene.connect(node) {
            Ok(client) => visit(scene, (node, client), &mut rng),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Some operations at one node, until one fails.
fn visit(scene: &Scene, (node, mut client): (usize, Client), rng: &mut ChaCha8Rng) {
    for _ in 0..STAY {
        if scene.stop.load(Ordering::Relaxed) {
            return;
        }
        let name = pick_name(scene, rng);
        let goes_on = match rng.random_range(0..100) {
            0..55 => put(scene, (node, &mut client), &name, pick_size(rng)),
            55..70 => delete(scene, (node, &mut client), &name),
            _ => get(scene, (node, &mut client), &name),
        };
        if !goes_on {
            return;
        }
    }
}

fn pick_name(scene: &Scene, rng: &mut ChaCha8Rng) -> String {
    match rng.random_range(0..4) {
        0 => format!("once/{}", scene.ledger().counts().0 + rng.random_range(0..8)),
        _ => format!("again/{}", rng.random_range(0..NAMES)),
    }
}

/// Mostly small; around the size that a block in the log has; now and then of several blocks.
fn pick_size(rng: &mut ChaCha8Rng) -> usize {
    match rng.random_range(0..100) {
        0..8 => 0,
        8..60 => rng.random_range(1..4096),
        60..88 => rng.random_range(4096..65_600),
        88..98 => rng.random_range(65_600..400_000),
        _ => rng.random_range(400_000..3_500_000),
    }
}

/// A put. False when the connection is no good any more.
fn put(scene: &Scene, (node, client): (usize, &mut Client), name: &str, size: usize) -> bool {
    let attempt = scene.ledger().begin(name, Wish::Put { size });
    let meta =
        Meta { name: name.as_bytes().to_vec(), mtime: Some(mtime_of(attempt)), ..Meta::default() };
    match client.put(meta, content(attempt, size).as_slice()) {
        Ok(stored) => {
            let answer = scene.ledger().acknowledged(name, attempt, (node, stored.version));
            scene.judge(answer);
            true
        }
        Err(error) => {
            scene.ledger().doubtful();
            tolerate(scene, name, &error)
        }
    }
}

fn delete(scene: &Scene, (node, client): (usize, &mut Client), name: &str) -> bool {
    let floor = scene.ledger().floor(name, node);
    let attempt = scene.ledger().begin(name, Wish::Delete);
    match ask_to_delete(client, name) {
        Ok(Answer::Deleted { version, .. }) => {
            let answer = scene.ledger().acknowledged(name, attempt, (node, version));
            scene.judge(answer);
            true
        }
        Err(ClientError::NotFound) => {
            let mut ledger = scene.ledger();
            ledger.refused(name, attempt);
            let verdict = ledger.judge(name, floor, None);
            drop(ledger);
            scene.judge(verdict);
            true
        }
        Ok(other) => panic!("a delete was answered by {other:?}"),
        Err(error) => {
            scene.ledger().doubtful();
            tolerate(scene, name, &error.into())
        }
    }
}

fn ask_to_delete(client: &mut Client, name: &str) -> Result<Answer, ClientError> {
    let asked = client.start(Operation::Delete { name: name.as_bytes().to_vec() });
    loop {
        if let Event::Finished { op, result } = client.wait()?
            && op == asked
        {
            return result;
        }
    }
}

fn get(scene: &Scene, (node, client): (usize, &mut Client), name: &str) -> bool {
    let floor = scene.ledger().floor(name, node);
    let mut bytes = Vec::new();
    match client.get(name.as_bytes(), &mut bytes) {
        Ok(entry) => {
            let verdict = scene.ledger().judge(name, floor, Some(shown(&entry)));
            scene.judge(verdict.and_then(|()| judge_bytes(&scene.ledger, &entry, &bytes)));
            true
        }
        Err(CallError::Client(ClientError::NotFound)) => {
            if floor.is_some() {
                let verdict = scene.ledger().judge(name, floor, None);
                scene.judge(verdict);
            }
            true
        }
        Err(error) => tolerate(scene, name, &error),
    }
}

/// An error under kills: one that tells of a node that went, or of something that must not be. False
/// when the connection is no good any more.
fn tolerate(scene: &Scene, name: &str, error: &CallError) -> bool {
    use ClientError as E;
    match error {
        CallError::Client(E::Unavailable | E::NotTaken | E::Refused(..)) => true,
        CallError::Client(E::Disconnected(_) | E::Silent | E::Unreachable(_)) => false,
        other => {
            scene.judge(Err(format!("{name}: {other}")));
            false
        }
    }
}
