//! `dfs ticket`: the line by which others join or use the network.
//!
//! Invariant: it goes to stdout, or to a new file that its owner alone may read, and nowhere else.

use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::text::tell;
use crate::cli::{args, door};
use crate::client::Client;
use crate::keyring::{Ticket, is_readable_by_others, write_ticket};
use crate::wire::message::PeerAddress;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// Nodes that a ticket names; one that answers is enough, and tells of the others.
const PEERS: usize = 16;

/// Prints a ticket.
pub(crate) fn run(place: &args::Place, options: &args::Ticket) -> Result<(), Failure> {
    let (place, mut client) = door::open_place(place)?;
    let access = match (options.blind, options.read_only) {
        (true, _) => place.access.blind(),
        (false, true) if place.access.is_blind() => {
            let sentence = "these keys cannot read, so no ticket made of them can; use --blind";
            return Err(Failure::new(Exit::Refused, sentence));
        }
        (false, true) => place.access.read_only(),
        (false, false) => place.access,
    };
    let peers = peers(&mut client)?;
    let ticket = Ticket { peers, access }.encode();
    match &options.out {
        Some(file) => write_ticket(file, &ticket).map_err(|error| cannot_write(file, &error)),
        None => print(&ticket),
    }
}

fn print(ticket: &str) -> Result<(), Failure> {
    let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    if stdout.and_then(|file| file.metadata()).is_ok_and(|found| is_readable_by_others(&found)) {
        tell(
            "dfs: others may read the file that this ticket goes to, and it holds keys: run chmod 600 on it, or use --out FILE",
        );
    }
    let mut output = Output::new();
    output.line(ticket)?;
    output.flush()
}

fn cannot_write(file: &Path, error: &io::Error) -> Failure {
    let file = file.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(Exit::Exists, format_args!("{file} exists, and stays as it is"))
        }
        _ => Failure::new(Exit::Error, format_args!("cannot write {file}: {error}")),
    }
}

/// The node that we talk to, then those that it is connected to, then those that it knows.
fn peers(client: &mut Client) -> Result<Vec<PeerAddress>, Failure> {
    let status = client.status().map_err(|error| door::failure(&error))?;
    let mut members = client.members().map_err(|error| door::failure(&error))?;
    let address =
        if status.address.is_empty() { client.address().to_owned() } else { status.address };
    members.retain(|member| member.peer.node != status.node);
    members.sort_by_key(|member| !member.connected);
    let first = PeerAddress { node: status.node, address };
    let others = members.into_iter().map(|member| member.peer);
    let all = std::iter::once(first).chain(others.filter(|peer| !peer.address.is_empty()));
    Ok(all.take(PEERS).collect())
}
