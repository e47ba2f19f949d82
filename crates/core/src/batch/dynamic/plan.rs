//! What the batcher answers: decisions, the caller's arrays, and what is in them.

use super::decide::Why;
use super::flight::Flight;
use super::request::RequestId;
use crate::handle::Handle;
use crate::units::Nanos;

/// Names a batch that runs. Its index ([`Handle::index`]) is that of its instance.
pub type BatchId = Handle<Flight>;

/// What becomes of a submission.
pub type Admission = crate::batch::Admission<RequestId, ShedReason>;

/// Why a request is turned away, and when it may come again.
pub type Shed = crate::batch::Shed<ShedReason>;

/// The limit that a request met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum ShedReason {
    /// `requests_max` are known.
    Full,
    /// `queue_max` of its class wait.
    QueueFull,
    /// It would probably wait longer than `wait_max`.
    WaitTooLong,
}

/// One request of a batch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct PlanEntry {
    /// The request.
    pub request: RequestId,
    /// The host's own number for it.
    pub tag: u64,
    /// Its deadline is lost, or given up for more others.
    pub late: bool,
}

/// A request that expired while it waited; its id is stale already.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Expired {
    /// The request.
    pub request: RequestId,
    /// The host's own number for it.
    pub tag: u64,
}

/// Arrays of the caller that [`super::DynamicBatcher::form`] writes into.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The batch; at least `batch_size_max` elements.
    pub entries: &'a mut [PlanEntry],
    /// Requests that expired; at least one element. What does not fit is reported by the next
    /// call.
    pub expired: &'a mut [Expired],
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// Run this batch now, and ask again: another instance may be idle.
    Launch(Launch),
    /// Do nothing before `until`, unless a request comes or a batch ends.
    Wait {
        /// When to ask again.
        until: Nanos,
        /// What is being waited for.
        why: Why,
    },
    /// Nothing waits.
    Idle,
}

/// A batch to run; its requests are the first `len` entries of the plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Launch {
    /// Its name, to be observed.
    pub batch: BatchId,
    /// The bucket whose shape it has.
    pub bucket: u16,
    /// The instance that is to run it.
    pub instance: u32,
    /// Requests in it.
    pub len: u32,
    /// Why now.
    pub why: Why,
    /// When it is expected to end.
    pub ends_at: Nanos,
}

/// What was formed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Formed {
    /// What to do.
    pub decision: Decision,
    /// Elements written to [`Plan::expired`].
    pub expired_len: u32,
}

/// How a batch ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum Ending {
    /// It ran as it should: its duration teaches the curve.
    #[default]
    Completed,
    /// It failed, or its duration means nothing: nothing is learned from it.
    Failed,
}

/// What really happened to a batch.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// The batch, as [`Launch::batch`] named it.
    pub batch: BatchId,
    /// How long it took, as measured; `None`: from its launch until now.
    pub duration: Option<Nanos>,
    /// How it ended. Its requests end with it either way.
    pub ending: Ending,
}

/// What an observation changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Observed {
    /// Requests that ended.
    pub finished: u32,
    /// Of these, requests that had a deadline and met it.
    pub in_time: u32,
    /// Of these, requests that had a deadline and missed it.
    pub missed: u32,
}
