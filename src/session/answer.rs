//! What a program asks of a session, and what it is told.

use super::entry::{Entry, Meta, Overwrite};
use super::error::ClientError;
use super::part::Part;
use super::settings::SettingTold;
use super::version::{Version, VersionsTold, VersionsWanted};
use crate::ids::{Address, Hash, NodeId, RecordId, VersionId};
use crate::wire::message::{Member, NodeStatus, PeerAddress};
use crate::wire::settings::Setting;
use crate::wire::sync_state::SyncState;
use crate::wire::view::View;
use bytes::Bytes;
use std::sync::Arc;

/// Which nodes hold a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holders {
    /// How many.
    pub count: u32,
    /// As many of them as an answer names.
    pub listed: Vec<PeerAddress>,
}

/// One operation under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Op(pub(super) u64);

/// Which version is read.
#[derive(Debug, Clone)]
pub enum Source {
    /// The one that is shown under this name.
    Name(Vec<u8>),
    /// One that was told of before.
    Version(Box<Entry>),
}

/// Something to do.
#[derive(Debug)]
pub enum Operation {
    /// Store a new version; its bytes are asked for by `NeedData`.
    Put {
        /// The name, and what is said of the file.
        meta: Meta,
        /// Whether there may be a file of that name.
        overwrite: Overwrite,
    },
    /// Read the version that is shown.
    Get {
        /// The name.
        name: Vec<u8>,
    },
    /// Read a version that was told of before.
    GetEntry {
        /// From an `Entry` event or a `Stat` answer.
        entry: Box<Entry>,
        /// The first byte that is wanted. All before it is neither fetched nor handed out.
        from: u64,
    },
    /// Read some bytes of a version. Only the pages and leaves that they are in are asked for, and these are checked; the
    /// hash of the file as a whole is not.
    GetPart {
        /// Which version.
        source: Source,
        /// Which bytes.
        part: Part,
    },
    /// Read a version, but for blocks that are there already: these are told of by `Here`.
    GetMissing {
        /// Which version.
        source: Source,
        /// The first byte that is wanted, as for `GetEntry`.
        from: u64,
        /// The tree hash of each block of what is there, from the first byte of the file on.
        here: Arc<[Hash]>,
    },
    /// What is said of the version that is shown.
    Stat {
        /// The name.
        name: Vec<u8>,
    },
    /// Delete a name.
    Delete {
        /// The name.
        name: Vec<u8>,
    },
    /// Give a file another name, both in one step.
    Rename {
        /// The name that it has.
        source: Vec<u8>,
        /// The name that it gets.
        target: Vec<u8>,
        /// Even if the new name exists.
        replace: bool,
    },
    /// Tell of every name, each by an `Entry` event, in no order.
    List,
    /// Tell what this view has of every name, in no order: each file by an `Entry` event, each deletion by `Version`.
    ListPast {
        /// It.
        view: View,
    },
    /// Tell of the versions of a name, each by a `Version` event, the newest first.
    Versions {
        /// Which.
        wanted: VersionsWanted,
    },
    /// Store a new version of a name with the content and attributes of an earlier one. No blocks move.
    Restore {
        /// The earlier one.
        entry: Box<Entry>,
        /// The greatest version of the name when this one was chosen; if it is another, it fails with `Changed`.
        over: Option<VersionId>,
    },
    /// Tell of a name and of all in the folder of that name: in the order of their bytes where the node keeps one, and else
    /// in none.
    ListUnder {
        /// The name, without a slash at its end; empty for all names.
        of: Vec<u8>,
        /// What is in a folder further below is not told of, but the folder, once, by a `Folder` event.
        one_level: bool,
    },
    /// Tell what the network is set to, once this is set; nothing to only ask.
    Settings {
        /// It.
        change: Vec<Setting>,
    },
    /// Which nodes have this record and every block of it?
    Holders {
        /// The record.
        record: RecordId,
    },
    /// How is the node?
    Status,
    /// Which other nodes does it know?
    Members,
    /// Look at all that the node has; `Progress` tells how far it is.
    Verify,
    /// Look again at the block, page or record of this address.
    VerifyAgain {
        /// It.
        address: Address,
    },
    /// The page of this address.
    Page {
        /// It.
        address: Address,
    },
}

