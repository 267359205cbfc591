//! Claims: what the segments that are here say of those that are gone on purpose, and which of that is believed.
//!
//! The set only grows, so all that is believed is put together: of every header, and of frames where no later header has
//! them. Anybody may have put a segment of another log here, under a number beyond all others. Knows what stands in `log/`,
//! and changes nothing. Invariant: that something is gone which is here is believed only of a segment that continues this
//! log: the one before it holds the group that its header names, or is gone on purpose itself.

use crate::store::error::{DiskResult, failed};
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::removed::RemovedSegments;
use crate::store::scan::{Scan, Window};
use crate::store::segment::{Header, Verdict};
use std::collections::BTreeSet;
use std::io;

/// Bytes that are read at once: heads of frames, which lie apart.
const HEADS_READ: usize = 4096;

/// See the module.
pub(super) struct Claims<'a, F> {
    fs: &'a F,
    /// Oldest first.
    headers: Vec<Header>,
    /// Numbers of all segments that are here, also of those without a header.
    here: BTreeSet<u32>,
    claimed: Claimed,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Claimed {
    pub(super) removed: RemovedSegments,
    /// Segments that say what is not believed.
    pub(super) doubted: Vec<u32>,
}

impl<'a, F: FileSystem> Claims<'a, F> {
    pub(super) fn new(fs: &'a F, headers: Vec<Header>, here: BTreeSet<u32>) -> Self {
        Self { fs, headers, here, claimed: Claimed::default() }
    }

    /// Goes through all segments, oldest first.
    pub(super) fn judge(mut self) -> DiskResult<Claimed> {
        let headers = std::mem::take(&mut self.headers);
        for (at, header) in headers.iter().enumerate() {
            let known = &headers[..];
            if let Some(set) = &header.removed {
                self.claim(known, header, set)?;
            }
            let next = headers.get(at + 1);
            // An earlier start could not read it, say. What its groups brought is void, so nothing goes for its word alone.
            let is_passed = next.is_some_and(|next| next.before.segment < header.number);
            if (is_passed || next.is_none_or(|next| next.removed.is_none()))
                && let Some(set) = self.said_in_frames(header)?
                && (!is_passed || !self.is_here(&set))
            {
                self.claim(known, header, &set)?;
            }
        }
        Ok(self.claimed)
    }

    fn claim(
        &mut self,
        known: &[Header],
        header: &Header,
        set: &RemovedSegments,
    ) -> DiskResult<()> {
        if set.contains(header.number) || self.claimed.removed.has_all(set) {
            return Ok(());
        }
        let takes_away = self.is_here(set);
        let is_alone = known.len() == 1;
        let is_ours = !takes_away && (is_alone || has_kin(known, header))
            || self.continues(known, header, set)?;
        if !(is_ours && self.claimed.removed.unite(set)) && takes_away {
            self.claimed.doubted.push(header.number);
        }
        Ok(())
    }

    /// Whether something is here that would be gone by this set, and is not by the others.
    fn is_here(&self, set: &RemovedSegments) -> bool {
        let removed = &self.claimed.removed;
        self.here.iter().any(|number| set.contains(*number) && !removed.contains(*number))
    }

    /// What the last good frame of a segment says that is about this.
    fn said_in_frames(&self, header: &Header) -> DiskResult<Option<RemovedSegments>> {
        self.scan(header, |scan| scan.newest_removed())
    }

    fn continues(
        &self,
        known: &[Header],
        header: &Header,
        set: &RemovedSegments,
    ) -> DiskResult<bool> {
        let Verdict { segment, end, last } = header.before;
        if segment == 0 {
            return Ok(false);
        }
        match known.iter().find(|before| before.number == segment) {
            Some(before) => self.scan(before, |scan| scan.has_group(last, end)),
            // It may be one of those that went together, of which the others have stayed behind.
            None => Ok(self.claimed.removed.contains(segment)
                || set.contains(segment) && has_kin(known, header)),
        }
    }

    fn scan<T>(
        &self,
        header: &Header,
        read: impl FnOnce(Scan<'_, F>) -> io::Result<T>,
    ) -> DiskResult<T> {
        let Header { number: segment, salt, .. } = *header;
        let path = layout::segment(segment);
        let file = self.fs.open(&path);
        let read = file.and_then(|file| {
            // Of most frames only the heads are looked at.
            let window = Window::by(self.fs, &file, HEADS_READ);
            read(Scan { window, segment, salt, end: None })
        });
        read.map_err(|error| failed("reading", &path, &error))
    }
}

/// Whether another segment is of the same life of the log.
fn has_kin(known: &[Header], header: &Header) -> bool {
    let mut others = known.iter().filter(|other| other.number != header.number);
    others.any(|other| other.store == header.store)
}
