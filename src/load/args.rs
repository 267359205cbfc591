//! The command line of `dfs-load`, exactly as scripts rely on it.
//!
//! Knows no network. Invariant: what these types hold can be run; what cannot is refused here, with a sentence.

use super::amount::Amount;
use super::choice::Popularity;
use crate::cli::args::Place;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Drives a dfsd network the way many users would, and reports what it took.
#[derive(Debug, Parser)]
#[command(
    name = "dfs-load",
    version,
    about = "Drives a dfsd network the way many users would, and reports what it took",
    after_help = "Exit codes: 0 no errors, 1 errors were counted or the run failed, 2 usage."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Store new names
    Put(Load),
    /// Read names that were stored before
    Get(Load),
    /// 65 % get, 20 % put, 10 % overwrite, 5 % delete
    Mixed(Load),
    /// Store new versions of names
    Overwrite(Load),
    /// List all names
    List(Load),
    /// Delete names
    Delete(Load),
    /// Connect, shake hands, hang up
    Connect(Load),
    /// Hold connections open that do nothing, beside one that reads
    Idle(Load),
}

/// What is done by a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Workload {
    Put,
    Get,
    Mixed,
    Overwrite,
    List,
    Delete,
    Connect,
    Idle,
}

impl Workload {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Mixed => "mixed",
            Self::Overwrite => "overwrite",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Connect => "connect",
            Self::Idle => "idle",
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(super) struct Load {
    /// Start this many daemons on fresh folders, and stop them at the end
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(super) spawn: Option<u8>,
    /// Start all spawned daemons but the first only when the names are stored, and load the last one
    #[arg(long, requires = "spawn")]
    pub(super) late: bool,
    /// Spread the connections over these nodes, not only the first [default: all that were spawned]
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', conflicts_with = "spawn")]
    pub(super) nodes: Vec<String>,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) conns: u32,
    /// Operations in flight on each connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) depth: u32,
    /// Start N operations per second regardless of completions (open loop: latency counts from the intended start)
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Run this long [default: 10 unless --ops is given]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) duration: Option<Duration>,
    /// Run this many operations
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) ops: Option<u64>,
    /// Size of files: 4096, 64KiB, uniform:1KiB-1MiB, lognormal:64KiB:1.5
    #[arg(long, default_value = "4096")]
    pub(super) size: Amount,
    /// Names that are stored before the measured part, where it needs some
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub(super) keys: u32,
    /// Which of them are asked for: uniform, zipf or zipf:1.2
    #[arg(long, default_value = "uniform")]
    pub(super) popularity: Popularity,
    /// Everything random comes from it; another seed stores other names
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Check every byte that comes back
    #[arg(long)]
    pub(super) verify: bool,
    /// One JSON object on stdout
    #[arg(long)]
    pub(super) json: bool,
    /// Write a page with throughput and latency over time
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Where spawned daemons keep their data [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
    /// Leave the data of spawned daemons where it is
    #[arg(long, hide = true)]
    pub(super) keep_data: bool,
    /// Options for spawned daemons, such as "--memory 16MiB"
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    pub(super) daemon: Option<String>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("invalid number \"{text}\""))?;
    let fits = rate.is_finite() && (0.01..=10_000_000.0).contains(&rate);
    fits.then_some(rate).ok_or_else(|| "a rate is 0.01 to 10000000 operations a second".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("invalid number of seconds \"{text}\""))?;
    let fits = seconds.is_finite() && (0.1..=1_000_000.0).contains(&seconds);
    fits.then(|| Duration::from_secs_f64(seconds)).ok_or_else(|| "from 0.1 to 1000000 s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_scripts_rely_on() {
        for line in [
            "dfs-load put --spawn 3 --size 4096 --conns 64 --ops 20000 --json",
            "dfs-load mixed --spawn 3 --verify --duration 20 --json",
            "dfs-load get --rate 500 --popularity zipf:1.1 --size lognormal:64KiB:1.5 --html page",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in ["dfs-load", "dfs-load put --spawn 0", "dfs-load put --rate -1", "dfs-load fly"]
        {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
