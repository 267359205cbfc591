//! Work: what the core asks of the workers beyond the disk, and the one function that does it.
//!
//! Knows no thread. Invariant: every `Job` is answered by exactly one `Done` with its ticket.

use crate::crypto::{sign, tags, tree};
use crate::ids::Address;
use crate::keyring::permit::permits;
use crate::limits::AT_ONCE_BYTES_MAX;
use crate::planted::{self, Bug};
use crate::store::fs::FileSystem;
use crate::store::{Disk, job};
use crate::wire::message::BlockRef;
use crate::wire::permit::Permit;
use crate::wire::record::Record;
use bytes::Bytes;

/// One thing to check before it is believed.
#[derive(Debug)]
pub enum Check {
    /// The signature of an encoded record.
    Signature(Bytes),
    /// The address of a block.
    Tree(Bytes),
    /// The permit of these blocks.
    Offer(Permit, Vec<BlockRef>),
    /// The address of a page, and its permit.
    Page(Permit, Bytes),
}

impl Check {
    /// Bytes to be looked at.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Signature(bytes) | Self::Tree(bytes) | Self::Page(_, bytes) => bytes.len(),
            Self::Offer(_, blocks) => size_of_val(&blocks[..]),
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// The signature is right, of a record or of a permit.
    Signed,
    /// The signature is wrong.
    Forged,
    /// This is the address.
    Address(Address),
}

/// Work for a worker.
#[derive(Debug)]
pub enum Job {
    /// For the disk.
    Disk(job::Job),
    /// Signatures and hashes.
    Check {
        /// Comes back with the answer.
        ticket: job::Ticket,
        /// What to check.
        checks: Vec<Check>,
    },
}

impl Job {
    /// Which background work it is, if it gives way to others.
    #[must_use]
    pub fn background(&self) -> Option<job::Background> {
        match self {
            Self::Disk(job::Job::Verify { background, .. }) => *background,
            Self::Disk(_) | Self::Check { .. } => None,
        }
    }
}

/// What became of it.
#[derive(Debug)]
pub enum Done {
    /// From the disk.
    Disk(job::Done),
    /// One for each check, in order.
    Checked {
        /// From the job.
        ticket: job::Ticket,
        /// What was found.
        found: Vec<Checked>,
    },
}

/// Does the work; may block.
pub fn execute<F: FileSystem>(disk: &Disk<F>, job: Job) -> Done {
    match job {
        Job::Disk(job) => Done::Disk(disk.run(job)),
        Job::Check { ticket, checks } => {
            Done::Checked { ticket, found: checks.iter().map(check).collect() }
        }
    }
}

/// Does the work if that takes no time to speak of and can't block; with time also a single put's checks.
pub fn execute_at_once<F: FileSystem>(disk: &Disk<F>, job: &Job, has_time: bool) -> Option<Done> {
    match job {
        Job::Disk(job) => disk.run_at_once(job).map(Done::Disk),
        Job::Check { ticket, checks } if has_time && are_few(checks) => {
            Some(Done::Checked { ticket: *ticket, found: checks.iter().map(check).collect() })
        }
        Job::Check { .. } => None,
    }
}

/// Whether to check these takes no longer than two threads take to wake each other: a signature, or a small block.
fn are_few(checks: &[Check]) -> bool {
    let signatures = checks.iter().filter(|check| !matches!(check, Check::Tree(_))).count();
    signatures <= 1 && checks.iter().map(Check::len).sum::<usize>() <= AT_ONCE_BYTES_MAX
}

fn check(check: &Check) -> Checked {
    match check {
        Check::Signature(record) => match Record::decode(record) {
            Ok(record) if signed(&record) || planted::is_on(Bug::AcceptForgery) => Checked::Signed,
            Ok(_) | Err(_) => Checked::Forged,
        },
        Check::Tree(block) => Checked::Address(Address(tree::tree(block).0)),
        Check::Offer(permit, blocks) if permitted(permit, blocks) => Checked::Signed,
        Check::Offer(..) => Checked::Forged,
        Check::Page(permit, page) => {
            let address = Address(tree::tree(page).0);
            let length = u32::try_from(page.len()).unwrap_or(u32::MAX);
            let is_permitted = permitted(permit, &[BlockRef { address, length }]);
            if is_permitted { Checked::Address(address) } else { Checked::Forged }
        }
    }
}

/// Whether a permit is good for exactly these blocks.
fn permitted(permit: &Permit, blocks: &[BlockRef]) -> bool {
    permits(permit, blocks) || planted::is_on(Bug::PermitForAnyAddress)
}

/// Whether the signer named by a record signed it.
#[must_use]
pub fn signed(record: &Record) -> bool {
    sign::verify(&record.signer, tags::RECORD, &record.signed_bytes(), &record.signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fs::SimFs;
    use crate::store::{Config, open};

    #[test]
    fn few_checks_are_done_at_once_if_there_is_time() {
        let (disk, _) = open(SimFs::new(), Config::default(), [1; 16], |_| {}).unwrap();
        let job = |checks| Job::Check { ticket: 7, checks };
        let is_done = |checks, has_time| {
            let done = execute_at_once(&disk, &job(checks), has_time);
            done.is_some_and(|done| matches!(done, Done::Checked { ticket: 7, .. }))
        };
        let signature = || Check::Signature(Bytes::from_static(b"no record"));
        let block = |length| Check::Tree(Bytes::from(vec![1; length]));
        assert!(is_done(vec![signature(), block(4096)], true));
        assert!(!is_done(vec![signature(), block(4096)], false));
        assert!(!is_done(vec![signature(), signature()], true));
        assert!(is_done(vec![block(AT_ONCE_BYTES_MAX)], true));
        assert!(!is_done(vec![block(AT_ONCE_BYTES_MAX), block(1)], true));
        let Done::Checked { found, .. } = execute(&disk, job(vec![signature(), block(9)])) else {
            panic!("checks are answered with what was found");
        };
        assert_eq!(found, [Checked::Forged, Checked::Address(Address(tree::tree(&[1; 9]).0))]);
    }
}
