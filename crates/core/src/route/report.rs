//! What an engine says of itself replaces what was thought of it.
//!
//! # Formula
//! ```text
//! x = reported x + x of the requests that were routed there after the report's `as_of`
//! ```
//! for requests that wait, their KV blocks and their prompt seconds. Who began, decoded or ended
//! since is not known to the report and not added: within its age, which is short against a stay.
//!
//! # Bounds and cost
//! O(requests routed since, at most [`super::replica::RECENT`]).

use super::Router;
use super::options::ReplicaState;
use super::price::work_s;
use super::replica::ReplicaId;
use crate::error::{Error, check_range};
use crate::units::{Nanos, Tokens};

/// Most tokens that a report may speak of: what 2^20 requests of 2^24 tokens hold.
const TOKENS_MAX: u64 = 1 << 44;

impl Router {
    /// A report of a replica arrives. `false` if one that is no older arrived before: nothing is
    /// changed then. O(1).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`]; [`Error::Range`] on a field of `state`:
    /// `as_of_ns` after `now`, more free blocks than there are, tokens above 2^44.
    pub fn report(
        &mut self,
        now: Nanos,
        replica: ReplicaId,
        state: &ReplicaState,
    ) -> Result<bool, Error> {
        self.check_time(now)?;
        let known = self.replicas.get_mut(replica)?;
        check_range("as_of_ns", state.as_of.get(), 0, now.get())?;
        check_range("context_tokens", state.context_tokens, 0, TOKENS_MAX)?;
        check_range("prefill_tokens", state.prefill_tokens.unwrap_or(0), 0, TOKENS_MAX)?;
        let blocks = known.spec.kv.blocks().get();
        check_range("kv_free", state.kv_free.get().into(), 0, blocks.into())?;
        self.now = now;
        if state.as_of <= known.heard_at {
            return Ok(false);
        }
        known.heard_at = state.as_of;
        let since = known.recent.after(state.as_of);
        let (count, later_blocks, _) = since.unwrap_or_default();
        known.running = state.running;
        known.context_tokens = state.context_tokens;
        known.waiting = state.waiting.saturating_add(count);
        let mut free = i64::from(state.kv_free.get()) - later_blocks;
        if let Some(tokens) = state.prefill_tokens {
            let tokens = tokens.min(u64::from(u32::MAX)) as u32;
            free -= i64::from(known.spec.kv.blocks_for(Tokens(tokens)).get());
            let prompts = state.waiting.max(1);
            // Prompts side by side: each attends to itself, not to the others.
            let each_s = work_s(known, tokens / prompts, 0);
            let later_s = since.map_or(0.0, |(.., before_s)| known.routed_s - before_s);
            let busy_s = each_s * f64::from(prompts) + later_s;
            known.free_at = state.as_of.offset_seconds(busy_s).max(known.spec.ready_at);
        }
        known.kv_free = free;
        self.post(replica.index());
        Ok(true)
    }
}
