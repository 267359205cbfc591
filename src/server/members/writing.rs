//! Writing: when the file of peers is to be written, and whether it is being written.
//!
//! Knows no node. Invariants: a change is written down within the time that was asked for, with all that
//! has changed by then; and of two times that are asked for the later one costs nothing.

use super::address_book::AddressBook;
use crate::limits::SEEN_WRITTEN_EVERY;
use crate::server::context::Context;
use crate::server::timers::Timer;
use crate::server::work::Job;
use crate::time::Instant;
use std::time::Duration;

/// What has changed is written down after this long.
const SOON: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Writing {
    /// A timer is set for then.
    due: Option<Instant>,
    under_way: usize,
}

impl Writing {
    /// Something has changed that the next start needs.
    pub(super) fn soon(&mut self, cx: &mut Context) {
        self.within(cx, SOON);
    }

    /// It is to be written after this time at the latest.
    pub(super) fn within(&mut self, cx: &mut Context, delay: Duration) {
        let at = cx.now.instant + delay;
        if self.due.is_none_or(|due| at < due) {
            self.due = Some(at);
            cx.after(delay, Timer::PeersFile);
        }
    }

    /// Has it written if that is due; and again after a while if somebody is connected, who is seen meanwhile.
    pub(super) fn write_if_due(&mut self, cx: &mut Context, book: &AddressBook) {
        if self.begin(cx) {
            cx.job(Job::WritePeers { text: book.text(cx.now.wall_ms) });
            if book.is_anybody_connected() {
                self.within(cx, SEEN_WRITTEN_EVERY);
            }
        }
    }

    /// Whether it is to be written now; then it is under way. A timer that is out of date finds nothing to do.
    fn begin(&mut self, cx: &Context) -> bool {
        let is_due = self.due.is_some_and(|due| due <= cx.now.instant);
        if is_due {
            self.due = None;
            self.under_way += 1;
        }
        is_due
    }

    /// What was under way has ended.
    pub(super) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::limits::SEEN_WRITTEN_AFTER;

    #[test]
    fn many_changes_are_written_once_and_the_earliest_time_holds() {
        let mut cx = Context::for_tests();
        let mut writing = Writing::default();
        writing.within(&mut cx, SEEN_WRITTEN_AFTER);
        writing.soon(&mut cx);
        writing.soon(&mut cx);
        let mut written = 0;
        for _ in 0..700 {
            cx.now.instant = cx.now.instant + Duration::from_millis(100);
            while cx.timers.take_due(cx.now.instant).is_some() {
                written += usize::from(writing.begin(&cx));
            }
        }
        assert_eq!(written, 1);
        assert!(writing.is_under_way());
        writing.ended();
        assert!(!writing.is_under_way());
    }

    #[test]
    fn whoever_is_connected_is_written_down_now_and_then() {
        let mut cx = Context::for_tests();
        let mut book = AddressBook::new(NodeId([1; 32]), &[], &[], cx.now.instant);
        let mut writing = Writing::default();
        let mut written = |cx: &mut Context, book: &AddressBook, time: Duration| {
            writing.soon(cx);
            let end = cx.now.instant + time;
            let mut written = 0;
            while let Some(at) = cx.timers.first().filter(|at| *at <= end) {
                cx.now.instant = at;
                cx.timers.take_due(at);
                writing.write_if_due(cx, book);
                written += std::mem::take(&mut cx.outputs).len();
            }
            cx.now.instant = end;
            written
        };
        let hours = SEEN_WRITTEN_EVERY * 5 + SEEN_WRITTEN_AFTER;
        assert_eq!(written(&mut cx, &book, hours), 1, "nobody");
        book.connected(NodeId([2; 32]), 7, &[], cx.now);
        assert_eq!(written(&mut cx, &book, hours), 1 + 5);
    }
}
