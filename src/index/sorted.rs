//! A sorted index: slots in the order of keys that are kept elsewhere.
//!
//! Keeps four bytes of a slot and no key: whoever asks says how a slot's key is found. What a range of keys adds up to
//! is known without a look at most of them. Invariant: chunks and the slots in them ascend by key, no chunk is empty or
//! longer than `CHUNK_MAX`, and a chunk's prefix and sum are those of its slots.

use crate::ids::Hash;
use std::cmp::Ordering;

/// A longer chunk is cut in two.
const CHUNK_MAX: usize = 512;
/// A chunk that is made at once is no longer than this.
const MERGED: usize = CHUNK_MAX * 3 / 4;
/// A full chunk gets room for so many more.
const GROWTH: usize = 32;

/// So many times a slot is looked for where it should be.
const GUESSES: usize = 6;
/// The bytes of a prefix; keys are not shorter.
const PREFIX: usize = 8;

/// Finds keys. A slot's key stays the same while the slot is in an index.
pub(crate) trait Keys {
    /// The bytes of one: where they are kept, or put together from there.
    type Key<'a>: AsRef<[u8]>
    where
        Self: 'a;

    /// The key of a slot.
    fn key(&self, slot: u32) -> Self::Key<'_>;
}

/// On which side of the keys that begin with what is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Before the first of them.
    Before,
    /// After the last of them.
    After,
}

/// A place between two slots, as long as the order does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    chunk: usize,
    index: usize,
}

impl Cursor {
    /// Before everything.
    pub(crate) const FIRST: Self = Self { chunk: 0, index: 0 };
}

/// Slots in the order of their keys.
#[derive(Debug, Default)]
pub(crate) struct SortedIndex {
    chunks: Vec<Chunk>,
}

/// Neighbours.
#[derive(Debug)]
struct Chunk {
    /// How the first key begins.
    prefix: u64,
    /// The exclusive or of how the keys begin.
    sum: Hash,
    slots: Vec<u32>,
}

impl SortedIndex {
    /// Whether nothing is in here.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Before or after all keys that begin with `sought`, which is nothing or at least as long as a prefix.
    #[must_use]
    pub(crate) fn seek(&self, sought: &[u8], side: Side, keys: &impl Keys) -> Cursor {
        debug_assert!(sought.is_empty() || sought.len() >= PREFIX, "a prefix must say all");
        let precedes = |slot: u32| {
            let key = keys.key(slot);
            let key = key.as_ref();
            match key[..sought.len().min(key.len())].cmp(sought) {
                Ordering::Less => true,
                Ordering::Equal => side == Side::After,
                Ordering::Greater => false,
            }
        };
        let prefix = prefix(sought);
        let after = self.chunks.partition_point(|chunk| match chunk.prefix.cmp(&prefix) {
            Ordering::Less => true,
            Ordering::Equal => precedes(chunk.slots[0]),
            Ordering::Greater => false,
        });
        let Some(chunk) = after.checked_sub(1) else {
            return Cursor::FIRST;
        };
        Cursor { chunk, index: self.index(chunk, prefix, precedes, keys) }
    }

    /// How many slots of a chunk precede, the first of which is known to. Most keys are hashes, so that how a key begins
    /// tells about where it is; if it does not, halves are taken after a few guesses. A key is far from the processor, and
    /// three that do not wait for each other take no longer than one.
    fn index(
        &self,
        chunk: usize,
        sought: u64,
        precedes: impl Fn(u32) -> bool,
        keys: &impl Keys,
    ) -> usize {
        let slots = &self.chunks[chunk].slots;
        let (mut low, mut high) = (1, slots.len());
        let mut from = self.chunks[chunk].prefix;
        let mut to = self.chunks.get(chunk + 1).map_or(u64::MAX, |next| next.prefix);
        let mut guesses = GUESSES;
        while low < high {
            let count = high - low;
            let (at, step) = match guesses {
                0 => (low + count / 2, 0),
                _ => {
                    let part = sought.saturating_sub(from);
                    (low + guess(count, part, to.saturating_sub(from)), count.isqrt() / 2)
                }
            };
            guesses = guesses.saturating_sub(1);
            let probes = [at.saturating_sub(step).max(low), at, (at + step).min(high - 1)];
            let found = probes.map(|at| prefix(keys.key(slots[at]).as_ref()));
            for (at, found) in probes.into_iter().zip(found) {
                if !(low..high).contains(&at) {
                    continue;
                }
                if precedes(slots[at]) {
                    (low, from) = (at + 1, found);
                } else {
                    (high, to) = (at, found);
                }
            }
        }
        low
    }

