//! Quotas: what each account may have of each resource, has, and asks for.

use rampmeter::share::{AccountId, AccountQuota, Amounts};

use super::{RAMPMETER_RESOURCES_MAX, amounts, rampmeter_amounts, rampmeter_ledger, raw};
use crate::boundary::{change, look};
use crate::error::rampmeter_error;
use crate::memory::{Out, OutSized, real, real_told, take, versioned};
use crate::status::rampmeter_status;

/// In place of an amount: as much as there is.
pub const RAMPMETER_UNLIMITED: u64 = u64::MAX;
/// In place of a limit, a lending limit or a budget, where 0 means that there is none: nothing at
/// all.
pub const RAMPMETER_NOTHING: u64 = 0xFFFF_FFFF_FFFF_FFFE;

/// What an account may have of each resource. Set all of it to 0, then `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_quota {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Siblings of a higher priority take what is left over before others.
    pub over_quota_priority: i32,
    /// Guaranteed: its own before anything is divided; RAMPMETER_UNLIMITED: all that it asks for.
    pub quota: rampmeter_amounts,
    /// The most that it may have; 0: no limit; RAMPMETER_NOTHING: it may have none.
    pub limit: rampmeter_amounts,
    /// The most of its quota that others may use while it does not; 0: all; RAMPMETER_NOTHING:
    /// none.
    pub lending_limit: rampmeter_amounts,
    /// Its part of what is left over next to its siblings, up to 10^12; 0: 1; RAMPMETER_ZERO:
    /// nothing beyond its quota.
    pub over_quota_weight: [f64; RAMPMETER_RESOURCES_MAX],
    /// Must be 0.
    pub reserved: u64,
}
versioned!(rampmeter_quota, 272);

/// What an account has of each resource, everybody below it included. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_holding {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// What they hold.
    pub held: rampmeter_amounts,
    /// What they ask for beyond that.
    pub asked: rampmeter_amounts,
    /// What they get of the capacity as it was last divided.
    pub fair_share: rampmeter_amounts,
    /// What there is to divide among all.
    pub capacity: rampmeter_amounts,
}
versioned!(rampmeter_holding, 264);

/// A limit as the caller says it: 0 is none.
pub(super) fn limit(given: u64) -> u64 {
    match given {
        0 => u64::MAX,
        RAMPMETER_NOTHING => 0,
        given => given,
    }
}

/// The same as the core says it.
pub(super) fn limit_told(limit: u64) -> u64 {
    if limit == 0 { RAMPMETER_NOTHING } else { limit }
}

impl From<&rampmeter_quota> for AccountQuota {
    fn from(quota: &rampmeter_quota) -> Self {
        Self {
            quota: Amounts(quota.quota.of),
            limit: Amounts(quota.limit.of.map(limit)),
            lending_limit: Amounts(quota.lending_limit.of.map(limit)),
            over_quota_weight: quota.over_quota_weight.map(|weight| real(weight, 1.0)),
            over_quota_priority: quota.over_quota_priority,
        }
    }
}

impl From<&AccountQuota> for rampmeter_quota {
    fn from(quota: &AccountQuota) -> Self {
        Self {
            size: 0,
            over_quota_priority: quota.over_quota_priority,
            quota: quota.quota.into(),
            limit: rampmeter_amounts { of: quota.limit.0.map(limit_told) },
            lending_limit: rampmeter_amounts { of: quota.lending_limit.0.map(limit_told) },
            over_quota_weight: quota.over_quota_weight.map(real_told),
            reserved: 0,
        }
    }
}

/// Says how much there is to divide.
///
/// Fails: E_RANGE (over 2^62, or a resource that is not there), E_POINTER. Allocates: no. Blocks:
/// no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_set_capacity(
    ledger: *mut rampmeter_ledger,
    capacity: *const rampmeter_amounts,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| Ok(ledger.set_capacity(&amounts(capacity, "capacity")?)?))
    }
}

/// Says what an account may have from now on; what it holds it keeps.
///
/// Fails: E_STALE, E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no.
/// Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_set_quota(
    ledger: *mut rampmeter_ledger,
    account: u64,
    quota: *const rampmeter_quota,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let quota = take(quota, "quota")?;
            rampmeter::error::check_range("reserved", quota.reserved, 0, 0)?;
            Ok(ledger.set_quota(AccountId::from_raw(account), &(&quota).into())?)
        })
    }
}

/// What an account may have, as rampmeter_ledger_set_quota() takes it.
///
/// Fails: E_STALE, E_RANGE (no resources), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads:
/// any number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_quota(
    ledger: *const rampmeter_ledger,
    account: u64,
    quota: *mut rampmeter_quota,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = OutSized::new(quota, "quota")?;
            out.set((&ledger.quota(AccountId::from_raw(account))?).into());
            Ok(())
        })
    }
}

/// The first account, from this one upwards, that would hold more than its limit if this one held
/// so much more; `*over` is 0 if nobody would.
///
/// Fails: E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_first_over_limit(
    ledger: *const rampmeter_ledger,
    account: u64,
    given: *const rampmeter_amounts,
    over: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let (out, more) = (Out::new(over, "over")?, amounts(given, "given")?);
            out.set(raw(ledger.first_over_limit(AccountId::from_raw(account), &more)?));
            Ok(())
        })
    }
}

/// The account asks for so much more than it holds.
///
/// Fails: E_STALE, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
/// ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_ask(
    ledger: *mut rampmeter_ledger,
    account: u64,
    given: *const rampmeter_amounts,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            Ok(ledger.ask(AccountId::from_raw(account), &amounts(given, "given")?)?)
        })
    }
}

/// The account no longer asks for so much: it was given, or is not wanted any more.
///
/// Fails: E_STALE, E_RANGE (more than the account itself asked for), E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_withdraw(
    ledger: *mut rampmeter_ledger,
    account: u64,
    given: *const rampmeter_amounts,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            Ok(ledger.withdraw(AccountId::from_raw(account), &amounts(given, "given")?)?)
        })
    }
}

/// The account holds so much more. Whether it may is asked first, by rampmeter_ledger_may_reclaim()
/// or rampmeter_ledger_first_over_limit(): what really happened is not refused.
///
/// Fails: E_STALE, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
/// ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_allocate(
    ledger: *mut rampmeter_ledger,
    account: u64,
    given: *const rampmeter_amounts,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            Ok(ledger.allocate(AccountId::from_raw(account), &amounts(given, "given")?)?)
        })
    }
}

/// The account holds so much less.
///
/// Fails: E_STALE, E_RANGE (more than the account itself holds), E_POINTER. Allocates: no. Blocks:
/// no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_release(
    ledger: *mut rampmeter_ledger,
    account: u64,
    given: *const rampmeter_amounts,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            Ok(ledger.release(AccountId::from_raw(account), &amounts(given, "given")?)?)
        })
    }
}

/// What an account and everybody below it hold, ask for, and got when the capacity was last
/// divided.
///
/// Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_holding(
    ledger: *const rampmeter_ledger,
    account: u64,
    holding: *mut rampmeter_holding,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let (out, account) = (OutSized::new(holding, "holding")?, AccountId::from_raw(account));
            out.set(rampmeter_holding {
                size: 0,
                reserved: 0,
                held: ledger.held(account)?.into(),
                asked: ledger.asked(account)?.into(),
                fair_share: ledger.fair_share(account)?.into(),
                capacity: (*ledger.capacity()).into(),
            });
            Ok(())
        })
    }
}
