//! Sorted runs: names that are sorted a few at a time, and merged into ever longer runs (merge sort).
//!
//! Knows no record. Invariant: the names of a run rise, each repeats all that it has in common with the one before, and of
//! those that come twice one is left; of runs that wait none has as many parts as the one before it, so there are few.

use super::front_coding::{Entry, common, put};
use std::cmp::Ordering;

/// Names that rise, front coded.
#[derive(Debug, Default)]
pub(super) struct Run {
    bytes: Vec<u8>,
    /// As many as were sorted by themselves.
    parts: u32,
}

/// Runs that wait to be merged, the longest first.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Run>);

impl Run {
    /// Of names in any order.
    pub(super) fn sort(mut names: Vec<Vec<u8>>) -> Self {
        names.sort_unstable();
        names.dedup();
        let (mut bytes, mut last) = (Vec::new(), &[][..]);
        for name in &names {
            let repeats = common(last, name);
            put(repeats, &name[repeats..], &mut bytes);
            last = name;
        }
        Self { bytes, parts: 1 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What both begin with need not be compared: it is known how much of the last name that was written each repeats.
    fn merge(&self, other: &Self) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len() + other.bytes.len());
        let [mut one, mut two] = [Head::new(&self.bytes), Head::new(&other.bytes)];
        while one.is_there && two.is_there {
            match two.repeats.cmp(&one.repeats) {
                // Who repeats more is less.
                Ordering::Less => one.write(&mut bytes),
                Ordering::Greater => two.write(&mut bytes),
                Ordering::Equal => {
                    let alike =
                        one.repeats + common(&one.name[one.repeats..], &two.name[two.repeats..]);
                    match one.name[alike..].cmp(&two.name[alike..]) {
                        Ordering::Less => {
                            one.write(&mut bytes);
                            two.repeats = alike;
                        }
                        Ordering::Greater => {
                            two.write(&mut bytes);
                            one.repeats = alike;
                        }
                        Ordering::Equal => {
                            one.write(&mut bytes);
                            two.step();
                        }
                    }
                }
            }
        }
        for mut left in [one, two].into_iter().filter(|head| head.is_there) {
            put(left.repeats, &left.name[left.repeats..], &mut bytes);
            left.is_there = false;
            bytes.extend_from_slice(left.rest);
        }
        Self { bytes, parts: self.parts + other.parts }
    }
}

/// The name of a run that is to be written next.
struct Head<'a> {
    name: Vec<u8>,
    /// So much of the last name that was written it repeats, whichever run that is from.
    repeats: usize,
    is_there: bool,
    /// What follows it.
    rest: &'a [u8],
}

impl<'a> Head<'a> {
    fn new(run: &'a [u8]) -> Self {
        let mut head = Self { name: Vec::new(), repeats: 0, is_there: false, rest: run };
        head.step();
        head
    }

    fn step(&mut self) {
        let next = Entry::take(self.rest);
        self.is_there = next.is_some();
        if let Some((entry, rest)) = next {
            entry.apply(&mut self.name);
            self.repeats = entry.repeats;
            self.rest = rest;
        }
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        put(self.repeats, &self.name[self.repeats..], out);
        self.step();
    }
}

impl Runs {
    /// One more.
    pub(super) fn push(&mut self, mut run: Run) {
        while let Some(before) = self.0.pop_if(|before| before.parts <= run.parts) {
            run = before.merge(&run);
        }
        self.0.push(run);
    }

    /// All as one; none if there are none.
    pub(super) fn merge(&mut self) -> Option<Run> {
        let mut merged = self.0.pop()?;
        while let Some(before) = self.0.pop() {
            merged = before.merge(&merged);
        }
        Some(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn all(run: &Run) -> Vec<Vec<u8>> {
        let (mut names, mut name, mut rest) = (Vec::new(), Vec::new(), run.bytes());
        while let Some((entry, after)) = Entry::take(rest) {
            assert_eq!(
                entry.repeats,
                common(&name, &[&name[..entry.repeats], entry.rest].concat())
            );
            entry.apply(&mut name);
            names.push(name.clone());
            rest = after;
        }
        names
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_comes_in_parts_is_sorted_and_there_once(
            parts in proptest::collection::vec(proptest::collection::vec("[ab/]{1,7}x{0,200}", 0..40), 0..20),
        ) {
            let (mut runs, mut expected) = (Runs::default(), BTreeSet::new());
            for part in &parts {
                let part: Vec<_> = part.iter().map(|name| name.clone().into_bytes()).collect();
                expected.extend(part.iter().cloned());
                runs.push(Run::sort(part));
                prop_assert!(runs.0.len() <= 5, "of twenty parts");
            }
            let merged = runs.merge();
            prop_assert_eq!(merged.is_some(), !parts.is_empty());
            prop_assert_eq!(all(&merged.unwrap_or_default()), expected.into_iter().collect::<Vec<_>>());
            prop_assert!(runs.merge().is_none());
        }
    }
}
