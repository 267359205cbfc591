//! `dfs-load`: the load-test harness of dfsd. Everything is in `dfsd::load`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dfsd::keyring::no_core_dumps();
    dfsd::load::run()
}
