//! How long does a step take? The step-time model, and the KV cache: its geometry, where it can be
//! swapped to, and how long answers get that fill it.
//!
//! # What it decides
//! Nothing by itself: it predicts the seconds of one engine step from what the step contains, and
//! inverts that prediction: how many prompt tokens still fit before a given moment.
//!
//! # Formula
//! ```text
//! seconds = c0                      every step: launches, weights, sampling, host
//!         + c2 * n                  one more decoding request
//!         + c3 * kd                 reading the decoding requests' KV
//!         + max(0,
//!           c1 * p                  dense layers over prompt tokens
//!         + c4 * p * (kp + p / 2)   attention of the prompt chunk over its history and itself
//!         + c5 * [p > 0]            a step that has any prompt at all
//!         + c6 * [p > 0] * kd )     mixed steps read decode KV more slowly
//! ```
//! `p` prompt tokens, `kp` their history, `n` decoding requests, `kd` their KV tokens.
//!
//! # Bounds and cost
//! O(1), no allocation. All coefficients but `c5` are non-negative, so that the prediction never
//! falls when work is added and the inverse has one answer. `c5` is negative on most engines: the
//! dense layers read their weights whether one token asks for them or three hundred, so that the
//! first tokens of a chunk ride along; the `max` says that no chunk makes a step shorter.
//!
//! # What it is bad at
//! Kernel tile effects (steps of a few hundred tokens are quantised), speculative decoding, and
//! contexts far beyond those it was fitted on.
//!
//! # Source
//! The seven features come from fitting measured kernel tables (see `profile`); four features
//! without the last two err three times as much on steps that contain prompts.

pub mod curve;
mod online;
pub mod profile;
pub mod survival;
mod swap;

use crate::error::{Error, check_range, check_real};
use crate::units::{Blocks, Nanos, Tokens};

pub use curve::LatencyCurve;
pub use online::{FitOutcome, StepFit, StepFitOptions, StepFitStats};
pub use profile::Profile;
pub use survival::OutputLengths;
pub use swap::KvSwap;

/// Number of features, and of coefficients, of a [`StepModel`].
pub const FEATURES: usize = 7;

/// The names of the features in order, with the unit of each coefficient.
pub const FEATURE_NAMES: [&str; FEATURES] = [
    "step_s",
    "prefill_s_per_token",
    "decode_s_per_request",
    "decode_s_per_kv_token",
    "prefill_attention_s_per_token2",
    "prefill_step_s",
    "mixed_s_per_kv_token",
];

/// What one engine step contains, as far as its duration depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct StepShape {
    /// Prompt tokens computed in the step, over all requests.
    pub prefill_tokens: u32,
    /// KV tokens that those requests had before the step, summed.
    pub prefill_history_tokens: u64,
    /// Requests that decode in the step.
    pub decode_requests: u32,
    /// KV tokens that the decoding requests had before the step, summed.
    pub decode_context_tokens: u64,
}

impl StepShape {
    /// The features of the model, in the order of its coefficients.
    #[must_use]
    pub fn features(&self) -> [f64; FEATURES] {
        let p = f64::from(self.prefill_tokens);
        let kp = self.prefill_history_tokens as f64;
        let kd = self.decode_context_tokens as f64;
        let any = if self.prefill_tokens > 0 { 1.0 } else { 0.0 };
        [1.0, p, f64::from(self.decode_requests), kd, p * (kp + p / 2.0), any, any * kd]
    }

    /// This step with one more prompt chunk in it: `tokens` tokens of a request that has
    /// `history_tokens` KV tokens before the step. Saturating.
    #[must_use]
    pub const fn with_prefill(mut self, tokens: u32, history_tokens: u32) -> Self {
        self.prefill_tokens = self.prefill_tokens.saturating_add(tokens);
        self.prefill_history_tokens =
            self.prefill_history_tokens.saturating_add(history_tokens as u64);
        self
    }

    /// This step with one more decoding request in it, which has `context_tokens` KV tokens
    /// before the step: the token that it computes is not among them. Saturating.
    #[must_use]
    pub const fn with_decode(mut self, context_tokens: u32) -> Self {
        self.decode_requests = self.decode_requests.saturating_add(1);
        self.decode_context_tokens =
            self.decode_context_tokens.saturating_add(context_tokens as u64);
        self
    }
}

/// Position of `prefill_step_s`, the one coefficient that may be negative.
pub const PREFILL_STEP: usize = 5;

