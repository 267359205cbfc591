//! Readers: what was served to connections last, and may be asked for further.
//!
//! Of each connection the blocks of the last few short files, and of long ones the last few pages of each level: the first
//! page of a long file is asked for once, and those below it as it goes on. When a connection has ended, this stays for
//! a while: whoever has lost it may come back for the rest. Reads nothing. Invariant: bounded, of one connection and in all.

use crate::ids::Address;
use crate::limits::{CONNECTIONS_MAX, PAGE_DEPTH_MAX, SERVED_IDLE, SERVED_MAX};
use crate::server::output::Link;
use crate::server::served::Served;
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};

const LEVELS: usize = PAGE_DEPTH_MAX as usize;
/// Of so many what they were served is gone through in one step.
const STEP: usize = 64;

/// What one connection was served.
#[derive(Debug)]
struct Reader {
    files: VecDeque<Vec<Address>>,
    pages: [VecDeque<Address>; LEVELS],
    /// When it last asked for anything of it.
    heard: Instant,
}

/// Something that was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) address: Address,
    pub(super) is_page: bool,
}

/// Where to go on with the readers. Those whose connection has ended come last: whoever goes over to them is not missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cursor {
    Open(Link),
    Ended(u64),
}

impl Cursor {
    pub(super) const FIRST: Self = Self::Open(0);
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Readers {
    open: BTreeMap<Link, Reader>,
    /// Of connections that have ended, in that order.
    ended: BTreeMap<u64, Reader>,
    next_ended: u64,
}

impl Readers {
    /// This was served.
    pub(super) fn serve(&mut self, now: Instant, link: Link, served: Served) {
        let reader = self.open.entry(link).or_insert_with(|| Reader {
            files: VecDeque::new(),
            pages: Default::default(),
            heard: now,
        });
        reader.heard = now;
        match served {
            Served::Blocks(blocks) if blocks.is_empty() => {}
            Served::Blocks(blocks) => note(&mut reader.files, blocks),
            Served::Page { address, depth } => {
                let level = usize::from(depth).clamp(1, LEVELS) - 1;
                note(&mut reader.pages[level], address);
            }
        }
    }

    /// A connection goes on with what it was served.
    pub(super) fn hear(&mut self, now: Instant, link: Link) {
        if let Some(reader) = self.open.get_mut(&link) {
            reader.heard = now;
        }
    }

    pub(super) fn link_closed(&mut self, link: Link) {
        if let Some(reader) = self.open.remove(&link) {
            self.ended.insert(self.next_ended, reader);
            self.next_ended += 1;
            if self.ended.len() > CONNECTIONS_MAX {
                self.ended.pop_first();
            }
        }
    }

    /// Whoever has asked for nothing for long has ended.
    pub(super) fn forget_idle(&mut self, now: Instant) {
        let is_idle = |reader: &Reader| now.since(reader.heard) >= SERVED_IDLE;
        self.open.retain(|_, reader| !is_idle(reader));
        self.ended.retain(|_, reader| !is_idle(reader));
    }

    /// What the next readers were served, and where to go on; nowhere, if these are the last.
    pub(super) fn roots(&self, from: Cursor) -> (Vec<Root>, Option<Cursor>) {
        let (first_open, first_ended) = match from {
            Cursor::Open(link) => (Some(link), 0),
            Cursor::Ended(number) => (None, number),
        };
        let open = first_open.into_iter().flat_map(|link| self.open.range(link..));
        let open = open.map(|(link, reader)| (Cursor::Open(*link), reader));
        let ended = self.ended.range(first_ended..);
        let ended = ended.map(|(number, reader)| (Cursor::Ended(*number), reader));
        let mut readers = open.chain(ended);
        let roots = readers.by_ref().take(STEP).flat_map(|(_, reader)| reader.roots()).collect();
        (roots, readers.next().map(|(next, _)| next))
    }
}

impl Reader {
    fn roots(&self) -> impl Iterator<Item = Root> {
        let blocks = self.files.iter().flatten();
        let blocks = blocks.map(|address| Root { address: *address, is_page: false });
        let pages = self.pages.iter().flatten();
        blocks.chain(pages.map(|address| Root { address: *address, is_page: true }))
    }
}

/// The last few, each once.
fn note<T: PartialEq>(last: &mut VecDeque<T>, new: T) {
    last.retain(|old| *old != new);
    if last.len() == SERVED_MAX {
        last.pop_front();
    }
    last.push_back(new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn address(number: u8) -> Address {
        Address([number; 32])
    }

    fn numbers(readers: &Readers) -> Vec<u8> {
        let (roots, next) = readers.roots(Cursor::FIRST);
        assert_eq!(next, None, "they are few");
        let mut numbers: Vec<_> = roots.iter().map(|root| root.address.0[0]).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn the_last_few_files_count_and_the_last_few_pages_of_each_level() {
        let (mut readers, now) = (Readers::default(), Instant(7));
        for number in 1..40 {
            readers.serve(now, 1, Served::Blocks(vec![address(number), address(number)]));
            readers.serve(now, 1, Served::Page { address: address(100 + number), depth: 1 });
        }
        readers.serve(now, 1, Served::Page { address: address(200), depth: 3 });
        readers.serve(now, 1, Served::Page { address: address(200), depth: 3 });
        let most = u8::try_from(SERVED_MAX).unwrap();
        let files = (40 - most..40).flat_map(|number| [number, number]);
        let expected: Vec<_> = files.chain(140 - most..140).chain([200]).collect();
        assert_eq!(numbers(&readers), expected);
    }

    #[test]
    fn many_are_gone_through_in_steps_and_nobody_is_missed_whose_connection_ends_meanwhile() {
        let (mut readers, now) = (Readers::default(), Instant(7));
        for link in 1..=200 {
            let number = u8::try_from(link).unwrap();
            readers.serve(now, link, Served::Blocks(vec![address(number)]));
        }
        (1..=20).for_each(|link| readers.link_closed(link));
        let (mut seen, mut next, mut steps) = (BTreeSet::new(), Some(Cursor::FIRST), 0);
        while let Some(from) = next {
            let (roots, after) = readers.roots(from);
            assert!(roots.len() <= STEP);
            seen.extend(roots.iter().map(|root| root.address.0[0]));
            next = after;
            steps += 1;
            // One that is still to come, and one that has.
            readers.link_closed(200 - steps);
            readers.link_closed(20 + steps);
        }
        assert_eq!(seen, (1..=200).collect());
        assert_eq!(steps, 4);
    }

    #[test]
    fn it_is_kept_for_a_while_when_nothing_more_is_asked_for() {
        let mut readers = Readers::default();
        let later = |part: u32| Instant(7) + SERVED_IDLE / 4 * part;
        for link in 1..4 {
            readers.serve(
                later(0),
                link,
                Served::Blocks(vec![address(u8::try_from(link).unwrap())]),
            );
        }
        readers.link_closed(2);
        readers.hear(later(2), 1);
        readers.hear(later(2), 2);
        readers.forget_idle(later(3));
        assert_eq!(numbers(&readers), [1, 2, 3]);
        readers.forget_idle(later(4));
        assert_eq!(numbers(&readers), [1]);
        readers.link_closed(1);
        readers.forget_idle(later(6));
        assert!(
            numbers(&readers).is_empty() && readers.open.is_empty() && readers.ended.is_empty()
        );
    }
}
