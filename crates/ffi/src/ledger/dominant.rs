//! Dominant shares and borrowing: who needs its next task most, and who borrowed most.

use std::cmp::Ordering;

use rampmeter::share::{AccountId, DominantShare, ResourceShares};

use super::{
    RAMPMETER_RESOURCE_NONE, RAMPMETER_RESOURCES_MAX, amounts, rampmeter_amounts, rampmeter_ledger,
    raw,
};
use crate::boundary::{answer, change, look};
use crate::error::rampmeter_error;
use crate::memory::{Out, OutSized, array, versioned};
use crate::status::rampmeter_status;

/// The largest share of an account, and of what.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_dominant {
    /// 0 if it holds nothing.
    pub share: f64,
    /// The first resource with that share; RAMPMETER_RESOURCE_NONE if it holds nothing.
    pub resource: u32,
    /// 0.
    pub reserved: u32,
}

/// What an account holds, everybody below it included, as shares. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_dominance {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Resources, so many of `shares`.
    pub shares_len: u32,
    /// The largest share of the capacity, divided by the weight of the account.
    pub weighted: rampmeter_dominant,
    /// The largest share of what it is entitled to: its quota, else its limit, else the capacity.
    /// Over 1 where it holds more.
    pub entitled: rampmeter_dominant,
    /// The level by which it competes with its siblings; 0 in a ledger that keeps no turns.
    pub level: f64,
    /// The shares of the capacity, the largest first; weights do not count.
    pub shares: [f64; RAMPMETER_RESOURCES_MAX],
    /// 0.
    pub reserved: u64,
}
versioned!(rampmeter_dominance, 120);

/// How much an account has borrowed of what others lend.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_borrowed {
    /// The largest part of what can be borrowed, in thousandths, rounded up, divided by the weight;
    /// 0: it has borrowed nothing.
    pub permille: u64,
    /// The first resource with that part; RAMPMETER_RESOURCE_NONE if nothing is borrowed.
    pub resource: u32,
    /// 1: something is borrowed.
    pub borrowing: u32,
}

impl From<DominantShare> for rampmeter_dominant {
    fn from(dominant: DominantShare) -> Self {
        let resource = dominant.resource.unwrap_or(RAMPMETER_RESOURCE_NONE);
        Self { share: dominant.share, resource, reserved: 0 }
    }
}

/// What an account holds, as shares.
///
/// Fails: E_STALE, E_RANGE (no resources), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads:
/// any number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_dominance(
    ledger: *const rampmeter_ledger,
    account: u64,
    dominance: *mut rampmeter_dominance,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = OutSized::new(dominance, "dominance")?;
            let account = AccountId::from_raw(account);
            let sorted = ledger.resource_shares(account)?;
            let mut shares = [0.0; RAMPMETER_RESOURCES_MAX];
            shares[..sorted.as_slice().len()].copy_from_slice(sorted.as_slice());
            let keeps_turns = ledger.options().dominant;
            out.set(rampmeter_dominance {
                size: 0,
                shares_len: sorted.as_slice().len() as u32,
                weighted: ledger.dominant_share(account)?.into(),
                entitled: ledger.entitled_share(account)?.into(),
                level: if keeps_turns { ledger.dominant_level(account)? } else { 0.0 },
                shares,
                reserved: 0,
            });
            Ok(())
        })
    }
}

/// Compares two lists of at most RAMPMETER_RESOURCES_MAX shares, in any order: their largest, then
/// their second, and so on. `*order` is -1 where the first list has less, 1 where it has more, else
/// 0; `*ratio` is how many times as large its largest is as that of the other.
///
/// Fails: E_BUFFER_TOO_SMALL (more than so many), E_RANGE_REAL (not a number), E_POINTER.
/// Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_compare_shares(
    shares: *const f64,
    shares_len: usize,
    other: *const f64,
    other_len: usize,
    order: *mut i32,
    ratio: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let (to_order, to_ratio) = (Out::new(order, "order")?, Out::new(ratio, "ratio")?);
            let one = ResourceShares::new(array(shares, shares_len, "shares")?)?;
            let other = ResourceShares::new(array(other, other_len, "other")?)?;
            to_order.set(match one.compare(&other) {
                Ordering::Less => -1,
                Ordering::Equal => 0,
                Ordering::Greater => 1,
            });
            to_ratio.set(one.ratio(&other));
            Ok(())
        })
    }
}

/// Says which task the account itself would be given next; NULL: it wants nothing, or what it wants
/// cannot be given now. It stays so until this is called again.
///
/// Fails: E_STALE, E_RANGE (amounts, or a ledger that keeps no turns), E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_set_next_task(
    ledger: *mut rampmeter_ledger,
    account: u64,
    task: *const rampmeter_amounts,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let task = if task.is_null() { None } else { Some(amounts(task, "task")?) };
            Ok(ledger.set_next_task(AccountId::from_raw(account), task.as_ref())?)
        })
    }
}

/// The task that the account itself would be given next; `*has_task` is 0, and all amounts 0, if it
/// has none.
///
/// Fails: E_STALE, E_RANGE (it keeps no turns), E_POINTER. Allocates: no. Blocks: no. Threads: any
/// number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_next_task(
    ledger: *const rampmeter_ledger,
    account: u64,
    task: *mut rampmeter_amounts,
    has_task: *mut u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let (out, has) = (Out::new(task, "task")?, Out::new(has_task, "has_task")?);
            let task = ledger.next_task(AccountId::from_raw(account))?;
            has.set(task.is_some().into());
            out.set(task.unwrap_or_default().into());
            Ok(())
        })
    }
}

/// The account whose next task should be given now; `*account` is 0 if nobody has one. If the task
/// does not fit, say so by rampmeter_ledger_set_next_task() with NULL, and it is somebody else's
/// turn.
///
/// Fails: E_RANGE (it keeps no turns), E_POINTER. Allocates: no. Blocks: no. Threads: any number,
/// while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_most_deserving(
    ledger: *const rampmeter_ledger,
    account: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = Out::new(account, "account")?;
            out.set(raw(ledger.most_deserving()?));
            Ok(())
        })
    }
}

/// How much an account has borrowed, with everybody below it, of what others lend; as if it held
/// `more` on top of what it holds, unless that is NULL.
///
/// Fails: E_STALE, E_RANGE (amounts, or a ledger that does not keep it), E_POINTER. Allocates: no.
/// Blocks: no. Threads: any number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_borrowed(
    ledger: *const rampmeter_ledger,
    account: u64,
    more: *const rampmeter_amounts,
    borrowed: *mut rampmeter_borrowed,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = Out::new(borrowed, "borrowed")?;
            let account = AccountId::from_raw(account);
            let share = if more.is_null() {
                ledger.borrowed_share(account)?
            } else {
                ledger.borrowed_share_with(account, &amounts(more, "more")?)?
            };
            out.set(rampmeter_borrowed {
                permille: share.permille,
                resource: share.resource.unwrap_or(RAMPMETER_RESOURCE_NONE),
                borrowing: share.borrowing.into(),
            });
            Ok(())
        })
    }
}