    /// The slots after a cursor, in order.
    pub(crate) fn after(&self, cursor: Cursor) -> impl Iterator<Item = u32> {
        let rest = self.chunks.get(cursor.chunk..).unwrap_or_default();
        let (first, others) = rest.split_first().map_or((&[][..], rest), |(chunk, others)| {
            (chunk.slots.get(cursor.index..).unwrap_or_default(), others)
        });
        first.iter().chain(others.iter().flat_map(|chunk| &chunk.slots)).copied()
    }

    /// The slots before a cursor, in the order that leads away from it.
    pub(crate) fn before(&self, cursor: Cursor) -> impl Iterator<Item = u32> {
        let whole = self.chunks.get(..cursor.chunk).unwrap_or_default();
        let last = self.chunks.get(cursor.chunk).and_then(|chunk| chunk.slots.get(..cursor.index));
        let last = last.unwrap_or_default().iter().rev();
        last.chain(whole.iter().rev().flat_map(|chunk| chunk.slots.iter().rev())).copied()
    }

    /// The cursor so many slots before another, or before all. Whole chunks are passed at a time.
    #[must_use]
    pub(crate) fn back(&self, cursor: Cursor, count: usize) -> Cursor {
        let (Cursor { mut chunk, mut index }, mut left) = (cursor, count);
        // A cursor between two chunks is the one at the end of the first, as `seek` gives it.
        while left >= index {
            let Some(before) = chunk.checked_sub(1) else {
                return Cursor::FIRST;
            };
            left -= index;
            chunk = before;
            index = self.chunks[chunk].slots.len();
        }
        Cursor { chunk, index: index - left }
    }

    /// Puts a slot where its key belongs: at the cursor on either side of that key.
    pub(crate) fn insert(&mut self, cursor: Cursor, slot: u32, keys: &impl Keys) {
        let (Cursor { chunk, index }, key) = (cursor, keys.key(slot));
        let key = key.as_ref();
        let Some(found) = self.chunks.get_mut(chunk) else {
            return self.chunks.push(Chunk::new(vec![slot], keys));
        };
        if found.slots.len() == found.slots.capacity() {
            // Doubling would leave as much again unused.
            found.slots.reserve_exact(GROWTH);
        }
        found.slots.insert(index, slot);
        xor_into(&mut found.sum, key);
        if index == 0 {
            found.prefix = prefix(key);
        }
        if found.slots.len() > CHUNK_MAX {
            self.cut(chunk, keys);
        }
    }

    /// Of these slots, in whatever order they come.
    pub(crate) fn of(slots: impl Iterator<Item = u32>, keys: &impl Keys) -> Self {
        let mut slots: Vec<_> = slots.map(|slot| (prefix(keys.key(slot).as_ref()), slot)).collect();
        // Of one name most come in their order, and a stable sort makes use of that: a key that begins like another is far from
        // the processor.
        slots.sort_by(|(one, slot), (other, other_slot)| {
            let order = || keys.key(*slot).as_ref().cmp(keys.key(*other_slot).as_ref());
            one.cmp(other).then_with(order)
        });
        let mut order = Self::default();
        order.merge(&slots, keys);
        order
    }

