//! The workload client: a real one that goes on putting and getting while others attack, and notes how long each takes.
//!
//! Knows no attack. Invariant: every byte that it gets is the one that it put.

use super::victim::Victim;
use dfsd::client::Client;
use dfsd::session::{Answer, Event, Meta, Operation, Overwrite};
use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
use std::time::{Duration, Instant};

/// What it stores: small files, and as large a block as there is.
const SIZES: [usize; 2] = [4 * 1024, 1024 * 1024];
/// So many small ones for each large one.
const SMALL: usize = 8;
/// Names are used again.
const NAMES: usize = 64;

/// How long operations took: put and get, small and large.
#[derive(Default, Clone)]
pub(super) struct Times([Vec<Duration>; 4]);

impl Times {
    /// The time that 99 of 100 operations of a kind did not exceed.
    fn p99(&mut self, kind: usize) -> Duration {
        let times = &mut self.0[kind];
        times.sort();
        times[(times.len() * 99 / 100).min(times.len() - 1)]
    }

    /// The worst of the four kinds: how many times slower than `calm` its 99th percentile is.
    pub(super) fn ratio(&mut self, calm: &mut Self) -> f64 {
        (0..4)
            .map(|kind| self.p99(kind).as_secs_f64() / calm.p99(kind).as_secs_f64())
            .fold(0., f64::max)
    }

    pub(super) fn report(&mut self) -> String {
        let names = ["put 4 KiB", "get 4 KiB", "put 1 MiB", "get 1 MiB"];
        let line = |(kind, name): (usize, &str)| {
            format!("{name} {:?} ({})", self.p99(kind), self.0[kind].len())
        };
        names.into_iter().enumerate().map(line).collect::<Vec<_>>().join(", ")
    }
}

/// Works for so long, and at least one round.
pub(super) fn work(victim: &Victim, seed: u64, duration: Duration) -> Times {
    let end = Instant::now() + duration;
    let mut client = victim.client();
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(std::process::id()) ^ seed);
    let mut times = Times::default();
    let mut round = 0;
    while round == 0 || Instant::now() < end {
        for (kind, size) in [0; SMALL].into_iter().chain([1]).map(|kind| (kind, SIZES[kind])) {
            let mut bytes = vec![0; size];
            rng.fill_bytes(&mut bytes);
            let name = format!("{kind}/{}", round % NAMES);
            let begun = Instant::now();
            put(&mut client, &name, &bytes);
            times.0[kind * 2].push(begun.elapsed());
            let begun = Instant::now();
            assert!(get(&mut client, &name) == bytes, "other bytes of {name}");
            times.0[kind * 2 + 1].push(begun.elapsed());
            round += 1;
        }
    }
    times
}

pub(super) fn put(client: &mut Client, name: &str, bytes: &[u8]) {
    let meta = Meta { name: name.into(), mode: 0o600, ..Meta::default() };
    let op = client.start(Operation::Put { meta, overwrite: Overwrite::Always });
    let mut fed = client.feed(op, bytes);
    if fed == bytes.len() {
        client.feed_end(op);
    }
    loop {
        match client.wait().unwrap() {
            Event::NeedData { .. } if fed < bytes.len() => {
                fed += client.feed(op, &bytes[fed..]);
                if fed == bytes.len() {
                    client.feed_end(op);
                }
            }
            Event::Finished { result, .. } => {
                assert!(matches!(result, Ok(Answer::Put { .. })), "{name}: {result:?}");
                return;
            }
            _ => {}
        }
    }
}

pub(super) fn get(client: &mut Client, name: &str) -> Vec<u8> {
    client.start(Operation::Get { name: name.into() });
    let mut bytes = Vec::new();
    loop {
        match client.wait().unwrap() {
            Event::Data { bytes: more, .. } => bytes.extend_from_slice(&more),
            Event::Finished { result, .. } => {
                assert!(matches!(result, Ok(Answer::Got(_))), "{name}: {result:?}");
                return bytes;
            }
            _ => {}
        }
    }
}
