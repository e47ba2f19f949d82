//! How fast requests come: smoothed gaps between arrivals, and smoothed deadlines.

use crate::error::Error;
use crate::snapshot::Words;

/// Gaps over which the mean is smoothed: enough to tell twice the rate from once (the mean of 16
/// exponential gaps errs by 25%), few enough to notice a burst within a batch or two.
const GAPS: f64 = 16.0;

/// Arrivals over which deadlines are smoothed: they change with the mix, not with bursts.
const DEADLINES: f64 = 64.0;

/// Shortest gap believed, in seconds: the resolution of time.
const GAP_MIN_S: f64 = 1e-9;

/// Longest gap, and longest time to a deadline, in seconds: 2^64 nanoseconds are 1.85e10.
const SPAN_MAX_S: f64 = 2e10;

/// Arrivals of one bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrivals {
    last_ns: u64,
    gap_s: f64,
    target_s: f64,
    seen: u64,
    with_deadline: u64,
}

impl Arrivals {
    /// A request came, due `target_s` after its arrival if it has a deadline.
    pub(super) fn note(&mut self, now_ns: u64, target_s: Option<f64>) {
        if self.seen > 0 {
            let gap_s = now_ns.saturating_sub(self.last_ns) as f64 / 1e9;
            self.gap_s += (gap_s - self.gap_s) / (self.seen as f64).min(GAPS);
        }
        self.seen = self.seen.saturating_add(1);
        self.last_ns = now_ns;
        if let Some(target_s) = target_s {
            self.with_deadline = self.with_deadline.saturating_add(1);
            self.target_s +=
                (target_s - self.target_s) / (self.with_deadline as f64).min(DEADLINES);
        }
    }

    /// Requests a second; 0 before there was a gap. A silence longer than the mean gap counts as
    /// a gap of its own: the estimate falls while nothing comes.
    pub(super) fn rate_per_s(&self, now_ns: u64) -> f64 {
        if self.seen < 2 {
            return 0.0;
        }
        let silence_s = now_ns.saturating_sub(self.last_ns) as f64 / 1e9;
        self.gap_s.max(silence_s).max(GAP_MIN_S).recip()
    }

    /// Usual time from arrival to deadline; infinite where there are none.
    pub(super) fn target_s(&self) -> f64 {
        if self.with_deadline == 0 { f64::INFINITY } else { self.target_s }
    }
}

impl Arrivals {
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { last_ns, gap_s, target_s, seen, with_deadline } = self;
        for word in [*last_ns, gap_s.to_bits(), target_s.to_bits(), *seen, *with_deadline] {
            save(word);
        }
    }

    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        Ok(Self {
            last_ns: words.next()?,
            gap_s: words.next_real("gap_s", 0.0, SPAN_MAX_S)?,
            target_s: words.next_real("target_s", 0.0, SPAN_MAX_S)?,
            seen: words.next_count("seen")?,
            with_deadline: words.next_count("with_deadline")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_gaps_and_falls_in_silence() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.rate_per_s(5), 0.0);
        assert_eq!(arrivals.target_s(), f64::INFINITY);
        for step in 0..200_u64 {
            arrivals.note(step * 10_000_000, Some(0.05));
        }
        let last_ns = 1_990_000_000;
        assert!((arrivals.rate_per_s(last_ns) - 100.0).abs() < 1e-6);
        assert!((arrivals.target_s() - 0.05).abs() < 1e-12);
        assert!((arrivals.rate_per_s(last_ns + 1_000_000_000) - 1.0).abs() < 1e-9);
    }
}
