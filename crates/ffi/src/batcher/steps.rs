//! Steps: what is to be computed, and what came out.

use rampmeter::batch::RequestId;
use rampmeter::batch::continuous::{Expiry, Observation, Plan, PlanEntry, Preemption, StepResult};
use rampmeter::{Blocks, Nanos, Tokens};

use super::rampmeter_batcher;
use crate::boundary::{change_calling, change_told, look_told};
use crate::error::{Refused, Told as _, rampmeter_error};
use crate::memory::{Out, OutSized, array, array_mut, flag, same_layout, take, versioned};
use crate::status::rampmeter_status;

/// rampmeter_plan_entry::phase: computes a chunk of its prompt.
pub const RAMPMETER_PHASE_PREFILL: u8 = 0;
/// rampmeter_plan_entry::phase: produces its next token.
pub const RAMPMETER_PHASE_DECODE: u8 = 1;

/// rampmeter_batcher_next_event(): nothing happens until something comes in.
pub const RAMPMETER_NEVER: u64 = u64::MAX;

/// One request's part of a step.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_plan_entry {
    /// The request.
    pub request: u64,
    /// The host's own number for it.
    pub tag: u64,
    /// Tokens that it has in KV before the step. With `admitted` these are not its own: they come
    /// from the prefix cache, from a request that it shares with, or with its hand-over.
    pub computed_tokens: u32,
    /// Tokens to compute.
    pub tokens: u32,
    /// RAMPMETER_PHASE_...
    pub phase: u8,
    /// 1: the step ends with an output token of this request.
    pub emits: u8,
    /// 1: it gets its seat with this step.
    pub admitted: u8,
    /// 1: its KV comes back from where it was swapped to, before the step.
    pub swapped_in: u8,
    /// Means nothing.
    pub reserved: u32,
}

/// A request that loses its KV before the step and waits again; free its blocks.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_preemption {
    /// The request.
    pub request: u64,
    /// The host's own number for it.
    pub tag: u64,
    /// Tokens whose KV is lost, or is swapped out.
    pub computed_tokens: u32,
    /// 1: its KV is kept; move it to where there is room, instead of dropping it.
    pub swapped_out: u8,
    /// Mean nothing.
    pub reserved: [u8; 3],
    /// Seconds that it takes to have the KV again.
    pub restore_s: f64,
    /// Value-seconds of delay for each block that it frees: the least of all that could give way.
    pub price: f64,
}

/// A request that waited for too long and is given up; it is forgotten.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_expiry {
    /// The request.
    pub request: u64,
    /// The host's own number for it.
    pub tag: u64,
}

/// Arrays of the caller for one plan, each of `capacity` elements, at least `limits.running_max`.
/// Set each of them to 0 once before its first use, as calloc() does.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_plan {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Elements of each array.
    pub capacity: u32,
    /// What the step computes.
    pub entries: *mut rampmeter_plan_entry,
    /// Who loses their KV first.
    pub preempted: *mut rampmeter_preemption,
    /// Who waited for too long.
    pub expired: *mut rampmeter_expiry,
}
versioned!(rampmeter_plan, 32);

/// What was formed. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_formed {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 1: there is a step to run, and to observe; 0: there is nothing to run.
    pub runs: u32,
    /// The step.
    pub step: u64,
    /// Elements written to rampmeter_plan::entries.
    pub entries_len: u32,
    /// Elements written to rampmeter_plan::preempted, even where nothing runs.
    pub preempted_len: u32,
    /// Elements written to rampmeter_plan::expired, even where nothing runs.
    pub expired_len: u32,
    /// Requests that got a seat.
    pub admitted: u32,
    /// When the step is expected to begin: now, or after the steps in flight.
    pub starts_at_ns: u64,
    /// When it is expected to end.
    pub ends_at_ns: u64,
    /// KV tokens that requests with a prompt chunk had before the step.
    pub prefill_history_tokens: u64,
    /// KV tokens that decoding requests had before the step.
    pub decode_context_tokens: u64,
    /// Prompt tokens that the step computes.
    pub prefill_tokens: u32,
    /// Requests that decode in it.
    pub decode_requests: u32,
}
versioned!(rampmeter_formed, 72);

/// What one request did in an observed step.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_step_result {
    /// The request.
    pub request: u64,
    /// Output tokens that came out: usually 1, more with speculation, 0 if there was none.
    pub output_tokens: u32,
    /// 1: it ended with this step (end of text, or its last token); else 0.
    pub finished: u8,
    /// Not read.
    pub reserved: [u8; 3],
}

