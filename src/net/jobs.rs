//! The node's jobs on the workers: done on a disk.
//!
//! Decides nothing: what may be done at once and what is background, `server::work` says.

use crate::server::work::{self, Done, Job};
use crate::store::Disk;
use crate::store::fs::RealFs;
use crate::worker::{Background, Work};

impl Work<Job, Done> for Disk<RealFs> {
    fn at_once(&self, job: Job, has_time: bool) -> Result<Done, Job> {
        work::execute_at_once(self, job, has_time)
    }

    fn execute(&self, job: Job) -> Done {
        work::execute(self, job)
    }

    fn background(&self, job: &Job) -> Option<Background> {
        job.background().map(|work| Background { kind: work.kind as u8, owner: work.owner })
    }
}
