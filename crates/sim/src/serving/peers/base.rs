//! The mechanism that all peers share, and the hooks by which they differ.
//!
//! # One step
//! 1. Running requests, in the order of [`Rules::running_order`]: a decoding one gets one token, a
//!    prefilling one as much of its prompt as budget and chunk allow. Where the KV cache is full,
//!    [`Rules::victim`] loses its memory until there is room; if that is the request itself, the
//!    step takes no more running requests.
//! 2. If nothing was preempted, waiting requests, in the order of [`Rules::next_lane`]: the first
//!    that finds no seat, no budget, no room for its whole prompt, or no permission by
//!    [`Rules::admits`], ends the step; nobody passes it.
//!
//! # Source
//! vLLM V1 0.19, `v1/core/sched/scheduler.py`: one token budget for prompts and decodes, running
//! first, optimistic growth with recompute, no admissions in a step with a preemption, and
//! `scheduler_reserve_full_isl`: a prompt is admitted only if all of it fits now.
//!
//! # What it leaves out
//! Speculative tokens, adapters, encoders, KV transfer, and the watermark that some versions keep.

use rampmeter::Nanos;
use rampmeter::engine::StepModel;

use super::waiting::{Place, Waiting};
use crate::engine::Engine;
use crate::serving::scheduler::{Scheduler, StepReport};
use crate::serving::state::{EngineState, Facts};
use crate::workload::Workload;

/// In which order running requests are offered the step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RunningOrder {
    /// As they were admitted, prompts and decodes alike.
    AsAdmitted,
    /// All decoding ones, then all prefilling ones.
    DecodesFirst,
}

/// What every peer can be told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PeerOptions {
    /// Prompt tokens that a step may take; without it, only the step's token budget counts.
    pub chunk_tokens: Option<u32>,
    /// Whether requests that can no longer meet their TTFT target go behind those that can.
    pub triage: bool,
    /// `vtc`: service of an output token, in prompt tokens; without it, the paper's 2.
    pub output_cost: Option<u32>,
    /// `past-future`: percent of the cache kept free of forecasts; without it, the paper's 3.
    pub spare_percent: Option<u32>,
}

impl PeerOptions {
    /// None of them: a peer as its engine ships it.
    pub const NONE: Self =
        Self { chunk_tokens: None, triage: false, output_cost: None, spare_percent: None };
}

/// Where a peer differs from the shared mechanism.
pub trait Rules {
    /// In which order running requests are offered the step.
    fn running_order(&self) -> RunningOrder {
        RunningOrder::AsAdmitted
    }

    /// Whether decodes count against the chunk.
    fn chunk_counts_decodes(&self) -> bool {
        false
    }

    /// Whether a preempted request comes back before all others, or to its old turn.
    fn preempted_goes_first(&self) -> bool {
        true
    }

    /// Queues that this policy keeps.
    fn lanes(&self) -> usize {
        1
    }

    /// Where a request waits.
    fn place(&self, _facts: &Facts) -> Place {
        Place::default()
    }

    /// The lane whose first request is next.
    fn next_lane(&self, waiting: &Waiting) -> Option<u32> {
        waiting.lanes_occupied().next()
    }

    /// Position in `running` (not empty) of the request that loses its memory.
    fn victim(&self, running: &[u32], _engine: &EngineState<'_>) -> usize {
        running.len() - 1
    }

    /// Whether a request that fits may be admitted.
    fn admits(&mut self, _request: u32, _running: &[u32], _engine: &EngineState<'_>) -> bool {
        true
    }

    /// A request is about to join the queue.
    fn on_submit(&mut self, _facts: &Facts, _waiting: &Waiting) {}

    /// A request left the queue; `first_time` unless it had been preempted.
    fn on_admit(&mut self, _facts: &Facts, _first_time: bool) {}

    /// An output token came out.
    fn on_token(&mut self, _facts: &Facts) {}

    /// A request ended after that many output tokens.
    fn on_finish(&mut self, _output_tokens: u32) {}
}

/// A peer policy: the shared mechanism under some rules.
pub struct Peer<R> {
    name: String,
    rules: R,
    options: PeerOptions,
    /// How long prompts take, for triage.
    model: StepModel,
    /// Largest prompt chunk of a step, for triage.
    chunk_tokens_max: u32,
    ttft_targets: Box<[Nanos]>,
    waiting: Waiting,
    /// In order of admission.
    running: Vec<u32>,
}

impl<R: Rules> Peer<R> {
    /// A peer named `name` for one engine and the classes of one workload.
    pub fn new(
        name: String,
        rules: R,
        options: PeerOptions,
        workload: &Workload,
        engine: &Engine,
    ) -> Self {
        let chunk = options.chunk_tokens.unwrap_or(u32::MAX);
        Self {
            name,
            options,
            model: engine.model,
            chunk_tokens_max: chunk.min(engine.step_tokens_max),
            ttft_targets: workload.classes.iter().map(|class| class.ttft_target).collect(),
            waiting: Waiting::new(rules.lanes()),
            running: Vec::with_capacity(engine.running_max.min(RUNNING_CAPACITY_MAX) as usize),
            rules,
        }
    }

