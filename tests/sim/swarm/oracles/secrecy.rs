//! G10: no plaintext, name or key in clear, in any byte on any wire or disk.

use super::Oracle;
use crate::sim::client::program::access;
use crate::sim::swarm::audit::Audit;
use crate::sim::swarm::content::MARK;
use crate::sim::swarm::history::Observed;
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;
use crate::sim::world::{Tap, World};
use memchr::memmem::Finder;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::LazyLock;

/// What must be seen nowhere.
static SECRETS: LazyLock<Vec<(&str, Finder<'static>)>> = LazyLock::new(|| {
    let keys = access();
    let data = keys.data.expect("these keys are whole");
    vec![
        ("the mark of plaintexts and names", Finder::new(MARK)),
        ("the network's secret", Finder::new(&keys.network.secret).into_owned()),
        ("the data key", Finder::new(&data.epochs()[0].secret).into_owned()),
    ]
});

/// What was found on a wire, if anything.
type Found = Rc<RefCell<Option<String>>>;

pub(super) struct Secrecy {
    found: Found,
}

impl Secrecy {
    pub(super) fn new() -> Self {
        Self { found: Found::default() }
    }

    /// Looks at all bytes on wires.
    pub(super) fn tap(&self) -> Tap {
        let found = Rc::clone(&self.found);
        Box::new(move |bytes| {
            if let Some(leak) = leak("a wire", bytes) {
                found.borrow_mut().get_or_insert(leak);
            }
        })
    }
}

/// What is in clear there, if anything.
pub(super) fn leak(place: &str, bytes: &[u8]) -> Option<String> {
    let (what, _) = SECRETS.iter().find(|(_, finder)| finder.find(bytes).is_some())?;
    Some(format!("{what} is in clear on {place}"))
}

impl Oracle for Secrecy {
    fn name(&self) -> &'static str {
        "G10 secrecy"
    }

    fn observe(&mut self, _: &World, _: &Ledger, _: &[Observed]) -> Result<(), String> {
        self.found.borrow().clone().map_or(Ok(()), Err)
    }

    fn at_end(&mut self, _: &Ledger, audit: &Audit, _: Promise) -> Result<(), String> {
        audit.leaks.first().cloned().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::client::program::world;

    #[test]
    fn a_mark_or_a_key_in_clear_is_seen() {
        let mut secrecy = Secrecy::new();
        let (world, ledger) = (world(1, 0), Ledger::new(1, 1));
        let mut tap = secrecy.tap();
        tap(&[0; 4000]);
        assert!(secrecy.observe(&world, &ledger, &[]).is_ok());
        tap(&[&[1; 100][..], MARK, &[2; 100]].concat());
        assert!(secrecy.observe(&world, &ledger, &[]).is_err());
        assert!(leak("a disk", &access().network.secret).is_some());
        let audit = Audit { leaks: vec!["node 0".to_owned()], ..Audit::default() };
        assert!(Secrecy::new().at_end(&ledger, &audit, Promise::Beyond).is_err());
    }
}
