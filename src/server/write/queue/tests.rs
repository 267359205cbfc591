//! What waits, in which groups it goes, and what it costs.

use super::*;
use crate::limits::PUT_RECORDS_MAX;
use crate::server::output::Output;
use crate::server::samples::new_record;
use crate::store::values::{Dropped, LogPlace};
use crate::wire::message::Request;

fn record(number: usize) -> NewRecord {
    new_record(number as u64, 1)
}

#[test]
fn a_flood_of_records_goes_in_groups_of_the_permitted_size_and_no_put_is_torn() {
    let mut cx = Context::for_tests();
    let mut queue = CommitQueue::default();
    let mut puts = Vec::new();
    for request in 0..1000 {
        queue.begin();
        let numbers = request * PUT_RECORDS_MAX..(request + 1) * PUT_RECORDS_MAX;
        numbers.map(record).for_each(|new| queue.add_record(&mut cx, new));
        queue.wait(Waiter::Put(Asker { link: 1, request: request as Request }));
    }
    assert!(queue.has_backlog() && !queue.is_idle());
    while let Some(group) = queue.dispatch(&mut cx) {
        assert!(group.records.len() <= GROUP_RECORDS_MAX);
        assert!(group.records.len().is_multiple_of(PUT_RECORDS_MAX), "a put is torn");
        let written = queue.take_in_flight(&mut cx).unwrap();
        assert_eq!(written.waiters.len(), written.records.len() / PUT_RECORDS_MAX);
        puts.extend(written.waiters.iter().map(|waiter| waiter.asker().request));
    }
    assert_eq!(puts, (0..1000).collect::<Vec<_>>(), "in order");
    assert!(queue.is_idle() && cx.coming.ids().next().is_none() && queue.names.is_empty());
}

#[test]
fn what_is_committed_costs_the_same_however_much_waits() {
    let looks = [10, 10_000].map(|waiting| {
        let mut cx = Context::for_tests();
        let mut queue = CommitQueue::default();
        for number in 0..GROUP_RECORDS_MAX + waiting {
            queue.begin();
            queue.add_record(&mut cx, record(number));
        }
        let group = queue.dispatch(&mut cx).unwrap();
        let before = queue.steps.0.get();
        assert_eq!(queue.take_in_flight(&mut cx).unwrap().records.len(), group.records.len());
        (queue.steps.0.get() - before, group.records.len() as u64)
    });
    assert_eq!(looks[0], looks[1]);
    assert_eq!(looks[1].0, looks[1].1, "each once");
}

#[test]
fn a_group_of_the_compaction_waits_for_one_of_others_and_no_more() {
    let mut cx = Context::for_tests();
    let mut queue = CommitQueue::default();
    for number in 1..4 {
        queue.add_page(Address([number; 32]), Bytes::from_static(b"page"));
        queue.close();
    }
    queue.rewrite(Rewrite::Removal(vec![9]));
    let place = LogPlace { segment: 1, offset: 9_000, length: 4 };
    for (pages, removed) in [(1, vec![]), (0, vec![9]), (1, vec![]), (1, vec![])] {
        let group = queue.dispatch(&mut cx).unwrap();
        assert_eq!((group.pages.len(), &group.removed), (pages, &removed));
        assert!(queue.dispatch(&mut cx).is_none(), "one at a time");
        let pages = vec![place; pages];
        queue.complete(
            &mut cx,
            Ok(Committed { segment: 1, pages, removed, ..Committed::default() }),
        );
    }
}

#[test]
fn a_put_waits_for_one_group_of_the_background_whichever_that_is() {
    let mut cx = Context::for_tests();
    let mut queue = CommitQueue::default();
    queue.rewrite(Rewrite::Removal(vec![9]));
    assert!(queue.add_dropped(&cx, vec![Address([7; 32])], 1));
    let place = LogPlace { segment: 1, offset: 9_000, length: 4 };
    let mut went = Vec::new();
    for number in 1..8 {
        queue.add_page(Address([number; 32]), Bytes::from_static(b"page"));
        queue.close();
        let group = queue.dispatch(&mut cx).unwrap();
        went.push([group.pages.len(), group.dropped.len(), group.removed.len()]);
        let pages = vec![place; group.pages.len()];
        let removed = group.removed;
        queue.complete(&mut cx, Ok(Committed { segment: 1, pages, removed, ..Default::default() }));
        if number == 4 {
            queue.rewrite(Rewrite::Removal(vec![10]));
        }
    }
    let [put, files, rewrite] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    assert_eq!(went, [put, files, put, rewrite, put, rewrite, put]);
}

