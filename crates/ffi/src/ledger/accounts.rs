//! Accounts: who belongs to whom, with what weight and name.

use std::ffi::c_char;

use rampmeter::share::AccountId;

use super::{rampmeter_ledger, raw, some};
use crate::boundary::{change, look};
use crate::error::rampmeter_error;
use crate::memory::{Out, OutSized, give_text, name, versioned};
use crate::status::rampmeter_status;

/// An account as the tree has it. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_account {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Its place in arrays over all accounts: the low 32 bits of its handle.
    pub index: u32,
    /// The account above; 0: it stands at the top.
    pub parent: u64,
    /// Its weight next to its siblings.
    pub weight: f64,
    /// Levels from the top, which is 1.
    pub depth: u32,
    /// Accounts directly below it.
    pub children: u32,
    /// 0.
    pub reserved: u64,
}
versioned!(rampmeter_account, 40);

/// Opens an account below `parent` (0: at the top), without name, quota or limit.
///
/// Fails: E_STALE (parent), E_RANGE_REAL (weight, 0.001 to 1000), E_RANGE (more than 8 levels),
/// E_FULL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each ledger. Since:
/// 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_open(
    ledger: *mut rampmeter_ledger,
    parent: u64,
    weight: f64,
    account: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let out = Out::new(account, "account")?;
            out.set(ledger.open(some(parent), weight)?.to_raw());
            Ok(())
        })
    }
}

/// Closes an account that has none below it, waits nowhere, and neither holds nor asks for
/// anything.
///
/// Fails: E_STALE, E_CONTRADICTION, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_close(
    ledger: *mut rampmeter_ledger,
    account: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(ledger, error, |ledger| Ok(ledger.close(AccountId::from_raw(account))?)) }
}

/// Gives an account another weight, for all service from now on.
///
/// Fails: E_STALE, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_set_weight(
    ledger: *mut rampmeter_ledger,
    account: u64,
    weight: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| Ok(ledger.set_weight(AccountId::from_raw(account), weight)?))
    }
}

/// An account as the tree has it.
///
/// Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_account(
    ledger: *const rampmeter_ledger,
    account: u64,
    known: *mut rampmeter_account,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = OutSized::new(known, "known")?;
            let (tree, account) = (ledger.tree(), AccountId::from_raw(account));
            out.set(rampmeter_account {
                size: 0,
                index: account.index(),
                parent: raw(tree.parent(account)?),
                weight: tree.weight(account)?,
                depth: tree.depth(account)?,
                children: tree.children_len(account)?,
                reserved: 0,
            });
            Ok(())
        })
    }
}

/// The account with this place in arrays over all accounts; `*account` is 0 if none has it.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_account_at(
    ledger: *const rampmeter_ledger,
    index: u32,
    account: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            Out::new(account, "account")?.set(raw(ledger.tree().account_at(index)));
            Ok(())
        })
    }
}

/// Names an account, or names it anew: up to 128 bytes without `/` and control characters, unique
/// among its siblings.
///
/// Fails: E_STALE, E_RANGE (the name, or a ledger without names), E_DUPLICATE, E_TEXT, E_POINTER.
/// Allocates: no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_set_name(
    ledger: *mut rampmeter_ledger,
    account: u64,
    account_name: *const c_char,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let given = name(account_name, "account_name")?;
            Ok(ledger.set_name(AccountId::from_raw(account), given)?)
        })
    }
}

/// Writes the name of an account into `out`, closed by a zero, and its length without that zero
/// into `*len`; empty if it has none. With `capacity` 0 it only says how long it is.
///
/// Fails: E_STALE, E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number,
/// while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_name(
    ledger: *const rampmeter_ledger,
    account: u64,
    out: *mut c_char,
    capacity: usize,
    len: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            give_text(ledger.name(AccountId::from_raw(account))?, out, capacity, len)
        })
    }
}

/// The account of this name directly below `parent` (0: at the top); `*account` is 0 if there is
/// none.
///
/// Fails: E_TEXT, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_named(
    ledger: *const rampmeter_ledger,
    parent: u64,
    account_name: *const c_char,
    account: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = Out::new(account, "account")?;
            let given = name(account_name, "account_name")?;
            out.set(raw(ledger.account_named(some(parent), given)));
            Ok(())
        })
    }
}

/// The account at the end of a path of names, such as "org/team/user"; `*account` is 0 if there is
/// none.
///
/// Fails: E_TEXT, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_at_path(
    ledger: *const rampmeter_ledger,
    path: *const c_char,
    account: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let (out, path) = (Out::new(account, "account")?, name(path, "path")?);
            out.set(raw(ledger.account_at_path(path)));
            Ok(())
        })
    }
}
