//! Signals that would end a program where an error says it better.
//!
//! Knows no command. Invariant: a write past the limit on the size of files fails, and nothing else happens.

use crate::seeded::{self, Bug};
use signal_hook::consts::SIGXFSZ;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// From now on a file that may not grow is an error of the write, as a full disk is: the signal that comes with it is
/// taken, and nobody asks for it.
pub fn survive_file_limits() {
    if !seeded::is_on(Bug::DieOfFileLimit) {
        // Where that can't be done the system does as it always did.
        let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    }
}
