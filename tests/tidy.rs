//! Tidy: reads the source as text and holds it to the design's structure.
//!
//! Knows no meaning of any code. Invariant: which rooms there are, and who may name whom, is what the table in `src/lib.rs`
//! says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the program is not longer, its unit tests apart.
const LINES_MAX: usize = 500;

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "manager", "misc", "shared"];

/// A source file: its path below `src/`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The part of the crate that it belongs to: `wire/cursor.rs` to `wire`.
    fn room(&self) -> &str {
        let end = self.path.find(['/', '.']).unwrap_or(self.path.len());
        &self.path[..end]
    }

    fn is_tests(&self) -> bool {
        let path = Path::new(&self.path);
        path.file_stem().is_some_and(|stem| stem == "tests")
            || path.components().any(|part| part.as_os_str() == "tests")
    }

    /// The text without unit tests, which end a file; empty if it is all tests.
    fn program(&self) -> &str {
        if self.is_tests() {
            return "";
        }
        let end = ["\n#[cfg(test)]\nmod tests {", "\n#[cfg(test)]\nmod test {"]
            .iter()
            .filter_map(|mark| self.text.find(mark))
            .min();
        &self.text[..end.unwrap_or(self.text.len())]
    }
}

/// A row of the table: a room, and whom it may name besides itself.
struct Room {
    name: String,
    may_name: Vec<String>,
}

/// The rows, in order. The first ones, in one row, are the values.
struct Table {
    values: Vec<String>,
    rooms: Vec<Room>,
}

impl Table {
    fn read() -> Self {
        let text = fs::read_to_string(source_folder().join("lib.rs")).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("//! | `"));
        let mut rows = lines.map(|line| {
            let cells: Vec<_> = line.split(" | ").collect();
            assert_eq!(cells.len(), 3, "three columns: {line}");
            (quoted(&format!("`{}", cells[0])), quoted(cells[2]))
        });
        let (values, _) = rows.next().expect("a table of rooms");
        let room = |(mut names, may_name): (Vec<String>, _)| {
            assert_eq!(names.len(), 1, "one room a row: {names:?}");
            Room { name: names.remove(0), may_name }
        };
        Self { values, rooms: rows.map(room).collect() }
    }

    fn room(&self, name: &str) -> Option<&Room> {
        self.rooms.iter().find(|room| room.name == name)
    }

    fn is_value(&self, name: &str) -> bool {
        self.values.iter().any(|value| value == name)
    }
}

/// What stands in backquotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<Source> {
    let root = source_folder();
    let mut sources = Vec::new();
    collect(&root, &root, &mut sources);
    assert!(sources.len() > 20, "only {} files below src", sources.len());
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let below = path.strip_prefix(root).unwrap().to_str().unwrap();
            sources
                .push(Source { path: below.to_owned(), text: fs::read_to_string(&path).unwrap() });
        }
    }
}

/// The rooms that a text names by `crate::ROOM` or `crate::{ROOM, ROOM}`; comments and macros' `$crate` apart.
fn named_rooms(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut rooms = BTreeSet::new();
    for (at, mark) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|char| char == '$' || char == '_' || char.is_alphanumeric()) {
            continue;
        }
        let rest = &code[at + mark.len()..];
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(heads(list)),
            None => rooms.extend(Some(first_word(rest))),
        }
    }
    rooms
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
}

/// The first word of each item of a list in braces, of which `text` begins with the inside.
fn heads(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut item = String::new();
    for char in text.chars() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => found.push(std::mem::take(&mut item)),
            other => item.push(other),
        }
    }
    found.push(item);
    found.iter().map(|item| first_word(item.trim())).filter(|word| !word.is_empty()).collect()
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn imports_point_one_way() {
    let table = Table::read();
    let mut faults = Vec::new();
    for source in sources() {
        let room = source.room();
        // The map and the programs name what they join.
        if matches!(room, "lib" | "main" | "bin") {
            continue;
        }
        let allowed = table.room(room).map_or(&[][..], |room| &room.may_name);
        for named in named_rooms(source.program()) {
            // Other words after `crate::` are items of the crate's root.
            let is_room = table.room(&named).is_some();
            if is_room && named != room && !allowed.contains(&named) {
                faults.push(format!("src/{}: {room} must not name {named}", source.path));
            }
        }
    }
    report(&faults);
}

