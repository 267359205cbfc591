//! Crashes, all of them: after every call of short workloads every disk that the model of a power cut allows is opened by
//! the real recovery, and every call of every operation fails once.
//!
//! `DFSD_STATES` says how many states are visited in all (of up to twelve effects all are, if that is enough),
//! `DFSD_SEED` which of those that are sampled, `DFSD_WORKLOAD` which one workload. Invariant: a state that
//! fails is told by workload, call and number, which is all it takes to see it again.

mod calls;
mod explore;
mod house;
mod oracle;
mod script;
mod workloads;

use explore::{Bounds, Visited};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number is wanted"))
}

/// Visits about so many states, or all that there are; what is wrong with the first bad one.
pub(crate) fn check(states: u64, seed: u64) -> Result<Visited, String> {
    let only = std::env::var("DFSD_WORKLOAD").ok();
    let mut scripts = workloads::all();
    scripts.retain(|script| only.as_ref().is_none_or(|only| only == script.name));
    let bounds = Bounds { states: u128::from(states) / scripts.len() as u128, seed };
    let mut all = Visited::default();
    for script in scripts {
        let began = std::time::Instant::now();
        let visited = explore::script(&script, bounds)?;
        println!("{}: {visited}; {} s", script.name, began.elapsed().as_secs());
        all.add(&visited);
    }
    println!("all workloads: {all}");
    Ok(all)
}

#[test]
fn no_power_cut_loses_what_was_promised_or_shows_a_part() {
    let visited = check(number("DFSD_STATES", 20_000), number("DFSD_SEED", 1));
    let visited = visited.unwrap_or_else(|why| panic!("{why}"));
    assert!(visited.opened > 1_000, "few states were different: {visited}");
}
