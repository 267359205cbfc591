//! What is held, marked and swept, and what is missing.

use super::*;

/// Addresses are spread evenly.
fn address(number: u64) -> Address {
    let mut address = Address([7; 32]);
    let spread = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    address.0[..8].copy_from_slice(&spread.to_be_bytes());
    address
}

fn in_log(segment: u32) -> LogPlace {
    LogPlace { segment, offset: 9_000, length: 700 }
}

#[test]
fn what_is_said_of_a_block_goes_with_it() {
    let all = [Bit::Owed, Bit::Cached, Bit::Marked];
    let mut holdings = Holdings::default();
    holdings.insert(address(1), BlockPlace::Tree { length: 70_000 }, 1);
    holdings.insert_page(address(2), in_log(1));
    for number in [1, 2] {
        let at = address(number);
        assert_eq!(all.map(|of| holdings.is(&at, of)), [true, false, false]);
        holdings.set(&at, Bit::Owed, false);
        holdings.set(&at, Bit::Cached, true);
        holdings.set(&at, Bit::Marked, true);
        assert_eq!(all.map(|of| holdings.is(&at, of)), [false, true, true]);
    }
    holdings.clear_marks();
    assert_eq!(all.map(|of| holdings.is(&address(2), of)), [false, true, false]);
    assert!(holdings.remove(&address(1)) && !holdings.remove(&address(1)));
    assert_eq!(all.map(|of| holdings.is(&address(1), of)), [false; 3]);
    // Its row is used again, and nothing of it is left.
    holdings.insert(address(3), BlockPlace::Log(in_log(2)), 2);
    assert_eq!(all.map(|of| holdings.is(&address(3), of)), [true, false, false]);
    assert_eq!(holdings.blocks.places.0.room().1, 0);
}

#[test]
fn a_block_takes_at_most_fifty_bytes() {
    let count = 200_000;
    let mut holdings = Holdings::default();
    for number in 0..count {
        holdings.insert(address(number), BlockPlace::Tree { length: 70_000 }, 1);
        holdings.await_name(&address(number));
    }
    for number in 0..count {
        holdings.set(&address(number), Bit::Cached, true);
        holdings.set(&address(number), Bit::Marked, true);
    }
    holdings.advance();
    (0..count).for_each(|number| holdings.rely(&address(number)));
    let AddressIndex { places, index, unnamed, flags, .. } = &mut holdings.blocks;
    let rows = places.0.room().0 * size_of::<(Address, PackedLocation)>();
    let bytes = rows + index.room() + unnamed.bits.room() + flags.room();
    assert!(bytes as u64 <= 50 * count, "{} bytes a block", bytes as u64 / count);
}
