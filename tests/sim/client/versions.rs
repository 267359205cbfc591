//! The versions of a name: listed, read, restored, and told of by a node that lies.

use super::hostile::Pair;
use super::program::{End, Program, access, world};
use crate::sim::comparison::{signed, spoil, tell, verify};
use crate::sim::raw::RawClient;
use crate::sim::world::World;
use bytes::Bytes;
use dfsd::crypto::keys::record_id;
use dfsd::ids::{NameId, RecordId, VersionId};
use dfsd::limits::{LIST_BARREN_MAX, PAST_BARREN_MAX, PAST_LOOKS_MAX};
use dfsd::session::{Answer, ClientError, Event, Operation, Standing, Version, VersionsWanted};
use dfsd::time::STAMP_MAX;
use dfsd::wire::message::{ListedVersion, Message, VersionMark};
use dfsd::wire::record::Record;
use dfsd::wire::view::View;
use std::time::Duration;

/// Versions in one answer.
const PAGE: usize = 128;

fn listed(program: &mut Program, world: &mut World, name: &str) -> Vec<Version> {
    let end = all_of(program, world, name);
    assert!(matches!(end.result, Ok(Answer::Versions(_))), "{:?}", end.result);
    end.versions
}

fn all_of(program: &mut Program, world: &mut World, name: &str) -> End {
    let wanted = VersionsWanted { name: name.into(), ..VersionsWanted::default() };
    program.call(world, Operation::Versions { wanted })
}

fn standings(versions: &[Version]) -> Vec<Standing> {
    versions.iter().map(|version| version.standing).collect()
}

fn read(program: &mut Program, world: &mut World, version: &Version) -> Vec<u8> {
    let entry = version.file.clone().expect("it is a file");
    let end = program.call(world, Operation::GetEntry { entry, from: 0 });
    assert!(matches!(end.result, Ok(Answer::Got(_))), "{:?}", end.result);
    end.data
}

/// Restores a version, seen when this list was told.
fn restore(
    program: &mut Program,
    world: &mut World,
    version: &Version,
    list: &[Version],
) -> Result<Answer, ClientError> {
    let entry = version.file.clone().expect("it is a file");
    let over = list.first().map(|version| version.id);
    program.call(world, Operation::Restore { entry, over }).result
}

/// So many versions of one name, each of which supersedes the one before.
fn chain(world: &World, count: u64) -> (NameId, Vec<Bytes>) {
    let name = NameId([9; 32]);
    let version = |stamp| VersionId { stamp, writer: Default::default() };
    let records = (1..=count).map(|stamp| {
        signed(world, |record| {
            record.name = name;
            record.version = version(stamp);
            record.parents = (stamp > 1).then(|| version(stamp - 1)).into_iter().collect();
        })
    });
    (name, records.collect())
}

struct Asked {
    stamps: Vec<u64>,
    superseded: usize,
    answers: usize,
}

/// All versions of a name, asked for so many at a time.
fn ask_all(world: &mut World, name: NameId, limit: u16) -> Asked {
    let mut client = RawClient::connect(world, 0);
    let (mut stamps, mut superseded, mut answers, mut before) = (Vec::new(), 0, 0, None);
    loop {
        let (request, space) = (7, Default::default());
        client.send(&Message::Versions { request, space, name, before, limit });
        let Some(Message::VersionsAre { versions, next, .. }) = client.message(world) else {
            panic!("versions were expected");
        };
        answers += 1;
        for ListedVersion { version, superseded: is_old, record } in versions {
            assert_eq!(Record::decode(&record).unwrap().version, version);
            stamps.push(version.stamp);
            superseded += usize::from(is_old);
        }
        before = next;
        if before.is_none() {
            return Asked { stamps, superseded, answers };
        }
    }
}

#[test]
fn ten_thousand_versions_of_one_name_come_in_order_in_as_few_answers_as_hold_them() {
    const COUNT: u64 = 10_000;
    let mut world = world(70, 1);
    let (name, records) = chain(&world, COUNT);
    tell(&mut world, 0, &records);
    world.run(Duration::from_secs(5), |_| false);
    let Asked { stamps, superseded, answers } = ask_all(&mut world, name, u16::MAX);
    assert!(stamps.iter().copied().eq((1..=COUNT).rev()), "{} of {COUNT}", stamps.len());
    assert_eq!((superseded, answers), (COUNT as usize - 1, (COUNT as usize).div_ceil(PAGE)));
}

