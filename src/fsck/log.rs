//! The log, read as recovery reads it, but for changing anything: headers, the chain of groups, damage, the tail.
//!
//! Invariant: what goes into the inventory is what a start would find; in damaged bytes also records by a key whose grant
//! is not here, of which is told.

use super::finding::Report;
use super::inventory::Inventory;
use super::{names, tree};
use crate::store::OpenError;
use crate::store::error::failed;
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::named::{self, Named, SegmentSet};
use crate::store::recover::unsound_block;
use crate::store::remains::Kept;
use crate::store::removed::Chain;
use crate::store::scan::{Scan, Seen, Window, is_medium, is_zero_from};
use crate::store::segment::{FRAMES, Header, Parsed, Verdict};
use crate::store::segment_index::{self, Closed, IndexState};
use std::io;
use std::ops::Range;

const FROM_PEERS: &str =
    "run `dfsd check --rebuild`, then start dfsd: it asks its peers for what is gone";

/// What the log says.
pub(super) struct LogRead {
    pub(super) inventory: Inventory,
    pub(super) segments: u64,
    pub(super) groups: u64,
    /// Something that it held is gone with a part of it, now or earlier.
    pub(super) has_gaps: bool,
}

/// Reads all segments.
pub(super) fn read<F: FileSystem>(fs: &F, report: &mut Report<'_>) -> Result<LogRead, OpenError> {
    let log = LogRead { inventory: Inventory::default(), segments: 0, groups: 0, has_gaps: false };
    let mut reading = Reading { fs, report, log };
    reading.all()?;
    Ok(reading.log)
}

struct Reading<'a, 'r, F> {
    fs: &'a F,
    report: &'a mut Report<'r>,
    log: LogRead,
}

impl<F: FileSystem> Reading<'_, '_, F> {
    fn all(&mut self) -> Result<(), OpenError> {
        let (headers, chain) = self.headers()?;
        if headers.is_empty() && !self.log.has_gaps && tree::has_blocks(self.fs)? {
            self.gap(
                format!("{}/", layout::LOG),
                "there is no log, and there are blocks that no group names".to_owned(),
                "no name is known here, and no block is known to be here",
                FROM_PEERS,
            );
        }
        let mut last = Verdict::default();
        let mut kept = Kept::default();
        for number in chain.missing() {
            let told = headers.iter().find(|header| header.before.segment == number);
            self.tell_of_gap(number, told);
        }
        for header in &headers {
            self.log.segments += 1;
            let end = chain.end(header.number);
            last = self.read_segment(header, end, &mut kept)?;
            self.look_at_index(header, end)?;
        }
        self.log.inventory.take_remains(&kept.records, &kept.rotten);
        self.tell_of_tail(last, &headers)
    }

    /// Damage with which a part of the log is gone.
    fn gap(&mut self, path: String, what: String, means: &'static str, advice: &'static str) {
        self.log.has_gaps = true;
        self.report.damage(path, what, means, advice);
    }

    fn headers(&mut self) -> Result<(Vec<Header>, Chain), OpenError> {
        let mut numbers = Vec::new();
        for name in names(self.fs, layout::LOG)? {
            match layout::segment_number(&name) {
                Some(number) => numbers.push(number),
                None => self.report.foreign(format!("{}/{name}", layout::LOG)),
            }
        }
        let SegmentSet { all, removed, left, doubted, .. } = named::look_at_all(self.fs, numbers)?;
        for number in doubted {
            self.report.note(
                layout::segment(number),
                "it says that segments are gone on purpose which are there, and may be of another log".to_owned(),
                "nothing: it is not believed, and they are read",
                "move it away if it was put there by hand",
            );
        }
        for number in left {
            self.report.note(
                layout::segment(number),
                "a segment that was given up, and whose file is there still".to_owned(),
                "nothing: all that was needed of it stands elsewhere",
                "nothing: the next start removes it",
            );
        }
        let mut headers = Vec::new();
        for (number, named) in all {
            headers.extend(self.header(number, named)?);
        }
        let chain = Chain::new(&headers, removed, None);
        Ok((headers, chain))
    }

    fn header(&mut self, number: u32, named: Named) -> Result<Option<Header>, OpenError> {
        let path = layout::segment(number);
        let (copies, length) = match named {
            Named::File(copies, length) => (copies, length),
            Named::Other => {
                self.report.note(
                    path,
                    "it has a segment's name and is no file".to_owned(),
                    "nothing: it is never read",
                    "remove it if it is not wanted",
                );
                return Ok(None);
            }
            Named::Foreign => {
                self.report.foreign(path);
                return Ok(None);
            }
            Named::Closed(error) => {
                self.gap(
                    path,
                    format!("it may not be read ({error})"),
                    "what it holds is not known here: a start asks peers for it",
                    "give it to the user that dfsd runs as",
                );
                return Ok(None);
            }
        };
        let is_sound = [copies[0].is_sound(), copies[1].is_sound()];
        match Parsed::first(*copies) {
            Parsed::Newer(version) => return Err(OpenError::Newer { segment: number, version }),
            Parsed::Header(header) if header.removed.is_some() || length > FRAMES => {
                self.tell_of_copies(path, is_sound);
                return Ok(Some(header));
            }
            Parsed::Header(_) | Parsed::Bad => {}
        }
        if length <= FRAMES {
            self.report.note(
                path,
                "a segment that was begun and not finished".to_owned(),
                "nothing: no group was ever in it",
                "nothing: the next start removes it",
            );
        } else {
            self.gap(
                path,
                "neither copy of its header can be read".to_owned(),
                "none of its groups can be read: names, pages and small blocks that only they held are gone here",
                FROM_PEERS,
            );
        }
        Ok(None)
    }

