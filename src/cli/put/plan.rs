//! What a command line of `dfs put` means: which sources, and the name that each gets.
//!
//! Reads no file. Invariant: no file is stored under the name of another that stands on the same command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cli::args;
use crate::cli::failure::Failure;
use crate::cli::names::{self, Name};

/// What is stored, and by which name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// What a command prints.
    Command(OsString, Name),
    /// Standard input.
    Stdin(Name),
    /// A file; or with -r a folder.
    Path(PathBuf, Name),
}

/// All that the arguments say.
pub(super) fn tasks(put: &args::Put) -> Result<Vec<Task>, Failure> {
    if let Some(command) = &put.command {
        let Some(name) = only_name(put) else {
            return Err(Failure::usage("give one name: dfs put --command COMMAND NAME"));
        };
        return Ok(vec![Task::Command(command.clone(), name)]);
    }
    if let Some(folder) = &put.to {
        let tasks: Result<_, _> = put.sources.iter().map(|source| below(source, folder)).collect();
        return tasks.and_then(refuse_same_name);
    }
    match (&put.sources[..], &put.as_name) {
        ([source], Some(name)) => Ok(vec![task(source, name.clone())]),
        ([source], None) if source == "-" => {
            Err(Failure::usage("stdin has no name: give one as in dfs put - NAME"))
        }
        ([source], None) => {
            let path = PathBuf::from(source);
            let name = names::of_path(&path)?;
            Ok(vec![Task::Path(path, name)])
        }
        ([source, name], None) => two(put, source, name),
        (_, Some(_)) => Err(Failure::usage("--as takes one file")),
        (_, None) => Err(Failure::usage(
            "put takes one file and one name; for several files say where to: dfs put FILE... --to PREFIX/",
        )),
    }
}

fn only_name(put: &args::Put) -> Option<Name> {
    match (&put.sources[..], &put.as_name) {
        ([name], None) => Some(Name::from(name.clone())),
        ([], Some(name)) => Some(name.clone()),
        _ => None,
    }
}

fn task(source: &OsString, name: Name) -> Task {
    if source == "-" { Task::Stdin(name) } else { Task::Path(source.into(), name) }
}

/// A source under its own last component.
fn below(source: &OsString, folder: &Name) -> Result<Task, Failure> {
    if source == "-" {
        return Err(Failure::usage("stdin has no name: store it by itself, as in dfs put - NAME"));
    }
    let path = PathBuf::from(source);
    let last = names::of_path(&path)?;
    let name = folder.join(Path::new(std::ffi::OsStr::new(&os(&last))));
    Ok(Task::Path(path, name))
}

/// Two sources with one last component would get one name, and one of them be lost.
fn refuse_same_name(tasks: Vec<Task>) -> Result<Vec<Task>, Failure> {
    let mut sources = BTreeMap::new();
    for task in &tasks {
        let Task::Path(path, name) = task else { continue };
        if let Some(other) = sources.insert(name, path).filter(|other| *other != path) {
            let (other, path) = (other.display(), path.display());
            return Err(Failure::usage(format_args!(
                "{other} and {path} would both be stored as {name}: store one of them by itself, with --as"
            )));
        }
    }
    Ok(tasks)
}

fn os(name: &Name) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(name.bytes().to_vec())
}

/// A source and a name; unless the name is that of a file here, as where a shell has put many for a pattern.
fn two(put: &args::Put, source: &OsString, name: &OsString) -> Result<Vec<Task>, Failure> {
    if source != "-" && !put.recursive && is_another_file(Path::new(source), Path::new(name)) {
        let (source, name) = (Path::new(source).display(), Path::new(name).display());
        return Err(Failure::usage(format_args!(
            "{source} and {name} are both files here: dfs put {source} --as {name} stores the first by the name of the second, \
             dfs put {source} {name} --to PREFIX/ stores both"
        )));
    }
    let name = Name::from(name.clone());
    if !name.is_folder() || put.recursive {
        return Ok(vec![task(source, name)]);
    }
    below(source, &name).map(|task| vec![task])
}

fn is_another_file(source: &Path, name: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    name.is_file()
        && match (identity(source), identity(name)) {
            (Ok(one), Ok(other)) => one != other,
            // What cannot be read is told of as such.
            (Err(_), _) | (_, Err(_)) => false,
        }
}
