//! Steps of one kind, with prompts or without: what they taught, and how far they stray.

use super::equations::Equations;

/// Spreads from the prediction to the edge of the gate. A spread is a mean absolute deviation,
/// 0.8 standard deviations of a normal one, of which 0.14% are then outside. At 3 a slowdown is
/// followed a fifth more slowly, at 6 stalls of five times the step cost 0.06 points of error.
const GATE_SPREADS: f64 = 4.0;

/// Least spread, as a logarithm: 1%, what the seven features leave unexplained of measured steps.
/// Half and twice as much move the mean error over the hundred steps after a slowdown by 0.3 points
/// and nothing else.
const SPREAD_MIN: f64 = 0.01;

/// Spread before any step was seen: a profile of another engine, off by a factor of e^2 = 7,
/// passes the gate at once. With half of it the next fifty steps are worse, with twice the same.
const SPREAD_FIRST: f64 = 0.5;

/// Widest gate, as a logarithm: a factor of 20. Longer stalls count as that; what is true gets
/// through in several steps.
pub(super) const GATE_MAX: f64 = 3.0;

/// Gain of the spread: ten steps. With half as much, the mean error over the hundred steps after a
/// slowdown is 3.7% instead of 3.2%; with twice as much, 2.9%.
const SPREAD_GAIN: f64 = 0.1;

/// Steps that the error in the statistics is a mean of: some seconds of work.
const ERROR_STEPS: u64 = 100;

/// What is known from steps of one kind.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) equations: Equations,
    pub(super) samples: u64,
    /// Mean absolute logarithmic error behind the gate.
    pub(super) spread: f64,
    /// Mean absolute relative error, each at most 1.
    pub(super) error_ratio: f64,
}

impl Kind {
    pub(super) fn new() -> Self {
        Self { equations: Equations::default(), samples: 0, spread: SPREAD_FIRST, error_ratio: 0.0 }
    }

    /// Takes note of one more step, and returns its deviation within the gate.
    pub(super) fn gate(&mut self, deviation: f64, error_ratio: f64) -> f64 {
        let edge = (GATE_SPREADS * self.spread.max(SPREAD_MIN)).min(GATE_MAX);
        let gated = deviation.clamp(-edge, edge);
        self.spread += SPREAD_GAIN * (gated.abs() - self.spread);
        self.samples = self.samples.saturating_add(1);
        let gain = 1.0 / self.samples.min(ERROR_STEPS) as f64;
        self.error_ratio += gain * (error_ratio.min(1.0) - self.error_ratio);
        gated
    }
}
