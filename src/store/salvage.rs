//! What is good all the same within a damaged range of a segment: small blocks whose frame can't be read, one by one.
//!
//! Knows nothing of groups. Invariant: only what its hash proves is handed on, as these bytes may have been composed by
//! whoever could store a block; records, pages and the names of block files come from peers.

use crate::crypto::tree;
use crate::limits::{FRAME_BODY_MAX, LOG_BLOCK_MAX};
use crate::planted::{self, Bug};
use crate::store::frame::{self, ITEM_HEAD, Item};
use crate::store::fs::FileSystem;
use crate::store::job::{BlockPlace, Found};
use crate::store::window::Window;
use std::io;

/// Bytes of the longest item: a small block, a page or a record.
const ITEM_MAX: usize = if LOG_BLOCK_MAX > FRAME_BODY_MAX { LOG_BLOCK_MAX } else { FRAME_BODY_MAX };
/// Places of one range at which something that is not an item is gone over.
const TRIES: usize = 4096;

/// A damaged range that is read once more.
pub(super) struct Salvage<'a, 'b, F: FileSystem> {
    pub(super) window: &'a mut Window<'b, F>,
    pub(super) segment: u32,
    /// Where the range ends.
    pub(super) end: u64,
}

/// An item whose check sum is right.
struct Sound {
    found: Option<Found>,
    /// Where it ends.
    end: u64,
}

impl<F: FileSystem> Salvage<'_, '_, F> {
    /// Hands on what is good from `start` on, where a frame began; how many things that were.
    pub(super) fn run(mut self, start: u64, mut each: impl FnMut(Found)) -> io::Result<u64> {
        let (mut at, mut saved, mut tries) = (start, 0, TRIES);
        while at < self.end && tries > 0 {
            match self.item(at)? {
                Some(Sound { found, end }) => {
                    at = end;
                    saved += u64::from(found.is_some());
                    found.into_iter().for_each(&mut each);
                }
                None => {
                    tries -= 1;
                    at = self.behind(at)?;
                }
            }
        }
        Ok(saved)
    }

    /// Where the next item may begin, if none does at `at`: behind a head, or behind an end mark and the next head; behind
    /// an item there of which only the bytes are rotten; or behind a head further on.
    fn behind(&mut self, at: u64) -> io::Result<u64> {
        const HEAD: u64 = frame::HEAD as u64;
        const TAIL: u64 = frame::TAIL as u64;
        for from in [at, at + HEAD, at + TAIL + HEAD] {
            let over = self.item_end(from)?.into_iter().flat_map(|end| [end, end + TAIL + HEAD]);
            for next in std::iter::once(from).chain(over) {
                if self.item(next)?.is_some() {
                    return Ok(next);
                }
            }
        }
        Ok(self.window.next_magic(at + 1, self.end)?.saturating_add(HEAD))
    }

    /// Where an item at this place ends, if its length is right.
    fn item_end(&mut self, at: u64) -> io::Result<Option<u64>> {
        let length = Item::length(self.window.read(at, ITEM_HEAD)?);
        let length = length.filter(|length| *length <= ITEM_MAX);
        let end = length.map(|length| at + (ITEM_HEAD + length) as u64);
        Ok(end.filter(|end| *end <= self.end))
    }

    fn item(&mut self, at: u64) -> io::Result<Option<Sound>> {
        let Some(end) = self.item_end(at)? else { return Ok(None) };
        let length = usize::try_from(end - at).expect("an item is short");
        let Some(item) = Item::parse(self.window.read(at, length)?) else { return Ok(None) };
        let Some(found) = item.at(self.segment, at) else { return Ok(None) };
        let is_true = match &found {
            Found::Block(address, BlockPlace::Log(_)) => {
                !item.bytes.is_empty() && tree::tree(item.bytes).0 == address.0
            }
            // Who may sign a record, and what a page may be, is not known here; whoever has stored a block may have made
            // these bytes. That a block has a file, or is lost, can't be seen from anything else.
            Found::Record(..) | Found::Page(..) | Found::Lost(_) | Found::Block(..) => false,
        };
        let believed = is_true || planted::is_on(Bug::BelieveSalvaged);
        Ok(Some(Sound { found: believed.then_some(found), end }))
    }
}
