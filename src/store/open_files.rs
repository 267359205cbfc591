//! Files that are kept open, up to a number of them.
//!
//! Knows no name but a number. Invariant: of those that are not open any more every one was used longer ago than any
//! that is.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::sync::Arc;

/// See the module.
pub(super) struct OpenFiles<K, File> {
    files: HashMap<K, (Arc<File>, u64)>,
    max: usize,
    uses: u64,
}

impl<K: Copy + Eq + Hash, File> OpenFiles<K, File> {
    /// None yet, and at most so many.
    pub(super) fn new(max: usize) -> Self {
        Self { files: HashMap::new(), max, uses: 0 }
    }

    /// One that is open.
    pub(super) fn get(&mut self, number: K) -> Option<Arc<File>> {
        self.uses += 1;
        let (file, used) = self.files.get_mut(&number)?;
        *used = self.uses;
        Some(Arc::clone(file))
    }

    /// One that is open, or is opened now, in place of the one that was used longest ago if there are too many.
    pub(super) fn get_or_open(
        &mut self,
        number: K,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        if let Some(file) = self.get(number) {
            return Ok(file);
        }
        let file = Arc::new(open()?);
        if self.files.len() >= self.max {
            let oldest = self.files.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(number, _)| *number) {
                self.files.remove(&oldest);
            }
        }
        self.files.insert(number, (Arc::clone(&file), self.uses));
        Ok(file)
    }

    /// One that is open is not kept any more.
    pub(super) fn remove(&mut self, number: K) -> Option<Arc<File>> {
        self.files.remove(&number).map(|(file, _)| file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_used_longest_ago_is_closed() {
        let mut files = OpenFiles::new(3);
        for number in [1, 2, 3] {
            assert_eq!(*files.get_or_open(number, || Ok(number)).unwrap(), number);
        }
        assert!(files.get(1).is_some());
        files.get_or_open(4, || Ok(4)).unwrap();
        assert!(files.get(2).is_none());
        assert!([1, 3, 4].into_iter().all(|number| files.get(number).is_some()));
        files.get_or_open(3, || panic!("it is open")).unwrap();
    }

    #[test]
    fn what_can_not_be_opened_closes_nothing() {
        let mut files = OpenFiles::new(1);
        files.get_or_open(1, || Ok(1)).unwrap();
        assert!(files.get_or_open(2, || Err(io::ErrorKind::NotFound.into())).is_err());
        assert!(files.get(1).is_some());
    }
}
