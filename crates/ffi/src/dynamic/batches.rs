//! Batches: what to launch or wait for, and what became of it.

use rampmeter::batch::dynamic::{
    BatchId, Decision, Ending, Expired, Formed, Observation, Plan, PlanEntry, Why,
};
use rampmeter::{Error, Nanos};

use super::rampmeter_dynamic;
use crate::batcher::{RAMPMETER_NEVER, rampmeter_expiry};
use crate::boundary::{change, look};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, OutSized, array_mut, same_layout, take, versioned};
use crate::status::rampmeter_status;

/// What to do: nothing waits.
pub const RAMPMETER_DYNAMIC_IDLE: u32 = 0;
/// Nothing before `until_ns`, unless a request comes or a batch ends.
pub const RAMPMETER_DYNAMIC_WAIT: u32 = 1;
/// Run this batch now, and ask again: another instance may be idle.
pub const RAMPMETER_DYNAMIC_LAUNCH: u32 = 2;
/// Why: every instance runs a batch.
pub const RAMPMETER_DYNAMIC_WHY_BUSY: u8 = 0;
/// Launch: the largest batch that there can be.
pub const RAMPMETER_DYNAMIC_WHY_FULL: u8 = 1;
/// Launch: nothing that could come is worth waiting for.
pub const RAMPMETER_DYNAMIC_WHY_WORTH_NOW: u8 = 2;
/// Launch: a preferred size is there.
pub const RAMPMETER_DYNAMIC_WHY_PREFERRED: u8 = 3;
/// Launch: waiting longer would cost somebody the deadline.
pub const RAMPMETER_DYNAMIC_WHY_DEADLINE: u8 = 4;
/// Launch: the oldest request has waited as long as it may.
pub const RAMPMETER_DYNAMIC_WHY_DELAY_MAX: u8 = 5;
/// Launch: only requests whose deadlines are lost.
pub const RAMPMETER_DYNAMIC_WHY_LATE: u8 = 6;
/// Wait: more requests are worth their price.
pub const RAMPMETER_DYNAMIC_WHY_WORTH_WAITING: u8 = 7;
/// Wait: more have expired than the array holds; ask again at once.
pub const RAMPMETER_DYNAMIC_WHY_MORE_EXPIRED: u8 = 8;
/// A batch ran as it should: its duration teaches the curve.
pub const RAMPMETER_ENDING_COMPLETED: u32 = 0;
/// It failed, or its duration means nothing.
pub const RAMPMETER_ENDING_FAILED: u32 = 1;

/// One request of a batch.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_dynamic_entry {
    /// The request.
    pub request: u64,
    /// The host's own number for it.
    pub tag: u64,
    /// 1: its deadline is lost, or given up for more others.
    pub late: u8,
    /// Mean nothing.
    pub reserved: [u8; 7],
}

/// Arrays of the caller for one batch. Set each of them to 0 once before its first use, as calloc()
/// does.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_dynamic_plan {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Elements of `entries`, at least `batch_size_max`.
    pub entries_capacity: u32,
    /// Elements of `expired`, at least 1; what does not fit is reported by the next call.
    pub expired_capacity: u32,
    /// Must be 0.
    pub reserved: u32,
    /// The batch.
    pub entries: *mut rampmeter_dynamic_entry,
    /// Who waited for too long.
    pub expired: *mut rampmeter_expiry,
}
versioned!(rampmeter_dynamic_plan, 32);

/// What to do. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_dynamic_formed {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// RAMPMETER_DYNAMIC_IDLE, RAMPMETER_DYNAMIC_WAIT or RAMPMETER_DYNAMIC_LAUNCH.
    pub decision: u32,
    /// Launch: the batch, to be observed. Else 0.
    pub batch: u64,
    /// Wait: when to ask again. Else 0.
    pub until_ns: u64,
    /// Launch: when it is expected to end. Else 0.
    pub ends_at_ns: u64,
    /// Launch: the bucket whose shape it has.
    pub bucket: u32,
    /// Launch: the instance that is to run it.
    pub instance: u32,
    /// Launch: elements written to rampmeter_dynamic_plan::entries. Else 0.
    pub entries_len: u32,
    /// Elements written to rampmeter_dynamic_plan::expired, whatever the decision.
    pub expired_len: u32,
    /// Launch or wait: RAMPMETER_DYNAMIC_WHY_...
    pub why: u8,
    /// 0.
    pub reserved: [u8; 7],
}
versioned!(rampmeter_dynamic_formed, 56);

/// What really happened to a batch. Set all of it to 0, then `size`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_dynamic_observation {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// RAMPMETER_ENDING_...; its requests end with it either way.
    pub ending: u32,
    /// The batch.
    pub batch: u64,
    /// How long it took, as measured; 0: from its launch until now.
    pub duration_ns: u64,
}
versioned!(rampmeter_dynamic_observation, 24);

/// What an observation changed. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_dynamic_observed {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Requests that ended.
    pub finished: u32,
    /// Of these, requests that had a deadline and met it.
    pub in_time: u32,
    /// Of these, requests that had a deadline and missed it.
    pub missed: u32,
}
versioned!(rampmeter_dynamic_observed, 16);