    /// Puts slots where they belong, each with how its key begins, which come in the order of their keys. Costs a look at
    /// each, here too.
    pub(crate) fn merge(&mut self, added: &[(u64, u32)], keys: &impl Keys) {
        let here: Vec<u32> =
            std::mem::take(&mut self.chunks).into_iter().flat_map(|chunk| chunk.slots).collect();
        let mut here = here.into_iter().peekable();
        let mut all = Vec::with_capacity(here.len() + added.len());
        for (begins, slot) in added {
            let precedes = |other: &u32| {
                let key = keys.key(*other);
                let key = key.as_ref();
                prefix(key).cmp(begins).then_with(|| key.cmp(keys.key(*slot).as_ref())).is_lt()
            };
            while let Some(other) = here.next_if(precedes) {
                all.push(other);
            }
            all.push(*slot);
        }
        all.extend(here);
        self.chunks = all.chunks(MERGED).map(|slots| Chunk::new(slots.to_vec(), keys)).collect();
    }

    fn cut(&mut self, chunk: usize, keys: &impl Keys) {
        let left = &mut self.chunks[chunk];
        let right = Chunk::new(left.slots.split_off(left.slots.len() / 2), keys);
        left.slots.shrink_to(left.slots.len() + GROWTH);
        xor_into(&mut left.sum, &right.sum.0);
        self.chunks.insert(chunk + 1, right);
    }

    /// Takes a slot out; its key must still be found. False if it is not here.
    pub(crate) fn remove(&mut self, slot: u32, keys: &impl Keys) -> bool {
        let key = keys.key(slot);
        let key = key.as_ref();
        let Cursor { chunk, index } = self.seek(key, Side::After, keys);
        let Some(index) =
            index.checked_sub(1).filter(|index| self.chunks[chunk].slots[*index] == slot)
        else {
            return false;
        };
        let found = &mut self.chunks[chunk];
        found.slots.remove(index);
        xor_into(&mut found.sum, key);
        match found.slots.first() {
            Some(first) => found.prefix = prefix(keys.key(*first).as_ref()),
            None => drop(self.chunks.remove(chunk)),
        }
        true
    }

    /// How many slots there are between two cursors, and the exclusive or of how their keys begin.
    #[must_use]
    pub(crate) fn sum(&self, from: Cursor, to: Cursor, keys: &impl Keys) -> (u64, Hash) {
        let (mut count, mut sum) = (0, Hash::default());
        for (at, chunk) in self.chunks.iter().enumerate().take(to.chunk + 1).skip(from.chunk) {
            let start = if at == from.chunk { from.index } else { 0 };
            let end = if at == to.chunk { to.index } else { chunk.slots.len() };
            if start < end {
                count += (end - start) as u64;
                xor_into(&mut sum, &chunk.sum_of(start, end, keys).0);
            }
        }
        (count, sum)
    }
}

#[cfg(test)]
impl SortedIndex {
    /// Bytes for which there is room.
    pub(crate) fn room(&self) -> usize {
        let slots = self.chunks.iter().map(|chunk| chunk.slots.capacity() * size_of::<u32>());
        self.chunks.capacity() * size_of::<Chunk>() + slots.sum::<usize>()
    }
}

impl Chunk {
    fn new(slots: Vec<u32>, keys: &impl Keys) -> Self {
        let prefix = slots.first().map_or(0, |first| prefix(keys.key(*first).as_ref()));
        let mut chunk = Self { prefix, sum: Hash::default(), slots };
        chunk.sum = chunk.sum_of_each(&chunk.slots, keys);
        chunk
    }

    /// Of a part; of a large one by what is not in it.
    fn sum_of(&self, start: usize, end: usize, keys: &impl Keys) -> Hash {
        if (end - start) * 2 <= self.slots.len() {
            return self.sum_of_each(&self.slots[start..end], keys);
        }
        let mut sum = self.sum;
        xor_into(&mut sum, &self.sum_of_each(&self.slots[..start], keys).0);
        xor_into(&mut sum, &self.sum_of_each(&self.slots[end..], keys).0);
        sum
    }

    fn sum_of_each(&self, slots: &[u32], keys: &impl Keys) -> Hash {
        let mut sum = Hash::default();
        slots.iter().for_each(|slot| xor_into(&mut sum, keys.key(*slot).as_ref()));
        sum
    }
}

