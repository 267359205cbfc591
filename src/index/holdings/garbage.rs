//! Garbage: what no mark has come by, nobody counts on and is old enough to go.
//!
//! Knows no record and no clock. Invariant: what is marked, or relied on since the last or the present epoch, stays.

use super::{AddressIndex, Epoch, Holdings};
use crate::ids::Address;
use crate::seeded::{self, Bug};
use crate::store::values::BlockPlace;

/// Words of 64 slots that one step of a sweep looks at.
const WORDS: usize = 16 * 1024;
/// Blocks and pages of the log that one step forgets.
const FORGOTTEN: usize = 512;

/// A number of blocks and pages, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amount {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

impl Amount {
    /// One more.
    pub(crate) fn add(&mut self, length: u32) {
        self.count += 1;
        self.bytes += u64::from(length);
    }

    /// What is more than another.
    pub(crate) fn without(self, other: Self) -> Self {
        let count = self.count.saturating_sub(other.count);
        Self { count, bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

/// A mark has come by something.
struct Mark {
    is_first: bool,
    length: u32,
}

/// Whether what came not long ago, and was never named, stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Young {
    Stays,
    Goes,
}

/// How far a sweep has come: the blocks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SweepCursor {
    in_pages: bool,
    word: usize,
}

/// What one step of a sweep has come to.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// Block files: they are not held any more, and are to be removed.
    pub(crate) files: Vec<Address>,
    /// All that is not held any more.
    pub(crate) gone: Amount,
    /// Not marked, and left since somebody counts on it who began to before the present epoch.
    pub(crate) relied: u64,
    /// Where it goes on; none at the end.
    pub(crate) next: Option<SweepCursor>,
}

impl Holdings {
    /// Somebody counts on this block from now on, or on the page of that address.
    pub(crate) fn rely(&mut self, address: &Address) {
        let epoch = self.epoch;
        self.blocks.rely(address, epoch);
        self.pages.rely(address, epoch);
    }

    /// A new epoch begins: what was relied on only in the one before the last is not any more.
    pub(crate) fn advance(&mut self) {
        self.epoch = self.epoch.other();
        for index in [&mut self.blocks, &mut self.pages] {
            self.epoch.of_mut(&mut index.flags.relied).clear();
        }
    }

    /// The present epoch.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A mark has come by a block: whether that is for the first time. None if it is not here.
    pub(crate) fn mark_block(&mut self, address: &Address) -> Option<bool> {
        self.missed.name(address);
        let marked = self.blocks.mark(address);
        self.note_marked(marked)
    }

    /// The same of a page.
    pub(crate) fn mark_page(&mut self, address: &Address) -> Option<bool> {
        self.missed.name(address);
        let marked = self.pages.mark(address);
        self.note_marked(marked)
    }

    fn note_marked(&mut self, marked: Option<Mark>) -> Option<bool> {
        let Mark { is_first, length } = marked?;
        if is_first {
            self.marked.add(length);
        }
        Some(is_first)
    }

    /// What has been marked since the marks were cleared.
    pub(crate) fn marked(&self) -> Amount {
        self.marked
    }

    /// Whether there is anything that came not long ago and was not named.
    pub(crate) fn has_young(&self) -> bool {
        self.blocks.flags.has_young() || self.pages.flags.has_young()
    }

    /// Whether something has come that nobody names yet, since this was last asked.
    pub(crate) fn take_came_young(&mut self) -> bool {
        std::mem::take(&mut self.came_young)
    }

    /// A step of time. Whether something is not young any more, and was never named.
    pub(crate) fn grow_older(&mut self) -> bool {
        let [blocks, pages] =
            [&mut self.blocks, &mut self.pages].map(|index| index.flags.grow_older());
        blocks || pages
    }

    /// What is young counts as if it had just come.
    pub(crate) fn grow_young(&mut self) {
        for index in [&mut self.blocks, &mut self.pages] {
            index.flags.grow_young();
        }
    }

    /// A start has found all that is here: so many steps of time ago, at the latest, came what these segments brought; what
    /// others did is not young.
    pub(crate) fn set_young(&mut self, steps: impl Fn(u32) -> Option<usize>) {
        self.came_young = true;
        for index in [&mut self.blocks, &mut self.pages] {
            for word in 0..index.flags.words() {
                for slot in slots(word, index.flags.unmarked(word)) {
                    if let Some(steps) = steps(index.places.0[slot].1.segment()) {
                        index.flags.set_young(slot, steps);
                    }
                }
            }
        }
    }

    /// What would go if nothing more were named.
    #[must_use]
    pub(crate) fn garbage(&self, young: Young) -> Amount {
        let mut amount = Amount::default();
        for index in [&self.blocks, &self.pages] {
            for word in 0..index.flags.words() {
                for slot in slots(word, index.garbage(word, young)) {
                    amount.add(index.places.0[slot].1.length());
                }
            }
        }
        amount
    }

