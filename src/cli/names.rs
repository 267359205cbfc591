//! Names of stored files: which are names at all, and which make a path on this machine.
//!
//! Touches no file. Invariant: a path made of a stored name stays below the folder it is joined to,
//! whoever chose the name.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use crate::cli::failure::{Exit, Failure};
use crate::cli::text::shown;
use crate::limits::NAME_MAX;

/// A stored name, or a beginning of some. Any bytes: who gives it says what they mean.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(Vec<u8>);

impl Name {
    /// A name of these bytes.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it means a folder: it ends with a slash.
    pub(crate) fn is_folder(&self) -> bool {
        self.0.ends_with(b"/")
    }

    /// Without the slashes at its end.
    pub(crate) fn trimmed(&self) -> Self {
        let end = self.0.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        Self::new(&self.0[..end])
    }

    /// The name of a folder's own record, with its mode and time.
    pub(crate) fn marker(&self) -> Self {
        let Self(mut bytes) = self.trimmed();
        bytes.push(b'/');
        Self(bytes)
    }

    /// The name of what is at a relative path in the folder of this name.
    pub(crate) fn join(&self, relative: &Path) -> Self {
        let Self(mut bytes) = self.trimmed();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(relative.as_os_str().as_bytes());
        Self(bytes)
    }

    /// What is left of a name in the folder of this one. Nothing, for the folder's own record.
    pub(crate) fn rest_of<'name>(&self, name: &'name [u8]) -> Option<&'name [u8]> {
        let Self(folder) = self.trimmed();
        if folder.is_empty() {
            return Some(name);
        }
        name.strip_prefix(&folder[..])?.strip_prefix(b"/")
    }

    /// Whether a name is meant by this one as a prefix: the same name, or one in the folder of this name.
    pub(crate) fn covers(&self, name: &[u8]) -> bool {
        self.rest_of(name).is_some() || name == self.trimmed().bytes()
    }

    /// Whether this one as a prefix means every name.
    pub(crate) fn is_all(&self) -> bool {
        self.trimmed().bytes().is_empty()
    }

    /// The last component, as a relative path.
    pub(crate) fn last_path(&self) -> PathBuf {
        let Self(bytes) = self.last();
        PathBuf::from(OsString::from_vec(bytes))
    }

    /// The last component.
    pub(crate) fn last(&self) -> Self {
        let Self(bytes) = self.trimmed();
        Self::new(bytes.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&String::from_utf8_lossy(&self.0)))
    }
}

