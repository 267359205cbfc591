//! Every limit in one place: what is refused, dropped, waited for or counted, and how much of it.
//!
//! Knows nothing but numbers. Invariant: the relations between them are asserted at compile time, below.

use std::time::Duration;

/// One leaf of a block: the unit of verification, of a chunk frame and of the memory budget.
pub const LEAF: usize = dfsd_kernels::LEAF;
/// Leaves in a full block.
pub const BLOCK_LEAVES: usize = LEAVES as usize;
/// The same, as it stands in frames.
pub const LEAVES: u8 = 32;
/// A full block. Only the last block of a file is shorter, and none is empty.
pub const BLOCK: usize = LEAF * BLOCK_LEAVES;
/// Blocks up to this size live in the log, longer ones in the tree of files.
pub const LOG_BLOCK_MAX: usize = 64 * 1024;
/// A block up to this size may travel in the message that carries its record.
pub const INLINE_BLOCK_MAX: usize = LEAF;

/// The body of a frame.
pub const FRAME_BODY_MAX: usize = 60 * 1024;
/// The head of a frame.
pub const FRAME_HEAD: usize = 8;
/// A transport record: a length of two bytes, one frame, the tag of the AEAD.
pub const TRANSPORT_RECORD_MAX: usize = 2 + FRAME_HEAD + FRAME_BODY_MAX + 16;

/// Bytes of what a version says of its file besides name, size, time and mode: extended attributes, and what is to come.
pub const ATTRIBUTES_MAX: usize = 1024;
/// A record, signature included.
pub const RECORD_MAX: usize = 4096;
/// A file's name in bytes.
pub const NAME_MAX: usize = 1280;
/// Parents that a record names.
pub const PARENTS_MAX: usize = 8;
/// Blocks that a record itself lists; longer lists are pages.
pub const RECORD_BLOCKS_MAX: usize = 4;
/// Entries of a page.
pub const PAGE_ENTRIES_MAX: usize = 512;
/// Levels of pages: three hold 512^3 blocks, which is 128 TiB.
pub const PAGE_DEPTH_MAX: u8 = 3;
/// Records in one put, which commit together.
pub const PUT_RECORDS_MAX: usize = 8;
/// Blocks in one offer.
pub const OFFER_BLOCKS_MAX: usize = 64;
/// A printed network address.
pub const NETWORK_ADDRESS_MAX: usize = 255;
/// Addresses that one node announces.
pub const NODE_ADDRESSES_MAX: usize = 8;
/// Peers that are remembered and told of.
pub const PEERS_MAX: usize = 1024;
/// Nodes that others speak of and that have not answered themselves: candidates to be dialled, in all.
pub const CANDIDATES_MAX: usize = 256;
/// Of these, of whom one node speaks.
pub const CANDIDATES_PER_SOURCE_MAX: usize = 64;
/// A candidate all of whose addresses were tried so often in vain gives way to a new one.
pub const CANDIDATE_ATTEMPTS: u32 = 2;
/// Dials of candidates at once; those that are answered do not count.
pub const CANDIDATE_BURST: u32 = 32;
/// When these are used up there is one more each such period.
pub const CANDIDATE_PERIOD: Duration = Duration::from_secs(2);
/// For how long an address of a candidate is left alone after a first failure; four times as long after each further one.
pub const CANDIDATE_FIRST: Duration = Duration::from_secs(60);
/// See `CANDIDATE_FIRST`.
pub const CANDIDATE_LAST: Duration = Duration::from_hours(1);
/// Presences in one message: of about 2 KiB each at most.
pub const MESSAGE_PRESENCES_MAX: usize = 24;
/// Why a node cannot be reached, in bytes: what is longer is cut off.
pub const TROUBLE_MAX: usize = 128;
/// Peers, members or holders in one message.
pub const MESSAGE_PEERS_MAX: usize = 128;
/// Keys that may write, as far as a client is told and keeps them.
pub const GRANTS_MAX: usize = 1024;
/// Records of which a client's connection remembers that somebody who may write has signed them.
pub const JUDGED_MAX: usize = 1024;
/// Answers of a list, one after the other, that bring nothing new.
pub const LIST_BARREN_MAX: u32 = 64;
/// Times that a node may say it is putting names in order, before a client picks from all names by itself.
pub const ORDER_WAITS_MAX: u32 = 256;
/// Names that are looked at for one answer of a list of the past.
pub const PAST_LOOKS_MAX: usize = 2048;
/// Answers of such a list, one after the other, that bring nothing: of very many names few may have been deleted.
pub const PAST_BARREN_MAX: u32 = 32 * 1024;
/// Damaged blocks that a client hears of before it ends a verification.
pub const VERIFY_BAD_MAX: usize = 256 * 1024;
/// Records in one pushed or listed message.
pub const MESSAGE_RECORDS_MAX: usize = 256;
/// Bytes of a question for names in order: two names, and how long they are.
pub const NAMES_QUESTION_MAX: usize = 2 * NAME_MAX + 6;
/// Folders in one answer with names in order.
pub const FOLDERS_TOLD_MAX: usize = 256;
/// Identifiers in one message.
pub const MESSAGE_IDS_MAX: usize = 1024;
/// Questions of a comparison that one side asks before the first is answered.
pub const COMPARE_QUESTIONS_MAX: usize = 16;
/// A range in which a node has no more ids than this is answered with the ids.
pub const COMPARE_IDS: u64 = 32;
/// A range in which it has more is cut into so many parts.
pub const COMPARE_PARTS: usize = 16;
/// Ranges that wait to be asked about on one connection; what is beyond is found by the next comparison.
pub const COMPARE_STACK_MAX: usize = 2048;
/// Records that one round found lacking and whose coming is watched; with more, only another round can tell.
pub const COMPARE_AWAITED_MAX: usize = 4096;
/// Ranges in one answer to a comparison.
pub const MESSAGE_RANGES_MAX: usize = 256;
/// Versions of one name that a message tells of, the greatest ones.
pub const MESSAGE_VERSIONS_MAX: usize = 64;
/// A piece of text in a message.
pub const MESSAGE_TEXT_MAX: usize = 1024;
/// Further fields of a record.
pub const EXTENSIONS_MAX: usize = 16;
/// A MIME type.
pub const CONTENT_TYPE_MAX: usize = 255;

