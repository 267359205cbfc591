//! Files through real nodes.

use super::program::{Program, access, content, meta, world};
use dfsd::crypto::keys::{RootKey, WriteKey};
use dfsd::crypto::tree;
use dfsd::keyring::{Access, grant};
use dfsd::limits::{BLOCK, LEAF, LOG_BLOCK_MAX, OPERATION_TIMEOUT};
use dfsd::session::{Answer, ClientError, Operation, Overwrite};
use dfsd::store::fs::FileSystem;
use std::time::Duration;

#[test]
fn files_of_every_size_come_back_equal() {
    let mut world = world(1, 1);
    let mut program = Program::connect(&mut world, 0, access());
    let sizes = [0, 1, LEAF, LEAF + 1, LOG_BLOCK_MAX, LOG_BLOCK_MAX + 1, BLOCK, BLOCK + 1];
    for size in sizes.into_iter().chain([4 * BLOCK, 4 * BLOCK + 1, 9 * BLOCK + 12_345]) {
        let name = format!("size/{size}");
        let bytes = content(7, size);
        let put = program.put(&mut world, &name, &bytes);
        let Ok(Answer::Put { hash, size: stored, copies: 1, is_new: true, version }) = put.result
        else {
            panic!("{size}: {put:?}");
        };
        assert_eq!((hash, stored), (tree::tree(&bytes), size as u64));
        let got = program.get(&mut world, &name);
        let Ok(Answer::Got(entry)) = got.result else { panic!("{size}: {:?}", got.result) };
        assert!(got.data == bytes, "{size}");
        assert_eq!((entry.hash, entry.version, entry.mode), (hash, version, 0o640));
        assert_eq!(got.names, [name]);
    }
}

/// What a get that goes on asks for. The file's hash is checked all the same: it is made of those of its blocks.
#[test]
fn a_version_is_read_from_any_byte_on() {
    let mut world = world(8, 1);
    let mut program = Program::connect(&mut world, 0, access());
    for size in [0, 100, LOG_BLOCK_MAX + 1, 2 * BLOCK, 4 * BLOCK + 5 * LEAF + 9] {
        let bytes = content(3, size);
        program.put(&mut world, "file", &bytes).result.unwrap();
        let stat = program.call(&mut world, Operation::Stat { name: b"file".into() });
        let Ok(Answer::Stat(entry)) = stat.result else { panic!("{stat:?}") };
        let edges =
            [0, LEAF, LOG_BLOCK_MAX, BLOCK, 3 * BLOCK, 4 * BLOCK, 4 * BLOCK + 5 * LEAF, size];
        let around = edges.into_iter().flat_map(|edge| [edge.saturating_sub(1), edge, edge + 1]);
        for from in around.chain([usize::MAX >> 8]) {
            let (entry, from_byte) = (entry.clone(), from as u64);
            let get = Operation::GetEntry { entry, from: from_byte };
            let got = program.call(&mut world, get);
            assert!(matches!(got.result, Ok(Answer::Got(_))), "{size} from {from}: {got:?}");
            assert!(got.data == bytes[from.min(size)..], "{size} from {from}");
        }
    }
}

/// Nodes tell their clients who may write, those that are there already too.
#[test]
fn what_another_writer_puts_is_read_by_everybody() {
    let mut world = world(9, 2);
    let reader = access().read_only();
    let mut early = Program::connect(&mut world, 1, reader.clone());
    early.call(&mut world, Operation::Status).result.unwrap();
    let sign = WriteKey::generate(&[55; 32]);
    let grant = grant::grant(&RootKey::generate(&[1; 32]), &sign.public(), 1_000);
    let other = Access { write: Some(WriteKey { sign, grant }), ..access() };
    let mut writer = Program::connect(&mut world, 0, other);
    writer.put(&mut world, "theirs", b"content").result.unwrap();
    world.run(Duration::from_secs(2), |_| false);
    let mut late = Program::connect(&mut world, 1, reader);
    for program in [&mut early, &mut late] {
        let got = program.get(&mut world, "theirs");
        assert!(matches!(got.result, Ok(Answer::Got(_))), "{got:?}");
        assert_eq!(got.data, b"content");
        let list = program.call(&mut world, Operation::List);
        assert_eq!(list.names, ["theirs"]);
    }
}

#[test]
fn many_operations_run_at_once() {
    let mut world = world(2, 1);
    let mut program = Program::connect(&mut world, 0, access());
    let file = |index: usize| {
        content(index as u8, index * 1_009 + usize::from(index.is_multiple_of(50)) * BLOCK)
    };
    let puts: Vec<_> = (0..200)
        .map(|index| program.start_put(&world, &format!("many/{index}"), file(index)))
        .collect();
    for op in puts {
        program.finish(&mut world, op).result.unwrap();
    }
    let list = program.call(&mut world, Operation::List);
    assert_eq!(list.names.len(), 200);
    let gets: Vec<_> = (0..200)
        .map(|index| {
            let name = format!("many/{index}").into_bytes();
            program.start(&world, Operation::Get { name })
        })
        .collect();
    for (index, op) in gets.into_iter().enumerate() {
        let got = program.finish(&mut world, op);
        got.result.unwrap();
        assert!(got.data == file(index), "{index}");
    }
}