#[test]
fn of_few_versions_none_is_left_out_wherever_an_answer_ends() {
    let mut world = world(71, 1);
    let (name, records) = chain(&world, 7);
    tell(&mut world, 0, &records);
    for limit in 0..=8 {
        let Asked { stamps, answers, .. } = ask_all(&mut world, name, limit);
        assert_eq!(stamps, [7, 6, 5, 4, 3, 2, 1], "{limit} at a time");
        assert_eq!(answers, 7_usize.div_ceil(limit.max(1).into()), "{limit} at a time");
    }
    let mut client = RawClient::connect(&mut world, 0);
    let mark = |stamp| VersionMark {
        version: VersionId { stamp, writer: Default::default() },
        record: RecordId([0; 32]),
    };
    for (stamp, expected) in
        [(0, None), (1, None), (2, Some(1)), (5, Some(4)), (STAMP_MAX, Some(7))]
    {
        let (request, space, before) = (1, Default::default(), Some(mark(stamp)));
        client.send(&Message::Versions { request, space, name, before, limit: 1 });
        let Some(Message::VersionsAre { versions, .. }) = client.message(&mut world) else {
            panic!("versions were expected");
        };
        let first = versions.first().map(|one| one.version.stamp);
        assert_eq!(first, expected, "before {stamp}");
    }
}

#[test]
fn what_was_overwritten_and_deleted_is_listed_read_and_restored_from_another_node() {
    let mut world = world(72, 3);
    let mut programs: Vec<Program> =
        (0..3).map(|machine| Program::connect(&mut world, machine, access())).collect();
    let contents: [&[u8]; 2] = [b"first", &[7; 200_000]];
    for (machine, content) in contents.iter().enumerate() {
        programs[machine].put(&mut world, "a", content).result.unwrap();
        world.run(Duration::from_secs(2), |_| false);
    }
    programs[2].call(&mut world, Operation::Delete { name: b"a".into() }).result.unwrap();
    world.run(Duration::from_secs(2), |_| false);
    let [_, _, program] = &mut programs[..] else { panic!("there are three") };
    let before = listed(program, &mut world, "a");
    use Standing::{Deletion, Shown, Superseded};
    assert_eq!(standings(&before), [Deletion, Superseded, Superseded]);
    assert_eq!(read(program, &mut world, &before[2]), contents[0]);
    assert_eq!(read(program, &mut world, &before[1]), contents[1]);
    let restored = restore(program, &mut world, &before[1], &before).unwrap();
    assert!(matches!(restored, Answer::Put { is_new: true, size: 200_000, .. }), "{restored:?}");
    assert_eq!(program.get(&mut world, "a").data, contents[1]);
    let after = listed(program, &mut world, "a");
    assert_eq!(standings(&after), [Shown, Deletion, Superseded, Superseded]);
    let (old, new) = (before[1].file.as_ref().unwrap(), after[0].file.as_ref().unwrap());
    assert_eq!((old.mode, old.mtime, old.hash), (new.mode, new.mtime, new.hash));
    let again = restore(program, &mut world, &after[0], &after).unwrap();
    assert!(matches!(again, Answer::Put { is_new: false, .. }), "{again:?}");
    assert_eq!(listed(program, &mut world, "a").len(), 4, "nothing was written");
    let none = all_of(program, &mut world, "b");
    assert!(matches!(none.result, Err(ClientError::NotFound)), "{:?}", none.result);
}

#[test]
fn of_two_concurrent_versions_the_one_that_is_not_shown_is_listed_and_restored() {
    let mut world = world(73, 2);
    world.part(0, 1);
    for (machine, content) in [b"left", b"also"].into_iter().enumerate() {
        let mut program = Program::connect(&mut world, machine, access());
        program.put(&mut world, "a", content).result.unwrap();
    }
    world.heal(0, 1);
    world.run(Duration::from_secs(120), |_| false);
    let [mut program, mut other] =
        [0, 1].map(|machine| Program::connect(&mut world, machine, access()));
    let program = &mut program;
    let versions = listed(program, &mut world, "a");
    use Standing::{Concurrent, Shown, Superseded};
    assert_eq!(standings(&versions), [Shown, Concurrent]);
    let hidden = read(program, &mut world, &versions[1]);
    restore(program, &mut world, &versions[1], &versions).unwrap();
    assert_eq!(program.get(&mut world, "a").data, hidden);
    assert_eq!(
        standings(&listed(program, &mut world, "a")),
        [Shown, Superseded, Superseded],
        "a version that was restored supersedes both"
    );
    world.run(Duration::from_secs(2), |_| false);
    assert_eq!(other.get(&mut world, "a").data, hidden);
}

