//! Steps like those of a replay, to fit a model on before any trace is at hand.
//!
//! # What it decides
//! Which steps an engine typically runs: how many prompt tokens, how much history, how many
//! decodes with how much context.
//!
//! # How
//! A first-come-first-served engine with decodes first and chunked prompts runs on the given clock
//! through [`PHASES`] of rising load, so that idle, half-full and
//! full engines all occur. Requests arrive at random; the load is the mean time that the engine
//! needs for one over the mean time between two.
//!
//! Lengths are log-normal around published medians: prompts of 1,020 and outputs of 129 tokens in
//! a conversation service, 1,500 and 13 in a code completion service (Patel et al., "Splitwise",
//! ISCA 2024). Half of the phases are of each kind.
//!
//! # Bounds and cost
//! [`STEPS_PER_PHASE`] steps a phase, at most `seats` requests each: some milliseconds.
//!
//! # What it is bad at
//! Services of another kind: very long prompts, or prefixes found in a cache.

use std::collections::VecDeque;

use rampmeter::engine::StepShape;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};

use super::{Step, StepClock};

/// Median prompt and median output of a service, in tokens.
#[derive(Clone, Copy)]
struct Service {
    prompt_tokens: f64,
    output_tokens: f64,
}

const CONVERSATION: Service = Service { prompt_tokens: 1_020.0, output_tokens: 129.0 };
const CODE: Service = Service { prompt_tokens: 1_500.0, output_tokens: 13.0 };

/// Services, offered loads as a share of what the engine can do, and the largest chunk as a share
/// of the step: whole steps as engines run them, and an eighth of one as policies do that size
/// chunks to deadlines. A model that never saw small chunks is off by 5 to 15% on them.
const PHASES: [(Service, f64, f64); 8] = [
    (CONVERSATION, 0.3, 1.0),
    (CODE, 0.3, 0.125),
    (CONVERSATION, 0.6, 0.125),
    (CODE, 0.6, 1.0),
    (CONVERSATION, 0.8, 1.0),
    (CODE, 0.8, 0.125),
    (CONVERSATION, 1.0, 0.125),
    (CODE, 1.0, 1.0),
];

/// Long enough for the seats to fill at high load: an output takes some hundred steps.
const STEPS_PER_PHASE: usize = 2_500;

/// Standard deviation of the logarithm of a length. In the hour of code completions that Microsoft
/// published with that paper, the 90th percentile over the median gives 0.98 for prompts and 1.13
/// for outputs.
const LENGTH_SPREAD: f64 = 1.0;

/// Longest prompt and output, in tokens: four such requests fill a small KV cache.
const LENGTH_MAX_TOKENS: f64 = 8_192.0;

/// Any fixed number: the same tables always give the same coefficients.
const SEED: u64 = 42;

/// What limits the engine whose steps are sampled.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that may run at once.
    pub running_max: u32,
    /// Tokens that one step may compute.
    pub step_tokens_max: u32,
    /// Tokens that the KV cache holds.
    pub kv_tokens_max: u64,
}

/// A waiting or running request; lengths in tokens.
#[derive(Clone, Copy, Debug)]
struct Request {
    prompt: u32,
    /// What its KV holds: first of the prompt, then of the output too.
    context: u32,
    /// What it will still produce.
    output_left: u32,
}

/// Steps of a simulated engine on `clock`, with their seconds. The same input gives the same steps.
#[must_use]
pub fn sample_steps(clock: &dyn StepClock, limits: &Limits) -> Vec<(Step, f64)> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut samples = Vec::with_capacity(PHASES.len() * STEPS_PER_PHASE);
    for (service, load, chunk_ratio) in PHASES {
        let interval_s = service_seconds(clock, limits, service) / load;
        let prefill_max = (f64::from(limits.step_tokens_max) * chunk_ratio).max(1.0) as u32;
        let mut engine =
            Engine { limits, prefill_max, waiting: VecDeque::new(), running: Vec::new() };
        let mut idle_s = 0.0;
        for _ in 0..STEPS_PER_PHASE {
            while idle_s >= 0.0 || engine.is_empty() {
                engine.waiting.push_back(Request::random(&mut random, service, limits));
                let wait: f64 = Exp1.sample(&mut random);
                idle_s -= wait * interval_s;
            }
            let step = engine.step();
            let seconds = clock.seconds(&step);
            idle_s += seconds;
            samples.push((step, seconds));
        }
    }
    samples
}

