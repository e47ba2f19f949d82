//! Outcomes: what users felt
//!
//! The books by which everything else is judged: how long users waited, whether they got what their
//! class was promised, and whether some were served at the expense of others; for each class and each
//! account. Record every request when it ends, refused ones too: a refusal counts as a miss. GPU busy
//! time is kept beside it to be shown, and for no other use: it is an effect. An account is named by
//! its place in the policy, and those opened later by any other below `limits.accounts_max`.
//! `docs/policies/outcome.md` says how each number is made.

mod answers;
mod saved;
mod service;

pub use answers::*;
pub use saved::*;
pub use service::*;

use rampmeter::outcome::{Ended, Options, Outcomes, Status};
use rampmeter::{Error, Nanos};

use crate::boundary::{Guarded, answer, change, create, desk, destroy, object};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, flag, room, take, versioned};
use crate::policy::rampmeter_policy;
use crate::status::rampmeter_status;

/// How a request ended: served to its last token.
pub const RAMPMETER_ENDED_COMPLETED: u32 = 0;
/// Turned away before it was scheduled.
pub const RAMPMETER_ENDED_REFUSED: u32 = 1;
/// Given up by the service, at whatever point.
pub const RAMPMETER_ENDED_FAILED: u32 = 2;
/// Given up by the user.
pub const RAMPMETER_ENDED_CANCELLED: u32 = 3;
/// Still waiting or running when the observation ended.
pub const RAMPMETER_ENDED_UNFINISHED: u32 = 4;

/// What the books hold beyond what the policy says. Set all of it to 0, then `size`, then what is
/// known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_outcomes_options {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Accounts that may be compared while they are backlogged together; 0: 64. Pairs take 8 bytes
    /// each.
    pub backlogged_max: u32,
    /// 1: distributions for each account, 108 KB each; 0: counts only.
    pub account_histograms: u8,
    /// Must be 0.
    pub reserved: [u8; 7],
}
versioned!(rampmeter_outcomes_options, 16);

/// One request at its end. Set all of it to 0, then `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_ended {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Place of its class in the policy.
    pub class_index: u32,
    /// Place of its account.
    pub account_index: u32,
    /// Output tokens produced.
    pub output_tokens: u32,
    /// When it reached the service.
    pub arrival_ns: u64,
    /// When its first token of work was scheduled; 0: never, or the host cannot know.
    pub first_scheduled_ns: u64,
    /// When its first output token was out, or an answer that comes in one piece; 0: never.
    pub first_token_ns: u64,
    /// When its last token was out, or when it was refused, failed, cancelled or last seen.
    pub ended_ns: u64,
    /// RAMPMETER_ENDED_...: how it ended.
    pub status: u32,
    /// Must be 0.
    pub reserved: u32,
}
versioned!(rampmeter_ended, 56);

/// The books of what users felt. One thread at a time may change them; calls with a `const` pointer
/// may run side by side.
pub struct rampmeter_outcomes(Guarded<Outcomes>);
object!(rampmeter_outcomes, Outcomes, "outcomes");

impl rampmeter_outcomes_options {
    pub(super) fn core(&self) -> Result<Options, Fault> {
        let reserved = self.reserved.map(u64::from).into_iter().sum();
        rampmeter::error::check_range("reserved", reserved, 0, 0)?;
        let default = Options::default().backlogged_max;
        Ok(Options {
            account_histograms: flag(self.account_histograms, "account_histograms")?,
            backlogged_max: if self.backlogged_max == 0 { default } else { self.backlogged_max },
        })
    }
}

