//! The door: from a place to a client that is connected, and from the client's errors to failures.
//!
//! Knows no command. Invariant: every category of the library's errors has its exit code.

use crate::cli::args;
use crate::cli::failure::{Exit, Failure};
use crate::cli::interrupt;
use crate::cli::place::{self, Place};
use crate::cli::waiting::Waiting;
use crate::client::{CallError, Client};
use crate::session::ClientError;
use crate::wire::message::Reason;

/// Connects to the network that the options name.
pub(crate) fn open(options: &args::Place) -> Result<Client, Failure> {
    open_place(options).map(|(_, client)| client)
}

/// The same, with the place that was found. A daemon of this machine that is starting is waited for.
pub(crate) fn open_place(options: &args::Place) -> Result<(Place, Client), Failure> {
    let mut waiting = Waiting::new(place::data(options), options.quiet);
    loop {
        // Each time from the beginning: keys and address come to be while a daemon starts.
        let opened = place::find(options).and_then(|place| Ok((connect(&place)?, place)));
        match opened {
            Ok((client, place)) => return Ok((place, client)),
            Err(_) if interrupt::is_caught() => return Err(failure(&ClientError::Aborted)),
            Err(failure) if waiting.goes_on_after(&failure) => {}
            Err(failure) => return Err(failure),
        }
    }
}

/// Connects to the first of the place's nodes that answers.
fn connect(place: &Place) -> Result<Client, Failure> {
    let client = Client::connect_unless(Some(&interrupt::wish()), &place.peers, &place.access);
    let client = client.map(|client| client.allow_future(place.allow_future));
    client.map_err(|error| match exit(&error) {
        Exit::Temporary => {
            Failure::new(Exit::Temporary, format_args!("{error}: {}", place.advice()))
        }
        _ => failure(&error),
    })
}

/// What an error of the library means for the command.
pub(crate) fn failure(error: &ClientError) -> Failure {
    if *error == ClientError::Aborted && interrupt::is_caught() {
        return Failure::new(Exit::Error, "interrupted");
    }
    Failure::new(exit(error), error)
}

/// What an error of a transfer means; one of this machine's own is a plain error.
pub(crate) fn call_failure(error: &CallError) -> Failure {
    match error {
        CallError::Local(error) => Failure::new(Exit::Error, error),
        CallError::Client(error) => failure(error),
    }
}

fn exit(error: &ClientError) -> Exit {
    match error {
        ClientError::NotFound => Exit::NotFound,
        ClientError::Exists => Exit::Exists,
        ClientError::Unreachable(_)
        | ClientError::Disconnected(_)
        | ClientError::Silent
        | ClientError::Changed
        | ClientError::Unavailable
        | ClientError::NotTaken => Exit::Temporary,
        ClientError::Damaged(_) | ClientError::Forged => Exit::Integrity,
        ClientError::WrongNetwork
        | ClientError::NoDataKey
        | ClientError::NoWriteKey
        | ClientError::Future => Exit::Refused,
        ClientError::Refused(reason, _) => refusal(*reason),
        ClientError::Protocol(_)
        | ClientError::Aborted
        | ClientError::BeyondEnd { .. }
        | ClientError::LongAttributes => Exit::Error,
        ClientError::BadName => Exit::Usage,
    }
}

fn refusal(reason: Reason) -> Exit {
    match reason {
        Reason::NotAllowed => Exit::Refused,
        Reason::Exists => Exit::Exists,
        Reason::Damaged => Exit::Integrity,
        Reason::Missing | Reason::NoSpace | Reason::Unavailable | Reason::Changed => {
            Exit::Temporary
        }
        Reason::Malformed | Reason::Clock => Exit::Error,
    }
}
