//! Fits the step-time model to steps whose time is known.
//!
//! # What it decides
//! The seven coefficients of [`StepModel`] that suit given steps best.
//!
//! # Formula
//! ```text
//! minimise sum_i ((seconds_i - features_i . c) / seconds_i)^2   over c >= 0, but for c5
//! ```
//! The weight `1 / seconds^2` makes it the *relative* error that counts: a policy that cuts a
//! chunk to a 50 ms target needs a 20 ms step as exactly as a 200 ms one. Negative coefficients
//! would fit a little better and predict that some work takes time away, which the inverse
//! ([`StepModel::prefill_tokens_within`]) must never see. The cost of having a prompt at all may
//! be negative, because the model itself sees to it that no chunk makes a step shorter.
//!
//! # How
//! A non-negative least-squares problem in seven unknowns has at most 127 sets of coefficients
//! that are not zero. Each is tried: its normal equations are solved, and of the solutions
//! without a forbidden sign the one with the least error is the optimum, exactly. (The
//! optimum is the unconstrained optimum over its own non-zero coefficients, so that it is among
//! those tried.) Columns are scaled to one before, since the features span twelve decades.
//!
//! # Bounds and cost
//! 49 multiplications a sample, then less than a tenth of a millisecond.
//!
//! # What it is bad at
//! Kernel tile effects: a step of 129 tokens takes as long as one of 192 on some GPUs, and no
//! straight line follows that.

use rampmeter::engine::{FEATURE_NAMES, FEATURES, PREFILL_STEP, StepModel};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Step;

/// Position of `prefill_s_per_token` among the coefficients.
const PREFILL_S_PER_TOKEN: usize = 1;

/// What a prompt token takes at least, in seconds, so that a prediction grows with every token as
/// [`StepModel`] demands. Where all sampled chunks are nearly equal the fit may leave it to the
/// term for "a step with a prompt". A thousandth of the fastest measured: a chunk of 2,048 tokens
/// gains 2 microseconds.
const PREFILL_S_PER_TOKEN_MIN: f64 = 1e-9;

/// A pivot this much smaller than the scaled diagonal means that two features say the same: ten
/// times the rounding error of summing a million products.
const PIVOT_MIN: f64 = 1e-9;

/// Why no model could be fitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// A step without a time.
    #[error("sample {index}: step time {seconds} s is not a positive number")]
    Time {
        /// Position in the samples.
        index: usize,
        /// The time that was given.
        seconds: f64,
    },
    /// The samples do not say what a prompt token takes.
    #[error("the {samples} sampled steps do not tell what a prompt token takes")]
    NoPrompts {
        /// Samples given.
        samples: usize,
    },
}

/// A fitted model and how well it fits. All errors are relative to the true time of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FitReport {
    /// By name, in the model's order; the name carries the unit.
    #[serde(serialize_with = "by_name")]
    pub coefficients: [f64; FEATURES],
    /// Mean absolute error over all steps, in percent.
    pub mape_pct: f64,
    /// The same over steps that contain prompt tokens.
    pub mape_prefill_pct: f64,
    /// 95th percentile of the absolute error over all steps, in percent.
    pub p95_pct: f64,
    /// Largest absolute error, in percent.
    pub max_pct: f64,
    /// Steps in all.
    pub samples: u64,
    /// Steps that contain prompt tokens.
    pub prefill_samples: u64,
}

impl FitReport {
    /// The errors of a model over steps whose seconds are known and positive.
    #[must_use]
    pub fn of(model: &StepModel, samples: &[(Step, f64)]) -> Self {
        let mut errors = Vec::with_capacity(samples.len());
        let (mut prefill_sum, mut prefill_samples) = (0.0, 0_u64);
        for (step, seconds) in samples {
            let error_pct = (model.seconds(&step.shape) / seconds - 1.0).abs() * 100.0;
            errors.push(error_pct);
            if step.shape.prefill_tokens > 0 {
                prefill_sum += error_pct;
                prefill_samples += 1;
            }
        }
        errors.sort_by(f64::total_cmp);
        let p95 = (errors.len() * 95).div_ceil(100).saturating_sub(1);
        Self {
            coefficients: model.coefficients(),
            mape_pct: errors.iter().sum::<f64>() / errors.len().max(1) as f64,
            mape_prefill_pct: prefill_sum / prefill_samples.max(1) as f64,
            p95_pct: errors.get(p95).copied().unwrap_or_default(),
            max_pct: errors.last().copied().unwrap_or_default(),
            samples: samples.len() as u64,
            prefill_samples,
        }
    }
}