/// Open connections, descriptors permitting.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Connections before a valid first handshake message; when all are taken a random one of the fullest prefix, /24 or
/// /64, gives way.
pub const STRANGERS_MAX: usize = 1024;
/// Connections between the first handshake message and the last, with those that this node dials; by the same rule.
pub const HANDSHAKES_MAX: usize = 256;
/// Of either, from one address, whose oldest gives way; loopback is exempt.
pub const ENTRANTS_PER_ADDRESS_MAX: usize = 16;
/// From connect to the end of the handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// After this long without receiving a frame we ask for one.
pub const PING_AFTER: Duration = Duration::from_secs(30);
/// After this long without receiving a frame the connection is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(90);
/// While a frame or stream is under way, at least `PROGRESS_BYTES` must arrive, or leave, in each such period.
pub const PROGRESS_PERIOD: Duration = Duration::from_secs(30);
/// See `PROGRESS_PERIOD`: 1 KiB/s.
pub const PROGRESS_BYTES: u64 = 30 * 1024;
/// Transport records sent under one key.
pub const REKEY_AFTER: u64 = 1 << 20;

/// Messages that wait to be sent on one connection, in bytes; a connection above it is not read from.
pub const OUTBOX_MAX: usize = 256 * 1024;
/// The outbox in which the last permitted message may be as long as a message gets.
pub const OUTBOX_HARD_MAX: usize = OUTBOX_MAX * 4;
/// Wants that one connection may have waiting; one more closes it.
pub const WANTS_MAX: usize = 512;
/// Bytes of answers that are read from the log at a time; what is asked beyond that waits.
pub const ANSWERS_UNDER_WAY: usize = 2 * 1024 * 1024;
/// Questions of a node that wait while its outbox is full; more are refused.
pub const HELD_QUESTIONS_MAX: usize = 128;
/// Requests of one connection that wait for the disk or for peers; above it the connection is not read from.
pub const REQUESTS_MAX: usize = 256;

/// Jobs that somebody waits for are begun before one of the background, but no more than these in a row.
pub const FOREGROUND_RUN: usize = 64;
/// Pages that are read to answer whether a file is held whole; beyond them what was found when it came counts.
pub const QUESTION_PAGES_MAX: usize = 32;
/// Such questions that read pages at the same time; beyond them the same.
pub const QUESTIONS_MAX: usize = 64;

