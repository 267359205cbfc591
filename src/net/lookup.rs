//! Looking names up, by a few threads: the system may take many seconds over each.
//!
//! Knows no socket. Invariants: threads and names that wait are few, however many are to be looked up; what nobody has
//! looked at in time is answered with an error; an answer that nobody waits for any more is dropped.

use super::clock::Clock;
use crate::limits::{LOOKUP_TIMEOUT, LOOKUP_WORKERS, LOOKUPS_MAX};
use crate::node::Link;
use crate::time::Instant;
use mio::Waker;
use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// What a name stands for, or why that could not be found out.
type Found = Result<VecDeque<SocketAddr>, String>;

/// The answer for one link.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) link: Link,
    pub(super) found: Found,
}

/// A name to be looked up.
struct Name {
    link: Link,
    name: String,
    until: Instant,
}

/// What looks a name up; another one in tests.
type Resolve = fn(&str) -> Found;

/// Names that are being looked up.
#[derive(Debug)]
pub(super) struct Lookups {
    /// Until when.
    waiting: BTreeMap<Link, Instant>,
    /// To the threads, which begin with the first name; none if they could not.
    names: Option<SyncSender<Name>>,
    sender: Sender<Answer>,
    found: Receiver<Answer>,
    waker: Arc<Waker>,
    clock: Clock,
    resolve: Resolve,
}

impl Lookups {
    pub(super) fn new(waker: Arc<Waker>, clock: Clock) -> Self {
        Self::with(waker, clock, |name| {
            let found = name.to_socket_addrs().map(Iterator::collect);
            found.map_err(|error| error.to_string())
        })
    }

    fn with(waker: Arc<Waker>, clock: Clock, resolve: Resolve) -> Self {
        let (sender, found) = channel();
        let (waiting, names) = (BTreeMap::new(), None);
        Self { waiting, names, sender, found, waker, clock, resolve }
    }

    /// Asks the system, which may take many seconds. False if it cannot be asked, or too many names wait.
    pub(super) fn begin(&mut self, link: Link, name: &str) -> bool {
        if self.names.is_none() {
            self.names = self.start();
        }
        let until = self.clock.now().instant + LOOKUP_TIMEOUT;
        let name = Name { link, name: name.to_owned(), until };
        let begun = self.names.as_ref().is_some_and(|names| names.try_send(name).is_ok());
        if begun {
            self.waiting.insert(link, until);
        }
        begun
    }

    /// The threads; none if not even one could begin.
    fn start(&self) -> Option<SyncSender<Name>> {
        let (names, queue) = sync_channel(LOOKUPS_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let begin = |_: &usize| {
            let (queue, sender) = (Arc::clone(&queue), self.sender.clone());
            let (waker, clock, resolve) = (Arc::clone(&self.waker), self.clock, self.resolve);
            let thread = std::thread::Builder::new().name("lookup".to_owned());
            let resolve = move |Name { link, name, until }: Name| {
                // Whoever asked has given it up by now: those behind it must not wait for that too.
                let is_late = clock.now().instant >= until;
                let found = if is_late { Err(LATE.to_owned()) } else { resolve(&name) };
                Answer { link, found }
            };
            thread.spawn(move || work(&queue, &sender, &waker, resolve)).is_ok()
        };
        let begun = (0..LOOKUP_WORKERS).filter(begin).count();
        (begun > 0).then_some(names)
    }

    /// The next answer that somebody still waits for.
    pub(super) fn next(&mut self) -> Option<Answer> {
        loop {
            let answer = self.found.try_recv().ok()?;
            if self.waiting.remove(&answer.link).is_some() {
                return Some(answer);
            }
        }
    }

    /// When one is given up, unless it is answered before.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.values().min().copied()
    }

    /// The next that the system has not answered in time. It is not waited for any more.
    pub(super) fn next_late(&mut self) -> Option<Answer> {
        let due = self.due()?;
        let is_late = due <= self.clock.now().instant;
        let link = self.waiting.iter().find(|(_, until)| is_late && **until == due);
        let link = link.map(|(link, _)| *link)?;
        self.waiting.remove(&link);
        Some(Answer { link, found: Err(LATE.to_owned()) })
    }

    /// Nobody waits for this one any more.
    pub(super) fn forget(&mut self, link: Link) {
        self.waiting.remove(&link);
    }
}

/// What is said of a name that was not looked up in time.
const LATE: &str = "the resolver did not answer in time";

/// Looks names up until there are no more.
fn work(
    queue: &Mutex<Receiver<Name>>,
    answers: &Sender<Answer>,
    waker: &Waker,
    resolve: impl Fn(Name) -> Answer,
) {
    loop {
        let name = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(name) = name else {
            return;
        };
        if answers.send(resolve(name)).is_err() {
            return;
        }
        // A waker that fails leaves the answer to the next turn.
        let _ = waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token};
    use std::time::Duration;

    fn lookups(resolve: Resolve) -> (Poll, Lookups) {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        (poll, Lookups::with(waker, Clock::start(), resolve))
    }

    #[test]
    fn a_resolver_that_does_not_answer_holds_four_threads_and_no_more() {
        let (_poll, mut lookups) = lookups(|_| {
            std::thread::sleep(Duration::from_secs(600));
            Err("nobody answers".to_owned())
        });
        let begun = (0..1000).filter(|link| lookups.begin(*link, "nowhere.example:1")).count();
        assert!((LOOKUPS_MAX..=LOOKUPS_MAX + LOOKUP_WORKERS).contains(&begun), "{begun}");
    }

    #[test]
    fn a_name_that_the_resolver_does_not_answer_is_given_up_in_time_and_so_it_is_said() {
        let (_poll, mut lookups) = lookups(|_| {
            std::thread::sleep(Duration::from_secs(600));
            Err("nobody answers".to_owned())
        });
        assert!((0..3).all(|link| lookups.begin(link, "nowhere.example:1")));
        lookups.forget(1);
        assert!(lookups.due().is_some() && lookups.next_late().is_none());
        let begun = std::time::Instant::now();
        let mut late = Vec::new();
        while lookups.due().is_some() {
            late.extend(lookups.next_late().map(|answer| (answer.link, answer.found.unwrap_err())));
            std::thread::sleep(Duration::from_millis(20));
        }
        let took = begun.elapsed();
        assert!(took + Duration::from_millis(100) > LOOKUP_TIMEOUT, "{took:?}");
        assert_eq!(late, [0, 2].map(|link| (link, LATE.to_owned())));
    }

    #[test]
    fn every_name_that_is_waited_for_is_answered() {
        let (_poll, mut lookups) =
            lookups(|_| Ok(VecDeque::from([SocketAddr::from(([10, 0, 0, 1], 1))])));
        assert!((0..20).all(|link| lookups.begin(link, "somewhere.example:1")));
        lookups.forget(7);
        let mut answered = std::collections::HashSet::new();
        while answered.len() < 19 {
            answered.extend(lookups.next().map(|answer| {
                assert_eq!(answer.found.unwrap().len(), 1);
                answer.link
            }));
        }
        assert!(!answered.contains(&7));
    }
}