#[test]
fn puts_of_one_name_at_once_are_different_versions() {
    let mut world = world(7, 1);
    let mut program = Program::connect(&mut world, 0, access());
    let puts: Vec<_> =
        (0..8).map(|index| program.start_put(&world, "same", content(index, 100))).collect();
    let versions = puts.into_iter().map(|op| match program.finish(&mut world, op).result {
        Ok(Answer::Put { version, .. }) => version,
        other => panic!("{other:?}"),
    });
    assert_eq!(versions.collect::<std::collections::BTreeSet<_>>().len(), 8);
}

/// More blocks at once than a node lets one connection want or offer.
#[test]
fn more_is_asked_for_at_once_than_a_node_bears() {
    let mut world = world(3, 1);
    let mut program = Program::connect(&mut world, 0, access());
    let file = |index: usize| content(index as u8 + 1, 3 * LOG_BLOCK_MAX + 13);
    let bytes = (0..7).flat_map(file).collect::<Vec<_>>();
    program.put(&mut world, "large", &bytes).result.unwrap();
    let gets: Vec<_> =
        (0..600).map(|_| program.start(&world, Operation::Get { name: b"large".into() })).collect();
    for op in gets {
        let got = program.finish(&mut world, op);
        got.result.unwrap();
        assert!(got.data == bytes);
    }
}

#[test]
fn a_file_of_equal_blocks_is_stored_once() {
    let mut world = world(4, 1);
    let mut program = Program::connect(&mut world, 0, access());
    let bytes = vec![0; 9 * BLOCK];
    program.put(&mut world, "zeros", &bytes).result.unwrap();
    assert!(program.get(&mut world, "zeros").data == bytes);
    let status = program.call(&mut world, Operation::Status);
    let Ok(Answer::Status(status)) = status.result else { panic!("{status:?}") };
    assert_eq!(status.blocks, 1);
}

#[test]
fn names_are_renamed_deleted_and_put_anew() {
    let mut world = world(5, 1);
    let mut program = Program::connect(&mut world, 0, access());
    let bytes = content(1, 6 * BLOCK);
    program.put(&mut world, "old", &bytes).result.unwrap();
    program.put(&mut world, "other", b"other").result.unwrap();
    let rename = |target: &str, replace| Operation::Rename {
        source: b"old".into(),
        target: target.into(),
        replace,
    };
    let taken = program.call(&mut world, rename("other", false));
    assert_eq!(taken.result.unwrap_err(), ClientError::Exists);
    program.call(&mut world, rename("new", false)).result.unwrap();
    assert_eq!(program.get(&mut world, "old").result.unwrap_err(), ClientError::NotFound);
    assert!(program.get(&mut world, "new").data == bytes);
    assert_eq!(program.get(&mut world, "other").data, b"other");
    assert_eq!(
        program.call(&mut world, rename("x", false)).result.unwrap_err(),
        ClientError::NotFound
    );
    let delete = || Operation::Delete { name: b"new".into() };
    program.call(&mut world, delete()).result.unwrap();
    assert_eq!(program.call(&mut world, delete()).result.unwrap_err(), ClientError::NotFound);
    assert_eq!(program.call(&mut world, Operation::List).names, ["other"]);
    program.put(&mut world, "new", b"again").result.unwrap();
    assert_eq!(program.get(&mut world, "new").data, b"again");
}

#[test]
fn a_put_that_must_be_new_changes_nothing_that_is_there() {
    let mut world = world(6, 1);
    let mut program = Program::connect(&mut world, 0, access());
    program.put(&mut world, "a", b"first").result.unwrap();
    let put = Operation::Put { meta: meta("a"), overwrite: Overwrite::Never };
    let op = program.start(&world, put);
    program.session.feed(op, b"second");
    program.session.feed_end(op);
    assert_eq!(program.finish(&mut world, op).result.unwrap_err(), ClientError::Exists);
    assert_eq!(program.get(&mut world, "a").data, b"first");
}

#[test]
fn any_node_gives_what_another_took() {
    let mut world = world(7, 3);
    let bytes = content(9, 5 * BLOCK + 77);
    let mut writer = Program::connect(&mut world, 0, access());
    writer.put(&mut world, "far/away", &bytes).result.unwrap();
    for machine in 1..3 {
        let mut reader = Program::connect(&mut world, machine, access());
        let got = reader.get(&mut world, "far/away");
        got.result.unwrap();
        assert!(got.data == bytes);
    }
}

