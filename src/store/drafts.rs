//! Drafts: blocks that are being written, each in a file of its own below `tmp/`.
//!
//! Knows no bytes. Invariant: only files that this process has made are written to, however many descriptors there are: a
//! draft that was closed for another one is opened again when it is written to.

use crate::limits::DRAFTS_OPEN_MAX;
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::open_files::OpenFiles;
use crate::store::values::Draft;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

/// See the module.
pub(super) struct Drafts<File> {
    begun: HashSet<Draft>,
    open: OpenFiles<Draft, File>,
}

impl<File> Drafts<File> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { begun: HashSet::new(), open: OpenFiles::new(DRAFTS_OPEN_MAX) }
    }

    /// The draft's file, which is made if there is none.
    pub(super) fn open<F>(&mut self, fs: &F, draft: Draft) -> io::Result<Arc<File>>
    where
        F: FileSystem<File = File>,
    {
        let path = layout::draft(draft);
        if self.begun.contains(&draft) {
            return self.open.get_or_open(draft, || fs.reopen(&path));
        }
        let file = self.open.get_or_open(draft, || fs.create(&path))?;
        self.begun.insert(draft);
        Ok(file)
    }

    /// Ends the writing of a draft, and gives its file; `NotFound` for one that was never begun.
    pub(super) fn end<F>(&mut self, fs: &F, draft: Draft) -> io::Result<Arc<File>>
    where
        F: FileSystem<File = File>,
    {
        if !self.begun.contains(&draft) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = self.open(fs, draft)?;
        self.forget(draft);
        Ok(file)
    }

    /// Nothing is written to it any more. Whether there was one.
    pub(super) fn forget(&mut self, draft: Draft) -> bool {
        self.open.remove(draft);
        self.begun.remove(&draft)
    }
}
