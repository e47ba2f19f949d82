//! What requests are like, on average over the last ones.
//!
//! # Formula
//! `mean += (value - mean) / min(n, MEMORY)`: the mean of all until there are that many, then of
//! about the last that many.
//!
//! # Bounds and cost
//! O(1), eight numbers.

use crate::error::Error;
use crate::snapshot::Words;
use crate::units::Nanos;

/// Requests over which means reach: a mean of answers, which vary as much as they are long, is then
/// known to 7%.
const MEMORY: f64 = 200.0;

/// The largest mean: spans of time end at 2^64 ns, and delay values and tokens far below.
const MEAN_MAX: f64 = 2e10;

/// Shortest mean gap in seconds: no router is asked more than a million times a second for long.
const GAP_MIN_S: f64 = 1e-6;

/// Means of all replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Means {
    routed: u64,
    ended: u64,
    last: Nanos,
    gap_s: f64,
    pub(super) delay_value: f64,
    pub(super) output_tokens: f64,
    pub(super) stay_s: f64,
    /// Prompt tokens of a request that are cached nowhere.
    pub(super) computed_tokens: f64,
}

/// A mean with one more value, which is the `count`-th.
fn with(mean: f64, value: f64, count: u64) -> f64 {
    mean + (value - mean) / (count as f64).min(MEMORY)
}

impl Means {
    pub(super) fn routed(&mut self, now: Nanos, delay_value: f64, computed_tokens: u32) {
        if self.routed > 0 {
            let gap_s = now.saturating_sub(self.last).as_seconds();
            self.gap_s = with(self.gap_s, gap_s, self.routed);
        }
        self.routed += 1;
        self.last = now;
        self.delay_value = with(self.delay_value, delay_value, self.routed);
        self.computed_tokens = with(self.computed_tokens, computed_tokens.into(), self.routed);
    }

    pub(super) fn ended(&mut self, output_tokens: u32, stay_s: f64) {
        self.ended += 1;
        self.output_tokens = with(self.output_tokens, output_tokens.into(), self.ended);
        self.stay_s = with(self.stay_s, stay_s, self.ended);
    }

    /// Requests a second.
    pub(super) fn rate_per_s(&self) -> f64 {
        if self.routed > 1 { self.gap_s.max(GAP_MIN_S).recip() } else { 0.0 }
    }

    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.routed, self.ended)
    }

    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { routed, ended, last, gap_s, delay_value, .. } = *self;
        let Self { output_tokens, stay_s, computed_tokens, .. } = *self;
        for word in [routed, ended, last.get()] {
            save(word);
        }
        for mean in [gap_s, delay_value, output_tokens, stay_s, computed_tokens] {
            save(mean.to_bits());
        }
    }

    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        Ok(Self {
            routed: words.next_count("routed")?,
            ended: words.next_count("ended")?,
            last: Nanos(words.next()?),
            gap_s: words.next_real("gap_s", 0.0, MEAN_MAX)?,
            delay_value: words.next_real("delay_value", 0.0, MEAN_MAX)?,
            output_tokens: words.next_real("output_tokens", 0.0, MEAN_MAX)?,
            stay_s: words.next_real("stay_s", 0.0, MEAN_MAX)?,
            computed_tokens: words.next_real("computed_tokens", 0.0, MEAN_MAX)?,
        })
    }
}
