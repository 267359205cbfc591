//! JSON, as much of it as is printed: one flat object a line.
//!
//! Knows no command. Invariant: what is written is one valid object without a line break, and does nothing to the
//! terminal.

use crate::cli::text::is_hidden;
use std::fmt::Write;

/// One object under construction.
#[derive(Debug)]
pub(crate) struct Object {
    text: String,
}

impl Object {
    /// An object without fields.
    pub(crate) fn new() -> Self {
        Self { text: String::from("{") }
    }

    /// Adds a text.
    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        write_text(&mut self.text, value);
        self
    }

    /// Adds a number.
    pub(crate) fn number(mut self, key: &str, value: u64) -> Self {
        self.key(key);
        self.text.push_str(&value.to_string());
        self
    }

    /// Adds true or false.
    pub(crate) fn flag(mut self, key: &str, value: bool) -> Self {
        self.key(key);
        self.text.push_str(if value { "true" } else { "false" });
        self
    }

    /// Adds a list of texts.
    pub(crate) fn texts<'a>(mut self, key: &str, values: impl Iterator<Item = &'a str>) -> Self {
        self.key(key);
        self.text.push('[');
        for (index, value) in values.enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            write_text(&mut self.text, value);
        }
        self.text.push(']');
        self
    }

    /// The line, without its end.
    pub(crate) fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }

    fn key(&mut self, key: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        write_text(&mut self.text, key);
        self.text.push(':');
    }
}

fn write_text(out: &mut String, value: &str) {
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Also those that some readers take for the end of a line, and those that forge what a person sees.
            other if is_hidden(other) => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a String takes everything");
                }
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_one_line() {
        let line = Object::new()
            .text("name", "a\"b\\c\nd\u{1}\u{2028}ä")
            .text("hidden", "gpj.\u{202e}exe\u{200b}\u{7f}\u{9b}\u{e0041}")
            .number("size", u64::MAX)
            .flag("up", true)
            .texts("nodes", ["x", "y"].into_iter())
            .texts("none", [].into_iter())
            .finish();
        let expected = r#"{"name":"a\"b\\c\nd\u0001\u2028ä","hidden":"gpj.\u202eexe\u200b\u007f\u009b\udb40\udc41","size":18446744073709551615,"up":true,"nodes":["x","y"],"none":[]}"#;
        assert_eq!(line, expected);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["hidden"], "gpj.\u{202e}exe\u{200b}\u{7f}\u{9b}\u{e0041}");
        assert_eq!(Object::new().finish(), "{}");
    }
}
