//! Ledger: who deserves it
//!
//! One tree of accounts, and about each of them what the host asks for: whose request is next
//! (counters), what an account may have and holds (quotas), how much of a cluster is whose
//! (division), who needs its next task most (dominant shares) or borrowed most, who may take from
//! whom (reclaim), who used least in the past (history), what may come in yet (rates). Each part
//! takes memory only where the options ask for it; a call about one that is not there is answered
//! with E_RANGE. The handle of an account is the same in all parts, and its low 32 bits,
//! `(uint32_t)account`, are its place in arrays over all accounts. A batcher has a ledger of its own:
//! this one is for routers, cluster schedulers and batch systems. `docs/policies/share.md` says how
//! it decides.

mod accounts;
mod copies;
mod counters;
mod division;
mod dominant;
mod history;
mod quotas;
mod rates;
mod reclaim;

pub use accounts::*;
pub use copies::*;
pub use counters::*;
pub use division::*;
pub use dominant::*;
pub use history::*;
pub use quotas::*;
pub use rates::*;
pub use reclaim::*;

use rampmeter::Nanos;
use rampmeter::share::{AccountId, Amounts, Ledger, LedgerOptions, RESOURCES_MAX};

use crate::boundary::{Guarded, answer, create, desk, destroy, look, object};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, OutSized, array, array_mut, flag, room, take, versioned};
use crate::policy::rampmeter_policy;
use crate::status::rampmeter_status;

/// Kinds of resource that a ledger can have.
pub const RAMPMETER_RESOURCES_MAX: usize = 8;

const _: () = assert!(RAMPMETER_RESOURCES_MAX == RESOURCES_MAX);

/// In place of the number of a resource: none.
pub const RAMPMETER_RESOURCE_NONE: u32 = u32::MAX;

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

/// How full a ledger is. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_ledger {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Accounts open.
    pub accounts: u32,
    /// Accounts that may be open at once.
    pub accounts_max: u32,
    /// 1: an account has a limit of requests or tokens per minute.
    pub has_rate_limits: u32,
}
versioned!(rampmeter_stats_ledger, 16);

/// The accounts, and what is kept about them. One thread at a time may change it; calls with a
/// `const` pointer may run side by side.
pub struct rampmeter_ledger(Guarded<Ledger>);
object!(rampmeter_ledger, Ledger, "ledger");

impl rampmeter_amounts {
    fn core(&self) -> Amounts {
        Amounts(self.of)
    }
}

impl From<Amounts> for rampmeter_amounts {
    fn from(amounts: Amounts) -> Self {
        Self { of: amounts.0 }
    }
}

/// Amounts of the caller.
///
/// # Safety
/// `pointer` is null or may be read.
unsafe fn amounts(
    pointer: *const rampmeter_amounts,
    argument: &'static str,
) -> Result<Amounts, Fault> {
    // SAFETY: passed on; any bits are amounts.
    let given = unsafe { array(pointer, 1, argument)? };
    Ok(given[0].core())
}

/// Accounts by handle, where 0 stands for none.
fn some(account: u64) -> Option<AccountId> {
    (account != 0).then_some(AccountId::from_raw(account))
}

fn raw(account: Option<AccountId>) -> u64 {
    account.map_or(0, AccountId::to_raw)
}

impl rampmeter_ledger_options {
    fn core(&self) -> Result<LedgerOptions, Fault> {
        let default = LedgerOptions::default();
        let accounts_max =
            if self.accounts_max == 0 { default.accounts_max } else { self.accounts_max };
        Ok(LedgerOptions {
            accounts_max,
            lanes: self.lanes,
            resources: self.resources,
            dominant: flag(self.dominant, "dominant")?,
            borrowing: flag(self.borrowing, "borrowing")?,
            half_life: Nanos(self.half_life_ns),
            rates: flag(self.rates, "rates")?,
            names: flag(self.names, "names")?,
            replicas_max: self.replicas_max,
        })
    }
}

impl From<&LedgerOptions> for rampmeter_ledger_options {
    fn from(options: &LedgerOptions) -> Self {
        Self {
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
        }
    }
}

