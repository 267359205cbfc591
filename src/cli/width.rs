//! Width: how many columns of a terminal a text takes, and how a text is made to fit.
//!
//! Knows no terminal. Invariant: no terminal takes more columns for a text than is said here.

use unicode_width::UnicodeWidthChar;

/// Columns that a text takes at most: terminals differ in what they join into one picture.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(character: char) -> usize {
    match character {
        // It asks for a picture, which is wide, of a character that may be narrow.
        '\u{fe0f}' => 1,
        _ => character.width().unwrap_or(0),
    }
}

/// A text in so many columns. What is too long loses its middle: the end of a name says more.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let head = fitting(text.chars(), room.div_ceil(2));
    let mut tail = fitting(text.chars().rev(), room / 2);
    // Marks that belong to a character which is left out would go to another.
    while tail.last().is_some_and(|last| self::columns(*last) == 0) {
        tail.pop();
    }
    head.into_iter().chain(['…']).chain(tail.into_iter().rev()).collect()
}

fn fitting(characters: impl Iterator<Item = char>, room: usize) -> Vec<char> {
    let mut used = 0;
    let fits = |character: &char| {
        used += columns(*character);
        used <= room
    };
    characters.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_text() {
        for (text, expected) in
            [("", 0), ("abc", 3), ("写真", 4), ("e\u{301}a\u{308}", 2), ("🎉", 2), ("❤\u{fe0f}", 2)]
        {
            assert_eq!(width(text), expected, "{text}");
        }
    }

    #[test]
    fn a_long_text_loses_its_middle() {
        let check = |text, columns, expected: &str| {
            let short = shortened(text, columns);
            assert_eq!(short, expected);
            assert!(width(&short) <= columns);
        };
        check("holidays.tar.gz", 15, "holidays.tar.gz");
        check("holidays.tar.gz", 9, "holi…r.gz");
        check("写真写真.jpg", 8, "写真…jpg");
        check("写真写真写真", 6, "写…真");
        check("aaaae\u{301}", 2, "a…");
        check("abc", 1, "…");
        check("abc", 0, "");
    }
}
