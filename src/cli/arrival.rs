//! Arrival: a local file under way. It is written beside its destination, or without any name, and
//! gets its own name when it is whole.
//!
//! Knows nothing about the network. Invariant: at the destination there is either what was there
//! before or the whole file, whatever dies in between; an arrival that is dropped leaves nothing.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};

use crate::cli::failure::{Exit, Failure};
use crate::cli::landing::{OpenFolder, link_in_the_way};

/// What to do where the destination exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// The new file takes its place.
    Replace,
    /// The new file is not kept, exit code 8.
    Keep,
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Arrival {
    file: File,
    stage: Stage,
    place: Place,
    existing: Existing,
}

/// Where a file will be: a name in a folder.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    folder: Rc<OpenFolder>,
    name: OsString,
}

impl Place {
    /// A name in an open folder. Nothing is followed that is a link.
    pub(crate) fn new(folder: Rc<OpenFolder>, name: OsString) -> Self {
        Self { folder, name }
    }

    /// Its path, to be told.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }
}

#[derive(Debug)]
enum Stage {
    /// A device or pipe: written as it is.
    Direct,
    /// Has no name yet, and goes with the process.
    Unnamed,
    /// Has this temporary name in the folder.
    Named(OsString),
    /// Has its own name.
    Placed,
}

impl Arrival {
    /// Starts a file that will be at `destination`.
    pub(crate) fn create(destination: &Path, existing: Existing) -> Result<Self, Failure> {
        let failed = |error: io::Error| cannot_write(destination, &error);
        let found = match fs::metadata(destination) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        if let Some(found) = &found {
            refuse(destination, found, existing)?;
        }
        let is_special = found.as_ref().is_some_and(|found| !found.is_file());
        // A link stays, and the file that it leads to is replaced.
        let destination = match &found {
            Some(_) if !is_special => destination.canonicalize().map_err(failed)?,
            Some(_) | None => destination.to_owned(),
        };
        let folder = OpenFolder::open(folder_of(&destination)).map_err(failed)?;
        let name = destination.file_name().unwrap_or_default().to_owned();
        let place = Place { folder: Rc::new(folder), name };
        let (file, stage) = if is_special {
            let file = OpenOptions::new().write(true).open(&destination);
            (file.map_err(failed)?, Stage::Direct)
        } else {
            begin(&place.folder).map_err(failed)?
        };
        Ok(Self { file, stage, place, existing })
    }

    /// Starts a file that will be in an open folder, and takes the place of whatever is there but a folder or a link.
    pub(crate) fn create_at(place: Place, existing: Existing) -> Result<Self, Failure> {
        let failed = |error: io::Error| cannot_write(&place.path(), &error);
        match place.folder.type_of(&place.name).map_err(failed)? {
            None => {}
            Some(FileType::Symlink) => return Err(link_in_the_way(&place.path())),
            Some(found) => refuse_type(&place.path(), found == FileType::Directory, existing)?,
        }
        let (file, stage) = begin(&place.folder).map_err(failed)?;
        Ok(Self { file, stage, place, existing })
    }

    /// Where it will be.
    pub(crate) fn destination(&self) -> PathBuf {
        self.place.path()
    }

