//! What a check says of folders with pages, of logs harmed at each end, and of a disk that does not say what it has.

use super::check::{checked, damage, rebuilt, record, shelf, signed, started, with_known};
use super::*;
use crate::fsck::check;
use crate::fsck::finding::{Event, Grade, Summary};
use crate::store::layout;
use crate::testing::{SimError, SimFs};
use crate::wire::message::BlockRef;
use crate::wire::page::{Entries, Page, PageRef};
use crate::wire::record::BlockList;

fn encoded(entries: Entries) -> Bytes {
    let page = Page { sealed: vec![9; entries.count() * 64], entries };
    let mut bytes = Vec::new();
    page.encode(&mut bytes);
    bytes.into()
}

/// A small block, the page that lists it, and the page above that one.
fn below() -> (Bytes, Bytes, Bytes) {
    let small = content(&mut Dice(7), 600);
    let block = BlockRef { address: address_of(&small), length: 600 };
    let page = encoded(Entries::Blocks(vec![block]));
    let pages = vec![PageRef { address: address_of(&page), blocks: 1, bytes: 600 }];
    let root = encoded(Entries::Pages { depth: 2, pages });
    (small, page, root)
}

/// The record of a file whose list is in pages below this one.
fn paged(root: &Bytes, depth: u8) -> (RecordId, Bytes) {
    let root = address_of(root);
    signed(1, BlockList::Pages { root, depth, blocks: 1, bytes: 600 })
}

fn named(items: &[&Bytes]) -> Vec<(Address, Bytes)> {
    items.iter().map(|item| (address_of(item), (*item).clone())).collect()
}

/// A folder that holds one group.
fn folder(group: &Group) -> SimFs {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    commit(&opened.disk, group).unwrap();
    drop(opened);
    fs.restart()
}

#[test]
fn a_file_is_whole_only_if_all_pages_and_blocks_below_its_root_are_here() {
    let (small, page, root) = below();
    let whole = Group {
        small: named(&[&small]),
        pages: named(&[&page, &root]),
        records: vec![paged(&root, 2)],
        ..Group::default()
    };
    let (summary, found) = checked(&folder(&whole));
    assert_eq!((found.len(), summary.pages, summary.blocks), (0, 2, 1));
    let without_block = Group { small: Vec::new(), ..whole.clone() };
    let without_page = Group { pages: named(&[&root]), ..whole.clone() };
    let without_root = Group { pages: named(&[&page]), ..whole.clone() };
    // A list may not be deeper than its record says.
    let deeper = Group { records: vec![paged(&root, 1)], ..whole };
    for group in [without_block, without_page, without_root, deeper] {
        let (summary, found) = checked(&folder(&group));
        assert!(summary.is_clean(), "it may not have come yet: {found:?}");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains("1 of its blocks or pages are not here yet"), "{found:?}");
    }
}

#[test]
fn what_the_log_has_under_a_wrong_name_is_lost_and_wanted_again() {
    let (small, page, root) = below();
    let junk = Bytes::from_static(b"no page at all");
    let group = Group {
        small: vec![(address_of(&small), junk.clone())],
        pages: vec![
            (address_of(&page), small),
            (address_of(&junk), junk.clone()),
            (address_of(&root), root.clone()),
        ],
        records: vec![paged(&root, 2)],
        ..Group::default()
    };
    let mut fs = folder(&group);
    let (summary, found) = checked(&fs);
    assert_eq!((summary.damaged, summary.missing), (3, 1), "{found:?}");
    for said in ["small block", "page", "is no page"] {
        assert!(damage(&found).iter().any(|(_, what)| what.contains(said)), "{said}: {found:?}");
    }
    rebuilt(&mut fs);
    let (_, found) = started(&mut fs, 3);
    for (address, _) in [&group.small[0], &group.pages[0]] {
        assert!(found.iter().any(|found| thing(found) == Thing::Lost(*address)), "{found:?}");
    }
}

