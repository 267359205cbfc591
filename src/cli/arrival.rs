//! Arrival: a local file under way. It is written beside its destination, or without any name, and
//! gets its own name when it is whole.
//!
//! Knows nothing about the network. Invariant: at the destination there is either what was there
//! before or the whole file, whatever dies in between; an arrival that is dropped leaves nothing, but
//! for a draft, which is there to be gone on with.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use crate::cli::destination::{
    Destination, Existing, cannot_write, is_dangling, is_open_file, refuse, refuse_type,
};
use crate::cli::draft::Draft;
use crate::cli::facts::Facts;
use crate::cli::failure::{Exit, Failure};
use crate::cli::interrupt::Temporary;
use crate::cli::landing::link_in_the_way;
use crate::cli::text::human_size;
use crate::ids::Hash;

/// The unit of a hole: no file system has smaller ones.
const PAGE: usize = 4096;
static ZEROS: [u8; PAGE] = [0; PAGE];

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Arrival {
    file: File,
    stage: Stage,
    place: Destination,
    existing: Existing,
    /// The mode of the file whose place it takes.
    replaced: Option<u32>,
    /// Bytes that were taken last and not written: zeros, or such as are there.
    hole: u64,
    /// Bytes that were taken, or are there.
    at: u64,
}

#[derive(Debug)]
enum Stage {
    /// A device or pipe: written as it is.
    Direct,
    /// Has no name yet, and goes with the process.
    Unnamed,
    /// Has this temporary name in the folder.
    Named(Temporary),
    /// Goes on with what is there, and stays there when it ends early.
    Draft(Draft),
    /// Has its own name.
    Placed,
}

/// What a path that a person named leads to.
struct Spot {
    /// With links followed, unless nothing is there.
    path: PathBuf,
    place: Destination,
    /// The mode of the file that is there.
    replaced: Option<u32>,
    /// A device or pipe, or what is open already.
    is_special: bool,
}

impl Arrival {
    /// Starts a file that will be at `destination`.
    pub(crate) fn create(destination: &Path, existing: Existing) -> Result<Self, Failure> {
        let Spot { path, place, replaced, is_special } = Spot::find(destination, existing)?;
        let (file, stage) = if is_special {
            // What somebody has opened already, and perhaps written to, goes on at its end.
            let file = OpenOptions::new().append(true).open(&path);
            (file.map_err(|error| cannot_write(&path, &error))?, Stage::Direct)
        } else {
            begin(&place).map_err(|error| cannot_write(&path, &error))?
        };
        Ok(Self { file, stage, place, existing, replaced, hole: 0, at: 0 })
    }

    /// The same, and goes on with the draft that was left there.
    pub(crate) fn go_on(destination: &Path, existing: Existing) -> Result<Self, Failure> {
        let Spot { path, place, replaced, is_special } = Spot::find(destination, existing)?;
        if is_special {
            return Err(Failure::usage(format_args!(
                "--continue needs a file to go on with, and {} is none",
                path.display()
            )));
        }
        let (file, draft) = Draft::open(&place)?;
        let stage = Stage::Draft(draft);
        Ok(Self { file, stage, place, existing, replaced, hole: 0, at: 0 })
    }

    /// Starts a file that will be in an open folder, and takes the place of whatever is there but a folder or a link.
    pub(crate) fn create_at(place: Destination, existing: Existing) -> Result<Self, Failure> {
        let failed = |error: io::Error| cannot_write(&place.path(), &error);
        let found = place.stat().map_err(failed)?.map(|found| found.st_mode);
        match found.map(FileType::from_raw_mode) {
            None => {}
            Some(FileType::Symlink) => return Err(link_in_the_way(&place.path())),
            Some(found) => refuse_type(&place.path(), found.is_dir(), existing)?,
        }
        let (file, stage) = begin(&place).map_err(failed)?;
        Ok(Self { file, stage, place, existing, replaced: found, hole: 0, at: 0 })
    }

    /// Where it will be.
    pub(crate) fn destination(&self) -> PathBuf {
        self.place.path()
    }

    /// The tree hash of each block that is there already.
    pub(crate) fn here(&self) -> Result<Vec<Hash>, Failure> {
        match &self.stage {
            Stage::Draft(draft) => draft.blocks(&self.file),
            Stage::Direct | Stage::Unnamed | Stage::Named(_) | Stage::Placed => Ok(Vec::new()),
        }
    }

