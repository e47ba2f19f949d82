//! The curve never falls, its inverse is exact, and what it learns is what was there.

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

/// Noise of a fixed pattern: mean zero over 7 samples, at most `share`.
fn noise(sample: u32, share: f64) -> f64 {
    1.0 + share * (f64::from(sample * 5 % 7) - 3.0) / 3.0
}

fn staircase(size: u32) -> f64 {
    4e-3 + 3e-3 * f64::from(size.div_ceil(8))
}

#[test]
fn refuses_what_is_no_curve() {
    let field = |points: &[(u32, f64)]| LatencyCurve::from_points(points).unwrap_err().field();
    assert_eq!(field(&[]), "curve_points");
    assert_eq!(field(&[(1, 1.0); KNOTS_MAX + 1]), "curve_points");
    assert_eq!(field(&[(0, 1.0)]), "curve_size");
    assert_eq!(field(&[(4, 1.0), (4, 2.0)]), "curve_size");
    assert_eq!(field(&[(1, 2.0), (4, 1.0)]), "curve_seconds");
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 3601.0] {
        assert_eq!(field(&[(1, bad)]), "curve_seconds", "{bad}");
    }
    let mut curve = LatencyCurve::linear(5e-3, 1e-3).unwrap().learning(8).unwrap();
    let before = curve.clone();
    for (size, seconds) in [(0, 1e-3), (1, f64::NAN), (1, 0.0), (u32::MAX, 1.0), (2, -1.0)] {
        assert!(curve.observe(size, seconds).is_err());
        assert_eq!(curve, before, "an error changes nothing");
    }
}

#[test]
fn beyond_the_points_it_goes_on_rising() {
    let curve = LatencyCurve::from_points(&[(4, 1.0), (8, 3.0), (16, 3.0)]).unwrap();
    assert_eq!((curve.seconds(1), curve.seconds(4), curve.seconds(6)), (1.0, 1.0, 2.0));
    // The last stretch is flat; the whole curve rises by 2 s over 12.
    assert!((curve.seconds(28) - 5.0).abs() < 1e-12);
    let one = LatencyCurve::from_points(&[(4, 1.0)]).unwrap();
    assert!((one.seconds(12) - 3.0).abs() < 1e-12);
}

#[test]
fn knots_of_a_learning_curve_grow_and_end_at_the_largest_batch() {
    let prior = LatencyCurve::linear(5e-3, 1e-3).unwrap();
    for size_max in [1, 2, 63, 64, 65, 100, 1_000, BATCH_SIZE_MAX] {
        let curve = prior.learning(size_max).unwrap();
        let knots = &curve.sizes[..curve.len as usize];
        assert!(knots.windows(2).all(|pair| pair[0] < pair[1]), "{knots:?}");
        assert_eq!((knots[0], knots[knots.len() - 1]), (1, size_max));
    }
}

#[test]
fn learns_a_staircase_from_a_wrong_guess_and_says_how_sure_it_is() {
    let prior = LatencyCurve::linear(20e-3, 0.1e-3).unwrap();
    let mut curve = prior.learning(32).unwrap();
    assert_eq!(curve.confidence(8).weight, 0.0);
    for sample in 0..3_200 {
        let size = sample % 32 + 1;
        curve.observe(size, staircase(size) * noise(sample, 0.06)).unwrap();
    }
    for size in 1..=32 {
        let error = curve.seconds(size) / staircase(size) - 1.0;
        assert!(error.abs() < 0.05, "{size}: off by {error}");
    }
    let sure = curve.confidence(8);
    assert_eq!(sure.samples, 3_200);
    assert!(sure.weight > 20.0, "{sure:?}");
    // The mean deviation of the noise is 4/7 of 6%.
    assert!((0.02..0.06).contains(&sure.spread_ratio), "{sure:?}");
}

#[test]
fn sizes_never_seen_follow_those_that_were() {
    let mut curve = LatencyCurve::linear(5e-3, 1e-3).unwrap().learning(32).unwrap();
    for _ in 0..500 {
        curve.observe(4, 18e-3).unwrap();
    }
    assert!((curve.seconds(4) / 18e-3 - 1.0).abs() < 0.02, "{}", curve.seconds(4));
    assert!((curve.seconds(32) / 74e-3 - 1.0).abs() < 0.05, "twice the prior, everywhere");
}

#[test]
fn one_bad_sample_moves_little_and_a_lasting_change_is_followed() {
    let mut curve = LatencyCurve::linear(5e-3, 1e-3).unwrap().learning(16).unwrap();
    for sample in 0..400 {
        curve.observe(sample % 16 + 1, 5e-3 + 1e-3 * f64::from(sample % 16 + 1)).unwrap();
    }
    let before = curve.seconds(8);
    curve.observe(8, 100.0).unwrap();
    assert!(curve.seconds(8) / before < 1.02, "{}", curve.seconds(8) / before);
    for _ in 0..200 {
        curve.observe(8, 2.0 * before).unwrap();
    }
    assert!((curve.seconds(8) / (2.0 * before) - 1.0).abs() < 0.05);
}

proptest! {
    /// Whatever is observed, the curve never falls, is never zero, and its inverse is exact.
    #[test]
    fn never_falls_and_inverts(
        size_max in 1u32..300,
        samples in prop::collection::vec((1u32..400, -8.0f64..2.0), 0..200),
        within in 0.0f64..2.0,
    ) {
        let mut curve = LatencyCurve::linear(5e-3, 1e-3).unwrap().learning(size_max).unwrap();
        for (size, magnitude) in samples {
            curve.observe(size, libm::pow(10.0, magnitude)).unwrap();
        }
        let all: Vec<f64> = (1..=400).map(|size| curve.seconds(size)).collect();
        prop_assert!(all.iter().all(|seconds| *seconds >= 1e-9 && seconds.is_finite()));
        prop_assert!(all.is_sorted(), "{all:?}");
        let fits = curve.batch_within(within, 400);
        prop_assert!(fits == 0 || curve.seconds(fits) <= within);
        prop_assert!(fits == 400 || curve.seconds(fits + 1) > within);
    }

    /// Pooling gives the closest sequence that never falls: no pair can be moved for the better.
    #[test]
    fn pooling_is_the_closest_that_never_falls(
        values in prop::collection::vec(0.01f64..1.0, 2..12),
    ) {
        let len = values.len();
        let mut curve = LatencyCurve::linear(1e-3, 0.0).unwrap().learning(len as u32).unwrap();
        let mut learning = curve.learning.clone().unwrap();
        learning.prior[..len].copy_from_slice(&values);
        curve.refit(&learning);
        // The max-min formula of isotonic regression: max over starts of min over ends of the mean.
        for knot in 0..len {
            let mean = |from: usize, to: usize| {
                values[from..=to].iter().sum::<f64>() / (to - from + 1) as f64
            };
            let least = |from: usize| (knot..len).map(|to| mean(from, to)).fold(9.0, f64::min);
            let expected = (0..=knot).map(least).fold(0.0, f64::max);
            prop_assert!((curve.seconds[knot] - expected).abs() < 1e-12);
        }
    }
}
