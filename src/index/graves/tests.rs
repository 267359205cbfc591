//! Graves, and what stands beside them in segments.

use super::*;

const ID: Id = [7; 32];

fn grave(segment: u32, why: Why) -> Grave {
    Grave { segment, why }
}

#[test]
fn a_grave_is_needed_until_all_that_it_buries_is_gone() {
    let mut graves = Graves::default();
    graves.leave(ID, 2);
    graves.leave(ID, 2);
    graves.bury(ID, grave(5, Why::Dropped), Some(4));
    assert_eq!((graves.of(&ID), graves.live().of(5)), (Some(grave(5, Why::Dropped)), 41));
    graves.segment_forgotten(4);
    graves.segment_forgotten(3);
    assert!(graves.of(&ID).is_some());
    assert!(graves.move_grave(&ID, 5, 8) && !graves.move_grave(&ID, 5, 9));
    assert_eq!((graves.live().of(5), graves.live().of(8)), (0, 41));
    graves.segment_forgotten(2);
    assert_eq!((graves.of(&ID), graves.live().of(8)), (None, 0));
    assert!(graves.is_empty());
}

#[test]
fn that_a_record_has_expired_is_known_until_nobody_asks_for_it() {
    let mut graves = Graves::default();
    graves.bury(ID, grave(5, Why::Expired), Some(4));
    graves.segment_forgotten(4);
    assert_eq!(graves.live().of(5), 49);
    graves.forget(&ID);
    assert!(graves.is_empty() && graves.live().of(5) == 0);
    // And longer, if its bytes stand.
    graves.bury(ID, grave(5, Why::Expired), Some(4));
    graves.forget(&ID);
    assert!(graves.of(&ID).is_some());
    graves.segment_forgotten(4);
    assert!(graves.of(&ID).is_none());
}

#[test]
fn what_has_come_again_has_no_grave_and_what_stood_of_it_is_buried_with_it_again() {
    let mut graves = Graves::default();
    graves.bury(ID, grave(3, Why::Expired), Some(2));
    graves.rise(&ID);
    assert!(graves.of(&ID).is_none() && graves.live().of(3) == 0);
    graves.bury(ID, grave(6, Why::Dropped), Some(5));
    graves.segment_forgotten(5);
    assert_eq!(graves.of(&ID), Some(grave(6, Why::Dropped)), "the second stands");
    graves.bury(ID, grave(7, Why::Lost), None);
    assert_eq!([6, 7].map(|segment| graves.live().of(segment)), [0, 41]);
    graves.segment_forgotten(2);
    assert!(graves.is_empty());
    graves.bury(ID, grave(8, Why::Lost), None);
    assert!(graves.is_empty(), "it buries nothing");
}

#[test]
fn with_its_own_segment_goes_what_a_grave_buries_there() {
    let mut graves = Graves::default();
    graves.bury(ID, grave(5, Why::Dropped), Some(5));
    assert_eq!((graves.of(&ID), graves.live().of(5)), (None, 0));
    graves.segment_forgotten(5);
    assert!(graves.is_empty());
    graves.leave(ID, 3);
    graves.bury(ID, grave(5, Why::Dropped), Some(5));
    assert_eq!(graves.live().of(5), 41, "the other stands");
    assert!(graves.move_grave(&ID, 5, 6));
    graves.segment_forgotten(3);
    assert_eq!(graves.live().of(6), 41, "and now the one where it stood itself");
    graves.segment_forgotten(5);
    assert!(graves.is_empty());
}

#[test]
fn what_stood_in_many_segments_is_buried_until_the_last_of_them_is_gone() {
    let mut graves = Graves::default();
    [9, 2, 6, 4].into_iter().for_each(|segment| graves.leave(ID, segment));
    graves.bury(ID, grave(5, Why::Lost), Some(3));
    for segment in [2, 9, 3, 4] {
        graves.segment_forgotten(segment);
        assert_eq!(graves.of(&ID), Some(grave(5, Why::Lost)), "without {segment}");
        assert_eq!(graves.recount(), graves.live);
    }
    graves.segment_forgotten(6);
    assert!(graves.is_empty() && graves.live().all() == 0);
}

fn id(number: u64) -> Id {
    let mut id = ID;
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

#[test]
fn what_stood_in_a_segment_that_is_gone_is_forgotten_a_little_at_a_time() {
    let mut graves = Graves::default();
    for number in 0..1_000 {
        graves.bury(id(number), grave(5, Why::Dropped), Some(2));
    }
    graves.leave(id(1_000), 3);
    graves.segment_removed(2);
    graves.segment_removed(4);
    assert_eq!(graves.live().of(5), 1_000 * 41, "nothing was done");
    for left in [600, 200, 0] {
        assert_eq!(graves.forget_gone(400), if left > 0 { 400 } else { 200 });
        assert_eq!(graves.live().of(5), left * 41);
    }
    assert_eq!(graves.forget_gone(400), 0);
    assert!(graves.stands(&id(1_000)) && !graves.stands(&id(0)));
}

#[test]
fn a_grave_takes_at_most_fifty_bytes() {
    let count = 200_000;
    let mut graves = Graves::default();
    for number in 0..count {
        let segment = u32::try_from(number / 1_000).unwrap();
        graves.bury(id(number), grave(segment + 2, Why::Expired), Some(segment));
    }
    let rows = graves.rows.0.room().0 * size_of::<Row>();
    let bytes = (rows + graves.order.room()) as u64;
    assert!(bytes <= 50 * count, "{} bytes a grave", bytes / count);
}