/// What really happened in the oldest step in flight. Set all of it to 0, then `size`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_observation {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Elements of `results`.
    pub results_len: u32,
    /// The step, as rampmeter_formed::step named it. Steps are observed in the order of forming.
    pub step: u64,
    /// One element for each request that produced tokens or ended, in any order. A planned request
    /// that is missing produced nothing.
    pub results: *const rampmeter_step_result,
    /// How long the engine worked on the step; 0: not known, taken from when the calls came.
    pub duration_ns: u64,
    /// Free KV blocks as the engine counts them, after all that was formed and all that ended.
    pub kv_blocks_free: u32,
    /// 1: the field before is set; 0: the batcher goes by its own count.
    pub kv_blocks_free_known: u8,
    /// Must be 0.
    pub reserved: [u8; 3],
}
versioned!(rampmeter_observation, 40);

/// What an observation changed. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_observed {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Requests that ended.
    pub finished: u32,
    /// Requests that produced their first token.
    pub first_tokens: u32,
    /// Output tokens in all.
    pub output_tokens: u32,
}
versioned!(rampmeter_observed, 16);

same_layout!(
    rampmeter_plan_entry =
        PlanEntry { request, tag, computed_tokens, tokens, phase, emits, admitted, swapped_in }
);
same_layout!(
    rampmeter_preemption =
        Preemption { request, tag, computed_tokens, swapped_out, restore_s, price }
);
same_layout!(rampmeter_expiry = Expiry { request, tag });
same_layout!(rampmeter_step_result = StepResult { request, output_tokens, finished });

/// Which tokens of a request are in the host's prefix cache now: the answer is a number of leading
/// tokens, or UINT32_MAX to keep what was said before. `context` is the pointer that was handed in.
/// It must come back by returning. What it calls for the same batcher is refused with E_REENTRANT.
pub type rampmeter_cached_tokens_fn =
    Option<unsafe extern "C" fn(context: *mut std::ffi::c_void, request: u64, tag: u64) -> u32>;

/// The caller's arrays as the core writes them.
///
/// # Safety
/// As [`array_mut`]; every element holds zeros, or what an earlier call wrote; `error` is null or may
/// be written.
#[inline(always)]
#[allow(clippy::inline_always, reason = "out of line, the arrays are copied twice")]
unsafe fn arrays<'a>(
    plan: &rampmeter_plan,
    error: *mut rampmeter_error,
) -> Result<Plan<'a>, Refused> {
    let len = plan.capacity as usize;
    // SAFETY: the layouts are the same; zeros are a value of every field; passed on.
    unsafe {
        Ok(Plan {
            entries: array_mut(plan.entries.cast(), len, "plan.entries").told(error)?,
            preempted: array_mut(plan.preempted.cast(), len, "plan.preempted").told(error)?,
            expired: array_mut(plan.expired.cast(), len, "plan.expired").told(error)?,
        })
    }
}

impl From<rampmeter::batch::Formed> for rampmeter_formed {
    fn from(formed: rampmeter::batch::Formed) -> Self {
        Self {
            size: 0,
            runs: formed.step.is_some().into(),
            step: formed.step.unwrap_or_default(),
            entries_len: formed.entries_len,
            preempted_len: formed.preempted_len,
            expired_len: formed.expired_len,
            admitted: formed.admitted,
            starts_at_ns: formed.starts_at.get(),
            ends_at_ns: formed.ends_at.get(),
            prefill_history_tokens: formed.shape.prefill_history_tokens,
            decode_context_tokens: formed.shape.decode_context_tokens,
            prefill_tokens: formed.shape.prefill_tokens,
            decode_requests: formed.shape.decode_requests,
        }
    }
}

/// Forms the next step into the caller's arrays. Where there is nothing to run, `formed->runs` is 0;
/// requests may still have lost their KV, or have expired.
///
/// Fails: E_TIME_REVERSED, E_FULL (as many steps are in flight as may be), E_BUFFER_TOO_SMALL,
/// E_SIZE, E_TOO_NEW, E_POINTER. Ownership: the arrays stay the caller's and are not kept.
/// Allocates: no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_form(
    batcher: *mut rampmeter_batcher,
    now_ns: u64,
    plan: *const rampmeter_plan,
    formed: *mut rampmeter_formed,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(batcher, error, |batcher| {
            let out = OutSized::new(formed, "formed").told(error)?;
            let plan = take(plan, "plan").told(error)?;
            let mut plan = arrays(&plan, error)?;
            out.set(batcher.form(Nanos(now_ns), &mut plan).told(error)?.into());
            Ok(())
        })
    }
}

