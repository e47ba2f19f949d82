use std::string::ToString;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::equations::{Equations, Vector};
use super::*;
use crate::engine::{FEATURE_NAMES, PREFILL_STEP, Profile};

fn profile(name: &str) -> StepModel {
    Profile::named(name).unwrap().step_model().unwrap()
}

fn small() -> StepModel {
    profile("llama-3.1-8b")
}

fn new(prior: StepModel) -> StepFit {
    StepFit::new(prior, &StepFitOptions::default()).unwrap()
}

/// Steps as engines run them: decodes alone, or with a chunk.
fn shape() -> impl Strategy<Value = StepShape> {
    (0_u32..2_048, 0_u64..16_384, 1_u32..128, 16_u64..4_096, any::<bool>()).prop_map(
        |(chunk, history, decode_requests, context, mixed)| StepShape {
            prefill_tokens: if mixed { chunk } else { 0 },
            prefill_history_tokens: if mixed { history } else { 0 },
            decode_requests,
            decode_context_tokens: u64::from(decode_requests) * context,
        },
    )
}

/// Shapes and durations as a broken host sends them.
fn hostile() -> impl Strategy<Value = (StepShape, u64)> {
    let small = prop_oneof![3 => 0_u32..3_000, 1 => any::<u32>(), 1 => Just(u32::MAX)];
    let large = prop_oneof![3 => 0_u64..500_000, 1 => 0..=KV_TOKENS_MAX, 1 => any::<u64>()];
    let duration = prop_oneof![
        4 => 1_000_000_u64..100_000_000,
        1 => 0_u64..3,
        1 => 0..=DURATION_NS_MAX,
        1 => any::<u64>(),
    ];
    (small.clone(), large.clone(), small, large, duration).prop_map(|(p, kp, n, kd, duration)| {
        let shape = StepShape {
            prefill_tokens: p,
            prefill_history_tokens: kp,
            decode_requests: n,
            decode_context_tokens: kd,
        };
        (shape, duration)
    })
}

fn state(fit: &StepFit) -> Vec<u64> {
    let mut words = Vec::new();
    fit.save_state(&mut |word| words.push(word));
    words
}

fn load(fit: &mut StepFit, words: &[u64]) -> Option<()> {
    let mut words = words.iter().copied();
    fit.load_state(&mut || words.next())
}

/// `seconds` as an engine would report it.
fn see(fit: &mut StepFit, shape: &StepShape, seconds: f64) -> FitOutcome {
    fit.observe(shape, Nanos::from_seconds(seconds)).unwrap()
}

/// The steps in turn, `count` in all, on an engine that takes `scale` times what `truth` says.
fn run(fit: &mut StepFit, truth: &StepModel, scale: f64, steps: &[StepShape], count: usize) {
    for shape in steps.iter().cycle().take(count) {
        see(fit, shape, scale * truth.seconds(shape));
    }
}

/// Largest relative error over the steps.
fn error(fit: &StepFit, truth: &StepModel, scale: f64, steps: &[StepShape]) -> f64 {
    let errors = steps.iter().map(|s| (fit.seconds(s) / (scale * truth.seconds(s)) - 1.0).abs());
    errors.fold(0.0, f64::max)
}

/// Every chunk size beside every number of decodes, short and long.
fn grid() -> Vec<StepShape> {
    let mut steps = Vec::new();
    for chunk in [0, 700, 1_400, 2_048] {
        for (decodes, context) in [(4, 300), (40, 900), (40, 2_500), (128, 1_100)] {
            for history in [0, 3_000] {
                let shape = StepShape {
                    decode_requests: decodes,
                    decode_context_tokens: u64::from(decodes) * context,
                    ..StepShape::default()
                };
                steps.push(if chunk == 0 { shape } else { shape.with_prefill(chunk, history) });
            }
        }
    }
    steps
}

