//! Work that fades, without a touch of what fades.
//!
//! # Formula
//! ```text
//! usage at t  = sum over charges of work * e^((then - t) / memory)
//! kept        = sum over charges of work * growth(then),     growth(t) = e^(t / memory)
//! growth(t)   = 2^k * 2^f,       k + f = start of the moment of t / (memory * ln 2)
//! ```
//! Growing what comes instead of shrinking what is there (*forward decay*) leaves all usages as they
//! are while time passes, and keeps their order. They are kept as a part and a number of doublings, so
//! that nothing overflows in 584 years. Time is counted in *moments*, each at most 1/4096 of the memory:
//! all that happens in one grows by the same factor, which is worked out once, and weighs 1/4096 too
//! much or too little at most.
//!
//! # Bounds and cost
//! O(1), 16 bytes: a multiplication and an addition a charge, a power of two a moment.
//!
//! # Source
//! Cormode, Shkapenyuk, Srivastava and Xu, "Forward decay: a practical time decay model for streaming
//! systems", ICDE'09.

use core::f64::consts::LN_2;

use crate::error::Error;
use crate::snapshot::{Words, ensure};
use crate::units::Nanos;

/// Moments in a memory, at least, as a power of two.
const MOMENTS_LOG2: u32 = 12;

/// Share of a usage below which what is left of it is rounding: charges are given back at the moment at
/// which they were made.
const ROUNDING: f64 = 1e-6;

/// Most doublings: 584 years in the shortest memory, a tenth of a second.
const DOUBLINGS_MAX: u64 = 1 << 40;

/// Largest part: as many charges as there can be requests in one doubling, of the largest work.
const PART_MAX: f64 = 1e100;

/// By how much work counts more than at time zero: `part * 2^doublings`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Growth {
    part: f64,
    doublings: i64,
}

impl Growth {
    fn of(memories: f64) -> Self {
        let doublings = memories / LN_2;
        let whole = libm::floor(doublings);
        Self { part: libm::exp2(doublings - whole), doublings: whole as i64 }
    }
}

/// Growth at moments, for one memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growing {
    memory: Nanos,
    /// Nanoseconds of a moment, as a power of two.
    moment_log2: u32,
    /// The last moment asked for, and its growth.
    moment: u64,
    growth: Growth,
}

impl Growing {
    pub(super) fn new(memory: Nanos) -> Self {
        let moment_log2 = (memory.get().max(1).ilog2()).saturating_sub(MOMENTS_LOG2);
        Self { memory, moment_log2, moment: 0, growth: Growth::of(0.0) }
    }

    /// Of the moment in which a time is.
    pub(super) fn at(&mut self, now: Nanos) -> Growth {
        let moment = now.get() >> self.moment_log2;
        if moment != self.moment {
            self.growth = Growth::of(self.memories(now));
            self.moment = moment;
        }
        self.growth
    }

    /// By how much usages grow for which another memory holds from now on.
    pub(super) fn change_to(&self, other: &Self, now: Nanos) -> Growth {
        Growth::of(other.memories(now) - self.memories(now))
    }

    /// The start of the moment of a time, in memories since time zero.
    fn memories(&self, now: Nanos) -> f64 {
        let start = now.get() >> self.moment_log2 << self.moment_log2;
        start as f64 / self.memory.get().max(1) as f64
    }
}

/// What an account was let in with: `part * 2^doublings`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Usage {
    part: f64,
    doublings: i64,
}

impl Usage {
    pub(super) const NONE: Self = Self { part: 0.0, doublings: 0 };

    /// With so much more.
    pub(super) fn plus(self, work: u32, growth: Growth) -> Self {
        let (usage, part) = self.beside(growth);
        Self { part: usage.part + f64::from(work) * part, ..usage }
    }

    /// With so much less; none where that is nearly all.
    pub(super) fn minus(self, work: u32, growth: Growth) -> Self {
        let (usage, part) = self.beside(growth);
        let left = usage.part - f64::from(work) * part;
        if left > ROUNDING * usage.part { Self { part: left, ..usage } } else { Self::NONE }
    }

    /// The same usage, and the part of a growth, with as many doublings as the larger has.
    fn beside(self, growth: Growth) -> (Self, f64) {
        let apart = growth.doublings - self.doublings;
        if apart < 0 {
            return (self, growth.part * power_of_two(apart));
        }
        let part = self.part * power_of_two(-apart);
        (Self { part, doublings: growth.doublings }, growth.part)
    }

