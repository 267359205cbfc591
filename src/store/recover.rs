//! Recovery: from the files to what is known after a start, and the verdict on what was last written.
//!
//! Streams the log, keeps no index. The steps: flush what a killed process left; look which segments are gone on purpose,
//! of which nothing is read though they may be there; read the others, oldest first, of those that have an index only that,
//! so that their rot is found by whoever reads an item, or verifies all; hash
//! the block files that the last group names; write that group once more; make a new segment's header durable, which
//! is the verdict. Only then is there a `Disk`. Invariant: nothing is found of a group that was torn, and of one
//! that was damaged since only what proves itself; what was found once is found after the next power cut; damage before
//! good groups is copied to `quarantine/` and never cut off.

use crate::ids::Address;
use crate::seeded::{self, Bug};
use crate::store::blocks::{self, ReadFault, retry_once};
use crate::store::disk::{Config, Disk};
use crate::store::error::{OpenError, failed};
use crate::store::fs::FileSystem;
use crate::store::layout;
use crate::store::log::{Log, Past, store_id};
use crate::store::named::{self, Named, SegmentSet};
use crate::store::place::prepare;
use crate::store::remains::Kept;
use crate::store::removed::Chain;
use crate::store::scan::{Scan, Scanned, Seen, Window, is_zero_from};
use crate::store::segment::{FRAMES, Header, Parsed, Verdict};
use crate::store::segment_index::{Closed, IndexReader};
use crate::store::undecoded::Undecoded;
use crate::store::values::{BlockPlace, DiskError, LogEntry, RecoveryReport};
use std::io;
use std::ops::Range;

/// Opens the store below `fs`, made if there is none. `entropy` is fresh at every start. `visitor` gets what the good
/// groups of the log hold, in the order in which it was written, and after those of a segment what is whole in its
/// damaged ones.
pub fn open<F: FileSystem>(
    fs: F,
    config: Config,
    entropy: [u8; 16],
    mut visitor: impl FnMut(LogEntry),
) -> Result<(Disk<F>, RecoveryReport), OpenError> {
    open_with(fs, config, entropy, Reading { whole: false, visitor: &mut visitor })
}

/// The same by reading all groups, whatever indexes say: for whoever looks for damage, and wants all bytes.
pub fn open_whole<F: FileSystem>(
    fs: F,
    config: Config,
    entropy: [u8; 16],
    mut visitor: impl FnMut(LogEntry),
) -> Result<(Disk<F>, RecoveryReport), OpenError> {
    open_with(fs, config, entropy, Reading { whole: true, visitor: &mut visitor })
}

/// How the log is read, and who is told what it holds.
struct Reading<'a> {
    /// The groups of every segment, also where an index tells of them.
    whole: bool,
    visitor: &'a mut dyn FnMut(LogEntry),
}

