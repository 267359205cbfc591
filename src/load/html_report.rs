//! The page: one self-contained HTML file with throughput and latency over time, for a person.
//!
//! Decides nothing, loads nothing. Invariant: no text from outside is written unescaped, and the page needs no network.

use super::figures::{Figures, Latency, PerSecond, real};
use super::table::{size, time};
use crate::cli::text::counted;
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 220.0;
/// Room for the axis' texts.
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 24.0;

const STYLE: &str = "\
:root{--ink:#1d2430;--dim:#68707d;--line:#d9dde4;--paper:#fff;--one:#2563b8;--two:#d9822b;--three:#b3392f}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--dim:#9aa3b0;--line:#363d48;--paper:#15181d;--one:#6aa5f0;\
--two:#f0a860;--three:#f07a6f}}\
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:900px;margin:2rem auto;\
padding:0 1rem}h1{font-size:1.35rem;margin:0}h2{font-size:1rem;margin:2rem 0 .3rem}p{color:var(--dim);margin:.2rem 0}\
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.6rem 0}\
td,th{padding:.18rem .9rem .18rem 0;text-align:right;border-bottom:1px solid var(--line)}\
th{color:var(--dim);font-weight:500}td:first-child,th:first-child{text-align:left}\
.big{display:flex;flex-wrap:wrap;gap:.6rem 2.4rem;margin:1.2rem 0}.big b{display:block;font-size:1.6rem;\
font-weight:600;font-variant-numeric:tabular-nums}.big span{color:var(--dim)}svg{width:100%;height:auto;display:block}\
svg text{font:11px system-ui,sans-serif;fill:var(--dim)}.grid{stroke:var(--line)}.one{stroke:var(--one)}\
.two{stroke:var(--two)}.three{stroke:var(--three)}path{fill:none;stroke-width:1.8}.fill{fill:var(--one);opacity:.14;\
stroke:none}.key i{display:inline-block;width:.9rem;height:.2rem;margin:0 .3rem .2rem 1rem;vertical-align:middle}\
.bad{color:var(--three)}";

/// The whole page.
pub(super) fn page(figures: &Figures) -> String {
    let mut out = String::new();
    let name = figures.workload;
    write!(
        out,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>dfs-load {name}</title><style>{STYLE}</style><h1>dfs-load {name}</h1><p>{}</p>",
        escaped(&subtitle(figures))
    )
    .expect("a String takes everything");
    numbers(figures, &mut out);
    let seconds = &figures.per_second[..figures.per_second.len().saturating_sub(1).max(1)];
    let rates: Vec<f64> = seconds.iter().map(|second| real(second.operations)).collect();
    out.push_str("<h2>Operations each second</h2>");
    chart(&mut out, &[("one", &rates)], |value| format!("{value:.0}"));
    if figures.bytes > 0 {
        let rates: Vec<f64> = seconds.iter().map(|second| second.mib).collect();
        out.push_str("<h2>MiB each second</h2>");
        chart(&mut out, &[("one", &rates)], |value| format!("{value:.1}"));
    }
    out.push_str("<h2>Latency</h2><p class=key>");
    for (color, name) in [("one", "median"), ("two", "99th percentile"), ("three", "slowest")] {
        write!(out, "<i style=\"background:var(--{color})\"></i>{name}")
            .expect("a String takes everything");
    }
    out.push_str("</p>");
    let line = |value: fn(&PerSecond) -> u64| -> Vec<f64> {
        seconds.iter().map(|second| real(value(second))).collect()
    };
    let (p50, p99, max) = (line(|s| s.p50_us), line(|s| s.p99_us), line(|s| s.max_us));
    let micros = |value: f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a label")]
        let whole = value as u64;
        time(whole)
    };
    chart(&mut out, &[("three", &max), ("two", &p99), ("one", &p50)], micros);
    latencies(figures, &mut out);
    costs(figures, &mut out);
    errors(figures, &mut out);
    out
}

fn subtitle(figures: &Figures) -> String {
    let how = match figures.rate {
        Some(rate) => format!("open loop at {rate} a second"),
        None => format!("closed loop, {} in flight on each", figures.depth),
    };
    let checked = if figures.verified { ", every byte compared" } else { "" };
    let connections = counted(figures.connections.into(), "connection");
    let (nodes, seed) = (counted(figures.nodes as u64, "node"), figures.seed);
    format!("{connections} to {nodes}, {how}, seed {seed}{checked}")
}

fn numbers(figures: &Figures, out: &mut String) {
    let latency = &figures.latency;
    let all = [
        (format!("{:.0}", figures.operations_per_second), "operations a second"),
        (format!("{:.1}", figures.mib_per_second), "MiB a second"),
        (time(latency.p50_us), "median"),
        (time(latency.p99_us), "99th percentile"),
        (figures.error_count.to_string(), "errors"),
    ];
    out.push_str("<div class=big>");
    for (number, what) in all {
        write!(out, "<span><b>{number}</b>{what}</span>").expect("a String takes everything");
    }
    out.push_str("</div>");
}

