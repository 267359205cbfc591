//! Fan-out queries under way: found by their number, by who asked, and by the record that they wait for.
//!
//! Knows no peer and no catalog. Invariant: whatever may end a query finds it without a look at any other.

use super::replies::Heads;
use crate::crypto::keys::heads_hash;
use crate::ids::{NameId, RecordId, VersionId};
use crate::index::steps::Steps;
use crate::limits::PARENTS_MAX;
use crate::seeded::{self, Bug};
use crate::server::asker::Asker;
use crate::server::output::Link;
use crate::wire::condition::HeadsSummary;
use crate::wire::message::{PeerAddress, Request};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// Which versions has this name? There may be no room for the greatest that was told of.
    Head { name: NameId, passed: Option<Passed> },
    /// Who holds this record and all that it names? Said by so many, of whom as many are named as an answer holds.
    Holders { count: u32, holders: Vec<PeerAddress> },
}

/// What a peer says of a name, checked, which there is no room to keep.
#[derive(Debug)]
pub(in crate::server) struct Passed {
    pub(super) version: VersionId,
    pub(super) heads: Heads,
    /// The record of this version.
    pub(super) shown: Bytes,
}

impl Passed {
    /// The record of this version was shown, and with it these claims, which nobody has signed: of them only what can be so
    /// is passed on.
    pub(super) fn new(version: VersionId, claimed: Heads, shown: Bytes) -> Self {
        let Heads { mut versions, mut all, log_damage, .. } = claimed;
        if !seeded::is_on(Bug::PassClaims) {
            versions.retain(|head| *head < version);
            versions.push(version);
            versions.sort_unstable();
            versions.dedup();
            let told = HeadsSummary { count: versions.len() as u64, hash: heads_hash(&versions) };
            if all.count <= told.count {
                all = told;
            }
            versions.reverse();
            versions.truncate(PARENTS_MAX);
        }
        let heads = Heads { versions, all, future: Vec::new(), kept: false, log_damage };
        Self { version, heads, shown }
    }
}

/// One of them.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) asker: Asker,
    pub(super) question: Question,
    /// Peers that have not answered, and what they were asked.
    waiting: BTreeMap<Link, Request>,
    /// Records that came with answers and are on their way into the catalog.
    arriving: BTreeSet<RecordId>,
    /// This node looks through its own.
    looks: bool,
    /// A record that it waited for could not be kept.
    pub(super) is_lost: bool,
}