/// The model that fits these steps and their seconds best, and how well.
///
/// # Errors
/// [`FitError`]: a time that is not positive, or samples that do not determine the model.
pub fn fit(samples: &[(Step, f64)]) -> Result<(StepModel, FitReport), FitError> {
    let mut equations = Equations::default();
    for (index, (step, seconds)) in samples.iter().enumerate() {
        if !(seconds.is_finite() && *seconds > 0.0) {
            return Err(FitError::Time { index, seconds: *seconds });
        }
        equations.add(&step.shape.features().map(|feature| feature / seconds));
    }
    let undetermined = FitError::NoPrompts { samples: samples.len() };
    let prompts = samples.iter().any(|(step, _)| step.shape.prefill_tokens > 0);
    let optimum = prompts.then(|| equations.solve()).flatten();
    let mut coefficients = optimum.ok_or(undetermined.clone())?;
    let prefill = &mut coefficients[PREFILL_S_PER_TOKEN];
    *prefill = prefill.max(PREFILL_S_PER_TOKEN_MIN);
    let model = StepModel::new(coefficients).map_err(|_| undetermined)?;
    Ok((model, FitReport::of(&model, samples)))
}

/// Writes coefficients as a map in the order of the model.
fn by_name<S: Serializer>(values: &[f64; FEATURES], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(FEATURES))?;
    for (name, value) in FEATURE_NAMES.iter().zip(values) {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

type Vector = [f64; FEATURES];

/// Normal equations `gram * c = moment` of rows whose target is 1 (times divided by themselves).
#[derive(Clone, Debug, Default)]
struct Equations {
    gram: [Vector; FEATURES],
    moment: Vector,
}

impl Equations {
    fn add(&mut self, row: &Vector) {
        for (i, &value) in row.iter().enumerate() {
            self.moment[i] += value;
            for (sum, &other) in self.gram[i].iter_mut().zip(row) {
                *sum += value * other;
            }
        }
    }

    /// The non-negative optimum, or `None` where the samples do not determine it.
    fn solve(&self) -> Option<Vector> {
        // A feature that never occurs is scaled to zero, and sets that contain it have no solution.
        let scale: Vector = std::array::from_fn(|i| match self.gram[i][i] {
            0.0 => 0.0,
            square => square.sqrt().recip(),
        });
        let mut scaled = self.clone();
        for i in 0..FEATURES {
            scaled.moment[i] *= scale[i];
            for j in 0..FEATURES {
                scaled.gram[i][j] *= scale[i] * scale[j];
            }
        }
        let solutions = (1..1_u32 << FEATURES).filter_map(|set| scaled.solve_set(set));
        let allowed = |(i, value): (usize, &f64)| *value >= 0.0 || i == PREFILL_STEP;
        let feasible = solutions.filter(|c| c.iter().enumerate().all(allowed));
        // At an optimum over its own set the squared error is `rows - moment . c`.
        let explained =
            |c: &Vector| -> f64 { c.iter().zip(scaled.moment).map(|(c, m)| c * m).sum() };
        let best = feasible.max_by(|a, b| explained(a).total_cmp(&explained(b)))?;
        Some(std::array::from_fn(|i| best[i] * scale[i]))
    }

    /// The optimum over the coefficients in `set` (as bits), the others zero: a Cholesky solution
    /// of their rows and columns. `None` where two features in the set say the same.
    fn solve_set(&self, set: u32) -> Option<Vector> {
        let members: Vec<usize> = (0..FEATURES).filter(|i| set >> i & 1 == 1).collect();
        let mut lower = [[0.0; FEATURES]; FEATURES];
        let mut solution = [0.0; FEATURES];
        for (k, &i) in members.iter().enumerate() {
            for (l, &j) in members[..=k].iter().enumerate() {
                let known: f64 = (0..l).map(|m| lower[k][m] * lower[l][m]).sum();
                let rest = self.gram[i][j] - known;
                if l < k {
                    lower[k][l] = rest / lower[l][l];
                } else if rest > PIVOT_MIN {
                    lower[k][k] = rest.sqrt();
                } else {
                    return None;
                }
            }
            let known: f64 = (0..k).map(|m| lower[k][m] * solution[members[m]]).sum();
            solution[i] = (self.moment[i] - known) / lower[k][k];
        }
        for (k, &i) in members.iter().enumerate().rev() {
            let later = k + 1..members.len();
            let known: f64 = later.map(|m| lower[m][k] * solution[members[m]]).sum();
            solution[i] = (solution[i] - known) / lower[k][k];
        }
        Some(solution)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use rampmeter::engine::StepShape;

    use super::*;

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let shape = (0_u32..2048, 0_u64..16_384, 0_u32..128, 16_u64..4096).prop_map(
            |(prefill_tokens, history, decode_requests, context)| StepShape {
                prefill_tokens,
                prefill_history_tokens: if prefill_tokens > 0 { history } else { 0 },
                decode_requests,
                decode_context_tokens: u64::from(decode_requests) * context,
            },
        );
        let with_decodes_only = shape.prop_flat_map(|shape| {
            any::<bool>().prop_map(move |alone| StepShape {
                prefill_tokens: if alone { 0 } else { shape.prefill_tokens },
                ..shape
            })
        });
        vec(with_decodes_only.prop_map(|shape| Step { shape, ..Step::default() }), 40..120)
    }

    proptest! {
        #[test]
        fn a_model_is_found_again(steps in steps(), scale in prop::array::uniform7(0.1..10.0_f64)) {
            let usual = [8e-3, 40e-6, 30e-6, 90e-9, 1e-9, 1e-3, 20e-9];
            let truth = StepModel::new(std::array::from_fn(|i| usual[i] * scale[i])).unwrap();
            let samples: Vec<_> =
                steps.into_iter().map(|step| (step, truth.seconds(&step.shape))).collect();
            let (_, report) = fit(&samples).unwrap();
            prop_assert!(report.max_pct < 1e-3, "{report:?}");
        }

        /// The conditions of Karush, Kuhn and Tucker, which only the optimum of a convex problem
        /// meets: no coefficient that is positive has a slope left, no other would gain by rising.
        #[test]
        fn the_fit_is_the_non_negative_optimum(steps in steps(),
                noise in vec(0.2..5.0_f64, 120)) {
            let model = StepModel::new([8e-3, 40e-6, 30e-6, 90e-9, 1e-9, 1e-3, 20e-9]).unwrap();
            let samples: Vec<_> = steps.into_iter().zip(noise)
                .map(|(step, noise)| (step, model.seconds(&step.shape) * noise)).collect();
            let mut equations = Equations::default();
            for (step, seconds) in &samples {
                equations.add(&step.shape.features().map(|feature| feature / seconds));
            }
            let optimum = equations.solve().unwrap();
            for (i, coefficient) in optimum.into_iter().enumerate() {
                let (mut slope, mut size) = (0.0, 0.0);
                for (step, seconds) in &samples {
                    let features = step.shape.features().map(|feature| feature / seconds);
                    let predicted: f64 = features.iter().zip(optimum).map(|(f, c)| f * c).sum();
                    slope += features[i] * (predicted - 1.0);
                    size += features[i];
                }
                let slope = slope / f64::max(size, f64::MIN_POSITIVE);
                prop_assert!(coefficient >= 0.0 || i == PREFILL_STEP);
                prop_assert!(slope > -1e-6, "{i}: {slope}");
                prop_assert!(coefficient == 0.0 || slope < 1e-6, "{i}: {slope}");
            }
        }
    }

    #[test]
    fn equal_chunks_still_give_a_price_to_a_token() {
        let chunk = Step { shape: StepShape::default().with_prefill(64, 0), sampled_requests: 1 };
        let (model, report) = fit(&[(chunk, 0.02), (Step::default(), 0.01)]).unwrap();
        assert!(model.coefficients()[PREFILL_S_PER_TOKEN] > 0.0);
        assert!(report.max_pct < 0.001, "{report:?}");
    }

    #[test]
    fn steps_that_tell_nothing_are_refused() {
        let decode = Step { shape: StepShape::default().with_decode(100), sampled_requests: 1 };
        assert_eq!(fit(&[(decode, 0.01); 3]), Err(FitError::NoPrompts { samples: 3 }));
        assert_eq!(fit(&[]), Err(FitError::NoPrompts { samples: 0 }));
        for seconds in [0.0, -1.0, f64::INFINITY] {
            assert_eq!(fit(&[(decode, seconds)]), Err(FitError::Time { index: 0, seconds }));
        }
    }

    #[test]
    fn the_report_names_each_coefficient_in_order() {
        let model = StepModel::new([1e-2, 6e-5, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
        let step = Step { shape: StepShape::default().with_prefill(100, 0), sampled_requests: 1 };
        let report = FitReport::of(&model, &[(step, 0.02), (Step::default(), 0.01)]);
        assert_eq!((report.samples, report.prefill_samples), (2, 1));
        assert!((report.mape_prefill_pct - 20.0).abs() < 1e-9);
        assert!((report.mape_pct - 10.0).abs() < 1e-9);
        assert!((report.max_pct - 20.0).abs() < 1e-9);
        let json = serde_json::to_string(&report).unwrap();
        let keys: Vec<_> = FEATURE_NAMES.iter().map(|name| json.find(name).unwrap()).collect();
        assert!(keys.is_sorted(), "{json}");
    }
}
