//! A list of what is in a folder: in order, from a node that keeps names in order, and else all names, of which the rest is
//! left out here.
//!
//! Invariants: what a node tells rises, and is what was asked for, so that nothing counts twice and the list ends; a list
//! goes on after what has been told, whichever way it began.

use super::answer::{Answer, Event, Op};
use super::context::Context;
use super::entry::Entry;
use super::error::{ClientError, unexpected};
use super::list::{Filter, List};
use super::listing::Listing;
use super::machine::Step;
use crate::limits::{LIST_BARREN_MAX, ORDER_WAITS_MAX};
use crate::seeded::{self, Bug};
use crate::wire::message::Message;
use crate::wire::names::{NamesFound, NamesQuestion, Scope};
use bytes::Bytes;

/// See the module.
#[derive(Debug)]
pub(super) struct ListUnder {
    op: Op,
    question: NamesQuestion,
    /// What is known beside names.
    listing: Listing,
    /// Answers since one told of something.
    barren: u32,
    /// Times that the node said it was still putting names in order.
    waits: u32,
    /// The node does not keep names in order.
    all: Option<List>,
}

impl ListUnder {
    pub(super) fn begin(
        context: &mut Context,
        op: Op,
        of: Vec<u8>,
        one_level: bool,
    ) -> Result<Self, ClientError> {
        let question = NamesQuestion { of, after: None, one_level };
        let listing = Listing::new(LIST_BARREN_MAX);
        let mut list = Self { op, question, listing, barren: 0, waits: 0, all: None };
        list.ask(context)?;
        Ok(list)
    }

    fn ask(&mut self, context: &mut Context) -> Result<(), ClientError> {
        let question = context.seals.seal_question(&self.question)?;
        let (request, future) = (context.request(self.op), context.allows_future());
        context.send(Message::ListNames { request, future, question });
        Ok(())
    }

    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<Step, ClientError> {
        if let Some(all) = &mut self.all {
            return all.answered(context, message);
        }
        match message {
            Message::NamesListed { records, found, damaged, sync, log_damage, .. } => {
                self.listing.told(damaged, sync, log_damage);
                let found = context.seals.open_found(&found)?;
                let next = found.next.clone();
                self.tell(context, &records, found)?;
                if next.is_none() {
                    return Ok(Step::Done(Answer::Listed { sync: self.listing.end()? }));
                }
                self.question.after = next;
                self.ask(context)?;
                Ok(Step::Waits)
            }
            Message::BeingOrdered { .. } if self.waits < ORDER_WAITS_MAX => {
                self.waits += 1;
                self.ask(context)?;
                Ok(Step::Waits)
            }
            // Or says for ever that it is about to.
            Message::NotInOrder { .. } | Message::BeingOrdered { .. } => {
                let filter = Filter::new(self.question.clone());
                self.all = Some(List::begin_filtered(context, self.op, filter));
                Ok(Step::Waits)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Tells of what an answer brings, in order.
    fn tell(
        &mut self,
        context: &mut Context,
        records: &[Bytes],
        found: NamesFound,
    ) -> Result<(), ClientError> {
        let mut entries = Vec::new();
        for opened in context.seals.open_all(records)? {
            match opened {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => {}
                Err(_) => self.listing.leave_out(1),
            }
        }
        self.judge(&entries, &found)?;
        let mut folders = found.folders.into_iter().peekable();
        let op = self.op;
        for entry in entries {
            while let Some(name) = folders.next_if(|folder| *folder < entry.name) {
                context.tell(Event::Folder { op, name });
            }
            context.tell(Event::Entry { op, entry: Box::new(entry) });
        }
        folders.for_each(|name| context.tell(Event::Folder { op, name }));
        Ok(())
    }

    /// Whether an answer is one to the question.
    fn judge(&mut self, entries: &[Entry], found: &NamesFound) -> Result<(), ClientError> {
        let scope = Scope::new(&self.question);
        let after = self.question.after.as_deref();
        let names = || entries.iter().map(|entry| entry.name.as_slice());
        let folders = || found.folders.iter().map(Vec::as_slice);
        let rises = rise(after, names()) && rise(after, folders());
        let next = found.next.as_deref();
        let ends = names().chain(folders()).all(|name| next.is_none_or(|next| name <= next));
        if !(rises && ends && (next.is_none() || next > after)) && !seeded::is_on(Bug::TurnBackList)
        {
            return Err(ClientError::Protocol("a list that turns back".to_owned()));
        }
        let are_asked_for =
            names().all(|name| scope.covers(name) && scope.folder_below(name).is_none());
        if !are_asked_for || folders().any(|folder| scope.folder_below(folder) != Some(folder)) {
            return Err(ClientError::Protocol(
                "a list of other names than were asked for".to_owned(),
            ));
        }
        let is_barren = entries.is_empty() && found.folders.is_empty();
        self.barren = if is_barren { self.barren + 1 } else { 0 };
        if self.barren < LIST_BARREN_MAX {
            return Ok(());
        }
        Err(ClientError::Protocol("a list that goes on and tells nothing".to_owned()))
    }
}

/// Whether each is greater than the one before, and the first greater than `after`.
fn rise<'a>(after: Option<&'a [u8]>, names: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut last = after;
    names.into_iter().all(|name| last.replace(name) < Some(name))
}