/// Groups at either end of a segment, between others, and all. The fourth is the one that closed the store in order.
#[test]
fn damage_at_any_place_is_told_with_the_groups_that_were_there() {
    for (groups, said) in [
        (0..1, "groups up to 1"),
        (1..2, "groups 2 to 2"),
        (0..2, "groups up to 2"),
        (2..4, "groups from 3"),
        (0..4, "damaged: groups were"),
    ] {
        let mut shelf = shelf();
        started(&mut shelf.fs, 4);
        for group in groups {
            let [first, second] = [0, 1].map(|at| shelf.places[at].records[0].offset as usize);
            let begins = 8192 + group * (second - first);
            assert!(shelf.fs.tamper().flip("log/00000001.seg", begins + 20));
        }
        let (_, found) = checked(&shelf.fs);
        assert!(damage(&found).iter().any(|(_, what)| what.contains(said)), "{said}: {found:?}");
    }
}

#[test]
fn what_may_have_been_where_the_damage_is_is_not_called_normal() {
    let small = content(&mut Dice(7), 600);
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    commit(&opened.disk, &Group { small: named(&[&small]), ..Group::default() }).unwrap();
    let second = Group { records: vec![record(1, &[&small])], ..Group::default() };
    commit(&opened.disk, &second).unwrap();
    drop(opened);
    // In the length of the block, so that nobody knows which it was.
    let length = fs.restart();
    assert!(length.tamper().flip("log/00000001.seg", 8192 + 32 + 33));
    let (_, found) = checked(&length);
    let note = found.iter().find(|finding| finding.grade == Grade::Note);
    assert!(note.is_some_and(|note| note.means.contains("where the damage is")), "{found:?}");
    // In its bytes.
    let fs = fs.restart();
    assert!(fs.tamper().flip("log/00000001.seg", 8192 + 300));
    let (_, found) = checked(&fs);
    let missing = found.iter().find(|finding| finding.grade == Grade::Missing);
    assert!(missing.is_some_and(|missing| missing.what.contains("1 were lost")), "{found:?}");
}

#[test]
fn a_last_group_whose_block_is_bad_is_void_and_told_of() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let block = content(&mut Dice(1), LEAF * 3);
    assert!(draft(&opened.disk, 1, &block));
    let length = u32::try_from(block.len()).unwrap();
    let group = Group {
        blocks: vec![(1, address_of(&block), length)],
        records: vec![record(1, &[&block])],
        ..Group::default()
    };
    commit(&opened.disk, &group).unwrap();
    // Not closed in order: the last group is in doubt.
    std::mem::forget(opened);
    let fs = fs.restart();
    assert!(fs.tamper().flip(&layout::block(&address_of(&block)), 9));
    let (summary, found) = checked(&fs);
    assert_eq!(summary.records, 0);
    assert!(found.iter().any(|finding| finding.what.contains("which is not whole")), "{found:?}");
    assert_eq!(start(fs, 2).unwrap().found, [], "a start says the same");
}

/// For good or for want of descriptors, whichever call of the start it is: what was acknowledged is not given up for that.
#[test]
fn a_start_whose_disk_fails_once_voids_no_group() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    let block = content(&mut Dice(1), LEAF * 3);
    assert!(draft(&opened.disk, 1, &block));
    let length = u32::try_from(block.len()).unwrap();
    let group = Group {
        blocks: vec![(1, address_of(&block), length)],
        records: vec![record(1, &[&block])],
        ..Group::default()
    };
    commit(&opened.disk, &group).unwrap();
    std::mem::forget(opened);
    for error in [SimError::Io, SimError::NoSpace] {
        for call in 0.. {
            let fs = fs.restart();
            fs.tamper().fail_call(call, error, false);
            drop(start(fs.clone(), 2));
            let calls = fs.all_calls();
            let found = start(fs.restart(), 3).unwrap().found;
            let found: Vec<_> = found.iter().map(thing).collect();
            assert_eq!(found, things(&group), "call {call}: {error:?}");
            if calls <= call {
                break;
            }
        }
    }
}

#[test]
fn a_segment_in_which_nothing_was_written_is_no_damage() {
    let mut shelf = shelf();
    for entropy in 3..6 {
        started(&mut shelf.fs, entropy);
    }
    let (summary, found) = checked(&shelf.fs);
    assert_eq!((damage(&found).len(), summary.records), (0, 3), "{found:?}");
}

