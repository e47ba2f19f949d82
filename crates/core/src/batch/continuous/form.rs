//! Forming one step: decodes, then prompts, then who comes in; and who gives way.

use super::aside::ASIDE_MAX;
use super::explain::Closed;
use super::plan::{Formed, Phase, Plan, PlanEntry};
use super::prompts::{Line, partial_of};
use super::request::{Request, RequestId};
use super::steps::Flight;
use super::{Batcher, ClassRules};
use crate::engine::StepShape;
use crate::error::Error;
use crate::units::{Nanos, Tokens};

/// The step as far as it is planned.
pub(super) struct Draft {
    pub(super) start_ns: u64,
    pub(super) shape: StepShape,
    pub(super) tokens_left: u32,
    pub(super) entries_len: u32,
    /// Entries that decode; they come first.
    decodes_len: u32,
    pub(super) admitted: u32,
    /// Seconds from the start until the first decoding request needs its next token.
    pub(super) slack_s: f64,
    /// Tightest `tpot_target` of what decodes.
    pub(super) tpot_s: f64,
    /// Largest delay value of what decodes.
    pub(super) delay_value: f64,
    place: u32,
}

impl Batcher {
    /// Forms the next step into the caller's arrays. With nothing to run, [`Formed::step`] is
    /// `None`; requests may still have been preempted, or have expired. See the module for order
    /// and cost.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Full`] on `steps_in_flight` when as many steps as the
    /// policy allows are not yet observed; [`Error::BufferTooSmall`] unless all arrays hold
    /// `running_max` elements.
    pub fn form(&mut self, now: Nanos, plan: &mut Plan<'_>) -> Result<Formed, Error> {
        self.form_with_cache(now, plan, &mut |_, _| None)
    }

    /// As [`Batcher::form`], asking the host's prefix cache about each request that is about to
    /// be let in: `cached(request, tag)` returns how many of its leading tokens have KV now, or
    /// `None` to keep what was said before. An answer beyond what the request has to compute
    /// counts as all of it but one token.
    ///
    /// # Errors
    /// As [`Batcher::form`].
    pub fn form_with_cache(
        &mut self,
        now: Nanos,
        plan: &mut Plan<'_>,
        cached: &mut dyn FnMut(RequestId, u64) -> Option<Tokens>,
    ) -> Result<Formed, Error> {
        self.check_time(now)?;
        self.check_arrays(plan)?;
        if self.steps.len() == self.steps.capacity() {
            let capacity = u64::from(self.steps.capacity());
            return Err(Error::Full { field: "steps_in_flight", capacity });
        }
        self.now = now;
        let starts_at = self.steps.ends_at().map_or(now, |end| end.max(now));
        let mut preempted_len = self.make_room(plan.preempted);
        let mut draft = Draft {
            start_ns: starts_at.get(),
            shape: StepShape::default(),
            tokens_left: self.limits.step_tokens_max.get(),
            entries_len: 0,
            decodes_len: 0,
            admitted: 0,
            slack_s: f64::INFINITY,
            tpot_s: f64::INFINITY,
            delay_value: 0.0,
            place: self.steps.next_place(),
        };
        let partials_len = self.plan_decodes(&mut draft, plan.entries);
        self.measure_slack(&mut draft);
        self.lift_oldest(partials_len);
        self.lines.settle_adapters(&mut self.requests);
        self.refresh_forecast();
        let mut line = Line {
            open: preempted_len == 0,
            closed: Closed::Open,
            guarantees: true,
            next: None,
            expired_len: self.sweep_expired(plan.expired),
            expired: plan.expired,
            aside_left: ASIDE_MAX,
            cached,
        };
        self.plan_prompts(&mut draft, plan.entries, partials_len, &mut line);
        if draft.entries_len == 0 && preempted_len == 0 {
            preempted_len = self.break_deadlock(plan.preempted);
        }
        let (expired_len, aside_left, closed) = (line.expired_len, line.aside_left, line.closed);
        self.note_closing(closed, preempted_len);
        let formed = self.commit(&draft, starts_at, preempted_len);
        // Who stepped aside made room for others, whom this step did not come to.
        self.stalled &= expired_len == 0 && aside_left > 0;
        Ok(Formed { expired_len, ..formed })
    }

    fn check_arrays(&self, plan: &Plan<'_>) -> Result<(), Error> {
        let needed = u64::from(self.limits.running_max);
        let lengths = [
            ("entries", plan.entries.len()),
            ("preempted", plan.preempted.len()),
            ("expired", plan.expired.len()),
        ];
        for (field, given) in lengths {
            if (given as u64) < needed {
                return Err(Error::BufferTooSmall { field, given: given as u64, needed });
            }
        }
        Ok(())
    }

    /// Every decoding request gets its token; the others are noted as partial prompts.
    fn plan_decodes(&mut self, draft: &mut Draft, entries: &mut [PlanEntry]) -> u32 {
        let chunk = self.limits.step_tokens_max.get();
        let mut partials_len = 0;
        for seat in 0..self.running_len {
            let slot = self.running[seat as usize];
            let Some(request) = self.requests.at_mut(slot) else { continue };
            if request.is_prefilling() {
                let class = &self.classes[usize::from(request.class)];
                let prefill_s = request.prefill_seconds(&self.model, chunk);
                self.partials[partials_len as usize] =
                    partial_of(request, slot, class, &self.rules, prefill_s, draft.start_ns);
                partials_len += 1;
                continue;
            }
            let context = request.computed_tokens;
            if request.is_complete() || !self.memory.grow(request, context + 1) {
                continue;
            }
            draft.shape = draft.shape.with_decode(context);
            self.put(draft, entries, slot, 1, Phase::Decode, false);
        }
        partials_len
    }

