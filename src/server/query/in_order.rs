//! Names in order: what a question for them comes to, and how they are read for the first time.
//!
//! Reads nothing itself. Invariant: an answer costs what it tells, and what it steps over is bounded; what was there all the
//! time is told once, however many answers it takes.

use crate::crypto::alias::Alias;
use crate::ids::{RecordId, Space};
use crate::index::catalog::Listed;
use crate::index::entry::Flag;
use crate::index::{Index, Unread};
use crate::keyring::names;
use crate::limits::{FOLDERS_TOLD_MAX, FRAME_BODY_MAX, NAME_MAX, RECORD_MAX};
use crate::seeded::{self, Bug};
use crate::store::values::{LogItem, ReadError};
use crate::wire::names::{NamesFound, NamesQuestion, Scope, SealedNames};
use bytes::Bytes;

/// Records in one answer.
const RECORDS: usize = 128;
/// Names that one answer steps over, shown or not.
const STEPS: usize = 1024;
/// Records read at a time, when all names are read.
const BATCH: usize = 128;
/// Beside records and folders an answer has where to go on, and numbers.
const ROOM: usize = FRAME_BODY_MAX - RECORD_MAX - 2 * NAME_MAX - 256;

/// What an answer is made of.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) items: Vec<LogItem>,
    pub(super) ids: Vec<RecordId>,
    pub(super) found: NamesFound,
    pub(super) damaged: u32,
    bytes: usize,
}

impl Page {
    fn is_full(&self) -> bool {
        let folders = self.found.folders.len();
        self.items.len() >= RECORDS || folders >= FOLDERS_TOLD_MAX || self.bytes >= ROOM
    }

    /// A name of which the catalog says this.
    fn add(&mut self, listed: &Listed<'_>, future: bool) {
        match listed {
            Listed::Shown(entry) | Listed::Future(_, Some(entry)) if is_there(listed, future) => {
                if entry.is(Flag::Damaged) {
                    self.damaged += u32::from(!seeded::is_on(Bug::HideDamaged));
                    return;
                }
                self.bytes += entry.place().length as usize + 8;
                self.items.push(entry.item());
                self.ids.push(entry.id());
            }
            Listed::Future(..) if !future => self.damaged += 1,
            Listed::Shown(_) | Listed::Future(..) => {}
        }
    }

    fn add_folder(&mut self, folder: Vec<u8>) {
        self.bytes += folder.len() + 2;
        self.found.folders.push(folder);
    }
}

/// Whether a reader sees anything of it.
fn is_there(listed: &Listed<'_>, future: bool) -> bool {
    match listed {
        Listed::Shown(_) => true,
        Listed::Future(_, entry) => future && entry.is_some(),
    }
}

/// The next part of what is asked for. None if names are not in order here.
pub(super) fn page(index: &mut Index, question: &NamesQuestion, future: bool) -> Option<Page> {
    let mut page = Page::default();
    let ordered = index.ordered.as_ref().filter(|ordered| ordered.is_whole())?;
    let scope = Scope::new(question);
    let mut at = begin(&scope, question.after.as_deref());
    let mut steps = 0;
    let next = 'all: loop {
        let mut walk = ordered.from(&at);
        loop {
            let Some(name) = walk.next().filter(|name| !scope.is_past(name)) else {
                break 'all None;
            };
            if let Some(jump) = scope.jump(name) {
                at = jump;
                break;
            }
            steps += 1;
            if page.is_full() || steps > STEPS {
                break 'all page.found.next.take();
            }
            let listed = index.catalog.listed(&ordered.id(name));
            let folder = listed.as_ref().filter(|listed| is_there(listed, future));
            match folder.and_then(|_| scope.folder_below(name)) {
                Some(folder) => {
                    page.found.next = Some(folder.to_vec());
                    at = after_folder(folder);
                    page.add_folder(folder.to_vec());
                    break;
                }
                None => {
                    page.found.next = Some(name.to_vec());
                    if let Some(listed) = listed {
                        page.add(&listed, future);
                    }
                }
            }
        }
    };
    page.found.next = next;
    if page.found.next.is_none() {
        let Index { ordered, catalog, .. } = index;
        page.damaged = page.damaged.saturating_add(ordered.as_mut()?.left_out(catalog, future)?);
    }
    Some(page)
}

/// The least name that is asked for.
fn begin(scope: &Scope<'_>, after: Option<&[u8]>) -> Vec<u8> {
    match after {
        None => scope.of().to_vec(),
        Some(after) if scope.folder_below(after) == Some(after) => after_folder(after),
        // The least that is greater.
        Some(after) => [after, &[0]].concat(),
    }
}

/// The least name after all that are in a folder, whose name ends with a slash.
fn after_folder(folder: &[u8]) -> Vec<u8> {
    let mut after = folder.to_vec();
    if let Some(last) = after.last_mut() {
        *last = b'/' + 1;
    }
    after
}

/// Records that are read for their names.
#[derive(Debug)]
pub(in crate::server) struct Batch {
    names: Vec<(Alias, RecordId)>,
    /// Up to this name; None: these are the last.
    last: Option<Alias>,
}

