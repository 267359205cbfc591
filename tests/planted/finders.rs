//! Who finds which planted bug.

use dfsd::planted::Bug;

/// What must fail when the bug is on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Finder {
    /// One of so many seeds of the simulator, from 0 on.
    Seeds(u64),
    /// This test.
    Test(&'static str),
}

/// Every bug once.
pub(super) const FINDERS: &[(Bug, Finder)] = &[
    (Bug::SkipFlush, Finder::Seeds(20)),
    (Bug::FlushLogAlone, Finder::Seeds(20)),
    (Bug::IgnoreFlushError, Finder::Seeds(20)),
    (Bug::SkipVerdict, Finder::Seeds(20)),
    (Bug::SkipWitness, Finder::Seeds(20)),
    (Bug::BelieveLastGroup, Finder::Seeds(20)),
    (Bug::BelieveTornFrame, Finder::Seeds(20)),
    (Bug::StopAtDamage, Finder::Seeds(20)),
    (Bug::ForgetPeers, Finder::Seeds(20)),
    (Bug::AnswerBeforeCommit, Finder::Seeds(20)),
    (Bug::AcceptWithoutBlocks, Finder::Seeds(20)),
    (Bug::PushToFirst, Finder::Seeds(20)),
    (Bug::DropLastId, Finder::Seeds(20)),
    (Bug::CompareCounts, Finder::Seeds(20)),
    (Bug::CompareOnce, Finder::Seeds(20)),
    (Bug::SkipLeafCheck, Finder::Seeds(20)),
    (Bug::SkipSmallCheck, Finder::Seeds(20)),
    (Bug::SkipReadCheck, Finder::Seeds(20)),
    (Bug::TrustHeldBlock, Finder::Seeds(20)),
    (Bug::ReadFromFirst, Finder::Seeds(20)),
    (Bug::PassPrefix, Finder::Seeds(20)),
    (Bug::KeyFromContext, Finder::Seeds(20)),
    (Bug::SealNothing, Finder::Seeds(20)),
    (Bug::SkipSealCheck, Finder::Seeds(20)),
    (Bug::AcceptUnsignedGrant, Finder::Seeds(20)),
    (Bug::AcceptForgery, Finder::Seeds(20)),
    (Bug::KeepReservation, Finder::Seeds(20)),
    (Bug::KeepReaderMemory, Finder::Seeds(20)),
    (Bug::ForgetStarved, Finder::Seeds(20)),
    (Bug::ForgetPaused, Finder::Seeds(20)),
    (Bug::LoseRedial, Finder::Seeds(20)),
    (Bug::WaitForever, Finder::Seeds(20)),
    (Bug::LoseFailedFetch, Finder::Seeds(20)),
    (Bug::ForgetRetry, Finder::Seeds(20)),
    (Bug::UnboundedWants, Finder::Seeds(20)),
    (Bug::ReviveDeleted, Finder::Seeds(20)),
    (Bug::ShowLastCome, Finder::Seeds(20)),
    (Bug::DropLesserVersion, Finder::Seeds(20)),
    (Bug::TellOneHead, Finder::Seeds(20)),
    (Bug::StampBelowParents, Finder::Seeds(20)),
    (Bug::FollowAnyClock, Finder::Seeds(20)),
    (Bug::CountRecordOnly, Finder::Seeds(20)),
    (Bug::IgnoreExisting, Finder::Seeds(20)),
    (Bug::IntroduceNobody, Finder::Seeds(20)),
];
