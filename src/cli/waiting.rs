//! Waiting for a daemon that is starting: a script runs `dfsd … &`, and `dfs` at once.
//!
//! Knows no command and no key. Invariants: what is waited for is a daemon of this machine that may still get ready, and
//! nothing that is certain; stdout gets nothing.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::cli::failure::{Exit, Failure};
use crate::cli::text::tell;
use crate::config;

/// A process has the folder: a daemon that starts there, or ends.
const STARTING_MAX: Duration = Duration::from_secs(5);
/// None has it yet.
const ABSENT_MAX: Duration = Duration::from_secs(2);
/// A person who sees nothing for so long is told why.
const SILENT_MAX: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The data folder of the daemon.
    data: Option<PathBuf>,
    begun: Instant,
    is_silent: bool,
}

impl Waiting {
    /// Waiting begins now; for nothing where no folder of this machine is meant.
    pub(crate) fn new(data: Option<PathBuf>, is_quiet: bool) -> Self {
        let is_silent = is_quiet || !io::stderr().is_terminal();
        Self { data, begun: Instant::now(), is_silent }
    }

    /// Waits a moment after a failure to reach the daemon; false if that is no use, or has been enough.
    pub(crate) fn goes_on_after(&mut self, failure: &Failure) -> bool {
        let Some(data) = &self.data else { return false };
        let elapsed = self.begun.elapsed();
        if failure.exit() != Some(Exit::Temporary) || elapsed >= STARTING_MAX {
            return false;
        }
        if elapsed >= ABSENT_MAX && !is_taken(data) {
            return false;
        }
        if elapsed >= SILENT_MAX && !self.is_silent {
            tell(format_args!("dfs: waiting for the daemon of {}", data.display()));
            self.is_silent = true;
        }
        thread::sleep(PAUSE);
        true
    }
}

/// Whether a process has the folder. Its lock is taken for a moment, as `store::fs` expects of others.
fn is_taken(data: &Path) -> bool {
    // Whatever else has the name, a pipe say, is not waited for.
    let how = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let Ok(file) = rustix::fs::open(config::lock_file(data), how, Mode::empty()) else {
        return false;
    };
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_folder_is_taken_while_a_process_has_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_taken(folder.path()), "there is no lock");
        let lock = File::create(config::lock_file(folder.path())).unwrap();
        assert!(!is_taken(folder.path()), "nobody has it");
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
        assert!(is_taken(folder.path()));
    }

    #[test]
    fn what_is_certain_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let waiting = |data: Option<&Path>, exit| {
            Waiting::new(data.map(Path::to_owned), true).goes_on_after(&Failure::new(exit, "test"))
        };
        assert!(waiting(Some(folder.path()), Exit::Temporary));
        assert!(!waiting(Some(folder.path()), Exit::Refused));
        assert!(!waiting(None, Exit::Temporary));
    }
}
