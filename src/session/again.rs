//! Trying again what a node refused because the name had changed meanwhile.
//!
//! Knows no operation. Invariant: nobody is tried again without an end.

use crate::limits::{CHANGED_TRIES_MAX, OPERATION_TIMEOUT};
use crate::time::Instant;

/// How often one operation has been tried again, and since when.
#[derive(Debug, Default)]
pub(super) struct Again {
    tries: usize,
    first: Option<Instant>,
}

impl Again {
    /// Whether it may be tried once more.
    pub(super) fn once_more(&mut self, now: Instant) -> bool {
        let first = *self.first.get_or_insert(now);
        self.tries += 1;
        self.tries <= CHANGED_TRIES_MAX && now.since(first) < OPERATION_TIMEOUT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_retry_ends_by_count_and_by_time() {
        let mut again = Again::default();
        let tries = (0..1_000).filter(|_| again.once_more(Instant(7))).count();
        assert_eq!(tries, CHANGED_TRIES_MAX);
        let mut again = Again::default();
        assert!(again.once_more(Instant(7)));
        assert!(again.once_more(Instant(7) + Duration::from_secs(1)));
        assert!(!again.once_more(Instant(7) + OPERATION_TIMEOUT));
    }
}
