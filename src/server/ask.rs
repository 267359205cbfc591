//! Asks: why this node asked a peer something, by which the answer finds whoever waits for it.
//!
//! Decides nothing. Invariant: what an ask names may have ended before the answer comes.

/// Why this node asked a peer something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// For a query.
    Query(u64),
    /// For a walk, which lacks a page: at its so many-th attempt to have one.
    Page(u64, u32),
    /// To know whether it is still there.
    Instance,
}

impl Ask {
    /// The query, if it is for one.
    pub(super) fn query(&self) -> Option<u64> {
        match self {
            Self::Query(query) => Some(*query),
            Self::Page(..) | Self::Instance => None,
        }
    }

    /// The walk, if it is for one.
    pub(super) fn page(&self) -> Option<u64> {
        match self {
            Self::Page(walk, _) => Some(*walk),
            Self::Query(_) | Self::Instance => None,
        }
    }
}
