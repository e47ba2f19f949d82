//! Who gives way when the KV cache is full.

use super::Batcher;
use super::form::next_token_ns;
use super::plan::Preemption;
use super::request::Turn;
use crate::units::{Nanos, Tokens};

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
        while self.running_len > self.memory.free().get()
            && self.blocks_wanted() > self.blocks_soon_free()
        {
            let Some(victim) = self.victim() else { break };
            out[preempted as usize] = self.preempt(victim);
            preempted += 1;
        }
        preempted
    }

    fn blocks_wanted(&self) -> u32 {
        let mut wanted = 0;
        for slot in &self.running[..self.running_len as usize] {
            let request = self.request(*slot);
            if !request.is_prefilling() && !request.is_complete() {
                wanted += self.memory.lacking(request, request.computed_tokens + 1);
            }
        }
        wanted
    }

    fn blocks_soon_free(&self) -> u32 {
        let running = self.running[..self.running_len as usize].iter();
        let ending =
            running.map(|slot| self.request(*slot)).filter(|request| request.is_complete());
        ending.fold(self.memory.free().get(), |sum, request| sum.saturating_add(request.blocks))
    }

    /// Who loses least by being computed again, for each block that it frees. Requests that were
    /// victims too often, or whose last token is on its way, come last.
    fn victim(&self) -> Option<u32> {
        if self.running_len < 2 {
            return None;
        }
        let mut best: Option<((bool, f64, u64), u32)> = None;
        for slot in &self.running[..self.running_len as usize] {
            let request = self.request(*slot);
            let holds = request.blocks > 0 || request.holds_shared;
            if !holds || request.is_complete() {
                continue;
            }
            let chunk = self.limits.step_tokens_max.get();
            let again_s = self.model.prefill_seconds(request.computed_tokens, 0, chunk);
            let value = self.classes[usize::from(request.class)].delay_value;
            // Who frees nothing alone comes last, and yet it comes: after it, another one may.
            let price = match self.blocks_freed(request) {
                0 => f64::INFINITY,
                blocks => again_s * value / f64::from(blocks),
            };
            let tired = u32::from(request.preemptions) >= self.rules.preemptions_max;
            // Among equals the newest: it has waited least.
            let rank = (tired, price, u64::MAX - request.sequence);
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, *slot));
            }
        }
        best.map(|(_, slot)| slot)
    }

    pub(super) fn preempt(&mut self, slot: u32) -> Preemption {
        self.leave_seat(slot);
        let chunk = self.limits.step_tokens_max.get();
        let request_id = self.requests.handle_at(slot).unwrap_or_default();
        let classes = &self.classes;
        let Some(request) = self.requests.at_mut(slot) else { return Preemption::default() };
        let lost = request.computed_tokens;
        request.computed_tokens = 0;
        request.cached_tokens = 0;
        request.turn = Turn::Order;
        request.voided = request.in_flight;
        request.preemptions = request.preemptions.saturating_add(1);
        request.goal_tokens = request.prompt_tokens + request.tokens_expected();
        let preemption = Preemption {
            request: request_id,
            tag: request.tag,
            computed_tokens: Tokens(lost),
            ..Preemption::default()
        };
        let class = &classes[usize::from(request.class)];
        if request.tokens_expected() > 0 {
            let due_ns = next_token_ns(request, class);
            self.lines.enter_preempted(&mut self.requests, slot, due_ns);
        } else {
            let prefill_s = request.prefill_seconds(&self.model, chunk);
            let deadline = Nanos(request.due_ns);
            request.latest_start_ns = deadline.offset_seconds(-prefill_s).get();
            self.expiries.note(slot, request.expires_ns);
            self.lines.enter(&mut self.requests, slot, deadline, prefill_s);
        }
        preemption
    }

    /// Nothing can run although there are seats taken: prompts hold each other's last blocks.
    /// The one that is cheapest to compute again gives way, so that the next step has room.
    pub(super) fn break_deadlock(&mut self, out: &mut [Preemption]) -> u32 {
        if self.steps.len() > 0 {
            return 0;
        }
        let Some(victim) = self.victim() else { return 0 };
        out[0] = self.preempt(victim);
        1
    }
}
