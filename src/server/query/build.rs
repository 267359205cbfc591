//! The build of the names' order: one step after the other, and who waits for it.
//!
//! Reads nothing itself, and answers with no name. Invariant: whoever waits is told something before long: that the names
//! are in order now, that they are being put in order still, or that they cannot be.

use super::in_order::{self, BatchRead};
use super::replies::Asked;
use crate::ids::RecordId;
use crate::limits::OPERATION_TIMEOUT;
use crate::server::asker::Asker;
use crate::server::context::Context;
use crate::server::output::Link;
use crate::server::work::{Job, Naming};
use crate::store::values::BlockPlace;
use crate::time::Instant;
use crate::wire::message::Message;
use crate::wire::names::NamesQuestion;
use std::time::Duration;

/// So many wait; whoever asks then picks for himself from all names.
const WAITING_MAX: usize = 256;
/// Who has waited for so long is told that it goes on.
const TELL_AFTER: Duration = Duration::from_secs(2);

const _: () = assert!(TELL_AFTER.as_secs() < OPERATION_TIMEOUT.as_secs() / 2);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Build {
    /// A step is under way.
    steps: bool,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    asker: Asker,
    question: Box<NamesQuestion>,
    future: bool,
    since: Instant,
}

/// What a step has come to.
#[derive(Debug, Default)]
pub(super) struct Stepped {
    /// Records whose bytes were found damaged.
    pub(super) damaged: Vec<RecordId>,
    /// What can be answered now.
    pub(super) ready: Vec<(Asker, Asked)>,
}

impl Build {
    /// Names are not in order, and this is answered when they are.
    pub(super) fn wait(
        &mut self,
        cx: &mut Context,
        asker: Asker,
        question: Box<NamesQuestion>,
        future: bool,
    ) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push(Waiting { asker, question, future, since: cx.now.instant });
        } else {
            let Asker { link, request } = asker;
            cx.reply(link, Message::NotInOrder { request });
        }
        self.step(cx);
    }

    /// The next step, unless one is under way. False if there is none.
    fn step(&mut self, cx: &mut Context) -> bool {
        if self.steps {
            return true;
        }
        let keys = cx.index.ordered.as_ref().map(|ordered| ordered.keys().clone());
        let (Some(keys), Some((batch, building))) = (keys, in_order::next_batch(&mut cx.index))
        else {
            return false;
        };
        let pins = cx.index.pin(batch.items().iter().map(|item| BlockPlace::Log(item.place)));
        let naming = Naming { batch, pins, keys, building, unread: Vec::new() };
        cx.job(Job::ReadNames(Box::new(naming)));
        self.steps = true;
        true
    }

    /// A step is done.
    pub(super) fn stepped(&mut self, cx: &mut Context, naming: Naming) -> Stepped {
        let Naming { batch, pins, building, unread, .. } = naming;
        cx.index.readers.unpin(pins);
        self.steps = false;
        let BatchRead { damaged, goes_on } =
            in_order::take_batch(&mut cx.index, batch, unread, building);
        if !goes_on {
            for Waiting { asker: Asker { link, request }, .. } in self.waiting.drain(..) {
                cx.reply(link, Message::NotInOrder { request });
            }
            return Stepped { damaged, ready: Vec::new() };
        }
        if self.step(cx) {
            self.tell(cx);
            return Stepped { damaged, ready: Vec::new() };
        }
        let ready = self.waiting.drain(..).map(|Waiting { asker, question, future, .. }| {
            (asker, Asked::Names { question, future })
        });
        Stepped { damaged, ready: ready.collect() }
    }

    /// Whoever has waited for long asks again, and so knows that this node is there.
    fn tell(&mut self, cx: &mut Context) {
        let now = cx.now.instant;
        for Waiting { asker: Asker { link, request }, .. } in
            self.waiting.extract_if(.., |waiting| waiting.since + TELL_AFTER <= now)
        {
            cx.reply(link, Message::BeingOrdered { request });
        }
    }

    pub(super) fn link_closed(&mut self, link: Link) {
        self.waiting.retain(|waiting| waiting.asker.link != link);
    }
}

#[cfg(test)]
mod tests;
