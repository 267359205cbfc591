//! The mio shell: moves bytes between sockets and the node, and decides nothing.

mod clock;
pub mod descriptors;
mod event_loop;
mod heap;
mod lookup;
mod socket;
mod sockets;

pub use event_loop::{EventLoop, LoopError};
pub use heap::one_arena;

use rand::TryRng;
use rand::rngs::SysRng;

/// Secret randomness for a handshake.
fn entropy() -> [u8; 32] {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
