//! The step-time model, learned from the steps of the engine at hand.
//!
//! # What it decides
//! How long the next step will take, from all that were seen: the seven coefficients of a
//! [`StepModel`], and by how much the engine is faster or slower just now.
//!
//! # Formula
//! ```text
//! predict   s_hat   = scale * model(shape)
//! gate      e       = ln(s / s_hat);  e' = e, but within +-4 * spread of its kind of step
//! learn     row     = features / max(s, s_hat),  target = s_hat * exp(e') / max(s, s_hat)
//! slow      c       = argmin sum_i memory^i * (target_i - row_i . c)^2 + |c - g * c0|^2 / g^2
//!                     over c >= 0, but for `prefill_step_s`; solved anew every 8 steps
//! fast      scale  *= exp(0.2 * trend^2 * e'),  trend = |smoothed e'| / smoothed |e'|
//! spread   += 0.1 * (|e'| - spread)
//! ```
//! - The weight `1 / s^2` makes relative errors count, as in the offline fit. `s_hat` takes the
//!   place of `s` where that is larger, so that a duration that is far too short weighs nothing
//!   extra.
//! - **The profile `c0` is one more step that is never forgotten** (in shares of a typical step,
//!   times `g`, the ratio of the two models there). What the steps do not tell stays as the
//!   profile has it, at the engine's speed; what they do tell outweighs it after a few.
//! - **Steps with and without prompts have equations of their own**, added up to solve. Each kind
//!   forgets when one of its kind comes: hours of decoding do not wear away what is known of
//!   prompts.
//! - **The scale carries the past along**: when it moves, all that was learned is taken to have
//!   been that much slower, so that a throttled engine is followed at once and keeps its shape.
//!   It moves when errors agree in sign (`trend` near 1) and rests while they do not.
//! - **The gate** counts a duration outside as one at its edge. Errors that keep coming widen
//!   `spread`, by up to 30% a step, until they are inside. That happens where more than one in
//!   four steps of a kind (the 4 of the gate) is outside: then they are the truth.
//!
//! # Bounds and cost
//! O(1), no allocation, 832 bytes. Learning from a step takes about 650 instructions and a
//! solution 2,800, so that the mean is 1,000: a quarter of a microsecond. Exact to the optimum of
//! the constrained problem, by active sets; at most 21 changes of the set, then the best so far.
//! Identical calls give identical bits.
//!
//! # What it is bad at
//! - A change of *shape* (prompts slower, decodes not) takes `memory_steps` steps with prompts.
//! - Errors of the form itself: kernels quantise chunks of a few hundred tokens, which no
//!   coefficients follow.
//! - An engine whose steps are all alike tells one number: the rest is the profile's, scaled.
//! - A duration that contains waiting for the host is taken for the engine's, if it is usual.
//!
//! # Source
//! Recursive least squares in information form with exponential forgetting: Ljung, "System
//! Identification" (2nd ed. 1999), 11.2. Anchoring to stop wind-up: Salgado, Goodwin, Middleton,
//! "Modified least squares algorithm incorporating exponential resetting and forgetting", Int. J.
//! Control 47 (1988). Active sets: Lawson and Hanson, "Solving Least Squares Problems" (1974),
//! ch. 23. Edge of the gate: Huber, "Robust Statistics" (1981), Winsorised residuals. `trend`:
//! Trigg and Leach, "Exponential smoothing with an adaptive response rate", Operational Research
//! Quarterly 18 (1967). Figures: `docs/policies/step-model.md`.

mod equations;
mod kind;
mod state;
#[cfg(test)]
mod tests;

use super::{FEATURES, PREFILL_TOKEN_SECONDS_MIN, StepModel, StepShape};
use crate::error::{Error, check_range};
use crate::units::Nanos;
use equations::{Anchor, Vector};
use kind::Kind;

/// The step that coefficients are measured by: a full chunk of chat work beside half-filled seats.
/// Of that step each feature has the size of 1, so that the sums of products, which span 24
/// decades in seconds and tokens, span few.
const TYPICAL: StepShape = StepShape {
    prefill_tokens: 512,
    prefill_history_tokens: 768,
    decode_requests: 64,
    decode_context_tokens: 64 * 1_024,
};

/// Durations are whole nanoseconds; a prediction below one would divide by nothing.
const SECONDS_MIN: f64 = 1e-9;

/// Longest step that is believed, in nanoseconds: one hour, as for coefficients.
const DURATION_NS_MAX: u64 = 3_600_000_000_000;

/// Most tokens computed in a step, a thousand times what engines are configured for: more is a
/// wrong unit or a forged number.
const STEP_TOKENS_MAX: u64 = 1 << 24;

/// Most KV tokens of a step's requests: a terabyte at one byte a token.
const KV_TOKENS_MAX: u64 = 1 << 40;

/// For so many steps the model is solved at each, and the scale rests: seven unknowns are not yet
/// known, and an error is the coefficients' own. Nine steps an unknown; 16 to 100 are equal.
const YOUNG_STEPS: u64 = 64;

