//! What the batcher answers: the caller's arrays, and what is in them.

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
    /// Tokens it has in KV before the step (cached ones included).
    pub computed_tokens: Tokens,
    /// Tokens to compute.
    pub tokens: Tokens,
    /// Prefill or decode.
    pub phase: Phase,
    /// The step ends with an output token of this request.
    pub emits: bool,
    /// It gets its seat with this step.
    pub admitted: bool,
}

/// A request that loses its KV before the step and waits again; free its blocks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct Preemption {
    /// The request.
    pub request: RequestId,
    /// The host's own number for it.
    pub tag: u64,
    /// Tokens whose KV is lost.
    pub computed_tokens: Tokens,
}

/// Arrays of the caller that [`super::Batcher::form`] writes into; each must hold at least
/// `running_max` elements.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What the step computes.
    pub entries: &'a mut [PlanEntry],
    /// Who loses their KV first.
    pub preempted: &'a mut [Preemption],
}

/// What was formed. The first `entries_len` and `preempted_len` elements of the arrays are set.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Formed {
    /// The step, to be observed later; `None` when there is nothing to run.
    pub step: Option<u64>,
    /// Elements written to [`Plan::entries`].
    pub entries_len: u32,
    /// Elements written to [`Plan::preempted`]; may be set even without a step.
    pub preempted_len: u32,
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
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The step, as [`Formed::step`] named it. Steps are observed in the order they were formed.
    pub step: u64,
    /// Free KV blocks as the engine counts them, after everything formed and everything that
    /// ended so far; `None` to trust the batcher's own count.
    pub kv_blocks_free: Option<Blocks>,
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
