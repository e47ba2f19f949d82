//! Reclaim: who may take from whom, and how much.

use rampmeter::Nanos;
use rampmeter::share::protection::ReclaimLimits;
use rampmeter::share::reclaim::Holding;
use rampmeter::share::{
    AccountId, Amounts, Basis, ReclaimScope, Reclamation, Refusal, RunningJob, Verdict,
};

use super::quotas::{limit, limit_told};
use super::{RAMPMETER_RESOURCE_NONE, rampmeter_amounts, rampmeter_ledger};
use crate::boundary::{change, look};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, OutSized, array_mut, flag, take, versioned};
use crate::status::rampmeter_status;

/// By what right an account takes: it may not.
pub const RAMPMETER_BASIS_NONE: u8 = 0;
/// It is guaranteed what it takes.
pub const RAMPMETER_BASIS_QUOTA: u8 = 1;
/// What it takes is part of its fair share.
pub const RAMPMETER_BASIS_FAIR_SHARE: u8 = 2;
/// Why a job may not be taken: it may.
pub const RAMPMETER_REFUSAL_NONE: u8 = 0;
/// One of the accounts is the other, or stands above it.
pub const RAMPMETER_REFUSAL_SAME_BRANCH: u8 = 1;
/// The job has nothing of what is missing.
pub const RAMPMETER_REFUSAL_NOTHING_WANTED: u8 = 2;
/// The reclaimer, or an account above it, would exceed what it is entitled to.
pub const RAMPMETER_REFUSAL_RECLAIMER_OVER: u8 = 3;
/// The victim, or an account above it, holds no more than it is entitled to (or guaranteed, where
/// the reclaimer goes by that).
pub const RAMPMETER_REFUSAL_VICTIM_WITHIN: u8 = 4;
/// The victim holds no more than it is entitled to, and the job would leave it, or an account above
/// it, less than it is guaranteed.
pub const RAMPMETER_REFUSAL_VICTIM_GUARANTEE: u8 = 5;
/// The job has not run for its least time.
pub const RAMPMETER_REFUSAL_MIN_RUNTIME: u8 = 6;
/// So much work may not be lost now.
pub const RAMPMETER_REFUSAL_BUDGET: u8 = 7;

/// What somebody wants who cannot have it from what is free. Set all of it to 0, then `size`, then
/// what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_reclamation {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Who wants it.
    pub reclaimer: u64,
    /// All that it would hold more than now.
    pub amounts: rampmeter_amounts,
    /// The part of `amounts` that others must give up; the rest is free.
    pub missing: rampmeter_amounts,
}
versioned!(rampmeter_reclamation, 144);

/// A running job, or the smallest part of one that can be ended alone. Set all of it to 0, then
/// `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_running_job {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Must be 0.
    pub reserved: u32,
    /// The account that itself holds what the job runs on.
    pub account: u64,
    /// What it runs on.
    pub amounts: rampmeter_amounts,
    /// When it began to run.
    pub started_ns: u64,
    /// From when on its work would be lost: its last checkpoint; 0: since it began.
    pub saved_ns: u64,
}
versioned!(rampmeter_running_job, 96);

/// How an account, with everybody below it, is protected from reclaim. Set all of it to 0, then
/// `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_reclaim_limits {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 1: `min_runtime_ns` is meant, even if it is 0; 0: it is that of the account above.
    pub min_runtime_known: u8,
    /// Must be 0.
    pub reserved: [u8; 3],
    /// Jobs that have run for less are left alone.
    pub min_runtime_ns: u64,
    /// The most work that may be lost at once, and again in each window, in unit-seconds of each
    /// resource; 0: any; RAMPMETER_NOTHING: none.
    pub loss_budget: rampmeter_amounts,
    /// The time in which the whole budget comes back; 0: an hour.
    pub loss_window_ns: u64,
}
versioned!(rampmeter_reclaim_limits, 88);

