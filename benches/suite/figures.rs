//! Figures: what `dfs-load --json` tells of a run, as far as it is judged here.
//!
//! Knows no goal. Invariant: names and units are those of its JSON.

use serde::Deserialize;

/// What costs per byte are counted by.
pub(super) const GIB: f64 = 1_073_741_824.0;

/// What was done.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Workload {
    Put,
    Get,
    Mixed,
    Overwrite,
    List,
    Delete,
    Connect,
    Idle,
}

/// A run.
#[derive(Debug, Deserialize)]
pub(super) struct Figures {
    pub(super) workload: Workload,
    pub(super) connections: u32,
    /// Nodes that were loaded.
    pub(super) nodes: u32,
    /// Names that were stored, before and by the measured part.
    pub(super) names: u64,
    pub(super) seconds: f64,
    pub(super) operations: u64,
    pub(super) operations_per_second: f64,
    pub(super) bytes: u64,
    pub(super) mib_per_second: f64,
    pub(super) latency: Latency,
    pub(super) error_count: u64,
    /// From the last answer until every spawned node had everything.
    pub(super) settled_seconds: Option<f64>,
    pub(super) costs: Option<Costs>,
}

/// Of the operations that ended well.
#[derive(Debug, Deserialize)]
pub(super) struct Latency {
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
}

/// What the spawned daemons, and the harness itself, have used for the measured part.
#[derive(Debug, Deserialize)]
pub(super) struct Costs {
    pub(super) daemons: Vec<Usage>,
    pub(super) daemon_us_per_operation: f64,
    pub(super) daemon_cpu_seconds_per_gib: f64,
    pub(super) client_cpu_seconds_per_gib: f64,
}

/// Of one daemon.
#[derive(Debug, Deserialize)]
pub(super) struct Usage {
    pub(super) peak_rss_bytes: u64,
}

#[allow(clippy::cast_precision_loss, reason = "a figure needs no more than 52 bits")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

/// 0 where nothing was counted.
pub(super) fn ratio(one: f64, other: f64) -> f64 {
    if other > 0.0 { one / other } else { 0.0 }
}
