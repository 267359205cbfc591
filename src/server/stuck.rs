//! Records that could not be completed for now, and when they are tried again.
//!
//! Invariant: whoever is stuck is tried again after a while if there is somebody to ask, or if something has come that it
//! may lack; the pauses grow while nothing comes of it.

use super::{FileServer, Timer};
use crate::ids::RecordId;
use crate::planted::{self, Bug};
use crate::time::Now;
use std::collections::BTreeSet;
use std::time::Duration;

/// A record whose blocks could not all be had is tried again after this long, or when a peer connects.
const RETRY: Duration = Duration::from_secs(5);
/// The delay doubles so many times while nothing comes of it.
const RETRY_DOUBLINGS: u32 = 4;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    records: BTreeSet<RecordId>,
    retry_set: bool,
    /// Something has come since the last try that may be what one of them lacks.
    arrived: bool,
    /// Attempts since the last that brought something.
    retries: u32,
}

impl Stuck {
    /// One more.
    pub(super) fn insert(&mut self, record: RecordId) {
        self.records.insert(record);
    }

    /// An attempt has brought something.
    pub(super) fn brought(&mut self) {
        self.retries = 0;
    }
}

impl FileServer {
    pub(super) fn set_retry(&mut self, now: Now) {
        if !std::mem::replace(&mut self.stuck.retry_set, true) && !planted::is_on(Bug::ForgetRetry)
        {
            let doublings = self.stuck.retries.min(RETRY_DOUBLINGS);
            self.after(now, RETRY * (1 << doublings), Timer::Retry);
        }
    }

    /// A block or a page has come, from whomever: what is stuck may lack no more than that.
    pub(super) fn arrived_for_stuck(&mut self, now: Now) {
        if !self.stuck.records.is_empty() {
            self.stuck.arrived = true;
            self.set_retry(now);
        }
    }

    /// What was stuck is tried again; without a peer there is nobody to ask, and the first that comes is asked at once.
    pub(super) fn retry(&mut self, now: Now) {
        self.stuck.retry_set = false;
        let arrived = std::mem::take(&mut self.stuck.arrived);
        if arrived || !self.node_links().is_empty() {
            self.stuck.retries += 1;
            self.try_stuck(now);
        }
    }

    /// A peer has come that may have what was missing.
    pub(super) fn retry_soon(&mut self, now: Now) {
        self.stuck.retries = 0;
        self.try_stuck(now);
    }

    fn try_stuck(&mut self, now: Now) {
        self.retry_repairs(now);
        let stuck = std::mem::take(&mut self.stuck.records);
        for record in stuck {
            self.replicate(record, None);
        }
    }
}
