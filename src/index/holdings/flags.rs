//! Flags: what is said of each slot of an index with one bit.
//!
//! Knows no address. Invariant: of a slot that is free nothing is said.

use crate::index::bits::Bits;
use crate::index::holdings::Bit;

/// Since when somebody counts on what is here: there are two epochs, which take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Epoch(bool);

impl Epoch {
    /// The other one.
    #[must_use]
    pub(crate) fn other(self) -> Self {
        Self(!self.0)
    }

    /// Of two things the one of this epoch.
    pub(crate) fn of<T>(self, [first, second]: &[T; 2]) -> &T {
        if self.0 { second } else { first }
    }

    /// The same, to change it.
    pub(crate) fn of_mut<T>(self, [first, second]: &mut [T; 2]) -> &mut T {
        if self.0 { second } else { first }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Flags {
    owed: Bits,
    cached: Bits,
    pub(super) marked: Bits,
    /// Since this epoch somebody counts on it.
    pub(super) relied: [Bits; 2],
    /// Nobody is known to have named it, and it came not long ago: after the last step of time, or one or two before.
    young: [Bits; 3],
}

impl Flags {
    pub(super) fn bits(&self, of: Bit) -> &Bits {
        match of {
            Bit::Owed => &self.owed,
            Bit::Cached => &self.cached,
            Bit::Marked => &self.marked,
        }
    }

    pub(super) fn bits_mut(&mut self, of: Bit) -> &mut Bits {
        match of {
            Bit::Owed => &mut self.owed,
            Bit::Cached => &mut self.cached,
            Bit::Marked => &mut self.marked,
        }
    }

    /// All of them.
    fn all_mut(&mut self) -> impl Iterator<Item = &mut Bits> {
        let Self { owed, cached, marked, relied, young } = self;
        [owed, cached, marked].into_iter().chain(relied).chain(young)
    }

    /// A slot is free.
    pub(super) fn forget(&mut self, slot: u32) {
        for bits in self.all_mut() {
            bits.set(slot, false);
        }
    }

    /// It came so many steps of time ago.
    pub(super) fn set_young(&mut self, slot: u32, steps: usize) {
        self.young[steps].set(slot, true);
    }

    /// Somebody names it: it never counts as young again.
    pub(super) fn become_named(&mut self, slot: u32) {
        for bits in &mut self.young {
            bits.set(slot, false);
        }
    }

    /// Whether anything is young.
    pub(super) fn has_young(&self) -> bool {
        self.young.iter().any(|bits| (0..bits.words()).any(|word| bits.word(word) != 0))
    }

    /// A step of time: what came three steps ago is not young any more. Whether there was anything.
    pub(super) fn grow_older(&mut self) -> bool {
        self.young.rotate_right(1);
        let grown = &mut self.young[0];
        let any = (0..grown.words()).any(|word| grown.word(word) != 0);
        grown.clear();
        any
    }

    /// What is young has just come.
    pub(super) fn grow_young(&mut self) {
        let [newest, others @ ..] = &mut self.young;
        for bits in others {
            newest.add(&std::mem::take(bits));
        }
    }

    /// Words that say something of slots.
    pub(super) fn words(&self) -> usize {
        self.owed.words().max(self.cached.words())
    }

    /// Which slots of a word hold what was not marked.
    pub(super) fn unmarked(&self, word: usize) -> u64 {
        (self.owed.word(word) | self.cached.word(word)) & !self.marked.word(word)
    }

    /// Of these those on which somebody counts.
    pub(super) fn relied(&self, word: usize) -> u64 {
        self.relied[0].word(word) | self.relied[1].word(word)
    }

    /// The same, if he began to in this epoch.
    pub(super) fn relied_since(&self, epoch: Epoch, word: usize) -> u64 {
        epoch.of(&self.relied).word(word)
    }

    /// And those that came not long ago.
    pub(super) fn young(&self, word: usize) -> u64 {
        self.young.iter().fold(0, |all, bits| all | bits.word(word))
    }
}

#[cfg(test)]
impl Flags {
    /// Bytes for which there is room.
    pub(super) fn room(&mut self) -> usize {
        self.all_mut().map(|bits| bits.room()).sum()
    }
}