    /// Takes the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|error| cannot_write(&self.destination(), &error))
    }

    /// Whoever could read, write or run it where it came from may do so here, if this process lets them do that with
    /// new files; nobody else. To be done before the first byte is written. A mode of 0 is not known.
    pub(crate) fn take_mode(&self, mode: u32) -> Result<(), Failure> {
        if matches!(self.stage, Stage::Direct) || mode == 0 {
            return Ok(());
        }
        let changed = self.file.metadata().and_then(|found| {
            let new = found.permissions().mode() & 0o666;
            let taken = mode & (new | (new & 0o444) >> 2);
            if taken == new {
                return Ok(());
            }
            self.file.set_permissions(Permissions::from_mode(taken))
        });
        match changed {
            // The file is our own: its file system has no modes, and who may do what there was said when it was mounted.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            changed => changed.map_err(|error| cannot_write(&self.destination(), &error)),
        }
    }

    /// Makes the contents durable; to be done before `place`, here or for many files at once.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        match self.stage {
            Stage::Direct | Stage::Placed => Ok(()),
            Stage::Unnamed | Stage::Named(_) => {
                self.file.sync_all().map_err(|error| cannot_write(&self.destination(), &error))
            }
        }
    }

    /// Gives the file its name. Its folder is still to be made durable.
    pub(crate) fn place(mut self) -> Result<(), Failure> {
        let failed = |error: io::Error, destination: &Path| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                return exists(destination);
            }
            cannot_write(destination, &error)
        };
        if matches!(self.stage, Stage::Unnamed) {
            let name = self.name_it().map_err(|error| failed(error, &self.destination()))?;
            self.stage = Stage::Named(name);
        }
        if let Stage::Named(name) = &self.stage {
            let Place { folder, name: own } = &self.place;
            let flags = match self.existing {
                Existing::Replace => RenameFlags::empty(),
                Existing::Keep => RenameFlags::NOREPLACE,
            };
            let moved = rustix::fs::renameat_with(&folder.fd, name, &folder.fd, own, flags);
            moved.map_err(|error| failed(error.into(), &self.destination()))?;
            self.stage = Stage::Placed;
        }
        Ok(())
    }

    /// The same, and makes the name durable.
    pub(crate) fn place_durably(self) -> Result<(), Failure> {
        let folder = match self.stage {
            Stage::Direct | Stage::Placed => None,
            Stage::Unnamed | Stage::Named(_) => Some(Rc::clone(&self.place.folder)),
        };
        self.place()?;
        let synced = folder.as_ref().map_or(Ok(()), |folder| folder.sync());
        synced.map_err(|error| {
            let path = folder.as_ref().map(|folder| folder.path().to_owned()).unwrap_or_default();
            cannot_write(&path, &error)
        })
    }

    /// Gives an unnamed file a temporary name.
    fn name_it(&self) -> io::Result<OsString> {
        let name = temporary_name();
        let folder = &self.place.folder.fd;
        rustix::fs::linkat(CWD, in_proc(&self.file), folder, &name, AtFlags::SYMLINK_FOLLOW)?;
        Ok(name)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Stage::Named(name) = &self.stage {
            // Nothing can be done about an error, and the command has failed already.
            let _ = rustix::fs::unlinkat(&self.place.folder.fd, name, AtFlags::empty());
        }
    }
}

/// Makes many files durable, with one call for each file system that they are on.
pub(crate) fn sync_all(arrivals: &[Arrival]) -> Result<(), Failure> {
    let mut devices = Vec::new();
    for arrival in arrivals {
        let failed = |error: io::Error| cannot_write(&arrival.destination(), &error);
        let device = arrival.file.metadata().map_err(failed)?.dev();
        if !devices.contains(&device) {
            devices.push(device);
            rustix::fs::syncfs(&arrival.file).map_err(|error| failed(error.into()))?;
        }
    }
    Ok(())
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Tells early what `create` would refuse.
pub(crate) fn check(destination: &Path, existing: Existing) -> Result<(), Failure> {
    match fs::metadata(destination) {
        Ok(found) => refuse(destination, &found, existing),
        Err(_) => Ok(()),
    }
}

fn refuse(path: &Path, found: &fs::Metadata, existing: Existing) -> Result<(), Failure> {
    refuse_type(path, found.is_dir(), existing)
}

fn refuse_type(path: &Path, is_folder: bool, existing: Existing) -> Result<(), Failure> {
    if is_folder {
        return Err(Failure::new(
            Exit::Error,
            format_args!("{} is a folder: say which file to write", path.display()),
        ));
    }
    match existing {
        Existing::Keep => Err(exists(path)),
        Existing::Replace => Ok(()),
    }
}

fn exists(path: &Path) -> Failure {
    Failure::new(Exit::Exists, format_args!("{} exists, and stays as it is", path.display()))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Error, format_args!("cannot write {}: {error}", path.display()))
}

/// A file without a name where the system can do that and name it later, else one with a temporary name.
fn begin(folder: &OpenFolder) -> io::Result<(File, Stage)> {
    let mode = Mode::from_raw_mode(0o666);
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::openat(&folder.fd, ".", flags | OFlags::TMPFILE, mode) {
        let file = File::from(file);
        if fs::symlink_metadata(in_proc(&file)).is_ok() {
            return Ok((file, Stage::Unnamed));
        }
    }
    let name = temporary_name();
    let flags = flags | OFlags::CREATE | OFlags::EXCL;
    let file = rustix::fs::openat(&folder.fd, &name, flags, mode)?;
    Ok((File::from(file), Stage::Named(name)))
}

