//! Requests: how they come, change and go.

use rampmeter::batch::RequestId;
use rampmeter::batch::continuous::{Admission, Change, HandOver, Submission};
use rampmeter::share::AccountId;
use rampmeter::{Error, Nanos, Tokens};

use super::rampmeter_batcher;
use crate::boundary::{change, change_told, look};
use crate::error::{Fault, Told as _, rampmeter_error};
use crate::memory::{Out, OutSized, take, versioned};
use crate::status::rampmeter_status;

/// The limit that a request met: requests that may wait in its class.
pub const RAMPMETER_SHED_CLASS_REQUESTS: u32 = 1;
/// Prompt tokens that may wait in its class.
pub const RAMPMETER_SHED_CLASS_TOKENS: u32 = 2;
/// Requests that may wait of its account, or of one above.
pub const RAMPMETER_SHED_ACCOUNT_REQUESTS: u32 = 3;
/// Prompt tokens that may wait of its account, or of one above.
pub const RAMPMETER_SHED_ACCOUNT_TOKENS: u32 = 4;
/// Requests per minute of its account, or of one above.
pub const RAMPMETER_SHED_RATE_REQUESTS: u32 = 5;
/// Tokens per minute of its account, or of one above.
pub const RAMPMETER_SHED_RATE_TOKENS: u32 = 6;

/// Where a request is: it waits, and can still meet its time to first token.
pub const RAMPMETER_STAGE_WAITING: u8 = 0;
/// It waits, and can no longer meet it.
pub const RAMPMETER_STAGE_LATE: u8 = 1;
/// It ran, lost its KV, and waits to be computed again.
pub const RAMPMETER_STAGE_PREEMPTED: u8 = 2;
/// It has a seat.
pub const RAMPMETER_STAGE_RUNNING: u8 = 3;
/// A prefill engine is done with it; its KV is kept until rampmeter_batcher_release().
pub const RAMPMETER_STAGE_HANDED_OVER: u8 = 4;
/// It has ended; only steps in flight still name it.
pub const RAMPMETER_STAGE_ENDED: u8 = 5;

/// What kept a request out when it was last first in line: nothing did.
pub const RAMPMETER_OBSTACLE_NONE: u8 = 0;
/// The KV cache has no room for its prompt.
pub const RAMPMETER_OBSTACLE_MEMORY: u8 = 1;
/// Steps in flight still name it.
pub const RAMPMETER_OBSTACLE_IN_FLIGHT: u8 = 2;
/// No slot for its adapter.
pub const RAMPMETER_OBSTACLE_ADAPTER: u8 = 3;
/// Another request is just computing the prompt that they share.
pub const RAMPMETER_OBSTACLE_SHARED_PROMPT: u8 = 4;
/// What runs would outgrow the KV cache later, as forecast.
pub const RAMPMETER_OBSTACLE_FORECAST: u8 = 5;

/// A request that comes in. Set all of it to 0, then `size` to its sizeof, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_submission {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Place of its class in the policy.
    pub class_index: u32,
    /// The host's own number for it; returned in every plan, never read.
    pub tag: u64,
    /// Whose request it is.
    pub account: u64,
    /// When it reached the host; its targets count from here. At most `now_ns`; 0: now.
    pub arrival_ns: u64,
    /// Length of the prompt, at least 1.
    pub prompt_tokens: u32,
    /// Leading prompt tokens whose KV is cached already; below `prompt_tokens`.
    pub cached_tokens: u32,
    /// The most output tokens that it may produce, at least 1.
    pub output_tokens_max: u32,
    /// The adapter that it needs, 1 to `limits.adapters_max`; 0: none.
    pub adapter: u32,
    /// When its first token is due; 0: the target of its class after its arrival.
    pub deadline_ns: u64,
    /// When it is given up if it has no seat by then; 0: what the queue limits say.
    pub expires_at_ns: u64,
    /// A request with the same prompt, class, account and adapter whose KV it shares (n > 1); 0:
    /// none. When one is let in, fork the blocks of its `computed_tokens` from a member with a seat.
    pub shares: u64,
    /// When another engine produced its first token; read only with the next field.
    pub handed_over_first_token_ns: u64,
    /// Output tokens that another engine produced, whose KV it brings; 0: it comes from nowhere.
    pub handed_over_output_tokens: u32,
    /// Must be 0.
    pub reserved: u32,
}
versioned!(rampmeter_submission, 88);

/// What becomes of a submission.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_admission {
    /// The request, which waits for its turn; 0: it was turned away, and nothing is kept of it.
    pub request: u64,
    /// In how long it may be worth trying again: an estimate, not a promise. 0 if it waits.
    pub retry_after_ns: u64,
    /// RAMPMETER_SHED_...: the limit that it met; 0 if it waits.
    pub shed_reason: u32,
    /// 0.
    pub reserved: u32,
}

/// What changes of a request. Set all of it to 0, then `size`, then what changes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_change {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Place of its new class in the policy plus 1; 0: it keeps its class.
    pub class_index_plus_1: u32,
    /// When its first token is due now; 0: as it was, or the target of its new class.
    pub deadline_ns: u64,
    /// When it is given up now; 0: as it was.
    pub expires_at_ns: u64,
}
versioned!(rampmeter_change, 24);

/// What is known of one request. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_progress {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Output tokens observed.
    pub output_tokens: u32,
    /// Tokens with KV, steps in flight included.
    pub computed_tokens: u32,
    /// Times that it lost its KV.
    pub preemptions: u32,
    /// RAMPMETER_STAGE_...
    pub stage: u8,
    /// RAMPMETER_OBSTACLE_...
    pub obstacle: u8,
    /// 0.
    pub reserved: [u8; 6],
}
versioned!(rampmeter_progress, 24);