/// Longest step that a coefficient may stand for, in seconds; anything above is a wrong unit.
const SECONDS_MAX: f64 = 3600.0;

/// Least time of a prompt token, in seconds: a million million tokens a second is beyond any
/// engine, and anything below is a wrong unit.
const PREFILL_TOKEN_SECONDS_MIN: f64 = 1e-12;

/// Least and most that an output token may cost, in prompt tokens.
const OUTPUT_TOKEN_COST: (f64, f64) = (1.0, 100.0);

/// A span that no step lasts, a century: the inverse of the model treats longer ones as this.
const ENDLESS_S: f64 = 3.2e9;

/// Seconds of a step from its contents, by seven coefficients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepModel {
    coefficients: [f64; FEATURES],
}

impl StepModel {
    /// A model with these coefficients, in the order and units of [`FEATURE_NAMES`].
    ///
    /// # Errors
    /// [`Error::RangeReal`] naming the coefficient if one is NaN, over an hour, or negative where
    /// it must not be (only `prefill_step_s` may), or if a prompt token takes less than 1e-12 s.
    pub fn new(coefficients: [f64; FEATURES]) -> Result<Self, Error> {
        for (index, (name, value)) in FEATURE_NAMES.into_iter().zip(coefficients).enumerate() {
            let least = if index == PREFILL_STEP { -SECONDS_MAX } else { 0.0 };
            check_real(name, value, least, SECONDS_MAX)?;
        }
        // A token costs something, or a prompt would be predicted to take no time at all.
        check_real(FEATURE_NAMES[1], coefficients[1], PREFILL_TOKEN_SECONDS_MIN, SECONDS_MAX)?;
        Ok(Self { coefficients })
    }

    /// The coefficients, in the order of [`FEATURE_NAMES`].
    #[must_use]
    pub const fn coefficients(&self) -> [f64; FEATURES] {
        self.coefficients
    }

    /// Predicted seconds of a step. O(1).
    #[must_use]
    pub fn seconds(&self, shape: &StepShape) -> f64 {
        let [c0, c1, c2, c3, c4, c5, c6] = self.coefficients;
        let [_, p, n, kd, attention, any, mixed] = shape.features();
        let decode_s = c0 + c2 * n + c3 * kd;
        decode_s + (c1 * p + c4 * attention + c5 * any + c6 * mixed).max(0.0)
    }

    /// Predicted duration of a step. O(1).
    #[must_use]
    pub fn duration(&self, shape: &StepShape) -> Nanos {
        Nanos::from_seconds(self.seconds(shape))
    }

    /// The most prompt tokens that can be added to `shape`, as a chunk of a request that already
    /// has `history_tokens` in its KV, with the step still predicted to take at most `seconds`.
    ///
    /// Zero when even one token is too much. O(1): the positive root of a quadratic.
    #[must_use]
    pub fn prefill_tokens_within(
        &self,
        seconds: f64,
        shape: &StepShape,
        history_tokens: u32,
    ) -> Tokens {
        let [c0, c1, c2, c3, c4, c5, c6] = self.coefficients;
        let kd = shape.decode_context_tokens as f64;
        let spare = seconds - (c0 + c2 * f64::from(shape.decode_requests) + c3 * kd);
        let left = spare - (c5 + c6 * kd);
        if spare.is_nan() || spare < 0.0 || left <= 0.0 {
            return Tokens::ZERO;
        }
        // With no deadline at all, infinity would divide itself below.
        let left = left.min(ENDLESS_S);
        let history = shape.prefill_history_tokens.saturating_add(history_tokens.into()) as f64;
        // c4/2 * P^2 + b * P = left, in the form that does not cancel when c4 is tiny.
        let b = c1 + c4 * history;
        let total = 2.0 * left / (b + libm::sqrt(b * b + 2.0 * c4 * left));
        Tokens((total as u32).saturating_sub(shape.prefill_tokens))
    }

    /// Seconds to compute `tokens` of a prompt after `history_tokens`, in chunks of at most
    /// `chunk_tokens` with nothing else running: the least a request still has to wait.
    #[must_use]
    pub fn prefill_seconds(&self, tokens: u32, history_tokens: u32, chunk_tokens: u32) -> f64 {
        let [c0, c1, _, _, c4, c5, _] = self.coefficients;
        let (p, h) = (f64::from(tokens), f64::from(history_tokens));
        let steps = f64::from(tokens.div_ceil(chunk_tokens.max(1)));
        // Attention over all chunks together is that of one long chunk.
        steps * c0 + (steps * c5 + c1 * p + c4 * p * (h + p / 2.0)).max(0.0)
    }

