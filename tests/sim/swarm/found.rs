//! Seeds that once found something, and what it was. Every run plays them again.

/// The newest last.
pub(super) const FOUND: &[(u64, &str)] = &[];
