//! Events: what a desk of headroom hears.

use rampmeter::Nanos;

use super::rampmeter_headroom;
use crate::boundary::{change, change_told};
use crate::error::{Told as _, rampmeter_error};
use crate::status::rampmeter_status;

/// A request of a class came in. Say of each what became of it: it started and ended, or it left.
///
/// Fails: E_TIME_REVERSED, E_RANGE (class), E_POINTER. Allocates: no. Blocks: no. Threads: one at a
/// time for each desk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_arrived(
    headroom: *mut rampmeter_headroom,
    now_ns: u64,
    class_index: u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(headroom, error, |desk| desk.arrived(Nanos(now_ns), class_index).told(error))
    }
}

/// A request of a class that waited starts; it waited for `waited_ns` in all.
///
/// Fails: E_TIME_REVERSED, E_RANGE (class, or a wait that began before time did), E_CONTRADICTION
/// (none waits), E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each desk.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_started(
    headroom: *mut rampmeter_headroom,
    now_ns: u64,
    class_index: u32,
    waited_ns: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(headroom, error, |desk| {
            desk.started(Nanos(now_ns), class_index, Nanos(waited_ns)).told(error)
        })
    }
}

/// A request of a class that was served ended; it ran for `ran_ns` in all.
///
/// Fails: E_TIME_REVERSED, E_RANGE (class, or a run that began before time did), E_CONTRADICTION
/// (none runs), E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each desk.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_ended(
    headroom: *mut rampmeter_headroom,
    now_ns: u64,
    class_index: u32,
    ran_ns: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(headroom, error, |desk| {
            desk.ended(Nanos(now_ns), class_index, Nanos(ran_ns)).told(error)
        })
    }
}

/// A request of a class that waited is gone: expired, cancelled, or shed. It counts as one that
/// waited until now, `waited_ns` in all.
///
/// Fails, and so on: as rampmeter_headroom_started(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_left(
    headroom: *mut rampmeter_headroom,
    now_ns: u64,
    class_index: u32,
    waited_ns: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(headroom, error, |desk| {
            desk.left(Nanos(now_ns), class_index, Nanos(waited_ns)).told(error)
        })
    }
}

/// Time passed, and it is `now_ns`. Answers of planning are as of the last call with a time: say this
/// before you ask between events, or after the last one, so that silence is seen.
///
/// Fails: E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
/// desk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_passed(
    headroom: *mut rampmeter_headroom,
    now_ns: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change_told(headroom, error, |desk| desk.passed(Nanos(now_ns)).told(error)) }
}

/// From now on there are so many replicas, 0 to `replicas_max`. What was learned of the variability
/// of requests stays; waits are observed anew. Takes some tenths of a millisecond.
///
/// Fails: E_TIME_REVERSED, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each desk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_set_replicas(
    headroom: *mut rampmeter_headroom,
    now_ns: u64,
    replicas: u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(headroom, error, |desk| Ok(desk.capacity(Nanos(now_ns), replicas)?)) }
}
