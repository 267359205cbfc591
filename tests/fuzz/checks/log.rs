//! The log: headers, frames and whole segments.
//!
//! Knows the format a second time, to make checksums right. Invariant: a segment reads the same
//! however much of it is read at once.

use super::meter::within;
use dfsd::store::fs::{DiskSpace, FileSystem, Identity};
use dfsd::testing::formats;
use std::io;

const HEADER: usize = 80;
const HEAD: usize = 32;
const ITEM: usize = 41;
const SALT: [u8; 16] = [6; 16];

pub(super) fn log(data: &[u8]) {
    header(data);
    frame(data);
    let Some((end, frames)) = data.split_first() else {
        return;
    };
    let mut segment = vec![0; formats::FRAMES as usize];
    segment.extend(frames);
    sound(&mut segment);
    scan(&segment, *end);
}

/// The header as it is, and with its checksums made right.
fn header(data: &[u8]) {
    let Some(own) = data.first_chunk::<HEADER>() else {
        return;
    };
    let number = u32::from_be_bytes([own[12], own[13], own[14], own[15]]);
    let mut sound = data.to_vec();
    let check = crc32c::crc32c(&own[..HEADER - 4]);
    set_word(&mut sound, HEADER - 4, check);
    if sound.len() >= HEADER + 8 {
        // A mark, how many follow, and each of them.
        let end = HEADER + 8 + word(&sound, HEADER + 4) as usize * 16;
        if end + 4 <= sound.len() {
            let check = crc32c::crc32c(&sound[..end]);
            set_word(&mut sound, end, check);
        }
    }
    for bytes in [data, &sound] {
        if let Some(again) = within(bytes.len(), || formats::header(bytes, number)) {
            assert!(formats::header(&again, number).as_ref() == Some(&again), "it comes back");
        }
    }
}

/// The beginning as a frame at a segment's first place.
fn frame(data: &[u8]) {
    let mut segment = vec![0; formats::FRAMES as usize];
    segment.extend(data);
    sound(&mut segment);
    let frame = &segment[formats::FRAMES as usize..];
    let _ = within(data.len(), || formats::frame(data, &SALT, formats::FRAMES));
    let _ = within(data.len(), || formats::frame(frame, &SALT, formats::FRAMES));
}

fn scan(segment: &Vec<u8>, end: u8) {
    let length = segment.len() as u64;
    // Where a later segment says that this one ends: nowhere, at its end, before it, beyond it.
    let end = match end {
        0..64 => None,
        64..128 => Some(length),
        128..192 => Some(length.saturating_sub(u64::from(end - 128))),
        192.. => Some(length + u64::from(end - 192) * 64),
    };
    let read = |at_once| {
        let read = || formats::scan(&Memory, segment, SALT, end, at_once);
        within(segment.len(), read).expect("memory can be read")
    };
    let seen = read(4096);
    let again = read(37);
    assert!(seen.frames == again.frames && seen.found == again.found, "frames differ");
    assert!(seen.damaged == again.damaged, "damage differs");
    let mut at = formats::FRAMES;
    let mut pieces: Vec<_> = seen.frames.clone();
    pieces.extend(seen.damaged.iter().map(|range| (range.start, range.end)));
    pieces.sort_unstable();
    for (start, stop) in pieces {
        assert!(start >= at && stop > start, "pieces overlap");
        at = stop;
    }
    assert!(at == formats::FRAMES || at <= end.unwrap_or(length), "beyond the end");
    let found = seen.frames.iter().map(|(start, _)| {
        let frame = formats::frame(&segment[*start as usize..], &SALT, *start);
        frame.expect("a frame that was seen is one").len()
    });
    assert!(found.sum::<usize>() == seen.found.len());
}

/// Makes lengths and checksums right, unless the head's four spare bytes say otherwise.
fn sound(segment: &mut [u8]) {
    let mut at = formats::FRAMES as usize;
    while at + HEAD + 4 <= segment.len() {
        if !segment[at..].starts_with(b"dfsG") {
            at += 1;
            continue;
        }
        let flags = segment[at + 27];
        let room = segment.len() - at - HEAD - 4;
        let body = word(segment, at + 4) as usize;
        let body = if body <= room { body } else { body % (room + 1) };
        set_word(segment, at + 4, body as u32);
        let (from, to) = (at + HEAD, at + HEAD + body);
        if flags & 1 == 0 {
            items(&mut segment[from..to]);
        }
        if flags & 2 == 0 {
            let check = crc32c::crc32c(&segment[from..to]);
            set_word(segment, at + 20, check);
        }
        if flags & 4 == 0 {
            segment[to..to + 4].copy_from_slice(b"done");
        }
        if flags & 8 == 0 {
            let check = crc32c::crc32c(&SALT);
            let check = crc32c::crc32c_append(check, &(at as u64).to_be_bytes());
            let check = crc32c::crc32c_append(check, &segment[at..at + HEAD - 4]);
            set_word(segment, at + HEAD - 4, check);
        }
        at = to + 4;
    }
}

fn items(body: &mut [u8]) {
    let mut at = 0;
    while at + ITEM <= body.len() {
        let room = body.len() - at - ITEM;
        let length = word(body, at + 33) as usize;
        let length = if length <= room { length } else { length % (room + 1) };
        set_word(body, at + 33, length as u32);
        let check = crc32c::crc32c(&body[at..at + 37]);
        let check = crc32c::crc32c_append(check, &body[at + ITEM..at + ITEM + length]);
        set_word(body, at + 37, check);
        at += ITEM + length;
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn set_word(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
}

/// Files that are bytes, and can only be read.
struct Memory;

fn refused<T>() -> io::Result<T> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

impl FileSystem for Memory {
    type File = Vec<u8>;

    fn read_at(&self, file: &Vec<u8>, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
        let count = bytes.len().min(file.len() - at);
        bytes[..count].copy_from_slice(&file[at..at + count]);
        Ok(count)
    }

    fn length(&self, file: &Vec<u8>) -> io::Result<u64> {
        Ok(file.len() as u64)
    }

    fn lock(&self, _: &str) -> io::Result<bool> {
        refused()
    }
    fn create(&self, _: &str) -> io::Result<Vec<u8>> {
        refused()
    }
    fn open(&self, _: &str) -> io::Result<Vec<u8>> {
        refused()
    }
    fn reopen(&self, _: &str) -> io::Result<Vec<u8>> {
        refused()
    }
    fn write_at(&self, _: &Vec<u8>, _: u64, _: &[u8]) -> io::Result<()> {
        refused()
    }
    fn rewrite(&self, _: &str, _: u64, _: &[u8]) -> io::Result<()> {
        refused()
    }
    fn preallocate(&self, _: &Vec<u8>, _: u64) -> io::Result<()> {
        refused()
    }
    fn truncate(&self, _: &str, _: u64) -> io::Result<()> {
        refused()
    }
    fn sync_file(&self, _: &Vec<u8>) -> io::Result<()> {
        refused()
    }
    fn sync_folder(&self, _: &str) -> io::Result<()> {
        refused()
    }
    fn sync_all(&self) -> io::Result<()> {
        refused()
    }
    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        refused()
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        refused()
    }
    fn list(&self, _: &str) -> io::Result<Vec<String>> {
        refused()
    }
    fn make_folder(&self, _: &str) -> io::Result<()> {
        refused()
    }
    fn identify(&self, _: &str) -> io::Result<Identity> {
        refused()
    }
    fn identify_file(&self, _: &Vec<u8>) -> io::Result<Identity> {
        refused()
    }
    fn space(&self) -> io::Result<DiskSpace> {
        refused()
    }
}
