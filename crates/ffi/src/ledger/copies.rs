//! What ledgers tell each other.

use rampmeter::share::AccountId;

use super::{rampmeter_ledger, raw};
use crate::boundary::{change, look};
use crate::error::rampmeter_error;
use crate::exchange::{heard, rampmeter_delta, rampmeter_delta_entry, rampmeter_merged, told};
use crate::memory::{Out, OutSized, array_mut, take};
use crate::status::rampmeter_status;

/// Says which copy this ledger is, 0 to `replicas_max`, before anything is told or merged, and
/// after a restart which incarnation: a larger number than before.
///
/// Fails: E_RANGE, E_CONTRADICTION, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_set_replica(
    ledger: *mut rampmeter_ledger,
    replica: u32,
    incarnation: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(ledger, error, |ledger| Ok(ledger.set_replica(replica, incarnation)?)) }
}

/// Gives an account the key by which other copies know it, such as rampmeter_path_key() makes.
///
/// Fails: E_STALE, E_RANGE (0, or a ledger without replicas), E_CONTRADICTION (it has another),
/// E_DUPLICATE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each ledger.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_set_key(
    ledger: *mut rampmeter_ledger,
    account: u64,
    key: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| Ok(ledger.set_key(AccountId::from_raw(account), key)?))
    }
}

/// The account with this key; `*account` is 0 if none has it.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_account_of(
    ledger: *const rampmeter_ledger,
    key: u64,
    account: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            Out::new(account, "account")?.set(raw(ledger.account_of(key)));
            Ok(())
        })
    }
}

/// Service of an account in a lane, at all copies as far as this one knows, as it was charged.
///
/// Fails: E_STALE, E_RANGE (lane, or a ledger without replicas), E_POINTER. Allocates: no. Blocks:
/// no. Threads: any number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_service(
    ledger: *const rampmeter_ledger,
    lane: u32,
    account: u64,
    service: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = Out::new(service, "service")?;
            out.set(ledger.service(lane, AccountId::from_raw(account))?);
            Ok(())
        })
    }
}

/// Writes what was charged here since it was told last, for all other copies alike, and takes it
/// for told. With too short an array the next call goes on where this one ended.
///
/// Fails: E_RANGE (it does not know which copy it is), E_SIZE, E_POINTER. Allocates: no. Blocks:
/// no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_delta(
    ledger: *mut rampmeter_ledger,
    entries: *mut rampmeter_delta_entry,
    capacity: usize,
    delta: *mut rampmeter_delta,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let out = OutSized::new(delta, "delta")?;
            out.set(ledger.delta(told(entries, capacity)?)?.into());
            Ok(())
        })
    }
}

/// Writes everything that was charged here, told or not, for a copy that begins or missed deltas.
/// `*next` is 0 in the first call; where it is not 0 afterwards, call again with it.
///
/// Fails: E_RANGE (it does not know which copy it is), E_SIZE, E_POINTER. Allocates: no. Blocks:
/// no. Threads: any number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_delta_all(
    ledger: *const rampmeter_ledger,
    next: *mut u64,
    entries: *mut rampmeter_delta_entry,
    capacity: usize,
    delta: *mut rampmeter_delta,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = OutSized::new(delta, "delta")?;
            let entries = told(entries, capacity)?;
            let next = array_mut(next, 1, "next")?;
            out.set(ledger.delta_all(&mut next[0], entries)?.into());
            Ok(())
        })
    }
}

/// Takes what another copy told: charges what is new in it. In any order, once or often. Of `delta`
/// only `replica` and `incarnation` are read.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_CONTRADICTION, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_merge(
    ledger: *mut rampmeter_ledger,
    delta: *const rampmeter_delta,
    entries: *const rampmeter_delta_entry,
    len: usize,
    merged: *mut rampmeter_merged,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let out = OutSized::new(merged, "merged")?;
            let source = take(delta, "delta")?.source();
            out.set(ledger.merge(source, heard(entries, len)?)?.into());
            Ok(())
        })
    }
}

/// Forgets what was heard from a copy that is gone; what was charged stays charged.
///
/// Fails: E_RANGE, E_CONTRADICTION, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_forget_replica(
    ledger: *mut rampmeter_ledger,
    replica: u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(ledger, error, |ledger| Ok(ledger.forget_replica(replica)?)) }
}
