//! G9: an operation that does not succeed says why, in a word that fits: nobody is said to have broken the protocol when
//! all keep it, and nothing is said to be damaged when no disk was harmed. That operations end is seen by the crowd.

use super::Oracle;
use crate::sim::swarm::audit::{Audit, Reading};
use crate::sim::swarm::history::{Observed, Told};
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;
use dfsd::session::ClientError;

pub(super) struct Typed;

impl Oracle for Typed {
    fn name(&self) -> &'static str {
        "G9 typed errors"
    }

    fn heard(&mut self, ledger: &Ledger, observed: &Observed) -> Result<(), String> {
        match &observed.what {
            Told::Failed(error) => {
                let wrong = is_wrong(ledger, error);
                wrong.map_or(Ok(()), |why| Err(format!("node {}: {why}", observed.machine)))
            }
            _ => Ok(()),
        }
    }

    fn at_end(&mut self, ledger: &Ledger, audit: &Audit, promise: Promise) -> Result<(), String> {
        for (machine, node) in audit.nodes.iter().enumerate() {
            for (name, reading) in &node.readings {
                let Reading::Failed(error) = reading else { continue };
                let place = format!("node {machine}, name {name}, at the end");
                if let Some(why) = is_wrong(ledger, error) {
                    return Err(format!("{place}: {why}"));
                }
                if promise == Promise::Kept {
                    return Err(format!("{place}: a get failed though nothing is wrong: {error}"));
                }
            }
        }
        Ok(())
    }
}

fn is_wrong(ledger: &Ledger, error: &ClientError) -> Option<String> {
    match error {
        ClientError::Protocol(_)
        | ClientError::BadName
        | ClientError::LongAttributes
        | ClientError::BeyondEnd { .. }
        | ClientError::NoDataKey => Some(format!("a client that keeps the rules is told: {error}")),
        ClientError::Damaged(_) if !ledger.any_damage() => {
            Some(format!("no disk was harmed, but a client is told: {error}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::oracles::tests::{audit_of_reading, observed};

    #[test]
    fn an_error_that_does_not_fit_is_seen() {
        let mut ledger = Ledger::new(1, 2);
        let heard =
            |ledger: &Ledger, error| Typed.heard(ledger, &observed(0, Told::Failed(error))).is_ok();
        assert!(heard(&ledger, ClientError::Silent));
        assert!(!heard(&ledger, ClientError::Protocol("what".to_owned())));
        assert!(!heard(&ledger, ClientError::Damaged("a block".to_owned())));
        let audit = audit_of_reading(Reading::Failed(ClientError::Unavailable));
        assert!(Typed.at_end(&ledger, &audit, Promise::Kept).is_err());
        ledger.harm(0, dfsd::time::Instant(5), false);
        assert!(heard(&ledger, ClientError::Damaged("a block".to_owned())));
        assert!(Typed.at_end(&ledger, &audit, Promise::Beyond).is_ok());
    }
}