#[test]
fn nothing_is_restored_over_what_others_have_stored_since() {
    let mut world = world(74, 1);
    let mut program = Program::connect(&mut world, 0, access());
    let mut other = Program::connect(&mut world, 0, access());
    program.put(&mut world, "a", b"first").result.unwrap();
    program.put(&mut world, "a", b"second").result.unwrap();
    let versions = listed(&mut program, &mut world, "a");
    other.put(&mut world, "a", b"unseen").result.unwrap();
    let restored = restore(&mut program, &mut world, &versions[1], &versions);
    assert_eq!(restored.unwrap_err(), ClientError::Changed);
    assert_eq!(program.get(&mut world, "a").data, b"unseen");
}

#[test]
fn a_damaged_version_is_listed_as_one() {
    let mut world = world(75, 1);
    let mut program = Program::connect(&mut world, 0, access());
    for content in [&b"first"[..], b"second", b"third"] {
        program.put(&mut world, "a", content).result.unwrap();
    }
    let versions = listed(&mut program, &mut world, "a");
    // What is signed of it stands in the log, and is found there by how it begins.
    let mut begins = versions[1].id.stamp.to_be_bytes().to_vec();
    begins.extend(versions[1].id.writer.0);
    assert!(spoil(&world, 0, &begins));
    verify(&mut world, 0);
    let end = all_of(&mut program, &mut world, "a");
    let Ok(Answer::Versions(told)) = end.result else { panic!("{:?}", end.result) };
    use Standing::{Damaged, Shown, Superseded};
    assert_eq!(standings(&end.versions), [Shown, Damaged, Superseded]);
    assert_eq!(end.versions[1].id, versions[1].id);
    assert_eq!(told.damaged, 1);
}

#[test]
fn names_are_listed_as_they_were_and_those_that_are_deleted() {
    let mut world = world(76, 2);
    let mut program = Program::connect(&mut world, 0, access());
    program.put(&mut world, "stays", b"one").result.unwrap();
    program.put(&mut world, "goes", b"two").result.unwrap();
    world.run(Duration::from_secs(5), |_| false);
    let then = listed(&mut program, &mut world, "goes")[0].id.stamp;
    program.put(&mut world, "stays", b"other").result.unwrap();
    program.put(&mut world, "comes", b"three").result.unwrap();
    program.call(&mut world, Operation::Delete { name: b"goes".into() }).result.unwrap();
    world.run(Duration::from_secs(5), |_| false);
    let mut elsewhere = Program::connect(&mut world, 1, access());
    let mut at = |view| {
        let end = elsewhere.call(&mut world, Operation::ListPast { view });
        assert!(matches!(end.result, Ok(Answer::Listed { .. })), "{:?}", end.result);
        let mut names = end.names;
        names.sort();
        (names, end.versions)
    };
    assert_eq!(at(View::At(then)).0, ["goes", "stays"]);
    assert_eq!(at(View::At(u64::MAX)).0, ["comes", "stays"]);
    assert!(at(View::At(0)).0.is_empty());
    let (names, deleted) = at(View::Deleted);
    assert!(names.is_empty() && deleted.len() == 1);
    assert_eq!((&deleted[0].name[..], deleted[0].standing), (&b"goes"[..], Standing::Deletion));
    program.put(&mut world, "goes", b"again").result.unwrap();
    let end = program.call(&mut world, Operation::ListPast { view: View::Deleted });
    assert!(end.versions.is_empty(), "what is there again is not deleted");
}

