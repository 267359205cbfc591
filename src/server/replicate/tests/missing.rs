//! Scripts: what records lack, what was found damaged, what peers say, and what is asked for when.

use super::super::*;
use crate::crypto::tree;
use crate::ids::NodeId;
use crate::limits::{LAST_SOURCE_TIMEOUT, PEER_TIMEOUT};
use crate::server::links::Peer;
use crate::server::output::Output;
use crate::server::samples::{Bench, file, new_record, run};
use crate::server::timers::Timer;
use crate::server::work::{CheckFor, Job, ReadFor};
use crate::store::values::{BlockPlace, DiskError, LogPlace};
use crate::wire::page::{Entries, Page, PageRef};
use crate::wire::record::BlockList;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Connections below 10 are clients'.
enum Do {
    /// A record of this name is in the catalog, of these blocks, which one of the nodes has sent.
    Record(u64, &'static [u8]),
    /// A record that names this page as a block.
    Claim(u64, u8),
    /// A record of a file that has a page of two blocks, and one of two more.
    Long(u64),
    /// A block is here, or is no more.
    Hold(u8),
    Lose(u8),
    /// The oldest read is done; what was read is damaged; the disk would not say.
    Read,
    Damaged,
    Unread,
    /// What has come of a block that was to be fetched.
    Block(u8, Outcome),
    /// A node answers for the page that it was asked for last; with these bytes, or none.
    Page(Link, Option<u8>),
    /// It would not.
    Refuse(Link),
    /// Pages that have come are durable, or not.
    Landed(bool),
    LosePage(u8),
    /// A client wants a page.
    WantPage(Link, u8),
    /// A peer asks whether a record is whole here.
    Holds(Link, u64),
    /// A node has come, or got something.
    News(Link),
    Told(Link, u8),
    ToldPage(Link, u8),
    /// So much time goes by, and what is due is done.
    Pass(Duration),
    /// The end of a turn.
    Turn,
    Closed(Link),
    NoRoom,
}

/// The pages of a long file: two lists, and the page above them.
fn page(number: u8) -> Page {
    let block = |number: u8| BlockRef { address: Address([number; 32]), length: 7 };
    let entries = match number {
        100 => {
            let page = |number| PageRef { address: page_address(number), blocks: 2, bytes: 14 };
            Entries::Pages { depth: 2, pages: vec![page(101), page(102)] }
        }
        number => Entries::Blocks(vec![block(number - 100), block(number - 90)]),
    };
    Page { sealed: vec![9; entries.count() * 64], entries }
}

fn page_bytes(number: u8) -> Bytes {
    let mut bytes = Vec::new();
    page(number).encode(&mut bytes);
    bytes.into()
}

fn page_address(number: u8) -> Address {
    Address(tree::tree(&page_bytes(number)).0)
}

fn page_number(address: &Address) -> u8 {
    (100..103).find(|number| page_address(*number) == *address).expect("one of these")
}

struct Setting {
    cx: Context,
    replicate: Replicate,
    log: BTreeMap<u32, Bytes>,
    reads: VecDeque<(LogPlace, Reading)>,
    /// For what each block is fetched.
    fetched: BTreeMap<u8, Vec<Interest>>,
    asked: BTreeMap<Link, PageAsked>,
    arrived: Vec<Address>,
    /// Stands for 0 among blocks.
    claimed: Option<Address>,
    next_request: Request,
}

impl Setting {
    fn new() -> Self {
        let mut cx = Context::for_tests();
        for link in [1, 2, 10, 11] {
            cx.links.insert(link, Peer::for_tests(None));
        }
        for link in [10, 11] {
            cx.links.become_node(link, NodeId([u8::try_from(link).unwrap(); 32]));
        }
        Self {
            cx,
            replicate: Replicate::new(Missing::default(), &[]),
            log: BTreeMap::new(),
            reads: VecDeque::new(),
            fetched: BTreeMap::new(),
            asked: BTreeMap::new(),
            arrived: Vec::new(),
            claimed: None,
            next_request: 0,
        }
    }

    fn keep(&mut self, bytes: Bytes) -> LogPlace {
        let offset = u32::try_from(self.log.len()).unwrap();
        self.log.insert(offset, bytes);
        LogPlace { segment: 1, offset, length: 1 }
    }

