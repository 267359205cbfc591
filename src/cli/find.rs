//! `dfs find`: names that match a pattern of the shell.
//!
//! Keeps nothing. Invariant: only what is in the folder is looked through in which every match is.

use crate::cli::failure::{Exit, Failure};
use crate::cli::names::Name;
use crate::cli::{args, list};
use glob::{MatchOptions, Pattern};

/// A wildcard stands for no slash, and for a dot like any other character.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Lists the names that match.
pub(crate) fn run(place: &args::Place, find: &args::Find) -> Result<(), Failure> {
    let pattern = Pattern::new(&find.pattern).map_err(|error| {
        let sentence = format!("the pattern {} cannot be read: {}", find.pattern, error.msg);
        Failure::usage(sentence)
    })?;
    let list = args::List {
        prefix: Name::new(folder_of(&find.pattern).as_bytes()),
        long: find.long,
        one_level: false,
        json: find.json,
        sort: false,
        strict: false,
        deleted: false,
        at: None,
    };
    // A name that is no text is looked at as it is shown.
    let matches = |name: &[u8]| {
        let name = String::from_utf8_lossy(name);
        pattern.matches_with(name.strip_suffix('/').unwrap_or(&name), OPTIONS)
    };
    if list::run_matching(place, &list, matches)? {
        return Ok(());
    }
    let sentence = format!("no name matches {}", find.pattern);
    Err(Failure::new(Exit::NotFound, sentence))
}

/// The folder in which all matches are: what stands before the first wildcard, up to a slash. Without any the whole name.
fn folder_of(pattern: &str) -> &str {
    let Some(at) = pattern.find(['*', '?', '[']) else { return pattern };
    pattern[..at].rfind('/').map_or("", |slash| &pattern[..slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_looked_for_where_it_can_match() {
        let cases = [
            ("photos/2024/*.jpg", "photos/2024"),
            ("photos/20?4/a", "photos"),
            ("photos/**/*.jpg", "photos"),
            ("pho*", ""),
            ("[ab]/c", ""),
            ("a/b/c", "a/b/c"),
        ];
        for (pattern, folder) in cases {
            assert_eq!(folder_of(pattern), folder, "{pattern}");
        }
    }
}
