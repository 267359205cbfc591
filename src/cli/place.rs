//! Place: which network a command is about: the addresses of its nodes, and the keys.
//!
//! Speaks to nobody. Invariant: an option beats the environment; keys are never printed.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::args;
use crate::cli::failure::{Exit, Failure};
use crate::cli::text::{pasteable, tell};
use crate::config;
use crate::keyring::{Access, Keyring, KeyringError, Ticket, TicketFileError, read_ticket};
use crate::wire::message::PeerAddress;

/// Where the nodes are, and what one may do with them.
pub(crate) struct Place {
    /// Best first; never empty.
    pub(crate) peers: Vec<PeerAddress>,
    /// The keys.
    pub(crate) access: Access,
    /// The data folder of the daemon that is meant, if it is one on this machine.
    pub(crate) data: Option<PathBuf>,
    /// Whether a version may be signed that is dated in the future.
    pub(crate) allow_future: bool,
}

impl Place {
    /// What to tell a person when none of the addresses answers.
    pub(crate) fn advice(&self) -> String {
        match &self.data {
            Some(data) => format!("if it does not run, {}", start_it(data)),
            None => "start one of its nodes, or take a new ticket from one that runs".to_owned(),
        }
    }
}

/// The place that options and environment name.
pub(crate) fn find(options: &args::Place) -> Result<Place, Failure> {
    let place = match source(options)? {
        Source::Ticket(file) => of_ticket(&file, options.quiet),
        Source::Data(folder) => of_folder(folder),
    };
    Ok(Place { allow_future: options.allow_future, ..place? })
}

/// The data folder of the daemon that is meant, if it is one on this machine.
pub(crate) fn data(options: &args::Place) -> Option<PathBuf> {
    match source(options) {
        Ok(Source::Data(folder)) => Some(folder),
        Ok(Source::Ticket(_)) | Err(_) => None,
    }
}

/// Whether the ticket is to be read from stdin, so that nothing else can.
pub(crate) fn uses_stdin(options: &args::Place) -> bool {
    matches!(source(options), Ok(Source::Ticket(file)) if file == Path::new("-"))
}

/// What names the network.
enum Source {
    Ticket(PathBuf),
    Data(PathBuf),
}

fn source(options: &args::Place) -> Result<Source, Failure> {
    match (&options.ticket, &options.data) {
        (Some(_), Some(_)) => Err(Failure::usage("give --data or --ticket, not both")),
        (Some(file), None) => Ok(Source::Ticket(file.clone())),
        (None, Some(folder)) => Ok(Source::Data(folder.clone())),
        (None, None) => {
            let ticket = env::var_os("DFSD_TICKET").filter(|file| !file.is_empty());
            let ticket = ticket.map(|file| Source::Ticket(file.into()));
            let data = || config::default_data(|name| env::var_os(name)).map(Source::Data);
            ticket.or_else(data).ok_or_else(|| Failure::usage(config::ConfigError::NoHome))
        }
    }
}

fn of_ticket(file: &Path, is_quiet: bool) -> Result<Place, Failure> {
    let text = read_ticket(file).map_err(|error| {
        let exit = match error {
            TicketFileError::Io(..) => Exit::Error,
            TicketFileError::Writable(..) | TicketFileError::Foreign(..) => Exit::Refused,
        };
        Failure::new(exit, error)
    })?;
    if let Some(warning) = text.warning.as_ref().filter(|_| !is_quiet) {
        tell(format_args!("dfs: {warning}"));
    }
    let name = file.display();
    let refused = |error| Failure::new(Exit::Refused, format_args!("{name}: {error}"));
    let ticket = Ticket::parse(&text.text).map_err(refused)?;
    if ticket.peers.is_empty() {
        let why = format_args!("{name}: the ticket names no node to ask");
        return Err(Failure::new(Exit::Temporary, why));
    }
    Ok(Place { peers: ticket.peers, access: ticket.access, data: None, allow_future: false })
}

fn of_folder(data: PathBuf) -> Result<Place, Failure> {
    let keyring = Keyring::open(&data).map_err(|error| match error {
        KeyringError::NoKeys => no_daemon(&data, "there are no keys in it yet"),
        // The first start makes the keys one by one, before anything else.
        KeyringError::Incomplete(file) if !data.join("log").exists() => {
            no_daemon(&data, &format!("{file} is not in it yet"))
        }
        KeyringError::File(_)
        | KeyringError::Incomplete(_)
        | KeyringError::Lost(_)
        | KeyringError::NotGranted
        | KeyringError::StrangeNetwork
        | KeyringError::AnotherNetwork
        | KeyringError::AnotherKey(_) => {
            Failure::new(Exit::Refused, format_args!("{}: {error}", data.display()))
        }
    })?;
    let address =
        fs::read_to_string(config::address_file(&data)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => no_daemon(&data, "it has no address file"),
            _ => {
                Failure::new(Exit::Error, format_args!("cannot read the daemon's address: {error}"))
            }
        })?;
    Ok(Place {
        peers: vec![PeerAddress {
            node: keyring.node.node_id(),
            address: reachable(address.trim()),
        }],
        access: keyring.access,
        data: Some(data),
        allow_future: false,
    })
}

fn no_daemon(data: &Path, why: &str) -> Failure {
    Failure::new(
        Exit::Temporary,
        format_args!("no daemon runs on {} ({why}): {}", data.display(), start_it(data)),
    )
}

fn start_it(data: &Path) -> String {
    format!("start it with: dfsd --data {}", pasteable(&data.display().to_string()))
}

/// Where a daemon that listens everywhere is reached from its own machine.
fn reachable(address: &str) -> String {
    let local = [("0.0.0.0:", "127.0.0.1:"), ("[::]:", "[::1]:")];
    let found = local
        .iter()
        .find_map(|(every, one)| address.strip_prefix(every).map(|port| format!("{one}{port}")));
    found.unwrap_or_else(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(data: Option<&Path>, ticket: Option<&Path>) -> args::Place {
        let owned = |path: Option<&Path>| path.map(Path::to_owned);
        args::Place { data: owned(data), ticket: owned(ticket), quiet: false, allow_future: false }
    }

    #[test]
    fn a_folder_without_a_daemon_says_how_to_start_it() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no such");
        let failure = find(&options(Some(&missing), None)).err().unwrap();
        assert_eq!(failure.exit(), Some(Exit::Temporary));
        assert!(failure.to_string().contains("dfsd --data '"), "{failure}");
    }

    #[test]
    fn a_bad_ticket_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t");
        fs::write(&file, "hello").unwrap();
        let exit = |options| find(&options).err().unwrap().exit();
        assert_eq!(exit(options(None, Some(&file))), Some(Exit::Refused));
        assert_eq!(exit(options(Some(&file), Some(&file))), Some(Exit::Usage));
        assert_eq!(exit(options(None, Some(&folder.path().join("u")))), Some(Exit::Error));
    }

    #[test]
    fn everywhere_is_reached_here() {
        assert_eq!(reachable("0.0.0.0:7400"), "127.0.0.1:7400");
        assert_eq!(reachable("[::]:1"), "[::1]:1");
        assert_eq!(reachable("10.0.0.0:1"), "10.0.0.0:1");
    }
}
