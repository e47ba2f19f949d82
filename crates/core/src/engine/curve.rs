//! How long does a batch take? The latency curve `L(b)` of a model that runs whole batches.
//!
//! # What it decides
//! Nothing by itself: it predicts the seconds of a batch of `b` requests, and inverts that: the
//! largest batch that ends within so many seconds.
//!
//! # Formula
//! ```text
//! L(b)     piecewise linear through at most 64 knots (b_i, s_i), never falling
//!          below the first knot: s_1; beyond the last: on with its slope, at least the mean slope
//!
//! learned, from a batch of b that took y:
//! r        = ln(y / L(b)), clipped to +-(3 spread + 0.1)      one bad sample moves little
//! spread  += (|r| - spread) / 32
//! scale   += r / min(samples, 64)                             the whole curve, against the prior
//! value_i += (s_i exp(r - scale) - value_i) * part_i / weight_i    the two knots beside b
//! weight_i = min(weight_i + part_i, 64), times 2^(-1/1024) per sample
//! scale   += mean of ln(value_i / prior_i) by weight, and value_i falls by as much
//! s        = exp(scale) * isotonic regression of (weight_i value_i + 4 prior_i) / (weight_i + 4)
//! ```
//!
//! # Bounds and cost
//! `seconds`: O(log knots). `batch_within`: O(log batch size * log knots). `observe`: O(knots), at
//! most 64. The inverse is exact: that many fit, and one more does not. 2.6 KB, no allocation.
//!
//! # What it is bad at
//! A batch whose time depends on what is in it (use a curve for each shape), and saw teeth finer
//! than its knots: the curve never falls. A change of speed by a factor of two takes some twenty
//! batches to be believed.
//!
//! # Source
//! Pool adjacent violators: Ayer et al., "An empirical distribution function for sampling with
//! incomplete information", 1955. Clipped residuals: Huber, "Robust estimation of a location
//! parameter", 1964.

use crate::error::{Error, check_range, check_real};

mod state;

/// Most knots of a curve: every size of a batch of 64, or six a doubling up to 1,024.
pub const KNOTS_MAX: usize = 64;

/// Largest batch that a curve speaks of, a million: beyond any server.
pub const BATCH_SIZE_MAX: u32 = 1 << 20;

/// Shortest and longest batch, in seconds. A nanosecond is the resolution of time; an hour is no
/// time for a request to wait.
const SECONDS: (f64, f64) = (1e-9, 3600.0);

/// Samples of a knot after which its value moves by no less than a 64th of what is new.
const WEIGHT_MAX: f64 = 64.0;

/// Samples that the prior counts for. With four, the mean of as many measurements (10% noise each:
/// 5%) outweighs a guess.
const PRIOR_WEIGHT: f64 = 4.0;

/// What is left of a knot's weight after one sample anywhere: half after 1,024 samples, some
/// seconds of a busy server, so that sizes that no longer occur fall back on those that do.
const KEEP_RATIO: f64 = 0.999_323_4;

/// Samples over which the spread is smoothed: a few times those that one batch size gets in a
/// second.
const SPREAD_SAMPLES: f64 = 32.0;

/// Clipping of residuals: three mean deviations, plus a tenth for a spread not yet known. Of
/// normal noise 1.7% lies beyond.
const CLIP: (f64, f64) = (3.0, 0.1);

/// Furthest that the scale may be from one, as a logarithm: that of an hour over a nanosecond is
/// 28.9, and no curve can be further from its prior.
const SCALE_MAX: f64 = 29.0;

/// Values of knots: as far beyond [`SECONDS`] as these are apart. Anything beyond means the same,
/// whatever the scale, and might overflow.
const VALUES: (f64, f64) =
    (SECONDS.0 * (SECONDS.0 / SECONDS.1), SECONDS.1 * (SECONDS.1 / SECONDS.0));

/// Largest mean deviation: no batch is further from its prediction than an hour from a nanosecond,
/// times the largest batch (beyond its last knot a curve rises in proportion), as a logarithm.
const SPREAD_MAX: f64 = 43.0;

/// Mean deviation assumed before anything was seen. Batches of one shape vary by some percent.
const SPREAD_PRIOR: f64 = 0.05;

