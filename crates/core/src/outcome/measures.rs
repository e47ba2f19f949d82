//! The formulas: what is computed from counts and durations once they are known.
//!
//! Each is a pure function; the desk uses these same functions, so a host with its own books can
//! check ours.

use crate::error::{Error, check_real};
use crate::units::Nanos;

/// Apdex tolerates up to this many times the target (Apdex technical specification 1.1).
pub const APDEX_TOLERATED_TARGETS: u64 = 4;

/// Time per output token after the first: `(end_to_end - ttft) / (output_tokens - 1)`.
///
/// `None` below two tokens: nobody waited for a second one. Rounded down to a nanosecond.
#[must_use]
#[inline]
pub const fn tpot(ttft: Nanos, end_to_end: Nanos, output_tokens: u32) -> Option<Nanos> {
    match output_tokens {
        0 | 1 => None,
        n => Some(Nanos(end_to_end.saturating_sub(ttft).get() / (n - 1) as u64)),
    }
}

/// Apdex: `(satisfied + tolerating / 2) / judged`; `None` when nobody was judged.
///
/// Satisfied: within the target. Tolerating: within [`APDEX_TOLERATED_TARGETS`] times the target.
/// Everybody else, and every failure, is frustrated and counts zero.
#[must_use]
pub fn apdex(satisfied: u64, tolerating: u64, judged: u64) -> Option<f64> {
    (judged > 0).then(|| (satisfied as f64 + tolerating as f64 / 2.0) / judged as f64)
}

/// Share of `judged` that is `good`; `None` when nobody was judged.
#[must_use]
pub fn ratio(good: u64, judged: u64) -> Option<f64> {
    (judged > 0).then(|| good as f64 / judged as f64)
}

/// `count` over a span of time, per second; zero over no time at all.
#[must_use]
pub fn per_second(count: u64, span: Nanos) -> f64 {
    if span == Nanos::ZERO { 0.0 } else { count as f64 / span.as_seconds() }
}

/// Bounded slowdown: `max((wait + run) / max(run, floor), 1)`.
///
/// The floor keeps tiny requests, which any wait slows down a thousandfold, from dominating
/// (Feitelson and Rudolph, "Metrics and benchmarking for parallel job scheduling", 1998). A floor
/// and a run of zero together give the least slowdown, 1.
#[must_use]
#[inline]
pub fn bounded_slowdown(wait: Nanos, run: Nanos, floor: Nanos) -> f64 {
    let alone = run.max(floor);
    if alone == Nanos::ZERO {
        return 1.0;
    }
    ((real(wait) + real(run)) / real(alone)).max(1.0)
}

/// Nanoseconds as a fraction; spans over 292 years count as that. Half the instructions of a
/// conversion from all 64 bits.
#[inline]
fn real(span: Nanos) -> f64 {
    span.get().min(i64::MAX as u64).cast_signed() as f64
}

/// Finish-time fairness: `shared / alone`, the time a job took on the shared cluster over the
/// time it would have taken on its own share; above 1 it would have been better off alone.
///
/// Source: `rho` in Mahajan et al., "Themis: Fair and Efficient GPU Cluster Scheduling",
/// NSDI 2020.
///
/// # Errors
/// [`Error::RangeReal`] unless `shared_s` is in `0..=1e9` and `alone_s` in `1e-9..=1e9`.
pub fn finish_time_fairness(shared_s: f64, alone_s: f64) -> Result<f64, Error> {
    let shared_s = check_real("shared_s", shared_s, 0.0, 1e9)?;
    let alone_s = check_real("alone_s", alone_s, 1e-9, 1e9)?;
    Ok(shared_s / alone_s)
}

/// Jain's index of what `n` parties got: `(sum x)^2 / (n * sum x^2)`, from `1/n` (one got all) to
/// 1 (all got the same). Nobody, or nobody got anything: 1, for nobody was treated worse.
///
/// Source: Jain, Chiu and Hawe, "A quantitative measure of fairness and discrimination for
/// resource allocation in shared computer systems", DEC-TR-301, 1984.
///
/// # Errors
/// [`Error::RangeReal`] if a value is negative, infinite or not a number.
pub fn jain(values: &[f64]) -> Result<f64, Error> {
    for value in values {
        check_real("service", *value, 0.0, f64::MAX)?;
    }
    Ok(jain_of(values.iter().copied()))
}

