//! Scripts: what is done to the transfer of blocks, and what it does and tells.

use super::super::context::Context;
use super::super::output::Output;
use super::super::work::Job;
use super::*;
use crate::ids::Hash;
use crate::limits::{LAST_SOURCE_TIMEOUT, LEAF, PEER_TIMEOUT};
use crate::server::samples::{Bench, run};
use crate::store::values::{BlockPlace, LogPlace};
use crate::time::Instant;
use crate::wire::frame::Open;

/// A block of three leaves.
const BLOCK: BlockRef = BlockRef { address: Address([7; 32]), length: 2 * LEAF as u32 + 9 };
/// A block so small that it goes into the log.
const SMALL: BlockRef = BlockRef { address: Address([8; 32]), length: 9 };

/// Connections below 10 are clients'.
enum Do {
    /// A client offers a block.
    Offer(Link, BlockRef),
    /// A walk lacks one.
    Replicate(BlockRef),
    /// Somebody wants leaves of one.
    Want(Link, BlockRef, u8, u8),
    Open(Link, BlockRef, u8, u8),
    /// So many leaves from this one on have come.
    Leaves(Link, u8, u8),
    /// The stream is complete.
    End(Link),
    Abort(Link),
    Absent(Link, BlockRef),
    /// The end of a turn.
    Turn,
    /// The oldest job that has not been answered is done; it, and what comes of it.
    Done,
    /// The disk cannot do it, for want of room.
    Full,
    /// What was written, hashed or read is damaged.
    Bad,
    /// The block is durable.
    Arrive(BlockRef),
    /// So much time passes.
    Pass(Duration),
    /// Is this connection unresponsive?
    Unresponsive(Link),
    Sent(Link),
    Closed(Link),
    /// The disk has no room from now on.
    NoRoom,
    /// All bulk memory but this many leaves is taken.
    Memory(usize),
}

struct Setting {
    cx: Context,
    transfer: Transfer,
    jobs: VecDeque<Job>,
}

impl Setting {
    fn new() -> Self {
        let mut cx = Context::for_tests();
        (1..4).for_each(|link| cx.links.insert(link, super::super::links::Peer::for_tests(None)));
        for link in 10..13 {
            let node = crate::ids::NodeId([u8::try_from(link).unwrap(); 32]);
            cx.links.insert(link, super::super::links::Peer::for_tests(None));
            cx.links.become_node(link, node);
        }
        Self { cx, transfer: Transfer::default(), jobs: VecDeque::new() }
    }

    fn answer(&mut self, job: Job, step: &Do) {
        let (transfer, cx) = (&mut self.transfer, &mut self.cx);
        let disk = |is_full: bool| if is_full { Err(DiskError::Full) } else { Ok(()) };
        let is_full = matches!(step, Do::Full);
        let is_bad = matches!(step, Do::Bad);
        match job {
            Job::Write { purpose, draft, .. } if is_bad => {
                transfer.wrote(cx, &purpose, draft, Err(WriteError::BadLeaf(0)));
            }
            Job::Write { purpose, draft, .. } => {
                transfer.wrote(cx, &purpose, draft, disk(is_full).map_err(WriteError::Disk));
            }
            Job::Finish { address, .. } => transfer.finished(cx, address, disk(is_full)),
            Job::HashSmall { address, block } => {
                let found = if is_bad { Address::default() } else { address };
                transfer.small_hashed(cx, address, block, found);
            }
            Job::ReadLeaves { reader, .. } if is_bad => {
                transfer.leaves_read(cx, reader, Err(ReadError::Damaged));
            }
            Job::ReadLeaves { reader, count, .. } => {
                let chunks = vec![Bytes::from_static(b"a leaf"); count.into()];
                let read = LeavesRead { length: BLOCK.length, leaves: Vec::new(), chunks };
                transfer.leaves_read(cx, reader, Ok(read));
            }
            other => panic!("{other:?} is not of the transfer"),
        }
    }
}

impl Bench for Setting {
    type Step = Do;