/// Seconds of a batch by its size; see the module.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyCurve {
    sizes: [u32; KNOTS_MAX],
    /// Never falling.
    seconds: [f64; KNOTS_MAX],
    len: u32,
    learning: Option<Learning>,
    spread: f64,
    samples: u64,
}

/// What a curve that learns keeps besides what it says.
#[derive(Clone, Debug, PartialEq)]
struct Learning {
    prior: [f64; KNOTS_MAX],
    /// Before scaling, so that a change of the whole engine's speed reaches every size.
    value: [f64; KNOTS_MAX],
    weight: [f64; KNOTS_MAX],
    /// Logarithm of how much longer batches take than the prior says.
    scale: f64,
}

impl Learning {
    /// Hands over to the scale what the knots have in common, so that sizes that were not seen
    /// follow those that were. Changes nothing for a knot that rests on samples alone.
    fn centre(&mut self, len: usize) {
        let (mut common, mut weights) = (0.0, 0.0);
        let counts = |knot: &usize| self.weight[*knot] > 0.0 && self.value[*knot] >= VALUES.0;
        for knot in (0..len).filter(counts) {
            common += self.weight[knot] * libm::log(self.value[knot] / self.prior[knot]);
            weights += self.weight[knot];
        }
        if weights > 0.0 {
            let shift = (common / weights).clamp(-SCALE_MAX - self.scale, SCALE_MAX - self.scale);
            self.scale = (self.scale + shift).clamp(-SCALE_MAX, SCALE_MAX);
            let factor = libm::exp(-shift);
            for value in &mut self.value[..len] {
                *value = (*value * factor).min(VALUES.1);
            }
        }
    }
}

/// How sure a curve is about one batch size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confidence {
    /// Batches observed since the beginning, over all sizes.
    pub samples: u64,
    /// Recent batches that speak for this size: 0 if it rests on the prior and other sizes, at
    /// most 64.
    pub weight: f64,
    /// Mean deviation of observed batches from the curve, as a share of its prediction.
    pub spread_ratio: f64,
}

impl LatencyCurve {
    /// A curve through these points `(batch size, seconds)`, in order of size.
    ///
    /// # Errors
    /// [`Error::Range`] on `curve_points` unless there are 1 to [`KNOTS_MAX`], on `curve_size`
    /// unless sizes grow and lie in 1..=[`BATCH_SIZE_MAX`]; [`Error::RangeReal`] on
    /// `curve_seconds` outside 1 ns to an hour, or below those of a smaller batch.
    pub fn from_points(points: &[(u32, f64)]) -> Result<Self, Error> {
        check_range("curve_points", points.len() as u64, 1, KNOTS_MAX as u64)?;
        let (mut sizes, mut seconds) = ([0; KNOTS_MAX], [0.0; KNOTS_MAX]);
        let (mut size_min, mut seconds_min) = (1_u64, SECONDS.0);
        for (index, &(size, taken)) in points.iter().enumerate() {
            check_range("curve_size", u64::from(size), size_min, u64::from(BATCH_SIZE_MAX))?;
            check_real("curve_seconds", taken, seconds_min, SECONDS.1)?;
            (sizes[index], seconds[index]) = (size, taken);
            (size_min, seconds_min) = (u64::from(size) + 1, taken);
        }
        let len = points.len() as u32;
        Ok(Self { sizes, seconds, len, learning: None, spread: SPREAD_PRIOR, samples: 0 })
    }

    /// `L(b) = fixed + each * b`, in seconds: what most models nearly are.
    ///
    /// # Errors
    /// [`Error::RangeReal`] on `curve_seconds` as [`LatencyCurve::from_points`].
    pub fn linear(fixed_s: f64, each_s: f64) -> Result<Self, Error> {
        Self::from_points(&[(1, fixed_s + each_s), (2, fixed_s + 2.0 * each_s)])
    }

