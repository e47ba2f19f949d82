//! How long does it last: a run, a hole?
//!
//! # Formula
//! ```text
//! run_s(task)     = its duration, or where that is unknown the mean below, or 1 s
//! holding_s(task) = max(run_s(task), holding)
//! holding         = policy's, or  sum g * T^2 / sum g * T  over the tasks placed so far
//! ```
//! with g the GPUs and T the run time in seconds: the mean run time weighted by GPU-seconds. A hole
//! outlives the task that made it, since others of its kind follow; it closes when the long ones
//! around it end, and they are who most GPU-seconds belong to. A run time that was not told counts
//! when the task ends. Where nothing is known all holes last 1 s, so that they are put in order by
//! what they strand alone.
//!
//! # What it is bad at
//! It forgets nothing: where run times drift, say the holding time in the policy.

use super::task::Task;
use crate::error::Error;
use crate::policy::PlacementRules;
use crate::snapshot::{Words, ensure};
use crate::units::Nanos;

/// Where no run time is known at all: one of any length puts nodes in the same order.
const UNKNOWN_S: f64 = 1.0;

const MILLI: f64 = 1_000.0;

/// Run times of what was placed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Horizon {
    /// Sum of g * T.
    gpu_seconds: f64,
    /// Sum of g * T^2.
    gpu_seconds_squared: f64,
}

impl Horizon {
    /// A task with so many devices runs for so long.
    pub(super) fn learn(&mut self, gpu_milli: u64, run: Nanos) {
        let run_s = run.as_seconds();
        let gpu_seconds = gpu_milli as f64 / MILLI * run_s;
        self.gpu_seconds += gpu_seconds;
        self.gpu_seconds_squared += gpu_seconds * run_s;
    }

    /// Tells itself as 2 words.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        save(self.gpu_seconds.to_bits());
        save(self.gpu_seconds_squared.to_bits());
    }

    /// Takes what was told: a mean run time that can be, twice the longest for what rounding adds.
    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let gpu_seconds = words.next_amount("gpu_seconds")?;
        let gpu_seconds_squared = words.next_amount("gpu_seconds_squared")?;
        ensure(gpu_seconds_squared <= gpu_seconds * (2.0 * Nanos::MAX.as_seconds()))?;
        Ok(Self { gpu_seconds, gpu_seconds_squared })
    }

    fn mean_s(&self) -> Option<f64> {
        (self.gpu_seconds > 0.0).then(|| self.gpu_seconds_squared / self.gpu_seconds)
    }

    /// How long a task is expected to run.
    pub(super) fn run_s(&self, task: &Task) -> f64 {
        known_s(task.duration).or_else(|| self.mean_s()).unwrap_or(UNKNOWN_S)
    }

    /// How long what it strands stays stranded.
    pub(super) fn holding_s(&self, task: &Task, rules: &PlacementRules) -> f64 {
        let holding_s = known_s(rules.holding).or_else(|| self.mean_s());
        let both = [known_s(task.duration), holding_s];
        both.into_iter().flatten().reduce(f64::max).unwrap_or(UNKNOWN_S)
    }
}

/// A span in seconds; zero: unknown.
fn known_s(span: Nanos) -> Option<f64> {
    (span > Nanos::ZERO).then(|| span.as_seconds())
}
