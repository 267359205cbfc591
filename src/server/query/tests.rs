//! Scripts: what is asked and answered, and what comes of it.

use super::super::samples::{Bench, new_record, run};
use super::*;
use crate::ids::{Address, NodeId};
use crate::limits::PEER_TIMEOUT;
use crate::server::output::Output;
use crate::server::timers::Timer;
use crate::server::work::{Job, ReadFor};
use crate::store::values::LogPlace;
use crate::wire::condition::HeadsSummary;
use crate::wire::log_damage::LogDamage;
use crate::wire::message::{Message, PeerAddress};

/// Connections below 10 are clients'.
enum Do {
    /// A client asks for the versions of a name.
    Head(Link, u64),
    Holders(Link),
    Page(Link),
    /// This version of a name is here.
    Hold(u64, u8),
    /// A node has told all that it knows.
    Informed(Link),
    /// It answers that it knows nothing.
    Knows(Link),
    /// It shows this version of a name.
    Shows(Link, u64, u8),
    /// It holds the record whole, or not.
    Holds(Link, bool),
    /// What the oldest query was shown is taken in: it comes, or was left aside.
    Taken(bool),
    /// It is durable.
    Came(u64, u8),
    /// This node has looked for itself.
    Looked,
    /// The oldest read is done; or finds damage.
    Read,
    Damaged,
    /// Whoever has not answered is not waited for any more.
    Late,
    Closed(Link),
}

struct Setting {
    cx: Context,
    query: Query,
    reads: VecDeque<Reading>,
    asked: HashMap<Link, Request>,
    shown: VecDeque<(QueryId, RecordId)>,
    looks: VecDeque<QueryId>,
    next_request: Request,
}

impl Setting {
    fn new() -> Self {
        let mut cx = Context::for_tests();
        for link in [1, 2, 10, 11] {
            cx.links.insert(link, Peer::for_tests(None));
        }
        cx.links.become_node(10, NodeId([10; 32]));
        cx.links.become_node(11, NodeId([11; 32]));
        Self {
            cx,
            query: Query::default(),
            reads: VecDeque::new(),
            asked: HashMap::new(),
            shown: VecDeque::new(),
            looks: VecDeque::new(),
            next_request: 0,
        }
    }

    fn asker(&mut self, link: Link) -> Asker {
        self.next_request += 1;
        Asker { link, request: self.next_request }
    }

    /// The query for which a node was asked last, if that is still of interest.
    fn answered(&mut self, link: Link) -> Option<QueryId> {
        let request = self.asked[&link];
        match self.cx.links.answered(link, request, self.cx.now.instant)? {
            Ask::Query(query) => Some(query),
            other => panic!("{other:?}"),
        }
    }

    fn heads(&mut self, link: Link, told: Option<Told>) {
        if let Some(query) = self.answered(link) {
            self.query.heads_answered(&mut self.cx, link, query, told);
        }
    }
}

impl Bench for Setting {
    type Step = Do;

    fn act(&mut self, step: &Do) {
        match *step {
            Do::Head(link, name) => {
                let asker = self.asker(link);
                let name = new_record(name, 1).record.name;
                self.query.head(&mut self.cx, asker, Space::default(), name, true);
            }
            Do::Holders(link) => {
                let asker = self.asker(link);
                self.query.holders(&mut self.cx, asker, RecordId::default());
            }
            Do::Page(link) => {
                let asker = self.asker(link);
                self.query.ask(&mut self.cx, asker, Asked::Page(Address([3; 32])));
            }
            Do::Hold(name, version) => {
                let new = new_record(name, version);
                let place = LogPlace { segment: 1, offset: 0, length: 9 };
                self.cx.index.catalog.insert(new.id, &new.record, place);
            }
            Do::Informed(link) => self.cx.links.get_mut(link).unwrap().progress.all = true,
            Do::Knows(link) => self.heads(link, None),
            Do::Shows(link, name, version) => {
                let new = new_record(name, version);
                let heads = Heads {
                    versions: vec![new.record.version],
                    all: HeadsSummary::default(),
                    future: Vec::new(),
                    kept: false,
                    log_damage: LogDamage::default(),
                };
                self.heads(link, Some(Told { heads, shown: new.bytes }));
            }
            Do::Holds(link, holds) => {
                let node = NodeId([9; 32]);
                let holder = holds.then(|| PeerAddress { node, address: String::new() });
                if let Some(query) = self.answered(link) {
                    self.query.holds_answered(&mut self.cx, link, query, holder);
                }
            }
            Do::Taken(comes) => {
                let (query, record) = self.shown.pop_front().expect("something was shown");
                self.query.taken(&mut self.cx, query, record, comes);
            }
            Do::Came(name, version) => {
                self.act(&Do::Hold(name, version));
                self.query.came(&mut self.cx, &new_record(name, version).id, true);
            }
            Do::Looked => {
                let query = self.looks.pop_front().expect("it was to look");
                self.query.held_here(&mut self.cx, query, None);
            }
            Do::Read | Do::Damaged => {
                let reading = self.reads.pop_front().expect("something is read");
                let is_good = matches!(step, Do::Read);
                let item = if is_good { Ok(Bytes::new()) } else { Err(ReadError::Damaged) };
                let sync = |_: &Context| SyncState::Complete;
                let answer = self.query.answer(&mut self.cx, reading, vec![item], sync);
                self.query.go_on(&mut self.cx, answer);
            }
            Do::Late => {
                self.cx.now.instant = self.cx.now.instant + PEER_TIMEOUT;
                while let Some((_, timer)) = self.cx.timers.take_due(self.cx.now.instant) {
                    if let Timer::Query(query) = timer {
                        self.query.timeout(&mut self.cx, query);
                    }
                }
            }
            Do::Closed(link) => {
                let peer = self.cx.links.remove(link).expect("it is there");
                self.query.link_closed(&mut self.cx, link, &peer.asks);
            }
        }
    }