    /// The copies of a header, of which one can be read.
    fn tell_of_copies(&mut self, path: String, is_sound: [bool; 2]) {
        let (what, means) = match is_sound {
            [true, true] => return,
            [false, false] => (
                "the list of segments gone on purpose is bad in both copies of its header"
                    .to_owned(),
                "nothing is lost: other segments have it",
            ),
            [first, _] => {
                let which = if first { 4096 } else { 0 };
                let what =
                    format!("one of the two copies of its header is bad, the one at {which}");
                (what, "nothing is lost: the other one is good")
            }
        };
        self.report.note(path, what, means, "watch this disk: it has changed bytes by itself");
    }

    /// A segment is not here of which another tells: one that is gone on purpose, if it is not this one.
    fn tell_of_gap(&mut self, number: u32, told: Option<&Header>) {
        self.log.has_gaps = true;
        let path = layout::segment(number);
        if self.fs.open(&path).is_ok() {
            // It is there, and was told of: its header is bad.
            return;
        }
        let known = self.fs.open(&layout::bad_segment(number)).is_ok();
        let what = match told {
            Some(header) => format!("missing; its last group was {}", header.before.last.number),
            None => "missing".to_owned(),
        };
        if known {
            self.report.note(
                path,
                format!("{what}; an earlier start has said so"),
                "what it held was asked for again",
                "`dfs status` tells whether names may still be missing, `dfs verify` whether blocks are",
            );
        } else {
            self.report.damage(
                path,
                what,
                "names, pages and small blocks that only it held are gone here",
                FROM_PEERS,
            );
        }
    }

    /// Where the good groups end.
    fn read_segment(
        &mut self,
        header: &Header,
        end: Option<u64>,
        kept: &mut Kept,
    ) -> Result<Verdict, OpenError> {
        let path = layout::segment(header.number);
        let fs = self.fs;
        let unread = |error: &io::Error| OpenError::from(failed("reading", &path, error));
        let file = fs.open(&path).map_err(|error| unread(&error))?;
        let length = fs.length(&file).map_err(|error| unread(&error))?;
        let scan =
            Scan { window: Window::new(fs, &file), segment: header.number, salt: header.salt, end };
        let mut run =
            Run { verdict: header.before, held_back: None, spans: Vec::new(), loose: Vec::new() };
        let scanned = scan.run(&mut |seen| {
            if let Some(before) = run.next(seen) {
                let (end, last) = (before.end, before.position);
                run.verdict = Verdict { segment: header.number, end, last };
                self.accept(&before);
            }
        });
        let scanned = scanned.map_err(|error| unread(&error))?;
        let mut until = scanned.until;
        if let Some(last) = run.held_back.take() {
            if end.is_some() || scanned.until > last.end || self.is_whole(&path, &last)? {
                let position = last.position;
                run.verdict = Verdict { segment: header.number, end: last.end, last: position };
                self.accept(&last);
            } else {
                until = last.start;
            }
        }
        if !scanned.damaged.is_empty() {
            let last = run.verdict.last;
            run.verdict = Verdict { segment: header.number, end: until, last };
        }
        for range in &scanned.damaged {
            self.tell_of_damage(header.number, range, &run.spans);
            kept.read(fs, header, range, &mut |found| self.log.inventory.take(&found))?;
        }
        for number in &run.loose {
            let what = format!("group {number} does not follow the one before it");
            self.report.damage(
                path.clone(),
                what,
                "a group between them was lost, and with it what only it held",
                FROM_PEERS,
            );
        }
        self.report.advance(length);
        Ok(run.verdict)
    }

    /// Whether the index of a segment, if it has one, says what its groups say. What was damaged since it was written it may
    /// know better.
    fn look_at_index(&mut self, header: &Header, end: Option<u64>) -> Result<(), OpenError> {
        let Some(end) = end else {
            return Ok(());
        };
        let path = layout::segment(header.number);
        let judged = self.fs.open(&path).and_then(|file| {
            let closed = Closed { header, end, last: None };
            segment_index::judge(self.fs, &file, &closed)
        });
        match judged.map_err(|error| OpenError::from(failed("reading", &path, &error)))? {
            IndexState::Good | IndexState::None => {}
            IndexState::Bad => self.report.note(
                path,
                "its index is bad, which tells a start what is in it".to_owned(),
                "nothing is lost: a start reads the segment itself, and writes another",
                "watch this disk: it has changed bytes by itself",
            ),
            IndexState::Wrong => self.report.damage(
                path,
                "its index tells other things than its groups".to_owned(),
                "a start believes the index",
                "run `dfsd check --rebuild`, which writes another",
            ),
        }
        Ok(())
    }

