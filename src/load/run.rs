//! One run: from the prepared names to the figures.
//!
//! Tells nothing but what goes on, on stderr. Invariant: what was spawned is stopped, however the run ends.

use super::args::{Load, Workload};
use super::driver::{Driver, Pool, Run, Target, Watch};
use super::figures::{Figures, Idle, Latency, real};
use super::local::{self, Local, Usage};
use super::schedule::{Bounds, Clock, Schedule};
use super::stop::Stop;
use super::table;
use super::tally::Tally;
use crate::cli::args::Place;
use crate::cli::place;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

/// What is to be run.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) workload: Workload,
    pub(super) load: &'a Load,
}

/// Connections that prepare names, and operations on each.
const PREPARERS: Pool = Pool { conns: 8, depth: 8, verify: false };
/// All connections are open within this, plus a second for each thousand.
const OPEN: Duration = Duration::from_secs(30);

/// Runs a workload on its own network in this folder, or on the one that the options name.
pub(super) fn perform(
    place: &Place,
    plan: Plan<'_>,
    folder: &Path,
    live: &mut Live,
) -> Result<Figures, String> {
    let Plan { workload, load } = plan;
    let stop = live.stop.clone();
    let at_first = load.spawn.map(|count| if load.late { 1 } else { count });
    let spawn = |count| Local::start(count, folder, load.daemon.as_deref(), &stop);
    let mut local = at_first.map(spawn).transpose()?;
    let mut target = match &local {
        Some(local) => local.target()?,
        None => target_of(place, &load.nodes)?,
    };
    let mut schedule = Schedule::new(load, keys(workload, load));
    prepare(&target, plan, &mut schedule, live)?;
    stop.check()?;
    if let Some(local) = &local {
        local.settle()?;
    }
    if let Some((local, count)) = local.as_mut().zip(load.spawn.filter(|_| load.late)) {
        local.join(count - 1)?;
        local.agree()?;
        target = local.last()?;
    }
    if workload == Workload::Idle {
        return Reader { target, load, schedule, local: local.as_ref() }.run(live);
    }
    let (count, nodes) = (target.addresses.len(), target.printed());
    let pool = Pool { conns: load.conns, depth: load.depth, verify: load.verify };
    let mut driver = Driver::new(target, pool).map_err(failed)?;
    let mut tally = Tally::new();
    if workload != Workload::Connect {
        let within = OPEN + Duration::from_secs(u64::from(load.conns) / 1000);
        let open = driver.open_all(within, &stop, &mut tally).map_err(failed)?;
        stop.check()?;
        if open == 0 {
            let why = tally.errors.keys().next().map_or("nobody answers", String::as_str);
            return Err(format!("no connection could be opened to {nodes}: {why}"));
        }
    }
    let before = Before::now(local.as_ref());
    let clock = Clock::new(Bounds::of(load), driver.now());
    match workload {
        Workload::Connect => driver.run_connects(clock, &mut tally, live),
        _ => {
            let (schedule, tally) = (&mut schedule, &mut tally);
            driver.run(Run { workload, schedule, clock, tally, watch: live })
        }
    }
    .map_err(failed)?;
    live.clear();
    let client = (process_cpu() - before.client).as_secs_f64();
    let mut figures = Figures::of(workload, load, &tally);
    (figures.nodes, figures.names) = (count, schedule.names());
    if let Some(local) = &local {
        // Whoever ends it wants to know what was measured until now.
        if !stop.is_asked() {
            figures.settled_seconds = Some(local.settle()?.as_secs_f64());
        }
        let used = before.used(local);
        figures.add_costs(used, client, local::loopback_bytes() - before.network_bytes);
    }
    Ok(figures)
}

/// How many names are there before the measured part begins.
fn keys(workload: Workload, load: &Load) -> u64 {
    match workload {
        Workload::Get | Workload::Mixed | Workload::Overwrite | Workload::List | Workload::Idle => {
            u64::from(load.keys)
        }
        Workload::Delete => load.ops.unwrap_or(u64::from(load.keys)),
        Workload::Put | Workload::Connect => 0,
    }
}

fn prepare(
    target: &Target,
    plan: Plan<'_>,
    schedule: &mut Schedule,
    live: &mut Live,
) -> Result<(), String> {
    let keys = keys(plan.workload, plan.load);
    if keys == 0 {
        return Ok(());
    }
    let mut driver = Driver::new(target.clone(), PREPARERS).map_err(failed)?;
    let mut tally = Tally::new();
    let clock = Clock::new(Bounds::count(keys), driver.now());
    let (workload, told) = (Workload::Put, &mut tally);
    driver.run(Run { workload, schedule, clock, tally: told, watch: live }).map_err(failed)?;
    live.clear();
    match tally.errors.first_key_value() {
        Some((kind, count)) => {
            let nodes = target.printed();
            Err(format!("the names could not be prepared on {nodes}: {kind} (times: {count})"))
        }
        None => Ok(()),
    }
}

