//! A reader of its own: opens records and pages and reads blocks or parts of them, with nothing of the product's client
//! but the connection.
//!
//! Knows a record's bytes or what they state. Invariant: what it gives has been opened with the keys that the record
//! lists, and is not checked against anything: that is for whoever asked.

use super::disk::Stated;
use crate::sim::raw::RawClient;
use crate::sim::world::World;
use dfsd::conn::Event;
use dfsd::crypto::block::keystream;
use dfsd::ids::Address;
use dfsd::limits::LEAF;
use dfsd::wire::frame::leaves_of;
use dfsd::wire::message::{BlockRef, Message};
use dfsd::wire::page::{Entries, Page};
use dfsd::wire::record::{BlockList, Secret};
use dfsd::wire::sealed::decode_secrets;

/// See the module.
pub(super) struct Reader {
    client: RawClient,
}

impl Reader {
    pub(super) fn connect(world: &mut World, machine: usize) -> Self {
        Self { client: RawClient::connect(world, machine) }
    }

    pub(super) fn hang_up(self, world: &mut World) {
        self.client.hang_up(world);
    }

    /// The versions of a name that none supersedes, and the record that is shown, if any.
    pub(super) fn head(
        &mut self,
        world: &mut World,
        name: dfsd::ids::NameId,
    ) -> Option<(Vec<dfsd::ids::VersionId>, Option<bytes::Bytes>)> {
        let (space, relay) = (Default::default(), true);
        self.client.send(&Message::Head { request: 1, space, name, relay });
        match self.client.message(world) {
            Some(Message::Heads { versions, shown, .. }) => Some((versions, shown)),
            _ => None,
        }
    }

    /// All versions of a name, the newest first, and whether another supersedes each; a few at a time.
    pub(super) fn versions(
        &mut self,
        world: &mut World,
        name: dfsd::ids::NameId,
    ) -> Option<Vec<(dfsd::ids::VersionId, bool)>> {
        let (mut all, mut before, limit) = (Vec::new(), None, 3);
        loop {
            let (request, space) = (4, Default::default());
            self.client.send(&Message::Versions { request, space, name, before, limit });
            let Some(Message::VersionsAre { versions, next, .. }) = self.client.message(world)
            else {
                return None;
            };
            all.extend(versions.iter().map(|one| (one.version, one.superseded)));
            before = next;
            if before.is_none() {
                return Some(all);
            }
        }
    }

    /// The blocks of a version, in order, with what opens them.
    pub(super) fn blocks(
        &mut self,
        world: &mut World,
        stated: &Stated,
    ) -> Result<Vec<(BlockRef, Secret)>, String> {
        let secrets = stated.sealed.as_ref().ok_or("its sealed part does not open")?;
        match &stated.blocks {
            BlockList::Inline(blocks) => {
                Ok(blocks.iter().copied().zip(secrets.secrets.clone()).collect())
            }
            BlockList::Pages { root, .. } => {
                let secret = secrets.secrets.first().cloned().ok_or("it has no key")?;
                self.page(world, *root, &secret)
            }
        }
    }

    fn page(
        &mut self,
        world: &mut World,
        address: Address,
        secret: &Secret,
    ) -> Result<Vec<(BlockRef, Secret)>, String> {
        self.client.send(&Message::GetPage { request: 2, address });
        let Some(Message::Page { page: Some(page), .. }) = self.client.message(world) else {
            return Err(format!("page {address} cannot be had"));
        };
        let mut page = Page::decode(&page).map_err(|_| format!("page {address} is malformed"))?;
        keystream(&secret.key, &mut page.sealed, 0);
        let secrets = decode_secrets(&page.sealed).map_err(|_| "a page does not open")?;
        match page.entries {
            Entries::Blocks(blocks) => Ok(blocks.into_iter().zip(secrets).collect()),
            Entries::Pages { pages, .. } => {
                let mut all = Vec::new();
                for (page, secret) in pages.into_iter().zip(secrets) {
                    all.extend(self.page(world, page.address, &secret)?);
                }
                Ok(all)
            }
        }
    }

    /// Some leaves of a block, opened.
    pub(super) fn leaves(
        &mut self,
        world: &mut World,
        (block, secret): &(BlockRef, Secret),
        (first, count): (u8, u8),
    ) -> Result<Vec<u8>, String> {
        self.client.send(&Message::Want { block: *block, first, count });
        let mut plain = Vec::new();
        loop {
            match self.client.event(world) {
                Some(Event::Opened(open)) if open.address == block.address => {}
                Some(Event::Chunk { index, data }) => {
                    let mut leaf = Vec::from(data);
                    keystream(&secret.key, &mut leaf, u64::from(index) * LEAF as u64);
                    plain.extend_from_slice(&leaf);
                }
                Some(Event::Ended) => return Ok(plain),
                Some(
                    Event::Message(Message::Absent { .. } | Message::Damaged { .. })
                    | Event::Aborted,
                ) => {
                    return Err(format!("block {} cannot be had", block.address));
                }
                Some(other) => return Err(format!("an answer to another question, {other:?}")),
                None => return Err(format!("nothing is said of block {}", block.address)),
            }
        }
    }

    /// All bytes of a version.
    pub(super) fn read(&mut self, world: &mut World, stated: &Stated) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for block in self.blocks(world, stated)? {
            let count = u8::try_from(leaves_of(block.0.length)).expect("a block has 32 leaves");
            bytes.extend(self.leaves(world, &block, (0, count))?);
        }
        Ok(bytes)
    }
}
