//! Looking names up, by a few threads: the system may take many seconds over each.
//!
//! Knows no socket. Invariants: threads and names that wait are few, however many are to be looked up; what nobody has
//! looked at in time is answered with an error; an answer that nobody waits for any more is dropped.

use crate::limits::{HANDSHAKE_TIMEOUT, LOOKUP_WORKERS, LOOKUPS_MAX};
use crate::node::Link;
use mio::Waker;
use std::collections::{HashSet, VecDeque};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

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
    waiting: HashSet<Link>,
    /// To the threads, which begin with the first name; none if they could not.
    names: Option<SyncSender<Name>>,
    sender: Sender<Answer>,
    found: Receiver<Answer>,
    waker: Arc<Waker>,
    resolve: Resolve,
}

impl Lookups {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self::with(waker, |name| {
            let found = name.to_socket_addrs().map(Iterator::collect);
            found.map_err(|error| error.to_string())
        })
    }

    fn with(waker: Arc<Waker>, resolve: Resolve) -> Self {
        let (sender, found) = channel();
        Self { waiting: HashSet::new(), names: None, sender, found, waker, resolve }
    }

    /// Asks the system, which may take many seconds. False if it can't be asked, or too many names wait.
    pub(super) fn begin(&mut self, link: Link, name: &str) -> bool {
        if self.names.is_none() {
            self.names = self.start();
        }
        let name = Name { link, name: name.to_owned(), until: Instant::now() + HANDSHAKE_TIMEOUT };
        let begun = self.names.as_ref().is_some_and(|names| names.try_send(name).is_ok());
        if begun {
            self.waiting.insert(link);
        }
        begun
    }

    /// The threads; none if not even one could begin.
    fn start(&self) -> Option<SyncSender<Name>> {
        let (names, queue) = sync_channel(LOOKUPS_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let begin = |_: &usize| {
            let (queue, sender) = (Arc::clone(&queue), self.sender.clone());
            let (waker, resolve) = (Arc::clone(&self.waker), self.resolve);
            let thread = std::thread::Builder::new().name("lookup".to_owned());
            thread.spawn(move || work(&queue, &sender, &waker, resolve)).is_ok()
        };
        let begun = (0..LOOKUP_WORKERS).filter(begin).count();
        (begun > 0).then_some(names)
    }

    /// The next answer that somebody still waits for.
    pub(super) fn next(&mut self) -> Option<Answer> {
        loop {
            let answer = self.found.try_recv().ok()?;
            if self.waiting.remove(&answer.link) {
                return Some(answer);
            }
        }
    }

    /// Nobody waits for this one any more.
    pub(super) fn forget(&mut self, link: Link) {
        self.waiting.remove(&link);
    }
}

/// Looks names up until there are no more.
fn work(queue: &Mutex<Receiver<Name>>, answers: &Sender<Answer>, waker: &Waker, resolve: Resolve) {
    loop {
        let name = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Name { link, name, until }) = name else {
            return;
        };
        // Whoever asked has given it up by now: those behind it must not wait for that too.
        let is_late = Instant::now() >= until;
        let found = if is_late {
            Err("the name was not looked up in time".to_owned())
        } else {
            resolve(&name)
        };
        if answers.send(Answer { link, found }).is_err() {
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
        (poll, Lookups::with(waker, resolve))
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
    fn every_name_that_is_waited_for_is_answered() {
        let (_poll, mut lookups) =
            lookups(|_| Ok(VecDeque::from([SocketAddr::from(([10, 0, 0, 1], 1))])));
        assert!((0..20).all(|link| lookups.begin(link, "somewhere.example:1")));
        lookups.forget(7);
        let mut answered = HashSet::new();
        while answered.len() < 19 {
            answered.extend(lookups.next().map(|answer| {
                assert_eq!(answer.found.unwrap().len(), 1);
                answer.link
            }));
        }
        assert!(!answered.contains(&7));
    }
}
