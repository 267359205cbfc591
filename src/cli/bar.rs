//! The line that shows how far a transfer is.
//!
//! Knows no terminal and no clock. Invariant: the line is never wider than it may be, whatever is called how.

use std::time::Duration;

use crate::cli::text::{human_size, human_time};
use crate::cli::width::{shortened, width};

/// A name that is shortened further says nothing.
const LABEL_MIN: usize = 12;
/// The bar itself, without its brackets.
const BAR_MIN: usize = 8;
const BAR_MAX: usize = 30;

/// How far it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extent {
    pub(crate) label: String,
    /// Files that were found, while they are counted.
    pub(crate) counting: Option<u64>,
    /// Files: those that are done, and all.
    pub(crate) files: Option<(u64, u64)>,
    pub(crate) bytes: u64,
    pub(crate) bytes_total: Option<u64>,
    pub(crate) bytes_per_second: Option<u64>,
}

impl Extent {
    /// The line, in at most so many columns.
    pub(crate) fn line(&self, columns: usize) -> String {
        let figures = self.figures(columns);
        let room = columns.saturating_sub(width(&figures) + 2);
        let label = shortened(&self.label, room);
        let parts = [label.clone(), self.bar(room.saturating_sub(width(&label))), figures];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
    }

    /// As much as there is room for beside a name.
    fn figures(&self, columns: usize) -> String {
        let label = width(&self.label).min(LABEL_MIN) + 2;
        let choices = self.choices();
        let fits = |choice: &&String| label + width(choice) <= columns;
        match choices.iter().find(fits) {
            Some(choice) => choice.clone(),
            None => shortened(choices.last().map_or("", String::as_str), columns),
        }
    }

    /// What may be said, from the longest to the shortest.
    fn choices(&self) -> Vec<String> {
        if let Some(found) = self.counting {
            return vec![format!("counting: {found} files"), found.to_string()];
        }
        let files = self.files.map(|(done, all)| format!("{done} of {all} files"));
        let bytes = match self.bytes_total {
            Some(total) => format!("{} of {}", human_size(self.bytes), human_size(total)),
            None => human_size(self.bytes),
        };
        let rate = self.bytes_per_second.map(|rate| format!("{}/s", human_size(rate)));
        let left = self.left().map(|left| format!("{} left", human_time(left)));
        let short =
            self.percent().map_or_else(|| human_size(self.bytes), |part| format!("{part} %"));
        let joined = |parts: &[&Option<String>]| {
            let said: Vec<&str> = parts.iter().filter_map(|part| part.as_deref()).collect();
            said.join(", ")
        };
        let bytes = Some(bytes);
        vec![
            joined(&[&files, &bytes, &rate, &left]),
            joined(&[&files, &bytes, &left]),
            joined(&[&bytes, &left]),
            joined(&[&bytes]),
            short,
        ]
    }

    fn bar(&self, room: usize) -> String {
        let length = room.saturating_sub(4).min(BAR_MAX);
        let Some(percent) = self.percent().filter(|_| length >= BAR_MIN) else {
            return String::new();
        };
        let full = length * usize::from(percent) / 100;
        let head = if full < length { ">" } else { "" };
        let empty = " ".repeat(length - full - head.len());
        format!("[{}{head}{empty}]", "=".repeat(full))
    }

    fn percent(&self) -> Option<u8> {
        if self.counting.is_some() {
            return None;
        }
        let part = |done: u64, all: u64| {
            let part = u128::from(done) * 100 / u128::from(all.max(1));
            u8::try_from(part.min(100)).unwrap_or(100)
        };
        match (self.bytes_total?, self.files) {
            // Empty files, links and folders.
            (0, Some((done, all))) => Some(part(done, all)),
            (0, None) => None,
            (total, _) => Some(part(self.bytes, total)),
        }
    }

    /// The time that the rest takes at this rate.
    fn left(&self) -> Option<Duration> {
        let rate = self.bytes_per_second.filter(|rate| *rate > 0)?;
        let rest = self.bytes_total?.saturating_sub(self.bytes);
        Some(Duration::from_secs(rest.div_ceil(rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent() -> Extent {
        Extent {
            label: "写真/holidays in the mountains.tar".to_owned(),
            counting: None,
            files: Some((12, 40)),
            bytes: 3 << 30,
            bytes_total: Some(9 << 30),
            bytes_per_second: Some(100 << 20),
        }
    }

    #[test]
    fn what_is_said_depends_on_the_room() {
        let check = |extent: &Extent, columns, expected: &str| {
            assert_eq!(extent.line(columns), expected, "{columns}");
        };
        let photos = Extent { label: "photos".to_owned(), ..extent() };
        check(
            &photos,
            110,
            "photos  [=========>                    ]  12 of 40 files, 3.0 GiB of 9.0 GiB, 100.0 MiB/s, 1 min 2 s left",
        );
        check(
            &photos,
            79,
            "photos  12 of 40 files, 3.0 GiB of 9.0 GiB, 100.0 MiB/s, 1 min 2 s left",
        );
        check(&photos, 39, "photos  [==>      ]  3.0 GiB of 9.0 GiB");
        check(&photos, 19, "photos  33 %");
        check(&extent(), 19, "写真/h…ns.tar  33 %");
        check(&extent(), 4, "33 %");
        check(&extent(), 2, "3…");
        check(&extent(), 0, "");
        let unknown = Extent { bytes_total: None, files: None, ..photos.clone() };
        check(&unknown, 79, "photos  3.0 GiB, 100.0 MiB/s");
        check(&Extent { counting: Some(7), ..photos }, 79, "photos  counting: 7 files");
    }

    #[test]
    fn no_line_is_wider_than_it_may_be() {
        for label in ["", "a", "写真写真写真写真写真写真", &"e\u{301}🎉".repeat(50)] {
            for columns in 0..130 {
                let extent = Extent { label: label.to_owned(), ..extent() };
                let line = extent.line(columns);
                assert!(width(&line) <= columns, "{columns}: {line}");
                let counting = Extent { counting: Some(u64::MAX), ..extent };
                assert!(width(&counting.line(columns)) <= columns);
            }
        }
    }

    #[test]
    fn more_than_everything_is_everything() {
        let more = Extent { bytes: 10 << 30, ..extent() };
        assert!(more.line(19).ends_with("100 %"));
        assert!(more.line(200).contains(&format!("[{}]", "=".repeat(BAR_MAX))));
        let empty = Extent { bytes: 0, bytes_total: Some(0), ..extent() };
        assert!(empty.line(19).ends_with("30 %"));
    }
}
