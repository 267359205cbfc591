//! A probe: small puts and gets at a steady rate, whatever else is going on.

use super::daemon::{Daemon, end_load};
use serde_json::Value;
use std::time::Duration;

/// A round takes so many seconds.
const ROUND: u64 = 8;

/// What each round of one kind of work was like, in microseconds.
#[derive(Default)]
pub(super) struct Seen {
    tails: [Vec<u64>; 2],
    slowest: [u64; 2],
}

impl Seen {
    /// One more round on this node; with what else goes on.
    pub(super) fn round(&mut self, node: &Daemon) {
        // As they stand idle in between, both begin at once.
        let put = format!("put --rate 100 --duration {ROUND} --conns 4 --seed 77");
        let get = format!("get --rate 200 --duration {ROUND} --conns 4 --keys 200 --seed 78");
        let (put, get) = (node.begin_load(&put), node.begin_load(&get));
        for (at, told) in [end_load(put), end_load(get)].iter().enumerate() {
            let latency = |key: &str| told["latency"][key].as_u64().unwrap_or(0);
            self.tails[at].push(latency("p99_us"));
            self.slowest[at] = self.slowest[at].max(latency("max_us"));
        }
    }

    /// So many rounds.
    pub(super) fn rounds(count: usize, node: &Daemon) -> Self {
        let mut seen = Self::default();
        (0..count).for_each(|_| seen.round(node));
        seen
    }

    /// Beside what was seen at rest.
    pub(super) fn tell(&self, rest: &Self, what: &str) {
        for (at, kind) in ["put", "get"].into_iter().enumerate() {
            let [busy, calm] = [self, rest].map(|seen| median(&seen.tails[at]));
            println!(
                "{what}: p99 of a {kind} {busy} us, at rest {calm} us, ratio {:.2} (rounds {:?}, at rest {:?}); slowest {} us, at rest {} us",
                busy as f64 / calm.max(1) as f64,
                self.tails[at],
                rest.tails[at],
                self.slowest[at],
                rest.slowest[at]
            );
        }
    }
}

fn median(all: &[u64]) -> u64 {
    let mut all = all.to_vec();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or(0)
}

/// Reads at a rate of 500 a second; `slowest` tells the slowest of some of its seconds.
pub(super) fn watch(node: &Daemon, duration: Duration) -> std::process::Child {
    let seconds = duration.as_secs();
    node.begin_load(&format!("get --rate 500 --duration {seconds} --conns 2 --keys 100 --seed 78"))
}

/// The slowest answer of these seconds, in microseconds.
pub(super) fn slowest(told: &Value, seconds: std::ops::Range<usize>) -> u64 {
    let all = told["per_second"].as_array().expect("it tells every second");
    let some = all.iter().take(seconds.end).skip(seconds.start);
    some.filter_map(|second| second["max_us"].as_u64()).max().unwrap_or(0)
}
