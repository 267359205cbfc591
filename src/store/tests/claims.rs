//! Whom a start believes that segments are gone on purpose, and what it does about those that are only missing.

use super::check::{checked, started};
use super::removed::{bytes_of, fill, filling, found_in, holed, put_back, remove};
use super::*;
use crate::store::layout;
use crate::testing::SimFs;

/// Six segments, closed in order, of which the third is missing, as a start has told; and its bytes.
fn without_third() -> (SimFs, Vec<u8>) {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    fill(&opened.disk, 6);
    drop(opened);
    let mut fs = fs.restart();
    let bytes = bytes_of(&fs, 3);
    fs.remove(&layout::segment(3)).unwrap();
    let (recovered, found) = started(&mut fs, 2);
    assert_eq!((recovered.notes.len(), found_in(&found)), (1, vec![1, 2, 4, 5, 6]));
    assert!(recovered.log_damage.is_any());
    (fs, bytes)
}

fn removed(fs: &mut SimFs, entropy: u8, numbers: &[u32]) {
    let opened = start(fs.clone(), entropy).unwrap();
    assert_eq!(remove(&opened.disk, numbers), numbers);
    drop(opened);
    *fs = fs.restart();
}

#[test]
fn what_is_missing_is_missed_also_when_all_before_it_was_removed_and_can_be_put_back() {
    let (mut fs, bytes) = without_third();
    removed(&mut fs, 3, &[1, 2]);
    assert!(checked(&fs).0.log_has_gaps);
    put_back(&fs, 3, &bytes);
    for entropy in 4..6 {
        let (recovered, found) = started(&mut fs, entropy);
        assert_eq!((recovered.notes.len(), found_in(&found)), (0, vec![3, 4, 5, 6]));
        assert!(!recovered.log_damage.is_any());
    }
    assert_eq!(fs.paths("quarantine/"), [""; 0]);
    // Given up on purpose, it is not missed again.
    removed(&mut fs, 6, &[3]);
    let recovered = started(&mut fs, 7).0;
    assert_eq!((recovered.notes.len(), recovered.log_damage.is_any()), (0, false));
}

#[test]
fn what_is_missing_and_made_good_holds_up_nothing() {
    for in_one_life in [false, true] {
        let (mut fs, _) = without_third();
        let opened = start(fs.clone(), 3).unwrap();
        opened.disk.made_good(&opened.recovered.damage).unwrap();
        if in_one_life {
            assert_eq!(remove(&opened.disk, &[1, 2]), [1, 2]);
        }
        drop(opened);
        fs = fs.restart();
        if !in_one_life {
            removed(&mut fs, 4, &[1, 2]);
        }
        assert!(!checked(&fs).0.log_has_gaps, "it is behind the mark");
        let (recovered, found) = started(&mut fs, 5);
        assert_eq!((recovered.notes.len(), found_in(&found)), (0, vec![4, 5, 6]));
        assert!(!recovered.log_damage.is_any());
    }
}

#[test]
fn a_segment_of_another_log_does_not_take_ours_away() {
    let other = SimFs::new();
    let opened = start(other.clone(), 9).unwrap();
    fill(&opened.disk, 50);
    let all: Vec<u32> = (1..40).collect();
    assert_eq!(remove(&opened.disk, &all), all);
    let rest = Group { small: vec![filling(90)], ..Group::default() };
    commit(&opened.disk, &rest).unwrap();
    commit(&opened.disk, &rest).unwrap();
    // In the one it says so by a frame, in the other by its header.
    for number in [51, 52] {
        let fs = SimFs::new();
        let opened = start(fs.clone(), 1).unwrap();
        fill(&opened.disk, 10);
        drop(opened);
        let mut fs = fs.restart();
        let before = fs.paths("log/");
        put_back(&fs, number, &bytes_of(&other, number));
        let findings = checked(&fs).1;
        assert!(findings.iter().any(|finding| finding.what.contains("may be of another log")));
        let (recovered, mut found) = started(&mut fs, 2);
        let notes = recovered.notes;
        assert!(notes.iter().any(|note| note.contains("may be of another log")), "{notes:?}");
        for entropy in 3..5 {
            let ours: Vec<u32> = (1..=10).collect();
            assert_eq!(found_in(&found)[..10], ours);
            assert!(before.iter().all(|path| fs.open(path).is_ok()));
            found = started(&mut fs, entropy).1;
        }
    }
}

