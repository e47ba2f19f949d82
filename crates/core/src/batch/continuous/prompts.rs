//! Sharing a step among prompts: those that have begun and those that wait to be let in.

use super::admission::Next;
use super::aside::Obstacle;
use super::explain::Closed;
use super::form::{Draft, next_token_ns, seconds_between};
use super::plan::{Expiry, Phase, PlanEntry};
use super::request::{Request, RequestId, Stage, Turn};
use super::{Batcher, ClassRules};
use crate::batch::queue::NONE;
use crate::policy::BatchRules;
use crate::units::{Nanos, Tokens};

/// A running request in the middle of its prompt, in the order in which prompts go on.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Partial {
    rank: u8,
    due_ns: u64,
    sequence: u64,
    slot: u32,
}

impl Partial {
    /// Which of the prompts that have begun came first.
    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Puts it before everything else in this step.
    pub(super) const fn put_first(&mut self) {
        (self.rank, self.due_ns) = (RANK_GUARANTEED, 0);
    }
}

/// Rank of work that a guarantee let in: before all classes.
const RANK_GUARANTEED: u8 = 0;

/// Who is next in line, as far as a step has looked.
pub(super) struct Line<'a> {
    pub(super) open: bool,
    /// What closed it.
    pub(super) closed: Closed,
    pub(super) guarantees: bool,
    pub(super) next: Option<Candidate>,
    /// Where to say who has expired, and how many have.
    pub(super) expired: &'a mut [Expiry],
    pub(super) expired_len: u32,
    /// How many more may step aside.
    pub(super) aside_left: u32,
    /// Asks the host's prefix cache.
    pub(super) cached: &'a mut dyn FnMut(RequestId, u64) -> Option<Tokens>,
}

#[derive(Clone, Copy)]
pub(super) struct Candidate {
    slot: u32,
    rank: u8,
    turn: Turn,
}

/// Order of prompts: by class, and in a class those that can still be in time first.
const fn rank(turn: Turn, class: u8, late: bool) -> u8 {
    match turn {
        Turn::Order => 1 + 2 * class + late as u8,
        Turn::Class | Turn::Late | Turn::ClassLate => RANK_GUARANTEED,
    }
}

pub(super) fn partial_of(
    request: &Request,
    slot: u32,
    class: &ClassRules,
    rules: &BatchRules,
    prefill_s: f64,
    start_ns: u64,
) -> Partial {
    let fresh = request.tokens_expected() == 0;
    let due_ns = if fresh { request.due_ns } else { next_token_ns(request, class) };
    let late = rules.triage && fresh && seconds_between(start_ns, due_ns) < prefill_s;
    let rank = rank(request.turn, request.class, late);
    let order = Nanos(due_ns).offset_seconds(rules.work_delay_ratio * prefill_s);
    Partial { rank, due_ns: order.get(), sequence: request.sequence, slot }
}

