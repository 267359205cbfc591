//! Who waits for the order of names is told, whatever becomes of it.

use super::*;
use crate::crypto::data::DataKeys;
use crate::index::Ordered;
use crate::server::links::Peer;
use crate::server::output::Output;
use crate::server::samples::new_record;
use crate::server::work::Unnamed;
use crate::store::values::{DiskError, LogPlace, ReadError};

const CLIENTS: [Link; 3] = [1, 2, 3];

struct Bench {
    cx: Context,
    build: Build,
    /// What a worker has.
    work: Option<Naming>,
}

impl Bench {
    /// A node with so many names, which are not in order yet.
    fn new(names: u64) -> Self {
        let mut cx = Context::for_tests();
        CLIENTS.into_iter().for_each(|link| cx.links.insert(link, Peer::for_tests(None)));
        cx.index.catalog.set_latest(u64::MAX >> 1);
        for number in 0..names {
            let new = new_record(number, 1);
            let place = LogPlace { segment: 1, offset: 9_000, length: 9 };
            cx.index.catalog.insert(new.id, &new.record, place);
        }
        cx.index.ordered = Some(Ordered::new(DataKeys::generate(&[7; 32])));
        Self { cx, build: Build::default(), work: None }
    }

    fn wait(&mut self, link: Link) {
        let asker = Asker { link, request: 5 };
        self.build.wait(&mut self.cx, asker, Box::default(), false);
    }

    /// The worker has done what it has; or could not read the first record.
    fn work(&mut self, why: Option<ReadError>) -> Vec<Link> {
        let mut naming = self.work.take().expect("a worker has something");
        naming.building.go_on(naming.batch.items().iter().map(|_| b"a name".to_vec()).collect());
        naming.unread.extend(why.map(|why| Unnamed { at: 0, why: Some(why) }));
        let Stepped { ready, .. } = self.build.stepped(&mut self.cx, naming);
        ready.into_iter().map(|(asker, _)| asker.link).collect()
    }

    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(output) = self.cx.outputs.pop_front() {
            told.push(match output {
                Output::Job(Job::ReadNames(naming)) => {
                    let count = naming.batch.items().len();
                    assert!(self.work.replace(*naming).is_none(), "one thing after the other");
                    format!("read {count}")
                }
                Output::Send { link, message: Message::BeingOrdered { .. } } => {
                    format!("{link} asks again")
                }
                Output::Send { link, message: Message::NotInOrder { .. } } => {
                    format!("{link} picks for itself")
                }
                other => panic!("{other:?}"),
            });
        }
        told
    }

    #[track_caller]
    fn expect(&mut self, expected: &[&str]) {
        assert_eq!(self.told(), expected);
    }
}

#[test]
fn who_asks_waits_until_names_are_in_order_and_is_told_that_it_goes_on() {
    let mut bench = Bench::new(3000);
    bench.wait(1);
    bench.expect(&["read 1024"]);
    bench.cx.now.instant = bench.cx.now.instant + TELL_AFTER / 2;
    bench.wait(2);
    bench.expect(&[]);
    assert!(bench.work(None).is_empty());
    bench.expect(&["read 1024"]);
    bench.cx.now.instant = bench.cx.now.instant + TELL_AFTER / 2;
    assert!(bench.work(None).is_empty());
    bench.expect(&["read 952", "1 asks again"]);
    bench.wait(3);
    bench.build.link_closed(3);
    bench.wait(1);
    assert!(bench.work(None).is_empty());
    bench.expect(&["read 0"]);
    assert_eq!(bench.work(None), [2, 1]);
    bench.expect(&[]);
}

#[test]
fn where_the_disk_cannot_be_read_nobody_waits_and_who_asks_next_begins_anew() {
    let mut bench = Bench::new(3);
    bench.wait(1);
    bench.expect(&["read 3"]);
    bench.wait(2);
    let failed = ReadError::Disk(DiskError::Scarce("no descriptors".to_owned()));
    assert!(bench.work(Some(failed)).is_empty());
    bench.expect(&["1 picks for itself", "2 picks for itself"]);
    bench.wait(1);
    bench.expect(&["read 3"]);
    bench.work(None);
    bench.expect(&["read 0"]);
    assert_eq!(bench.work(None), [1]);
}

#[test]
fn no_more_wait_than_the_bound() {
    let mut bench = Bench::new(3);
    (0..WAITING_MAX).for_each(|_| bench.wait(1));
    bench.expect(&["read 3"]);
    bench.wait(2);
    bench.expect(&["2 picks for itself"]);
    bench.work(None);
    bench.expect(&["read 0"]);
    assert_eq!(bench.work(None), [1; WAITING_MAX]);
}
