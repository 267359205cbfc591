//! Names of stored files: which are names at all, and which make a path on this machine.
//!
//! Touches no file. Invariant: a path made of a stored name stays below the folder it is joined to,
//! whoever chose the name.

use std::path::{Component, Path, PathBuf};

use crate::cli::failure::{Exit, Failure};
use crate::cli::text::shown;
use crate::limits::NAME_MAX;

/// Refuses what no file can be called.
pub(crate) fn check(name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(Failure::usage("the name is empty: a stored file needs a name"));
    }
    if name.contains('\0') {
        return Err(Failure::usage("the name has a NUL character in it, which no name may"));
    }
    if name.len() > NAME_MAX {
        return Err(Failure::usage(format_args!(
            "the name is {} bytes long: {NAME_MAX} is the most",
            name.len()
        )));
    }
    Ok(())
}

/// The last component of a local path: the name of what is stored from there.
pub(crate) fn of_path(path: &Path) -> Result<String, Failure> {
    let hint = |what| format!("{}: {what}: give the name as a second argument", path.display());
    let last = path.file_name().map(ToOwned::to_owned).or_else(|| {
        // "." and "folder/.." have a last component too, once it is known where they lead.
        path.canonicalize().ok().and_then(|full| full.file_name().map(ToOwned::to_owned))
    });
    let last = last.ok_or_else(|| Failure::usage(hint("has no last component")))?;
    last.into_string().map_err(|_| Failure::usage(hint("is not UTF-8")))
}

/// The local file for a name when none was given: the name's last component.
pub(crate) fn local_file(name: &str) -> Result<PathBuf, Failure> {
    let last = name.rsplit('/').next().unwrap_or(name);
    below(last).map_err(|reason| {
        Failure::usage(format_args!("{}: {reason}: say which file to write", shown(name)))
    })
}

/// The relative path for a stored name, or why there is none.
pub(crate) fn below(name: &str) -> Result<PathBuf, &'static str> {
    if name.starts_with('/') {
        return Err("the name is an absolute path");
    }
    if name.chars().any(char::is_control) {
        return Err("the name has control characters in it");
    }
    if name.split('/').any(|part| part == "." || part == "..") {
        return Err("the name would lead elsewhere by . or ..");
    }
    if name.split('/').any(str::is_empty) {
        return Err("the name has an empty part");
    }
    let path = PathBuf::from(name);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain { Ok(path) } else { Err("the name is no relative path") }
}

/// What is left of a name under a prefix that is taken as a folder.
pub(crate) fn under<'name>(name: &'name [u8], prefix: &str) -> Option<&'name [u8]> {
    let folder = prefix.strip_suffix('/').unwrap_or(prefix);
    if folder.is_empty() {
        return Some(name);
    }
    name.strip_prefix(folder.as_bytes())?.strip_prefix(b"/")
}

/// The name of a file in a folder that is stored under a prefix.
pub(crate) fn joined(prefix: &str, relative: &Path) -> Result<String, Failure> {
    let relative = relative
        .to_str()
        .ok_or_else(|| Failure::new(Exit::Error, "the file's name is not UTF-8"))?;
    let folder = prefix.strip_suffix('/').unwrap_or(prefix);
    let name = if folder.is_empty() { relative.to_owned() } else { format!("{folder}/{relative}") };
    check(&name)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_name() {
        let long = "n".repeat(NAME_MAX + 1);
        for name in ["", "a\0b", &long] {
            assert_eq!(check(name).unwrap_err().exit(), Some(Exit::Usage), "{name:?}");
        }
        assert_eq!(check(&long[1..]), Ok(()));
        assert_eq!(check("../any thing\n"), Ok(()));
    }

    #[test]
    fn which_names_make_paths() {
        let good = ["a", "a/b.c", "..a/b..", "a b/c", "ä/ö", "...", "-r"];
        let bad = [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../a",
            "a/../b",
            "a/..",
            ".",
            "./a",
            "a//b",
            "a/",
            "a\nb",
            "a\u{1b}[2J",
            "a\0b",
        ];
        for name in good {
            assert_eq!(below(name), Ok(PathBuf::from(name)));
        }
        for name in bad {
            assert!(below(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_prefix_is_a_folder_not_a_beginning() {
        assert_eq!(under(b"p/x", "p"), Some(&b"x"[..]));
        assert_eq!(under(b"p/x", "p/"), Some(&b"x"[..]));
        assert_eq!(under(b"pp/x", "p"), None);
        assert_eq!(under(b"p", "p"), None);
        assert_eq!(under(b"p/x", ""), Some(&b"p/x"[..]));
        assert_eq!(under(b"p//etc", "p"), Some(&b"/etc"[..]));
    }

    #[test]
    fn names_join_and_default() {
        assert_eq!(joined("p/", Path::new("x/y")), Ok("p/x/y".to_owned()));
        assert_eq!(joined("", Path::new("x")), Ok("x".to_owned()));
        assert_eq!(of_path(Path::new("/tmp/x.txt")), Ok("x.txt".to_owned()));
        assert_eq!(local_file("a/b/c"), Ok(PathBuf::from("c")));
        assert!(local_file("a/..").is_err());
        assert!(local_file("a/").is_err());
    }

    proptest! {
        #[test]
        fn no_name_escapes(name in "[a./\\x00-\\x1f\\\\]{0,12}") {
            if let Ok(path) = below(&name) {
                let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
                prop_assert!(inside && path.is_relative());
            }
        }
    }
}
