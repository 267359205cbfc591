//! Records: vectors that stay for ever, each rule broken once, and changed bytes.

use super::*;
use crate::ids::Writer;
use crate::limits::BLOCK;
use proptest::prelude::*;

fn version(stamp: u64) -> VersionId {
    VersionId { stamp, writer: Writer([0xbb; 8]) }
}

fn record() -> Record {
    Record {
        format: FORMAT,
        kind: RecordKind::File,
        space: Space([0x11; 16]),
        name: NameId([0x22; 32]),
        version: version(7),
        parents: vec![version(6), version(5)],
        epoch: 1,
        signer: [0x33; 32],
        blocks: BlockList::Inline(vec![BlockRef { address: Address([0x44; 32]), length: 10 }]),
        extensions: vec![
            Extension { tag: 1, value: vec![1, 2] },
            Extension { tag: 3, value: Vec::new() },
        ],
        sealed_tag: [0x55; 32],
        sealed: vec![0x66; 5],
        signature: [0x77; 64],
    }
}

fn check(change: impl FnOnce(&mut Record), good: bool) {
    let mut record = record();
    change(&mut record);
    let bytes = record.to_bytes();
    assert_eq!(Record::decode(&bytes).as_ref() == Ok(&record), good, "{record:?}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_first_format() {
    let expected = [
        "0101",
        &"11".repeat(16),
        &"22".repeat(32),
        "0000000000000007bbbbbbbbbbbbbbbb",
        "00020000000000000006bbbbbbbbbbbbbbbb0000000000000005bbbbbbbbbbbbbbbb",
        "00000001",
        &"33".repeat(32),
        "000001",
        &"44".repeat(32),
        "0000000a",
        "00020001000201020003",
        "0000",
        &"55".repeat(32),
        "00056666666666",
        &"77".repeat(64),
    ]
    .concat();
    assert_eq!(hex(&Record { format: 1, ..record() }.to_bytes()), expected);
    assert_eq!(hex(&record().to_bytes()[1..]), expected[2..], "the second has the same layout");
}

#[test]
fn the_signed_and_the_public_bytes_are_beginnings_of_the_whole() {
    let bytes = record().to_bytes();
    let (signed, signature) = split_signature(&bytes).unwrap();
    assert_eq!((signed, *signature), (&record().signed_bytes()[..], record().signature));
    assert_eq!(
        signed,
        [record().public_bytes(), vec![0x55; 32], vec![0, 5], vec![0x66; 5]].concat()
    );
}

#[test]
fn every_rule_once() {
    let pages =
        |depth, blocks, bytes| BlockList::Pages { root: Address([8; 32]), depth, blocks, bytes };
    check(|_| (), true);
    check(|record| record.format = 2, true);
    check(|record| record.format = 0, false);
    check(|record| record.kind = RecordKind::Other(200), true);
    check(|record| record.kind = RecordKind::Other(0), false);
    check(|record| record.kind = RecordKind::Tombstone, false);
    check(|record| record.version.stamp = 6, false);
    check(|record| record.version.stamp = u64::MAX, false);
    check(|record| record.parents.reverse(), false);
    check(|record| record.parents = vec![version(5); 2], false);
    check(|record| record.extensions.reverse(), false);
    check(|record| record.blocks = pages(1, 5, 5), true);
    check(|record| record.blocks = pages(0, 5, 5), false);
    check(|record| record.blocks = pages(1, 513, 513), false);
    check(|record| record.blocks = pages(3, 5, 5 * BLOCK as u64 + 1), false);
    check(|record| record.sealed = vec![0; RECORD_MAX], false);
    check(
        |record| {
            record.kind = RecordKind::Grant;
            record.blocks = BlockList::Inline(Vec::new());
        },
        true,
    );
}

#[test]
fn a_list_of_blocks_of_an_unknown_form_is_refused() {
    let mut bytes = record().to_bytes();
    let entry = bytes.windows(32).position(|window| window == [0x44; 32]).unwrap();
    for form in 2..=u8::MAX {
        bytes[entry - 3] = form;
        assert!(Record::decode(&bytes).is_err(), "{form}");
    }
}

proptest! {
    #[test]
    fn a_changed_record_decodes_to_itself_or_not_at_all(
        at: proptest::sample::Index, to: u8, cut: bool,
    ) {
        let mut bytes = record().to_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = to }
        if let Ok(record) = Record::decode(&bytes) {
            prop_assert_eq!(record.to_bytes(), bytes);
        }
    }

    #[test]
    fn any_bytes_decode_or_do_not(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Record::decode(&bytes);
    }
}