/// The same, once for all visitors.
fn open_with<F: FileSystem>(
    fs: F,
    config: Config,
    entropy: [u8; 16],
    reading: Reading<'_>,
) -> Result<(Disk<F>, RecoveryReport), OpenError> {
    let (place, notes) = prepare(&fs)?;
    let Reading { whole, visitor } = reading;
    let mut recovery = Recovery::new(&fs, Reading { whole, visitor }, notes);
    let gone = recovery.undecoded.find_gone(&fs);
    gone.map_err(|error| failed("listing", layout::QUARANTINE, &error))?;
    let Segments { headers, newest, mut chain, mut useless } = recovery.headers()?;
    recovery.undecoded.given_up(chain.removed());
    recovery.note_gaps(&chain);
    let emptied = recovery.read_all(&headers, &chain)?;
    recovery.rewrite_last()?;
    emptied.iter().for_each(|number| chain.forget(*number));
    let segments = chain.ends(&recovery.good);
    // Of segments that held nothing the first was begun after all that is kept, and its header goes.
    let empty = headers.iter().rev().take_while(|header| emptied.contains(&header.number));
    let now_ms = empty.filter_map(Header::begun).last().map_or(config.now_ms, |begun| begun.at_ms);
    useless.extend(emptied);
    let store = match headers.last() {
        Some(last) if !recovery.has_new_damage => last.store,
        Some(_) | None => store_id(entropy),
    };
    let (notes, unindexed, damaged) = (recovery.notes, recovery.unindexed, recovery.damaged);
    let Kept { records: mut remains, rotten, .. } = recovery.kept;
    let undecoded = recovery.undecoded.finish(&fs);
    if undecoded.left.is_none() {
        // What was only guessed has been made good too, and what is missing.
        remains.retain(|one| one.is_sound);
        chain.give_up_missing();
    }
    let (damage, log_damage) = (undecoded.id, undecoded.left.unwrap_or_default());
    let group = recovery.good.last.number;
    let mut recovered = RecoveryReport {
        store,
        group,
        notes,
        begun: headers.iter().filter_map(Header::begun).collect(),
        remains,
        rotten,
        log_damage,
        damage,
        segments,
        damaged,
        unindexed,
        ..RecoveryReport::default()
    };
    let past = Past { newest, good: recovery.good, chain, now_ms };
    let mut log = Log::new(place, store, entropy, past);
    begin_first(&fs, &mut log, recovery.good)?;
    // The report tells of it already.
    let _ = log.take_closed();
    recovered.end = log.end();
    log.set_time(config.now_ms);
    for number in useless {
        let _ = fs.remove(&layout::segment(number));
    }
    release_room(&fs, recovery.good);
    Ok((Disk::new(fs, config, log, undecoded), recovered))
}

/// Makes the verdict durable. A disk that has no room for it gets back first what was set aside behind the last good group:
/// only zeros are there, so whenever the power goes the next start reads the same groups as this one.
fn begin_first<F: FileSystem>(fs: &F, log: &mut Log<F>, good: Verdict) -> Result<(), OpenError> {
    match log.begin_segment(fs) {
        Err(DiskError::Full) if !seeded::is_on(Bug::KeepRoom) && release_room(fs, good) => {
            Ok(log.begin_segment(fs)?)
        }
        result => Ok(result?),
    }
}

/// Cuts off the space set aside behind the last good group, if nothing but zeros is there; whether it did.
fn release_room<F: FileSystem>(fs: &F, good: Verdict) -> bool {
    let path = layout::segment(good.segment);
    good.segment != 0
        && is_zero_from(fs, &path, good.end).unwrap_or(false)
        && fs.truncate(&path, good.end).is_ok()
}

/// The first block file that a group names and that is not whole.
pub(crate) fn unsound_block<F: FileSystem>(
    fs: &F,
    group: &Seen,
) -> Result<Option<Address>, OpenError> {
    let mut buffer = Vec::new();
    for found in &group.found {
        let LogEntry::Block(address, BlockPlace::Tree { length }, _) = found else {
            continue;
        };
        match retry_once(|| blocks::verify(fs, address, *length, &mut buffer)) {
            Ok(()) => {}
            Err(ReadFault::Gone | ReadFault::Damaged) => return Ok(Some(*address)),
            // It was flushed before it had its name. That it cannot be read is told when somebody wants to.
            Err(ReadFault::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(ReadFault::Io(error)) => {
                return Err(failed("reading", &layout::block(address), &error).into());
            }
        }
    }
    Ok(None)
}

/// Bytes of damage that are copied at once.
const PIECE: usize = 64 * 1024;

fn not_believed(segment: u32) -> String {
    let path = layout::segment(segment);
    format!(
        "{path} says that segments are removed which are there, and may be of another log: they stay"
    )
}

/// What segments there are.
struct Segments {
    /// Of those that are to be read, oldest first.
    headers: Vec<Header>,
    /// The greatest number in use.
    newest: u32,
    chain: Chain,
    /// Those that are there and of which nothing is needed.
    useless: Vec<u32>,
}

struct Recovery<'a, F> {
    fs: &'a F,
    /// Indexes are not looked at.
    whole: bool,
    visitor: &'a mut dyn FnMut(LogEntry),
    /// Segments whose groups were read, and are all good.
    unindexed: Vec<u32>,
    notes: Vec<String>,
    /// Something that was once durable is bad, and no earlier start has said so.
    has_new_damage: bool,
    good: Verdict,
    /// The last group read: it is not told before the next one, or a verdict, says that it is good.
    held_back: Option<Seen>,
    /// Where the last good group is.
    last: Option<(u32, Range<u64>)>,
    /// What is left in damaged bytes.
    kept: Kept,
    undecoded: Undecoded,
    /// Segments in which something is damaged.
    damaged: Vec<u32>,
}