/// How far up a reclaimer may look for victims. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_reclaim_scope {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 1: everybody would be within what they are entitled to, up to the top.
    pub fits: u8,
    /// 1: `quota_depth` is meant; 0: the reclaimer would exceed what it is guaranteed.
    pub reaches_by_quota: u8,
    /// 1: `share_depth` is meant; 0: it would exceed what it is entitled to.
    pub reaches_by_share: u8,
    /// 0.
    pub reserved: u8,
    /// Depth of the highest account above the reclaimer below which all would be within what they
    /// are guaranteed; 0: everybody is in reach.
    pub quota_depth: u32,
    /// The same for what they are entitled to.
    pub share_depth: u32,
    /// The first account, from the reclaimer upwards, that would exceed what it is entitled to; 0:
    /// none.
    pub over_account: u64,
    /// What it would hold.
    pub over_held: u64,
    /// What it is entitled to.
    pub over_entitled: u64,
    /// Of which resource; RAMPMETER_RESOURCE_NONE: none.
    pub over_resource: u32,
    /// 0.
    pub reserved_2: u32,
}
versioned!(rampmeter_reclaim_scope, 48);

/// Whether a job may be taken, or why not. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_verdict {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// RAMPMETER_BASIS_...: by what right it may be taken; RAMPMETER_BASIS_NONE: it may not.
    pub basis: u8,
    /// RAMPMETER_REFUSAL_...: why not.
    pub refusal: u8,
    /// 0.
    pub reserved: [u8; 2],
    /// Whose share, guarantee, least run time or budget is against it; 0: nobody's.
    pub account: u64,
    /// What that account holds or would hold, where that is the reason.
    pub held: u64,
    /// What that is compared with; RAMPMETER_UNLIMITED: anything.
    pub entitled: u64,
    /// From when on the least run time or the budget is no longer against it; RAMPMETER_NEVER: the
    /// job loses more than the whole budget.
    pub until_ns: u64,
    /// Of which resource; RAMPMETER_RESOURCE_NONE: none.
    pub resource: u32,
    /// 0.
    pub reserved_2: u32,
    /// If it may: how far the victim's account then is below what it is entitled to, because a job
    /// cannot be divided.
    pub below: rampmeter_amounts,
}
versioned!(rampmeter_verdict, 112);

impl rampmeter_reclamation {
    fn core(&self) -> Result<Reclamation, Fault> {
        rampmeter::error::check_range("reserved", self.reserved.into(), 0, 0)?;
        Ok(Reclamation {
            reclaimer: AccountId::from_raw(self.reclaimer),
            amounts: self.amounts.core(),
            short: self.missing.core(),
        })
    }
}

impl rampmeter_running_job {
    fn core(&self) -> Result<RunningJob, Fault> {
        rampmeter::error::check_range("reserved", self.reserved.into(), 0, 0)?;
        let saved_ns = if self.saved_ns == 0 { self.started_ns } else { self.saved_ns };
        Ok(RunningJob {
            account: AccountId::from_raw(self.account),
            amounts: self.amounts.core(),
            started: Nanos(self.started_ns),
            saved: Nanos(saved_ns),
        })
    }
}

impl rampmeter_reclaim_limits {
    fn core(&self) -> Result<ReclaimLimits, Fault> {
        let reserved = self.reserved.map(u64::from).into_iter().sum();
        rampmeter::error::check_range("reserved", reserved, 0, 0)?;
        let known = flag(self.min_runtime_known, "min_runtime_known")?;
        let default = ReclaimLimits::default().loss_window;
        Ok(ReclaimLimits {
            min_runtime: known.then_some(Nanos(self.min_runtime_ns)),
            loss_budget: Amounts(self.loss_budget.of.map(limit)),
            loss_window: if self.loss_window_ns == 0 {
                default
            } else {
                Nanos(self.loss_window_ns)
            },
        })
    }
}

impl From<ReclaimLimits> for rampmeter_reclaim_limits {
    fn from(limits: ReclaimLimits) -> Self {
        Self {
            size: 0,
            min_runtime_known: limits.min_runtime.is_some().into(),
            reserved: [0; 3],
            min_runtime_ns: limits.min_runtime.map_or(0, Nanos::get),
            loss_budget: rampmeter_amounts { of: limits.loss_budget.0.map(limit_told) },
            loss_window_ns: limits.loss_window.get(),
        }
    }
}

