//! Questions of one answer.
//!
//! Invariant: what a node shows of a name was opened before it is told.

use super::answer::{Answer, Holders, Op};
use super::context::Context;
use super::error::{ClientError, unexpected};
use super::heads::Told;
use crate::crypto::tree;
use crate::ids::{Address, NameId, RecordId};
use crate::wire::message::Message;

/// One that has been asked.
#[derive(Debug)]
pub(super) enum Ask {
    Stat(NameId),
    Holders,
    Status,
    Members,
    VerifyAgain(Address),
    Page(Address),
}

impl Ask {
    pub(super) fn stat(context: &mut Context, op: Op, name: &[u8]) -> Result<Self, ClientError> {
        context.ask_head(op, name).map(Self::Stat)
    }

    pub(super) fn holders(context: &mut Context, op: Op, record: RecordId) -> Self {
        let request = context.request(op);
        context.send(Message::Holders { request, record });
        Self::Holders
    }

    pub(super) fn status(context: &mut Context, op: Op) -> Self {
        let request = context.request(op);
        context.send(Message::Status { request });
        Self::Status
    }

    pub(super) fn members(context: &mut Context, op: Op) -> Self {
        let request = context.request(op);
        context.send(Message::Members { request });
        Self::Members
    }

    pub(super) fn verify_again(context: &mut Context, op: Op, address: Address) -> Self {
        let request = context.request(op);
        context.send(Message::Verify { request, after: before(&address) });
        Self::VerifyAgain(address)
    }

    pub(super) fn page(context: &mut Context, op: Op, address: Address) -> Self {
        let request = context.request(op);
        context.send(Message::GetPage { request, address });
        Self::Page(address)
    }

    pub(super) fn answered(
        &self,
        context: &mut Context,
        message: Message,
    ) -> Result<Answer, ClientError> {
        match (self, message) {
            (Self::Stat(name), message) => {
                let entry = context.seals.open_told(&Told::of(message)?, name)?;
                entry.map(|entry| Answer::Stat(Box::new(entry))).ok_or(ClientError::NotFound)
            }
            (Self::Holders, Message::HoldersAre { count, holders, .. }) => {
                Ok(Answer::Holders(Holders { count, listed: holders }))
            }
            (Self::Status, Message::StatusIs { status, .. }) => Ok(Answer::Status(status)),
            (Self::Members, Message::MembersAre { members, .. }) => Ok(Answer::Members(members)),
            (Self::VerifyAgain(address), Message::Verified { bad, .. }) => {
                let bad: Vec<_> = bad.into_iter().filter(|one| one == address).collect();
                Ok(Answer::Verified { good: u64::from(bad.is_empty()), bytes: 0, bad })
            }
            (Self::Page(address), Message::Page { page, .. }) => {
                Ok(Answer::Page(page.filter(|page| tree::tree(page).0 == address.0)))
            }
            (_, other) => Err(unexpected(&other)),
        }
    }
}

/// The address before one; `None` if there is none.
fn before(address: &Address) -> Option<Address> {
    let mut bytes = address.0;
    for byte in bytes.iter_mut().rev() {
        let (less, borrow) = byte.overflowing_sub(1);
        *byte = less;
        if !borrow {
            return Some(Address(bytes));
        }
    }
    None
}
