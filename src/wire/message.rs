//! Messages: what nodes and clients say to each other. One message is one frame.
//!
//! Knows nothing of how they are answered (`server`, `client`) or encoded (`codec`, below).
//! Invariant: values only.
#![allow(
    missing_docs,
    reason = "the variants are documented, and their fields named for what they are"
)]

mod bounded;
mod codec;

use super::condition::{Condition, HeadsSummary};
use crate::ids::{Address, Hash, NameId, NodeId, RecordId, Space, StoreId, VersionId};
use crate::wire::collection::CollectionStatus;
use crate::wire::log_damage::LogDamage;
use crate::wire::log_use::LogUse;
use crate::wire::names::SealedNames;
use crate::wire::permit::Permit;
use crate::wire::presence::Presence;
use crate::wire::sync_state::SyncState;
use crate::wire::view::View;
use bytes::Bytes;

pub(in crate::wire) use codec::is_network_address;

/// Tells the replies to one connection's requests apart. The asker chooses it.
pub type Request = u32;

/// A block and its length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRef {
    /// Where it is found.
    pub address: Address,
    /// 1 to `BLOCK`.
    pub length: u32,
}

/// A node and one address at which it was or can be reached, `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddress {
    /// Who.
    pub node: NodeId,
    /// Where; at most `NETWORK_ADDRESS_MAX` bytes of printable text without blanks.
    pub address: String,
}

impl PeerAddress {
    /// One read from elsewhere than a message; `None` if no message could carry it.
    #[must_use]
    pub fn read(node: NodeId, address: &str) -> Option<Self> {
        is_network_address(address).then(|| Self { node, address: address.to_owned() })
    }
}

/// What the sender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A node of the network: stores, serves, replicates.
    Node,
    /// A client: asks and goes.
    Client,
}

/// The first message each way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Node or client.
    pub role: Role,
    /// The sender's Ed25519 verify key; with the key that the handshake proved it hashes to the
    /// node id.
    pub verify_key: [u8; 32],
    /// Tells one run of the sender's program from another: a node that was started anew has
    /// another.
    pub boot: u64,
    /// Where the sender can be dialled, best first; empty for a client.
    pub addresses: Vec<String>,
    /// The life of the sender's log.
    pub store: StoreId,
    /// The number of its last durable group.
    pub group: u64,
    /// Its hybrid logical clock.
    pub clock: u64,
}

/// A record, and with it the one small block that it names where the sender has it at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedRecord {
    /// The encoded record.
    pub record: Bytes,
    /// The block's bytes, at most `INLINE_BLOCK_MAX`; empty for none.
    pub block: Bytes,
}

/// A range of record ids, both ends included, and what the sender has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeSummary {
    /// The least id of the range.
    pub first: RecordId,
    /// The greatest id of the range.
    pub last: RecordId,
    /// How many records.
    pub count: u64,
    /// The exclusive or of their ids.
    pub fingerprint: Hash,
}

/// A record that has expired where this comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiredRecord {
    /// Which.
    pub record: RecordId,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeStatus {
    /// Its id.
    pub node: NodeId,
    /// Where it listens.
    pub address: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Names shown.
    pub names: u64,
    /// Records of all versions and kinds.
    pub records: u64,
    /// Blocks held.
    pub blocks: u64,
    /// Bytes of these blocks.
    pub block_bytes: u64,
    /// Records whose blocks are not all here yet.
    pub incomplete: u64,
    /// Versions that no other supersedes, and of which the record is damaged here and was had from no peer.
    pub damaged: u64,
    /// Blocks and pages that a writer brought since the node started, and no record names yet.
    pub unnamed: u64,
    /// Their bytes.
    pub unnamed_bytes: u64,
    /// What no record names any more.
    pub collection: CollectionStatus,
    /// Bytes that the disk has left.
    pub free_bytes: u64,
    /// Whether that was too little for something that other nodes have, when there was last a look.
    pub full: bool,
    /// Bulk memory in use.
    pub memory_used: u64,
    /// Bulk memory at most.
    pub memory_max: u64,
    /// Nodes connected.
    pub peers_connected: u32,
    /// Nodes known, this one not counted.
    pub peers_known: u32,
    /// The number of the last durable group.
    pub group: u64,
    /// Whether it has heard from the others what they know.
    pub sync: SyncState,
    /// What its log has lost without a trace, and no other node has made good.
    pub log_damage: LogDamage,
    /// Other nodes' keys, and its own, with which more than one node runs just now.
    pub twins: Vec<NodeId>,
    /// When it began its network, in milliseconds since 1970, if it knows no other node of it; 0 otherwise.
    pub began_ms: u64,
    /// What its log takes.
    pub log_use: LogUse,
}