/// Oracle: the optimum over one set of unknowns by Gaussian elimination with pivoting.
fn eliminate(matrix: &[Vector; FEATURES], right: &Vector, set: u32) -> Vector {
    let members: Vec<usize> = (0..FEATURES).filter(|i| set >> i & 1 == 1).collect();
    let mut rows: Vec<Vec<f64>> = members
        .iter()
        .map(|&i| members.iter().map(|&j| matrix[i][j]).chain([right[i]]).collect())
        .collect();
    let size = members.len();
    for column in 0..size {
        let pivot = (column..size)
            .max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))
            .unwrap();
        rows.swap(column, pivot);
        let top = rows[column].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(index, _)| *index != column) {
            let factor = row[column] / top[column];
            for (value, top) in row.iter_mut().zip(&top) {
                *value -= factor * top;
            }
        }
    }
    let mut solution = [0.0; FEATURES];
    for (k, &i) in members.iter().enumerate() {
        solution[i] = rows[k][size] / rows[k][k];
    }
    solution
}

/// Half the squared error of a solution, less a constant.
fn objective(matrix: &[Vector; FEATURES], right: &Vector, x: &Vector) -> f64 {
    let quadratic: f64 = (0..FEATURES)
        .flat_map(|i| (0..FEATURES).map(move |j| (i, j)))
        .map(|(i, j)| x[i] * matrix[i][j] * x[j])
        .sum();
    quadratic / 2.0 - right.iter().zip(x).map(|(right, x)| right * x).sum::<f64>()
}

proptest! {
    /// Against every set of unknowns that can be held at zero, solved by another method.
    #[test]
    fn the_solution_is_the_optimum_that_keeps_the_signs(
        steps in vec((shape(), 0.3..3.0_f64), 1..40),
        start in prop::array::uniform7(0.0..2.0_f64), free in 0_u32..=127,
    ) {
        let anchor = Anchor::new(&small());
        let mut kinds = [Kind::new(), Kind::new()];
        for (shape, noise) in &steps {
            let seconds = small().seconds(shape) * noise;
            let row = anchor.row(&shape.features(), seconds);
            kinds[usize::from(shape.prefill_tokens > 0)].equations.add(0.999, &row, 1.0);
        }
        let problem = anchor.problem(&kinds, 1.0);
        let element = |i: usize, j: usize| problem.matrix[i.max(j) * (i.max(j) + 1) / 2 + i.min(j)];
        let matrix: [Vector; FEATURES] =
            core::array::from_fn(|i| core::array::from_fn(|j| element(i, j)));
        let allowed = |x: &Vector| (0..FEATURES).all(|i| i == PREFILL_STEP || x[i] >= 0.0);
        let best = (0..128_u32).map(|set| eliminate(&matrix, &problem.right, set)).filter(allowed)
            .map(|x| objective(&matrix, &problem.right, &x)).fold(f64::INFINITY, f64::min);
        let start = core::array::from_fn(|i| if free >> i & 1 == 1 { start[i] } else { 0.0 });
        let (found, _) = problem.solve(&start, free).unwrap();
        prop_assert!(allowed(&found), "{found:?}");
        let reached = objective(&matrix, &problem.right, &found);
        prop_assert!(reached - best <= 1e-9 * best.abs(), "{reached} {best}");
    }

    /// From any profile that is off by up to ten times in every coefficient.
    #[test]
    fn an_engine_is_found_again(
        wrong in prop::array::uniform7(0.1..10.0_f64), scale in 0.2..5.0_f64,
    ) {
        let truth = profile("qwen3-32b-tp2");
        let coefficients = truth.coefficients();
        let prior = StepModel::new(core::array::from_fn(|i| coefficients[i] * wrong[i])).unwrap();
        let mut fit = new(prior);
        run(&mut fit, &truth, scale, &grid(), 3_200);
        prop_assert!(error(&fit, &truth, scale, &grid()) < 0.02, "{:?}", fit.model());
    }

    /// Whatever is said to have happened: no panic, a valid model, finite predictions; and a
    /// refused call leaves no trace.
    #[test]
    fn nonsense_never_gets_in(calls in vec(hostile(), 1..200)) {
        let mut fit = new(small());
        for (shape, duration) in calls {
            let before = state(&fit);
            if let Ok(outcome) = fit.observe(&shape, Nanos(duration)) {
                prop_assert!(outcome.error_ratio.is_finite());
            } else {
                prop_assert_eq!(state(&fit), before);
            }
            prop_assert!(StepModel::new(fit.model().coefficients()).is_ok());
            prop_assert!(fit.seconds(&shape).is_finite());
            prop_assert!(load(&mut new(small()), &state(&fit)).is_some(), "its own state");
        }
        let stats = fit.stats();
        prop_assert!(stats.time_scale.is_finite() && stats.error_ratio <= 1.0);
        prop_assert!(stats.determined_ratio.iter().all(|ratio| (0.0..=1.0).contains(ratio)));
    }

    /// A state that is loaded goes on exactly as the one that was saved.
    #[test]
    fn a_saved_state_goes_on_bit_for_bit(
        steps in vec((shape(), 0.5..2.0_f64), 2..300), cut in 0.0..1.0_f64,
    ) {
        let (first, second) = steps.split_at((steps.len() as f64 * cut) as usize);
        let mut saved = new(small());
        for (shape, noise) in first {
            see(&mut saved, shape, small().seconds(shape) * noise);
        }
        let mut loaded = new(profile("qwen3-32b"));
        load(&mut loaded, &state(&saved)).unwrap();
        for (shape, noise) in second {
            let seconds = small().seconds(shape) * noise;
            prop_assert_eq!(see(&mut saved, shape, seconds), see(&mut loaded, shape, seconds));
            prop_assert_eq!(saved.seconds(shape).to_bits(), loaded.seconds(shape).to_bits());
        }
        prop_assert_eq!(state(&saved), state(&loaded));
    }

    /// Garbage in place of some words, or too few of them: refused without a trace, or a state
    /// that still gives valid models.
    #[test]
    fn garbage_is_refused_or_harmless(
        garbage in vec((0_usize..200, any::<u64>()), 0..6),
        flips in vec((0_usize..200, 0_u32..64), 0..3),
        len in 0_usize..200, steps in vec(shape(), 1..40),
    ) {
        let mut fit = new(small());
        run(&mut fit, &small(), 1.5, &grid(), 100);
        let mut words = state(&fit);
        let count = words.len();
        for (at, word) in garbage {
            words[at % count] = word;
        }
        for (at, bit) in flips {
            words[at % count] ^= 1 << bit;
        }
        let mut loaded = new(small());
        let before = state(&loaded);
        let len = len.min(count);
        if load(&mut loaded, &words[..len]).is_some() {
            prop_assert_eq!(len, count);
        } else {
            prop_assert_eq!(state(&loaded), before);
        }
        for shape in &steps {
            see(&mut loaded, shape, small().seconds(shape));
            prop_assert!(StepModel::new(loaded.model().coefficients()).is_ok());
            prop_assert!(loaded.seconds(shape).is_finite());
        }
        let _ = loaded.stats();
    }
}