    fn act(&mut self, step: &Do) {
        let (transfer, cx) = (&mut self.transfer, &mut self.cx);
        match *step {
            Do::Offer(link, block) => {
                transfer.fetch(cx, block, Interest::Offer(link), false, Some(link));
            }
            Do::Replicate(block) => {
                transfer.fetch(cx, block, Interest::Replication(1), false, None);
            }
            Do::Want(link, block, first, count) => {
                transfer.message(cx, link, Message::Want { block, first, count });
            }
            Do::Open(link, block, first, count) => {
                let BlockRef { address, length } = block;
                let leaves = vec![Hash::default(); 3];
                let open = Open { address, length, first, count, leaves };
                transfer.leaves(cx, link, Leaves::Opened(open));
            }
            Do::Leaves(link, first, count) => {
                for index in first..first + count {
                    let data = Bytes::from_static(b"a leaf");
                    transfer.leaves(cx, link, Leaves::Leaf { index, data });
                }
            }
            Do::End(link) => transfer.leaves(cx, link, Leaves::Ended),
            Do::Abort(link) => transfer.leaves(cx, link, Leaves::Aborted),
            Do::Absent(link, block) => {
                transfer.message(cx, link, Message::Absent { address: block.address });
            }
            Do::Turn => {
                transfer.write(cx);
                transfer.pump_waiting(cx);
            }
            Do::Done | Do::Full | Do::Bad => {
                let job = self.jobs.pop_front().expect("a job waits");
                self.answer(job, step);
            }
            Do::Arrive(block) => {
                let place = BlockPlace::Tree { length: block.length };
                cx.index.holdings.insert(block.address, place, 1);
                transfer.arrived(cx, &[block.address]);
            }
            Do::Pass(time) => cx.now.instant = cx.now.instant + time,
            Do::Unresponsive(link) => transfer.check_unresponsive(cx, link, Duration::ZERO),
            Do::Sent(link) => transfer.leaves(cx, link, Leaves::Sent),
            Do::Closed(link) => {
                cx.links.remove(link);
                transfer.link_closed(cx, link);
            }
            Do::NoRoom => cx.space.ran_out(),
            Do::Memory(leaves) => {
                let taken = cx.memory.max() - leaves * LEAF;
                cx.memory.claim(Share::Clients, taken);
            }
        }
    }

    fn told(&mut self) -> String {
        let mut told = Vec::new();
        let mut leaves: u32 = 0;
        while let Some(output) = self.cx.outputs.pop_front() {
            if let Output::Chunk { .. } = output {
                leaves += 1;
                continue;
            }
            if leaves > 0 {
                told.push(format!("{} leaves", std::mem::take(&mut leaves)));
            }
            match output {
                Output::Job(Job::Space | Job::Discard { .. }) => {}
                Output::Job(job) => {
                    told.push(word(&job).to_owned());
                    self.jobs.push_back(job);
                }
                Output::Send { link, message } => told.push(format!("{link} {}", said(&message))),
                Output::OpenStream { link, open } => {
                    told.push(format!("{link} stream {}+{}", open.first, open.count));
                }
                Output::AbortStream { link } => told.push(format!("{link} abort")),
                other => panic!("{other:?} is not of the transfer"),
            }
        }
        if leaves > 0 {
            told.push(format!("{leaves} leaves"));
        }
        while let Some(event) = self.transfer.poll_event() {
            told.push(match event {
                Event::Ended { replication: None, outcome, .. } => format!("repair {outcome:?}"),
                Event::Ended { outcome, .. } => format!("{outcome:?}"),
                Event::OffersAnswered { client, count } => format!("{client} answered {count}"),
                Event::Absent { reader, .. } => format!("{reader} cannot read"),
                Event::InVain { link, .. } => format!("{link} in vain"),
                Event::Received { .. } => "received".to_owned(),
                Event::ReceivedSmall { .. } => "received small".to_owned(),
                Event::Lost { reader, .. } => {
                    self.cx.index.holdings.remove(&BLOCK.address);
                    self.transfer.resume(&mut self.cx, reader);
                    "lost".to_owned()
                }
                Event::NoRoom { .. } => "no room".to_owned(),
                Event::Broken { link, why } => format!("{link} {why:?}"),
                Event::Unread { .. } | Event::Failed(_) => panic!("{event:?}"),
            });
        }
        told.join(", ")
    }
}

fn word(job: &Job) -> &'static str {
    match job {
        Job::Write { .. } => "write",
        Job::Finish { .. } => "finish",
        Job::HashSmall { .. } => "hash",
        Job::ReadLeaves { .. } => "read",
        other => panic!("{other:?} is not of the transfer"),
    }
}

