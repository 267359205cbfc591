//! Known folders: to which network a data folder belonged when a daemon last ran in it, noted outside the folder, so that
//! one that is empty because its disk is not mounted is not taken for a new one.
//!
//! Knows no secret: a network is told by the public key of its root. Invariants: whatever is wrong with the file, a start
//! goes on without it; only its owner may read it; it is replaced as a whole, and has `KNOWN_FOLDERS_MAX` lines at most.

use super::files;
use crate::crypto::keys::NetworkKey;
use crate::ids::Hash;
use crate::limits::{KNOWN_FOLDER_PATH_MAX, KNOWN_FOLDERS_MAX};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The file's name. A line of it is the network's root and a folder's path.
const FILE: &str = "folders";

/// See the module.
#[derive(Debug)]
pub struct KnownFolders {
    /// Where the file is; nowhere if the environment names no place for it.
    state: Option<PathBuf>,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    root: String,
    path: String,
}

impl KnownFolders {
    /// Those of the file in this folder, which need not be there.
    #[must_use]
    pub fn below(state: Option<PathBuf>) -> Self {
        Self { state }
    }

    /// The root of the network to which a folder belonged; none if that is not known.
    #[must_use]
    pub fn network_of(&self, folder: &Path) -> Option<String> {
        let paths = paths_of(folder);
        self.read().into_iter().find(|line| paths.contains(&line.path)).map(|line| line.root)
    }

    /// Notes that a folder belongs to this network.
    pub fn note(&self, folder: &Path, network: &NetworkKey) {
        let root = Hash(network.root).to_string();
        let noted: Vec<_> =
            paths_of(folder).into_iter().map(|path| Line { root: root.clone(), path }).collect();
        let before = self.read();
        if noted.iter().all(|line| before.contains(line)) {
            return;
        }
        let mut lines: Vec<_> = before
            .into_iter()
            .filter(|line| noted.iter().all(|new| new.path != line.path))
            .chain(noted.iter().cloned())
            .collect();
        while lines.len() > KNOWN_FOLDERS_MAX {
            lines.remove(least_needed(&lines));
        }
        self.write(&lines);
    }

    fn read(&self) -> Vec<Line> {
        let text = self.state.as_deref().map(|state| files::read_note(state, FILE));
        let text = text.and_then(Result::ok).flatten().unwrap_or_default();
        let line = |line: &str| {
            let (root, path) = line.split_once(' ')?;
            Some(Line { root: root.to_owned(), path: path.to_owned() })
        };
        text.lines().filter_map(line).collect()
    }

    fn write(&self, lines: &[Line]) {
        let Some(state) = &self.state else {
            return;
        };
        // A user who has no place for it starts a daemon all the same.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(state);
        let text: String =
            lines.iter().map(|line| format!("{} {}\n", line.root, line.path)).collect();
        if let Err(why) = files::replace(state, FILE, &text) {
            log::debug!("the data folder is not noted: {why}");
        }
    }
}

/// The line that goes when there are too many: the first of a folder whose parent is gone too, which was made for a trial;
/// else the oldest. A disk that is not mounted leaves the folder above.
fn least_needed(lines: &[Line]) -> usize {
    let is_gone = |line: &Line| Path::new(&line.path).parent().is_some_and(|above| !above.exists());
    lines.iter().position(is_gone).unwrap_or(0)
}

/// What a folder may be called: as it was named, and where that leads. Names that are no line of text are left out.
fn paths_of(folder: &Path) -> Vec<String> {
    let absolute = std::path::absolute(folder).ok();
    let absolute = absolute.map(|path| path.components().collect::<PathBuf>());
    let canonical = absolute.as_deref().and_then(|path| {
        // One that is not there is found by the folder above.
        let above = || Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
        fs::canonicalize(path).ok().or_else(above)
    });
    let mut paths: Vec<String> = Vec::new();
    for path in canonical.iter().chain(&absolute) {
        let text = path.to_str().filter(|text| text.len() <= KNOWN_FOLDER_PATH_MAX);
        if let Some(text) = text.filter(|text| !text.contains(char::is_control))
            && !paths.iter().any(|known| known == text)
        {
            paths.push(text.to_owned());
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::RootKey;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::tempdir;

    fn network(number: u8) -> NetworkKey {
        NetworkKey::generate(&[number; 32], &RootKey::generate(&[number; 32]))
    }

    fn root(number: u8) -> Option<String> {
        Some(Hash(network(number).root).to_string())
    }

    #[test]
    fn a_folder_is_known_under_each_of_its_names_also_when_it_is_gone() {
        let here = tempdir().unwrap();
        let known = KnownFolders::below(Some(here.path().join("a/state")));
        let (disk, link) = (here.path().join("disk"), here.path().join("link"));
        fs::create_dir_all(disk.join("data")).unwrap();
        std::os::unix::fs::symlink(disk.join("data"), &link).unwrap();
        assert_eq!(known.network_of(&link), None);
        known.note(&link, &network(1));
        fs::remove_dir(disk.join("data")).unwrap();
        assert_eq!(known.network_of(&link), root(1));
        assert_eq!(known.network_of(&disk.join("data/.")), root(1));
        assert_eq!(known.network_of(&disk), None);
        known.note(&link, &network(2));
        assert_eq!(known.network_of(&link), root(2), "the newest counts");
        let file = here.path().join("a/state").join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(file).unwrap();
        let secret = Hash(network(2).secret).to_string();
        assert!(!text.contains(&secret[..8]) && text.lines().count() <= 4, "{text}");
    }

    #[test]
    fn they_are_few_and_trials_go_first() {
        let here = tempdir().unwrap();
        let known = KnownFolders::below(Some(here.path().join("state")));
        known.note(&here.path().join("kept"), &network(1));
        for trial in 0..2 * KNOWN_FOLDERS_MAX {
            known.note(&here.path().join(format!("gone{trial}/data")), &network(2));
        }
        assert_eq!(known.network_of(&here.path().join("kept")), root(1));
        assert_eq!(known.read().len(), KNOWN_FOLDERS_MAX);
        let long = Path::new("/").join("a/".repeat(KNOWN_FOLDER_PATH_MAX / 2 + 1));
        known.note(&long, &network(3));
        assert_eq!(known.network_of(&long), None);
    }

    #[test]
    fn without_a_place_for_it_or_with_nonsense_there_nothing_is_known_and_nothing_fails() {
        let here = tempdir().unwrap();
        let data = here.path().join("data");
        let nowhere = KnownFolders::below(None);
        nowhere.note(&data, &network(1));
        assert_eq!(nowhere.network_of(&data), None);
        let file = here.path().join("file");
        fs::write(&file, b"\xff\n\n no\n").unwrap();
        let blocked = KnownFolders::below(Some(file.join("state")));
        blocked.note(&data, &network(1));
        assert_eq!(blocked.network_of(&data), None);
        fs::rename(&file, here.path().join(FILE)).unwrap();
        let odd = KnownFolders::below(Some(here.path().to_owned()));
        assert_eq!(odd.network_of(&data), None);
        odd.note(&data, &network(1));
        assert_eq!(odd.network_of(&data), root(1));
    }
}