#[test]
fn before_any_step_the_profile_is_the_model() {
    let fit = new(small());
    assert_eq!(fit.model(), small());
    let stats = fit.stats();
    assert_eq!((stats.samples, stats.limited, stats.error_ratio), (0, 0, 0.0));
    assert_eq!((stats.time_scale, stats.determined_ratio), (1.0, [0.0; FEATURES]));
}

#[test]
fn what_no_step_tells_stays_as_the_profile_has_it_at_the_engines_speed() {
    let mut fit = new(small());
    let decodes: Vec<_> = grid().into_iter().filter(|step| step.prefill_tokens == 0).collect();
    run(&mut fit, &small(), 2.0, &decodes, 2_000);
    assert!(error(&fit, &small(), 2.0, &grid()) < 0.01, "{:?}", fit.model());
    let stats = fit.stats();
    for (i, ratio) in stats.determined_ratio.into_iter().enumerate() {
        let told = [0, 2, 3].contains(&i);
        assert!(if told { ratio > 0.9 } else { ratio < 1e-9 }, "{}: {ratio}", FEATURE_NAMES[i]);
    }
    assert!((stats.time_scale - 2.0).abs() < 0.01);
}

#[test]
fn a_stall_moves_little_and_a_slowdown_gets_through() {
    let mut fit = new(small());
    run(&mut fit, &small(), 1.0, &grid(), 1_600);
    let decode = StepShape::default().with_decode(800);
    for shape in [decode, decode.with_prefill(512, 0)] {
        let mut stalled = fit.clone();
        let outcome = see(&mut stalled, &shape, 10.0 * small().seconds(&shape));
        assert!(outcome.limited && (outcome.error_ratio - 0.9).abs() < 0.01);
        run(&mut stalled, &small(), 1.0, &grid(), 8);
        assert!(error(&stalled, &small(), 1.0, &grid()) < 0.02);
        let outcome = see(&mut stalled, &shape, small().seconds(&shape) / 1e6);
        assert!(outcome.limited && outcome.error_ratio > 1e5);
        run(&mut stalled, &small(), 1.0, &grid(), 8);
        assert!(error(&stalled, &small(), 1.0, &grid()) < 0.02);
        assert_eq!(stalled.stats().limited, fit.stats().limited + 2);
    }
    for scale in [0.5, 1.3, 10.0] {
        let mut changed = fit.clone();
        run(&mut changed, &small(), scale, &grid(), 100);
        assert!(error(&changed, &small(), scale, &grid()) < 0.03, "{scale}");
    }
}

