//! The cost model: what an operation would cost if nothing but what it cannot do without cost anything.
//!
//! Knows figures alone. Invariant: a part is counted as often as the design makes it necessary, not as often as it is
//! done: what is done twice shows as a ratio.

use super::baseline::Baseline;
use super::figures::{Figures, Workload, ratio, real};
use std::fmt::Write;

/// Files of at least this size on average are counted by their bytes.
const LARGE: f64 = 262_144.0;

/// The parts of one operation, or of one GiB, and their sum beside what was measured.
#[derive(Debug)]
pub(super) struct Parts {
    /// `us/operation` or `s/GiB`.
    unit: &'static str,
    parts: Vec<Part>,
    pub(super) sum: f64,
    measured: f64,
    pub(super) ratio: f64,
}

#[derive(Debug)]
struct Part {
    name: &'static str,
    /// How many times it occurs.
    times: f64,
    each: f64,
}

/// The parts of a run on daemons of this machine; none for what has no definite parts.
pub(super) fn of(figures: &Figures, baseline: &Baseline) -> Option<Parts> {
    let costs = figures.costs.as_ref()?;
    let nodes = f64::from(figures.nodes);
    let (parts, unit, measured) = match (figures.workload, is_large(figures)) {
        (Workload::Put | Workload::Overwrite, true) => {
            (large_put(nodes, baseline), "s/GiB, all daemons", costs.daemon_cpu_seconds_per_gib)
        }
        (Workload::Get, true) => {
            (large_get(baseline), "s/GiB, all daemons", costs.daemon_cpu_seconds_per_gib)
        }
        (Workload::Put | Workload::Overwrite, false) => {
            (small_put(nodes, baseline), "us/operation, all daemons", costs.daemon_us_per_operation)
        }
        (Workload::Get, false) => {
            (small_get(baseline), "us/operation, all daemons", costs.daemon_us_per_operation)
        }
        (
            Workload::Mixed
            | Workload::List
            | Workload::Delete
            | Workload::Connect
            | Workload::Idle,
            _,
        ) => return None,
    };
    let sum: f64 = parts.iter().map(|part| part.times * part.each).sum();
    Some(Parts { unit, parts, sum, measured, ratio: ratio(measured, sum) })
}

/// Whether costs are counted by bytes, or else by operations.
pub(super) fn is_large(figures: &Figures) -> bool {
    real(figures.bytes) > LARGE * real(figures.operations)
}

/// What the client cannot do without for one GiB: of a large put or get, seconds of a processor.
pub(super) fn of_client(workload: Workload, baseline: &Baseline) -> Option<f64> {
    let (tree, cipher) = (baseline.bulk.tree_hash_s_per_gib, baseline.bulk.aes_256_ctr_s_per_gib);
    match workload {
        // The key comes from the plaintext's tree, the address is the ciphertext's.
        Workload::Put => Some(
            2.0 * tree
                + cipher
                + baseline.bulk.aead_seal_s_per_gib
                + baseline.bulk.tcp_send_s_per_gib,
        ),
        Workload::Get => Some(
            tree + cipher + baseline.bulk.aead_open_s_per_gib + baseline.bulk.tcp_receive_s_per_gib,
        ),
        Workload::Mixed
        | Workload::Overwrite
        | Workload::List
        | Workload::Delete
        | Workload::Connect
        | Workload::Idle => None,
    }
}

fn part(name: &'static str, times: f64, each: f64) -> Part {
    Part { name, times, each }
}

/// Every node takes every byte in; all but one get it from another.
fn large_put(nodes: f64, baseline: &Baseline) -> Vec<Part> {
    vec![
        part("receive", nodes, baseline.bulk.tcp_receive_s_per_gib),
        part("open the transport's records", nodes, baseline.bulk.aead_open_s_per_gib),
        part("tree hash", nodes, baseline.bulk.tree_hash_s_per_gib),
        part("write and flush", nodes, baseline.bulk.durable_write_s_per_gib),
        part("read for another node", nodes - 1.0, baseline.bulk.warm_read_s_per_gib),
        part("seal the transport's records", nodes - 1.0, baseline.bulk.aead_seal_s_per_gib),
        part("send", nodes - 1.0, baseline.bulk.tcp_send_s_per_gib),
    ]
}

fn large_get(baseline: &Baseline) -> Vec<Part> {
    vec![
        part("read", 1.0, baseline.bulk.warm_read_s_per_gib),
        part("seal the transport's records", 1.0, baseline.bulk.aead_seal_s_per_gib),
        part("send", 1.0, baseline.bulk.tcp_send_s_per_gib),
    ]
}

/// The name's heads are asked for, then record and block come in one message; other nodes are pushed both.
fn small_put(nodes: f64, baseline: &Baseline) -> Vec<Part> {
    vec![
        part("socket round trip", 2.0 + 2.0 * (nodes - 1.0), baseline.socket_round_trip_us),
        part("check of a signature", nodes, baseline.ed25519_verify_us),
        part("append to the log", nodes, baseline.log_append_4kib_us),
    ]
}

/// The name's record is asked for, then its block.
fn small_get(baseline: &Baseline) -> Vec<Part> {
    vec![
        part("socket round trip", 2.0, baseline.socket_round_trip_us),
        part("read of 4 KiB", 2.0, baseline.read_4kib_us),
    ]
}

/// One part a line, for a person.
pub(super) fn table(parts: &Parts) -> String {
    let mut out = format!("parts, {}\n", parts.unit);
    for Part { name, times, each } in &parts.parts {
        let all = each * times;
        writeln!(out, "  {name:40}{times:>6.2} x {each:>8.3} = {all:>8.3}")
            .expect("a String takes everything");
    }
    let Parts { sum, measured, ratio, .. } = parts;
    out + &format!("  sum {sum:.3}, measured {measured:.3}: {ratio:.2} times its parts\n")
}
