//! What really happened: tokens that came out, requests that ended, blocks that are free.

use super::plan::{Observation, Observed, StepResult};
use super::request::Stage;
use super::{Batcher, Request};
use crate::error::{Error, check_range};
use crate::policy::EngineMode;
use crate::units::{Blocks, Nanos};

impl Batcher {
    /// Takes in what the oldest step in flight did. O(requests of that step).
    ///
    /// Everything is checked before anything is changed. A result for a request that was
    /// cancelled, or ended in an earlier step, is accepted and ignored as long as this step was
    /// formed with it.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`] on `step` if it is not the oldest step in flight,
    /// on `request` for a result whose request is not part of it, is named twice, or should have
    /// produced nothing but is said to have; [`Error::Range`] on `output_tokens` beyond the
    /// request's maximum, on `kv_blocks_free` beyond the cache.
    pub fn observe(&mut self, now: Nanos, seen: &Observation<'_>) -> Result<Observed, Error> {
        self.check_time(now)?;
        let place = self.check_step(seen)?;
        self.check_results(place, seen.results)?;
        self.observations = self.observations.wrapping_add(1);
        self.now = now;
        self.stalled = false;
        let mut observed = Observed::default();
        self.land(place);
        self.learn(now, place, seen);
        for result in seen.results {
            self.take_in(now, result, &mut observed);
        }
        self.let_go(place);
        self.steps.pop(now);
        if let Some(free) = seen.kv_blocks_free {
            self.memory.reconcile(free);
        }
        Ok(observed)
    }

    /// The engine counts so many free KV blocks, told between observations: when blocks that
    /// others held have become free, or somebody else has taken some. What the host last said
    /// holds, here or in [`Observation::kv_blocks_free`]. O(1).
    ///
    /// As there, blocks of everything formed so far are not free.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] on `kv_blocks_free` beyond the cache.
    pub fn set_kv_blocks_free(&mut self, now: Nanos, free: Blocks) -> Result<(), Error> {
        self.check_time(now)?;
        self.check_blocks(free)?;
        self.now = now;
        self.stalled = false;
        self.memory.reconcile(free);
        Ok(())
    }

    fn check_blocks(&self, free: Blocks) -> Result<(), Error> {
        let blocks = self.memory.geometry().blocks();
        check_range("kv_blocks_free", free.get().into(), 0, blocks.get().into()).map(drop)
    }

    fn check_step(&self, seen: &Observation<'_>) -> Result<u32, Error> {
        let stale = Error::Stale { field: "step", handle: seen.step };
        let place = self.steps.oldest().ok_or(stale)?;
        if self.steps.record(place).id != seen.step {
            return Err(stale);
        }
        if let Some(free) = seen.kv_blocks_free {
            self.check_blocks(free)?;
        }
        Ok(place)
    }

    /// Checks every result. The only thing it leaves behind is a mark that means nothing later, and
    /// that no snapshot has.
    fn check_results(&mut self, place: u32, results: &[StepResult]) -> Result<(), Error> {
        self.looks = self.looks.wrapping_add(1);
        if self.looks == 0 {
            // Zero is the mark of a request that nothing has named.
            self.looks = 1;
        }
        for result in results {
            let refused = Error::Stale { field: "request", handle: result.request.to_raw() };
            let (look, bit) = (self.looks, 1 << place);
            let request = self.requests.get_mut(result.request)?;
            if request.in_flight & bit == 0 || request.named_in == look {
                return Err(refused);
            }
            request.named_in = look;
            let tokens = result.output_tokens.get();
            if request.stage == Stage::Ended {
                continue;
            }
            let room = request.output_tokens_max.saturating_sub(request.output_tokens);
            check_range("output_tokens", tokens.into(), 0, room.into())?;
            if tokens > 0 && request.emitting & bit == 0 {
                return Err(refused);
            }
        }
        Ok(())
    }