    fn told(&mut self) -> String {
        let mut told = Vec::new();
        while let Some(output) = self.cx.outputs.pop_front() {
            told.push(match output {
                Output::Job(Job::ReadLog { purpose, .. }) => match purpose.reason {
                    ReadFor::Reply(reading) => {
                        self.reads.push_back(reading);
                        "read".to_owned()
                    }
                    other => panic!("{other:?}"),
                },
                Output::Send { link, message } => match message {
                    Message::Head { request, .. } | Message::Holds { request, .. } => {
                        self.asked.insert(link, request);
                        format!("{link} is asked")
                    }
                    Message::Heads { request, versions, shown, .. } => {
                        let shows = if shown.is_some() { "shows" } else { "knows" };
                        format!("{link} {shows} {} to {request}", versions.len())
                    }
                    Message::DamagedHeads { request, .. } => format!("{link} damaged {request}"),
                    Message::HoldersAre { request, count, .. } => {
                        format!("{link} {count} hold to {request}")
                    }
                    Message::Page { request, page: None } => format!("{link} no page {request}"),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            });
        }
        while let Some(event) = self.query.poll_event() {
            told.push(match event {
                Event::Look { query, .. } => {
                    self.looks.push_back(query);
                    "look".to_owned()
                }
                Event::Shown { query, record, .. } => {
                    self.shown.push_back((query, crate::crypto::keys::record_id(&record)));
                    "shown".to_owned()
                }
                Event::RecordDamaged { .. } => "record damaged".to_owned(),
                Event::FetchPage { asker, .. } => format!("fetch page for {}", asker.link),
                Event::InVain { link, .. } => format!("{link} in vain"),
                other => panic!("{other:?}"),
            });
        }
        told.join(", ")
    }
}

fn check(script: &[(Do, &str)]) {
    let mut bench = Setting::new();
    run(&mut bench, script);
    let asks = [10, 11].map(|link| bench.cx.links.get(link).map_or(0, |peer| peer.asks.len()));
    assert_eq!(asks, [0, 0], "a question is remembered");
}

#[test]
fn a_name_that_is_not_known_is_asked_of_all_and_the_first_who_knows_it_is_enough() {
    check(&[
        (Do::Head(1, 5), "10 is asked, 11 is asked"),
        (Do::Knows(10), ""),
        (Do::Knows(11), "1 knows 0 to 1"),
    ]);
    check(&[
        (Do::Informed(11), ""),
        (Do::Head(1, 5), "10 is asked, 11 is asked"),
        (Do::Shows(10, 5, 1), "shown"),
        (Do::Taken(true), ""),
        (Do::Came(5, 1), "read"),
        (Do::Read, "1 shows 1 to 1"),
    ]);
}

#[test]
fn a_name_that_is_known_is_asked_of_those_who_have_not_told_all() {
    check(&[
        (Do::Hold(5, 1), ""),
        (Do::Informed(10), ""),
        (Do::Head(1, 5), "11 is asked"),
        (Do::Informed(11), ""),
        (Do::Head(2, 5), "read"),
        (Do::Read, "2 shows 1 to 2"),
        (Do::Knows(11), "read"),
        (Do::Read, "1 shows 1 to 1"),
    ]);
}

#[test]
fn who_does_not_answer_is_not_waited_for_and_who_asks_no_more_is_forgotten() {
    check(&[
        (Do::Head(1, 5), "10 is asked, 11 is asked"),
        (Do::Knows(10), ""),
        (Do::Late, "1 knows 0 to 1"),
        (Do::Head(1, 6), "10 is asked"),
        (Do::Closed(10), "1 knows 0 to 2"),
        (Do::Late, ""),
    ]);
    check(&[
        (Do::Head(1, 5), "10 is asked, 11 is asked"),
        (Do::Closed(1), ""),
        (Do::Knows(10), ""),
        (Do::Late, ""),
    ]);
}

#[test]
fn what_was_shown_and_left_aside_is_not_waited_for() {
    check(&[
        (Do::Head(1, 5), "10 is asked, 11 is asked"),
        (Do::Shows(10, 5, 1), "shown"),
        (Do::Taken(false), ""),
        (Do::Knows(11), "1 knows 0 to 1"),
    ]);
}

#[test]
fn a_damaged_record_is_told_as_such_when_the_peers_do_not_have_it() {
    check(&[
        (Do::Hold(5, 1), ""),
        (Do::Informed(10), ""),
        (Do::Informed(11), ""),
        (Do::Head(1, 5), "read"),
        (Do::Damaged, "10 is asked, 11 is asked, record damaged"),
        (Do::Knows(10), ""),
        (Do::Knows(11), "1 damaged 1"),
    ]);
}

#[test]
fn holders_are_counted_and_this_node_looks_for_itself() {
    check(&[
        (Do::Holders(1), "10 is asked, 11 is asked, look"),
        (Do::Holds(10, true), ""),
        (Do::Holds(11, false), ""),
        (Do::Looked, "1 1 hold to 1"),
    ]);
}

#[test]
fn a_page_that_is_not_here_is_fetched_for_a_client_and_for_no_node() {
    check(&[(Do::Page(1), "fetch page for 1"), (Do::Page(10), "10 no page 2, 10 in vain")]);
}