#[test]
fn a_version_that_is_being_put_supersedes_one_that_was_put_meanwhile() {
    let mut world = world(8, 1);
    let mut program = Program::connect(&mut world, 0, access());
    let slow =
        program.start(&world, Operation::Put { meta: meta("a"), overwrite: Overwrite::Always });
    program.session.feed(slow, b"slow");
    program.pump(&mut world);
    world.run(Duration::from_secs(5), |_| false);
    let mut other = Program::connect(&mut world, 0, access());
    other.put(&mut world, "a", b"quick").result.unwrap();
    program.session.feed_end(slow);
    program.finish(&mut world, slow).result.unwrap();
    assert_eq!(program.get(&mut world, "a").data, b"slow");
}

/// A source that gives nothing for a minute is nobody's silence.
#[test]
fn a_put_waits_for_its_source() {
    let mut world = world(9, 1);
    let mut program = Program::connect(&mut world, 0, access());
    let op =
        program.start(&world, Operation::Put { meta: meta("a"), overwrite: Overwrite::Always });
    program.session.feed(op, b"slow");
    for _ in 0..60 {
        program.pump(&mut world);
        world.run(Duration::from_secs(1), |_| false);
        let now = world.time().instant;
        program.session.handle_timeout(now).unwrap();
    }
    assert!(program.ended.is_empty());
    program.session.feed_end(op);
    program.finish(&mut world, op).result.unwrap();
}

#[test]
fn what_is_given_up_leaves_nothing_behind() {
    let mut world = world(10, 1);
    let mut program = Program::connect(&mut world, 0, access());
    let op =
        program.start(&world, Operation::Put { meta: meta("a"), overwrite: Overwrite::Always });
    program.session.feed(op, &content(1, 5 * BLOCK));
    program.pump(&mut world);
    program.session.abort(op);
    assert_eq!(program.finish(&mut world, op).result.unwrap_err(), ClientError::Aborted);
    assert_eq!(program.get(&mut world, "a").result.unwrap_err(), ClientError::NotFound);
    let bytes = content(2, 5 * BLOCK);
    program.put(&mut world, "a", &bytes).result.unwrap();
    let get = program.start(&world, Operation::Get { name: b"a".into() });
    program.pump(&mut world);
    program.session.abort(get);
    assert!(program.get(&mut world, "a").data == bytes);
}

#[test]
fn keys_that_are_missing_are_named() {
    let mut world = world(11, 1);
    let mut reader = Program::connect(&mut world, 0, access().read_only());
    let put = reader.put(&mut world, "a", b"a");
    assert_eq!(put.result.unwrap_err(), ClientError::NoWriteKey);
    let mut blind = Program::connect(&mut world, 0, access().blind());
    assert_eq!(blind.get(&mut world, "a").result.unwrap_err(), ClientError::NoDataKey);
    assert!(blind.call(&mut world, Operation::Status).result.is_ok());
    let mut full = Program::connect(&mut world, 0, access());
    for name in ["", "a\0b", &"n".repeat(1281)] {
        assert_eq!(full.get(&mut world, name).result.unwrap_err(), ClientError::BadName);
    }
}

#[test]
fn a_node_tells_of_itself_and_of_its_disk() {
    let mut world = world(12, 2);
    let mut program = Program::connect(&mut world, 0, access());
    program.put(&mut world, "a", &content(1, 5 * BLOCK)).result.unwrap();
    let members = program.call(&mut world, Operation::Members);
    assert!(matches!(members.result, Ok(Answer::Members(members)) if members.len() == 1));
    let verify = program.call(&mut world, Operation::Verify);
    let Ok(Answer::Verified { good, bytes, bad }) = verify.result else { panic!("{verify:?}") };
    assert!(good >= 5 && bytes >= 5 * BLOCK as u64 && bad.is_empty());
    let stat = program.call(&mut world, Operation::Stat { name: b"a".into() });
    let Ok(Answer::Stat(entry)) = stat.result else { panic!("{stat:?}") };
    world.run(Duration::from_secs(20), |_| false);
    let holders = program.call(&mut world, Operation::Holders { record: entry.record });
    let Ok(Answer::Holders(holders)) = holders.result else { panic!("{holders:?}") };
    assert_eq!((holders.count, holders.listed.len()), (2, 2));
}

/// Those that hold back are woken by whatever answers a want, and not by the deadline alone.
#[test]
fn many_gets_of_what_nobody_has_all_end_at_once() {
    let mut world = world(9, 1);
    let mut program = Program::connect(&mut world, 0, access());
    let bytes = (0..7_u8).flat_map(|seed| content(seed, BLOCK)).collect::<Vec<_>>();
    program.put(&mut world, "gone", &bytes).result.unwrap();
    let disk = &world.machines[0].fs;
    disk.paths("blocks").iter().for_each(|path| disk.remove(path).unwrap());
    let begun = world.time().instant;
    let gets: Vec<_> =
        (0..300).map(|_| program.start(&world, Operation::Get { name: b"gone".into() })).collect();
    for op in gets {
        let got = program.finish(&mut world, op);
        assert!(matches!(got.result, Err(ClientError::Damaged(_))), "{:?}", got.result);
    }
    assert!(world.time().instant.since(begun) < OPERATION_TIMEOUT);
}
