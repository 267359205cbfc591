//! Everything but puts and gets: questions, deletions, renames, listings.

use super::answer::{Answer, Event, Holders, Op, Operation};
use super::clear::{Clearing, leaves_heads};
use super::error::{ClientError, damaged_heads, may_be_older};
use super::listing::Listing;
use super::seal::{Entry, Heads};
use super::session::{Kind, Session, unexpected};
use super::sweep::{Part, Sweep};
use crate::crypto::tree;
use crate::ids::{Address, NameId, VersionId};
use crate::wire::condition::Condition;
use crate::wire::message::Message;
use crate::wire::record::Record;

/// One of them, as far as it has come.
#[derive(Debug)]
pub(super) enum Ask {
    Stat {
        name: NameId,
    },
    /// The name's versions are asked for.
    Delete {
        name: Vec<u8>,
    },
    /// This version is on its way.
    Deleting {
        name: Vec<u8>,
        version: VersionId,
        /// It leaves heads behind.
        more: bool,
    },
    /// A deleted name's versions are asked for.
    Clearing(Box<Clearing>),
    /// One more tombstone is on its way.
    Cleared(Box<Clearing>),
    /// The source's versions are asked for, then the target's.
    RenameSource {
        what: Rename,
    },
    RenameTarget {
        what: Rename,
        source: Box<(Entry, Heads)>,
    },
    /// The new name's version is on its way, and the tombstone of the old one.
    Renaming {
        what: Rename,
        version: VersionId,
        deleted: VersionId,
        /// That leaves heads of the old name behind.
        more: bool,
    },
    List(Box<Listing>),
    Holders,
    Status,
    Members,
    Verify(Box<Sweep>),
    VerifyAgain(Address),
    Page(Address),
}

/// What is to be renamed.
#[derive(Debug)]
pub(super) struct Rename {
    source: Vec<u8>,
    target: Vec<u8>,
    replace: bool,
}

impl Session {
    pub(super) fn begin_ask(&mut self, op: Op, what: Operation) -> Result<Kind, ClientError> {
        let ask = match what {
            Operation::Stat { name } => Ask::Stat { name: self.ask_head(op, &name)? },
            Operation::Delete { name } => {
                self.seals.write_key()?;
                self.ask_head(op, &name)?;
                Ask::Delete { name }
            }
            Operation::Rename { source, target, replace } => {
                self.seals.write_key()?;
                self.seals.name_id(&target)?;
                self.ask_head(op, &source)?;
                Ask::RenameSource { what: Rename { source, target, replace } }
            }
            Operation::List => {
                self.seals.keys()?;
                let (request, space) = (self.request(op), self.seals.space());
                let future = self.allows_future();
                self.send(&Message::List { request, space, after: None, future });
                Ask::List(Box::default())
            }
            Operation::Holders { record } => {
                let request = self.request(op);
                self.send(&Message::Holders { request, record });
                Ask::Holders
            }
            Operation::Status => {
                let request = self.request(op);
                self.send(&Message::Status { request });
                Ask::Status
            }
            Operation::Members => {
                let request = self.request(op);
                self.send(&Message::Members { request });
                Ask::Members
            }
            Operation::Verify => {
                let request = self.request(op);
                self.send(&Message::Verify { request, after: None });
                Ask::Verify(Box::default())
            }
            Operation::VerifyAgain { address } => {
                let request = self.request(op);
                self.send(&Message::Verify { request, after: before(&address) });
                Ask::VerifyAgain(address)
            }
            Operation::Page { address } => {
                let request = self.request(op);
                self.send(&Message::GetPage { request, address });
                Ask::Page(address)
            }
            Operation::Put { .. } | Operation::Get { .. } | Operation::GetEntry { .. } => {
                unreachable!("`start` begins these itself")
            }
        };
        Ok(Kind::Ask(ask))
    }

    pub(super) fn ask_head(&mut self, op: Op, name: &[u8]) -> Result<NameId, ClientError> {
        let name = self.seals.name_id(name)?;
        let (request, space) = (self.request(op), self.seals.space());
        self.send(&Message::Head { request, space, name, relay: true });
        Ok(name)
    }

    pub(super) fn ask_of(&mut self, op: Op) -> Option<&mut Ask> {
        match &mut self.ops.get_mut(&op)?.kind {
            Kind::Ask(ask) => Some(ask),
            Kind::Put(_) | Kind::Get(_) => None,
        }
    }

    pub(super) fn become_ask(&mut self, op: Op, next: Ask) {
        if let Some(ask) = self.ask_of(op) {
            *ask = next;
        }
    }

