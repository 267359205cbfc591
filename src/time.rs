//! Time as a value: handed in by the shells, never asked for.
//!
//! Knows no clock. Invariant: a stamp made here is greater than every stamp observed here before.

use crate::limits::{CALENDAR_MIN, EXPIRY_STEP, FUTURE_MAX};
use crate::seeded::{self, Bug};
use std::time::Duration;

/// Microseconds on a clock that never goes back and whose zero means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// The time elapsed since `earlier`; zero if that lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// A number of steps since 1970: the calendar as far as what expires is concerned.
pub type Step = u32;

/// Milliseconds of a step.
const STEP_MS: u64 = EXPIRY_STEP.as_secs() * 1000;

/// The last step that has begun by then.
#[must_use]
pub fn step_at(wall_ms: u64) -> Step {
    Step::try_from(wall_ms / STEP_MS).unwrap_or(Step::MAX)
}

/// The first step that does not begin before the time of a stamp; the last of all for one that was made by a wrong calendar,
/// which says nothing of when that was.
#[must_use]
pub fn step_after(stamp: u64) -> Step {
    match wall_ms_of(stamp) {
        ..CALENDAR_MIN => Step::MAX,
        wall_ms => Step::try_from(wall_ms.div_ceil(STEP_MS)).unwrap_or(Step::MAX),
    }
}

/// When a step begins.
#[must_use]
pub fn step_ms(step: Step) -> u64 {
    u64::from(step) * STEP_MS
}

/// Whether what expired at that time counts as of a step. What counts as of none has a time of which no step begins
/// (`uncounted_ms`).
#[must_use]
pub fn counts_at(expired_ms: u64, step: Step) -> bool {
    expired_ms > step_ms(step) && !is_uncounted(expired_ms)
}

/// Whether that is the time of what counts as of no step.
#[must_use]
pub fn is_uncounted(expired_ms: u64) -> bool {
    !expired_ms.is_multiple_of(STEP_MS)
}

/// The time of what expires then, and does not count as of any step.
#[must_use]
pub fn uncounted_ms(expired_ms: u64) -> u64 {
    (expired_ms / STEP_MS).saturating_mul(STEP_MS) + 1
}

/// So many steps are not less than this.
#[must_use]
pub fn steps_of(duration: Duration) -> Step {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Step::try_from(ms.div_ceil(STEP_MS)).unwrap_or(Step::MAX)
}

/// What time it is, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For timers.
    pub instant: Instant,
    /// Milliseconds since 1970 by this machine's calendar clock, which may jump.
    pub wall_ms: u64,
}

/// When a file was changed, by the calendar; before 1970 the seconds are negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FileTime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds after that second, below 10^9.
    pub nanos: u32,
}

impl FileTime {
    /// Milliseconds since 1970.
    #[must_use]
    pub fn from_ms(ms: i64) -> Self {
        let nanos = u32::try_from(ms.rem_euclid(1000)).unwrap_or_default() * 1_000_000;
        Self { seconds: ms.div_euclid(1000), nanos }
    }

    /// In milliseconds since 1970, rounded down.
    #[must_use]
    pub fn ms(self) -> i64 {
        self.seconds.saturating_mul(1000).saturating_add(i64::from(self.nanos / 1_000_000))
    }
}

/// Stamps lie below this: 48 bits of milliseconds with the top bit clear, which is the year 6429.
pub const STAMP_MAX: u64 = u64::MAX >> 1;

const COUNTER_BITS: u32 = 16;

/// A hybrid logical clock (Kulkarni and others, 2014): follows the calendar, never goes back, passes what it has seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    last: u64,
}

impl Clock {
    /// The stamp for an event at `wall_ms`, greater than all before it.
    pub fn tick(&mut self, wall_ms: u64) -> u64 {
        self.last = self.read(wall_ms).max(self.last + 1).min(STAMP_MAX);
        self.last
    }