/// Adds the beginning of a key to a sum, or takes it away.
pub(crate) fn xor_into(sum: &mut Hash, key: &[u8]) {
    let Some(key) = key.first_chunk::<32>() else {
        return sum.0.iter_mut().zip(key).for_each(|(sum, byte)| *sum ^= byte);
    };
    // By words: bytes would be taken one by one where all is built for size.
    for (sum, key) in sum.0.as_chunks_mut::<8>().0.iter_mut().zip(key.as_chunks::<8>().0) {
        *sum = (u64::from_ne_bytes(*sum) ^ u64::from_ne_bytes(*key)).to_ne_bytes();
    }
}

/// Which of `count` comes next after a part of the whole, if they are spread evenly.
fn guess(count: usize, part: u64, whole: u64) -> usize {
    // Without the last bits the product fits.
    let spread = (part >> 16) * count as u64 / (whole >> 16).max(1);
    usize::try_from(spread).map_or(count - 1, |at| at.min(count - 1))
}

/// How a key begins, as a number.
pub(crate) fn prefix(key: &[u8]) -> u64 {
    key.first_chunk::<PREFIX>().map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Key = [u8; 12];

    struct Table(Vec<Key>);

    impl Keys for Table {
        type Key<'a>
            = &'a [u8]
        where
            Self: 'a;

        fn key(&self, slot: u32) -> &[u8] {
            &self.0[slot as usize]
        }
    }

    /// An index and what it should be.
    struct Pair {
        order: SortedIndex,
        model: BTreeMap<Key, u32>,
        table: Table,
    }

    impl Pair {
        fn new() -> Self {
            Self { order: SortedIndex::default(), model: BTreeMap::new(), table: Table(Vec::new()) }
        }

        fn insert(&mut self, key: Key) {
            if !self.model.contains_key(&key) {
                let slot = u32::try_from(self.table.0.len()).unwrap();
                self.table.0.push(key);
                self.model.insert(key, slot);
                let cursor = self.seek(&key, Side::Before);
                self.order.insert(cursor, slot, &self.table);
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
                    xor_into(&mut sum, key);
                }
            }
            assert_eq!(self.order.sum(first, last, &self.table), (count, sum));
            for count in [0, 1, 7, 255, 700] {
                let back = self.order.back(last, count);
                let slots = self.order.before(last).nth(count.wrapping_sub(1));
                assert_eq!(
                    self.order.after(back).next().filter(|_| count > 0 && slots.is_some()),
                    slots
                );
                if let Some(slot) = self.order.before(back).next() {
                    assert_eq!(
                        self.seek(self.table.key(slot), Side::After),
                        back,
                        "one cursor a place"
                    );
                } else {
                    assert_eq!(back, Cursor::FIRST);
                }
            }
        }

        fn seek(&self, sought: &[u8], side: Side) -> Cursor {
            self.order.seek(sought, side, &self.table)
        }

        /// Builds the same anew: some at once, and the others into these.
        fn build(&mut self) {
            let (some, others): (Vec<u32>, _) =
                self.model.values().copied().partition(|slot| slot % 3 > 0);
            self.order = SortedIndex::of(some.into_iter().rev(), &self.table);
            let others = others.into_iter().map(|slot| (prefix(self.table.key(slot)), slot));
            self.order.merge(&others.collect::<Vec<_>>(), &self.table);
        }

        fn keep_rules(&self) {
            for chunk in &self.order.chunks {
                assert!((1..=CHUNK_MAX).contains(&chunk.slots.len()));
                assert!(chunk.slots.capacity() <= CHUNK_MAX + GROWTH);
                assert_eq!(chunk.prefix, prefix(self.table.key(chunk.slots[0])));
                assert_eq!(chunk.sum, chunk.sum_of_each(&chunk.slots, &self.table));
            }
        }
    }

    /// Many keys begin alike, so that prefixes alone do not tell.
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
            pair.build();
            pair.check(key(0), key(4095));
            pair.check(key(700), key(3000));
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
        assert!(pair.order.chunks.is_empty());
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
