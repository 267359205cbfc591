//! Names in order of their bytes, in little memory.
//!
//! Knows no record: whether a name is still shown is asked of the catalog. Names that follow one another stand in chunks,
//! in which they are front coded. Invariants: names rise within a chunk and from one to the next; a name repeats all
//! that it has in common with the one before, and the first of a chunk nothing.

use super::front_coding::{Entry, common, put};
use super::runs::Run;
use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound::{Excluded, Included, Unbounded};

/// A chunk that has become longer is cut, unless it is one name. Four times as long saves a byte a name, and takes three
/// times as long to change.
const CHUNK_MAX: usize = 512;
/// A chunk that has become shorter is joined with the next, if both together are not too long.
const CHUNK_MIN: usize = 128;

type Chunk = Box<[u8]>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// By a name that is not greater than any in the chunk, and greater than any before it: of the first it is empty.
    chunks: BTreeMap<Box<[u8]>, Chunk>,
    count: u64,
}

impl Names {
    /// All of a run, at once.
    pub(super) fn of_run(run: &Run) -> Self {
        let (mut chunks, mut count) = (BTreeMap::new(), 0);
        let (mut first, mut chunk, mut name) = (Box::default(), Vec::new(), Vec::new());
        let mut rest = run.bytes();
        while let Some((entry, after)) = Entry::take(rest) {
            let written = rest.len() - after.len();
            entry.apply(&mut name);
            if chunk.is_empty() {
                put(0, &name, &mut chunk);
            } else if chunk.len() + written > CHUNK_MAX {
                let whole = std::mem::take(&mut chunk).into_boxed_slice();
                // With one byte more than it repeats it is greater than all before.
                let next = name[..=entry.repeats].into();
                chunks.insert(std::mem::replace(&mut first, next), whole);
                put(0, &name, &mut chunk);
            } else {
                chunk.extend_from_slice(&rest[..written]);
            }
            count += 1;
            rest = after;
        }
        if !chunk.is_empty() {
            chunks.insert(first, chunk.into());
        }
        Self { chunks, count }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// False if it was here.
    pub(crate) fn insert(&mut self, name: &[u8]) -> bool {
        if self.chunks.is_empty() {
            self.chunks.insert(Box::default(), Chunk::default());
        }
        let Some((first, chunk)) = self.chunk_mut(name) else { return false };
        let Place { at, repeats, next } = place(chunk, name);
        if next.as_ref().is_some_and(|next| next.name == name) {
            return false;
        }
        let mut grown = Vec::with_capacity(chunk.len() + name.len() + 8);
        grown.extend_from_slice(&chunk[..at]);
        put(repeats, &name[repeats..], &mut grown);
        if let Some(next) = next {
            let repeats = common(name, &next.name);
            put(repeats, &next.name[repeats..], &mut grown);
            grown.extend_from_slice(&chunk[next.end..]);
        }
        let first = (grown.len() > CHUNK_MAX).then(|| first.to_vec());
        *chunk = grown.into();
        self.count += 1;
        if let Some(first) = first {
            self.cut(&first);
        }
        true
    }

    /// False if it was not here.
    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        // None if there are none at all.
        let Some((first, chunk)) = self.chunk_mut(name) else { return false };
        let Place { at, repeats, next } = place(chunk, name);
        let Some(Next { end, .. }) = next.filter(|next| next.name == name) else { return false };
        let mut shrunk = chunk[..at].to_vec();
        if let Some((entry, rest)) = Entry::take(&chunk[end..]) {
            // What the names before and after it have in common is what both have in common with it.
            let repeats = repeats.min(entry.repeats);
            put(repeats, &[&name[repeats..entry.repeats], entry.rest].concat(), &mut shrunk);
            shrunk.extend_from_slice(rest);
        }
        let first = (shrunk.len() < CHUNK_MIN).then(|| first.to_vec());
        *chunk = shrunk.into();
        self.count -= 1;
        if let Some(first) = first {
            self.join(&first);
        }
        true
    }

