//! JSON, as it is printed: one object a line.
//!
//! Knows no command. Invariant: what is written is one valid object without a line break, and does nothing to the
//! terminal.

use crate::cli::text::is_hidden;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;
use std::borrow::Cow;
use std::io;

/// A value as one line, without its end.
pub(crate) fn line(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, Visible);
    value.serialize(&mut serializer).expect("texts, numbers and lists of them can be written");
    String::from_utf8(out).expect("JSON is text")
}

/// A stored name in an object. One that is no text has its bytes beside it: two such names may look alike.
#[derive(Serialize)]
pub(crate) struct NameJson<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_hex: Option<String>,
}

impl<'a> NameJson<'a> {
    pub(crate) fn of(name: &'a [u8]) -> Self {
        let is_text = std::str::from_utf8(name).is_ok();
        Self {
            name: String::from_utf8_lossy(name),
            name_hex: (!is_text).then(|| base16ct::lower::encode_string(name)),
        }
    }
}

/// Also escapes what some readers take for the end of a line, and what forges what a person sees.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut rest = fragment;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, one)| is_hidden(*one)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in hidden.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + hidden.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_one_line() {
        #[derive(Serialize)]
        struct Object {
            name: &'static str,
            hidden: &'static str,
            size: u64,
            up: bool,
            nodes: [&'static str; 2],
            none: [&'static str; 0],
        }
        let line = line(&Object {
            name: "a\"b\\c\nd\u{1}\u{2028}ä",
            hidden: "gpj.\u{202e}exe\u{200b}\u{7f}\u{9b}\u{e0041}",
            size: u64::MAX,
            up: true,
            nodes: ["x", "y"],
            none: [],
        });
        let expected = r#"{"name":"a\"b\\c\nd\u0001\u2028ä","hidden":"gpj.\u202eexe\u200b\u007f\u009b\udb40\udc41","size":18446744073709551615,"up":true,"nodes":["x","y"],"none":[]}"#;
        assert_eq!(line, expected);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["hidden"], "gpj.\u{202e}exe\u{200b}\u{7f}\u{9b}\u{e0041}");
    }
}
