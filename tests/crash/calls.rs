//! Every call of every operation fails: once, and from then on; for good, for want of room, and half done.
//!
//! Counts all calls of the disk, reading ones too. Invariant: what was acknowledged before or after a failure is there at
//! the next start, on a disk that works again, and what was not is there whole or not at all; what is to go is gone in the
//! end, also of a node that goes on.

use super::local_node::Deed::{self, Delete, Get, KeepNothing, List, Put, Rename, Stay, Verify};
use super::local_node::{LocalNode, Names, after};
use super::oracle;
use super::script::Trouble;
use super::workloads;
use dfsd::limits::{BLOCK, SERVED_IDLE};
use dfsd::node::Outcome;
use dfsd::session::ClientError;
use dfsd::testing::{SimError, SimFs};
use dfsd::wire::collection::{CollectionStatus, CollectionVoid};
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher};
use std::time::Duration;

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

/// A disk, and the names on it.
struct Furnished {
    fs: SimFs,
    names: Names,
    /// Its node keeps nothing of the past.
    collects: bool,
}

impl Furnished {
    fn by(deeds: &[Deed], killed: bool) -> Self {
        let fs = SimFs::new();
        let mut local = LocalNode::start(fs.clone(), 1).unwrap();
        let mut names = Names::new();
        for deed in deeds {
            local.run(deed, &mut |_| {}).unwrap().unwrap();
            names = after(&names, deed);
        }
        if killed {
            local.kill();
        } else {
            drop(local);
        }
        let collects = deeds.iter().any(|deed| matches!(deed, KeepNothing));
        Self { fs: fs.restart(), names, collects }
    }

    /// Two files.
    fn simply(killed: bool) -> Self {
        Self::by(&[put("small", 300), put("large", 100_000)], killed)
    }

    /// The next node finds much that has expired, in the log and in files, and what stays in the same segments.
    fn with_a_past(killed: bool) -> Self {
        let deeds = [
            KeepNothing,
            put("small", 9_000),
            put("large", 100_000),
            put("new", 70_000),
            put("small", 300),
            Delete("new"),
            put("new", 71_000),
            put("other", 9_100),
            put("other", 500),
            put("new", 9_200),
        ];
        Self::by(&deeds, killed)
    }
}

fn put(name: &'static str, length: u32) -> Deed {
    Put(name, (0..length).map(|at| ((at + length) % 253) as u8).collect())
}

/// Long enough for all that has expired to go, and for what the disk had no room for to be tried again.
const LONG: Duration = Duration::from_secs(2 * SERVED_IDLE.as_secs());

/// What a node does with much that has expired.
fn collecting() -> Vec<(&'static str, Doing)> {
    vec![
        ("start with a past", Doing::Start),
        ("collect and compact", Doing::Deed(Stay(LONG))),
        ("put with a past", Doing::Deed(put("new", 310))),
    ]
}

/// Disks that were judged, with what they may show.
type Judged = HashSet<[u64; 2]>;

/// Every call of one operation fails in every way.
fn sweep(name: &str, doing: &Doing, furnished: &Furnished) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let mut judged = Judged::new();
    let undisturbed = undisturbed(doing, furnished)?;
    for (error, lasts) in FAULTS {
        for call in 0.. {
            let fs = furnished.fs.restart();
            let told = format!("{name}, call {call} fails with {error:?}, lasting: {lasts}");
            let case = Case { fs, furnished, call, error, lasts, undisturbed };
            let reached = case.run(doing, &mut tally, &mut judged);
            if !reached.map_err(|why| format!("{told}: {why}"))? {
                break;
            }
            tally.cases += 1;
        }
    }
    Ok(tally)
}

/// What a node that collects has in the end, if no call fails.
fn undisturbed(doing: &Doing, furnished: &Furnished) -> Result<Option<Rest>, String> {
    let (Doing::Deed(deed), true) = (doing, furnished.collects) else {
        return Ok(None);
    };
    let fs = furnished.fs.restart();
    let mut local = LocalNode::start(fs.clone(), 2).map_err(|error| error.to_string())?;
    local.run(deed, &mut |_| {}).ok_or("it does not answer")?.ok();
    goes_on(&mut local, &mut [])?;
    let rest = Rest::of(&mut local, &fs)?;
    local.kill();
    Ok(Some(rest))
}

/// One call that fails.
struct Case<'a> {
    fs: SimFs,
    furnished: &'a Furnished,
    call: u64,
    error: SimError,
    lasts: bool,
    undisturbed: Option<Rest>,
}

