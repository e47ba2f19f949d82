//! Quantiles of durations from a fixed number of counters.
//!
//! # What it decides
//! Nothing: it remembers how many values fell into each of 2,690 buckets, and the exact sum,
//! smallest and largest value.
//!
//! # Formula
//! ```text
//! bucket(v)   = 64 * floor(log2 v) + the 6 bits of v below its leading one      (log-linear)
//! quantile(q) = the value of rank max(1, ceil(q * count)) in ascending order    (nearest rank)
//! ```
//! A bucket answers with its middle, clamped to the smallest and largest value recorded. `q` is
//! read to the nearest 1e-9, so that the rank is exact integer arithmetic: the 0.07 quantile of
//! 100 values has rank 7, whatever `0.07 * 100.0` may be.
//!
//! # Bounds and cost
//! - Relative error of a quantile inside the range at most 1/128 (0.78%): the half width of a
//!   bucket over its lower edge. The ranks 1 and `count` are exact, and so are `min`, `max`,
//!   `mean` (but for the rounding of one division) and `count`.
//! - Range [`RANGE_MIN`]`..`[`RANGE_END`]: as nanoseconds, 1.024 microseconds to 52 days. Below
//!   it, one bucket answers with the exact minimum (at most 1.024 microseconds too low, and exact
//!   where all of it is zero); above it, one bucket answers with the exact maximum, which is never
//!   too low but may be far too high. [`Histogram::underflow`] and [`Histogram::overflow`] say how
//!   many values those are.
//! - `record` is O(1); `quantile`, `count`, `mean` and `merge` are O(buckets), some microseconds.
//!   21,520 bytes of heap, taken in [`Histogram::new`]. Counters saturate, and saturating sums
//!   keep `merge` associative and commutative.
//!
//! # What it is bad at
//! Forgetting: it holds everything since [`Histogram::reset`]. A host that wants the last minute
//! keeps one histogram a minute and merges them.
//!
//! # Source
//! The bucket layout of `HdrHistogram` (Tene, hdrhistogram.org) with six bits of mantissa.

use alloc::boxed::Box;
use alloc::vec;

use crate::error::{Error, check_range, check_real};
use crate::snapshot::{Words, ensure};

/// Bits of the value below its leading one that choose the bucket: 64 buckets an octave, half of
/// whose width is 1/128 of the lower edge. Five bits would err by 1.6%, over the promised 1%.
const MANTISSA_BITS: u32 = 6;
/// Two to this power is the lower end of the range. A microsecond is below what an engine step,
/// a network hop or a user can tell apart.
const RANGE_MIN_BITS: u32 = 10;
/// Two to this power is the upper end of the range: 52 days in nanoseconds, beyond the time
/// limits that batch queues allow.
const RANGE_END_BITS: u32 = 52;
/// Buckets in the range, and one below and one above it.
const BUCKETS: usize = 2 + (((RANGE_END_BITS - RANGE_MIN_BITS) as usize) << MANTISSA_BITS);
/// A quantile is read to the nearest part of this many.
const QUANTILE_PARTS: u32 = 1_000_000_000;

/// Smallest value with a bucket of its own kind.
pub const RANGE_MIN: u64 = 1 << RANGE_MIN_BITS;
/// First value above the range.
pub const RANGE_END: u64 = 1 << RANGE_END_BITS;
/// Largest relative error of a quantile inside the range.
pub const RELATIVE_ERROR_MAX: f64 = 1.0 / 128.0;

/// Counters of a distribution of `u64` values, usually nanoseconds.
#[derive(Debug, Eq, PartialEq)]
pub struct Histogram {
    buckets: Box<[u64; BUCKETS]>,
    /// Low and high half of the sum: the high one is hardly ever touched.
    sum: (u64, u64),
    /// Above `max` while empty.
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// By way of a slice: an array would be built on the stack first.
fn zeroed() -> Box<[u64; BUCKETS]> {
    match vec![0; BUCKETS].into_boxed_slice().try_into() {
        Ok(buckets) => buckets,
        Err(_) => unreachable!("the slice has the length of the array"),
    }
}

impl Histogram {
    /// Bytes that one histogram takes from the heap.
    pub const BYTES_NEEDED: u64 = (BUCKETS * size_of::<u64>()) as u64;

