//! JSON, as much of it as is printed: one flat object a line.
//!
//! Knows no command. Invariant: what is written is one valid object without a line break.

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
            // Also those that some readers take for the end of a line.
            other if other.is_control() || matches!(other, '\u{2028}' | '\u{2029}') => {
                write!(out, "\\u{:04x}", u32::from(other)).expect("a String takes everything");
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
            .number("size", u64::MAX)
            .flag("up", true)
            .texts("nodes", ["x", "y"].into_iter())
            .texts("none", [].into_iter())
            .finish();
        let expected = r#"{"name":"a\"b\\c\nd\u0001\u2028ä","size":18446744073709551615,"up":true,"nodes":["x","y"],"none":[]}"#;
        assert_eq!(line, expected);
        assert_eq!(Object::new().finish(), "{}");
    }
}
