//! A traversal: from a record down its tree of pages to the addresses of its blocks, one page at a time, whatever the
//! file's size.
//!
//! Knows no purpose, no disk and no peer: whoever traverses has the pages read. Invariant: pages come in the order of the
//! file, each once, and nothing is kept but the pages beside the way down.

use crate::ids::Address;
use crate::index::holdings::Holdings;
use crate::wire::message::BlockRef;
use crate::wire::page::{Entries, Page};
use crate::wire::record::BlockList;

/// How far a traversal has come: what it meets later is further. Blocks stand at even numbers and pages at odd ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(u32);

impl Position {
    /// Where it begins.
    pub(super) const START: Self = Self(0);
    /// Beyond all.
    pub(super) const END: Self = Self(u32::MAX);

    /// Whether what stands there is held.
    pub(super) fn is_held(self, holdings: &Holdings, address: &Address) -> bool {
        match self.0 % 2 {
            0 => holdings.block(address).is_some(),
            _ => holdings.page(address).is_some(),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Traversal {
    /// Pages to go down to, the next one last.
    pages: Vec<Address>,
    read: u32,
}

impl Traversal {
    /// Begins with what a record names: gives the blocks that stand in the record itself.
    pub(super) fn enter<'a>(&mut self, list: &'a BlockList) -> &'a [BlockRef] {
        match list {
            BlockList::Inline(blocks) => blocks,
            BlockList::Pages { root, .. } => {
                self.pages.push(*root);
                &[]
            }
        }
    }

    /// The page that is to be read next; none at the end.
    pub(super) fn page(&self) -> Option<Address> {
        self.pages.last().copied()
    }

    /// That page has been read: gives the blocks that it lists.
    pub(super) fn descend(&mut self, page: Page) -> Vec<BlockRef> {
        self.pages.pop();
        self.read += 1;
        match page.entries {
            Entries::Blocks(blocks) => blocks,
            Entries::Pages { pages, .. } => {
                self.pages.extend(pages.iter().rev().map(|page| page.address));
                Vec::new()
            }
        }
    }

    /// That page cannot be had, nor what is below it.
    pub(super) fn skip(&mut self) {
        self.pages.pop();
        self.read += 1;
    }

    /// How many pages have been read or skipped.
    pub(super) fn read(&self) -> usize {
        self.read as usize
    }

    /// Where the blocks stand that the last page listed, or the record itself.
    pub(super) fn at_blocks(&self) -> Position {
        Position(2 * self.read)
    }

    /// Where the page stands that is to be read next.
    pub(super) fn at_page(&self) -> Position {
        Position(2 * self.read + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::page::PageRef;

    fn address(number: u8) -> Address {
        Address([number; 32])
    }

    fn blocks(numbers: &[u8]) -> Page {
        let block = |number: &u8| BlockRef { address: address(*number), length: 7 };
        let sealed = vec![9; numbers.len() * 64];
        Page { sealed, entries: Entries::Blocks(numbers.iter().map(block).collect()) }
    }

    fn pages(numbers: &[u8]) -> Page {
        let page = |number: &u8| PageRef { address: address(*number), blocks: 1, bytes: 7 };
        let sealed = vec![9; numbers.len() * 64];
        let pages = numbers.iter().map(page).collect();
        Page { sealed, entries: Entries::Pages { depth: 2, pages } }
    }

    #[test]
    fn blocks_come_in_the_order_of_the_file_and_each_page_is_read_once() {
        let mut traversal = Traversal::default();
        let root = BlockList::Pages { root: address(100), depth: 2, blocks: 4, bytes: 28 };
        assert!(traversal.enter(&root).is_empty());
        let (mut read, mut found) = (Vec::new(), Vec::new());
        let mut last = traversal.at_blocks();
        while let Some(page) = traversal.page() {
            read.push(page.0[0]);
            assert!(traversal.at_page() > last);
            let page = match page.0[0] {
                100 => pages(&[10, 20, 30]),
                20 => pages(&[21, 22]),
                number => blocks(&[number, number + 1]),
            };
            found.extend(traversal.descend(page).iter().map(|block| block.address.0[0]));
            last = traversal.at_blocks();
        }
        assert_eq!(read, [100, 10, 20, 21, 22, 30]);
        assert_eq!(found, [10, 11, 21, 22, 22, 23, 30, 31]);
        assert_eq!((traversal.read(), traversal.page()), (6, None));
    }

    #[test]
    fn a_short_list_stands_in_the_record_itself() {
        let mut traversal = Traversal::default();
        let list = [BlockRef { address: address(1), length: 7 }];
        assert_eq!(traversal.enter(&BlockList::Inline(list.to_vec())), list);
        assert_eq!((traversal.page(), traversal.read()), (None, 0));
    }
}
