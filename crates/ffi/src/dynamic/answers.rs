//! Answers: what a dynamic batcher holds, what it has learned, and why a request is where it is.

use rampmeter::batch::dynamic::RequestId;
use rampmeter::engine::LatencyCurve;
use rampmeter::{Error, Nanos};

use super::batches::why;
use super::rampmeter_dynamic;
use crate::batcher::RAMPMETER_NEVER;
use crate::boundary::look;
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, OutSized, versioned};
use crate::status::rampmeter_status;

/// Where a request is: it waits, and can still be in time.
pub const RAMPMETER_DYNAMIC_STAGE_WAITING: u8 = 0;
/// It has expired and waits behind its class.
pub const RAMPMETER_DYNAMIC_STAGE_DELAYED: u8 = 1;
/// It waits, and its deadline is lost.
pub const RAMPMETER_DYNAMIC_STAGE_LATE: u8 = 2;
/// It is in a batch.
pub const RAMPMETER_DYNAMIC_STAGE_RUNNING: u8 = 3;
/// It was cancelled while in a batch.
pub const RAMPMETER_DYNAMIC_STAGE_CANCELLED: u8 = 4;

/// What a dynamic batcher holds, how full it is, and what it did so far. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_dynamic {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Requests that wait, late ones included.
    pub waiting: u32,
    /// Of these, requests whose deadline is lost.
    pub late: u32,
    /// Requests known, running ones included.
    pub requests: u32,
    /// Capacity for them.
    pub requests_max: u32,
    /// Batches that run.
    pub batches_running: u32,
    /// Accounts open.
    pub accounts: u32,
    /// 0.
    pub reserved: u32,
    /// Batches launched so far.
    pub batches: u64,
    /// Requests launched so far.
    pub launched: u64,
    /// Requests that expired so far.
    pub expired: u64,
    /// Requests turned away so far.
    pub shed: u64,
}
versioned!(rampmeter_stats_dynamic, 64);

/// The latency curve of a bucket, as learned so far. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_curve {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 1: it changes with what is observed.
    pub learns: u32,
    /// Seconds of a batch of the size asked for.
    pub seconds: f64,
    /// Batches observed, over all sizes.
    pub samples: u64,
    /// Recent batches that speak for this size: 0 if it rests on others and on what was given, at
    /// most 64.
    pub weight: f64,
    /// Mean deviation of observed batches from the curve, as a part of its prediction.
    pub spread_ratio: f64,
    /// The most requests a second that batches of up to this size serve.
    pub best_rate_per_s: f64,
    /// The size that does.
    pub best_size: u32,
    /// The next larger size at which the slope changes; 0: none.
    pub next_knot: u32,
}
versioned!(rampmeter_stats_curve, 56);

/// Where a request is, and what was last decided for its bucket. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_dynamic_explanation {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Requests in time that wait in its bucket, itself included if it is one.
    pub waiting: u32,
    /// Late ones there.
    pub late: u32,
    /// Requests that were to be launched when its bucket was last decided about; 0: it was to wait.
    pub launch_size: u32,
    /// When its answer is due; RAMPMETER_NEVER: at no time.
    pub deadline_ns: u64,
    /// The last moment at which it could be launched alone and be in time; RAMPMETER_NEVER: there
    /// is none.
    pub latest_launch_ns: u64,
    /// Arrivals a second in its bucket, as estimated.
    pub rate_per_s: f64,
    /// Seconds that were to be waited for more.
    pub wait_s: f64,
    /// Value-seconds that launching was expected to cost.
    pub launch_cost: f64,
    /// Value-seconds that the best waiting was expected to cost; infinite if there was none.
    pub wait_cost: f64,
    /// RAMPMETER_DYNAMIC_STAGE_...
    pub stage: u8,
    /// RAMPMETER_DYNAMIC_WHY_...
    pub why: u8,
    /// 1: its bucket was decided about; 0: the fields of the decision mean nothing.
    pub decided: u8,
    /// 0.
    pub reserved: [u8; 5],
}
versioned!(rampmeter_dynamic_explanation, 72);

