//! What stands at the names of segments: one judgement for a start and for a check.
//!
//! Anybody may have put anything there. Invariant: only a file is opened, and nothing that is there keeps a store from
//! being opened, but the segment of a newer program and a disk that fails.

use crate::limits::SEGMENT_GAP_MAX;
use crate::seeded::{self, Bug};
use crate::store::claims::{Claimed, Claims};
use crate::store::error::failed;
use crate::store::fs::{FileSystem, Kind};
use crate::store::layout;
use crate::store::removed::RemovedSegments;
use crate::store::scan::Window;
use crate::store::segment::{FRAMES, Header, Parsed};
use crate::store::values::DiskError;
use std::io;

/// What has a segment's name.
pub(crate) enum Named {
    /// A file: both copies of its header, and its length.
    File(Box<[Parsed; 2]>, u64),
    /// A file that may not be read.
    Closed(io::Error),
    /// Something else, or a link that leads nowhere.
    Other,
    /// A file of somebody else's.
    Foreign,
}

/// Looks at what has the name of segment `number`.
fn look_at<F: FileSystem>(fs: &F, number: u32) -> io::Result<Named> {
    let path = layout::segment(number);
    let found = fs.identify(&path).and_then(|found| match found.kind {
        Kind::File => read_header(fs, number, &path),
        Kind::Folder | Kind::Other => Ok(Named::Other),
    });
    found.or_else(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => Ok(Named::Closed(error)),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(Named::Other),
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            Ok(Named::Other)
        }
        _ => Err(error),
    })
}

fn read_header<F: FileSystem>(fs: &F, number: u32, path: &str) -> io::Result<Named> {
    let file = fs.open(path)?;
    let length = fs.length(&file)?;
    Ok(Named::File(Box::new(copies_of(fs, &file, number)?), length))
}

/// Both copies of the header of an open segment; nothing else is read.
pub(super) fn copies_of<F: FileSystem>(
    fs: &F,
    file: &F::File,
    number: u32,
) -> io::Result<[Parsed; 2]> {
    let frames = usize::try_from(FRAMES).expect("it is small");
    let mut window = Window::by(fs, file, frames);
    Ok(Header::parse_both(window.read(0, frames)?, number))
}

/// What there is in `log/`.
pub(crate) struct SegmentSet {
    /// What stands at each name, in the order of their numbers, but for segments that are gone on purpose.
    pub(crate) all: Vec<(u32, Named)>,
    /// The greatest number that can be one of ours.
    pub(crate) newest: u32,
    /// Segments that are gone on purpose.
    pub(crate) removed: RemovedSegments,
    /// Those of them whose files are there still.
    pub(crate) left: Vec<u32>,
    /// Segments that say that others are gone which are here, and that may be somebody else's: they are not believed.
    pub(crate) doubted: Vec<u32>,
}

/// Looks at these names. Numbers are given one after the other, so what is far beyond all others and has no good header was
/// named by somebody else.
pub(crate) fn look_at_all<F: FileSystem>(
    fs: &F,
    mut numbers: Vec<u32>,
) -> Result<SegmentSet, DiskError> {
    numbers.sort_unstable();
    let mut all = Vec::with_capacity(numbers.len());
    let mut newest = 0;
    for number in numbers {
        let named = look_at(fs, number)
            .map_err(|error| failed("reading", &layout::segment(number), &error))?;
        if can_be_ours(newest, number, &named) {
            newest = number;
        }
        all.push((number, named));
    }
    for (_, named) in all.iter_mut().filter(|(number, _)| *number > newest) {
        if !matches!(named, Named::Other) {
            *named = Named::Foreign;
        }
    }
    let Claimed { removed, doubted } = claims(fs, &all).judge()?;
    let mut left = Vec::new();
    if !seeded::is_on(Bug::ReadRemoved) {
        all.retain(|(number, named)| {
            let is_left = removed.contains(*number) && named.is_ours();
            left.extend(is_left.then_some(*number));
            !is_left
        });
    }
    Ok(SegmentSet { all, newest, removed, left, doubted })
}

/// The segments that are gone on purpose, as far as those that are here say so.
fn claims<'a, F: FileSystem>(fs: &'a F, all: &[(u32, Named)]) -> Claims<'a, F> {
    let headers = all.iter().filter_map(|(_, named)| match named {
        Named::File(copies, _) => match Parsed::first(copies.as_ref().clone()) {
            Parsed::Header(header) => Some(header),
            Parsed::Newer(_) | Parsed::Bad => None,
        },
        Named::Closed(_) | Named::Other | Named::Foreign => None,
    });
    let here = all.iter().filter(|(_, named)| named.may_hold_groups());
    let here = here.map(|(number, _)| *number);
    Claims::new(fs, headers.collect(), here.collect())
}

impl Named {
    /// Whether this log may have made it.
    fn is_ours(&self) -> bool {
        match self {
            Self::File(..) | Self::Closed(_) => true,
            Self::Other | Self::Foreign => false,
        }
    }

    /// Whether something may be lost with it. A group is written only once the header is durable: a file that ends with its
    /// header has none.
    fn may_hold_groups(&self) -> bool {
        let is_short = matches!(self, Self::File(_, length) if *length <= FRAMES);
        self.is_ours() && !is_short
    }
}

fn can_be_ours(newest: u32, number: u32, named: &Named) -> bool {
    if seeded::is_on(Bug::BelieveNames) {
        return true;
    }
    let is_near = number - newest <= SEGMENT_GAP_MAX;
    match named {
        Named::File(copies, _) => is_near || copies.iter().any(|copy| *copy != Parsed::Bad),
        Named::Closed(_) => is_near,
        Named::Other | Named::Foreign => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_far_beyond_the_others_is_none_of_ours() {
        let bad = Named::File(Box::new([Parsed::Bad, Parsed::Bad]), 10_000);
        let good = Named::File(Box::new([Parsed::Bad, Parsed::Newer(9)]), 10_000);
        for (newest, number, named, expected) in [
            (0, 1, &bad, true),
            (7, SEGMENT_GAP_MAX + 7, &bad, true),
            (7, SEGMENT_GAP_MAX + 8, &bad, false),
            (0, u32::MAX, &Named::Other, false),
            (5, 7, &Named::Other, false),
            (0, u32::MAX, &good, true),
        ] {
            assert_eq!(can_be_ours(newest, number, named), expected, "{newest} {number}");
        }
    }
}
