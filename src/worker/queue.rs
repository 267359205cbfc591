//! The queue before the workers: what somebody waits for, and what is done in the background.
//!
//! Knows nothing of what the jobs are. Invariant: of each kind of background work at most one job runs at a time, and one
//! thread is kept free of it all, if there are two. The foreground goes first, but never for so long that the background
//! stands still; and of a kind everybody for whom it is done has a turn, however much others have asked for.

use crate::limits::FOREGROUND_RUN;
use crate::seeded::{self, Bug};
use std::collections::{BTreeMap, VecDeque};

/// Background work: which kind, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Background {
    /// Of a kind one job runs at a time.
    pub kind: u8,
    /// They take turns.
    pub owner: usize,
}

/// Jobs that wait.
pub(super) struct Queue<J> {
    foreground: VecDeque<J>,
    background: BTreeMap<u8, Kind<J>>,
    /// Background jobs that run, and how many may.
    running: usize,
    running_max: usize,
    /// The kind that last had a turn, and the jobs of the foreground that have gone before the next.
    last: u8,
    passed: usize,
    is_closed: bool,
}

/// The jobs of one kind. Whoever has none is not in it.
struct Kind<J> {
    is_running: bool,
    by_owner: BTreeMap<usize, VecDeque<J>>,
    turns: VecDeque<usize>,
}

impl<J> Kind<J> {
    fn push(&mut self, owner: usize, job: J) {
        let jobs = self.by_owner.entry(owner).or_default();
        if jobs.is_empty() {
            self.turns.push_back(owner);
        }
        jobs.push_back(job);
    }

    /// The next job of whoever's turn it is.
    fn pop(&mut self) -> Option<J> {
        let owner = self.turns.pop_front()?;
        let jobs = self.by_owner.get_mut(&owner)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.by_owner.remove(&owner);
        } else {
            self.turns.push_back(owner);
        }
        job
    }
}

impl<J> Queue<J> {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            foreground: VecDeque::new(),
            background: BTreeMap::new(),
            running: 0,
            running_max: threads.saturating_sub(1).max(1),
            last: 0,
            passed: 0,
            is_closed: false,
        }
    }

    pub(super) fn push(&mut self, job: J, background: Option<Background>) {
        match background.filter(|_| !seeded::is_on(Bug::VerifyInFront)) {
            None => self.foreground.push_back(job),
            Some(Background { kind, owner }) => {
                let none = || Kind {
                    is_running: false,
                    by_owner: BTreeMap::new(),
                    turns: VecDeque::new(),
                };
                self.background.entry(kind).or_insert_with(none).push(owner, job);
            }
        }
    }

    /// The next job that may run, and its kind if it is of the background: `ended` is to be called for it.
    pub(super) fn pop(&mut self) -> Option<(J, Option<u8>)> {
        let is_due = self.passed >= FOREGROUND_RUN && !seeded::is_on(Bug::StarveBackground);
        if (is_due || self.foreground.is_empty())
            && let Some((job, kind)) = self.pop_background()
        {
            self.passed = 0;
            return Some((job, Some(kind)));
        }
        let job = self.foreground.pop_front()?;
        self.passed = self.passed.saturating_add(1);
        Some((job, None))
    }

    /// The kinds take turns too.
    fn pop_background(&mut self) -> Option<(J, u8)> {
        if self.running >= self.running_max {
            return None;
        }
        let free = self.background.iter_mut().filter(|(_, kind)| !kind.is_running);
        let ready = free.filter(|(_, kind)| !kind.turns.is_empty());
        let (&number, kind) = ready.min_by_key(|(number, _)| (**number <= self.last, **number))?;
        let job = kind.pop()?;
        kind.is_running = true;
        self.running += 1;
        self.last = number;
        Some((job, number))
    }

    /// A background job has ended. True if another waits, perhaps for this.
    pub(super) fn ended(&mut self, number: u8) -> bool {
        if let Some(kind) = self.background.get_mut(&number) {
            kind.is_running = false;
            self.running -= 1;
        }
        self.background.values().any(|kind| !kind.turns.is_empty())
    }

    /// Jobs that somebody waits for.
    pub(super) fn foreground(&self) -> usize {
        self.foreground.len()
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: u8, owner: usize) -> Option<Background> {
        Some(Background { kind, owner })
    }

    #[test]
    fn of_a_kind_one_job_runs_at_a_time_and_a_thread_stays_free() {
        let mut queue = Queue::new(3);
        for job in [10, 11, 20, 30] {
            queue.push(job, of(job / 10, 1));
        }
        assert_eq!(queue.pop(), Some((10, Some(1))));
        assert_eq!(queue.pop(), Some((20, Some(2))));
        assert_eq!(queue.pop(), None, "two of three threads");
        queue.push(5, None);
        assert_eq!(queue.pop(), Some((5, None)));
        assert!(queue.ended(2));
        assert_eq!(queue.pop(), Some((30, Some(3))), "and not the second of the first kind");
        assert!(queue.ended(1) && queue.ended(3));
        assert_eq!(queue.pop(), Some((11, Some(1))));
        assert!(!queue.ended(1));
    }

    #[test]
    fn who_asks_for_much_does_not_keep_others_waiting() {
        let mut queue = Queue::new(1);
        for job in 0..100 {
            queue.push(job, of(1, 7));
        }
        queue.push(200, of(1, 8));
        queue.push(300, of(2, 7));
        let mut next = || {
            let (job, kind) = queue.pop()?;
            queue.ended(kind?);
            Some(job)
        };
        let first: Vec<_> = (0..5).filter_map(|_| next()).collect();
        assert_eq!(first, [0, 300, 200, 1, 2]);
    }

    #[test]
    fn the_foreground_never_stops_the_background_for_good() {
        let mut queue = Queue::new(1);
        queue.push(1000, of(1, 1));
        queue.push(1001, of(1, 1));
        let mut order = Vec::new();
        for job in 0..3 * FOREGROUND_RUN {
            queue.push(job, None);
            let (job, kind) = queue.pop().unwrap();
            if let Some(kind) = kind {
                queue.ended(kind);
            }
            order.push(job);
        }
        let at: Vec<_> = order.iter().enumerate().filter(|(_, job)| **job >= 1000).collect();
        assert_eq!(at, [(FOREGROUND_RUN, &1000), (2 * FOREGROUND_RUN + 1, &1001)]);
    }
}
