//! `dfsd check`: a data folder that no daemon uses is looked through, and repaired if asked.
//!
//! What is in the store `check` says; here are the files beside it, the keys, and what the person is told.
//! Invariant: without `--rebuild` no byte below the folder changes.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::finding::{Event, Finding, Grade, Known, Summary};
use super::{check, rebuild};
use crate::cli::json;
use crate::cli::progress::{self, Progress};
use crate::cli::text::{counted, human_size, shown, tell};
use crate::crypto::sealed::open_part;
use crate::keyring::grant::granted_key;
use crate::keyring::{Access, KeyFileError, Keyring, KeyringError};
use crate::server::read_peers;
use crate::store::fs::RealFs;
use crate::store::{Config, OpenError};
use crate::wire::record::{Record, RecordKind, Sealed};
use serde::Serialize;

/// What the person asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The data folder.
    pub data: PathBuf,
    /// Repair what can be repaired.
    pub rebuild: bool,
    /// One JSON object a line.
    pub json: bool,
    /// Fresh random bytes.
    pub entropy: [u8; 16],
}

const ERROR: u8 = 1;
const IN_USE: u8 = 5;
const INTEGRITY: u8 = 6;

const KEYS: [&str; 5] = ["network.key", "data.key", "write.key", "root.key", "node.key"];
/// What else a data folder has.
const OTHERS: [&str; 10] = [
    "blocks",
    "cache",
    "quarantine",
    "tmp",
    "log",
    "lock",
    "peers",
    "address",
    "role",
    "made-good",
];

/// Checks the folder, mends it if asked, and gives the exit status.
#[must_use]
pub fn run(wanted: &Wanted) -> ExitCode {
    match carry_out(wanted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(INTEGRITY),
        Err((status, sentence)) => {
            tell(format_args!("dfsd: {sentence}"));
            ExitCode::from(status)
        }
    }
}

type Failure = (u8, String);

fn carry_out(wanted: &Wanted) -> Result<bool, Failure> {
    let data = wanted.data.as_path();
    let no_folder = |why: io::Error| (ERROR, format!("{} cannot be read: {why}", data.display()));
    let filesystem = RealFs::read_only(data).map_err(no_folder)?;
    let progress = Progress::new("check", None);
    let mut teller = Teller { json: wanted.json, progress, bad: 0, closed: false };
    let access = look_at_keys(data, wanted.rebuild, &mut teller).map_err(no_folder)?;
    look_beside(data, &mut teller).map_err(no_folder)?;
    let granted = |record: &Record| {
        access.as_ref().and_then(|access| granted_key(record, &access.network.root))
    };
    let name = |record: &Record| access.as_ref().and_then(|access| name_of(access, record));
    let root = access.as_ref().map(|access| access.network.root);
    let known = Known { root, granted: &granted, name: &name };
    let beside = teller.bad;
    let found = check(&filesystem, &known, &mut |event| teller.take(event));
    let mut summary = found.map_err(|error| refused(data, &error))?;
    drop(filesystem);
    if wanted.rebuild {
        let filesystem = RealFs::new(data).map_err(no_folder)?;
        teller.line(Some("what was done:"));
        let mut is_done = false;
        let done = rebuild(
            filesystem,
            Config::default(),
            wanted.entropy,
            &known,
            &summary,
            &mut |event| {
                let left = matches!(&event, Event::Found(found) if found.grade != Grade::Repaired);
                if left && !std::mem::replace(&mut is_done, true) {
                    teller.line(Some("what is left:"));
                }
                teller.take(event);
            },
        );
        summary = done.map_err(|error| refused(data, &error))?;
    }
    summary.damaged += beside;
    teller.sum(&summary);
    Ok(summary.is_clean())
}

fn refused(data: &Path, error: &OpenError) -> Failure {
    match error {
        OpenError::Locked => (
            IN_USE,
            format!(
                "a running dfsd is using {}: ask it with `dfs verify`, or stop it and check again",
                data.display()
            ),
        ),
        OpenError::Newer { .. } | OpenError::Disk(_) => (ERROR, error.to_string()),
    }
}

/// The name that a record is about, if the keys here open it.
fn name_of(access: &Access, record: &Record) -> Option<String> {
    if record.kind != RecordKind::File {
        return None;
    }
    let keys = access.data.as_ref()?.at(record.epoch, &record.space)?;
    let public = record.public_bytes();
    let plain = open_part(&keys, &public, &record.sealed_tag, &record.sealed).ok()?;
    let sealed = Sealed::decode(record.format, &plain).ok()?;
    Some(shown(&String::from_utf8_lossy(&sealed.name)))
}

/// A finding, as a script may know it.
#[derive(Serialize)]
struct FindingJson<'a> {
    grade: &'static str,
    path: &'a str,
    what: &'a str,
    means: &'a str,
    advice: &'a str,
}

/// All, at the end.
#[derive(Serialize)]
struct SummaryJson {
    grade: &'static str,
    verdict: &'static str,
    segments: u64,
    groups: u64,
    records: u64,
    pages: u64,
    blocks: u64,
    bytes: u64,
    damaged: u64,
    missing: u64,
    repaired: u64,
}

