//! The mio shell: moves bytes between sockets and the node, and decides nothing. What every program needs of the system
//! is here once: the socket, the clock, entropy.

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

pub use clock::Clock;
pub use event_loop::{EventLoop, LoopError};
pub use handle::{Connector, Handle};
pub use heap::{one_arena, trim_heap};
pub use socket::{Progress, Socket};

use rand::TryRng;
use rand::rngs::SysRng;

/// Randomness of the operating system, fit for secrets.
///
/// # Panics
/// The operating system gives none.
#[must_use]
pub fn entropy<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
