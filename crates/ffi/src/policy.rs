//! Policy: what the operator wants
//!
//! One document, TOML or JSON, describes classes with their targets, accounts with their shares,
//! and limits; every object below is created from it and takes a changed one while it lives.
//! `rampmeter policy show balanced` prints one with every key, its unit, range and default. A policy
//! is never changed once it is read, so that any number of threads may use it.

use std::ffi::c_char;

use rampmeter::Error;
use rampmeter::policy::{Policy, Preset};

use crate::boundary::{Guarded, create, destroy, look, object};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, give_text, name, text};
use crate::status::rampmeter_status;

/// A policy that was read and found valid. May be shared between threads. Objects that are created
/// from it keep what they need: it may be destroyed before them.
pub struct rampmeter_policy(Guarded<Policy>);
object!(rampmeter_policy, Policy, "policy");

/// Reads a policy from `len` bytes of TOML; an empty text is the policy "balanced".
///
/// Fails: E_DOCUMENT (the error names the line, the key and the range), E_TEXT, E_POINTER.
/// Ownership: `*out` is the caller's, to be given to rampmeter_policy_destroy(); NULL on failure.
/// Allocates: yes, up to 80 times the length. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_policy_from_toml(
    document: *const c_char,
    len: usize,
    out: *mut *mut rampmeter_policy,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { create(out, error, || Ok(Policy::from_toml(text(document, len, "document")?)?)) }
}

/// Reads a policy from `len` bytes of JSON; `{}` is the policy "balanced".
///
/// Fails, ownership, and so on: as rampmeter_policy_from_toml(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_policy_from_json(
    document: *const c_char,
    len: usize,
    out: *mut *mut rampmeter_policy,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { create(out, error, || Ok(Policy::from_json(text(document, len, "document")?)?)) }
}

/// A policy that comes with the library: "interactive", "balanced" or "throughput".
///
/// Fails: E_NAME, E_TEXT, E_POINTER. Ownership: as rampmeter_policy_from_toml(). Allocates: yes.
/// Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_policy_preset(
    preset: *const c_char,
    out: *mut *mut rampmeter_policy,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let given = name(preset, "preset")?;
            let known = Preset::from_name(given);
            Ok(known.ok_or_else(|| Fault::Name { what: "preset", name: given.into() })?.policy())
        })
    }
}

/// Ends a policy. NULL is allowed and does nothing.
///
/// Allocates: no. Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_policy_destroy(policy: *mut rampmeter_policy) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(policy) }
}

/// Writes the policy as TOML with every key into `out`, closed by a zero, and its length without
/// that zero into `*len`. With `capacity` 0 it only says how long it is.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: yes. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_policy_to_toml(
    policy: *const rampmeter_policy,
    out: *mut c_char,
    capacity: usize,
    len: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { look(policy, error, |policy| give_text(&policy.to_toml(), out, capacity, len)) }
}

/// The place of a class in the document, from 0: what calls name `class_index`.
///
/// Fails: E_NAME, E_TEXT, E_POINTER. Allocates: no, but to say which name was wrong. Blocks: no.
/// Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_policy_class_index(
    policy: *const rampmeter_policy,
    class_name: *const c_char,
    class_index: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(policy, error, |policy| {
            let (out, given) =
                (Out::new(class_index, "class_index")?, name(class_name, "class_name")?);
            out.set(found(policy.class_index(given), "class_name", given)?);
            Ok(())
        })
    }
}

/// The place of an account in the document, from 0; each object has its own handle for it, such as
/// rampmeter_batcher_policy_account() gives.
///
/// Fails: E_NAME, E_TEXT, E_POINTER. Allocates: no, but to say which name was wrong. Blocks: no.
/// Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_policy_account_index(
    policy: *const rampmeter_policy,
    account_name: *const c_char,
    account_index: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(policy, error, |policy| {
            let out = Out::new(account_index, "account_index")?;
            let given = name(account_name, "account_name")?;
            out.set(found(policy.account_index(given), "account_name", given)?);
            Ok(())
        })
    }
}

fn found(index: Option<usize>, what: &'static str, name: &str) -> Result<u32, Fault> {
    let index = index.ok_or_else(|| Fault::Name { what, name: name.into() })?;
    u32::try_from(index).map_err(|_| {
        Error::Range { field: what, value: index as u64, min: 0, max: u32::MAX.into() }.into()
    })
}

/// Numbers of classes and of accounts that the policy names.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_policy_counts(
    policy: *const rampmeter_policy,
    classes: *mut u32,
    accounts: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(policy, error, |policy| {
            let (to_classes, to_accounts) =
                (Out::new(classes, "classes")?, Out::new(accounts, "accounts")?);
            to_classes.set(policy.classes.len() as u32);
            to_accounts.set(policy.accounts.len() as u32);
            Ok(())
        })
    }
}
