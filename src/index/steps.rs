//! Steps: how many things an event has had to look at, for tests that count steps.
//!
//! Knows none of these things. Invariant: outside of tests it takes no room and does nothing.

/// Counts, in tests, what was looked at.
#[derive(Debug, Default)]
pub(crate) struct Steps(#[cfg(test)] pub(crate) std::cell::Cell<u64>);

impl Steps {
    #[cfg_attr(
        not(test),
        expect(clippy::unused_self, reason = "there is something to count in tests alone")
    )]
    /// One more.
    pub(crate) fn note(&self) {
        #[cfg(test)]
        self.0.set(self.0.get() + 1);
    }
}
