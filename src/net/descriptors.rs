//! Descriptors: how many there are, and how many of them are for connections.
//!
//! Opens nothing. Invariant: what files need is taken off first, so that connections never leave the disk without any.

use crate::limits::{
    CONNECTIONS_MIN, DESCRIPTORS_OTHER, DESCRIPTORS_PER_WORKER, DRAFTS_OPEN_MAX, REMOVED_OPEN_MAX,
    SEGMENTS_OPEN_MAX,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fmt;

/// The process may not open enough files for a node to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFew {
    /// How many it may open.
    pub limit: usize,
    /// How many it must be allowed.
    pub needed: usize,
}

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, needed } = self;
        write!(
            f,
            "this process may open {limit} files and a node needs {needed} at the least: raise the hard limit \
             (ulimit -Hn {needed} in the shell, LimitNOFILE={needed} in a unit of systemd) and start dfsd again"
        )
    }
}

impl std::error::Error for TooFew {}

/// Raises the limit as far as is allowed; how many connections there may be at a time.
pub fn for_connections(workers: usize) -> Result<usize, TooFew> {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, most);
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    share(usize::try_from(current).unwrap_or(usize::MAX), workers)
}

fn share(limit: usize, workers: usize) -> Result<usize, TooFew> {
    let workers = workers.saturating_mul(DESCRIPTORS_PER_WORKER);
    let files = SEGMENTS_OPEN_MAX + DRAFTS_OPEN_MAX + REMOVED_OPEN_MAX;
    let others = (files + DESCRIPTORS_OTHER).saturating_add(workers);
    let connections = limit.saturating_sub(others);
    if connections < CONNECTIONS_MIN {
        return Err(TooFew { limit, needed: others.saturating_add(CONNECTIONS_MIN) });
    }
    Ok(connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_first_and_too_few_are_told() {
        let needed = share(0, 4).unwrap_err().needed;
        assert_eq!(share(needed - 1, 4), Err(TooFew { limit: needed - 1, needed }));
        assert_eq!(share(needed, 4), Ok(CONNECTIONS_MIN));
        assert_eq!(share(needed + 1, 4), Ok(CONNECTIONS_MIN + 1));
        assert_eq!(share(needed, 5).unwrap_err().needed, needed + DESCRIPTORS_PER_WORKER);
        assert!(share(usize::MAX, 4).is_ok());
    }
}
