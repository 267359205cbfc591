//! A disk that lies: it says that a write is done, and the bytes are nowhere, or elsewhere. And one with bad sectors.
//!
//! Decides nothing about when. Invariant: every lie is counted, since what it destroyed was never promised to survive it.

use super::*;

/// Bytes that a disk puts in one place.
const SECTOR: u64 = 512;

/// What a write that is said to be done has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    Lost,
    /// It has hit another place of the file.
    Misdirected,
}

/// The lie to come, and how many there have been.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lies {
    next: Option<(u64, Lie)>,
    told: u64,
}

impl Lies {
    fn due(&mut self) -> Option<Lie> {
        let (writes, lie) = self.next.as_mut()?;
        if *writes > 0 {
            *writes -= 1;
            return None;
        }
        let lie = *lie;
        self.next = None;
        self.told += 1;
        Some(lie)
    }
}

impl SimFs {
    /// Lets the `writes`th write from now (0 is the next) be a lie.
    pub fn lie(&self, writes: u64, lie: Lie) {
        self.state().lies.next = Some((writes, lie));
    }

    /// No lie is to come.
    pub fn be_honest(&self) {
        self.state().lies.next = None;
    }

    /// From now on these bytes of a file cannot be read, as when sectors have gone bad; false if there is no such file.
    pub fn go_bad(&self, path: &str, bytes: Range<usize>) -> bool {
        let mut state = self.state();
        let found = state.find(path).ok();
        state.bad.extend(found.map(|inode| (inode, bytes)));
        found.is_some()
    }

    /// How many lies there have been since this was last asked.
    #[must_use]
    pub fn take_lies(&self) -> u64 {
        std::mem::take(&mut self.state().lies.told)
    }
}

impl State {
    /// Whether any of these bytes of a file cannot be read.
    pub(super) fn is_bad(&self, file: &SimFile, start: usize, length: usize) -> bool {
        let hit = |bad: &Range<usize>| bad.start < start + length && start < bad.end;
        self.bad.iter().any(|(inode, bad)| *inode == file.inode && hit(bad))
    }

    /// A write that the disk says is done.
    pub(super) fn write_or_lie(
        &mut self,
        file: &SimFile,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        let Some(lie) = self.lies.due() else {
            return self.write(file, position(offset), bytes);
        };
        let start = position(offset);
        let seen = &self.inode(file)?.seen;
        let length = seen.length;
        let mut before = vec![0; bytes.len()];
        let there = length.min(start + bytes.len()).saturating_sub(start);
        seen.read(start..start + there, &mut before[..there]);
        self.write(file, start, &before)?;
        let elsewhere = offset.wrapping_mul(31) % (length as u64).max(1) / SECTOR * SECTOR;
        match lie {
            Lie::Misdirected if elsewhere != offset => self.write(file, position(elsewhere), bytes),
            Lie::Misdirected | Lie::Lost => Ok(()),
        }
    }
}
