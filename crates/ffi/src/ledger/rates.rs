//! Rates: how many requests and tokens an account may bring in per minute.

use rampmeter::Nanos;
use rampmeter::share::{AccountId, RateDecision, RateKind};

use super::rampmeter_ledger;
use crate::batcher::rampmeter_rate_limits;
use crate::boundary::{change, look};
use crate::error::rampmeter_error;
use crate::memory::{Out, OutSized, take};
use crate::status::rampmeter_status;

/// Which limit holds a request up: none.
pub const RAMPMETER_RATE_WITHIN: u32 = 0;
/// Requests per minute.
pub const RAMPMETER_RATE_REQUESTS: u32 = 1;
/// Tokens per minute.
pub const RAMPMETER_RATE_TOKENS: u32 = 2;

/// Whether a request is within the limits of its account and of all above it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_rate_decision {
    /// Whose limit holds it up longest; 0: it is within all.
    pub account: u64,
    /// In how long it is within all of them, exactly, if nobody takes before.
    pub retry_after_ns: u64,
    /// RAMPMETER_RATE_...
    pub limit: u32,
    /// 0.
    pub reserved: u32,
}

impl From<RateDecision> for rampmeter_rate_decision {
    fn from(decision: RateDecision) -> Self {
        match decision {
            RateDecision::Within => {
                Self { account: 0, retry_after_ns: 0, limit: RAMPMETER_RATE_WITHIN, reserved: 0 }
            }
            RateDecision::Over { limit, account, retry_after } => Self {
                account: account.to_raw(),
                retry_after_ns: retry_after.get(),
                limit: match limit {
                    RateKind::Requests => RAMPMETER_RATE_REQUESTS,
                    RateKind::Tokens => RAMPMETER_RATE_TOKENS,
                },
                reserved: 0,
            },
        }
    }
}

/// Sets how much an account and everybody below it may bring in, from now on. What its buckets hold
/// or owe they keep, as far as it fits.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no rates), E_SIZE, E_TOO_NEW, E_POINTER. Allocates:
/// no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_set_rates(
    ledger: *mut rampmeter_ledger,
    now_ns: u64,
    account: u64,
    limits: *const rampmeter_rate_limits,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let limits = take(limits, "limits")?.core();
            Ok(ledger.set_rates(Nanos(now_ns), AccountId::from_raw(account), &limits)?)
        })
    }
}

/// What was set last; all 0 but `burst_ns` before.
///
/// Fails: E_STALE, E_RANGE (no rates), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any
/// number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_rates(
    ledger: *const rampmeter_ledger,
    account: u64,
    limits: *mut rampmeter_rate_limits,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = OutSized::new(limits, "limits")?;
            out.set(ledger.rates(AccountId::from_raw(account))?.into());
            Ok(())
        })
    }
}

/// One request with so many tokens comes in: takes it out of the buckets of its account and of
/// everybody above it if all of them hold enough, and else out of none.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no rates), E_POINTER. Allocates: no. Blocks: no.
/// Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_admit_rate(
    ledger: *mut rampmeter_ledger,
    now_ns: u64,
    account: u64,
    tokens: u64,
    decision: *mut rampmeter_rate_decision,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let out = Out::new(decision, "decision")?;
            let account = AccountId::from_raw(account);
            out.set(ledger.admit_rate(Nanos(now_ns), account, tokens)?.into());
            Ok(())
        })
    }
}

/// What rampmeter_ledger_admit_rate() would answer; takes nothing.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no rates), E_POINTER. Allocates: no. Blocks: no.
/// Threads: any number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_rate_check(
    ledger: *const rampmeter_ledger,
    now_ns: u64,
    account: u64,
    tokens: u64,
    decision: *mut rampmeter_rate_decision,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = Out::new(decision, "decision")?;
            let account = AccountId::from_raw(account);
            out.set(ledger.rate_check(Nanos(now_ns), account, tokens)?.into());
            Ok(())
        })
    }
}

/// Takes tokens that have come out already, whether they are there or not: an account that owes
/// some brings nothing in until time has paid them.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no rates), E_POINTER. Allocates: no. Blocks: no.
/// Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_charge_rate(
    ledger: *mut rampmeter_ledger,
    now_ns: u64,
    account: u64,
    tokens: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            Ok(ledger.charge_rate(Nanos(now_ns), AccountId::from_raw(account), tokens)?)
        })
    }
}

/// Gives back requests and tokens that were taken and then not used.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no rates), E_POINTER. Allocates: no. Blocks: no.
/// Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_refund_rate(
    ledger: *mut rampmeter_ledger,
    now_ns: u64,
    account: u64,
    requests: u32,
    tokens: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let account = AccountId::from_raw(account);
            Ok(ledger.refund_rate(Nanos(now_ns), account, requests, tokens)?)
        })
    }
}