#[test]
fn a_bad_file_that_nobody_names_is_put_aside() {
    let mut shelf = shelf();
    let address = address_of(b"a block that is not here");
    for folder in layout::shard(&address) {
        shelf.fs.make_folder(&folder).unwrap();
    }
    let (bad, foreign) = (layout::block(&address), format!("{}/what", layout::shard(&address)[0]));
    for path in [&bad, &foreign] {
        let file = shelf.fs.create(path).unwrap();
        shelf.fs.write_at(&file, 0, &[7; 300]).unwrap();
    }
    let (summary, found) = checked(&shelf.fs);
    assert!(summary.is_clean());
    let told = |said: &str| found.iter().any(|finding| finding.what.contains(said));
    assert!(told("1 block files that no group names, and that are bad"), "{found:?}");
    assert!(found.iter().any(|finding| finding.path == foreign), "{found:?}");
    rebuilt(&mut shelf.fs);
    assert_eq!(shelf.fs.paths("quarantine/"), [layout::bad_block(&address)]);
    assert!(shelf.fs.paths("blocks/").contains(&foreign), "it is not dfsd's");
}

/// Too few descriptors, say, or a read that fails once: that is no damage, whichever call it is that fails.
#[test]
fn a_check_that_cannot_read_says_so_and_finds_no_damage() {
    let (small, page, root) = below();
    let mut shelf = shelf();
    shelf.fs = shelf.fs.restart();
    let opened = start(shelf.fs.clone(), 2).unwrap();
    let (small, pages) = (named(&[&small]), named(&[&page, &root]));
    let group = Group { small, pages, records: vec![paged(&root, 2)], ..Group::default() };
    commit(&opened.disk, &group).unwrap();
    drop(opened);
    let (sound, _) = checked(&shelf.fs);
    assert!(sound.is_clean());
    let mut refused = 0;
    for error in [SimError::Io, SimError::NoSpace] {
        for call in 0.. {
            let fs = shelf.fs.restart();
            fs.tamper().fail_call(call, error, false);
            let (result, worst) = outcome(&fs);
            refused += u32::from(result.is_err());
            assert!(result.is_err() || worst.is_none(), "call {call}: {error:?}: {worst:?}");
            if fs.all_calls() <= call {
                break;
            }
        }
    }
    assert!(refused > 20, "{refused} calls");
}

/// How a check ends, and the first damage that it tells of.
fn outcome(fs: &SimFs) -> (Result<Summary, OpenError>, Option<String>) {
    let mut worst = None;
    let result = with_known(|known| {
        check(fs, known, &mut |event| match event {
            Event::Found(finding) if finding.grade == Grade::Damage => {
                worst.get_or_insert(format!("{}: {}", finding.path, finding.what));
            }
            Event::Found(_) | Event::Bytes(_) => {}
        })
    });
    (result, worst)
}

#[test]
fn a_check_of_what_a_newer_program_wrote_names_the_segment() {
    let shelf = shelf();
    let file = shelf.fs.open("log/00000001.seg").unwrap();
    let mut header = vec![0; 80];
    shelf.fs.read_at(&file, 0, &mut header).unwrap();
    header[9] = 9;
    let sum = crc32c::crc32c(&header[..76]);
    header[76..].copy_from_slice(&sum.to_be_bytes());
    shelf.fs.write_at(&file, 0, &header).unwrap();
    let error = outcome(&shelf.fs).0.unwrap_err().to_string();
    assert!(error.contains("segment 1") && error.contains("newer dfsd"), "{error}");
}

