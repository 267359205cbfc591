//! The parts: what an operation would cost if nothing but what it can't do without cost anything.
//!
//! Knows figures alone. Invariant: a part is counted as often as the design makes it necessary, not as often as it is
//! done: what is done twice shows as a ratio.

use super::args::Workload;
use super::figures::{Figures, Part, Parts, real};
use super::yardstick::Yardstick;

/// Files of at least this size on average are counted by their bytes.
const LARGE: f64 = 262_144.0;

/// The parts of a run on daemons of this machine; none for what has no definite parts.
pub(super) fn of(workload: Workload, figures: &Figures, stick: &Yardstick) -> Option<Parts> {
    let costs = figures.costs.as_ref()?;
    let nodes = real(figures.nodes as u64);
    let (parts, unit, measured) = match (workload, is_large(figures)) {
        (Workload::Put | Workload::Overwrite, true) => {
            (large_put(nodes, stick), "s/GiB, all daemons", costs.daemon_cpu_seconds_per_gib)
        }
        (Workload::Get, true) => {
            (large_get(stick), "s/GiB, all daemons", costs.daemon_cpu_seconds_per_gib)
        }
        (Workload::Put | Workload::Overwrite, false) => {
            (small_put(nodes, stick), "us/operation, all daemons", costs.daemon_us_per_operation)
        }
        (Workload::Get, false) => {
            (small_get(stick), "us/operation, all daemons", costs.daemon_us_per_operation)
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
    let ratio = super::figures::ratio(measured, sum);
    Some(Parts { unit: unit.to_owned(), parts, sum, measured, ratio })
}

/// Whether costs are counted by bytes, or else by operations.
pub(super) fn is_large(figures: &Figures) -> bool {
    real(figures.bytes) > LARGE * real(figures.operations)
}

/// What the client can't do without for one GiB: of a large put or get, seconds of a processor.
pub(super) fn of_client(workload: Workload, stick: &Yardstick) -> Option<f64> {
    let (tree, cipher) = (stick.bulk.tree_hash_s_per_gib, stick.bulk.aes_256_ctr_s_per_gib);
    match workload {
        // The key comes from the plaintext's tree, the address is the ciphertext's.
        Workload::Put => Some(
            2.0 * tree + cipher + stick.bulk.aead_seal_s_per_gib + stick.bulk.tcp_send_s_per_gib,
        ),
        Workload::Get => {
            Some(tree + cipher + stick.bulk.aead_open_s_per_gib + stick.bulk.tcp_receive_s_per_gib)
        }
        Workload::Mixed
        | Workload::Overwrite
        | Workload::List
        | Workload::Delete
        | Workload::Connect
        | Workload::Idle => None,
    }
}

fn part(name: &str, times: f64, each: f64) -> Part {
    Part { name: name.to_owned(), times, each }
}

/// Every node takes every byte in; all but one get it from another.
fn large_put(nodes: f64, stick: &Yardstick) -> Vec<Part> {
    vec![
        part("receive", nodes, stick.bulk.tcp_receive_s_per_gib),
        part("open the transport's records", nodes, stick.bulk.aead_open_s_per_gib),
        part("tree hash", nodes, stick.bulk.tree_hash_s_per_gib),
        part("write and flush", nodes, stick.bulk.durable_write_s_per_gib),
        part("read for another node", nodes - 1.0, stick.bulk.warm_read_s_per_gib),
        part("seal the transport's records", nodes - 1.0, stick.bulk.aead_seal_s_per_gib),
        part("send", nodes - 1.0, stick.bulk.tcp_send_s_per_gib),
    ]
}

fn large_get(stick: &Yardstick) -> Vec<Part> {
    vec![
        part("read", 1.0, stick.bulk.warm_read_s_per_gib),
        part("seal the transport's records", 1.0, stick.bulk.aead_seal_s_per_gib),
        part("send", 1.0, stick.bulk.tcp_send_s_per_gib),
    ]
}

/// The name's heads are asked for, then record and block come in one message; other nodes are pushed both.
fn small_put(nodes: f64, stick: &Yardstick) -> Vec<Part> {
    vec![
        part("socket round trip", 2.0 + 2.0 * (nodes - 1.0), stick.socket_round_trip_us),
        part("check of a signature", nodes, stick.ed25519_verify_us),
        part("append to the log", nodes, stick.log_append_4kib_us),
    ]
}

/// The name's record is asked for, then its block.
fn small_get(stick: &Yardstick) -> Vec<Part> {
    vec![
        part("socket round trip", 2.0, stick.socket_round_trip_us),
        part("read of 4 KiB", 2.0, stick.read_4kib_us),
    ]
}
