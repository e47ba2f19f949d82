//! Arrivals: a renewal process whose rate changes over time.
//!
//! # Model
//! Gaps are drawn with mean 1 from a Gamma or Weibull distribution and laid end to end on a clock
//! that runs at the current rate: an arrival comes when the integral of the rate has grown by one
//! gap. So the rate is exact whatever the burstiness, a change of rate takes effect at once, and
//! the coefficient of variation (CV) of the gaps is that of the distribution while the rate stands
//! still. Gamma with shape 1 is the Poisson process.
//!
//! # Start
//! The first gap is drawn from the residual distribution (a point that falls into a gap falls into
//! a long one more often), so that the process is stationary from its start. Without it a bursty
//! process would begin with `(CV^2 - 1) / 2` requests too many.
//!
//! # Source
//! Gamma and Weibull gaps with rate and CV for each client: Xiang et al., "`ServeGen`" (NSDI 2026);
//! Gamma gaps: Wang et al., "`BurstGPT`" (KDD 2025).

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1, Gamma, Weibull};

/// A distribution of gaps with mean 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaps {
    draw: Draw,
    shape: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Draw {
    Exponential,
    Gamma(Gamma<f64>),
    Weibull { gaps: Weibull<f64>, scale: f64 },
}

/// Shapes of Gamma and Weibull accepted: CV 10 to 0.1 for Gamma, and wide enough for every fit in
/// the public `ServeGen` data. Beyond, means are no longer computed well.
pub const SHAPE: std::ops::RangeInclusive<f64> = 0.01..=100.0;

impl Gaps {
    /// Gaps of a Poisson process.
    pub fn poisson() -> Self {
        Self { draw: Draw::Exponential, shape: 1.0 }
    }

    /// Gamma gaps; `None` for a shape outside [`SHAPE`].
    pub fn gamma(shape: f64) -> Option<Self> {
        let shape = Some(shape).filter(|shape| SHAPE.contains(shape))?;
        Some(Self { draw: Draw::Gamma(Gamma::new(shape, shape.recip()).ok()?), shape })
    }

    /// Weibull gaps; `None` for a shape outside [`SHAPE`].
    pub fn weibull(shape: f64) -> Option<Self> {
        let shape = Some(shape).filter(|shape| SHAPE.contains(shape))?;
        let scale = libm::tgamma(1.0 + shape.recip()).recip();
        Some(Self { draw: Draw::Weibull { gaps: Weibull::new(scale, shape).ok()?, scale }, shape })
    }

    /// Gamma gaps with this CV (standard deviation over mean), 0.1 to 10.
    pub fn with_cv(cv: f64) -> Option<Self> {
        Self::gamma((cv * cv).recip())
    }

    /// A whole gap.
    fn whole(&self, random: &mut impl Rng) -> f64 {
        match self.draw {
            Draw::Exponential => Exp1.sample(random),
            Draw::Gamma(gaps) => gaps.sample(random),
            Draw::Weibull { gaps, .. } => gaps.sample(random),
        }
    }

    /// What is left of a gap at a point chosen without looking: a uniform share of a gap that was
    /// chosen in proportion to its length. Chosen so, a Gamma gap has shape + 1, and a Weibull gap
    /// is the scaled root of a Gamma variable of shape 1 + 1/shape.
    fn residual(&self, random: &mut impl Rng) -> f64 {
        let longer = match self.draw {
            Draw::Exponential => return Exp1.sample(random),
            Draw::Gamma(_) => Gamma::new(self.shape + 1.0, self.shape.recip())
                .map_or(1.0, |gamma| gamma.sample(random)),
            Draw::Weibull { scale, .. } => Gamma::new(1.0 + self.shape.recip(), 1.0)
                .map_or(1.0, |gamma| scale * gamma.sample(random).powf(self.shape.recip())),
        };
        longer * random.random::<f64>()
    }
}

/// A stretch of time with one rate and one kind of gaps. It begins where the one before ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// When it ends, in seconds.
    pub end_s: f64,
    /// Requests a second; zero for a pause.
    pub rate_per_s: f64,
    /// Gaps of requests.
    pub gaps: Gaps,
}

/// Arrival times in seconds, in order. Ends with the last segment.
#[derive(Clone, Debug)]
pub struct Arrivals<I, R> {
    segments: I,
    current: Option<Segment>,
    random: R,
    now_s: f64,
    gap_left: Option<f64>,
}

