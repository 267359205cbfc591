//! `dfs du`: how much is stored in a folder, for each file and folder in it.
//!
//! Invariant: what is kept grows with what is in the folder itself, not with what is further below.

use crate::cli::failure::Failure;
use crate::cli::names::Name;
use crate::cli::output::Output;
use crate::cli::text::{self, human_size, shown};
use crate::cli::{args, door, json, prefix, sync};
use crate::client::Listed;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What files come to.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    files: u64,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// The same for a script.
#[derive(Serialize)]
struct SumJson<'a> {
    #[serde(flatten)]
    name: json::NameJson<'a>,
    files: u64,
    size: u64,
}

/// Sums up.
pub(crate) fn run(place: &args::Place, prefix: &Name, json: bool) -> Result<(), Failure> {
    let mut client = door::open(place)?;
    let (mut parts, mut all) = (BTreeMap::<Vec<u8>, Sum>::new(), Sum::default());
    let listed = prefix::list_one(&mut client, prefix, false, |listed| {
        if let Listed::File(entry) = listed
            && !entry.name.ends_with(b"/")
        {
            all.add(entry.size);
            parts.entry(part_of(prefix, &entry.name).to_vec()).or_default().add(entry.size);
        }
        ControlFlow::Continue(())
    })?;
    let mut output = Output::new();
    let total = (prefix.trimmed().bytes().to_vec(), all);
    let is_one = parts.len() == 1 && parts.contains_key(&total.0);
    let lines = parts.into_iter().filter(|_| !is_one).chain([total]);
    for (name, sum) in lines {
        output.line(&line(&name, sum, json))?;
    }
    output.flush()?;
    if let Some(warning) = sync::warning(listed.sync, "files may be missing, or out of date")
        && !place.quiet
    {
        text::tell(format_args!("dfs: {warning}"));
    }
    listed.judge()
}

/// The file or folder right in a folder that a name is, or is below of.
fn part_of<'a>(prefix: &Name, name: &'a [u8]) -> &'a [u8] {
    let Some(rest) = prefix.rest_of(name) else { return name };
    match rest.iter().position(|byte| *byte == b'/') {
        Some(slash) => &name[..=name.len() - rest.len() + slash],
        None => name,
    }
}

fn line(name: &[u8], Sum { files, bytes }: Sum, is_json: bool) -> String {
    if is_json {
        let name = json::NameJson::of(name);
        return json::line(&SumJson { name, files, size: bytes });
    }
    let name = shown(&String::from_utf8_lossy(name));
    let name = if name.is_empty() { "in all" } else { &name };
    format!("{:>10}  {:>12}  {name}", human_size(bytes), text::counted(files, "file"))
}
