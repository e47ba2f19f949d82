//! How unevenly do requests come, over how long a time?
//!
//! # What it decides
//! Nothing. The variability of single gaps does not tell how many requests stand before the same
//! servers at once: many servers see the sum over a service time, and gaps that depend on each
//! other (a burst of many short ones) look harmless one by one. This measures the sum.
//!
//! # Formula
//! ```text
//! shots       X_tau(t) = sum over arrivals i before t of  e^(-(t - t_i) / tau)
//! dispersion  I(tau)   = 2 * Var[X_tau] / E[X_tau]            1 for independent arrivals
//! peakedness  z        = (1 + I(S)) / 2                       variance over mean of the number busy
//!                                                             if servers were without limit
//! ```
//! for `tau` of a quarter of the service time S, and 1, 4, 16 and 64 times it; in between, straight
//! in log(tau). Mean and variance are over time, exactly: X falls exponentially between arrivals.
//! The last line is exact for exponential service.
//!
//! # Bounds and cost
//! O(1) an arrival: five exponentials. No allocation, 168 bytes.
//!
//! # What it is bad at
//! Unevenness over longer than 64 service times, such as that of a day, is not seen: it is load
//! that changes, not bursts.
//!
//! # Source
//! Peakedness with an exponential kernel: Eckberg, "Generalized peakedness of teletraffic
//! processes", ITC 10 (1983). Indices of dispersion for queues: Fendick and Whitt, "Measurements
//! and approximations to describe the offered traffic and predict the average workload in a
//! single-server queue", Proc. IEEE 77 (1989).

use crate::error::Error;
use crate::snapshot::Words;

/// Spans, in service times: each four times the one before.
const SCALES: [f64; SCALES_LEN] = [0.25, 1.0, 4.0, 16.0, 64.0];
const SCALES_LEN: usize = 5;

/// Spans after which shots have climbed to where they stay, but for 2%.
const WARM: f64 = 4.0;

/// Most dispersion that is believed: bursts of 10,000 requests at once.
const DISPERSION_MAX: f64 = 1e4;

/// Shots of one span, and their integrals over time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Shots {
    level: f64,
    first: f64,
    second: f64,
    span_s: f64,
}

/// Dispersion of the arrivals of all classes together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bursts {
    shots: [Shots; SCALES_LEN],
    /// Since the first arrival.
    elapsed_s: f64,
}

impl Bursts {
    /// A request came, `gap_s` after the one before. `service_s` is the service time as known, and
    /// `keep` the weight that is left of the past.
    pub fn note(&mut self, gap_s: f64, service_s: f64, keep: f64) {
        if gap_s.is_nan() || service_s <= 0.0 {
            return;
        }
        self.elapsed_s += gap_s;
        for (shots, scale) in self.shots.iter_mut().zip(SCALES) {
            let tau_s = scale * service_s;
            let left = libm::exp(-gap_s / tau_s);
            let Shots { level, first, second, span_s } = shots;
            // The climb from nothing at the beginning is no burst.
            if self.elapsed_s > WARM * tau_s {
                *first = *first * keep + *level * tau_s * (1.0 - left);
                *second = *second * keep + *level * *level * tau_s / 2.0 * (1.0 - left * left);
                *span_s = *span_s * keep + gap_s;
            }
            *level = *level * left + 1.0;
        }
    }

    /// Index of dispersion over `scale` service times; 1 before anything is known.
    #[must_use]
    pub fn dispersion(&self, scale: f64) -> f64 {
        // The place of `scale` among the spans: 0 is the first, 4 the last.
        let place = (libm::log2(scale.max(SCALES[0])) - libm::log2(SCALES[0])) / 2.0;
        let last = SCALES_LEN - 1;
        let low = (place as usize).min(last - 1);
        let part = (place - low as f64).clamp(0.0, 1.0);
        let (below, above) = (self.dispersion_at(low), self.dispersion_at(low + 1));
        below + (above - below) * part
    }

    fn dispersion_at(&self, index: usize) -> f64 {
        let Shots { first, second, span_s, .. } = self.shots[index];
        if span_s <= 0.0 || first <= 0.0 {
            return 1.0;
        }
        let mean = first / span_s;
        let variance = second / span_s - mean * mean;
        (2.0 * variance / mean).clamp(0.0, DISPERSION_MAX)
    }

    pub(in crate::headroom) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        for Shots { level, first, second, span_s } in &self.shots {
            for number in [level, first, second, span_s] {
                save(number.to_bits());
            }
        }
        save(self.elapsed_s.to_bits());
    }

    pub(in crate::headroom) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let mut bursts = Self::default();
        for shots in &mut bursts.shots {
            shots.level = words.next_amount("level")?;
            shots.first = words.next_amount("first")?;
            shots.second = words.next_amount("second")?;
            shots.span_s = words.next_amount("span_s")?;
        }
        bursts.elapsed_s = words.next_amount("elapsed_s")?;
        Ok(bursts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small source of uniform numbers, for tests only.
    fn uniform(state: &mut u64) -> f64 {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn dispersion_of(mut gap_s: impl FnMut(&mut u64) -> f64, scale: f64) -> f64 {
        let (mut state, mut bursts) = (7, Bursts::default());
        (0..200_000).for_each(|_| bursts.note(gap_s(&mut state), 1.0, 1.0));
        bursts.dispersion(scale)
    }

    #[test]
    fn independent_regular_and_paired_arrivals() {
        for scale in [0.1, 0.25, 1.0, 2.0, 16.0] {
            let poisson = dispersion_of(|state| -libm::log(uniform(state)) / 20.0, scale);
            assert!((poisson - 1.0).abs() < 0.15, "{scale}: {poisson}");
            // Two at once: counts are twice those of a Poisson process, variance over mean is 2.
            let mut odd = false;
            let paired = dispersion_of(
                |state| {
                    odd = !odd;
                    if odd { -libm::log(uniform(state)) / 10.0 } else { 0.0 }
                },
                scale,
            );
            assert!((paired - 2.0).abs() < 0.3, "{scale}: {paired}");
        }
        assert!(dispersion_of(|_| 0.05, 1.0) < 0.01, "a clock");
    }

    /// Renewal processes approach the variability of their gaps as the span grows.
    #[test]
    fn renewals_approach_the_variability_of_their_gaps() {
        // Two exponentials in balanced means, squared coefficient of variation 4.
        let p = 0.5 * (1.0 + libm::sqrt(3.0 / 5.0));
        let gap = |state: &mut u64| {
            let mean = if uniform(state) < p { 0.5 / p } else { 0.5 / (1.0 - p) };
            -libm::log(uniform(state)) * mean / 50.0
        };
        let (short, long) = (dispersion_of(gap, 0.25), dispersion_of(gap, 16.0));
        assert!(short < long && (3.4..4.6).contains(&long), "{short} {long}");
    }
}
