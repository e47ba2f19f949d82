//! What a router holds, and how full it is.

use super::Router;

/// What a router holds, and how full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize))]
pub struct RouterStats {
    /// Replicas that are there, in whatever state.
    pub replicas: u32,
    /// Replicas that may be.
    pub replicas_max: u32,
    /// Of the replicas, those that may be chosen.
    pub replicas_ready: u32,
    /// Requests that were routed and have not ended.
    pub requests: u32,
    /// Requests that may be.
    pub requests_max: u32,
    /// Blocks of prompts that the index knows.
    pub blocks: u32,
    /// Blocks that it can.
    pub blocks_max: u32,
    /// Sets of holders in use.
    pub sets: u32,
    /// Sets that there are.
    pub sets_max: u32,
    /// Blocks that were forgotten for lack of room, ever.
    pub blocks_evicted: u64,
    /// Requests that were routed, ever.
    pub decisions: u64,
    /// Requests that ended after their first token, ever.
    pub ended: u64,
    /// Requests a second, of about the last 200.
    pub rate_per_s: f64,
    /// Mean tokens of an answer, of about the last 200.
    pub output_tokens_mean: f64,
}

impl Router {
    /// What it holds, and how full it is. O(1).
    #[must_use]
    pub fn stats(&self) -> RouterStats {
        let (blocks, sets, blocks_evicted) = self.index.counts();
        RouterStats {
            replicas: self.replicas.len(),
            replicas_max: self.options.replicas_max,
            replicas_ready: self.roster.len(),
            requests: self.requests.len(),
            requests_max: self.options.requests_max,
            blocks,
            blocks_max: self.options.blocks_max,
            sets,
            sets_max: self.options.sets_max,
            blocks_evicted,
            decisions: self.decisions,
            ended: self.means.counts().1,
            rate_per_s: self.means.rate_per_s(),
            output_tokens_mean: self.means.output_tokens,
        }
    }
}
