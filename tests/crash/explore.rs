//! Every disk that a power cut may leave, at every call of a workload, on all cores.
//!
//! Decides which states are looked at, never whether they are right. Invariant: a state that is counted was opened by
//! the real recovery, or is equal to one that was, with the same promises.

use super::oracle;
use super::script::{Promises, Script, Trouble};
use dfsd::testing::{CrashStates, SimFs};
use std::collections::HashSet;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// States that a core takes at a time.
const PORTION: u128 = 256;
/// One state in so many is also shown by a whole node.
const NODE_EVERY: u64 = 16;

/// How many states were looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Visited {
    /// Calls at which the power was cut.
    pub(super) cuts: u64,
    /// Of them, those of which every state was visited.
    pub(super) exhaustive: u64,
    /// Those that have too many effects for that.
    pub(super) sampled: u64,
    /// What the model allows at the cuts that were exhaustive: combinations of the fates of all effects.
    pub(super) allowed: u64,
    /// States that were made.
    pub(super) visited: u64,
    /// Disks that differ, each opened.
    pub(super) opened: u64,
    /// Of them, those on which a whole node was started.
    pub(super) nodes: u64,
}

impl Visited {
    pub(super) fn add(&mut self, other: &Self) {
        let other = other.numbers();
        let sums = self.numbers();
        *self = Self::from_numbers(std::array::from_fn(|index| sums[index] + other[index]));
    }

    /// For a file that a later run reads.
    pub(super) fn numbers(&self) -> [u64; 7] {
        let Self { cuts, exhaustive, sampled, allowed, visited, opened, nodes } = *self;
        [cuts, exhaustive, sampled, allowed, visited, opened, nodes]
    }

    pub(super) fn from_numbers(numbers: [u64; 7]) -> Self {
        let [cuts, exhaustive, sampled, allowed, visited, opened, nodes] = numbers;
        Self { cuts, exhaustive, sampled, allowed, visited, opened, nodes }
    }
}

impl fmt::Display for Visited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cuts, exhaustive, sampled, allowed, visited, opened, nodes } = self;
        write!(
            f,
            "{visited} states visited, {opened} different disks opened, {nodes} by a whole node; \
             {cuts} cuts: {exhaustive} exhaustive ({allowed} states allowed there), {sampled} \
             sampled, {} bounded",
            cuts - exhaustive - sampled
        )
    }
}

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// States that are visited, about: as many at every cut, or all that there are.
    pub(super) states: u64,
    pub(super) seed: u64,
    /// Threads.
    pub(super) threads: usize,
}

/// The part of the states that is spent on crashes, on crashes of recoveries from them, and of recoveries from those.
const SHARES: [u64; 3] = [2, 1, 1];
/// The states whose recovery is cut in turn: one for so many that are visited, and not more than so many.
const STATES_PER_RECOVERY: u64 = 100;
const RECOVERIES_MAX: u64 = 300;

/// A power cut: where, and what may be left.
struct Cut {
    told: String,
    states: CrashStates,
    promises: Promises,
}

impl Cut {
    /// What there is to visit, if it is all to be visited.
    fn all(&self) -> Option<u128> {
        self.states.is_exhaustive().then(|| self.states.count())
    }

    fn is_exhaustive(&self, cap: u128) -> bool {
        self.all().is_some_and(|all| all <= cap)
    }

    fn count(&self, cap: u128) -> u128 {
        self.all().map_or(cap, |all| all.min(cap))
    }

    fn state(&self, number: u128, cap: u128, seed: u64) -> SimFs {
        let dice = mixed(seed ^ number as u64);
        match self.all() {
            Some(all) if all <= cap => self.states.nth(number),
            Some(all) => self.states.nth(u128::from(dice) % all),
            None => self.states.sample(dice),
        }
    }
}

