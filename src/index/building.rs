//! Names that are being put in order: a value that goes from worker to worker with what each is to do to it.
//!
//! Reads nothing. Invariant: when it is finished it has all names that were added or came, but for those that went.

use super::names::Names;
use super::runs::{Run, Runs};

/// See the module.
#[derive(Debug, Default)]
pub struct Building {
    runs: Runs,
    /// Once all have been added.
    names: Names,
    /// What has become of names while others were read; where that is told, nothing more is added.
    changes: Option<Changes>,
}

/// What has become of names meanwhile. None is in both.
#[derive(Debug, Default)]
pub(super) struct Changes {
    came: Names,
    went: Names,
}

impl Changes {
    pub(super) fn came(&mut self, name: &[u8]) {
        self.came.insert(name);
        self.went.remove(name);
    }

    pub(super) fn went(&mut self, name: &[u8]) {
        self.came.remove(name);
        self.went.insert(name);
    }

    pub(super) fn len(&self) -> u64 {
        self.came.len() + self.went.len()
    }

    /// Makes them so.
    pub(super) fn apply(&self, names: &mut Names) {
        let mut came = self.came.from(b"");
        while let Some(name) = came.next() {
            names.insert(name);
        }
        let mut went = self.went.from(b"");
        while let Some(name) = went.next() {
            names.remove(name);
        }
    }
}

impl Building {
    /// All have been added.
    pub(super) fn with(mut self, changes: Changes) -> Self {
        self.changes = Some(changes);
        self
    }

    /// What is to be done to it: it may take as long as it takes to copy all of it.
    pub(crate) fn go_on(&mut self, names: Vec<Vec<u8>>) {
        if !names.is_empty() {
            self.runs.push(Run::sort(names));
        }
        if let Some(changes) = self.changes.take() {
            if let Some(run) = self.runs.merge() {
                self.names = Names::of_run(&run);
            }
            changes.apply(&mut self.names);
        }
    }

    /// Nothing more is to be done to it.
    pub(super) fn into_names(self) -> Names {
        self.names
    }
}

#[cfg(test)]
impl Building {
    /// All names.
    pub(crate) fn finished(self) -> Vec<Vec<u8>> {
        let mut building = self.with(Changes::default());
        building.go_on(Vec::new());
        let (mut all, mut walk) = (Vec::new(), building.names.from(b""));
        while let Some(name) = walk.next() {
            all.push(name.to_vec());
        }
        all
    }
}
