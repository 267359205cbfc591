//! Answers that are read from the log: how many of their bytes may be on their way from the disk, and whose turn it is.
//!
//! What is asked waits as a question, which is small, until there is room for its answer, which may be long. Knows no
//! disk. Invariant: answers under way have at most `ANSWERS_UNDER_WAY` bytes and one answer more; who asks much waits
//! longer, and nobody else does. To a node no more is said than its connection takes: a client is not read from while
//! its outbox is full, but a node is, since two full ones must not wait for each other.

use super::FileServer;
use super::asker::Asker;
use super::output::Link;
use super::peers::Peer;
use super::reads::{Asked, ReadFor};
use super::work::{self, Job};
use crate::limits::{ANSWERS_UNDER_WAY, HELD_QUESTIONS_MAX, OUTBOX_MAX};
use crate::planted::{self, Bug};
use crate::store::values::LogPlace;
use crate::time::Now;
use crate::wire::message::Reason;
use std::collections::VecDeque;

/// What waits and what is under way, of all connections.
#[derive(Debug, Default)]
pub(super) struct Answers {
    under_way: usize,
    /// Connections with questions that wait, each once.
    turns: VecDeque<Link>,
}

/// An answer that is being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    link: Link,
    bytes: usize,
}

/// Whether a connection takes more answers now.
fn takes_answers(peer: &Peer) -> bool {
    let waiting = peer.outbox + peer.answering;
    !peer.is_node() || waiting <= OUTBOX_MAX || planted::is_on(Bug::AnswerWithoutPace)
}

impl FileServer {
    /// A question is answered when there is room.
    pub(super) fn asked(&mut self, now: Now, Asker { link, request }: Asker, asked: Asked) {
        let Some(peer) = self.peers.get_mut(&link) else {
            return;
        };
        if peer.questions.len() >= HELD_QUESTIONS_MAX && !takes_answers(peer) {
            // Otherwise it would not be read from, and may not read before it is.
            let detail = "answers to earlier questions have not been taken yet";
            return self.refuse(link, request, Reason::Unavailable, detail);
        }
        if peer.questions.is_empty() {
            self.answers.turns.push_back(link);
        }
        peer.questions.push_back((request, asked));
        self.pump_answers(now);
    }

    /// One answer for each connection in turn, as long as there is room.
    pub(super) fn pump_answers(&mut self, now: Now) {
        while self.answers.under_way < ANSWERS_UNDER_WAY {
            let Some(link) = self.answers.turns.pop_front() else {
                return;
            };
            let Some(peer) = self.peers.get_mut(&link) else {
                continue;
            };
            if !takes_answers(peer) {
                peer.holds_answers = true;
                continue;
            }
            let Some((request, asked)) = peer.questions.pop_front() else {
                continue;
            };
            if !peer.questions.is_empty() {
                self.answers.turns.push_back(link);
            }
            match asked {
                Asked::Head(name) => self.answer_head(now, Asker { link, request }, name),
                Asked::List { after, future } => {
                    self.answer_list(Asker { link, request }, after, future);
                }
                Asked::Page(address) => self.answer_page(now, Asker { link, request }, address),
            }
        }
    }

    /// Reads what an answer needs.
    pub(super) fn read_answer(&mut self, link: Link, places: Vec<LogPlace>, reason: ReadFor) {
        let bytes = places.iter().map(|place| place.length as usize).sum();
        self.answers.under_way += bytes;
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.answering += bytes;
        }
        let answer = Some(Reading { link, bytes });
        let purpose = Box::new(work::Reading { reason, answer });
        self.job(Job::ReadLog { purpose, places });
    }

    /// An answer has come from the disk, and is the connection's now.
    pub(super) fn answer_read(&mut self, now: Now, Reading { link, bytes }: Reading) {
        self.answers.under_way -= bytes;
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.answering -= bytes;
        }
        self.resume_answers(link);
        self.pump_answers(now);
    }

    /// Some of a connection's outbox has been sent, or less has come into it than was thought.
    pub(super) fn resume_answers(&mut self, link: Link) {
        if let Some(peer) = self.peers.get_mut(&link)
            && peer.holds_answers
            && takes_answers(peer)
        {
            peer.holds_answers = false;
            self.answers.turns.push_back(link);
        }
    }
}
