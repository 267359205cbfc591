//! The context: what every machine of the server needs, handed to each of their verbs.
//!
//! Decides nothing, and knows no machine. Invariant: what goes out to a connection is dropped when that has ended.

use super::asker::Asker;
use super::catalog::Catalog;
use super::holdings::Holdings;
use super::links::Links;
use super::output::{Link, Output};
use super::round::Round;
use super::space::Space;
use super::timers::{Timer, Timers};
use super::transfer::Memory;
use super::work::Job;
use crate::time::Now;
use crate::wire::message::{Message, Reason};
use rand::rngs::ChaCha8Rng;
use std::collections::VecDeque;
use std::time::Duration;

/// What this node has: derived from its log.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) catalog: Catalog,
    pub(super) holdings: Holdings,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Context {
    /// When the present event happens.
    pub(super) now: Now,
    pub(super) index: Index,
    pub(super) memory: Memory,
    pub(super) space: Space,
    pub(super) links: Links,
    /// Which nodes have news: what is tried again is asked of these alone.
    pub(super) news: Round,
    pub(super) timers: Timers,
    pub(super) rng: ChaCha8Rng,
    pub(super) outputs: VecDeque<Output>,
}

impl Context {
    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn job(&mut self, job: Job) {
        self.output(Output::Job(job));
    }

    /// Sets a timer.
    pub(super) fn after(&mut self, delay: Duration, timer: Timer) {
        self.timers.set(self.now.instant + delay, timer);
    }

    pub(super) fn send(&mut self, link: Link, message: Message) {
        if self.links.contains(link) {
            self.output(Output::Send { link, message });
        }
    }

    pub(super) fn send_all(&mut self, link: Link, messages: impl Iterator<Item = Message>) {
        messages.for_each(|message| self.send(link, message));
    }

    /// Answers a request, which is then no longer under way.
    pub(super) fn reply(&mut self, link: Link, message: Message) {
        if let Some(peer) = self.links.get_mut(link) {
            peer.requests = peer.requests.saturating_sub(1);
            peer.awaits_long &= peer.requests > 0;
        }
        self.send(link, message);
    }

    /// Answers that a request is not done, and why.
    pub(super) fn refuse(&mut self, asker: Asker, reason: Reason, detail: &str) {
        self.reply(asker.link, Message::refused(asker.request, reason, detail));
    }
}

#[cfg(test)]
impl Context {
    /// Of a node that has nothing and knows nobody, with 32 MiB of memory and a disk that has room.
    pub(super) fn for_tests() -> Self {
        use crate::crypto::alias::Aliases;
        use rand::SeedableRng;
        let now = Now { instant: crate::time::Instant(1), wall_ms: crate::limits::CALENDAR_MIN };
        Self {
            now,
            index: Index {
                catalog: Catalog::new(Aliases::new([7; 16])),
                holdings: Holdings::default(),
            },
            memory: Memory::new(32 << 20),
            space: Space::new(now.instant),
            links: Links::default(),
            news: Round::default(),
            timers: Timers::default(),
            rng: ChaCha8Rng::seed_from_u64(7),
            outputs: VecDeque::new(),
        }
    }
}