/// By which an open file without a name can be given one.
fn in_proc(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// A name that no other process and no other file of this one uses.
fn temporary_name() -> OsString {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(".dfs-{}-{count}.part", std::process::id()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::landing::Landing;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn arrive(at: &Path, existing: Existing) -> Result<(), Failure> {
        let mut arrival = Arrival::create(at, existing)?;
        arrival.write(b"new")?;
        arrival.sync()?;
        arrival.place()
    }

    #[test]
    fn a_whole_file_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        arrive(&file, Existing::Replace).unwrap();
        arrive(&file, Existing::Replace).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["x"]);
    }

    #[test]
    fn what_was_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        fs::write(&file, "old").unwrap();
        let mut arrival = Arrival::create(&file, Existing::Replace).unwrap();
        arrival.write(b"ne").unwrap();
        let name = temporary_name();
        fs::write(folder.path().join(&name), "ne").unwrap();
        arrival.stage = Stage::Named(name);
        drop(arrival);
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["x"]);
    }

    #[test]
    fn an_existing_file_may_be_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        let mut late = Arrival::create(&file, Existing::Keep).unwrap();
        late.write(b"late").unwrap();
        arrive(&file, Existing::Keep).unwrap();
        assert_eq!(late.place().unwrap_err().exit(), Some(Exit::Exists));
        assert_eq!(arrive(&file, Existing::Keep).unwrap_err().exit(), Some(Exit::Exists));
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["x"]);
    }

    #[test]
    fn a_folder_is_no_file_and_a_device_is_written_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let failure = arrive(folder.path(), Existing::Replace).unwrap_err();
        assert!(failure.to_string().contains("is a folder"), "{failure}");
        assert_eq!(arrive(Path::new("/dev/null"), Existing::Replace), Ok(()));
        let missing = folder.path().join("no/x");
        assert_eq!(arrive(&missing, Existing::Replace).unwrap_err().exit(), Some(Exit::Error));
    }

    #[test]
    fn a_link_stays_and_its_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("x"), folder.path().join("l"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        arrive(&link, Existing::Replace).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    /// As somebody does it who may write there, while the file is under way.
    #[test]
    fn a_folder_that_is_replaced_by_a_link_leads_nothing_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (folder.path().join("root"), folder.path().join("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        let mut landing = Landing::new(&root).unwrap();
        for name in ["in/x", "in/y"] {
            let (there, name) = landing.prepare(Path::new(name)).unwrap();
            let arrival = Arrival::create_at(Place::new(there, name), Existing::Replace).unwrap();
            if !root.join("moved").exists() {
                fs::rename(root.join("in"), root.join("moved")).unwrap();
                std::os::unix::fs::symlink(&elsewhere, root.join("in")).unwrap();
            }
            arrival.sync().unwrap();
            arrival.place().unwrap();
        }
        assert_eq!(names(&elsewhere), Vec::<String>::new());
        assert_eq!(names(&root.join("moved")).len(), 2);
        let (there, _) = landing.prepare(Path::new("z")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, root.join("link")).unwrap();
        let place = Place::new(there, "link".into());
        assert!(Arrival::create_at(place, Existing::Replace).is_err());
    }

    #[test]
    fn nobody_may_do_more_with_it_than_where_it_came_from() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        let arrived = |mode| {
            let arrival = Arrival::create(&file, Existing::Replace).unwrap();
            arrival.take_mode(mode).unwrap();
            arrival.place().unwrap();
            fs::metadata(&file).unwrap().permissions().mode() & 0o7777
        };
        let most = arrived(0o777);
        assert!(most & 0o700 == 0o700, "{most:o}");
        for mode in [0o600, 0o400, 0o755, 0o7777, 0o640, 0o100_644, 0o100_000] {
            assert_eq!(arrived(mode), mode & most, "{mode:o}");
        }
        assert_eq!(arrived(0), most & 0o666, "not known: as any new file");
    }
}
