//! Forming one step: decodes, then prompts, then who comes in; and who gives way.

use super::plan::{Formed, Phase, Plan, PlanEntry, Preemption};
use super::request::{Request, Stage};
use super::steps::Flight;
use super::{Batcher, ClassRules};
use crate::engine::StepShape;
use crate::error::Error;
use crate::units::{Nanos, Tokens};

/// A running request in the middle of its prompt, in the order in which prompts go on.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Partial {
    rank: u8,
    due_ns: u64,
    sequence: u64,
    slot: u32,
}

/// Rank of work that a guarantee let in: before all classes.
const RANK_GUARANTEED: u8 = 0;

/// The step as far as it is planned.
struct Draft {
    start_ns: u64,
    shape: StepShape,
    tokens_left: u32,
    entries_len: u32,
    admitted: u32,
    /// Seconds from the start until the first decoding request needs its next token.
    slack_s: f64,
    /// Tightest `tpot_target` of what decodes.
    tpot_s: f64,
    /// Largest delay value of what decodes.
    delay_value: f64,
    place: u32,
}

impl Batcher {
    /// Forms the next step into the caller's arrays. With nothing to run, [`Formed::step`] is
    /// `None`; requests may still have been preempted. See the module for order and cost.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Full`] on `steps_in_flight` when as many steps as the
    /// policy allows are not yet observed; [`Error::BufferTooSmall`] unless both arrays hold
    /// `running_max` elements.
    pub fn form(&mut self, now: Nanos, plan: &mut Plan<'_>) -> Result<Formed, Error> {
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
            admitted: 0,
            slack_s: f64::INFINITY,
            tpot_s: f64::INFINITY,
            delay_value: 0.0,
            place: self.steps.next_place(),
        };
        let partials_len = self.plan_decodes(&mut draft, plan.entries);
        self.measure_slack(&mut draft);
        self.plan_prompts(&mut draft, plan.entries, partials_len, preempted_len == 0);
        if draft.entries_len == 0 && preempted_len == 0 {
            preempted_len = self.break_deadlock(plan.preempted);
        }
        Ok(self.commit(&draft, starts_at, preempted_len))
    }

    fn check_arrays(&self, plan: &Plan<'_>) -> Result<(), Error> {
        let needed = u64::from(self.limits.running_max);
        let lengths = [("entries", plan.entries.len()), ("preempted", plan.preempted.len())];
        for (field, given) in lengths {
            if (given as u64) < needed {
                return Err(Error::BufferTooSmall { field, given: given as u64, needed });
            }
        }
        Ok(())
    }

    /// Preempts until every decoding request can have the block it needs, or nobody is left to
    /// give way. Returns how many were preempted.
    fn make_room(&mut self, out: &mut [Preemption]) -> u32 {
        let mut preempted = 0;
        // Each decoding request needs one block at most: with that many free there is no need
        // to count.
        while self.running_len > self.memory.free().get()
            && self.blocks_wanted() > self.memory.free().get()
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

    /// Who loses least by being computed again, for each block that it frees. Requests that were
    /// victims too often, or whose last token is on its way, come last.
    fn victim(&self) -> Option<u32> {
        if self.running_len < 2 {
            return None;
        }
        let mut best: Option<((bool, f64, u64), u32)> = None;
        for slot in &self.running[..self.running_len as usize] {
            let request = self.request(*slot);
            if request.blocks == 0 || request.is_complete() {
                continue;
            }
            let chunk = self.limits.step_tokens_max.get();
            let again_s = self.model.prefill_seconds(request.computed_tokens, 0, chunk);
            let value = self.classes[usize::from(request.class)].delay_value;
            let price = again_s * value / f64::from(request.blocks);
            let tired = u32::from(request.preemptions) >= self.rules.preemptions_max;
            // Among equals the newest: it has waited least.
            let rank = (tired, price, u64::MAX - request.sequence);
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, *slot));
            }
        }
        best.map(|(_, slot)| slot)
    }

    fn preempt(&mut self, slot: u32) -> Preemption {
        self.leave_seat(slot);
        let chunk = self.limits.step_tokens_max.get();
        let request_id = self.requests.handle_at(slot).unwrap_or_default();
        let classes = &self.classes;
        let Some(request) = self.requests.at_mut(slot) else { return Preemption::default() };
        let lost = request.computed_tokens;
        request.computed_tokens = 0;
        request.cached_tokens = 0;
        request.guaranteed = false;
        request.voided = request.in_flight;
        request.preemptions = request.preemptions.saturating_add(1);
        request.goal_tokens = request.prompt_tokens + request.tokens_expected();
        let preemption =
            Preemption { request: request_id, tag: request.tag, computed_tokens: Tokens(lost) };
        let class = &classes[usize::from(request.class)];
        if request.tokens_expected() > 0 {
            let due_ns = next_token_ns(request, class);
            self.lines.enter_preempted(&mut self.requests, slot, due_ns);
        } else {
            let prefill_s = request.prefill_seconds(&self.model, chunk);
            let deadline = Nanos(request.arrival_ns.saturating_add(class.ttft_ns));
            request.latest_start_ns = deadline.offset_seconds(-prefill_s).get();
            self.lines.enter(&mut self.requests, slot, deadline, prefill_s);
        }
        preemption
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
                    partial(request, slot, class, prefill_s, draft.start_ns);
                partials_len += 1;
                continue;
            }
            let context = request.computed_tokens + 1;
            if request.is_complete() || !self.memory.grow(request, context) {
                continue;
            }
            draft.shape = draft.shape.with_decode(context);
            self.put(draft, entries, slot, 1, Phase::Decode, false);
        }
        partials_len
    }

    /// How long the step may take before a decoding request misses its next token.
    fn measure_slack(&self, draft: &mut Draft) {
        let alone_s = self.model.seconds(&draft.shape);
        let record = self.steps.record(draft.place);
        for flight in &record.flights[..draft.entries_len as usize] {
            let request = self.request(flight.slot);
            let class = &self.classes[usize::from(request.class)];
            // This step's own token is expected already: its due time is the one before.
            let produced = request.tokens_expected() - 1;
            let due_ns = request
                .first_token_ns
                .saturating_add(class.tpot_planned_ns.saturating_mul(u64::from(produced)));
            let slack_s = seconds_between(draft.start_ns, due_ns);
            let left = f64::from(request.output_tokens_max - produced);
            let regained_s = left * (class.tpot_s - alone_s).max(0.0);
            // Behind beyond recovery: it keeps its pace and holds up nobody.
            let slack_s = if slack_s + regained_s < 0.0 {
                class.tpot_planned_ns as f64 / 1e9
            } else {
                slack_s
            };
            draft.slack_s = draft.slack_s.min(slack_s);
            draft.tpot_s = draft.tpot_s.min(class.tpot_s);
            draft.delay_value = draft.delay_value.max(class.delay_value);
        }
    }

    /// Shares the rest of the step among prompts: those that have begun and those that wait, by
    /// rank; at equal rank what has begun goes on.
    fn plan_prompts(
        &mut self,
        draft: &mut Draft,
        entries: &mut [PlanEntry],
        partials_len: u32,
        admitting: bool,
    ) {
        self.partials[..partials_len as usize].sort_unstable();
        let mut position = 0;
        let mut line = Line { open: admitting, guarantees: true, next: None };
        while draft.tokens_left > 0 {
            self.look_at_line(draft, &mut line);
            let partial = (position < partials_len).then(|| self.partials[position as usize]);
            match (partial, line.next) {
                (Some(partial), next) if next.is_none_or(|next| partial.rank <= next.rank) => {
                    position += 1;
                    self.plan_chunk(draft, entries, partial.slot, false);
                }
                (_, Some(next)) => {
                    line.next = None;
                    if self.take_seat(draft, entries, next) {
                        continue;
                    }
                    // No room in this step for the one who is owed; the others may have some.
                    line.open = next.guaranteed;
                    line.guarantees = false;
                }
                _ => break,
            }
        }
    }

    /// Finds out who is next in line, if that is not known and a seat is free.
    fn look_at_line(&mut self, draft: &Draft, line: &mut Line) {
        if line.next.is_some() || !line.open || self.running_len >= self.limits.running_max {
            return;
        }
        let next = self.lines.next(&mut self.requests, draft.start_ns, line.guarantees);
        line.next = next.map(|next| {
            let request = self.request(next.slot);
            let late = request.stage == Stage::Late;
            let rank = if next.guaranteed { RANK_GUARANTEED } else { rank(request.class, late) };
            Candidate { slot: next.slot, rank, guaranteed: next.guaranteed }
        });
        // The first that does not fit stops the line: letting smaller ones pass would starve it.
        if line.next.is_some_and(|next| !self.memory.fits(self.request(next.slot))) {
            *line = Line { open: false, guarantees: false, next: None };
        }
    }

    /// Lets a request in with its first chunk; false if the step has no room for any of it.
    fn take_seat(&mut self, draft: &mut Draft, entries: &mut [PlanEntry], next: Candidate) -> bool {
        if self.chunk_tokens(draft, next.slot) == 0 {
            return false;
        }
        let late = self.request(next.slot).stage == Stage::Late;
        self.lines.leave(&mut self.requests, next.slot);
        let rules = self.rules;
        let Some(request) = self.requests.at_mut(next.slot) else { return false };
        request.stage = Stage::Running;
        request.guaranteed = next.guaranteed;
        request.goal_tokens = request.prompt_tokens + request.tokens_expected();
        request.seat = self.running_len;
        self.running[self.running_len as usize] = next.slot;
        self.running_len += 1;
        self.memory.promise(request);
        let cached = request.cached_tokens.min(request.goal_tokens - 1);
        self.memory.grow(request, cached);
        request.computed_tokens = cached;
        if !request.charged {
            request.charged = true;
            let fresh = request.prompt_tokens - cached.min(request.prompt_tokens);
            let cost = f64::from(fresh) * rules.prompt_token_cost
                + f64::from(cached) * rules.cached_token_cost;
            let (class, account) = (request.class, request.account);
            let charged = self.lines.ledger.charge(u32::from(class), account, cost);
            debug_assert!(charged.is_ok(), "accounts with requests cannot be closed");
            self.lines.book(class, cost, late, next.guaranteed);
        }
        draft.admitted += 1;
        self.plan_chunk(draft, entries, next.slot, true);
        true
    }

    /// Gives a request with a seat as much of its prompt as the step has room for.
    fn plan_chunk(
        &mut self,
        draft: &mut Draft,
        entries: &mut [PlanEntry],
        slot: u32,
        admitted: bool,
    ) {
        let tokens = self.chunk_tokens(draft, slot);
        let Some(request) = self.requests.at_mut(slot) else { return };
        let history = request.computed_tokens;
        if tokens == 0 || !self.memory.grow(request, history + tokens) {
            return;
        }
        draft.shape = draft.shape.with_prefill(tokens, history);
        self.put(draft, entries, slot, tokens, Phase::Prefill, admitted);
    }

    /// Prompt tokens of this request that fit into the step.
    fn chunk_tokens(&self, draft: &Draft, slot: u32) -> u32 {
        let request = self.request(slot);
        let class = &self.classes[usize::from(request.class)];
        let history = request.computed_tokens.max(match request.stage {
            Stage::Running => 0,
            _ => request.cached_tokens,
        });
        let remaining = request.goal_tokens.saturating_sub(history);
        let background = self.is_background(draft, request, class);
        let limit_s = if background {
            draft.slack_s.min(self.rules.background_step_ratio * draft.tpot_s)
        } else {
            draft.slack_s
        };
        let timely = self.model.prefill_tokens_within(limit_s, &draft.shape, history).get();
        let floor = self.rules.prefill_floor_tokens.get();
        let floor_left = floor.saturating_sub(draft.shape.prefill_tokens);
        let memory = self.memory.tokens_within(request).saturating_sub(history);
        remaining.min(draft.tokens_left).min(timely.max(floor_left)).min(memory)
    }

    /// Late work, and work worth less than what decodes, may not use the slack of the others.
    fn is_background(&self, draft: &Draft, request: &Request, class: &ClassRules) -> bool {
        if class.delay_value < draft.delay_value {
            return true;
        }
        if request.tokens_expected() > 0 {
            return false;
        }
        let chunk = self.limits.step_tokens_max.get();
        let prefill_s = request.prefill_seconds(&self.model, chunk);
        let due_ns = request.arrival_ns.saturating_add(class.ttft_ns);
        seconds_between(draft.start_ns, due_ns) < prefill_s
    }

    /// Writes one entry and everything that follows from it.
    fn put(
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
        };
        let record = self.steps.record_mut(draft.place);
        record.flights[draft.entries_len as usize] = Flight { slot, tokens, emits };
        draft.entries_len += 1;
        draft.tokens_left -= tokens;
    }

    /// Nothing can run although there are seats taken: prompts hold each other's last blocks.
    /// The one that is cheapest to compute again gives way, so that the next step has room.
    fn break_deadlock(&mut self, out: &mut [Preemption]) -> u32 {
        if self.steps.len() > 0 {
            return 0;
        }
        let Some(victim) = self.victim() else { return 0 };
        out[0] = self.preempt(victim);
        1
    }

    fn commit(&mut self, draft: &Draft, starts_at: Nanos, preempted_len: u32) -> Formed {
        let mut formed = Formed {
            step: None,
            entries_len: draft.entries_len,
            preempted_len,
            admitted: draft.admitted,
            shape: draft.shape,
            starts_at,
            ends_at: starts_at,
        };
        if draft.entries_len == 0 {
            return formed;
        }
        let duration = self.model.duration(&draft.shape);
        self.steps.record_mut(draft.place).flights_len = draft.entries_len;
        formed.step = Some(self.steps.push(starts_at, duration));
        formed.ends_at = starts_at.saturating_add(duration);
        let record = self.steps.record(draft.place);
        for flight in &record.flights[..draft.entries_len as usize] {
            let Some(request) = self.requests.at_mut(flight.slot) else { continue };
            if flight.emits && request.output_tokens == 0 && request.emitting.is_power_of_two() {
                request.first_token_ns = formed.ends_at.get();
            }
        }
        formed
    }
}