/// A node as another knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who and where.
    pub peer: PeerAddress,
    /// Whether there is a connection now.
    pub connected: bool,
    /// Milliseconds since 1970 when it was last heard, which is now for one that is connected; 0 for never.
    pub last_seen_ms: u64,
    /// Where and why it could not be reached when it was last dialled; empty if nothing is known of that.
    pub trouble: String,
}

/// A place among the versions of a name, which have the order of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionMark {
    /// The version.
    pub version: VersionId,
    /// The record that states it: a writer may have given a version twice.
    pub record: RecordId,
}

/// A version of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedVersion {
    /// Which.
    pub version: VersionId,
    /// Another that is known names it as a parent.
    pub superseded: bool,
    /// The encoded record; empty if it is damaged.
    pub record: Bytes,
}

/// Why a request was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No grant names the signer, the signature is wrong, or what was brought has no permit.
    NotAllowed,
    /// The record or page breaks the format's rules.
    Malformed,
    /// Blocks or pages that the record names are not here.
    Missing,
    /// The name exists and the put asked for it not to.
    Exists,
    /// The disk has no room.
    NoSpace,
    /// The stamp is too far ahead of the node's clock.
    Clock,
    /// The node is stopping, or its disk has failed.
    Unavailable,
    /// What was stored is damaged and no other copy could be had.
    Damaged,
    /// The name has other versions than those of which the client was told: ask again, and try again.
    Changed,
}

