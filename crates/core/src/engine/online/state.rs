//! Saving what was learned, and taking it back only if it is sound.
//!
//! Every number goes out as 64 bits, in one fixed order, so that what comes back predicts the same
//! bit for bit. The memory in steps is an option, not knowledge: it stays the receiver's.

use super::equations::{ALL, Equations, SUM_MAX, TRIANGLE, Vector};
use super::kind::{GATE_MAX, Kind};
use super::{FEATURES, SECONDS_MIN, StepFit};
use crate::engine::{PREFILL_STEP, StepModel};

/// Longest typical step of a profile whose every coefficient is at its largest, in seconds; more
/// is no profile.
const ANCHOR_SECONDS_MAX: f64 = 1e10;

/// Most that the scale moves between two solutions: 8 steps at the widest gate (e^4.8), and as
/// much again for a solution that failed.
const SCALE_MAX: f64 = 1e5;

impl StepFit {
    /// Hands out everything that was learned.
    pub(crate) fn save_state(&self, write: &mut dyn FnMut(u64)) {
        let model = self.model.coefficients();
        let vectors = [&self.anchor.shares, &self.solution, &model].into_iter().flatten();
        let numbers = [&self.anchor.seconds, &self.scale, &self.trend, &self.trend_size];
        for value in vectors.chain(numbers) {
            write(value.to_bits());
        }
        for kind in &self.kinds {
            let sums = kind.equations.gram.iter().chain(&kind.equations.moment);
            for value in sums.chain([&kind.spread, &kind.error_ratio]) {
                write(value.to_bits());
            }
            write(kind.samples);
        }
        write(self.limited);
        write(u64::from(self.free));
    }

    /// Takes back what [`StepFit::save_state`] handed out. `None` if it ends early or is not
    /// sound, and then nothing has changed.
    pub(crate) fn load_state(&mut self, read: &mut dyn FnMut() -> Option<u64>) -> Option<()> {
        let mut loaded = self.clone();
        loaded.anchor.shares = shares(read)?;
        loaded.solution = shares(read)?;
        loaded.model = StepModel::new(reals(read)?).ok()?;
        loaded.anchor.seconds = real(read, SECONDS_MIN, ANCHOR_SECONDS_MAX)?;
        loaded.scale = real(read, 1.0 / SCALE_MAX, SCALE_MAX)?;
        loaded.trend = real(read, -GATE_MAX, GATE_MAX)?;
        loaded.trend_size = real(read, 0.0, GATE_MAX)?;
        for kind in &mut loaded.kinds {
            let equations = Equations { gram: reals::<TRIANGLE>(read)?, moment: reals(read)? };
            let (spread, error_ratio) = (real(read, 0.0, GATE_MAX)?, real(read, 0.0, 1.0)?);
            *kind = Kind { equations, samples: read()?, spread, error_ratio };
            if !kind.equations.is_sound() {
                return None;
            }
        }
        loaded.limited = read().filter(|limited| *limited <= loaded.samples())?;
        let free = read().filter(|free| *free <= u64::from(ALL))?;
        loaded.free = free as u32;
        *self = loaded;
        Some(())
    }
}

/// A number within its bounds, which NaN never is.
fn real(read: &mut dyn FnMut() -> Option<u64>, least: f64, most: f64) -> Option<f64> {
    read().map(f64::from_bits).filter(|value| (least..=most).contains(value))
}

fn reals<const N: usize>(read: &mut dyn FnMut() -> Option<u64>) -> Option<[f64; N]> {
    let mut values = [0.0; N];
    for value in &mut values {
        *value = real(read, -f64::MAX, f64::MAX)?;
    }
    Some(values)
}

/// Typical shares: none but that of `prefill_step_s` is negative.
fn shares(read: &mut dyn FnMut() -> Option<u64>) -> Option<Vector> {
    let values: Vector = reals(read)?;
    let sound = |i: usize| values[i].abs() <= SUM_MAX && (values[i] >= 0.0 || i == PREFILL_STEP);
    (0..FEATURES).all(sound).then_some(values)
}
