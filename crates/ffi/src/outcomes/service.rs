//! Service: who was served how much, and how far apart accounts were that waited together.

use rampmeter::outcome::{Work, measures};
use rampmeter::{Error, Nanos};

use super::{by_index, rampmeter_outcomes};
use crate::boundary::{answer, change, look};
use crate::error::rampmeter_error;
use crate::memory::{Out, OutSized, array, flag, take, versioned};
use crate::status::rampmeter_status;

/// Tokens that an account was served. Set all of it to 0, then `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_work {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Prompt tokens computed.
    pub prompt_tokens: u64,
    /// Prompt tokens found in the cache.
    pub cached_tokens: u64,
    /// Tokens produced.
    pub output_tokens: u64,
}
versioned!(rampmeter_work, 32);

/// How far apart accounts were that waited together. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_difference {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Largest difference in weighted service of any pair at any time.
    pub difference_max: f64,
    /// Mean difference over time and pairs; 0 when no two accounts waited together.
    pub difference_mean: f64,
    /// Seconds that pairs were backlogged together, summed over pairs.
    pub compared_pair_s: f64,
    /// Times that an account became backlogged and was not compared, for want of room.
    pub uncompared: u64,
}
versioned!(rampmeter_difference, 40);

/// An account was served so much, all of it by `now_ns`.
///
/// Fails: E_TIME_REVERSED, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no.
/// Threads: one at a time for each outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_served(
    outcomes: *mut rampmeter_outcomes,
    now_ns: u64,
    account_index: u32,
    work: *const rampmeter_work,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(outcomes, error, |outcomes| {
            let work = take(work, "work")?;
            rampmeter::error::check_range("reserved", work.reserved.into(), 0, 0)?;
            let work = Work {
                prompt_tokens: work.prompt_tokens,
                cached_tokens: work.cached_tokens,
                output_tokens: work.output_tokens,
            };
            Ok(outcomes.served(Nanos(now_ns), account_index, work).map_err(by_index)?)
        })
    }
}

/// An account has requests waiting from `now_ns` on (1), or has none any more (0). Saying so twice
/// does no harm.
///
/// Fails: E_TIME_REVERSED, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_set_backlogged(
    outcomes: *mut rampmeter_outcomes,
    now_ns: u64,
    account_index: u32,
    backlogged: u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(outcomes, error, |outcomes| {
            let backlogged = flag(backlogged, "backlogged")?;
            Ok(outcomes
                .set_backlogged(Nanos(now_ns), account_index, backlogged)
                .map_err(by_index)?)
        })
    }
}

/// How far apart accounts were, up to now; what was observed reaches to now as well.
///
/// Fails: E_TIME_REVERSED, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_difference(
    outcomes: *mut rampmeter_outcomes,
    now_ns: u64,
    difference: *mut rampmeter_difference,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(outcomes, error, |outcomes| {
            let out = OutSized::new(difference, "difference")?;
            let told = outcomes.difference(Nanos(now_ns))?;
            out.set(rampmeter_difference {
                size: 0,
                reserved: 0,
                difference_max: told.max,
                difference_mean: told.mean,
                compared_pair_s: told.compared_pair_s,
                uncompared: told.uncompared,
            });
            Ok(())
        })
    }
}

/// What an account was served in all, and its service over its present weight.
///
/// Fails: E_RANGE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_work(
    outcomes: *const rampmeter_outcomes,
    account_index: u32,
    work: *mut rampmeter_work,
    weighted_service: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(outcomes, error, |outcomes| {
            let out = OutSized::new(work, "work")?;
            let to_service = Out::new(weighted_service, "weighted_service")?;
            let books = outcomes.service();
            let known = books.work(account_index).zip(books.weighted_service(account_index));
            let (work, service) = known.ok_or(Error::Range {
                field: "account_index",
                value: account_index.into(),
                min: 0,
                max: u64::from(books.accounts_max()) - 1,
            })?;
            out.set(rampmeter_work {
                size: 0,
                reserved: 0,
                prompt_tokens: work.prompt_tokens,
                cached_tokens: work.cached_tokens,
                output_tokens: work.output_tokens,
            });
            to_service.set(service);
            Ok(())
        })
    }
}

/// Sets the weight of an account that is opened at run time.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_set_weight(
    outcomes: *mut rampmeter_outcomes,
    account_index: u32,
    weight: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(outcomes, error, |outcomes| {
            Ok(outcomes.set_weight(account_index, weight).map_err(by_index)?)
        })
    }
}

/// Forgets an account, so that its place can be given to another. Its requests stay in the books of
/// their classes.
///
/// Fails: E_TIME_REVERSED, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_forget_account(
    outcomes: *mut rampmeter_outcomes,
    now_ns: u64,
    account_index: u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(outcomes, error, |outcomes| {
            Ok(outcomes.forget_account(Nanos(now_ns), account_index).map_err(by_index)?)
        })
    }
}

/// Some GPU was busy for so long: an effect, kept to be shown.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each outcomes. Since:
/// 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_add_gpu_busy(
    outcomes: *mut rampmeter_outcomes,
    busy_ns: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(outcomes, error, |outcomes| {
            outcomes.add_gpu_busy(Nanos(busy_ns));
            Ok(())
        })
    }
}

/// Jain's index of what parties got, from 1/n (one got all) to 1 (all got the same, or nobody
/// anything).
///
/// Fails: E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_jain(
    values: *const f64,
    len: usize,
    index: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let out = Out::new(index, "index")?;
            out.set(measures::jain(array(values, len, "values")?)?);
            Ok(())
        })
    }
}

/// The time that a job took on the shared cluster over what it would have taken on its own share:
/// above 1 it would have been better off alone.
///
/// Fails: E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_finish_time_fairness(
    shared_s: f64,
    alone_s: f64,
    ratio: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let out = Out::new(ratio, "ratio")?;
            out.set(measures::finish_time_fairness(shared_s, alone_s)?);
            Ok(())
        })
    }
}
