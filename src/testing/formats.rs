//! The formats of the log and of block files without a disk, for tests that read any bytes.
//!
//! Knows no more than the readers, to which it is a door; recovery does not come through here.

use crate::ids::Address;
use crate::store::fs::FileSystem;
use crate::store::scan::{Scan, Window};
use crate::store::values::LogEntry;
use crate::store::{block_file, frame, segment};
use std::io;

/// Where in a segment the first frame begins.
pub const FRAMES: u64 = segment::FRAMES;

/// The header among the first bytes of segment `number`, encoded anew. None also for one whose list of removed segments
/// is damaged: such a one is read and never written.
#[must_use]
pub fn header(bytes: &[u8], number: u32) -> Option<Vec<u8>> {
    match segment::Parsed::first(segment::Header::parse_both(bytes, number)) {
        segment::Parsed::Header(header) => header.removed.is_some().then(|| header.encode()),
        segment::Parsed::Newer(_) | segment::Parsed::Bad => None,
    }
}

/// What is in the frame that stands at `offset` of a segment with this salt.
#[must_use]
pub fn frame(bytes: &[u8], salt: &[u8; 16], offset: u64) -> Option<Vec<LogEntry>> {
    let head = frame::Head::parse(bytes, salt, offset)?;
    let body = head.fits(&bytes[frame::HEAD..])?;
    frame::decode(body, 1, offset + frame::HEAD as u64)
}

/// What was seen of a whole segment.
#[derive(Debug, Default)]
pub struct Seen {
    /// Where each good frame begins and ends.
    pub frames: Vec<(u64, u64)>,
    /// What they hold.
    pub found: Vec<LogEntry>,
    /// What is damaged.
    pub damaged: Vec<std::ops::Range<u64>>,
}

/// Reads a segment from its first frame on, by pieces of `at_once` bytes or more.
pub fn scan<F: FileSystem>(
    fs: &F,
    file: &F::File,
    salt: [u8; 16],
    end: Option<u64>,
    at_once: usize,
) -> io::Result<Seen> {
    let window = Window::by(fs, file, at_once);
    let mut seen = Seen::default();
    let scanned = Scan { window, segment: 1, salt, end }.run(&mut |good| {
        seen.frames.push((good.start, good.end));
        seen.found.extend(good.found);
    })?;
    seen.damaged = scanned.damaged;
    Ok(seen)
}

/// The end of the file of a block with this length and address, encoded anew.
#[must_use]
pub fn footer(bytes: &[u8], length: u32, address: &Address) -> Option<Vec<u8>> {
    let leaves = block_file::parse(bytes, length, address)?;
    Some(block_file::footer(length, &leaves))
}
