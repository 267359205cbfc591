//! The order of names is that of the catalog, whatever comes and goes while it is built.

use super::*;
use crate::crypto::data::DataKeys;
use crate::crypto::sealed::seal_part;
use crate::ids::VersionId;
use crate::index::Ordered;
use crate::store::values::LogPlace;
use crate::testing::Dice;
use crate::wire::record::{Record, RecordKind, Sealed};
use std::collections::{BTreeMap, HashMap};

struct Bench {
    data: DataKeys,
    index: Index,
    /// What is shown, and its version.
    shown: BTreeMap<Vec<u8>, VersionId>,
    /// Of which name each record is.
    records: HashMap<RecordId, Vec<u8>>,
}

impl Bench {
    fn new() -> Self {
        let data = DataKeys::generate(&[7; 32]);
        let mut index = Index::for_tests();
        index.catalog.set_latest(u64::MAX >> 1);
        index.ordered = Some(Ordered::new(data.clone()));
        Self { data, index, shown: BTreeMap::new(), records: HashMap::new() }
    }

    /// A version of a name, after the one that is shown.
    fn put(&mut self, name: &[u8], kind: RecordKind) -> RecordId {
        let id = self.data.name_id(&Space::default(), name);
        let keys = self.data.newest(&Space::default());
        let number = self.records.len() as u64 + 1;
        let version = VersionId { stamp: number, ..VersionId::default() };
        let mut record = Record::unsigned(kind, id, version);
        record.parents = self.shown.get(name).copied().into_iter().collect();
        record.epoch = keys.epoch();
        let mut plain = Vec::new();
        Sealed { name: name.to_vec(), ..Sealed::default() }.encode(&mut plain);
        (record.sealed_tag, record.sealed) = seal_part(&keys, &record.public_bytes(), &plain);
        let mut id = RecordId::default();
        id.0[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let offset = u32::try_from(number).unwrap() * 1000;
        self.index.catalog.insert(id, &record, LogPlace { segment: 1, offset, length: 7 });
        let Index { ordered, catalog, .. } = &mut self.index;
        ordered.as_mut().unwrap().note(catalog, &id, &record);
        self.records.insert(id, name.to_vec());
        match kind {
            RecordKind::File => drop(self.shown.insert(name.to_vec(), version)),
            _ => drop(self.shown.remove(name)),
        }
        id
    }

    /// As a worker does it, but that nothing is read at these places of the batch, and why.
    fn work(&mut self, batch: Batch, mut building: Building, unread: Vec<Unnamed>) -> BatchRead {
        let read = |(at, item): (usize, &LogItem)| {
            let is_read = unread.iter().all(|unread| unread.at != at);
            is_read.then(|| self.records[&RecordId(item.id)].clone())
        };
        building.go_on(batch.items.iter().enumerate().filter_map(read).collect());
        take_batch(&mut self.index, batch, unread, building)
    }

    fn finish(&mut self) {
        while let Some((batch, building)) = next_batch(&mut self.index) {
            assert!(self.work(batch, building, Vec::new()).goes_on);
        }
    }

    /// All that is in order, shown or not.
    fn kept(&self) -> Vec<Vec<u8>> {
        let mut walk = self.index.ordered.as_ref().unwrap().from(b"");
        let mut kept = Vec::new();
        while let Some(name) = walk.next() {
            kept.push(name.to_vec());
        }
        kept
    }

    /// All that is told, page by page, and how many are left out.
    fn told(&mut self) -> (Vec<Vec<u8>>, u32) {
        let (mut question, mut told, mut damaged) = (NamesQuestion::default(), Vec::new(), 0);
        loop {
            let page = page(&mut self.index, &question, false).expect("names are in order");
            told.extend(page.ids.iter().map(|id| self.records[id].clone()));
            damaged += page.damaged;
            match page.found.next {
                None => return (told, damaged),
                next => question.after = next,
            }
        }
    }
}

/// Between the making of a batch and its being read a name is stored anew, or deleted.
#[test]
fn what_came_while_names_were_read_counts() {
    for kind in [RecordKind::File, RecordKind::Tombstone] {
        for gone in [false, true] {
            let mut bench = Bench::new();
            bench.put(b"name", RecordKind::File);
            let (batch, building) = next_batch(&mut bench.index).expect("there is one to read");
            bench.put(b"name", kind);
            let unread = gone.then_some(Unnamed { at: 0, why: Some(ReadError::Gone) });
            assert!(bench.work(batch, building, unread.into_iter().collect()).goes_on);
            bench.finish();
            let expected: &[&[u8]] = if kind == RecordKind::File { &[b"name"] } else { &[] };
            assert_eq!(bench.told(), (expected.iter().map(|name| name.to_vec()).collect(), 0));
        }
    }
}

#[test]
fn the_order_is_that_of_the_catalog_whatever_comes_and_goes_meanwhile() {
    let mut dice = Dice(3);
    let mut bench = Bench::new();
    let mut change = |bench: &mut Bench, count: usize| {
        for _ in 0..count {
            let name = format!("{:03}/{}", dice.below(40), dice.below(100));
            let is_there = bench.shown.contains_key(name.as_bytes());
            let is_deleted = is_there && dice.below(2) == 0;
            let kind = if is_deleted { RecordKind::Tombstone } else { RecordKind::File };
            bench.put(name.as_bytes(), kind);
        }
    };
    change(&mut bench, 5000);
    let mut steps = 0;
    while let Some((batch, building)) = next_batch(&mut bench.index) {
        assert!(batch.rows.len() <= 1024 && batch.items.len() <= 1024);
        change(&mut bench, 300);
        assert!(bench.work(batch, building, Vec::new()).goes_on);
        steps += 1;
        change(&mut bench, 10);
    }
    assert!((6..=10).contains(&steps), "{steps}");
    let expected = |bench: &Bench| bench.shown.keys().cloned().collect::<Vec<_>>();
    assert_eq!(bench.kept(), expected(&bench), "nothing is kept of what went");
    assert_eq!(bench.told(), (expected(&bench), 0));
    change(&mut bench, 1000);
    assert_eq!(bench.told(), (expected(&bench), 0));
}

#[test]
fn what_cannot_be_read_is_counted_and_what_the_disk_would_not_say_is_read_again() {
    let mut bench = Bench::new();
    let [closed, damaged, moved, good] =
        [b"a", b"b", b"c", b"d"].map(|name| bench.put(name, RecordKind::File));
    let at =
        |batch: &Batch, id: RecordId| batch.items.iter().position(|item| item.id == id.0).unwrap();
    let (batch, building) = next_batch(&mut bench.index).unwrap();
    let failed = || Some(ReadError::Disk(crate::store::values::DiskError::Failed("no".to_owned())));
    let unread = [closed, damaged, moved, good]
        .map(|id| Unnamed { at: at(&batch, id), why: failed() })
        .into();
    let BatchRead { damaged: told, goes_on } = bench.work(batch, building, unread);
    assert!(told.is_empty() && !goes_on);
    assert!(page(&mut bench.index, &NamesQuestion::default(), false).is_none());
    let (batch, building) = next_batch(&mut bench.index).unwrap();
    assert_eq!(batch.items.len(), 4, "all are read once more");
    let from = bench.index.catalog.get(&moved).unwrap().place();
    bench.index.catalog.move_from(&moved, from, LogPlace { segment: 2, ..from });
    let unread = vec![
        Unnamed { at: at(&batch, closed), why: None },
        Unnamed { at: at(&batch, damaged), why: Some(ReadError::Damaged) },
        Unnamed { at: at(&batch, moved), why: Some(ReadError::Gone) },
    ];
    let BatchRead { damaged: told, goes_on } = bench.work(batch, building, unread);
    assert!(told == [damaged] && goes_on);
    bench.index.damage(&damaged);
    let (batch, building) = next_batch(&mut bench.index).unwrap();
    assert_eq!(batch.items.len(), 3, "and once more, since one is elsewhere now");
    let unread = vec![Unnamed { at: at(&batch, closed), why: None }];
    assert!(bench.work(batch, building, unread).goes_on);
    bench.finish();
    // What is not known by its name is left out of every list.
    assert_eq!(bench.told(), (vec![b"c".to_vec(), b"d".to_vec()], 2));
}
