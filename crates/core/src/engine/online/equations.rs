//! Least squares in seven unknowns, six of which are not negative.
//!
//! Unknowns are in *typical shares*: a coefficient times its feature in the typical step, over the
//! profile's time of that step. Rows are features in the same units, so that `row . solution` is a
//! duration in units of the observed one.

use super::kind::Kind;
use super::{FEATURES, SECONDS_MIN, StepModel, TYPICAL};
use crate::engine::PREFILL_STEP;

pub(super) type Vector = [f64; FEATURES];

/// Elements of a symmetric matrix on and below its diagonal.
pub(super) const TRIANGLE: usize = FEATURES * (FEATURES + 1) / 2;

/// Every unknown, as bits.
pub(super) const ALL: u32 = (1 << FEATURES) - 1;

/// Largest element of a row. A step that exceeds it counts less: it says a thousand times more of
/// one coefficient than usual steps do, and its square must not drown theirs in rounding. Measured
/// steps stay below 200.
const ROW_MAX: f64 = 1e4;

/// A pivot this much smaller than its diagonal element is rounding: a thousand times the error of
/// a sum of seven products.
const PIVOT_MIN: f64 = 1e-12;

/// A slope, over the root of its diagonal element, that is none: a millionth of what one step
/// with an error of 0.1% contributes.
const SLOPE_MIN: f64 = 1e-9;

/// Changes of the free set in one solution: each unknown in, out, and in again.
const CHANGES_MAX: usize = 3 * FEATURES;

/// Where an element of a symmetric matrix is; `row >= column`.
const fn at(row: usize, column: usize) -> usize {
    row * (row + 1) / 2 + column
}

/// Sums over the steps of one kind, the older the less.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Equations {
    /// Products of rows with themselves.
    pub(super) gram: [f64; TRIANGLE],
    /// Products of rows with their targets.
    pub(super) moment: Vector,
}

impl Equations {
    pub(super) fn add(&mut self, keep: f64, row: &Vector, target: f64) {
        let largest = row.iter().fold(ROW_MAX, |largest, value| value.max(largest));
        let weight = (ROW_MAX / largest) * (ROW_MAX / largest);
        let mut sum = self.gram.iter_mut();
        for (i, value) in row.iter().map(|value| value * weight).enumerate() {
            self.moment[i] = keep * self.moment[i] + value * target;
            for (other, sum) in row[..=i].iter().zip(&mut sum) {
                *sum = keep * *sum + value * other;
            }
        }
    }

    /// All that was seen, as if the engine had been `scale` times slower.
    pub(super) fn slow_down(&mut self, scale: f64) {
        let inverse = 1.0 / scale;
        for sum in &mut self.moment {
            *sum *= inverse;
        }
        for sum in &mut self.gram {
            *sum *= inverse * inverse;
        }
    }

    /// Whether every number is finite and they can be sums of products: no square is negative,
    /// and no product is larger than its squares allow.
    pub(super) fn is_sound(&self) -> bool {
        let finite = self.gram.iter().chain(&self.moment).all(|sum| sum.abs() <= SUM_MAX);
        finite
            && (0..FEATURES).all(|i| {
                let square = self.gram[at(i, i)];
                square >= 0.0
                    && (0..i).all(|j| {
                        let product = self.gram[at(i, j)];
                        // Rounding of a million sums.
                        product * product <= square * self.gram[at(j, j)] * (1.0 + 1e-9)
                    })
            })
    }
}

/// No sum exceeds this: a million of the largest rows, and as much again for a change of scale.
pub(super) const SUM_MAX: f64 = 1e20;

/// The profile, as one more step that is never forgotten.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Anchor {
    /// The profile's typical shares.
    pub(super) shares: Vector,
    /// The profile's time of a typical step.
    pub(super) seconds: f64,
}

impl Anchor {
    pub(super) fn new(prior: &StepModel) -> Self {
        let seconds = prior.seconds(&TYPICAL).max(SECONDS_MIN);
        let (features, coefficients) = (TYPICAL.features(), prior.coefficients());
        let share = |i: usize| coefficients[i] * features[i] / seconds;
        Self { shares: core::array::from_fn(share), seconds }
    }

    /// Coefficients in seconds.
    pub(super) fn coefficients(&self, solution: &Vector) -> Vector {
        let features = TYPICAL.features();
        core::array::from_fn(|i| solution[i] * self.seconds / features[i])
    }

    /// Features as a row, for a step that took so long.
    pub(super) fn row(&self, features: &Vector, seconds: f64) -> Vector {
        let (typical, unit) = (TYPICAL.features(), self.seconds / seconds);
        core::array::from_fn(|i| features[i] / typical[i] * unit)
    }

    /// What is to be solved: all that was seen, and the profile at `pace` times its typical time.
    pub(super) fn problem(&self, kinds: &[Kind; 2], pace: f64) -> Problem {
        let [decodes, mixed] = kinds.each_ref().map(|kind| &kind.equations);
        let weight = 1.0 / (pace * pace);
        let mut matrix: [f64; TRIANGLE] = core::array::from_fn(|i| decodes.gram[i] + mixed.gram[i]);
        for i in 0..FEATURES {
            matrix[at(i, i)] += weight;
        }
        let right = |i: usize| decodes.moment[i] + mixed.moment[i] + weight * pace * self.shares[i];
        Problem { matrix, right: core::array::from_fn(right), weight }
    }
}

