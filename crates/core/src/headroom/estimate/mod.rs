//! How much comes, how unevenly, how long does it take, and on how much?
//!
//! # What it decides
//! Nothing. It keeps the numbers that every answer about waiting is made of.
//!
//! # Formula
//! ```text
//! mean      m  += (x - m) / w,   w = min(samples, memory)             equal weights, then exponential
//! variance  s2  = (1 - 1/w) * (s2 + (x - m)^2 / w)                    of the same weights
//! ```
//! Until `memory` samples have come the estimates are those of the textbook; from then on a sample
//! counts `1/e` of what it did after `memory` later ones.
//!
//! - `arrivals`: the rate of each class, by its gaps and by how long it has been silent.
//! - `bursts`: how unevenly they come, over several spans of time: the index of dispersion.
//! - `service`: what requests take, as samples in the order in which they ended.
//! - `servers`: how many there are, and how much they slow each other down.
//!
//! # Bounds and cost
//! O(1) a sample, no allocation.
//!
//! # Source
//! Welford, "Note on a method for calculating corrected sums of squares and products",
//! Technometrics 4 (1962); with exponential weights: Finch, "Incremental calculation of weighted
//! mean and variance" (2009).

pub mod arrivals;
pub mod bursts;
pub mod servers;
pub mod service;

use crate::error::Error;
use crate::snapshot::Words;

/// Gaps after which one that is longer than all of them is a stop: among so many nothing that comes at
/// some rate, in bursts or not, leaves such a gap once in many lives.
const STOP_AFTER: f64 = 200.0;

/// Mean and variance of the last samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    weight: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    /// One more sample; `memory` is at least 1.
    pub fn note(&mut self, value: f64, memory: f64) {
        self.weight = (self.weight + 1.0).min(memory.max(1.0));
        let part = self.weight.recip();
        let apart = value - self.mean;
        self.mean += apart * part;
        self.variance = (1.0 - part) * (self.variance + apart * apart * part);
    }

    /// Whether a gap is longer than all that is remembered together, of enough gaps to say so.
    #[must_use]
    pub(in crate::headroom) fn is_stop(&self, gap_s: f64) -> bool {
        self.weight >= STOP_AFTER && gap_s > self.weight * self.mean
    }

    /// Samples that it stands for, at most the memory.
    #[must_use]
    pub const fn samples(&self) -> f64 {
        self.weight
    }

    /// Mean; 0 before there is a sample.
    #[must_use]
    pub const fn mean(&self) -> f64 {
        self.mean
    }

    /// Variance over the square of the mean: the squared coefficient of variation. 0 where the
    /// mean is not positive.
    #[must_use]
    pub fn scv(&self) -> f64 {
        if self.mean > 0.0 { self.variance / (self.mean * self.mean) } else { 0.0 }
    }

    /// Standard error of the mean over the mean, for independent samples.
    #[must_use]
    pub fn mean_error_ratio(&self) -> f64 {
        libm::sqrt(self.scv() / self.weight.max(1.0))
    }

    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { weight, mean, variance } = self;
        for number in [weight, mean, variance] {
            save(number.to_bits());
        }
    }

    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        Ok(Self {
            weight: words.next_real("weight", 0.0, super::MEMORY_MAX)?,
            mean: words.next_real("mean", 0.0, super::SPAN_MAX_S)?,
            variance: words.next_real("variance", 0.0, super::SPAN_MAX_S * super::SPAN_MAX_S)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Within the memory they are the mean and variance of the textbook.
        #[test]
        fn moments_are_those_of_the_samples(values in prop::collection::vec(0.0f64..1e3, 1..60)) {
            let mut moments = Moments::default();
            for value in &values {
                moments.note(*value, 100.0);
            }
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
            prop_assert!((moments.mean() - mean).abs() < 1e-9 * (1.0 + mean));
            prop_assert!((moments.variance - variance).abs() < 1e-7 * (1.0 + variance));
            prop_assert_eq!(moments.samples(), n);
        }
    }

    #[test]
    fn the_past_fades() {
        let mut moments = Moments::default();
        (0..1_000).for_each(|_| moments.note(1.0, 10.0));
        (0..10).for_each(|_| moments.note(2.0, 10.0));
        let left = libm::pow(0.9, 10.0);
        assert!((moments.mean() - (2.0 - left)).abs() < 1e-12);
        assert_eq!(moments.samples(), 10.0);
    }
}