/// Of what is short here, so much is tried at a time.
pub const SHORT_BATCH: usize = 64;
/// Blocks and pages that a node was told are not here, as far as that is remembered to tell it when they come.
pub const VAIN_MAX: usize = 1024;
/// Names of which a node without room remembers that it has shown a version which it does not keep.
pub const SHOWN_MAX: usize = 4096;
/// Short files whose blocks a node keeps for the connection that it served them to, should they expire; and pages of long
/// ones, of each level.
pub const SERVED_MAX: usize = 16;
/// For so long, if nothing more is asked for.
pub const SERVED_IDLE: Duration = Duration::from_hours(1);
/// Block files that no group names and that a start has removed; more are left alone.
pub const ORPHANS_MAX: usize = 1024;
/// Bytes that collection reads in a second, unless told otherwise.
pub const COLLECT_RATE: u64 = 64 * 1024 * 1024;
/// No less.
pub const COLLECT_RATE_MIN: u64 = 64 * 1024;
/// Blocks that one connection suspects and that wait to be looked at.
pub const SUSPECTS_MAX: usize = 16;
/// A node that brings fewer leaves a second is slow, if another can be asked.
pub const LEAVES_A_SECOND_MIN: u32 = 10;
/// It is judged after this long while somebody waits for what it is to bring.
pub const PACE_PERIOD: Duration = Duration::from_secs(1);
/// And after this long if nobody does.
pub const PACE_PERIOD_ALONE: Duration = Duration::from_secs(10);
/// What somebody waits for is withheld if it was asked for so long ago, however much else has come.
pub const RANGE_TIMEOUT: Duration = Duration::from_secs(3);
/// A node that was slow is asked last for so long.
pub const SLOW_FORGIVEN: Duration = Duration::from_secs(60);
/// How long a silent peer is waited for before the next is asked.
pub const PEER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it is waited for if there is no next: the line to it may be slow. Shorter than whoever asked waits for the answer.
pub const LAST_SOURCE_TIMEOUT: Duration = Duration::from_secs(8);
/// An operation without progress ends after this long.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);
/// A node says so often that a block that it fetches for a client is coming.
pub const COMING_PERIOD: Duration = Duration::from_secs(1);
/// So often in a row that is believed without a leaf: of a block, and of what may have been asked for before it.
pub const COMING_MAX: u32 = 2 * LEAVES as u32;
/// Tombstones that clear a deleted name of heads that one cannot name; what is left then is hidden all the same.
pub const TOMBSTONES_MAX: u32 = 64;
/// How often an operation is tried again within that time when its name was changed meanwhile.
pub const CHANGED_TRIES_MAX: usize = 64;
/// Bytes that may lie ahead of an answer on a client's connection, beside what the node owes to other operations.
pub const OPERATION_AHEAD: u64 = 8 * BLOCK as u64;
/// What moves for others excuses the silence about one operation for as long as it takes at so many bytes a second.
pub const OPERATION_RATE: u64 = 8 * 1024;
/// A program that embeds a node and is away for longer than this has not waited for the node meanwhile.
pub const GATEWAY_PULSE: Duration = Duration::from_secs(1);
/// When so many events wait for a program that embeds a node, no more is taken for it.
pub const GATEWAY_EVENTS_MAX: usize = 8;
/// A program that embeds a node and has not called for so long has left.
pub const GATEWAY_ABANDONED: Duration = Duration::from_hours(1);
/// Commands of a program to a node that runs in a thread of its own; one that gives more waits.
pub const HANDLE_COMMANDS_MAX: usize = 8;
/// Events that wait for such a program; others stay in the node.
pub const HANDLE_EVENTS_MAX: usize = 16;
/// Programs that wait for the node to open a session.
pub const HANDLES_WAITING_MAX: usize = 64;
/// What SIGTERM waits for.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Nodes with one key that are connected at once.
pub const INSTANCES_MAX: usize = 4;
/// Until then a connection answers whose node has connected anew, or it is dead.
pub const INSTANCE_ANSWER: Duration = Duration::from_secs(10);
/// Keys with which more than one node runs, told of in one status.
pub const TWINS_TOLD_MAX: usize = 16;
/// First and last delay between two attempts to reach a peer.
pub const REDIAL_FIRST: Duration = Duration::from_millis(200);
/// See `REDIAL_FIRST`.
pub const REDIAL_LAST: Duration = Duration::from_secs(5);
/// A node that has been away for long is dialled after this part of the time for which it has been away.
pub const REDIAL_SHARE: u32 = 60;
/// And at least this often.
pub const REDIAL_DEAD: Duration = Duration::from_hours(1);
/// A node is forgotten that was last seen so long before another.
pub const FORGET_AFTER: Duration = Duration::from_hours(30 * 24);
/// When a connection has ended, the file of peers is written after this long, to say when the node was last seen.
pub const SEEN_WRITTEN_AFTER: Duration = Duration::from_secs(60);
/// And so often as long as somebody is connected.
pub const SEEN_WRITTEN_EVERY: Duration = Duration::from_hours(1);
/// Threads that look names up.
pub const LOOKUP_WORKERS: usize = 4;
/// Names that wait to be looked up.
pub const LOOKUPS_MAX: usize = 64;
/// A name is given up that the system has not looked up within this time.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(4);
/// Nodes compare what they hold this often.
pub const RECONCILE_PERIOD: Duration = Duration::from_secs(60);
/// How far ahead of the clock a client's stamp may be, and how far ahead of the calendar one from elsewhere may push the
/// clock.
pub const STAMP_LEAD: Duration = Duration::from_secs(60);
/// What is dated further ahead of the calendar than this is dated in the future: no client signs it, no put brings it.
pub const FUTURE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A calendar before this is wrong, and nothing is judged by it: 1 January 2025, in milliseconds since 1970.
pub const CALENDAR_MIN: u64 = 1_735_689_600_000;

