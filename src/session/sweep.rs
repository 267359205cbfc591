//! A verification under way: what the node has found so far, and that it comes to an end.
//!
//! Knows no block. Invariant: the node goes on through its store from low ids to high ones, of the answers one after the
//! other that tell nothing there are few, and what is bad is kept only up to a bound.

use super::answer::Answer;
use super::error::ClientError;
use crate::ids::Address;
use crate::limits::{LIST_BARREN_MAX, VERIFY_BAD_MAX};
use crate::seeded::{self, Bug};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    good: u64,
    bytes: u64,
    bad: Vec<Address>,
    /// Where the last part ended.
    reached: Option<Address>,
    /// Answers since one told of anything.
    barren: u32,
}

/// One answer of the node.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) good: u32,
    pub(super) bytes: u64,
    pub(super) bad: Vec<Address>,
    pub(super) next: Option<Address>,
}

impl Sweep {
    /// The node has looked at one more part. Gives where the next begins.
    pub(super) fn take(&mut self, part: Part) -> Result<Option<Address>, ClientError> {
        let tells = part.good > 0 || !part.bad.is_empty();
        self.barren = if tells { 0 } else { self.barren + 1 };
        self.good += u64::from(part.good);
        self.bytes = self.bytes.saturating_add(part.bytes);
        self.bad.extend(part.bad);
        let Some(next) = part.next else { return Ok(None) };
        let goes_on = self.reached < Some(next) && self.barren < LIST_BARREN_MAX;
        if !goes_on && !seeded::is_on(Bug::EndlessSweep) {
            return Err(ClientError::Protocol("a verification that goes on for ever".to_owned()));
        }
        if self.bad.len() > VERIFY_BAD_MAX {
            let what = format!("{} blocks and more; the rest was not looked at", self.bad.len());
            return Err(ClientError::Damaged(what));
        }
        self.reached = Some(next);
        Ok(Some(next))
    }

    /// What the whole has come to.
    pub(super) fn into_answer(self) -> Answer {
        Answer::Verified { good: self.good, bytes: self.bytes, bad: self.bad }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> Address {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Address(bytes)
    }

    /// How many parts are taken of a node that answers so, and how that ends.
    fn taken(part: impl Fn(u32) -> (u32, usize, u32)) -> (u32, ClientError) {
        let mut sweep = Sweep::default();
        for number in 1..1_000_000 {
            let (good, bad, next) = part(number);
            let (bad, next) = (vec![address(7); bad], Some(address(next)));
            match sweep.take(Part { good, bytes: 5, bad, next }) {
                Ok(reached) => assert_eq!(reached, next),
                Err(error) => return (number, error),
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn a_sweep_adds_up_and_ends_when_the_node_says_so() {
        let mut sweep = Sweep::default();
        let (part, last) = (
            Part { good: 16, bytes: 100, bad: Vec::new(), next: Some(address(3)) },
            Part { good: 1, bytes: 10, bad: vec![address(9)], next: None },
        );
        assert_eq!(sweep.take(part), Ok(Some(address(3))));
        assert_eq!(sweep.take(last), Ok(None));
        assert_eq!((sweep.good, sweep.bytes, sweep.bad), (17, 110, vec![address(9)]));
    }

    #[test]
    fn a_sweep_that_turns_back_or_tells_nothing_ends() {
        let (parts, error) = taken(|_| (16, 0, 5));
        assert!(parts == 2 && matches!(error, ClientError::Protocol(_)), "{parts}: {error}");
        let (parts, error) = taken(|number| (0, 0, number));
        assert!(parts == LIST_BARREN_MAX && matches!(error, ClientError::Protocol(_)), "{error}");
    }

    #[test]
    fn no_more_damage_is_kept_than_the_bound() {
        let (parts, error) = taken(|number| (0, 1_000, number));
        assert!(matches!(error, ClientError::Damaged(_)), "{error}");
        assert_eq!(parts as usize, VERIFY_BAD_MAX / 1_000 + 1);
    }
}
