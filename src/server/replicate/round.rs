//! Rounds: whom what is short here is asked of anew, and how far that has come.
//!
//! A peer that has news (it has just come, or says that it has got something) is asked once for all that is short, in the
//! order of what that is, some at a time. Who has said that it has nothing is not asked again before it has news. Knows
//! neither disk nor wire. Invariant: from a peer's news on, one cursor passes everything once, and then the peer is
//! forgotten; without news nothing is tried.

use crate::ids::{Address, RecordId};
use crate::limits::SHORT_BATCH;
use crate::server::output::Link;
use std::collections::BTreeMap;

/// What is short here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::server) enum Short {
    /// A block that was damaged or gone.
    Block(Address),
    /// A page that was damaged.
    Page(Address),
    /// A record that names something which is not here.
    Record(RecordId),
}

/// How far a peer with news has been asked.
#[derive(Debug, Clone, Copy)]
struct News {
    /// Where the cursor stood when there was news.
    from: Option<Short>,
    /// The cursor has come to the end since.
    wrapped: bool,
    /// It has passed everything: the peer is forgotten when what is being tried has been tried.
    over: bool,
    /// Batch follows batch.
    eager: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::server) struct Round {
    peers: BTreeMap<Link, News>,
    cursor: Option<Short>,
    /// How often there was news.
    serial: u64,
}

impl Round {
    /// A peer may have now what it had not.
    pub(in crate::server) fn news(&mut self, link: Link, eager: bool) {
        self.serial += 1;
        let before = self.peers.get(&link).is_some_and(|news| news.eager && !news.over);
        let eager = eager || before;
        self.peers.insert(link, News { from: self.cursor, wrapped: false, over: false, eager });
    }

    /// A number that changes with news.
    pub(in crate::server) fn serial(&self) -> u64 {
        self.serial
    }

    /// A connection is gone.
    pub(in crate::server) fn forget(&mut self, link: Link) {
        self.peers.remove(&link);
    }

    /// Whether a peer is asked in this round.
    pub(in crate::server) fn asks(&self, link: Link) -> bool {
        self.peers.contains_key(&link)
    }

    /// Nobody has news.
    pub(in crate::server) fn is_over(&self) -> bool {
        self.peers.is_empty()
    }

    /// What was tried has been tried: who was asked for everything is forgotten.
    pub(in crate::server) fn forget_asked(&mut self) {
        self.peers.retain(|_, news| !news.over);
    }

    /// The next batch follows at once.
    pub(in crate::server) fn is_eager(&self) -> bool {
        self.peers.values().any(|news| news.eager && !news.over)
    }

    /// The next few things to try; `after` gives what lies after a cursor, in order, at most `SHORT_BATCH`. To be called
    /// when those before have been tried.
    pub(in crate::server) fn next(
        &mut self,
        after: impl Fn(Option<Short>) -> Vec<Short>,
    ) -> Vec<Short> {
        loop {
            self.forget_asked();
            if self.peers.is_empty() {
                return Vec::new();
            }
            let batch = after(self.cursor);
            let last = batch.last().copied().filter(|_| batch.len() >= SHORT_BATCH);
            self.cursor = last;
            for news in self.peers.values_mut() {
                news.pass(last);
            }
            if !batch.is_empty() {
                return batch;
            }
        }
    }
}

impl News {
    /// The cursor has come so far; to the end if that is nothing.
    fn pass(&mut self, cursor: Option<Short>) {
        let is_past = self.wrapped && (cursor.is_none() || cursor >= self.from);
        self.over = is_past || (cursor.is_none() && self.from.is_none());
        self.wrapped |= cursor.is_none();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::ops::Bound::{Excluded, Unbounded};

    fn things(count: u64) -> BTreeSet<Short> {
        let id = |number: u64| {
            let mut id = RecordId::default();
            id.0[..8].copy_from_slice(&number.to_be_bytes());
            Short::Record(id)
        };
        (0..count).map(id).collect()
    }

    fn next(round: &mut Round, things: &BTreeSet<Short>) -> Vec<Short> {
        round.next(|cursor| {
            let after = cursor.map_or(Unbounded, Excluded);
            things.range((after, Unbounded)).take(SHORT_BATCH).copied().collect()
        })
    }

    #[test]
    fn whoever_has_news_is_asked_for_everything_once_in_bounded_batches() {
        for count in [0, 1, 10, SHORT_BATCH as u64, 2 * SHORT_BATCH as u64, 10_000] {
            let things = things(count);
            let mut round = Round::default();
            assert!(next(&mut round, &things).is_empty(), "nobody has news");
            round.news(1, true);
            let mut tried = Vec::new();
            loop {
                let batch = next(&mut round, &things);
                assert!(batch.len() <= SHORT_BATCH);
                if batch.is_empty() {
                    break;
                }
                assert!(round.asks(1) && !round.asks(2));
                tried.extend(batch);
            }
            assert!(tried.iter().eq(&things), "each once");
            assert!(round.is_over() && !round.is_eager());
        }
    }

    #[test]
    fn news_in_the_middle_of_a_round_is_asked_of_from_there_on_and_to_there() {
        let things = things(1_000);
        let mut round = Round::default();
        round.news(1, false);
        let mut asked = [Vec::new(), Vec::new()];
        for batches in 0.. {
            if batches == 5 {
                round.news(2, true);
            }
            let batch = next(&mut round, &things);
            if batch.is_empty() {
                break;
            }
            for (link, asked) in [1, 2].into_iter().zip(&mut asked) {
                if round.asks(link) {
                    asked.extend(batch.clone());
                }
            }
        }
        assert!(asked[0].iter().eq(&things), "each once");
        let all: BTreeSet<_> = asked[1].iter().copied().collect();
        assert_eq!(all, things);
        assert!(asked[1].len() <= things.len() + SHORT_BATCH);
    }

    #[test]
    fn news_again_begins_anew_and_who_leaves_is_forgotten() {
        let things = things(500);
        let mut round = Round::default();
        round.news(1, false);
        let mut tried = 0;
        for _ in 0..3 {
            tried += next(&mut round, &things).len();
        }
        round.news(1, false);
        loop {
            let batch = next(&mut round, &things);
            if batch.is_empty() {
                break;
            }
            tried += batch.len();
        }
        assert!(tried >= 3 * SHORT_BATCH + things.len());
        round.news(2, true);
        round.forget(2);
        assert!(round.is_over() && next(&mut round, &things).is_empty());
    }
}
