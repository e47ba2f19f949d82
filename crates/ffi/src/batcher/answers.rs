//! Answers: what a batcher holds, how sure it is, and why a request waits.

use rampmeter::batch::RequestId;
use rampmeter::{Nanos, error};

use super::rampmeter_batcher;
use crate::boundary::look;
use crate::engine::RAMPMETER_STEP_COEFFICIENTS;
use crate::error::rampmeter_error;
use crate::memory::{OutSized, versioned};
use crate::status::rampmeter_status;

/// Why a request has no seat: nobody is in line.
pub const RAMPMETER_REASON_NOBODY: u8 = 0;
/// It has one.
pub const RAMPMETER_REASON_RUNNING: u8 = 1;
/// A prefill engine is done with it.
pub const RAMPMETER_REASON_HANDED_OVER: u8 = 2;
/// It has ended.
pub const RAMPMETER_REASON_ENDED: u8 = 3;
/// It is first in line, and nothing is known to be against it: the next step lets it in.
pub const RAMPMETER_REASON_NEXT: u8 = 4;
/// It is first in line; all seats are taken.
pub const RAMPMETER_REASON_SEATS: u8 = 5;
/// It is first in line; the step formed last had no tokens or no time left for it.
pub const RAMPMETER_REASON_STEP_BUDGET: u8 = 6;
/// It is first in line; somebody had to give way, so the step formed last let nobody in.
pub const RAMPMETER_REASON_GAVE_WAY: u8 = 7;
/// It is first in line; as many steps are in flight as may be.
pub const RAMPMETER_REASON_STEPS_IN_FLIGHT: u8 = 8;
/// Something of its own keeps it out: see `obstacle`.
pub const RAMPMETER_REASON_OBSTACLE: u8 = 9;
/// It stood aside; its obstacle is gone, and it is back in line with the next step.
pub const RAMPMETER_REASON_COMES_BACK: u8 = 10;
/// It waited for too long: it is given up when a step next comes to it.
pub const RAMPMETER_REASON_EXPIRED: u8 = 11;
/// Another class goes first: an earlier one, or one that is owed service.
pub const RAMPMETER_REASON_CLASS: u8 = 12;
/// Requests of its class that lost their KV in the middle of an answer go first.
pub const RAMPMETER_REASON_INTERRUPTED: u8 = 13;
/// It is the turn of other accounts.
pub const RAMPMETER_REASON_ACCOUNT: u8 = 14;
/// Late requests that their account owes service go first.
pub const RAMPMETER_REASON_LATE_SHARE: u8 = 15;
/// It can no longer meet its target; those that can go first.
pub const RAMPMETER_REASON_LATE: u8 = 16;
/// Others of its class, whose account has its turn, too, are due earlier.
pub const RAMPMETER_REASON_ORDER: u8 = 17;

/// What a batcher holds and how full it is. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_batcher {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Requests that wait, late and preempted ones included.
    pub waiting: u32,
    /// Of these, requests that can no longer meet their time to first token.
    pub late: u32,
    /// Requests with a seat.
    pub running: u32,
    /// Requests known, those that ended in a step still in flight included.
    pub requests: u32,
    /// Capacity for them.
    pub requests_max: u32,
    /// Seats.
    pub running_max: u32,
    /// Accounts open.
    pub accounts: u32,
    /// Steps formed and not yet observed.
    pub steps_in_flight: u32,
    /// Free KV blocks.
    pub kv_blocks_free: u32,
    /// KV blocks in all.
    pub kv_blocks: u32,
    /// Blocks in the swap space.
    pub kv_blocks_swapped: u32,
    /// Requests turned away so far.
    pub shed: u64,
    /// Requests given up so far because they waited for too long.
    pub expired: u64,
}
versioned!(rampmeter_stats_batcher, 64);

/// How much of a class waits. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_class {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Requests that wait.
    pub waiting: u32,
    /// Of these, requests that can no longer meet their time to first token.
    pub late: u32,
    /// 0.
    pub reserved: u32,
    /// Prompt tokens that wait to be computed.
    pub waiting_tokens: u64,
    /// Prompt tokens a second that were let in of late; 0: nothing was yet.
    pub drain_tokens_per_s: f64,
}
versioned!(rampmeter_stats_class, 32);

/// How well the step times are known. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_model {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 1: it learns; 0: the policy keeps the step times as they were given, and the rest is 0.
    pub learns: u32,
    /// Steps learned from.
    pub samples: u64,
    /// Those whose duration was too far off to be believed whole.
    pub limited: u64,
    /// Mean of |predicted / observed - 1| over about the last hundred steps of each kind.
    pub error_ratio: f64,
    /// The same over steps with prompts.
    pub error_ratio_prefill: f64,
    /// Time of a typical step by what was learned over that by what was given.
    pub time_scale: f64,
    /// For each coefficient how far it is known from steps: 0 (as given) towards 1.
    pub determined_ratio: [f64; RAMPMETER_STEP_COEFFICIENTS],
}
versioned!(rampmeter_stats_model, 104);

