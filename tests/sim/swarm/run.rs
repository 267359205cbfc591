//! One seed, played: load and faults, then everything mended, and time to converge.
//!
//! Decides nothing that the plan decides. Invariant: what a run does depends on the seed alone.

use super::Violation;
use super::aging::{Aging, Leap};
use super::crowd::Crowd;
use super::disk::{Holding, Stated};
use super::faults::{Trouble, agree};
use super::inspector::Inspector;
use super::oracles::Oracles;
use super::plan::{Kind, Plan, Promise};
use crate::sim::client::program::{self, access};
use crate::sim::world::World;
use dfsd::limits::{EXPIRY_STEP, SERVED_IDLE};
use dfsd::node::Node;
use dfsd::session::Operation;
use dfsd::time::Instant;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Between two looks at the clients, at most.
const STEP: Duration = Duration::from_millis(100);
/// The same while time passes.
const LONG_STEP: Duration = Duration::from_secs(1);
/// The same while only what is under way is waited for.
const SHORT_STEP: Duration = Duration::from_millis(5);
/// All nodes have the same so long after the last fault, at the latest.
const CONVERGENCE: Duration = Duration::from_secs(180);
/// The same where faults may last for as long as time passes: an address that did not answer is dialled ever more rarely.
const LONG_CONVERGENCE: Duration = Duration::from_secs(720);
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