/// Everything that can be said. `request` in an answer repeats the question's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The first message each way.
    Hello(Hello),
    /// Answer with `Pong`.
    Ping { token: u64 },
    /// The answer to `Ping`.
    Pong { token: u64 },
    /// What the sender, and nodes that have answered it, say of themselves.
    Peers { peers: Vec<Presence> },

    /// Which versions has this name? `relay`: ask the peers if it is not known here.
    Head { request: Request, space: Space, name: NameId, relay: bool },
    /// The clock, the versions that no other supersedes, greatest first, a summary of all of these,
    /// and the encoded record of the greatest. `future`: versions that no other discards, and that
    /// are dated so far in the future that they count as none of these. `log_damage`: what the sender has lost without a
    /// trace, so that there may have been a greater version. `kept`: whether it has this record itself; if not, it has no
    /// room for it, and shows what a peer has.
    Heads {
        request: Request,
        clock: u64,
        versions: Vec<VersionId>,
        all: HeadsSummary,
        future: Vec<VersionId>,
        log_damage: LogDamage,
        kept: bool,
        shown: Option<Bytes>,
    },
    /// The same of a name whose greatest version is damaged, and could not be had from a peer: what it says is not known,
    /// and no older one is shown. A writer may name it as a parent. `kept`: whether the sender had it; if not, it has shown
    /// what a peer had, had no room for it, and reaches no peer that has it any more.
    DamagedHeads {
        request: Request,
        clock: u64,
        versions: Vec<VersionId>,
        all: HeadsSummary,
        future: Vec<VersionId>,
        kept: bool,
    },
    /// Store these records, together or not at all, and with them these small blocks: if the
    /// condition of each record holds. Without any condition the list is empty.
    Put { request: Request, conditions: Vec<Condition>, records: Vec<Bytes>, blocks: Vec<Bytes> },
    /// Durable, with that many copies known at this moment.
    PutDone { request: Request, copies: u16 },
    /// Store this page, which `permit` permits.
    PutPage { request: Request, page: Bytes, permit: Option<Permit> },
    /// The page is durable.
    PageDone { request: Request },
    /// Give me this page.
    GetPage { request: Request, address: Address },
    /// A page; none if the sender has none.
    Page { request: Request, page: Option<Bytes> },
    /// I have these blocks for you, and `permit` is a writer's leave to bring exactly these. Each is
    /// answered by `Want` or `Have`.
    Offer { request: Request, blocks: Vec<BlockRef>, permit: Option<Permit> },
    /// Send me `count` leaves of this block from `first` on, as one stream: the credit to do so.
    Want { block: BlockRef, first: u8, count: u8 },
    /// These blocks are durable here.
    Have { addresses: Vec<Address> },
    /// I cannot give you this block. Said once for each `Want` of it; or to who offered it: it did
    /// not come whole.
    Absent { address: Address },
    /// This block, which you want, is on its way here: said now and then while what is before it or of it comes.
    Coming { address: Address },
    /// The same to a client that wants to read it: what there was of it here is damaged, and no peer in reach has it.
    Damaged { address: Address },
    /// What you sent of this block is not what its address says.
    Suspect { address: Address },
    /// Whoever brings blocks and pages counts no more on what the node has said to be here when it had not asked this yet.
    Settled { upto: Request },

    /// New records, pushed or asked for.
    Records { items: Vec<PushedRecord> },
    /// What have you in this range, if not what I have? Answered once, in the order of the questions: by `Parts` or `Ids`.
    /// `told`: all that you lacked when I last asked about everything has been sent. `cut`: both speak of what they hold that
    /// has not expired by this step (of 10 s since 1970), and of what has expired since. `settings`: the digest of what is in
    /// force here, by which things expire.
    Compare { range: RangeSummary, told: bool, cut: u32, settings: u64 },
    /// I am set to something else than you are: a question about everything is not answered as long as that is so.
    SettingsDiffer,
    /// What I have in the parts of the range that you asked about; none: the same as you. The range itself: you have
    /// nothing of it, and all that I have follows as `Records`.
    Parts { first: RecordId, last: RecordId, ranges: Vec<RangeSummary> },
    /// All my record ids in the range that you asked about; `Records` that I lack follow, and `Fetch`.
    Ids { first: RecordId, last: RecordId, ids: Vec<RecordId> },
    /// Send me these records.
    Fetch { ids: Vec<RecordId> },
    /// I had these records, and cannot send them any more: you may count them as expired then.
    Expired { records: Vec<ExpiredRecord> },
    /// Whether my disk takes records of files. Who has never said so takes them; deletions and grants come in any case.
    Room { free: bool },

    /// The shown record of each name; `after` is what the last answer gave as `next`. `future`: also of names of which a
    /// version is dated in the future, as if it were not there.
    List { request: Request, space: Space, after: Option<NameId>, future: bool },
    /// Some records, in an order of the node's own, and whether they were the last. `next` is what to ask for next, on this
    /// connection: it means nothing to anybody else.
    /// `damaged`: so many names of this part were left out, since their records are damaged or dated in the future.
    /// `sync`: whether others may know of more names, or of deletions. `log_damage`: the same of what this node has lost.
    Listed {
        request: Request,
        records: Vec<Bytes>,
        next: Option<NameId>,
        damaged: u32,
        sync: SyncState,
        log_damage: LogDamage,
    },
    /// Which versions of this name come before that one, or all? The newest are told of first, at most so many at once.
    Versions {
        request: Request,
        space: Space,
        name: NameId,
        before: Option<VersionMark>,
        limit: u16,
    },
    /// These, the newest first, but none that are dated in the future. `next`: before what more are to be asked for.
    /// `sync` and `log_damage` as in `Listed`.
    VersionsAre {
        request: Request,
        versions: Vec<ListedVersion>,
        next: Option<VersionMark>,
        sync: SyncState,
        log_damage: LogDamage,
    },
    /// As `List`, but of each name the record that this view has, if it has one. Also answered by `Listed`.
    ListPast { request: Request, space: Space, after: Option<NameId>, view: View },
    /// Names in order of their bytes, as a `NamesQuestion` says. `future`: as in `List`.
    ListNames { request: Request, future: bool, question: SealedNames },
    /// The shown records of some, in this order, and beside them `NamesFound`. The rest as in `Listed`.
    NamesListed {
        request: Request,
        records: Vec<Bytes>,
        found: SealedNames,
        damaged: u32,
        sync: SyncState,
        log_damage: LogDamage,
    },
    /// Names are not in order here: the node cannot read them, or not now. `List` gives them all.
    NotInOrder { request: Request },
    /// Names are being put in order, which takes long: ask again.
    BeingOrdered { request: Request },
    /// Who has this record and every block of it, durably?
    Holders { request: Request, record: RecordId },
    /// So many nodes said so just now, and some of them are these.
    HoldersAre { request: Request, count: u32, holders: Vec<PeerAddress> },
    /// Do you have this record and every block of it, durably?
    Holds { request: Request, record: RecordId },
    /// Yes or no.
    HoldsIs { request: Request, holds: bool },
    /// How are you?
    Status { request: Request },
    /// So.
    StatusIs { request: Request, status: Box<NodeStatus> },
    /// Whom do you know?
    Members { request: Request },
    /// These.
    MembersAre { request: Request, members: Vec<Member> },
    /// Re-hash some of the blocks, pages and records after this address.
    Verify { request: Request, after: Option<Address> },
    /// How many were good, which were not, and what to ask for next.
    Verified { request: Request, good: u32, bytes: u64, bad: Vec<Address>, next: Option<Address> },
    /// The request was not carried out, nothing of it was kept, and this is why.
    Refused { request: Request, reason: Reason, detail: String },
}

impl Message {
    /// Which request a message answers, if it is an answer other than a refusal.
    #[must_use]
    pub fn answers(&self) -> Option<Request> {
        match self {
            Self::Heads { request, .. }
            | Self::DamagedHeads { request, .. }
            | Self::PutDone { request, .. }
            | Self::PageDone { request }
            | Self::Page { request, .. }
            | Self::Listed { request, .. }
            | Self::NamesListed { request, .. }
            | Self::VersionsAre { request, .. }
            | Self::NotInOrder { request }
            | Self::BeingOrdered { request }
            | Self::HoldersAre { request, .. }
            | Self::StatusIs { request, .. }
            | Self::MembersAre { request, .. }
            | Self::Verified { request, .. } => Some(*request),
            _ => None,
        }
    }
}
