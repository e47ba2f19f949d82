//! Ledger: who deserves it
//!
//! As much of the ledger as the placer needs.

use std::ffi::c_char;

use rampmeter::share::{AccountId, Amounts, Ledger, LedgerOptions, RESOURCES_MAX};

use crate::boundary::{Guarded, answer, change, create, desk, destroy, look, object};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, OutSized, array, name, take, versioned};
use crate::policy::rampmeter_policy;
use crate::status::rampmeter_status;

/// Kinds of resource that a ledger can have.
pub const RAMPMETER_RESOURCES_MAX: usize = 8;

const _: () = assert!(RAMPMETER_RESOURCES_MAX == RESOURCES_MAX);

/// An amount of each resource, in the smallest unit of each (milli-GPU, MiB...), at most 2^62; 0
/// for resources that are not there.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_amounts {
    /// By number of the resource.
    pub of: [u64; RAMPMETER_RESOURCES_MAX],
}

/// Size of a ledger, and which parts it has. Set all of it to 0, then `size`, then what is wanted:
/// what is 0 is not there.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_ledger_options {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Accounts that may be open at once, those with children included, up to 2^24; 0: 1,024.
    pub accounts_max: u32,
    /// Lanes of counters, up to 64: sets of queues that compete with each other, such as classes.
    pub lanes: u32,
    /// Kinds of resource that accounts hold, up to RAMPMETER_RESOURCES_MAX.
    pub resources: u32,
    /// Other ledgers that this one exchanges service with, up to 255.
    pub replicas_max: u32,
    /// 1: it keeps whose turn it is by dominant shares.
    pub dominant: u8,
    /// 1: it keeps who borrowed how much of the quotas.
    pub borrowing: u8,
    /// 1: it limits requests and tokens per minute.
    pub rates: u8,
    /// 1: accounts have names.
    pub names: u8,
    /// Half-life of past usage; 0: no history is kept.
    pub half_life_ns: u64,
}
versioned!(rampmeter_ledger_options, 32);

/// The accounts, and what is kept about them. One thread at a time may change it; calls with a
/// `const` pointer may run side by side.
pub struct rampmeter_ledger(Guarded<Ledger>);
object!(rampmeter_ledger, Ledger, "ledger");

/// The parts that a policy says something about.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_policy_options(
    policy: *const rampmeter_policy,
    options: *mut rampmeter_ledger_options,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let (out, policy) = (OutSized::new(options, "options")?, desk(policy)?);
            let options = LedgerOptions::of_policy(policy);
            out.set(rampmeter_ledger_options {
                size: 0,
                accounts_max: options.accounts_max,
                lanes: options.lanes,
                resources: options.resources,
                replicas_max: options.replicas_max,
                dominant: options.dominant.into(),
                borrowing: options.borrowing.into(),
                rates: options.rates.into(),
                names: options.names.into(),
                half_life_ns: options.half_life.get(),
            });
            Ok(())
        })
    }
}

impl rampmeter_ledger_options {
    fn core(&self) -> Result<LedgerOptions, Fault> {
        let flag = crate::memory::flag;
        Ok(LedgerOptions {
            accounts_max: self.accounts_max,
            lanes: self.lanes,
            resources: self.resources,
            dominant: flag(self.dominant, "dominant")?,
            borrowing: flag(self.borrowing, "borrowing")?,
            half_life: rampmeter::Nanos(self.half_life_ns),
            rates: flag(self.rates, "rates")?,
            names: flag(self.names, "names")?,
            replicas_max: self.replicas_max,
        })
    }
}

/// Creates a ledger with the accounts of a policy open.
///
/// Fails: E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the caller's, to be given to
/// rampmeter_ledger_destroy(); NULL on failure. Allocates: yes. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_create_from_policy(
    policy: *const rampmeter_policy,
    options: *const rampmeter_ledger_options,
    out: *mut *mut rampmeter_ledger,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let (policy, options) = (desk(policy)?, take(options, "options")?);
            Ok(Ledger::from_policy(&options.core()?, policy)?)
        })
    }
}

/// Ends a ledger. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_destroy(ledger: *mut rampmeter_ledger) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(ledger) }
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
            out.set(ledger.account_at_path(path).map_or(0, AccountId::to_raw));
            Ok(())
        })
    }
}

/// Tells the ledger how much of each resource there is.
///
/// Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each ledger.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_set_capacity(
    ledger: *mut rampmeter_ledger,
    capacity: *const rampmeter_amounts,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let capacity = &array(capacity, 1, "capacity")?[0];
            Ok(ledger.set_capacity(&Amounts(capacity.of))?)
        })
    }
}
