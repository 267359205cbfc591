//! The settings of the network.

use super::shell::Client;
use crate::session::{Answer, ClientError, Operation, SettingTold};
use crate::wire::settings::Setting;

/// What the network is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsTold {
    /// All settings that are known to this program.
    pub settings: Vec<SettingTold>,
    /// Something was set now.
    pub is_new: bool,
}

impl Client {
    /// Tells what the network is set to, once this is set; nothing to only ask.
    ///
    /// # Errors
    /// The network's.
    pub fn settings(&mut self, change: Vec<Setting>) -> Result<SettingsTold, ClientError> {
        match self.ask(Operation::Settings { change })? {
            Answer::Settings { settings, is_new, copies: _ } => {
                Ok(SettingsTold { settings, is_new })
            }
            other => Err(other.misfit()),
        }
    }
}
