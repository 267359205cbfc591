//! What a command line of `dfs get` means: which names, and where each comes to be.
//!
//! Fetches nothing. Invariant: a destination that cannot be is refused before anything is fetched.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::cli::args;
use crate::cli::failure::{Exit, Failure};
use crate::cli::names::{self, Name};

/// One name, and where it comes to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// To standard output.
    Print(Name),
    /// To this file.
    File(Name, PathBuf),
    /// Everything below it, into this folder.
    Folder(Name, PathBuf),
}

/// All that the arguments say.
pub(super) fn tasks(get: &args::Get) -> Result<Vec<Task>, Failure> {
    if let Some(folder) = &get.to {
        refuse_same_place(get)?;
        return get
            .names
            .iter()
            .map(|name| below(get, &Name::from(name.clone()), folder))
            .collect();
    }
    match &get.names[..] {
        [_] if get.recursive => {
            Err(Failure::usage("say into which folder: dfs get -r NAME FOLDER"))
        }
        [name] => {
            let name = Name::from(name.clone());
            names::check(&name)?;
            let file = names::local_file(&name)?;
            Ok(vec![file_task(name, &file)?])
        }
        [_, folder] if get.recursive && folder == "-" => Err(Failure::usage(
            "get -r writes into a folder, not to stdout: ./- is a folder of that name",
        )),
        [name, folder] if get.recursive => {
            Ok(vec![Task::Folder(Name::from(name.clone()), folder.into())])
        }
        [_, file] if file.is_empty() => {
            Err(Failure::usage("the name of the local file is empty: say which file to write"))
        }
        [name, file] => {
            let name = Name::from(name.clone());
            names::check(&name)?;
            Ok(vec![two(name, file)?])
        }
        _ => Err(Failure::usage(
            "get takes one name and one file; for several names say where to: dfs get NAME... --to FOLDER/",
        )),
    }
}

/// Two names with one last component would come to one file, and one of them be lost.
fn refuse_same_place(get: &args::Get) -> Result<(), Failure> {
    let mut places = BTreeMap::new();
    for name in get.names.iter().map(|name| Name::from(name.clone())) {
        let other = places.insert(name.last(), name.clone());
        if let Some(other) = other.filter(|other| *other != name) {
            return Err(Failure::usage(format_args!(
                "{other} and {name} would both become {} in that folder: fetch one of them by itself",
                name.last()
            )));
        }
    }
    Ok(())
}

/// A name's last component in a folder.
fn below(get: &args::Get, name: &Name, folder: &Path) -> Result<Task, Failure> {
    names::check(name)?;
    let local = folder.join(names::local_file(name)?);
    if get.recursive {
        return Ok(Task::Folder(name.clone(), local));
    }
    fs::create_dir_all(folder).map_err(|error| {
        let sentence = format!("cannot make the folder {}: {error}", folder.display());
        Failure::new(Exit::Error, sentence)
    })?;
    file_task(name.clone(), &local)
}

fn two(name: Name, file: &OsString) -> Result<Task, Failure> {
    let path = Path::new(file);
    if file == "-" || is_stdout(path) {
        return Ok(Task::Print(name));
    }
    if path.is_dir() {
        let local = path.join(names::local_file(&name)?);
        return file_task(name, &local);
    }
    if file.as_bytes().ends_with(b"/") {
        let sentence = format!(
            "{} is not a folder: make it first, or leave out the / at its end",
            path.display()
        );
        return Err(Failure::new(Exit::Error, sentence));
    }
    file_task(name, path)
}

fn file_task(name: Name, file: &Path) -> Result<Task, Failure> {
    if name.is_folder() {
        return Err(names::is_a_folder(&name, "get -r fetches it"));
    }
    Ok(Task::File(name, file.to_owned()))
}

fn is_stdout(path: &Path) -> bool {
    ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|one| path == Path::new(one))
}