/// Engine seconds that a request of mean lengths takes in a full engine.
fn service_seconds(clock: &dyn StepClock, limits: &Limits, service: Service) -> f64 {
    // A log-normal length has this mean over its median.
    let mean = (LENGTH_SPREAD * LENGTH_SPREAD / 2.0).exp();
    let prompt_tokens = (service.prompt_tokens * mean) as u32;
    let prompt = StepShape::default().with_prefill(prompt_tokens, 0);
    let decodes = StepShape {
        decode_requests: limits.running_max,
        decode_context_tokens: u64::from(limits.running_max) * u64::from(prompt_tokens),
        ..StepShape::default()
    };
    let seconds = |shape| clock.seconds(&Step { shape, sampled_requests: limits.running_max });
    let decode_share = service.output_tokens * mean / f64::from(limits.running_max);
    seconds(prompt) + seconds(decodes) * decode_share
}

impl Request {
    fn random(random: &mut ChaCha8Rng, service: Service, limits: &Limits) -> Self {
        let longest = LENGTH_MAX_TOKENS.min(limits.kv_tokens_max as f64 / 2.0);
        let mut tokens = |median: f64| {
            let deviation: f64 = StandardNormal.sample(random);
            let length = median * (LENGTH_SPREAD * deviation).exp();
            length.round().min(longest).max(1.0) as u32
        };
        Self {
            prompt: tokens(service.prompt_tokens),
            context: 0,
            output_left: tokens(service.output_tokens),
        }
    }

    fn kv_tokens_max(&self) -> u64 {
        u64::from(self.context.max(self.prompt)) + u64::from(self.output_left)
    }
}

/// The simplest engine that forms such steps. It reserves a request's whole KV, so that nobody is
/// ever preempted: what a step may contain is all that matters here.
struct Engine<'a> {
    limits: &'a Limits,
    /// Prompt tokens that a step may take.
    prefill_max: u32,
    waiting: VecDeque<Request>,
    running: Vec<Request>,
}

impl Engine<'_> {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    fn step(&mut self) -> Step {
        self.admit();
        let mut step = Step::default();
        let mut left = self.limits.step_tokens_max;
        for request in self.running.iter_mut().filter(|r| r.context >= r.prompt) {
            if left == 0 {
                break;
            }
            left -= 1;
            step.shape = step.shape.with_decode(request.context);
            step.sampled_requests += 1;
            request.context += 1;
            request.output_left -= 1;
        }
        // A decode that has just run has more context than its prompt and is not met again.
        let mut left = left.min(self.prefill_max);
        for request in self.running.iter_mut().filter(|r| r.context < r.prompt) {
            if left == 0 {
                break;
            }
            let chunk = left.min(request.prompt - request.context);
            left -= chunk;
            step.shape = step.shape.with_prefill(chunk, request.context);
            step.sampled_requests += 1;
            request.context += chunk;
        }
        self.running.retain(|request| request.output_left > 0);
        step
    }

    fn admit(&mut self) {
        let mut kv_tokens: u64 = self.running.iter().map(Request::kv_tokens_max).sum();
        while self.running.len() < self.limits.running_max as usize {
            let Some(request) = self.waiting.front() else { return };
            kv_tokens += request.kv_tokens_max();
            if kv_tokens > self.limits.kv_tokens_max && !self.running.is_empty() {
                return;
            }
            self.running.extend(self.waiting.pop_front());
        }
    }
}

#[cfg(test)]
mod tests {
    use rampmeter::engine::StepModel;

    use super::*;
    use crate::engine::ProfileClock;

    #[test]
    fn steps_repeat_and_keep_the_limits_and_reach_them() {
        let model = StepModel::new([8e-3, 40e-6, 30e-6, 90e-9, 1e-9, 1e-3, 20e-9]).unwrap();
        let clock = ProfileClock(model);
        let limits = Limits { running_max: 64, step_tokens_max: 1_000, kv_tokens_max: 200_000 };
        let samples = sample_steps(&clock, &limits);
        assert_eq!(samples, sample_steps(&clock, &limits));
        for (step, seconds) in &samples {
            let shape = &step.shape;
            let tokens = shape.prefill_tokens + shape.decode_requests;
            assert!((1..=1_000).contains(&tokens) && shape.decode_requests <= 64);
            let kv = shape.prefill_history_tokens + shape.decode_context_tokens;
            assert!(kv + u64::from(tokens) <= 200_000);
            assert_eq!(*seconds, clock.seconds(step));
        }
        let largest =
            |size: fn(&StepShape) -> u64| samples.iter().map(|(s, _)| size(&s.shape)).max();
        assert_eq!(largest(|shape| u64::from(shape.prefill_tokens)), Some(1_000));
        assert!(largest(|shape| u64::from(shape.decode_requests)) > Some(40));
        assert!(largest(|shape| shape.prefill_history_tokens) > Some(4_000));
        assert!(samples.iter().any(|(step, _)| step.shape.prefill_tokens == 0));
    }
}