/// What an operation came to.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The version is durable.
    Put {
        /// On so many nodes, as far as is known now; 0 if it was there and nobody was asked.
        copies: u16,
        /// It was made now. Else it was there, and says the same.
        is_new: bool,
        /// Which version it is.
        version: VersionId,
        /// The tree hash of the plaintext.
        hash: Hash,
        /// Bytes.
        size: u64,
    },
    /// All bytes of this version that were asked for have been handed out by `Data`, and are right.
    Got(Box<Entry>),
    /// The version that is shown.
    Stat(Box<Entry>),
    /// The name is deleted.
    Deleted {
        /// The version that says so.
        version: VersionId,
        /// The last one that may say so too: a name with many heads takes several.
        last: VersionId,
    },
    /// The file has the new name.
    Renamed {
        /// Its version there.
        version: VersionId,
        /// The version that deletes the old name.
        deleted: VersionId,
        /// The last one that may delete it too.
        last: VersionId,
    },
    /// All names have been told, as far as the node knows.
    Listed {
        /// Whether it has heard from the others what they know.
        sync: SyncState,
    },
    /// All versions that were asked for have been told, as far as the node knows.
    Versions(VersionsTold),
    /// What the network is set to.
    Settings {
        /// All settings that are known to this program.
        settings: Vec<SettingTold>,
        /// Something was set now. Else all was so already, or nothing was to be set.
        is_new: bool,
        /// What was set is on so many nodes, as far as is known now.
        copies: u16,
    },
    /// These nodes said just now that they have it all.
    Holders(Holders),
    /// The node's state.
    Status(Box<NodeStatus>),
    /// The other nodes.
    Members(Vec<Member>),
    /// The page, if the node has it.
    Page(Option<Bytes>),
    /// All has been looked at.
    Verified {
        /// Blocks, pages and records that are good.
        good: u64,
        /// Their bytes, and those of the bad ones.
        bytes: u64,
        /// What is bad.
        bad: Vec<Address>,
    },
}

impl Answer {
    /// The error of whoever asked something else.
    #[must_use]
    pub fn misfit(&self) -> ClientError {
        let text: String = format!("{self:?}").chars().take(60).collect();
        ClientError::Protocol(format!("an answer to another question, {text}"))
    }
}

/// Something that has happened.
#[derive(Debug)]
pub enum Event {
    /// The node has let us in.
    Ready {
        /// Its id.
        node: NodeId,
    },
    /// A put takes more bytes: `feed`, and after the last ones `feed_end`.
    NeedData {
        /// The put.
        op: Op,
        /// How many bytes it takes.
        room: usize,
    },
    /// One name of a list.
    Entry {
        /// The list.
        op: Op,
        /// The version that is shown.
        entry: Box<Entry>,
    },
    /// One version of a list of versions, or one deletion of a list of names.
    Version {
        /// The list.
        op: Op,
        /// It.
        version: Box<Version>,
    },
    /// A list tells of a folder further below, of which it tells nothing else.
    Folder {
        /// The list.
        op: Op,
        /// Its name, with a slash at the end.
        name: Vec<u8>,
    },
    /// A get knows what it gets.
    Found {
        /// The get.
        op: Op,
        /// The version.
        entry: Box<Entry>,
    },
    /// The next bytes of a get.
    Data {
        /// The get.
        op: Op,
        /// Checked, and in order.
        bytes: Bytes,
    },
    /// The next bytes of a get are there already.
    Here {
        /// The get.
        op: Op,
        /// How many.
        bytes: u64,
    },
    /// How far a verification is.
    Progress {
        /// It.
        op: Op,
        /// Bytes hashed since the last such event.
        bytes: u64,
    },
    /// An operation has ended. It is forgotten.
    Finished {
        /// It.
        op: Op,
        /// What it came to.
        result: Result<Answer, ClientError>,
    },
}