/// Of the steps of one kind more than a quarter must be outside the gate to be believed, however
/// few steps of that kind there are among all.
#[test]
fn outliers_that_persist_in_their_kind_are_the_truth() {
    let mut fit = new(small());
    run(&mut fit, &small(), 1.0, &grid(), 1_600);
    let decode = StepShape::default().with_decode(800);
    let mixed = decode.with_prefill(512, 0);
    let truth_s = 2.0 * small().seconds(&mixed);
    for step in 0..2_000 {
        match step % 20 {
            0 => see(&mut fit, &mixed, truth_s),
            _ => see(&mut fit, &decode, small().seconds(&decode)),
        };
    }
    let gate_is_open = !see(&mut fit, &mixed, truth_s).limited;
    assert!(gate_is_open && fit.seconds(&mixed) > 0.6 * truth_s, "{}", fit.seconds(&mixed));
    assert!((fit.seconds(&decode) / small().seconds(&decode) - 1.0).abs() < 0.05);
}

#[test]
fn refusals_name_the_field() {
    let mut fit = new(small());
    let decode = StepShape::default().with_decode(100);
    let mut refused =
        |shape, duration| fit.observe(&shape, Nanos(duration)).map(drop).unwrap_err().to_string();
    assert_eq!(refused(decode, 0), "`duration_ns` = 0 is outside 1..=3600000000000");
    assert!(refused(decode, u64::MAX).starts_with("`duration_ns`"));
    let nothing = StepShape { decode_context_tokens: 5, ..StepShape::default() };
    assert_eq!(refused(nothing, 1), "`prefill_tokens` = 0 is outside 1..=16777216");
    for (field, shape) in [
        ("prefill_tokens", StepShape { prefill_tokens: u32::MAX, ..decode }),
        ("decode_requests", StepShape { decode_requests: u32::MAX, ..decode }),
        ("prefill_history_tokens", StepShape { prefill_history_tokens: u64::MAX, ..decode }),
        ("decode_context_tokens", StepShape { decode_context_tokens: u64::MAX, ..decode }),
    ] {
        assert!(refused(shape, 1_000).starts_with(&std::format!("`{field}`")));
    }
    for memory_steps in [0, 49, 1_000_001] {
        let error = StepFit::new(small(), &StepFitOptions { memory_steps }).unwrap_err();
        assert_eq!(error.field(), "memory_steps");
    }
}

/// A step far beyond the rest counts less, as a whole: its own equation still holds.
#[test]
fn rows_that_would_drown_the_others_are_weighed_down() {
    let mut equations = Equations::default();
    equations.add(1.0, &[1e8, 0.0, 0.0, 1e7, 0.0, 0.0, 0.0], 0.5);
    assert!(equations.is_sound());
    assert!((equations.gram[0] - 1e8).abs() < 1.0, "{:?}", equations.gram);
    assert!((equations.moment[0] / equations.gram[0] - 0.5 / 1e8).abs() < 1e-18);
    assert!((equations.gram[6] / equations.gram[0] - 0.1).abs() < 1e-12);
}