    /// The clock's reading at `wall_ms`, without an event.
    #[must_use]
    pub fn read(&self, wall_ms: u64) -> u64 {
        stamp_at(wall_ms).max(self.last)
    }

    /// Takes note of a stamp made elsewhere. One that is more than `lead` ahead of the calendar moves nothing: the calendar
    /// and not this clock's own reading, or many small steps would be one great one.
    pub fn observe(&mut self, stamp: u64, wall_ms: u64, lead: Duration) {
        if stamp <= stamp_after(stamp_at(wall_ms), lead) || seeded::is_on(Bug::FollowAnyClock) {
            self.last = self.last.max(stamp);
        }
    }
}

/// The last stamp that is not dated in the future; `None` if the calendar itself is wrong, and nothing can be judged by it.
#[must_use]
pub fn latest_credible(wall_ms: u64) -> Option<u64> {
    (wall_ms >= CALENDAR_MIN).then(|| stamp_after(stamp_at(wall_ms), FUTURE_MAX))
}

/// The first stamp of a calendar millisecond.
#[must_use]
pub fn stamp_at(wall_ms: u64) -> u64 {
    wall_ms.min(STAMP_MAX >> COUNTER_BITS) << COUNTER_BITS
}

/// The calendar millisecond of a stamp.
#[must_use]
pub fn wall_ms_of(stamp: u64) -> u64 {
    stamp >> COUNTER_BITS
}

/// The stamp `lead` after another.
#[must_use]
pub fn stamp_after(stamp: u64, lead: Duration) -> u64 {
    let lead_ms = u64::try_from(lead.as_millis()).unwrap_or(u64::MAX);
    stamp.saturating_add(stamp_at(lead_ms)).min(STAMP_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_passes_itself_and_what_it_saw() {
        let mut clock = Clock::default();
        let first = clock.tick(1_000);
        assert!(clock.tick(1_000) > first);
        assert!(clock.tick(10) > first, "a calendar that jumps back moves nothing back");
        clock.observe(stamp_at(30_000), 1_000, Duration::from_secs(60));
        assert!(clock.tick(1_000) > stamp_at(30_000));
    }

    #[test]
    fn a_stamp_far_ahead_does_not_drag_the_clock_along() {
        let mut clock = Clock::default();
        clock.observe(stamp_at(10_000_000), 1_000, Duration::from_secs(60));
        assert_eq!(wall_ms_of(clock.tick(1_000)), 1_000);
        assert!(clock.tick(u64::MAX) <= STAMP_MAX);
    }

    #[test]
    fn many_small_steps_ahead_are_no_great_one() {
        let mut clock = Clock::default();
        let lead = Duration::from_secs(60);
        for _ in 0..600 {
            let ahead = stamp_after(clock.read(1_000), Duration::from_secs(59));
            clock.observe(ahead, 1_000, lead);
        }
        assert!(wall_ms_of(clock.read(1_000)) <= 61_000, "{}", wall_ms_of(clock.read(1_000)));
    }

    #[test]
    fn a_step_is_of_ten_seconds_and_begins_no_earlier_than_what_it_is_after() {
        for after_ms in [0, 1, 9_999, 10_000, 10_001] {
            let (now, step) =
                (CALENDAR_MIN + after_ms, step_after(stamp_at(CALENDAR_MIN + after_ms)));
            assert!(step_ms(step) >= now && step_ms(step - 1) < now);
            assert_eq!(step_at(step_ms(step)), step);
        }
        assert_eq!(step_after(stamp_at(CALENDAR_MIN - 1)), Step::MAX);
        assert_eq!((steps_of(Duration::from_secs(11)), steps_of(Duration::MAX)), (2, Step::MAX));
    }

    #[test]
    fn a_stamp_is_judged_only_by_a_credible_calendar() {
        assert_eq!(latest_credible(CALENDAR_MIN - 1), None);
        let latest = latest_credible(CALENDAR_MIN).unwrap();
        assert_eq!(wall_ms_of(latest), CALENDAR_MIN + 24 * 60 * 60 * 1000);
    }
}