impl Case<'_> {
    /// The call is the next but so many. Which that is, of all.
    fn plan(&self) -> u64 {
        self.fs.tamper().fail_call(self.call, self.error, self.lasts);
        self.fs.all_calls() + self.call
    }

    fn start(&self, life: u8) -> Result<LocalNode, String> {
        LocalNode::start(self.fs.clone(), life).map_err(|error| error.to_string())
    }

    /// False if the operation made fewer calls.
    fn run(&self, doing: &Doing, tally: &mut Tally, judged: &mut Judged) -> Result<bool, String> {
        let before = &self.furnished.names;
        let (first, local, mut allowed) = match doing {
            Doing::Start => (self.plan(), self.start(2).ok(), vec![before.clone()]),
            Doing::Stop => {
                let mut local = self.start(2)?;
                let first = self.plan();
                let outcome = local.stop(&mut |_| {});
                if outcome.is_none() {
                    return Err("the node does not stop".to_owned());
                }
                drop(local);
                (first, None, vec![before.clone()])
            }
            Doing::Deed(deed) => {
                let mut local = self.start(2)?;
                let first = self.plan();
                let result = local.run(deed, &mut |_| {});
                let allowed = judge(&local, deed, before, result, tally)?;
                (first, Some(local), allowed)
            }
        };
        let reached = self.fs.all_calls() > first;
        if let Some(mut local) = local {
            if local.outcome.is_none() && reached && !self.lasts {
                goes_on(&mut local, &mut allowed)?;
                if let Some(undisturbed) = self.undisturbed {
                    let rest = Rest::of(&mut local, &self.fs)?;
                    if !rest.is_like(undisturbed) {
                        return Err(format!("it ends as {rest:?}, and not as {undisturbed:?}"));
                    }
                }
            }
            local.kill();
        }
        self.restart(&allowed, judged)?;
        Ok(reached)
    }

    /// The next node shows one of these.
    fn restart(&self, allowed: &[Names], judged: &mut Judged) -> Result<(), String> {
        let mut hasher = DefaultHasher::new();
        allowed.hash(&mut hasher);
        let allows = hasher.finish();
        for (how, fs) in
            [("a kill", self.fs.restart()), ("a power cut", self.fs.power_cut(self.call))]
        {
            if !judged.insert([fs.digest(), allows]) {
                continue;
            }
            let told = |why: String| format!("after {how}: {why}");
            let local = LocalNode::start(fs.clone(), 3);
            let mut local = local.map_err(|error| told(error.to_string()))?;
            let names = local.names(&KNOWN).map_err(told)?;
            if !allowed.contains(&names) {
                return Err(told(format!("there are {:?}", names.keys())));
            }
            if self.furnished.collects {
                oracle::let_alone(&fs, local, &KNOWN, &names).map_err(told)?;
            } else {
                local.kill();
            }
        }
        Ok(())
    }
}

/// What a node has when all has gone that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rest {
    records: u64,
    blocks: u64,
    /// What is missed, damaged or to go.
    wrong: u64,
    void: bool,
    files: usize,
    segments: u32,
}

impl Rest {
    fn of(local: &mut LocalNode, fs: &SimFs) -> Result<Self, String> {
        local.run(&Stay(LONG), &mut |_| {}).ok_or("it does not come to rest")?.ok();
        let status = local.status()?;
        let CollectionStatus { reclaimable, void, .. } = status.collection;
        Ok(Self {
            records: status.records,
            blocks: status.blocks,
            wrong: status.incomplete + status.damaged + reclaimable + status.unnamed,
            void: void != CollectionVoid::No,
            files: fs.paths("blocks/").len(),
            segments: status.log_use.segments,
        })
    }

    /// Whether one that has gone on after a call had failed has the same. A file that could not be removed is left to the
    /// next start, and a segment may have been closed early.
    fn is_like(self, undisturbed: Self) -> bool {
        let Self { files, segments, .. } = self;
        (files <= undisturbed.files + 1 && segments <= undisturbed.segments + 1)
            && self == Self { files, segments, ..undisturbed }
    }
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

/// Every operation with every call failing, of a node on a disk that is furnished like that; how many cases there were.
fn check_node(
    furnish: fn(bool) -> Furnished,
    doings: fn() -> Vec<(&'static str, Doing)>,
) -> Result<u64, String> {
    let mut cases = 0;
    for killed in [false, true] {
        let furnished = furnish(killed);
        for (name, doing) in doings() {
            let tally = sweep(name, &doing, &furnished)?;
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
        let mut judged = Judged::new();
        for (error, lasts) in FAULTS {
            for call in 0.. {
                let told = format!("{}, call {call}, {error:?}, lasting: {lasts}", script.name);
                let (fs, promises) = script.run(Trouble::Failure(call, error, lasts));
                for fs in [fs.restart(), fs.power_cut(call)] {
                    if !judged.insert([fs.digest(), promises.digest()]) {
                        continue;
                    }
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
    let cases = check_node(Furnished::simply, doings).unwrap_or_else(|why| panic!("{why}"));
    println!("{cases} operations with a failing call, of a node");
    assert!(cases > 500, "only {cases}");
}

#[test]
fn every_call_of_a_node_that_collects_fails_and_all_goes_that_is_to_go_and_nothing_else() {
    let cases = check_node(Furnished::with_a_past, collecting);
    let cases = cases.unwrap_or_else(|why| panic!("{why}"));
    println!("{cases} operations with a failing call, of a node that collects");
    assert!(cases > 500, "only {cases}");
}

#[test]
fn every_call_of_a_store_fails_and_nothing_acknowledged_is_lost() {
    let cases = check_disk().unwrap_or_else(|why| panic!("{why}"));
    println!("{cases} workloads with a failing call, of a store");
    assert!(cases > 1_000, "only {cases}");
}