/// The parts that a policy says something about: its `limits.accounts_max` accounts with names, a
/// lane for each class, its resources with all that is kept of them, its half-life, rates if an
/// account has one, and its `limits.replicas_max` others.
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
            out.set((&LedgerOptions::of_policy(policy)).into());
            Ok(())
        })
    }
}

/// Creates a ledger without accounts, with all the memory that it will ever use.
///
/// Fails: E_RANGE, E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the caller's, to be
/// given to rampmeter_ledger_destroy(); NULL on failure. Allocates: yes, rampmeter_ledger_bytes_needed().
/// Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_create(
    options: *const rampmeter_ledger_options,
    out: *mut *mut rampmeter_ledger,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let options = take(options, "options")?.core()?;
            options.validate()?;
            room(Ledger::bytes_needed(&options))?;
            Ok(Ledger::new(&options)?)
        })
    }
}

/// Creates a ledger with the accounts of a policy open, each with its weight, and as far as the
/// options have room for them with its name, its quota, its rates and the key of its names.
/// rampmeter_ledger_at_path() has their handles.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_FULL (more accounts than `accounts_max`), E_DUPLICATE,
/// E_CONTRADICTION (other resources than the policy has), E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership,
/// and so on: as rampmeter_ledger_create(); `policy` is read and not kept. Since: 0.1.
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
            let (policy, options) = (desk(policy)?, take(options, "options")?.core()?);
            options.validate()?;
            room(Ledger::bytes_needed(&options))?;
            Ok(Ledger::from_policy(&options, policy)?)
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

/// Bytes that a ledger of this size takes, to within a few fixed fields. The options need not be in
/// their ranges.
///
/// Fails: E_SIZE, E_TOO_NEW, E_RANGE (a flag), E_POINTER. Allocates: no. Blocks: no. Threads: any.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_bytes_needed(
    options: *const rampmeter_ledger_options,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let out = Out::new(bytes, "bytes")?;
            out.set(Ledger::bytes_needed(&take(options, "options")?.core()?));
            Ok(())
        })
    }
}

/// Size and parts of a ledger, as it was made.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_options_of(
    ledger: *const rampmeter_ledger,
    options: *mut rampmeter_ledger_options,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            OutSized::new(options, "options")?.set(ledger.options().into());
            Ok(())
        })
    }
}

/// How full a ledger is.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_stats(
    ledger: *const rampmeter_ledger,
    stats: *mut rampmeter_stats_ledger,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            OutSized::new(stats, "stats")?.set(rampmeter_stats_ledger {
                size: 0,
                accounts: ledger.accounts_len(),
                accounts_max: ledger.options().accounts_max,
                has_rate_limits: ledger.has_rate_limits().into(),
            });
            Ok(())
        })
    }
}

/// Bytes that rampmeter_ledger_save() will write now.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_snapshot_bytes(
    ledger: *const rampmeter_ledger,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            Out::new(bytes, "bytes")?.set(ledger.snapshot_bytes());
            Ok(())
        })
    }
}

/// Writes all state into `out`; `*written` is its length. Handles of accounts stay good in what is
/// restored from it.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_save(
    ledger: *const rampmeter_ledger,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let written = Out::new(written, "written")?;
            written.set(ledger.save(array_mut(out, capacity, "out")?)?);
            Ok(())
        })
    }
}

/// Creates a ledger from `len` bytes that rampmeter_ledger_save() wrote, which are believed in
/// nothing: damaged or forged ones are refused. `options` must be those that it had.
///
/// Fails: E_SNAPSHOT, and as rampmeter_ledger_create(). Ownership, and so on: as there. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_restore(
    options: *const rampmeter_ledger_options,
    bytes: *const u8,
    len: usize,
    out: *mut *mut rampmeter_ledger,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let options = take(options, "options")?.core()?;
            options.validate()?;
            room(Ledger::bytes_needed(&options))?;
            Ok(Ledger::restore(&options, array(bytes, len, "bytes")?)?)
        })
    }
}
