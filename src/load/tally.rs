//! The tally: what happened, as histograms, sums and errors by kind; in all, and second by second.
//!
//! Knows no connection. Invariant: every operation that ended is in exactly one kind, and in one second.

use crate::session::ClientError;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Latencies above this are counted as this: nothing waits for an hour.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// Latencies in microseconds, three digits exact.
pub(super) type Latencies = Histogram<u64>;

pub(super) fn latencies() -> Latencies {
    Histogram::new_with_max(LATENCY_MAX_US, 3).expect("these bounds are valid")
}

/// Operations of one kind.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) latencies: Latencies,
    /// Bytes of files, to or fro.
    pub(super) bytes: u64,
}

/// One second of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Second {
    pub(super) operations: u64,
    pub(super) bytes: u64,
    pub(super) errors: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) max_us: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) kinds: BTreeMap<&'static str, Kind>,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) seconds: Vec<Second>,
    pub(super) elapsed: Duration,
    now: Second,
    now_latencies: Latencies,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            kinds: BTreeMap::new(),
            errors: BTreeMap::new(),
            seconds: Vec::new(),
            elapsed: Duration::ZERO,
            now: Second::default(),
            now_latencies: latencies(),
        }
    }

    /// An operation has ended well.
    pub(super) fn done(&mut self, kind: &'static str, latency: Duration, bytes: u64) {
        let micros =
            u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).clamp(1, LATENCY_MAX_US);
        let kind =
            self.kinds.entry(kind).or_insert_with(|| Kind { latencies: latencies(), bytes: 0 });
        kind.latencies.saturating_record(micros);
        kind.bytes += bytes;
        self.now.operations += 1;
        self.now.bytes += bytes;
        self.now_latencies.saturating_record(micros);
    }

    /// An operation has failed.
    pub(super) fn failed(&mut self, op: &str, why: &str) {
        *self.errors.entry(format!("{op}: {why}")).or_default() += 1;
        self.now.errors += 1;
    }

    /// A second is over.
    pub(super) fn tick(&mut self) {
        let mut second = std::mem::take(&mut self.now);
        second.p50_us = self.now_latencies.value_at_quantile(0.5);
        second.p99_us = self.now_latencies.value_at_quantile(0.99);
        second.max_us = self.now_latencies.max();
        self.now_latencies.reset();
        self.seconds.push(second);
    }

    pub(super) fn operations(&self) -> u64 {
        self.kinds.values().map(|kind| kind.latencies.len()).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.kinds.values().map(|kind| kind.bytes).sum()
    }

    pub(super) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// All kinds together.
    pub(super) fn all(&self) -> Latencies {
        let mut all = latencies();
        for kind in self.kinds.values() {
            all.add(&kind.latencies).expect("all have the same bounds");
        }
        all
    }
}

/// An error's kind, in a few words that are the same for all of its kind.
pub(super) fn kind_of(error: &ClientError) -> &'static str {
    match error {
        ClientError::NotFound => "not found",
        ClientError::Exists => "exists",
        ClientError::Changed => "changed meanwhile",
        ClientError::Future => "dated in the future",
        ClientError::Unreachable(_) => "unreachable",
        ClientError::Disconnected(_) => "disconnected",
        ClientError::Silent => "no answer in time",
        ClientError::Unavailable => "unavailable",
        ClientError::NotTaken => "not taken",
        ClientError::Damaged(_) => "damaged",
        ClientError::Forged => "forged",
        ClientError::WrongNetwork => "wrong network",
        ClientError::NoDataKey | ClientError::NoWriteKey => "missing key",
        ClientError::Refused(..) => "refused",
        ClientError::Protocol(_) => "protocol",
        ClientError::Aborted => "aborted",
        ClientError::BadName => "bad name",
        ClientError::LongAttributes => "long attributes",
        ClientError::BeyondEnd { .. } => "beyond the end",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_once() {
        let mut tally = Tally::new();
        tally.done("put", Duration::from_micros(100), 10);
        tally.done("get", Duration::from_micros(300), 20);
        tally.failed("get", "silent");
        tally.tick();
        tally.done("put", Duration::from_secs(100_000), 0);
        tally.tick();
        assert_eq!((tally.operations(), tally.bytes(), tally.error_count()), (3, 30, 1));
        let seconds: Vec<_> = tally.seconds.iter().map(|s| (s.operations, s.errors)).collect();
        assert_eq!(seconds, [(2, 1), (1, 0)]);
        assert_eq!(tally.all().len(), 3);
        assert_eq!(tally.seconds[0].max_us, 300);
    }
}
