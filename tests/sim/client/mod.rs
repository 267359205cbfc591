//! The client's session: against real nodes in a simulated network, and against nodes that lie.

mod deadlines;
mod elsewhere;
mod files;
mod forger;
mod heads;
mod hostile;
mod in_order;
pub(in crate::sim) mod program;
mod ranges;
mod versions;
