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

impl Tamper<'_> {
    /// Lets the `writes`th write from now (0 is the next) be a lie.
    pub fn lie(&self, writes: u64, lie: Lie) {
        self.0.state().lies.next = Some((writes, lie));
    }

    /// No lie is to come.
    pub fn be_honest(&self) {
        self.0.state().lies.next = None;
    }

    /// From now on these bytes of a file cannot be read, as when sectors have gone bad; false if there is no such file.
    pub fn go_bad(&self, path: &str, bytes: Range<usize>) -> bool {
        let mut state = self.0.state();
        let found = state.find(path).ok();
        state.bad.extend(found.map(|inode| (inode, bytes)));
        found.is_some()
    }

    /// How many lies there have been since this was last asked.
    #[must_use]
    pub fn take_lies(&self) -> u64 {
        std::mem::take(&mut self.0.state().lies.told)
    }

    /// Cuts the power at the `calls`th changing call from now (0 is the next): it happens, but fails, as do all later ones.
    pub fn cut_after(&self, calls: u64) {
        let mut state = self.0.state();
        state.cut_at = Some(state.calls + calls);
    }

    /// From now on nothing happens any more, as when the process has been killed: what is closed then writes nothing.
    pub fn kill(&self) {
        self.0.state().dead = true;
    }

    /// Lets the `calls`th changing call from now (0 is the next) fail, and only that one.
    pub fn fail_nth(&self, calls: u64, error: SimError) {
        let mut state = self.0.state();
        state.fail_at = Some((state.calls + calls, error));
    }

    /// Lets the `calls`th call from now (0 is the next) fail, changing or reading; and, if it `lasts`, all after it.
    pub fn fail_call(&self, calls: u64, error: SimError, lasts: bool) {
        let mut state = self.0.state();
        let from = state.all_calls + calls;
        let to = if lasts { u64::MAX } else { from + 1 };
        state.failing = Some(Failing { from, to, error });
    }

    /// Sets what `space` tells; writes do not count against it.
    pub fn set_free(&self, bytes: u64) {
        self.0.state().free = bytes;
    }

    /// From now on no file can be made, opened or read, as when descriptors have run out; or again it can.
    pub fn set_exhausted(&self, exhausted: bool) {
        self.0.state().exhausted = exhausted;
    }

    /// From now on all that it holds can be read at once; or nothing, and it cannot tell.
    pub fn set_in_memory(&self, in_memory: bool) {
        self.0.state().in_memory = in_memory;
    }

    /// Flips a bit of a file, as rot does; false if there is no such byte.
    pub fn flip(&self, path: &str, offset: usize) -> bool {
        let mut state = self.0.state();
        let Some(inode) = state.find(path).ok().and_then(|id| state.inodes.get_mut(&id)) else {
            return false;
        };
        Arc::make_mut(&mut inode.kept).flip(offset) | Arc::make_mut(&mut inode.seen).flip(offset)
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
