//! Constructors of the messages whose lists are as long as others make them: a list that is too long for one message
//! becomes several, or is cut and its length told apart.
//!
//! Knows no state. Invariant: what they make is written whole, whatever its length was.

use super::{Member, Message, PeerAddress, Reason, Request};
use crate::ids::{Address, RecordId};
use crate::limits::{MESSAGE_IDS_MAX, MESSAGE_PEERS_MAX, MESSAGE_PRESENCES_MAX};
use crate::wire::cursor::clipped;
use crate::wire::presence::Presence;

impl Message {
    /// These blocks are durable here.
    pub fn have(addresses: &[Address]) -> impl Iterator<Item = Self> + '_ {
        let part = |part: &[Address]| Self::Have { addresses: part.to_vec() };
        addresses.chunks(MESSAGE_IDS_MAX).map(part)
    }

    /// Send me these records.
    pub fn fetch(ids: &[RecordId]) -> impl Iterator<Item = Self> + '_ {
        ids.chunks(MESSAGE_IDS_MAX).map(|part| Self::Fetch { ids: part.to_vec() })
    }

    /// What these say of themselves.
    pub fn peers(all: &[Presence]) -> impl Iterator<Item = Self> + '_ {
        all.chunks(MESSAGE_PRESENCES_MAX).map(|part| Self::Peers { peers: part.to_vec() })
    }

    /// The answer to `Holders`: `count` nodes said so, of whom as many are named as fit.
    #[must_use]
    pub fn holders_are(request: Request, count: u32, mut holders: Vec<PeerAddress>) -> Self {
        holders.truncate(MESSAGE_PEERS_MAX);
        let named = u32::try_from(holders.len()).unwrap_or(u32::MAX);
        Self::HoldersAre { request, count: count.max(named), holders }
    }

    /// The answer to `Members`: the first of these. How many there are is told by `Status`.
    #[must_use]
    pub fn members_are(request: Request, mut members: Vec<Member>) -> Self {
        members.truncate(MESSAGE_PEERS_MAX);
        Self::MembersAre { request, members }
    }

    /// The answer to `Verify`: how many were good, and their bytes. What is bad and finds no room is told when the same is
    /// asked again.
    #[must_use]
    pub fn verified(
        request: Request,
        good: u32,
        bytes: u64,
        mut bad: Vec<Address>,
        next: Option<Address>,
    ) -> Self {
        bad.truncate(MESSAGE_IDS_MAX);
        Self::Verified { request, good, bytes, bad, next }
    }

    /// The request was not carried out; of a long sentence its beginning is said.
    #[must_use]
    pub fn refused(request: Request, reason: Reason, detail: &str) -> Self {
        Self::Refused { request, reason, detail: clipped(detail).to_owned() }
    }
}
