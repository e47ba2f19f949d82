//! Nothing is allocated while a poller reads and others read it.
#![cfg(feature = "nvml")]
#![allow(unsafe_code, reason = "a global allocator that counts")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rampmeter::Nanos;
use rampmeter_probe::{Cadence, Poller};
use support::Fake;

/// Counts for all threads: the poller has one of its own. This file is one test, so that nothing
/// else allocates meanwhile.
struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every method forwards its arguments unchanged to `System`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as demanded of the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as demanded of the caller.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as demanded of the caller.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn reading_and_publishing_allocate_nothing() {
    let before = CALLS.load(Ordering::Relaxed);
    drop(black_box(Box::new(7_u8)));
    assert!(CALLS.load(Ordering::Relaxed) >= before + 2, "the counter counts");

    let spec = "gpu proc=1:5 proc=2:6 peers=1\ngpu cc=12.1 memory=none\ngpu mig=1\ninstance gi=1\n\
                gpu\nwhen nvmlDeviceGetMemoryInfo_v2 dev=4 answer=15\n";
    let fake = Fake::nvml(spec);
    let cadence = Cadence {
        memory: Nanos(100_000_000),
        utilization: Nanos(250_000_000),
        condition: Nanos(1_000_000_000),
        processes: Nanos(1_000_000_000),
        inventory: Nanos(5_000_000_000),
        ..Cadence::default()
    };
    let poller = Poller::start(fake.probe(), &cadence).unwrap();
    assert!(poller.wait_first(Duration::from_secs(20)));
    let reader = poller.reader();
    let wait = |snapshots: u64| {
        let (begin, target) = (Instant::now(), reader.latest().seq + snapshots);
        let mut held = reader.latest();
        while held.seq < target {
            assert!(begin.elapsed() < Duration::from_secs(50));
            std::thread::sleep(Duration::from_millis(7));
            held = reader.latest();
        }
    };
    // The spares are made, each thread has been seen by the library that hands snapshots over.
    wait(3);
    let before = CALLS.load(Ordering::Relaxed);
    // Every group comes at least once, the inventory with it.
    wait(60);
    assert_eq!(CALLS.load(Ordering::Relaxed) - before, 0);
}
