//! Order: slots sorted by keys that are kept elsewhere.
//!
//! Keeps four bytes of a slot and no key: whoever asks says how a slot's key is found. What a range of keys adds up to
//! is known without a look at most of them. Invariant: runs and the slots in them ascend by key, no run is empty or
//! longer than `RUN_MAX`, and a run's head and sum are those of its slots.

use crate::ids::Hash;
use std::cmp::Ordering;

/// A longer run is cut in two.
const RUN_MAX: usize = 512;
/// A full run gets room for so many more.
const GROWTH: usize = 32;

/// So many times a slot is looked for where it should be.
const GUESSES: usize = 6;
/// The bytes of a head; keys are not shorter.
const HEAD: usize = 8;

/// Finds keys. A slot's key stays the same while the slot is in an order.
pub(super) trait Keys {
    /// The key of a slot.
    fn key(&self, slot: u32) -> &[u8];
}

/// On which side of the keys that begin with what is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Before the first of them.
    Before,
    /// After the last of them.
    After,
}

/// A place between two slots, as long as the order does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    run: usize,
    index: usize,
}

impl Spot {
    /// Before everything.
    pub(super) const FIRST: Self = Self { run: 0, index: 0 };
}

/// Slots in the order of their keys.
#[derive(Debug, Default)]
pub(super) struct Order {
    runs: Vec<Run>,
}

/// Neighbours.
#[derive(Debug)]
struct Run {
    /// How the first key begins.
    head: u64,
    /// The exclusive or of how the keys begin.
    sum: Hash,
    slots: Vec<u32>,
}

impl Order {
    /// Before or after all keys that begin with `sought`, which is nothing or at least as long as a head.
    #[must_use]
    pub(super) fn seek(&self, sought: &[u8], side: Side, keys: &impl Keys) -> Spot {
        debug_assert!(sought.is_empty() || sought.len() >= HEAD, "a head must say all");
        let precedes = |slot: u32| {
            let key = keys.key(slot);
            match key[..sought.len().min(key.len())].cmp(sought) {
                Ordering::Less => true,
                Ordering::Equal => side == Side::After,
                Ordering::Greater => false,
            }
        };
        let head = head(sought);
        let after = self.runs.partition_point(|run| match run.head.cmp(&head) {
            Ordering::Less => true,
            Ordering::Equal => precedes(run.slots[0]),
            Ordering::Greater => false,
        });
        let Some(run) = after.checked_sub(1) else {
            return Spot::FIRST;
        };
        Spot { run, index: self.index(run, head, precedes, keys) }
    }

    /// How many slots of a run precede, the first of which is known to. Most keys are hashes, so that how a key begins
    /// tells about where it is; if it does not, halves are taken after a few guesses.
    fn index(
        &self,
        run: usize,
        sought: u64,
        precedes: impl Fn(u32) -> bool,
        keys: &impl Keys,
    ) -> usize {
        let slots = &self.runs[run].slots;
        let (mut low, mut high) = (1, slots.len());
        let mut from = self.runs[run].head;
        let mut to = self.runs.get(run + 1).map_or(u64::MAX, |next| next.head);
        let mut guesses = GUESSES;
        while low < high {
            let at = match guesses {
                0 => low + (high - low) / 2,
                _ => low + guess(high - low, sought.saturating_sub(from), to.saturating_sub(from)),
            };
            guesses = guesses.saturating_sub(1);
            let found = head(keys.key(slots[at]));
            if precedes(slots[at]) {
                (low, from) = (at + 1, found);
            } else {
                (high, to) = (at, found);
            }
        }
        low
    }

    /// The slots after a spot, in order.
    pub(super) fn after(&self, spot: Spot) -> impl Iterator<Item = u32> {
        let rest = self.runs.get(spot.run..).unwrap_or_default();
        let (first, others) = rest.split_first().map_or((&[][..], rest), |(run, others)| {
            (run.slots.get(spot.index..).unwrap_or_default(), others)
        });
        first.iter().chain(others.iter().flat_map(|run| &run.slots)).copied()
    }

    /// The slots before a spot, in the order that leads away from it.
    pub(super) fn before(&self, spot: Spot) -> impl Iterator<Item = u32> {
        let whole = self.runs.get(..spot.run).unwrap_or_default();
        let last = self.runs.get(spot.run).and_then(|run| run.slots.get(..spot.index));
        let last = last.unwrap_or_default().iter().rev();
        last.chain(whole.iter().rev().flat_map(|run| run.slots.iter().rev())).copied()
    }

