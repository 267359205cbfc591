//! `dfs`: the command line of dfsd. Everything is in `dfsd::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dfsd::keyring::no_core_dumps();
    dfsd::cli::run()
}
