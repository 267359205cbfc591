//! `dfs-load`: drives a network the way many users would, and says the truth about it.
//!
//! | file | what it is |
//! |---|---|
//! | `args`, `command` | the command line, and what it says, done |
//! | `amount`, `choice`, `content` | sizes, keys and bytes, all from one seed |
//! | `schedule` | when which operation is meant to begin |
//! | `driver`, `conn` | thousands of connections on one mio loop |
//! | `tally` | what happened: latencies, bytes, errors by kind, each second |
//! | `local` | a network of its own, and what its daemons cost, seen from outside |
//! | `run`, `stop` | one workload; and the wish to end it |
//! | `table`, `page`, `figures` | what is told of it: to a person, as a page, to a program |
//!
//! Knows the network through `client` alone. Invariant: an operation that was begun is counted, once, as done or as an
//! error of a kind; the exit status is 0 only without errors.

mod amount;
mod args;
mod choice;
mod command;
mod content;
mod driver;
mod figures;
mod html_report;
mod in_flight;
mod local;
mod run;
mod schedule;
mod stop;
mod table;
mod tally;

pub use command::run;