/// For how long a version stays after another has superseded it, unless the network is set otherwise.
pub const RETENTION_DEFAULT: Duration = Duration::from_hours(30 * 24);
/// Versions expire in steps of so much, so that work comes in groups.
pub const EXPIRY_STEP: Duration = Duration::from_secs(10);
/// A version stays at least so long after another has superseded it, whatever the network is set to: until those that are
/// connected have heard of that one.
pub const SUPERSEDED_MIN: Duration = Duration::from_secs(20);
/// A tombstone that no version supersedes stays at least so long after its own stamp.
pub const TOMBSTONE_LIFE: Duration = Duration::from_hours(180 * 24);
/// The ids of records that have expired are known for so long, so that nodes whose calendars differ are answered.
pub const EXPIRED_KNOWN: Duration = Duration::from_hours(48);
/// So many of them at most: those that expired first are forgotten first.
pub const EXPIRED_MAX: usize = 256 * 1024;
/// Records that expire in one commit group.
pub const EXPIRED_AT_ONCE: usize = 128;
/// For how long what no version names stays after it came, unless the network is set otherwise.
pub const GRACE_DEFAULT: Duration = Duration::from_hours(24);

/// The greatest bound to which a network may set how many superseded versions of a name it keeps; without one it keeps all.
/// What an overwrite costs grows with the bound, if it is never so little.
pub const KEEP_VERSIONS_MAX: u32 = 10_000;
/// Entries that are looked at in one go when that bound has changed.
pub const BOUND_LOOKS: usize = 4096;
/// What is beyond it is not taken back from a node that knows no better for this long, by when those that are connected have
/// heard of what was stored since.
pub const BOUND_REFUSED: Duration = Duration::from_secs(60);

/// A time that a network is set to, in seconds: a thousand years; what is longer is for ever.
pub const SETTING_SECONDS_MAX: u64 = 1000 * 365 * 24 * 3600;