/// Minimise `x . matrix . x / 2 - right . x` over `x >= 0`, but for `prefill_step_s`.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) matrix: [f64; TRIANGLE],
    pub(super) right: Vector,
    /// What the profile adds to the diagonal.
    weight: f64,
}

impl Problem {
    /// The optimum and its free set, from `start`, which keeps the signs, and the unknowns that
    /// may differ from zero there. `None` where rounding leaves no solution.
    pub(super) fn solve(&self, start: &Vector, free: u32) -> Option<(Vector, u32)> {
        let (mut x, mut free) = (*start, free | 1 << PREFILL_STEP);
        for _ in 0..CHANGES_MAX {
            let wanted = self.factor(free)?.solve(&self.right);
            let step = Self::longest_step(&x, &wanted, free);
            if step < 1.0 {
                free = Self::go(&mut x, &wanted, step, free);
                continue;
            }
            x = wanted;
            match self.steepest(&x, free) {
                Some(unknown) => free |= 1 << unknown,
                None => break,
            }
        }
        Some((x, free))
    }

    /// How far to go from `x` to `wanted`, at most all the way, before an unknown turns negative.
    fn longest_step(x: &Vector, wanted: &Vector, free: u32) -> f64 {
        let steps = (0..FEATURES).filter(|i| free >> i & 1 == 1).map(|i| Self::reach(x, wanted, i));
        steps.fold(1.0, f64::min)
    }

    /// The part of the way after which one unknown turns negative; infinite if it does not.
    fn reach(x: &Vector, wanted: &Vector, i: usize) -> f64 {
        let falls = i != PREFILL_STEP && wanted[i] < 0.0;
        if falls { x[i] / (x[i] - wanted[i]) } else { f64::INFINITY }
    }

    /// Goes there, and holds at zero what has become zero.
    fn go(x: &mut Vector, wanted: &Vector, step: f64, free: u32) -> u32 {
        let mut left = free;
        for i in (0..FEATURES).filter(|i| free >> i & 1 == 1) {
            // What limits the step becomes zero, whatever rounding says.
            if Self::reach(x, wanted, i) <= step {
                x[i] = 0.0;
                left &= !(1 << i);
            } else {
                x[i] += step * (wanted[i] - x[i]);
            }
        }
        left
    }

    /// The unknown held at zero that would gain most by rising.
    fn steepest(&self, x: &Vector, free: u32) -> Option<usize> {
        let mut best = (SLOPE_MIN, None);
        for i in (0..FEATURES).filter(|i| free >> i & 1 == 0) {
            let product: f64 =
                (0..FEATURES).map(|j| self.matrix[at(i.max(j), i.min(j))] * x[j]).sum();
            let slope = (self.right[i] - product) / libm::sqrt(self.matrix[at(i, i)]);
            if slope > best.0 {
                best = (slope, Some(i));
            }
        }
        best.1
    }

    /// Cholesky factor of the rows and columns in `free`; the others are those of the identity.
    fn factor(&self, free: u32) -> Option<Factor> {
        let mut lower = [0.0; TRIANGLE];
        let mut inverse = [0.0; FEATURES];
        for i in (0..FEATURES).filter(|i| free >> i & 1 == 1) {
            for j in (0..=i).filter(|j| free >> j & 1 == 1) {
                let known: f64 = (0..j).map(|k| lower[at(i, k)] * lower[at(j, k)]).sum();
                let element = self.matrix[at(i, j)];
                let rest = element - known;
                if j < i {
                    lower[at(i, j)] = rest * inverse[j];
                } else if rest > PIVOT_MIN * element {
                    lower[at(i, i)] = libm::sqrt(rest);
                    inverse[i] = 1.0 / lower[at(i, i)];
                } else {
                    return None;
                }
            }
        }
        Some(Factor { lower, inverse })
    }

    /// For each unknown the share of the profile's uncertainty that the steps have taken away.
    pub(super) fn determined(&self) -> Vector {
        let Some(factor) = self.factor(ALL) else { return [0.0; FEATURES] };
        core::array::from_fn(|i| {
            let unit = core::array::from_fn(|j| if i == j { 1.0 } else { 0.0 });
            (1.0 - self.weight * factor.solve(&unit)[i]).clamp(0.0, 1.0)
        })
    }
}

/// A lower triangle and the inverses of its diagonal, zero for what is held at zero.
#[derive(Clone, Debug)]
struct Factor {
    lower: [f64; TRIANGLE],
    inverse: Vector,
}

impl Factor {
    fn solve(&self, right: &Vector) -> Vector {
        let mut x = [0.0; FEATURES];
        for i in 0..FEATURES {
            let known: f64 = (0..i).map(|k| self.lower[at(i, k)] * x[k]).sum();
            x[i] = (right[i] - known) * self.inverse[i];
        }
        for i in (0..FEATURES).rev() {
            let known: f64 = (i + 1..FEATURES).map(|k| self.lower[at(k, i)] * x[k]).sum();
            x[i] = (x[i] - known) * self.inverse[i];
        }
        x
    }
}