#[test]
fn the_last_number_that_a_segment_can_have_ends_the_log_if_it_is_one() {
    let shelf = shelf();
    let last = shelf.fs.create(&layout::segment(u32::MAX)).unwrap();
    // The name alone is somebody else's.
    start(shelf.fs.restart(), 3).unwrap();
    let first = shelf.fs.open("log/00000001.seg").unwrap();
    let mut header = vec![0; 80];
    shelf.fs.read_at(&first, 0, &mut header).unwrap();
    // The first format has nothing beyond.
    header[8..10].copy_from_slice(&[0, 1]);
    header[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
    let sum = crc32c::crc32c(&header[..76]);
    header[76..].copy_from_slice(&sum.to_be_bytes());
    shelf.fs.write_at(&last, 0, &header).unwrap();
    match start(shelf.fs.restart(), 3) {
        Err(error) => assert!(error.to_string().contains("used up"), "{error}"),
        Ok(_) => panic!("there is no further number"),
    }
}

#[test]
fn items_of_more_segments_than_are_kept_open_are_all_read() {
    let fs = SimFs::new();
    let opened = start(fs, 1).unwrap();
    let mut items = Vec::new();
    while items.last().is_none_or(|(place, _): &(LogPlace, Bytes)| place.segment < 70) {
        let small = content(&mut Dice(items.len() as u64), 20_000);
        let group = Group { small: named(&[&small]), ..Group::default() };
        items.push((commit(&opened.disk, &group).unwrap().small[0], small));
    }
    for _ in 0..2 {
        for (place, small) in &items {
            assert_eq!(read_log(&opened.disk, *place).as_ref(), Ok(small));
        }
    }
}

#[test]
fn an_item_that_is_not_where_or_what_it_should_be_is_damaged() {
    let opened = start(SimFs::new(), 1).unwrap();
    let small = content(&mut Dice(1), 500);
    let group = Group { small: named(&[&small]), ..Group::default() };
    let place = commit(&opened.disk, &group).unwrap().small[0];
    let wrong = [
        LogPlace { length: place.length - 1, ..place },
        LogPlace { length: place.length + 1, ..place },
        LogPlace { offset: place.offset + 1, ..place },
        LogPlace { offset: 1 << 30, ..place },
    ];
    for place in wrong {
        assert_eq!(read_log(&opened.disk, place), Err(ReadError::Damaged), "{place:?}");
    }
    let gone = LogPlace { segment: 9, ..place };
    assert_eq!(read_log(&opened.disk, gone), Err(ReadError::Gone));
}

#[test]
fn a_draft_that_is_not_as_long_as_its_block_is_not_finished() {
    let opened = start(SimFs::new(), 1).unwrap();
    let block = content(&mut Dice(1), LEAF * 3);
    let leaves = tree::leaf_hashes(&block);
    let chunks = [Bytes::copy_from_slice(&block[..LEAF])];
    opened.disk.write(1, 0, &chunks, &leaves).unwrap();
    let length = u32::try_from(block.len()).unwrap();
    let done = opened.disk.finish(1, length, &leaves);
    assert!(matches!(done, Err(DiskError::Failed(_))), "{done:?}");
}

/// The disk failed once, and then gave the bytes: a block is not put aside for that.
#[test]
fn a_read_that_fails_once_condemns_no_block() {
    let shelf = shelf();
    let address = address_of(&shelf.blocks[0]);
    let place = BlockPlace::Tree { length: u32::try_from(shelf.blocks[0].len()).unwrap() };
    let fs = shelf.fs.restart();
    let opened = start(fs.clone(), 2).unwrap();
    for call in 0..20 {
        fs.tamper().fail_call(call, SimError::Io, false);
        verify(&opened.disk, &[(address, place)]);
        fs.tamper().fail_call(1 << 40, SimError::Io, false);
        assert_eq!(verify(&opened.disk, &[(address, place)]), [], "call {call}");
    }
    assert_eq!(fs.paths("quarantine/"), [""; 0]);
}

/// The address in the group's own list has rotted.
#[test]
fn a_block_file_that_a_record_in_damaged_bytes_needs_is_taken_in() {
    let block = content(&mut Dice(9), 70_000);
    let address = address_of(&block);
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    assert!(draft(&opened.disk, 9, &block));
    let blocks = vec![(9, address, 70_000)];
    let group = Group { blocks, records: vec![record(1, &[&block])], ..Group::default() };
    commit(&opened.disk, &group).unwrap();
    commit(&opened.disk, &Group { records: vec![record(2, &[])], ..Group::default() }).unwrap();
    drop(opened);
    let mut fs = fs.restart();
    assert!(fs.tamper().flip("log/00000001.seg", 8192 + 32 + 9));
    let (summary, found) = checked(&fs);
    assert_eq!((summary.records, summary.blocks), (2, 0), "{found:?}");
    let is_held = |fs: &mut SimFs| {
        let (_, found) = started(fs, 4);
        found.iter().any(|one| thing(one) == Thing::Block(address, 70_000))
    };
    assert!(!is_held(&mut fs));
    rebuilt(&mut fs);
    assert!(is_held(&mut fs));
}
