//! Who gives way when the KV cache is full.
//!
//! # What it decides
//! Which running requests lose their KV so that the others can go on, and in which order.
//!
//! # Formula
//! ```text
//! price = restore_s * delay_value / blocks freed
//! ```
//! with `restore_s` the seconds to have the KV again, by computing it or from the swap space,
//! whichever is quicker. The least price gives way. Spared as long as anybody else is left: those
//! that gave way `preemptions_max` times, and after them those about to end, which are expected to
//! need fewer seconds to their last token than their KV takes to come back.
//!
//! # Bounds and cost
//! O(running) for each one that gives way, and O(bins) for each that comes before all those
//! looked at earlier. A request whose last token is in flight never
//! does. Nobody is let in by a step that turns somebody out; what lets in afterwards is the
//! forecast, so that nobody comes straight back.
//!
//! # What it is bad at
//! It takes one after the other: two small ones may go where one large one would do.

use super::Batcher;
use super::form::next_token_ns;
use super::plan::Preemption;
use super::request::{Request, Turn};
use super::swap::Restore;
use crate::engine::StepShape;
use crate::units::{Nanos, Tokens};

/// A request that may give way.
#[derive(Clone, Copy)]
struct Victim {
    slot: u32,
    price: f64,
    restore: Restore,
}

impl Batcher {
    /// Preempts until every decoding request can have the block it needs, or nobody is left to
    /// give way. Returns how many were preempted.
    ///
    /// Blocks of requests whose last token is on its way count as free: those who need them wait
    /// for a step, which costs less than computing anybody's context again.
    pub(super) fn make_room(&mut self, out: &mut [Preemption]) -> u32 {
        let mut preempted = 0;
        // Each decoding request needs one block at most: with that many free there is no need
        // to count.
        while self.running_len > self.memory.free().get() && self.is_short() {
            let Some(victim) = self.victim() else { break };
            out[preempted as usize] = self.give_way(victim);
            preempted += 1;
        }
        preempted
    }

    /// The decoding requests need more blocks than are free, or will be as soon as those end whose
    /// last token is on its way.
    fn is_short(&self) -> bool {
        let (mut wanted, mut free) = (0_u32, self.memory.free().get());
        for slot in &self.running[..self.running_len as usize] {
            let request = self.request(*slot);
            if request.is_complete() {
                free = free.saturating_add(request.blocks);
            } else if !request.is_prefilling() {
                wanted += self.memory.lacking(request, request.computed_tokens + 1);
            }
        }
        wanted > free
    }

    /// Who loses least by having its KV again later, for each block that it frees.
    fn victim(&self) -> Option<Victim> {
        if self.running_len < 2 {
            return None;
        }
        let pace_s = self.pace_s();
        let mut best: Option<((bool, bool, f64, u64), Victim)> = None;
        for slot in &self.running[..self.running_len as usize] {
            let request = self.request(*slot);
            let holds = request.blocks > 0 || request.holds_shared;
            if !holds || request.is_complete() {
                continue;
            }
            let restore = self.restore_of(request);
            let value = self.classes[usize::from(request.class)].delay_value;
            // Who frees nothing alone comes last, and yet it comes: after it, another one may.
            let price = match self.blocks_freed(request) {
                0 => f64::INFINITY,
                blocks => restore.seconds * value / f64::from(blocks),
            };
            let tired = u32::from(request.preemptions) >= self.rules.preemptions_max;
            // Among equals the newest: it has waited least.
            let mut rank = (tired, false, price, u64::MAX - request.sequence);
            let leads = |rank| best.is_none_or(|(least, _)| rank < least);
            if !leads(rank) {
                continue;
            }
            // The dearest question last: few get this far.
            rank.1 = self.remaining_tokens(request) * pace_s < restore.seconds;
            if leads(rank) {
                best = Some((rank, Victim { slot: *slot, price, restore }));
            }
        }
        best.map(|(_, victim)| victim)
    }

    /// Seconds of a step in which every request decodes.
    fn pace_s(&self) -> f64 {
        let running = self.running[..self.running_len as usize].iter();
        let shape = running.fold(StepShape::default(), |shape, slot| {
            shape.with_decode(self.request(*slot).computed_tokens)
        });
        self.model.seconds(&shape)
    }

    /// Output tokens that it is expected to produce yet.
    fn remaining_tokens(&self, request: &Request) -> f64 {
        let (class, account) = (u32::from(request.class), request.account.index());
        let (produced, most) = (request.tokens_expected(), request.output_tokens_max);
        self.forecast.lengths.remaining_mean(class, account, Tokens(produced), Tokens(most))
    }

    fn give_way(&mut self, victim: Victim) -> Preemption {
        let Victim { slot, price, restore } = victim;
        let preemption = self.preempt(slot, restore.swaps);
        Preemption { restore_s: restore.seconds, price, ..preemption }
    }

    pub(super) fn preempt(&mut self, slot: u32, swaps: bool) -> Preemption {
        self.leave_seat(slot);
        let request_id = self.requests.handle_at(slot).unwrap_or_default();
        let request = self.request_mut(slot);
        let preemption = Preemption {
            request: request_id,
            tag: request.tag,
            computed_tokens: Tokens(request.computed_tokens),
            swapped_out: swaps,
            ..Preemption::default()
        };
        request.cached_tokens = 0;
        request.turn = Turn::Order;
        request.preemptions = request.preemptions.saturating_add(1);
        request.goal_tokens = request.prompt_tokens + request.tokens_expected();
        if swaps {
            self.enter_swap(slot);
        } else {
            request.computed_tokens = 0;
            request.voided = request.in_flight;
        }
        self.wait_again(slot);
        preemption
    }

    /// Puts a request that lost its seat back in line.
    fn wait_again(&mut self, slot: u32) {
        let chunk = self.limits.step_tokens_max.get();
        let Some(request) = self.requests.at_mut(slot) else { return };
        if request.tokens_expected() > 0 {
            let class = &self.classes[usize::from(request.class)];
            let due_ns = next_token_ns(request, class);
            self.lines.enter_preempted(&mut self.requests, slot, due_ns);
        } else {
            let prefill_s = request.prefill_seconds(&self.model, chunk);
            let deadline = Nanos(request.due_ns);
            request.latest_start_ns = deadline.offset_seconds(-prefill_s).get();
            self.expiries.note(slot, request.expires_ns);
            self.lines.enter(&mut self.requests, slot, deadline, prefill_s);
        }
    }

    /// Nothing can run although there are seats taken: prompts hold each other's last blocks.
    /// The one that is cheapest to have again gives way, so that the next step has room.
    pub(super) fn break_deadlock(&mut self, out: &mut [Preemption]) -> u32 {
        if self.steps.len() > 0 {
            return 0;
        }
        let Some(victim) = self.victim() else { return 0 };
        out[0] = self.give_way(victim);
        1
    }
}
