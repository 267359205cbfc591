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

/// What one connection was served.
#[derive(Debug)]
struct Reader {
    files: VecDeque<Vec<Address>>,
    pages: [VecDeque<Address>; LEVELS],
    /// When it last asked for anything of it.
    heard: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Readers {
    open: BTreeMap<Link, Reader>,
    /// Of connections that have ended, the oldest first.
    ended: VecDeque<Reader>,
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
            self.ended.push_back(reader);
            if self.ended.len() > CONNECTIONS_MAX {
                self.ended.pop_front();
            }
        }
    }

    /// Whoever has asked for nothing for long has ended.
    pub(super) fn forget_idle(&mut self, now: Instant) {
        let is_idle = |reader: &Reader| now.since(reader.heard) >= SERVED_IDLE;
        self.open.retain(|_, reader| !is_idle(reader));
        self.ended.retain(|reader| !is_idle(reader));
    }

    /// All of it, each with whether it is a page.
    pub(super) fn roots(&self) -> impl Iterator<Item = (Address, bool)> {
        self.open.values().chain(&self.ended).flat_map(|reader| {
            let blocks = reader.files.iter().flatten().map(|address| (*address, false));
            blocks.chain(reader.pages.iter().flatten().map(|address| (*address, true)))
        })
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

    fn address(number: u8) -> Address {
        Address([number; 32])
    }

    fn numbers(readers: &Readers) -> Vec<u8> {
        let mut numbers: Vec<_> = readers.roots().map(|(address, _)| address.0[0]).collect();
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
