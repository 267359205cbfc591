//! Scripts: what is put and sent, and what comes of it.

use super::super::samples::{Bench, file, new_record, run};
use super::*;
use crate::limits::WANTS_MAX;
use crate::server::links::Peer;
use crate::server::output::Output;
use crate::server::work::{CheckFor, Job};
use crate::store::values::LogPlace;
use crate::wire::condition::Condition;

/// Connections below 10 are clients'.
enum Do {
    /// A client puts this version of this name, as its request.
    Put(Link, u64, u8, Condition),
    /// A peer sends one.
    Send(Link, u64, u8),
    /// A client offers so many blocks, without a permit.
    Offer(Link, usize),
    /// The oldest check is done: all is as it should be, or not.
    Checked(bool),
    /// It has been looked whether all that the oldest put names is here.
    LookedUp(bool),
    /// The end of a turn.
    Turn,
    /// The group is durable.
    Committed,
    /// The disk has no room for it.
    Full,
    Stop,
}

struct Setting {
    cx: Context,
    write: Write,
    checks: VecDeque<CheckFor>,
    puts: VecDeque<Box<ReadyPut>>,
    /// How many records the group in flight has.
    in_flight: usize,
    next_request: u32,
}

impl Setting {
    fn new() -> Self {
        let mut cx = Context::for_tests();
        for link in [1, 2, 10, 11] {
            let node = (link >= 10).then_some(crate::ids::NodeId([9; 32]));
            cx.links.insert(link, Peer::for_tests(None));
            node.into_iter().for_each(|node| cx.links.become_node(link, node));
        }
        let (write, checks, puts) = (Write::new(&[]), VecDeque::new(), VecDeque::new());
        Self { cx, write, checks, puts, in_flight: 0, next_request: 0 }
    }

    fn asker(&mut self, link: Link) -> Asker {
        self.next_request += 1;
        Asker { link, request: self.next_request }
    }
}

impl Bench for Setting {
    type Step = Do;

    fn act(&mut self, step: &Do) {
        match *step {
            Do::Put(link, name, version, condition) => {
                let asker = self.asker(link);
                let records = vec![Bytes::from(file(name, version, &[]).to_bytes())];
                let put = Put { records, conditions: vec![condition], blocks: Vec::new() };
                self.write.put(&mut self.cx, asker, put);
            }
            Do::Send(link, name, version) => {
                let items = vec![new_record(name, version).pushed()];
                self.write.records(&mut self.cx, link, items);
            }
            Do::Offer(link, count) => {
                let asker = self.asker(link);
                let block = BlockRef { address: Address([3; 32]), length: 9 };
                self.write.offer(&mut self.cx, asker, vec![block; count], None);
            }
            Do::Checked(good) => {
                let found = [if good { Checked::Signed } else { Checked::Forged }];
                match self.checks.pop_front().expect("something is checked") {
                    CheckFor::Put(put) => self.write.put_checked(&mut self.cx, put, &found),
                    CheckFor::Records { link, items } => {
                        self.write.records_checked(&mut self.cx, link, items, &found);
                    }
                    other => panic!("{other:?}"),
                }
            }
            Do::LookedUp(complete) => {
                let put = self.puts.pop_front().expect("a put waits");
                self.write.put_looked_up(&mut self.cx, put, complete);
            }
            Do::Turn => self.write.pump(&mut self.cx, true),
            Do::Committed => {
                let place = LogPlace { segment: 1, offset: 0, length: 1 };
                let records = vec![place; std::mem::take(&mut self.in_flight)];
                let committed = Committed { number: 7, records, ..Committed::default() };
                self.write.group_answered(&mut self.cx, Ok(committed));
            }
            Do::Full => self.write.group_answered(&mut self.cx, Err(DiskError::Full)),
            Do::Stop => self.write.stop(),
        }
    }

    fn told(&mut self) -> String {
        let mut told = Vec::new();
        while let Some(output) = self.cx.outputs.pop_front() {
            told.push(match output {
                Output::Job(Job::Check { purpose, .. }) => {
                    self.checks.push_back(purpose.reason);
                    "check".to_owned()
                }
                Output::Job(Job::Commit { group }) => {
                    self.in_flight = group.records.len();
                    format!("commit {}", self.in_flight)
                }
                Output::Job(Job::Space) => continue,
                Output::Send { link, message: Message::PutDone { request, .. } } => {
                    format!("{link} done {request}")
                }
                Output::Send { link, message: Message::Refused { request, reason, .. } } => {
                    format!("{link} {reason:?} {request}")
                }
                other => panic!("{other:?}"),
            });
        }
        while let Some(event) = self.write.poll_event() {
            told.push(match event {
                Event::Put(put) => {
                    self.puts.push_back(put);
                    "put".to_owned()
                }
                Event::Forged { link } => format!("{link} forged"),
                Event::Broken { link, why } => format!("{link} {why:?}"),
                Event::Committed(contents) => format!("committed {}", contents.records.len()),
                Event::Rejected(contents, why) => {
                    format!("{why:?} {}", contents.records.len())
                }
                other => panic!("{other:?}"),
            });
        }
        told.join(", ")
    }
}

