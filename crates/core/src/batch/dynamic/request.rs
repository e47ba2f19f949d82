//! A request as the host hands it in, and as the batcher keeps it.

use crate::handle::Handle;
use crate::share::AccountId;
use crate::units::Nanos;

/// A request that comes in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Submission {
    /// The host's own number for it; returned in every plan, never read.
    pub tag: u64,
    /// Index of its class in the options.
    pub class: u16,
    /// Whose request it is.
    pub account: AccountId,
    /// Index of its shape bucket in the options.
    pub bucket: u16,
    /// When it reached the host; targets count from here. At most `now`.
    pub arrival: Nanos,
    /// When its answer is due; `None`: the class's target after its arrival, if there is one.
    pub deadline: Option<Nanos>,
    /// From when on it is of no use to anybody; `None`: the class's time-out after its arrival,
    /// if there is one.
    pub expires_at: Option<Nanos>,
}

/// Names a request of one batcher.
pub type RequestId = Handle<Request>;

/// Where a request is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Stage {
    /// It waits, and can still be in time.
    Waiting,
    /// It has expired and waits behind its class.
    Delayed,
    /// It waits, and its deadline is lost.
    Late,
    /// It is in a batch.
    Running,
    /// It was cancelled while in a batch.
    Cancelled,
}

/// Stands for "no deadline" and "never".
pub(super) const NEVER: u64 = u64::MAX;

/// A request as the batcher keeps it.
#[derive(Debug)]
pub struct Request {
    pub(super) tag: u64,
    pub(super) account: AccountId,
    pub(super) arrival_ns: u64,
    /// [`NEVER`] without one.
    pub(super) deadline_ns: u64,
    pub(super) expires_ns: u64,
    pub(super) sequence: u64,
    pub(super) class: u8,
    pub(super) bucket: u8,
    pub(super) stage: Stage,
}

// The promise of the documentation; queue nodes and the slab's bookkeeping come on top.
const _: () = assert!(core::mem::size_of::<Request>() <= 56);