    /// All that are not less than this one, in order.
    pub(crate) fn from(&self, name: &[u8]) -> Walk<'_> {
        let before = self.chunks.range::<[u8], _>((Unbounded, Included(name))).next_back();
        let begin = before.map_or(&[][..], |(first, _)| first);
        let chunks = self.chunks.range::<[u8], _>((Included(begin), Unbounded));
        let mut walk = Walk { chunks, rest: &[], name: Vec::new(), is_ahead: false };
        while let Some(next) = walk.step() {
            if next >= name {
                walk.is_ahead = true;
                break;
            }
        }
        walk
    }

    /// The chunk in which a name is, or belongs. None if there is no chunk.
    fn chunk_mut(&mut self, name: &[u8]) -> Option<(&[u8], &mut Chunk)> {
        let found = self.chunks.range_mut::<[u8], _>((Unbounded, Included(name))).next_back();
        found.map(|(first, chunk)| (&first[..], chunk))
    }

    /// Cuts a chunk near its middle, and the parts that are too long still.
    fn cut(&mut self, first: &[u8]) {
        let Some(chunk) = self.chunks.get_mut(first) else { return };
        let (mut name, mut at) = (Vec::new(), 0);
        while let Some((entry, rest)) = Entry::take(&chunk[at..]) {
            entry.apply(&mut name);
            let end = chunk.len() - rest.len();
            // The last one by itself, if all before it are less than a half.
            if at > 0 && (end > chunk.len() / 2 || rest.is_empty()) {
                let mut upper = Vec::with_capacity(chunk.len() - at + name.len());
                put(0, &name, &mut upper);
                upper.extend_from_slice(rest);
                *chunk = chunk[..at].into();
                let are_long = [chunk.len(), upper.len()].map(|length| length > CHUNK_MAX);
                self.chunks.insert(name.as_slice().into(), upper.into());
                for (part, _) in [first, &name].iter().zip(are_long).filter(|(_, long)| *long) {
                    self.cut(part);
                }
                return;
            }
            at = end;
        }
    }

    /// Joins a chunk with the next, if both together are not too long. One that is empty goes.
    fn join(&mut self, first: &[u8]) {
        let Some(lower) = self.chunks.get(first) else { return };
        let after = (Excluded(first), Unbounded);
        let next = self.chunks.range::<[u8], _>(after).next();
        let Some((second, upper)) = next.map(|(second, upper)| (second.clone(), upper)) else {
            if lower.is_empty() {
                self.chunks.remove(first);
            }
            return;
        };
        if lower.len() + upper.len() > CHUNK_MAX {
            return;
        }
        let mut joined = lower.to_vec();
        let last = last(lower);
        if let Some((entry, rest)) = Entry::take(upper) {
            let repeats = common(&last, entry.rest);
            put(repeats, &entry.rest[repeats..], &mut joined);
            joined.extend_from_slice(rest);
        }
        self.chunks.remove(&second);
        self.chunks.insert(first.into(), joined.into());
    }
}

/// Names in order, one after the other.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    chunks: Range<'a, Box<[u8]>, Chunk>,
    /// What follows in the chunk.
    rest: &'a [u8],
    name: Vec<u8>,
    /// The name has been come to, and is to be given.
    is_ahead: bool,
}

impl Walk<'_> {
    /// The next one. It is no `Iterator`, since what it gives is written over.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        if std::mem::take(&mut self.is_ahead) { Some(&self.name) } else { self.step() }
    }

    fn step(&mut self) -> Option<&[u8]> {
        loop {
            if let Some((entry, rest)) = Entry::take(self.rest) {
                entry.apply(&mut self.name);
                self.rest = rest;
                return Some(&self.name);
            }
            self.rest = self.chunks.next()?.1;
        }
    }
}

/// Where a name is in a chunk, or would be.
struct Place {
    /// Where its entry begins.
    at: usize,
    /// What it has in common with the name before.
    repeats: usize,
    /// The least that is not less. None at the end of the chunk.
    next: Option<Next>,
}

struct Next {
    name: Vec<u8>,
    /// Where its entry ends.
    end: usize,
}

fn place(chunk: &[u8], name: &[u8]) -> Place {
    let (mut current, mut at, mut repeats) = (Vec::new(), 0, 0);
    while let Some((entry, rest)) = Entry::take(&chunk[at..]) {
        entry.apply(&mut current);
        let end = chunk.len() - rest.len();
        if current.as_slice() >= name {
            return Place { at, repeats, next: Some(Next { name: current, end }) };
        }
        repeats = common(&current, name);
        at = end;
    }
    Place { at, repeats, next: None }
}

