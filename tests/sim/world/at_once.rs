//! What a daemon's loop does itself, without a worker: small checks, and reads of what is in memory.
//!
//! Decides nothing about which worlds do so. Invariant: as in the daemon, what was done is handed to the node only when it
//! wants nothing more for now.

use super::World;
use dfsd::server::work::{Done, Job, execute_at_once};

/// After so many the rest of a turn is left to workers, but for reads.
const CHECKS_MAX: usize = 8;

impl World {
    /// From now on nodes' jobs are done at once where they can be.
    pub(in crate::sim) fn do_at_once(&mut self) {
        self.at_once = true;
        self.machines.iter().for_each(|machine| machine.fs.tamper().set_in_memory(true));
    }

    /// Does a job at once, or gives it back.
    pub(super) fn try_at_once(&mut self, index: usize, job: Job, done: usize) -> Result<Done, Job> {
        match &self.machines[index].life {
            Some(life) if self.at_once => {
                let done = execute_at_once(&life.disk, job, done < CHECKS_MAX)?;
                // A collection reads more at a time than is done so.
                self.toil.jobs += 1;
                Ok(done)
            }
            Some(_) | None => Err(job),
        }
    }

    /// Gives a node what was done; false if that was nothing.
    pub(super) fn hand_back(&mut self, index: usize, done: &mut Vec<Done>) -> bool {
        let now = self.time_on(index);
        let Some(life) = self.machines[index].life.as_mut().filter(|_| !done.is_empty()) else {
            return false;
        };
        done.drain(..).for_each(|done| life.node.done(now, done));
        true
    }
}