/// The curve of a bucket.
fn curve(
    dynamic: &rampmeter::batch::dynamic::DynamicBatcher,
    bucket: u32,
) -> Result<&LatencyCurve, Fault> {
    let known = u16::try_from(bucket).ok().and_then(|bucket| dynamic.curve(bucket));
    known.ok_or_else(|| {
        let buckets = (0..=u16::MAX).take_while(|bucket| dynamic.curve(*bucket).is_some()).count();
        let max = (buckets as u64).saturating_sub(1);
        Error::Range { field: "bucket", value: bucket.into(), min: 0, max }.into()
    })
}

/// What the batcher holds and how full it is.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_stats(
    dynamic: *const rampmeter_dynamic,
    stats: *mut rampmeter_stats_dynamic,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(dynamic, error, |dynamic| {
            let (out, stats) = (OutSized::new(stats, "stats")?, dynamic.stats());
            out.set(rampmeter_stats_dynamic {
                size: 0,
                waiting: stats.waiting,
                late: stats.late,
                requests: stats.requests,
                requests_max: stats.requests_max,
                batches_running: stats.batches_running,
                accounts: stats.accounts,
                reserved: 0,
                batches: stats.batches,
                launched: stats.launched,
                expired: stats.expired,
                shed: stats.shed,
            });
            Ok(())
        })
    }
}

/// The latency curve of a bucket at one size, as learned so far.
///
/// Fails: E_RANGE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_curve(
    dynamic: *const rampmeter_dynamic,
    bucket: u32,
    batch_size: u32,
    stats: *mut rampmeter_stats_curve,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(dynamic, error, |dynamic| {
            let (out, curve) = (OutSized::new(stats, "stats")?, curve(dynamic, bucket)?);
            rampmeter::error::check_range("batch_size", batch_size.into(), 1, u32::MAX.into())?;
            let sure = curve.confidence(batch_size);
            let (best_size, best_rate_per_s) = curve.best_rate(batch_size);
            out.set(rampmeter_stats_curve {
                size: 0,
                learns: curve.is_learning().into(),
                seconds: curve.seconds(batch_size),
                samples: sure.samples,
                weight: sure.weight,
                spread_ratio: sure.spread_ratio,
                best_rate_per_s,
                best_size,
                next_knot: curve.knot_after(batch_size).unwrap_or(0),
            });
            Ok(())
        })
    }
}

/// The largest batch of at most `size_max` that ends within `seconds`; 0 if not even one does.
///
/// Fails: E_RANGE (bucket), E_RANGE_REAL (seconds below 0), E_POINTER. Allocates: no. Blocks: no.
/// Threads: any number, while nobody changes the dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_batch_within(
    dynamic: *const rampmeter_dynamic,
    bucket: u32,
    seconds: f64,
    size_max: u32,
    batch_size: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(dynamic, error, |dynamic| {
            let (out, curve) = (Out::new(batch_size, "batch_size")?, curve(dynamic, bucket)?);
            rampmeter::error::check_real("seconds", seconds, 0.0, f64::MAX)?;
            out.set(curve.batch_within(seconds, size_max));
            Ok(())
        })
    }
}

/// Where a request is, and what was last decided about its bucket.
///
/// Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_explain(
    dynamic: *const rampmeter_dynamic,
    request: u64,
    explanation: *mut rampmeter_dynamic_explanation,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(dynamic, error, |dynamic| {
            let out = OutSized::new(explanation, "explanation")?;
            let known = dynamic.explain(RequestId::from_raw(request))?;
            let verdict = known.verdict;
            out.set(rampmeter_dynamic_explanation {
                size: 0,
                waiting: known.waiting,
                late: known.late,
                launch_size: verdict.map_or(0, |verdict| verdict.size),
                deadline_ns: known.deadline.map_or(RAMPMETER_NEVER, Nanos::get),
                latest_launch_ns: known.latest_launch.map_or(RAMPMETER_NEVER, Nanos::get),
                rate_per_s: known.rate_per_s,
                wait_s: verdict.map_or(0.0, |verdict| verdict.wait_s),
                launch_cost: verdict.map_or(0.0, |verdict| verdict.launch_cost),
                wait_cost: verdict.map_or(0.0, |verdict| verdict.wait_cost),
                stage: known.stage as u8,
                why: verdict.map_or(0, |verdict| why(verdict.why)),
                decided: verdict.is_some().into(),
                reserved: [0; 5],
            });
            Ok(())
        })
    }
}