fn said(message: &Message) -> String {
    match message {
        Message::Want { first, count, .. } => format!("want {first}+{count}"),
        Message::Absent { .. } => "absent".to_owned(),
        Message::Have { .. } => "have".to_owned(),
        Message::Suspect { .. } => "suspect".to_owned(),
        Message::Coming { .. } => "coming".to_owned(),
        other => panic!("{other:?} is not of the transfer"),
    }
}

/// Each step, and what comes of it. At the end all connections close, and nothing is left.
fn check(script: &[(Do, &str)]) {
    let mut bench = Setting::new();
    run(&mut bench, script);
    let taken = script.iter().any(|(step, _)| matches!(step, Do::Memory(_)));
    for link in (1..4).chain(10..13) {
        bench.act(&Do::Closed(link));
        bench.told();
    }
    while !bench.jobs.is_empty() {
        bench.act(&Do::Done);
        bench.told();
    }
    assert!(taken || bench.cx.memory.used() == 0, "memory is kept");
    let downloads = &bench.transfer.downloads;
    assert!(downloads.windows.is_empty(), "a window is kept");
    assert!(!bench.transfer.is_serving(), "somebody is served");
}

#[test]
fn a_client_is_asked_for_what_it_offers_and_told_when_it_is_here() {
    check(&[
        (Do::Offer(1, BLOCK), "1 want 0+3"),
        (Do::Open(1, BLOCK, 0, 3), ""),
        (Do::Leaves(1, 0, 3), ""),
        (Do::Turn, "write"),
        (Do::End(1), ""),
        (Do::Done, "finish"),
        (Do::Done, "received"),
        (Do::Arrive(BLOCK), "1 have, 1 answered 1"),
    ]);
}

#[test]
fn a_small_block_is_hashed_whole_and_one_that_is_not_what_it_says_is_asked_of_another() {
    check(&[
        (Do::Replicate(SMALL), "10 want 0+1"),
        (Do::Open(10, SMALL, 0, 1), ""),
        (Do::Leaves(10, 0, 1), ""),
        (Do::Turn, "hash"),
        (Do::End(10), ""),
        (Do::Bad, "10 suspect, 11 want 0+1"),
        (Do::Open(11, SMALL, 0, 1), ""),
        (Do::Leaves(11, 0, 1), ""),
        (Do::Turn, "hash"),
        (Do::Done, "received small"),
        (Do::Arrive(SMALL), "Here"),
    ]);
}

#[test]
fn who_has_nothing_or_breaks_off_is_left_for_the_next_until_there_is_none() {
    check(&[
        (Do::Replicate(BLOCK), "10 want 0+3"),
        (Do::Absent(10, BLOCK), "11 want 0+3"),
        (Do::Open(11, BLOCK, 0, 3), ""),
        (Do::Leaves(11, 0, 1), ""),
        (Do::Abort(11), "12 want 1+2"),
        (Do::Closed(12), "Unsure"),
    ]);
    check(&[
        (Do::Replicate(BLOCK), "10 want 0+3"),
        (Do::Absent(10, BLOCK), "11 want 0+3"),
        (Do::Absent(11, BLOCK), "12 want 0+3"),
        (Do::Absent(12, BLOCK), "Nowhere"),
    ]);
}

#[test]
fn a_leaf_that_is_bad_is_asked_of_another_and_what_was_good_stays() {
    check(&[
        (Do::Replicate(BLOCK), "10 want 0+3"),
        (Do::Open(10, BLOCK, 0, 3), ""),
        (Do::Leaves(10, 0, 3), ""),
        (Do::Turn, "write"),
        (Do::Bad, "10 suspect, 11 want 0+3"),
        (Do::Open(11, BLOCK, 0, 3), ""),
        (Do::Leaves(11, 0, 3), ""),
        (Do::Turn, "write"),
        (Do::Done, "finish"),
        (Do::Done, "received"),
    ]);
}

#[test]
fn a_node_that_is_silent_is_left_and_the_last_one_is_waited_for_longer() {
    check(&[
        (Do::Replicate(BLOCK), "10 want 0+3"),
        (Do::Pass(PEER_TIMEOUT), ""),
        (Do::Unresponsive(10), "11 want 0+3"),
        (Do::Closed(12), ""),
        (Do::Pass(PEER_TIMEOUT), ""),
        (Do::Unresponsive(11), ""),
        (Do::Pass(LAST_SOURCE_TIMEOUT), ""),
        (Do::Unresponsive(11), "Unsure"),
    ]);
    // What it brings after all is as good.
    check(&[
        (Do::Replicate(BLOCK), "10 want 0+3"),
        (Do::Pass(PEER_TIMEOUT), ""),
        (Do::Unresponsive(10), "11 want 0+3"),
        (Do::Open(10, BLOCK, 0, 3), ""),
        (Do::Leaves(10, 0, 3), ""),
        (Do::Turn, "write"),
        (Do::Done, "finish"),
        (Do::Done, "received"),
    ]);
}