/// A reader, alone and then among connections that do nothing.
struct Reader<'a> {
    target: Target,
    load: &'a Load,
    schedule: Schedule,
    local: Option<&'a Local>,
}

impl Reader<'_> {
    fn run(mut self, live: &mut Live) -> Result<Figures, String> {
        let alone = self.read(live)?;
        let before = self.rss();
        let (mut opening, load) = (Tally::new(), self.load);
        let pool = Pool { conns: load.conns, depth: 1, verify: false };
        let mut crowd = Driver::new(self.target.clone(), pool).map_err(failed)?;
        let within = OPEN + Duration::from_secs(u64::from(load.conns) / 200);
        let open = crowd.open_all(within, &live.stop, &mut opening).map_err(failed)?;
        let held = self.rss() - before;
        let marks = Before::now(self.local);
        let mut among = self.read(live)?;
        among.errors.extend(opening.errors);
        if open < load.conns as usize {
            let missing = u64::from(load.conns) - open as u64;
            among.errors.insert("connect: not open in time".to_owned(), missing);
        }
        let mut figures = Figures::of(Workload::Idle, load, &among);
        (figures.nodes, figures.names) = (self.target.addresses.len(), self.schedule.names());
        let used = self.local.map(|local| marks.used(local)).unwrap_or_default();
        let cpu: f64 = used.iter().map(|usage| usage.cpu_seconds).sum();
        figures.idle = Some(Idle {
            connections: open,
            daemon_bytes_per_connection: super::figures::ratio(held, real(open as u64)),
            daemon_cpu_share: super::figures::ratio(cpu, figures.seconds),
            alone: Latency::of(&alone.all()),
            among: Latency::of(&among.all()),
        });
        Ok(figures)
    }

    fn read(&mut self, live: &mut Live) -> Result<Tally, String> {
        let bounds = Bounds { rate: self.load.rate.or(Some(200.0)), ..Bounds::of(self.load) };
        let pool = Pool { conns: 1, depth: 1, verify: self.load.verify };
        let mut reader = Driver::new(self.target.clone(), pool).map_err(failed)?;
        let mut tally = Tally::new();
        reader.open_all(OPEN, &live.stop, &mut tally).map_err(failed)?;
        let clock = Clock::new(bounds, reader.now());
        let (workload, told, schedule) = (Workload::Idle, &mut tally, &mut self.schedule);
        reader.run(Run { workload, schedule, clock, tally: told, watch: live }).map_err(failed)?;
        live.clear();
        Ok(tally)
    }

    /// Resident memory of all daemons.
    fn rss(&self) -> f64 {
        let all = self.local.map(Local::usage).unwrap_or_default();
        all.iter().map(|usage| real(usage.rss_bytes)).sum()
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn failed(error: io::Error) -> String {
    format!("the loop of the harness failed: {error}")
}

/// What was used before the measured part.
struct Before {
    daemons: Vec<Usage>,
    client: Duration,
    network_bytes: u64,
}

impl Before {
    fn now(local: Option<&Local>) -> Self {
        Self {
            daemons: local.map(Local::usage).unwrap_or_default(),
            client: process_cpu(),
            network_bytes: local::loopback_bytes(),
        }
    }

    /// What each daemon has used since.
    fn used(&self, local: &Local) -> Vec<Usage> {
        let now = local.usage();
        now.iter().zip(&self.daemons).map(|(after, before)| after.since(before)).collect()
    }
}

/// This process's time on processors.
fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn target_of(place: &Place, nodes: &[String]) -> Result<Target, String> {
    let found = place::find(place).map_err(|failure| failure.to_string())?;
    let first: Vec<String> = found.peers.iter().take(1).map(|peer| peer.address.clone()).collect();
    let names = if nodes.is_empty() { &first } else { nodes };
    let resolve = |name: &String| -> Result<SocketAddr, String> {
        let all = name.to_socket_addrs().map_err(|error| format!("{name}: {error}"))?;
        all.into_iter().next().ok_or_else(|| format!("{name} has no address"))
    };
    let addresses = names.iter().map(resolve).collect::<Result<_, _>>()?;
    Ok(Target { addresses, access: found.access })
}

/// The line that changes while a run goes on; and the wish to stop it.
pub(super) struct Live {
    pub(super) quiet: bool,
    pub(super) stop: Stop,
}

impl Live {
    fn clear(&self) {
        if !self.quiet {
            eprint!("\r\x1b[K");
        }
    }
}

impl Watch for Live {
    fn second(&mut self, tally: &Tally, whole: Option<u64>) -> bool {
        if !self.quiet {
            eprint!("\r\x1b[K{}", table::live(tally, whole));
        }
        !self.stop.is_asked()
    }
}