#[test]
fn the_table_has_every_room_and_points_upward() {
    let table = Table::read();
    let mut above: BTreeSet<&str> = BTreeSet::new();
    for Room { name, may_name } in &table.rooms {
        for named in may_name {
            assert!(above.contains(named.as_str()), "{named} does not stand above {name}");
        }
        assert!(above.insert(name), "{name} stands there twice");
    }
    let sources = sources();
    let rooms: BTreeSet<&str> = sources.iter().map(Source::room).collect();
    for room in rooms {
        let is_known = above.contains(room) || table.is_value(room);
        assert!(is_known || matches!(room, "lib" | "main" | "bin"), "{room} is not in the table");
        above.remove(room);
    }
    assert!(above.is_empty(), "there is no room {above:?}");
}

#[test]
fn the_map_of_tests_names_every_file_that_has_some() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    let tests = files.iter().filter(|file| file.text.lines().any(|line| line.trim() == "#[test]"));
    let path = |path: &str| path.trim_end_matches(".rs").trim_end_matches("/mod").to_owned();
    let found: BTreeSet<_> = tests.map(|file| path(&file.path)).collect();
    let map = fs::read_to_string(root.join("main.rs")).unwrap();
    let rows = map.lines().filter_map(|line| line.strip_prefix("//! | `")?.split_once('`'));
    let named: BTreeSet<_> = rows.map(|(file, _)| file.to_owned()).collect();
    assert_eq!(found.symmetric_difference(&named).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn imports_are_read_right() {
    let text = "use crate::{ids::Hash, wire::{self, cursor::{Reader, put}}, time};\n\
                use crate::limits::LEAF;\n// use crate::net;\nlet x = crate::node::Node;\n$crate::conn";
    let expected = ["ids", "limits", "node", "time", "wire"];
    let found = named_rooms(text);
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
}

/// The machines of the server, each with its module: none names another.
const MACHINES: &[(&str, &str)] = &[
    ("transfer", "Transfer"),
    ("write", "Write"),
    ("query", "Query"),
    ("members", "Members"),
    ("scrub", "Scrub"),
    ("replicate", "Replicate"),
    ("replicate", "Reconcile"),
    ("replicate", "Arrivals"),
];

/// The names that a text imports from a module.
fn imported(text: &str, module: &str) -> BTreeSet<String> {
    let mark = format!("{module}::");
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(&mark) {
        if text[..at].chars().next_back().is_some_and(char::is_alphanumeric) {
            continue;
        }
        let rest = &text[at + mark.len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(heads(list)),
            None => names.extend(Some(first_word(rest))),
        }
    }
    names
}

/// The machines meet in `machines` and are handed what comes from outside in `mod`, and nowhere else.
#[test]
fn no_machine_of_the_server_names_another() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.room() == "server") {
        let text = source.program();
        let names_server = text
            .lines()
            .any(|line| !line.trim_start().starts_with("//") && line.contains("FileServer"));
        if names_server && source.path != "server/mod.rs" {
            faults.push(format!("src/{} names FileServer", source.path));
        }
        let own = source.path.split('/').nth(1).unwrap_or_default();
        for (module, machine) in MACHINES.iter().filter(|(module, _)| *module != own) {
            let may = matches!(source.path.as_str(), "server/mod.rs" | "server/machines.rs");
            if !may && imported(text, module).contains(*machine) {
                faults.push(format!("src/{} names {machine}", source.path));
            }
        }
    }
    report(&faults);
}

#[test]
fn every_file_says_what_it_is() {
    let mut faults = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            faults.push(format!("src/{} does not open with //!", source.path));
        }
    }
    report(&faults);
}

#[test]
fn no_file_is_too_long() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines = source.program().lines().count();
        if lines > LINES_MAX {
            faults.push(format!("src/{}: {lines} lines", source.path));
        }
    }
    report(&faults);
}

#[test]
fn no_name_is_empty_of_meaning() {
    let mut faults = Vec::new();
    for source in sources() {
        for part in &Path::new(&source.path).with_extension("") {
            let part = part.to_str().unwrap();
            if part.split('_').any(|word| EMPTY_NAMES.contains(&word)) {
                faults.push(format!("src/{}: {part} says nothing", source.path));
            }
        }
    }
    report(&faults);
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["TODO", "FIXME", "XXX", "todo!", "unimplemented!"];
    let mut faults = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            // The handshake is called so.
            let line = line.replace("XXpsk0", "");
            if marks.iter().any(|mark| line.contains(mark)) {
                faults.push(format!("src/{}:{}: {line}", source.path, number + 1));
            }
        }
    }
    report(&faults);
}
