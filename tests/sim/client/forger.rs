//! A session and a node that has the data key, and forges what it shows: nothing of it is believed.

use super::hostile::Pair;
use super::program::access;
use bytes::Bytes;
use dfsd::conn::Conn;
use dfsd::crypto::keys::{RootKey, WriteKey};
use dfsd::crypto::sign::sign;
use dfsd::crypto::tags;
use dfsd::keyring::{Access, grant};
use dfsd::limits::LIST_BARREN_MAX;
use dfsd::session::{Answer, ClientError, Operation, Overwrite};
use dfsd::wire::message::{Message, PushedRecord};
use dfsd::wire::record::Record;

/// Whoever reads, with a write key that a root of his own has granted, in which he believes himself.
fn forger() -> Access {
    let (sign, root) = (WriteKey::generate(&[66; 32]), RootKey::generate(&[77; 32]));
    let grant = grant::grant(&root, &sign.public(), 1_000);
    let mut network = access().network;
    network.root = root.0.public();
    Access { network, write: Some(WriteKey { sign, grant }), ..access() }
}

/// A file and a tombstone of this name, well sealed, and signed by somebody with this access.
fn records_of(access: Access, name: &str) -> [Bytes; 2] {
    let mut theirs = Pair::of(access, |_, _| false);
    theirs.put(name, b"forged content");
    let op = theirs.start(Operation::Delete { name: name.into() });
    theirs.pump();
    assert!(matches!(theirs.result(op), Some(Ok(Answer::Deleted { .. }))));
    [theirs.held.records[0].clone(), theirs.held.records[1].clone()]
}

fn unsigned(record: &Bytes) -> Bytes {
    let mut record = Record::decode(record).unwrap();
    record.signature = [0; 64];
    Bytes::from(record.to_bytes())
}

/// Everything that shows a record.
fn operations() -> Vec<Operation> {
    let name = || b"a".to_vec();
    let put = super::program::meta("a");
    vec![
        Operation::Get { name: name() },
        Operation::Stat { name: name() },
        Operation::Delete { name: name() },
        Operation::Rename { source: name(), target: b"b".into(), replace: true },
        Operation::List,
        Operation::Put { meta: put, overwrite: Overwrite::Never },
    ]
}

/// Whatever the session asks, it is shown this record, and believes nothing.
fn is_refused(record: &Bytes, given: &[Bytes]) {
    for operation in operations() {
        let mut pair = Pair::of(access(), |_, _| false);
        give(&mut pair.conn, given);
        pair.held.records.push(record.clone());
        let what = format!("{operation:?}");
        let op = pair.start(operation);
        pair.session.feed_end(op);
        pair.pump();
        assert_eq!(pair.error(op), ClientError::Forged, "{what}");
        assert_eq!(pair.held.records.len(), 1, "{what}: something was signed");
    }
}

fn give(conn: &mut Conn, grants: &[Bytes]) {
    let item = |record: &Bytes| PushedRecord { record: record.clone(), block: Bytes::new() };
    conn.send(&Message::Records { items: grants.iter().map(item).collect() });
}

#[test]
fn what_a_key_without_a_grant_has_signed_is_refused() {
    for record in records_of(forger(), "a") {
        is_refused(&record, &[]);
    }
}

#[test]
fn what_nobody_has_signed_is_refused() {
    for record in records_of(access(), "a") {
        is_refused(&unsigned(&record), &[]);
    }
}

/// Whoever has the write key alone may sign what he likes, but cannot make it look like a reader's.
#[test]
fn what_is_signed_and_not_sealed_with_the_data_key_is_damaged() {
    let [file, _] = records_of(access(), "a");
    let write = access().write.unwrap();
    let record = Record::decode(&file).unwrap();
    for at in 0..record.sealed.len() {
        let mut changed = record.clone();
        changed.sealed[at] ^= 1;
        changed.signature = sign(&write.sign, tags::RECORD, &changed.signed_bytes());
        let mut pair = Pair::of(access(), |_, _| false);
        pair.held.records.push(Bytes::from(changed.to_bytes()));
        let op = pair.start(Operation::Stat { name: b"a".into() });
        pair.pump();
        let error = pair.error(op);
        assert!(matches!(error, ClientError::Damaged(_)), "byte {at}: {error}");
    }
}

