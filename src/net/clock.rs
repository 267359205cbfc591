//! The clock: one that never goes back, beside the calendar.

use crate::time::{Instant, Now};
use std::time::{SystemTime, UNIX_EPOCH};

/// Begins at zero when it is made.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// From now on.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    /// What time it is, on both clocks.
    #[must_use]
    pub fn now(self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            instant: Instant(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