    /// Puts a slot where its key belongs: at the spot on either side of that key.
    pub(super) fn insert(&mut self, spot: Spot, slot: u32, keys: &impl Keys) {
        let (Spot { run, index }, key) = (spot, keys.key(slot));
        let Some(found) = self.runs.get_mut(run) else {
            return self.runs.push(Run::new(vec![slot], keys));
        };
        if found.slots.len() == found.slots.capacity() {
            // Doubling would leave as much again unused.
            found.slots.reserve_exact(GROWTH);
        }
        found.slots.insert(index, slot);
        mix(&mut found.sum, key);
        if index == 0 {
            found.head = head(key);
        }
        if found.slots.len() > RUN_MAX {
            self.cut(run, keys);
        }
    }

    fn cut(&mut self, run: usize, keys: &impl Keys) {
        let left = &mut self.runs[run];
        let right = Run::new(left.slots.split_off(left.slots.len() / 2), keys);
        left.slots.shrink_to(left.slots.len() + GROWTH);
        mix(&mut left.sum, &right.sum.0);
        self.runs.insert(run + 1, right);
    }

    /// Takes a slot out; its key must still be found. False if it is not here.
    pub(super) fn remove(&mut self, slot: u32, keys: &impl Keys) -> bool {
        let key = keys.key(slot);
        let Spot { run, index } = self.seek(key, Side::After, keys);
        let Some(index) = index.checked_sub(1).filter(|index| self.runs[run].slots[*index] == slot)
        else {
            return false;
        };
        let found = &mut self.runs[run];
        found.slots.remove(index);
        mix(&mut found.sum, key);
        match found.slots.first() {
            Some(first) => found.head = head(keys.key(*first)),
            None => drop(self.runs.remove(run)),
        }
        true
    }

    /// How many slots there are between two spots, and the exclusive or of how their keys begin.
    #[must_use]
    pub(super) fn sum(&self, from: Spot, to: Spot, keys: &impl Keys) -> (u64, Hash) {
        let (mut count, mut sum) = (0, Hash::default());
        for (at, run) in self.runs.iter().enumerate().take(to.run + 1).skip(from.run) {
            let start = if at == from.run { from.index } else { 0 };
            let end = if at == to.run { to.index } else { run.slots.len() };
            if start < end {
                count += (end - start) as u64;
                mix(&mut sum, &run.sum_of(start, end, keys).0);
            }
        }
        (count, sum)
    }
}

impl Run {
    fn new(slots: Vec<u32>, keys: &impl Keys) -> Self {
        let head = slots.first().map_or(0, |first| head(keys.key(*first)));
        let mut run = Self { head, sum: Hash::default(), slots };
        run.sum = run.sum_of_each(&run.slots, keys);
        run
    }

    /// Of a part; of a large one by what is not in it.
    fn sum_of(&self, start: usize, end: usize, keys: &impl Keys) -> Hash {
        if (end - start) * 2 <= self.slots.len() {
            return self.sum_of_each(&self.slots[start..end], keys);
        }
        let mut sum = self.sum;
        mix(&mut sum, &self.sum_of_each(&self.slots[..start], keys).0);
        mix(&mut sum, &self.sum_of_each(&self.slots[end..], keys).0);
        sum
    }

    fn sum_of_each(&self, slots: &[u32], keys: &impl Keys) -> Hash {
        let mut sum = Hash::default();
        slots.iter().for_each(|slot| mix(&mut sum, keys.key(*slot)));
        sum
    }
}

/// Adds the beginning of a key to a sum, or takes it away.
pub(super) fn mix(sum: &mut Hash, key: &[u8]) {
    sum.0.iter_mut().zip(key).for_each(|(sum, byte)| *sum ^= byte);
}

/// Which of `count` comes next after a part of the whole, if they are spread evenly.
fn guess(count: usize, part: u64, whole: u64) -> usize {
    // Without the last bits the product fits.
    let spread = (part >> 16) * count as u64 / (whole >> 16).max(1);
    usize::try_from(spread).map_or(count - 1, |at| at.min(count - 1))
}

