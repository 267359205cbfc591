//! Where the bytes come from that are stored: files, links, and what a command prints.
//!
//! Knows nothing about the network. Invariant: a source that fails, or that changes while it is read, ends with an error
//! and never as if it were whole.

use std::fmt;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Cursor, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::cli::failure::{Exit, Failure};
use crate::cli::names::Name;
use crate::cli::progress::Progress;
use crate::cli::put::meta::mtime;
use crate::cli::stdin::{self, ReadAhead};

/// A folder that is stored. Whoever may write into it leads nothing out of it by a link, while it is read.
pub(super) struct Root(OwnedFd);

impl Root {
    pub(super) fn open_folder(path: &Path) -> io::Result<Rc<Self>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Rc::new(Self(rustix::fs::open(path, flags, Mode::empty())?)))
    }

    /// What is there now, without waiting for it if it is a pipe.
    pub(super) fn open(&self, relative: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = rustix::fs::openat2(&self.0, relative, flags, Mode::empty(), within);
        // Kernels before 5.6, and sandboxes that do not know it.
        let opened = match opened {
            Err(Errno::NOSYS | Errno::PERM) => self.open_by_parts(relative, flags),
            opened => opened,
        };
        Ok(File::from(opened?))
    }

    fn open_by_parts(&self, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut folder = rustix::io::dup(&self.0)?;
        let name = relative.file_name().ok_or(Errno::INVAL)?;
        for part in relative.parent().into_iter().flat_map(Path::components) {
            folder = rustix::fs::openat(&folder, part.as_os_str(), on_the_way, Mode::empty())?;
        }
        rustix::fs::openat(&folder, name, flags, Mode::empty())
    }
}

/// A local file.
pub(super) struct LocalFile {
    /// Where it is, in the folder that is stored.
    place: Option<(Rc<Root>, PathBuf)>,
    file: Option<File>,
    /// What was found when it was chosen; none if it may change.
    found: Option<Metadata>,
}

impl LocalFile {
    /// One that is opened when its turn comes, so that few are open at once. A link in its place is no file.
    pub(super) fn later(root: Rc<Root>, relative: PathBuf, found: Option<Metadata>) -> Self {
        Self { place: Some((root, relative)), file: None, found }
    }

    /// One that is open.
    pub(super) fn opened(file: File, found: Option<Metadata>) -> Self {
        Self { place: None, file: Some(file), found }
    }

    fn open(&self) -> io::Result<File> {
        let (root, relative) = self.place.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let file = root.open(relative)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no file any more"));
        }
        self.unchanged(&file)?;
        Ok(file)
    }

    /// An error if the file is not as it was found.
    fn unchanged(&self, file: &File) -> io::Result<()> {
        let Some(then) = self.found.as_ref().filter(|found| found.is_file()) else { return Ok(()) };
        let now = file.metadata()?;
        let as_was = (now.dev(), now.ino(), now.size(), mtime(&now))
            == (then.dev(), then.ino(), then.size(), mtime(then));
        let changed =
            "it changed while it was read, and was not stored: try again, or see --allow-changed";
        if as_was { Ok(()) } else { Err(io::Error::other(changed)) }
    }
}

impl Read for LocalFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        let file = self.file.insert(file);
        let count = file.read(buffer)?;
        if count == 0
            && let Some(file) = &self.file
        {
            self.unchanged(file)?;
        }
        Ok(count)
    }
}

/// What a command prints. It is whole if the command ends with 0.
pub(super) struct Printed {
    child: Child,
    printed: ReadAhead,
}

impl Printed {
    /// Starts a command in a shell.
    pub(super) fn start(command: &std::ffi::OsStr) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            let sentence = format!("cannot start the command: {error}; nothing was stored");
            Failure::new(Exit::Error, sentence)
        };
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).stdout(Stdio::piped());
        let mut child = shell.spawn().map_err(failed)?;
        let out = child.stdout.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let printed = stdin::read_ahead(move || out).map_err(failed)?;
        Ok(Self { child, printed })
    }
}

impl Read for Printed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.printed.read(buffer)?;
        if count > 0 {
            return Ok(count);
        }
        let status = self.child.wait()?;
        if status.success() {
            return Ok(0);
        }
        Err(io::Error::other(format!("the command failed ({status}); nothing was stored")))
    }
}

impl Drop for Printed {
    /// A put that has failed wants nothing more of it.
    fn drop(&mut self) {
        // It has ended, or does now; nothing can be done about an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of these.
pub(super) enum Source {
    File(LocalFile),
    /// Where a link leads; nothing for a folder.
    Bytes(Cursor<Vec<u8>>),
    Stdin(ReadAhead),
    Printed(Printed),
    /// Something of this kind, which is not to be read: only whether it would be is asked.
    Withheld(FileType),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Bytes(bytes) => bytes.read(buffer),
            Self::Stdin(stdin) => stdin.read(buffer),
            Self::Printed(printed) => printed.read(buffer),
            Self::Withheld(_) => Err(io::Error::other(Withheld)),
        }
    }
}

/// How the reading of what is withheld fails.
#[derive(Debug)]
struct Withheld;

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not read: nothing is to be stored")
    }
}

impl std::error::Error for Withheld {}

/// Whether that is why nothing was stored.
pub(super) fn is_withheld(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Withheld>())
}

/// A source, and the bar that shows how far it is.
pub(super) struct Counted<'a> {
    pub(super) source: Source,
    /// The name that is stored.
    pub(super) name: Name,
    /// What it is called here, to be told.
    pub(super) label: String,
    /// Bytes that are still to come, of one among many; none if it is alone, and every byte counts.
    pub(super) rest: Option<u64>,
    pub(super) progress: &'a Progress,
}

impl Counted<'_> {
    /// It is done with: what has not come counts as well.
    pub(super) fn finish(&mut self) {
        self.progress.advance(self.rest.take().unwrap_or(0));
        self.progress.file_done();
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        let mut counted = count as u64;
        if let Some(rest) = &mut self.rest {
            counted = counted.min(*rest);
            *rest -= counted;
        }
        self.progress.advance(counted);
        Ok(count)
    }
}

/// Where a link leads, as bytes.
pub(super) fn link_target(path: &Path) -> io::Result<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    Ok(std::fs::read_link(path)?.into_os_string().into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_that_has_become_a_link_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir_all(folder.path().join("b")).unwrap();
        fs::write(tree.join("a/b/x"), "inside").unwrap();
        fs::write(folder.path().join("b/x"), "outside").unwrap();
        let root = Root::open_folder(&tree).unwrap();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let read = |path: &str| {
            let mut text = String::new();
            let opened = LocalFile::later(Rc::clone(&root), path.into(), None);
            { opened }.read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(read("a/b/x").unwrap(), "inside");
        assert!(root.open_by_parts(Path::new("a/b/x"), flags).is_ok());
        fs::rename(tree.join("a"), tree.join("moved")).unwrap();
        symlink(folder.path(), tree.join("a")).unwrap();
        symlink("moved/b/x", tree.join("link")).unwrap();
        for path in ["a/b/x", "link"] {
            assert!(read(path).is_err());
            assert!(root.open_by_parts(Path::new(path), flags).is_err());
        }
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, tree.join("pipe"), kind, Mode::RUSR, 0).unwrap();
        assert_eq!(read("pipe").unwrap_err().to_string(), "it is no file any more");
    }
}