/// From then on it is solved every so many steps. Every step is better by 0.01 points of mean
/// error, every 32 worse by 0.01; the scale follows in between.
const SOLVE_EVERY: u64 = 8;

/// Most of an error that the scale follows at one step. Over the hundred steps after a slowdown of
/// 30% the mean error is 3.2%; with 0.1 it is 4.4%, with 0.3 it is 2.8% and noise of 3% costs 0.03
/// points more.
const SCALE_GAIN: f64 = 0.2;

/// Gain of the two means that `trend` divides: ten steps, as their source has it. Half and twice
/// as much move the mean error by 0.02 and -0.03 points, and that under noise the other way.
const TREND_GAIN: f64 = 0.1;

/// How much longer the present model's typical step may be than the profile's, or shorter, for
/// the profile's weight to follow. Beyond, it is no profile of this engine.
const PACE_MAX: f64 = 1e3;

/// How a [`StepFit`] learns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StepFitOptions {
    /// Steps, with prompts and without each, after which a step counts `1/e` of what it did:
    /// each of its kind keeps `1 - 1/memory_steps`. 50 to 1,000,000; default 1,000.
    pub memory_steps: u32,
}

impl Default for StepFitOptions {
    /// A thousand steps: half a minute of work. 500 to 4,000 differ by 0.03 points of mean error,
    /// and the time to learn a change of shape grows with it.
    fn default() -> Self {
        Self { memory_steps: 1_000 }
    }
}

/// What one observed step showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitOutcome {
    /// What had been predicted for it, before it was learned from.
    pub predicted: Nanos,
    /// `|predicted / observed - 1|`.
    pub error_ratio: f64,
    /// The duration was outside the gate, and counted as one at its edge.
    pub limited: bool,
}

/// How well the model does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepFitStats {
    /// Steps learned from.
    pub samples: u64,
    /// Those whose duration was outside the gate.
    pub limited: u64,
    /// Mean of `|predicted / observed - 1|`, each at most 1, over about the last hundred steps
    /// of each kind, weighed by how frequent the kind is; prediction before observation.
    pub error_ratio: f64,
    /// The same over steps with prompts.
    pub error_ratio_prefill: f64,
    /// Time of a typical step by the present model over that by the profile.
    pub time_scale: f64,
    /// For each coefficient in the order of [`super::FEATURE_NAMES`] how far it is known from
    /// steps: 0 if it is the profile's, towards 1 the less the profile matters.
    pub determined_ratio: [f64; FEATURES],
}

/// Learns the step-time model of one engine from its steps.
///
/// # Examples
/// ```
/// use rampmeter::Nanos;
/// use rampmeter::engine::{Profile, StepFit, StepFitOptions, StepShape};
///
/// let profile = Profile::named("llama-3.1-8b").ok_or("no such profile")?.step_model()?;
/// let mut fit = StepFit::new(profile, &StepFitOptions::default())?;
/// for context_tokens in 500..700 {
///     let shape = StepShape::default().with_decode(context_tokens).with_prefill(256, 0);
///     // An engine that takes twice the time of its profile.
///     let duration = Nanos::from_seconds(2.0 * profile.seconds(&shape));
///     fit.observe(&shape, duration)?;
/// }
/// assert!((fit.stats().time_scale - 2.0).abs() < 0.01);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StepFit {
    /// What one step keeps when another of its kind comes.
    keep: f64,
    anchor: Anchor,
    /// The solution, in typical shares, and which of its parts are not held at zero.
    solution: Vector,
    free: u32,
    /// The same as a model, to be multiplied by `scale`.
    model: StepModel,
    scale: f64,
    /// Steps without prompts, and with.
    kinds: [Kind; 2],
    /// Smoothed logarithmic error, and the smoothed size of it.
    trend: f64,
    trend_size: f64,
    limited: u64,
}

const _: () = assert!(size_of::<StepFit>() <= 1_024);

impl StepFit {
    /// Begins with `prior` as the model: a profile of the engine, or of one like it.
    ///
    /// # Errors
    /// [`Error::Range`] on `memory_steps`.
    pub fn new(prior: StepModel, options: &StepFitOptions) -> Result<Self, Error> {
        check_range("memory_steps", options.memory_steps.into(), 50, 1_000_000)?;
        let anchor = Anchor::new(&prior);
        Ok(Self {
            keep: 1.0 - 1.0 / f64::from(options.memory_steps),
            solution: anchor.shares,
            anchor,
            free: equations::ALL,
            model: prior,
            scale: 1.0,
            kinds: [Kind::new(), Kind::new()],
            trend: 0.0,
            trend_size: 0.0,
            limited: 0,
        })
    }

