//! The settings of the network: what is in force, and what is to be from now on.
//!
//! Invariant: what is set is set over the versions that were in force when it was asked, all of it or nothing; what is so
//! already is not set again.

use super::answer::{Answer, Op};
use super::context::Context;
use super::error::{ClientError, unexpected};
use super::heads::{Heads, Told};
use super::machine::Step;
use crate::ids::VersionId;
use crate::keyring::setting;
use crate::wire::message::Message;
use crate::wire::settings::{Setting, SettingKey, Settings};

/// A setting of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingTold {
    /// Its value; `None` if the record that sets it is damaged, or is of a newer program.
    pub value: Option<Setting>,
    /// Which it is.
    pub key: SettingKey,
    /// The version that sets it; `None` if nobody has, and the value is the default.
    pub version: Option<VersionId>,
}

#[derive(Debug)]
struct Known {
    told: SettingTold,
    heads: Heads,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Change {
    op: Op,
    wanted: Vec<Setting>,
    /// What was told so far, in the order of `SettingKey::ALL`.
    known: Vec<Known>,
    is_writing: bool,
}

impl Change {
    /// Nothing may be wanted: then it only tells.
    pub(super) fn begin(
        context: &mut Context,
        op: Op,
        wanted: Vec<Setting>,
    ) -> Result<Self, ClientError> {
        if !wanted.is_empty() {
            context.seals.write_key()?;
        }
        let mut change = Self { op, wanted, known: Vec::new(), is_writing: false };
        change.ask_next(context);
        Ok(change)
    }

    /// False if all has been asked.
    fn ask_next(&mut self, context: &mut Context) -> bool {
        let next = SettingKey::ALL.get(self.known.len());
        if let Some(key) = next {
            context.ask_versions(self.op, setting::name(*key));
        }
        next.is_some()
    }

    pub(super) fn answered(
        &mut self,
        context: &mut Context,
        message: Message,
    ) -> Result<Step, ClientError> {
        if self.is_writing {
            return match message {
                Message::PutDone { copies, .. } => Ok(Step::Done(self.done(copies))),
                other => Err(unexpected(&other)),
            };
        }
        let Some(key) = SettingKey::ALL.get(self.known.len()) else {
            return Err(unexpected(&message));
        };
        let told = Told::of(message)?;
        let value = context.seals.open_setting(&told, *key)?;
        let version = told.heads().greatest();
        let value = if version.is_none() { Some(Settings::default().get(*key)) } else { value };
        let told_of = SettingTold { value, key: *key, version };
        self.known.push(Known { told: told_of, heads: told.into_heads() });
        if self.ask_next(context) || self.write(context)? {
            return Ok(Step::Waits);
        }
        Ok(Step::Done(self.done(0)))
    }

    /// False if there is nothing to set.
    fn write(&mut self, context: &mut Context) -> Result<bool, ClientError> {
        let (mut records, mut conditions) = (Vec::new(), Vec::new());
        for Known { told, heads } in &mut self.known {
            let wanted = self.wanted.iter().rfind(|wanted| wanted.key() == told.key);
            let Some(wanted) = wanted.filter(|wanted| told.value != Some(**wanted)) else {
                continue;
            };
            let made = context.seals.setting(heads, *wanted)?;
            (told.value, told.version) = (Some(*wanted), Some(made.version));
            records.push(made.record);
            conditions.push(heads.unchanged());
        }
        self.is_writing = !records.is_empty();
        if self.is_writing {
            context.put_records(self.op, records, conditions, Vec::new());
        }
        Ok(self.is_writing)
    }

    fn done(&mut self, copies: u16) -> Answer {
        let known = std::mem::take(&mut self.known);
        let settings = known.into_iter().map(|known| known.told).collect();
        Answer::Settings { settings, is_new: self.is_writing, copies }
    }

    /// Somebody has set something else meanwhile: all is asked again.
    pub(super) fn again(&mut self, context: &mut Context) -> bool {
        let was_writing = std::mem::take(&mut self.is_writing);
        self.known.clear();
        was_writing && self.ask_next(context)
    }
}
