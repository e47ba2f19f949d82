//! The clock of a built-in profile: the step-time model itself.

use rampmeter::engine::StepModel;

use super::{Step, StepClock};

/// Step times exactly as the model predicts them: what a policy is told is then the truth, so that
/// a run with a profile shows a policy at its best. Tables have kernel effects that no model knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProfileClock(pub StepModel);

impl StepClock for ProfileClock {
    fn seconds(&self, step: &Step) -> f64 {
        self.0.seconds(&step.shape)
    }
}
