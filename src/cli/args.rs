//! The command line of `dfs`, exactly as scripts rely on it.
//!
//! Knows no command's meaning. Invariant: options here have no defaults from files; `DFSD_DATA` and
//! `DFSD_TICKET` are looked up where they are used, because an option beats them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::cli::moment::Moment;
use crate::cli::names::Name;
use crate::cli::range::ByteRange;
use crate::cli::settings::{Count, Span};
use crate::config::Size;
use crate::session::{Part, VersionPrefix};

/// Stores and fetches files in a dfsd network.
#[derive(Debug, Parser)]
#[command(
    name = "dfs",
    version,
    about = "Stores and fetches files in a dfsd network",
    after_help = "Exit codes: 0 ok, 1 error, 2 usage, 3 partly done, 4 not found, 5 temporary \
                  (no daemon, no node, no room), 6 integrity, 7 wrong key or refused, 8 exists."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which network, by which door.
#[derive(Debug, Args)]
#[command(next_help_heading = "General options")]
pub(crate) struct Place {
    /// Talk to the daemon of this data folder, with its keys (or DFSD_DATA) [default: as for dfsd]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data: Option<PathBuf>,
    /// Talk to the nodes of this ticket, with its keys; - reads it from stdin (or DFSD_TICKET)
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) ticket: Option<PathBuf>,
    /// Write even if the node's clock, or a version of the name, is more than a day ahead of this machine's
    #[arg(long, global = true)]
    pub(crate) allow_future: bool,
    /// Nothing on stderr but errors and warnings: no progress bar, no summary
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Store a file, stdin (-), or with -r all files of a folder
    Put(Put),
    /// Fetch a file, to stdout with -, or with -r all files under a prefix into a folder
    Get(Get),
    /// Write a file to stdout
    Cat(Cat),
    /// List names, in order where the node keeps them so
    Ls(List),
    /// List the names that match a pattern
    Find(Find),
    /// Sum up the sizes of what is stored in a folder, for each file and folder in it
    Du {
        /// Only this stored name or folder [default: everything]
        #[arg(default_value = "", hide_default_value = true)]
        prefix: Name,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show details of a stored file
    Stat {
        /// The stored name
        name: Name,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Delete files, or with -r everything under a prefix
    Rm(Remove),
    /// Rename a file, or with -r a folder; fails if the new name exists
    Mv {
        /// The stored name
        name: Name,
        /// The new name; one that ends with / is a folder to rename it into
        new: Name,
        /// Rename all that is in the folder, one after the other; the same command goes on where it ended
        #[arg(short, long)]
        recursive: bool,
        /// Even if get -r could not bring the new name back
        #[arg(long)]
        raw_names: bool,
    },
    /// List the versions of a file, the newest first: version, when and by which writer it was stored, size, state
    Versions(Versions),
    /// Make an earlier version of a file the one that is shown; also of a deleted file
    Restore(Restore),
    /// Change what the network keeps of the past, and for how long; on all nodes, from now on
    Set(Set),
    /// Show what the network is set to
    Settings {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show node status
    Status {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// List the other nodes: connected, or known
    Peers {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Print a ticket, by which others join or use the network: a secret
    Ticket(Ticket),
    /// Print the hash of a local file, equal to that of the stored one
    Hash {
        /// The local file; - for stdin
        file: PathBuf,
    },
    /// Verify everything that the node stores: blocks and pages are hashed, records' signatures checked
    ///
    /// Prints how much is good; a line for each block, page or record that is bad, and whether a peer has sent it
    /// again (repaired) or not yet (missing); and a line for each file that needs one of them. Exit code 0: all is
    /// good, or repaired; 6: something is still missing. For a folder that no daemon uses see `dfsd check`.
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Report only files under this stored name or folder; everything is verified all the same
    #[arg(value_name = "PREFIX")]
    pub(crate) prefix: Option<Name>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// How `dfs put` is used.
const PUT_USAGE: &str = "dfs put [OPTIONS] FILE [NAME]
       dfs put [OPTIONS] - NAME
       dfs put [OPTIONS] FILE... --to PREFIX/
       dfs put [OPTIONS] --command COMMAND NAME
       dfs put [OPTIONS] -r FOLDER [PREFIX]";

#[derive(Debug, Args)]
#[command(override_usage = PUT_USAGE)]
pub(crate) struct Put {
    /// A local file, - for stdin, or with -r a folder; and the name to store it by [default: its last component].
    /// With --to any number of files
    #[arg(value_name = "FILE", required_unless_present = "command")]
    pub(crate) sources: Vec<OsString>,
    /// Store each under its last component in this stored folder
    #[arg(long, value_name = "PREFIX/", conflicts_with = "as_name")]
    pub(crate) to: Option<Name>,
    /// Store the one file under exactly this name
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) as_name: Option<Name>,
    /// Store what this shell command prints, if it ends with 0: dfs put --command 'pg_dump db' NAME
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["recursive", "to"])]
    pub(crate) command: Option<OsString>,
    /// Store all files, links and folders below the folder
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Fail with exit code 8 where the name exists
    #[arg(long)]
    pub(crate) no_clobber: bool,
    /// Store a file although it changes while it is read
    #[arg(long)]
    pub(crate) allow_changed: bool,
    /// Also store extended attributes (user.*)
    #[arg(long)]
    pub(crate) xattrs: bool,
    /// Also store names that get -r cannot bring back: with control characters, empty parts, . or ..
    #[arg(long)]
    pub(crate) raw_names: bool,
    /// With -r: also read files whose size, mode and time of modification are as stored, and compare the content
    #[arg(long, requires = "recursive")]
    pub(crate) checksum: bool,
    /// With -r: when all is stored, delete the names below PREFIX that are not in the folder
    #[arg(long, requires = "recursive", conflicts_with = "no_clobber")]
    pub(crate) delete: bool,
    /// With --delete: also if the folder is empty, or PREFIX is, which means everything that is stored
    #[arg(long, requires = "delete")]
    pub(crate) all: bool,
    /// With -r: only print what would be stored and deleted
    #[arg(short = 'n', long, requires = "recursive", conflicts_with = "no_clobber")]
    pub(crate) dry_run: bool,
    /// One JSON object for each name
    #[arg(long)]
    pub(crate) json: bool,
}

/// How `dfs get` is used.
const GET_USAGE: &str = "dfs get [OPTIONS] NAME [FILE|FOLDER|-]
       dfs get [OPTIONS] NAME... --to FOLDER/
       dfs get [OPTIONS] -r PREFIX FOLDER";

#[derive(Debug, Args)]
#[command(override_usage = GET_USAGE)]
pub(crate) struct Get {
    /// The stored name, and the local file [default: the name's last component], or - for stdout. With -r a stored
    /// folder, and the local one. With --to any number of names
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<OsString>,
    /// Fetch each to its last component in this local folder
    #[arg(long, value_name = "FOLDER/")]
    pub(crate) to: Option<PathBuf>,
    /// Fetch all below the stored folder
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Fail with exit code 8 where the local file exists
    #[arg(long)]
    pub(crate) no_clobber: bool,
    /// Also restore extended attributes that were stored
    #[arg(long)]
    pub(crate) xattrs: bool,
    /// Fetch this version, by its first digits as `dfs versions` prints them [default: the one shown]
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["recursive", "to"])]
    pub(crate) version: Option<VersionPrefix>,
    /// With -r: compare files of the same size by their content, not by their time of modification
    #[arg(long, requires = "recursive")]
    pub(crate) checksum: bool,
    /// With -r: when all is fetched, remove the local files and folders that are not stored
    #[arg(long, requires = "recursive", conflicts_with = "no_clobber")]
    pub(crate) delete: bool,
    /// With -r: only print what would be fetched and removed
    #[arg(short = 'n', long, requires = "recursive")]
    pub(crate) dry_run: bool,
    /// With -r: one JSON object for each name
    #[arg(long, requires = "recursive")]
    pub(crate) json: bool,
    /// Go on with what the last get --continue of this file has left in FILE.dfs-part, and leave there what has come when
    /// this one ends early. Only blocks that are not there, or differ, are fetched
    #[arg(long = "continue", conflicts_with_all = ["recursive", "range"])]
    pub(crate) goes_on: bool,
    /// Only these bytes of one file, counted from 0, the last one included, as in 0-1023 or 1MiB-2MiB; to its end if
    /// LAST is left out or beyond it
    #[arg(long, value_name = "FIRST-LAST", conflicts_with = "recursive")]
    pub(crate) range: Option<ByteRange>,
}

