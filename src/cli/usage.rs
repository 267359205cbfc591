//! Usage: the arguments of a program, or what is wrong with them, told to the person.
//!
//! Knows no command. Invariant: help and version are answers on stdout, everything else is a usage error on stderr; what
//! was typed is shown, and does nothing to the terminal.

use super::failure::Exit;
use super::text::shown;
use crate::seeded::{self, Bug};
use clap::Parser;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};
use std::io::{self, Write};
use std::process::ExitCode;

/// The arguments of this process; or the exit code, once the person has been told why there are none.
///
/// # Errors
/// The code to end with, which is success where help or the version was asked for.
pub fn arguments<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        let is_wrong = error.use_stderr();
        let text = sentence(error);
        // Where even that cannot be written there is nobody to tell.
        let _ = if is_wrong {
            io::stderr().write_all(text.as_bytes())
        } else {
            io::stdout().write_all(text.as_bytes())
        };
        if is_wrong { ExitCode::from(Exit::Usage as u8) } else { ExitCode::SUCCESS }
    })
}

/// What clap says, in its lines. What was typed is shown before it comes among them, so that it cannot forge one; and
/// nothing else in a line is believed to be harmless.
fn sentence(mut error: clap::Error) -> String {
    if seeded::is_on(Bug::BelieveArguments) {
        return error.render().to_string();
    }
    let typed: Vec<_> = error.context().filter_map(|(kind, value)| harmless(kind, value)).collect();
    for (kind, value) in typed {
        error.insert(kind, value);
    }
    let text = error.render().to_string();
    text.split('\n').map(shown).collect::<Vec<_>>().join("\n")
}

/// What stands in for a value that may have been typed.
fn harmless(kind: ContextKind, value: &ContextValue) -> Option<(ContextKind, ContextValue)> {
    let text = |text: &StyledStr| StyledStr::from(shown(&text.to_string()));
    let value = match value {
        ContextValue::String(one) => ContextValue::String(shown(one)),
        ContextValue::Strings(all) => {
            ContextValue::Strings(all.iter().map(|one| shown(one)).collect())
        }
        ContextValue::StyledStrs(all) => ContextValue::StyledStrs(all.iter().map(text).collect()),
        // The usage, which has lines and is clap's own.
        _ => return None,
    };
    Some((kind, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Arguments;
    use crate::config::DaemonOptions;

    const EVIL: &str = "x\u{1b}[2J\r\u{9b}1m\u{202e}\nerror: nothing is wrong";

    fn told<A: Parser>(words: &[&str]) -> String {
        sentence(A::try_parse_from(words).err().expect("it makes no sense"))
    }

    #[test]
    fn what_was_typed_is_shown_and_forges_no_line() {
        let option = format!("--{EVIL}");
        let cases = [
            told::<Arguments>(&["dfs", EVIL]),
            told::<Arguments>(&["dfs", &option]),
            told::<Arguments>(&["dfs", "hash", &option]),
            told::<Arguments>(&["dfs", "hash", "file", EVIL]),
            told::<DaemonOptions>(&["dfsd", &option]),
            told::<DaemonOptions>(&["dfsd", EVIL]),
            told::<DaemonOptions>(&["dfsd", "--memory", EVIL]),
            told::<DaemonOptions>(&["dfsd", "--workers", EVIL]),
        ];
        for text in cases {
            assert!(text.contains("x\\u{1b}[2J\\r\\u{9b}1m\\u{202e}\\nerror: nothing"), "{text:?}");
            assert!(text.lines().all(|line| line == shown(line)), "{text:?}");
            assert_eq!(text.matches("\nerror:").count(), 0, "{text:?}");
            assert!(text.lines().count() > 1 && text.ends_with('\n'), "in clap's lines: {text:?}");
        }
    }
}
