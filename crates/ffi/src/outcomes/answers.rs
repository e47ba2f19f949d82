//! Answers: what the users of a class or of an account felt.

use rampmeter::Error;
use rampmeter::outcome::{Histogram, Outcomes, Tally};

use super::{outside, rampmeter_outcomes};
use crate::boundary::look;
use crate::error::{Fault, rampmeter_error};
use crate::memory::{OutSized, array, array_mut, versioned};
use crate::status::rampmeter_status;

/// Whose users: those of a class, by its place in the policy.
pub const RAMPMETER_GROUP_CLASS: u32 = 0;
/// Those of an account, by its place.
pub const RAMPMETER_GROUP_ACCOUNT: u32 = 1;
/// What was felt, in nanoseconds: the wait before the first work was scheduled.
pub const RAMPMETER_FELT_QUEUE_WAIT: u32 = 0;
/// Time to first token.
pub const RAMPMETER_FELT_TTFT: u32 = 1;
/// Time per output token after the first.
pub const RAMPMETER_FELT_TPOT: u32 = 2;
/// From arrival to last token: job completion time.
pub const RAMPMETER_FELT_END_TO_END: u32 = 3;
/// Bounded slowdown, in millionths: 1,500,000 is a slowdown of 1.5.
pub const RAMPMETER_FELT_SLOWDOWN: u32 = 4;

/// How many requests of a group ended how. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_counts {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// All requests.
    pub offered: u64,
    /// Served to the end.
    pub completed: u64,
    /// Turned away.
    pub refused: u64,
    /// Given up by the service.
    pub failed: u64,
    /// Given up by the user.
    pub cancelled: u64,
    /// Of those, given up after a target had been missed.
    pub cancelled_late: u64,
    /// Not at their end when the observation ended.
    pub unfinished: u64,
    /// Completed within both targets.
    pub attained: u64,
    /// First token within the TTFT target (Apdex).
    pub satisfied: u64,
    /// First token within four times the TTFT target (Apdex).
    pub tolerating: u64,
    /// Output tokens produced, however the request ended.
    pub output_tokens: u64,
    /// All but those that their users cancelled; where it is 0, the next two mean nothing.
    pub judged: u64,
    /// Part of the judged that met both targets.
    pub attainment: f64,
    /// Apdex of TTFT at its target.
    pub apdex: f64,
    /// Requests that met both targets, per second of what was observed.
    pub goodput_per_s: f64,
}
versioned!(rampmeter_counts, 128);

/// A distribution of what was felt. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_distribution {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Values recorded; where it is 0, the rest is 0, too.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The smallest, exactly.
    pub value_min: u64,
    /// The largest, exactly.
    pub value_max: u64,
    /// Values below a microsecond, which are not told apart.
    pub underflow: u64,
    /// Values of 52 days and more, which are not told apart.
    pub overflow: u64,
}
versioned!(rampmeter_distribution, 56);

/// What the books say of all together. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_outcomes {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Accounts that they are open for.
    pub accounts_max: u32,
    /// From the first arrival, or the first time told, to the latest.
    pub span_ns: u64,
    /// GPU busy time in all.
    pub gpu_busy_ns: u64,
    /// Part of the span that the GPUs were busy: an effect, not a goal.
    pub utilization: f64,
    /// Jain's index over the weighted service of every account that took part; 1 when none did.
    pub jain: f64,
}
versioned!(rampmeter_stats_outcomes, 40);

/// What a group felt.
fn tally(outcomes: &Outcomes, group: u32, index: u32) -> Result<&Tally, Fault> {
    let (known, field) = match group {
        RAMPMETER_GROUP_CLASS => {
            (u16::try_from(index).ok().and_then(|index| outcomes.class(index)), "class_index")
        }
        RAMPMETER_GROUP_ACCOUNT => (outcomes.account(index), "account_index"),
        value => return Err(outside("group", value, RAMPMETER_GROUP_ACCOUNT)),
    };
    known.ok_or_else(|| {
        let classes = (0..u16::MAX).take_while(|class| outcomes.class(*class).is_some()).count();
        let max = match group {
            RAMPMETER_GROUP_CLASS => classes as u64,
            _ => outcomes.service().accounts_max().into(),
        };
        Error::Range { field, value: index.into(), min: 0, max: max.saturating_sub(1) }.into()
    })
}

