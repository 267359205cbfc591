//! The log's open end: where groups are appended, and what makes them durable.
//!
//! Knows nothing of what a group means. Invariant: a frame is written only after the flush of the one before has
//! returned; after a failed flush nothing is appended ever again; what a failed append left is never appended to.

use crate::ids::StoreId;
use crate::seeded::{self, Bug};
use crate::store::error::{DiskResult, failed, is_full};
use crate::store::frame::{FramePlace, Position, Salt};
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::place::Place;
use crate::store::removed::{Chain, Removal, RemovedSegments};
use crate::store::scan::is_medium;
use crate::store::segment::{COPIES, FRAMES, Header, Verdict};
use crate::store::values::{DiskError, SegmentEnd};
use sha2::{Digest, Sha256};
use std::io;

/// Space is set aside in steps of this, which makes the flush of an append cheap.
const PREALLOCATED: u64 = 4 * 1024 * 1024;
/// On a disk that has not that much this is set aside: a later start takes it back for its new segment.
const SPARE: u64 = 128 * 1024;

/// The segment that is appended to.
struct Segment<File> {
    file: File,
    number: u32,
    salt: Salt,
    end: u64,
    room: u64,
}

/// The end of the log.
pub(super) struct Log<F: FileSystem> {
    /// `None` after an append that did not fit: the next group begins a new one.
    segment: Option<Segment<F::File>>,
    /// The greatest number in use.
    newest: u32,
    store: StoreId,
    entropy: [u8; 16],
    /// What the next header says of all before it.
    good: Verdict,
    chain: Chain,
    /// A name has changed that no successful `sync_all` covers yet.
    names_changed: bool,
    /// A segment with groups that was closed, and of which nobody has been told.
    closed: Option<u32>,
    /// Nothing after the last group proves yet that it was flushed, with its block files.
    doubted: bool,
    place: Place,
    /// The time, in milliseconds since 1970; 0 if that is not known.
    now_ms: u64,
}

/// What a start has found.
pub(super) struct Past {
    /// The greatest segment number in use.
    pub(super) newest: u32,
    pub(super) good: Verdict,
    pub(super) chain: Chain,
    /// See `Log::set_time`.
    pub(super) now_ms: u64,
}

impl<F: FileSystem> Log<F> {
    /// The log of a place after what is past; no segment is open yet.
    pub(super) fn new(place: Place, store: StoreId, entropy: [u8; 16], past: Past) -> Self {
        let Past { newest, good, chain, now_ms } = past;
        Self {
            segment: None,
            newest,
            store,
            entropy,
            good,
            chain,
            names_changed: false,
            closed: None,
            doubted: false,
            place,
            now_ms,
        }
    }

    /// The last durable group.
    pub(super) fn last(&self) -> Position {
        self.good.last
    }

    /// Where it ends: in the segment that is open, or where its last group does.
    pub(super) fn end(&self) -> SegmentEnd {
        let Verdict { segment, end, .. } = self.good;
        let open = self.segment.as_ref();
        open.map_or(SegmentEnd { segment, end }, |open| SegmentEnd {
            segment: open.number,
            end: open.end,
        })
    }