    /// What one output token costs, in prompt tokens, by the time that both take:
    /// ```text
    /// cost = (seconds of `decode_requests` decodes alone, of `context_tokens` each / decode_requests)
    ///      / (seconds of a prompt chunk of `chunk_tokens` alone, without history / chunk_tokens)
    /// ```
    /// Both sides bear the cost of a whole step, so that the ratio says how the engine's time
    /// divides when it is busy with either. The built-in profile of Llama-3.1-8B gives 5.4 for
    /// 128 decodes of 1,100 tokens and chunks of 2,048. Within 1 to 100 whatever the model says:
    /// an output token passes the same weights as a prompt token and is never the cheaper one,
    /// and more than 100 is an idle engine's launch cost, which no account should be charged.
    /// Zero requests or chunk tokens count as one. O(1).
    #[must_use]
    pub fn output_token_cost(
        &self,
        decode_requests: u32,
        context_tokens: u32,
        chunk_tokens: u32,
    ) -> f64 {
        let (requests, chunk) = (decode_requests.max(1), chunk_tokens.max(1));
        let decodes = StepShape {
            decode_requests: requests,
            decode_context_tokens: u64::from(requests) * u64::from(context_tokens),
            ..StepShape::default()
        };
        let prompt = StepShape::default().with_prefill(chunk, 0);
        let output_token_s = self.seconds(&decodes) / f64::from(requests);
        let prompt_token_s = self.seconds(&prompt) / f64::from(chunk);
        let (least, most) = OUTPUT_TOKEN_COST;
        // Two models of nothing but zeros give 0 / 0; then a token is a token.
        if output_token_s <= least * prompt_token_s {
            least
        } else {
            (output_token_s / prompt_token_s).min(most)
        }
    }
}

/// The KV cache of one engine: how many blocks, and how many tokens each holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KvGeometry {
    blocks: Blocks,
    block_tokens: u32,
}

impl KvGeometry {
    /// `blocks` blocks of `block_tokens` tokens.
    ///
    /// # Errors
    /// [`Error::Range`] unless there is at least one block, and 1 to 65,536 tokens in each.
    pub fn new(blocks: Blocks, block_tokens: u32) -> Result<Self, Error> {
        check_range("kv_blocks", u64::from(blocks.get()), 1, u64::from(u32::MAX) - 1)?;
        check_range("kv_block_tokens", u64::from(block_tokens), 1, 65_536)?;
        Ok(Self { blocks, block_tokens })
    }

    /// Blocks in all.
    #[must_use]
    pub const fn blocks(&self) -> Blocks {
        self.blocks
    }

    /// Tokens in a block.
    #[must_use]
    pub const fn block_tokens(&self) -> u32 {
        self.block_tokens
    }

    /// Blocks that hold `tokens` tokens.
    #[must_use]
    pub const fn blocks_for(&self, tokens: Tokens) -> Blocks {
        tokens.blocks(self.block_tokens)
    }