/// As a little-endian number one more, or one less.
fn shifted(record: &Bytes, by: i8) -> Bytes {
    let mut record = Record::decode(record).unwrap();
    let low = &mut record.signature[32];
    *low = low.checked_add_signed(by).expect("another version has another signature");
    Bytes::from(record.to_bytes())
}

/// Each is wrong by as much as the other, in the other direction: a sum of both is right.
#[test]
fn errors_of_two_signatures_do_not_cancel_out() {
    let [file, tombstone] = records_of(access(), "a");
    let records = [shifted(&file, 1), shifted(&tombstone, -1)];
    let mut pair = Pair::of(access(), |_, _| false);
    pair.held.records.extend(records);
    let op = pair.start(Operation::List);
    pair.pump();
    assert_eq!(pair.error(op), ClientError::Forged);
}

#[test]
fn a_grant_that_the_root_has_not_signed_is_none() {
    let given = Bytes::from(forger().write.unwrap().grant);
    for record in records_of(forger(), "a") {
        is_refused(&record, std::slice::from_ref(&given));
    }
}

#[test]
fn what_another_writer_has_signed_is_believed_once_the_node_has_given_the_grant() {
    let root = RootKey::generate(&[1; 32]);
    let sign = WriteKey::generate(&[55; 32]);
    let grant = grant::grant(&root, &sign.public(), 1_000);
    let given = Bytes::from(grant.clone());
    let other = Access { write: Some(WriteKey { sign, grant }), ..access() };
    let [file, _] = records_of(other, "a");
    is_refused(&file, &[]);
    let mut pair = Pair::of(access(), |_, _| false);
    give(&mut pair.conn, &[given]);
    pair.held.records.push(file);
    let op = pair.start(Operation::Stat { name: b"a".into() });
    pair.pump();
    assert!(matches!(pair.result(op), Some(Ok(Answer::Stat(_)))));
}

/// A list to which a node answers the same again and again, from places that rise. It is to end after so many answers.
fn listed(records: Vec<Bytes>, most: u32) -> ClientError {
    listed_from(|asked| asked, records, most)
}

/// The same, from these places.
fn listed_from(place: fn(u8) -> u8, records: Vec<Bytes>, most: u32) -> ClientError {
    let mut asked = 0;
    let mut pair = Pair::of(access(), move |conn, message| {
        let Message::List { request, .. } = message else { return false };
        asked += 1;
        assert!(asked <= most, "the list goes on and on");
        let next = Some(dfsd::ids::NameId([place(asked as u8); 32]));
        let records = records.clone();
        conn.send(&Message::Listed {
            request: *request,
            records,
            next,
            damaged: 0,
            sync: Default::default(),
            log_damage: Default::default(),
        });
        true
    });
    let op = pair.start(Operation::List);
    pair.pump();
    pair.error(op)
}

#[test]
fn a_list_that_tells_the_same_twice_ends() {
    let [file, tombstone] = records_of(access(), "a");
    let error = listed(vec![file], 2);
    assert!(matches!(error, ClientError::Protocol(_)), "{error}");
    for records in [vec![tombstone], Vec::new(), vec![Bytes::from_static(b"none")]] {
        let error = listed(records, LIST_BARREN_MAX);
        assert!(matches!(error, ClientError::Protocol(_)), "{error}");
    }
}

#[test]
fn a_list_that_turns_back_ends() {
    for place in [|_| 5, |asked| 9 - asked] {
        let error = listed_from(place, Vec::new(), 2);
        assert!(matches!(error, ClientError::Protocol(_)), "{error}");
    }
}
