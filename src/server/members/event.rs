//! What the membership has to tell the rest of the server.
//!
//! Decides nothing. Invariant: a connection is told to lead to a node when whatever it replaces has ended.

use crate::server::closing::Closing;
use crate::server::output::Link;
use crate::wire::message::Hello;

/// One thing that has happened.
#[derive(Debug)]
pub(in crate::server) enum Event {
    /// A node has said hello. `admit` is to be called when what was told before has been seen to.
    Hello { link: Link, hello: Hello },
    /// A connection leads to a node.
    Connected { link: Link },
    /// A connection is to end.
    Ended { link: Link, why: Closing },
}