    /// Prompt tokens that the step can still take.
    fn prefill_left(&self, engine: &EngineState<'_>) -> u32 {
        let used = if self.rules.chunk_counts_decodes() {
            engine.tokens_planned()
        } else {
            engine.prefill_tokens_planned()
        };
        let chunk = self.options.chunk_tokens.unwrap_or(u32::MAX);
        engine.tokens_left().min(chunk.saturating_sub(used))
    }

    /// How much of a request the step can take.
    fn part(&self, request: u32, engine: &EngineState<'_>) -> u32 {
        if engine.is_decoding(request) {
            engine.tokens_left().min(1)
        } else {
            engine.remaining_tokens(request).min(self.prefill_left(engine))
        }
    }

    /// Offers the step to the running requests that `wanted` picks. `false` if it is closed
    /// because a request had to give up its own memory.
    fn plan_running(
        &mut self,
        engine: &mut EngineState<'_>,
        preempted: &mut bool,
        wanted: fn(&EngineState<'_>, u32) -> bool,
    ) -> bool {
        let mut position = 0;
        while position < self.running.len() && engine.tokens_left() > 0 {
            let request = self.running[position];
            position += 1;
            if !wanted(engine, request) {
                continue;
            }
            let tokens = self.part(request, engine);
            while tokens > 0 && !engine.compute(request, tokens) {
                *preempted = true;
                let victim_at = self.rules.victim(&self.running, engine);
                let victim = self.running.remove(victim_at);
                self.preempt(victim, engine);
                if victim == request {
                    return false;
                }
                position -= usize::from(victim_at < position);
            }
        }
        true
    }

    fn preempt(&mut self, victim: u32, engine: &mut EngineState<'_>) {
        engine.preempt(victim);
        if self.rules.preempted_goes_first() {
            self.waiting.push_front(victim);
        } else {
            self.waiting.push_back(victim);
        }
    }

    fn admit_waiting(&mut self, engine: &mut EngineState<'_>) {
        while let Some(lane) = self.rules.next_lane(&self.waiting)
            && let Some(request) = self.waiting.first(lane)
        {
            let left = self.prefill_left(engine);
            let tokens = engine.remaining_tokens(request).min(left);
            if tokens == 0
                || !engine.fits(request)
                || !self.rules.admits(request, &self.running, engine)
            {
                break;
            }
            let first_time = !self.waiting.has_returned(request);
            engine.admit(request);
            // Room for the whole prompt was just found.
            engine.compute(request, engine.remaining_tokens(request).min(left));
            self.waiting.remove(request);
            self.running.push(request);
            self.rules.on_admit(&engine.facts(request), first_time);
        }
    }
}

/// Seats that the running list is made for at once; more grow it as they are taken.
const RUNNING_CAPACITY_MAX: u32 = 4_096;

impl<R: Rules> Scheduler for Peer<R> {
    fn name(&self) -> &str {
        &self.name
    }

    fn submit(&mut self, _now: Nanos, request: u32, engine: &mut EngineState<'_>) {
        let facts = engine.facts(request);
        let late_at = self.options.triage.then(|| {
            let prefill_s =
                self.model.prefill_seconds(facts.prompt_tokens, 0, self.chunk_tokens_max);
            let deadline =
                facts.arrival.saturating_add(self.ttft_targets[usize::from(facts.class)]);
            deadline.offset_seconds(-prefill_s)
        });
        self.rules.on_submit(&facts, &self.waiting);
        self.waiting.push(request, self.rules.place(&facts), late_at);
    }

    fn form(&mut self, now: Nanos, engine: &mut EngineState<'_>) {
        self.waiting.expire(now);
        let mut preempted = false;
        match self.rules.running_order() {
            RunningOrder::AsAdmitted => {
                self.plan_running(engine, &mut preempted, |_, _| true);
            }
            RunningOrder::DecodesFirst => {
                let decodes = |engine: &EngineState<'_>, request| engine.is_decoding(request);
                let rest = |engine: &EngineState<'_>, request| !engine.is_planned(request);
                if self.plan_running(engine, &mut preempted, decodes) {
                    self.plan_running(engine, &mut preempted, rest);
                }
            }
        }
        if !preempted {
            self.admit_waiting(engine);
        }
    }

    fn observe(&mut self, _now: Nanos, report: &StepReport<'_>, engine: &EngineState<'_>) {
        let mut finished = false;
        for outcome in report.outcomes {
            let facts = engine.facts(outcome.request);
            for _ in 0..outcome.output_tokens {
                self.rules.on_token(&facts);
            }
            if outcome.finished {
                self.rules.on_finish(engine.outputs_out(outcome.request));
                // One that lost its seat while its last token was in flight waits.
                finished |= !self.waiting.remove(outcome.request);
            }
        }
        if finished {
            self.running.retain(|request| engine.is_running(*request));
        }
    }
}
