//! Seeded bugs: mistakes that the tests must find, to show that they would find them.
//!
//! Knows no room. Only a build with the feature `seeded-bugs` can switch one on, by `DFSD_SEEDED`, and no optimised
//! build can have that feature; everywhere else `is_on` is the constant `false`, so that the daemon has none of this.
//! Invariant: in one process at most one is on, from beginning to end.

#[cfg(all(feature = "seeded-bugs", not(debug_assertions)))]
compile_error!("seeded bugs are for tests: no optimised build has them");

/// Declares the bugs, each with the one sentence that says what is wrong and which promise that breaks.
macro_rules! bugs {
    ($(#[doc = $sentence:literal] $bug:ident,)+) => {
        /// A mistake that somebody could make.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug {
            $(#[doc = $sentence] $bug,)+
        }

        impl Bug {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$bug),+];

            #[cfg(feature = "seeded-bugs")]
            fn named(name: &str) -> Self {
                let named = Self::ALL.iter().find(|bug| format!("{bug:?}") == name);
                *named.expect("DFSD_SEEDED names a bug that there is")
            }

            /// What is wrong, and the promise that it breaks.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$bug => $sentence.trim_ascii(),)+
                }
            }
        }
    };
}

bugs! {
    /// A start believes the index of a segment whose check sums are wrong (G2).
    BelieveBadIndex,
    /// A start believes the index of a segment that ends elsewhere (G1).
    BelieveStaleIndex,
    /// The index of a segment leaves out what was dropped and what has expired (G6).
    IndexWithoutGraves,
    /// A group is appended and never flushed (G1).
    SkipFlush,
    /// After a rename the log alone is flushed (G1).
    FlushLogAlone,
    /// A flush that failed counts as one that did not (G1).
    IgnoreFlushError,
    /// A new segment's header is written and not flushed (G1).
    SkipVerdict,
    /// No group follows the last one before a bad block of it is moved away (G1).
    SkipWitness,
    /// A start believes the last group without looking at its blocks (G2).
    BelieveLastGroup,
    /// A start reads frames and items whose check sums are wrong (G2).
    BelieveTornFrame,
    /// A start ends its reading at the first damage (G1).
    StopAtDamage,
    /// The nodes known are never written down (G5).
    ForgetPeers,
    /// A put is answered before its group is committed (G1).
    AnswerBeforeCommit,
    /// A put is accepted without the blocks that it names (G2).
    AcceptWithoutBlocks,
    /// Only the first of the peers is told of a new record (G5).
    PushToFirst,
    /// The last id of a compared range is left out (G5).
    DropLastId,
    /// Ranges with as many records on both sides count as equal (G5).
    CompareCounts,
    /// A node that compared is never compared with again (G5).
    CompareOnce,
    /// Leaves are stored without a look at their hashes (G2).
    SkipLeafCheck,
    /// Small blocks are stored without a look at their address (G2).
    SkipSmallCheck,
    /// A client hands out leaves without a look at their hashes (G2).
    SkipReadCheck,
    /// A block that is here is acknowledged without being looked at (G1).
    TrustHeldBlock,
    /// Blocks are taken in without a permit (G9).
    IgnorePermit,
    /// Everybody's verifying and suspicions are begun at once (G9).
    VerifyWithoutBound,
    /// What nobody waits for is done in front of what somebody waits for (G9).
    VerifyInFront,
    /// What nobody waits for is not done as long as somebody waits for anything else (G9).
    StarveBackground,
    /// Only clients' requests are counted (G9).
    UncountedNodes,
    /// All that a node asks is answered at once, whether or not it takes the answers (G9).
    AnswerWithoutPace,
    /// A node that drips is believed to bring the rest in time (G9).
    TrustSlowSource,
    /// Who brings much is believed to bring what it withholds (G9).
    TrustWithheld,
    /// It is not remembered which nodes were slow (G9).
    ForgetSlow,
    /// What comes of a node that was left for another is thrown away, also if the other has not got it (G9).
    DropLateLeaves,
    /// What is read is asked for after all that nobody waits for (G9).
    ReadInTurn,
    /// A permit is good for any blocks and pages (G9).
    PermitForAnyAddress,
    /// A permit never ends (G9).
    AcceptOldPermit,
    /// A run of leaves is always read from the first one (G2).
    ReadFromFirst,
    /// A get ends well with what came before its source failed (G2).
    PassPrefix,
    /// The key of a block is made from its context alone (G10).
    KeyFromContext,
    /// What should be sealed stays as it is (G10).
    SealNothing,
    /// What a sealed part opens to is not compared with its tag (G2).
    SkipSealCheck,
    /// A grant counts that nobody signed (G4).
    AcceptUnsignedGrant,
    /// Records are believed whose signature is wrong (G4).
    AcceptForgery,
    /// The memory of leaves that never came stays reserved (G9).
    KeepReservation,
    /// A reader that goes away keeps its memory (G9).
    KeepReaderMemory,
    /// Whoever found no memory is not told when there is some (G9).
    ForgetMemoryWaiters,
    /// A connection that was not read from is never read again (G9).
    ForgetPaused,
    /// A node that could not be reached is not dialled again (G5).
    LoseRedial,
    /// A source that says nothing is waited for without an end (G9).
    WaitForever,
    /// A source that failed is not replaced by the next one (G7).
    LoseFailedFetch,
    /// What could not be fetched is not tried again (G7).
    ForgetRetry,
    /// Whoever deletes a name leaves those of its heads that one tombstone cannot name (G6).
    LeaveHeads,
    /// What finds no room in a queue for a peer is dropped, and nobody compares for it (G5).
    DropInSilence,
    /// A start looks through every record whose block came after it (G12).
    JudgeBeforehand,
    /// A start looks through the pages of every file that has some (G12).
    WalkPagesAtStart,
    /// A start takes a page that is here for complete, whatever it names (G7).
    BelieveHeldPages,
    /// A start forgets what is left of a record in damaged bytes, and shows the version before (G3).
    ForgetRemains,
    /// What a peer claims of a name beside a record is passed on as it says it (G4).
    PassClaims,
    /// A start finds nothing in a damaged group, not even what is whole (G2).
    LeaveRemains,
    /// A start takes what stands in a damaged group for what its address says (G4).
    BelieveRemains,
    /// A start does not ask who signed a record that stands in a damaged group (G4).
    BelieveUnsigned,
    /// A start forgets that a small block was in damaged bytes, and calls it absent (G3).
    ForgetRotten,
    /// What nobody can decode of the log is not told of (G3).
    HideLogDamage,
    /// A node that was filled from here makes good what is lost here (G3).
    NewcomerMakesGood,
    /// Once damage of the log was made good, none is told of any more (G3).
    MadeGoodForEver,
    /// All that is short is tried at once, again and again (G12).
    RetryAll,
    /// Whoever asked for a block in vain is not told when it has come (G7).
    KeepArrivals,
    /// A damaged page makes this node look through every record that it has (G12).
    SuspectRecords,
    /// A connection may want as much at once as it likes (G9).
    UnboundedWants,
    /// A tombstone gives way to the file before it (G6).
    ReviveDeleted,
    /// The version that came last is shown, whatever its stamp (G5).
    ShowLastCome,
    /// A version that is less than the one shown is thrown away (G4).
    DropLesserVersion,
    /// Of many versions that nothing supersedes the greatest are told of, so that the least stay for ever (G4).
    TellGreatestHeads,
    /// A list leaves damaged names out and does not say so (G3).
    HideDamaged,
    /// Names of which the records cannot be read are not counted when names are put in order (G3).
    HideUnreadNames,
    /// What was known of a record goes with its bytes (G3).
    ForgetDamaged,
    /// Of the versions that nothing supersedes only one is told of (G4).
    TellOneHead,
    /// A new version's stamp may be below its parents' (G3).
    StampBelowParents,
    /// A stamp from far ahead moves the clock along (G3).
    FollowAnyClock,
    /// A node counts as a holder that has the record alone (G1).
    CountRecordOnly,
    /// A client believes records that a key without a grant has signed (G2).
    BelieveAnySigner,
    /// A client does not look at the signature of a record (G2).
    SkipSignature,
    /// A client believes a list without a look at its signatures (G2).
    TrustBatch,
    /// Of the signatures of a list the errors may cancel out (G2).
    EqualFactors,
    /// A client believes a grant by whoever has signed it (G2).
    BelieveAnyGrant,
    /// A program that embeds a node loses its way in when it is slow (G9).
    HurryPrograms,
    /// A node is blamed for what a program that embeds it does elsewhere (G9).
    BlameNode,
    /// A gateway does not notice that the node has closed it (G9).
    MissClosing,
    /// A node keeps what a program has left behind (G9).
    KeepAbandoned,
    /// Whatever moves on a connection excuses a stuck operation for ever (G9).
    ExcuseBusy,
    /// A trickle for others excuses a stuck operation (G9).
    ExcuseTrickle,
    /// What a node wants again and again counts as progress of a put (G9).
    CountSentAgain,
    /// A get ends with the first node that cannot serve it (G2).
    EndAtFirstFailure,
    /// A question makes a node read all pages of a file (G9).
    WalkForQuestions,
    /// A list may tell of one record again and again (G9).
    RepeatList,
    /// A list may turn back to where it was (G9).
    TurnBackList,
    /// A list may go on for ever and tell nothing (G9).
    BarrenList,
    /// A verification may go on for ever (G9).
    EndlessSweep,
    /// A node may want as much of a client as it likes (G9).
    UnboundedNodeWants,
    /// A node does not tell its clients who may write (G9).
    KeepGrants,
    /// A put that must be new replaces what is there (G4).
    IgnoreExisting,
    /// A put commits whatever its conditions say (G3).
    IgnoreCondition,
    /// The conditions of a put are judged without what is on its way to the disk (G3).
    CheckConditionAgainstCatalogAlone,
    /// What is dated in the future counts as any other version (G3).
    FutureIsHead,
    /// A client's clock moves the node's (G3).
    FollowClientClock,
    /// A put may be dated as far in the future as its writer says (G3).
    TakeFuture,
    /// A client signs whatever time the node says it is (G3).
    SignFuture,
    /// A new node is told of nobody (G5).
    IntroduceNobody,
    /// What a preface has of its own is not bound into the handshake (G9).
    ReplayAccepted,
    /// Connections that were accepted do not count among the handshakes under way (G9).
    HandshakesUncounted,
    /// Of too many strangers of one address the newest is refused (G9).
    NewestUnauthenticatedRefused,
    /// Of too many strangers the oldest goes, wherever it is from (G9).
    OldestUnauthenticatedGoes,
    /// Of two nodes with one key the one that came last pushes the other out (G5).
    TwinsFight,
    /// A client takes every connection that ends early for another network's (G4).
    BusyIsWrongNetwork,
    /// A list of a message is written at whatever length it has (G9).
    EncodeAnyLength,
    /// Holders are counted by those whom an answer has room to name (G2).
    CountWhatFits,
    /// Where others say that a node is counts as where it has answered (G9).
    BelieveRumours,
    /// What others say of a node is passed on before it has answered (G9).
    PassRumoursOn,
    /// Addresses that do not answer are dialled without a bound (G9).
    DialUnbounded,
    /// Addresses are believed that their node did not sign (G9).
    SkipPresenceCheck,
    /// Want of descriptors counts as a failed disk (G9).
    WantEndsNode,
    /// A block's file that cannot be opened now counts as one that was never there (G1).
    UnopenedIsNew,
    /// A folder on another file system is flushed with the data folder's (G1).
    IgnoreOtherVolume,
    /// What was written to files without a name is acknowledged (G1).
    IgnoreLostFolder,
    /// After a flush of everything the log is not flushed itself (G1).
    SkipLogFlushAfterSync,
    /// Puts go on until the disk can have no more files (G9).
    ForgetInodes,
    /// A node that has lost a key goes on as one that never had it (G10).
    ForgetRole,
    /// Whoever has a line for the log waits until somebody reads the log (G9).
    WaitForLogReader,
    /// Lines of the log that found no room are gone without a word (G9).
    DropLinesInSilence,
    /// While this process slept others count as silent (G9).
    BlameSilence,
    /// A node without room refuses what peers have, and neither it nor they remember (G12).
    ForgetRefusal,
    /// Whatever differs between two nodes is gone through again each time, changed or not (G12).
    CompareInVain,
    /// A node that has not heard from the others yet tells what it knows as all there is (G6).
    PastAsPresent,
    /// A node counts as told of everything while that is on its way (G6).
    ToldIsKnown,
    /// What was superseded is sent before what supersedes it (G6).
    PastFirst,
    /// Blocks of what was superseded are fetched before others (G5).
    FetchPastFirst,
    /// Records are sent to a peer whatever it has not taken yet (G9).
    PushWithoutPace,
    /// What a silent node was asked for counts as never asked when it comes (G9).
    ForgetAbandoned,
    /// Of a damaged record that cannot be read as a whole it is not known which name it was about (G1).
    GuessFromTheWhole,
    /// A client waits for as long as a node says that a block is coming (G9).
    BelieveComing,
    /// Nobody who reads a block hears that it is on its way over a slow line (G9).
    WaitWithoutAWord,
    /// Damaged groups at the end of the log are taken for one that was never flushed (G1).
    TornFromTheFirst,
    /// A node is given up for silence though nobody else can be asked (G9).
    GiveUpTheLast,
    /// A usage error repeats what was typed as it is (G9).
    BelieveArguments,
    /// A file that may not grow ends the node (G9).
    DieOfFileLimit,
    /// A folder that has lost its network's key joins any network (G10).
    ForgetNetwork,
    /// Whatever has a segment's name counts as the newest one (G7).
    BelieveNames,
    /// A start on a full disk keeps what the log had set aside, and ends (G7).
    KeepRoom,
    /// What was found damaged before is told as if nobody had it (G1).
    DamagedIsAbsent,
    /// A version that was shown and is not kept counts as never shown (G3).
    TakeBackShown,
    /// A segment is removed before it is durable that it is gone on purpose (G1).
    UnlinkFirst,
    /// Blocks that are not owed any more are removed before it is durable that they are (G1).
    DropFirst,
    /// The head of a new segment does not say which segments are gone on purpose (G1).
    HeadWithoutRemoved,
    /// It is written and not flushed that a segment is gone on purpose (G1).
    UnlinkUnflushed,
    /// Blocks that could not go, since the disk had no room to say so, are left alone from then on (G8).
    ForgetNotDropped,
    /// When the disk had no room for the compaction it is not tried again (G8).
    CompactOnce,
    /// When it could not be written that versions have expired, none expires any more (G8).
    ExpireOnce,
    /// What was written anew does not count as needed where it is now (G1).
    CountNoCopies,
    /// A segment is removed while somebody reads in it (G2).
    RemoveWhileRead,
    /// What says that a version has expired is not written anew with what else is needed (G12).
    CopyNoExpired,
    /// What has died while it waited to be written anew is written all the same (G6).
    CopyTheDead,
    /// What says that something is gone does not outlive its segment (G6).
    ForgetGraves,
    /// What was lost is missed for as long as it is not had, whether somebody needs it or not (G12).
    MissForEver,
    /// What has come again is said to be lost behind that (G1).
    LoseAgain,
    /// A start reads what is left of segments that are gone on purpose (G8).
    ReadRemoved,
    /// A start writes its verdict before what it is about is durable (G7).
    VerdictFirst,
    /// What could not be kept counts as what nobody has shown (G3).
    ShowDespiteNewer,
    /// A peer is asked for as much as readers want that it is to be asked for (G9).
    PassWithoutBound,
    /// A node without room gives readers nothing that only others have (G6).
    ServeOwnOnly,
    /// What comes late for a reader goes to it beside what another was asked for (G2).
    PassWhatIsLate,
    /// Room for blocks is not looked for when there was none (G5).
    ForgetBlockRefusal,
    /// A file whose bytes are the same counts as unchanged, whatever its mode and time (G2).
    ForgetMode,
    /// A folder that held a node and is empty now begins a network (G4).
    BeginAnywhere,
    /// A file that no other version supersedes expires (G4).
    ExpireHead,
    /// Nodes compare all that they hold, whatever has expired by the time on which they have agreed (G12).
    IgnoreCut,
    /// A record that has expired is taken in again (G12).
    AcceptExpired,
    /// What becomes one version too many after the bound was set stays (G8).
    BoundOnlyOnce,
    /// What is discarded stays when what discards it is beyond the bound (G6).
    BoundNotDiscarded,
    /// What supersedes a version dated in the future is discarded without that (G6).
    LeaveFutureParents,
    /// What discards a version goes before it (G6).
    DiscarderFirst,
    /// Of versions that go at one time the greatest go first (G6).
    GreatestFirst,
    /// What is beyond the bound counts in comparisons as long as it is held (G12).
    CountBeyond,
    /// What a deletion hides beside it is not deleted with the name (G6).
    LeaveHidden,
    /// A list of versions leaves one out where an answer ends and the next begins (G4).
    SkipAtPageEnd,
    /// A restored version supersedes nothing of what was there (G4).
    RestoreWithoutParents,
    /// A version is restored whatever has been stored under its name since it was chosen (G4).
    RestoreOverUnseen,
    /// A list of versions may go on for ever (G9).
    EndlessVersions,
    /// A get removes what is not in a list that was not complete (G6).
    RemoveUnlisted,
    /// A part of a file begins with the first byte of the leaf that its first byte is in (G2).
    IgnoreOffset,
    /// Of a file of which a part is read all pages are asked for (G9).
    OpenAllPages,
    /// What a client was told that it need not bring goes all the same (G8).
    SweepPendingPut,
    /// A mark that met a page which is not here counts as one that came by everything (G8).
    SweepOverMissingPage,
    /// What no record names goes as soon as it comes (G8).
    SweepBeforeGrace,
    /// Nodes compare what they hold though they are not set to the same (G1).
    CompareUnlike,
    /// What was set and can be read no more counts as never set: the defaults are in force (G3).
    ForgetSettings,
    /// What was complete before blocks were dropped counts as complete for a record that came later (G1).
    TrustOldPages,
    /// The file of a block goes though the block has come again meanwhile (G1).
    DropHeld,
    /// What is dropped is written anew as if no record that came since could name it (G1).
    CopyDroppedBare,
    /// What was served to somebody who goes on with it goes as soon as no record names it (G2).
    SweepServed,
    /// What a record on its way to the disk names counts as what nobody needs (G8).
    SweepQueued,
    /// What was never named ages by the grace that was set when it came (G8).
    KeepGrace,
    /// What is there of a file that a get goes on with is not compared with what is stored (G2).
    TrustDraft,
}

/// Whether this mistake is to be made: if the environment of this process names it.
#[cfg(feature = "seeded-bugs")]
#[allow(clippy::disallowed_methods, reason = "tests alone have this")]
#[must_use]
pub fn is_on(bug: Bug) -> bool {
    static SEEDED: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    let named = || std::env::var("DFSD_SEEDED").ok().map(|name| Bug::named(&name));
    *SEEDED.get_or_init(named) == Some(bug)
}

/// Whether this mistake is to be made: never.
#[cfg(not(feature = "seeded-bugs"))]
#[must_use]
pub const fn is_on(_: Bug) -> bool {
    false
}
