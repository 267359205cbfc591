//! Asks: why this node asked a peer something, by which the answer finds whoever waits for it.
//!
//! Decides nothing. Invariant: what an ask names may have ended before the answer comes.

use crate::ids::Address;

/// A page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PageAsked {
    pub(super) address: Address,
    /// Which attempt of all.
    pub(super) attempt: u32,
}

/// Why this node asked a peer something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// For a query.
    Query(u64),
    /// For a page that is not here.
    Page(PageAsked),
    /// To know whether it is still there.
    Instance,
}

impl Ask {
    /// The query, if it is for one.
    pub(super) fn query(&self) -> Option<u64> {
        match self {
            Self::Query(query) => Some(*query),
            Self::Page(_) | Self::Instance => None,
        }
    }

    /// The page, if it is for one.
    pub(super) fn page(&self) -> Option<Address> {
        match self {
            Self::Page(asked) => Some(asked.address),
            Self::Query(_) | Self::Instance => None,
        }
    }
}
