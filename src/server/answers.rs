//! Answers that are read from the log: how many of their bytes may be on their way from the disk, and whose turn it is.
//!
//! What is asked waits as a question, which is small, until there is room for its answer, which may be long. Knows no
//! disk. Invariant: answers under way have at most `ANSWERS_UNDER_WAY` bytes and one answer more; who asks much waits
//! longer, and nobody else does.

use super::output::Link;
use super::reads::{Asked, ReadFor};
use super::work::Job;
use super::{FileServer, Pending};
use crate::limits::ANSWERS_UNDER_WAY;
use crate::store::job::{self, LogPlace};
use crate::time::Now;
use crate::wire::message::Request;
use std::collections::VecDeque;

/// What waits and what is under way, of all connections.
#[derive(Debug, Default)]
pub(super) struct Answers {
    under_way: usize,
    /// Connections with questions that wait, each once.
    turns: VecDeque<Link>,
}

impl FileServer {
    /// A question is answered when there is room.
    pub(super) fn asked(&mut self, now: Now, (link, request): (Link, Request), asked: Asked) {
        let Some(peer) = self.peers.get_mut(&link) else {
            return;
        };
        if peer.questions.is_empty() {
            self.answers.turns.push_back(link);
        }
        peer.questions.push_back((request, asked));
        self.pump_answers(now);
    }

    /// One answer for each connection in turn, as long as there is room.
    fn pump_answers(&mut self, now: Now) {
        while self.answers.under_way < ANSWERS_UNDER_WAY {
            let Some(link) = self.answers.turns.pop_front() else {
                return;
            };
            let Some(peer) = self.peers.get_mut(&link) else {
                continue;
            };
            let Some((request, asked)) = peer.questions.pop_front() else {
                continue;
            };
            if !peer.questions.is_empty() {
                self.answers.turns.push_back(link);
            }
            match asked {
                Asked::Head(name) => self.answer_head(now, (link, request), name),
                Asked::List(after) => self.answer_list(link, request, after),
                Asked::Page(address) => self.answer_page(now, (link, request), address),
            }
        }
    }

    /// Reads what an answer needs.
    pub(super) fn read_answer(&mut self, places: Vec<LogPlace>, reason: ReadFor) {
        let bytes = places.iter().map(|place| place.length as usize).sum();
        self.answers.under_way += bytes;
        let ticket = self.ticket(Pending::Answer(reason, bytes));
        self.job(Job::Disk(job::Job::ReadLog { ticket, places }));
    }

    /// So many bytes have come from the disk, and are the connection's now.
    pub(super) fn answer_read(&mut self, now: Now, bytes: usize) {
        self.answers.under_way -= bytes;
        self.pump_answers(now);
    }
}
