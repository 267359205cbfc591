//! The calendar, also of a machine whose own is plainly wrong: then that counts which half of the connected nodes say.
//!
//! Things expire by one that is not far ahead of what they say, since what has expired does not come back: a calendar that has
//! jumped ahead by a year costs nothing where half of the others have not. Knows no link's meaning. Invariant: a calendar that
//! may be right is never changed.

use crate::limits::{CALENDAR_MIN, FUTURE_MAX};
use crate::server::output::Link;
use crate::time::{Instant, Now, wall_ms_of};
use std::collections::BTreeMap;

/// A calendar's reading, and when that was.
#[derive(Debug, Clone, Copy)]
struct Reading {
    wall_ms: u64,
    at: Instant,
}

impl Reading {
    /// What it shows now.
    fn at(&self, now: Instant) -> u64 {
        let since = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.wall_ms.saturating_add(since)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    told: BTreeMap<Link, Reading>,
    /// What was last made of these: it holds when they have gone.
    median: Option<Reading>,
}

impl Calendar {
    /// A node's clock, as it said when it connected.
    pub(super) fn told(&mut self, link: Link, clock: u64, now: Instant) {
        let wall_ms = wall_ms_of(clock);
        if wall_ms >= CALENDAR_MIN {
            self.told.insert(link, Reading { wall_ms, at: now });
            self.judge(now);
        }
    }

    /// It has gone.
    pub(super) fn link_closed(&mut self, link: Link, now: Instant) {
        if self.told.remove(&link).is_some() && !self.told.is_empty() {
            self.judge(now);
        }
    }

    /// Of two in the middle the later: one that is too early would make everything a thing of the future.
    fn judge(&mut self, now: Instant) {
        let mut all: Vec<u64> = self.told.values().map(|reading| reading.at(now)).collect();
        all.sort_unstable();
        let median = all.get(all.len() / 2);
        self.median = median.map(|wall_ms| Reading { wall_ms: *wall_ms, at: now });
    }

    /// The time with the calendar that counts.
    pub(super) fn correct(&self, now: Now) -> Now {
        match self.median {
            Some(median) if now.wall_ms < CALENDAR_MIN => {
                Now { wall_ms: median.at(now.instant), ..now }
            }
            Some(_) | None => now,
        }
    }

    /// The calendar by which things expire: no more than a day ahead of what half of the nodes say or have said. None if it
    /// is wrong, and nobody knows better.
    pub(super) fn prudent(&self, now: Now) -> Option<u64> {
        let now_ms = self.correct(now).wall_ms;
        let ahead = u64::try_from(FUTURE_MAX.as_millis()).unwrap_or(u64::MAX);
        let median = self.median.map(|median| median.at(now.instant).saturating_add(ahead));
        let prudent = median.map_or(now_ms, |latest| now_ms.min(latest));
        (now_ms >= CALENDAR_MIN).then_some(prudent)
    }

    /// What a node's shows.
    pub(super) fn of(&self, link: Link, now: Instant) -> Option<u64> {
        self.told.get(&link).map(|reading| reading.at(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::stamp_at;
    use std::time::Duration;

    fn at(wall_ms: u64, seconds: u64) -> Now {
        Now { instant: Instant(0) + Duration::from_secs(seconds), wall_ms }
    }

    #[test]
    fn a_calendar_that_may_be_right_is_believed_before_any_other() {
        let mut calendar = Calendar::default();
        assert_eq!(calendar.correct(at(5, 0)), at(5, 0), "nobody knows better");
        calendar.told(1, stamp_at(CALENDAR_MIN + 9_000), at(0, 0).instant);
        assert_eq!(calendar.correct(at(CALENDAR_MIN, 0)), at(CALENDAR_MIN, 0));
        assert_eq!(calendar.correct(at(5, 2)), at(CALENDAR_MIN + 11_000, 2));
    }

    #[test]
    fn things_expire_by_a_calendar_that_is_not_far_ahead_of_the_others() {
        let mut calendar = Calendar::default();
        let (day, year) = (24 * 3600 * 1000, 365 * 24 * 3600 * 1000);
        assert_eq!(calendar.prudent(at(5, 0)), None);
        let ahead = at(CALENDAR_MIN + year, 0);
        assert_eq!(calendar.prudent(ahead), Some(ahead.wall_ms), "nobody says otherwise");
        calendar.told(1, stamp_at(CALENDAR_MIN), ahead.instant);
        assert_eq!(calendar.prudent(ahead), Some(CALENDAR_MIN + day));
        let near = at(CALENDAR_MIN + 7, 0);
        assert_eq!(calendar.prudent(near), Some(near.wall_ms));
        assert_eq!(calendar.of(1, at(0, 3).instant), Some(CALENDAR_MIN + 3_000));
        assert_eq!(calendar.of(2, at(0, 3).instant), None);
    }

    #[test]
    fn the_middle_of_what_nodes_say_counts_and_stays_when_they_go() {
        let mut calendar = Calendar::default();
        let now = at(0, 0).instant;
        for (link, wall_ms) in [(1, 7_000), (2, 1_000), (3, u64::MAX >> 20), (4, 9_000)] {
            calendar.told(link, stamp_at(CALENDAR_MIN + wall_ms), now);
        }
        calendar.told(5, stamp_at(CALENDAR_MIN - 1), now);
        assert_eq!(calendar.correct(at(0, 0)).wall_ms, CALENDAR_MIN + 9_000);
        (1..=5).for_each(|link| calendar.link_closed(link, now));
        assert!(calendar.correct(at(0, 1)).wall_ms >= CALENDAR_MIN + 10_000);
    }
}
