//! What the batcher answers: the caller's arrays, and what is in them.

use alloc::boxed::Box;
use alloc::vec;

use super::request::RequestId;
use crate::engine::StepShape;
use crate::units::{Blocks, Nanos, Tokens};

/// What a step does with a request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Phase {
    /// Computes a chunk of its prompt.
    #[default]
    Prefill = 0,
    /// Produces its next token.
    Decode = 1,
}

/// One request's part of a step.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct PlanEntry {
    /// The request.
    pub request: RequestId,
    /// The host's own number for it.
    pub tag: u64,
    /// Tokens it has in KV before the step. With `admitted` these are not its own: they come from
    /// the prefix cache, from a request that it shares with (fork the blocks), or with its
    /// hand-over.
    pub computed_tokens: Tokens,
    /// Tokens to compute.
    pub tokens: Tokens,
    /// Prefill or decode.
    pub phase: Phase,
    /// The step ends with an output token of this request.
    pub emits: bool,
    /// It gets its seat with this step.
    pub admitted: bool,
    /// Its KV comes back from where it was swapped to, before the step.
    pub swapped_in: bool,
}

/// A request that loses its KV before the step and waits again; free its blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct Preemption {
    /// The request.
    pub request: RequestId,
    /// The host's own number for it.
    pub tag: u64,
    /// Tokens whose KV is lost, or is swapped out.
    pub computed_tokens: Tokens,
    /// Its KV is kept: move it to where there is room, instead of dropping it.
    pub swapped_out: bool,
    /// Seconds that it takes to have the KV again.
    pub restore_s: f64,
    /// Value-seconds of delay for each block that it frees: the least of all that could give way.
    pub price: f64,
}

/// A request that waited for too long and is given up; it is forgotten.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct Expiry {
    /// The request.
    pub request: RequestId,
    /// The host's own number for it.
    pub tag: u64,
}

/// Arrays of the caller that [`super::Batcher::form`] writes into; each must hold at least
/// `running_max` elements.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What the step computes.
    pub entries: &'a mut [PlanEntry],
    /// Who loses their KV first.
    pub preempted: &'a mut [Preemption],
    /// Who waited for too long.
    pub expired: &'a mut [Expiry],
}

/// The arrays of a [`Plan`], for hosts that keep them on the heap.
#[derive(Clone, Debug)]
pub struct PlanArrays {
    /// See [`Plan::entries`].
    pub entries: Box<[PlanEntry]>,
    /// See [`Plan::preempted`].
    pub preempted: Box<[Preemption]>,
    /// See [`Plan::expired`].
    pub expired: Box<[Expiry]>,
}

impl PlanArrays {
    /// Arrays for an engine of `running_max` seats. The only call that allocates.
    #[must_use]
    pub fn new(running_max: u32) -> Self {
        let seats = running_max as usize;
        Self {
            entries: vec![PlanEntry::default(); seats].into_boxed_slice(),
            preempted: vec![Preemption::default(); seats].into_boxed_slice(),
            expired: vec![Expiry::default(); seats].into_boxed_slice(),
        }
    }

    /// Lends the arrays for one call of [`super::Batcher::form`].
    pub const fn plan(&mut self) -> Plan<'_> {
        Plan {
            entries: &mut self.entries,
            preempted: &mut self.preempted,
            expired: &mut self.expired,
        }
    }
}

/// What was formed. The first `entries_len`, `preempted_len` and `expired_len` elements of the
/// arrays are set.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Formed {
    /// The step, to be observed later; `None` when there is nothing to run.
    pub step: Option<u64>,
    /// Elements written to [`Plan::entries`].
    pub entries_len: u32,
    /// Elements written to [`Plan::preempted`]; may be set even without a step.
    pub preempted_len: u32,
    /// Elements written to [`Plan::expired`]; may be set even without a step.
    pub expired_len: u32,
    /// Requests that got a seat.
    pub admitted: u32,
    /// What the step contains.
    pub shape: StepShape,
    /// When it is expected to begin: now, or after the steps in flight.
    pub starts_at: Nanos,
    /// When it is expected to end.
    pub ends_at: Nanos,
}

/// What one request did in an observed step.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct StepResult {
    /// The request.
    pub request: RequestId,
    /// Output tokens that came out: usually 1, more with speculation, 0 if the engine produced
    /// none.
    pub output_tokens: Tokens,
    /// It ended with this step (end of text, or its last token).
    pub finished: bool,
}

/// What really happened in the oldest step in flight.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observation<'a> {
    /// The step, as [`Formed::step`] named it. Steps are observed in the order they were formed.
    pub step: u64,
    /// Free KV blocks as the engine counts them, after everything formed and everything that
    /// ended so far; `None` to trust the batcher's own count.
    pub kv_blocks_free: Option<Blocks>,
    /// How long the engine worked on the step, if it knows; `None` to take the time from the end
    /// of the step before, or from when this one could begin, to `now`.
    pub duration: Option<Nanos>,
    /// One element for each request that produced tokens or ended, in any order. A planned
    /// request that is missing produced nothing.
    pub results: &'a [StepResult],
}

/// What an observation changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Observed {
    /// Requests that ended.
    pub finished: u32,
    /// Requests that produced their first token.
    pub first_tokens: u32,
    /// Output tokens in all, saturating.
    pub output_tokens: u32,
}
