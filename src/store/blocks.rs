//! Reading block files and items of the log, and telling what is gone from what is damaged.
//!
//! Changes nothing on the disk. Invariant: `ReadFault::Damaged` is said only of bytes, never because descriptors or
//! memory ran out.

use crate::crypto::tree;
use crate::ids::{Address, Hash};
use crate::limits::LEAF;
use crate::seeded::{self, Bug};
use crate::store::block_file::{self, TRAILER, footer_length, leaf_count, parse};
use crate::store::error::failed;
use crate::store::frame::{ITEM_HEAD, Item};
use crate::store::fs::{FileSystem, Reader};
use crate::store::layout;
use crate::store::scan::is_medium;
use crate::store::values::{LeafRange, LeavesRead, LogPlace, ReadError};
use bytes::Bytes;
use std::io;

/// Why something could not be read.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// It is not there.
    Gone,
    /// It is there, and bad.
    Damaged,
    /// Something else failed; nothing is known of it.
    Io(io::Error),
}

impl From<io::Error> for ReadFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            // Something else has the file's name.
            io::ErrorKind::IsADirectory | io::ErrorKind::NotSeekable => Self::Damaged,
            _ if is_medium(&error) => Self::Damaged,
            _ => Self::Io(error),
        }
    }
}

impl ReadFault {
    /// What the core is told.
    pub(crate) fn tell(self, path: &str) -> ReadError {
        match self {
            Self::Gone => ReadError::Gone,
            Self::Damaged => ReadError::Damaged,
            Self::Io(error) => ReadError::Disk(failed("reading", path, &error).hard()),
        }
    }
}

/// Damage is believed when it is seen twice: what is damaged is given up, and a read may fail for once.
pub(crate) fn retry_once<T>(
    mut read: impl FnMut() -> Result<T, ReadFault>,
) -> Result<T, ReadFault> {
    match read() {
        Err(ReadFault::Damaged) => read(),
        result => result,
    }
}

/// A block file whose structure is sound; its ciphertext has not been looked at.
struct Opened<File> {
    file: File,
    leaves: Vec<Hash>,
}

fn open_block<F: FileSystem>(
    reader: &Reader<'_, F>,
    address: &Address,
    length: u32,
) -> Result<Opened<F::File>, ReadFault> {
    let file = reader.open(&layout::block(address))?;
    let footer_length = leaf_count(length).map(footer_length).ok_or(ReadFault::Damaged)?;
    if reader.length(&file)? != u64::from(length) + footer_length as u64 {
        return Err(ReadFault::Damaged);
    }
    let footer = read(reader, &file, u64::from(length), footer_length)?;
    let leaves = parse(&footer, length, address).ok_or(ReadFault::Damaged)?;
    Ok(Opened { file, leaves })
}

/// How long a block is by the end of its file; whether that is so, hashing it tells.
pub(crate) fn stated_length<F: FileSystem>(fs: &F, address: &Address) -> Result<u32, ReadFault> {
    let file = Reader::patient(fs).open(&layout::block(address))?;
    let at = fs.length(&file)?.checked_sub(TRAILER as u64).ok_or(ReadFault::Damaged)?;
    let trailer = fs.read(&file, at, TRAILER)?;
    let trailer = trailer.as_slice().try_into().map_err(|_| ReadFault::Damaged)?;
    Ok(block_file::stated_length(trailer))
}

