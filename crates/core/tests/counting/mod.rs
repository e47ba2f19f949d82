//! An allocator that counts, under each test binary that has this module. Its counter is per thread,
//! because the test runner allocates on threads of its own.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses the part that it needs")]
#![expect(unsafe_code, reason = "a global allocator cannot be written without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What the allocator was asked for on one thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub calls: u64,
    /// Bytes handed out and not given back.
    pub bytes_live: isize,
}

thread_local! {
    static TALLY: Cell<Tally> = const { Cell::new(Tally { calls: 0, bytes_live: 0 }) };
}

/// Counts one call that changes the live bytes by `bytes`. A thread that is being torn down has
/// no tally any more, and nothing to measure either.
fn count(bytes: isize) {
    let counted = TALLY.try_with(|tally| {
        let Tally { calls, bytes_live } = tally.get();
        tally.set(Tally { calls: calls + 1, bytes_live: bytes_live + bytes });
    });
    let _ = counted;
}

struct Counting;

// SAFETY: every method forwards its arguments unchanged to `System`, which upholds the contract;
// counting touches only a thread-local number and neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size().cast_signed()));
        // SAFETY: `block` came from `System` with this layout, as everything here does.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: `block` came from `System` with this layout; `size` is the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What this thread has asked for so far.
pub fn tally() -> Tally {
    TALLY.get()
}
