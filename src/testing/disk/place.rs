//! What happens to a folder from outside: others remove, mount and fill; and a system that does not tell of failures.
//!
//! Decides nothing about bytes. Invariant: a name has the identity of its file for as long as the file has the name.

use super::*;

impl Tamper<'_> {
    /// Somebody removes a folder with all that is in it; who has a file of it open keeps that.
    pub fn remove_folder(&self, path: &str) {
        let mut state = self.0.state();
        let serial = state.next_serial();
        let State { files, folders, .. } = &mut *state;
        let below = format!("{path}/");
        let names = files.iter_mut().chain(folders);
        let gone = names.filter(|(name, _)| *name == path || name.starts_with(&below));
        gone.for_each(|(_, name)| name.since.push((serial, None)));
    }

    /// From now on this folder is a file system of its own.
    pub fn mount(&self, path: &str) {
        self.0.state().mounted.insert(path.to_owned());
    }

    /// Sets how many more files there may be.
    pub fn set_free_files(&self, count: u64) {
        self.0.state().free_files = count;
    }

    /// From now on a flush of everything that fails says nothing of it, and the next flush of a file does.
    pub fn set_quiet(&self) {
        self.0.state().is_quiet = true;
    }
}

impl State {
    pub(super) fn identify(&self, path: &str) -> io::Result<Identity> {
        let below = |folder: &String| path == folder || path.starts_with(&format!("{folder}/"));
        let volume = (u64::from(self.mounted.iter().any(below)), 0);
        if path.is_empty() {
            return Ok(Identity { volume, number: u64::MAX, kind: Kind::Folder });
        }
        if let Ok(inode) = self.find(path) {
            return Ok(Identity { volume, number: inode as u64, kind: Kind::File });
        }
        let number = self.folders.get(path).and_then(Name::seen).ok_or_else(not_found)? as u64;
        Ok(Identity { volume, number, kind: Kind::Folder })
    }

    /// Whether the failure of a flush of everything is one that nobody is told of.
    pub(super) fn hide_failure(&mut self) -> bool {
        let hides = self.is_quiet && !self.dead;
        self.untold |= hides;
        hides
    }
}
