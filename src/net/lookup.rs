//! Looking names up, each on a thread of its own: the system may take many seconds.
//!
//! Knows no socket. Invariant: an answer that nobody waits for any more is dropped.

use crate::node::Link;
use mio::Waker;
use std::collections::{HashSet, VecDeque};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What a name stands for; nothing if it could not be found out.
type Found = (Link, VecDeque<SocketAddr>);

/// Names that are being looked up.
#[derive(Debug)]
pub(super) struct Lookups {
    waiting: HashSet<Link>,
    sender: Sender<Found>,
    found: Receiver<Found>,
    waker: Arc<Waker>,
}

impl Lookups {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        let (sender, found) = channel();
        Self { waiting: HashSet::new(), sender, found, waker }
    }

    /// Asks the system, which may take many seconds. False if it can't be asked.
    pub(super) fn begin(&mut self, link: Link, name: &str) -> bool {
        let (sender, waker) = (self.sender.clone(), Arc::clone(&self.waker));
        let name = name.to_owned();
        let lookup = move || {
            let addresses = name.to_socket_addrs().map(Iterator::collect);
            if sender.send((link, addresses.unwrap_or_default())).is_ok() {
                // A waker that fails leaves the answer to the next turn.
                let _ = waker.wake();
            }
        };
        let thread = std::thread::Builder::new().name("lookup".to_owned());
        let begun = thread.spawn(lookup).is_ok();
        if begun {
            self.waiting.insert(link);
        }
        begun
    }

    /// The next answer that somebody still waits for.
    pub(super) fn next(&mut self) -> Option<Found> {
        loop {
            let (link, addresses) = self.found.try_recv().ok()?;
            if self.waiting.remove(&link) {
                return Some((link, addresses));
            }
        }
    }

    /// Nobody waits for this one any more.
    pub(super) fn forget(&mut self, link: Link) {
        self.waiting.remove(&link);
    }
}