/// How long a permit is good.
pub const PERMIT_LIFE: Duration = Duration::from_secs(3600);
/// One that is good for longer is not believed. A clock that runs ahead stands still while a long put goes on, so that
/// what its client reckons may be later.
pub const PERMIT_LIFE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Blocks of one commit group.
pub const GROUP_BLOCKS_MAX: usize = 64;
/// Records of one commit group.
pub const GROUP_RECORDS_MAX: usize = 1024;
/// Bytes of one commit group in the log.
pub const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a group of blocks that nobody waits for stays open.
pub const GROUP_WINDOW: Duration = Duration::from_millis(2);
/// A read of more items of the log than this is left to a worker, whether or not they are in memory.
pub const AT_ONCE_ITEMS_MAX: usize = 16;
/// Checks of more bytes than this are left to a worker, whether or not the loop has time.
pub const AT_ONCE_BYTES_MAX: usize = 16 * 1024;
/// A log segment is full when it has grown past this.
pub const SEGMENT: u64 = 64 * 1024 * 1024;
/// A file with a segment's name and without a good header counts as one if its number is this near to the one before.
pub const SEGMENT_GAP_MAX: u32 = 64 * 1024;
/// Of the segments that are gone on purpose so many are listed; the others are below all that are left.
pub const SEGMENTS_REMOVED_MAX: usize = 240;
/// Segments that are removed with one group.
pub const SEGMENTS_REMOVED_AT_ONCE: usize = 64;
/// Bytes of one group in which what is needed of a segment is written anew: a put waits for no more than one such group.
pub const COPIES_BYTES_MAX: u64 = 128 * 1024;
/// Items of one such group.
pub const COPIES_MAX: usize = 512;
/// Bytes a second that are written anew, at most.
pub const COMPACT_RATE: u64 = 32 * 1024 * 1024;
/// Bytes of segments that are removed in a second, while there is room.
pub const REMOVE_RATE: u64 = 256 * 1024 * 1024;
/// When the disk had no room for that it is tried again after this, and later each time.
pub const COMPACT_AGAIN: Duration = Duration::from_secs(60);
/// What is left of records in damaged bytes of the log is looked at by a start, as far as this; of blocks and pages there
/// so much of what names them.
pub const REMAINS_MAX: usize = 16 * 1024 * 1024;
/// Of block files that damaged bytes of the log name so many bytes are hashed by a start; the others are not believed.
pub const REMAINS_HASHED_MAX: u64 = 1024 * 1024 * 1024;
/// A start keeps so many addresses of what the pages that it finds name and it has not found, and as many of pages that were
/// whole since a block was last dropped. Of files with pages beyond that the pages are read once more.
pub const START_MISSING_MAX: usize = 1024 * 1024;
/// Segments of the log that are kept open for reading.
pub const SEGMENTS_OPEN_MAX: usize = 128;
/// Blocks that are being written whose files are kept open.
pub const DRAFTS_OPEN_MAX: usize = 128;
/// Descriptors that the daemon needs besides those for segments, drafts, workers and sockets: the lock, the log's end,
/// queues of events, what the process was given, and a file that is read for a moment.
pub const DESCRIPTORS_OTHER: usize = 32;
/// Files that were removed and are kept open until their space is freed, for which nobody waits.
pub const REMOVED_OPEN_MAX: usize = 16;
/// Descriptors that a worker may have open at a time.
pub const DESCRIPTORS_PER_WORKER: usize = 2;
/// With fewer connections than this a node is of no use.
pub const CONNECTIONS_MIN: usize = 64;
/// Space that is never used by puts, in bytes; or `RESERVE_PERCENT` of the disk, whichever is more.
pub const RESERVE: u64 = 256 * 1024 * 1024;
/// The same in files; or `RESERVE_PERCENT` of all that the disk can have, whichever is more.
pub const RESERVE_FILES: u64 = 1000;
/// See `RESERVE`.
pub const RESERVE_PERCENT: u64 = 2;

/// Bulk memory unless `--memory` says otherwise.
pub const MEMORY_DEFAULT: usize = 32 * 1024 * 1024;
/// The least that works.
pub const MEMORY_MIN: usize = 8 * 1024 * 1024;
/// Memory for partial transport records and control queues, all connections together.
pub const CONTROL_MEMORY: usize = 8 * 1024 * 1024;
/// Bulk memory is given back to the system after this long without use.
pub const MEMORY_IDLE: Duration = Duration::from_secs(10);

/// Lines of the log that wait for their reader, in bytes; more are dropped and counted.
pub const JOURNAL_MAX: usize = 256 * 1024;
/// A line of the log is cut off after so many bytes.
pub const JOURNAL_LINE_MAX: usize = 8 * 1024;
/// At its end the daemon waits this long for whoever reads its log.
pub const JOURNAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The port of a node unless told otherwise.
pub const PORT: u16 = 7400;
/// A key file or a ticket is not longer.
pub const SMALL_FILE_MAX: u64 = 1024 * 1024;
/// Folders in which a daemon has run, as far as their networks are remembered outside them.
pub const KNOWN_FOLDERS_MAX: usize = 128;
/// The path of such a folder; of a longer one nothing is remembered.
pub const KNOWN_FOLDER_PATH_MAX: usize = 4096;
/// A configuration file is not longer: telling what is wrong with one costs 200 times its length in memory.
pub const CONFIG_FILE_MAX: usize = 64 * 1024;