    /// The next of what is to go goes: no more block files than these, since a file is slow to go.
    pub(crate) fn sweep(&mut self, from: SweepCursor, young: Young, files_max: usize) -> Swept {
        let mut swept = Swept::default();
        let SweepCursor { in_pages, mut word } = from;
        let index = if in_pages { &mut self.pages } else { &mut self.blocks };
        let (mut looked_at, mut forgotten) = (0, 0);
        while word < index.flags.words() {
            if looked_at == WORDS {
                swept.next = Some(SweepCursor { in_pages, word });
                return swept;
            }
            looked_at += 1;
            for slot in slots(word, index.garbage(word, young)) {
                if swept.files.len() == files_max || forgotten == FORGOTTEN {
                    swept.next = Some(SweepCursor { in_pages, word });
                    return swept;
                }
                let (address, place) = index.places.0[slot];
                match BlockPlace::from(place) {
                    BlockPlace::Tree { .. } => {
                        index.graves.leave(address.0, place.segment());
                        swept.files.push(address);
                    }
                    BlockPlace::Log(_) => forgotten += 1,
                }
                swept.gone.add(place.length());
                index.remove_slot(slot);
                self.live.remove(place);
                self.bytes -= if in_pages { 0 } else { u64::from(place.length()) };
            }
            let relied = index.flags.relied_since(self.epoch.other(), word);
            swept.relied += u64::from((index.flags.unmarked(word) & relied).count_ones());
            word += 1;
        }
        swept.next = (!in_pages).then_some(SweepCursor { in_pages: true, word: 0 });
        swept
    }
}

impl AddressIndex {
    fn rely(&mut self, address: &Address, epoch: Epoch) {
        if let Some(slot) = self.slot(address) {
            epoch.of_mut(&mut self.flags.relied).set(slot, true);
        }
    }

    /// Whether it was not marked before. None if it is not here.
    fn mark(&mut self, address: &Address) -> Option<Mark> {
        let slot = self.slot(address)?;
        self.become_named(slot);
        let length = self.places.0[slot].1.length();
        Some(Mark { is_first: self.flags.marked.set(slot, true), length })
    }

    /// Which slots of a word hold what is to go.
    fn garbage(&self, word: usize, young: Young) -> u64 {
        let relied = match seeded::is_on(Bug::SweepPendingPut) {
            true => 0,
            false => self.flags.relied(word),
        };
        let stays = match young {
            Young::Stays if !seeded::is_on(Bug::SweepBeforeGrace) => self.flags.young(word),
            Young::Stays | Young::Goes => 0,
        };
        self.flags.unmarked(word) & !relied & !stays
    }
}

