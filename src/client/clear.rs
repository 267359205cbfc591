//! Clearing: a name that is deleted, and has more heads than one tombstone can name, gets further tombstones until one is
//! the only head.
//!
//! The name is gone from the first tombstone on: whatever comes of the others, the operation has succeeded. Invariant:
//! there is a bound to how many are written, and none is written over what came after the first.

use super::answer::{Answer, Op};
use super::ask::{Ask, version_of};
use super::error::ClientError;
use super::seal::Heads;
use super::session::{Kind, Session};
use crate::ids::VersionId;
use crate::limits::{PARENTS_MAX, TOMBSTONES_MAX};
use crate::planted::{self, Bug};
use crate::wire::condition::Condition;

/// A name that is being cleared.
#[derive(Debug)]
pub(super) struct Clearing {
    pub(super) name: Vec<u8>,
    /// What the operation has come to.
    answer: Answer,
    /// Tombstones that may still be written.
    left: u32,
}

impl Clearing {
    /// One tombstone more goes to the node: whatever it answers, it may be durable.
    fn note(&mut self, version: VersionId) {
        if let Answer::Deleted { last, .. } | Answer::Renamed { last, .. } = &mut self.answer {
            *last = version;
        }
    }
}

/// Whether a tombstone that follows these leaves heads behind.
pub(super) fn leaves_heads(heads: &Heads) -> bool {
    heads.all.count > heads.versions.len().min(PARENTS_MAX) as u64
}

impl Session {
    /// A tombstone of the name is durable, and may have left heads behind.
    pub(super) fn deleted(&mut self, op: Op, (name, more): (Vec<u8>, bool), answer: Answer) {
        if !more || planted::is_on(Bug::LeaveHeads) || self.ask_head(op, &name).is_err() {
            return self.finish(op, Ok(answer));
        }
        let clearing = Clearing { name, answer, left: TOMBSTONES_MAX };
        self.become_ask(op, Ask::Clearing(Box::new(clearing)));
    }

    /// The node tells which versions the name has now, and shows one.
    pub(super) fn clear(
        &mut self,
        op: Op,
        mut clearing: Box<Clearing>,
        heads: &Heads,
        shown: Option<&[u8]>,
    ) {
        match self.next_tombstone(&clearing, heads, shown) {
            Ok(Some(tombstone)) => {
                clearing.note(version_of(&tombstone));
                self.put_records(op, vec![tombstone], vec![Condition::Unchanged(heads.all)]);
                self.become_ask(op, Ask::Cleared(clearing));
            }
            Ok(None) | Err(_) => self.finish(op, Ok(clearing.answer)),
        }
    }

    /// None if the name is clear, or somebody has stored under it again.
    fn next_tombstone(
        &mut self,
        clearing: &Clearing,
        heads: &Heads,
        shown: Option<&[u8]>,
    ) -> Result<Option<bytes::Bytes>, ClientError> {
        let id = self.seals.name_id(&clearing.name)?;
        let is_over = heads.all.count <= 1 || clearing.left == 0;
        if is_over || self.seals.open_shown(shown, &id)?.is_some() {
            return Ok(None);
        }
        self.seals.tombstone(heads, &clearing.name).map(Some)
    }

    /// One tombstone more is durable.
    pub(super) fn cleared(&mut self, op: Op, mut clearing: Box<Clearing>) {
        clearing.left = clearing.left.saturating_sub(1);
        match self.ask_head(op, &clearing.name) {
            Ok(_) => self.become_ask(op, Ask::Clearing(clearing)),
            Err(_) => self.finish(op, Ok(clearing.answer)),
        }
    }
}

/// What an operation comes to: what fails while a name is cleared changes nothing of its being deleted.
pub(super) fn result_of(
    kind: Kind,
    result: Result<Answer, ClientError>,
) -> Result<Answer, ClientError> {
    match kind {
        Kind::Ask(Ask::Clearing(clearing) | Ask::Cleared(clearing)) if result.is_err() => {
            Ok(clearing.answer)
        }
        Kind::Ask(_) | Kind::Put(_) | Kind::Get(_) => result,
    }
}
