//! What is held: every block and page that the log says is here is hashed.
//!
//! Invariant: one block or page is in memory at a time; what is bad is told of once, and counts as lost from then on.

use super::finding::Report;
use super::inventory::Inventory;
use crate::crypto::tree;
use crate::ids::Address;
use crate::store::OpenError;
use crate::store::block_file;
use crate::store::blocks::{self, ReadFault, retry_once};
use crate::store::error::failed;
use crate::store::fs::{FileSystem, Reader};
use crate::store::layout;
use crate::store::values::{BlockPlace, LogPlace};
use crate::wire::page::Page;
use bytes::Bytes;

const AGAIN: &str = "run `dfsd check --rebuild`, then start dfsd: it fetches them from its peers";
const UNREADABLE: &str = "the files that need it cannot be read from here";

/// What was hashed.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) blocks: u64,
    pub(super) pages: u64,
    pub(super) bytes: u64,
}

/// Hashes all of it; what is bad leaves the inventory.
pub(super) fn verify<F: FileSystem>(
    fs: &F,
    inventory: &mut Inventory,
    report: &mut Report<'_>,
) -> Result<Held, OpenError> {
    let mut hashing = Hashing { fs, report, buffer: Vec::new(), held: Held::default() };
    for (address, place) in inventory.blocks() {
        hashing.held.blocks += 1;
        let is_good = match place {
            BlockPlace::Tree { length } => hashing.file(&address, length)?,
            BlockPlace::Log(place) => hashing.item(&address, place, "small block")?,
        };
        if !is_good {
            inventory.lose_block(&address);
        }
    }
    for (address, place) in inventory.pages() {
        hashing.held.pages += 1;
        if !hashing.item(&address, place, "page")? {
            inventory.lose_page(&address);
        }
    }
    Ok(hashing.held)
}

/// An item of the log, if its place has one and its sum is right.
pub(super) fn read_item<F: FileSystem>(
    fs: &F,
    place: LogPlace,
) -> Result<Option<([u8; 32], Bytes)>, OpenError> {
    let path = layout::segment(place.segment);
    match retry_once(|| blocks::read_item(&Reader::patient(fs), &fs.open(&path)?, place)) {
        Ok(item) => Ok(Some(item)),
        Err(ReadFault::Gone | ReadFault::Damaged) => Ok(None),
        Err(ReadFault::Io(error)) => Err(failed("reading", &path, &error).into()),
    }
}

struct Hashing<'a, 'r, F> {
    fs: &'a F,
    report: &'a mut Report<'r>,
    buffer: Vec<u8>,
    held: Held,
}

impl<F: FileSystem> Hashing<'_, '_, F> {
    /// Whether a block's file is good.
    fn file(&mut self, address: &Address, length: u32) -> Result<bool, OpenError> {
        let path = layout::block(address);
        let what = match retry_once(|| blocks::verify(self.fs, address, length, &mut self.buffer)) {
            Ok(()) => {
                self.held.bytes += u64::from(length);
                self.report.advance(u64::from(length));
                return Ok(true);
            }
            Err(ReadFault::Gone) => "missing, and the log says that it is here".to_owned(),
            Err(ReadFault::Damaged) => diagnose(self.fs, address, length, &mut self.buffer),
            Err(ReadFault::Io(error)) => return Err(failed("reading", &path, &error).into()),
        };
        let means = "the files that need this block cannot be read from here";
        self.report.damage(path, what, means, AGAIN);
        Ok(false)
    }

    /// Whether a small block or a page is good.
    fn item(&mut self, address: &Address, place: LogPlace, kind: &str) -> Result<bool, OpenError> {
        let found = read_item(self.fs, place)?;
        let sound = found.filter(|(id, bytes)| *id == address.0 && tree::tree(bytes).0 == *id);
        let what = match sound {
            Some((_, bytes)) if kind == "page" && Page::decode(&bytes).is_err() => "is no page",
            Some((_, bytes)) => {
                self.held.bytes += bytes.len() as u64;
                return Ok(true);
            }
            None => "is not what its name says",
        };
        let path = layout::segment(place.segment);
        let what = format!("{kind} {address} at {} {what}", place.offset);
        self.report.damage(path, what, UNREADABLE, AGAIN);
        Ok(false)
    }
}

/// Which part of a bad block file is bad; `data` has what could be read of its leaves.
fn diagnose<F: FileSystem>(fs: &F, address: &Address, length: u32, data: &mut [u8]) -> String {
    let leaves = block_file::leaf_count(length).unwrap_or(0);
    let footer_length = block_file::footer_length(leaves);
    let expected = u64::from(length) + footer_length as u64;
    let Ok(file) = fs.open(&layout::block(address)) else {
        return "it cannot be read".to_owned();
    };
    let found = fs.length(&file).unwrap_or(0);
    if found != expected {
        return format!("{found} bytes long, and should be {expected}");
    }
    let mut footer = vec![0; footer_length];
    let read = fs.read_at(&file, u64::from(length), &mut footer);
    let sound = read.ok().and_then(|_| block_file::parse(&footer, length, address));
    let Some(sound) = sound else {
        return "the leaf hashes or the trailer at its end are bad".to_owned();
    };
    let read = fs.read_at(&file, 0, data);
    let found = tree::leaf_hashes(data);
    let bad = sound.iter().zip(&found).position(|(sound, found)| sound != found);
    match (read, bad) {
        (Ok(_), Some(leaf)) => {
            format!("its content is not what its name says: leaf {leaf} of {leaves} is bad")
        }
        (_, _) => "its content cannot be read".to_owned(),
    }
}
