//! Memory that is free goes back to the system: the one place that speaks to the C library's allocator.
//!
//! Knows nothing of what memory is for. Invariant: both calls change where free memory lies, and nothing else; with
//! another C library they do nothing.

#![allow(unsafe_code, reason = "two calls of the C library, which take numbers and no pointers")]

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::c_int;

    /// From `malloc.h`.
    const M_ARENA_MAX: c_int = -8;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn malloc_trim(pad: usize) -> c_int;
    }

    pub(super) fn one_arena() {
        // SAFETY: takes two numbers; called before any other thread is started.
        unsafe { mallopt(M_ARENA_MAX, 1) };
    }

    pub(super) fn trim() {
        // SAFETY: takes a number, locks the allocator itself, and touches no memory in use.
        unsafe { malloc_trim(0) };
    }
}

/// All threads allocate from one heap: leaves are made by one and freed by another, which leaves holes in a heap of each.
pub fn one_arena() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::one_arena();
}

/// Gives back what is free.
pub fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::trim();
}
