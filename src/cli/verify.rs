//! `dfs verify`: the node looks at all that it stores, and the person is told what was bad and what became of it.
//!
//! Invariant: what is told to be repaired was looked at again by the node after it had been found bad.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::slice;
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::args;
use crate::cli::door;
use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::names::Name;
use crate::cli::output::Output;
use crate::cli::prefix;
use crate::cli::progress::Progress;
use crate::cli::sync;
use crate::cli::text::{counted, human_size};
use crate::client::Client;
use crate::ids::Address;
use crate::session::{ClientError, Entry};
use serde::Serialize;

/// How long peers are given to send what is bad here, and how often the node is asked.
const TIMEOUT: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(250);

/// Has the node verify what it stores.
pub(crate) fn run(place: &args::Place, verify: &args::Verify) -> Result<(), Failure> {
    let mut client = door::open(place)?;
    if let Some(prefix) = &verify.prefix {
        check_stored(&mut client, prefix)?;
    }
    let progress = Progress::wanted(place, "verify", None);
    let checked = client.verify(|bytes| progress.advance(bytes));
    drop(progress);
    let checked = checked.map_err(|error| door::failure(&error))?;
    let mut bad: BTreeSet<_> = checked.bad.iter().copied().collect();
    let affected = affected(&mut client, verify, &bad).map_err(|error| door::failure(&error))?;
    if verify.prefix.is_some() {
        let needed = affected.iter().flat_map(|file| &file.needs).copied().collect();
        bad = bad.intersection(&needed).copied().collect();
    }
    let missing = wait(&mut client, &bad).map_err(|error| door::failure(&error))?;
    let told = Told { json: verify.json, good: checked.good, bytes: checked.bytes, bad, missing };
    told.print(&affected)?;
    match told.missing.len() {
        0 => Ok(()),
        count => Err(Failure::new(
            Exit::Integrity,
            format_args!(
                "{count} of {} objects are damaged or missing, and no peer has sent them yet: the node goes on asking",
                told.good + told.bad.len() as u64
            ),
        )),
    }
}

/// Refuses a prefix under which nothing is, before everything is verified.
fn check_stored(client: &mut Client, prefix: &Name) -> Result<(), Failure> {
    let mut is_found = false;
    let listed = prefix::list(client, slice::from_ref(prefix), |_| {
        is_found = true;
        ControlFlow::Break(())
    })?;
    // A name whose record is damaged is in no list, and is what somebody looks for.
    if is_found || listed.left_out.is_some() {
        return Ok(());
    }
    sync::warn(listed.sync, "it may not know of the name yet");
    listed.judge()
}

/// A file that needs something bad.
struct Affected {
    name: Vec<u8>,
    needs: Vec<Address>,
}

/// The files, of those that were asked for, that need something bad.
fn affected(
    client: &mut Client,
    verify: &args::Verify,
    bad: &BTreeSet<Address>,
) -> Result<Vec<Affected>, ClientError> {
    let mut affected = Vec::new();
    if bad.is_empty() {
        return Ok(affected);
    }
    let prefix = verify.prefix.clone().unwrap_or_default();
    // Kept are those alone whose lists are looked into: in pages, or known to need something bad.
    let mut entries: Vec<Entry> = Vec::new();
    let listed = client.list(|entry| {
        if prefix.covers(&entry.name) && entry.may_need(bad) {
            entries.push(entry);
        }
        ControlFlow::Continue(())
    });
    match listed {
        // Names whose records are damaged are not told of; the others are.
        Ok(_) | Err(ClientError::Damaged(_)) => {}
        Err(error) => return Err(error),
    }
    for entry in entries {
        let needs = client.needs(&entry, bad)?;
        if !needs.is_empty() {
            affected.push(Affected { name: entry.name, needs });
        }
    }
    affected.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(affected)
}

/// What has not come again within the timeout; at once if there is no peer to send it.
fn wait(client: &mut Client, bad: &BTreeSet<Address>) -> Result<BTreeSet<Address>, ClientError> {
    let begun = Instant::now();
    let mut missing = bad.clone();
    loop {
        let mut still = BTreeSet::new();
        for address in missing {
            if client.is_bad(address)? {
                still.insert(address);
            }
        }
        missing = still;
        let mut has_peers = || client.members().map(|all| all.iter().any(|one| one.connected));
        if missing.is_empty() || begun.elapsed() > TIMEOUT || !has_peers()? {
            return Ok(missing);
        }
        thread::sleep(AGAIN);
    }
}

/// A block, as a script may know it.
#[derive(Serialize)]
struct BadJson {
    bad: String,
    state: &'static str,
}

/// A file that needs some of them.
#[derive(Serialize)]
struct FileJson<'a> {
    #[serde(flatten)]
    name: json::NameJson<'a>,
    bad: usize,
    missing: usize,
}

/// All, at the end.
#[derive(Serialize)]
struct SummaryJson {
    good: u64,
    bytes: u64,
    damaged: usize,
    repaired: usize,
    missing: usize,
}

struct Told {
    json: bool,
    good: u64,
    bytes: u64,
    bad: BTreeSet<Address>,
    missing: BTreeSet<Address>,
}

impl Told {
    fn print(&self, affected: &[Affected]) -> Result<(), Failure> {
        let mut output = Output::new();
        if !self.json {
            let verified = counted(self.good, "object");
            let errors = match self.bad.len() as u64 {
                0 => "no errors".to_owned(),
                count => counted(count, "error"),
            };
            output.line(&format!("{verified} verified, {}, {errors}", human_size(self.bytes)))?;
        }
        self.bad.iter().try_for_each(|address| output.line(&self.line_of(address)))?;
        affected.iter().try_for_each(|file| output.line(&self.line_about(file)))?;
        if self.json {
            output.line(&self.summary())?;
        }
        output.flush()
    }

    fn line_of(&self, address: &Address) -> String {
        let missing = self.missing.contains(address);
        let state = if missing { "missing" } else { "repaired" };
        if self.json {
            return json::line(&BadJson { bad: address.to_string(), state });
        }
        let became = if missing {
            "quarantined; requested from the peers until one has it"
        } else {
            "quarantined, and fetched again from a peer"
        };
        format!("bad {address}: {state}: {became}")
    }

    fn line_about(&self, file: &Affected) -> String {
        let missing = file.needs.iter().filter(|address| self.missing.contains(address)).count();
        if self.json {
            let name = json::NameJson::of(&file.name);
            return json::line(&FileJson { name, bad: file.needs.len(), missing });
        }
        let state = if missing > 0 { "damaged" } else { "repaired" };
        format!(
            "{state} {}: {} bad, {missing} still missing",
            Name::new(&file.name),
            file.needs.len()
        )
    }

    fn summary(&self) -> String {
        json::line(&SummaryJson {
            good: self.good,
            bytes: self.bytes,
            damaged: self.bad.len(),
            repaired: self.bad.len() - self.missing.len(),
            missing: self.missing.len(),
        })
    }
}
