//! Every call of every operation fails: once, and from then on; for good, for want of room, and half done.
//!
//! Counts all calls of the disk, reading ones too. Invariant: what was acknowledged before or after a failure is there at
//! the next start, on a disk that works again, and what was not is there whole or not at all.

use super::local_node::Deed::{self, Delete, Get, List, Put, Rename, Verify};
use super::local_node::{LocalNode, Names, after};
use super::oracle;
use super::script::Trouble;
use super::workloads;
use dfsd::limits::BLOCK;
use dfsd::node::Outcome;
use dfsd::session::ClientError;
use dfsd::testing::{SimError, SimFs};
use std::collections::BTreeMap;

/// How a call fails, and whether all after it do.
pub(crate) const FAULTS: [(SimError, bool); 6] = [
    (SimError::Io, false),
    (SimError::Io, true),
    (SimError::NoSpace, false),
    (SimError::NoSpace, true),
    (SimError::Short, false),
    (SimError::Short, true),
];

const KNOWN: [&str; 4] = ["large", "new", "other", "small"];

/// What became of the cases.
#[derive(Debug, Default)]
pub(super) struct Tally {
    cases: u64,
    unharmed: u64,
    refused: u64,
    stopped: u64,
}

/// What a node is told to do while the disk fails.
enum Doing {
    Start,
    Deed(Deed),
    Stop,
}

fn doings() -> Vec<(&'static str, Doing)> {
    let deed = |name, deed| (name, Doing::Deed(deed));
    vec![
        ("start", Doing::Start),
        deed("put small", Put("new", vec![7; 50])),
        deed("put large", Put("new", (0..150_000_u32).map(|at| (at % 251) as u8).collect())),
        // More blocks than a record lists.
        deed("put paged", Put("new", vec![3; 4 * BLOCK + 1])),
        deed("overwrite", Put("small", vec![8; 400])),
        deed("delete", Delete("large")),
        deed("rename", Rename("small", "other")),
        deed("get small", Get("small")),
        deed("get large", Get("large")),
        deed("list", List),
        deed("verify", Verify),
        ("stop", Doing::Stop),
    ]
}

/// A disk with two files, whose node was killed or ended in order.
fn furnished(killed: bool) -> (SimFs, Names) {
    let fs = SimFs::new();
    let mut local = LocalNode::start(fs.clone(), 1).unwrap();
    let mut names = Names::new();
    for (name, length) in [("small", 300), ("large", 100_000)] {
        let deed = Put(name, (0..length).map(|at: u32| (at % 253) as u8).collect());
        local.run(&deed, &mut |_| {}).unwrap().unwrap();
        names = after(&names, &deed);
    }
    if killed {
        local.kill();
    }
    (fs.restart(), names)
}

/// Every call of one operation fails in every way.
fn sweep(name: &str, doing: &Doing, killed: bool) -> Result<Tally, String> {
    let (fs, names) = furnished(killed);
    let mut tally = Tally::default();
    for (error, lasts) in FAULTS {
        for call in 0.. {
            let fs = fs.restart();
            let told = format!("{name}, call {call} fails with {error:?}, lasting: {lasts}");
            let reached = one(&fs, doing, &names, (call, error, lasts), &mut tally);
            if !reached.map_err(|why| format!("{told}: {why}"))? {
                break;
            }
            tally.cases += 1;
        }
    }
    Ok(tally)
}