/// The distribution of one measure over a group.
fn histogram(outcomes: &Outcomes, group: u32, index: u32, felt: u32) -> Result<&Histogram, Fault> {
    let Some(all) = tally(outcomes, group, index)?.histograms() else {
        return Err(outside("account_histograms", 0, 1));
    };
    match felt {
        RAMPMETER_FELT_QUEUE_WAIT => Ok(&all.queue_wait),
        RAMPMETER_FELT_TTFT => Ok(&all.ttft),
        RAMPMETER_FELT_TPOT => Ok(&all.tpot),
        RAMPMETER_FELT_END_TO_END => Ok(&all.end_to_end),
        RAMPMETER_FELT_SLOWDOWN => Ok(&all.slowdown),
        value => Err(outside("felt", value, RAMPMETER_FELT_SLOWDOWN)),
    }
}

/// What the books say of all together, on so many GPUs. Takes time in proportion to accounts.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_stats(
    outcomes: *const rampmeter_outcomes,
    gpus: u32,
    stats: *mut rampmeter_stats_outcomes,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(outcomes, error, |outcomes| {
            OutSized::new(stats, "stats")?.set(rampmeter_stats_outcomes {
                size: 0,
                accounts_max: outcomes.service().accounts_max(),
                span_ns: outcomes.span().get(),
                gpu_busy_ns: outcomes.gpu_busy().get(),
                utilization: outcomes.utilization(gpus),
                jain: outcomes.jain(),
            });
            Ok(())
        })
    }
}

/// How many requests of a group ended how; `group` is RAMPMETER_GROUP_..., `index` its place.
///
/// Fails: E_RANGE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_counts(
    outcomes: *const rampmeter_outcomes,
    group: u32,
    index: u32,
    counts: *mut rampmeter_counts,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(outcomes, error, |outcomes| {
            let out = OutSized::new(counts, "counts")?;
            let counts = tally(outcomes, group, index)?.counts();
            out.set(rampmeter_counts {
                size: 0,
                reserved: 0,
                offered: counts.offered,
                completed: counts.completed,
                refused: counts.refused,
                failed: counts.failed,
                cancelled: counts.cancelled,
                cancelled_late: counts.cancelled_late,
                unfinished: counts.unfinished,
                attained: counts.attained,
                satisfied: counts.satisfied,
                tolerating: counts.tolerating,
                output_tokens: counts.output_tokens,
                judged: counts.judged(),
                attainment: counts.attainment().unwrap_or(0.0),
                apdex: counts.apdex().unwrap_or(0.0),
                goodput_per_s: counts.goodput_per_s(outcomes.span()),
            });
            Ok(())
        })
    }
}

/// How what a group felt is distributed; `felt` is RAMPMETER_FELT_...
///
/// Fails: E_RANGE (or an account without histograms), E_SIZE, E_POINTER. Allocates: no. Blocks: no.
/// Threads: any number, while nobody changes the outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_distribution(
    outcomes: *const rampmeter_outcomes,
    group: u32,
    index: u32,
    felt: u32,
    distribution: *mut rampmeter_distribution,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(outcomes, error, |outcomes| {
            let out = OutSized::new(distribution, "distribution")?;
            let values = histogram(outcomes, group, index, felt)?;
            out.set(rampmeter_distribution {
                size: 0,
                reserved: 0,
                count: values.count(),
                mean: values.mean().unwrap_or(0.0),
                value_min: values.min().unwrap_or(0),
                value_max: values.max().unwrap_or(0),
                underflow: values.underflow(),
                overflow: values.overflow(),
            });
            Ok(())
        })
    }
}

/// Quantiles of what a group felt, to within 0.8 %: for each of `len` parts from 0 to 1 the
/// smallest value that at least that part of all do not exceed; 0 where nothing was recorded.
///
/// Fails: E_RANGE (or an account without histograms), E_RANGE_REAL, E_POINTER. Allocates: no.
/// Blocks: no. Threads: any number, while nobody changes the outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_quantiles(
    outcomes: *const rampmeter_outcomes,
    group: u32,
    index: u32,
    felt: u32,
    parts: *const f64,
    len: usize,
    values: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(outcomes, error, |outcomes| {
            let places = array_mut(values, len, "values")?;
            let parts = array(parts, len, "parts")?;
            let recorded = histogram(outcomes, group, index, felt)?;
            for part in parts {
                recorded.quantile(*part)?;
            }
            for (place, part) in places.iter_mut().zip(parts) {
                *place = recorded.quantile(*part)?.unwrap_or(0);
            }
            Ok(())
        })
    }
}
