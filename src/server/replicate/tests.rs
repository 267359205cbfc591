//! Scripts for the machines of replication.

mod missing;
mod reconcile;
