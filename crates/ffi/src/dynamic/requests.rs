//! Requests: how they come and go, and whose they are.

use rampmeter::batch::dynamic::{Admission, RequestId, ShedReason, Submission};
use rampmeter::share::AccountId;
use rampmeter::{Nanos, error};

use super::rampmeter_dynamic;
use crate::batcher::rampmeter_admission;
use crate::boundary::change;
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, take, versioned};
use crate::status::rampmeter_status;

/// rampmeter_admission::shed_reason of a dynamic batcher: `requests_max` are known.
pub const RAMPMETER_DYNAMIC_SHED_FULL: u32 = 1;
/// `queue_max` of its class wait.
pub const RAMPMETER_DYNAMIC_SHED_QUEUE_FULL: u32 = 2;
/// It would probably wait longer than `wait_max_ns`.
pub const RAMPMETER_DYNAMIC_SHED_WAIT_TOO_LONG: u32 = 3;

/// A request that comes in. Set all of it to 0, then `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_dynamic_submission {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Place of its class in the options.
    pub class_index: u32,
    /// The host's own number for it; returned in every plan, never read.
    pub tag: u64,
    /// Whose request it is.
    pub account: u64,
    /// When it reached the host; its targets count from here. At most `now_ns`; 0: now.
    pub arrival_ns: u64,
    /// When its answer is due; 0: what its class says, if anything.
    pub deadline_ns: u64,
    /// From when on it is of no use to anybody; 0: what its class says, if anything.
    pub expires_at_ns: u64,
    /// Place of its bucket in the options.
    pub bucket: u32,
    /// Must be 0.
    pub reserved: u32,
}
versioned!(rampmeter_dynamic_submission, 56);

impl rampmeter_dynamic_submission {
    fn core(&self, now_ns: u64) -> Result<Submission, Fault> {
        error::check_range("reserved", self.reserved.into(), 0, 0)?;
        error::check_range("class_index", self.class_index.into(), 0, u16::MAX.into())?;
        error::check_range("bucket", self.bucket.into(), 0, u16::MAX.into())?;
        let some = |ns: u64| (ns != 0).then_some(Nanos(ns));
        Ok(Submission {
            tag: self.tag,
            class: self.class_index as u16,
            account: AccountId::from_raw(self.account),
            bucket: self.bucket as u16,
            arrival: some(self.arrival_ns).unwrap_or(Nanos(now_ns)),
            deadline: some(self.deadline_ns),
            expires_at: some(self.expires_at_ns),
        })
    }
}

/// Opens an account, below `parent` (0: at the top).
///
/// Fails: E_STALE (parent), E_RANGE_REAL (weight), E_RANGE (too deep), E_FULL, E_POINTER.
/// Allocates: no. Blocks: no. Threads: one at a time for each dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_open_account(
    dynamic: *mut rampmeter_dynamic,
    parent: u64,
    weight: f64,
    account: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(dynamic, error, |dynamic| {
            let out = Out::new(account, "account")?;
            let parent = (parent != 0).then_some(AccountId::from_raw(parent));
            out.set(dynamic.open_account(parent, weight)?.to_raw());
            Ok(())
        })
    }
}

/// Closes an account that has no requests.
///
/// Fails: E_STALE, E_CONTRADICTION, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_close_account(
    dynamic: *mut rampmeter_dynamic,
    account: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(dynamic, error, |dynamic| Ok(dynamic.close_account(AccountId::from_raw(account))?))
    }
}

/// A request comes in: it waits, or is turned away because of a limit.
///
/// Fails: E_TIME_REVERSED, E_RANGE, E_STALE (the account), E_SIZE, E_TOO_NEW, E_POINTER. Allocates:
/// no. Blocks: no. Threads: one at a time for each dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_submit(
    dynamic: *mut rampmeter_dynamic,
    now_ns: u64,
    submission: *const rampmeter_dynamic_submission,
    admission: *mut rampmeter_admission,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(dynamic, error, |dynamic| {
            let out = Out::new(admission, "admission")?;
            let submission = take(submission, "submission")?.core(now_ns)?;
            let (request, retry_after_ns, shed_reason) =
                match dynamic.submit(Nanos(now_ns), &submission)? {
                    Admission::Queued(request) => (request.to_raw(), 0, 0),
                    Admission::Shed(shed) => {
                        let reason = match shed.reason {
                            ShedReason::Full => RAMPMETER_DYNAMIC_SHED_FULL,
                            ShedReason::QueueFull => RAMPMETER_DYNAMIC_SHED_QUEUE_FULL,
                            ShedReason::WaitTooLong => RAMPMETER_DYNAMIC_SHED_WAIT_TOO_LONG,
                        };
                        (0, shed.retry_after.get(), reason)
                    }
                };
            out.set(rampmeter_admission { request, retry_after_ns, shed_reason, reserved: 0 });
            Ok(())
        })
    }
}

/// The host takes a request back. One that runs is forgotten when its batch ends.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each dynamic. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_dynamic_cancel(
    dynamic: *mut rampmeter_dynamic,
    now_ns: u64,
    request: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(dynamic, error, |dynamic| {
            Ok(dynamic.cancel(Nanos(now_ns), RequestId::from_raw(request))?)
        })
    }
}