/// Who is next in line, as far as a step has looked.
struct Line {
    open: bool,
    guarantees: bool,
    next: Option<Candidate>,
}

#[derive(Clone, Copy)]
struct Candidate {
    slot: u32,
    rank: u8,
    guaranteed: bool,
}

/// Order of prompts: by class, and in a class those that can still be in time first.
const fn rank(class: u8, late: bool) -> u8 {
    1 + 2 * class + late as u8
}

fn partial(
    request: &Request,
    slot: u32,
    class: &ClassRules,
    prefill_s: f64,
    start_ns: u64,
) -> Partial {
    let fresh = request.tokens_expected() == 0;
    let due_ns = if fresh {
        request.arrival_ns.saturating_add(class.ttft_ns)
    } else {
        next_token_ns(request, class)
    };
    let late = fresh && seconds_between(start_ns, due_ns) < prefill_s;
    let rank = if request.guaranteed { RANK_GUARANTEED } else { rank(request.class, late) };
    let order = Nanos(due_ns).offset_seconds(super::admission::WORK_DELAY * prefill_s);
    Partial { rank, due_ns: order.get(), sequence: request.sequence, slot }
}

/// When the next token of a request that has begun to answer is due.
fn next_token_ns(request: &Request, class: &ClassRules) -> u64 {
    let produced = u64::from(request.tokens_expected());
    request.first_token_ns.saturating_add(class.tpot_planned_ns.saturating_mul(produced))
}

/// Seconds from `from_ns` to `to_ns`, negative if that is past.
fn seconds_between(from_ns: u64, to_ns: u64) -> f64 {
    if to_ns >= from_ns {
        (to_ns - from_ns) as f64 / 1e9
    } else {
        -((from_ns - to_ns) as f64 / 1e9)
    }
}