    pub(super) fn ask_answered(&mut self, op: Op, message: Message) -> Result<(), ClientError> {
        let Some(ask) = self.ask_of(op) else { return Ok(()) };
        let ask = std::mem::replace(ask, Ask::Status);
        match (ask, message) {
            (ask, Message::Heads { clock, versions, all, future, log_damage, kept, shown, .. }) => {
                let heads = Heads { clock, versions, all, future, log_damage, kept };
                self.heads_told(op, ask, heads, shown.as_deref())?;
            }
            (Ask::Delete { name }, Message::DamagedHeads { clock, versions, all, future, .. }) => {
                let heads = Heads { clock, versions, all, future, ..Heads::default() };
                self.delete(op, name, &heads)?;
            }
            (
                Ask::Clearing(clearing),
                Message::DamagedHeads { clock, versions, all, future, .. },
            ) => {
                let heads = Heads { clock, versions, all, future, ..Heads::default() };
                self.clear(op, clearing, &heads, None);
            }
            (_, Message::DamagedHeads { kept, .. }) => return Err(damaged_heads(kept)),
            (Ask::Deleting { name, version, more }, Message::PutDone { .. }) => {
                self.deleted(op, (name, more), Answer::Deleted { version, last: version });
            }
            (Ask::Renaming { what, version, deleted, more }, Message::PutDone { .. }) => {
                let answer = Answer::Renamed { version, deleted, last: deleted };
                self.deleted(op, (what.source, more), answer);
            }
            (Ask::Cleared(clearing), Message::PutDone { .. }) => self.cleared(op, clearing),
            (
                Ask::List(mut listing),
                Message::Listed { records, next, damaged, sync, log_damage, .. },
            ) => {
                listing.told(damaged, sync, log_damage);
                self.listed(op, listing, (&records, next))?;
            }
            (Ask::Holders, Message::HoldersAre { count, holders, .. }) => {
                self.finish(op, Ok(Answer::Holders(Holders { count, listed: holders })));
            }
            (Ask::Status, Message::StatusIs { status, .. }) => {
                self.finish(op, Ok(Answer::Status(status)));
            }
            (Ask::Members, Message::MembersAre { members, .. }) => {
                self.finish(op, Ok(Answer::Members(members)));
            }
            (Ask::Verify(sweep), Message::Verified { good, bytes, bad, next, .. }) => {
                self.swept(op, sweep, Part { good, bytes, bad, next })?;
            }
            (Ask::VerifyAgain(address), Message::Verified { bad, .. }) => {
                let bad: Vec<_> = bad.into_iter().filter(|one| *one == address).collect();
                let good = u64::from(bad.is_empty());
                self.finish(op, Ok(Answer::Verified { good, bytes: 0, bad }));
            }
            (Ask::Page(address), Message::Page { page, .. }) => {
                let page = page.filter(|page| tree::tree(page).0 == address.0);
                self.finish(op, Ok(Answer::Page(page)));
            }
            (_, other) => return Err(unexpected(&other)),
        }
        Ok(())
    }

    fn delete(&mut self, op: Op, name: Vec<u8>, heads: &Heads) -> Result<(), ClientError> {
        let tombstone = self.seals.tombstone(heads, &name)?;
        let version = version_of(&tombstone);
        // Whatever is there by then is deleted, so long as the name is gone afterwards.
        self.put_records(op, vec![tombstone], vec![Condition::Newest]);
        let more = leaves_heads(heads);
        self.become_ask(op, Ask::Deleting { name, version, more });
        Ok(())
    }

    /// The node tells which versions a name has, and shows one.
    fn heads_told(
        &mut self,
        op: Op,
        ask: Ask,
        heads: Heads,
        shown: Option<&[u8]>,
    ) -> Result<(), ClientError> {
        match ask {
            Ask::Stat { name } => {
                let entry = self.entry_of(shown, &name, &heads)?;
                self.finish(op, Ok(Answer::Stat(Box::new(entry))));
            }
            Ask::Delete { name } => {
                let id = self.seals.name_id(&name)?;
                self.entry_of(shown, &id, &heads)?;
                self.delete(op, name, &heads)?;
            }
            Ask::RenameSource { what } => {
                let id = self.seals.name_id(&what.source)?;
                let entry = self.entry_of(shown, &id, &heads)?;
                if heads.log_damage.is_any() {
                    // The old version would become the newest, under another name.
                    return Err(may_be_older(&heads.log_damage));
                }
                self.ask_head(op, &what.target)?;
                let source = Box::new((entry, heads));
                self.become_ask(op, Ask::RenameTarget { what, source });
            }
            Ask::RenameTarget { what, source } => {
                let id = self.seals.name_id(&what.target)?;
                let told = (heads.log_damage, heads.kept);
                let exists = match what.replace {
                    true => self.seals.open_shown(shown, &id)?,
                    false => self.seals.open_told(shown, &id, told)?,
                };
                if exists.is_some() && !what.replace {
                    return Err(ClientError::Exists);
                }
                self.rename(op, &source, &heads, what)?;
            }
            Ask::Clearing(clearing) => self.clear(op, clearing, &heads, shown),
            Ask::Deleting { .. }
            | Ask::Cleared(_)
            | Ask::Renaming { .. }
            | Ask::List(_)
            | Ask::Holders
            | Ask::Status
            | Ask::Members
            | Ask::Verify(_)
            | Ask::VerifyAgain(_)
            | Ask::Page(_) => {
                let what = "versions of a name that were not asked for";
                return Err(ClientError::Protocol(what.to_owned()));
            }
        }
        Ok(())
    }