/// The slots whose bits are set in a word.
fn slots(word: usize, mut bits: u64) -> impl Iterator<Item = u32> {
    let first = u32::try_from(word * 64).expect("there are fewer than 2^32 slots");
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros())?;
        bits &= bits - 1;
        Some(first + bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::values::LogPlace;

    fn address(number: u32) -> Address {
        let mut address = Address([7; 32]);
        let spread = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        address.0[..8].copy_from_slice(&spread.to_be_bytes());
        address
    }

    fn in_log(length: u32) -> LogPlace {
        LogPlace { segment: 1, offset: 9_000, length }
    }

    /// 300 block files, 300 small blocks, 300 pages, on which nobody counts any more.
    fn holdings() -> Holdings {
        let mut holdings = Holdings::default();
        for number in 0..300 {
            holdings.insert(address(number), BlockPlace::Tree { length: 70_000 }, 1);
            holdings.insert(address(1_000 + number), BlockPlace::Log(in_log(100)), 1);
            holdings.insert_page(address(2_000 + number), in_log(10));
        }
        holdings.advance();
        holdings.advance();
        holdings
    }

    /// Everything that a sweep takes, in so many steps.
    fn sweep(holdings: &mut Holdings, young: Young) -> (Vec<Address>, Amount, u64) {
        let (mut files, mut gone, mut relied) = (Vec::new(), Amount::default(), 0);
        let mut cursor = Some(SweepCursor::default());
        while let Some(from) = cursor {
            let swept = holdings.sweep(from, young, 16);
            assert!(swept.files.len() <= 16);
            files.extend(swept.files);
            gone.count += swept.gone.count;
            gone.bytes += swept.gone.bytes;
            relied += swept.relied;
            cursor = swept.next;
        }
        (files, gone, relied)
    }

    #[test]
    fn what_is_marked_or_relied_on_stays_and_all_else_goes() {
        let mut holdings = holdings();
        for kind in [0, 1_000, 2_000] {
            for number in (0..300).step_by(3) {
                let marked = address(kind + number);
                let marked = holdings.mark_block(&marked).or(holdings.mark_page(&marked));
                assert_eq!(marked, Some(true));
                holdings.rely(&address(kind + number + 1));
            }
        }
        assert_eq!(holdings.mark_page(&address(2_000)), Some(false));
        assert_eq!(
            (holdings.mark_page(&address(7)), holdings.mark_block(&address(9_999))),
            (None, None)
        );
        let expected = Amount { count: 300, bytes: 100 * (70_000 + 100 + 10) };
        assert_eq!(holdings.garbage(Young::Stays), expected);
        let (files, gone, relied) = sweep(&mut holdings, Young::Stays);
        assert_eq!(
            (files.len(), gone, relied),
            (100, expected, 0),
            "they began after the mark did"
        );
        assert!(files.iter().all(|file| holdings.block(file).is_none()));
        assert_eq!((holdings.count(), holdings.bytes()), (400, 200 * 70_100));
        assert_eq!(holdings.recount(), *holdings.live());
        assert_eq!(sweep(&mut holdings, Young::Stays).1, Amount::default());
        // Two epochs later nobody counts on it.
        holdings.advance();
        let (_, gone, relied) = sweep(&mut holdings, Young::Stays);
        assert_eq!((gone, relied), (Amount::default(), 300));
        holdings.advance();
        assert_eq!(sweep(&mut holdings, Young::Stays).1, expected);
    }

    #[test]
    fn what_came_while_a_mark_ran_is_relied_on_until_the_next() {
        let mut holdings = holdings();
        holdings.insert(address(5_000), BlockPlace::Tree { length: 70_000 }, 1);
        assert_eq!(sweep(&mut holdings, Young::Goes).1.count, 900);
        assert!(holdings.block(&address(5_000)).is_some());
    }

    #[test]
    fn what_was_never_named_is_young_for_two_to_three_steps_of_time() {
        let mut holdings = holdings();
        let (block, page) = (address(3), address(2_003));
        holdings.await_name(&block);
        holdings.await_name(&page);
        for (swept, grown) in [(898, false), (0, false), (0, true)] {
            assert!(holdings.has_young());
            assert_eq!(sweep(&mut holdings, Young::Stays).1.count, swept);
            assert_eq!(holdings.grow_older(), grown);
        }
        assert!(!holdings.has_young() && !holdings.grow_older());
        assert_eq!(sweep(&mut holdings, Young::Stays).1.count, 2);
    }

    #[test]
    fn what_grows_young_stays_as_long_as_if_it_had_just_come() {
        let mut holdings = holdings();
        let came = [3, 4].map(address);
        holdings.await_name(&came[0]);
        assert!(!holdings.grow_older() && !holdings.grow_older());
        holdings.await_name(&came[1]);
        holdings.grow_young();
        for (swept, grown) in [(898, false), (0, false), (0, true)] {
            assert_eq!(sweep(&mut holdings, Young::Stays).1.count, swept);
            assert_eq!(holdings.grow_older(), grown);
        }
        assert_eq!(sweep(&mut holdings, Young::Stays).1.count, 2);
    }

    #[test]
    fn what_was_named_once_is_not_young() {
        let mut holdings = holdings();
        for (at, name) in [(3, true), (4, false)] {
            holdings.await_name(&address(at));
            if name {
                holdings.name(&address(at));
            } else {
                assert_eq!(holdings.mark_block(&address(at)), Some(true));
            }
        }
        holdings.clear_marks();
        holdings.advance();
        holdings.advance();
        assert!(!holdings.has_young());
        assert_eq!(holdings.garbage(Young::Stays).count, 900);
    }

    #[test]
    fn what_is_missed_and_no_mark_comes_by_is_needed_by_nobody() {
        let mut holdings = holdings();
        let [named, page, unneeded, came, late] = [3, 2_003, 4, 5, 6].map(address);
        let lost = [named, page, unneeded, came];
        lost.iter().for_each(|address| assert!(holdings.lose(address)));
        lost.into_iter().for_each(|address| holdings.miss(address));
        assert!(holdings.take_unneeded().is_empty(), "no mark has run");
        holdings.clear_marks();
        assert_eq!((holdings.mark_block(&named), holdings.mark_page(&page)), (None, None));
        assert!(!holdings.name_block(&came));
        holdings.miss(late);
        holdings.end_naming();
        assert_eq!(holdings.mark_block(&unneeded), None, "it was served");
        assert_eq!(holdings.take_unneeded(), [unneeded]);
        holdings.clear_marks();
        holdings.miss_no_more(&named);
        assert_eq!(holdings.mark_page(&page), None);
        let mut both = vec![came, late];
        both.sort_unstable();
        assert_eq!(holdings.take_unneeded(), both);
    }

    #[test]
    fn a_start_knows_how_old_a_segment_is() {
        let mut holdings = holdings();
        holdings.insert(address(4), BlockPlace::Tree { length: 70_000 }, 2);
        holdings.advance();
        holdings.advance();
        holdings.set_young(|segment| (segment == 2).then_some(2));
        assert_eq!(sweep(&mut holdings, Young::Stays).1.count, 899);
        assert!(holdings.grow_older());
        assert_eq!(sweep(&mut holdings, Young::Stays).1.count, 1);
    }
}
