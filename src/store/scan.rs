//! Reading a segment from end to end: its good groups, its damaged ranges, and where it stops.
//!
//! Holds one frame in memory, never the log. Knows nothing of verdicts. Invariant: bytes within a frame whose head is
//! sound are never searched for frames; a sound head after a damaged range proves that the range was once good, since a
//! frame is written only after the flush of the one before.

use crate::seeded::{self, Bug};
use crate::store::frame::{self, Harm, Head, ITEM_HEAD, Left, MAGIC, Position, Salt};
use crate::store::fs::FileSystem;
use crate::store::removed::RemovedSegments;
use crate::store::segment::FRAMES;
use crate::store::values::LogEntry;
use std::io;
use std::ops::Range;

/// Bytes that are read at once.
const READ: usize = 1024 * 1024;
/// What is read singly, and taken for zeros where the disk cannot read it.
const PAGE: usize = 4096;
static ZEROS: [u8; PAGE] = [0; PAGE];

/// A file, read forward through a buffer.
pub(crate) struct Window<'a, F: FileSystem> {
    fs: &'a F,
    file: &'a F::File,
    start: u64,
    bytes: Vec<u8>,
    /// Bytes that are read at once.
    at_once: usize,
}

impl<'a, F: FileSystem> Window<'a, F> {
    pub(crate) fn new(fs: &'a F, file: &'a F::File) -> Self {
        Self::by(fs, file, READ)
    }

    pub(crate) fn by(fs: &'a F, file: &'a F::File, at_once: usize) -> Self {
        Self { fs, file, start: 0, bytes: Vec::new(), at_once }
    }

    /// The bytes from `offset` on: `length` of them, or fewer at the end of the file.
    pub(crate) fn read(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let held = offset
            .checked_sub(self.start)
            .and_then(|at| usize::try_from(at).ok())
            .filter(|at| at + length <= self.bytes.len());
        let at = match held {
            Some(at) => at,
            None => {
                self.fill(offset, length.max(self.at_once))?;
                0
            }
        };
        Ok(&self.bytes[at..self.bytes.len().min(at + length)])
    }

    /// The bytes from `offset` on, as far as they are here; if these are fewer than `least`, as many as are read at once.
    fn ahead(&mut self, offset: u64, least: usize) -> io::Result<&[u8]> {
        let held = offset.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let at = match held.filter(|at| at + least <= self.bytes.len()) {
            Some(at) => at,
            None => {
                self.fill(offset, self.at_once)?;
                0
            }
        };
        Ok(&self.bytes[at..])
    }

    fn fill(&mut self, offset: u64, length: usize) -> io::Result<()> {
        self.start = offset;
        self.bytes.clear();
        self.bytes.resize(length, 0);
        let count = match self.fs.read_at(self.file, offset, &mut self.bytes) {
            Ok(count) => count,
            Err(error) if is_medium(&error) => self.fill_what_can_be_read(offset)?,
            Err(error) => return Err(error),
        };
        self.bytes.truncate(count);
        Ok(())
    }

    /// A bad sector costs the page around it, not the segment.
    fn fill_what_can_be_read(&mut self, offset: u64) -> io::Result<usize> {
        let length = self.fs.length(self.file)?.saturating_sub(offset);
        let count =
            usize::try_from(length).map_or(self.bytes.len(), |rest| rest.min(self.bytes.len()));
        for at in (0..count).step_by(PAGE) {
            let page = &mut self.bytes[at..count.min(at + PAGE)];
            match self.fs.read_at(self.file, offset + at as u64, page) {
                Ok(_) => {}
                Err(error) if is_medium(&error) => page.fill(0),
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }
}

/// Whether the medium, not the circumstances, made the call fail.
pub(crate) fn is_medium(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// One good group.
pub(crate) struct Seen {
    /// What it holds.
    pub(crate) found: Vec<LogEntry>,
    /// Where its frame begins.
    pub(crate) start: u64,
    /// Where its frame ends.
    pub(crate) end: u64,
    /// Where the log stands with it.
    pub(crate) position: Position,
}

/// What a whole segment was found to be, but for its groups, which were handed on one by one.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// What lies between or before good groups and is none.
    pub(crate) damaged: Vec<Range<u64>>,
    /// Good groups.
    pub(crate) groups: u64,
    /// What is before was durable, good or damaged.
    pub(crate) until: u64,
}

impl Scanned {
    /// What is before this offset was durable, and what of it was not seen to be good is damaged.
    fn prove(&mut self, offset: u64) {
        if offset <= self.until {
            return;
        }
        match self.damaged.last_mut() {
            Some(last) if last.end == self.until => last.end = offset,
            Some(_) | None => self.damaged.push(self.until..offset),
        }
        self.until = offset;
    }
}

/// A segment to be scanned.
pub(crate) struct Scan<'a, F: FileSystem> {
    pub(crate) window: Window<'a, F>,
    pub(crate) segment: u32,
    pub(crate) salt: Salt,
    /// Where a later segment says that this one ends.
    pub(crate) end: Option<u64>,
}

enum Step {
    Good(Seen),
    /// The head of one, and not its body; the next may begin there.
    Head(u64),
    /// No group here; the next may begin there.
    None(u64),
}

impl<F: FileSystem> Scan<'_, F> {
    /// Hands on every good group in turn.
    pub(crate) fn run(self, each: &mut dyn FnMut(Seen)) -> io::Result<Scanned> {
        self.run_from(FRAMES, each)
    }