impl Batcher {
    /// Shares the rest of the step among prompts: those that have begun and those that wait, by
    /// rank; at equal rank what has begun goes on.
    pub(super) fn plan_prompts(
        &mut self,
        draft: &mut Draft,
        entries: &mut [PlanEntry],
        partials_len: u32,
        line: &mut Line<'_>,
    ) {
        self.partials[..partials_len as usize].sort_unstable();
        let mut position = 0;
        while draft.tokens_left > 0 {
            self.look_at_line(draft, line);
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
                    line.closed = Closed::Step(next.slot);
                    line.open = next.turn != Turn::Order;
                    line.guarantees = false;
                }
                _ => break,
            }
        }
        if draft.tokens_left == 0 && line.open {
            line.closed = Closed::Step(line.next.map_or(NONE, |next| next.slot));
        }
    }

    /// Finds out who is next in line, if that is not known and a seat is free.
    fn look_at_line(&mut self, draft: &Draft, line: &mut Line<'_>) {
        if line.next.is_some() || !line.open || self.running_len >= self.limits.running_max {
            return;
        }
        while line.aside_left > 0 {
            let Some(Next { slot, turn }) = self.next_alive(draft, line) else { return };
            self.look_into_cache(slot, line);
            let request = self.request(slot);
            let rank = rank(turn, request.class, request.stage == Stage::Late);
            let obstacle = self.obstacle(slot, rank);
            if obstacle.lets_pass() {
                self.lines.step_aside(&mut self.requests, slot, obstacle);
                line.aside_left -= 1;
                continue;
            }
            self.request_mut(slot).obstacle = obstacle;
            // What else keeps it out stops the line: letting smaller ones pass would starve it.
            line.open = obstacle == Obstacle::None;
            if !line.open {
                line.closed = Closed::Obstacle(slot);
            }
            line.next = line.open.then_some(Candidate { slot, rank, turn });
            return;
        }
        (line.open, line.closed) = (false, Closed::Step(NONE));
    }

    fn look_into_cache(&mut self, slot: u32, line: &mut Line<'_>) {
        let Some(id) = self.requests.handle_at(slot) else { return };
        let request = self.request_mut(slot);
        if request.was_handed_over() || request.swapped {
            return;
        }
        if let Some(cached) = (line.cached)(id, request.tag) {
            let most = request.prompt_tokens + request.tokens_expected() - 1;
            let (found, charged) = (cached.get().min(most), request.charged);
            let known = core::mem::replace(&mut request.cached_tokens, found);
            if !charged {
                self.reprice_prompt(slot, known, found);
            }
        }
    }

    /// Lets a request in with its first chunk; false if the step has no room for any of it.
    fn take_seat(&mut self, draft: &mut Draft, entries: &mut [PlanEntry], next: Candidate) -> bool {
        let request = self.request(next.slot);
        let brings_kv = request.brings_kv();
        if !brings_kv && self.chunk_tokens(draft, next.slot) == 0 {
            return false;
        }
        let (late, found) = (request.stage == Stage::Late, self.cached_tokens(request));
        self.queues.leave(self.requests.at(next.slot), self.now, true);
        self.lines.leave(&mut self.requests, next.slot);
        let swapped = self.request(next.slot).swapped;
        if swapped {
            draft.slack_s -= self.swap_in(next.slot);
        }
        self.lines.adapters.seat(self.request(next.slot).adapter);
        self.take_share(next.slot);
        let rules = self.rules;
        let Some(request) = self.requests.at_mut(next.slot) else { return false };
        request.stage = Stage::Running;
        request.turn = next.turn;
        request.goal_tokens = request.prompt_tokens + request.tokens_expected();
        request.seat = self.running_len;
        self.running[self.running_len as usize] = next.slot;
        self.running_len += 1;
        let found = if swapped { request.computed_tokens } else { found };
        let cached = found.min(request.goal_tokens - 1);
        if !brings_kv {
            self.memory.promise(request);
            self.memory.grow(request, cached);
            request.computed_tokens = cached;
        }
        if !request.charged {
            request.charged = true;
            let known = request.cached_tokens;
            let cached = cached.min(request.prompt_tokens);
            let fresh = request.prompt_tokens - cached;
            let cost = f64::from(fresh) * rules.prompt_token_cost
                + f64::from(cached) * rules.cached_token_cost;
            let (class, account) = (request.class, request.account);
            let charged = self.lines.ledger.charge(u32::from(class), account, cost);
            debug_assert!(charged.is_ok(), "accounts with requests cannot be closed");
            self.lines.book(class, account, cost, next.turn, late);
            self.reprice_prompt(next.slot, known, cached);
        }
        self.foresee(next.slot);
        draft.admitted += 1;
        if brings_kv {
            self.plan_brought(draft, entries, next.slot);
        } else if swapped {
            self.plan_swapped(draft, entries, next.slot);
        } else {
            self.plan_chunk(draft, entries, next.slot, true);
        }
        true
    }

    /// A request whose KV has come back goes on from there in the same step.
    fn plan_swapped(&mut self, draft: &mut Draft, entries: &mut [PlanEntry], slot: u32) {
        let place = draft.entries_len as usize;
        let Some(request) = self.requests.at_mut(slot) else { return };
        let context = request.computed_tokens;
        let decodes = context + 1 == request.goal_tokens && request.tokens_expected() > 0;
        if decodes && self.memory.grow(request, context + 1) {
            request.goal_tokens = context;
            draft.shape = draft.shape.with_decode(context);
            self.put(draft, entries, slot, 1, Phase::Decode, true);
        } else {
            self.plan_chunk(draft, entries, slot, true);
        }
        entries[place].swapped_in = true;
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
            _ => self.cached_tokens(request),
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
        let shared = self.shared_blocks(request);
        let memory = self.memory.tokens_within(request, shared).saturating_sub(history);
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
        seconds_between(draft.start_ns, request.due_ns) < self.prefill_seconds(request)
    }
}