impl<I: Iterator<Item = Segment>, R: Rng> Arrivals<I, R> {
    /// Arrivals from `start_s` on; segments are in order of time.
    pub fn new(start_s: f64, segments: I, random: R) -> Self {
        Self { segments, current: None, random, now_s: start_s, gap_left: None }
    }
}

impl<I: Iterator<Item = Segment>, R: Rng> Iterator for Arrivals<I, R> {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        loop {
            let segment = match self.current {
                Some(segment) => segment,
                None => *self.current.insert(self.segments.next()?),
            };
            let gap = match self.gap_left {
                Some(gap) => gap,
                None => segment.gaps.residual(&mut self.random),
            };
            let arrivals_left = (segment.end_s - self.now_s).max(0.0) * segment.rate_per_s;
            if gap < arrivals_left {
                self.now_s += gap / segment.rate_per_s;
                self.gap_left = Some(segment.gaps.whole(&mut self.random));
                return Some(self.now_s);
            }
            // An endless pause would make this NaN; it brings no arrival either way.
            self.gap_left = Some(gap - if arrivals_left > 0.0 { arrivals_left } else { 0.0 });
            self.now_s = self.now_s.max(segment.end_s);
            self.current = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Purpose, random_stream};

    fn steady(rate_per_s: f64, end_s: f64, gaps: Gaps, seed: u64) -> Vec<f64> {
        let random = random_stream(seed, Purpose::Arrivals, 0);
        Arrivals::new(0.0, std::iter::once(Segment { end_s, rate_per_s, gaps }), random).collect()
    }

    fn mean_and_cv(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, variance.sqrt() / mean)
    }

    fn gaps_of(arrivals: &[f64]) -> Vec<f64> {
        arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn gaps_have_the_mean_and_cv_of_their_distribution() {
        // Weibull shape 0.5 has CV sqrt(Gamma(5)/Gamma(3)^2 - 1) = sqrt(5).
        for (gaps, cv) in [
            (Gaps::poisson(), 1.0),
            (Gaps::with_cv(0.5).unwrap(), 0.5),
            (Gaps::with_cv(2.0).unwrap(), 2.0),
            (Gaps::weibull(0.5).unwrap(), 5_f64.sqrt()),
        ] {
            let arrivals = steady(100.0, 4_000.0, gaps, 7);
            let (mean_s, cv_found) = mean_and_cv(&gaps_of(&arrivals));
            assert!((mean_s * 100.0 - 1.0).abs() < 0.02, "{gaps:?}: {mean_s}");
            assert!((cv_found / cv - 1.0).abs() < 0.04, "{gaps:?}: {cv_found} against {cv}");
        }
    }

    #[test]
    fn short_windows_hold_no_more_than_the_rate() {
        // Started with a whole gap, CV 3 would give 14 where 10 are due.
        for gaps in [Gaps::with_cv(3.0).unwrap(), Gaps::weibull(0.45).unwrap()] {
            let counts: Vec<f64> =
                (0..20_000).map(|seed| steady(1.0, 10.0, gaps, seed).len() as f64).collect();
            let (mean, _) = mean_and_cv(&counts);
            assert!((mean - 10.0).abs() < 0.5, "{gaps:?}: {mean}");
        }
    }

    #[test]
    fn the_rate_follows_the_segments() {
        let gaps = Gaps::with_cv(2.0).unwrap();
        let segment = |end_s, rate_per_s| Segment { end_s, rate_per_s, gaps };
        let segments =
            [segment(1_000.0, 20.0), segment(2_000.0, 0.0), segment(3_000.0, 60.0)].into_iter();
        let random = random_stream(3, Purpose::Arrivals, 0);
        let arrivals: Vec<f64> = Arrivals::new(0.0, segments, random).collect();
        let within = |from: f64, to: f64| {
            arrivals.iter().filter(|&&at| (from..to).contains(&at)).count() as f64
        };
        assert!((within(0.0, 1_000.0) / 20_000.0 - 1.0).abs() < 0.05);
        assert_eq!(within(1_000.0, 2_000.0), 0.0);
        assert!((within(2_000.0, 3_000.0) / 60_000.0 - 1.0).abs() < 0.05);
        assert!(arrivals.is_sorted());
    }

    #[test]
    fn shapes_outside_the_range_are_refused() {
        for shape in [0.0, -1.0, f64::NAN, 0.009, 101.0, f64::INFINITY] {
            assert_eq!(Gaps::gamma(shape), None, "{shape}");
            assert_eq!(Gaps::weibull(shape), None, "{shape}");
        }
        assert_eq!(Gaps::with_cv(0.0), None);
    }
}