#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// The stored name
    pub(crate) name: Name,
    /// This version, by its first digits as `dfs versions` prints them [default: the one shown]
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<VersionPrefix>,
    /// Only these bytes, as for get
    #[arg(long, value_name = "FIRST-LAST")]
    pub(crate) range: Option<ByteRange>,
    /// Only the last N bytes, or all if there are fewer; N as in 512 or 1MiB
    #[arg(long, value_name = "N", conflicts_with = "range")]
    pub(crate) tail: Option<Size>,
}

impl Cat {
    /// Which bytes are wanted; `None` for all.
    pub(crate) fn part(&self) -> Option<Part> {
        let tail = self.tail.map(|Size(count)| Part::Tail(count));
        self.range.map(ByteRange::part).or(tail)
    }
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only this stored name or folder: a/b is a/b and all below a/b/, never a/bc [default: everything]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) prefix: Name,
    /// Also what each name is, its mode, size and time of modification
    #[arg(short, long)]
    pub(crate) long: bool,
    /// One level alone: folders by their names, with a slash at the end, and not what is in them
    #[arg(short = '1', long, conflicts_with_all = ["deleted", "at"])]
    pub(crate) one_level: bool,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Sort by name (buffers the listing)
    #[arg(long)]
    pub(crate) sort: bool,
    /// Exit with 3 if the node is still synchronising, so that the list may be out of date
    #[arg(long)]
    pub(crate) strict: bool,
    /// Names that are deleted, and when
    #[arg(long, conflicts_with_all = ["at", "long"])]
    pub(crate) deleted: bool,
    /// What was shown at this time: 2026-11-29 14:00 (local) or 2026-11-29T13:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Moment>,
}