    /// As much more as a growth. Its part stays below one, however often that happens.
    pub(super) fn times(self, growth: Growth) -> Self {
        let (part, more) = libm::frexp(self.part * growth.part);
        let doublings = self.doublings.saturating_add(growth.doublings);
        Self { part, doublings: doublings.saturating_add(i64::from(more)) }
    }

    /// Its logarithm.
    pub(super) fn level(self) -> f64 {
        libm::log(self.part) + self.doublings as f64 * LN_2
    }

    pub(super) fn save_state(self, save: &mut dyn FnMut(u64)) {
        save(self.part.to_bits());
        save(self.doublings.cast_unsigned());
    }

    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let part = words.next_real("usage", 0.0, PART_MAX)?;
        let doublings = words.next()?.cast_signed();
        ensure(doublings.unsigned_abs() <= DOUBLINGS_MAX)?;
        Ok(Self { part, doublings })
    }
}

/// `2^exponent` for exponents of 0 and below; 0 where that is no normal number.
fn power_of_two(exponent: i64) -> f64 {
    const BIAS: i64 = 1_023;
    if exponent <= -BIAS { 0.0 } else { f64::from_bits(((exponent + BIAS) as u64) << 52) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn powers_of_two_are_exact() {
        for exponent in [0, -1, -52, -1_000, -1_022] {
            assert_eq!(power_of_two(exponent), libm::exp2(exponent as f64));
        }
        assert_eq!(power_of_two(-1_023), 0.0);
        assert_eq!(power_of_two(i64::MIN), 0.0);
    }

    #[test]
    fn a_memory_may_change_any_number_of_times() {
        let now = Nanos(10_007 * SECOND);
        let [mut short, mut long] = [7, 11].map(|memory_s| Growing::new(Nanos(memory_s * SECOND)));
        let before = Usage::NONE.plus(3, short.at(now));
        let mut usage = before;
        for _ in 0..3_000 {
            usage = usage.times(short.change_to(&long, now)).times(long.change_to(&short, now));
        }
        assert!((usage.level() - before.level()).abs() < 1e-6, "{before:?}, {usage:?}");
        assert_eq!(Usage::NONE.times(long.at(now)).level(), f64::NEG_INFINITY);
    }

    proptest! {
        /// The sum by definition, to what a moment leaves open, and the order of any two.
        #[test]
        fn usage_is_the_faded_sum(
            memory_s in 0.1f64..1e3,
            begin in 0..10_000_000 * SECOND,
            charges in prop::collection::vec((0.0f64..20.0, 1u32..1_000), 1..30),
        ) {
            let mut growing = Growing::new(Nanos::from_seconds(memory_s));
            let mut charges: Vec<(Nanos, u32)> = charges
                .iter()
                .map(|(after, work)| (Nanos(begin).offset_seconds(after * memory_s), *work))
                .collect();
            let last = charges.iter().map(|(at, _)| *at).max().unwrap();
            let exact: f64 = charges
                .iter()
                .map(|(at, work)| {
                    let ago_s = last.saturating_sub(*at).as_seconds();
                    f64::from(*work) * libm::exp(-ago_s / memory_s)
                })
                .sum();
            // In any order: what came late is as heavy as when it came in time.
            for _ in 0..2 {
                let usage = charges
                    .iter()
                    .fold(Usage::NONE, |usage, (at, work)| usage.plus(*work, growing.at(*at)));
                let one = Usage::NONE.plus(1, growing.at(last));
                let got = libm::exp(usage.level() - one.level());
                prop_assert!((got / exact - 1.0).abs() < 6e-4, "{got} {exact}");
                charges.reverse();
            }
        }

        /// What is given back leaves what others charged.
        #[test]
        fn what_is_given_back_leaves_the_rest(
            at in 0..1_000 * SECOND, later in 0..60 * SECOND, work in 1u32..1_000, other in 1u32..1_000,
        ) {
            let mut growing = Growing::new(Nanos(30 * SECOND));
            let (first, second) = (growing.at(Nanos(at)), growing.at(Nanos(at + later)));
            let both = Usage::NONE.plus(work, first).plus(other, second);
            let left = both.minus(work, first).level();
            prop_assert!((left - Usage::NONE.plus(other, second).level()).abs() < 1e-9);
            let none = both.minus(other, second).minus(work, first);
            prop_assert_eq!(none, Usage::NONE);
        }
    }
}