#[test]
fn a_client_that_has_the_block_at_hand_is_asked_before_a_node() {
    check(&[
        (Do::Replicate(BLOCK), "10 want 0+3"),
        (Do::Offer(1, BLOCK), "1 want 0+3"),
        (Do::Closed(1), "11 want 0+3"),
    ]);
}

#[test]
fn what_is_held_is_read_and_sent() {
    check(&[
        (Do::Arrive(BLOCK), ""),
        (Do::Want(10, BLOCK, 0, 3), "read"),
        (Do::Want(10, BLOCK, 3, 1), ""),
        (Do::Done, "10 stream 0+3, 3 leaves"),
        (Do::Sent(10), "10 absent"),
        (Do::Want(11, SMALL, 0, 1), "11 absent, 11 in vain"),
    ]);
}

#[test]
fn a_reader_waits_until_its_block_is_here() {
    check(&[
        (Do::Want(1, BLOCK, 1, 1), "10 want 0+3"),
        (Do::Want(2, BLOCK, 0, 3), ""),
        (Do::Open(10, BLOCK, 0, 3), ""),
        (Do::Leaves(10, 0, 3), ""),
        (Do::Turn, "write"),
        (Do::Done, "finish"),
        (Do::Done, "received"),
        (Do::Arrive(BLOCK), "read, read"),
        (Do::Done, "1 stream 1+1, 1 leaves"),
        (Do::Done, "2 stream 0+3, 3 leaves"),
    ]);
}

#[test]
fn a_block_that_is_damaged_is_lost_and_fetched_for_its_reader() {
    check(&[
        (Do::Arrive(BLOCK), ""),
        (Do::Want(1, BLOCK, 0, 3), "read"),
        (Do::Bad, "lost"),
        (Do::Turn, "10 want 0+3"),
    ]);
}

#[test]
fn what_there_is_no_room_for_is_passed_on_from_whoever_has_it() {
    check(&[
        (Do::NoRoom, ""),
        (Do::Replicate(SMALL), "no room, Unsure"),
        (Do::Want(1, BLOCK, 0, 3), "10 want 0+3"),
        (Do::Absent(10, BLOCK), ""),
        (Do::Turn, "11 want 0+3"),
        (Do::Open(11, BLOCK, 0, 3), ""),
        (Do::Leaves(11, 0, 2), ""),
        (Do::Leaves(11, 2, 1), "1 stream 0+3, 3 leaves"),
        (Do::End(11), ""),
        (Do::Sent(1), ""),
        (Do::Want(2, BLOCK, 0, 1), "10 want 0+1"),
        (Do::Closed(10), ""),
        (Do::Turn, "11 want 0+1"),
        (Do::Closed(11), ""),
        (Do::Turn, "12 want 0+1"),
        (Do::Absent(12, BLOCK), ""),
        (Do::Turn, "2 cannot read"),
    ]);
}

#[test]
fn a_disk_that_fills_up_has_what_is_read_passed_on() {
    check(&[
        (Do::Want(1, BLOCK, 0, 3), "10 want 0+3"),
        (Do::Open(10, BLOCK, 0, 3), ""),
        (Do::Leaves(10, 0, 3), ""),
        (Do::End(10), ""),
        (Do::Turn, "write"),
        (Do::Full, "10 want 0+3, no room"),
    ]);
}

#[test]
fn without_memory_one_leaf_is_asked_for_and_more_when_some_comes_back() {
    check(&[
        (Do::Memory(1), ""),
        (Do::Replicate(BLOCK), "10 want 0+1"),
        (Do::Open(10, BLOCK, 0, 1), ""),
        (Do::Leaves(10, 0, 1), ""),
        (Do::End(10), "10 want 1+1"),
        (Do::Turn, "write"),
    ]);
}

#[test]
fn leaves_that_nobody_wanted_break_the_rules() {
    check(&[
        (Do::Open(1, BLOCK, 0, 3), "1 UnwantedLeaves"),
        (Do::Offer(1, BLOCK), "1 want 0+3"),
        (Do::Open(1, BLOCK, 0, 2), "1 UnwantedLeaves"),
        (Do::Open(1, BlockRef { length: 9, ..BLOCK }, 0, 3), "1 WrongLength"),
    ]);
}