    /// The same of those from one on that begins there; what is before was durable and good.
    pub(crate) fn run_from(
        mut self,
        mut offset: u64,
        each: &mut dyn FnMut(Seen),
    ) -> io::Result<Scanned> {
        let limit = match self.end {
            Some(end) => end,
            None => self.window.fs.length(self.window.file)?,
        };
        let mut scanned = Scanned { until: offset, ..Scanned::default() };
        while offset < limit {
            match self.step(offset, limit)? {
                Step::Good(seen) => {
                    scanned.prove(seen.start);
                    scanned.until = seen.end;
                    scanned.groups += 1;
                    offset = seen.end;
                    each(seen);
                }
                Step::Head(_) | Step::None(_) if seeded::is_on(Bug::StopAtDamage) => break,
                Step::Head(next) => {
                    if !seeded::is_on(Bug::TornFromTheFirst) {
                        scanned.prove(offset);
                    }
                    offset = self.next_magic(next, limit)?;
                }
                Step::None(next) => offset = self.next_magic(next, limit)?,
            }
        }
        if self.end.is_some() {
            scanned.prove(limit);
        }
        Ok(scanned)
    }

    /// The segments that are gone on purpose, as the last good frame that says so has it. Of the others only the heads are
    /// looked at: this comes before the segment is read, which may be long.
    pub(super) fn newest_removed(mut self) -> io::Result<Option<RemovedSegments>> {
        let limit = self.window.fs.length(self.window.file)?;
        let mut newest = None;
        let mut offset = FRAMES;
        while offset < limit {
            let bytes = self.window.read(offset, frame::HEAD + 1)?;
            let head = Head::parse(bytes, &self.salt, offset);
            let may_remove = bytes.get(frame::HEAD..).is_some_and(frame::may_remove);
            offset = match head {
                None => self.next_magic(offset + 1, limit)?,
                Some(head) if may_remove => match self.step(offset, limit)? {
                    Step::Good(seen) => {
                        newest = removed_in(seen.found).or(newest);
                        seen.end
                    }
                    Step::Head(_) | Step::None(_) => head.end(offset),
                },
                Some(head) => head.end(offset),
            };
        }
        Ok(newest)
    }

    /// Whether the head of this group is there, and its frame before this.
    pub(super) fn has_group(mut self, group: Position, limit: u64) -> io::Result<bool> {
        let mut offset = FRAMES;
        while offset < limit {
            let head = Head::parse(self.window.read(offset, frame::HEAD)?, &self.salt, offset);
            offset = match head {
                Some(head) if head.position() == group => return Ok(head.end(offset) <= limit),
                Some(head) => head.end(offset),
                None => self.next_magic(offset + 1, limit)?,
            };
        }
        Ok(false)
    }

    /// The good group at an offset; `None` if there is none that ends by then.
    pub(crate) fn group_at(&mut self, offset: u64, limit: u64) -> io::Result<Option<Seen>> {
        Ok(match self.step(offset, limit)? {
            Step::Good(seen) => Some(seen),
            Step::Head(_) | Step::None(_) => None,
        })
    }

    /// Where the next head of a group is that is sound, after one at this offset whose group is not good; `limit` if nowhere.
    pub(crate) fn after_damage(&mut self, offset: u64, limit: u64) -> io::Result<u64> {
        let mut next = match self.step(offset, limit)? {
            Step::Good(seen) => seen.end,
            Step::Head(next) | Step::None(next) => next,
        };
        while next < limit {
            next = match self.step(next, limit)? {
                Step::Good(_) | Step::Head(_) => break,
                Step::None(from) => self.next_magic(from, limit)?,
            };
        }
        Ok(next.min(limit))
    }

