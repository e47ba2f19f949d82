//! A request from its choice to its end.

use super::replica::ReplicaId;
use crate::handle::Handle;
use crate::units::Nanos;

/// How far a request is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// On its way, or waiting at the replica.
    Routed,
    /// The replica computes its prompt.
    Begun,
    /// Its first token is out.
    Decoding,
}

impl Phase {
    pub(super) const ALL: [Self; 3] = [Self::Routed, Self::Begun, Self::Decoding];
}

/// A replica as it was when a request went there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stop {
    pub(super) replica: ReplicaId,
    pub(super) incarnation: u32,
    /// KV blocks that the request will take there.
    pub(super) blocks: u32,
}

/// A request that was routed and has not ended. Opaque.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// Where its prompt is computed.
    pub(super) prefill: Stop,
    /// Where it decodes: the same, unless it went to a pair.
    pub(super) decode: Stop,
    pub(super) phase: Phase,
    pub(super) routed_at: Nanos,
    /// When its own time began: with the first step that it could be part of, as foreseen when it was
    /// routed; then when it had begun; then with its first token.
    pub(super) since: Nanos,
    /// When its first token is out, as foreseen.
    pub(super) due: Nanos,
    pub(super) prompt_tokens: u32,
    pub(super) cached_tokens: u32,
    /// KV tokens that it adds to its replica while it decodes, on average.
    pub(super) context_tokens: u32,
    /// Work that it added to the queue of its replica, in seconds.
    pub(super) work_s: f64,
    /// Work that had been routed there with it, ever.
    pub(super) routed_s: f64,
    /// It waits for more than prompts: an adapter, blocks of slower tiers, a seat or memory.
    pub(super) is_held_up: bool,
    /// Seconds that the step model gives its prompt, alone and beside others.
    pub(super) alone_s: f64,
    pub(super) shared_s: f64,
}

/// Name of a routed request.
pub type RouteId = Handle<Flight>;

impl Flight {
    pub(super) fn is_pair(&self) -> bool {
        self.prefill.replica != self.decode.replica
    }
}
