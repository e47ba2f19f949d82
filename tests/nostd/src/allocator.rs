//! An allocator over one static buffer that hands out memory until it is sealed, then aborts.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Enough for one desk of each kind, of the sizes that `main.c` asks for, a few times over.
const BUFFER_BYTES: usize = 4 << 20;

#[repr(C, align(64))]
struct Buffer(UnsafeCell<[u8; BUFFER_BYTES]>);

// SAFETY: bytes are handed out once each, by an atomic counter; nothing here reads or writes them.
unsafe impl Sync for Buffer {}

static BUFFER: Buffer = Buffer(UnsafeCell::new([0; BUFFER_BYTES]));
static USED: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);
static SEALED: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    fn abort() -> !;
}

/// Ends the process: the way out of a panic and of an allocation after the seal.
pub(crate) fn stop() -> ! {
    // SAFETY: `abort` of the C library may be called at any time.
    unsafe { abort() }
}

/// From now on, asking for memory or giving it back ends the process.
pub(crate) fn seal() {
    SEALED.store(true, Ordering::SeqCst);
}

/// Bytes handed out, and how often.
pub(crate) fn used() -> (usize, usize) {
    (USED.load(Ordering::SeqCst), CALLS.load(Ordering::SeqCst))
}

pub(crate) struct Bump;

// SAFETY: blocks are disjoint, aligned as asked, inside the static buffer, and never reused.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if SEALED.load(Ordering::SeqCst) {
            stop();
        }
        CALLS.fetch_add(1, Ordering::SeqCst);
        let bytes = layout.size() + layout.align() - 1;
        let start = USED.fetch_add(bytes, Ordering::SeqCst);
        if layout.align() > align_of::<Buffer>() || start + bytes > BUFFER_BYTES {
            return core::ptr::null_mut();
        }
        let place = start.next_multiple_of(layout.align());
        // SAFETY: `place + size <= start + bytes <= BUFFER_BYTES`, checked just above.
        unsafe { BUFFER.0.get().cast::<u8>().add(place) }
    }

    unsafe fn dealloc(&self, _block: *mut u8, _layout: Layout) {
        if SEALED.load(Ordering::SeqCst) {
            stop();
        }
    }
}