    /// The version that is shown, opened.
    fn entry_of(
        &mut self,
        shown: Option<&[u8]>,
        name: &NameId,
        heads: &Heads,
    ) -> Result<Entry, ClientError> {
        let entry = self.seals.open_told(shown, name, (heads.log_damage, heads.kept))?;
        entry.ok_or(ClientError::NotFound)
    }

    pub(super) fn put_records(
        &mut self,
        op: Op,
        records: Vec<bytes::Bytes>,
        conditions: Vec<Condition>,
    ) {
        let request = self.request(op);
        let blocks = Vec::new();
        self.send(&Message::Put { request, conditions, records, blocks });
    }

    /// The name is not what it was: its versions are asked for again.
    pub(super) fn ask_again(&mut self, op: Op) -> bool {
        let Some(ask) = self.ask_of(op) else { return false };
        let (first, name) = match std::mem::replace(ask, Ask::Status) {
            Ask::Deleting { name, .. } => (Ask::Delete { name: name.clone() }, name),
            Ask::Cleared(clearing) => {
                let name = clearing.name.clone();
                (Ask::Clearing(clearing), name)
            }
            Ask::Renaming { what, .. } => {
                let source = what.source.clone();
                (Ask::RenameSource { what }, source)
            }
            other => {
                *ask = other;
                return false;
            }
        };
        *ask = first;
        self.ask_head(op, &name).is_ok()
    }

    /// The same blocks under the new name and a tombstone for the old one, in one step: if both names are still what they
    /// were when they were asked for, or what is moved might not be what the old name had.
    fn rename(
        &mut self,
        op: Op,
        (entry, source_heads): &(Entry, Heads),
        heads: &Heads,
        what: Rename,
    ) -> Result<(), ClientError> {
        if entry.name == what.target {
            return Err(ClientError::Exists);
        }
        let name = what.target.clone();
        let meta = super::seal::Meta { name, mtime_ms: entry.mtime_ms, mode: entry.mode };
        let list = (entry.list.clone(), entry.secrets.clone());
        let file = self.seals.file(heads, &meta, (entry.size, entry.hash), list)?;
        let tombstone = self.seals.tombstone(source_heads, &entry.name)?;
        let (version, deleted) = (version_of(&file), version_of(&tombstone));
        let unchanged = |heads: &Heads| Condition::Unchanged(heads.all);
        let target = if what.replace { unchanged(heads) } else { Condition::Absent };
        self.put_records(op, vec![file, tombstone], vec![target, unchanged(source_heads)]);
        let more = leaves_heads(source_heads);
        self.become_ask(op, Ask::Renaming { what, version, deleted, more });
        Ok(())
    }

    fn swept(&mut self, op: Op, mut sweep: Box<Sweep>, part: Part) -> Result<(), ClientError> {
        self.events.push_back(Event::Progress { op, bytes: part.bytes });
        match sweep.take(part)? {
            Some(after) => {
                let request = self.request(op);
                self.send(&Message::Verify { request, after: Some(after) });
                self.become_ask(op, Ask::Verify(sweep));
            }
            None => {
                let Sweep { good, bytes, bad, .. } = *sweep;
                self.finish(op, Ok(Answer::Verified { good, bytes, bad }));
            }
        }
        Ok(())
    }

    fn listed(
        &mut self,
        op: Op,
        mut listing: Box<Listing>,
        (records, next): (&[bytes::Bytes], Option<NameId>),
    ) -> Result<(), ClientError> {
        for opened in self.seals.open_all(records)? {
            match opened {
                Ok(Some(entry)) => {
                    listing.take(&entry.record)?;
                    self.events.push_back(Event::Entry { op, entry: Box::new(entry) });
                }
                Ok(None) => {}
                Err(_) => listing.leave_out(1),
            }
        }
        match next {
            Some(after) => {
                listing.go_on(after)?;
                let (request, space) = (self.request(op), self.seals.space());
                let future = self.allows_future();
                self.send(&Message::List { request, space, after: Some(after), future });
                self.become_ask(op, Ask::List(listing));
            }
            None => {
                let sync = listing.end()?;
                self.finish(op, Ok(Answer::Listed { sync }));
            }
        }
        Ok(())
    }
}

/// The version that a record made here states.
pub(super) fn version_of(record: &[u8]) -> VersionId {
    Record::decode(record).map(|record| record.version).unwrap_or_default()
}

/// The address before one; `None` if there is none.
fn before(address: &Address) -> Option<Address> {
    let mut bytes = address.0;
    for byte in bytes.iter_mut().rev() {
        let (less, borrow) = byte.overflowing_sub(1);
        *byte = less;
        if !borrow {
            return Some(Address(bytes));
        }
    }
    None
}
