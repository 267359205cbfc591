//! Ctrl-C and SIGTERM: a person wants a command to end.
//!
//! Knows no command. Invariant: a command that is told to end does so within a second, says that, and leaves no file that is
//! not whole.

use crate::cli::{progress, text};
use crate::client::Interrupt;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// In which a command that is told to end does so by itself: it knows what it has done. Then it is ended.
const GRACE: Duration = Duration::from_millis(700);
const STEP: Duration = Duration::from_millis(5);

/// The first signal that came.
static CAUGHT: AtomicI32 = AtomicI32::new(0);
static INTERRUPT: LazyLock<Interrupt> = LazyLock::new(Interrupt::default);
/// Files under temporary names.
static TEMPORARY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// From now on Ctrl-C and SIGTERM end the command with a word about what is done; a second one ends it at once.
pub(crate) fn listen() {
    // Where that cannot be done they end the program as they always did.
    let _ = thread::Builder::new().name("signals".to_owned()).spawn(|| {
        if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) {
            watch(&mut signals);
        }
    });
}

fn watch(signals: &mut Signals) {
    let Some(signal) = signals.forever().next() else { return };
    CAUGHT.store(signal, Ordering::SeqCst);
    INTERRUPT.request();
    let begun = Instant::now();
    while begun.elapsed() < GRACE && signals.pending().next().is_none() {
        thread::sleep(STEP);
    }
    for path in &*TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner) {
        // Nothing can be done about an error.
        let _ = std::fs::remove_file(path);
    }
    text::tell("dfs: interrupted");
    progress::clear();
    std::process::exit(128 + signal);
}

/// The wish that the command ends, for whoever waits for the network.
pub(crate) fn wish() -> Interrupt {
    INTERRUPT.clone()
}

/// The command is to end.
pub(crate) fn is_caught() -> bool {
    CAUGHT.load(Ordering::SeqCst) != 0
}

/// The exit status of a command that a signal has ended.
pub(crate) fn status() -> Option<u8> {
    u8::try_from(CAUGHT.load(Ordering::SeqCst))
        .ok()
        .filter(|signal| *signal > 0)
        .map(|one| 128 + one)
}

/// A file under a temporary name: it is removed if the program has to end at once.
#[derive(Debug)]
pub(crate) struct Temporary(PathBuf);

impl Temporary {
    pub(crate) fn new(path: PathBuf) -> Self {
        TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
        Self(path)
    }

    /// In its folder.
    pub(crate) fn name(&self) -> &OsStr {
        self.0.file_name().unwrap_or_default()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}
