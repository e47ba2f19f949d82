//! Dynamic batcher: which whole requests run together in the next batch of an ordinary model
//!
//! For vision, embedding and ranking models, which answer a batch in one go. The host submits requests
//! as they come, and asks rampmeter_dynamic_form() whenever an instance is idle: launch these now, or
//! wait until when. rampmeter_dynamic_observe() hears when a batch has ended, and learns how long
//! batches take. A drop-in for "largest size and longest delay", which is one of its rules.
//! `docs/policies/dynamic.md` says how it decides.

mod answers;
mod batches;
mod options;
mod requests;

pub use answers::*;
pub use batches::*;
pub use options::*;
pub use requests::*;

use rampmeter::batch::dynamic::DynamicBatcher;

use crate::boundary::{Guarded, answer, create, destroy, look, object};
use crate::error::rampmeter_error;
use crate::memory::{Out, array, array_mut, room, take};
use crate::status::rampmeter_status;

/// Forms the batches of one model on one or several instances. One thread at a time may change it;
/// calls with a `const` pointer may run side by side.
pub struct rampmeter_dynamic(Guarded<DynamicBatcher>);
object!(rampmeter_dynamic, DynamicBatcher, "dynamic");

/// Creates a batcher without accounts or requests, with all the memory that it will ever use.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the
/// caller's, to be given to rampmeter_dynamic_destroy(); NULL on failure. `options` and what it points to are read
/// and not kept. Allocates: yes, rampmeter_dynamic_bytes_needed(). Blocks: no. Threads: any.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_create(
    options: *const rampmeter_dynamic_options,
    out: *mut *mut rampmeter_dynamic,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let options = take(options, "options")?.core()?;
            options.validate()?;
            room(DynamicBatcher::bytes_needed(&options))?;
            Ok(DynamicBatcher::new(&options)?)
        })
    }
}

/// Ends a batcher. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_destroy(dynamic: *mut rampmeter_dynamic) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(dynamic) }
}

/// Bytes that a batcher for these options takes, to within a few fixed fields.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: yes, for the time of the
/// call. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_bytes_needed(
    options: *const rampmeter_dynamic_options,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let out = Out::new(bytes, "bytes")?;
            out.set(DynamicBatcher::bytes_needed(&take(options, "options")?.core()?));
            Ok(())
        })
    }
}

/// Bytes that rampmeter_dynamic_save() will write now.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_snapshot_bytes(
    dynamic: *const rampmeter_dynamic,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(dynamic, error, |dynamic| {
            Out::new(bytes, "bytes")?.set(dynamic.snapshot_bytes());
            Ok(())
        })
    }
}

/// Writes all state into `out`; `*written` is its length. Handles stay good in what is restored
/// from it, and batches that run go on running.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_save(
    dynamic: *const rampmeter_dynamic,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(dynamic, error, |dynamic| {
            let written = Out::new(written, "written")?;
            written.set(dynamic.save(array_mut(out, capacity, "out")?)?);
            Ok(())
        })
    }
}

/// Creates a batcher from `len` bytes that rampmeter_dynamic_save() wrote, which are believed in
/// nothing: damaged or forged ones are refused. `options` are those that it had, or have other rules,
/// which then hold: sizes, and the numbers of classes and buckets, must be the same. Latency curves
/// come from the snapshot.
///
/// Fails: E_SNAPSHOT, and as rampmeter_dynamic_create(). Ownership, and so on: as there. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_restore(
    options: *const rampmeter_dynamic_options,
    bytes: *const u8,
    len: usize,
    out: *mut *mut rampmeter_dynamic,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let options = take(options, "options")?.core()?;
            options.validate()?;
            room(DynamicBatcher::bytes_needed(&options))?;
            Ok(DynamicBatcher::restore(&options, array(bytes, len, "bytes")?)?)
        })
    }
}
