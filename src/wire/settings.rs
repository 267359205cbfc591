//! Settings of a network: what its nodes keep of the past, and for how long.
//!
//! Knows no record that sets one. Invariant: values only.

use crate::limits::{GRACE_DEFAULT, RETENTION_DEFAULT};
use std::time::Duration;

/// What is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A version goes this long after another has superseded it.
    pub retention: Duration,
    /// Or earlier: so many superseded versions of a name stay at most. `None` for no bound.
    pub keep_versions: Option<u64>,
    /// What no version has ever named goes this long after it came.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { retention: RETENTION_DEFAULT, keep_versions: None, grace: GRACE_DEFAULT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_set_has_a_default() {
        let days = |count: u64| Duration::from_hours(24 * count);
        let Settings { retention, keep_versions, grace } = Settings::default();
        assert_eq!((retention, keep_versions, grace), (days(30), None, days(1)));
    }
}
