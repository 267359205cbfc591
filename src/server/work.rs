//! Work: what the core asks of the workers beyond the disk, and the one function that does it.
//!
//! Knows no thread. Invariant: every `Job` is answered by exactly one `Done` with its ticket.

use crate::crypto::{sign, tags, tree};
use crate::ids::Address;
use crate::planted::{self, Bug};
use crate::store::fs::FileSystem;
use crate::store::{Disk, job};
use crate::wire::record::Record;
use bytes::Bytes;

/// One thing to check before it is believed.
#[derive(Debug)]
pub enum Check {
    /// The signature of an encoded record.
    Signature(Bytes),
    /// The address of a block.
    Tree(Bytes),
}

impl Check {
    /// Bytes to be looked at.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Signature(bytes) | Self::Tree(bytes) => bytes.len(),
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// The signature is right.
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

/// Does the work if that takes no time to speak of and can't block.
pub fn execute_at_once<F: FileSystem>(disk: &Disk<F>, job: &Job) -> Option<Done> {
    match job {
        Job::Disk(job) => disk.run_at_once(job).map(Done::Disk),
        Job::Check { .. } => None,
    }
}

fn check(check: &Check) -> Checked {
    match check {
        Check::Signature(record) => match Record::decode(record) {
            Ok(record) if signed(&record) || planted::is_on(Bug::AcceptForgery) => Checked::Signed,
            Ok(_) | Err(_) => Checked::Forged,
        },
        Check::Tree(block) => Checked::Address(Address(tree::tree(block).0)),
    }
}

/// Whether the signer named by a record signed it.
#[must_use]
pub fn signed(record: &Record) -> bool {
    sign::verify(&record.signer, tags::RECORD, &record.signed_bytes(), &record.signature)
}