fn last(chunk: &[u8]) -> Vec<u8> {
    let (mut name, mut left) = (Vec::new(), chunk);
    while let Some((entry, rest)) = Entry::take(left) {
        entry.apply(&mut name);
        left = rest;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn all(walk: &mut Walk<'_>) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        while let Some(name) = walk.next() {
            names.push(name.to_vec());
        }
        names
    }

    fn check(names: &Names, expected: &BTreeSet<Vec<u8>>) {
        assert_eq!(names.len(), expected.len() as u64);
        assert_eq!(all(&mut names.from(b"")), expected.iter().cloned().collect::<Vec<_>>());
        let mut before: Option<Vec<u8>> = None;
        for (first, chunk) in &names.chunks {
            let (mut name, mut left) = (Vec::new(), &chunk[..]);
            while let Some((entry, rest)) = Entry::take(left) {
                let repeated = before.as_ref().map_or(0, |before| {
                    let is_first = left.len() == chunk.len();
                    entry.apply(&mut name);
                    if is_first { 0 } else { common(before, &name) }
                });
                entry.apply(&mut name);
                assert_eq!(entry.repeats, repeated, "all that is in common is repeated");
                assert!(name.as_slice() >= &first[..]);
                before = Some(name.clone());
                left = rest;
            }
            let is_one = Entry::take(chunk).is_none_or(|(_, rest)| rest.is_empty());
            assert!(chunk.len() <= CHUNK_MAX || is_one);
        }
    }

    /// A few long names with long common beginnings, and many short ones.
    fn name() -> impl Strategy<Value = Vec<u8>> {
        let long = (0..1_200_usize, "[ab/]{0,40}")
            .prop_map(|(length, end)| ["x".repeat(length), end].concat().into_bytes());
        let short = "[ab/]{1,6}".prop_map(String::into_bytes);
        prop_oneof![1 => long, 4 => short].prop_filter("no name is empty", |name| !name.is_empty())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_comes_at_once_is_as_if_one_had_come_after_the_other(
            before in proptest::collection::btree_set(name(), 0..400),
            after in proptest::collection::vec(name(), 0..40),
        ) {
            let mut expected = before.clone();
            let mut names = Names::of_run(&Run::sort(before.iter().cloned().collect()));
            check(&names, &expected);
            for name in after {
                prop_assert_eq!(names.insert(&name), expected.insert(name));
            }
            check(&names, &expected);
        }

        #[test]
        fn it_is_a_sorted_set(steps in proptest::collection::vec((name(), 0..3_u8), 1..400), from in name()) {
            let (mut names, mut expected) = (Names::default(), BTreeSet::new());
            for (name, step) in steps {
                if step == 0 {
                    prop_assert_eq!(names.remove(&name), expected.remove(&name));
                } else {
                    prop_assert_eq!(names.insert(&name), expected.insert(name));
                }
            }
            check(&names, &expected);
            let rest: Vec<_> = expected.range(from.clone()..).cloned().collect();
            prop_assert_eq!(all(&mut names.from(&from)), rest);
            for name in &expected.clone() {
                prop_assert!(names.remove(name) && expected.remove(name));
            }
            check(&names, &expected);
        }
    }

    #[test]
    fn a_name_costs_little_beside_its_own_bytes() {
        let mut names = Names::default();
        let mut bare = 0;
        for number in 0..100_000_u32 {
            // In no order, as a start finds them.
            let number = number.wrapping_mul(2_654_435_761) % 100_000;
            let name = format!("photos/2024/{:02}/IMG_{number:06}.jpg", number % 12);
            if names.insert(name.as_bytes()) {
                bare += common(name.as_bytes(), name.as_bytes());
            }
        }
        let table: usize =
            names.chunks.iter().map(|(first, chunk)| first.len() + chunk.len() + 64).sum();
        let each = table / names.len() as usize;
        assert!(
            each <= 16 + 8,
            "{each} bytes a name, whose names have {} each",
            bare / names.len() as usize
        );
    }
}