/// The power goes while they are unlinked.
#[test]
fn of_segments_removed_together_any_may_be_left() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    fill(&opened.disk, 6);
    let bytes = [3, 4, 5].map(|number| (number, bytes_of(&fs, number)));
    assert_eq!(remove(&opened.disk, &[3, 4, 5]), [3, 4, 5]);
    drop(opened);
    for left in 0..8 {
        let mut fs = fs.restart();
        let is_left = |at: &usize| left >> at & 1 == 1;
        for (number, bytes) in (0..3).filter(is_left).map(|at| &bytes[at]) {
            put_back(&fs, *number, bytes);
        }
        let (recovered, found) = started(&mut fs, 2);
        assert_eq!((recovered.notes.len(), found_in(&found)), (0, vec![1, 2, 6]), "{left:03b}");
        assert!((3..6).all(|number| fs.open(&layout::segment(number)).is_err()));
    }
}

/// The power went while one was begun, and its file is there again after each loss of power until its going is durable.
#[test]
fn who_says_that_a_segment_is_gone_which_was_never_begun_is_believed() {
    for length in [0, 100, 8192] {
        let fs = SimFs::new();
        let opened = start(fs.clone(), 1).unwrap();
        fill(&opened.disk, 1);
        drop(opened);
        let mut fs = fs.restart();
        // Those that hold nothing go again.
        for entropy in 2..4 {
            let (recovered, found) = started(&mut fs, entropy);
            assert_eq!((recovered.notes.len(), found_in(&found)), (0, vec![1]));
        }
        let opened = start(fs.clone(), 4).unwrap();
        assert_eq!(remove(&opened.disk, &[1, 2]), [1, 2]);
        drop(opened);
        let mut fs = fs.restart();
        let [newest] = &fs.paths("log/")[..] else { panic!("{:?}", fs.paths("log/")) };
        let never_begun = number_of(newest) - 1;
        assert!(never_begun > 2, "it is not the one that was removed");
        put_back(&fs, never_begun, &vec![0; length]);
        for entropy in 5..7 {
            let recovered = started(&mut fs, entropy).0;
            assert_eq!(
                (recovered.notes, recovered.log_damage.is_any()),
                (vec![], false),
                "{length}"
            );
        }
        assert!(fs.open(&layout::segment(never_begun)).is_err());
    }
}

fn number_of(path: &str) -> u32 {
    layout::segment_number(path.rsplit('/').next().unwrap()).unwrap()
}

/// Flips a byte of both copies of a segment's header.
fn harm_header(fs: &SimFs, segment: u32, at: usize) {
    let path = layout::segment(segment);
    assert!(fs.tamper().flip(&path, at) && fs.tamper().flip(&path, 4096 + at));
}

#[test]
fn what_only_an_unreadable_segment_says_is_known_once_it_can_be_read() {
    let fs = SimFs::new();
    let opened = start(fs.clone(), 1).unwrap();
    fill(&opened.disk, 6);
    assert_eq!(remove(&opened.disk, &[2]), [2]);
    drop(opened);
    let mut fs = fs.restart();
    harm_header(&fs, 7, 20);
    let recovered = started(&mut fs, 2).0;
    assert_eq!(recovered.notes.len(), 2, "the segment, and the one that it said is gone");
    fs.rename(&layout::bad_segment(7), &layout::segment(7)).unwrap();
    harm_header(&fs, 7, 20);
    for entropy in 3..5 {
        let (recovered, found) = started(&mut fs, entropy);
        assert_eq!((recovered.notes.len(), recovered.log_damage.is_any()), (0, false));
        assert_eq!(found_in(&found), [1, 3, 4, 5, 6]);
    }
}

/// The newest segment too, whose header alone has the list: it stands in frames before.
#[test]
fn damage_of_the_list_in_a_header_costs_no_group() {
    let (mut fs, _) = holed();
    let opened = start(fs.clone(), 2).unwrap();
    let group = Group { small: vec![filling(20)], ..Group::default() };
    assert_eq!(commit(&opened.disk, &group).unwrap().segment, 8);
    drop(opened);
    fs = fs.restart();
    [3, 7, 8].into_iter().for_each(|segment| harm_header(&fs, segment, 90));
    let (summary, findings) = checked(&fs);
    assert!(summary.is_clean() && !summary.log_has_gaps, "{findings:?}");
    for entropy in 3..5 {
        let (recovered, found) = started(&mut fs, entropy);
        assert_eq!(found_in(&found), [1, 3, 4, 6, 8]);
        assert!(recovered.notes.iter().all(|note| note.contains("list of removed segments")));
        assert_eq!((recovered.notes.len(), recovered.log_damage.is_any()), (3, false));
    }
}
