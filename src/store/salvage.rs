//! What is good all the same within a damaged range of a segment: items whose frame can't be read, one by one.
//!
//! Rot in a frame's head, its end, or one of its items would otherwise cost the whole group. Knows nothing of groups.
//! Invariants: what is handed on is what its id says, so that any peer would take it, whoever composed the bytes; no item
//! is looked for byte by byte, but where one frame's or one item's end leads to.

use crate::crypto::tree;
use crate::ids::Address;
use crate::limits::{FRAME_BODY_MAX, LOG_BLOCK_MAX};
use crate::planted::{self, Bug};
use crate::store::blocks::{self, twice};
use crate::store::frame::{self, ITEM_HEAD, Item};
use crate::store::fs::FileSystem;
use crate::store::job::{BlockPlace, Found};
use crate::store::records;
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
            Found::Record(id, _, bytes) => records::verify(id, bytes).is_ok(),
            Found::Page(address, _) | Found::Block(address, BlockPlace::Log(_)) => {
                tree::tree(item.bytes).0 == address.0
            }
            Found::Block(address, BlockPlace::Tree { length }) => {
                self.window.is_block((address, *length))
            }
            // That a good block is lost can't be seen from anything but these bytes.
            Found::Lost(_) => false,
        };
        let believed = is_true || planted::is_on(Bug::BelieveSalvaged);
        Ok(Some(Sound { found: believed.then_some(found), end }))
    }
}

impl<F: FileSystem> Window<'_, F> {
    /// Whether there is a file of this block, and it is whole. One that can't be read now is left aside, and had anew.
    fn is_block(&self, block: (&Address, u32)) -> bool {
        twice(|| blocks::verify(self.fs(), block, &mut Vec::new())).is_ok()
    }
}
