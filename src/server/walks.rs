//! Walks under way: found by their number, and by the page that they ask peers for.
//!
//! Knows no peer and no disk. Invariant: how many only answer a question is counted as they begin and end, and a walk that
//! has ended is found by nothing.

use super::replication::Replications;
use super::walk::Walk;
use crate::ids::Address;
use crate::index::steps::Steps;
use crate::planted::{self, Bug};
use std::collections::{BTreeMap, BTreeSet};

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Walks {
    by_id: BTreeMap<u64, Walk>,
    /// Those that only answer a question.
    questions: usize,
    /// The missing pages that are asked of peers, each with the walk that asks.
    awaited: BTreeSet<(Address, u64)>,
    pub(super) replications: Replications,
    /// Pages that were found damaged here and have not come again; and whatever else an earlier run found damaged in the
    /// log, if what is there now does not even say what it was, or a start has found rotten and a record lacks.
    pub(super) lost: BTreeSet<Address>,
    /// Blocks and pages that a start has found not whole in damaged bytes of the log, had since or not.
    rotten: BTreeSet<Address>,
    /// Walks that were looked at.
    steps: Steps,
}

impl Walks {
    /// None yet, but for what an earlier run found damaged.
    pub(super) fn with_lost(lost: BTreeSet<Address>, rotten: &[Address]) -> Self {
        Self { lost, rotten: rotten.iter().copied().collect(), ..Self::default() }
    }

    /// Whether what is not here was, and is damaged.
    pub(super) fn is_damaged(&self, address: &Address) -> bool {
        let is_rotten = self.rotten.contains(address) && !planted::is_on(Bug::ForgetRotten);
        is_rotten || self.lost.contains(address)
    }

    pub(super) fn begin(&mut self, id: u64, walk: Walk) {
        self.questions += usize::from(walk.is_question());
        self.by_id.insert(id, walk);
    }

    pub(super) fn get(&self, id: u64) -> Option<&Walk> {
        self.steps.note();
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Walk> {
        self.steps.note();
        self.by_id.get_mut(&id)
    }

    pub(super) fn end(&mut self, id: u64) -> Option<Walk> {
        self.steps.note();
        let walk = self.by_id.remove(&id)?;
        self.questions -= usize::from(walk.is_question());
        if let Some(asked) = walk.asked {
            self.awaited.remove(&(asked, id));
        }
        Some(walk)
    }

    /// How many only answer a question.
    pub(super) fn questions(&self) -> usize {
        self.questions
    }

    /// From now on this walk waits for a page.
    pub(super) fn wait(&mut self, id: u64, page: Address) {
        if let Some(walk) = self.by_id.get_mut(&id) {
            walk.asked = Some(page);
            self.awaited.insert((page, id));
        }
    }

    /// The walks that wait for a page; they do no longer.
    pub(super) fn take_waiting(&mut self, page: Address) -> Vec<u64> {
        let waiting = self.awaited.range((page, 0)..=(page, u64::MAX));
        let waiting: Vec<_> = waiting.map(|(_, id)| *id).collect();
        for id in &waiting {
            self.awaited.remove(&(page, *id));
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RecordId;
    use crate::server::walk::Purpose;

    fn walk(purpose: Purpose) -> Walk {
        Walk::new(RecordId::default(), purpose, None)
    }

    #[test]
    fn how_many_are_questions_is_known_without_a_look_at_any() {
        let looks = [10, 10_000].map(|count| {
            let mut walks = Walks::default();
            for id in 0..count {
                walks.begin(id, walk(Purpose::Replicate { is_late: false }));
            }
            walks.begin(count, walk(Purpose::Query(1)));
            walks.begin(count + 1, walk(Purpose::Holds { link: 1, request: 2 }));
            assert_eq!(walks.questions(), 2);
            assert!(walks.end(0).is_some() && walks.end(count).is_some());
            assert!(walks.end(count).is_none() && walks.get(count).is_none());
            assert_eq!(walks.questions(), 1);
            walks.steps.0.get()
        });
        assert_eq!(looks, [4, 4]);
    }

    #[test]
    fn a_page_is_waited_for_until_it_comes_or_the_walk_ends() {
        let mut walks = Walks::default();
        let page = Address([7; 32]);
        for id in 0..3 {
            walks.begin(id, walk(Purpose::Mend { address: page }));
            walks.wait(id, page);
        }
        assert!(walks.end(1).is_some());
        assert!(walks.take_waiting(Address([6; 32])).is_empty());
        assert_eq!(walks.take_waiting(page), [0, 2]);
        assert!(walks.take_waiting(page).is_empty());
        assert_eq!(walks.get_mut(2).and_then(|walk| walk.asked.take()), Some(page));
        assert!(walks.end(2).is_some() && walks.awaited.is_empty());
    }
}
