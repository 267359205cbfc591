//! Reading a segment from end to end: its good groups, its damaged ranges, and where it stops.
//!
//! Holds one frame in memory, never the log. Knows nothing of verdicts. Invariant: bytes within a frame whose head is
//! sound are never searched for frames; a frame after a damaged range proves that the range was once good, so that what
//! is good of it still counts.

use crate::planted::{self, Bug};
use crate::store::frame::{self, Head, Position, Salt};
use crate::store::fs::FileSystem;
use crate::store::job::Found;
use crate::store::salvage::Salvage;
use crate::store::segment::FRAMES;
use crate::store::window::Window;
use std::io;
use std::ops::Range;

/// One good group.
pub(super) struct Seen {
    /// What it holds.
    pub(super) found: Vec<Found>,
    /// Where its frame begins.
    pub(super) start: u64,
    /// Where its frame ends.
    pub(super) end: u64,
    /// Where the log stands with it.
    pub(super) position: Position,
}

/// What a segment has to tell, in its order.
pub(super) enum Part {
    Group(Seen),
    /// A thing from a damaged range.
    Saved(Found),
}

/// What lies between or before good groups and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) range: Range<u64>,
    /// Things in it that are good all the same.
    pub(super) saved: u64,
}

/// What a whole segment was found to be, but for its parts, which were handed on one by one.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) damaged: Vec<Damage>,
    /// Good groups.
    pub(super) groups: u64,
}

/// A segment to be scanned.
pub(super) struct Scan<'a, F: FileSystem> {
    pub(super) window: Window<'a, F>,
    pub(super) segment: u32,
    pub(super) salt: Salt,
    /// Where a later segment says that this one ends.
    pub(super) end: Option<u64>,
}

enum Step {
    Good(Seen),
    /// No group here; the next may begin there.
    None(u64),
}

impl<F: FileSystem> Scan<'_, F> {
    /// Hands on every good group in turn, and before it what is good of a damaged range that lies before it.
    pub(super) fn run(mut self, mut each: impl FnMut(Part)) -> io::Result<Scanned> {
        let limit = match self.end {
            Some(end) => end,
            None => self.window.length()?,
        };
        let mut scanned = Scanned::default();
        let mut offset = FRAMES;
        let mut good_until = FRAMES;
        while offset < limit {
            match self.step(offset, limit)? {
                Step::Good(seen) => {
                    if seen.start > good_until {
                        scanned.damaged.push(self.salvage(good_until..seen.start, &mut each)?);
                    }
                    scanned.groups += 1;
                    offset = seen.end;
                    good_until = seen.end;
                    each(Part::Group(seen));
                }
                Step::None(_) if planted::is_on(Bug::StopAtDamage) => break,
                Step::None(next) => offset = self.window.next_magic(next, limit)?,
            }
        }
        if self.end.is_some() && good_until < limit {
            scanned.damaged.push(self.salvage(good_until..limit, &mut each)?);
        }
        Ok(scanned)
    }

    fn salvage(&mut self, range: Range<u64>, each: &mut impl FnMut(Part)) -> io::Result<Damage> {
        if planted::is_on(Bug::StopAtDamage) {
            return Ok(Damage { range, saved: 0 });
        }
        let (segment, end) = (self.segment, range.end);
        let salvage = Salvage { window: &mut self.window, segment, end };
        let saved = salvage.run(range.start, |found| each(Part::Saved(found)))?;
        Ok(Damage { range, saved })
    }

    fn step(&mut self, offset: u64, limit: u64) -> io::Result<Step> {
        let bytes = self.window.read(offset, frame::HEAD)?;
        let Some(head) = Head::parse(bytes, &self.salt, offset) else {
            return Ok(Step::None(offset + 1));
        };
        let body_at = offset + frame::HEAD as u64;
        let end = body_at + (head.length + frame::TAIL) as u64;
        if end > limit {
            return Ok(Step::None(limit));
        }
        let segment = self.segment;
        let rest = self.window.read(body_at, head.length + frame::TAIL)?;
        let found = head.fits(rest).and_then(|body| frame::decode(body, segment, body_at));
        Ok(match found {
            Some(found) => {
                Step::Good(Seen { found, start: offset, end, position: head.position() })
            }
            None => Step::None(end),
        })
    }
}
