//! The engine as a policy sees and commands it. Every command is checked as it is given.
//!
//! A request has *known* tokens: its prompt and every output token that was planned, whether or
//! not it is out yet. A step that brings its computed tokens up to the known ones produces the
//! next output token. Decoding is the case where exactly one is missing; after a preemption all
//! of them are, less what the cache still has.

use rampmeter::Nanos;

use super::kv::KvPool;
use super::refusal::Refusal;
use super::rules::BrokenRule;
use crate::engine::{Engine, Step};
use crate::workload::Workload;

/// No position in the plan.
const NONE: u32 = u32::MAX;

/// What a policy may know about a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Facts {
    /// When it reached the engine.
    pub arrival: Nanos,
    /// Length of its prompt.
    pub prompt_tokens: u32,
    /// The most output tokens its user allows.
    pub output_tokens_max: u32,
    /// Index of its class.
    pub class: u16,
    /// Index of its account.
    pub account: u32,
}

/// One request's part of a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Planned {
    /// Index into the workload.
    pub request: u32,
    /// Tokens to compute.
    pub tokens: u32,
    /// Tokens it had computed before.
    pub history_tokens: u32,
    /// It produces an output token at the end of the step.
    pub samples: bool,
    /// One token after an output token; anything else counts as prompt.
    pub decodes: bool,
}

/// A request's seat, taken or lost while a step was planned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// It got a seat and found this much of its prompt in the cache.
    Admitted {
        /// Index into the workload.
        request: u32,
        /// Prompt tokens found.
        cached_tokens: u32,
    },
    /// It lost its seat and its memory.
    Preempted {
        /// Index into the workload.
        request: u32,
    },
}

/// One planned step.
#[derive(Clone, Debug, Default)]
pub(super) struct StepPlan {
    pub(super) planned: Vec<Planned>,
    pub(super) changes: Vec<Change>,
    tokens: u32,
    prefill_tokens: u32,
}

impl StepPlan {
    /// What the step clock must know.
    pub(super) fn step(&self) -> Step {
        let mut step = Step::default();
        for part in &self.planned {
            step.shape = if part.decodes {
                step.shape.with_decode(part.history_tokens)
            } else {
                step.shape.with_prefill(part.tokens, part.history_tokens)
            };
            step.sampled_requests += u32::from(part.samples);
        }
        step
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
        self.changes.clear();
        (self.tokens, self.prefill_tokens) = (0, 0);
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    Away,
    Waiting,
    Running,
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    phase: Phase,
    /// Tokens in KV memory once all planned steps have run.
    computed_tokens: u32,
    outputs_planned: u32,
    outputs_out: u32,
    /// Tokens computed or found at least once, those of steps that have ended.
    done_tokens: u32,
    /// Position in the plan that is being formed.
    slot: u32,
}

const AWAY: Progress = Progress {
    phase: Phase::Away,
    computed_tokens: 0,
    outputs_planned: 0,
    outputs_out: 0,
    done_tokens: 0,
    slot: NONE,
};

/// What came of one planned part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub(super) prompt_tokens: u32,
    pub(super) output_tokens: u32,
    pub(super) recomputed_tokens: u32,
    pub(super) first: bool,
    pub(super) finished: bool,
}

/// Seats, KV memory and progress of every request, and the step that is being planned.
pub struct EngineState<'w> {
    workload: &'w Workload,
    running_max: u32,
    step_tokens_max: u32,
    kv: KvPool<'w>,
    progress: Box<[Progress]>,
    running: u32,
    waiting: u32,
    plan: StepPlan,
    /// Refused, and not told yet.
    refused: Vec<(u32, Refusal)>,
    broken: Option<BrokenRule>,
}

impl<'w> EngineState<'w> {
    /// An empty engine for the requests of `workload`.
    pub(super) fn new(engine: &Engine, workload: &'w Workload, shares_prefixes: bool) -> Self {
        Self {
            workload,
            running_max: engine.running_max,
            step_tokens_max: engine.step_tokens_max,
            kv: KvPool::new(engine.kv, workload, shares_prefixes),
            progress: vec![AWAY; workload.requests.len()].into_boxed_slice(),
            running: 0,
            waiting: 0,
            plan: StepPlan::default(),
            refused: Vec::new(),
            broken: None,
        }
    }

    /// What a policy may know about a request.
    pub fn facts(&self, request: u32) -> Facts {
        let request = &self.workload.requests[request as usize];
        Facts {
            arrival: request.arrival,
            prompt_tokens: request.prompt_tokens,
            output_tokens_max: request.output_tokens_max,
            class: request.class,
            account: request.account,
        }
    }

    /// Tokens that the step being planned can still take.
    pub fn tokens_left(&self) -> u32 {
        self.step_tokens_max - self.plan.tokens
    }

    /// Tokens in the step being planned.
    pub fn tokens_planned(&self) -> u32 {
        self.plan.tokens
    }