    /// A curve that learns from [`LatencyCurve::observe`], with this one as what is believed
    /// beforehand. Its knots: every size up to 64 where `batch_size_max` is that small, else 64
    /// sizes that grow by a constant factor, and whole numbers.
    ///
    /// # Errors
    /// [`Error::Range`] unless `batch_size_max` is in 1..=[`BATCH_SIZE_MAX`].
    pub fn learning(&self, batch_size_max: u32) -> Result<Self, Error> {
        check_range("batch_size_max", batch_size_max.into(), 1, BATCH_SIZE_MAX.into())?;
        let mut curve = self.clone();
        (curve.sizes, curve.seconds) = ([0; KNOTS_MAX], [0.0; KNOTS_MAX]);
        curve.len = batch_size_max.min(KNOTS_MAX as u32);
        let (len, mut size) = (curve.len, 0);
        for index in 0..len {
            // The next factor is what is left of the way in equal steps, and at least one more.
            let left = f64::from(len - index);
            let grown = f64::from(size)
                * libm::pow(f64::from(batch_size_max) / f64::from(size.max(1)), left.recip());
            let room = batch_size_max - (len - 1 - index);
            size = (libm::round(grown) as u32).clamp(size + 1, room.max(size + 1));
            curve.sizes[index as usize] = size;
            curve.seconds[index as usize] = self.seconds(size).clamp(SECONDS.0, SECONDS.1);
        }
        let (value, weight) = ([0.0; KNOTS_MAX], [0.0; KNOTS_MAX]);
        curve.learning = Some(Learning { prior: curve.seconds, value, weight, scale: 0.0 });
        Ok(curve)
    }

    /// Seconds of a batch of `size`; that of one for `size` 0.
    #[must_use]
    pub fn seconds(&self, size: u32) -> f64 {
        let last = self.len as usize - 1;
        let above = self.sizes[..=last].partition_point(|&knot| knot < size);
        if above == 0 {
            return self.seconds[0];
        }
        if above > last {
            return self.seconds[last] + self.slope_beyond() * f64::from(size - self.sizes[last]);
        }
        let (low, high) = (self.sizes[above - 1], self.sizes[above]);
        let part = f64::from(size - low) / f64::from(high - low);
        let (from, to) = (self.seconds[above - 1], self.seconds[above]);
        // Of two equal ends nothing may be lost to rounding: the curve never falls.
        (from + part * (to - from)).min(to)
    }

    /// Beyond the last knot: the slope before it, and at least that of the whole curve. A single
    /// knot is taken for proportional to size.
    fn slope_beyond(&self) -> f64 {
        let last = self.len as usize - 1;
        if last == 0 {
            return self.seconds[0] / f64::from(self.sizes[0]);
        }
        let slope = |from: usize| {
            let width = f64::from(self.sizes[last] - self.sizes[from]);
            (self.seconds[last] - self.seconds[from]) / width
        };
        slope(last - 1).max(slope(0))
    }

    /// The largest batch of at most `size_max` that ends within `seconds`; 0 if not even one does.
    #[must_use]
    pub fn batch_within(&self, seconds: f64, size_max: u32) -> u32 {
        let (mut fits, mut beyond) = (0, size_max.saturating_add(1));
        if self.seconds(size_max) <= seconds {
            return size_max;
        }
        while fits + 1 < beyond {
            let middle = fits + (beyond - fits) / 2;
            if self.seconds(middle) <= seconds {
                fits = middle;
            } else {
                beyond = middle;
            }
        }
        fits
    }

    /// The size of at most `size_max`, among the knots and `size_max`, that serves most requests a
    /// second, and how many: `max b / L(b)`.
    #[must_use]
    pub fn best_rate(&self, size_max: u32) -> (u32, f64) {
        let rate = |size: u32| f64::from(size) / self.seconds(size);
        let mut best = (size_max, rate(size_max));
        for &size in self.sizes[..self.len as usize].iter().filter(|size| **size < size_max) {
            let here = rate(size);
            if here > best.1 {
                best = (size, here);
            }
        }
        best
    }

    /// The next larger knot after `size`, if any: where the slope changes.
    #[must_use]
    pub fn knot_after(&self, size: u32) -> Option<u32> {
        let knots = &self.sizes[..self.len as usize];
        knots.get(knots.partition_point(|&knot| knot <= size)).copied()
    }

