//! Signals that would end a program where an error says it better.
//!
//! Knows no command. Invariants: a write past the limit on the size of files fails, and nothing else happens; a hangup ends
//! nothing.

use crate::seeded::{self, Bug};
use signal_hook::consts::{SIGHUP, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// From now on a file that may not grow is an error of the write, as a full disk is: the signal that comes with it is
/// taken, and nobody asks for it.
pub fn survive_file_limits() {
    if !seeded::is_on(Bug::DieOfFileLimit) {
        // Where that cannot be done the system does as it always did.
        let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    }
}

/// Does this at each SIGHUP from now on, in a thread of its own.
///
/// # Errors
/// The system gives no thread, or no way to wait for signals.
pub fn on_hangup(mut action: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP])?;
    let thread = std::thread::Builder::new().name("hangup".to_owned());
    thread.spawn(move || signals.forever().for_each(|_| action()))?;
    Ok(())
}