#[test]
fn a_file_whose_block_has_come_again_before_it_went_stays() {
    let mut cx = Context::for_tests();
    let mut queue = CommitQueue::default();
    let [again, gone] = [Address([7; 32]), Address([8; 32])];
    assert!(queue.add_dropped(&cx, vec![again, gone], 1));
    queue.add_block(5, again, 100_000);
    queue.set_urgent();
    let mut commit = |queue: &mut CommitQueue| {
        let group = queue.dispatch(&mut cx).unwrap();
        let done = queue.complete(&mut cx, Ok(Committed { segment: 1, ..Committed::default() }));
        let Event::Committed(contents) = done else { panic!("it is durable") };
        assert!(cx.index.holdings.block(&again).is_some());
        (group, contents.files)
    };
    assert_eq!(commit(&mut queue).0.blocks, [(5, again, 100_000)], "who waits goes first");
    let (group, files) = commit(&mut queue);
    let dropped: Vec<_> = group.dropped.iter().map(|dropped| dropped.address).collect();
    assert_eq!((dropped, files), (vec![gone], vec![again, gone]), "whoever had them go on goes on");
    assert!(queue.is_idle());
}

/// What they brought has been swept, and a record came meanwhile that names it.
#[test]
fn who_lacks_what_is_dropped_is_told_of_if_anybody_lacks_something() {
    let mut cx = Context::for_tests();
    for (is_whole, since) in [(true, None), (false, Some(3))] {
        let mut queue = CommitQueue::default();
        queue.add_record(&mut cx, record(1));
        assert!(queue.add_dropped(&cx, vec![Address([7; 32])], 3));
        assert_eq!(queue.dispatch(&mut cx).unwrap().records.len(), 1);
        queue.take_in_flight(&mut cx);
        queue.pump(&mut cx, is_whole);
        let Some(Output::Job(Job::Commit { group })) = cx.outputs.pop_back() else {
            panic!("it goes next")
        };
        let dropped = group.dropped;
        assert_eq!(dropped, [Dropped { address: Address([7; 32]), since }]);
    }
}

#[test]
fn of_the_jobs_that_free_what_was_removed_one_waits() {
    let mut cx = Context::for_tests();
    let mut queue = CommitQueue::default();
    let frees = |cx: &mut Context| {
        let jobs = mem::take(&mut cx.outputs).into_iter();
        jobs.filter(|output| matches!(output, Output::Job(Job::Free))).count()
    };
    let commit = |queue: &mut CommitQueue, cx: &mut Context, frees: bool| {
        queue.add_page(Address([1; 32]), Bytes::from_static(b"page"));
        queue.close();
        assert!(queue.dispatch(cx).is_some());
        let pages = vec![LogPlace { segment: 1, offset: 9_000, length: 4 }];
        queue.complete(cx, Ok(Committed { frees, pages, ..Committed::default() }));
    };
    for (is_removed, jobs) in [(false, 0), (true, 1), (true, 0), (true, 0)] {
        commit(&mut queue, &mut cx, is_removed);
        assert_eq!(frees(&mut cx), jobs);
    }
    for jobs in [1, 0] {
        queue.freed(&mut cx);
        assert_eq!(frees(&mut cx), jobs);
    }
}

/// A page was put again when a reader found that the old one is bad.
#[test]
fn what_has_come_again_is_not_said_to_be_lost_behind_that() {
    let mut cx = Context::for_tests();
    let mut queue = CommitQueue::default();
    let [again, lost] = [7, 8].map(|byte| Address([byte; 32]));
    let place = LogPlace { segment: 1, offset: 9_000, length: 4 };
    [again, lost].iter().for_each(|page| cx.index.holdings.insert_page(*page, place));
    queue.add_page(again, Bytes::from_static(b"page"));
    queue.set_urgent();
    assert_eq!(queue.dispatch(&mut cx).map(|group| group.pages.len()), Some(1));
    for page in [again, lost] {
        assert!(cx.index.holdings.lose(&page));
        queue.add_lost(page);
    }
    queue.set_urgent();
    let place = LogPlace { segment: 2, ..place };
    let committed = Committed { segment: 2, pages: vec![place], ..Committed::default() };
    queue.complete(&mut cx, Ok(committed));
    assert_eq!(queue.dispatch(&mut cx).map(|group| group.lost), Some(vec![lost]));
    queue.complete(&mut cx, Ok(Committed { segment: 2, ..Committed::default() }));
    assert_eq!([again, lost].map(|page| cx.index.has(&page)), [true, false]);
}

#[test]
fn a_record_in_two_groups_is_on_its_way_until_both_are_committed() {
    let mut cx = Context::for_tests();
    let mut queue = CommitQueue::default();
    let id = record(7).id;
    for _ in 0..2 {
        queue.add_record(&mut cx, record(7));
        queue.add_record(&mut cx, record(7));
        if queue.in_flight.is_none() {
            assert_eq!(queue.dispatch(&mut cx).map(|group| group.records.len()), Some(1));
        }
    }
    assert!(queue.take_in_flight(&mut cx).is_some() && cx.coming.contains(&id), "one waits still");
    assert!(queue.dispatch(&mut cx).is_some() && queue.take_in_flight(&mut cx).is_some());
    assert!(!cx.coming.contains(&id) && queue.is_idle());
}
