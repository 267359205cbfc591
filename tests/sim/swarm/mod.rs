//! The swarm: real nodes and real clients under every fault, many seeds of it. Each seed decides all that happens.
//!
//! Knows no promise by itself: `oracles` does, `crowd` makes the load, `plan` says what a seed means, `faults` go wrong,
//! `run` plays a seed, `runner` many of them, and `found` lists seeds that once found something. Invariant: a seed gives
//! the same run every time, on every machine.

mod adversary;
mod aging;
mod audit;
mod bulk;
mod client;
mod content;
mod crowd;
mod disk;
mod faults;
mod found;
mod history;
mod inspector;
mod key_search;
mod ledger;
mod line;
mod oracles;
mod plan;
mod prober;
mod reader;
mod register;
mod run;
mod runner;
mod task;

/// What must never happen has happened.
#[derive(Debug)]
pub(super) struct Violation {
    pub oracle: &'static str,
    pub sentence: String,
}