fn mixed(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// How many states of each cut come to about so many in all.
fn cap(cuts: &[Cut], states: u64) -> u128 {
    let states = u128::from(states);
    let (mut low, mut high) = (1, states.max(1));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let sum: u128 = cuts.iter().map(|cut| cut.count(middle)).sum();
        if sum <= states {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// Cuts the power at each call of the script in turn.
pub(super) fn script(script: &Script, bounds: Bounds) -> Result<Visited, String> {
    let mut cuts = Vec::new();
    for call in 0..=script.calls() {
        let (fs, promises) = script.run(Trouble::Cut(call));
        let told = format!("{}, power cut at call {call}", script.name);
        cuts.push(Cut { told, states: fs.crash_states(), promises });
    }
    let (seen, mut visited) = (Seen::default(), Visited::default());
    for (depth, share) in SHARES.into_iter().enumerate() {
        let states = bounds.states * share / SHARES.iter().sum::<u64>();
        if depth > 0 {
            let recoveries = (states / STATES_PER_RECOVERY).clamp(4, RECOVERIES_MAX);
            cuts = deeper(&cuts, recoveries as usize, bounds.seed);
        }
        visited.add(&seen.visit(script, &cuts, cap(&cuts, states), bounds)?);
    }
    Ok(visited)
}

/// The cuts of the recoveries from some states of these cuts.
fn deeper(cuts: &[Cut], recoveries: usize, seed: u64) -> Vec<Cut> {
    let mut next = Vec::new();
    for pick in 0..recoveries {
        let cut = &cuts[pick * cuts.len() / recoveries];
        let dice = mixed(seed ^ pick as u64);
        let all = cut.all().unwrap_or(0);
        let found =
            if all == 0 { cut.states.sample(dice) } else { cut.states.nth(u128::from(dice) % all) };
        for call in 0.. {
            let fs = found.restart();
            fs.tamper().cut_after(call);
            let opened = dfsd::store::open(fs.clone(), super::local_node::CONFIG, [77; 16], drop);
            let was_cut = fs.is_cut();
            fs.tamper().kill();
            drop(opened);
            if !was_cut {
                break;
            }
            let told = format!("{}, its state by {dice}, recovery cut at call {call}", cut.told);
            next.push(Cut { told, states: fs.crash_states(), promises: cut.promises.clone() });
        }
    }
    next
}

/// Disks that were looked at, with what had been promised.
#[derive(Default)]
struct Seen {
    disks: Mutex<HashSet<[u64; 2]>>,
}

impl Seen {
    fn visit(
        &self,
        script: &Script,
        cuts: &[Cut],
        cap: u128,
        bounds: Bounds,
    ) -> Result<Visited, String> {
        let seed = bounds.seed;
        let mut portions = Vec::new();
        for (index, cut) in cuts.iter().enumerate() {
            let count = cut.count(cap);
            portions.extend((0..count.div_ceil(PORTION)).map(|portion| (index, portion * PORTION)));
        }
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || -> Result<Visited, String> {
            let mut visited = Visited::default();
            while let Some((index, first)) = portions.get(next.fetch_add(1, Ordering::Relaxed)) {
                if failed.load(Ordering::Relaxed) {
                    break;
                }
                let cut = &cuts[*index];
                for number in *first..cut.count(cap).min(first + PORTION) {
                    visited.visited += 1;
                    let found = cut.state(number, cap, seed);
                    let seen = self.look(script, cut, &found, &mut visited).map_err(|why| {
                        format!(
                            "{}, state {number} of seed {seed}: {why}\n{}",
                            cut.told,
                            found.tell()
                        )
                    });
                    seen.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                }
            }
            Ok(visited)
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..bounds.threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let mut all = Visited::default();
        for result in results {
            all.add(&result?);
        }
        all.cuts = cuts.len() as u64;
        all.sampled = cuts.iter().filter(|cut| cut.all().is_none()).count() as u64;
        for cut in cuts.iter().filter(|cut| cut.is_exhaustive(cap)) {
            all.exhaustive += 1;
            all.allowed += cut.states.allowed() as u64;
        }
        Ok(all)
    }

    fn look(
        &self,
        script: &Script,
        cut: &Cut,
        found: &SimFs,
        visited: &mut Visited,
    ) -> Result<(), String> {
        let digest = found.digest();
        let promises = &cut.promises;
        if !self.disks.lock().expect("no panic").insert([digest, promises.digest()]) {
            return Ok(());
        }
        visited.opened += 1;
        oracle::judge(found, promises)?;
        if !script.shown.is_empty() && digest.is_multiple_of(NODE_EVERY) {
            visited.nodes += 1;
            oracle::judge_names(found, script, promises)?;
        }
        Ok(())
    }
}