/// [`jain`] over values known to be finite and not negative.
pub(super) fn jain_of(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(0.0, f64::max);
    if largest == 0.0 {
        return 1.0;
    }
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    // Relative to the largest, so that no square can overflow.
    for value in values.map(|value| value / largest) {
        n += 1.0;
        sum += value;
        squares += value * value;
    }
    sum * sum / (n * squares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_token_has_no_time_per_token() {
        let (ttft, all) = (Nanos(100), Nanos(1_000));
        assert_eq!(tpot(ttft, all, 0), None);
        assert_eq!(tpot(ttft, all, 1), None);
        assert_eq!(tpot(ttft, all, 2), Some(Nanos(900)));
        assert_eq!(tpot(ttft, all, 10), Some(Nanos(100)));
        assert_eq!(tpot(all, ttft, 2), Some(Nanos::ZERO));
    }

    /// The worked example of the Apdex technical specification: 60 satisfied, 30 tolerating of 100.
    #[test]
    fn apdex_of_the_specification() {
        assert_eq!(apdex(60, 30, 100), Some(0.75));
        assert_eq!(apdex(0, 0, 0), None);
        assert_eq!(apdex(0, 0, 5), Some(0.0));
    }

    #[test]
    fn slowdown_is_bounded_below_by_one_and_by_its_floor() {
        let s = Nanos::from_seconds;
        assert_eq!(bounded_slowdown(s(90.0), s(10.0), s(10.0)), 10.0);
        assert_eq!(bounded_slowdown(s(90.0), s(0.001), s(10.0)), 9.0001);
        assert_eq!(bounded_slowdown(s(0.0), s(1.0), s(10.0)), 1.0);
        assert_eq!(bounded_slowdown(s(5.0), s(0.0), s(0.0)), 1.0);
        assert!(bounded_slowdown(Nanos::MAX, Nanos::MAX, s(1.0)).is_finite());
    }

    #[test]
    fn fairness_formulas_refuse_what_is_no_amount() {
        assert_eq!(finish_time_fairness(30.0, 20.0), Ok(1.5));
        assert_eq!(finish_time_fairness(1.0, 0.0).unwrap_err().field(), "alone_s");
        assert_eq!(finish_time_fairness(f64::NAN, 1.0).unwrap_err().field(), "shared_s");
        assert!(jain(&[1.0, f64::NAN]).is_err());
        assert!(jain(&[1.0, -1.0]).is_err());
        assert!(jain(&[f64::INFINITY]).is_err());
    }

    #[test]
    fn jain_at_its_ends() {
        assert_eq!(jain(&[]), Ok(1.0));
        assert_eq!(jain(&[0.0, 0.0]), Ok(1.0));
        assert_eq!(jain(&[1.0, 0.0, 0.0, 0.0]), Ok(0.25));
        assert_eq!(jain(&[7.0; 5]), Ok(1.0));
        assert_eq!(jain(&[f64::MAX, f64::MAX]), Ok(1.0));
    }

    proptest! {
        #[test]
        fn jain_is_its_formula_and_knows_no_unit(
            values in prop::collection::vec(0.01f64..1e6, 1..40), unit in 1e-6f64..1e6,
        ) {
            let n = values.len() as f64;
            let (sum, squares) = (values.iter().sum::<f64>(),
                values.iter().map(|v| v * v).sum::<f64>());
            let got = jain(&values).unwrap();
            prop_assert!((got - sum * sum / (n * squares)).abs() < 1e-9);
            prop_assert!(got <= 1.0 + 1e-12 && got >= 1.0 / n - 1e-12);
            let scaled: std::vec::Vec<f64> = values.iter().map(|v| v * unit).collect();
            prop_assert!((jain(&scaled).unwrap() - got).abs() < 1e-9);
        }
    }
}
