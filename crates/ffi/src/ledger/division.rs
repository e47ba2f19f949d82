//! Division: how much of each resource is whose.

use rampmeter::share::division::Scratch;
use rampmeter::share::{
    Amounts, Claim, Division, Excess, HistoryDivision, Level, ShareParts, divide_level,
};
use rampmeter::{Error, Nanos};

use super::{rampmeter_amounts, rampmeter_ledger};
use crate::boundary::{answer, change};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, array, array_mut, same_layout, take, versioned};
use crate::status::rampmeter_status;

/// rampmeter_level::excess: everybody keeps its guarantee, and the sum of shares exceeds the total.
pub const RAMPMETER_EXCESS_KEEP: u32 = 0;
/// rampmeter_level::excess: the total is divided in proportion to the guarantees.
pub const RAMPMETER_EXCESS_CUT: u32 = 1;

/// How a ledger divides its capacity. Set all of it to 0, then `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_division {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Elements of `usage`.
    pub usage_len: u32,
    /// How much past usage above an account's share takes from its part, up to 10^6; 0: the past
    /// does not count.
    pub usage_weight: f64,
    /// For each resource, what shares beyond guarantees are whole multiples of; 0: 1.
    pub units: rampmeter_amounts,
    /// rampmeter_ledger_divide(): what each account with everybody below it held on average in the
    /// past, a row of all resources for each place below `accounts_max`. Not read if `usage_weight`
    /// is 0.
    pub usage: *const f64,
    /// rampmeter_ledger_divide_by_history(): what would be recorded of one second in which all of
    /// the capacity is in use, 2^-62 to 2^62, such as 64 where GPU seconds are recorded of 64 GPUs.
    pub usage_per_s_max: f64,
}
versioned!(rampmeter_division, 96);

/// What a fair share of one resource is made of.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_share_parts {
    /// What the account and everybody below it hold and ask for.
    pub wanted: u64,
    /// As much of that as its limit, and those below it, let be served.
    pub request: u64,
    /// As much of the request as its quota guarantees.
    pub guaranteed: u64,
    /// Its fair share.
    pub share: u64,
}

/// What is divided among siblings. Set all of it to 0, then `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_level {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// RAMPMETER_EXCESS_...: what happens when guarantees exceed the total.
    pub excess: u32,
    /// The amount to divide.
    pub total: u64,
    /// Beyond guarantees shares are whole multiples of this; 0: 1.
    pub unit: u64,
    /// As rampmeter_division::usage_weight.
    pub usage_weight: f64,
    /// Must be 0.
    pub reserved: u64,
}
versioned!(rampmeter_level, 40);

/// One of the siblings that one resource is divided among. Everything in it is meant as it stands:
/// 0 is no default here.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_claim {
    /// Names it, and decides the last ties; unique among the siblings.
    pub id: u32,
    /// Siblings of a higher priority take what is left over before others.
    pub over_quota_priority: i32,
    /// Guaranteed; RAMPMETER_UNLIMITED: all that it asks for.
    pub quota: u64,
    /// The most that it may have; RAMPMETER_UNLIMITED: no limit.
    pub limit: u64,
    /// What it holds and asks for.
    pub request: u64,
    /// Its part of what is left over, 0 to 10^12; 0: nothing beyond its quota.
    pub over_quota_weight: f64,
    /// Past usage as a part of the total: 1 for one that had all of it. Not below 0.
    pub usage: f64,
    /// When it was opened, in any order that grows: the oldest takes the remainder first.
    pub opened_at: u64,
    /// The answer.
    pub share: u64,
    /// Room to work in; what stands there means nothing.
    pub scratch: [u64; 4],
}

same_layout!(rampmeter_share_parts = ShareParts { wanted, request, guaranteed, share });
same_layout!(
    rampmeter_claim = Claim {
        id,
        over_quota_priority,
        quota,
        limit,
        request,
        over_quota_weight,
        usage,
        opened_at,
        share,
        scratch
    }
);
const _: () = assert!(size_of::<Scratch>() == 4 * size_of::<u64>());

impl rampmeter_division {
    fn units(&self) -> Amounts {
        Amounts(self.units.of.map(|unit| unit.max(1)))
    }
}

fn excess(given: u32) -> Result<Excess, Fault> {
    match given {
        RAMPMETER_EXCESS_KEEP => Ok(Excess::Keep),
        RAMPMETER_EXCESS_CUT => Ok(Excess::Cut),
        value => Err(Error::Range { field: "excess", value: value.into(), min: 0, max: 1 }.into()),
    }
}

/// Divides the capacity among all accounts: rampmeter_ledger_holding() answers by it from now on.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_BUFFER_TOO_SMALL (fewer than `accounts_max` rows of usage),
/// E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each ledger.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_divide(
    ledger: *mut rampmeter_ledger,
    division: *const rampmeter_division,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let given = take(division, "division")?;
            let is_read = given.usage_weight != 0.0;
            let len = if is_read { given.usage_len as usize } else { 0 };
            Ok(ledger.divide(&Division {
                usage_weight: given.usage_weight,
                usage: array(given.usage, len, "division.usage")?,
                units: given.units(),
            })?)
        })
    }
}

/// The same with past usage out of the history that the ledger keeps, as it counts at `now_ns`.
///
/// Fails: E_TIME_REVERSED, E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_divide_by_history(
    ledger: *mut rampmeter_ledger,
    now_ns: u64,
    division: *const rampmeter_division,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let given = take(division, "division")?;
            let division = HistoryDivision {
                usage_weight: given.usage_weight,
                usage_per_s_max: given.usage_per_s_max,
                units: given.units(),
            };
            Ok(ledger.divide_by_history(Nanos(now_ns), &division)?)
        })
    }
}

/// What the fair share of every account is made of, of one resource: written to `parts` at the
/// place of each open account, of which there are `accounts_max`. Belongs to the last division as
/// long as nothing but time has passed since.
///
/// Fails: E_RANGE, E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_share_parts(
    ledger: *mut rampmeter_ledger,
    resource: u32,
    parts: *mut rampmeter_share_parts,
    capacity: usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let parts = array_mut(parts.cast::<ShareParts>(), capacity, "parts")?;
            Ok(ledger.share_parts(resource, parts)?)
        })
    }
}

/// Divides one resource among siblings, without a ledger: `share` of every claim is set, the claims
/// are put in order of `id`, and `*left` is what nobody wants or may have.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads:
/// any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_divide_level(
    level: *const rampmeter_level,
    claims: *mut rampmeter_claim,
    len: usize,
    left: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let (out, level) = (Out::new(left, "left")?, take(level, "level")?);
            rampmeter::error::check_range("reserved", level.reserved, 0, 0)?;
            let claims = array_mut(claims.cast::<Claim>(), len, "claims")?;
            let level = Level {
                total: level.total,
                unit: level.unit.max(1),
                usage_weight: level.usage_weight,
                excess: excess(level.excess)?,
            };
            out.set(divide_level(&level, claims)?);
            Ok(())
        })
    }
}
