//! What a policy must be able to do to drive the simulated engine.

use rampmeter::Nanos;
use rampmeter::engine::StepFitStats;

use super::state::EngineState;
use crate::engine::Step;

/// What one step did for one request. A request that had ended before the step did is left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// Index into the workload.
    pub request: u32,
    /// Tokens of it that the step computed, recomputed ones included.
    pub computed_tokens: u32,
    /// Output tokens that came out: 0 or 1.
    pub output_tokens: u32,
    /// That token was its last; seat and memory are free again.
    pub finished: bool,
}

/// A step that ended.
#[derive(Clone, Copy, Debug)]
pub struct StepReport<'a> {
    /// When the engine began it.
    pub start: Nanos,
    /// When it ended.
    pub end: Nanos,
    /// What it contained.
    pub step: Step,
    /// What came of it, one entry a request.
    pub outcomes: &'a [Outcome],
}

/// A batch policy: decides what every step of the engine computes.
///
/// Calls come in order of time. A request is named by its index into the workload from `submit`
/// on; what a policy may know about it is [`EngineState::facts`].
pub trait Scheduler {
    /// Name with options, as it stands in reports.
    fn name(&self) -> &str;

    /// A request became visible and waits, unless it is sent away with [`EngineState::refuse`].
    fn submit(&mut self, now: Nanos, request: u32, engine: &mut EngineState<'_>);

    /// Fills the next step through [`EngineState::admit`], [`EngineState::compute`] and
    /// [`EngineState::preempt`], and sends away with [`EngineState::refuse`] what has waited for
    /// too long. Up to three earlier steps may not have been observed yet.
    fn form(&mut self, now: Nanos, engine: &mut EngineState<'_>);

    /// A step ended. Finished requests are gone, also those that waited after a preemption.
    fn observe(&mut self, now: Nanos, report: &StepReport<'_>, engine: &EngineState<'_>);

    /// When an idle engine should ask again although nothing arrived.
    fn next_event(&self, _now: Nanos) -> Option<Nanos> {
        None
    }

    /// How well it knows the engine's step times, if it learns them.
    fn learned(&self) -> Option<StepFitStats> {
        None
    }
}