/// Why a request is not in the batch, and when it will be. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_explanation {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Requests that go before it as things stand.
    pub ahead_requests: u32,
    /// Prompt tokens that those ahead have to compute.
    pub ahead_tokens: u64,
    /// When it should get its seat; RAMPMETER_NEVER: not known, or it does not wait.
    pub predicted_start_ns: u64,
    /// Who is first in line; 0: nobody.
    pub head: u64,
    /// Weighted service of its account in its class, at the level at which it is furthest ahead.
    pub account_counter: f64,
    /// The smallest counter there.
    pub account_counter_min: f64,
    /// How far beyond that it may be and still have its turn.
    pub credit: f64,
    /// Class of the head.
    pub head_class_index: u32,
    /// RAMPMETER_REASON_...: why it has no seat.
    pub reason: u8,
    /// RAMPMETER_OBSTACLE_..., where that is the reason.
    pub obstacle: u8,
    /// RAMPMETER_STAGE_...: where it is.
    pub stage: u8,
    /// RAMPMETER_REASON_...: what keeps the head out.
    pub head_reason: u8,
    /// RAMPMETER_OBSTACLE_..., where that is the head's reason.
    pub head_obstacle: u8,
    /// 1: its class is owed service; the first of that class goes before all classes.
    pub class_is_owed: u8,
    /// 1: its account owes service to its late requests in this class.
    pub late_is_owed: u8,
    /// 0.
    pub reserved: [u8; 5],
}
versioned!(rampmeter_explanation, 72);

/// What the batcher holds and how full it is.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_stats(
    batcher: *const rampmeter_batcher,
    stats: *mut rampmeter_stats_batcher,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(batcher, error, |batcher| {
            let (out, stats) = (OutSized::new(stats, "stats")?, batcher.stats());
            out.set(rampmeter_stats_batcher {
                size: 0,
                waiting: stats.waiting,
                late: stats.late,
                running: stats.running,
                requests: stats.requests,
                requests_max: stats.requests_max,
                running_max: stats.running_max,
                accounts: stats.accounts,
                steps_in_flight: stats.steps_in_flight,
                kv_blocks_free: stats.kv_blocks_free.get(),
                kv_blocks: stats.kv_blocks.get(),
                kv_blocks_swapped: stats.kv_blocks_swapped.get(),
                shed: stats.shed,
                expired: stats.expired,
            });
            Ok(())
        })
    }
}

/// How much of a class waits, and how fast it drains.
///
/// Fails: E_RANGE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_class_stats(
    batcher: *const rampmeter_batcher,
    class_index: u32,
    stats: *mut rampmeter_stats_class,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(batcher, error, |batcher| {
            let out = OutSized::new(stats, "stats")?;
            error::check_range("class_index", class_index.into(), 0, u16::MAX.into())?;
            let stats = batcher.class_stats(class_index as u16)?;
            out.set(rampmeter_stats_class {
                size: 0,
                waiting: stats.waiting,
                late: stats.late,
                reserved: 0,
                waiting_tokens: stats.waiting_tokens,
                drain_tokens_per_s: stats.drain_tokens_per_s,
            });
            Ok(())
        })
    }
}

/// How well the step times are known.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_model_stats(
    batcher: *const rampmeter_batcher,
    stats: *mut rampmeter_stats_model,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(batcher, error, |batcher| {
            let out = OutSized::new(stats, "stats")?;
            let nothing = rampmeter_stats_model {
                size: 0,
                learns: 0,
                samples: 0,
                limited: 0,
                error_ratio: 0.0,
                error_ratio_prefill: 0.0,
                time_scale: 0.0,
                determined_ratio: [0.0; RAMPMETER_STEP_COEFFICIENTS],
            };
            out.set(batcher.model_stats().map_or(nothing, |stats| rampmeter_stats_model {
                learns: 1,
                samples: stats.samples,
                limited: stats.limited,
                error_ratio: stats.error_ratio,
                error_ratio_prefill: stats.error_ratio_prefill,
                time_scale: stats.time_scale,
                determined_ratio: stats.determined_ratio,
                ..nothing
            }));
            Ok(())
        })
    }
}

/// Why a request is not in the batch, and when it will be. Takes time in proportion to what waits.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any
/// number, while nobody changes the batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_explain(
    batcher: *const rampmeter_batcher,
    now_ns: u64,
    request: u64,
    explanation: *mut rampmeter_explanation,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(batcher, error, |batcher| {
            let out = OutSized::new(explanation, "explanation")?;
            let why = batcher.explain(Nanos(now_ns), RequestId::from_raw(request))?;
            out.set(rampmeter_explanation {
                size: 0,
                ahead_requests: why.ahead_requests,
                ahead_tokens: why.ahead_tokens,
                predicted_start_ns: why.predicted_start.get(),
                head: why.head.to_raw(),
                account_counter: why.account_counter,
                account_counter_min: why.account_counter_min,
                credit: why.credit,
                head_class_index: why.head_class.into(),
                reason: why.reason as u8,
                obstacle: why.obstacle as u8,
                stage: why.stage as u8,
                head_reason: why.head_reason as u8,
                head_obstacle: why.head_obstacle as u8,
                class_is_owed: why.class_is_owed.into(),
                late_is_owed: why.late_is_owed.into(),
                reserved: [0; 5],
            });
            Ok(())
        })
    }
}