    /// How sure it is about batches of `size`.
    #[must_use]
    pub fn confidence(&self, size: u32) -> Confidence {
        let weight = self.learning.as_ref().map_or(0.0, |learning| {
            let last = self.len as usize - 1;
            let above = self.sizes[..=last].partition_point(|&knot| knot < size).min(last);
            learning.weight[above]
        });
        Confidence { samples: self.samples, weight, spread_ratio: self.spread }
    }

    /// True if it changes with what is observed.
    #[must_use]
    pub const fn is_learning(&self) -> bool {
        self.learning.is_some()
    }

    /// A batch of `size` took `seconds`. A curve that does not learn notes only how far off it was.
    ///
    /// # Errors
    /// [`Error::Range`] on `batch_size` outside 1..=[`BATCH_SIZE_MAX`]; [`Error::RangeReal`] on
    /// `batch_seconds` that is not a time from 1 ns to an hour.
    pub fn observe(&mut self, size: u32, seconds: f64) -> Result<(), Error> {
        check_range("batch_size", size.into(), 1, BATCH_SIZE_MAX.into())?;
        check_real("batch_seconds", seconds, SECONDS.0, SECONDS.1)?;
        let clip = CLIP.0 * self.spread + CLIP.1;
        let residual = libm::log(seconds / self.seconds(size)).clamp(-clip, clip);
        self.samples = self.samples.saturating_add(1);
        self.spread += (residual.abs() - self.spread) / SPREAD_SAMPLES;
        if let Some(mut learning) = self.learning.take() {
            learning.scale += residual / (self.samples as f64).min(WEIGHT_MAX);
            learning.scale = learning.scale.clamp(-SCALE_MAX, SCALE_MAX);
            self.weigh_in(&mut learning, size, residual);
            learning.centre(self.len as usize);
            self.refit(&learning);
            self.learning = Some(learning);
        }
        Ok(())
    }

    /// Moves the two knots beside `size`, each by its part.
    fn weigh_in(&self, learning: &mut Learning, size: u32, residual: f64) {
        let last = self.len as usize - 1;
        for weight in &mut learning.weight[..=last] {
            *weight *= KEEP_RATIO;
        }
        let above = self.sizes[..=last].partition_point(|&knot| knot < size).min(last);
        let below = above.saturating_sub(1);
        let (low, high) = (self.sizes[below], self.sizes[above]);
        let part = if high > low {
            (f64::from(size.max(low) - low) / f64::from(high - low)).min(1.0)
        } else {
            1.0
        };
        for (knot, part) in [(above, part), (below, 1.0 - part)] {
            if part > 0.0 {
                let target = self.seconds[knot] * libm::exp(residual - learning.scale);
                let weight = (learning.weight[knot] + part).min(WEIGHT_MAX);
                learning.value[knot] += (target - learning.value[knot]) * part / weight;
                learning.weight[knot] = weight;
            }
        }
    }

    /// Isotonic regression of what the knots and the prior say: neighbours that fall are pooled.
    fn refit(&mut self, learning: &Learning) {
        let scale = libm::exp(learning.scale);
        // Blocks of knots that share one value: (first knot, weight, mean).
        let mut blocks = [(0_usize, 0.0_f64, 0.0_f64); KNOTS_MAX];
        let (len, mut blocks_len) = (self.len as usize, 0);
        for knot in 0..len {
            let own = learning.weight[knot];
            let mut weight = own + PRIOR_WEIGHT;
            let mut mean =
                (own * learning.value[knot] + PRIOR_WEIGHT * learning.prior[knot]) / weight;
            let mut first = knot;
            while blocks_len > 0 && blocks[blocks_len - 1].2 >= mean {
                let (start, other, value) = blocks[blocks_len - 1];
                mean = (mean * weight + value * other) / (weight + other);
                (first, weight) = (start, weight + other);
                blocks_len -= 1;
            }
            blocks[blocks_len] = (first, weight, mean);
            blocks_len += 1;
        }
        for block in 0..blocks_len {
            let end = if block + 1 < blocks_len { blocks[block + 1].0 } else { len };
            let value = (scale * blocks[block].2).clamp(SECONDS.0, SECONDS.1);
            self.seconds[blocks[block].0..end].fill(value);
        }
    }
}

#[cfg(test)]
mod tests;