    fn know(&mut self, name: u64, blocks: BlockList) {
        let record = crate::wire::record::Record { blocks, ..file(name, 1, &[]) };
        let mut new = new_record(name, 1);
        new.bytes = record.to_bytes().into();
        let place = self.keep(new.bytes.clone());
        new.complete = !self.cx.index.catalog.insert(new.id, &record, place);
        new.source = Some(11);
        self.replicate.records_came(&mut self.cx, &[new]);
    }

    fn asker(&mut self, link: Link) -> Asker {
        self.next_request += 1;
        Asker { link, request: self.next_request }
    }

    fn answer(&mut self, item: impl FnOnce(Bytes) -> Result<Bytes, ReadError>) {
        let (place, reading) = self.reads.pop_front().expect("something is read");
        let item = item(self.log[&place.offset].clone());
        self.replicate.read(&mut self.cx, reading, vec![item]);
    }

    fn pass(&mut self, time: Duration) {
        self.cx.now.instant = self.cx.now.instant + time;
        while let Some((_, timer)) = self.cx.timers.take_due(self.cx.now.instant) {
            match timer {
                Timer::PageAsked(asked) => self.replicate.page_timeout(&mut self.cx, asked),
                Timer::Retry => self.replicate.retry(&mut self.cx),
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Bench for Setting {
    type Step = Do;

    fn act(&mut self, step: &Do) {
        let cx = &mut self.cx;
        match *step {
            Do::Record(name, blocks) => {
                let block = |number: &u8| BlockRef { address: Address([*number; 32]), length: 7 };
                self.know(name, BlockList::Inline(blocks.iter().map(block).collect()));
            }
            Do::Claim(name, number) => {
                let block = BlockRef { address: page_address(number), length: 7 };
                self.claimed = Some(block.address);
                self.know(name, BlockList::Inline(vec![block]));
            }
            Do::Long(name) => {
                let root = page_address(100);
                self.know(name, BlockList::Pages { root, depth: 2, blocks: 4, bytes: 28 });
            }
            Do::Hold(number) => {
                let address = Address([number; 32]);
                cx.index.holdings.insert(address, BlockPlace::Tree { length: 7 }, 1);
                self.replicate.blocks_came(cx, &[address]);
            }
            Do::Lose(number) => {
                let block = BlockRef { address: Address([number; 32]), length: 7 };
                self.replicate.block_lost(cx, block);
            }
            Do::Read => self.answer(Ok),
            Do::Damaged => self.answer(|_| Err(ReadError::Damaged)),
            Do::Unread => {
                self.answer(|_| Err(ReadError::Disk(DiskError::Scarce("EMFILE".to_owned()))));
            }
            Do::Block(number, outcome) => {
                let claimed = self.claimed.filter(|_| number == 0);
                let address = claimed.unwrap_or(Address([number; 32]));
                for interest in self.fetched.remove(&number).expect("it is fetched") {
                    let replication = match interest {
                        Interest::Replication(id) => Some(id),
                        Interest::Offer(_) | Interest::Read(_) | Interest::Repair => None,
                    };
                    self.replicate.block_ended(cx, address, replication, outcome);
                }
            }
            Do::Page(link, number) => {
                let page = number.map(page_bytes);
                let message = Message::Page { request: 0, page };
                self.replicate.page_answered(cx, self.asked[&link], message);
            }
            Do::Refuse(link) => {
                let message = Message::refused(0, Reason::Unavailable, "");
                self.replicate.page_answered(cx, self.asked[&link], message);
            }
            Do::Landed(durable) => {
                let addresses = std::mem::take(&mut self.arrived);
                for address in addresses.iter().filter(|_| durable) {
                    let place = self.keep(page_bytes(page_number(address)));
                    self.cx.index.holdings.insert_page(*address, place);
                }
                self.replicate.pages_landed(&mut self.cx, &addresses, durable);
            }
            Do::LosePage(number) => self.replicate.page_lost(cx, page_address(number)),
            Do::WantPage(link, number) => {
                let asker = self.asker(link);
                self.replicate.fetch_page(&mut self.cx, asker, page_address(number));
            }
            Do::Holds(link, name) => {
                let asker = self.asker(link);
                self.replicate.holds(&mut self.cx, asker, new_record(name, 1).id);
            }
            Do::News(link) => self.replicate.has_news(cx, link),
            Do::Told(link, number) => {
                self.replicate.told_of(cx, link, &[Address([number; 32])]);
            }
            Do::ToldPage(link, number) => {
                self.replicate.told_of(cx, link, &[page_address(number)]);
            }
            Do::Pass(time) => self.pass(time),
            Do::Turn => while self.replicate.go_on(cx) {},
            Do::Closed(link) => {
                let peer = cx.links.remove(link).expect("it is there");
                self.replicate.link_closed(cx, link, &peer.asks);
            }
            Do::NoRoom => cx.space.ran_out(),
        }
    }

    fn told(&mut self) -> String {
        let mut told = Vec::new();
        while let Some(output) = self.cx.outputs.pop_front() {
            match output {
                Output::Job(Job::ReadLog { purpose, items, .. }) => {
                    let ReadFor::Replicate(reading) = purpose.reason else { panic!("{purpose:?}") };
                    self.reads.push_back((items[0].place, reading));
                    told.push("read".to_owned());
                }
                Output::Job(Job::Check { purpose, .. }) => {
                    let CheckFor::FetchedPage { asked, page } = purpose.reason else {
                        panic!("{purpose:?}")
                    };
                    let found = [Checked::Address(Address(tree::tree(&page).0))];
                    self.replicate.page_checked(&mut self.cx, asked, page, &found);
                }
                Output::Job(Job::Space) => {}
                Output::Send { link, message: Message::GetPage { address, .. } } => {
                    let asks = &self.cx.links.get(link).expect("it is there").asks;
                    let pages = asks.values().filter_map(|ask| match ask {
                        Ask::Page(asked) if asked.address == address => Some(*asked),
                        _ => None,
                    });
                    self.asked.insert(link, pages.max().expect("it has just been asked"));
                    told.push(format!("{link} page {}", page_number(&address)));
                }
                Output::Send { link, message } => told.push(format!("{link} {}", said(&message))),
                other => panic!("{other:?}"),
            }
        }
        while let Some(event) = self.replicate.poll_event() {
            told.push(match event {
                Event::Fetch { block, interest, again, hint } => {
                    let is_claimed = Some(block.address) == self.claimed;
                    let number = if is_claimed { 0 } else { block.address.0[0] };
                    self.fetched.entry(number).or_default().push(interest);
                    let again = if again { " again" } else { "" };
                    let hint = hint.map_or(String::new(), |link| format!(" of {link}"));
                    format!("fetch {number}{again}{hint}")
                }
                Event::Page { address, .. } => {
                    self.arrived.push(address);
                    format!("page {}", page_number(&address))
                }
                Event::PageHere { asker, .. } => format!("{} reads", asker.link),
                Event::Lost { .. } => "lost".to_owned(),
                Event::RecordDamaged => "record damaged".to_owned(),
                Event::PutLookedUp { .. } | Event::Held { .. } => panic!("{event:?}"),
            });
        }
        told.join(", ")
    }
}

fn said(message: &Message) -> String {
    match message {
        Message::HoldsIs { holds, .. } => if *holds { "whole" } else { "not whole" }.to_owned(),
        Message::Page { page, .. } => if page.is_some() { "a page" } else { "no page" }.to_owned(),
        Message::Refused { reason, .. } => format!("{reason:?}"),
        other => panic!("{other:?}"),
    }
}

/// Each step, and what comes of it.
fn check(script: &[(Do, &str)]) {
    run(&mut Setting::new(), script);
}

const RETRY: Duration = Duration::from_secs(5);

#[test]
fn what_a_record_lacks_is_fetched_and_then_it_is_whole() {
    check(&[
        (Do::Record(5, &[1, 2]), "read"),
        (Do::Holds(10, 5), "read"),
        (Do::Read, "fetch 1 of 11, fetch 2 of 11"),
        (Do::Read, "10 not whole"),
        (Do::Hold(1), ""),
        (Do::Block(1, Outcome::Here), ""),
        (Do::Hold(2), ""),
        (Do::Block(2, Outcome::Here), ""),
        (Do::Holds(10, 5), "read"),
        (Do::Read, "10 whole"),
        (Do::Pass(RETRY), ""),
    ]);
}

#[test]
fn what_nobody_has_is_tried_again_when_it_comes_or_somebody_tells_of_it_and_not_before() {
    check(&[
        (Do::Record(5, &[1, 2]), "read"),
        (Do::Read, "fetch 1 of 11, fetch 2 of 11"),
        (Do::Block(1, Outcome::Nowhere), ""),
        (Do::Block(2, Outcome::Nowhere), ""),
        (Do::Pass(RETRY), ""),
        (Do::Turn, ""),
        (Do::Told(10, 3), ""),
        (Do::Turn, ""),
        (Do::Told(10, 1), "read"),
        (Do::Read, "fetch 1 again of 10, fetch 2 again of 10"),
        (Do::Block(2, Outcome::Nowhere), ""),
        (Do::Block(1, Outcome::Nowhere), ""),
        (Do::Hold(2), "read"),
        (Do::Read, "fetch 1 again"),
        (Do::Hold(1), ""),
        (Do::Block(1, Outcome::Here), ""),
        (Do::Holds(10, 5), "read"),
        (Do::Read, "10 whole"),
    ]);
}

#[test]
fn who_did_not_answer_is_asked_again_after_a_while() {
    check(&[
        (Do::Record(5, &[1]), "read"),
        (Do::Read, "fetch 1 of 11"),
        (Do::Block(1, Outcome::Unsure), ""),
        (Do::Turn, ""),
        (Do::Pass(RETRY), "read"),
        (Do::Read, "fetch 1"),
        (Do::Block(1, Outcome::Unsure), ""),
        (Do::Pass(RETRY), ""),
        (Do::Pass(RETRY), "read"),
        (Do::Unread, ""),
        (Do::Pass(4 * RETRY), "read"),
    ]);
}

#[test]
fn a_node_that_has_come_is_asked_for_all_that_is_short() {
    check(&[
        (Do::Record(5, &[1]), "read"),
        (Do::Read, "fetch 1 of 11"),
        (Do::Block(1, Outcome::Nowhere), ""),
        (Do::Hold(7), ""),
        (Do::Lose(7), "lost, fetch 7"),
        (Do::Block(7, Outcome::Nowhere), ""),
        (Do::Turn, ""),
        (Do::News(10), ""),
        (Do::Turn, "read, fetch 7 again"),
        (Do::Read, "fetch 1 again"),
        (Do::Block(1, Outcome::Nowhere), ""),
        (Do::Block(7, Outcome::Nowhere), ""),
        (Do::Turn, ""),
        (Do::Pass(RETRY), ""),
    ]);
}

#[test]
fn of_a_long_file_page_after_page_is_had_with_its_blocks() {
    check(&[
        (Do::Long(5), "read"),
        (Do::Read, "11 page 100"),
        (Do::Page(11, Some(100)), "page 100"),
        (Do::Landed(true), "read"),
        (Do::Read, "11 page 101"),
        (Do::Page(11, None), "10 page 101"),
        // Of what is behind it the pages are had, and no blocks.
        (Do::Page(10, Some(102)), "11 page 102"),
        (Do::Page(11, Some(102)), "page 102"),
        (Do::Landed(true), "read"),
        (Do::Read, ""),
        (Do::Pass(PEER_TIMEOUT), ""),
        (Do::Turn, ""),
    ]);
    check(&[
        (Do::Long(5), "read"),
        (Do::Read, "11 page 100"),
        (Do::Pass(PEER_TIMEOUT), "10 page 100"),
        (Do::Page(11, Some(100)), "page 100"),
        (Do::Page(10, Some(100)), ""),
        (Do::Landed(true), "read"),
        (Do::Read, "11 page 101"),
        (Do::Closed(11), "10 page 101"),
        (Do::Page(10, Some(101)), "page 101"),
        (Do::Landed(true), "read"),
        (Do::Read, "fetch 1 of 11, fetch 11 of 11"),
        (Do::Block(1, Outcome::Here), ""),
        (Do::Block(11, Outcome::Here), "10 page 102"),
        (Do::Page(10, Some(102)), "page 102"),
        (Do::Landed(false), ""),
        (Do::Pass(RETRY), "read"),
        (Do::Read, "read"),
        (Do::Read, "read"),
        (Do::Damaged, "10 page 101, lost"),
        (Do::Page(10, Some(101)), "page 101"),
        (Do::Landed(true), "read"),
    ]);
}

#[test]
fn the_last_one_that_may_have_a_page_is_waited_for_longer() {
    let rest = LAST_SOURCE_TIMEOUT.checked_sub(PEER_TIMEOUT).unwrap();
    check(&[
        (Do::WantPage(1, 101), "10 page 101"),
        (Do::WantPage(2, 101), ""),
        (Do::Refuse(10), "11 page 101"),
        (Do::Pass(PEER_TIMEOUT), ""),
        (Do::Pass(rest), "10 page 101, 1 no page"),
        (Do::Page(11, Some(101)), "page 101"),
        (Do::Landed(true), "2 reads"),
    ]);
}

#[test]
fn who_has_it_by_now_is_asked_though_it_had_not_when_others_wanted_it() {
    check(&[
        (Do::Long(5), "read"),
        (Do::Read, "11 page 100"),
        (Do::Page(11, None), "10 page 100"),
        (Do::Page(10, None), ""),
        (Do::WantPage(1, 100), "10 page 100"),
        (Do::Page(10, None), "11 page 100"),
        (Do::ToldPage(10, 100), "read"),
        (Do::Read, ""),
        (Do::Page(11, None), "10 page 100"),
        (Do::Page(10, Some(100)), "page 100"),
        (Do::Landed(true), "read, 1 reads"),
    ]);
    check(&[
        (Do::WantPage(1, 101), "10 page 101"),
        (Do::Page(10, None), "11 page 101"),
        (Do::WantPage(2, 101), ""),
        (Do::Page(11, None), "10 page 101, 1 no page"),
        (Do::Page(10, Some(101)), "page 101"),
        (Do::NoRoom, ""),
        (Do::WantPage(1, 101), ""),
        (Do::Landed(false), "10 page 101, 2 no page"),
        (Do::Page(10, Some(101)), "1 a page"),
    ]);
}

#[test]
fn news_that_come_while_others_are_asked_are_not_forgotten() {
    check(&[
        (Do::Record(5, &[1]), "read"),
        (Do::Read, "fetch 1 of 11"),
        (Do::News(10), ""),
        (Do::Turn, ""),
        (Do::Block(1, Outcome::Nowhere), ""),
        (Do::Pass(RETRY), "read"),
        (Do::Read, "fetch 1"),
    ]);
}

#[test]
fn what_is_held_as_a_page_is_no_block_that_a_record_lacks() {
    check(&[
        (Do::WantPage(1, 101), "10 page 101"),
        (Do::Page(10, Some(101)), "page 101"),
        (Do::Landed(true), "1 reads"),
        (Do::Claim(5, 101), "read"),
        (Do::Read, "fetch 0 of 11"),
        (Do::Block(0, Outcome::Nowhere), ""),
        (Do::Turn, ""),
    ]);
}

#[test]
fn damaged_blocks_are_tried_so_many_at_a_time_whatever_records_wait() {
    let mut bench = Setting::new();
    let count = 2 * crate::limits::SHORT_BATCH + 1;
    for number in 0..count {
        let mut address = Address::default();
        address.0[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        let block = BlockRef { address, length: 7 };
        bench.cx.index.holdings.insert(address, BlockPlace::Tree { length: 7 }, 1);
        bench.replicate.block_lost(&mut bench.cx, block);
    }
    let mut tried = BTreeSet::new();
    while let Some(event) = bench.replicate.poll_event() {
        if let Event::Fetch { block, .. } = event {
            assert!(tried.insert(block.address), "each once");
            bench.replicate.block_ended(&mut bench.cx, block.address, None, Outcome::Nowhere);
        }
    }
    assert_eq!(tried.len(), count);
}

#[test]
fn a_damaged_page_is_asked_for_and_whoever_wants_to_read_it_is_told() {
    check(&[
        (Do::WantPage(1, 101), "10 page 101"),
        (Do::Page(10, Some(101)), "page 101"),
        (Do::Landed(true), "1 reads"),
        (Do::LosePage(101), "10 page 101, lost"),
        (Do::WantPage(1, 101), ""),
        (Do::Page(10, None), "11 page 101"),
        (Do::Page(11, None), "10 page 101"),
        (Do::Page(10, None), "11 page 101"),
        (Do::Page(11, None), "1 Damaged"),
        (Do::NoRoom, ""),
        (Do::WantPage(1, 101), "10 page 101"),
        (Do::Page(10, Some(101)), "1 a page"),
    ]);
}

#[test]
fn a_record_whose_bytes_are_damaged_is_left_to_comparing() {
    check(&[
        (Do::Record(5, &[1]), "read"),
        (Do::Damaged, "record damaged"),
        (Do::Pass(RETRY), ""),
        (Do::News(10), ""),
        (Do::Turn, ""),
        (Do::Holds(10, 5), "10 not whole"),
    ]);
}