/// Plays a plan.
pub(super) fn run(plan: Plan) -> Result<Report, Failure> {
    LAST.take();
    let seed = plan.seed;
    let mut play = Play::new(plan);
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
        let leaps = self.plan.aging.as_ref().map_or(Vec::new(), |aging| aging.leaps.clone());
        let bout = self.plan.length / (leaps.len() as u32 + 1);
        self.begin_aging()?;
        self.load(bout)?;
        for leap in leaps {
            self.leap(leap)?;
            self.load(bout)?;
        }
        self.crowd.ledger.register.look(&self.world);
        // Who was ahead of all has let go of what the others have: they are to come to where he was.
        let ahead_ms = self.crowd.ledger.register.most_ahead_ms;
        self.trouble.end(&mut self.world, self.plan.aging.is_some().then_some(ahead_ms))?;
        self.finish()?;
        self.crowd.ledger.register.look(&self.world);
        self.converge()?;
        self.grow_old()?;
        self.oracles.at_end(&mut self.world, &mut self.crowd, &self.plan)
    }

    fn load(&mut self, lasts: Duration) -> Result<(), Violation> {
        let end = self.world.time().instant + lasts;
        while self.world.time().instant < end {
            self.go_on(end, STEP)?;
        }
        Ok(())
    }

    /// The network is set to keep little.
    fn begin_aging(&mut self) -> Result<(), Violation> {
        let Some(Aging { first, .. }) = self.plan.aging else { return Ok(()) };
        self.crowd.ledger.register.set(first.retention);
        let inspector = Inspector::open(&mut self.world, 0);
        let mut inspector = inspector.expect("nothing is wrong yet");
        let end = inspector.call(&mut self.world, Operation::Settings { change: first.settings() });
        inspector.hang_up(&mut self.world);
        match end.result {
            Ok(_) => Ok(()),
            Err(error) => {
                let sentence = format!("before all faults: {error}");
                Err(Violation { oracle: "settings", sentence })
            }
        }
    }

    /// Time passes until shortly before all that was superseded expires; who is in the middle of something may stay there.
    fn leap(&mut self, leap: Leap) -> Result<(), Violation> {
        let Some(aging) = &self.plan.aging else { return Ok(()) };
        let (life, then) = (aging.first.life().max(aging.last().life()), aging.then);
        self.crowd.ledger.register.look(&self.world);
        let now = self.world.time();
        let step_ms = EXPIRY_STEP.as_millis() as u64;
        let least_ms = now.wall_ms + life.as_millis() as u64;
        let passes_ms = least_ms.next_multiple_of(step_ms) - now.wall_ms;
        let until = now.instant + (Duration::from_millis(passes_ms) - leap.before_step);
        self.crowd.rest(&mut self.world, until);
        self.trouble.rest(now.instant, until, leap.holds_faults);
        while self.world.time().instant < until {
            self.go_on(until, LONG_STEP)?;
        }
        if let Some(keeps) = then {
            self.crowd.set(keeps);
        }
        Ok(())
    }

    /// Nothing is asked for any more until all that is to go is gone.
    fn grow_old(&mut self) -> Result<(), Violation> {
        let Some(aging) = &self.plan.aging else { return Ok(()) };
        let passes = aging.first.all_gone().max(aging.last().all_gone());
        // Of what a mark has spared it is looked again after that long, and may have been asked for just before that.
        let passes = if aging.waits_long { passes + 2 * SERVED_IDLE } else { passes };
        let now = self.world.time().instant;
        let end = now + passes;
        self.trouble.rest(now, end, false);
        while self.world.time().instant < end {
            self.go_on(end, 60 * LONG_STEP)?;
        }
        Ok(())
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

    fn go_on(&mut self, end: Instant, step: Duration) -> Result<(), Violation> {
        self.trouble.step(&mut self.world)?;
        let now = self.world.time().instant;
        let until = end.min(now + step).min(self.trouble.next_step());
        let until = self.crowd.next_step().map_or(until, |step| until.min(step));
        self.world.run_until_woken(until.max(now + Duration::from_micros(1)));
        self.crowd.step(&mut self.world)?;
        self.oracles.observe(&self.world, &mut self.crowd)
    }

    fn converge(&mut self) -> Result<(), Violation> {
        let begun = self.world.time().instant;
        let within = if self.plan.aging.is_some() { LONG_CONVERGENCE } else { CONVERGENCE };
        loop {
            let now = self.world.time().instant;
            if now >= begun + CALM && self.has_converged() {
                return Ok(());
            }
            if now >= begun + within {
                return self.not_converged();
            }
            self.go_on(now + STEP, STEP)?;
        }
    }

    fn has_converged(&self) -> bool {
        let others = self.world.machines.len() - 1;
        agree(&self.world) && self.world.node(0).is_some_and(|node| node.summary().peers == others)
    }

    fn not_converged(&mut self) -> Result<(), Violation> {
        if self.plan.promise == Promise::Beyond {
            return Ok(());
        }
        if self.lacks_only_past() {
            self.world.note(
                "a version has come back that others had let expire, and its blocks are gone",
            );
            self.plan.promise = Promise::Beyond;
            return Ok(());
        }
        let summary = |index| self.world.node(index).map(Node::summary);
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
        let short = self.short().into_iter().map(|(machine, stated)| {
            let how = self.crowd.ledger.how(stated.version);
            format!("; machine {machine} lacks blocks of version {}{how}", stated.version)
        });
        Err(Violation {
            oracle: "convergence",
            sentence: short.fold(sentence, |all, one| all + &one),
        })
    }

    /// Versions of which some disk lacks something.
    fn short(&self) -> Vec<(usize, Stated)> {
        let data = access().data.expect("these keys are whole");
        let mut short = Vec::new();
        for (machine, there) in self.world.machines.iter().enumerate() {
            let Ok(holding) = Holding::of(there.fs.restart(), &data) else { continue };
            let records = holding.records.values();
            let lacking = records.filter(|it| !holding.holds(&it.name, it.version));
            short.extend(lacking.map(|stated| (machine, stated.clone())));
        }
        short
    }

    /// Whether all agree, and lack nothing but of what had expired: who was away, and had it without its blocks, has brought it
    /// back, and nobody has what has superseded it.
    fn lacks_only_past(&self) -> bool {
        let summary = |machine| self.world.node(machine).map(Node::summary);
        let all: Vec<_> = (0..self.world.machines.len()).map(summary).collect();
        let is_one = all.iter().all(|one| one.is_some() && *one == all[0]);
        let short = self.short();
        let ledger = &self.crowd.ledger;
        let is_past = |(_, stated): &(usize, Stated)| {
            let name = ledger.register.name(&stated.name);
            name.is_some_and(|name| ledger.has_expired(name, stated.version))
        };
        is_one && !short.is_empty() && short.iter().all(is_past)
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
