//! The mio shell: moves bytes between sockets and the node, and decides nothing.

mod clock;
pub mod descriptors;
mod event_loop;
mod handle;
mod heap;
mod jobs;
mod lookup;
mod programs;
mod socket;
mod sockets;

pub use event_loop::{EventLoop, LoopError};
pub use handle::{Door, Handle};
pub use heap::one_arena;

use rand::TryRng;
use rand::rngs::SysRng;

/// Secret randomness.
///
/// # Panics
/// If the operating system gives none.
#[must_use]
pub fn entropy<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