    /// Where what has come stays if no more comes.
    pub(crate) fn stays_at(&self) -> Option<PathBuf> {
        match &self.stage {
            Stage::Draft(draft) => (!self.is_empty(draft)).then(|| draft.path()),
            Stage::Direct | Stage::Unnamed | Stage::Named(_) | Stage::Placed => None,
        }
    }

    fn is_empty(&self, draft: &Draft) -> bool {
        self.at == 0 && draft.length() == 0
    }

    /// Refuses a file for which there is no room, before its bytes come.
    pub(crate) fn expect(&self, bytes: u64) -> Result<(), Failure> {
        let Ok(found) = rustix::fs::fstatvfs(&self.file) else { return Ok(()) };
        let may_use_all = rustix::process::geteuid().is_root();
        let blocks = if may_use_all { found.f_bfree } else { found.f_bavail };
        let free = blocks.saturating_mul(found.f_frsize);
        // Some systems do not say how large they are.
        let is_known = found.f_blocks > 0 && !matches!(self.stage, Stage::Direct);
        let bytes = bytes.saturating_sub(self.there());
        if !is_known || bytes <= free {
            return Ok(());
        }
        let (bytes, free) = (human_size(bytes), human_size(free));
        let sentence = format!(
            "no space for {}: it needs {bytes}, and {free} are free",
            self.destination().display()
        );
        Err(Failure::new(Exit::Error, sentence))
    }

    /// Bytes that were there when it was begun.
    fn there(&self) -> u64 {
        match &self.stage {
            Stage::Draft(draft) => draft.length(),
            Stage::Direct | Stage::Unnamed | Stage::Named(_) | Stage::Placed => 0,
        }
    }

    /// The next so many bytes are there already.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.hole += bytes;
        self.at += bytes;
    }

    /// Takes the next bytes. Pages of zeros are left out, so that holes come back as holes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        // What is there is no hole.
        let is_over = self.at < self.there();
        self.at += bytes.len() as u64;
        let written = match self.stage {
            Stage::Direct => self.file.write_all(bytes),
            Stage::Draft(_) if is_over => self.write_here(bytes),
            Stage::Unnamed | Stage::Named(_) | Stage::Draft(_) | Stage::Placed => {
                self.write_sparse(bytes)
            }
        };
        written.map_err(|error| cannot_write(&self.destination(), &error))
    }

    fn write_sparse(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_hole = |page: &[u8]| *page == ZEROS[..page.len()];
        let mut rest = bytes;
        while let Some(first) = rest.chunks(PAGE).next() {
            let skips = is_hole(first);
            let alike = rest.chunks(PAGE).take_while(|page| is_hole(page) == skips);
            let (run, behind) = rest.split_at(alike.map(<[u8]>::len).sum());
            rest = behind;
            if skips {
                self.hole += run.len() as u64;
                continue;
            }
            self.write_here(run)?;
        }
        Ok(())
    }

    /// Writes bytes behind what was passed over.
    fn write_here(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.hole > 0 {
            self.file.seek(SeekFrom::Current(i64::try_from(self.hole).unwrap_or(i64::MAX)))?;
            self.hole = 0;
        }
        self.file.write_all(bytes)
    }

    /// All bytes have come: gives the file its length, and what is known of it besides.
    pub(crate) fn finish(&mut self, facts: &Facts) -> Result<(), Failure> {
        if matches!(self.stage, Stage::Direct) {
            return Ok(());
        }
        let failed = |error: io::Error| cannot_write(&self.place.path(), &error);
        // A draft may have been longer.
        if self.hole > 0 || self.there() > self.at {
            self.file.set_len(self.at).map_err(failed)?;
            self.hole = 0;
        }
        facts.set(&self.file, self.replaced).map_err(failed)
    }

    /// Makes the contents durable; to be done before `place`, here or for many files at once.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        match self.stage {
            Stage::Direct | Stage::Placed => Ok(()),
            Stage::Unnamed | Stage::Named(_) | Stage::Draft(_) => {
                self.file.sync_all().map_err(|error| cannot_write(&self.destination(), &error))
            }
        }
    }

    /// Gives the file its name. Its folder is still to be made durable.
    pub(crate) fn place(mut self) -> Result<(), Failure> {
        if matches!(self.stage, Stage::Unnamed) {
            self.stage = self.name_it().map_err(|error| self.place.failure(&error))?;
        }
        let name = match &self.stage {
            Stage::Named(temporary) => temporary.name(),
            Stage::Draft(draft) => draft.name(),
            Stage::Direct | Stage::Unnamed | Stage::Placed => return Ok(()),
        };
        let moved = self.place.rename_from(name, self.existing);
        moved.map_err(|error| self.place.failure(&error))?;
        self.stage = Stage::Placed;
        Ok(())
    }

    /// The same, and makes the name durable.
    pub(crate) fn place_durably(self) -> Result<(), Failure> {
        let is_placed = matches!(self.stage, Stage::Direct | Stage::Placed);
        let place = (!is_placed).then(|| self.place.clone());
        self.place()?;
        place.map_or(Ok(()), |place| place.sync())
    }

    /// Gives an unnamed file a temporary name.
    fn name_it(&self) -> io::Result<Stage> {
        let noted = self.place.temporary();
        let (folder, from) = (&self.place.folder().fd, in_proc(&self.file));
        rustix::fs::linkat(CWD, from, folder, noted.name(), AtFlags::SYMLINK_FOLLOW)?;
        Ok(Stage::Named(noted))
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        match &self.stage {
            Stage::Named(temporary) => {
                let folder = &self.place.folder().fd;
                // Nothing can be done about an error, and the command has failed already.
                let _ = rustix::fs::unlinkat(folder, temporary.name(), AtFlags::empty());
            }
            Stage::Draft(draft) if self.is_empty(draft) => draft.remove(),
            Stage::Direct | Stage::Unnamed | Stage::Draft(_) | Stage::Placed => {}
        }
    }
}

