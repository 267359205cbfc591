//! Answers, and to which request each is one.
//!
//! Decides nothing. Invariant: what a node says without having been asked has no request.

use crate::wire::message::{Message, Request};

/// The request that a message answers.
pub(super) fn request_of(message: &Message) -> Option<Request> {
    match message {
        Message::Heads { request, .. }
        | Message::DamagedHeads { request, .. }
        | Message::PutDone { request, .. }
        | Message::PageDone { request }
        | Message::Page { request, .. }
        | Message::Listed { request, .. }
        | Message::VersionsAre { request, .. }
        | Message::HoldersAre { request, .. }
        | Message::StatusIs { request, .. }
        | Message::MembersAre { request, .. }
        | Message::Verified { request, .. } => Some(*request),
        _ => None,
    }
}