impl From<ReclaimScope> for rampmeter_reclaim_scope {
    fn from(scope: ReclaimScope) -> Self {
        let over = scope.over;
        Self {
            size: 0,
            fits: scope.fits().into(),
            reaches_by_quota: scope.quota_depth.is_some().into(),
            reaches_by_share: scope.share_depth.is_some().into(),
            reserved: 0,
            quota_depth: scope.quota_depth.unwrap_or(0),
            share_depth: scope.share_depth.unwrap_or(0),
            over_account: over.map_or(0, |over| over.account.to_raw()),
            over_held: over.map_or(0, |over| over.held),
            over_entitled: over.map_or(0, |over| over.entitled),
            over_resource: over.map_or(RAMPMETER_RESOURCE_NONE, |over| over.resource),
            reserved_2: 0,
        }
    }
}

const NO_VERDICT: rampmeter_verdict = rampmeter_verdict {
    size: 0,
    basis: RAMPMETER_BASIS_NONE,
    refusal: RAMPMETER_REFUSAL_NONE,
    reserved: [0; 2],
    account: 0,
    held: 0,
    entitled: 0,
    until_ns: 0,
    resource: RAMPMETER_RESOURCE_NONE,
    reserved_2: 0,
    below: rampmeter_amounts { of: [0; super::RAMPMETER_RESOURCES_MAX] },
};

impl From<Verdict> for rampmeter_verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Yes { basis, below } => {
                let basis = match basis {
                    Basis::Quota => RAMPMETER_BASIS_QUOTA,
                    Basis::FairShare => RAMPMETER_BASIS_FAIR_SHARE,
                };
                Self { basis, below: below.into(), ..NO_VERDICT }
            }
            Verdict::No { why } => refused(why),
        }
    }
}

fn refused(why: Refusal) -> rampmeter_verdict {
    let of = |refusal: u8, holding: Holding| rampmeter_verdict {
        refusal,
        account: holding.account.to_raw(),
        held: holding.held,
        entitled: holding.entitled,
        resource: holding.resource,
        ..NO_VERDICT
    };
    match why {
        Refusal::SameBranch => {
            rampmeter_verdict { refusal: RAMPMETER_REFUSAL_SAME_BRANCH, ..NO_VERDICT }
        }
        Refusal::NothingWanted => {
            rampmeter_verdict { refusal: RAMPMETER_REFUSAL_NOTHING_WANTED, ..NO_VERDICT }
        }
        Refusal::ReclaimerOver(holding) => of(RAMPMETER_REFUSAL_RECLAIMER_OVER, holding),
        Refusal::VictimWithin(holding) => of(RAMPMETER_REFUSAL_VICTIM_WITHIN, holding),
        Refusal::VictimGuarantee(holding) => of(RAMPMETER_REFUSAL_VICTIM_GUARANTEE, holding),
        Refusal::MinRuntime { account, until } => rampmeter_verdict {
            refusal: RAMPMETER_REFUSAL_MIN_RUNTIME,
            account: account.to_raw(),
            until_ns: until.get(),
            ..NO_VERDICT
        },
        Refusal::Budget { account, resource, free_at } => rampmeter_verdict {
            refusal: RAMPMETER_REFUSAL_BUDGET,
            account: account.to_raw(),
            until_ns: free_at.get(),
            resource,
            ..NO_VERDICT
        },
    }
}

/// Says how an account is protected from reclaim from now on. What it has lost of late stays lost,
/// and comes back at the new pace.
///
/// Fails: E_STALE, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one
/// at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_set_reclaim_limits(
    ledger: *mut rampmeter_ledger,
    account: u64,
    limits: *const rampmeter_reclaim_limits,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let limits = take(limits, "limits")?.core()?;
            Ok(ledger.set_reclaim_limits(AccountId::from_raw(account), &limits)?)
        })
    }
}

/// How an account is protected from reclaim, as rampmeter_ledger_set_reclaim_limits() takes it.
///
/// Fails: E_STALE, E_RANGE (no resources), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads:
/// any number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_reclaim_limits(
    ledger: *const rampmeter_ledger,
    account: u64,
    limits: *mut rampmeter_reclaim_limits,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = OutSized::new(limits, "limits")?;
            out.set(ledger.reclaim_limits(AccountId::from_raw(account))?.into());
            Ok(())
        })
    }
}

