//! One seed, played: load and faults, then everything mended, and time to converge.
//!
//! Decides nothing that the plan decides. Invariant: what a run does depends on the seed alone.

use super::Violation;
use super::crowd::Crowd;
use super::faults::{Trouble, agree};
use super::oracles::Oracles;
use super::plan::{Kind, Plan, Promise};
use crate::sim::client::program;
use crate::sim::world::World;
use dfsd::time::Instant;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Between two looks at the clients, at most.
const STEP: Duration = Duration::from_millis(100);
/// The same while only what is under way is waited for.
const SHORT_STEP: Duration = Duration::from_millis(5);
/// All nodes have the same so long after the last fault, at the latest.
const CONVERGENCE: Duration = Duration::from_secs(180);
/// Longer than the slowest disk still owes an answer: a node may yet hear that its last commit has failed.
const CALM: Duration = Duration::from_secs(3);

/// What a run came to.
pub(super) struct Report {
    pub plan: Plan,
    pub virtual_time: Duration,
    pub acknowledged: u64,
    pub faults: BTreeMap<Kind, u64>,
    pub trace: u64,
}

/// A run that showed what must never happen.
pub(super) struct Failure {
    pub seed: u64,
    pub violation: Violation,
    /// The last events, one a line.
    pub tail: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.tail {
            writeln!(formatter, "    {line}")?;
        }
        let (Violation { oracle, sentence }, seed) = (&self.violation, self.seed);
        write!(formatter, "make sim SEED={seed} SEEDS=1   # {oracle}: {sentence}")
    }
}

/// Plays a seed.
pub(super) fn run(seed: u64, seconds: Option<u64>) -> Result<Report, Failure> {
    LAST.take();
    let mut play = Play::new(Plan::of(seed, seconds));
    let plan = format!("{:?}", play.plan);
    play.world.note(&plan);
    match play.all() {
        Ok(()) => Ok(play.report()),
        Err(violation) => Err(Failure { seed, violation, tail: play.world.tail() }),
    }
}

thread_local! {
    /// The last events of a run that has panicked.
    static LAST: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The last events of this thread's run, if it has panicked.
pub(super) fn last_events() -> Vec<String> {
    LAST.take()
}

struct Play {
    plan: Plan,
    world: World,
    crowd: Crowd,
    oracles: Oracles,
    trouble: Trouble,
}

impl Drop for Play {
    fn drop(&mut self) {
        if std::thread::panicking() {
            LAST.set(self.world.tail());
        }
    }
}

impl Play {
    fn new(plan: Plan) -> Self {
        let mut world = program::world(plan.seed, plan.nodes);
        if plan.at_once {
            world.do_at_once();
        }
        let oracles = Oracles::new(&mut world);
        let crowd = Crowd::new(&mut world, &plan);
        Self { trouble: Trouble::new(&plan), plan, world, crowd, oracles }
    }

    fn all(&mut self) -> Result<(), Violation> {
        let end = self.world.time().instant + self.plan.length;
        while self.world.time().instant < end {
            self.go_on(end)?;
        }
        self.trouble.end(&mut self.world)?;
        self.finish()?;
        self.converge()?;
        self.oracles.at_end(&mut self.world, &mut self.crowd, self.plan.promise)
    }

    /// Waits for what the clients have under way. A daemon may still learn that its disk had failed, and ends then.
    fn finish(&mut self) -> Result<(), Violation> {
        self.crowd.last_orders();
        while self.crowd.is_busy() {
            self.trouble.step(&mut self.world)?;
            self.crowd.step(&mut self.world)?;
            self.world.run(SHORT_STEP, |_| false);
        }
        self.crowd.leave(&mut self.world);
        Ok(())
    }

    fn go_on(&mut self, end: Instant) -> Result<(), Violation> {
        self.trouble.step(&mut self.world)?;
        let now = self.world.time().instant;
        let until = end.min(now + STEP).min(self.trouble.next_step());
        let until = self.crowd.next_step().map_or(until, |step| until.min(step));
        self.world.run_until_woken(until.max(now + Duration::from_micros(1)));
        self.crowd.step(&mut self.world)?;
        self.oracles.observe(&self.world, &mut self.crowd)
    }

    fn converge(&mut self) -> Result<(), Violation> {
        let begun = self.world.time().instant;
        loop {
            let now = self.world.time().instant;
            if now >= begun + CALM && self.has_converged() {
                return Ok(());
            }
            if now >= begun + CONVERGENCE {
                return self.not_converged();
            }
            self.go_on(now + STEP)?;
        }
    }

    fn has_converged(&self) -> bool {
        let others = self.world.machines.len() - 1;
        agree(&self.world) && self.world.node(0).is_some_and(|node| node.summary().peers == others)
    }

    fn not_converged(&self) -> Result<(), Violation> {
        if self.plan.promise == Promise::Beyond {
            return Ok(());
        }
        let summary = |index| self.world.node(index).map(dfsd::node::Node::summary);
        let sentence = (0..self.world.machines.len()).fold(String::new(), |told, index| {
            let told = if told.is_empty() { told } else { told + "; " };
            told + &match summary(index) {
                None => format!("machine {index} is down"),
                Some(has) => format!(
                    "machine {index} has {} records ({}), {} incomplete, {} peers",
                    has.records.count, has.records.fingerprint, has.incomplete, has.peers
                ),
            }
        });
        Err(Violation { oracle: "convergence", sentence })
    }

    fn report(mut self) -> Report {
        Report {
            virtual_time: Duration::from_micros(self.world.time().instant.0),
            acknowledged: self.crowd.acknowledged(),
            faults: std::mem::take(&mut self.trouble.counts),
            trace: self.world.trace ^ self.crowd.digest(),
            plan: self.plan.clone(),
        }
    }
}