impl rampmeter_ended {
    #[inline]
    fn core(&self) -> Result<Ended, Fault> {
        if self.class_index > u32::from(u16::MAX) || self.reserved != 0 {
            return Err(self.unfit());
        }
        let some = |ns: u64| (ns != 0).then_some(Nanos(ns));
        Ok(Ended {
            class: self.class_index as u16,
            account: self.account_index,
            arrival: Nanos(self.arrival_ns),
            first_scheduled: some(self.first_scheduled_ns),
            first_token: some(self.first_token_ns),
            ended: Nanos(self.ended_ns),
            output_tokens: self.output_tokens,
            status: match self.status {
                RAMPMETER_ENDED_COMPLETED => Status::Completed,
                RAMPMETER_ENDED_REFUSED => Status::Refused,
                RAMPMETER_ENDED_FAILED => Status::Failed,
                RAMPMETER_ENDED_CANCELLED => Status::Cancelled,
                RAMPMETER_ENDED_UNFINISHED => Status::Unfinished,
                value => return Err(outside("status", value, RAMPMETER_ENDED_UNFINISHED)),
            },
        })
    }

    #[cold]
    fn unfit(&self) -> Fault {
        match self.reserved {
            0 => outside("class_index", self.class_index, u16::MAX.into()),
            reserved => outside("reserved", reserved, 0),
        }
    }
}

/// An account is named by its place here, and by a handle everywhere else.
fn by_index(mut error: Error) -> Error {
    if let Error::Range { field: field @ "account", .. } = &mut error {
        *field = "account_index";
    }
    error
}

#[cold]
fn outside(field: &'static str, value: u32, max: u32) -> Fault {
    Error::Range { field, value: value.into(), min: 0, max: max.into() }.into()
}

/// Creates empty books for the classes, accounts, costs and objectives of a policy, with all the
/// memory that they will ever use.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the
/// caller's, to be given to rampmeter_outcomes_destroy(); NULL on failure. `policy` is read and not kept.
/// Allocates: yes, rampmeter_outcomes_bytes_needed(). Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_create(
    policy: *const rampmeter_policy,
    options: *const rampmeter_outcomes_options,
    out: *mut *mut rampmeter_outcomes,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let (policy, options) = (desk(policy)?, take(options, "options")?.core()?);
            room(Outcomes::bytes_needed(policy, options))?;
            Ok(Outcomes::new(policy, options)?)
        })
    }
}

/// Ends the books. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: no. Threads: one, and no other may still use them. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_destroy(outcomes: *mut rampmeter_outcomes) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(outcomes) }
}

/// Bytes that books for this policy and these options take, to within a few fixed fields.
///
/// Fails: E_RANGE (a flag), E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: any.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_bytes_needed(
    policy: *const rampmeter_policy,
    options: *const rampmeter_outcomes_options,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let (out, policy) = (Out::new(bytes, "bytes")?, desk(policy)?);
            out.set(Outcomes::bytes_needed(policy, take(options, "options")?.core()?));
            Ok(())
        })
    }
}

/// Takes a changed policy; nothing that was recorded is lost, and it stays judged by the targets of
/// its time.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_CONTRADICTION (other numbers of classes or accounts), E_POINTER.
/// Allocates: no. Blocks: no. Threads: one at a time for each outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_set_policy(
    outcomes: *mut rampmeter_outcomes,
    policy: *const rampmeter_policy,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(outcomes, error, |outcomes| Ok(outcomes.adopt(desk(policy)?)?)) }
}

/// Enters one request at its end. Records may come in any order.
///
/// Fails: E_RANGE, E_CONTRADICTION (times or tokens that cannot have happened), E_SIZE, E_TOO_NEW,
/// E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each outcomes. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_record(
    outcomes: *mut rampmeter_outcomes,
    ended: *const rampmeter_ended,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(outcomes, error, |outcomes| {
            Ok(outcomes.record(&take(ended, "ended")?.core()?).map_err(by_index)?)
        })
    }
}

/// Adds what other books hold: for records, as if all had been entered here.
///
/// Fails: E_CONTRADICTION (other classes, targets, accounts or options, or `other` is `outcomes`),
/// E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each outcomes, and nobody changes
/// `other`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_outcomes_merge(
    outcomes: *mut rampmeter_outcomes,
    other: *const rampmeter_outcomes,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        if std::ptr::eq(outcomes, other) && !other.is_null() {
            return Fault::Same { argument: "outcomes", other: "other" }.tell(error);
        }
        change(outcomes, error, |outcomes| Ok(outcomes.merge(desk(other)?)?))
    }
}
