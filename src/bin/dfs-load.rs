//! `dfs-load`: the load-test harness of dfsd. Everything is in `dfsd::load`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dfsd::load::run()
}