/// How a key begins, as a number.
fn head(key: &[u8]) -> u64 {
    key.first_chunk::<HEAD>().map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Key = [u8; 12];

    struct Table(Vec<Key>);

    impl Keys for Table {
        fn key(&self, slot: u32) -> &[u8] {
            &self.0[slot as usize]
        }
    }

    /// An order and what it should be.
    struct Pair {
        order: Order,
        model: BTreeMap<Key, u32>,
        table: Table,
    }

    impl Pair {
        fn new() -> Self {
            Self { order: Order::default(), model: BTreeMap::new(), table: Table(Vec::new()) }
        }

        fn insert(&mut self, key: Key) {
            if !self.model.contains_key(&key) {
                let slot = u32::try_from(self.table.0.len()).unwrap();
                self.table.0.push(key);
                self.model.insert(key, slot);
                let spot = self.seek(&key, Side::Before);
                self.order.insert(spot, slot, &self.table);
            }
        }

        fn remove(&mut self, key: Key) {
            if let Some(slot) = self.model.remove(&key) {
                assert!(self.order.remove(slot, &self.table));
                assert!(!self.order.remove(slot, &self.table), "it is gone");
            }
        }

        /// Looks from both sides of a key, and at the range up to another.
        fn check(&self, from: Key, to: Key) {
            let (first, last) = (self.seek(&from, Side::Before), self.seek(&to, Side::After));
            let after: Vec<_> = self.order.after(first).collect();
            assert_eq!(after, self.model.range(from..).map(|(_, slot)| *slot).collect::<Vec<_>>());
            let before: Vec<_> = self.order.before(last).collect();
            let model = self.model.range(..=to).rev().map(|(_, slot)| *slot);
            assert_eq!(before, model.collect::<Vec<_>>());
            let (mut count, mut sum) = (0, Hash::default());
            if from <= to {
                for key in self.model.range(from..=to).map(|(key, _)| key) {
                    count += 1;
                    mix(&mut sum, key);
                }
            }
            assert_eq!(self.order.sum(first, last, &self.table), (count, sum));
        }

        fn seek(&self, sought: &[u8], side: Side) -> Spot {
            self.order.seek(sought, side, &self.table)
        }

        fn keep_rules(&self) {
            for run in &self.order.runs {
                assert!((1..=RUN_MAX).contains(&run.slots.len()));
                assert!(run.slots.capacity() <= RUN_MAX + GROWTH);
                assert_eq!(run.head, head(self.table.key(run.slots[0])));
                assert_eq!(run.sum, run.sum_of_each(&run.slots, &self.table));
            }
        }
    }

    /// Many keys begin alike, so that heads alone do not tell.
    fn key(number: u32) -> Key {
        let mut key = [0; 12];
        key[7] = (number >> 10) as u8 & 3;
        key[8..].copy_from_slice(&(number & 0x3ff).to_be_bytes());
        key
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_is_what_a_tree_of_the_keys_would_be(
            steps in proptest::collection::vec((0..8u8, 0..4096u32, 0..4096u32), 0..3000),
        ) {
            let mut pair = Pair::new();
            for (at, (what, a, b)) in steps.into_iter().enumerate() {
                if what == 0 { pair.remove(key(a)) } else { pair.insert(key(a)) }
                if at % 97 == 0 {
                    pair.check(key(a), key(b));
                    pair.check(key(b), key(a));
                }
            }
            pair.check(key(0), key(4095));
            pair.keep_rules();
        }
    }

    #[test]
    fn keys_may_come_in_order_and_go_again() {
        let mut pair = Pair::new();
        (0..4096).for_each(|number| pair.insert(key(number)));
        pair.check(key(700), key(3000));
        pair.keep_rules();
        (0..4096).step_by(3).for_each(|number| pair.remove(key(number)));
        pair.check(key(0), key(4095));
        (0..4096).for_each(|number| pair.remove(key(number)));
        pair.check(key(0), key(4095));
        assert!(pair.order.runs.is_empty());
    }

    #[test]
    fn all_that_begin_alike_lie_between_their_two_sides() {
        let mut pair = Pair::new();
        (0..4096).rev().for_each(|number| pair.insert(key(number)));
        for group in 0..4 {
            let start = key(group << 10);
            let (from, to) =
                (pair.seek(&start[..8], Side::Before), pair.seek(&start[..8], Side::After));
            assert_eq!(pair.order.sum(from, to, &pair.table).0, 1024);
            assert_eq!(pair.order.after(from).next(), Some(pair.model[&start]));
        }
        let first = pair.seek(&[], Side::Before);
        assert_eq!(pair.order.after(first).count(), 4096);
    }
}
