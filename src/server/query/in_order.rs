//! Names in order: what a question for them comes to, and how they are read for the first time.
//!
//! Reads nothing itself. Invariant: an answer costs what it tells, and what it steps over is bounded; what was there all the
//! time is told once, however many answers it takes.

use crate::ids::{RecordId, Space};
use crate::index::catalog::{Listed, Named};
use crate::index::entry::{Entry, Flag};
use crate::index::{Building, Index, Step, Unread};
use crate::keyring::names;
use crate::limits::{FOLDERS_TOLD_MAX, FRAME_BODY_MAX, NAME_MAX, RECORD_MAX};
use crate::seeded::{self, Bug};
use crate::server::work::Unnamed;
use crate::store::values::{LogItem, ReadError};
use crate::wire::names::{NamesFound, NamesQuestion, Scope, SealedNames};
use std::ops::Range;

/// Records in one answer.
const RECORDS: usize = 128;
/// Names that one answer steps over, shown or not.
const STEPS: usize = 1024;
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
    /// The rows of the catalog in which they are.
    rows: Range<u32>,
    items: Vec<LogItem>,
}

impl Batch {
    #[cfg(test)]
    pub(in crate::server) fn for_tests(items: Vec<LogItem>) -> Self {
        Self { rows: 0..0, items }
    }

    pub(in crate::server) fn items(&self) -> &[LogItem] {
        &self.items
    }
}

/// What is to be read next, so that names are in order, and what is built of them. None if they are in order.
pub(super) fn next_batch(index: &mut Index) -> Option<(Batch, Building)> {
    let Index { ordered, catalog, .. } = index;
    let ordered = ordered.as_mut()?;
    let Step { rows, building } = ordered.next_step(catalog.rows())?;
    let mut items = Vec::new();
    for named in catalog.named(rows.clone()) {
        match named {
            Named::Sound(entry) => items.push(entry.item()),
            Named::Damaged(alias) => ordered.lack(alias, Unread::Closed),
            Named::Future(alias) => ordered.lack(alias, Unread::Future),
        }
    }
    Some((Batch { rows, items }, building))
}

/// What reading a batch has come to.
pub(super) struct BatchRead {
    /// Records whose bytes are damaged or gone.
    pub(super) damaged: Vec<RecordId>,
    /// The next may be read. Not so where the disk would not say what it has: whoever asks next has it read again.
    pub(super) goes_on: bool,
}

/// A batch has been read, but for these.
pub(super) fn take_batch(
    index: &mut Index,
    batch: Batch,
    unread: Vec<Unnamed>,
    building: Building,
) -> BatchRead {
    let mut read = BatchRead { damaged: Vec::new(), goes_on: true };
    let mut is_read = true;
    for Unnamed { at, why } in unread {
        let item = batch.items[at];
        let id = RecordId(item.id);
        match why {
            Some(ReadError::Disk(why)) => {
                log::error!("an item of the log could not be read now: {why:?}");
                (is_read, read.goes_on) = (false, false);
                continue;
            }
            Some(ReadError::Gone) if index.moved_item(&item).is_some() => {
                // All are read once more, from where they are now.
                is_read = false;
                continue;
            }
            Some(ReadError::Gone | ReadError::Damaged) => read.damaged.push(id),
            None => {}
        }
        let Index { ordered, catalog, .. } = &mut *index;
        // Of a name that has changed since the batch was made, what came is what counts, and was noted as it came.
        let Some(alias) = catalog.get(&id).map(Entry::name) else { continue };
        let is_current = matches!(
            catalog.listed_as(alias),
            Some(Listed::Shown(entry) | Listed::Future(_, Some(entry))) if entry.id() == id
        );
        if let Some(ordered) = ordered.as_mut().filter(|_| is_current) {
            ordered.lack(alias, Unread::Closed);
        }
    }
    if let Some(ordered) = &mut index.ordered {
        ordered.step_done(is_read.then_some(batch.rows), building);
    }
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
mod tests;
