//! Requests: which messages ask for an answer, and which are one.
//!
//! Decides nothing. Invariant: what is counted as a request here is answered once.

use crate::wire::message::{Message, Request};

/// Whether the answer may be as long as a frame.
pub(super) fn has_long_answer(message: &Message) -> bool {
    matches!(
        message,
        Message::GetPage { .. }
            | Message::List { .. }
            | Message::Versions { .. }
            | Message::ListPast { .. }
            | Message::Holders { .. }
            | Message::Members { .. }
            | Message::Verify { .. }
    )
}

/// Whether it asks for an answer, which is counted until it is given.
pub(super) fn is_request(message: &Message) -> bool {
    matches!(
        message,
        Message::Head { .. }
            | Message::Put { .. }
            | Message::PutPage { .. }
            | Message::GetPage { .. }
            | Message::Offer { .. }
            | Message::List { .. }
            | Message::Versions { .. }
            | Message::ListPast { .. }
            | Message::Holders { .. }
            | Message::Status { .. }
            | Message::Members { .. }
            | Message::Verify { .. }
    )
}

/// The request that it answers, if it is an answer of a node.
pub(super) fn answered(message: &Message) -> Option<Request> {
    match message {
        Message::Heads { request, .. }
        | Message::DamagedHeads { request, .. }
        | Message::HoldsIs { request, .. }
        | Message::Page { request, .. }
        | Message::StatusIs { request, .. }
        | Message::Refused { request, .. } => Some(*request),
        _ => None,
    }
}
