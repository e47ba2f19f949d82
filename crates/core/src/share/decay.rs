//! Usage with a half-life: what was used long ago counts less.
//!
//! # What it decides
//! Nothing. It says how much of the past still counts.
//!
//! # Formula
//! ```text
//! usage(now) = sum over i of  amount_i * 2^(-(now - t_i) / half_life)
//! ```
//! kept as one number, as of the end of the last whole half-life `k = floor(t / half_life)`:
//! an amount enters as `amount * 2^(t / half_life - k)`, and moving on to a later `k` halves the
//! number so many times, which changes only its exponent.
//!
//! # Bounds and cost
//! O(1), 24 bytes. An update rounds what it adds and the sum, as any sum does; the passing of time
//! rounds nothing, however often or seldom somebody looks, until after some 1,000 half-lives what is
//! left is too small to be told from zero.
//!
//! # What it is bad at
//! It cannot say when something was used, and half-lives cannot be changed afterwards.
//!
//! # Source
//! Half-life decay of usage as in Slurm's multifactor priority (`PriorityDecayHalfLife`), which
//! decays at intervals; here it depends on the time alone.

use crate::error::{Error, check_range, check_real};
use crate::units::Nanos;

/// Largest amount in one update, 2^53: up to there `f64` counts every unit.
const AMOUNT_MAX: f64 = 9_007_199_254_740_992.0;

/// A decayed sum. What its unit is, and the half-life, the caller knows; the half-life must be the
/// same in every call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DecayedUsage {
    /// As of the beginning of half-life number `half_lives`.
    usage: f64,
    half_lives: u64,
    last: Nanos,
}

impl DecayedUsage {
    /// Adds an amount used at `now`.
    ///
    /// # Errors
    /// [`Error::RangeReal`] unless `0 <= amount <= 2^53`; [`Error::Range`] for a half-life of
    /// zero; [`Error::TimeReversed`] before the last amount added.
    pub fn add(&mut self, now: Nanos, half_life: Nanos, amount: f64) -> Result<(), Error> {
        check_real("amount", amount, 0.0, AMOUNT_MAX)?;
        let (half_lives, part) = self.place(now, half_life)?;
        self.usage = self.halved(half_lives) + amount * libm::exp2(part);
        (self.half_lives, self.last) = (half_lives, now);
        Ok(())
    }

    /// What still counts at `now`.
    ///
    /// # Errors
    /// [`Error::Range`] for a half-life of zero; [`Error::TimeReversed`] before the last amount
    /// added.
    pub fn at(&self, now: Nanos, half_life: Nanos) -> Result<f64, Error> {
        let (half_lives, part) = self.place(now, half_life)?;
        Ok(self.halved(half_lives) / libm::exp2(part))
    }

    /// Whole half-lives until `now`, and the part of the next one that has passed.
    fn place(&self, now: Nanos, half_life: Nanos) -> Result<(u64, f64), Error> {
        let length = check_range("half_life_ns", half_life.get(), 1, u64::MAX)?;
        if now < self.last {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.last.get() });
        }
        Ok((now.get() / length, (now.get() % length) as f64 / length as f64))
    }

    fn halved(&self, half_lives: u64) -> f64 {
        // Beyond the exponents of `f64` the result is zero, whatever the number.
        let times = half_lives.saturating_sub(self.half_lives).min(4_096);
        libm::ldexp(self.usage, -(times as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600_000_000_000;

    proptest! {
        /// Against the sum as it is defined.
        #[test]
        fn it_is_the_decayed_sum(
            used in prop::collection::vec((0u64..HOUR, 0.0f64..1e6), 1..300),
            half_life in HOUR / 50..3 * HOUR, later in 0u64..HOUR,
        ) {
            let half_life_ns = Nanos(half_life);
            let (mut usage, mut now) = (DecayedUsage::default(), 0);
            let mut entries = std::vec::Vec::new();
            for (wait, amount) in used {
                now += wait / 20;
                usage.add(Nanos(now), half_life_ns, amount).unwrap();
                entries.push((now, amount));
            }
            let end = now + later;
            let weight = |at: u64| (-((end - at) as f64) / half_life as f64).exp2();
            let expected: f64 = entries.iter().map(|(at, amount)| amount * weight(*at)).sum();
            let found = usage.at(Nanos(end), half_life_ns).unwrap();
            prop_assert!((found - expected).abs() <= 1e-12 * expected, "{found} {expected}");
        }
    }

    #[test]
    fn looking_and_adding_nothing_change_nothing() {
        let half_life = Nanos(7 * HOUR);
        let mut usage = DecayedUsage::default();
        usage.add(Nanos(HOUR), half_life, 1_000.3).unwrap();
        let mut often = usage;
        for hour in 2..9_000 {
            often.add(Nanos(hour * HOUR), half_life, 0.0).unwrap();
        }
        for now in [Nanos(9_000 * HOUR), Nanos(90_000 * HOUR), Nanos(u64::MAX)] {
            assert_eq!(often.at(now, half_life), usage.at(now, half_life));
        }
        let first = usage.at(Nanos(HOUR), half_life).unwrap();
        assert_eq!(usage.at(Nanos(71 * HOUR), half_life), Ok(first / 1024.0));
    }

    #[test]
    fn wrong_calls_are_named_and_change_nothing() {
        let mut usage = DecayedUsage::default();
        usage.add(Nanos(5), Nanos(10), 1.0).unwrap();
        let before = usage;
        assert_eq!(usage.add(Nanos(6), Nanos(10), f64::NAN).unwrap_err().field(), "amount");
        assert_eq!(usage.add(Nanos(6), Nanos(0), 1.0).unwrap_err().field(), "half_life_ns");
        assert_eq!(usage.add(Nanos(4), Nanos(10), 1.0).unwrap_err().field(), "now_ns");
        assert_eq!(usage.at(Nanos(4), Nanos(10)).unwrap_err().field(), "now_ns");
        assert_eq!(usage, before);
    }
}