/// So many bytes, all of them.
fn read<F: FileSystem>(
    reader: &Reader<'_, F>,
    file: &F::File,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>, ReadFault> {
    let bytes = reader.read(file, offset, length)?;
    if bytes.len() < length { Err(ReadFault::Damaged) } else { Ok(bytes) }
}

fn fill<F: FileSystem>(
    fs: &F,
    file: &F::File,
    offset: u64,
    bytes: &mut [u8],
) -> Result<(), ReadFault> {
    if fs.read_at(file, offset, bytes)? < bytes.len() {
        return Err(ReadFault::Damaged);
    }
    Ok(())
}

/// Reads a run of leaves of a block file, without hashing them. Leaves that the block does not have are gone.
pub(crate) fn read_leaves<F: FileSystem>(
    reader: &Reader<'_, F>,
    address: &Address,
    length: u32,
    leaves: LeafRange,
) -> Result<LeavesRead, ReadFault> {
    let block = open_block(reader, address, length)?;
    let range = byte_range(length, leaves).ok_or(ReadFault::Gone)?;
    let bytes = read(reader, &block.file, range.start as u64, range.len())?;
    Ok(LeavesRead { length, leaves: block.leaves, chunks: chunks(&Bytes::from(bytes)) })
}

/// A run of leaves of a block that lies in memory.
pub(crate) fn leaves_of(block: &Bytes, leaves: LeafRange) -> Result<LeavesRead, ReadFault> {
    let length = u32::try_from(block.len()).map_err(|_| ReadFault::Damaged)?;
    let range = byte_range(length, leaves).ok_or(ReadFault::Gone)?;
    Ok(LeavesRead { length, leaves: tree::leaf_hashes(block), chunks: chunks(&block.slice(range)) })
}

fn byte_range(
    length: u32,
    LeafRange { first, count }: LeafRange,
) -> Option<std::ops::Range<usize>> {
    let leaves = leaf_count(length)?;
    let first = if seeded::is_on(Bug::ReadFromFirst) { 0 } else { first };
    let end = usize::from(first) + usize::from(count);
    let length = usize::try_from(length).ok()?;
    (end <= leaves && count > 0).then(|| usize::from(first) * LEAF..length.min(end * LEAF))
}

fn chunks(run: &Bytes) -> Vec<Bytes> {
    (0..run.len()).step_by(LEAF).map(|at| run.slice(at..run.len().min(at + LEAF))).collect()
}

/// Hashes a whole block file; `buffer` is reused from block to block.
pub(crate) fn verify<F: FileSystem>(
    fs: &F,
    address: &Address,
    length: u32,
    buffer: &mut Vec<u8>,
) -> Result<(), ReadFault> {
    let block = open_block(&Reader::patient(fs), address, length)?;
    buffer.resize(usize::try_from(length).map_err(|_| ReadFault::Damaged)?, 0);
    fill(fs, &block.file, 0, buffer)?;
    if tree::leaf_hashes(buffer) == block.leaves { Ok(()) } else { Err(ReadFault::Damaged) }
}

/// The bytes of an item, out of those of its segment from `start` on. None if they are not all there, or not good.
pub(crate) fn item_in(bytes: &[u8], start: u64, place: LogPlace) -> Option<&[u8]> {
    let at = u64::from(place.offset).checked_sub(ITEM_HEAD as u64)?.checked_sub(start)?;
    let length = usize::try_from(place.length).ok()?;
    let at = usize::try_from(at).ok()?;
    let item = Item::parse(bytes.get(at..at.checked_add(ITEM_HEAD + length)?)?)?;
    (item.bytes.len() == length).then_some(item.bytes)
}

/// Reads an item of the log and checks its CRC: its id and its bytes.
pub(crate) fn read_item<F: FileSystem>(
    reader: &Reader<'_, F>,
    file: &F::File,
    place: LogPlace,
) -> Result<([u8; 32], Bytes), ReadFault> {
    let length = usize::try_from(place.length).map_err(|_| ReadFault::Gone)?;
    let start = u64::from(place.offset).checked_sub(ITEM_HEAD as u64).ok_or(ReadFault::Gone)?;
    let bytes = read(reader, file, start, ITEM_HEAD + length)?;
    let item = Item::parse(&bytes).ok_or(ReadFault::Damaged)?;
    if item.bytes.len() != length {
        return Err(ReadFault::Damaged);
    }
    let id = item.id;
    Ok((id, Bytes::from(bytes).slice(ITEM_HEAD..)))
}
