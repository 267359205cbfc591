//! G2: a get gives the exact bytes of a version that was put under that name, or an error; never other bytes, and never a
//! part of them as if it were all.

use super::Oracle;
use crate::sim::swarm::audit::{Audit, Reading};
use crate::sim::swarm::content::Name;
use crate::sim::swarm::history::{Observed, Seen, Told};
use crate::sim::swarm::ledger::Ledger;
use crate::sim::swarm::plan::Promise;

pub(super) struct Exact;

impl Oracle for Exact {
    fn name(&self) -> &'static str {
        "G2 exact bytes"
    }

    fn heard(&mut self, ledger: &Ledger, observed: &Observed) -> Result<(), String> {
        match &observed.what {
            Told::Shown(seen) => is_of_a_write(ledger, observed.name, *seen),
            Told::Bytes { of, offset, bytes } => are_its_bytes(ledger, *of, *offset, bytes),
            Told::Whole { of, came } if *came != of.size => Err(format!(
                "a get of version {} said that {came} of {} bytes are all",
                of.version, of.size
            )),
            _ => Ok(()),
        }
        .map_err(|why| format!("{}: {why}", observed.place()))
    }

    fn at_end(&mut self, ledger: &Ledger, audit: &Audit, _: Promise) -> Result<(), String> {
        for (machine, node) in audit.nodes.iter().enumerate() {
            for (name, reading) in &node.readings {
                let Reading::File { seen, hash, came } = reading else { continue };
                is_of_a_write(ledger, *name, *seen)
                    .and_then(|()| match (*hash, *came) == (seen.hash, seen.size) {
                        true => Ok(()),
                        false => Err(format!("version {} came with other bytes", seen.version)),
                    })
                    .map_err(|why| format!("node {machine}, name {name}, at the end: {why}"))?;
            }
        }
        Ok(())
    }
}

fn is_of_a_write(ledger: &Ledger, name: Name, seen: Seen) -> Result<(), String> {
    let Seen { version, hash, size } = seen;
    ledger
        .explain(name, version, hash)
        .map_err(|why| format!("version {version} ({hash}) is shown, but {why}"))?;
    match ledger.contents.get(&hash) {
        Some(content) if content.len() as u64 == size => Ok(()),
        _ => Err(format!("version {version} is said to have {size} bytes")),
    }
}

fn are_its_bytes(ledger: &Ledger, of: Seen, offset: u64, bytes: &[u8]) -> Result<(), String> {
    let offset = usize::try_from(offset).expect("files of these tests are small");
    let content = ledger.contents.get(&of.hash).ok_or("bytes of a content that nobody made")?;
    match content.get(offset..offset + bytes.len()) {
        Some(right) if right == bytes => Ok(()),
        _ => {
            Err(format!("version {} has other bytes than these from byte {offset} on", of.version))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::swarm::ledger::tests::{version, write};
    use crate::sim::swarm::ledger::{Fate, Thing};
    use crate::sim::swarm::oracles::tests::observed;
    use dfsd::time::Instant;

    #[test]
    fn other_bytes_other_versions_and_prefixes_are_seen() {
        let mut ledger = Ledger::new(1, 2);
        let hash = ledger.contents.make(100);
        let put = ledger.begin(write(0, Thing::File(hash)));
        ledger.end(put, Instant(2), Fate::Acknowledged(version(5)));
        let content = ledger.contents.get(&hash).unwrap().to_vec();
        let seen = Seen { version: version(5), hash, size: 100 };
        let check = |what, right: bool| {
            let heard = Exact.heard(&ledger, &observed(0, what));
            assert_eq!(heard.is_ok(), right, "{heard:?}");
        };
        check(Told::Shown(seen), true);
        check(Told::Shown(Seen { version: version(6), ..seen }), false);
        check(Told::Shown(Seen { size: 99, ..seen }), false);
        let bytes = |from: usize| content[from..from + 10].to_vec().into();
        check(Told::Bytes { of: seen, offset: 20, bytes: bytes(20) }, true);
        check(Told::Bytes { of: seen, offset: 20, bytes: bytes(21) }, false);
        check(Told::Bytes { of: seen, offset: 95, bytes: bytes(90) }, false);
        check(Told::Whole { of: seen, came: 100 }, true);
        check(Told::Whole { of: seen, came: 90 }, false);
    }
}
