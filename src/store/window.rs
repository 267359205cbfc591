//! A window over a file: what is read forward, a piece at a time, however long the file is.
//!
//! Knows nothing of frames but how they begin. Invariant: a bad sector costs the page around it, which reads as zeros.

use crate::store::frame::MAGIC;
use crate::store::fs::FileSystem;
use std::io;

/// Bytes that are read at once.
const READ: usize = 1024 * 1024;
/// What is read singly, and taken for zeros where the disk cannot read it.
const PAGE: usize = 4096;

/// A file, read forward through a buffer.
pub(super) struct Window<'a, F: FileSystem> {
    fs: &'a F,
    file: &'a F::File,
    start: u64,
    bytes: Vec<u8>,
    /// Bytes that are read at once.
    at_once: usize,
}

impl<'a, F: FileSystem> Window<'a, F> {
    pub(super) fn new(fs: &'a F, file: &'a F::File) -> Self {
        Self::by(fs, file, READ)
    }

    pub(super) fn by(fs: &'a F, file: &'a F::File, at_once: usize) -> Self {
        Self { fs, file, start: 0, bytes: Vec::new(), at_once }
    }

    /// The bytes from `offset` on: `length` of them, or fewer at the end of the file.
    pub(super) fn read(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
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

    /// Of the file.
    pub(super) fn length(&self) -> io::Result<u64> {
        self.fs.length(self.file)
    }

    /// Where the next frame may begin, at or after `from`; `limit` if nowhere.
    pub(super) fn next_magic(&mut self, mut from: u64, limit: u64) -> io::Result<u64> {
        let at_once = self.at_once;
        while from < limit {
            let bytes = self.read(from, at_once)?;
            let zeros = leading_zeros(bytes);
            if zeros > 0 {
                from += zeros as u64;
                continue;
            }
            if let Some(at) = bytes.windows(MAGIC.len()).position(|four| four == MAGIC) {
                return Ok(from + at as u64);
            }
            if bytes.len() < at_once {
                break;
            }
            from += (at_once - MAGIC.len() + 1) as u64;
        }
        Ok(limit)
    }
}

/// Whether the medium, not the circumstances, made the call fail.
pub(super) fn is_medium(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Pages of nothing but zeros at the beginning, in bytes: the space set aside behind a log is skipped fast.
fn leading_zeros(bytes: &[u8]) -> usize {
    const ZEROS: [u8; PAGE] = [0; PAGE];
    let pages = bytes.chunks(PAGE);
    pages.take_while(|page| **page == ZEROS[..page.len()]).map(<[u8]>::len).sum()
}
