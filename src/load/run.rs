//! One run: from the prepared names to the figures.
//!
//! Tells nothing but what goes on, on stderr. Invariant: what was spawned is stopped, however the run ends.

use super::args::{Load, Workload};
use super::driver::{Driver, Target, Watch};
use super::figures::{Figures, Idle, Latency, real};
use super::local::{self, Local, Usage};
use super::schedule::{Book, Bounds, Clock};
use super::stop::Stop;
use super::table;
use super::tally::Tally;
use crate::cli::args::Place;
use crate::cli::place;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

/// Connections that prepare names, and operations on each.
const PREPARERS: (u32, u32) = (8, 8);
/// All connections are open within this, plus a second for each thousand.
const OPEN: Duration = Duration::from_secs(30);

/// Runs a workload on its own network in this folder, or on the one that the options name.
pub(super) fn perform(
    place: &Place,
    (workload, load): (Workload, &Load),
    folder: &Path,
    (quiet, stop): (bool, &Stop),
) -> Result<Figures, String> {
    let mut live = Live { quiet, stop: stop.clone() };
    let at_first = load.spawn.map(|count| if load.late { 1 } else { count });
    let spawn = |count| Local::start(count, (folder, stop), load.daemon.as_deref());
    let mut local = at_first.map(spawn).transpose()?;
    let mut target = match &local {
        Some(local) => local.target()?,
        None => target_of(place, &load.nodes)?,
    };
    let failed = |error: io::Error| format!("the loop of the harness failed: {error}");
    let mut book = Book::new(load, keys(workload, load));
    prepare(&target, (workload, load), &mut book, &mut live)?;
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
        return idle(&target, (load, &mut book), local.as_ref(), &mut live);
    }
    let (count, nodes) = (target.addresses.len(), target.printed());
    let mut driver = Driver::new(target, (load.conns, load.depth), load.verify).map_err(failed)?;
    let mut tally = Tally::new();
    if workload != Workload::Connect {
        let within = OPEN + Duration::from_secs(u64::from(load.conns) / 1000);
        let open = driver.open_all((within, stop), &mut tally).map_err(failed)?;
        stop.check()?;
        if open == 0 {
            let why = tally.errors.keys().next().map_or("nobody answers", String::as_str);
            return Err(format!("no connection could be opened to {nodes}: {why}"));
        }
    }
    let before = Before::now(local.as_ref());
    let mut clock = Clock::new(Bounds::of(load), driver.now());
    let watched = (&mut tally, &mut live as &mut dyn Watch);
    match workload {
        Workload::Connect => driver.run_connects(&mut clock, watched),
        _ => driver.run((workload, &mut book), &mut clock, watched),
    }
    .map_err(failed)?;
    live.clear();
    let client = (process_cpu() - before.client).as_secs_f64();
    let mut figures = Figures::of(workload, load, (count, book.names()), &tally);
    if let Some(local) = &local {
        // Whoever ends it wants to know what was measured until now.
        if !stop.is_asked() {
            figures.settled_seconds = Some(local.settle()?.as_secs_f64());
        }
        let used = local.usage().iter().zip(&before.daemons).map(since).collect();
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
    (workload, load): (Workload, &Load),
    book: &mut Book,
    live: &mut Live,
) -> Result<(), String> {
    let keys = keys(workload, load);
    if keys == 0 {
        return Ok(());
    }
    let failed = |error: io::Error| format!("the loop of the harness failed: {error}");
    let mut driver = Driver::new(target.clone(), PREPARERS, false).map_err(failed)?;
    let mut tally = Tally::new();
    let mut clock = Clock::new(Bounds::count(keys), driver.now());
    let watched = (&mut tally, live as &mut dyn Watch);
    driver.run((Workload::Put, book), &mut clock, watched).map_err(failed)?;
    live.clear();
    match tally.errors.first_key_value() {
        Some((kind, count)) => {
            let nodes = target.printed();
            Err(format!("the names could not be prepared on {nodes}: {kind} (times: {count})"))
        }
        None => Ok(()),
    }
}

/// A reader alone, then among connections that do nothing.
fn idle(
    target: &Target,
    (load, book): (&Load, &mut Book),
    local: Option<&Local>,
    live: &mut Live,
) -> Result<Figures, String> {
    let failed = |error: io::Error| format!("the loop of the harness failed: {error}");
    let bounds = Bounds { rate: load.rate.or(Some(200.0)), ..Bounds::of(load) };
    let mut read = |live: &mut Live| -> Result<Tally, String> {
        let mut reader = Driver::new(target.clone(), (1, 1), load.verify).map_err(failed)?;
        let mut tally = Tally::new();
        reader.open_all((OPEN, &live.stop), &mut tally).map_err(failed)?;
        let mut clock = Clock::new(bounds, reader.now());
        let watched = (&mut tally, live as &mut dyn Watch);
        reader.run((Workload::Idle, &mut *book), &mut clock, watched).map_err(failed)?;
        live.clear();
        Ok(tally)
    };
    let alone = read(live)?;
    let rss = |local: Option<&Local>| {
        let all = local.map(Local::usage).unwrap_or_default();
        all.iter().map(|usage| real(usage.rss_bytes)).sum::<f64>()
    };
    let before = rss(local);
    let mut crowd = Driver::new(target.clone(), (load.conns, 1), false).map_err(failed)?;
    let mut opening = Tally::new();
    let within = OPEN + Duration::from_secs(u64::from(load.conns) / 200);
    let open = crowd.open_all((within, &live.stop), &mut opening).map_err(failed)?;
    let held = rss(local) - before;
    let marks = Before::now(local);
    let mut among = read(live)?;
    among.errors.extend(opening.errors);
    if open < load.conns as usize {
        let missing = u64::from(load.conns) - open as u64;
        among.errors.insert("connect: not open in time".to_owned(), missing);
    }
    let mut figures =
        Figures::of(Workload::Idle, load, (target.addresses.len(), book.names()), &among);
    let used: Vec<Usage> = match local {
        Some(local) => local.usage().iter().zip(&marks.daemons).map(since).collect(),
        None => Vec::new(),
    };
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
}

/// This process's time on processors.
fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn since((after, before): (&Usage, &Usage)) -> Usage {
    Usage {
        cpu_seconds: after.cpu_seconds - before.cpu_seconds,
        written_bytes: after.written_bytes.saturating_sub(before.written_bytes),
        ..*after
    }
}

fn target_of(place: &Place, nodes: &[String]) -> Result<Target, String> {
    let found = place::find(place).map_err(|failure| failure.to_string())?;
    let first: Vec<String> = found.peers.iter().take(1).map(|peer| peer.address.clone()).collect();
    let names = if nodes.is_empty() { &first } else { nodes };
    let resolve = |name: &String| -> Result<SocketAddr, String> {
        let all = name.to_socket_addrs().map_err(|error| format!("{name}: {error}"))?;
        all.into_iter().next().ok_or_else(|| format!("{name} leads nowhere"))
    };
    let addresses = names.iter().map(resolve).collect::<Result<_, _>>()?;
    Ok(Target { addresses, access: found.access })
}

/// The line that changes while a run goes on; and the wish to stop it.
struct Live {
    quiet: bool,
    stop: Stop,
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
