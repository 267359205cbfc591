//! The swarm: real nodes and real clients under every fault, many seeds of it. Each seed decides all that happens.
//!
//! Knows no promise by itself: `oracles` does, `crowd` makes the load, `plan` says what a seed means, `run` plays it, and
//! `found` lists seeds that once found something. Invariant: a seed gives the same run every time, on every machine.

#![allow(dead_code, reason = "its parts grow towards each other")]

mod audit;
mod client;
mod content;
mod crowd;
mod disk;
mod faults;
mod inspector;
mod ledger;
mod line;
mod needle;
mod oracles;
mod plan;
mod prober;
mod reader;
mod run;
mod task;
mod telling;

/// What must never happen has happened.
#[derive(Debug)]
pub(super) struct Violation {
    pub oracle: &'static str,
    pub sentence: String,
}

#[test]
fn a_few_seeds() {
    for seed in 0..3 {
        let report = run::run(seed).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.virtual_time > report.plan.length, "seed {seed} ended early");
    }
}