const _: () = assert!(STRANGERS_MAX + HANDSHAKES_MAX < CONNECTIONS_MAX / 2);
const _: () = assert!(ENTRANTS_PER_ADDRESS_MAX * 4 <= HANDSHAKES_MAX);
const _: () = assert!(JOURNAL_LINE_MAX * 8 <= JOURNAL_MAX);
const _: () = assert!(LOG_BLOCK_MAX.is_multiple_of(LEAF) && INLINE_BLOCK_MAX <= LOG_BLOCK_MAX);
const _: () = assert!(LEAF < FRAME_BODY_MAX && RECORD_MAX < FRAME_BODY_MAX);
const _: () = assert!(INLINE_BLOCK_MAX + PUT_RECORDS_MAX * RECORD_MAX / 4 < FRAME_BODY_MAX);
const _: () = assert!(PAGE_ENTRIES_MAX * (32 + 4 + 64) + 64 < FRAME_BODY_MAX);
const _: () = assert!(
    MESSAGE_PEERS_MAX * (32 + 2 + NETWORK_ADDRESS_MAX + 9 + 2 + TROUBLE_MAX) + 8 < FRAME_BODY_MAX
);
const _: () =
    assert!((KNOWN_FOLDERS_MAX * (64 + 1 + KNOWN_FOLDER_PATH_MAX + 1)) as u64 <= SMALL_FILE_MAX);
const _: () = assert!(
    MESSAGE_PRESENCES_MAX * (138 + NODE_ADDRESSES_MAX * (2 + NETWORK_ADDRESS_MAX)) + 3
        <= FRAME_BODY_MAX
);
const _: () = assert!(START_MISSING_MAX >= 512 * PAGE_ENTRIES_MAX);
const _: () = assert!(CANDIDATES_PER_SOURCE_MAX * 4 <= CANDIDATES_MAX);
const _: () = assert!(MESSAGE_IDS_MAX * 32 + 128 < FRAME_BODY_MAX);
const _: () = assert!(MESSAGE_IDS_MAX * 40 + 128 < FRAME_BODY_MAX);
const _: () = assert!(EXPIRED_KNOWN.as_secs() >= 2 * FUTURE_MAX.as_secs());
const _: () = assert!(SUPERSEDED_MIN.as_secs() >= 2 * EXPIRY_STEP.as_secs());
const _: () = assert!(EXPIRED_AT_ONCE <= GROUP_RECORDS_MAX);
const _: () = assert!(MESSAGE_RANGES_MAX * (3 * 32 + 8) + 8 < FRAME_BODY_MAX);
const _: () = assert!(COMPARE_PARTS <= MESSAGE_RANGES_MAX);
const _: () = assert!(COMPARE_QUESTIONS_MAX * COMPARE_PARTS * (3 * 32 + 8) < OUTBOX_MAX / 2);
const _: () = assert!(COMPARE_STACK_MAX >= COMPARE_QUESTIONS_MAX * COMPARE_PARTS * 8);
const _: () = assert!(FRAME_HEAD + FRAME_BODY_MAX + 16 <= 65_519);
const _: () = assert!(STAMP_LEAD.as_secs() < FUTURE_MAX.as_secs());
const _: () = assert!(OPERATION_AHEAD > (OUTBOX_HARD_MAX + BLOCK) as u64);
const _: () = assert!(OUTBOX_HARD_MAX > OUTBOX_MAX + FRAME_BODY_MAX);
const _: () = assert!(PERMIT_LIFE.as_secs() < PERMIT_LIFE_MAX.as_secs());
const _: () = assert!(LOOKUP_TIMEOUT.as_secs() < HANDSHAKE_TIMEOUT.as_secs());
const _: () = assert!(HELD_QUESTIONS_MAX < REQUESTS_MAX);
const _: () = assert!(PACE_PERIOD.as_secs() < OPERATION_TIMEOUT.as_secs() / 2);
const _: () =
    assert!(PACE_PERIOD.as_secs() + RANGE_TIMEOUT.as_secs() < OPERATION_TIMEOUT.as_secs());
const _: () = assert!(PEER_TIMEOUT.as_secs() < LAST_SOURCE_TIMEOUT.as_secs());
const _: () = assert!(LAST_SOURCE_TIMEOUT.as_secs() < OPERATION_TIMEOUT.as_secs());
const _: () = assert!(COMING_PERIOD.as_secs() < OPERATION_TIMEOUT.as_secs() / 2);