    /// Prompt tokens in the step being planned, recomputed ones included.
    pub fn prefill_tokens_planned(&self) -> u32 {
        self.plan.prefill_tokens
    }

    /// The parts of the step being planned.
    pub fn planned(&self) -> &[Planned] {
        &self.plan.planned
    }

    /// Seats taken and lost while the present step was planned.
    pub fn changes(&self) -> &[Change] {
        &self.plan.changes
    }

    /// True if the step being planned has a part of this request.
    pub fn is_planned(&self, request: u32) -> bool {
        self.progress[request as usize].slot != NONE
    }

    /// Seats that nobody has.
    pub fn seats_left(&self) -> u32 {
        self.running_max - self.running
    }

    /// Requests that wait, preempted ones included.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Requests that have a seat.
    pub fn running(&self) -> u32 {
        self.running
    }

    /// True if this request has a seat.
    pub fn is_running(&self, request: u32) -> bool {
        self.phase(request) == Phase::Running
    }

    /// The KV cache.
    pub fn kv(&self) -> &KvPool<'w> {
        &self.kv
    }

    pub(super) fn kv_mut(&mut self) -> &mut KvPool<'w> {
        &mut self.kv
    }

    /// The prompt and every output token planned so far.
    pub fn known_tokens(&self, request: u32) -> u32 {
        self.facts(request).prompt_tokens + self.progress[request as usize].outputs_planned
    }

    /// Tokens in KV memory once all planned steps have run.
    pub fn computed_tokens(&self, request: u32) -> u32 {
        self.progress[request as usize].computed_tokens
    }

    /// Output tokens planned so far, those still in flight included.
    pub fn outputs_planned(&self, request: u32) -> u32 {
        self.progress[request as usize].outputs_planned
    }

    /// Output tokens that are out.
    pub fn outputs_out(&self, request: u32) -> u32 {
        self.progress[request as usize].outputs_out
    }

    /// Tokens that could be planned for a request now: known and not computed. Zero once the
    /// last output token that its user allows is planned.
    pub fn remaining_tokens(&self, request: u32) -> u32 {
        let progress = &self.progress[request as usize];
        if progress.outputs_planned >= self.facts(request).output_tokens_max {
            return 0;
        }
        self.known_tokens(request) - progress.computed_tokens
    }

    /// True if the request only needs its newest output token computed to produce the next.
    pub fn is_decoding(&self, request: u32) -> bool {
        self.outputs_planned(request) > 0 && self.remaining_tokens(request) == 1
    }

    /// True if a waiting request would find a seat, and room for all of its known tokens.
    pub fn fits(&self, request: u32) -> bool {
        self.seats_left() > 0 && self.kv.fits(request, self.known_tokens(request))
    }

    /// Gives a waiting request a seat. Returns how many of its tokens the cache had.
    pub fn admit(&mut self, request: u32) -> u32 {
        if self.phase(request) != Phase::Waiting {
            return self.broke(BrokenRule::NotWaiting { request });
        }
        if self.seats_left() == 0 {
            let running_max = self.running_max;
            return self.broke(BrokenRule::SeatsTaken { request, running_max });
        }
        let cached = self.kv.reuse(request, self.known_tokens(request));
        let cached_tokens = cached.min(self.facts(request).prompt_tokens);
        let progress = &mut self.progress[request as usize];
        progress.phase = Phase::Running;
        progress.computed_tokens = cached;
        self.waiting -= 1;
        self.running += 1;
        self.plan.changes.push(Change::Admitted { request, cached_tokens });
        cached
    }

    /// Puts `tokens` tokens of a running request into the step. `false`, and nothing changed, if
    /// the KV cache has no room for them.
    pub fn compute(&mut self, request: u32, tokens: u32) -> bool {
        if self.phase(request) != Phase::Running {
            return self.broke(BrokenRule::NotRunning { request });
        }
        let (remaining, left) = (self.remaining_tokens(request), self.tokens_left());
        if self.is_planned(request) {
            return self.broke(BrokenRule::PlannedTwice { request });
        }
        if tokens == 0 || tokens > remaining {
            return self.broke(BrokenRule::TokensRemaining { request, tokens, remaining });
        }
        if tokens > left {
            return self.broke(BrokenRule::TokenBudget { request, tokens, left });
        }
        let history_tokens = self.computed_tokens(request);
        if !self.kv.allocate(request, history_tokens + tokens) {
            return false;
        }
        let decodes = self.is_decoding(request);
        let samples = tokens == remaining;
        let progress = &mut self.progress[request as usize];
        progress.slot = self.plan.planned.len() as u32;
        progress.computed_tokens += tokens;
        progress.outputs_planned += u32::from(samples);
        self.plan.planned.push(Planned { request, tokens, history_tokens, samples, decodes });
        self.plan.tokens += tokens;
        self.plan.prefill_tokens += if decodes { 0 } else { tokens };
        true
    }

    /// Takes seat and memory from a running request; it waits again and must be computed again.
    /// If the step being planned has a part of it, that part is taken out.
    pub fn preempt(&mut self, request: u32) {
        if self.phase(request) != Phase::Running {
            return self.broke(BrokenRule::NotRunning { request });
        }
        self.unplan(request);
        self.kv.free(request);
        let progress = &mut self.progress[request as usize];
        progress.phase = Phase::Waiting;
        progress.computed_tokens = 0;
        self.waiting += 1;
        self.running -= 1;
        self.plan.changes.push(Change::Preempted { request });
    }

    /// Sends a waiting request away for good. Of one that lost its seat, what steps in flight
    /// still compute is dropped.
    pub fn refuse(&mut self, request: u32, why: Refusal) {
        if self.phase(request) != Phase::Waiting {
            return self.broke(BrokenRule::NotWaiting { request });
        }
        self.progress[request as usize].phase = Phase::Ended;
        self.waiting -= 1;
        self.refused.push((request, why));
    }

    fn unplan(&mut self, request: u32) {
        let slot = std::mem::replace(&mut self.progress[request as usize].slot, NONE);
        if slot == NONE {
            return;
        }
        let part = self.plan.planned.swap_remove(slot as usize);
        if let Some(moved) = self.plan.planned.get(slot as usize) {
            self.progress[moved.request as usize].slot = slot;
        }
        // What will not be computed must not be found by others.
        self.kv.forget_names(request, part.history_tokens);
        self.progress[request as usize].outputs_planned -= u32::from(part.samples);
        self.plan.tokens -= part.tokens;
        self.plan.prefill_tokens -= if part.decodes { 0 } else { part.tokens };
    }

    fn phase(&self, request: u32) -> Phase {
        self.progress.get(request as usize).map_or(Phase::Away, |progress| progress.phase)
    }

    /// Keeps the first broken rule; the run ends with it.
    fn broke<T: Default>(&mut self, rule: BrokenRule) -> T {
        self.broken.get_or_insert(rule);
        T::default()
    }

    /// True if the engine could serve the request alone: its last output token needs no room.
    pub(super) fn could_ever_serve(&self, request: u32) -> bool {
        let request = &self.workload.requests[request as usize];
        let tokens = u64::from(request.prompt_tokens) + u64::from(request.output_tokens) - 1;
        tokens <= self.kv.geometry().tokens_max().min(u64::from(u32::MAX / 2))
    }

    /// The request is in the queue from now on.
    pub(super) fn enqueue(&mut self, request: u32) {
        self.progress[request as usize].phase = Phase::Waiting;
        self.waiting += 1;
    }

    /// Swaps the finished plan for an empty one, or reports the rule that was broken.
    pub(super) fn take_plan(&mut self, empty: &mut StepPlan) -> Result<(), BrokenRule> {
        if let Some(rule) = self.broken {
            return Err(rule);
        }
        for part in &self.plan.planned {
            self.progress[part.request as usize].slot = NONE;
        }
        std::mem::swap(&mut self.plan, empty);
        Ok(())
    }

    /// Who was refused since [`EngineState::take_refused`].
    pub(super) fn refused(&self) -> &[(u32, Refusal)] {
        &self.refused
    }

    /// Who was refused since this was last asked.
    pub(super) fn take_refused(&mut self) -> std::vec::Drain<'_, (u32, Refusal)> {
        self.refused.drain(..)
    }

    /// True if the request was served to its end, or refused.
    pub(super) fn has_ended(&self, request: u32) -> bool {
        self.phase(request) == Phase::Ended
    }

    /// A step ended: what it did for one request, or `None` if that had ended before.
    pub(super) fn deliver(&mut self, part: &Planned) -> Option<Delivered> {
        let truth = &self.workload.requests[part.request as usize];
        let progress = &mut self.progress[part.request as usize];
        if progress.phase == Phase::Ended {
            return None;
        }
        // What came before this part was told when it was computed, or was in the cache.
        let known = progress.done_tokens.max(part.history_tokens);
        progress.done_tokens = known.max(part.history_tokens + part.tokens);
        let recomputed_tokens = part.tokens - (progress.done_tokens - known);
        let of_prompt = |tokens: u32| tokens.min(truth.prompt_tokens);
        let prompt_tokens = of_prompt(progress.done_tokens) - of_prompt(known);
        progress.outputs_out += u32::from(part.samples);
        let finished = progress.outputs_out == truth.output_tokens;
        let first = part.samples && progress.outputs_out == 1;
        if finished {
            if progress.phase == Phase::Running {
                self.running -= 1;
                self.kv.free(part.request);
            } else {
                self.waiting -= 1;
            }
            progress.phase = Phase::Ended;
        }
        let output_tokens = u32::from(part.samples);
        Some(Delivered { prompt_tokens, output_tokens, recomputed_tokens, first, finished })
    }
}
