//! The harness: one run of `dfs-load`, as a program of its own.
//!
//! Knows its command line and its JSON, and no network. Invariant: a run that was begun is waited for; what is stopped
//! tells nothing.

use super::figures::Figures;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How soon a wait notices that it is to end.
const STEP: Duration = Duration::from_millis(20);

/// Runs a load, whose words come without the program's name.
pub(super) fn run<'a>(words: impl Iterator<Item = &'a str>) -> Result<Figures, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dfs-load"));
    let child = command.args(words).arg("--json").stdout(Stdio::piped()).spawn();
    let output = child.and_then(std::process::Child::wait_with_output);
    let output = output.map_err(|error| format!("dfs-load cannot be run: {error}"))?;
    // With errors among the operations it ends with 1, and tells them all the same.
    if output.stdout.is_empty() {
        return Err(format!("dfs-load failed: {}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("dfs-load told: {error}"))
}

/// The wish of whoever runs the suite that it end: Ctrl-C, which `dfs-load` gets too, or SIGTERM.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens to the signals of this process from now on: folders are then removed as at any other end.
    pub(super) fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop.0))?;
        }
        Ok(stop)
    }

    /// An error, if it is to end.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.0.load(Ordering::Relaxed) {
            true => Err("stopped before the end: no result".to_owned()),
            false => Ok(()),
        }
    }

    /// Sleeps, unless it is to end.
    pub(super) fn sleep(&self, duration: Duration) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < duration {
            self.check()?;
            std::thread::sleep(STEP);
        }
        self.check()
    }
}