impl<'a, F: FileSystem> Recovery<'a, F> {
    fn new(fs: &'a F, Reading { whole, visitor }: Reading<'a>, notes: Vec<String>) -> Self {
        Self {
            fs,
            whole,
            visitor,
            unindexed: Vec::new(),
            notes,
            has_new_damage: false,
            good: Verdict::default(),
            held_back: None,
            last: None,
            kept: Kept::default(),
            undecoded: Undecoded::default(),
            damaged: Vec::new(),
        }
    }

    fn headers(&mut self) -> Result<Segments, OpenError> {
        let names = self.fs.list(layout::LOG);
        let names = names.map_err(|error| failed("listing", layout::LOG, &error))?;
        let mut numbers = Vec::new();
        for name in names {
            match layout::segment_number(&name) {
                Some(number) => numbers.push(number),
                None => {
                    self.notes.push(format!("{}/{name} is no segment: left alone", layout::LOG));
                }
            }
        }
        let SegmentSet { all, newest, removed, left, doubted } =
            named::look_at_all(self.fs, numbers)?;
        self.notes.extend(doubted.into_iter().map(not_believed));
        let is_closed = |named: &Named| matches!(named, Named::Closed(_));
        let closed = all.iter().find(|(_, named)| is_closed(named)).map(|(number, _)| *number);
        let mut headers = Vec::new();
        for (number, named) in all {
            headers.extend(self.header(number, named)?);
        }
        let chain = Chain::new(&headers, removed, closed);
        Ok(Segments { headers, newest, chain, useless: left })
    }

    fn header(&mut self, number: u32, named: Named) -> Result<Option<Header>, OpenError> {
        let path = layout::segment(number);
        let (copies, length) = match named {
            Named::File(copies, length) => (copies, length),
            Named::Other => {
                self.notes.push(format!("{path} is no file: left alone"));
                return Ok(None);
            }
            Named::Foreign => {
                self.notes.push(format!("{path} is no segment of this log: left alone"));
                return Ok(None);
            }
            Named::Closed(error) => {
                self.has_new_damage = true;
                self.undecoded.add_segment(number, 0);
                self.notes.push(format!(
                    "{path} may not be read ({error}): left alone, what it holds is to come from peers"
                ));
                return Ok(None);
            }
        };
        match Parsed::first(*copies) {
            Parsed::Header(header) if header.removed.is_some() => return Ok(Some(header)),
            Parsed::Header(header) if length > FRAMES => {
                self.notes
                    .push(format!("{path}: its list of removed segments is damaged: others tell"));
                return Ok(Some(header));
            }
            Parsed::Newer(version) => {
                return Err(OpenError::Newer { segment: number, version });
            }
            Parsed::Header(_) | Parsed::Bad => {}
        }
        // A frame is written only once the header is durable: a short file never had one.
        let put_away = if length <= FRAMES {
            self.fs.remove(&path)
        } else {
            self.has_new_damage = true;
            self.undecoded.add_segment(number, length);
            self.notes.push(format!(
                "{path} has no readable header: moved to quarantine, what it held is to come from peers"
            ));
            self.fs.rename(&path, &layout::bad_segment(number))
        };
        put_away.map_err(|error| failed("putting away", &path, &error))?;
        Ok(None)
    }

