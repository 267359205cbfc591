//! Scripts: what is to be verified, and what comes of it.

use super::*;
use crate::server::links::Peer;
use crate::server::output::Output;
use crate::server::samples::{Bench, run};

enum Do {
    /// This block is here.
    Hold(u8),
    /// Somebody wants the next part after a block verified.
    Ask(Link, Option<u8>),
    /// The oldest part that is wanted begins; of it this is missing.
    Sweep(&'static [u8]),
    Suspect(Link, u8),
    Offer(Link, &'static [u8]),
    /// The oldest job is done: these are bad, and no longer held.
    Done(&'static [u8]),
    /// The disk would not say.
    Unread,
    Closed(Link),
}

fn address(number: u8) -> Address {
    Address([number; 32])
}

struct Setting {
    cx: Context,
    scrub: Scrub,
    wanted: VecDeque<Wanted>,
    jobs: VecDeque<(VerifyFor, Vec<Address>)>,
    next_request: u32,
}

impl Setting {
    fn new() -> Self {
        let mut cx = Context::for_tests();
        (1..4).for_each(|link| cx.links.insert(link, Peer::for_tests(None)));
        let (wanted, jobs) = (VecDeque::new(), VecDeque::new());
        Self { cx, scrub: Scrub::default(), wanted, jobs, next_request: 0 }
    }
}

impl Bench for Setting {
    type Step = Do;

    fn act(&mut self, step: &Do) {
        let (scrub, cx) = (&mut self.scrub, &mut self.cx);
        match *step {
            Do::Hold(block) => {
                cx.index.holdings.insert(address(block), BlockPlace::Tree { length: 9 }, 1);
            }
            Do::Ask(link, after) => {
                self.next_request += 1;
                scrub.ask(cx, Asker { link, request: self.next_request }, after.map(address));
            }
            Do::Sweep(missing) => {
                let wanted = self.wanted.pop_front().expect("a part is wanted");
                let missing = |_: &Context, _| missing.iter().copied().map(address).collect();
                scrub.sweep(cx, wanted, missing);
            }
            Do::Suspect(link, block) => {
                scrub.suspect(cx, link, address(block));
            }
            Do::Offer(link, blocks) => {
                let block = |block: &u8| BlockRef { address: address(*block), length: 9 };
                let blocks: Vec<_> = blocks.iter().map(block).collect();
                scrub.offered(cx, link, &blocks);
            }
            Do::Done(bad) => {
                let (reason, _) = self.jobs.pop_front().expect("something is verified");
                let bad: Vec<_> = bad.iter().copied().map(address).collect();
                for address in &bad {
                    cx.index.holdings.remove(address);
                }
                let found = Verified { bytes: 9, bad, unread: Vec::new() };
                scrub.verified(cx, reason, found);
            }
            Do::Unread => {
                let (reason, unread) = self.jobs.pop_front().expect("something is verified");
                scrub.verified(cx, reason, Verified { bytes: 0, bad: Vec::new(), unread });
            }
            Do::Closed(link) => {
                cx.links.remove(link);
                scrub.link_closed(link);
            }
        }
    }

    fn told(&mut self) -> String {
        let mut told = Vec::new();
        while let Some(output) = self.cx.outputs.pop_front() {
            told.push(match output {
                Output::Job(Job::Verify { purpose, blocks }) => {
                    let Verifying { reason, .. } = *purpose;
                    let count = blocks.len();
                    let blocks = blocks.into_iter().map(|(address, _)| address).collect();
                    self.jobs.push_back((reason, blocks));
                    format!("verify {count}")
                }
                Output::Send { link, message } => match message {
                    Message::Verified { request, good, bad, next, .. } => {
                        let more = if next.is_some() { ", more" } else { "" };
                        format!("{link} {good} good {} bad to {request}{more}", bad.len())
                    }
                    Message::Refused { request, reason, .. } => {
                        format!("{link} {reason:?} {request}")
                    }
                    Message::Have { addresses } => format!("{link} have {}", addresses.len()),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            });
        }
        while let Some(event) = self.scrub.poll_event() {
            told.push(match event {
                Event::Sweep(wanted) => {
                    self.wanted.push_back(wanted);
                    "sweep".to_owned()
                }
                Event::Cleared { address } => format!("cleared {}", address.0[0]),
                Event::Offered { client, good, others } => {
                    format!("{client} {good} good, {} to fetch", others.len())
                }
                Event::Put(_) => "put".to_owned(),
            });
        }
        told.join(", ")
    }
}

fn check(script: &[(Do, &str)]) {
    let mut bench = Setting::new();
    run(&mut bench, script);
}

#[test]
fn parts_of_the_store_are_verified_one_at_a_time_and_one_of_each_connection_waits() {
    check(&[
        (Do::Hold(5), ""),
        (Do::Hold(6), ""),
        (Do::Ask(1, None), "sweep"),
        (Do::Sweep(&[9]), "verify 2"),
        (Do::Ask(1, None), ""),
        (Do::Ask(1, None), "1 Unavailable 3"),
        (Do::Ask(2, Some(5)), ""),
        (Do::Done(&[6]), "1 1 good 2 bad to 1, sweep"),
        (Do::Closed(2), ""),
        (Do::Sweep(&[]), "verify 1"),
        (Do::Unread, "1 Unavailable 2"),
    ]);
}

#[test]
fn a_part_is_as_long_as_a_batch_and_says_where_the_next_begins() {
    let mut script: Vec<(Do, &str)> = (0..20).map(|block| (Do::Hold(block), "")).collect();
    script.extend([
        (Do::Ask(1, None), "sweep"),
        (Do::Sweep(&[]), "verify 16"),
        (Do::Done(&[]), "1 16 good 0 bad to 1, more"),
        (Do::Ask(1, Some(15)), "sweep"),
        (Do::Sweep(&[]), "verify 4"),
        (Do::Done(&[]), "1 4 good 0 bad to 2"),
    ]);
    check(&script);
}

#[test]
fn what_is_offered_and_here_is_had_if_it_is_good_and_fetched_if_not() {
    check(&[
        (Do::Hold(5), ""),
        (Do::Hold(6), ""),
        (Do::Offer(1, &[5, 6]), "verify 2"),
        (Do::Done(&[6]), "1 have 1, 1 1 good, 1 to fetch"),
        (Do::Offer(1, &[5]), "verify 1"),
        (Do::Unread, "1 0 good, 1 to fetch"),
        (Do::Offer(1, &[5]), "verify 1"),
        (Do::Closed(1), ""),
        (Do::Done(&[]), ""),
    ]);
}

#[test]
fn a_suspicion_is_looked_into_and_each_reader_has_a_bound() {
    check(&[
        (Do::Suspect(1, 5), ""),
        (Do::Hold(5), ""),
        (Do::Suspect(1, 5), "verify 1"),
        (Do::Done(&[5]), "cleared 5"),
    ]);
    let mut bench = Setting::new();
    for block in 0..=u8::try_from(SUSPECTS_MAX).unwrap() {
        bench.act(&Do::Hold(block));
        bench.act(&Do::Suspect(1, block));
        let is_looked_at = bench.told() == "verify 1";
        assert_eq!(is_looked_at, usize::from(block) < SUSPECTS_MAX);
    }
    bench.act(&Do::Suspect(2, 0));
    assert_eq!(bench.told(), "verify 1", "another reader has its own");
    bench.act(&Do::Done(&[]));
    bench.act(&Do::Suspect(1, 1));
    assert_eq!(bench.told(), "verify 1, cleared 0");
}

#[test]
fn a_part_ends_where_as_much_is_missing_as_one_answer_holds() {
    let mut bench = Setting::new();
    for block in [1, 200] {
        bench.act(&Do::Hold(block));
    }
    bench.act(&Do::Ask(1, None));
    assert_eq!(bench.told(), "sweep");
    // All of them lie between the two blocks.
    let id = |number: usize| {
        let mut id = [0; 32];
        id[0] = 100;
        id[8..16].copy_from_slice(&number.to_be_bytes());
        Address(id)
    };
    let wanted = bench.wanted.pop_front().unwrap();
    let missing = |_: &Context, _| (0..MISSING_MAX + 9).map(id).collect();
    bench.scrub.sweep(&mut bench.cx, wanted, missing);
    assert_eq!(bench.told(), "verify 1", "the second block is of the next part");
    bench.act(&Do::Done(&[]));
    assert_eq!(bench.told(), format!("1 1 good {MISSING_MAX} bad to 1, more"));
}

#[test]
fn who_leaves_before_a_block_is_looked_at_is_not_remembered() {
    let mut bench = Setting::new();
    bench.act(&Do::Hold(5));
    bench.act(&Do::Suspect(1, 5));
    assert_eq!(bench.told(), "verify 1");
    bench.act(&Do::Closed(1));
    bench.act(&Do::Done(&[]));
    assert_eq!(bench.told(), "cleared 5");
    bench.act(&Do::Suspect(1, 5));
    assert!(bench.told().is_empty() && bench.scrub.suspects.is_empty());
}
