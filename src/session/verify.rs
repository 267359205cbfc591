//! A verification: the node looks at all that it has, part by part, and tells what is bad.
//!
//! Knows no block. That it comes to an end, `Sweep` sees to.

use super::answer::{Event, Op};
use super::context::Context;
use super::error::{ClientError, unexpected};
use super::machine::Step;
use super::sweep::{Part, Sweep};
use crate::ids::Address;
use crate::wire::message::Message;

/// See the module.
#[derive(Debug)]
pub(super) struct Verify {
    op: Op,
    sweep: Sweep,
}

impl Verify {
    pub(super) fn begin(context: &mut Context, op: Op) -> Self {
        let verify = Self { op, sweep: Sweep::default() };
        verify.ask(context, None);
        verify
    }

    fn ask(&self, context: &mut Context, after: Option<Address>) {
        let request = context.request(self.op);
        context.send(Message::Verify { request, after });
    }

    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<Step, ClientError> {
        let Message::Verified { good, bytes, bad, next, .. } = message else {
            return Err(unexpected(&message));
        };
        context.tell(Event::Progress { op: self.op, bytes });
        match self.sweep.take(Part { good, bytes, bad, next })? {
            Some(after) => {
                self.ask(context, Some(after));
                Ok(Step::Waits)
            }
            None => Ok(Step::Done(std::mem::take(&mut self.sweep).into_answer())),
        }
    }
}
