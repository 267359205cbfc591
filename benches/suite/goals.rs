//! Goals: what a case of the suite should come to, as a ratio within one run.
//!
//! Knows figures alone. Invariant: every ratio is of things measured on the same machine in the same run, so that it means
//! the same elsewhere.

use super::baseline::Baseline;
use super::cost_model;
use super::figures::{Figures, GIB, real};
use dfsd::limits::MEMORY_DEFAULT;
use std::collections::BTreeMap;

/// What is judged, and the ratio to reach.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// Processor time of all daemons over that of the parts, at most.
    Daemons(f64),
    /// The same with the client's.
    Whole(f64),
    /// Bytes a second over what this machine's cores allow if only parts cost anything, at least.
    Cores(f64),
    /// Operations for each flush that would have been possible one after the other, at least.
    Flushes(f64),
    /// The 99th percentile in group flushes, at most.
    Tail(f64),
    /// The median in two flushes and four round trips, at most.
    Median(f64),
    /// The time over that of the slowest of these cases, at most.
    Slowest(&'static [&'static str], f64),
    /// Processor time of a daemon for each operation or byte, over that of this case, at most.
    Like(&'static str, f64),
    /// The greatest daemon's memory over what it may take: at most 1.
    Memory,
}

/// What a daemon needs beside the memory for data, in bytes: for itself, for each connection and for each name.
const MEMORY_OWN: f64 = 16.0 * 1_048_576.0;
const MEMORY_CONNECTION: f64 = 4096.0;
const MEMORY_NAME: f64 = 100.0;

/// Figures of the cases so far, which later ones are compared with.
#[derive(Debug, Default)]
pub(super) struct Known {
    seconds: BTreeMap<&'static str, f64>,
    each: BTreeMap<&'static str, f64>,
}

impl Known {
    /// Adds a case.
    pub(super) fn add(&mut self, name: &'static str, figures: &Figures) {
        self.seconds.insert(name, figures.seconds);
        self.each.extend(each(figures).map(|each| (name, each)));
    }
}

/// Processor time of one daemon, for a GiB of large files or for an operation.
fn each(figures: &Figures) -> Option<f64> {
    let costs = figures.costs.as_ref()?;
    let all = match cost_model::is_large(figures) {
        true => costs.daemon_cpu_seconds_per_gib,
        false => costs.daemon_us_per_operation,
    };
    Some(all / real(costs.daemons.len() as u64))
}

impl Goal {
    /// What is judged.
    pub(super) fn name(self) -> String {
        match self {
            Self::Daemons(_) => "processor time of the daemons, over its parts".to_owned(),
            Self::Whole(_) => "processor time of daemons and client, over its parts".to_owned(),
            Self::Cores(_) => "bytes a second, over what the cores allow".to_owned(),
            Self::Flushes(_) => "operations for each flush one at a time".to_owned(),
            Self::Tail(_) => "99th percentile, in group flushes".to_owned(),
            Self::Median(_) => "median, in two flushes and four round trips".to_owned(),
            Self::Slowest(..) => "time, over that of its slowest stage".to_owned(),
            Self::Like(case, _) => format!("processor time of a daemon, over `{case}`"),
            Self::Memory => "memory, over what it may take".to_owned(),
        }
    }

    /// Whether it is about what the parts of an operation take.
    pub(super) fn is_of_parts(self) -> bool {
        matches!(self, Self::Daemons(_) | Self::Whole(_) | Self::Cores(_))
    }

    /// The bound, and whether the ratio may be at most this; if not, at least.
    pub(super) fn bound(self) -> (f64, bool) {
        match self {
            Self::Daemons(most) | Self::Whole(most) | Self::Tail(most) | Self::Median(most) => {
                (most, true)
            }
            Self::Slowest(_, most) | Self::Like(_, most) => (most, true),
            Self::Cores(least) | Self::Flushes(least) => (least, false),
            Self::Memory => (1.0, true),
        }
    }

    /// The ratio, if it can be had from these.
    pub(super) fn ratio(
        self,
        figures: &Figures,
        baseline: &Baseline,
        known: &Known,
    ) -> Option<f64> {
        match self {
            Self::Daemons(_) => Some(cost_model::of(figures, baseline)?.ratio),
            Self::Whole(_) => {
                let (necessary, costs) = (whole(figures, baseline)?, figures.costs.as_ref()?);
                let measured = costs.daemon_cpu_seconds_per_gib + costs.client_cpu_seconds_per_gib;
                Some(measured / necessary)
            }
            Self::Cores(_) => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                let possible = real(cores as u64) / whole(figures, baseline)?;
                let seconds = figures.seconds + figures.settled_seconds.unwrap_or_default();
                Some(real(figures.bytes) / GIB / seconds / possible)
            }
            Self::Flushes(_) => Some(figures.operations_per_second * baseline.flush_wall_us / 1e6),
            Self::Tail(_) => Some(real(figures.latency.p99_us) / baseline.group_flush_wall_us),
            Self::Median(_) => {
                let flushes =
                    2.0 * baseline.flush_wall_us + 4.0 * baseline.socket_round_trip_wall_us;
                Some(real(figures.latency.p50_us) / flushes)
            }
            Self::Slowest(cases, _) => {
                let stages: Option<Vec<f64>> =
                    cases.iter().map(|case| known.seconds.get(case).copied()).collect();
                Some(figures.seconds / stages?.into_iter().fold(0.0, f64::max))
            }
            Self::Like(case, _) => Some(each(figures)? / known.each.get(case)?),
            Self::Memory => {
                let daemons = &figures.costs.as_ref()?.daemons;
                let peak = daemons.iter().map(|usage| usage.peak_rss_bytes).max()?;
                let names = real(figures.names);
                let connections = real(u64::from(figures.connections));
                let own = real(MEMORY_DEFAULT as u64) + MEMORY_OWN;
                Some(real(peak) / (own + MEMORY_CONNECTION * connections + MEMORY_NAME * names))
            }
        }
    }
}

/// The parts of all daemons and of the client, for a GiB.
fn whole(figures: &Figures, baseline: &Baseline) -> Option<f64> {
    let client = cost_model::of_client(figures.workload, baseline)?;
    Some(cost_model::of(figures, baseline)?.sum + client)
}
