//! What happens in a run, told as it happens: the one interface between the engine's loop and
//! whatever keeps the books.

use rampmeter::Nanos;
use rampmeter::engine::StepFitStats;

use super::refusal::Refusal;
use crate::engine::Step;

/// Listens to a run. `request` is an index into the workload; every method may be ignored.
pub trait Observer {
    /// The request reached the engine and waits.
    fn arrived(&mut self, _now: Nanos, _request: u32) {}
    /// It got a seat; `cached_tokens` of its prompt were found in the prefix cache.
    fn admitted(&mut self, _now: Nanos, _request: u32, _cached_tokens: u32) {}
    /// It lost its KV cache and waits again.
    fn preempted(&mut self, _now: Nanos, _request: u32) {}
    /// A step ended that computed this much of it. Recomputed tokens are not told again.
    fn served(&mut self, _now: Nanos, _request: u32, _prompt_tokens: u32, _output_tokens: u32) {}
    /// That step also computed this many of its tokens, prompt and output alike, once more.
    fn recomputed(&mut self, _now: Nanos, _request: u32, _tokens: u32) {}
    /// Its first output token is out.
    fn first_token(&mut self, _now: Nanos, _request: u32) {}
    /// Its last output token is out.
    fn finished(&mut self, _now: Nanos, _request: u32) {}
    /// It was sent away; nothing more is told of it.
    fn refused(&mut self, _now: Nanos, _request: u32, _why: Refusal) {}
    /// The engine ran a step from `start` to `end`.
    fn step(&mut self, _start: Nanos, _end: Nanos, _step: &Step) {}
    /// The run is over, and the policy has learned the engine's step times this well.
    fn learned(&mut self, _stats: &StepFitStats) {}
}

/// Nobody listens.
impl Observer for () {}
