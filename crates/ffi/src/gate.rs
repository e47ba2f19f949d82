//! Gate: may this come in at all
//!
//! A gate stands before a number of servers (seats of engines). rampmeter_gate_admit() says of each
//! request whether it starts now, waits, or is turned away, by whether it would still start in time
//! behind what is queued. Whenever a server is free, ask rampmeter_gate_next() whose turn it is, and
//! rampmeter_gate_dequeue() whether that still makes sense. The gate learns from what ends how fast
//! work leaves: a host that forgets to say rampmeter_gate_ended() closes it.
//! `docs/policies/headroom.md` says how it decides.

mod answers;
mod requests;

pub use answers::*;
pub use requests::*;

use rampmeter::Nanos;
use rampmeter::headroom::gate::Gate;
use rampmeter::share::AccountId;

use crate::boundary::{Guarded, change, create, desk, destroy, look, object};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, array, array_mut, room};
use crate::policy::rampmeter_policy;
use crate::status::rampmeter_status;

/// Says who may come in. One thread at a time may change it; calls with a `const` pointer may run
/// side by side.
pub struct rampmeter_gate(Guarded<Gate>);
object!(rampmeter_gate, Gate, "gate");

/// Creates a gate before `servers` servers, 0 to 1,048,576, with all the memory that it will ever
/// use: for `limits.requests_max` requests and `limits.accounts_max` accounts.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_FULL (more accounts than `limits.accounts_max`), E_MEMORY,
/// E_POINTER. Ownership: `*out` is the caller's, to be given to rampmeter_gate_destroy(); NULL on
/// failure. `policy` is read and not kept. Allocates: yes, rampmeter_gate_bytes_needed(). Blocks: no.
/// Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_create(
    policy: *const rampmeter_policy,
    servers: u32,
    out: *mut *mut rampmeter_gate,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let policy = desk(policy)?;
            room(Gate::bytes_needed(policy))?;
            Ok(Gate::new(policy, servers)?)
        })
    }
}

/// Ends a gate. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_destroy(gate: *mut rampmeter_gate) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(gate) }
}

/// Bytes that a gate for this policy takes, to within a few fixed fields.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_bytes_needed(
    policy: *const rampmeter_policy,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(policy, error, |policy| {
            Out::new(bytes, "bytes")?.set(Gate::bytes_needed(policy));
            Ok(())
        })
    }
}

/// Takes a changed policy; nothing that waits or runs is lost. Targets, guarantees, weights and rules
/// hold from now on, for what waits as well.
///
/// Fails: E_RANGE if it has other numbers of classes or accounts, or another capacity: these are
/// fixed; E_RANGE_REAL, E_CONTRADICTION (an account has another parent, or an account or a class
/// another name: they are known by their places), E_POINTER. Allocates: no. Blocks: no. Threads: one at
/// a time for each gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_set_policy(
    gate: *mut rampmeter_gate,
    policy: *const rampmeter_policy,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(gate, error, |gate| Ok(gate.apply(desk(policy)?)?)) }
}

/// From now on there are so many servers, 0 to 1,048,576. More may run than that for a while.
///
/// Fails: E_TIME_REVERSED, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_set_servers(
    gate: *mut rampmeter_gate,
    now_ns: u64,
    servers: u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(gate, error, |gate| Ok(gate.capacity(Nanos(now_ns), servers)?)) }
}

/// The handle of an account that the policy names, by its place there.
///
/// Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_policy_account(
    gate: *const rampmeter_gate,
    account_index: u32,
    account: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(gate, error, |gate| {
            let out = Out::new(account, "account")?;
            let account = |index| gate.policy_account(index);
            let known = account(account_index as usize);
            let known = known.ok_or_else(|| Fault::unnamed(account_index, account))?;
            out.set(known.to_raw());
            Ok(())
        })
    }
}

/// Opens an account at run time, below `parent` (0: at the top).
///
/// Fails: E_STALE (parent), E_RANGE_REAL (weight), E_RANGE (too deep), E_FULL, E_POINTER.
/// Allocates: no. Blocks: no. Threads: one at a time for each gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_open_account(
    gate: *mut rampmeter_gate,
    parent: u64,
    weight: f64,
    account: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(gate, error, |gate| {
            let out = Out::new(account, "account")?;
            let parent = (parent != 0).then_some(AccountId::from_raw(parent));
            out.set(gate.open_account(parent, weight)?.to_raw());
            Ok(())
        })
    }
}

/// Closes an account that was opened at run time and has no requests.
///
/// Fails: E_STALE, E_CONTRADICTION (the policy names it, it has requests or accounts below it),
/// E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_close_account(
    gate: *mut rampmeter_gate,
    account: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(gate, error, |gate| Ok(gate.close_account(AccountId::from_raw(account))?)) }
}

/// Bytes that rampmeter_gate_save() will write now.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the gate.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_snapshot_bytes(
    gate: *const rampmeter_gate,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(gate, error, |gate| {
            Out::new(bytes, "bytes")?.set(gate.snapshot_bytes());
            Ok(())
        })
    }
}

/// Writes all state into `out`; `*written` is its length. Tickets and accounts stay good in what is
/// restored from it.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_save(
    gate: *const rampmeter_gate,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(gate, error, |gate| {
            let written = Out::new(written, "written")?;
            written.set(gate.save(array_mut(out, capacity, "out")?)?);
            Ok(())
        })
    }
}

/// Creates a gate from `len` bytes that rampmeter_gate_save() wrote, which are believed in nothing:
/// damaged or forged ones are refused. `policy` must be the one that it was under; the number of
/// servers comes from the snapshot.
///
/// Fails: E_SNAPSHOT, and as rampmeter_gate_create(). Ownership, and so on: as there. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_restore(
    policy: *const rampmeter_policy,
    bytes: *const u8,
    len: usize,
    out: *mut *mut rampmeter_gate,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let policy = desk(policy)?;
            room(Gate::bytes_needed(policy))?;
            Ok(Gate::restore(policy, array(bytes, len, "bytes")?)?)
        })
    }
}
