//! The calls of a file system, as the simulated one answers them.
//!
//! Decides nothing about what a power cut keeps. Invariant: a call that does not return `Ok` has synced nothing.

use super::*;

impl FileSystem for SimFs {
    type File = SimFile;

    fn lock(&self, _path: &str) -> io::Result<bool> {
        let mut state = self.state();
        state.alive()?;
        Ok(!std::mem::replace(&mut state.locked, true))
    }

    fn create(&self, path: &str) -> io::Result<SimFile> {
        self.change_whole(|state| {
            state.has_descriptors()?;
            if state.find(path).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let inode = state.next;
            state.bind(path, Some(inode))?;
            state.next += 1;
            let open = Arc::default();
            let _open = Arc::clone(&open);
            let new = Inode { open, ..Inode::default() };
            state.inodes.insert(inode, new);
            Ok(SimFile { inode, _open })
        })
    }

    fn open(&self, path: &str) -> io::Result<SimFile> {
        let mut state = self.state();
        state.readable()?;
        let inode = state.find(path)?;
        let _open = Arc::clone(&state.inodes[&inode].open);
        Ok(SimFile { inode, _open })
    }

    fn open_at_once(&self, path: &str) -> io::Result<SimFile> {
        if self.state().in_memory { self.open(path) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn read_at_once(&self, file: &SimFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let in_memory = self.state().in_memory;
        let bytes = if in_memory { self.read(file, offset, length)? } else { Vec::new() };
        if in_memory && bytes.len() == length {
            return Ok(bytes);
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn reopen(&self, path: &str) -> io::Result<SimFile> {
        self.open(path)
    }

    fn write_at(&self, file: &SimFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|state, failure| {
            let part = match failure {
                None => return state.write_or_lie(file, offset, bytes),
                Some(SimError::NoSpace | SimError::Short) => &bytes[..bytes.len() / 2],
                Some(SimError::Io | SimError::NoDescriptor) => &[],
            };
            state.write(file, position(offset), part)
        })
    }

    fn rewrite(&self, path: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = {
            let state = self.state();
            let inode = state.find(path)?;
            SimFile { inode, _open: Arc::clone(&state.inodes[&inode].open) }
        };
        self.write_at(&file, offset, bytes)
    }

    fn read_at(&self, file: &SimFile, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        state.readable()?;
        if state.is_bad(file, position(offset), bytes.len()) {
            return Err(SimError::Io.into());
        }
        let seen = &state.inode(file)?.seen;
        let start = position(offset).min(seen.length);
        let end = seen.length.min(start + bytes.len());
        seen.read(start..end, bytes);
        state.bytes_read += (end - start) as u64;
        Ok(end - start)
    }

    fn length(&self, file: &SimFile) -> io::Result<u64> {
        let mut state = self.state();
        state.alive()?;
        Ok(state.inode(file)?.seen.length as u64)
    }

    fn preallocate(&self, file: &SimFile, length: u64) -> io::Result<()> {
        self.change_whole(|state| {
            let serial = state.next_serial();
            let more = position(length).saturating_sub(state.inode(file)?.seen.length);
            state.has_room(more)?;
            if more > 0 {
                state.inode(file)?.change(serial, Change::Grow(position(length)));
            }
            Ok(())
        })
    }

    fn truncate(&self, path: &str, length: u64) -> io::Result<()> {
        self.change_whole(|state| {
            let id = state.find(path)?;
            let serial = state.next_serial();
            let inode = state.inodes.get_mut(&id).ok_or_else(not_found)?;
            inode.change(serial, Change::Cut(position(length)));
            Ok(())
        })
    }

    fn sync_file(&self, file: &SimFile) -> io::Result<()> {
        let mut state = self.flush(Some(file))?;
        if std::mem::take(&mut state.untold) {
            return Err(SimError::Io.into());
        }
        Ok(())
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        self.change_whole(|state| {
            let State { files, folders, .. } = state;
            let names = files.iter_mut().chain(folders);
            names.filter(|(name, _)| parent(name) == path).for_each(|(_, name)| name.sync());
            Ok(())
        })
    }

    fn sync_all(&self) -> io::Result<()> {
        let flushed = self.flush(None);
        if flushed.is_err() && self.state().hide_failure() {
            return Ok(());
        }
        let mut state = flushed?;
        let State { files, folders, .. } = &mut *state;
        files.values_mut().chain(folders.values_mut()).for_each(Name::sync);
        state.forget_removed();
        Ok(())
    }

    fn rename(&self, source: &str, target: &str) -> io::Result<()> {
        self.change(|state, failure| {
            if failure.is_some() {
                return Ok(());
            }
            let inode = state.find(source)?;
            state.bind(target, Some(inode))?;
            state.bind(source, None)
        })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.change(|state, failure| {
            if failure.is_some() {
                state.unremoved.insert(path.to_owned());
                return Ok(());
            }
            state.find(path)?;
            state.bind(path, None)
        })
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.alive()?;
        if !state.folder_exists(path) {
            return Err(not_found());
        }
        let names = state.files.iter().chain(&state.folders);
        Ok(names
            .filter(|(name, to)| parent(name) == path && to.seen().is_some())
            .map(|(name, _)| name.rsplit('/').next().unwrap_or(name).to_owned())
            .collect())
    }

    fn make_folder(&self, path: &str) -> io::Result<()> {
        self.change_whole(|state| {
            if !state.folder_exists(parent(path)) {
                return Err(not_found());
            }
            if !state.folder_exists(path) {
                let serial = state.next_serial();
                // No other folder that ever has this name is this one.
                let number = state.next;
                state.next += 1;
                let name = state.folders.entry(path.to_owned()).or_default();
                name.since.push((serial, Some(number)));
            }
            Ok(())
        })
    }

    fn identify(&self, path: &str) -> io::Result<Identity> {
        let mut state = self.state();
        state.alive()?;
        state.identify(path)
    }

    fn identify_file(&self, file: &SimFile) -> io::Result<Identity> {
        let mut state = self.state();
        state.alive()?;
        Ok(Identity { volume: (0, 0), number: file.inode as u64, kind: Kind::File })
    }

    fn space(&self) -> io::Result<DiskSpace> {
        let mut state = self.state();
        state.alive()?;
        let files = Some(FileSpace { free: state.free_files, total: 1 << 30 });
        Ok(DiskSpace { free: state.free, total: 1 << 40, files })
    }
}