#[derive(Debug, Args)]
pub(crate) struct Versions {
    /// The stored name
    pub(crate) name: Name,
    /// Only so many, the newest
    #[arg(long, value_name = "COUNT")]
    pub(crate) newest: Option<u64>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The stored name
    pub(crate) name: Name,
    /// This version, by its first digits as `dfs versions` prints them [default: the newest that is not shown]
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<VersionPrefix>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Set {
    /// Keep a version this long after another has superseded it, as 30d or 90s; forever to keep them all
    #[arg(long, value_name = "TIME")]
    pub(crate) retention: Option<Span>,
    /// Keep only so many superseded versions of each name, the newest, or all
    #[arg(long, value_name = "COUNT")]
    pub(crate) keep_versions: Option<Count>,
    /// Keep what no version names this long after it came
    #[arg(long, value_name = "TIME")]
    pub(crate) grace: Option<Span>,
}

#[derive(Debug, Args)]
pub(crate) struct Find {
    /// Such as 'photos/**/*.jpg': * and ? stand for anything but a /, [a-c] for one of these, ** for any folders
    pub(crate) pattern: String,
    /// Also what each name is, its mode, size and time of modification
    #[arg(short, long)]
    pub(crate) long: bool,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The stored names; with -r also folders
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub(crate) names: Vec<Name>,
    /// Delete each name and all below it
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// With -r: delete every stored name
    #[arg(long, requires = "recursive", conflicts_with = "names")]
    pub(crate) all: bool,
    /// With -r: only print what would be deleted
    #[arg(short = 'n', long, requires = "recursive")]
    pub(crate) dry_run: bool,
    /// With -r: one JSON object for each name
    #[arg(long, requires = "recursive")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ticket {
    /// With the network key alone: the holder stores, but reads nothing
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) blind: bool,
    /// Without the write key
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Write it to a new file that only you may read, instead of to stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_line_of_the_manual_parses() {
        let lines = [
            "put f",
            "put -",
            "put - n",
            "put f n",
            "put -r d",
            "put -r d p",
            "--data d put f n",
            "get n",
            "get n -",
            "get n f",
            "get -r p d",
            "cat n",
            "cat n --range 5-",
            "cat n --tail 1KiB",
            "get n --range 0-1MiB",
            "get --continue n f",
            "ls",
            "ls p -l",
            "ls --json",
            "ls -l p --json --sort",
            "stat n --json",
            "rm a b c",
            "rm -r a b/",
            "rm -r --all",
            "mv a b",
            "status --json",
            "peers --json",
            "ticket --blind",
            "ticket --read-only",
            "ticket --out t",
            "hash f",
            "hash -",
            "verify",
            "verify p --json",
            "--ticket t cat n",
            "cat n --ticket -",
            "put --no-clobber f",
            "put a b c --to p/",
            "put f --as n",
            "put --command date n",
            "put -r --delete -n --checksum d p",
            "put -r --delete --all d",
            "get -r p d --delete --checksum --dry-run --json",
            "rm -rn a",
            "rm -r --all --dry-run --json",
            "get a b --to d",
            "get n --version 01a2",
            "get n - --version 01a205680daa0001-c75959d9cb52a544",
            "cat n --version 01a2",
            "versions n",
            "versions n --newest 5 --json",
            "restore n",
            "restore n --version 01a2",
            "ls --deleted p --json",
            "ls -l --at 2026-11-29T14:00 p",
            "set --retention 30d --grace 0",
            "set --retention forever",
            "settings --json",
        ];
        for line in lines {
            let words = std::iter::once("dfs").chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn other_lines_are_usage_errors() {
        for line in [
            "",
            "put",
            "get",
            "put f --as n --to p/",
            "rm",
            "rm -r",
            "rm --all",
            "rm -n a",
            "put -n f",
            "put --delete f",
            "put -r --all d",
            "put -r --delete --no-clobber d",
            "get --checksum n",
            "rm -r --all a",
            "mv a",
            "ticket --blind --read-only",
            "frob",
            "get n --version",
            "get n --version xyz",
            "get -r p d --version 01a2",
            "versions",
            "ls --deleted --at 2026-11-29T14:00",
            "ls --at yesterday",
            "set",
            "set --retention 30",
            "set --retention -1d",
            "get -r p d --range 0-",
            "cat n --range 0- --tail 1",
            "get n f --continue --range 0-",
            "get -r p d --continue",
            "cat n --range 2-1",
            "cat n --tail -1",
        ] {
            let words =
                std::iter::once("dfs").chain(line.split(' ').filter(|word| !word.is_empty()));
            let error = Arguments::try_parse_from(words).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