/// Lines over the seconds of a run, from zero.
fn chart(out: &mut String, lines: &[(&str, &[f64])], label: impl Fn(f64) -> String) {
    let highest = lines.iter().flat_map(|(_, line)| line.iter()).fold(0.0_f64, |a, b| a.max(*b));
    let top = round_up(highest);
    let count = lines.first().map_or(0, |(_, line)| line.len());
    write!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img>")
        .expect("a String takes everything");
    let (width, height) = (WIDTH - LEFT - 8.0, HEIGHT - BOTTOM - 8.0);
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let y = 8.0 + height * (1.0 - share);
        let text = label(top * share);
        write!(
            out,
            "<line class=grid x1={LEFT} x2={WIDTH} y1={y:.1} y2={y:.1} /><text x={:.0} y={:.1} text-anchor=end>{text}</text>",
            LEFT - 6.0,
            y + 4.0
        )
        .expect("a String takes everything");
    }
    let last = real(count.saturating_sub(1).max(1) as u64);
    for step in 0..=4 {
        let x = LEFT + width * f64::from(step) / 4.0;
        let second = last * f64::from(step) / 4.0;
        let y = HEIGHT - 6.0;
        write!(out, "<text x={x:.0} y={y:.0} text-anchor=middle>{second:.0} s</text>")
            .expect("a String takes everything");
    }
    for (color, line) in lines {
        let point = |(at, value): (usize, &f64)| {
            let x = LEFT + width * real(at as u64) / last;
            let y = 8.0 + height * (1.0 - value / top);
            format!("{x:.1} {y:.1}")
        };
        let points: Vec<String> = line.iter().enumerate().map(point).collect();
        let path = points.join("L");
        if lines.len() == 1 && !points.is_empty() {
            let (floor, end) = (8.0 + height, LEFT + width * real(count as u64 - 1) / last);
            write!(out, "<path class=fill d=\"M{LEFT} {floor}L{path}L{end:.1} {floor}Z\" />")
                .expect("a String takes everything");
        }
        write!(out, "<path class={color} d=\"M{path}\" />").expect("a String takes everything");
    }
    out.push_str("</svg>");
}

/// The next number that reads well.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let unit = 10_f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * unit)
        .find(|step| *step >= value)
        .unwrap_or(10.0 * unit)
}

fn latencies(figures: &Figures, out: &mut String) {
    out.push_str("<table><tr><th><th>count<th>median<th>p90<th>p99<th>p99.9<th>slowest");
    let all = (figures.kinds.len() > 1).then_some(("all", &figures.latency));
    for (name, latency) in figures.kinds.iter().map(|(name, one)| (*name, one)).chain(all) {
        let Latency { count, p50_us, p90_us, p99_us, p999_us, max_us, .. } = *latency;
        write!(out, "<tr><td>{name}<td>{count}").expect("a String takes everything");
        for micros in [p50_us, p90_us, p99_us, p999_us, max_us] {
            write!(out, "<td>{}", time(micros)).expect("a String takes everything");
        }
    }
    out.push_str("</table>");
}

fn costs(figures: &Figures, out: &mut String) {
    let Some(costs) = &figures.costs else { return };
    out.push_str("<h2>What it cost</h2><table><tr><th><th>CPU<th>peak memory<th>written");
    for (number, usage) in (1..).zip(&costs.daemons) {
        write!(
            out,
            "<tr><td>node {number}<td>{:.2} s<td>{}<td>{}",
            usage.cpu_seconds,
            size(usage.peak_rss_bytes),
            size(usage.written_bytes)
        )
        .expect("a String takes everything");
    }
    write!(
        out,
        "<tr><td>dfs-load<td>{:.2} s<td><td></table><p>{:.1} us an operation and {:.2} CPU s a GiB in all daemons; {} over \
         the network.</p>",
        costs.client_cpu_seconds,
        costs.daemon_us_per_operation,
        costs.daemon_cpu_seconds_per_gib,
        size(costs.network_bytes)
    )
    .expect("a String takes everything");
}

fn errors(figures: &Figures, out: &mut String) {
    if figures.errors.is_empty() {
        return;
    }
    out.push_str("<h2 class=bad>Errors</h2><table>");
    for (kind, count) in &figures.errors {
        write!(out, "<tr><td>{}<td>{count}", escaped(kind)).expect("a String takes everything");
    }
    out.push_str("</table>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_numbers_that_read_well() {
        for (value, expected) in
            [(0.0, 1.0), (1.0, 1.0), (1.2, 1.5), (7.0, 8.0), (99.0, 100.0), (410.0, 500.0)]
        {
            assert!((round_up(value) - expected).abs() < 1e-9, "{value}: {}", round_up(value));
        }
    }

    #[test]
    fn nothing_is_written_raw() {
        assert_eq!(escaped("<b>&"), "&lt;b&gt;&amp;");
    }
}
