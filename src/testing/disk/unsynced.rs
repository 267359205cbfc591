//! What a simulated disk has been told and need not have done yet: the changes of each file and of each name, in order.
//!
//! Decides nothing about what a power cut keeps. Invariant: the medium's content with all changes made is the content
//! that a running program sees, and likewise a name.

use super::content::{Content, SECTOR};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// One change of a file. A write that makes the file longer is two: its bytes and the length get to the medium each in
/// their own time.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Grow(usize),
    Cut(usize),
    Write(usize, Bytes),
}

/// A change, and when it was made.
#[derive(Debug, Clone)]
pub(super) struct Unsynced {
    pub(super) serial: u64,
    pub(super) change: Change,
    /// A flush of it has failed: the system takes it for written, and no later flush will write it.
    pub(super) forsaken: bool,
}

/// How much of a change the medium has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    None,
    Whole,
    /// All that follows the middle of the first sector.
    TornFirst,
    /// What comes before the middle of the middle sector.
    TornMiddle,
    /// What comes before the middle of the last sector.
    TornLast,
}

impl Change {
    /// What may be left of it.
    pub(super) fn fates(&self) -> &'static [Kept] {
        match self {
            Self::Grow(_) | Self::Cut(_) => &[Kept::None, Kept::Whole],
            Self::Write(..) => {
                &[Kept::None, Kept::Whole, Kept::TornFirst, Kept::TornMiddle, Kept::TornLast]
            }
        }
    }

    pub(super) fn apply(&self, content: &mut Content, kept: Kept) {
        match (self, kept) {
            (_, Kept::None) => {}
            (Self::Grow(length), _) => content.grow(*length),
            (Self::Cut(length), _) => content.cut(*length),
            (Self::Write(offset, bytes), _) => {
                let part = part(*offset, bytes.len(), kept);
                content.put(offset + part.start, bytes.slice(part));
            }
        }
    }
}

/// The bytes of a write at `offset` that are kept, counted from its beginning.
fn part(offset: usize, length: usize, kept: Kept) -> Range<usize> {
    let last = (offset + length.saturating_sub(1)) / SECTOR;
    let first = offset / SECTOR;
    let middle_of = |sector: usize| {
        let start = (sector * SECTOR).max(offset);
        let end = ((sector + 1) * SECTOR).min(offset + length);
        (start + end) / 2 - offset
    };
    match kept {
        Kept::None => 0..0,
        Kept::Whole => 0..length,
        Kept::TornFirst => middle_of(first)..length,
        Kept::TornMiddle => 0..middle_of(first.midpoint(last)),
        Kept::TornLast => 0..middle_of(last),
    }
}

/// A file's bytes, as a running program sees them and as the medium has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) seen: Arc<Content>,
    pub(super) kept: Arc<Content>,
    pub(super) unsynced: Vec<Unsynced>,
    /// Every open handle has a clone.
    pub(super) open: Arc<()>,
}

impl Inode {
    pub(super) fn change(&mut self, serial: u64, change: Change) {
        change.apply(Arc::make_mut(&mut self.seen), Kept::Whole);
        self.unsynced.push(Unsynced { serial, change, forsaken: false });
    }

    pub(super) fn sync(&mut self) {
        if self.unsynced.is_empty() {
            return;
        }
        let kept = Arc::make_mut(&mut self.kept);
        self.unsynced.retain(|unsynced| {
            if !unsynced.forsaken {
                unsynced.change.apply(kept, Kept::Whole);
            }
            unsynced.forsaken
        });
    }

    /// A flush has failed: of bytes, since lengths are in the file system's journal, which does not forget.
    pub(super) fn forsake(&mut self) {
        let changes = self.unsynced.iter_mut();
        let writes = changes.filter(|unsynced| matches!(unsynced.change, Change::Write(..)));
        writes.for_each(|unsynced| unsynced.forsaken = true);
    }

    /// The medium as it is with this much of each change, and none to come.
    pub(super) fn kept_with(&self, fates: impl Iterator<Item = Kept>) -> Content {
        let mut content = Content::clone(&self.kept);
        for (unsynced, kept) in self.unsynced.iter().zip(fates) {
            unsynced.change.apply(&mut content, kept);
        }
        let length = content.length;
        content.cut(length);
        content
    }

    pub(super) fn become_kept(&mut self, content: Arc<Content>) {
        self.unsynced.clear();
        self.seen = Arc::clone(&content);
        self.kept = content;
    }
}

/// What a name leads to, and what it has led to since the name was last synced: the first is what the medium has.
#[derive(Debug, Clone, Default)]
pub(super) struct Name {
    pub(super) kept: Option<usize>,
    pub(super) since: Vec<(u64, Option<usize>)>,
}

impl Name {
    pub(super) fn seen(&self) -> Option<usize> {
        self.since.last().map_or(self.kept, |(_, to)| *to)
    }

    pub(super) fn sync(&mut self) {
        self.become_kept(self.seen());
    }

    pub(super) fn become_kept(&mut self, to: Option<usize>) {
        self.kept = to;
        self.since.clear();
    }
}
