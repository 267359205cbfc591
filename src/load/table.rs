//! Tables: what is told of a run to a person at a terminal.
//!
//! Decides nothing. Invariant: every figure has its unit.

use super::figures::{Figures, GIB, Latency, MIB, real};
use super::tally::Tally;
use crate::cli::text::counted;
use std::fmt::Write;

/// One line while a run goes on.
pub(super) fn live(tally: &Tally, whole: Option<u64>) -> String {
    let second = tally.seconds.last().copied().unwrap_or_default();
    let share = whole.map(|whole| format!(" of {whole}")).unwrap_or_default();
    format!(
        "{} s  {}{share} done  {}/s  {:.1} MiB/s  p50 {}  p99 {}  {} errors",
        tally.seconds.len(),
        tally.operations(),
        second.operations,
        real(second.bytes) / MIB,
        time(second.p50_us),
        time(second.p99_us),
        tally.error_count(),
    )
}

/// The whole, at the end.
pub(super) fn whole(figures: &Figures) -> String {
    let mut out = String::new();
    head(figures, &mut out);
    latencies(figures, &mut out);
    costs(figures, &mut out);
    idle(figures, &mut out);
    for (kind, count) in &figures.errors {
        line(&mut out, format_args!("error: {kind}: {count}"));
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes everything");
}

fn head(figures: &Figures, out: &mut String) {
    let how = match figures.rate {
        Some(rate) => format!("open loop at {rate}/s"),
        None => format!("closed loop, depth {}", figures.depth),
    };
    let (name, nodes) = (figures.workload, figures.nodes);
    let connections = counted(figures.connections.into(), "connection");
    line(out, format_args!("{name}: {connections} to {}, {how}", counted(nodes as u64, "node")));
    line(
        out,
        format_args!(
            "{} operations in {:.2} s: {:.0}/s, {:.1} MiB/s{}",
            figures.operations,
            figures.seconds,
            figures.operations_per_second,
            figures.mib_per_second,
            if figures.verified { ", every byte compared" } else { "" },
        ),
    );
    if let Some(settled) = figures.settled_seconds {
        line(out, format_args!("replication completed {settled:.2} s after the last operation"));
    }
}

fn latencies(figures: &Figures, out: &mut String) {
    let heads = ["p50", "p90", "p99", "p99.9", "max"];
    let [a, b, c, d, e] = heads;
    line(out, format_args!("\n{:12}{:>10}{a:>10}{b:>10}{c:>10}{d:>10}{e:>10}", "", "count"));
    let one = figures.kinds.len() == 1;
    let all = (!one).then_some(("all", &figures.latency));
    for (name, latency) in figures.kinds.iter().map(|(name, l)| (*name, l)).chain(all) {
        latency_line(name, latency, out);
    }
}

fn latency_line(name: &str, latency: &Latency, out: &mut String) {
    let Latency { p50_us, p90_us, p99_us, p999_us, max_us, count, .. } = *latency;
    let [a, b, c, d, e] = [p50_us, p90_us, p99_us, p999_us, max_us].map(time);
    line(out, format_args!("{name:12}{count:>10}{a:>10}{b:>10}{c:>10}{d:>10}{e:>10}"));
}

fn costs(figures: &Figures, out: &mut String) {
    let Some(costs) = &figures.costs else { return };
    line(
        out,
        format_args!(
            "\n{:12}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "", "CPU s", "us/op", "s/GiB", "peak RSS", "written"
        ),
    );
    let (operations, gib) = (real(figures.operations), real(figures.bytes) / GIB);
    let row = |cpu: f64| {
        let each = super::figures::ratio(1e6 * cpu, operations);
        format!("{cpu:>10.2}{each:>10.1}{:>10.2}", super::figures::ratio(cpu, gib))
    };
    for (number, usage) in (1..).zip(&costs.daemons) {
        let (peak, written) = (size(usage.peak_rss_bytes), size(usage.written_bytes));
        let name = format!("node {number}");
        line(out, format_args!("{name:12}{}{peak:>10}{written:>10}", row(usage.cpu_seconds)));
    }
    line(out, format_args!("{:12}{}", "all nodes", row(costs.daemon_cpu_seconds)));
    line(out, format_args!("{:12}{}", "dfs-load", row(costs.client_cpu_seconds)));
    line(out, format_args!("{:12}{:>10}", "network", size(costs.network_bytes)));
}

fn idle(figures: &Figures, out: &mut String) {
    let Some(idle) = &figures.idle else { return };
    line(
        out,
        format_args!(
            "\n{} idle connections: {:.0} bytes each in the daemon, {:.2} % of a core",
            idle.connections,
            idle.daemon_bytes_per_connection,
            100.0 * idle.daemon_cpu_share,
        ),
    );
    latency_line("reader alone", &idle.alone, out);
    latency_line("among them", &idle.among, out);
}

/// Microseconds, for a person.
pub(super) fn time(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..10_000_000 => format!("{:.1} ms", real(micros) / 1e3),
        _ => format!("{:.1} s", real(micros) / 1e6),
    }
}

/// Bytes, for a person.
pub(super) fn size(bytes: u64) -> String {
    let units = [("GiB", GIB), ("MiB", MIB), ("KiB", 1024.0)];
    let fits = units.iter().find(|(_, unit)| real(bytes) >= *unit);
    fits.map_or(format!("{bytes} B"), |(name, unit)| format!("{:.1} {name}", real(bytes) / unit))
}