    /// How long the step may take before a decoding request misses its next token.
    fn measure_slack(&self, draft: &mut Draft) {
        draft.decodes_len = draft.entries_len;
        let alone_s = self.model.seconds(&draft.shape);
        let record = self.steps.record(draft.place);
        let ratio = self.rules.slack_lending_ratio;
        let (mut lead_min_ns, mut classes) = (u64::MAX, 0_u32);
        for flight in &record.flights[..draft.decodes_len as usize] {
            let request = self.request(flight.slot);
            let class = &self.classes[usize::from(request.class)];
            classes |= 1 << request.class;
            // This step's own token is expected already: its due time is the one before.
            let produced = request.tokens_expected() - 1;
            let due_ns = request
                .first_token_ns
                .saturating_add(class.tpot_planned_ns.saturating_mul(u64::from(produced)));
            if due_ns >= draft.start_ns {
                let lead_ns = due_ns - draft.start_ns;
                lead_min_ns = lead_min_ns.min(lent_ns(lead_ns, class.tpot_planned_ns, ratio));
                continue;
            }
            let behind_s = seconds_between(draft.start_ns, due_ns);
            let left = f64::from(request.output_tokens_max - produced);
            let regained_s = left * (class.tpot_s - alone_s).max(0.0);
            // Behind beyond recovery: it keeps its pace and holds up nobody.
            let hopeless = behind_s + regained_s < 0.0;
            let slack_s = if hopeless { class.tpot_planned_ns as f64 / 1e9 } else { behind_s };
            draft.slack_s = draft.slack_s.min(slack_s);
        }
        if lead_min_ns < u64::MAX {
            draft.slack_s = draft.slack_s.min(seconds_between(0, lead_min_ns));
        }
        for (index, class) in self.classes.iter().enumerate() {
            if classes & 1 << index != 0 {
                draft.tpot_s = draft.tpot_s.min(class.tpot_s);
                draft.delay_value = draft.delay_value.max(class.delay_value);
            }
        }
        draft.slack_s -= self.swap.moving_s;
    }

    /// Writes one entry and everything that follows from it.
    pub(super) fn put(
        &mut self,
        draft: &mut Draft,
        entries: &mut [PlanEntry],
        slot: u32,
        tokens: u32,
        phase: Phase,
        admitted: bool,
    ) {
        let id = self.requests.handle_at(slot).unwrap_or_default();
        let Some(request) = self.requests.at_mut(slot) else { return };
        let before = request.computed_tokens;
        request.computed_tokens = before + tokens;
        let emits = phase == Phase::Decode || request.computed_tokens == request.goal_tokens;
        let bit = 1 << draft.place;
        request.in_flight |= bit;
        if emits {
            request.emitting |= bit;
        }
        entries[draft.entries_len as usize] = PlanEntry {
            request: id,
            tag: request.tag,
            computed_tokens: Tokens(before),
            tokens: Tokens(tokens),
            phase,
            emits,
            admitted,
            swapped_in: false,
        };
        let record = self.steps.record_mut(draft.place);
        record.flights[draft.entries_len as usize] = Flight { slot, tokens, emits };
        draft.entries_len += 1;
        draft.tokens_left -= tokens;
    }

    fn commit(&mut self, draft: &Draft, starts_at: Nanos, preempted_len: u32) -> Formed {
        let mut formed = Formed {
            step: None,
            entries_len: draft.entries_len,
            preempted_len,
            expired_len: 0,
            admitted: draft.admitted,
            shape: draft.shape,
            starts_at,
            ends_at: starts_at,
        };
        self.stalled = draft.entries_len == 0 && preempted_len == 0;
        if draft.entries_len == 0 {
            return formed;
        }
        let moving = Nanos::from_seconds(core::mem::take(&mut self.swap.moving_s));
        let duration = self.model.duration(&draft.shape).saturating_add(moving);
        let formed_at = self.now;
        let record = self.steps.record_mut(draft.place);
        record.flights_len = draft.entries_len;
        (record.shape, record.formed_at) = (draft.shape, formed_at);
        formed.step = Some(self.steps.push(starts_at, duration));
        formed.ends_at = starts_at.saturating_add(duration);
        // Who decodes has had its first token, or is to have it in an earlier step.
        let prompts = draft.decodes_len as usize..draft.entries_len as usize;
        for flight in &self.steps.record(draft.place).flights[prompts] {
            let Some(request) = self.requests.at_mut(flight.slot) else { continue };
            if flight.emits && request.output_tokens == 0 && request.emitting.is_power_of_two() {
                request.first_token_ns = formed.ends_at.get();
            }
        }
        for index in draft.decodes_len..draft.entries_len {
            self.share_prompt(self.steps.record(draft.place).flights[index as usize].slot);
        }
        formed
    }
}

/// How long a step may be for a request with such a lead over its schedule: all of what is within
/// its pace, and of what is beyond that the share that it lends.
fn lent_ns(lead_ns: u64, pace_ns: u64, ratio: f64) -> u64 {
    if ratio >= 1.0 || lead_ns <= pace_ns {
        return lead_ns;
    }
    pace_ns + (ratio * (lead_ns - pace_ns) as f64) as u64
}

/// When the next token of a request that has begun to answer is due.
pub(super) fn next_token_ns(request: &Request, class: &ClassRules) -> u64 {
    let produced = u64::from(request.tokens_expected());
    request.first_token_ns.saturating_add(class.tpot_planned_ns.saturating_mul(produced))
}

/// Seconds from `from_ns` to `to_ns`, negative if that is past.
pub(super) fn seconds_between(from_ns: u64, to_ns: u64) -> f64 {
    if to_ns >= from_ns {
        (to_ns - from_ns) as f64 / 1e9
    } else {
        -((from_ns - to_ns) as f64 / 1e9)
    }
}