/// False if the operation made fewer calls.
fn one(
    fs: &SimFs,
    doing: &Doing,
    before: &Names,
    (call, error, lasts): (u64, SimError, bool),
    tally: &mut Tally,
) -> Result<bool, String> {
    let fail = || {
        let first = fs.all_calls() + call;
        fs.tamper().fail_call(call, error, lasts);
        first
    };
    let (first, local, mut allowed) = match doing {
        Doing::Start => {
            let first = fail();
            (first, LocalNode::start(fs.clone(), 2).ok(), vec![before.clone()])
        }
        Doing::Stop => {
            let mut local = LocalNode::start(fs.clone(), 2).map_err(|error| error.to_string())?;
            let first = fail();
            let outcome = local.stop(&mut |_| {});
            if outcome.is_none() {
                return Err("the node does not stop".to_owned());
            }
            drop(local);
            (first, None, vec![before.clone()])
        }
        Doing::Deed(deed) => {
            let mut local = LocalNode::start(fs.clone(), 2).map_err(|error| error.to_string())?;
            let first = fail();
            let result = local.run(deed, &mut |_| {});
            let allowed = judge(&local, deed, before, result, tally)?;
            (first, Some(local), allowed)
        }
    };
    let reached = fs.all_calls() > first;
    if let Some(mut local) = local {
        if local.outcome.is_none() && reached && !lasts {
            goes_on(&mut local, &mut allowed)?;
        }
        local.kill();
    }
    for (how, fs) in [("a kill", fs.restart()), ("a power cut", fs.power_cut(call))] {
        let mut local = LocalNode::start(fs, 3).map_err(|error| format!("after {how}: {error}"))?;
        let names = local.names(&KNOWN).map_err(|why| format!("after {how}: {why}"))?;
        if !allowed.contains(&names) {
            return Err(format!("after {how} there are {:?}", names.keys()));
        }
        local.kill();
    }
    Ok(reached)
}

/// What may be shown from now on.
fn judge(
    local: &LocalNode,
    deed: &Deed,
    before: &Names,
    result: Option<Result<Names, ClientError>>,
    tally: &mut Tally,
) -> Result<Vec<Names>, String> {
    match (result, &local.outcome) {
        (Some(Ok(_)), _) => {
            tally.unharmed += 1;
            Ok(vec![after(before, deed)])
        }
        (Some(Err(_)), _) => {
            tally.refused += 1;
            Ok(vec![before.clone(), after(before, deed)])
        }
        (None, Some(Outcome::DiskFailed(_))) => {
            tally.stopped += 1;
            Ok(vec![before.clone(), after(before, deed)])
        }
        (None, outcome) => Err(format!("the node says nothing: {outcome:?}")),
    }
}

/// A node that has not stopped takes the next put.
fn goes_on(local: &mut LocalNode, allowed: &mut [Names]) -> Result<(), String> {
    let next = Put("other", vec![1, 2, 3]);
    // Room is asked for anew by a put that found none.
    for _ in 0..2 {
        match local.run(&next, &mut |_| {}) {
            Some(Ok(_)) => {
                allowed.iter_mut().for_each(|names| *names = after(names, &next));
                return Ok(());
            }
            Some(Err(_)) => {}
            None => return Err(format!("the next put is not answered: {:?}", local.outcome)),
        }
    }
    Err("the next puts fail too".to_owned())
}

/// Every operation of a node with every call failing; how many cases there were.
pub(crate) fn check_node() -> Result<u64, String> {
    let mut cases = 0;
    for killed in [false, true] {
        for (name, doing) in doings() {
            let tally = sweep(name, &doing, killed)?;
            println!("{name}, killed before: {killed}: {tally:?}");
            cases += tally.cases;
        }
    }
    Ok(cases)
}

/// Every workload as the disk sees it, with every call failing; how many cases there were.
pub(crate) fn check_disk() -> Result<u64, String> {
    let mut cases = BTreeMap::new();
    for script in workloads::all() {
        for (error, lasts) in FAULTS {
            for call in 0.. {
                let told = format!("{}, call {call}, {error:?}, lasting: {lasts}", script.name);
                let (fs, promises) = script.run(Trouble::Failure(call, error, lasts));
                for fs in [fs.restart(), fs.power_cut(call)] {
                    oracle::judge(&fs, &promises).map_err(|why| format!("{told}: {why}"))?;
                }
                if !promises.reached {
                    break;
                }
                *cases.entry(script.name.clone()).or_insert(0) += 1;
            }
        }
    }
    println!("{cases:?}");
    Ok(cases.values().sum())
}

#[test]
fn every_call_of_a_node_fails_and_nothing_acknowledged_is_lost() {
    let cases = check_node().unwrap_or_else(|why| panic!("{why}"));
    println!("{cases} operations with a failing call, of a node");
    assert!(cases > 500, "only {cases}");
}

#[test]
fn every_call_of_a_store_fails_and_nothing_acknowledged_is_lost() {
    let cases = check_disk().unwrap_or_else(|why| panic!("{why}"));
    println!("{cases} workloads with a failing call, of a store");
    assert!(cases > 1_000, "only {cases}");
}