/// As rampmeter_batcher_form(), asking the host's prefix cache about each request that is about to be
/// let in. NULL for `cached_tokens` asks nobody.
///
/// Fails, ownership, and so on: as rampmeter_batcher_form(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_form_with_cache(
    batcher: *mut rampmeter_batcher,
    now_ns: u64,
    plan: *const rampmeter_plan,
    cached_tokens: rampmeter_cached_tokens_fn,
    context: *mut std::ffi::c_void,
    formed: *mut rampmeter_formed,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_calling(batcher, error, |batcher| {
            let out = OutSized::new(formed, "formed").told(error)?;
            let plan = take(plan, "plan").told(error)?;
            let mut plan = arrays(&plan, error)?;
            let mut cached = |request: RequestId, tag: u64| {
                let answer = cached_tokens?(context, request.to_raw(), tag);
                (answer != u32::MAX).then_some(Tokens(answer))
            };
            let formed = batcher.form_with_cache(Nanos(now_ns), &mut plan, &mut cached);
            out.set(formed.told(error)?.into());
            Ok(())
        })
    }
}

/// The caller's results as the core reads them.
///
/// # Safety
/// As [`array`]; `error` is null or may be written.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
unsafe fn results<'a>(
    pointer: *const rampmeter_step_result,
    len: u32,
    error: *mut rampmeter_error,
) -> Result<&'a [StepResult], Refused> {
    // SAFETY: passed on; any bits are a value of the C structure.
    let given = unsafe { array(pointer, len as usize, "results").told(error)? };
    for result in given {
        // SAFETY: passed on.
        unsafe { flag(result.finished, "results[].finished").told(error)? };
    }
    // SAFETY: the layouts are the same, and the one field with bits that mean nothing was checked.
    Ok(unsafe { std::slice::from_raw_parts(given.as_ptr().cast::<StepResult>(), given.len()) })
}

/// What really happened in the oldest step in flight. Requests that finished are forgotten.
///
/// Fails: E_TIME_REVERSED, E_STALE (a request that is unknown), E_RANGE (another step than the
/// oldest, or a count outside its limits), E_CONTRADICTION, E_SIZE, E_TOO_NEW, E_POINTER.
/// Allocates: no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_observe(
    batcher: *mut rampmeter_batcher,
    now_ns: u64,
    observation: *const rampmeter_observation,
    observed: *mut rampmeter_observed,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(batcher, error, |batcher| {
            let out = OutSized::new(observed, "observed").told(error)?;
            let seen = take(observation, "observation").told(error)?;
            let known = flag(seen.kv_blocks_free_known, "kv_blocks_free_known").told(error)?;
            let seen = Observation {
                step: seen.step,
                kv_blocks_free: known.then_some(Blocks(seen.kv_blocks_free)),
                duration: (seen.duration_ns != 0).then_some(Nanos(seen.duration_ns)),
                results: results(seen.results, seen.results_len, error)?,
            };
            let observed = batcher.observe(Nanos(now_ns), &seen).told(error)?;
            out.set(rampmeter_observed {
                size: 0,
                finished: observed.finished,
                first_tokens: observed.first_tokens,
                output_tokens: observed.output_tokens,
            });
            Ok(())
        })
    }
}

/// Free KV blocks as the engine counts them, between two observations.
///
/// Fails: E_TIME_REVERSED, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_set_kv_blocks_free(
    batcher: *mut rampmeter_batcher,
    now_ns: u64,
    kv_blocks_free: u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(batcher, error, |batcher| {
            batcher.set_kv_blocks_free(Nanos(now_ns), Blocks(kv_blocks_free)).told(error)
        })
    }
}

/// When to call again: now if a step can be formed, else when the oldest step should be done or a
/// request expires; RAMPMETER_NEVER if nothing happens until a request comes in.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_next_event(
    batcher: *const rampmeter_batcher,
    now_ns: u64,
    next_ns: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look_told(batcher, error, |batcher| {
            let out = Out::new(next_ns, "next_ns").told(error)?;
            out.set(batcher.next_event(Nanos(now_ns)).map_or(RAMPMETER_NEVER, Nanos::get));
            Ok(())
        })
    }
}
