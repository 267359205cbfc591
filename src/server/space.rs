//! Space: what the disk is believed to have left, between the times when it is asked.
//!
//! Knows no disk. Invariant: what was promised since the last answer is taken off, so that the disk is filled by nobody
//! who was told that there is room.

use super::context::Context;
use super::work::Job;
use crate::limits::SEGMENT;
use crate::store::values::{self, DiskError};
use crate::time::Instant;
use std::time::Duration;

/// How long it is believed that the disk has the room that it had, less what was taken.
const SPACE_AGE: Duration = Duration::from_millis(100);

/// What is said to who brings more than the disk may take.
pub(super) const FULL: &str =
    "the disk is full, or has no more left than the reserve (dfsd --reserve)";

/// What the disk has left.
#[derive(Debug)]
pub(super) struct Space {
    left: values::Space,
    asked: bool,
    /// Space was freed since it was asked: what it answers may be from before.
    again: bool,
    /// When it was answered.
    known: Instant,
}

impl Space {
    /// Nothing is known yet, and nobody is refused for that.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: values::Space { usable: u64::MAX, free: 0 },
            asked: false,
            again: false,
            known: now,
        }
    }

    /// Whether so many bytes more fit in.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        self.left.usable > bytes
    }

    /// In all, the reserve included.
    pub(super) fn free(&self) -> u64 {
        self.left.free
    }

    /// The disk has told what it has left, of which so many bytes are promised already. What is usable.
    fn answered(
        &mut self,
        now: Instant,
        promised: u64,
        result: Result<values::Space, DiskError>,
    ) -> Result<u64, DiskError> {
        self.asked = false;
        self.known = now;
        let space = result?;
        self.left = values::Space { usable: space.usable.saturating_sub(promised), ..space };
        Ok(space.usable)
    }

    /// So little is left that it is asked each time, since the log sets aside more than it was given.
    fn is_near_full(&self) -> bool {
        self.left.usable < 2 * SEGMENT
    }

    /// The disk has refused something for want of room.
    pub(super) fn ran_out(&mut self) {
        self.left.usable = 0;
    }
}

impl Context {
    pub(super) fn ask_space(&mut self) {
        if !std::mem::replace(&mut self.space.asked, true) {
            self.job(Job::Space);
        }
    }

    /// Whether the disk has room for so many bytes more. It is asked again when it was asked some time ago, and each time
    /// when it is nearly full.
    pub(super) fn has_room(&mut self, bytes: u64) -> bool {
        let room = self.space.fits(bytes);
        if !room
            || self.space.is_near_full()
            || self.now.instant.since(self.space.known) >= SPACE_AGE
        {
            self.ask_space();
        }
        self.space.left.usable = self.space.left.usable.saturating_sub(bytes);
        room
    }

    /// Space was freed.
    pub(super) fn freed(&mut self) {
        if self.space.is_near_full() {
            self.space.again = self.space.asked;
            self.ask_space();
        }
    }

    /// The disk has told what it has left, of which so many bytes are promised already. What is usable, if that is known.
    pub(super) fn space_answered(
        &mut self,
        promised: u64,
        result: Result<values::Space, DiskError>,
    ) -> Option<u64> {
        let usable = self.space.answered(self.now.instant, promised, result);
        if std::mem::take(&mut self.space.again) {
            self.ask_space();
        }
        usable
            .inspect_err(|error| log::warn!("the free space of the disk is not known: {error:?}"))
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::output::Output;

    #[test]
    fn what_was_freed_while_the_disk_was_asked_is_asked_for_again() {
        let mut cx = Context::for_tests();
        let asked = |cx: &mut Context| {
            let outputs = std::mem::take(&mut cx.outputs).into_iter();
            outputs.filter(|output| matches!(output, Output::Job(Job::Space))).count()
        };
        cx.space.ran_out();
        cx.ask_space();
        cx.freed();
        assert_eq!(asked(&mut cx), 1, "one at a time");
        let left = |usable| Ok(values::Space { usable, free: usable });
        assert_eq!(cx.space_answered(0, left(0)), Some(0));
        assert_eq!(asked(&mut cx), 1);
        cx.space_answered(0, left(9 * SEGMENT));
        cx.freed();
        assert_eq!(asked(&mut cx), 0, "there is room");
    }
}