    /// Reads all segments; the answer is those that hold nothing.
    fn read_all(&mut self, headers: &[Header], chain: &Chain) -> Result<Vec<u32>, OpenError> {
        let mut emptied = Vec::new();
        for (at, header) in headers.iter().enumerate() {
            self.undecoded.found_again(self.fs, header.number);
            let end = chain.end(header.number);
            self.good = header.before;
            let is_settled = end.is_some() || chain.is_last(header.number);
            let next = headers.get(at + 1).map(|next| next.before);
            let last = next.filter(|before| before.segment == header.number);
            let last = last.map(|before| before.last);
            let closed = end.map(|end| Closed { header, end, last });
            if self.read_segment(header, closed)? && is_settled {
                emptied.push(header.number);
            }
        }
        Ok(emptied)
    }

    /// A segment that another tells of is not there: said once, and remembered by an empty file in its place in
    /// `quarantine/`.
    fn note_gaps(&mut self, chain: &Chain) {
        for number in chain.missing() {
            let marker = layout::bad_segment(number);
            if self.fs.open(&marker).is_ok() {
                continue;
            }
            self.has_new_damage = true;
            self.undecoded.add_segment(number, 0);
            let _ = self.fs.create(&marker);
            let path = layout::segment(number);
            self.notes.push(format!("{path} is missing: what it held is to come from peers"));
        }
    }

    /// Whether nothing was ever durable in it. `closed`: if a later one says where it ends.
    fn read_segment(
        &mut self,
        header: &Header,
        closed: Option<Closed<'_>>,
    ) -> Result<bool, OpenError> {
        let path = layout::segment(header.number);
        let unread = |error: io::Error| failed("reading", &path, &error);
        let end = closed.map(|closed| closed.end);
        let from = match &closed {
            Some(closed) if !self.whole => self.read_index(closed).map_err(unread)?,
            Some(_) | None => FRAMES,
        };
        if from > FRAMES && end == Some(from) {
            return Ok(false);
        }
        let scanned = self.scan(header, end, from).map_err(unread)?;
        let held_back = self.held_back.take();
        let mut void = None;
        match held_back {
            Some(last) if end.is_none() && scanned.until == last.end => {
                let start = last.start;
                void = (!self.judge(header.number, last)?).then_some(start);
            }
            Some(last) => self.accept(header.number, last),
            None => {}
        }
        if !scanned.damaged.is_empty() {
            // What was durable and is damaged at the end stays within the verdict, or the next start would not see it; a
            // void group stays outside, or the next start would believe it.
            let last = self.good.last;
            let end = void.unwrap_or(scanned.until);
            self.good = Verdict { segment: header.number, end, last };
        }
        if !scanned.damaged.is_empty() {
            self.damaged.push(header.number);
        }
        for range in &scanned.damaged {
            self.keep_damaged(header.number, range);
            self.keep_remains(header, range)?;
        }
        let is_good = scanned.damaged.is_empty();
        let is_empty = from == FRAMES && scanned.groups == u64::from(void.is_some());
        if is_good && !is_empty {
            self.unindexed.push(header.number);
        }
        Ok(is_good && is_empty)
    }

    /// Tells what the index of a segment tells, if it has a good one. Where the groups end of which it does: those behind them
    /// are still to be read. Whoever wrote it knew the verdict, so that nothing of the segment is in doubt.
    fn read_index(&mut self, closed: &Closed<'_>) -> io::Result<u64> {
        let fs = self.fs;
        let segment = closed.header.number;
        let file = fs.open(&layout::segment(segment))?;
        let Some(mut index) = IndexReader::open(Window::new(fs, &file), closed)? else {
            return Ok(FRAMES);
        };
        while index.until() < closed.end
            && let Some(chunk) = index.next()?
        {
            self.good = Verdict { segment, end: chunk.until, last: chunk.last };
            self.last = None;
            let groups = chunk.groups.into_iter();
            groups.flat_map(|group| group.found).for_each(&mut *self.visitor);
        }
        Ok(index.until())
    }