impl Query {
    /// Who has not answered.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Link> {
        self.waiting.keys().copied()
    }

    /// Whether anything but answers is waited for.
    pub(super) fn is_settled(&self) -> bool {
        self.arriving.is_empty() && !self.looks
    }

    /// What was asked; and who has not answered, with what he was asked.
    pub(super) fn into_parts(self) -> (Question, BTreeMap<Link, Request>) {
        (self.question, self.waiting)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Queries {
    by_id: BTreeMap<u64, Query>,
    by_asker: BTreeSet<(Link, u64)>,
    by_record: BTreeSet<(RecordId, u64)>,
    /// Queries that were looked at.
    steps: Steps,
}

impl Queries {
    /// One begins; nobody has been asked yet.
    pub(super) fn begin(&mut self, id: u64, asker: Asker, question: Question) {
        let looks = matches!(question, Question::Holders { .. });
        let (waiting, arriving) = (BTreeMap::new(), BTreeSet::new());
        let is_lost = false;
        let query = Query { asker, question, waiting, arriving, looks, is_lost };
        self.by_id.insert(id, query);
        self.by_asker.insert((asker.link, id));
    }

    pub(super) fn get(&self, id: u64) -> Option<&Query> {
        self.steps.note();
        self.by_id.get(&id)
    }

    /// A peer is asked.
    pub(super) fn wait(&mut self, id: u64, peer: Link, request: Request) {
        if let Some(query) = self.by_id.get_mut(&id) {
            query.waiting.insert(peer, request);
        }
    }

    /// A peer has answered, or is gone.
    pub(super) fn answered(&mut self, id: u64, peer: Link) -> Option<&mut Question> {
        self.steps.note();
        let query = self.by_id.get_mut(&id)?;
        query.waiting.remove(&peer);
        Some(&mut query.question)
    }

    /// This node has looked through its own.
    pub(super) fn looked(&mut self, id: u64) -> Option<&mut Question> {
        self.steps.note();
        let query = self.by_id.get_mut(&id)?;
        query.looks = false;
        Some(&mut query.question)
    }

    /// A record came with an answer, and is waited for.
    pub(super) fn await_record(&mut self, id: u64, record: RecordId) {
        if let Some(query) = self.by_id.get_mut(&id) {
            query.arriving.insert(record);
            self.by_record.insert((record, id));
        }
    }

    /// A record is in the catalog: those that waited for it.
    pub(super) fn came(&mut self, record: &RecordId) -> Vec<u64> {
        let waiting = self.by_record.range((*record, 0)..=(*record, u64::MAX));
        let waiting: Vec<_> = waiting.map(|(_, id)| *id).collect();
        for id in &waiting {
            self.steps.note();
            self.by_record.remove(&(*record, *id));
            if let Some(query) = self.by_id.get_mut(id) {
                query.arriving.remove(record);
            }
        }
        waiting
    }

    /// A record that a query waited for has been looked at, and does not come into the catalog for it.
    pub(super) fn looked_at(&mut self, id: u64, record: &RecordId) -> Option<&mut Question> {
        self.steps.note();
        self.by_record.remove(&(*record, id));
        let query = self.by_id.get_mut(&id)?;
        query.arriving.remove(record);
        Some(&mut query.question)
    }

    /// A record that a query waited for could not be kept.
    pub(super) fn lose(&mut self, id: u64) {
        if let Some(query) = self.by_id.get_mut(&id) {
            query.is_lost = true;
        }
    }

    /// Nothing is waited for any more. Those who have not answered, and what they were asked.
    pub(super) fn give_up(&mut self, id: u64) -> BTreeMap<Link, Request> {
        self.steps.note();
        let Some(query) = self.by_id.get_mut(&id) else {
            return BTreeMap::new();
        };
        query.looks = false;
        query.is_lost |= !query.arriving.is_empty();
        for record in std::mem::take(&mut query.arriving) {
            self.by_record.remove(&(record, id));
        }
        std::mem::take(&mut query.waiting)
    }

    /// What a connection has asked.
    pub(super) fn of_asker(&self, link: Link) -> Vec<u64> {
        let own = self.by_asker.range((link, 0)..=(link, u64::MAX));
        own.map(|(_, id)| *id).collect()
    }

    pub(super) fn end(&mut self, id: u64) -> Option<Query> {
        self.steps.note();
        let query = self.by_id.remove(&id)?;
        self.by_asker.remove(&(query.asker.link, id));
        for record in &query.arriving {
            self.by_record.remove(&(*record, id));
        }
        Some(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> RecordId {
        let mut id = RecordId::default();
        id.0[..8].copy_from_slice(&number.to_be_bytes());
        id
    }

    fn head() -> Question {
        Question::Head { name: NameId::default(), passed: None }
    }

    /// Of so many queries, each of another connection, and for another record of one peer.
    fn queries(count: u64) -> Queries {
        let mut queries = Queries::default();
        for id in 0..count {
            let asker = Asker { link: 100 + usize::try_from(id).unwrap(), request: 7 };
            queries.begin(id, asker, head());
            queries.wait(id, 1, 8);
            queries.wait(id, 2, 9);
            queries.await_record(id, record(id));
        }
        queries
    }

    #[test]
    fn what_comes_or_goes_costs_the_same_however_many_queries_there_are() {
        let looks = [10, 10_000].map(|count| {
            let mut queries = queries(count);
            // As many records as a group holds, and one of them is waited for.
            for number in 0..1024 {
                let waited = queries.came(&record(count - 1 + number));
                assert_eq!(waited.len(), usize::from(number == 0));
            }
            assert_eq!(queries.of_asker(103), [3]);
            assert!(queries.end(3).is_some() && queries.get(3).is_none());
            assert!(queries.of_asker(103).is_empty());
            queries.steps.0.get()
        });
        assert_eq!(looks, [3, 3]);
    }

    #[test]
    fn what_is_waited_for_is_forgotten_with_the_query() {
        let mut queries = queries(3);
        assert!(!queries.get(0).unwrap().is_settled());
        assert_eq!(queries.came(&record(0)), [0]);
        assert!(queries.get(0).unwrap().is_settled());
        assert!(queries.answered(0, 1).is_some());
        assert_eq!(queries.end(0).unwrap().into_parts().1, BTreeMap::from([(2, 9)]));
        assert_eq!(queries.give_up(1), BTreeMap::from([(1, 8), (2, 9)]));
        assert!(
            queries.get(1).is_some_and(Query::is_settled) && queries.came(&record(1)).is_empty()
        );
        let asker = Asker { link: 100, request: 7 };
        queries.begin(4, asker, Question::Holders { count: 0, holders: Vec::new() });
        assert!(!queries.get(4).unwrap().is_settled(), "this node looks for itself");
        assert!(queries.looked(4).is_some() && queries.get(4).unwrap().is_settled());
        [1, 2, 4].into_iter().for_each(|id| drop(queries.end(id)));
        assert!(queries.by_asker.is_empty() && queries.by_record.is_empty());
    }
}