impl Spot {
    fn find(path: &Path, existing: Existing) -> Result<Self, Failure> {
        let failed = |error: io::Error| cannot_write(path, &error);
        let found = match fs::metadata(path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        if is_dangling(path) {
            return Err(Failure::new(
                Exit::Error,
                format_args!(
                    "{} is a link that leads nowhere: remove it, or name another file",
                    path.display()
                ),
            ));
        }
        if let Some(found) = &found {
            refuse(path, found, existing)?;
        }
        let is_special = found.as_ref().is_some_and(|found| !found.is_file()) || is_open_file(path);
        // A link stays, and the file that it leads to is replaced.
        let path = match &found {
            Some(_) if !is_special => path.canonicalize().map_err(failed)?,
            Some(_) | None => path.to_owned(),
        };
        let place = Destination::of(&path).map_err(failed)?;
        let replaced = found.filter(|_| !is_special).map(|found| found.mode());
        Ok(Self { path, place, replaced, is_special })
    }
}

/// Makes many files durable, with one call for each file system that they are on.
pub(crate) fn sync_all<'a>(arrivals: impl IntoIterator<Item = &'a Arrival>) -> Result<(), Failure> {
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

/// A file without a name where the system can do that and name it later, else one with a temporary name.
fn begin(place: &Destination) -> io::Result<(File, Stage)> {
    // Its owner's alone until all is known of it.
    let mode = Mode::from_raw_mode(0o600);
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::openat(&place.folder().fd, ".", flags | OFlags::TMPFILE, mode) {
        let file = File::from(file);
        if fs::symlink_metadata(in_proc(&file)).is_ok() {
            return Ok((file, Stage::Unnamed));
        }
    }
    let noted = place.temporary();
    let flags = flags | OFlags::CREATE | OFlags::EXCL;
    let file = rustix::fs::openat(&place.folder().fd, noted.name(), flags, mode)?;
    Ok((File::from(file), Stage::Named(noted)))
}

/// By which an open file without a name can be given one.
fn in_proc(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
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
        arrival.finish(&Facts::default())?;
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
        let noted = arrival.place.temporary();
        fs::write(folder.path().join(noted.name()), "ne").unwrap();
        arrival.stage = Stage::Named(noted);
        drop(arrival);
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["x"]);
    }

    #[test]
    fn a_draft_is_gone_on_with_and_cut_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, there) = (folder.path().join("x"), folder.path().join("x.dfs-part"));
        drop(Arrival::go_on(&file, Existing::Replace).unwrap());
        assert_eq!(names(folder.path()), Vec::<String>::new(), "nothing has come");
        let mut first = Arrival::go_on(&file, Existing::Replace).unwrap();
        first.write(&[7; 20_000]).unwrap();
        assert_eq!(first.stays_at().as_ref(), Some(&there));
        drop(first);
        assert_eq!(names(folder.path()), ["x.dfs-part"]);
        // Bytes that are there, others instead of what is there, zeros too, and fewer than there were.
        let mut second = Arrival::go_on(&file, Existing::Replace).unwrap();
        assert_eq!(second.here().unwrap().len(), 1);
        second.skip(5_000);
        second.write(&[0; 9_000]).unwrap();
        second.skip(1_000);
        second.finish(&Facts::default()).unwrap();
        second.sync().unwrap();
        second.place().unwrap();
        let expected = [vec![7; 5_000], vec![0; 9_000], vec![7; 1_000]].concat();
        assert!(fs::read(&file).unwrap() == expected);
        assert_eq!(names(folder.path()), ["x"]);
        assert!(Arrival::go_on(Path::new("/dev/null"), Existing::Replace).is_err());
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
            let arrival =
                Arrival::create_at(Destination::new(there, name), Existing::Replace).unwrap();
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
        let place = Destination::new(there, "link".into());
        assert!(Arrival::create_at(place, Existing::Replace).is_err());
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn nobody_may_do_more_with_it_than_where_it_came_from_or_with_what_it_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        let arrived = |mode| {
            let mut arrival = Arrival::create(&file, Existing::Replace).unwrap();
            arrival.finish(&Facts { mode, ..Facts::default() }).unwrap();
            arrival.place().unwrap();
            mode_of(&file)
        };
        for mode in [0o100_600, 0o100_400, 0o100_755, 0o100_777, 0o100_640, 0o100_664, 0o100_000] {
            let _ = fs::remove_file(&file);
            assert_eq!(arrived(mode), mode & 0o777, "{mode:o}");
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(arrived(0o104_755), 0o755, "it is another's now");
        let given = [(0o600, 0o644, 0o600), (0o644, 0o600, 0o600), (0o600, 0o755, 0o700)];
        for (before, mode, expected) in given {
            let _ = fs::remove_file(&file);
            arrived(0o100_000 | before);
            assert_eq!(arrived(0o100_000 | mode), expected, "{before:o} {mode:o}");
        }
        fs::remove_file(&file).unwrap();
        fs::write(folder.path().join("new"), "").unwrap();
        assert_eq!(arrived(0), mode_of(&folder.path().join("new")), "not known: as any new file");
    }

    #[test]
    fn holes_come_back_as_holes_and_zeros_as_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        let mut bytes = vec![0; 400_000];
        bytes[70_000] = 1;
        bytes[399_000] = 2;
        for length in [0, 1, 4096, 69_999, 70_001, 300_000, 400_000] {
            let mut arrival = Arrival::create(&file, Existing::Replace).unwrap();
            for chunk in bytes[..length].chunks(32_768) {
                arrival.write(chunk).unwrap();
            }
            arrival.finish(&Facts::default()).unwrap();
            arrival.place().unwrap();
            assert!(fs::read(&file).unwrap() == bytes[..length], "{length}");
        }
        let found = fs::metadata(&file).unwrap();
        assert!(found.blocks() * 512 < 100_000, "{} blocks", found.blocks());
    }

    #[test]
    fn a_link_that_leads_nowhere_stays() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("l");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        let failure = arrive(&link, Existing::Replace).unwrap_err();
        assert!(failure.to_string().contains("leads nowhere"), "{failure}");
        assert_eq!(names(folder.path()), ["l"]);
    }

    #[test]
    fn a_link_takes_the_place_of_a_file_and_not_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (file, below) = (folder.path().join("x"), folder.path().join("d"));
        fs::write(&file, "old").unwrap();
        fs::create_dir(&below).unwrap();
        let link = |at: &Path, existing| {
            Destination::of(at).unwrap().link(b"../target", &Facts::default(), existing)
        };
        assert_eq!(link(&file, Existing::Keep).unwrap_err().exit(), Some(Exit::Exists));
        link(&file, Existing::Replace).unwrap();
        link(&file, Existing::Replace).unwrap();
        assert_eq!(fs::read_link(&file).unwrap(), Path::new("../target"));
        assert!(link(&below, Existing::Replace).is_err());
        assert_eq!(names(folder.path()).len(), 2);
    }
}
