//! An operation of any kind, as far as it has come: the only place that names them all.
//!
//! Knows no transfer and no deadline. Invariant: what begins here either waits for an answer or has failed at once.

use super::answer::{Answer, Op, Operation};
use super::ask::Ask;
use super::clear::Clear;
use super::context::Context;
use super::delete::Delete;
use super::error::ClientError;
use super::get::{Get, Present};
use super::list::List;
use super::list_under::ListUnder;
use super::put::Put;
use super::rename::{Names, Rename};
use super::restore::Restore;
use super::settings::Change;
use super::verify::Verify;
use super::versions::Versions;
use crate::wire::message::Message;

/// What came of an answer.
#[derive(Debug)]
pub(super) enum Step {
    /// It waits for another, or can go on by itself.
    Waits,
    Done(Answer),
    /// The name is deleted, and is to be cleared.
    Clears(Box<Clear>),
}

/// See the module.
#[derive(Debug)]
pub(super) enum Machine {
    Put(Box<Put>),
    Get(Box<Get>),
    Ask(Ask),
    Delete(Box<Delete>),
    Rename(Box<Rename>),
    Clear(Box<Clear>),
    List(Box<List>),
    Versions(Box<Versions>),
    Restore(Box<Restore>),
    ListUnder(Box<ListUnder>),
    Change(Box<Change>),
    Verify(Box<Verify>),
}

impl Machine {
    pub(super) fn begin(
        context: &mut Context,
        op: Op,
        operation: Operation,
    ) -> Result<Self, ClientError> {
        Ok(match operation {
            Operation::Put { meta, overwrite } => {
                Self::Put(Box::new(Put::begin(context, op, meta, overwrite)?))
            }
            Operation::Get { name } => Self::Get(Box::new(Get::begin(context, op, &name)?)),
            Operation::GetEntry { entry, from } => {
                Self::Get(Box::new(Get::begin_entry(context, op, *entry, from)?))
            }
            Operation::GetPart { source, part } => {
                Self::Get(Box::new(Get::begin_part(context, op, source, part)?))
            }
            Operation::GetMissing { source, from, here } => Self::Get(Box::new(
                Get::begin_missing(context, op, source, Present { from, here })?,
            )),
            Operation::Stat { name } => Self::Ask(Ask::stat(context, op, &name)?),
            Operation::Delete { name } => Self::Delete(Box::new(Delete::begin(context, op, name)?)),
            Operation::Rename { source, target, replace } => {
                let names = Names { source, target, replace };
                Self::Rename(Box::new(Rename::begin(context, op, names)?))
            }
            Operation::List => Self::List(Box::new(List::begin(context, op, None)?)),
            Operation::ListPast { view } => {
                Self::List(Box::new(List::begin(context, op, Some(view))?))
            }
            Operation::Versions { wanted } => {
                Self::Versions(Box::new(Versions::begin(context, op, wanted)?))
            }
            Operation::Restore { entry, over } => {
                Self::Restore(Box::new(Restore::begin(context, op, entry, over)?))
            }
            Operation::ListUnder { of, one_level } => {
                Self::ListUnder(Box::new(ListUnder::begin(context, op, of, one_level)?))
            }
            Operation::Settings { change } => {
                Self::Change(Box::new(Change::begin(context, op, change)?))
            }
            Operation::Holders { record } => Self::Ask(Ask::holders(context, op, record)),
            Operation::Status => Self::Ask(Ask::status(context, op)),
            Operation::Members => Self::Ask(Ask::members(context, op)),
            Operation::Verify => Self::Verify(Box::new(Verify::begin(context, op))),
            Operation::VerifyAgain { address } => {
                Self::Ask(Ask::verify_again(context, op, address))
            }
            Operation::Page { address } => Self::Ask(Ask::page(context, op, address)),
        })
    }

    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<Step, ClientError> {
        match self {
            Self::Put(put) => put.answered(context, message),
            Self::Get(get) => get.answered(context, message).map(|()| Step::Waits),
            Self::Ask(ask) => ask.answered(context, message).map(Step::Done),
            Self::Delete(delete) => delete.answered(context, message),
            Self::Rename(rename) => rename.answered(context, message),
            Self::Clear(clear) => clear.answered(context, message),
            Self::List(list) => list.answered(context, message),
            Self::Versions(versions) => versions.answered(context, message),
            Self::Restore(restore) => restore.answered(context, message),
            Self::ListUnder(list) => list.answered(context, message),
            Self::Change(change) => change.answered(context, message),
            Self::Verify(verify) => verify.answered(context, message),
        }
    }

    /// The name is not what it was when this operation asked: it asks again, if it wrote because of that.
    pub(super) fn again(&mut self, context: &mut Context) -> bool {
        match self {
            Self::Put(put) => put.again(context),
            Self::Delete(delete) => delete.again(context),
            Self::Rename(rename) => rename.again(context),
            Self::Clear(clear) => clear.again(context),
            Self::Restore(restore) => restore.again(context),
            Self::Change(change) => change.again(context),
            Self::Get(_)
            | Self::Ask(_)
            | Self::List(_)
            | Self::ListUnder(_)
            | Self::Versions(_)
            | Self::Verify(_) => false,
        }
    }

    /// Not so while a put waits for its input.
    pub(super) fn waits_for_node(&self) -> bool {
        match self {
            Self::Put(put) => put.waits_for_node(),
            Self::Get(_)
            | Self::Ask(_)
            | Self::Delete(_)
            | Self::Rename(_)
            | Self::Clear(_)
            | Self::List(_)
            | Self::Versions(_)
            | Self::Restore(_)
            | Self::ListUnder(_)
            | Self::Change(_)
            | Self::Verify(_) => true,
        }
    }

    /// Bytes of blocks that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Put(put) => put.held_bytes(),
            Self::Get(get) => get.held_bytes(),
            Self::Ask(_)
            | Self::Delete(_)
            | Self::Rename(_)
            | Self::Clear(_)
            | Self::List(_)
            | Self::Versions(_)
            | Self::Restore(_)
            | Self::ListUnder(_)
            | Self::Change(_)
            | Self::Verify(_) => 0,
        }
    }

    /// What it comes to, if it ends so.
    pub(super) fn outcome(
        self,
        result: Result<Answer, ClientError>,
    ) -> Result<Answer, ClientError> {
        match self {
            Self::Clear(clear) => Ok(clear.outcome(result)),
            Self::Put(_)
            | Self::Get(_)
            | Self::Ask(_)
            | Self::Delete(_)
            | Self::Rename(_)
            | Self::List(_)
            | Self::Versions(_)
            | Self::Restore(_)
            | Self::ListUnder(_)
            | Self::Change(_)
            | Self::Verify(_) => result,
        }
    }
}