    /// From now on it is this time, in milliseconds since 1970, which stands in the headers of new segments; 0 if it is not
    /// known.
    pub(super) fn set_time(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    pub(super) fn doubted(&self) -> bool {
        self.doubted
    }

    /// The next flush must cover names too.
    pub(super) fn name_changed(&mut self) {
        self.names_changed = true;
    }

    /// Begins a new segment, whose header is the verdict on all before it, and makes it durable.
    pub(super) fn begin_segment(&mut self, fs: &F) -> DiskResult<()> {
        self.segment = None;
        let (number, file) = self.create_next(fs)?;
        let salt = self.salt(number);
        let removed = match seeded::is_on(Bug::HeadWithoutRemoved) {
            true => Some(RemovedSegments::default()),
            false => Some(self.chain.removed().clone()),
        };
        let begun_s = u32::try_from(self.now_ms / 1000).unwrap_or(0);
        let header =
            Header { number, store: self.store, salt, before: self.good, begun_s, removed };
        let path = layout::segment(number);
        write_header(fs, &file, &header).map_err(|error| {
            let _ = fs.remove(&path);
            failed("beginning", &path, &error)
        })?;
        if self.good.segment == self.newest && self.newest != 0 {
            self.closed = Some(self.newest);
        }
        self.newest = number;
        if !seeded::is_on(Bug::SkipVerdict) {
            flush_all(fs, &file).map_err(|error| failed("flushing", &path, &error).hard())?;
        }
        self.names_changed = false;
        self.doubted = false;
        self.chain.begin(&header);
        self.segment = Some(Segment { file, number, salt, end: FRAMES, room: FRAMES });
        Ok(())
    }

    /// The file of the next number whose name is free: nothing else that has such a name is touched.
    fn create_next(&self, fs: &F) -> DiskResult<(u32, F::File)> {
        let mut number = self.newest;
        loop {
            number = number.checked_add(1).ok_or_else(|| {
                DiskError::Failed("the log has used up all segment numbers".to_owned())
            })?;
            let path = layout::segment(number);
            match fs.create(&path) {
                Ok(file) => return Ok((number, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("beginning", &path, &error)),
            }
        }
    }

    /// Differs from segment to segment, and nobody outside can know it.
    fn salt(&self, number: u32) -> Salt {
        let mut hasher = Sha256::new();
        hasher.update(b"dfsd segment salt 1");
        hasher.update(self.entropy);
        hasher.update(number.to_be_bytes());
        let digest = hasher.finalize();
        std::array::from_fn(|index| digest[index])
    }

    /// Sees to it that a frame of this length has a segment and, as far as the disk can tell, room; says where it goes.
    pub(super) fn make_room(
        &mut self,
        fs: &F,
        length: usize,
        segment_max: u64,
    ) -> DiskResult<FramePlace> {
        if self.segment.as_ref().is_none_or(|open| open.end >= segment_max) {
            self.begin_segment(fs)?;
        }
        let last = self.good.last;
        let segment = self.segment.as_mut().expect("it was begun above");
        let end = segment.end + length as u64;
        if end > segment.room {
            // A segment does not grow past its size by more than a group.
            let ample = end.next_multiple_of(PREALLOCATED).min(segment_max.max(end));
            segment
                .grow(fs, end, ample)
                .map_err(|error| failed("growing", &layout::segment(segment.number), &error))?;
        }
        Ok(FramePlace { segment: segment.number, offset: segment.end, salt: segment.salt, last })
    }

    /// Writes a frame made for the place that `make_room` told. If it does not fit the segment is closed.
    pub(super) fn append(&mut self, fs: &F, frame: &[u8]) -> DiskResult<()> {
        let segment = self.segment.take().expect("make_room has seen to it");
        fs.write_at(&segment.file, segment.end, frame)
            .map_err(|error| failed("appending to", &layout::segment(segment.number), &error))?;
        self.segment = Some(segment);
        Ok(())
    }

    /// The one flush of a group: of everything if a name has changed, else of the log alone; and a look whether what was
    /// flushed still has a name.
    pub(super) fn flush(&mut self, fs: &F) -> DiskResult<()> {
        if seeded::is_on(Bug::SkipFlush) {
            return Ok(());
        }
        let segment = self.segment.as_ref().expect("append has written to it");
        let all = self.names_changed && !seeded::is_on(Bug::FlushLogAlone);
        let flushed = if all { flush_all(fs, &segment.file) } else { fs.sync_file(&segment.file) };
        flushed
            .or_else(|error| if seeded::is_on(Bug::IgnoreFlushError) { Ok(()) } else { Err(error) })
            .map_err(|error| failed("flushing", &layout::segment(segment.number), &error).hard())?;
        self.names_changed = false;
        self.place.check(fs, &layout::segment(segment.number), &segment.file)
    }

    /// The segment that was closed since this was last asked, if one was.
    pub(super) fn take_closed(&mut self) -> Option<u32> {
        self.closed.take()
    }

    /// Where a segment ends to which nothing is appended any more; `None` if that is not said, or it is the open one.
    pub(super) fn closed_end(&self, number: u32) -> Option<u64> {
        self.chain.end(number)
    }

    /// What of these segments may go, if anything.
    pub(super) fn removal(&self, numbers: &[u32]) -> Option<Removal> {
        self.chain.removal(numbers)
    }

    /// See `Chain::give_up_missing`.
    pub(super) fn give_up_missing(&mut self) {
        self.chain.give_up_missing();
    }

    /// It is durable that they are gone.
    pub(super) fn remove(&mut self, removal: Removal) {
        self.chain.remove(removal);
    }

    /// The frame of this length is durable, and with it the log stands at `position`.
    pub(super) fn flushed(&mut self, length: usize, position: Position, doubted: bool) {
        let segment = self.segment.as_mut().expect("append has written to it");
        segment.end += length as u64;
        self.good = Verdict { segment: segment.number, end: segment.end, last: position };
        self.doubted = doubted;
    }
}

impl<File> Segment<File> {
    /// Sets space aside: ample, or on a disk that is nearly full some, or just enough, so that the last of it serves
    /// deletions.
    fn grow<F: FileSystem<File = File>>(&mut self, fs: &F, end: u64, ample: u64) -> io::Result<()> {
        for room in [ample, ample.min(end + SPARE), end] {
            match fs.preallocate(&self.file, room) {
                Ok(()) => {
                    self.room = room;
                    return Ok(());
                }
                Err(error) if is_full(&error) && room > end => {}
                Err(error) if is_full(&error) || is_medium(&error) => return Err(error),
                // It cannot be done here, or not now: the write itself says whether there is room.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }
}

/// The id of a new life of the log. Peers learn it, so it must not tell the entropy.
pub(super) fn store_id(entropy: [u8; 16]) -> StoreId {
    let mut hasher = Sha256::new();
    hasher.update(b"dfsd store id 1");
    hasher.update(entropy);
    let digest = hasher.finalize();
    StoreId(std::array::from_fn(|index| digest[index]))
}

/// Flushes everything, and the log once more: older kernels tell of a failed flush, and of a journal that has ended, only
/// where a file is flushed.
fn flush_all<F: FileSystem>(fs: &F, log: &F::File) -> io::Result<()> {
    fs.sync_all()?;
    if seeded::is_on(Bug::SkipLogFlushAfterSync) { Ok(()) } else { fs.sync_file(log) }
}

fn write_header<F: FileSystem>(fs: &F, file: &F::File, header: &Header) -> io::Result<()> {
    let bytes = header.encode();
    COPIES.into_iter().try_for_each(|at| fs.write_at(file, at, &bytes))
}
