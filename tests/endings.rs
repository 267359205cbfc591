//! How connections may end among nodes that keep the rules, where no end shows a fault.
//!
//! Knows no network. Invariant: whatever is not in the list is a rule that one of ours broke, or a limit of ours that is
//! too narrow for what we do ourselves; so is every reason to come, until it is put there.

use dfsd::conn::{ConnError, Wait};
use dfsd::node::{Closing, Ending};

/// Silence, two connections or two nodes where one is to be, addresses that have changed, no place.
pub(crate) const HONEST: [Ending; 15] = [
    Ending::Conn(ConnError::TimedOut(Wait::Handshake)),
    Ending::Conn(ConnError::TimedOut(Wait::Frame)),
    Ending::Conn(ConnError::TimedOut(Wait::Arrival)),
    Ending::Conn(ConnError::TimedOut(Wait::Departure)),
    Ending::Unanswered,
    Ending::MadeRoom,
    Ending::TooManyHandshakes,
    Ending::TooManyConnections,
    Ending::Abandoned,
    Ending::Server(Closing::Itself),
    Ending::Server(Closing::OtherNode),
    Ending::Server(Closing::Duplicate),
    Ending::Server(Closing::Replaced),
    Ending::Server(Closing::NoAnswer),
    Ending::Server(Closing::TooManyInstances),
];

/// The ends that a daemon's log tells of, at level `debug`, and that are none of these nor of `also`.
pub(crate) fn faults_in<'a>(log: &'a str, also: &[Ending]) -> Vec<&'a str> {
    let told: Vec<String> = HONEST.iter().chain(also).map(ToString::to_string).collect();
    let reason = |line: &&str| line.split_once(" is closed: ").map(|(_, why)| why.to_owned());
    let is_fault = |line: &&str| reason(line).is_some_and(|why| !told.contains(&why));
    log.lines().filter(is_fault).collect()
}

#[test]
fn a_limit_of_our_own_in_a_log_is_seen() {
    let line = |ending: Ending| format!("12:00:00 [DEBUG] connection 7 is closed: {ending}\n");
    let log = line(Ending::Unanswered) + &line(Ending::OutboxFull) + "12:00:01 [INFO] stopping\n";
    assert_eq!(faults_in(&log, &[]), [line(Ending::OutboxFull).trim_end()]);
    assert!(faults_in(&log, &[Ending::OutboxFull]).is_empty());
}
