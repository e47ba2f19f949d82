//! KV that is moved out of the cache instead of being dropped, and comes back.
//!
//! # What it decides
//! For each request that gives way: whether its KV is swapped out or computed again.
//!
//! # Formula
//! ```text
//! swap     if it decodes, its blocks are free in the swap space, and
//!          blocks * (out_s_per_block + in_s_per_block) < recompute_s
//! back     in its turn, once the cache has all its blocks at once; the same step produces its
//!          next token
//! step     lasts for its computing and for what is swapped in and out before it, one after the
//!          other: an engine that overlaps them is early
//! ```
//!
//! # Bounds and cost
//! O(1). The blocks in the space are those of the requests whose KV is there, at any moment, by
//! the tokens that they have. Only a step in flight that brought more tokens than one
//! (speculation) can make that more than the space has: by then the engine has done it.
//!
//! # What it is bad at
//! It swaps whole requests. One in the middle of its prompt is computed again.
//!
//! # Source
//! Kwon et al., "`PagedAttention`", SOSP 2023, section 4.5: swapping against recomputation.

use super::Batcher;
use super::request::{Request, RequestId};
use crate::batch::queue::NONE;
use crate::engine::KvSwap;
use crate::error::Error;
use crate::snapshot::Words;
use crate::units::{Blocks, Nanos, Tokens};

/// The swap space and what is in it.
#[derive(Debug, Default)]
pub(super) struct Swap {
    space: Option<KvSwap>,
    used: u32,
    /// Seconds of moving that no step was formed with yet.
    pub(super) moving_s: f64,
}

/// How a request that gives way gets its KV back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restore {
    pub(super) seconds: f64,
    pub(super) swaps: bool,
}

impl Swap {
    /// Blocks in the space.
    pub(super) const fn used(&self) -> Blocks {
        Blocks(self.used)
    }

    /// What is in the space follows from the requests.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { space, used: _, moving_s } = self;
        save(space.is_some().into());
        if let Some(space) = space {
            save(space.blocks().get().into());
            save(space.out_s_per_block().to_bits());
            save(space.in_s_per_block().to_bits());
        }
        save(moving_s.to_bits());
    }

    pub(super) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.space = if words.next_flag("swap")? {
            let blocks = Blocks(words.next_u32("swap.blocks")?);
            let (out_s, in_s) = (words.next_amount("out_s")?, words.next_amount("in_s")?);
            Some(KvSwap::new(blocks, out_s, in_s)?)
        } else {
            None
        };
        self.moving_s = words.next_amount("swap.moving_s")?;
        Ok(())
    }
}

impl Batcher {
    /// Tells of a space that KV can be swapped to, or that there is none. What is swapped out
    /// stays there until it comes back: take no space away that is in use.
    pub fn set_swap(&mut self, swap: Option<KvSwap>) {
        self.swap.space = swap;
        self.stalled = false;
    }

    /// KV of this request that was swapped out is lost: it will be computed again. O(1).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`] for a request that is unknown, has ended, or has
    /// nothing swapped out.
    pub fn drop_swapped(&mut self, now: Nanos, request: RequestId) -> Result<(), Error> {
        self.check_time(now)?;
        if !self.requests.get(request)?.swapped {
            return Err(Error::Stale { field: "request", handle: request.to_raw() });
        }
        self.now = now;
        self.stalled = false;
        self.leave_swap(request.index());
        let entry = self.request_mut(request.index());
        entry.computed_tokens = 0;
        entry.voided = entry.in_flight;
        Ok(())
    }

    /// The quicker way for a running request to have its KV again.
    pub(super) fn restore_of(&self, request: &Request) -> Restore {
        let chunk = self.limits.step_tokens_max.get();
        let recompute_s = self.model.prefill_seconds(request.computed_tokens, 0, chunk);
        let recompute = Restore { seconds: recompute_s, swaps: false };
        // What it shares with others stays where they need it.
        let movable = !request.is_prefilling() && request.group == NONE;
        let Some(space) = self.swap.space.filter(|_| movable) else { return recompute };
        let blocks = self.swap_blocks(request);
        let seconds = f64::from(blocks) * (space.out_s_per_block() + space.in_s_per_block());
        let fits = blocks <= space.blocks().get().saturating_sub(self.swap.used);
        if fits && seconds < recompute_s { Restore { seconds, swaps: true } } else { recompute }
    }

    fn swap_blocks(&self, request: &Request) -> u32 {
        self.memory.geometry().blocks_for(Tokens(request.computed_tokens)).get()
    }

    /// The KV of a request that has just given way goes to the swap space.
    pub(super) fn enter_swap(&mut self, slot: u32) {
        let blocks = self.swap_blocks(self.request(slot));
        self.request_mut(slot).swapped = true;
        self.swap.used = self.swap.used.saturating_add(blocks);
        let each_s = self.swap.space.map_or(0.0, |space| space.out_s_per_block());
        self.swap.moving_s += f64::from(blocks) * each_s;
    }

    /// Nothing of a request is in the swap space any more.
    pub(super) fn leave_swap(&mut self, slot: u32) {
        let blocks = self.swap_blocks(self.request(slot));
        let request = self.request_mut(slot);
        if request.swapped {
            request.swapped = false;
            self.swap.used = self.swap.used.saturating_sub(blocks);
        }
    }

    /// Swapped KV comes back to the cache; returns the seconds that this takes.
    pub(super) fn swap_in(&mut self, slot: u32) -> f64 {
        let blocks = self.swap_blocks(self.request(slot));
        self.leave_swap(slot);
        let each_s = self.swap.space.map_or(0.0, |space| space.in_s_per_block());
        let seconds = f64::from(blocks) * each_s;
        self.swap.moving_s += seconds;
        seconds
    }

    /// The KV of a restored request is in the swap space.
    pub(super) fn find_swapped(&mut self, slot: u32) {
        let blocks = self.swap_blocks(self.request(slot));
        self.swap.used = self.swap.used.saturating_add(blocks);
    }

    /// A step in flight has left a request whose KV is swapped out with so many tokens.
    pub(super) fn follow_swapped(&mut self, slot: u32, computed_tokens: u32) {
        let before = self.swap_blocks(self.request(slot));
        let request = self.request_mut(slot);
        request.computed_tokens = computed_tokens;
        request.goal_tokens = request.prompt_tokens + request.tokens_expected();
        let after = self.swap_blocks(self.request(slot));
        self.swap.used = (self.swap.used + after).saturating_sub(before);
    }
}
