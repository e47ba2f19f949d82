//! After construction the desk of headroom allocates nothing, in success or refusal, and takes the
//! memory that it said it would.

#![expect(unsafe_code, reason = "a global allocator cannot be written without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use rampmeter::Nanos;
use rampmeter::headroom::estimate::servers::Replica;
use rampmeter::headroom::{ClassOptions, Headroom, Options};

thread_local! {
    /// Calls, and bytes handed out and not given back, on this thread.
    static TALLY: Cell<(u64, isize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: isize) {
    // A thread that is being torn down has no tally any more, and nothing to measure either.
    let counted = TALLY.try_with(|tally| {
        let (calls, live) = tally.get();
        tally.set((calls + 1, live + bytes));
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

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: `block` came from `System` with this layout, as everything here does.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn tally() -> (u64, isize) {
    TALLY.with(Cell::get)
}

fn options() -> Options {
    let replica = Replica { seats: 4, loaded_share: 0.5 };
    Options { replicas_max: 8, ..Options::new([ClassOptions::default(); 2], replica, 3) }
}

/// Calls of every kind, right and wrong.
fn drive(desk: &mut Headroom, snapshot: &mut [u8]) {
    for step in 1..3_000_u64 {
        let (now, class) = (Nanos::from_millis(100 * step), (step % 2) as u32);
        let _ = black_box(desk.arrived(now, class));
        let _ = black_box(desk.arrived(now, 9));
        let _ = black_box(desk.arrived(Nanos::ZERO, class));
        if step % 7 == 0 {
            let _ = black_box(desk.left(now, class, Nanos(5)));
        } else {
            let _ = black_box(desk.started(now, class, Nanos::from_millis(step % 90)));
        }
        let _ = black_box(desk.ended(now, class, Nanos::from_millis(40 * (step % 50)).min(now)));
        if step % 500 == 0 {
            let _ = black_box(desk.capacity(now, (step / 500) as u32));
            let _ = black_box((desk.knee(class), desk.headroom(class), desk.knee(7)));
            let _ = black_box((desk.wait_tail(class, Nanos(9)), desk.replicas_needed()));
            let _ = black_box((desk.can_remove(), desk.shadow_price(now), desk.stats()));
            let _ = black_box((desk.snapshot_bytes(), desk.save(snapshot)));
        }
    }
}

#[test]
fn the_counter_counts() {
    let before = tally().0;
    drop(black_box(Box::new(7_u8)));
    assert!(tally().0 >= before + 2);
}

#[test]
fn nothing_is_allocated_after_construction() {
    let options = options();
    let mut snapshot = vec![0; 1 << 16];
    let before = tally();
    let mut desk = Headroom::new(&options).unwrap();
    let built = tally();
    let taken = (built.1 - before.1).cast_unsigned() as u64;
    assert_eq!(taken, Headroom::bytes_needed(&options), "bytes of heap");
    drive(&mut desk, &mut snapshot);
    assert_eq!(tally().0, built.0, "allocator calls");
    assert!(desk.stats().ended > 2_000 && desk.knee(0).unwrap().known().is_some());
}