/// Each step, and what comes of it. At the end nothing is on its way but what is checked or looked up.
fn check(script: &[(Do, &str)]) {
    let mut bench = Setting::new();
    run(&mut bench, script);
    assert!(bench.write.queue.is_idle() && bench.write.offers.is_idle());
    let checked = bench.cx.coming.ids().count();
    assert_eq!(checked, bench.checks.len(), "records are being checked for ever");
}

#[test]
fn a_put_is_acknowledged_when_its_group_is_durable_and_not_before() {
    check(&[
        (Do::Put(1, 5, 1, Condition::Any), "check"),
        (Do::Turn, ""),
        (Do::Checked(true), "put"),
        (Do::Turn, ""),
        (Do::LookedUp(true), ""),
        (Do::Turn, "commit 1"),
        (Do::Turn, ""),
        (Do::Committed, "1 done 1, committed 1"),
    ]);
}

#[test]
fn one_group_is_in_flight_and_what_comes_meanwhile_goes_with_the_next() {
    check(&[
        (Do::Put(1, 5, 1, Condition::Any), "check"),
        (Do::Put(1, 6, 1, Condition::Any), "check"),
        (Do::Put(2, 7, 1, Condition::Any), "check"),
        (Do::Checked(true), "put"),
        (Do::LookedUp(true), ""),
        (Do::Turn, "commit 1"),
        (Do::Checked(true), "put"),
        (Do::Checked(true), "put"),
        (Do::LookedUp(true), ""),
        (Do::LookedUp(true), ""),
        (Do::Turn, ""),
        (Do::Committed, "1 done 1, committed 1"),
        (Do::Turn, "commit 2"),
        (Do::Committed, "1 done 2, 2 done 3, committed 2"),
    ]);
}

#[test]
fn a_group_without_room_is_forgotten_and_whoever_waits_is_told() {
    check(&[
        (Do::Put(1, 5, 1, Condition::Any), "check"),
        (Do::Checked(true), "put"),
        (Do::LookedUp(true), ""),
        (Do::Turn, "commit 1"),
        (Do::Full, "1 NoSpace 1, Full 1"),
        (Do::Put(1, 5, 1, Condition::Any), "1 NoSpace 2"),
    ]);
}

#[test]
fn what_is_forged_goes_no_further() {
    check(&[
        (Do::Put(1, 5, 1, Condition::Any), "check"),
        (Do::Checked(false), "1 WrongSignature"),
        (Do::Send(10, 5, 1), "check"),
        (Do::Send(11, 5, 1), ""),
        (Do::Checked(false), "10 forged"),
        (Do::Send(11, 5, 1), "check"),
        (Do::Checked(true), ""),
        (Do::Turn, "commit 1"),
        (Do::Send(10, 5, 1), ""),
        (Do::Committed, "committed 1"),
        (Do::Send(10, 5, 1), ""),
    ]);
}

#[test]
fn what_is_put_and_not_here_is_refused_but_where_a_known_version_names_the_same() {
    check(&[
        (Do::Put(1, 5, 2, Condition::Any), "check"),
        (Do::Checked(true), "put"),
        // It names no block: nothing is lacking.
        (Do::LookedUp(false), ""),
        (Do::Turn, "commit 1"),
        (Do::Committed, "1 done 1, committed 1"),
    ]);
}

#[test]
fn a_condition_is_judged_against_what_is_in_flight_too() {
    check(&[
        (Do::Put(1, 5, 1, Condition::Absent), "check"),
        (Do::Put(2, 5, 2, Condition::Absent), "check"),
        (Do::Checked(true), "put"),
        (Do::Checked(true), "put"),
        (Do::LookedUp(true), ""),
        (Do::LookedUp(true), "2 Exists 2"),
        (Do::Turn, "commit 1"),
        (Do::Put(2, 5, 2, Condition::Absent), "check"),
        (Do::Checked(true), "put"),
        (Do::LookedUp(true), "2 Exists 3"),
        (Do::Committed, "1 done 1, committed 1"),
        (Do::Put(2, 5, 2, Condition::Newest), "check"),
        (Do::Checked(true), "put"),
        (Do::LookedUp(true), ""),
        (Do::Turn, "commit 1"),
        (Do::Committed, "2 done 4, committed 1"),
    ]);
}

#[test]
fn offers_need_a_permit_have_a_bound_and_of_none_nothing_is_kept() {
    check(&[
        (Do::Offer(1, 1), "1 NotAllowed 1"),
        (Do::Offer(1, WANTS_MAX + 1), "1 TooManyOffers"),
        (Do::Offer(1, 0), "1 NotAllowed 3"),
    ]);
    let mut bench = Setting::new();
    bench.write.offers.begin(1, 0);
    assert!(bench.write.offers.is_idle());
    bench.write.offers.begin(1, 3);
    bench.write.offers_answered(1, 2);
    assert_eq!(bench.write.offered_by(1), 1);
    bench.write.link_closed(1);
    assert!(bench.write.is_idle());
}

#[test]
fn a_node_that_stops_finishes_what_it_has_accepted() {
    check(&[
        (Do::Put(1, 5, 1, Condition::Any), "check"),
        (Do::Stop, ""),
        (Do::Put(1, 6, 1, Condition::Any), "1 Unavailable 2"),
        (Do::Offer(1, 1), "1 Unavailable 3"),
        (Do::Checked(true), "put"),
        (Do::LookedUp(true), ""),
        (Do::Turn, "commit 1"),
        (Do::Committed, "1 done 1, committed 1"),
    ]);
}
