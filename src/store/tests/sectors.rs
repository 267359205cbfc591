//! Sectors that cannot be read any more: they cost what is in them and no more.

use super::check::checked;
use super::damage::with_block;
use super::*;
use crate::store::layout;
use crate::testing::SimFs;

const SECTOR: usize = 512;

/// Some groups of about a kilobyte, closed in order.
fn closed(groups: u64) -> (SimFs, Vec<(LogPlace, Thing)>) {
    let fs = SimFs::new();
    let config = Config::default();
    let (disk, _) = open(fs.clone(), config, [1; 16], |_| {}).unwrap();
    let mut written = Vec::new();
    for index in 0..groups {
        let small = content(&mut Dice(index), 1_000);
        let address = address_of(&small);
        let group = Group { small: vec![(address, small)], ..Group::default() };
        written.push((commit(&disk, &group).unwrap().small[0], Thing::Small(address)));
    }
    drop(disk);
    (fs.restart(), written)
}

#[test]
fn a_bad_sector_of_the_log_costs_the_groups_around_it() {
    let (fs, written) = closed(40);
    for sector in [20, 33, 60] {
        let fs = fs.restart();
        let at = sector * SECTOR;
        assert!(fs.tamper().go_bad("log/00000001.seg", at..at + SECTOR));
        let (_, told) = checked(&fs);
        assert!(told.iter().any(|finding| finding.what.contains("are damaged")), "{told:?}");
        for entropy in 2..4 {
            let fs = fs.restart();
            let opened = start(fs.clone(), entropy).unwrap();
            let found: Vec<Thing> = opened.found.iter().map(thing).collect();
            let lost = written.iter().filter(|(_, thing)| !found.contains(thing));
            // A page is read at a time.
            let page = at / 4096 * 4096;
            for (place, thing) in lost {
                let from = place.offset as usize;
                assert!(from + 1_100 > page && from < page + 4096 + 100, "{thing:?} at {from}");
            }
            assert!(found.len() < written.len());
            for (place, thing) in &written {
                let read = read_log(&opened.disk, *place);
                assert!(read.is_ok() || !found.contains(thing), "{thing:?}");
            }
        }
    }
}

#[test]
fn a_bad_sector_of_a_block_costs_the_block_and_is_told_of() {
    let (fs, opened, _, (address, place)) = with_block(6);
    drop(opened);
    let fs = fs.restart();
    let path = layout::block(&address);
    assert!(fs.tamper().go_bad(&path, LEAF + 2 * SECTOR..LEAF + 3 * SECTOR));
    let (_, told) = checked(&fs);
    let of_it = told.iter().find(|finding| finding.path == path).unwrap();
    assert!(of_it.what.contains("cannot be read"), "{of_it:?}");
    let opened = start(fs.restart(), 2).unwrap();
    assert!(read_leaves(&opened.disk, (address, place), (0, 1)).is_ok(), "the others are served");
    assert_eq!(read_leaves(&opened.disk, (address, place), (1, 1)).err(), Some(ReadError::Damaged));
    assert_eq!(verify(&opened.disk, &[(address, place)]), [address]);
}

#[test]
fn without_the_end_of_a_block_nothing_of_it_is_served() {
    let (fs, opened, _, (address, place)) = with_block(7);
    let BlockPlace::Tree { length } = place else { panic!("it is a large one") };
    let footer = length as usize;
    assert!(fs.tamper().go_bad(&layout::block(&address), footer..footer + 1));
    assert_eq!(read_leaves(&opened.disk, (address, place), (0, 1)).err(), Some(ReadError::Damaged));
    assert_eq!(verify(&opened.disk, &[(address, place)]), [address]);
}
