//! Workers: a small fixed set of threads that do what may block. `queue` says what is done next; `journal` is a thread that
//! writes lines.
//!
//! Knows nothing of what the jobs are. Invariant: every job that was begun is answered; a job that panics ends the
//! process, since nobody would ever answer it.

pub mod journal;
mod queue;

pub use queue::Background;

use queue::Queue;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How jobs `J` become answers `D`.
pub trait Work<J, D>: Send + Sync + 'static {
    /// Does what takes no time to speak of and cannot block, in the caller's thread; if nothing else waits for the caller
    /// also what takes no longer than it would to wake another thread, and to be woken by it.
    /// Any other job comes back.
    fn at_once(&self, job: J, has_time: bool) -> Result<D, J>;
    /// Does anything; may block.
    fn execute(&self, job: J) -> D;
    /// Which background work a job is; none if somebody waits for it.
    fn background(&self, _: &J) -> Option<Background> {
        None
    }
}

/// Threads that turn jobs `J` into answers `D`. With no threads the caller does the work, by `run_pending`.
pub struct Workers<J, D> {
    shared: Arc<Shared<J, D>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<J, D> {
    queue: Mutex<Queue<J>>,
    queued: Condvar,
    done: Mutex<VecDeque<D>>,
    work: Box<dyn Work<J, D>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// Ends the process if it is dropped by a panic.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<J: Send + 'static, D: Send + 'static> Workers<J, D> {
    /// Starts `count` threads. `wake` is called, by any of them, after an answer has been put where `take_done` finds
    /// it.
    pub fn start(
        count: usize,
        work: impl Work<J, D>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(count)),
            queued: Condvar::new(),
            done: Mutex::default(),
            work: Box::new(work),
            wake: Box::new(wake),
        });
        let mut workers = Self { shared, threads: Vec::new() };
        for index in 0..count {
            let shared = Arc::clone(&workers.shared);
            let builder = std::thread::Builder::new().name(format!("worker-{index}"));
            workers.threads.push(builder.spawn(move || shared.go_on())?);
        }
        Ok(workers)
    }

    /// Does a job at once if that can be, and queues it if not. How many may wait is the core's to bound. `has_time` says
    /// that nothing else waits for the caller. True if it is done.
    pub fn submit(&self, job: J, has_time: bool) -> bool {
        match self.shared.work.at_once(job, has_time) {
            Ok(done) => {
                hold(&self.shared.done).push_back(done);
                true
            }
            Err(job) => {
                let background = self.shared.work.background(&job);
                hold(&self.shared.queue).push(job, background);
                self.shared.queued.notify_one();
                false
            }
        }
    }

    /// Whether `take_done` has an answer.
    #[must_use]
    pub fn has_done(&self) -> bool {
        !hold(&self.shared.done).is_empty()
    }

    /// The next answer, if there is one.
    #[must_use]
    pub fn take_done(&self) -> Option<D> {
        hold(&self.shared.done).pop_front()
    }

    /// Without threads: does the jobs that wait, here and now, and says whether there were any; if nobody waits for one,
    /// one of the background. `wake` is not called.
    pub fn run_pending(&self) -> bool {
        if !self.threads.is_empty() {
            return false;
        }
        let count = hold(&self.shared.queue).foreground().max(1);
        let mut found_any = false;
        for _ in 0..count {
            let next = hold(&self.shared.queue).pop();
            let Some((job, background)) = next else { break };
            self.shared.run(job, background);
            found_any = true;
        }
        found_any
    }
}

impl<J: 'static, D: 'static> Shared<J, D> {
    fn go_on(&self) {
        while let Some((job, background)) = self.next() {
            self.run(job, background);
            (self.wake)();
        }
    }

