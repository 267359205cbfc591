//! Who asks something, and waits for the answer.

use super::output::Link;
use crate::wire::message::Request;

/// A connection, and the number that the answer is to bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) link: Link,
    pub(super) request: Request,
}