    /// Learns from a step: what it contained, and how long the engine took. O(1).
    ///
    /// # Errors
    /// [`Error::Range`] if there is nothing in the step or more than any engine computes
    /// (2^24 prompt tokens or decodes, 2^40 KV tokens), or on `duration_ns` outside 1 ns to one
    /// hour. Nothing is changed then.
    pub fn observe(&mut self, shape: &StepShape, duration: Nanos) -> Result<FitOutcome, Error> {
        check_shape(shape)?;
        check_range("duration_ns", duration.get(), 1, DURATION_NS_MAX)?;
        let observed_s = duration.as_seconds();
        let predicted_s = self.seconds(shape).max(SECONDS_MIN);
        let error_ratio = (predicted_s / observed_s - 1.0).abs();
        let kind = &mut self.kinds[usize::from(shape.prefill_tokens > 0)];
        let deviation = libm::log(observed_s / predicted_s);
        let gated = kind.gate(deviation, error_ratio);
        let weight_s = observed_s.max(predicted_s);
        let target = predicted_s * libm::exp(gated) / weight_s;
        let row = self.anchor.row(&shape.features(), weight_s / self.scale);
        kind.equations.add(self.keep, &row, target);
        let limited = gated != deviation;
        self.limited = self.limited.saturating_add(u64::from(limited));
        let samples = self.samples();
        self.follow(samples, gated);
        if samples <= YOUNG_STEPS || samples.is_multiple_of(SOLVE_EVERY) {
            self.solve();
        }
        Ok(FitOutcome { predicted: Nanos::from_seconds(predicted_s), error_ratio, limited })
    }

    /// Predicted seconds of a step. O(1).
    #[must_use]
    pub fn seconds(&self, shape: &StepShape) -> f64 {
        self.scale * self.model.seconds(shape)
    }

    /// The model as it is now; its coefficients keep the signs that [`StepModel`] asks for. O(1).
    #[must_use]
    pub fn model(&self) -> StepModel {
        scaled(self.model.coefficients(), self.scale).unwrap_or(self.model)
    }

    /// How well it does. About as much work as two solutions: for people, not for every step.
    #[must_use]
    pub fn stats(&self) -> StepFitStats {
        let samples = self.kinds.each_ref().map(|kind| kind.samples as f64);
        let errors = self.kinds.each_ref().map(|kind| kind.error_ratio);
        let weighed = samples[0] * errors[0] + samples[1] * errors[1];
        StepFitStats {
            samples: self.samples(),
            limited: self.limited,
            error_ratio: weighed / (samples[0] + samples[1]).max(1.0),
            error_ratio_prefill: errors[1],
            time_scale: self.seconds(&TYPICAL) / self.anchor.seconds,
            determined_ratio: self.anchor.problem(&self.kinds, self.pace()).determined(),
        }
    }

    fn samples(&self) -> u64 {
        self.kinds[0].samples.saturating_add(self.kinds[1].samples)
    }

    /// Moves the scale towards an error, the more of it the more errors agree in sign.
    fn follow(&mut self, samples: u64, gated: f64) {
        self.trend += TREND_GAIN * (gated - self.trend);
        self.trend_size += TREND_GAIN * (gated.abs() - self.trend_size);
        if samples > YOUNG_STEPS && self.trend_size > 0.0 {
            let trend = (self.trend / self.trend_size).clamp(-1.0, 1.0);
            self.scale *= libm::exp(SCALE_GAIN * trend * trend * gated);
        }
    }

    /// Time of a typical step by the solution over that by the profile, without the scale.
    fn pace(&self) -> f64 {
        self.solution.iter().sum::<f64>().clamp(1.0 / PACE_MAX, PACE_MAX)
    }

    /// Brings what was learned to the present scale, and finds the coefficients that fit it.
    /// Where rounding leaves no solution, or one that is no model, what was known stays.
    fn solve(&mut self) {
        let scale = core::mem::replace(&mut self.scale, 1.0);
        for kind in &mut self.kinds {
            kind.equations.slow_down(scale);
        }
        self.solution = self.solution.map(|share| share * scale);
        self.model = scaled(self.model.coefficients(), scale).unwrap_or(self.model);
        let problem = self.anchor.problem(&self.kinds, self.pace());
        let Some((solution, free)) = problem.solve(&self.solution, self.free) else { return };
        if let Some(model) = scaled(self.anchor.coefficients(&solution), 1.0) {
            (self.solution, self.free, self.model) = (solution, free, model);
        }
    }
}

/// A model with these coefficients times `scale`; a prompt token takes the least that it may.
fn scaled(coefficients: Vector, scale: f64) -> Option<StepModel> {
    let mut coefficients = coefficients.map(|coefficient| coefficient * scale);
    coefficients[1] = coefficients[1].max(PREFILL_TOKEN_SECONDS_MIN);
    StepModel::new(coefficients).ok()
}

fn check_shape(shape: &StepShape) -> Result<(), Error> {
    let prefill = u64::from(shape.prefill_tokens);
    let decodes = u64::from(shape.decode_requests);
    check_range("prefill_tokens", prefill, u64::from(decodes == 0), STEP_TOKENS_MAX)?;
    check_range("decode_requests", decodes, 0, STEP_TOKENS_MAX)?;
    check_range("prefill_history_tokens", shape.prefill_history_tokens, 0, KV_TOKENS_MAX)?;
    check_range("decode_context_tokens", shape.decode_context_tokens, 0, KV_TOKENS_MAX)?;
    Ok(())
}
