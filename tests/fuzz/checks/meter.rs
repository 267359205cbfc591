//! Counts what a thread allocates, so that a decoder's appetite can be bounded.
//!
//! Knows no decoder. Invariant: what moves while it grows counts twice for that moment, as it does
//! in memory. Without the allocator in place everything counts as nothing.
#![allow(unsafe_code, reason = "an allocator can be had in no other way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Bytes that a decoder may have at once, besides four times its input.
const ALLOWANCE: usize = 64 * 1024;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, and a count. What another thread frees makes the count wrong, never
/// unsound: decoders have no threads.
pub(crate) struct Counting;

fn grow(bytes: usize) {
    let held = HELD.get().wrapping_add(bytes);
    HELD.set(held);
    // A count below zero is that of a thread that frees what others made.
    if held > PEAK.get() && held <= usize::MAX / 2 {
        PEAK.set(held);
    }
}

fn shrink(bytes: usize) {
    HELD.set(HELD.get().wrapping_sub(bytes));
}

// SAFETY: every call is passed on as it is to the system's allocator; the counts are plain cells
// without destructors, which allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        shrink(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Does `act`, which reads `input` bytes, and panics if it held more than it may.
pub(crate) fn within<T>(input: usize, act: impl FnOnce() -> T) -> T {
    within_times(4, input, act)
}

/// The same with `times` the input instead of four times.
pub(crate) fn within_times<T>(times: usize, input: usize, act: impl FnOnce() -> T) -> T {
    // An offset keeps the count of a thread that frees for others away from zero.
    let before = HELD.get();
    PEAK.set(before);
    let result = act();
    let used = PEAK.get().wrapping_sub(before);
    let allowed = times * input + ALLOWANCE;
    assert!(used <= allowed, "over-allocation: {used} bytes for {input}, {allowed} allowed");
    result
}

#[test]
fn more_than_allowed_is_noticed() {
    let waste = |bytes: usize| within(10, || drop(std::hint::black_box(vec![1_u8; bytes])));
    waste(ALLOWANCE + 40);
    assert!(std::panic::catch_unwind(|| waste(ALLOWANCE + 41)).is_err());
}
