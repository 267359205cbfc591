//! Drafts: blocks that are being written, each in a file of its own below `tmp/`.
//!
//! Knows no bytes. Invariant: only files that this process has made are written to, however many descriptors there are: a
//! draft that was closed for another one is opened again when it is written to.

use crate::limits::DRAFTS_OPEN_MAX;
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::values::Draft;
use lru::LruCache;
use std::collections::HashSet;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

const OPEN_MAX: NonZeroUsize = NonZeroUsize::new(DRAFTS_OPEN_MAX).expect("it is not 0");

/// See the module.
pub(super) struct Drafts<File> {
    begun: HashSet<Draft>,
    open: LruCache<Draft, Arc<File>>,
}

impl<File> Drafts<File> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { begun: HashSet::new(), open: LruCache::new(OPEN_MAX) }
    }

    /// The draft's file, which is made if there is none.
    pub(super) fn open<F>(&mut self, fs: &F, draft: Draft) -> io::Result<Arc<File>>
    where
        F: FileSystem<File = File>,
    {
        let path = layout::draft(draft);
        let is_begun = self.begun.contains(&draft);
        let open = || if is_begun { fs.reopen(&path) } else { fs.create(&path) };
        let file = self.open.try_get_or_insert(draft, || open().map(Arc::new))?;
        self.begun.insert(draft);
        Ok(Arc::clone(file))
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
        self.open.pop(&draft);
        self.begun.remove(&draft)
    }
}