#[test]
fn readers_of_one_block_that_finds_no_room_are_served_one_after_the_other() {
    check(&[
        (Do::Want(1, BLOCK, 0, 3), "10 want 0+3"),
        (Do::Want(1, BLOCK, 0, 1), ""),
        (Do::Want(2, BLOCK, 1, 1), ""),
        (Do::Open(10, BLOCK, 0, 3), ""),
        (Do::Leaves(10, 0, 3), ""),
        (Do::End(10), ""),
        (Do::Turn, "write"),
        (Do::Full, "10 want 0+3, 11 want 1+1, no room"),
        (Do::Open(10, BLOCK, 0, 3), ""),
        (Do::Leaves(10, 0, 3), "1 stream 0+3, 3 leaves"),
        (Do::End(10), ""),
        (Do::Sent(1), "10 want 0+1"),
        (Do::Open(10, BLOCK, 0, 1), ""),
        (Do::Leaves(10, 0, 1), "1 stream 0+1, 1 leaves"),
        (Do::End(10), ""),
        (Do::Sent(1), ""),
    ]);
}

#[test]
fn what_a_source_that_is_gone_has_brought_is_asked_of_others_if_it_is_bad() {
    check(&[
        (Do::Replicate(BLOCK), "10 want 0+3"),
        (Do::Open(10, BLOCK, 0, 3), ""),
        (Do::Leaves(10, 0, 3), ""),
        (Do::End(10), ""),
        (Do::Turn, "write"),
        (Do::Closed(10), ""),
        (Do::Want(1, BLOCK, 0, 3), ""),
        (Do::Bad, "11 want 0+3"),
    ]);
}

#[test]
fn nothing_is_kept_of_a_connection_that_has_ended() {
    let mut bench = Setting::new();
    bench.act(&Do::Replicate(BLOCK));
    bench.act(&Do::Closed(10));
    bench.act(&Do::Closed(11));
    bench.act(&Do::Closed(12));
    assert_eq!(bench.told(), "10 want 0+3, 11 want 0+3, 12 want 0+3, Unsure");
    assert!(bench.transfer.downloads.windows.is_empty() && bench.cx.memory.used() == 0);
    while bench.cx.timers.take_due(Instant(u64::MAX)).is_some() {}
    bench.act(&Do::Unresponsive(10));
    assert_eq!(bench.cx.timers.first(), None, "nobody looks after one that is gone");
}

/// From where leaves are read.
fn read_from(setting: &mut Setting) -> Option<BlockPlace> {
    let outputs = setting.cx.outputs.drain(..);
    let places = outputs.filter_map(|output| match output {
        Output::Job(Job::ReadLeaves { place, pins, .. }) => Some((place, pins)),
        _ => None,
    });
    let (place, pins) = places.last()?;
    let BlockPlace::Log(LogPlace { segment, .. }) = place else { return Some(place) };
    assert_eq!(setting.cx.index.readers.of(segment), 1, "it is not to be removed meanwhile");
    setting.cx.index.readers.unpin(pins);
    Some(place)
}

#[test]
fn a_block_that_was_moved_while_it_was_read_is_read_where_it_is_now() {
    let mut setting = Setting::new();
    let at = |segment| BlockPlace::Log(LogPlace { segment, offset: 9_000, length: SMALL.length });
    let gone = || Err(ReadError::Gone);
    setting.cx.index.holdings.insert(SMALL.address, at(1), 1);
    setting.act(&Do::Want(1, SMALL, 0, 1));
    assert_eq!(read_from(&mut setting), Some(at(1)));
    for segment in [2, 3] {
        setting.cx.index.holdings.insert(SMALL.address, at(segment), segment);
        setting.transfer.leaves_read(&mut setting.cx, 1, gone());
        assert_eq!(read_from(&mut setting), Some(at(segment)));
        assert!(setting.transfer.poll_event().is_none(), "nothing is damaged");
    }
    setting.transfer.leaves_read(&mut setting.cx, 1, gone());
    assert_eq!(read_from(&mut setting), None);
    let lost = setting.transfer.poll_event();
    assert!(matches!(lost, Some(Event::Lost { reader: 1, .. })), "it should be there: {lost:?}");
}