    /// The step is over: no request is in it any more. Until its result is read, each request
    /// counts as one that produced nothing.
    fn land(&mut self, place: u32) {
        let bit = 1 << place;
        let record = self.steps.record(place);
        for flight in &record.flights[..record.flights_len as usize] {
            let Some(request) = self.requests.at_mut(flight.slot) else { continue };
            request.absent = request.emitting & !request.voided & bit != 0;
            request.in_flight &= !bit;
            request.emitting &= !bit;
            request.voided &= !bit;
        }
    }

    fn take_in(&mut self, now: Nanos, result: &StepResult, observed: &mut Observed) {
        let Ok(request) = self.requests.get_mut(result.request) else { return };
        if request.stage == Stage::Ended {
            return;
        }
        let tokens = result.output_tokens.get();
        if tokens > 0 {
            request.absent = false;
            if request.output_tokens == 0 {
                request.first_token_ns = now.get();
                observed.first_tokens += 1;
            }
            request.output_tokens += tokens;
            observed.output_tokens = observed.output_tokens.saturating_add(tokens);
            self.book_output(result, tokens);
        }
        self.finish_or_follow(result, observed);
    }

    fn book_output(&mut self, result: &StepResult, tokens: u32) {
        let Ok(request) = self.requests.get_mut(result.request) else { return };
        let (class, account, turn) = (request.class, request.account, request.turn);
        // Speculation: the extra tokens were computed together with the first.
        if tokens > 1 {
            let computed = request.computed_tokens + tokens - 1;
            if request.stage == Stage::Running {
                self.memory.follow(request, computed);
                request.computed_tokens = computed;
            } else if request.swapped {
                self.follow_swapped(result.request.index(), computed);
            }
        }
        let cost = f64::from(tokens) * self.learner.output_token_cost;
        let charged = self.lines.ledger.charge(u32::from(class), account, cost);
        debug_assert!(charged.is_ok(), "accounts with requests cannot be closed");
        self.lines.book(class, account, cost, turn, turn.is_of_late());
        self.charge_output(account, tokens);
    }

    fn finish_or_follow(&mut self, result: &StepResult, observed: &mut Observed) {
        let slot = result.request.index();
        let request: &Request = self.request(slot);
        let done = result.finished || request.output_tokens >= request.output_tokens_max;
        if !done {
            return;
        }
        // A prefill engine may produce one token of each; only the host knows if that was all.
        if self.rules.mode == EngineMode::Prefill
            && !result.finished
            && request.stage == Stage::Running
        {
            self.hand_over(slot);
            return;
        }
        observed.finished += 1;
        self.learn_length(slot, false);
        self.refund_prompt(slot, 0);
        self.leave_swap(slot);
        let request = self.request(slot);
        if request.stage == Stage::Running {
            self.leave_seat(slot);
        } else {
            self.lines.leave(&mut self.requests, slot);
        }
        self.leave_group(slot);
        let request = self.request_mut(slot);
        request.stage = Stage::Ended;
        let account = request.account;
        self.account_requests[account.index() as usize] -= 1;
    }

    /// Forgets the requests that have ended and that no other step names; those that produced
    /// nothing were not computed either and will be planned again.
    fn let_go(&mut self, place: u32) {
        for index in 0..self.steps.record(place).flights_len {
            let flight = self.steps.record(place).flights[index as usize];
            let Some(request) = self.requests.at_mut(flight.slot) else { continue };
            let absent = core::mem::take(&mut request.absent);
            let computed = request.computed_tokens.saturating_sub(flight.tokens);
            if absent && request.stage == Stage::Running {
                request.computed_tokens = computed;
            } else if absent && request.swapped {
                self.follow_swapped(flight.slot, computed);
            }
            let request = self.request(flight.slot);
            if request.stage == Stage::Ended && request.in_flight == 0 {
                self.forget(flight.slot);
            }
        }
    }
}