    /// The longest context that the cache can hold at all.
    #[must_use]
    pub const fn tokens_max(&self) -> u64 {
        self.blocks.get() as u64 * self.block_tokens as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shapes_saturate() {
        let full = StepShape {
            prefill_tokens: u32::MAX,
            prefill_history_tokens: u64::MAX,
            decode_requests: u32::MAX,
            decode_context_tokens: u64::MAX,
        };
        assert_eq!(full.with_prefill(1, 1).with_decode(1), full);
        let model = StepModel::new([0.01, 1e-12, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
        assert_eq!(model.prefill_tokens_within(1e9, &full, 1), Tokens::ZERO);
    }

    #[test]
    fn a_prompt_token_takes_time() {
        let refused = StepModel::new([0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap_err();
        let text = "`prefill_s_per_token` = 0 is outside 1e-12..=3600";
        assert_eq!(std::string::ToString::to_string(&refused), text);
    }

    fn with_step_cost(c5: f64) -> StepModel {
        StepModel::new([8e-3, 40e-6, 30e-6, 90e-9, 1e-9, c5, 20e-9]).unwrap()
    }

    #[test]
    fn refuses_coefficients_that_are_not_times() {
        for bad in [-1e-9, f64::NAN, f64::INFINITY] {
            let error = StepModel::new([1e-3, 1e-5, bad, 0.0, 0.0, 0.0, 0.0]).unwrap_err();
            assert_eq!(error.field(), "decode_s_per_request");
        }
        assert!(StepModel::new([1e-3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).is_err());
    }

    proptest! {
        /// The inverse is exact: that many tokens fit, one more does not. Also where the first
        /// tokens of a chunk are free.
        #[test]
        fn inverse_is_the_largest_chunk_that_fits(
            seconds in 0.0f64..0.5, p in 0u32..3000, kp in 0u64..50_000,
            n in 0u32..256, kd in 0u64..500_000, h in 0u32..20_000, c5 in -4e-3f64..2e-3,
        ) {
            let model = with_step_cost(c5);
            let shape = StepShape { prefill_tokens: p, prefill_history_tokens: kp,
                decode_requests: n, decode_context_tokens: kd };
            let fits = model.prefill_tokens_within(seconds, &shape, h).get();
            if fits > 0 {
                prop_assert!(model.seconds(&shape.with_prefill(fits, h)) <= seconds * (1.0 + 1e-9));
            }
            prop_assert!(model.seconds(&shape.with_prefill(fits + 1, h)) > seconds * (1.0 - 1e-9));
        }

        /// More work never takes less time.
        #[test]
        fn prediction_grows_with_work(
            p in 0u32..4000, kp in 0u64..90_000, n in 0u32..256, kd in 0u64..900_000,
            c5 in -4e-3f64..2e-3,
        ) {
            let model = with_step_cost(c5);
            let shape = StepShape { prefill_tokens: p, prefill_history_tokens: kp,
                decode_requests: n, decode_context_tokens: kd };
            prop_assert!(model.seconds(&shape.with_prefill(1, 7)) >= model.seconds(&shape));
            prop_assert!(model.seconds(&shape.with_decode(7)) >= model.seconds(&shape));
        }
    }

    #[test]
    fn without_a_deadline_any_number_of_tokens_fits() {
        let flat = StepModel::new([8e-3, 40e-6, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
        for model in [with_step_cost(1e-3), with_step_cost(-4e-3), flat] {
            for endless in [f64::INFINITY, f64::MAX, 1e12] {
                let fits = model.prefill_tokens_within(endless, &StepShape::default(), 0).get();
                assert!(fits > 1_000_000, "{fits} tokens within {endless} s");
            }
            for none in [f64::NEG_INFINITY, f64::NAN, -1.0, 0.0] {
                let fits = model.prefill_tokens_within(none, &StepShape::default(), 0);
                assert_eq!(fits, Tokens::ZERO, "{none}");
            }
        }
    }

    /// Twenty-eight milliseconds for 128 tokens against 82 for 2,048, by hand.
    #[test]
    fn an_output_token_costs_five_prompt_tokens_on_the_measured_engine() {
        let model = Profile::named("llama-3.1-8b").unwrap().step_model().unwrap();
        let [c0, c1, c2, c3, c4, c5, _] = model.coefficients();
        let decode_s = (c0 + c2 * 128.0 + c3 * 128.0 * 1_100.0) / 128.0;
        let prompt_s = (c0 + c1 * 2_048.0 + c4 * 2_048.0 * 1_024.0 + c5) / 2_048.0;
        let cost = model.output_token_cost(128, 1_100, 2_048);
        assert!((cost - decode_s / prompt_s).abs() < 1e-12 && (5.0..6.0).contains(&cost), "{cost}");
        assert!(model.output_token_cost(32, 1_100, 2_048) > cost, "fewer share a step");
        // Alone, a token takes 11.8 ms against 40 us.
        assert_eq!(model.output_token_cost(1, 0, 2_048), 100.0);
        let alone = model.output_token_cost(0, 0, 0);
        assert_eq!(alone, model.output_token_cost(1, 0, 1));
        let free = StepModel::new([0.0, 1e-12, 0.0, 0.0, 0.0, -1.0, 0.0]).unwrap();
        assert_eq!(free.output_token_cost(128, u32::MAX, 1), 1.0);
    }

    #[test]
    fn kv_geometry_refuses_nothing_at_all() {
        assert!(KvGeometry::new(Blocks(0), 16).is_err());
        assert!(KvGeometry::new(Blocks(1), 0).is_err());
        assert_eq!(KvGeometry::new(Blocks(10), 16).unwrap().tokens_max(), 160);
    }
}
