//! Orphans: block files that no group names, of a group that was void, or that were to go when the process ended.
//!
//! Lists one folder after the other, once after a start, and reads no file. Such files are few: if they are many the log
//! that named them is gone, and they stay. Invariant: what is held stays; what is not held and on its way here is seen to by
//! the commit queue, which has it go before it comes.

use crate::ids::Address;
use crate::limits::ORPHANS_MAX;
use crate::server::context::Context;
use crate::server::work::Job;
use crate::store::values::{BlockFolder, DiskError};

/// What a list of a folder counts for the rate.
pub(super) const LISTED_BYTES: u64 = 4096;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Step {
    /// A folder is listed: `listed` is to be called.
    List,
    /// These files are to go.
    Drop(Vec<Address>),
    Ended,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Orphans {
    /// Folders that are to be listed, the next one last.
    folders: Vec<Vec<u8>>,
    /// Files that no group names.
    found: Vec<Address>,
    /// Some could not be listed.
    unread: u32,
}

impl Default for Orphans {
    fn default() -> Self {
        Self { folders: vec![Vec::new()], found: Vec::new(), unread: 0 }
    }
}

impl Orphans {
    pub(super) fn step(&mut self, cx: &mut Context) -> Step {
        if self.folders.is_empty() && self.found.len() > ORPHANS_MAX {
            self.found.clear();
            log::warn!(
                "many files in blocks/ are named by no group of the log: they are left alone"
            );
        }
        if self.folders.is_empty() && !self.found.is_empty() {
            let rest = self.found.split_off(self.found.len().min(super::FILES as usize));
            return Step::Drop(std::mem::replace(&mut self.found, rest));
        }
        match self.folders.pop() {
            Some(folder) => {
                cx.job(Job::ListBlocks { folder });
                Step::List
            }
            None => {
                if self.unread > 0 {
                    log::warn!("{} folders of blocks could not be listed", self.unread);
                }
                Step::Ended
            }
        }
    }

    pub(super) fn listed(&mut self, cx: &Context, result: Result<BlockFolder, DiskError>) {
        let Ok(BlockFolder { folders, blocks }) = result else {
            self.unread += 1;
            return;
        };
        self.folders.extend(folders);
        let is_held = |address: &Address| cx.index.holdings.block(address).is_some();
        let room = (ORPHANS_MAX + 1).saturating_sub(self.found.len());
        self.found.extend(blocks.into_iter().filter(|address| !is_held(address)).take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::output::Output;
    use crate::store::values::BlockPlace;

    fn address(number: usize) -> Address {
        let mut address = Address([7; 32]);
        address.0[..8].copy_from_slice(&(number as u64).to_be_bytes());
        address
    }

    /// What goes of so many files in one folder, of which one is held.
    fn gone(files: usize) -> usize {
        let mut cx = Context::for_tests();
        cx.index.holdings.insert(address(0), BlockPlace::Tree { length: 70_000 }, 1);
        let (mut orphans, mut gone) = (Orphans::default(), 0);
        loop {
            match orphans.step(&mut cx) {
                Step::List => {
                    let Some(Output::Job(Job::ListBlocks { folder })) = cx.outputs.pop_front()
                    else {
                        panic!("a folder is listed");
                    };
                    let listed = match folder.len() {
                        2 => BlockFolder {
                            folders: Vec::new(),
                            blocks: (0..files).map(address).collect(),
                        },
                        _ => BlockFolder {
                            folders: vec![[&folder[..], &[1]].concat()],
                            blocks: Vec::new(),
                        },
                    };
                    orphans.listed(&cx, Ok(listed));
                }
                Step::Drop(files) => {
                    assert!(!files.contains(&address(0)));
                    gone += files.len();
                }
                Step::Ended => return gone,
            }
        }
    }

    #[test]
    fn files_that_no_group_names_go() {
        assert_eq!([1, 2, 100].map(gone), [0, 1, 99]);
    }

    #[test]
    fn many_files_that_no_group_names_are_left_alone() {
        assert_eq!([ORPHANS_MAX + 1, ORPHANS_MAX + 2].map(gone), [ORPHANS_MAX, 0]);
    }
}