    fn scan(&mut self, header: &Header, end: Option<u64>, from: u64) -> io::Result<Scanned> {
        let fs = self.fs;
        let file = fs.open(&layout::segment(header.number))?;
        let scan =
            Scan { window: Window::new(fs, &file), segment: header.number, salt: header.salt, end };
        scan.run_from(from, &mut |seen| {
            if let Some(before) = self.held_back.replace(seen) {
                self.accept(header.number, before);
            }
        })
    }

    fn accept(&mut self, segment: u32, seen: Seen) {
        self.good = Verdict { segment, end: seen.end, last: seen.position };
        self.last = Some((segment, seen.start..seen.end));
        seen.found.into_iter().for_each(&mut *self.visitor);
    }

    /// The last group was perhaps torn: it is good if all block files that it names are.
    fn judge(&mut self, segment: u32, last: Seen) -> Result<bool, OpenError> {
        let unsound = unsound_block(self.fs, &last)?;
        if unsound.is_some() && !seeded::is_on(Bug::BelieveLastGroup) {
            self.notes.push(format!(
                "group {} was incomplete when the power went: it is discarded",
                last.position.number
            ));
            return Ok(false);
        }
        self.accept(segment, last);
        Ok(true)
    }

    /// The flush of the last group may have failed in a process that then ended: the system takes such bytes for written,
    /// shows them, and writes them only if they change. So they are written and flushed once more before there is a verdict,
    /// which might reach the disk before them and make damage of what was never durable.
    fn rewrite_last(&self) -> Result<(), OpenError> {
        let Some((segment, range)) = &self.last else {
            return Ok(());
        };
        let path = layout::segment(*segment);
        let result = self.fs.open(&path).and_then(|file| {
            let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            let mut window = Window::by(self.fs, &file, length);
            let bytes = window.read(range.start, length)?;
            self.fs.rewrite(&path, range.start, bytes)?;
            if seeded::is_on(Bug::VerdictFirst) { Ok(()) } else { self.fs.sync_file(&file) }
        });
        Ok(result.map_err(|error| failed("writing again the end of", &path, &error).hard())?)
    }

    /// What is left in damaged bytes: what is whole is found like any other.
    fn keep_remains(&mut self, header: &Header, range: &Range<u64>) -> Result<(), OpenError> {
        let gone = self.kept.read(self.fs, header, range, self.visitor)?;
        self.undecoded.add_range(header.number, range, gone);
        Ok(())
    }

    /// Damage stays where it is, and a copy is kept; once that is there the damage is not new.
    fn keep_damaged(&mut self, segment: u32, range: &Range<u64>) {
        let copy = layout::bad_range(segment, range.start);
        if self.fs.open(&copy).is_ok() {
            return;
        }
        self.has_new_damage = true;
        let path = layout::segment(segment);
        let kept = match self.copy_range(segment, range, &copy) {
            Ok(()) => format!("a copy is in {copy}"),
            Err(error) => format!("it could not be copied: {error}"),
        };
        self.notes.push(format!(
            "{path} is damaged from {} to {}: {kept}; what is not whole there is to come from peers",
            range.start, range.end
        ));
    }

    fn copy_range(&self, segment: u32, range: &Range<u64>, copy: &str) -> io::Result<()> {
        let source = self.fs.open(&layout::segment(segment))?;
        let target = self.fs.create(copy)?;
        let mut window = Window::new(self.fs, &source);
        let mut offset = range.start;
        while offset < range.end {
            let rest = usize::try_from(range.end - offset).unwrap_or(PIECE);
            let bytes = window.read(offset, rest.min(PIECE))?;
            if bytes.is_empty() {
                break;
            }
            self.fs.write_at(&target, offset - range.start, bytes)?;
            offset += bytes.len() as u64;
        }
        Ok(())
    }
}
