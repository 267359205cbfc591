//! A list: every name that the node knows, in as many answers as it takes.
//!
//! Invariant: each record is opened before it is told; that the list ends, `Listing` sees to.

use super::answer::{Answer, Event, Op};
use super::context::Context;
use super::error::{ClientError, unexpected};
use super::listing::Listing;
use super::machine::Step;
use crate::ids::NameId;
use crate::wire::message::Message;
use bytes::Bytes;

/// See the module.
#[derive(Debug)]
pub(super) struct List {
    op: Op,
    listing: Listing,
}

impl List {
    pub(super) fn begin(context: &mut Context, op: Op) -> Result<Self, ClientError> {
        context.seals.keys()?;
        let list = Self { op, listing: Listing::default() };
        list.ask(context, None);
        Ok(list)
    }

    fn ask(&self, context: &mut Context, after: Option<NameId>) {
        let (request, space) = (context.request(self.op), context.seals.space());
        let future = context.allows_future();
        context.send(Message::List { request, space, after, future });
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
        self.tell(context, &records)?;
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
                    context.tell(Event::Entry { op: self.op, entry: Box::new(entry) });
                }
                Ok(None) => {}
                Err(_) => self.listing.leave_out(1),
            }
        }
        Ok(())
    }
}
