//! How fast do requests of a class come?
//!
//! # Formula
//! ```text
//! rate = 1 / max(mean gap, silence)        silence: time since the last one
//! ```
//! The mean is that of the last 1,024 gaps: independent arrivals are then known to 3%, and a class
//! with ten requests a second is followed within minutes. A silence longer than the mean counts as
//! a gap of its own, so that the estimate falls while nothing comes.
//!
//! # Bounds and cost
//! O(1), 40 bytes.

use super::Moments;
use crate::error::Error;
use crate::snapshot::Words;
use crate::units::Nanos;

/// Gaps over which the rate is smoothed.
const GAPS: f64 = 1_024.0;

/// Shortest mean gap believed, in seconds: the resolution of time.
const GAP_MIN_S: f64 = 1e-9;

/// Gaps between the arrivals of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Arrivals {
    gaps: Moments,
    last: Nanos,
    seen: u64,
}

impl Arrivals {
    /// One came. Answers the gap before it in seconds, `None` for the first.
    pub fn note(&mut self, now: Nanos) -> Option<f64> {
        let gap_s = (self.seen > 0).then(|| now.saturating_sub(self.last).as_seconds());
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
        self.gaps.mean().max(silence_s).max(GAP_MIN_S).recip()
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
        let Self { gaps, last, seen } = self;
        gaps.save_state(save);
        save(last.get());
        save(*seen);
    }

    pub(in crate::headroom) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        Ok(Self {
            gaps: Moments::load_state(words)?,
            last: Nanos(words.next()?),
            seen: words.next_count("seen")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_gaps_and_falls_in_silence() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.rate_per_s(Nanos(5)), 0.0);
        for step in 0..200 {
            arrivals.note(Nanos::from_millis(10 * step));
        }
        let last = Nanos::from_millis(1_990);
        assert!((arrivals.rate_per_s(last) - 100.0).abs() < 1e-6);
        assert!((arrivals.rate_per_s(last.offset_seconds(4.0)) - 0.25).abs() < 1e-9);
        assert!(arrivals.gap_scv() < 1e-12);
    }
}