    /// An empty histogram. Allocates all it will ever use.
    #[must_use]
    pub fn new() -> Self {
        let buckets = zeroed();
        Self { buckets, sum: (0, 0), min: u64::MAX, max: 0 }
    }

    /// Counts one value. Any value is welcome.
    #[inline]
    pub fn record(&mut self, value: u64) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(value)) {
            *bucket = bucket.saturating_add(1);
        }
        let (low, carry) = self.sum.0.overflowing_add(value);
        self.sum.0 = low;
        if carry {
            self.carry();
        }
        // Branches, not selections: a new extreme is rare, and what is not written costs nothing.
        if value < self.min {
            self.min = value;
        }
        if value > self.max {
            self.max = value;
        }
    }

    #[cold]
    fn carry(&mut self) {
        self.sum = match self.sum.1.checked_add(1) {
            Some(high) => (self.sum.0, high),
            None => (u64::MAX, u64::MAX),
        };
    }

    /// The smallest recorded value that at least a share `q` of all values do not exceed, within
    /// the bounds above; `None` while empty.
    ///
    /// # Errors
    /// [`Error::RangeReal`] unless `q` is a number in `0..=1`.
    pub fn quantile(&self, q: f64) -> Result<Option<u64>, Error> {
        check_real("quantile", q, 0.0, 1.0)?;
        if self.is_empty() {
            return Ok(None);
        }
        let count = self.count();
        let parts = libm::round(q * f64::from(QUANTILE_PARTS)) as u128;
        let rank = (parts * u128::from(count)).div_ceil(u128::from(QUANTILE_PARTS));
        // Never above `count`, because `parts` is at most `QUANTILE_PARTS`.
        Ok(Some(self.value_of_rank((rank as u64).max(1), count)))
    }

    fn value_of_rank(&self, rank: u64, count: u64) -> u64 {
        if rank <= 1 {
            return self.min;
        }
        if rank >= count {
            return self.max;
        }
        let mut below = 0_u64;
        for (index, bucket) in self.buckets.iter().enumerate() {
            below = below.saturating_add(*bucket);
            if below >= rank {
                return self.answer_of(index);
            }
        }
        // Reached only when counters have saturated.
        self.max
    }

    fn answer_of(&self, index: usize) -> u64 {
        if index == 0 {
            self.min
        } else if index == BUCKETS - 1 {
            self.max
        } else {
            middle_of(index).clamp(self.min, self.max)
        }
    }

    /// Arithmetic mean; `None` while empty.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum() as f64 / self.count() as f64)
    }

    /// Values recorded. O(buckets): recording is what has to be fast.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum: u64, bucket| sum.saturating_add(*bucket))
    }

    /// How many of the values recorded are at most `value`. Inside the range, those up to 1/64
    /// above it may be counted as well, because they share its bucket; below and above it, those
    /// on its side of the range. O(buckets).
    #[must_use]
    pub fn count_at_most(&self, value: u64) -> u64 {
        if value < self.min {
            return 0;
        }
        if value >= self.max {
            return self.count();
        }
        self.buckets
            .iter()
            .take(bucket_of(value) + 1)
            .fold(0, |sum, bucket| sum.saturating_add(*bucket))
    }

    /// True when nothing was recorded.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.min > self.max
    }

    fn sum(&self) -> u128 {
        u128::from(self.sum.1) << 64 | u128::from(self.sum.0)
    }

    /// Smallest value recorded, exactly; `None` while empty.
    #[must_use]
    pub fn min(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.min)
    }

    /// Largest value recorded, exactly; `None` while empty.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.max)
    }

    /// Values recorded below [`RANGE_MIN`].
    #[must_use]
    pub fn underflow(&self) -> u64 {
        self.buckets.first().copied().unwrap_or(0)
    }

    /// Values recorded at or above [`RANGE_END`].
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.buckets.last().copied().unwrap_or(0)
    }

    /// Adds everything that `other` holds, as if it had been recorded here.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets.iter()) {
            *mine = mine.saturating_add(*theirs);
        }
        let sum = self.sum().saturating_add(other.sum());
        self.sum = (sum as u64, (sum >> 64) as u64);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Forgets everything, keeps the memory.
    pub fn reset(&mut self) {
        self.buckets.fill(0);
        (self.sum, self.min, self.max) = ((0, 0), u64::MAX, 0);
    }

    /// How many buckets hold something, which, and what.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let used = || self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        save(used().count() as u64);
        for (index, count) in used() {
            save(index as u64);
            save(*count);
        }
        [self.sum.0, self.sum.1, self.min, self.max].into_iter().for_each(save);
    }

    /// Reads it into a histogram that is new.
    pub(super) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        let used = words.next_within("buckets", 0, BUCKETS as u32)?;
        let (mut first, mut last) = (None, None);
        for _ in 0..used {
            let index = words.next_within("bucket", 0, BUCKETS as u32 - 1)? as usize;
            ensure(last.is_none_or(|before| before < index))?;
            self.buckets[index] = check_range("count", words.next()?, 1, u64::MAX)?;
            (first, last) = (first.or(Some(index)), Some(index));
        }
        self.sum = (words.next()?, words.next()?);
        (self.min, self.max) = (words.next()?, words.next()?);
        let (Some(first), Some(last)) = (first, last) else {
            return ensure(*self == Self::new());
        };
        ensure((bucket_of(self.min), bucket_of(self.max)) == (first, last))?;
        ensure(self.min <= self.max)?;
        // Of counts that went to their end, nobody knows what the sum should be.
        let count = u128::from(self.count());
        let least = u128::from(self.min).saturating_mul(count);
        let most = u128::from(self.max).saturating_mul(count);
        ensure(count == u128::from(u64::MAX) || (least..=most).contains(&self.sum()))
    }
}

