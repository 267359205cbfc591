//! A list: every name that the node knows, in as many answers as it takes; as names are now, or as a view has them.
//!
//! Invariant: each record is opened before it is told, and is one that the view has; that the list ends, `Listing` sees to.

use super::answer::{Answer, Event, Op};
use super::context::Context;
use super::entry::Entry;
use super::error::{ClientError, unexpected};
use super::listing::Listing;
use super::machine::Step;
use super::version::{Opened, Standing};
use crate::ids::NameId;
use crate::limits::{LIST_BARREN_MAX, PAST_BARREN_MAX};
use crate::wire::message::Message;
use crate::wire::names::{NamesQuestion, Scope};
use crate::wire::view::View;
use bytes::Bytes;
use std::collections::HashSet;

/// See the module.
#[derive(Debug)]
pub(super) struct List {
    op: Op,
    /// None for what is shown now.
    view: Option<View>,
    listing: Listing,
    /// Only what this lets through is told of.
    filter: Option<Filter>,
}

/// What is told of a list of all names, where names are not in order.
#[derive(Debug)]
pub(super) struct Filter {
    question: NamesQuestion,
    /// Folders that have been told of.
    folders: HashSet<Vec<u8>>,
}

impl Filter {
    /// What this question asks for; what comes no later than its `after` has been told of.
    pub(super) fn new(question: NamesQuestion) -> Self {
        Self { question, folders: HashSet::new() }
    }

    fn tell(&mut self, context: &mut Context, op: Op, entry: Entry) {
        let scope = Scope::new(&self.question);
        let is_told = |name: &[u8]| self.question.after.as_deref() >= Some(name);
        match scope.folder_below(&entry.name) {
            Some(folder) if is_told(folder) || self.folders.contains(folder) => {}
            Some(folder) => {
                self.folders.insert(folder.to_vec());
                context.tell(Event::Folder { op, name: folder.to_vec() });
            }
            None if scope.covers(&entry.name) && !is_told(&entry.name) => {
                context.tell(Event::Entry { op, entry: Box::new(entry) });
            }
            None => {}
        }
    }
}

impl List {
    pub(super) fn begin(
        context: &mut Context,
        op: Op,
        view: Option<View>,
    ) -> Result<Self, ClientError> {
        context.seals.keys()?;
        let barren_max = if view.is_some() { PAST_BARREN_MAX } else { LIST_BARREN_MAX };
        let list = Self { op, view, listing: Listing::new(barren_max), filter: None };
        list.ask(context, None);
        Ok(list)
    }

    /// A list of all, of which only what the filter lets through is told.
    pub(super) fn begin_filtered(context: &mut Context, op: Op, filter: Filter) -> Self {
        let list =
            Self { op, view: None, listing: Listing::new(LIST_BARREN_MAX), filter: Some(filter) };
        list.ask(context, None);
        list
    }

    fn ask(&self, context: &mut Context, after: Option<NameId>) {
        let (request, space) = (context.request(self.op), context.seals.space());
        let future = context.allows_future();
        context.send(match self.view {
            None => Message::List { request, space, after, future },
            Some(view) => Message::ListPast { request, space, after, view },
        });
    }

    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<Step, ClientError> {
        let Message::Listed { records, next, damaged, sync, log_damage, .. } = message else {
            return Err(unexpected(&message));
        };
        self.listing.told(damaged, sync, log_damage);
        match self.view {
            None => self.tell(context, &records)?,
            Some(view) => self.tell_past(context, &records, view)?,
        }
        let Some(after) = next else {
            return Ok(Step::Done(Answer::Listed { sync: self.listing.end()? }));
        };
        self.listing.go_on(after)?;
        self.ask(context, Some(after));
        Ok(Step::Waits)
    }

    fn tell(&mut self, context: &mut Context, records: &[Bytes]) -> Result<(), ClientError> {
        for opened in context.seals.open_all(records)? {
            match opened {
                Ok(Some(entry)) => {
                    self.listing.take(&entry.record)?;
                    match &mut self.filter {
                        Some(filter) => filter.tell(context, self.op, entry),
                        None => {
                            context.tell(Event::Entry { op: self.op, entry: Box::new(entry) });
                        }
                    }
                }
                Ok(None) => {}
                Err(_) => self.listing.leave_out(1),
            }
        }
        Ok(())
    }

    fn tell_past(
        &mut self,
        context: &mut Context,
        records: &[Bytes],
        view: View,
    ) -> Result<(), ClientError> {
        for opened in context.seals.open_versions(records)? {
            let Ok(opened) = opened else {
                self.listing.leave_out(1);
                continue;
            };
            self.listing.take(&opened.record())?;
            let op = self.op;
            context.tell(match (view, opened) {
                (View::At(stamp), Opened::File(entry)) if entry.version.stamp <= stamp => {
                    Event::Entry { op, entry }
                }
                (View::Deleted, deletion @ Opened::Tombstone(_)) => {
                    let version = Box::new(deletion.into_version(Standing::Deletion));
                    Event::Version { op, version }
                }
                (View::At(_) | View::Deleted, _) => {
                    let what = "a list of something else than was asked for".to_owned();
                    return Err(ClientError::Protocol(what));
                }
            });
        }
        Ok(())
    }
}
