//! Verifying what a node stores: what is bad, whether it has come again, and which files need it.
//!
//! Knows no disk: the node looks, and tells. Invariant: of a file's block list one page of each depth is in memory.

use super::answer::{Answer, Event, Operation};
use super::error::ClientError;
use super::seal::Entry;
use super::shell::Client;
use crate::ids::Address;
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

impl Entry {
    /// Whether it needs one of these, or has its blocks in pages, which tell.
    #[must_use]
    pub fn may_need(&self, bad: &BTreeSet<Address>) -> bool {
        bad.contains(&Address(self.record.0))
            || match &self.list {
                BlockList::Inline(blocks) => {
                    addresses(blocks).any(|address| bad.contains(&address))
                }
                BlockList::Pages { .. } => true,
            }
    }
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
        let mut needed = Vec::new();
        add(&mut needed, [Address(entry.record.0)], bad);
        match &entry.list {
            BlockList::Inline(blocks) => add(&mut needed, addresses(blocks), bad),
            BlockList::Pages { root, depth, .. } => {
                self.add_below((*root, *depth), bad, &mut needed)?;
            }
        }
        Ok(needed)
    }

    fn add_below(
        &mut self,
        (address, depth): (Address, u8),
        bad: &BTreeSet<Address>,
        needed: &mut Vec<Address>,
    ) -> Result<(), ClientError> {
        add(needed, [address], bad);
        let page = match self.ask(Operation::Page { address }) {
            Ok(Answer::Page(page)) => page,
            Err(ClientError::Damaged(_)) => None,
            Ok(other) => return Err(other.misfit()),
            Err(error) => return Err(error),
        };
        let page = page.and_then(|page| Page::decode(&page).ok());
        match page.map(|page| page.entries) {
            Some(Entries::Blocks(blocks)) => add(needed, addresses(&blocks), bad),
            Some(Entries::Pages { pages, .. }) if depth > 1 => {
                for page in pages {
                    self.add_below((page.address, depth - 1), bad, needed)?;
                }
            }
            Some(Entries::Pages { .. }) | None => {}
        }
        Ok(())
    }
}

fn addresses(blocks: &[BlockRef]) -> impl Iterator<Item = Address> {
    blocks.iter().map(|block| block.address)
}

fn add(needed: &mut Vec<Address>, all: impl IntoIterator<Item = Address>, bad: &BTreeSet<Address>) {
    needed.extend(all.into_iter().filter(|address| bad.contains(address)));
}
