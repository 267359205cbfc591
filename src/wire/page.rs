//! Pages: parts of a long block list.
//!
//! Knows no key: what is sealed stays sealed here. Invariant: a decoded page has 1 to
//! `PAGE_ENTRIES_MAX` entries, each with its sealed secret, and its totals cannot overflow.

use crate::ids::Address;
use crate::limits::{BLOCK, PAGE_DEPTH_MAX, PAGE_ENTRIES_MAX};
use crate::wire::Malformed;
use crate::wire::cursor::{Field, Reader, put_list, require};
use crate::wire::message::BlockRef;
use crate::wire::sealed::SECRET;

/// A page as it is stored and sent; its address is the tree hash of exactly these encoded bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What the entries are.
    pub entries: Entries,
    /// The sealed half: one `Secret` (key 32, tree 32) an entry, encrypted in counter mode as one
    /// run.
    pub sealed: Vec<u8>,
}

/// The public half of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entries {
    /// Depth 1: blocks.
    Blocks(Vec<BlockRef>),
    /// Depth 2 and more: pages.
    Pages {
        /// The depth of this page.
        depth: u8,
        /// The pages below, each of depth one less.
        pages: Vec<PageRef>,
    },
}

/// A page below a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRef {
    /// Where it is found.
    pub address: Address,
    /// Blocks below it.
    pub blocks: u64,
    /// Bytes below it.
    pub bytes: u64,
}

impl Page {
    /// Appends the whole page.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.entries.encode(out);
        out.extend_from_slice(&self.sealed);
    }

    /// Reads a whole page.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let entries = Entries::take(&mut from)?;
        let sealed = from.bytes(entries.count() * SECRET)?.to_vec();
        from.finish()?;
        Ok(Self { entries, sealed })
    }
}

impl Entries {
    /// Appends the public half: what precedes the sealed one, and goes with its plaintext into the
    /// page's key.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.depth());
        match self {
            Self::Blocks(blocks) => put_list(blocks, PAGE_ENTRIES_MAX, out),
            Self::Pages { depth: _, pages } => put_list(pages, PAGE_ENTRIES_MAX, out),
        }
    }

    /// 1 for a page of blocks.
    #[must_use]
    pub fn depth(&self) -> u8 {
        match self {
            Self::Blocks(_) => 1,
            Self::Pages { depth, pages: _ } => *depth,
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Blocks(blocks) => blocks.len(),
            Self::Pages { depth: _, pages } => pages.len(),
        }
    }

    /// Blocks and bytes below this page.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        match self {
            Self::Blocks(blocks) => {
                (blocks.len() as u64, blocks.iter().map(|block| u64::from(block.length)).sum())
            }
            Self::Pages { depth: _, pages } => (
                pages.iter().map(|page| page.blocks).sum(),
                pages.iter().map(|page| page.bytes).sum(),
            ),
        }
    }

    /// Reads the public half.
    pub(crate) fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let depth = u8::take(from)?;
        require((1..=PAGE_DEPTH_MAX).contains(&depth), "a page's depth")?;
        let entries = if depth == 1 {
            Self::Blocks(from.list(PAGE_ENTRIES_MAX)?)
        } else {
            Self::Pages { depth, pages: from.list(PAGE_ENTRIES_MAX)? }
        };
        require(entries.count() > 0, "a page without entries")?;
        if let Self::Pages { depth, pages } = &entries {
            pages.iter().try_for_each(|page| tree_size(depth - 1, page.blocks, page.bytes))?;
        }
        Ok(entries)
    }
}

impl Field for PageRef {
    fn put(&self, out: &mut Vec<u8>) {
        self.address.put(out);
        self.blocks.put(out);
        self.bytes.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            address: Address::take(from)?,
            blocks: u64::take(from)?,
            bytes: u64::take(from)?,
        })
    }
}

/// Whether a tree of pages of this depth can hold so many blocks and bytes. Blocks are never empty.
pub(crate) fn tree_size(depth: u8, blocks: u64, bytes: u64) -> Result<(), Malformed> {
    require((1..=PAGE_DEPTH_MAX).contains(&depth), "a page's depth")?;
    let blocks_max = (PAGE_ENTRIES_MAX as u64).pow(u32::from(depth));
    require((1..=blocks_max).contains(&blocks), "blocks below a page")?;
    require((blocks..=blocks * BLOCK as u64).contains(&bytes), "bytes below a page")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(entries: Entries) -> Page {
        let sealed = vec![7; entries.count() * SECRET];
        Page { entries, sealed }
    }

    fn encoded(page: &Page) -> Vec<u8> {
        let mut bytes = Vec::new();
        page.encode(&mut bytes);
        bytes
    }

    fn pages(depth: u8, blocks: u64, bytes: u64) -> Page {
        let entry = PageRef { address: Address([5; 32]), blocks, bytes };
        page(Entries::Pages { depth, pages: vec![entry; 3] })
    }

    fn check(page: &Page, good: bool) {
        assert_eq!(Page::decode(&encoded(page)).as_ref() == Ok(page), good, "{page:?}");
    }

    #[test]
    fn pages_keep_the_rules() {
        let block = BlockRef { address: Address([1; 32]), length: 9 };
        check(&page(Entries::Blocks(vec![block; PAGE_ENTRIES_MAX])), true);
        check(&page(Entries::Blocks(Vec::new())), false);
        check(&page(Entries::Blocks(vec![BlockRef { length: 0, ..block }])), false);
        check(&pages(2, 512, 512), true);
        check(&pages(3, 512 * 512, 512 * 512 * BLOCK as u64), true);
        check(&pages(1, 1, 1), false);
        check(&pages(4, 1, 1), false);
        check(&pages(2, 513, 513), false);
        check(&pages(2, 0, 0), false);
        check(&pages(2, 2, 1), false);
        check(&pages(2, u64::MAX, u64::MAX), false);
        assert_eq!(pages(2, 5, 6).entries.totals(), (15, 18));
    }

    #[test]
    fn a_page_is_its_public_half_and_its_sealed_half() {
        let block = BlockRef { address: Address([1; 32]), length: 9 };
        let page = page(Entries::Blocks(vec![block]));
        let mut public = Vec::new();
        page.entries.encode(&mut public);
        assert_eq!(public, [&[1, 0, 1][..], &[1; 32], &[0, 0, 0, 9]].concat());
        assert_eq!(encoded(&page), [public, vec![7; 64]].concat());
        assert!(Page::decode(&encoded(&page)[..102]).is_err());
        assert!(Page::decode(&[encoded(&page), vec![0]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn a_changed_page_decodes_to_itself_or_not_at_all(at: proptest::sample::Index, to: u8) {
            let mut bytes = encoded(&pages(2, 300, 30_000));
            let at = at.index(bytes.len());
            bytes[at] = to;
            if let Ok(page) = Page::decode(&bytes) {
                prop_assert_eq!(encoded(&page), bytes);
            }
        }
    }
}