    fn next(&self) -> Option<(J, Option<u8>)> {
        let mut queue = hold(&self.queue);
        loop {
            if queue.is_closed() {
                return None;
            }
            if let Some(next) = queue.pop() {
                return Some(next);
            }
            queue = self.queued.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn run(&self, job: J, background: Option<u8>) {
        let guard = AbortOnPanic;
        let done = self.work.execute(job);
        drop(guard);
        hold(&self.done).push_back(done);
        if let Some(kind) = background
            && hold(&self.queue).ended(kind)
        {
            self.queued.notify_one();
        }
    }
}

impl<J, D> Drop for Workers<J, D> {
    fn drop(&mut self) {
        hold(&self.shared.queue).close();
        self.shared.queued.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    /// What `T` does, and nothing at once.
    struct Slowly<T>(T);

    impl<J, D, T: Fn(J) -> D + Send + Sync + 'static> Work<J, D> for Slowly<T> {
        fn at_once(&self, job: J, _: bool) -> Result<D, J> {
            Err(job)
        }

        fn execute(&self, job: J) -> D {
            (self.0)(job)
        }
    }

    /// Odd numbers are quickly doubled, even ones are not; those that 4 divides only if there is time.
    struct Odd;

    impl Work<u32, u32> for Odd {
        fn at_once(&self, job: u32, has_time: bool) -> Result<u32, u32> {
            let is_quick = !job.is_multiple_of(2) || has_time && job.is_multiple_of(4);
            if is_quick { Ok(job * 2) } else { Err(job) }
        }

        fn execute(&self, job: u32) -> u32 {
            job * 20
        }
    }

    #[test]
    fn what_can_be_done_at_once_is_done_by_the_caller() {
        let workers = Workers::start(0, Odd, || {}).unwrap();
        assert!(!workers.has_done());
        assert!(workers.submit(3, false));
        assert!(workers.has_done());
        assert_eq!(workers.take_done(), Some(6));
        workers.submit(8, true);
        assert_eq!(workers.take_done(), Some(16));
        assert!(!workers.submit(4, false));
        assert!(!workers.has_done());
        assert!(workers.run_pending());
        assert_eq!(workers.take_done(), Some(80));
    }

    #[test]
    fn every_job_is_answered_and_each_answer_wakes() {
        let (sender, woken) = mpsc::channel();
        let wake = move || sender.send(()).unwrap_or_default();
        let workers = Workers::start(3, Slowly(|number: u32| number * 2), wake).unwrap();
        (0..100).for_each(|number| assert!(!workers.submit(number, true)));
        (0..100).for_each(|_| woken.recv().unwrap());
        let mut answers: Vec<u32> = std::iter::from_fn(|| workers.take_done()).collect();
        answers.sort_unstable();
        assert_eq!(answers, (0..100).map(|number| number * 2).collect::<Vec<_>>());
    }

    #[test]
    fn without_threads_the_caller_works_when_it_says_so() {
        let workers = Workers::start(0, Slowly(|number: u32| number + 1), || {}).unwrap();
        workers.submit(1, true);
        workers.submit(2, true);
        assert_eq!(workers.take_done(), None);
        assert!(workers.run_pending());
        assert!(!workers.run_pending());
        assert_eq!((workers.take_done(), workers.take_done()), (Some(2), Some(3)));
    }

    /// Numbers from 10 on are of the background, and their tens are the kind.
    struct Tens;

    impl Work<u32, u32> for Tens {
        fn at_once(&self, job: u32, _: bool) -> Result<u32, u32> {
            Err(job)
        }

        fn execute(&self, job: u32) -> u32 {
            job
        }

        fn background(&self, job: &u32) -> Option<Background> {
            let kind = u8::try_from(job / 10).ok().filter(|tens| *tens > 0)?;
            Some(Background { kind, owner: 0 })
        }
    }

    #[test]
    fn what_is_waited_for_goes_before_the_background() {
        let workers = Workers::start(0, Tens, || {}).unwrap();
        for job in [10, 11, 20, 1, 2] {
            workers.submit(job, true);
        }
        assert!(workers.run_pending());
        workers.submit(3, true);
        while workers.run_pending() {}
        let done: Vec<u32> = std::iter::from_fn(|| workers.take_done()).collect();
        assert_eq!(done, [1, 2, 3, 10, 20, 11]);
    }

    #[test]
    fn dropping_waits_for_the_job_under_way() {
        let finished = Arc::new(AtomicUsize::new(0));
        let (begun, has_begun) = mpsc::channel();
        let counter = Arc::clone(&finished);
        let execute = move |(): ()| {
            begun.send(()).unwrap_or_default();
            std::thread::sleep(std::time::Duration::from_millis(20));
            counter.fetch_add(1, Ordering::SeqCst);
        };
        let workers = Workers::start(1, Slowly(execute), || {}).unwrap();
        workers.submit((), true);
        has_begun.recv().unwrap();
        drop(workers);
        assert_eq!(finished.load(Ordering::SeqCst), 1);
    }
}