same_layout!(rampmeter_dynamic_entry = PlanEntry { request, tag, late });
same_layout!(rampmeter_expiry = Expired { request, tag });

/// The caller's arrays as the core writes them.
///
/// # Safety
/// As [`array_mut`]; every element holds zeros, or what an earlier call wrote.
unsafe fn arrays<'a>(plan: &rampmeter_dynamic_plan) -> Result<Plan<'a>, Fault> {
    rampmeter::error::check_range("reserved", plan.reserved.into(), 0, 0)?;
    let (entries, expired) = (plan.entries.cast::<PlanEntry>(), plan.expired.cast::<Expired>());
    // SAFETY: the layouts are the same; zeros are a value of every field; passed on.
    unsafe {
        Ok(Plan {
            entries: array_mut(entries, plan.entries_capacity as usize, "plan.entries")?,
            expired: array_mut(expired, plan.expired_capacity as usize, "plan.expired")?,
        })
    }
}

/// As C numbers them, which is as the core does.
pub(super) fn why(why: Why) -> u8 {
    why as u8
}

impl From<Formed> for rampmeter_dynamic_formed {
    fn from(formed: Formed) -> Self {
        let nothing = Self {
            size: 0,
            decision: RAMPMETER_DYNAMIC_IDLE,
            batch: 0,
            until_ns: 0,
            ends_at_ns: 0,
            bucket: 0,
            instance: 0,
            entries_len: 0,
            expired_len: formed.expired_len,
            why: 0,
            reserved: [0; 7],
        };
        match formed.decision {
            Decision::Idle => nothing,
            Decision::Wait { until, why: reason } => Self {
                decision: RAMPMETER_DYNAMIC_WAIT,
                until_ns: until.get(),
                why: why(reason),
                ..nothing
            },
            Decision::Launch(launch) => Self {
                decision: RAMPMETER_DYNAMIC_LAUNCH,
                batch: launch.batch.to_raw(),
                ends_at_ns: launch.ends_at.get(),
                bucket: launch.bucket.into(),
                instance: launch.instance,
                entries_len: launch.len,
                why: why(launch.why),
                ..nothing
            },
        }
    }
}

/// Says what to do now, and writes the batch into the caller's arrays. It speaks of one instance at
/// a time: after a launch, ask again.
///
/// Fails: E_TIME_REVERSED, E_BUFFER_TOO_SMALL, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: the arrays
/// stay the caller's and are not kept. Allocates: no. Blocks: no. Threads: one at a time for each
/// dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_form(
    dynamic: *mut rampmeter_dynamic,
    now_ns: u64,
    plan: *const rampmeter_dynamic_plan,
    formed: *mut rampmeter_dynamic_formed,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(dynamic, error, |dynamic| {
            let (out, plan) = (OutSized::new(formed, "formed")?, take(plan, "plan")?);
            out.set(dynamic.form(Nanos(now_ns), &mut arrays(&plan)?)?.into());
            Ok(())
        })
    }
}

/// A batch ended, in whatever order: its instance is idle, its requests are forgotten, and its
/// duration teaches the curve of its bucket.
///
/// Fails: E_TIME_REVERSED, E_STALE (the batch does not run), E_RANGE, E_RANGE_REAL (it took no
/// time, or over an hour), E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at
/// a time for each dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_observe(
    dynamic: *mut rampmeter_dynamic,
    now_ns: u64,
    observation: *const rampmeter_dynamic_observation,
    observed: *mut rampmeter_dynamic_observed,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(dynamic, error, |dynamic| {
            let (out, seen) =
                (OutSized::new(observed, "observed")?, take(observation, "observation")?);
            let ending = match seen.ending {
                RAMPMETER_ENDING_COMPLETED => Ending::Completed,
                RAMPMETER_ENDING_FAILED => Ending::Failed,
                value => {
                    let value = value.into();
                    return Err(Error::Range { field: "ending", value, min: 0, max: 1 }.into());
                }
            };
            let observed = dynamic.observe(
                Nanos(now_ns),
                &Observation {
                    batch: BatchId::from_raw(seen.batch),
                    duration: (seen.duration_ns != 0).then_some(Nanos(seen.duration_ns)),
                    ending,
                },
            )?;
            out.set(rampmeter_dynamic_observed {
                size: 0,
                finished: observed.finished,
                in_time: observed.in_time,
                missed: observed.missed,
            });
            Ok(())
        })
    }
}

/// When to call rampmeter_dynamic_form() next: when a wait is over, a request expires, or a batch
/// should end; RAMPMETER_NEVER if only a call of the host can change anything.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_next_event(
    dynamic: *const rampmeter_dynamic,
    now_ns: u64,
    next_ns: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(dynamic, error, |dynamic| {
            let out = Out::new(next_ns, "next_ns")?;
            out.set(dynamic.next_event(Nanos(now_ns)).map_or(RAMPMETER_NEVER, Nanos::get));
            Ok(())
        })
    }
}
