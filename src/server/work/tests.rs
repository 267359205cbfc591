//! What is done at once, and what a worker does.

use super::*;
use crate::crypto::sealed::seal_part;
use crate::ids::VersionId;
use crate::store::fs::RealFs;
use crate::store::{Config, open};
use crate::testing::SimFs;
use crate::wire::record::{RecordKind, Sealed};

#[test]
fn few_checks_are_done_at_once_if_there_is_time() {
    let (disk, _) = open(SimFs::new(), Config::default(), [1; 16], |_| {}).unwrap();
    let job = |checks| {
        let asker = Asker { link: 1, request: 2 };
        let reason = CheckFor::PutPage { asker, page: Bytes::new() };
        let purpose = Checking { reason, bytes: 7 };
        Job::Check { purpose: Box::new(purpose), checks }
    };
    let is_done = |checks, has_time| match execute_at_once(&disk, job(checks), has_time) {
        Ok(done) => matches!(done, Done::Checked { purpose, .. } if purpose.bytes == 7),
        Err(job) => !matches!(job, Job::Check { purpose, .. } if purpose.bytes == 7),
    };
    let signature = || Check::Signature(Bytes::from_static(b"no record"));
    let block = |length| Check::Tree(Bytes::from(vec![1; length]));
    assert!(is_done(vec![signature(), block(4096)], true));
    assert!(!is_done(vec![signature(), block(4096)], false));
    assert!(!is_done(vec![signature(), signature()], true));
    assert!(is_done(vec![block(AT_ONCE_BYTES_MAX)], true));
    assert!(!is_done(vec![block(AT_ONCE_BYTES_MAX), block(1)], true));
    let Done::Checked { found, .. } = execute(&disk, job(vec![signature(), block(9)])) else {
        panic!("checks are answered with what was found");
    };
    assert_eq!(found, [Checked::Forged, Checked::Address(Address(tree::tree(&[1; 9]).0))]);
    let small = |length| {
        let (address, block) = (Address([9; 32]), Bytes::from(vec![1; length]));
        Job::HashSmall { address, block }
    };
    let found = Address(tree::tree(&[1; 9]).0);
    assert!(matches!(
        execute_at_once(&disk, small(9), true),
        Ok(Done::SmallHashed { found: at, .. }) if at == found
    ));
    assert!(execute_at_once(&disk, small(9), false).is_err());
    assert!(execute_at_once(&disk, small(AT_ONCE_BYTES_MAX), true).is_ok());
    assert!(execute_at_once(&disk, small(AT_ONCE_BYTES_MAX + 1), true).is_err());
}

/// Of each job what comes of it at once, and what it is or what comes of it else.
fn at_once<F: FileSystem>(fs: F) -> Vec<(bool, String, String)> {
    let (disk, _) = open(fs, Config::default(), [1; 16], |_| {}).unwrap();
    let block = Bytes::from(vec![7; 40_000]);
    let address = Address(tree::tree(&block).0);
    let small = vec![(address, block)];
    let records = vec![(RecordId([1; 32]), Bytes::from_static(b"a record"))];
    let group = Group { small, records, ..Group::default() };
    let committed = disk.commit(&group).unwrap();
    let (small, record) = (committed.small[0], committed.records[0]);
    let leaves = || {
        let place = BlockPlace::Log(small);
        Job::ReadLeaves { reader: 9, address, place, first: 0, count: 2, pins: Pins::default() }
    };
    let items = || {
        let reason = ReadFor::PushRecords { link: 4, ids: Vec::new() };
        let purpose = Reading { reason, pins: Pins::default() };
        let record = LogItem { id: [1; 32], place: record };
        let small = LogItem { id: address.0, place: small };
        let items = vec![record, small];
        Job::ReadLog { purpose: Box::new(purpose), items }
    };
    let others = || Job::Commit { group: Box::default() };
    // The first read of a segment opens it.
    execute(&disk, items());
    let jobs: [&dyn Fn() -> Job; 4] = [&leaves, &items, &others, &|| Job::Space];
    let each = jobs.into_iter().map(|job| match execute_at_once(&disk, job(), true) {
        Ok(done) => (true, format!("{done:?}"), format!("{:?}", execute(&disk, job()))),
        Err(back) => (false, format!("{back:?}"), format!("{:?}", job())),
    });
    each.collect()
}

#[test]
fn what_is_not_done_at_once_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let real = at_once(RealFs::new(folder.path()).unwrap());
    let simulated = at_once(SimFs::new());
    for (_, one, other) in real.iter().chain(&simulated) {
        assert_eq!(one, other);
    }
    assert!(simulated.iter().all(|(is_done, ..)| !is_done), "it cannot tell");
    assert!(real[2..].iter().all(|(is_done, ..)| !is_done), "they may block");
}

#[test]
fn names_are_read_of_what_opens_and_the_rest_is_told() {
    let keys = DataKeys::generate(&[7; 32]);
    let record = |name: &[u8], with: &DataKeys| {
        let space_keys = with.newest(&crate::ids::Space::default());
        let id = keys.name_id(&crate::ids::Space::default(), name);
        let mut record = Record::unsigned(RecordKind::File, id, VersionId::default());
        record.epoch = space_keys.epoch();
        let mut plain = Vec::new();
        Sealed { name: name.to_vec(), ..Sealed::default() }.encode(&mut plain);
        (record.sealed_tag, record.sealed) = seal_part(&space_keys, &record.public_bytes(), &plain);
        Bytes::from(record.to_bytes())
    };
    let foreign = DataKeys::generate(&[8; 32]);
    let records = [record(b"b", &keys), record(b"x", &foreign), record(b"a", &keys)];
    let (disk, _) = open(SimFs::new(), Config::default(), [1; 16], |_| {}).unwrap();
    let records = (1..).zip(records).map(|(id, bytes)| (RecordId([id; 32]), bytes)).collect();
    let mut places = disk.commit(&Group { records, ..Group::default() }).unwrap().records;
    places.push(crate::store::values::LogPlace { segment: 99, ..places[0] });
    let items = places.iter().map(|place| LogItem { id: [0; 32], place: *place }).collect();
    let mut naming = Naming {
        batch: query::Batch::for_tests(items),
        pins: Pins::default(),
        keys: Arc::new(keys),
        building: Building::default(),
        unread: Vec::new(),
    };
    read_names(&disk, &mut naming);
    let unread: Vec<_> =
        naming.unread.iter().map(|Unnamed { at, why }| (*at, why.clone())).collect();
    assert_eq!(unread, [(1, None), (3, Some(ReadError::Gone))]);
    assert_eq!(naming.building.finished(), [b"a", b"b"]);
}
