//! Usage with a half-life: what was used long ago counts less.
//!
//! # What it decides
//! Nothing. It says how much of the past still counts.
//!
//! # Formula
//! ```text
//! usage(now) = sum over i of  amount_i * 2^(-(now - t_i) / half_life)
//! ```
//! All accounts decay alike, so nothing needs to be touched as time passes: amounts are kept
//! *inflated*, as if they had not yet decayed since the beginning of half-life number `base`,
//! ```text
//! kept = sum over i of  amount_i * 2^(t_i / half_life - base)      usage(now) = kept * 2^(base - now / half_life)
//! ```
//! and ratios of what is kept are ratios of usage at every moment. Amounts that would grow too
//! large for `f64` are moved to a later base by a power of two, which changes only exponents.
//!
//! # Bounds and cost
//! O(1), 16 bytes for each sum. The passing of time rounds nothing, however often or seldom
//! somebody looks. A sum carries along what its last addition lost (Kahan), so that its relative
//! error stays within some 2^-51, that of one rounded power of two, after any number of updates.
//! What has decayed below 2^-400 is zero.
//!
//! # What it is bad at
//! It cannot say when something was used, and half-lives cannot be changed afterwards.
//!
//! # Source
//! Half-life decay of usage as in Slurm's multifactor priority (`PriorityDecayHalfLife`), which
//! decays at intervals; here it depends on the time alone. Compensated sums: W. Kahan, "Further
//! remarks on reducing truncation errors", 1965.

use crate::error::{Error, check_range};
use crate::snapshot::Words;
use crate::units::Nanos;

/// Largest amount in one update, 2^53: up to there `f64` counts every unit.
pub(super) const AMOUNT_MAX: f64 = 9_007_199_254_740_992.0;

/// Half-lives after which the base moves. Any number would do that leaves room in the exponents of
/// `f64` (1,023): 53 for an amount, 64 for their number, and some 500 to be divided by shares.
const BASE_SPAN: u64 = 256;

/// Largest sum of a believable snapshot, 2^400: 2^64 amounts of 2^53 that stand 256 half-lives
/// after the base are less.
const SUM_MAX: f64 = f64::from_bits((1_023 + 400) << 52);

/// Smallest sum that is kept, 2^-400: quotients of any two sums are far from the ends of `f64`.
const SUM_MIN: f64 = f64::from_bits((1_023 - 400) << 52);

/// Beyond this power of two every sum is zero.
const EXPONENT_MAX: u64 = 4_096;

/// The half-life, and from when on amounts are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decay {
    half_life: Nanos,
    /// Half-lives before the moment as of which amounts are kept.
    base: u64,
    /// When something was last recorded.
    last: Nanos,
}

impl Decay {
    pub(super) const fn new(half_life: Nanos) -> Self {
        Self { half_life, base: 0, last: Nanos::ZERO }
    }

    pub(super) const fn half_life(&self) -> Nanos {
        self.half_life
    }

    /// Makes it as it was when new.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.half_life);
    }

    /// `Ok` if there is a half-life.
    pub(super) fn check(&self) -> Result<(), Error> {
        check_range("half_life_ns", self.half_life.get(), 1, u64::MAX).map(drop)
    }

    /// `Ok` if there is a half-life and `now` is not before the last record.
    pub(super) fn check_time(&self, now: Nanos) -> Result<(), Error> {
        self.check()?;
        if now < self.last {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.last.get() });
        }
        Ok(())
    }

    /// An amount used at `now`, as it is kept. [`Decay::advance`] comes first.
    pub(super) fn inflated(&self, now: Nanos, amount: f64) -> f64 {
        let (exponent, part) = self.place(now);
        libm::ldexp(amount * libm::exp2(part), exponent)
    }

    /// What is kept, as it counts at `now`.
    pub(super) fn at(&self, now: Nanos, kept: f64) -> f64 {
        let (exponent, part) = self.place(now);
        libm::ldexp(kept, -exponent) / libm::exp2(part)
    }

    /// Takes `now` for the time of the last record. Answers by which power of two every sum must
    /// be divided, for a base that has moved.
    pub(super) fn advance(&mut self, now: Nanos) -> i32 {
        self.last = now;
        let (exponent, _) = self.place(now);
        if exponent as u64 <= BASE_SPAN {
            return 0;
        }
        self.base = now.get() / self.half_life.get();
        exponent
    }

    /// Whole half-lives from the base until `now`, and the part of the next one that has passed.
    fn place(&self, now: Nanos) -> (i32, f64) {
        let length = self.half_life.get().max(1);
        let half_lives = (now.get() / length).saturating_sub(self.base).min(EXPONENT_MAX);
        (half_lives as i32, (now.get() % length) as f64 / length as f64)
    }

    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        [self.half_life.get(), self.base, self.last.get()].into_iter().for_each(save);
    }

    /// Takes what [`Decay::save_state`] told.
    pub(super) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        let length = self.half_life.get();
        check_range("half_life_ns", words.next()?, length, length)?;
        let (base, last) = (words.next()?, words.next()?);
        self.base = check_range("base", base, 0, last / length.max(1))?;
        self.last = Nanos(last);
        Ok(())
    }
}

