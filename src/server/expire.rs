//! Expiry: lets go of what has expired, a batch at a time, when its time has come.
//!
//! A machine. Knows no disk and no peer: what has expired is told as an event, and is known to have when it is durable that it
//! has. Invariant: one batch is under way at a time; where nothing expires nothing is done.

use super::context::Context;
use super::timers::Timer;
use crate::limits::{BOUND_LOOKS, EXPIRED_AT_ONCE, SUPERSEDED_MIN};
use crate::seeded::{self, Bug};
use crate::store::values::Expired;
use crate::time::{Instant, step_at};
use std::time::Duration;

/// What could not be written now is tried again after this long.
const AGAIN: Duration = Duration::from_secs(10);
/// The calendar is looked at so often, since it may jump.
const LOOK: Duration = Duration::from_hours(1);
/// The same of one that is wrong.
const LOOK_WRONG: Duration = Duration::from_secs(60);

/// After some of what a new bound has to be looked at for, others have their turn.
const MOMENT: Duration = Duration::from_micros(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Expire {
    /// A batch is on its way to the disk.
    under_way: bool,
    /// When the next is looked for.
    due: Option<Instant>,
    /// The last could not be written: no other is begun before.
    not_before: Option<Instant>,
    /// What is beyond the bound now has been for long enough then.
    ripe_at: Option<Instant>,
    batch: Vec<Expired>,
}

impl Expire {
    /// These have expired: it is to be made durable that they have.
    pub(super) fn poll_batch(&mut self) -> Option<Vec<Expired>> {
        (!self.batch.is_empty()).then(|| std::mem::take(&mut self.batch))
    }

    /// Sees to it that the next is let go when its time has come.
    pub(super) fn plan(&mut self, cx: &mut Context) {
        if self.under_way {
            return;
        }
        let catalog = &cx.index.catalog;
        let delay = |next_ms: u64| match cx.calendar_ms {
            Some(now_ms) => Duration::from_millis(next_ms.saturating_sub(now_ms)).min(LOOK),
            None => LOOK_WRONG,
        };
        let ripe = catalog.has_ripe().then_some(0);
        let expires = ripe
            .or_else(|| catalog.next_due())
            .map(|next_ms| cx.now.instant + delay(next_ms).max(MOMENT));
        let not_before = self.not_before.unwrap_or_default();
        let rebinds = catalog.is_rebinding().then(|| cx.now.instant + MOMENT);
        if catalog.has_beyond() && self.ripe_at.is_none() {
            self.ripe_at = Some(cx.now.instant + SUPERSEDED_MIN);
        }
        let at = [expires.map(|at| at.max(not_before)), rebinds, self.ripe_at];
        if let Some(at) = at.into_iter().flatten().min()
            && self.due.is_none_or(|due| at < due)
        {
            self.due = Some(at);
            cx.timers.set(at, Timer::Expire);
        }
    }

    /// It is time to look for what has expired.
    pub(super) fn look(&mut self, cx: &mut Context) {
        // One of a later time that was set before is of no use.
        if self.under_way || self.due.is_none_or(|due| due > cx.now.instant) {
            return;
        }
        self.due = None;
        cx.index.catalog.rebind(BOUND_LOOKS);
        if self.ripe_at.take_if(|at| *at <= cx.now.instant).is_some() {
            cx.index.catalog.ripen();
        }
        let may_write = self.not_before.is_none_or(|at| at <= cx.now.instant);
        if let Some(now_ms) = cx.calendar_ms.filter(|_| may_write) {
            self.not_before = None;
            cx.index.catalog.forget_expired(now_ms, EXPIRED_AT_ONCE);
            self.batch = cx.index.catalog.due(step_at(now_ms), EXPIRED_AT_ONCE);
            self.under_way = !self.batch.is_empty();
        }
        self.plan(cx);
    }

    /// It is durable, and in the index, that a batch has expired; or it could not be written.
    pub(super) fn ended(&mut self, cx: &mut Context, durable: bool) {
        self.under_way = !durable && seeded::is_on(Bug::ExpireOnce);
        self.not_before = (!durable).then(|| cx.now.instant + AGAIN);
        self.plan(cx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NameId, RecordId, VersionId};
    use crate::limits::{CALENDAR_MIN, EXPIRED_KNOWN, EXPIRY_STEP, SUPERSEDED_MIN, TOMBSTONE_LIFE};
    use crate::store::values::LogPlace;
    use crate::time::stamp_at;
    use crate::wire::record::{Record, RecordKind};

    /// A node whose calendar goes on, and what expires there.
    struct Setting {
        cx: Context,
        expire: Expire,
        passed: Duration,
    }

    impl Setting {
        fn new() -> Self {
            let mut setting = Self {
                cx: Context::for_tests(),
                expire: Expire::default(),
                passed: Duration::ZERO,
            };
            setting.cx.index.settings.retention = Duration::ZERO;
            let settings = setting.cx.index.settings;
            setting.cx.index.catalog.set(&settings);
            setting
        }

        fn version(seconds: u64) -> VersionId {
            let stamp = stamp_at(CALENDAR_MIN + seconds * 1000);
            VersionId { stamp, ..VersionId::default() }
        }

        fn put(&mut self, kind: RecordKind, seconds: u64, parents: &[u64]) -> RecordId {
            let bare = Record::unsigned(kind, NameId([7; 32]), Self::version(seconds));
            let parents = parents.iter().map(|parent| Self::version(*parent)).collect();
            let mut id = RecordId::default();
            id.0[..8].copy_from_slice(&seconds.to_be_bytes());
            let place = LogPlace { segment: 1, offset: 64, length: 200 };
            self.cx.index.catalog.insert(id, &Record { parents, ..bare }, place);
            self.expire.plan(&mut self.cx);
            id
        }

        /// So long passes: what has expired, and after how many seconds since the beginning.
        fn pass(&mut self, duration: Duration) -> Vec<(RecordId, u64)> {
            let end = self.cx.now.instant + duration;
            let begun = Context::for_tests().now;
            let mut expired = Vec::new();
            while let Some(at) = self.cx.timers.first().filter(|at| *at <= end) {
                let since = at.since(begun.instant);
                self.cx.now.instant = at;
                let now_ms = CALENDAR_MIN + u64::try_from(since.as_millis()).unwrap();
                self.cx.calendar_ms = self.cx.calendar_ms.map(|_| now_ms);
                self.cx.timers.take_due(at);
                self.expire.look(&mut self.cx);
                if let Some(batch) = self.expire.poll_batch() {
                    assert!(batch.len() <= EXPIRED_AT_ONCE);
                    for one in batch {
                        assert!(one.at_ms <= now_ms, "not before its time");
                        self.cx.index.catalog.expire(one, 1);
                        expired.push((one.id, since.as_secs()));
                    }
                    self.expire.ended(&mut self.cx, true);
                }
            }
            self.cx.now.instant = end;
            self.passed += duration;
            expired
        }
    }

    #[test]
    fn what_is_superseded_expires_in_steps_and_what_is_a_head_never_does() {
        let mut setting = Setting::new();
        let first = setting.put(RecordKind::File, 1, &[]);
        assert_eq!(setting.cx.timers.first(), None, "nothing expires");
        let second = setting.put(RecordKind::File, 13, &[1]);
        setting.put(RecordKind::File, 45, &[13]);
        setting.put(RecordKind::File, 46, &[]);
        // The first step after the stamp, and no less than the least time.
        let least = SUPERSEDED_MIN.as_secs();
        let step = EXPIRY_STEP.as_secs();
        let times = [2 * step + least, 5 * step + least];
        let year = Duration::from_hours(24 * 365);
        assert_eq!(setting.pass(year), [(first, times[0]), (second, times[1])]);
        assert_eq!(setting.cx.index.catalog.records(), 2);
        assert_eq!(setting.cx.index.catalog.expired_count(), 0, "they are forgotten");
        assert_eq!(setting.cx.timers.first(), None, "nothing more expires");
    }

    #[test]
    fn the_id_of_what_has_expired_is_known_for_a_while() {
        let mut setting = Setting::new();
        let first = setting.put(RecordKind::File, 1, &[]);
        setting.put(RecordKind::File, 2, &[1]);
        assert_eq!(setting.pass(EXPIRED_KNOWN).len(), 1);
        assert!(setting.cx.index.catalog.expired_ms(&first).is_some());
        assert!(setting.pass(Duration::from_hours(1)).is_empty());
        assert!(setting.cx.index.catalog.expired_ms(&first).is_none());
    }

    #[test]
    fn a_tombstone_stays_long_and_never_leaves_a_file_alone_that_it_hides() {
        let mut setting = Setting::new();
        setting.put(RecordKind::File, 1, &[]);
        let tombstone = setting.put(RecordKind::Tombstone, 2, &[1]);
        let beside = setting.put(RecordKind::File, 0, &[]);
        let year = Duration::from_hours(24 * 365);
        assert_eq!(setting.pass(year).len(), 1, "the file that it deletes");
        let now = setting.passed.as_secs();
        // Another deletes what was left: then both are tombstones.
        let last = setting.put(RecordKind::Tombstone, now, &[0]);
        let ids: Vec<_> = setting.pass(year).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, [tombstone, beside, last]);
        assert_eq!(setting.cx.index.catalog.records(), 0);
        let mut alone = Setting::new();
        let only = alone.put(RecordKind::Tombstone, 20, &[]);
        let [(id, at)] = alone.pass(year)[..] else { panic!("it expires") };
        assert_eq!((id, at), (only, 20 + TOMBSTONE_LIFE.as_secs()));
    }

    #[test]
    fn many_go_in_batches_and_what_could_not_be_written_goes_later() {
        let mut setting = Setting::new();
        let count = 3 * EXPIRED_AT_ONCE as u64;
        setting.put(RecordKind::File, 1, &[]);
        (2..=count).for_each(|stamp| _ = setting.put(RecordKind::File, stamp, &[stamp - 1]));
        setting.cx.now.instant = setting.cx.now.instant + Duration::from_secs(2 * count);
        setting.cx.calendar_ms = Some(CALENDAR_MIN + 2 * count * 1000);
        setting.expire.look(&mut setting.cx);
        assert_eq!(setting.expire.poll_batch().map(|batch| batch.len()), Some(EXPIRED_AT_ONCE));
        assert!(setting.expire.poll_batch().is_none());
        setting.expire.ended(&mut setting.cx, false);
        setting.expire.look(&mut setting.cx);
        assert!(setting.expire.poll_batch().is_none(), "not at once");
        assert_eq!(setting.pass(Duration::from_hours(24 * 365)).len() as u64, count - 1);
    }

    #[test]
    fn by_a_wrong_calendar_nothing_expires() {
        let mut setting = Setting::new();
        setting.cx.calendar_ms = None;
        setting.put(RecordKind::File, 1, &[]);
        setting.put(RecordKind::File, 2, &[1]);
        assert!(setting.pass(Duration::from_hours(24)).is_empty());
        setting.cx.calendar_ms = Some(0);
        assert_eq!(setting.pass(Duration::from_hours(24)).len(), 1);
    }
}
