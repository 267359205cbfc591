//! Groups as bytes, whole and damaged.

use super::*;

fn group() -> Group {
    Group {
        blocks: vec![(9, Address([1; 32]), 70_000)],
        named: vec![(Address([8; 32]), 80_000)],
        small: vec![(Address([2; 32]), Bytes::from_static(b"small"))],
        pages: vec![(Address([3; 32]), Bytes::from_static(b"page"))],
        records: vec![(RecordId([4; 32]), Bytes::from_static(b"record"))],
        lost: vec![Address([5; 32])],
        dropped: vec![Address([6; 32]).into()],
        expired: vec![Expired { id: RecordId([7; 32]), at_ms: 1_795_305_600_000 }],
        removed: vec![1],
        at_ms: 0,
    }
}

fn removed_segments() -> RemovedSegments {
    let set = [0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0x27, 0x10];
    removed(&set).unwrap()
}

fn place() -> FramePlace {
    FramePlace { segment: 3, offset: 8192, salt: [6; 16], last: Position { number: 41, chain: 77 } }
}

fn read(bytes: &[u8], offset: u64) -> Option<Vec<LogEntry>> {
    let head = Head::parse(bytes, &[6; 16], offset)?;
    let body = head.fits(&bytes[HEAD..])?;
    decode(body, 3, offset + HEAD as u64)
}

#[test]
fn a_group_reads_back_in_the_order_of_the_log() {
    let encoded = encode(&group(), &place());
    assert_eq!(encoded.bytes.len(), Frame::Group(&group()).length());
    let head = Head::parse(&encoded.bytes, &[6; 16], 8192).expect("it is one");
    assert_eq!((head.number, head.position()), (42, encoded.position));
    let record = encoded.committed.records[0];
    assert_eq!(
        read(&encoded.bytes, 8192),
        Some(vec![
            LogEntry::Lost(Address([5; 32]), 3),
            LogEntry::Dropped(Address([6; 32]).into(), 3),
            LogEntry::Expired(group().expired[0], 3),
            LogEntry::Block(Address([1; 32]), BlockPlace::Tree { length: 70_000 }, 3),
            LogEntry::Block(Address([8; 32]), BlockPlace::Tree { length: 80_000 }, 3),
            LogEntry::Block(Address([2; 32]), BlockPlace::Log(encoded.committed.small[0]), 3),
            LogEntry::Page(
                Address([3; 32]),
                encoded.committed.pages[0],
                Bytes::from_static(b"page")
            ),
            LogEntry::Record(RecordId([4; 32]), record, Bytes::from_static(b"record")),
        ])
    );
    let start = record.offset as usize - 8192;
    assert_eq!(&encoded.bytes[start..start + 6], b"record");
}

#[test]
fn what_is_dropped_says_since_when_a_record_may_name_it() {
    for (since, bytes) in [(None, &[][..]), (Some(0x0102), &[0, 0, 1, 2])] {
        let dropped = Dropped { address: Address([6; 32]), since };
        let group = Group { dropped: vec![dropped], ..Group::default() };
        let encoded = encode(&group, &place());
        assert_eq!(encoded.bytes.len(), Frame::Group(&group).length());
        assert_eq!(read(&encoded.bytes, 8192), Some(vec![LogEntry::Dropped(dropped, 3)]));
        assert_eq!(&encoded.bytes[HEAD + ITEM_HEAD..encoded.bytes.len() - TAIL], bytes);
    }
}

#[test]
fn what_says_that_segments_are_removed_stands_alone() {
    let removed = removed_segments();
    let frame = Frame::Removed(&removed);
    let encoded = frame.encode(&place());
    assert_eq!((encoded.bytes.len(), encoded.committed.number), (frame.length(), 42));
    let body = &encoded.bytes[HEAD..encoded.bytes.len() - TAIL];
    assert!(may_remove(body) && !may_remove(&[]));
    assert_eq!(read(&encoded.bytes, 8192), Some(vec![LogEntry::Removed(removed)]));
    let lost = encode(&Group { lost: vec![Address([5; 32])], ..Group::default() }, &place());
    let lost = &lost.bytes[HEAD..lost.bytes.len() - TAIL];
    for body in [[body, lost].concat(), [lost, body].concat(), [body, body].concat()] {
        assert_eq!(decode(&body, 3, 8192), None);
    }
}

#[test]
fn what_is_lost_alone_is_told_from_what_something_else_has_become() {
    for (kind, bytes, only_loses) in [
        (Kind::Lost, &[][..], true),
        (Kind::Dropped, &[], true),
        (Kind::Dropped, &[1; 4], true),
        (Kind::Dropped, &[1], false),
        (Kind::Expired, &[1; 8], false),
        (Kind::Removed, &[0; 8], true),
        (Kind::Removed, &[0; 9], false),
        (Kind::Small, &[], false),
    ] {
        let mut writer = ItemWriter::new(0, &place());
        writer.item(kind, &[9; 32], bytes);
        let mut item = writer.bytes[HEAD..].to_vec();
        let left = left(&item).unwrap();
        assert_eq!((left.kind, left.harm, left.only_loses()), (kind, Harm::None, only_loses));
        // The check sum says which kind it was, whatever kind it says that it is.
        for other in [0, 1, 3, 6, 200] {
            item[0] = other;
            let left = super::left(&item).unwrap();
            let harm = if other == kind as u8 { Harm::None } else { Harm::Kind };
            assert_eq!((left.kind, left.harm), (kind, harm));
        }
    }
}

#[test]
fn no_changed_cut_or_moved_frame_is_read() {
    let removed = removed_segments();
    for frame in [Frame::Group(&group()), Frame::Removed(&removed)] {
        let mut bytes = frame.encode(&place()).bytes;
        assert_eq!(read(&bytes, 8193), None, "moved");
        assert_eq!(read(&bytes[..bytes.len() - 1], 8192), None, "cut");
        for at in 0..bytes.len() {
            bytes[at] ^= 0x10;
            assert_eq!(read(&bytes, 8192), None, "byte {at}");
            bytes[at] ^= 0x10;
        }
    }
}

#[test]
fn the_format_is_kept() {
    let encoded = encode(&Group { named: Vec::new(), ..group() }, &place());
    let check = crc32c::crc32c(&encoded.bytes);
    let hex = base16ct::lower::encode_string(&encoded.bytes[..HEAD]);
    assert_eq!(hex, "646673470000013a000000000000002a0000004d5244d42600000000cdc6a7e3");
    assert_eq!(check, 911_015_109);
    let removed = Frame::Removed(&removed_segments()).encode(&place());
    assert_eq!(crc32c::crc32c(&removed.bytes), 270_181_442);
}
