//! The wish of whoever runs the harness that it end: Ctrl-C, or SIGTERM.
//!
//! Invariant: the wish ends every load and every wait for daemons; they are stopped and the folders removed as at any other
//! end, and no second signal ends that half way.

use signal_hook::consts::{SIGINT, SIGTERM};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How soon a wait notices.
const STEP: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens to the signals of this process from now on.
    pub(super) fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop.0))?;
        }
        Ok(stop)
    }

    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error, if it is to end.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.is_asked() { Err("stopped before the end: no result".to_owned()) } else { Ok(()) }
    }

    /// Sleeps, unless it is to end.
    pub(super) fn sleep(&self, duration: Duration) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < duration {
            self.check()?;
            std::thread::sleep(STEP.min(duration));
        }
        self.check()
    }
}