/// A sum of inflated amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct KeptSum {
    sum: f64,
    /// How much too large the sum is.
    excess: f64,
}

impl KeptSum {
    pub(super) const ZERO: Self = Self { sum: 0.0, excess: 0.0 };

    pub(super) const fn get(self) -> f64 {
        self.sum
    }

    /// Adds an inflated amount; the sum never becomes smaller.
    pub(super) fn add(&mut self, amount: f64) {
        let missing = amount - self.excess;
        // What was in excess may be more than is added.
        let sum = (self.sum + missing).max(self.sum);
        let excess = (sum - self.sum) - missing;
        *self = if sum < SUM_MIN { Self::default() } else { Self { sum, excess } };
    }

    /// Divides by a power of two.
    pub(super) fn halve(&mut self, times: i32) {
        let sum = libm::ldexp(self.sum, -times);
        let excess = libm::ldexp(self.excess, -times);
        *self = if sum < SUM_MIN { Self::default() } else { Self { sum, excess } };
    }

    pub(super) fn save_state(self, save: &mut dyn FnMut(u64)) {
        save(self.sum.to_bits());
        save(self.excess.to_bits());
    }

    /// Takes what [`KeptSum::save_state`] told.
    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let sum = words.next_amount("usage")?;
        crate::error::check_real("usage", sum, if sum > 0.0 { SUM_MIN } else { 0.0 }, SUM_MAX)?;
        let excess = words.next_real("usage_excess", -sum, sum)?;
        Ok(Self { sum, excess })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600_000_000_000;

    /// One account.
    #[derive(Clone, Copy)]
    struct Usage(Decay, KeptSum);

    impl Usage {
        fn new(half_life: u64) -> Self {
            Self(Decay::new(Nanos(half_life)), KeptSum::default())
        }

        fn add(&mut self, now: u64, amount: f64) {
            let moved = self.0.advance(Nanos(now));
            self.1.halve(moved);
            self.1.add(self.0.inflated(Nanos(now), amount));
        }

        fn at(&self, now: u64) -> f64 {
            self.0.at(Nanos(now), self.1.get())
        }
    }

    proptest! {
        /// Against the sum as it is defined, with times that cross several bases.
        #[test]
        fn it_is_the_decayed_sum(
            used in prop::collection::vec((0u64..HOUR, 0.0f64..1e6), 1..300),
            half_life in HOUR / 5_000..3 * HOUR, later in 0u64..HOUR / 100,
        ) {
            let mut usage = Usage::new(half_life);
            let (mut now, mut entries) = (0, std::vec::Vec::new());
            for (wait, amount) in used {
                now += wait / 20;
                usage.add(now, amount);
                entries.push((now, amount));
            }
            let end = now + later;
            let weight = |at: u64| (-((end - at) as f64) / half_life as f64).exp2();
            let expected: f64 = entries.iter().map(|(at, amount)| amount * weight(*at)).sum();
            let found = usage.at(end);
            prop_assert!((found - expected).abs() <= 1e-12 * expected, "{found} {expected}");
        }

        /// How an amount is cut into pieces makes no difference beyond a few roundings.
        #[test]
        fn pieces_add_up_to_the_whole(
            pieces in 1u32..3_000, amount in 1e-3f64..1e9, now in 0u64..90 * HOUR,
        ) {
            let (mut whole, mut cut) = (Usage::new(HOUR), Usage::new(HOUR));
            whole.add(now, amount);
            (0..pieces).for_each(|_| cut.add(now, amount / f64::from(pieces)));
            let (whole, cut) = (whole.at(now), cut.at(now));
            prop_assert!((whole - cut).abs() <= 4.0 * f64::EPSILON * whole, "{whole} {cut}");
        }
    }

    #[test]
    fn looking_and_adding_nothing_change_nothing() {
        let mut usage = Usage::new(7 * HOUR);
        usage.add(HOUR, 1_000.3);
        let mut often = usage;
        for hour in 2..2_500 {
            often.add(hour * HOUR, 0.0);
            assert_eq!(often.at(hour * HOUR), usage.at(hour * HOUR), "{hour}");
        }
        for now in [2_500 * HOUR, 90_000 * HOUR, u64::MAX] {
            assert_eq!(often.at(now), usage.at(now));
        }
        assert_eq!(usage.at(71 * HOUR), usage.at(HOUR) / 1024.0);
    }

    /// A million updates of 0.1 in one moment: a plain sum would be off by 10^-11.
    #[test]
    fn a_million_updates_do_not_drift() {
        let mut usage = Usage::new(HOUR);
        (0..1_000_000).for_each(|_| usage.add(0, 0.1));
        assert!((usage.at(0) - 100_000.0).abs() <= 4e-11, "{}", usage.at(0));
        // And over time: a geometric series, 10 updates in each half-life.
        let mut usage = Usage::new(1_000);
        (0..1_000_000_u64).for_each(|update| usage.add(update * 100, 1.0));
        let limit = 1.0 / (1.0 - (-0.1_f64).exp2());
        let found = usage.at(999_999 * 100);
        assert!((found / limit - 1.0).abs() <= 1e-14, "{found} {limit}");
    }
}