/// A list of which most names have nothing to tell costs a bound of looks an answer, and ends.
#[test]
fn of_many_names_the_few_that_are_deleted_are_found_in_bounded_answers() {
    let count = 2 * PAST_LOOKS_MAX as u32 + 10;
    let mut world = world(77, 1);
    let mut program = Program::connect(&mut world, 0, access());
    program.put(&mut world, "goes", b"content").result.unwrap();
    program.call(&mut world, Operation::Delete { name: b"goes".into() }).result.unwrap();
    let records: Vec<Bytes> =
        (0..count).map(|number| crate::sim::comparison::numbered(&world, number)).collect();
    tell(&mut world, 0, &records);
    world.run(Duration::from_secs(5), |_| false);
    let end = program.call(&mut world, Operation::ListPast { view: View::Deleted });
    assert!(matches!(end.result, Ok(Answer::Listed { .. })), "{:?}", end.result);
    assert_eq!(end.versions.len(), 1);
    let mut client = RawClient::connect(&mut world, 0);
    let (mut after, mut answers) = (None, 0);
    loop {
        let (request, space, view) = (3, Default::default(), View::Deleted);
        client.send(&Message::ListPast { request, space, after, view });
        let Some(Message::Listed { next, .. }) = client.message(&mut world) else {
            panic!("a list was expected");
        };
        answers += 1;
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(answers, 3);
}

/// A file, an overwrite of it and a tombstone of this name, the newest first.
fn records_of(name: &str) -> Vec<Bytes> {
    let mut pair = Pair::honest();
    pair.put(name, b"first");
    pair.put(name, b"second");
    let op = pair.start(Operation::Delete { name: name.into() });
    pair.pump();
    assert!(pair.result(op).is_some());
    let mut records = pair.held.records.clone();
    records.sort_by_key(|record| std::cmp::Reverse(mark_of(record)));
    records
}

fn mark_of(record: &Bytes) -> VersionMark {
    let version = Record::decode(record).unwrap().version;
    VersionMark { version, record: record_id(record) }
}

fn version_of(record: &Bytes) -> ListedVersion {
    let version = mark_of(record).version;
    ListedVersion { version, superseded: false, record: record.clone() }
}

/// What comes of a list of versions of "a" to which a node answers so, at most so often.
fn told(
    most: u32,
    answer: impl FnMut(u32) -> (Vec<ListedVersion>, Option<VersionMark>) + 'static,
) -> Result<Answer, ClientError> {
    told_with(most, answer).0
}

/// The same, and what the versions are that were told of.
fn told_with(
    most: u32,
    mut answer: impl FnMut(u32) -> (Vec<ListedVersion>, Option<VersionMark>) + 'static,
) -> (Result<Answer, ClientError>, Vec<Standing>) {
    let mut asked = 0;
    let mut pair = Pair::new(move |conn, message| {
        let Message::Versions { request, .. } = message else { return false };
        asked += 1;
        assert!(asked <= most, "the list goes on and on");
        let (versions, next) = answer(asked);
        let (request, sync, log_damage) = (*request, Default::default(), Default::default());
        conn.send(&Message::VersionsAre { request, versions, next, sync, log_damage });
        true
    });
    let wanted = VersionsWanted { name: b"a".into(), ..VersionsWanted::default() };
    let op = pair.start(Operation::Versions { wanted });
    pair.pump();
    let versions = pair.events.iter().filter_map(|event| match event {
        Event::Version { version, .. } => Some(version.standing),
        _ => None,
    });
    let versions = versions.collect();
    (pair.result(op).expect("it has ended"), versions)
}

fn below(stamp: u64) -> Option<VersionMark> {
    let version = VersionId { stamp, writer: Default::default() };
    Some(VersionMark { version, record: RecordId([0; 32]) })
}

#[test]
fn an_honest_list_of_versions_is_believed() {
    let records = records_of("a");
    let marks: Vec<_> = records.iter().map(mark_of).collect();
    let answer = told(4, move |asked| match asked {
        1..=3 => (vec![version_of(&records[asked as usize - 1])], Some(marks[asked as usize - 1])),
        _ => (Vec::new(), None),
    });
    assert!(matches!(answer, Ok(Answer::Versions(_))), "{answer:?}");
    // What has come since the heads were told is shown, as the greatest.
    let [tombstone, second, first] = &records_of("a")[..] else { panic!("there are three") };
    let mut all = vec![version_of(second), version_of(first)];
    all[1].superseded = true;
    let (_, standings) = told_with(1, move |_| (all.clone(), None));
    assert_eq!(standings, [Standing::Shown, Standing::Superseded]);
    let all = vec![version_of(tombstone), version_of(first)];
    let (_, standings) = told_with(1, move |_| (all.clone(), None));
    assert_eq!(standings, [Standing::Deletion, Standing::Concurrent]);
}

#[test]
fn a_list_of_versions_that_turns_back_or_repeats_ends() {
    let records = records_of("a");
    let all: Vec<_> = records.iter().map(version_of).collect();
    let protocol = |answer: Result<Answer, ClientError>, what: &str| {
        assert!(matches!(answer, Err(ClientError::Protocol(_))), "{what}: {answer:?}");
    };
    let (some, turned) = (all.clone(), vec![all[1].clone(), all[0].clone()]);
    let last = mark_of(&records[2]);
    protocol(told(2, move |_| (some.clone(), Some(last))), "the same again");
    protocol(told(1, move |_| (turned.clone(), None)), "an older one first");
    let twice = vec![all[0].clone(); 2];
    protocol(told(1, move |_| (twice.clone(), None)), "one twice in an answer");
    protocol(told(2, |_| (Vec::new(), below(5))), "from the same place");
    protocol(told(2, |asked| (Vec::new(), below(asked.into()))), "from a higher place");
    let (one, first) = (all[0].clone(), mark_of(&records[0]));
    protocol(told(2, move |_| (vec![one.clone()], Some(first))), "what lies above its place");
}

#[test]
fn a_list_of_versions_that_goes_on_and_tells_nothing_ends() {
    let damaged = |stamp| {
        let version = VersionId { stamp, writer: Default::default() };
        ListedVersion { version, superseded: true, record: Bytes::new() }
    };
    for claims in [0, 3] {
        let answer = told(LIST_BARREN_MAX, move |asked| {
            let stamp = 1_000_000 - u64::from(asked);
            ((0..claims).map(|_| damaged(stamp)).collect(), below(stamp))
        });
        assert!(matches!(answer, Err(ClientError::Protocol(_))), "{claims}: {answer:?}");
    }
    let mut asked = 0;
    let mut pair = Pair::new(move |conn, message| {
        let Message::ListPast { request, .. } = message else { return false };
        asked += 1;
        assert!(asked <= PAST_BARREN_MAX, "the list goes on and on");
        let mut next = NameId([0; 32]);
        next.0[..4].copy_from_slice(&asked.to_be_bytes());
        let (request, next, sync, log_damage) =
            (*request, Some(next), Default::default(), Default::default());
        let (records, damaged) = (Vec::new(), 0);
        conn.send(&Message::Listed { request, records, next, damaged, sync, log_damage });
        true
    });
    let op = pair.start(Operation::ListPast { view: View::Deleted });
    pair.pump();
    assert!(matches!(pair.error(op), ClientError::Protocol(_)));
}

#[test]
fn versions_of_another_name_or_by_nobody_are_not_believed() {
    let (others, own) = (records_of("b"), records_of("a"));
    let all: Vec<_> = others.iter().map(version_of).collect();
    let answer = told(1, move |_| (all.clone(), None));
    assert!(matches!(answer, Err(ClientError::Damaged(_))), "{answer:?}");
    // Another version than the record says.
    let mut wrong = version_of(&own[0]);
    wrong.version.stamp += 1;
    let answer = told(1, move |_| (vec![wrong.clone()], None));
    assert!(matches!(answer, Err(ClientError::Damaged(_))), "{answer:?}");
    let mut record = Record::decode(&own[0]).unwrap();
    record.signature = [0; 64];
    let unsigned = version_of(&record.to_bytes().into());
    let answer = told(1, move |_| (vec![unsigned.clone()], None));
    assert_eq!(answer.unwrap_err(), ClientError::Forged);
    // What is no record is a damaged one.
    let mut junk = version_of(&own[0]);
    junk.record = Bytes::from_static(b"none");
    let answer = told(1, move |_| (vec![junk.clone()], None));
    let Ok(Answer::Versions(told)) = answer else { panic!("{answer:?}") };
    assert_eq!(told.damaged, 1);
}

#[test]
fn a_view_that_tells_of_something_else_is_not_believed() {
    let records = records_of("a");
    let (tombstone, file) = (records[0].clone(), records[1].clone());
    let stamp = mark_of(&file).version.stamp;
    let cases = [
        (View::Deleted, file.clone()),
        (View::At(u64::MAX), tombstone),
        (View::At(stamp - 1), file),
    ];
    for (view, record) in cases {
        let mut pair = Pair::new(move |conn, message| {
            let Message::ListPast { request, .. } = message else { return false };
            let (request, sync, log_damage) = (*request, Default::default(), Default::default());
            let (records, next, damaged) = (vec![record.clone()], None, 0);
            conn.send(&Message::Listed { request, records, next, damaged, sync, log_damage });
            true
        });
        let op = pair.start(Operation::ListPast { view });
        pair.pump();
        assert!(matches!(pair.error(op), ClientError::Protocol(_)), "{view:?}");
    }
}