#[inline]
fn bucket_of(value: u64) -> usize {
    // One comparison for both ends: what lies below the range wraps around to far above it.
    if value.wrapping_sub(RANGE_MIN) >= RANGE_END - RANGE_MIN {
        return if value < RANGE_MIN { 0 } else { BUCKETS - 1 };
    }
    // The logarithm: `ilog2` would ask about zero again.
    let exponent = value.leading_zeros() ^ 63;
    let octave = (exponent - RANGE_MIN_BITS) << MANTISSA_BITS;
    // The leading one stays in the mantissa and stands for 64 buckets that are not there.
    let mantissa = (value >> (exponent - MANTISSA_BITS)) as usize;
    octave as usize + mantissa - (1 << MANTISSA_BITS) + 1
}

/// The middle of a bucket inside the range.
fn middle_of(index: usize) -> u64 {
    let position = index as u64 - 1;
    let shift = (position >> MANTISSA_BITS) as u32 + RANGE_MIN_BITS - MANTISSA_BITS;
    let mantissa = (1 << MANTISSA_BITS) + (position & ((1 << MANTISSA_BITS) - 1));
    (mantissa << shift) + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Values of every size: an exponent first, then a value below it.
    fn value() -> impl Strategy<Value = u64> {
        (0u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift)
    }

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        for value in values {
            histogram.record(*value);
        }
        histogram
    }

    /// Nearest rank by definition: the smallest value with `at least q` of the values at or below.
    fn nearest_rank(sorted: &[u64], q_ppb: u64) -> u64 {
        let enough = |value: &u64| {
            let at_or_below = sorted.iter().filter(|other| *other <= value).count() as u128;
            at_or_below * 1_000_000_000 >= u128::from(q_ppb) * sorted.len() as u128
        };
        *sorted.iter().find(|value| enough(value)).unwrap()
    }

    fn within_bound(got: u64, exact: u64, sorted: &[u64]) -> bool {
        if exact < RANGE_MIN {
            got <= exact && exact - got < RANGE_MIN
        } else if exact >= RANGE_END {
            // The smallest and the largest are known exactly, what lies between is not told apart.
            got == exact || (got >= exact && got == sorted[sorted.len() - 1])
        } else {
            got.abs_diff(exact) as f64 <= exact as f64 * RELATIVE_ERROR_MAX
        }
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_values(
            mut values in prop::collection::vec(value(), 1..300),
            q_ppb in 0u64..=1_000_000_000,
        ) {
            let histogram = of(&values);
            values.sort_unstable();
            for q_ppb in [q_ppb, 500_000_000, 900_000_000, 990_000_000, 0, 1_000_000_000] {
                let got = histogram.quantile(q_ppb as f64 / 1e9).unwrap().unwrap();
                let exact = nearest_rank(&values, q_ppb);
                prop_assert!(within_bound(got, exact, &values), "q {q_ppb}: {got} for {exact}");
            }
            prop_assert_eq!(histogram.min(), values.first().copied());
            prop_assert_eq!(histogram.max(), values.last().copied());
            let mean = values.iter().map(|v| *v as f64).sum::<f64>() / values.len() as f64;
            prop_assert!((histogram.mean().unwrap() - mean).abs() <= mean * 1e-12);
        }

        #[test]
        fn counts_up_to_a_value_are_those_of_the_values(
            values in prop::collection::vec(value(), 0..300),
            bound in value(),
        ) {
            let counted = of(&values).count_at_most(bound);
            let at_most = |most: u64| values.iter().filter(|value| **value <= most).count() as u64;
            let bucket_end = match bound {
                ..RANGE_MIN => RANGE_MIN,
                RANGE_MIN..RANGE_END => bound + bound / 64,
                RANGE_END.. => u64::MAX,
            };
            prop_assert!(at_most(bound) <= counted && counted <= at_most(bucket_end));
        }

        #[test]
        fn merging_is_recording_in_any_order(
            a in prop::collection::vec(value(), 0..50),
            b in prop::collection::vec(value(), 0..50),
            c in prop::collection::vec(value(), 0..50),
        ) {
            let together = of(&[a.clone(), b.clone(), c.clone()].concat());
            let mut left = of(&a);
            left.merge(&of(&b));
            left.merge(&of(&c));
            let mut right = of(&c);
            right.merge(&of(&b));
            let mut first = of(&a);
            first.merge(&right);
            prop_assert_eq!(&left, &together);
            prop_assert_eq!(&first, &together);
        }

        #[test]
        fn every_value_lies_in_the_bucket_that_answers_for_it(value in RANGE_MIN..RANGE_END) {
            let middle = middle_of(bucket_of(value));
            prop_assert_eq!(bucket_of(middle), bucket_of(value));
            prop_assert!(middle.abs_diff(value) as f64 <= value as f64 * RELATIVE_ERROR_MAX);
        }
    }

    #[test]
    fn buckets_follow_one_another_without_gap_or_overlap() {
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(RANGE_MIN - 1), 0);
        assert_eq!(bucket_of(RANGE_MIN), 1);
        assert_eq!(bucket_of(RANGE_END - 1), BUCKETS - 2);
        assert_eq!(bucket_of(RANGE_END), BUCKETS - 1);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        let mut edge = RANGE_MIN;
        for index in 1..BUCKETS - 1 {
            let half = middle_of(index) - edge;
            assert_eq!((bucket_of(edge), bucket_of(edge + 2 * half - 1)), (index, index));
            edge += 2 * half;
        }
        assert_eq!(edge, RANGE_END);
    }

    #[test]
    fn what_lies_outside_the_range_is_counted_and_not_invented() {
        let histogram = of(&[0, 0, 0, 5_000, u64::MAX]);
        assert_eq!((histogram.underflow(), histogram.overflow()), (3, 1));
        assert_eq!(histogram.quantile(0.5), Ok(Some(0)));
        assert_eq!(histogram.quantile(1.0), Ok(Some(u64::MAX)));
        assert_eq!(Histogram::new().quantile(0.5), Ok(None));
        assert_eq!(Histogram::new().mean(), None);
    }

    #[test]
    fn a_quantile_that_is_none_is_refused() {
        let histogram = of(&[1, 2, 3]);
        for bad in [f64::NAN, -0.001, 1.001, f64::INFINITY] {
            assert_eq!(histogram.quantile(bad).unwrap_err().field(), "quantile");
        }
    }

    #[test]
    fn ranks_do_not_depend_on_rounding() {
        let values: Vec<u64> = (1..=100).map(|v| v << 20).collect();
        let histogram = of(&values);
        for percent in 1..=100_u64 {
            let got = histogram.quantile(percent as f64 / 100.0).unwrap().unwrap();
            assert!(within_bound(got, percent << 20, &values), "{percent}: {got}");
        }
    }

    #[test]
    fn counters_saturate_and_reset_forgets() {
        let mut histogram = of(&[3_000, u64::MAX]);
        for _ in 0..140 {
            let copy = Histogram { buckets: histogram.buckets.clone(), ..histogram };
            histogram.merge(&copy);
        }
        assert_eq!((histogram.count(), histogram.sum()), (u64::MAX, u128::MAX));
        histogram.record(1);
        assert_eq!(histogram.sum(), u128::MAX);
        assert!(histogram.quantile(0.5).unwrap().is_some());
        histogram.reset();
        assert_eq!(histogram, Histogram::new());
    }
}
