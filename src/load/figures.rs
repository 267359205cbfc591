//! Figures: what a run came to, as plain values that a program can read (`--json`).
//!
//! Knows no histogram and no network. Invariant: units are in the names; what was not measured is absent or null.

use super::args::{Load, Workload};
use super::local::Usage;
use super::tally::{Latencies, Tally};
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything that a run came to.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) workload: &'static str,
    pub(super) seed: u64,
    pub(super) connections: u32,
    pub(super) depth: u32,
    /// Nodes that were loaded.
    pub(super) nodes: usize,
    /// Names that were stored, before and by the measured part.
    pub(super) names: u64,
    /// Of an open loop, as it was asked for.
    pub(super) rate: Option<f64>,
    pub(super) seconds: f64,
    pub(super) operations: u64,
    pub(super) operations_per_second: f64,
    pub(super) bytes: u64,
    pub(super) mib_per_second: f64,
    pub(super) latency: Latency,
    pub(super) kinds: BTreeMap<&'static str, Latency>,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) error_count: u64,
    /// Every byte that came back was compared.
    pub(super) verified: bool,
    /// From the last answer until every spawned node had everything.
    pub(super) settled_seconds: Option<f64>,
    pub(super) costs: Option<Costs>,
    pub(super) idle: Option<Idle>,
    pub(super) per_second: Vec<PerSecond>,
}

/// Latencies of the operations that ended well, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Latency {
    pub(super) count: u64,
    pub(super) mean_us: f64,
    pub(super) p50_us: u64,
    pub(super) p90_us: u64,
    pub(super) p99_us: u64,
    pub(super) p999_us: u64,
    pub(super) max_us: u64,
}

impl Latency {
    pub(super) fn of(latencies: &Latencies) -> Self {
        let at = |quantile| latencies.value_at_quantile(quantile);
        Self {
            count: latencies.len(),
            mean_us: latencies.mean(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: latencies.max(),
        }
    }
}

/// What the spawned daemons, and the harness itself, have used for the measured part.
#[derive(Debug, Serialize)]
pub(super) struct Costs {
    pub(super) daemons: Vec<Usage>,
    pub(super) client_cpu_seconds: f64,
    /// Of all daemons.
    pub(super) daemon_cpu_seconds: f64,
    pub(super) daemon_us_per_operation: f64,
    pub(super) daemon_cpu_seconds_per_gib: f64,
    pub(super) client_us_per_operation: f64,
    pub(super) client_cpu_seconds_per_gib: f64,
    /// Over the loopback device.
    pub(super) network_bytes: u64,
}

/// What open connections that do nothing cost.
#[derive(Debug, Serialize)]
pub(super) struct Idle {
    pub(super) connections: usize,
    pub(super) daemon_bytes_per_connection: f64,
    /// Of one core, while they were held.
    pub(super) daemon_cpu_share: f64,
    /// The reader beside them, before they came and while they were there.
    pub(super) alone: Latency,
    pub(super) among: Latency,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct PerSecond {
    pub(super) operations: u64,
    pub(super) mib: f64,
    pub(super) errors: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) max_us: u64,
}

/// What a rate of bytes is divided by.
pub(super) const MIB: f64 = 1_048_576.0;
/// What costs per byte are counted by.
pub(super) const GIB: f64 = 1_073_741_824.0;

#[allow(clippy::cast_precision_loss, reason = "a figure needs no more than 52 bits")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

/// 0 where nothing was counted.
pub(super) fn ratio(one: f64, other: f64) -> f64 {
    if other > 0.0 { one / other } else { 0.0 }
}

impl Figures {
    /// Of a run that has ended; on how many nodes, and with how many names, is added.
    pub(super) fn of(workload: Workload, load: &Load, tally: &Tally) -> Self {
        let seconds = tally.elapsed.as_secs_f64();
        let kinds = tally.kinds.iter();
        Self {
            workload: workload.name(),
            seed: load.seed,
            connections: load.conns,
            depth: load.depth,
            nodes: 0,
            names: 0,
            rate: load.rate,
            seconds,
            operations: tally.operations(),
            operations_per_second: ratio(real(tally.operations()), seconds),
            bytes: tally.bytes(),
            mib_per_second: ratio(real(tally.bytes()) / MIB, seconds),
            latency: Latency::of(&tally.all()),
            kinds: kinds.map(|(name, kind)| (*name, Latency::of(&kind.latencies))).collect(),
            errors: tally.errors.clone(),
            error_count: tally.error_count(),
            verified: load.verify,
            settled_seconds: None,
            costs: None,
            idle: None,
            per_second: tally.seconds.iter().map(PerSecond::of).collect(),
        }
    }

    /// Adds what it has cost.
    pub(super) fn add_costs(&mut self, daemons: Vec<Usage>, client: f64, network_bytes: u64) {
        let cpu: f64 = daemons.iter().map(|usage| usage.cpu_seconds).sum();
        let (operations, gib) = (real(self.operations), real(self.bytes) / GIB);
        self.costs = Some(Costs {
            daemons,
            client_cpu_seconds: client,
            daemon_cpu_seconds: cpu,
            daemon_us_per_operation: ratio(1e6 * cpu, operations),
            daemon_cpu_seconds_per_gib: ratio(cpu, gib),
            client_us_per_operation: ratio(1e6 * client, operations),
            client_cpu_seconds_per_gib: ratio(client, gib),
            network_bytes,
        });
    }
}

impl PerSecond {
    fn of(second: &super::tally::Second) -> Self {
        Self {
            operations: second.operations,
            mib: real(second.bytes) / MIB,
            errors: second.errors,
            p50_us: second.p50_us,
            p99_us: second.p99_us,
            max_us: second.max_us,
        }
    }
}