    fn step(&mut self, offset: u64, limit: u64) -> io::Result<Step> {
        let bytes = self.window.read(offset, frame::HEAD)?;
        let Some(head) = Head::parse(bytes, &self.salt, offset) else {
            return Ok(Step::None(offset + 1));
        };
        let body_at = offset + frame::HEAD as u64;
        let end = head.end(offset);
        if end > limit {
            return Ok(Step::Head(limit));
        }
        let segment = self.segment;
        let rest = self.window.read(body_at, head.length + frame::TAIL)?;
        let found = head.fits(rest).and_then(|body| frame::decode(body, segment, body_at));
        Ok(match found {
            Some(found) => {
                Step::Good(Seen { found, start: offset, end, position: head.position() })
            }
            None => Step::Head(end),
        })
    }

    /// Hands on what is left of a damaged range: items that follow each other, be the head of their frame sound or not, and
    /// where the own bytes of each begin; and whether each is proven to be an item: where a good group ends, behind a head
    /// that is sound, and behind an item that is whole, no bytes begin that somebody else has composed. Gives how many bytes
    /// are no items, so that anything may have been there.
    pub(crate) fn remains(
        mut self,
        range: &Range<u64>,
        mut each: impl FnMut(Left<'_>, u64, bool),
    ) -> io::Result<u64> {
        let mut lost = 0;
        let mut is_proven = true;
        let mut offset = range.start;
        while offset < range.end {
            let head = Head::parse(self.window.read(offset, frame::HEAD)?, &self.salt, offset);
            is_proven |= head.is_some();
            let body_at = (offset + frame::HEAD as u64).min(range.end);
            let end = head.map_or(range.end, |head| range.end.min(body_at + head.length as u64));
            let passed = self.items(body_at, end, &mut |left, at| {
                is_proven &= left.harm != Harm::Any;
                each(left, at, is_proven);
            })?;
            let is_whole = match head {
                Some(_) => passed == end,
                None => frame::is_end(self.window.read(passed, frame::TAIL)?),
            };
            if is_whole {
                offset = passed + frame::TAIL as u64;
                continue;
            }
            let from = if passed == body_at { offset } else { passed };
            let next = match head {
                Some(_) => end + frame::TAIL as u64,
                None => self.next_magic(from + 1, range.end)?,
            };
            is_proven = head.is_some();
            lost += next.min(range.end) - from;
            offset = next;
        }
        Ok(lost)
    }

    /// Hands on items until none follows; where that is.
    fn items(
        &mut self,
        mut at: u64,
        end: u64,
        each: &mut impl FnMut(Left<'_>, u64),
    ) -> io::Result<u64> {
        while at + ITEM_HEAD as u64 <= end {
            let Some(length) = frame::item_length(self.window.read(at, ITEM_HEAD)?) else {
                break;
            };
            let length = ITEM_HEAD + length;
            if at + length as u64 > end {
                break;
            }
            match frame::left(self.window.read(at, length)?) {
                Some(left) => each(left, at + ITEM_HEAD as u64),
                None => break,
            }
            at += length as u64;
        }
        Ok(at)
    }

    /// Where the next frame may begin, at or after `from`; `limit` if nowhere.
    fn next_magic(&mut self, mut from: u64, limit: u64) -> io::Result<u64> {
        while from < limit {
            let bytes = self.window.ahead(from, MAGIC.len())?;
            let zeros = leading_zeros(bytes);
            if zeros > 0 {
                from += zeros as u64;
                continue;
            }
            if let Some(at) = bytes.windows(MAGIC.len()).position(|four| four == MAGIC) {
                return Ok(from + at as u64);
            }
            if bytes.len() < MAGIC.len() {
                break;
            }
            from += (bytes.len() - MAGIC.len() + 1) as u64;
        }
        Ok(limit)
    }
}

/// Whether nothing but zeros is in a file from `offset` on. What cannot be read is not taken for zeros.
pub(crate) fn is_zero_from<F: FileSystem>(fs: &F, path: &str, mut offset: u64) -> io::Result<bool> {
    let file = fs.open(path)?;
    let mut bytes = vec![0; READ];
    loop {
        let count = fs.read_at(&file, offset, &mut bytes)?;
        // Slices are compared many bytes at a time.
        if bytes[..count].chunks(PAGE).any(|piece| *piece != ZEROS[..piece.len()]) {
            return Ok(false);
        }
        if count < bytes.len() {
            return Ok(true);
        }
        offset += bytes.len() as u64;
    }
}

fn removed_in(found: Vec<LogEntry>) -> Option<RemovedSegments> {
    found.into_iter().find_map(|found| match found {
        LogEntry::Removed(removed) => Some(removed),
        _ => None,
    })
}

/// Pages of nothing but zeros at the beginning, in bytes: the space set aside behind a log is skipped fast.
fn leading_zeros(bytes: &[u8]) -> usize {
    let pages = bytes.chunks(PAGE);
    pages.take_while(|page| **page == ZEROS[..page.len()]).map(<[u8]>::len).sum()
}
