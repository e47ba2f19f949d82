//! How fast do requests of a class come?
//!
//! # Formula
//! ```text
//! rate = 1 / max(mean + silence / w, silence / (L * lull))       silence: time since the last one
//! lull = (1 + Ca^2) / 2         mean silence that one meets at a random moment, in mean gaps
//! L    = -ln 0.001              of lulls, one in a thousand is longer
//! ```
//! The mean is that of the last 1,024 gaps: independent arrivals are then known to 3%, and a class
//! with ten requests a second is followed within minutes.
//!
//! A silence is no gap yet: until it ends it is only more time for the same arrivals, `w` of them.
//! Taken for a gap of its own, it would halve the rate whenever one asks in the middle of a long gap,
//! as one does at random moments more often than not. Silences that chance does not explain are a stop:
//! then the rate is the largest that still explains this one.
//!
//! # Bounds and cost
//! O(1), 40 bytes.
//!
//! # What it is bad at
//! After a stop it takes the class to come as it did before. A stop is a gap longer than all that is
//! remembered; a shorter one is a gap like others, and takes the rate to no less than a half.
//!
//! # Source
//! Time over arrivals, a gap that has not ended among it, is the likeliest mean of exponential gaps:
//! Epstein and Sobel, "Life testing", Journal of the American Statistical Association 48 (1953). The
//! silence at a random moment: Cox, "Renewal theory" (1962), ch. 5.

use super::Moments;
use crate::error::Error;
use crate::snapshot::Words;
use crate::units::Nanos;

/// Gaps over which the rate is smoothed.
const GAPS: f64 = 1_024.0;

/// Lulls of mean length that a silence may last before it is a stop: exponential ones are longer once
/// in a thousand times, and an hour has 1,000 moments to ask at.
const LULLS: f64 = 6.907_755;

/// Shortest mean gap believed, in seconds: the resolution of time.
const GAP_MIN_S: f64 = 1e-9;

/// Gaps between the arrivals of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Arrivals {
    gaps: Moments,
    last: Nanos,
    seen: u64,
    /// A stop was before the last one. Two in a row are none: then it is what was remembered that was
    /// exceptional.
    stopped: bool,
}

impl Arrivals {
    /// One came. Answers the gap before it in seconds, `None` for the first, and after a stop.
    pub fn note(&mut self, now: Nanos) -> Option<f64> {
        let gap_s = (self.seen > 0).then(|| now.saturating_sub(self.last).as_seconds());
        self.stopped = !self.stopped && gap_s.is_some_and(|gap_s| self.gaps.is_stop(gap_s));
        let gap_s = gap_s.filter(|_| !self.stopped);
        if let Some(gap_s) = gap_s {
            self.gaps.note(gap_s, GAPS);
        }
        self.last = now;
        self.seen = self.seen.saturating_add(1);
        gap_s
    }

    /// Arrivals so far.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Requests a second; 0 before there was a gap.
    #[must_use]
    pub fn rate_per_s(&self, now: Nanos) -> f64 {
        if self.seen < 2 {
            return 0.0;
        }
        let silence_s = now.saturating_sub(self.last).as_seconds();
        let so_far_s = self.gaps.mean() + silence_s / self.gaps.samples();
        let lull = f64::midpoint(1.0, self.gaps.scv());
        so_far_s.max(silence_s / (LULLS * lull)).max(GAP_MIN_S).recip()
    }

    /// Squared coefficient of variation of the gaps, `Ca^2`.
    #[must_use]
    pub fn gap_scv(&self) -> f64 {
        self.gaps.scv()
    }

    /// Standard error of the rate over the rate, for arrivals of this index of dispersion.
    #[must_use]
    pub fn rate_error_ratio(&self, dispersion: f64) -> f64 {
        libm::sqrt(dispersion.max(0.0) / self.gaps.samples().max(1.0))
    }

    pub(in crate::headroom) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { gaps, last, seen, stopped } = self;
        gaps.save_state(save);
        save(last.get());
        save(*seen);
        save((*stopped).into());
    }

    pub(in crate::headroom) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        Ok(Self {
            gaps: Moments::load_state(words)?,
            last: Nanos(words.next()?),
            seen: words.next_count("seen")?,
            stopped: words.next_flag("stopped")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_gaps() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.rate_per_s(Nanos(5)), 0.0);
        for step in 0..200 {
            arrivals.note(Nanos::from_millis(10 * step));
        }
        let last = Nanos::from_millis(1_990);
        assert!((arrivals.rate_per_s(last) - 100.0).abs() < 1e-6);
        assert!(arrivals.gap_scv() < 1e-12);
    }

    /// A lull changes the rate by what it is of all the time that was seen; a stop ends it.
    #[test]
    fn a_silence_counts_as_far_as_it_is_evidence() {
        for scv in [0.0_f64, 1.0, 9.0] {
            let mut arrivals = Arrivals::default();
            // Two gaps in turn, of mean 1 s and this variability, weighed by how often they are met.
            let long_s = 1.0 + scv;
            let mut now_s = 0.0;
            for step in 0..20_000 {
                let is_long = f64::from(step) * long_s.recip() % 1.0 < long_s.recip();
                now_s += if is_long { long_s } else { 0.0 };
                arrivals.note(Nanos::from_seconds(now_s));
            }
            let rate = |silence_s| arrivals.rate_per_s(Nanos::from_seconds(now_s + silence_s));
            assert!((arrivals.gap_scv() - scv).abs() < 0.1 * scv + 1e-9, "{scv}");
            assert!((rate(0.0) - 1.0).abs() < 0.01, "{scv}: {}", rate(0.0));
            let lull_s = f64::midpoint(1.0, scv);
            assert!(rate(3.0 * lull_s) > 0.98 * rate(0.0), "{scv}");
            assert!(rate(14.0 * lull_s) < 0.52 * rate(0.0), "{scv}");
            assert!((rate(86_400.0) * 86_400.0 / lull_s / LULLS - 1.0).abs() < 0.1, "{scv}");
        }
    }
}
