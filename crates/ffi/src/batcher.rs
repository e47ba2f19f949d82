//! Batcher: what runs in the next step of a language model
//!
//! The host submits requests as they come, and goes round this loop: rampmeter_batcher_form() writes
//! into the host's arrays which requests get how many tokens; the engine runs them;
//! rampmeter_batcher_observe() hears what came out. Up to `limits.steps_in_flight_max` steps may be
//! formed before the first is observed. `docs/policies/batch.md` says how it decides.

mod accounts;
mod answers;
mod requests;
mod steps;

pub use accounts::*;
pub use answers::*;
pub use requests::*;
pub use steps::*;

use rampmeter::batch::Batcher;

use crate::boundary::{Guarded, change, create, desk, destroy, object};
use crate::engine::{rampmeter_engine, taken};
use crate::error::rampmeter_error;
use crate::memory::{Out, array, room};
use crate::policy::rampmeter_policy;
use crate::status::rampmeter_status;

/// Forms the steps of one engine. One thread at a time may change it; calls with a `const` pointer
/// may run side by side.
pub struct rampmeter_batcher(Guarded<Batcher>);
object!(rampmeter_batcher, Batcher, "batcher");

/// Creates a batcher for one engine, with all the memory that it will ever use.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_FULL (more accounts than `limits.accounts_max`), E_DUPLICATE,
/// E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the caller's, to be given to
/// rampmeter_batcher_destroy(); NULL on failure. `policy` and `engine` are read and not kept.
/// Allocates: yes, rampmeter_batcher_bytes_needed(). Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_create(
    policy: *const rampmeter_policy,
    engine: *const rampmeter_engine,
    out: *mut *mut rampmeter_batcher,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let (policy, engine) = (desk(policy)?, taken(engine)?);
            room(Batcher::bytes_needed(policy))?;
            Ok(Batcher::new(policy, engine.kv()?, engine.model()?)?)
        })
    }
}

/// Ends a batcher. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_destroy(batcher: *mut rampmeter_batcher) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(batcher) }
}

/// Bytes that a batcher for this policy takes, to within a few fixed fields.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_bytes_needed(
    policy: *const rampmeter_policy,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        crate::boundary::look(policy, error, |policy| {
            Out::new(bytes, "bytes")?.set(Batcher::bytes_needed(policy));
            Ok(())
        })
    }
}

/// Takes a changed policy; nothing that waits or runs is lost. Targets of requests that came before
/// stay as they were; weights, guarantees and rules hold from the next step on.
///
/// Fails: E_RANGE if it has other numbers of classes or accounts, another capacity or engine mode:
/// these are fixed; E_CONTRADICTION if an account has another parent; E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_set_policy(
    batcher: *mut rampmeter_batcher,
    policy: *const rampmeter_policy,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(batcher, error, |batcher| Ok(batcher.set_policy(desk(policy)?)?)) }
}

/// Takes the step times of `engine` for what is known beforehand; what was learned starts anew from
/// them. Its KV cache is not read: that of a batcher does not change.
///
/// Fails: E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at a
/// time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_set_engine(
    batcher: *mut rampmeter_batcher,
    engine: *const rampmeter_engine,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(batcher, error, |batcher| {
            batcher.set_model(taken(engine)?.model()?);
            Ok(())
        })
    }
}

/// Bytes that rampmeter_batcher_save() will write now.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_snapshot_bytes(
    batcher: *const rampmeter_batcher,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        crate::boundary::look(batcher, error, |batcher| {
            Out::new(bytes, "bytes")?.set(batcher.snapshot_bytes());
            Ok(())
        })
    }
}

/// Writes all state into `out`; `*written` is its length. Handles of requests stay good in what is
/// restored from it.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_save(
    batcher: *const rampmeter_batcher,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        crate::boundary::look(batcher, error, |batcher| {
            let written = Out::new(written, "written")?;
            let out = crate::memory::array_mut(out, capacity, "out")?;
            written.set(batcher.save(out)?);
            Ok(())
        })
    }
}

/// Creates a batcher from `len` bytes that rampmeter_batcher_save() wrote, which are believed in
/// nothing: damaged or forged ones are refused. `policy` and the KV cache of `engine` must be those
/// that it had; the step times come from the snapshot.
///
/// Fails: E_SNAPSHOT, and as rampmeter_batcher_create(). Ownership, and so on: as there. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_restore(
    policy: *const rampmeter_policy,
    engine: *const rampmeter_engine,
    bytes: *const u8,
    len: usize,
    out: *mut *mut rampmeter_batcher,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let (policy, engine) = (desk(policy)?, taken(engine)?);
            room(Batcher::bytes_needed(policy))?;
            Ok(Batcher::restore(policy, engine.kv()?, array(bytes, len, "bytes")?)?)
        })
    }
}