impl From<OsString> for Name {
    fn from(text: OsString) -> Self {
        Self(text.into_vec())
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// Refuses what no file can be called.
pub(crate) fn check(name: &Name) -> Result<(), Failure> {
    let Name(bytes) = name;
    if bytes.is_empty() {
        return Err(Failure::usage("the name is empty: a stored file needs a name"));
    }
    if bytes.contains(&0) {
        return Err(Failure::usage("the name has a NUL character in it, which no name may"));
    }
    if bytes.len() > NAME_MAX {
        return Err(Failure::usage(format_args!(
            "the name is {} bytes long: {NAME_MAX} is the most",
            bytes.len()
        )));
    }
    Ok(())
}

/// Refuses also what `get -r` could bring back nowhere.
pub(crate) fn check_new(name: &Name, raw: bool) -> Result<(), Failure> {
    check(name)?;
    match below(name.bytes()) {
        Err(reason) if !raw => Err(Failure::usage(format_args!(
            "{name}: {reason}, so that get -r could not bring it back; --raw-names stores it all the same"
        ))),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The last component of a local path: the name of what is stored from there.
pub(crate) fn of_path(path: &Path) -> Result<Name, Failure> {
    if path.as_os_str().is_empty() {
        return Err(Failure::usage("the path is empty: say which file to store"));
    }
    let last = path.file_name().map(ToOwned::to_owned).or_else(|| {
        // "." and "folder/.." have a last component too, once it is known where they lead.
        path.canonicalize().ok().and_then(|full| full.file_name().map(ToOwned::to_owned))
    });
    last.map(Name::from).ok_or_else(|| {
        Failure::usage(format_args!(
            "{}: has no last component: say with --as which name it gets",
            path.display()
        ))
    })
}

/// The local file for a name when none was given: the name's last component.
pub(crate) fn local_file(name: &Name) -> Result<PathBuf, Failure> {
    below(name.last().bytes())
        .map_err(|reason| Failure::usage(format_args!("{name}: {reason}: say which file to write")))
}

/// The relative path for a stored name, or why there is none. That of a folder's record is the folder's.
pub(crate) fn below(name: &[u8]) -> Result<PathBuf, &'static str> {
    let path = name.strip_suffix(b"/").unwrap_or(name);
    if name.starts_with(b"/") {
        return Err("the name is an absolute path");
    }
    if String::from_utf8_lossy(path).chars().any(char::is_control) {
        return Err("the name has control characters in it");
    }
    let mut parts = path.split(|byte| *byte == b'/');
    if parts.clone().any(|part| part == b"." || part == b"..") {
        return Err("the name would lead elsewhere by . or ..");
    }
    if parts.any(<[u8]>::is_empty) {
        return Err("the name has an empty part");
    }
    let path = PathBuf::from(OsStr::from_bytes(path));
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain { Ok(path) } else { Err("the name is no relative path") }
}

/// Somebody means a folder by a name that is no file's.
pub(crate) fn is_a_folder(name: &Name, instead: &str) -> Failure {
    Failure::new(Exit::Error, format_args!("{name} is a folder: {instead}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_name() {
        let long = "n".repeat(NAME_MAX + 1);
        for name in ["", "a\0b", &long] {
            assert_eq!(check(&name.into()).unwrap_err().exit(), Some(Exit::Usage), "{name:?}");
        }
        assert_eq!(check(&long[1..].into()), Ok(()));
        assert_eq!(check(&"../any thing\n".into()), Ok(()));
    }

    #[test]
    fn which_names_make_paths() {
        let good = ["a", "a/b.c", "..a/b..", "a b/c", "ä/ö", "...", "-r", "a/"];
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
            "a//",
            "a\nb",
            "a\u{1b}[2J",
            "a\0b",
            "a\u{9b}b",
        ];
        for name in good {
            assert_eq!(below(name.as_bytes()), Ok(PathBuf::from(name)));
            assert_eq!(check_new(&name.into(), false), Ok(()));
        }
        for name in bad {
            assert!(below(name.as_bytes()).is_err(), "{name:?}");
            assert!(check_new(&name.into(), false).is_err(), "{name:?}");
        }
        assert_eq!(below(b"\xff/b"), Ok(PathBuf::from(OsStr::from_bytes(b"\xff/b"))));
        assert_eq!(check_new(&"a\nb".into(), true), Ok(()));
    }

    #[test]
    fn a_prefix_is_a_folder_not_a_beginning() {
        let rest = |name: &'static [u8], folder: &str| Name::from(folder).rest_of(name);
        assert_eq!(rest(b"p/x", "p"), Some(&b"x"[..]));
        assert_eq!(rest(b"p/x", "p/"), Some(&b"x"[..]));
        assert_eq!(rest(b"p/", "p"), Some(&b""[..]));
        assert_eq!(rest(b"pp/x", "p"), None);
        assert_eq!(rest(b"p", "p"), None);
        assert_eq!(rest(b"p/x", ""), Some(&b"p/x"[..]));
        assert_eq!(rest(b"p//etc", "p"), Some(&b"/etc"[..]));
    }

    #[test]
    fn a_prefix_covers_a_name_and_its_folder() {
        let check = |prefix: &str, names: &[&str]| {
            let all = ["a", "a/", "a/b", "a/b/", "a/b/c", "a/bc", "ab", "a.b"];
            let covers = |name: &&str| Name::from(prefix).covers(name.as_bytes());
            assert_eq!(all.into_iter().filter(covers).collect::<Vec<_>>(), names, "{prefix:?}");
        };
        check("a/b", &["a/b", "a/b/", "a/b/c"]);
        check("a/b/", &["a/b", "a/b/", "a/b/c"]);
        check("a", &["a", "a/", "a/b", "a/b/", "a/b/c", "a/bc"]);
        check("b", &[]);
        check("", &["a", "a/", "a/b", "a/b/", "a/b/c", "a/bc", "ab", "a.b"]);
        assert!(Name::from("").is_all() && !Name::from("a").is_all());
    }

    #[test]
    fn names_join_and_default() {
        assert_eq!(Name::from("p/").join(Path::new("x/y")), "p/x/y".into());
        assert_eq!(Name::from("").join(Path::new("x")), "x".into());
        assert_eq!(Name::from("p//").marker(), "p/".into());
        assert_eq!(of_path(Path::new("/tmp/x.txt")), Ok("x.txt".into()));
        assert_eq!(local_file(&"a/b/c".into()), Ok(PathBuf::from("c")));
        assert_eq!(local_file(&"a/b/".into()), Ok(PathBuf::from("b")));
        assert!(local_file(&"a/..".into()).is_err());
        assert!(local_file(&"/".into()).is_err());
    }

    proptest! {
        #[test]
        fn no_name_escapes(name in "[a./\\x00-\\x1f\\\\]{0,12}") {
            if let Ok(path) = below(name.as_bytes()) {
                let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
                prop_assert!(inside && path.is_relative());
            }
        }
    }
}
