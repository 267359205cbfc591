//! Served: what names blocks and was given to a client, which may ask for them.
//!
//! Decides nothing. Invariant: as much as a record names itself, or one page.

use crate::ids::Address;
use crate::wire::page::{Entries, Page};
use crate::wire::record::{BlockList, Record};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Served {
    /// The blocks of a short file.
    Blocks(Vec<Address>),
    /// A page, with so many levels of pages from it down.
    Page { address: Address, depth: u8 },
}

impl Served {
    /// With a record; none if it names nothing.
    pub(super) fn record(bytes: &[u8]) -> Option<Self> {
        match Record::decode(bytes).ok()?.blocks {
            BlockList::Inline(blocks) => {
                let addresses: Vec<_> = blocks.iter().map(|block| block.address).collect();
                (!addresses.is_empty()).then_some(Self::Blocks(addresses))
            }
            BlockList::Pages { root, depth, .. } => Some(Self::Page { address: root, depth }),
        }
    }

    /// With a page.
    pub(super) fn page(address: Address, bytes: &[u8]) -> Option<Self> {
        let depth = match Page::decode(bytes).ok()?.entries {
            Entries::Blocks(_) => 1,
            Entries::Pages { depth, .. } => depth,
        };
        Some(Self::Page { address, depth })
    }
}
