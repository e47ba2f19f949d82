//! Snapshots: books that outlive their process.

use rampmeter::outcome::Outcomes;

use super::{rampmeter_outcomes, rampmeter_outcomes_options};
use crate::boundary::{create, desk, look};
use crate::error::rampmeter_error;
use crate::memory::{Out, array, array_mut, room, take};
use crate::policy::rampmeter_policy;
use crate::status::rampmeter_status;

/// Bytes that rampmeter_outcomes_save() will write now.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_snapshot_bytes(
    outcomes: *const rampmeter_outcomes,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(outcomes, error, |outcomes| {
            Out::new(bytes, "bytes")?.set(outcomes.snapshot_bytes());
            Ok(())
        })
    }
}

/// Writes all state into `out`; `*written` is its length. Where distributions hold little, that is
/// little.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_save(
    outcomes: *const rampmeter_outcomes,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(outcomes, error, |outcomes| {
            let written = Out::new(written, "written")?;
            let out = array_mut(out, capacity, "out")?;
            written.set(outcomes.save(out)?);
            Ok(())
        })
    }
}

/// Creates books from `len` bytes that rampmeter_outcomes_save() wrote, which are believed in
/// nothing: damaged or forged ones are refused. `policy` and `options` must be those that they had,
/// as far as classes, targets, costs and `limits.accounts_max` go; take a changed policy afterwards.
/// Weights come from the snapshot.
///
/// Fails: E_SNAPSHOT, and as rampmeter_outcomes_create(). Ownership, and so on: as there. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_restore(
    policy: *const rampmeter_policy,
    options: *const rampmeter_outcomes_options,
    bytes: *const u8,
    len: usize,
    out: *mut *mut rampmeter_outcomes,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let (policy, options) = (desk(policy)?, take(options, "options")?.core()?);
            room(Outcomes::bytes_needed(policy, options))?;
            Ok(Outcomes::restore(policy, options, array(bytes, len, "bytes")?)?)
        })
    }
}