    fn accept(&mut self, seen: &Seen) {
        self.log.groups += 1;
        seen.found.iter().for_each(|found| self.log.inventory.take(found));
    }

    /// The last group was perhaps torn: it counts if all block files that it names are good.
    fn is_whole(&mut self, path: &str, last: &Seen) -> Result<bool, OpenError> {
        if let Some(address) = unsound_block(self.fs, last)? {
            self.report.note(
                path.to_owned(),
                format!(
                    "group {}, the last one, names block {address}, which is not whole",
                    last.position.number
                ),
                "the power went before it was acknowledged, or the block was harmed since: the whole group is discarded",
                "start dfsd: what peers have of it comes from them",
            );
            return Ok(false);
        }
        Ok(true)
    }

    fn tell_of_damage(&mut self, segment: u32, range: &Range<u64>, spans: &[Span]) {
        self.log.has_gaps = true;
        let before = spans.iter().rev().find(|span| span.end <= range.start);
        let after = spans.iter().find(|span| span.start >= range.end);
        let first = before.map(|span| span.last + 1);
        let last = after.map(|span| span.first.saturating_sub(1));
        let groups = match (first, last) {
            (Some(first), Some(last)) => format!("groups {first} to {last}"),
            (None, Some(last)) => format!("groups up to {last}"),
            (Some(first), None) => format!("groups from {first}"),
            (None, None) => "groups".to_owned(),
        };
        let path = layout::segment(segment);
        let what =
            format!("bytes {} to {} are damaged: {groups} were there", range.start, range.end);
        if self.fs.open(&layout::bad_range(segment, range.start)).is_ok() {
            self.report.note(
                path,
                format!("{what}; an earlier start has said so"),
                "what of it was not whole was asked for again",
                "nothing: `dfs verify` tells whether anything is still missing",
            );
        } else {
            self.report.damage(
                path,
                what,
                "names, pages and small blocks that only they held are gone here, but for those that are whole",
                FROM_PEERS,
            );
        }
    }

    /// Behind the last good group are zeros, or what a write that was never acknowledged has left.
    fn tell_of_tail(&mut self, last: Verdict, headers: &[Header]) -> Result<(), OpenError> {
        let path = layout::segment(last.segment);
        // Behind the groups of one that is closed stands its index.
        let is_closed = headers.last().is_some_and(|newest| newest.number != last.segment);
        if last.segment == 0 || is_closed && self.has_index(last, headers)? {
            return Ok(());
        }
        match is_zero_from(self.fs, &path, last.end) {
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_medium(&error) => {}
            Err(error) => return Err(failed("reading", &path, &error).into()),
            Ok(false) => self.report.note(
                path,
                format!("a torn tail after group {}, at {}", last.last.number, last.end),
                "normal after a crash: what was being written there was never acknowledged",
                "nothing: the next start leaves it behind",
            ),
        }
        Ok(())
    }
}

impl<F: FileSystem> Reading<'_, '_, F> {
    fn has_index(&self, of: Verdict, headers: &[Header]) -> Result<bool, OpenError> {
        let Some(header) = headers.iter().find(|header| header.number == of.segment) else {
            return Ok(false);
        };
        let closed = Closed { header, end: of.end, last: Some(of.last) };
        let path = layout::segment(of.segment);
        let judged = self.fs.open(&path);
        let judged = judged.and_then(|file| segment_index::judge(self.fs, &file, &closed));
        let judged = judged.map_err(|error| failed("reading", &path, &error))?;
        Ok(judged != IndexState::None)
    }
}

/// Good groups one behind the other: where they begin and end, and the numbers of the first and the last.
struct Span {
    start: u64,
    end: u64,
    first: u64,
    last: u64,
}

/// Good groups of one segment as they come.
struct Run {
    verdict: Verdict,
    held_back: Option<Seen>,
    spans: Vec<Span>,
    /// Numbers of groups that do not follow.
    loose: Vec<u64>,
}

impl Run {
    /// Takes a group, and gives the one before it, which this one proves.
    fn next(&mut self, seen: Seen) -> Option<Seen> {
        let number = seen.position.number;
        match self.spans.last_mut() {
            Some(span) if span.end == seen.start => {
                if span.last + 1 != number {
                    self.loose.push(number);
                }
                span.end = seen.end;
                span.last = number;
            }
            Some(_) | None => self.spans.push(Span {
                start: seen.start,
                end: seen.end,
                first: number,
                last: number,
            }),
        }
        self.held_back.replace(seen)
    }
}
