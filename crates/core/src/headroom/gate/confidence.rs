//! When does a request start, with what confidence?
//!
//! # Formula
//! A request starts with the `n`-th end from now. The time until then has mean `n / r` and, for
//! ends that come nearly independently of each other and a rate known from `m` of them, the squared
//! coefficient of variation `1/n + 1/m`. It is taken for a gamma distribution of that mean and
//! variability, whose quantiles are (Wilson and Hilferty)
//! ```text
//! time(p) = n / r * (1 - v/9 + z(p) * sqrt(v)/3)^3,      v = 1/n + 1/m,   z(p) of a normal
//! ```
//! At `p = 1/2` it is `n <= r t` to a third of a request; else nearly `n + z sqrt(n) <= r t`.
//!
//! # Bounds and cost
//! O(1). Within 3% of the exact quantile for `n` of 2 and more, within 0.02 / r below.
//!
//! # Source
//! Ends of many servers together are nearly Poisson: Khintchine (1955), Palm (1943). Wilson and
//! Hilferty, "The distribution of chi-square", PNAS 17 (1931).

/// Standard deviations to which quantiles are looked for: beyond, one in a thousand million.
const DEVIATIONS_MAX: f64 = 6.0;

/// Fewest starts that are told from none.
const STARTS_MIN: f64 = 1e-3;

/// To what share starts are looked for: a nanosecond of a wait of seconds.
const STARTS_ERROR: f64 = 1e-10;

/// Most steps until they are found: halvings alone come that near.
const STEPS_MAX: u32 = 64;

/// Share of a normal distribution below `z` standard deviations.
fn normal(z: f64) -> f64 {
    0.5 * libm::erfc(-z / core::f64::consts::SQRT_2)
}

/// Standard deviations below which a share `p` lies. 60 halvings: the last digit.
pub(super) fn deviations(p: f64) -> f64 {
    let (mut low, mut high) = (-DEVIATIONS_MAX, DEVIATIONS_MAX);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// How fast requests start, and how well that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// Starts a second.
    pub(super) per_s: f64,
    /// Ends that this rests on, above 0.
    pub(super) samples: f64,
}

impl Pace {
    /// Seconds until the `starts`-th start (1 and more), not exceeded with the probability of `z`.
    pub(super) fn time_s(self, starts: f64, z: f64) -> f64 {
        if self.per_s <= 0.0 {
            return f64::INFINITY;
        }
        let variation = starts.recip() + self.samples.recip();
        let root = 1.0 - variation / 9.0 + z * libm::sqrt(variation) / 3.0;
        let root = root.max(0.0);
        starts / self.per_s * root * root * root
    }

    /// Probability that the `starts`-th start comes within so many seconds.
    pub(super) fn chance(self, starts: f64, seconds: f64) -> f64 {
        let variation = starts.recip() + self.samples.recip();
        let root = libm::cbrt((seconds * self.per_s / starts).max(0.0));
        normal((root - 1.0 + variation / 9.0) * 3.0 / libm::sqrt(variation))
    }

    /// Most starts of which the last comes within so many seconds with the probability of `z`; less
    /// than 1 if not even the first does.
    pub(super) fn starts_within(self, seconds: f64, z: f64) -> f64 {
        // With the lowest confidence of a policy, a hundredth, up to seven times as many as
        // expected and eight more.
        let beyond = |starts: f64| self.time_s(starts, z) - seconds;
        let (mut low, mut high) = (STARTS_MIN, 8.0 * (seconds * self.per_s + 1.0));
        let (mut under, mut over) = (beyond(low), beyond(high));
        if under > 0.0 || over <= 0.0 {
            return if under > 0.0 { low } else { high };
        }
        // The time is nearly a straight line. False position, an end with half its distance where
        // the other one moves twice in a row (Illinois), never leaves the interval.
        let mut moved_low = None;
        for _ in 0..STEPS_MAX {
            if high - low <= STARTS_ERROR * low {
                break;
            }
            let next = (low * over - high * under) / (over - under);
            let next = if next > low && next < high { next } else { f64::midpoint(low, high) };
            let distance = beyond(next);
            let moves_low = distance <= 0.0;
            let other = if moved_low == Some(moves_low) { 0.5 } else { 1.0 };
            if moves_low {
                (low, under, over) = (next, distance, over * other);
            } else {
                (high, over, under) = (next, distance, under * other);
            }
            moved_low = Some(moves_low);
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The `n`-th end of a Poisson process comes within `m` mean gaps unless fewer than `n` do.
    fn exact(n: u32, m: f64) -> f64 {
        let (mut term, mut fewer) = ((-m).exp(), 0.0);
        for k in 0..n {
            fewer += term;
            term *= m / f64::from(k + 1);
        }
        1.0 - fewer
    }

    #[test]
    fn chances_are_those_of_a_poisson_process() {
        let pace = Pace { per_s: 4.0, samples: 1e12 };
        for n in [1, 2, 3, 5, 10, 40, 150] {
            for expected in [0.5, 2.0, 10.0, 40.0, 160.0] {
                let got = pace.chance(f64::from(n), expected / 4.0);
                assert!((got - exact(n, expected)).abs() < 0.01, "{n} {expected}: {got}");
            }
        }
    }

    #[test]
    fn deviations_are_those_of_the_tables() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_964), (0.1, -1.281_552), (0.99, 2.326_348)] {
            assert!((deviations(p) - z).abs() < 1e-6, "{p}");
        }
    }

    proptest! {
        /// Time, chance and number of starts say the same thing.
        #[test]
        fn three_questions_one_answer(
            starts in 1.0f64..1e4, per_s in 1e-3f64..1e4, samples in 10.0f64..1e5, p in 0.01f64..0.999,
        ) {
            let (pace, z) = (Pace { per_s, samples }, deviations(p));
            let time_s = pace.time_s(starts, z);
            if time_s > 1e-2 / per_s {
                prop_assert!((pace.chance(starts, time_s) - p).abs() < 1e-6);
                prop_assert!((pace.starts_within(time_s, z) / starts - 1.0).abs() < 1e-3);
            }
            prop_assert!(pace.time_s(starts + 1.0, z) >= time_s, "who is behind starts later");
        }
    }
}