/// What an account alone may still lose of each resource, in whole unit-seconds;
/// RAMPMETER_UNLIMITED where nothing limits it. Those above it may have less left.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no resources), E_POINTER. Allocates: no. Blocks: no.
/// Threads: any number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_loss_left(
    ledger: *const rampmeter_ledger,
    now_ns: u64,
    account: u64,
    left: *mut rampmeter_amounts,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = Out::new(left, "left")?;
            out.set(ledger.loss_left(Nanos(now_ns), AccountId::from_raw(account))?.into());
            Ok(())
        })
    }
}

/// How far up the reclaimer may look for victims. With `missing` the same as `amounts`, `fits` says
/// whether it may have them without anybody above it exceeding what it is entitled to.
///
/// Fails: E_STALE, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: any
/// number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_may_reclaim(
    ledger: *const rampmeter_ledger,
    claim: *const rampmeter_reclamation,
    scope: *mut rampmeter_reclaim_scope,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = OutSized::new(scope, "scope")?;
            out.set(ledger.may_reclaim(&take(claim, "claim")?.core()?)?.into());
            Ok(())
        })
    }
}

/// The accounts that may be asked for what is missing, in the order in which they should give;
/// `*len` of them are written, fewer than `capacity` only if there are no more. Each one takes time
/// in proportion to all accounts; a job that is taken may change the order.
///
/// Fails: E_STALE, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: any
/// number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_victims(
    ledger: *const rampmeter_ledger,
    claim: *const rampmeter_reclamation,
    victims: *mut u64,
    capacity: usize,
    len: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let count = Out::new(len, "len")?;
            let places = array_mut(victims, capacity, "victims")?;
            let found = ledger.victims(&take(claim, "claim")?.core()?)?;
            let mut written = 0;
            for (place, victim) in places.iter_mut().zip(found) {
                *place = victim.to_raw();
                written += 1;
            }
            count.set(written);
            Ok(())
        })
    }
}

/// Whether the reclaimer may have this job ended. Where a claim needs several jobs, try each with
/// rampmeter_ledger_release() and rampmeter_ledger_reclaimed(), and take it back with
/// rampmeter_ledger_allocate() and rampmeter_ledger_reclaim_undone() if not enough comes together;
/// `missing` is what is still missing.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE, E_CONTRADICTION (it was saved before it began, or
/// later than now), E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: any number,
/// while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_reclaimable(
    ledger: *const rampmeter_ledger,
    now_ns: u64,
    claim: *const rampmeter_reclamation,
    job: *const rampmeter_running_job,
    verdict: *mut rampmeter_verdict,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = OutSized::new(verdict, "verdict")?;
            let (claim, job) = (take(claim, "claim")?.core()?, take(job, "job")?.core()?);
            out.set(ledger.reclaimable(Nanos(now_ns), &claim, &job)?.into());
            Ok(())
        })
    }
}

/// The job was taken: the work that it loses is charged to its account and to each one above it
/// that does not hold the reclaimer as well. What the account holds is changed by
/// rampmeter_ledger_release() and rampmeter_ledger_ask().
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE, E_CONTRADICTION, E_SIZE, E_TOO_NEW, E_POINTER.
/// Allocates: no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_reclaimed(
    ledger: *mut rampmeter_ledger,
    now_ns: u64,
    reclaimer: u64,
    job: *const rampmeter_running_job,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let job = take(job, "job")?.core()?;
            Ok(ledger.reclaimed(Nanos(now_ns), AccountId::from_raw(reclaimer), &job)?)
        })
    }
}

/// The job that rampmeter_ledger_reclaimed() charged at the same `now_ns` goes on after all: the
/// charge is given back.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE, E_CONTRADICTION, E_SIZE, E_TOO_NEW, E_POINTER.
/// Allocates: no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_reclaim_undone(
    ledger: *mut rampmeter_ledger,
    now_ns: u64,
    reclaimer: u64,
    job: *const rampmeter_running_job,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let job = take(job, "job")?.core()?;
            Ok(ledger.reclaim_undone(Nanos(now_ns), AccountId::from_raw(reclaimer), &job)?)
        })
    }
}
