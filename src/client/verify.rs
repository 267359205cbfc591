//! Verifying what a node stores: what is bad, whether it has come again, and which files need it.
//!
//! Knows no disk: the node looks, and tells. Invariant: of a file's block list one page of each depth is in memory.

use super::shell::Client;
use crate::ids::Address;
use crate::session::{Answer, ClientError, Entry, Event, Operation};
use crate::wire::message::BlockRef;
use crate::wire::page::{Entries, Page};
use crate::wire::record::BlockList;
use std::collections::BTreeSet;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Blocks, pages and records that are good.
    pub good: u64,
    /// Bytes hashed.
    pub bytes: u64,
    /// What is bad.
    pub bad: Vec<Address>,
}

impl Client {
    /// Has the node look at all that it has. `progress` is told the bytes hashed since it was last
    /// called.
    ///
    /// # Errors
    /// The network's.
    pub fn verify(&mut self, mut progress: impl FnMut(u64)) -> Result<Verified, ClientError> {
        let answer = self.ask_and_watch(Operation::Verify, |event| {
            if let Event::Progress { bytes, .. } = event {
                progress(bytes);
            }
        });
        match answer? {
            Answer::Verified { good, bytes, bad } => Ok(Verified { good, bytes, bad }),
            other => Err(other.misfit()),
        }
    }

    /// Whether something that was bad is still bad or missing.
    ///
    /// # Errors
    /// The network's.
    pub fn is_bad(&mut self, address: Address) -> Result<bool, ClientError> {
        match self.ask(Operation::VerifyAgain { address })? {
            Answer::Verified { bad, .. } => Ok(!bad.is_empty()),
            other => Err(other.misfit()),
        }
    }

    /// Which of these blocks, pages and records a version needs. What lies below a page that is not
    /// there is not known.
    ///
    /// # Errors
    /// The network's.
    pub fn needs(
        &mut self,
        entry: &Entry,
        bad: &BTreeSet<Address>,
    ) -> Result<Vec<Address>, ClientError> {
        let mut search = Search { bad, needed: Vec::new() };
        search.add(Address(entry.record.0));
        match entry.list() {
            BlockList::Inline(blocks) => search.add_blocks(blocks),
            BlockList::Pages { root, depth, .. } => search.add_below(self, *root, *depth)?,
        }
        Ok(search.needed)
    }
}

/// What of a version is bad.
struct Search<'a> {
    bad: &'a BTreeSet<Address>,
    needed: Vec<Address>,
}

impl Search<'_> {
    fn add(&mut self, address: Address) {
        if self.bad.contains(&address) {
            self.needed.push(address);
        }
    }

    fn add_blocks(&mut self, blocks: &[BlockRef]) {
        blocks.iter().for_each(|block| self.add(block.address));
    }

    /// Looks at a page, and at all that is below it.
    fn add_below(
        &mut self,
        client: &mut Client,
        address: Address,
        depth: u8,
    ) -> Result<(), ClientError> {
        self.add(address);
        let page = match client.ask(Operation::Page { address }) {
            Ok(Answer::Page(page)) => page,
            Err(ClientError::Damaged(_)) => None,
            Ok(other) => return Err(other.misfit()),
            Err(error) => return Err(error),
        };
        let page = page.and_then(|page| Page::decode(&page).ok());
        match page.map(|page| page.entries) {
            Some(Entries::Blocks(blocks)) => self.add_blocks(&blocks),
            Some(Entries::Pages { pages, .. }) if depth > 1 => {
                for page in pages {
                    self.add_below(client, page.address, depth - 1)?;
                }
            }
            Some(Entries::Pages { .. }) | None => {}
        }
        Ok(())
    }
}
