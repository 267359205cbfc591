//! Texts: everything that the programs print for people, in one file for a reader: `make texts`.
//!
//! Knows no meaning. Invariant: help fits a terminal, and leaves no option, command or placeholder without a word.

use super::process::run_program;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// No line of help is wider.
const COLUMNS_MAX: usize = 120;

/// Words in capitals that are no placeholders.
const PLAIN: &[&str] = &["HTTP", "JSON", "NUL", "SIGHUP", "TOML", "XDG"];

/// What one program says of itself or of one of its commands.
struct Help {
    command: String,
    text: String,
}

impl Help {
    /// The short and the long help of a command and of all below it.
    fn all(program: &str, words: &[String]) -> Vec<Self> {
        let mut all = Vec::new();
        for option in ["-h", "--help"] {
            let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
            arguments.push(option);
            let ended = run_program(program, &arguments);
            assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{program} {arguments:?}");
            let command = format!("{program} {}", arguments.join(" "));
            all.push(Self { command, text: ended.text() });
        }
        let commands: Vec<String> =
            all[0].section("Commands:").iter().filter_map(|line| first_word(line)).collect();
        for below in commands {
            if below != "help" {
                all.extend(Self::all(program, &[words, &[below]].concat()));
            }
        }
        all
    }

    /// The lines below a heading.
    fn section(&self, heading: &str) -> Vec<&str> {
        let lines = self.text.lines().skip_while(|line| *line != heading).skip(1);
        lines.take_while(|line| line.is_empty() || line.starts_with(' ')).collect()
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for line in self.text.lines() {
            if line.chars().count() > COLUMNS_MAX {
                faults.push(format!("wider than {COLUMNS_MAX}: {line}"));
            }
            let columns = line.trim().split("  ").filter(|column| !column.trim().is_empty());
            if columns.count() > 2 {
                faults.push(format!("two spaces in a sentence: {line}"));
            }
        }
        for heading in ["Commands:", "Arguments:", "Options:", "General options:"] {
            faults.extend(undescribed(&self.section(heading)));
        }
        faults.extend(self.unexplained());
        faults.into_iter().map(|fault| format!("{}: {fault}", self.command)).collect()
    }

    /// Words in capitals that stand for something and that no `<WORD>` or `[WORD]` explains.
    fn unexplained(&self) -> Vec<String> {
        let is_capital = |c: char| c.is_ascii_uppercase() || c == '_';
        let explained: BTreeSet<&str> = self
            .text
            .split(['<', '['])
            .skip(1)
            .filter_map(|rest| rest.split_once(['>', ']']))
            .flat_map(|(inside, _)| inside.split(|c| !is_capital(c)))
            .collect();
        // The forms of a usage name what the arguments below explain.
        let is_usage = |line: &&str| line.starts_with("Usage: ") || line.starts_with("       dfs ");
        let rest: Vec<&str> = self.text.lines().filter(|line| !is_usage(line)).collect();
        let rest = rest.join("\n");
        let words = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let placeholders = words.filter(|word| word.len() > 2 && word.chars().all(is_capital));
        let unknown = placeholders.filter(|word| {
            !word.starts_with("DFSD_") && !PLAIN.contains(word) && !explained.contains(word)
        });
        unknown.map(|word| format!("nothing explains {word}")).collect()
    }
}

fn first_word(line: &str) -> Option<String> {
    // What goes on in a further line is further to the right.
    let is_entry = line.starts_with("  ") && !line.starts_with("   ");
    is_entry.then(|| line.split_whitespace().next().map(str::to_owned)).flatten()
}

/// Entries without a description, on their line or below it.
fn undescribed(lines: &[&str]) -> Vec<String> {
    let is_entry = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        let starts = line.trim_start().starts_with(['-', '<', '[']);
        !line.is_empty() && (indent == 2 || (indent == 6 && starts))
    };
    let mut faults = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_entry(line)) {
        let is_beside = line.trim().contains("  ");
        let below = lines.get(at + 1).is_some_and(|next| !next.is_empty() && !is_entry(next));
        if !is_beside && !below {
            faults.push(format!("no description: {line}"));
        }
    }
    faults
}

/// The literals of a Rust file that are sentences, unit tests apart; placeholders stand as they are in the source.
fn sentences(source: &str) -> Vec<String> {
    let program = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let code: Vec<&str> =
        program.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n").replace("'\"'", "' '").replace("b'\\\"'", "b' '");
    // Between quotes, as long as no quote is escaped.
    let pieces = code.replace("\\\"", "\u{1}");
    let pieces: Vec<&str> = pieces.split('"').collect();
    let is_for_us = |before: &str| before.ends_with("reason = ") || before.ends_with(".expect(");
    let pairs = pieces.chunks_exact(2).filter(|pair| !is_for_us(pair[0].trim_end_matches('\n')));
    let literals = pairs.map(|pair| {
        let mut lines = pair[1].split("\\\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let joined = lines.fold(first, |all, line| all + line.trim_start());
        joined.replace('\u{1}', "\"")
    });
    let has_words = |text: &String| {
        let words = text.split(' ').filter(|word| word.chars().any(char::is_alphabetic));
        words.count() > 2 && text.is_ascii()
    };
    literals.filter(has_words).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn help_and_sentences_read_well() {
    let mut faults = Vec::new();
    let mut file = String::new();
    for program in ["dfsd", "dfs", "dfs-load"] {
        for help in Help::all(program, &[]) {
            faults.extend(help.faults());
            writeln!(file, "$ {}\n{}", help.command, help.text).unwrap();
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths.sort();
    for path in paths.iter().filter(|path| !path.ends_with("tests.rs")) {
        let below = path.strip_prefix(&root).unwrap();
        if below.starts_with("testing") || below.components().any(|one| one.as_os_str() == "tests")
        {
            continue;
        }
        let found = sentences(&fs::read_to_string(path).unwrap());
        if !found.is_empty() {
            writeln!(file, "== {}", below.display()).unwrap();
        }
        for sentence in found {
            writeln!(file, "{sentence}").unwrap();
            let inner = sentence.trim().as_bytes();
            let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || b",;.".contains(byte);
            // Several are columns of a table.
            let is_table = sentence.trim().matches("  ").count() > 1;
            let doubled = |four: &[u8]| {
                is_letter(&four[0]) && &four[1..3] == b"  " && four[3].is_ascii_lowercase()
            };
            if !is_table && inner.windows(4).any(doubled) {
                faults.push(format!("{}: two spaces: {sentence}", below.display()));
            }
        }
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("texts.txt");
    fs::write(&path, file).unwrap();
    println!("all texts are in {}", path.display());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
