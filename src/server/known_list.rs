//! A put whose blocks are not all here, of a file that this node knows all the same: a rename, where the blocks are on
//! other nodes or still on their way.
//!
//! Invariant: such a put commits only if a record that the catalog knows names the same blocks; its record is then as
//! complete as that one, and what it lacks is fetched like anything else.

use super::FileServer;
use super::entry::Entry;
use super::exchange::ReadyPut;
use super::reads::ReadFor;
use crate::store::values::ReadError;
use crate::time::Now;
use crate::wire::message::Reason;
use crate::wire::record::{BlockList, Record};
use bytes::Bytes;

impl FileServer {
    /// Not all that the put's records name is here. The versions that these supersede may name the same.
    pub(super) fn look_for_known_lists(&mut self, now: Now, put: Box<ReadyPut>) {
        let named = put
            .records
            .iter()
            .flat_map(|new| new.record.parents.iter().map(|version| (&new.record.name, version)));
        let entries =
            named.filter_map(|(name, version)| self.cx.index.catalog.version(name, version));
        let places: Vec<_> = entries.map(Entry::place).collect();
        if places.is_empty() {
            return self.known_lists_read(now, *put, &[]);
        }
        self.checking_bytes += put.bytes();
        self.read_log(places, ReadFor::KnownLists { put });
    }

    /// They have been read.
    pub(super) fn known_lists_answered(
        &mut self,
        now: Now,
        put: ReadyPut,
        items: Vec<Result<Bytes, ReadError>>,
    ) {
        self.checking_bytes -= put.bytes();
        let records = items.into_iter().filter_map(Result::ok);
        let lists = records.filter_map(|bytes| Some(Record::decode(&bytes).ok()?.blocks));
        let lists: Vec<_> = lists.collect();
        self.known_lists_read(now, put, &lists);
    }

    fn known_lists_read(&mut self, now: Now, mut put: ReadyPut, lists: &[BlockList]) {
        for new in put.records.iter_mut().filter(|new| !new.record.blocks.is_empty()) {
            if !lists.contains(&new.record.blocks) {
                return self.refuse(
                    put.link,
                    put.request,
                    Reason::Missing,
                    "blocks or pages that the record names are not here; nothing of it was kept",
                );
            }
            new.complete = false;
        }
        self.commit_put(now, put);
    }
}
