//! What happens to the disks of machines, beyond what a power cut does.
//!
//! Decides nothing about when. Invariant: `Machine::harm` counts every loss of what a disk had said is durable.

use super::World;
use dfsd::store::fs::FileSystem;
use dfsd::testing::{Lie, SimError, SimFs};

/// Nobody makes so many calls.
const NEVER: u64 = 1 << 60;

impl World {
    /// The machine is off, and all but its keys is gone.
    pub(in crate::sim) fn lose_disk(&mut self, machine: usize) {
        self.power_cut(machine);
        self.machines[machine].fs = SimFs::new();
        self.machines[machine].harm += 1;
        self.machines[machine].wipes += 1;
    }

    /// Turns a bit over of some file. Says what it hit.
    pub(in crate::sim) fn rot(&mut self, machine: usize, spares_drafts: bool) -> Option<String> {
        let mut paths = self.machines[machine].fs.paths("");
        paths.retain(|path| !spares_drafts || !path.starts_with("tmp/"));
        let path = paths.get(self.dice(paths.len().max(1)))?;
        let fs = &self.machines[machine].fs;
        let length = fs.open(path).and_then(|file| fs.length(&file)).ok()?;
        let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
        let offset = self.dice(length);
        let rotten = self.machines[machine].fs.tamper().flip(path, offset);
        self.machines[machine].harm += u64::from(rotten);
        rotten.then(|| format!("byte {offset} of {path} is rotten"))
    }

    /// The disk will say of some write soon that it is done, and it is not.
    pub(in crate::sim) fn lie(&mut self, machine: usize, lie: Lie) {
        let writes = self.dice(20) as u64;
        self.machines[machine].fs.tamper().lie(writes, lie);
    }

    /// Counts the lies that a disk has told.
    pub(super) fn note_lies(&mut self, machine: usize) {
        let lies = self.machines[machine].fs.tamper().take_lies();
        if lies > 0 {
            self.machines[machine].harm += lies;
            self.note(&format!("the disk of machine {machine} has lied"));
        }
    }

    /// The disk has room again and fails no more.
    pub(in crate::sim) fn mend_disk(&mut self, machine: usize) {
        let fs = &self.machines[machine].fs;
        fs.tamper().set_free(1 << 40);
        fs.tamper().be_honest();
        fs.tamper().fail_nth(NEVER, SimError::Io);
    }
}