impl rampmeter_submission {
    /// Apart from the conversion: a whole one in a `Result` would be copied.
    #[inline]
    fn check(&self) -> Result<(), Fault> {
        if self.class_index > u32::from(u16::MAX) || self.reserved != 0 {
            return Err(self.unfit());
        }
        Ok(())
    }

    #[inline]
    fn submission(&self, now_ns: u64) -> Submission {
        let some = |ns: u64| (ns != 0).then_some(Nanos(ns));
        let handed_over = (self.handed_over_output_tokens != 0).then_some(HandOver {
            output_tokens: Tokens(self.handed_over_output_tokens),
            first_token: Nanos(self.handed_over_first_token_ns),
        });
        Submission {
            tag: self.tag,
            class: self.class_index as u16,
            account: AccountId::from_raw(self.account),
            arrival: some(self.arrival_ns).unwrap_or(Nanos(now_ns)),
            prompt_tokens: Tokens(self.prompt_tokens),
            cached_tokens: Tokens(self.cached_tokens),
            output_tokens_max: Tokens(self.output_tokens_max),
            deadline: some(self.deadline_ns),
            expires_at: some(self.expires_at_ns),
            adapter: self.adapter,
            shares: (self.shares != 0).then_some(RequestId::from_raw(self.shares)),
            handed_over,
        }
    }

    #[cold]
    #[inline(never)]
    fn unfit(&self) -> Fault {
        let (field, value, max) = match self.reserved {
            0 => ("class_index", self.class_index, u16::MAX.into()),
            reserved => ("reserved", reserved, 0),
        };
        Error::Range { field, value: value.into(), min: 0, max }.into()
    }
}

/// A request comes in: it waits, or is turned away because of a limit of its class or account.
///
/// Fails: E_TIME_REVERSED, E_RANGE (a length or class outside its limits), E_STALE (the account, or
/// the request in `shares`), E_FULL (`limits.requests_max`), E_CONTRADICTION, E_SIZE, E_TOO_NEW,
/// E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_submit(
    batcher: *mut rampmeter_batcher,
    now_ns: u64,
    submission: *const rampmeter_submission,
    admission: *mut rampmeter_admission,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(batcher, error, |batcher| {
            let out = Out::new(admission, "admission").told(error)?;
            let submission = take(submission, "submission").told(error)?;
            submission.check().told(error)?;
            let submission = submission.submission(now_ns);
            let (request, retry_after_ns, shed_reason) =
                match batcher.submit(Nanos(now_ns), &submission).told(error)? {
                    Admission::Queued(request) => (request.to_raw(), 0, 0),
                    Admission::Shed(shed) => (0, shed.retry_after.get(), shed.reason as u32),
                };
            out.set(rampmeter_admission { request, retry_after_ns, shed_reason, reserved: 0 });
            Ok(())
        })
    }
}

/// The host takes a request back, in whatever stage it is.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_cancel(
    batcher: *mut rampmeter_batcher,
    now_ns: u64,
    request: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(batcher, error, |batcher| {
            batcher.cancel(Nanos(now_ns), RequestId::from_raw(request)).told(error)
        })
    }
}

/// Gives a request another class, deadline or expiry, in any stage.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE (class), E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_change(
    batcher: *mut rampmeter_batcher,
    now_ns: u64,
    request: u64,
    what: *const rampmeter_change,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(batcher, error, |batcher| {
            let what = take(what, "what")?;
            let class = u64::from(what.class_index_plus_1);
            rampmeter::error::check_range("class_index_plus_1", class, 0, u16::MAX.into())?;
            let some = |ns: u64| (ns != 0).then_some(Nanos(ns));
            let change = Change {
                class: (class != 0).then(|| (class - 1) as u16),
                deadline: some(what.deadline_ns),
                expires_at: some(what.expires_at_ns),
            };
            Ok(batcher.change(Nanos(now_ns), RequestId::from_raw(request), &change)?)
        })
    }
}

/// A prefill engine's blocks of a request that was handed over are free again.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_release(
    batcher: *mut rampmeter_batcher,
    now_ns: u64,
    request: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(batcher, error, |batcher| {
            Ok(batcher.release(Nanos(now_ns), RequestId::from_raw(request))?)
        })
    }
}

/// More or less of a waiting request's prompt is found in the cache than was thought.
///
/// Fails: E_STALE (unknown, or it does not wait), E_RANGE, E_POINTER. Allocates: no. Blocks: no.
/// Threads: one at a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_set_cached_tokens(
    batcher: *mut rampmeter_batcher,
    request: u64,
    cached_tokens: u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(batcher, error, |batcher| {
            let cached = Tokens(cached_tokens);
            batcher.set_cached_tokens(RequestId::from_raw(request), cached).told(error)
        })
    }
}

/// What is known of a request. Set `progress->size` before.
///
/// Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_progress(
    batcher: *const rampmeter_batcher,
    request: u64,
    progress: *mut rampmeter_progress,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(batcher, error, |batcher| {
            let out = OutSized::new(progress, "progress")?;
            let known = batcher.progress(RequestId::from_raw(request))?;
            out.set(rampmeter_progress {
                size: 0,
                output_tokens: known.output_tokens.get(),
                computed_tokens: known.computed_tokens.get(),
                preemptions: known.preemptions,
                stage: known.stage as u8,
                obstacle: known.obstacle as u8,
                reserved: [0; 6],
            });
            Ok(())
        })
    }
}
