//! How much a disk can hold: without a bound, or as much as it holds now.
//!
//! Decides nothing about what a power cut keeps. Invariant: what was refused for want of room has changed nothing.

use super::*;

impl Tamper<'_> {
    /// From now on the disk holds no more bytes than it does now: files grow only once others have shrunk or are gone.
    pub fn fill(&self) {
        let mut state = self.0.state();
        state.capacity = Some(state.used());
    }

    /// From now on it has room again.
    pub fn give_room(&self) {
        self.0.state().capacity = None;
    }
}

impl State {
    /// Whether a file can be longer by so many bytes.
    pub(super) fn has_room(&self, more: usize) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if more > 0 && self.used() + more > capacity => {
                Err(SimError::NoSpace.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Bytes of all files that have a name.
    fn used(&self) -> usize {
        let named = self.files.values().filter_map(Name::seen);
        named.filter_map(|id| self.inodes.get(&id)).map(|inode| inode.seen.length).sum()
    }
}
