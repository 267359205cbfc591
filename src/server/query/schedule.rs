//! Answers that are read from the log: how many of their bytes may be on their way from the disk, and whose turn it is.
//!
//! What is asked waits as a question, which is small, until there is room for its answer, which may be long. Knows no
//! disk. Invariant: answers under way have at most `ANSWERS_UNDER_WAY` bytes and one answer more; who asks much waits
//! longer, and nobody else does. To a node no more is said than its connection takes: a client is not read from while
//! its outbox is full, but a node is, since two full ones must not wait for each other.

use super::replies::Asked;
use crate::limits::{ANSWERS_UNDER_WAY, HELD_QUESTIONS_MAX, OUTBOX_MAX};
use crate::seeded::{self, Bug};
use crate::server::asker::Asker;
use crate::server::output::Link;
use crate::wire::message::Request;
use std::collections::{BTreeMap, VecDeque};

/// What waits and what is under way, of all connections.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Bytes that are being read.
    under_way: usize,
    /// Connections with questions that wait, each once.
    turns: VecDeque<Link>,
    /// Those of which anything waits or is being read.
    links: BTreeMap<Link, Waiting>,
}

/// Of one connection.
#[derive(Debug, Default)]
struct Waiting {
    /// What it has asked and whose turn has not come.
    questions: VecDeque<(Request, Asked)>,
    /// These wait until it has taken more of what was said to it.
    held: bool,
    /// Bytes of answers that are read for it.
    reading: usize,
}

/// A connection, as far as that decides whether it takes more answers.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct Line {
    pub(in crate::server) is_node: bool,
    /// Bytes that wait to be sent.
    pub(in crate::server) outbox: usize,
}

/// An answer that is being read.
#[derive(Debug)]
#[must_use = "it counts until `end` takes it"]
pub(in crate::server) struct UnderWay {
    link: Link,
    bytes: usize,
}

/// A connection has not taken the answers to as many earlier questions as are held for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Waiting {
    /// Whether the connection takes more answers now.
    fn takes(&self, line: Line) -> bool {
        let waiting = line.outbox + self.reading;
        !line.is_node || waiting <= OUTBOX_MAX || seeded::is_on(Bug::AnswerWithoutPace)
    }

    fn is_idle(&self) -> bool {
        self.questions.is_empty() && self.reading == 0 && !self.held
    }
}

impl Schedule {
    /// A question is to be answered when there is room.
    pub(super) fn ask(
        &mut self,
        Asker { link, request }: Asker,
        asked: Asked,
        line: Line,
    ) -> Result<(), TooMany> {
        let waiting = self.links.entry(link).or_default();
        if waiting.questions.len() >= HELD_QUESTIONS_MAX && !waiting.takes(line) {
            // Otherwise it would not be read from, and may not read before it is.
            return Err(TooMany);
        }
        if waiting.questions.is_empty() {
            self.turns.push_back(link);
        }
        waiting.questions.push_back((request, asked));
        Ok(())
    }

    /// The next question that is to be answered now: one of each connection in turn, as long as there is room. `line_of` is
    /// asked of connections that there are.
    pub(super) fn next(
        &mut self,
        line_of: impl Fn(Link) -> Option<Line>,
    ) -> Option<(Asker, Asked)> {
        while self.under_way < ANSWERS_UNDER_WAY {
            let link = self.turns.pop_front()?;
            // Of one that is gone nothing waits any more.
            let (Some(waiting), Some(line)) = (self.links.get_mut(&link), line_of(link)) else {
                continue;
            };
            if !waiting.takes(line) {
                waiting.held = true;
                continue;
            }
            // Its last question was answered when its turn came twice.
            let Some((request, asked)) = waiting.questions.pop_front() else {
                continue;
            };
            if !waiting.questions.is_empty() {
                self.turns.push_back(link);
            }
            self.forget_if_idle(link);
            return Some((Asker { link, request }, asked));
        }
        None
    }

    /// So many bytes of an answer are read from now on; `end` takes what this gives.
    pub(super) fn begin(&mut self, link: Link, bytes: usize) -> UnderWay {
        self.under_way += bytes;
        self.links.entry(link).or_default().reading += bytes;
        UnderWay { link, bytes }
    }

    /// An answer has come from the disk, and is the connection's now. Whose it was.
    pub(super) fn end(&mut self, UnderWay { link, bytes }: UnderWay) -> Link {
        self.under_way -= bytes;
        if let Some(waiting) = self.links.get_mut(&link) {
            waiting.reading = waiting.reading.saturating_sub(bytes);
            self.forget_if_idle(link);
        }
        link
    }

    /// Some of a connection's outbox has been sent, or less has come into it than was thought.
    pub(super) fn resume(&mut self, link: Link, line: Line) {
        if let Some(waiting) = self.links.get_mut(&link)
            && waiting.held
            && waiting.takes(line)
        {
            waiting.held = false;
            self.turns.push_back(link);
        }
    }

    /// The connection is gone, and with it what it asked. What is being read for it still comes.
    pub(super) fn link_closed(&mut self, link: Link) {
        self.links.remove(&link);
    }

