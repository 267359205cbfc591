//! The client's session: against real nodes in a simulated network, and against a node that lies.

mod files;
mod forger;
mod hostile;
pub(in crate::sim) mod program;
