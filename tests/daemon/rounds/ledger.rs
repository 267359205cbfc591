//! The ledger: what daemons have acknowledged, and what a name may therefore show.
//!
//! Knows no daemon and no connection. Invariant: what was acknowledged stays a floor for ever: a node never shows less
//! than it has acknowledged, and once all nodes agree none of them shows less than any of them has.

use dfsd::ids::VersionId;
use std::collections::{BTreeMap, BTreeSet};

/// Nodes of a network.
pub(super) const NODES: usize = 3;

/// One operation that was tried. A file carries its number as its modification time.
pub(super) type Attempt = u64;

/// What an attempt wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Put { size: usize },
    Delete,
}

/// What a node shows under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) version: VersionId,
    pub(super) attempt: Attempt,
}

/// What is known of one name.
#[derive(Debug, Default)]
struct Known {
    /// Versions that were acknowledged, or agreed on, and what put them there.
    acknowledged: BTreeMap<VersionId, (Attempt, Wish)>,
    /// The latest that each node has acknowledged.
    floors: [Option<VersionId>; NODES],
    /// Under way, or ended without an answer.
    doubts: BTreeMap<Attempt, Wish>,
}

/// All names of one network.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    names: BTreeMap<String, Known>,
    wishes: BTreeMap<Attempt, Wish>,
    written: BTreeSet<String>,
    acknowledged: u64,
    doubtful: u64,
}

impl Ledger {
    /// Something is about to be tried. From now on it may be shown.
    pub(super) fn begin(&mut self, name: &str, wish: Wish) -> Attempt {
        let attempt = self.wishes.len() as Attempt + 1;
        self.wishes.insert(attempt, wish);
        self.written.insert(name.to_owned());
        self.names.entry(name.to_owned()).or_default().doubts.insert(attempt, wish);
        attempt
    }

    /// A node has said that it is done.
    pub(super) fn acknowledged(
        &mut self,
        name: &str,
        attempt: Attempt,
        (node, version): (usize, VersionId),
    ) -> Result<(), String> {
        self.acknowledged += 1;
        let known = self.names.get_mut(name).expect("it was begun");
        let wish = known.doubts.remove(&attempt).expect("it is under way");
        known.floors[node] = known.floors[node].max(Some(version));
        match known.acknowledged.insert(version, (attempt, wish)) {
            None => Ok(()),
            Some((other, _)) => {
                Err(format!("{name}: attempts {other} and {attempt} got one version, {version:?}"))
            }
        }
    }

    /// A node has said that nothing was done.
    pub(super) fn refused(&mut self, name: &str, attempt: Attempt) {
        self.names.get_mut(name).expect("it was begun").doubts.remove(&attempt);
    }

    /// It ended without an answer: it stays a doubt.
    pub(super) fn doubtful(&mut self) {
        self.doubtful += 1;
    }

    /// What one node has acknowledged under a name.
    pub(super) fn floor(&self, name: &str, node: usize) -> Option<VersionId> {
        self.names.get(name).and_then(|known| known.floors[node])
    }

    /// What any node has acknowledged under a name.
    pub(super) fn floor_of_all(&self, name: &str) -> Option<VersionId> {
        self.names.get(name).and_then(|known| known.floors.iter().copied().max().flatten())
    }

    /// Whether a node may show this, or nothing, where `floor` was acknowledged.
    pub(super) fn judge(
        &self,
        name: &str,
        floor: Option<VersionId>,
        shown: Option<Shown>,
    ) -> Result<(), String> {
        let Some(known) = self.names.get(name) else {
            return Err(format!("{name}: nobody has put it"));
        };
        let verdict = match shown {
            Some(shown) => known.judge_shown(floor, shown),
            None => known.judge_absence(floor),
        };
        verdict.map_err(|why| format!("{name}: {why}; floor {floor:?}, known {known:?}"))
    }

    /// All nodes agree on this: doubts have become facts.
    pub(super) fn settle(&mut self, name: &str, shown: Option<Shown>) {
        let floor = self.floor_of_all(name);
        let Some(known) = self.names.get_mut(name) else { return };
        known.doubts.clear();
        known.acknowledged.clear();
        let fact = match shown {
            Some(Shown { version, attempt }) => Some((version, (attempt, Wish::Put { size: 0 }))),
            // The deletion may have a later version; the floor's own must never be seen again.
            None => floor.map(|version| (version, (0, Wish::Delete))),
        };
        known.floors = [fact.map(|(version, _)| version); NODES];
        known.acknowledged.extend(fact);
    }

    /// The size that an attempt put.
    pub(super) fn size(&self, attempt: Attempt) -> Option<usize> {
        match self.wishes.get(&attempt) {
            Some(Wish::Put { size }) => Some(*size),
            Some(Wish::Delete) | None => None,
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// Names that were written to since the last call.
    pub(super) fn take_written(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.written)
    }

    /// Acknowledgements and doubts so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.acknowledged, self.doubtful)
    }
}

impl Known {
    fn judge_shown(&self, floor: Option<VersionId>, shown: Shown) -> Result<(), String> {
        let Shown { version, attempt } = shown;
        if Some(version) < floor {
            return Err(format!("attempt {attempt} is back, {version:?}"));
        }
        match self.acknowledged.get(&version) {
            Some((known, Wish::Put { .. })) if *known == attempt => Ok(()),
            Some((known, wish)) => {
                Err(format!("{version:?} was attempt {known}, {wish:?}, not {attempt}"))
            }
            None if self.doubts.contains_key(&attempt) => Ok(()),
            None => Err(format!("attempt {attempt} was never in doubt here, {version:?}")),
        }
    }

    fn judge_absence(&self, floor: Option<VersionId>) -> Result<(), String> {
        let Some(floor) = floor else { return Ok(()) };
        let deleted = |wish: &Wish| *wish == Wish::Delete;
        let is_deleted = self.acknowledged.range(floor..).any(|(_, (_, wish))| deleted(wish))
            || self.doubts.values().any(deleted);
        if is_deleted { Ok(()) } else { Err("it is lost".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(stamp: u64) -> VersionId {
        VersionId { stamp, ..VersionId::default() }
    }

    fn shown(stamp: u64, attempt: Attempt) -> Option<Shown> {
        Some(Shown { version: version(stamp), attempt })
    }

    #[test]
    fn a_loss_a_return_and_a_swap_are_seen() {
        let mut ledger = Ledger::default();
        let first = ledger.begin("a", Wish::Put { size: 1 });
        assert!(ledger.judge("a", None, None).is_ok());
        ledger.acknowledged("a", first, (0, version(5))).unwrap();
        let floor = ledger.floor("a", 0);
        assert!(ledger.judge("a", floor, None).is_err(), "lost");
        assert!(ledger.judge("a", floor, shown(4, first)).is_err(), "older");
        assert!(ledger.judge("a", floor, shown(5, first)).is_ok());
        let doubt = ledger.begin("a", Wish::Delete);
        assert!(ledger.judge("a", floor, None).is_ok(), "a deletion in doubt");
        ledger.acknowledged("a", doubt, (1, version(6))).unwrap();
        assert!(ledger.judge("a", floor, None).is_ok(), "another node's deletion");
        assert!(ledger.judge("a", ledger.floor_of_all("a"), shown(5, first)).is_err(), "back");
        ledger.settle("a", None);
        assert!(ledger.judge("a", ledger.floor("a", 2), shown(7, first)).is_err(), "back, later");
        assert!(ledger.judge("b", None, None).is_err(), "nobody knows it");
    }
}