    fn forget_if_idle(&mut self, link: Link) {
        if self.links.get(&link).is_some_and(Waiting::is_idle) {
            self.links.remove(&link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NameId;

    /// What happens to the machine.
    enum Do {
        Ask(Link, Request),
        /// Whether it was refused.
        Refused(Link, Request),
        Outbox(Link, usize),
        Resume(Link),
        /// Everything whose turn it is, in order; each is read with so many bytes.
        Next(usize, &'static [(Link, Request)]),
        /// The oldest answer that is being read has come.
        Came,
        Closed(Link),
    }

    /// Connections below 10 are of clients.
    fn check(script: &[Do]) {
        let mut schedule = Schedule::default();
        let mut outboxes: BTreeMap<Link, usize> = BTreeMap::new();
        let mut reading = VecDeque::new();
        let mut closed = Vec::new();
        for (at, step) in script.iter().enumerate() {
            let line = |link| {
                let outbox = outboxes.get(&link).copied().unwrap_or(0);
                (!closed.contains(&link)).then_some(Line { is_node: link >= 10, outbox })
            };
            match step {
                Do::Ask(link, request) | Do::Refused(link, request) => {
                    let asker = Asker { link: *link, request: *request };
                    let asked = Asked::Head(NameId::default());
                    let told = schedule.ask(asker, asked, line(*link).unwrap());
                    assert_eq!(told.is_err(), matches!(step, Do::Refused(..)), "step {at}");
                }
                Do::Outbox(link, bytes) => drop(outboxes.insert(*link, *bytes)),
                Do::Resume(link) => schedule.resume(*link, line(*link).unwrap()),
                Do::Next(bytes, expected) => {
                    let mut told = Vec::new();
                    while let Some((Asker { link, request }, _)) = schedule.next(line) {
                        reading.push_back(schedule.begin(link, *bytes));
                        told.push((link, request));
                    }
                    assert_eq!(told, *expected, "step {at}");
                }
                Do::Came => {
                    schedule.end(reading.pop_front().unwrap());
                }
                Do::Closed(link) => {
                    schedule.link_closed(*link);
                    closed.push(*link);
                }
            }
        }
        for reading in reading {
            schedule.end(reading);
        }
        assert_eq!(schedule.under_way, 0);
    }

    #[test]
    fn each_connection_has_its_turn() {
        check(&[
            Do::Ask(1, 1),
            Do::Ask(1, 2),
            Do::Ask(1, 3),
            Do::Ask(2, 1),
            Do::Ask(3, 1),
            Do::Next(10, &[(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]),
            Do::Came,
            Do::Next(10, &[]),
        ]);
    }

    #[test]
    fn no_more_is_under_way_than_the_bound_and_one_answer() {
        check(&[
            Do::Ask(1, 1),
            Do::Ask(1, 2),
            Do::Ask(2, 1),
            Do::Next(ANSWERS_UNDER_WAY - 1, &[(1, 1), (2, 1)]),
            Do::Came,
            Do::Next(1, &[(1, 2)]),
            Do::Next(1, &[]),
        ]);
    }

    #[test]
    fn a_node_waits_until_it_has_taken_what_was_said_to_it_and_a_client_does_not() {
        check(&[
            Do::Outbox(1, OUTBOX_MAX + 1),
            Do::Outbox(10, OUTBOX_MAX + 1),
            Do::Ask(10, 1),
            Do::Ask(1, 1),
            Do::Next(10, &[(1, 1)]),
            Do::Resume(10),
            Do::Next(10, &[]),
            Do::Outbox(10, OUTBOX_MAX),
            Do::Next(10, &[]),
            Do::Resume(10),
            Do::Resume(10),
            Do::Next(10, &[(10, 1)]),
        ]);
    }

    #[test]
    fn what_is_read_for_a_node_counts_as_said() {
        check(&[
            Do::Ask(10, 1),
            Do::Ask(10, 2),
            Do::Next(OUTBOX_MAX + 1, &[(10, 1)]),
            Do::Came,
            Do::Resume(10),
            Do::Next(10, &[(10, 2)]),
        ]);
    }

    #[test]
    fn of_a_connection_that_is_gone_nothing_is_answered() {
        check(&[
            Do::Ask(1, 1),
            Do::Ask(2, 1),
            Do::Ask(1, 2),
            Do::Next(ANSWERS_UNDER_WAY, &[(1, 1)]),
            Do::Closed(1),
            Do::Came,
            Do::Next(10, &[(2, 1)]),
        ]);
    }

    #[test]
    fn who_takes_no_answers_is_held_no_more_questions_than_the_bound() {
        let mut script: Vec<Do> =
            (0..HELD_QUESTIONS_MAX).map(|at| Do::Ask(10, at as Request)).collect();
        script.push(Do::Outbox(10, OUTBOX_MAX + 1));
        script.push(Do::Refused(10, 900));
        script.push(Do::Outbox(10, 0));
        script.push(Do::Ask(10, 901));
        check(&script);
    }

    #[test]
    fn nothing_is_kept_of_who_waits_for_nothing() {
        let mut schedule = Schedule::default();
        let line = Line { is_node: true, outbox: 0 };
        schedule
            .ask(Asker { link: 10, request: 1 }, Asked::Page(Default::default()), line)
            .unwrap();
        assert!(schedule.next(|_| Some(line)).is_some());
        let reading = schedule.begin(10, 7);
        assert_eq!(schedule.end(reading), 10);
        assert!(schedule.links.is_empty() && schedule.turns.is_empty());
    }
}