/// What is to be read next, so that names are in order. None if they are.
pub(super) fn next_batch(index: &mut Index) -> Option<(Vec<LogItem>, Batch)> {
    let Index { ordered, catalog, .. } = index;
    let ordered = ordered.as_mut()?;
    let after = ordered.read_on()?;
    let (mut items, mut names, mut last) = (Vec::new(), Vec::new(), None);
    let (mut seen, mut is_cut) = (0, false);
    for listed in catalog.names_after(after) {
        if seen == BATCH {
            is_cut = true;
            break;
        }
        seen += 1;
        let (alias, entry) = match listed {
            Listed::Shown(entry) => (entry.name(), Some(entry)),
            Listed::Future(alias, entry) => (alias, entry),
        };
        last = Some(alias);
        match entry {
            Some(entry) if !entry.is(Flag::Damaged) => {
                items.push(entry.item());
                names.push((alias, entry.id()));
            }
            Some(_) => ordered.lack(alias, Unread::Closed),
            None => ordered.lack(alias, Unread::Future),
        }
    }
    Some((items, Batch { names, last: last.filter(|_| is_cut) }))
}

/// What reading a batch has come to.
pub(super) struct BatchRead {
    /// Records whose bytes are damaged or gone.
    pub(super) damaged: Vec<RecordId>,
    /// The next may be read. Not so where the disk would not say what it has: whoever asks next has it read again.
    pub(super) goes_on: bool,
}

/// Of a batch this has been read: the name of each record, empty where it cannot be told.
pub(super) fn take_batch(
    index: &mut Index,
    batch: Batch,
    items: &[Result<Bytes, ReadError>],
) -> BatchRead {
    let Batch { names, last } = batch;
    let mut read = BatchRead { damaged: Vec::new(), goes_on: true };
    let Index { ordered, catalog, .. } = index;
    let Some(ordered) = ordered else { return read };
    for ((alias, id), item) in names.into_iter().zip(items) {
        // Of a name that has changed since the batch was made, what came is what counts, and was noted as it came.
        let is_current = matches!(
            catalog.listed_as(alias),
            Some(Listed::Shown(entry) | Listed::Future(_, Some(entry))) if entry.id() == id
        );
        match item {
            Ok(_) if !is_current => {}
            Ok(name) if name.is_empty() => ordered.lack(alias, Unread::Closed),
            Ok(name) => ordered.take(alias, name),
            Err(ReadError::Disk(why)) => {
                log::error!("an item of the log could not be read now: {why:?}");
                return BatchRead { goes_on: false, ..read };
            }
            Err(ReadError::Gone | ReadError::Damaged) => {
                read.damaged.push(id);
                if is_current {
                    ordered.lack(alias, Unread::Closed);
                }
            }
        }
    }
    ordered.has_read(last);
    read
}

/// What somebody asks for names in order. None if it is not for this node to read.
pub(super) fn open(index: &Index, sealed: &SealedNames) -> Option<NamesQuestion> {
    let keys = index.ordered.as_ref()?.keys();
    let plain = names::open(keys, names::Kind::Question, sealed)?;
    NamesQuestion::decode(&plain).ok()
}

/// What is found, for nobody but who has the data key.
pub(super) fn seal(index: &Index, found: &NamesFound) -> Option<SealedNames> {
    let keys = index.ordered.as_ref()?.keys().newest(&Space::default());
    Some(names::seal(&keys, names::Kind::Found, &found.encode()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::data::DataKeys;
    use crate::crypto::sealed::seal_part;
    use crate::ids::VersionId;
    use crate::index::Ordered;
    use crate::store::values::LogPlace;
    use crate::wire::record::{Record, RecordKind, Sealed};

    fn record(data: &DataKeys, name: &[u8], kind: RecordKind, stamp: u64) -> Record {
        let (keys, id) = (data.newest(&Space::default()), data.name_id(&Space::default(), name));
        let version = VersionId { stamp, ..VersionId::default() };
        let mut record = Record::unsigned(kind, id, version);
        record.epoch = keys.epoch();
        let mut plain = Vec::new();
        Sealed { name: name.to_vec(), ..Sealed::default() }.encode(&mut plain);
        (record.sealed_tag, record.sealed) = seal_part(&keys, &record.public_bytes(), &plain);
        record
    }

    /// Between the making of a batch and its being read a name is stored anew, or deleted.
    #[test]
    fn what_came_while_names_were_read_counts() {
        let data = DataKeys::generate(&[7; 32]);
        let at = |offset| LogPlace { segment: 1, offset, length: 7 };
        for kind in [RecordKind::File, RecordKind::Tombstone] {
            for gone in [false, true] {
                let mut index = Index::for_tests();
                index.catalog.set_latest(u64::MAX >> 1);
                index.ordered = Some(Ordered::new(data.clone()));
                let [old, new] = [(RecordKind::File, 5), (kind, 6)]
                    .map(|(kind, stamp)| record(&data, b"name", kind, stamp));
                index.catalog.insert(RecordId([5; 32]), &old, at(9_000));
                let (_, batch) = next_batch(&mut index).expect("there is something to read");
                index.catalog.insert(RecordId([6; 32]), &new, at(9_007));
                let Index { ordered, catalog, .. } = &mut index;
                ordered.as_mut().unwrap().note(catalog, &RecordId([6; 32]), &new);
                let item =
                    if gone { Err(ReadError::Gone) } else { Ok(Bytes::from_static(b"name")) };
                assert!(take_batch(&mut index, batch, &[item]).goes_on);
                let page = page(&mut index, &NamesQuestion::default(), false).unwrap();
                let shown = usize::from(kind == RecordKind::File);
                assert_eq!((page.ids.len(), page.damaged), (shown, 0), "{kind:?}, gone: {gone}");
            }
        }
    }
}
