//! Of a damaged group what is whole is found, wherever the damage is.

use super::damage::closed;
use super::*;
use crate::testing::SimFs;
use crate::wire::message::BlockRef;
use crate::wire::page::{Entries, Page};

const FIRST: &str = "log/00000001.seg";
/// Before an item's own bytes.
const ITEM_HEAD: usize = 41;

/// A page of so many blocks.
fn page(blocks: u8) -> Bytes {
    let block = |seed| BlockRef { address: Address([seed; 32]), length: 600 };
    let entries = Entries::Blocks((0..blocks).map(block).collect());
    let page = Page { sealed: vec![9; entries.count() * 64], entries };
    let mut bytes = Vec::new();
    page.encode(&mut bytes);
    bytes.into()
}

/// A group with some of everything, between two others; and where it begins and ends.
fn between() -> (SimFs, Writer, Group, Committed) {
    let (fs, mut writer, _) = closed(1);
    let disk = start(fs.clone(), 2).unwrap().disk;
    let mut dice = Dice(7);
    let mut some = |length| {
        let bytes = content(&mut dice, length);
        (writer.remember(&bytes), bytes)
    };
    let file = some(40_000);
    let small = vec![some(900), some(1_100), some(700)];
    let records = [some(300), some(310)].map(|(address, bytes)| (RecordId(address.0), bytes));
    let pages = [1, 2].map(page).map(|page| (writer.remember(&page), page)).to_vec();
    assert!(draft(&disk, 9, &file.1));
    let blocks = vec![(9, file.0, 40_000)];
    let group = Group { blocks, small, pages, records: records.to_vec(), ..Group::default() };
    let committed = commit(&disk, &group).unwrap();
    let after = content(&mut Dice(8), 300);
    let after = vec![(RecordId(writer.remember(&after).0), after)];
    commit(&disk, &Group { records: after, ..Group::default() }).unwrap();
    drop(disk);
    (fs.restart(), writer, group, committed)
}

/// The items of the group in the order of the log: what each is, where it begins, where its own bytes do, and where it ends.
fn items(group: &Group, committed: &Committed) -> Vec<(Thing, usize, usize, usize)> {
    let parts = [&committed.small[..], &committed.pages, &committed.records].concat();
    let first = parts[0].offset as usize;
    let block = (first - 2 * ITEM_HEAD - 4, first - ITEM_HEAD - 4, first - ITEM_HEAD);
    let place = |place: &LogPlace| {
        let at = place.offset as usize;
        (at - ITEM_HEAD, at, at + place.length as usize)
    };
    let places = [block].into_iter().chain(parts.iter().map(place));
    things(group).into_iter().zip(places).map(|(thing, (a, b, c))| (thing, a, b, c)).collect()
}

/// What may be missing if this byte is damaged.
fn hit(items: &[(Thing, usize, usize, usize)], at: usize) -> Vec<Thing> {
    let Some(item) = items.iter().position(|item| (item.1..item.3).contains(&at)) else {
        return Vec::new();
    };
    let (thing, start, ..) = &items[item];
    match at - start {
        // Where the item ends is not known, nor what follows.
        33..37 => items[item..].iter().map(|item| item.0.clone()).collect(),
        // Its file tells how long it is.
        37.. if item == 0 => Vec::new(),
        0 if item == 0 => Vec::new(),
        _ => vec![thing.clone()],
    }
}

#[test]
fn of_a_damaged_group_all_that_is_whole_is_found() {
    let (fs, writer, group, committed) = between();
    let items = items(&group, &committed);
    let segment = format!("log/{:08}.seg", committed.small[0].segment);
    assert_ne!(segment, FIRST);
    for at in items[0].1 - 32..items.last().map_or(0, |last| last.3 + 4) {
        // Every byte of heads, and some of what is long.
        let is_own = items.iter().any(|item| (item.2 + 5..item.3 - 5).contains(&at));
        if is_own && at % 37 > 0 {
            continue;
        }
        let fs = fs.restart();
        assert!(fs.tamper().flip(&segment, at));
        let opened = start(fs, 5).unwrap();
        // Whatever is found is what it is said to be.
        writer.clone().check_contents(&opened);
        let remains = opened.recovered.remains.iter().filter(|one| one.place.is_some());
        for one in remains.clone() {
            let read = read_log(&opened.disk, one.place.unwrap());
            assert_eq!(read.as_ref(), Ok(&one.bytes));
        }
        let mut found: Vec<_> = opened.found.iter().map(thing).collect();
        found.extend(remains.map(|one| Thing::Record(one.id)));
        let mut missing = things(&group);
        missing.retain(|thing| !found.contains(thing));
        let hit = hit(&items, at);
        assert!(missing == hit || hit.len() > 1, "byte {at}: {missing:?}, not {hit:?}");
        assert!(missing.iter().all(|thing| hit.contains(thing)), "byte {at}: {missing:?}");
        // In its own bytes: it is known which it was.
        let rotten = opened.recovered.rotten;
        if let Some((thing, ..)) = items.iter().skip(1).find(|item| (item.2..item.3).contains(&at))
        {
            let address = match thing {
                Thing::Small(address) | Thing::Page(address) => vec![*address],
                _ => Vec::new(),
            };
            assert_eq!(rotten, address, "byte {at}");
        }
    }
}

#[test]
fn of_a_block_file_that_is_gone_nothing_is_found() {
    let (fs, _, group, committed) = between();
    let address = group.blocks[0].1;
    let block = Thing::Block(address, 40_000);
    let segment = format!("log/{:08}.seg", committed.small[0].segment);
    assert!(fs.tamper().flip(&segment, committed.small[0].offset as usize));
    let found =
        |fs: &SimFs| start(fs.clone(), 5).unwrap().found.iter().any(|one| thing(one) == block);
    assert!(found(&fs.restart()));
    fs.remove(&crate::store::layout::block(&address)).unwrap();
    assert!(!found(&fs.restart()));
}

/// Whatever is done to the bytes of a log, what a start finds is what was put.
#[test]
fn whatever_is_done_to_the_log_nothing_else_is_found() {
    let (fs, writer, ..) = between();
    let segments = fs.paths("log/");
    for seed in 0..400 {
        let fs = fs.restart();
        let mut dice = Dice(seed);
        for _ in 0..=dice.below(4) {
            let path = &segments[dice.below(segments.len())];
            let file = fs.open(path).unwrap();
            let used = 60_000.min(usize::try_from(fs.length(&file).unwrap()).unwrap());
            let (from, to) = (8192 + dice.below(used - 8192), 8192 + dice.below(used - 8192));
            let length = 1 + dice.below(700);
            let bytes = match dice.below(3) {
                0 => vec![0; length],
                1 => (0..length).map(|_| dice.below(256) as u8).collect(),
                // What is elsewhere.
                _ => fs.read(&file, from as u64, length).unwrap(),
            };
            fs.write_at(&file, to as u64, &bytes).unwrap();
        }
        let opened = start(fs, 5).unwrap();
        writer.clone().check_contents(&opened);
        for one in opened.recovered.remains.iter().filter(|one| one.place.is_some()) {
            assert_eq!(read_log(&opened.disk, one.place.unwrap()).as_ref(), Ok(&one.bytes));
            assert_eq!(writer.contents.get(&one.id.0), Some(&one.bytes), "seed {seed}");
        }
    }
}
