//! The meaning of `--load`: how much work an engine completes when it is saturated.
//!
//! # Formula
//! A request's *work* is what its tokens cost on the engine when it is full, in engine-seconds:
//! ```text
//! prompt   prefill_seconds(prompt, steps of 2,048 tokens)
//! output   output * (c0 / seats + c2 + c3 * (prompt + output / 2))
//! ```
//! with the coefficients `c` of the engine's step model. All requests are offered to FCFS with
//! 2,048-token steps at time zero, without prefix hits. Then
//! ```text
//! capacity = work done until the queue is empty / time until then
//! load     = (work of all requests / span of their arrivals) / capacity
//! ```
//! The tail, in which the last requests run with empty seats, is left out; a workload that never
//! makes anybody wait is measured over its whole run. Work and not requests are counted so that
//! what is half done when the queue empties counts half. Since both sides are priced alike, the
//! prices only weigh that remainder.
//!
//! The span of n arrivals is n times their mean distance, as if one more followed.

use rampmeter::Nanos;

use super::observer::Observer;
use super::refusal::Refusal;
use super::run::{RunError, RunOptions, run};
use super::spec::{PeerKind, PolicySpec, build};
use crate::InputError;
use crate::engine::Engine;
use crate::workload::{Request, Workload};

/// Token budget of the steps that capacity is measured with.
pub const STEP_TOKENS: u32 = 2_048;

/// The option that an unusable load is reported under.
const OPTION: &str = "--load";

/// What one engine completes of one workload, and what the workload asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// Engine-seconds of work that saturated FCFS completes in a second.
    pub work_per_s: f64,
    /// Requests a second that this is, at the workload's mean.
    pub requests_per_s: f64,
    /// Engine-seconds of all requests that can be served at all.
    pub work_s: f64,
    /// Seconds over which they arrive, as the workload stands.
    pub span_s: f64,
}

impl Capacity {
    /// Offered work over capacity, as the workload stands; infinite if all arrive at once.
    pub fn load(&self) -> f64 {
        self.work_s / self.span_s / self.work_per_s
    }

    /// By what to multiply every arrival time so that `replicas` engines together are offered
    /// `load` times what they complete.
    ///
    /// # Errors
    /// [`InputError`] if `load` is not in 0.001..=1000, or if all requests arrive at once.
    pub fn arrival_factor(&self, load: f64, replicas: u32) -> Result<f64, InputError> {
        if !(0.001..=1_000.0).contains(&load) {
            return Err(InputError::new(OPTION, format!("{load} is outside 0.001..=1000")));
        }
        if self.span_s <= 0.0 {
            let problem = "arrivals cannot be rescaled: all requests arrive at the same time";
            return Err(InputError::new(OPTION, problem));
        }
        Ok(self.load() / (load * f64::from(replicas.max(1))))
    }
}

/// Multiplies all arrival times by `factor`, counted from the first.
pub fn rescale(workload: &mut Workload, factor: f64) {
    let first = workload.requests.first().map_or(Nanos::ZERO, |request| request.arrival);
    for request in &mut workload.requests {
        let since_first = request.arrival.saturating_sub(first).as_seconds();
        request.arrival = Nanos::from_seconds(since_first * factor);
    }
}

/// Offers all of `workload` to FCFS at once and measures what it completes.
///
/// # Errors
/// [`RunError`] if the workload or the engine cannot be used.
pub fn measure(workload: &Workload, engine: &Engine) -> Result<Capacity, RunError> {
    let engine = Engine { step_tokens_max: STEP_TOKENS, ..engine.clone() };
    let mut saturated = workload.clone();
    rescale(&mut saturated, 0.0);
    let prices: Vec<Price> =
        workload.requests.iter().map(|request| Price::of(request, &engine)).collect();
    let mut meter = Meter::new(&prices);
    let spec = PolicySpec::peer(PeerKind::Fcfs);
    let options = RunOptions { shares_prefixes: false, ..RunOptions::default() };
    let scheduler = build(&spec, &saturated, &engine, options.steps_in_flight)?;
    let end = run(&saturated, &engine, scheduler, options, &mut meter)?;
    let (work_s, until) = if meter.emptied_at > Nanos::ZERO {
        (meter.work_when_emptied_s, meter.emptied_at)
    } else {
        (meter.work_s, end)
    };
    let work_per_s = work_s / until.as_seconds();
    let served = (workload.requests.len() as u32 - meter.refused).max(1);
    Ok(Capacity {
        work_per_s,
        requests_per_s: work_per_s * f64::from(served) / meter.work_s,
        work_s: meter.work_s,
        span_s: span_s(workload),
    })
}

fn span_s(workload: &Workload) -> f64 {
    let [first, .., last] = workload.requests.as_slice() else { return 0.0 };
    let count = workload.requests.len() as f64;
    last.arrival.saturating_sub(first.arrival).as_seconds() * count / (count - 1.0)
}

/// Engine-seconds of one token of a request.
#[derive(Clone, Copy, Debug)]
struct Price {
    prompt_token_s: f64,
    output_token_s: f64,
}

impl Price {
    fn of(request: &Request, engine: &Engine) -> Self {
        let prompt = request.prompt_tokens;
        let prompt_s = engine.model.prefill_seconds(prompt, 0, engine.step_tokens_max);
        let [step_s, _, request_s, kv_token_s, ..] = engine.model.coefficients();
        let context = f64::from(prompt) + f64::from(request.output_tokens) / 2.0;
        Self {
            prompt_token_s: prompt_s / f64::from(prompt.max(1)),
            output_token_s: step_s / f64::from(engine.running_max)
                + request_s
                + kv_token_s * context,
        }
    }
}

/// Adds up the work done, and remembers how much it was when the queue emptied last.
struct Meter<'a> {
    prices: &'a [Price],
    waiting: u32,
    refused: u32,
    work_s: f64,
    emptied_at: Nanos,
    work_when_emptied_s: f64,
}

impl<'a> Meter<'a> {
    fn new(prices: &'a [Price]) -> Self {
        Self {
            prices,
            waiting: 0,
            refused: 0,
            work_s: 0.0,
            emptied_at: Nanos::ZERO,
            work_when_emptied_s: 0.0,
        }
    }
}

impl Observer for Meter<'_> {
    fn arrived(&mut self, _now: Nanos, _request: u32) {
        self.waiting += 1;
    }

    fn refused(&mut self, _now: Nanos, _request: u32, _why: Refusal) {
        self.waiting -= 1;
        self.refused += 1;
    }

    fn preempted(&mut self, _now: Nanos, _request: u32) {
        self.waiting += 1;
    }

    fn admitted(&mut self, now: Nanos, _request: u32, _cached_tokens: u32) {
        self.waiting -= 1;
        if self.waiting == 0 {
            (self.emptied_at, self.work_when_emptied_s) = (now, self.work_s);
        }
    }

    fn served(&mut self, _now: Nanos, request: u32, prompt_tokens: u32, output_tokens: u32) {
        let price = &self.prices[request as usize];
        self.work_s += f64::from(prompt_tokens) * price.prompt_token_s
            + f64::from(output_tokens) * price.output_token_s;
    }
}