/// Tells findings as they come.
struct Teller {
    json: bool,
    progress: Progress,
    /// Damage beside the store.
    bad: u64,
    /// Whoever read us has gone.
    closed: bool,
}

impl Teller {
    fn take(&mut self, event: Event) {
        match event {
            Event::Bytes(bytes) => self.progress.advance(bytes),
            Event::Found(finding) => self.found(&finding),
        }
    }

    fn found(&mut self, finding: &Finding) {
        let Finding { grade, path, what, means, advice } = finding;
        if self.json {
            self.print(&json::line(&FindingJson {
                grade: grade.word(),
                path,
                what,
                means,
                advice,
            }));
        } else {
            self.print(&shown(&format!("{}: {path}: {what}; {means}; {advice}", grade.word())));
        }
    }

    fn line(&mut self, text: Option<&str>) {
        if let Some(text) = text.filter(|_| !self.json) {
            self.print(text);
        }
    }

    fn print(&mut self, line: &str) {
        progress::clear();
        self.closed |= writeln!(io::stdout(), "{line}").is_err();
    }

    fn beside(
        &mut self,
        grade: Grade,
        path: &str,
        what: String,
        (means, advice): (&'static str, &'static str),
    ) {
        self.bad += u64::from(grade == Grade::Damage);
        self.found(&Finding { grade, path: path.to_owned(), what, means, advice });
    }

    fn sum(&mut self, summary: &Summary) {
        let Summary { segments, groups, records, pages, blocks, bytes, .. } = *summary;
        let Summary { damaged, missing, repaired, .. } = *summary;
        let verdict = if summary.is_clean() { "clean" } else { "damaged" };
        if self.json {
            return self.print(&json::line(&SummaryJson {
                grade: "summary",
                verdict,
                segments,
                groups,
                records,
                pages,
                blocks,
                bytes,
                damaged,
                missing,
                repaired,
            }));
        }
        let kinds = [
            (segments, "segment"),
            (groups, "group"),
            (records, "record"),
            (pages, "page"),
            (blocks, "block"),
        ];
        let counts = kinds.map(|(count, noun)| counted(count, noun)).join(", ");
        let size = human_size(bytes);
        self.print(&format!(
            "{verdict}: {counts}, {size} hashed; {damaged} damaged, {missing} missing, {repaired} repaired"
        ));
    }
}

/// The keys: there, private, readable and belonging together. `None` if they cannot be used.
fn look_at_keys(data: &Path, mend: bool, teller: &mut Teller) -> io::Result<Option<Access>> {
    for file in KEYS {
        let path = data.join(file);
        let mode = match fs::metadata(&path) {
            Ok(found) if found.is_file() => found.permissions().mode() & 0o7777,
            // What has a key's name and is none is told of below.
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if mode & 0o077 == 0 {
            continue;
        }
        let what = format!("others can read it (mode {mode:04o})");
        if mend {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            let after = ("a secret may have been read", "it is 0600 now");
            teller.beside(Grade::Repaired, file, what, after);
        } else {
            let after =
                ("it is a secret, and dfsd refuses it", "chmod 600, or `dfsd check --rebuild`");
            teller.beside(Grade::Damage, file, what, after);
        }
    }
    match Keyring::open(data) {
        Ok(keyring) => Ok(Some(keyring.access)),
        Err(KeyringError::File(KeyFileError::Exposed { .. })) => Ok(None),
        Err(error) => {
            let after = ("dfsd does not start like this", "mend it as said, and check again");
            teller.beside(Grade::Damage, "*.key", error.to_string(), after);
            Ok(None)
        }
    }
}

/// `peers`, `address`, and what does not belong here.
fn look_beside(data: &Path, teller: &mut Teller) -> io::Result<()> {
    let mode = fs::metadata(data)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let after = ("who can list it sees addresses of blocks, no content", "chmod 700");
        teller.beside(Grade::Note, ".", format!("others can enter it (mode {mode:04o})"), after);
    }
    match fs::read(data.join("peers")) {
        Ok(bytes) => look_at_peers(&bytes, teller),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let address = fs::read_to_string(data.join("address")).ok();
    if address.is_some_and(|text| text.trim().parse::<SocketAddr>().is_err()) {
        let after = ("dfs does not find the daemon by it", "nothing: every start writes it anew");
        teller.beside(Grade::Note, "address", "it has no address".to_owned(), after);
    }
    let mut names: Vec<_> = fs::read_dir(data)?.filter_map(Result::ok).collect();
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_ours = KEYS.iter().chain(&OTHERS).any(|ours| *ours == name);
        if !is_ours {
            let after = ("nothing: it is never read", "remove it if it is not wanted");
            let what = "a file that is not dfsd's".to_owned();
            teller.beside(Grade::Note, &shown(&name), what, after);
        }
    }
    Ok(())
}

fn look_at_peers(bytes: &[u8], teller: &mut Teller) {
    let text = String::from_utf8_lossy(bytes);
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let bad = lines().filter(|line| read_peers(line).is_empty()).count();
    if bad > 0 {
        let after = (
            "the nodes in them are not dialled at the next start",
            "nothing if other lines are good or peers dial this node; else join again with a ticket",
        );
        let what = format!("{bad} of its {} lines cannot be read", lines().count());
        teller.beside(Grade::Note, "peers", what, after);
    }
}
