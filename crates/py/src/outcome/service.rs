//! Who was served how much, and how far apart accounts were that waited together.

use pyo3::prelude::*;
use rampmeter::outcome::{Difference as CoreDifference, measures};

use crate::error::Fault;
use crate::record::record;

record! {
    /// How far apart accounts were that waited together: the largest and the mean difference in
    /// weighted service of any pair, the seconds that pairs were compared, and how often an account
    /// was not, for want of room.
    "rampmeter.outcome" Difference {
        difference_max: f64,
        difference_mean: f64,
        compared_pair_s: f64,
        uncompared: u64,
    }
}
record! {
    /// What an account was served, and its service over its present weight.
    "rampmeter.outcome" AccountWork {
        prompt_tokens: u64,
        cached_tokens: u64,
        output_tokens: u64,
        weighted_service: f64,
    }
}

impl From<CoreDifference> for Difference {
    fn from(told: CoreDifference) -> Self {
        Self {
            difference_max: told.max,
            difference_mean: told.mean,
            compared_pair_s: told.compared_pair_s,
            uncompared: told.uncompared,
        }
    }
}

/// Jain's index of what parties got, from 1/n (one got all) to 1 (all got the same, or nobody
/// anything). Raises `RangeError`.
///
/// >>> from rampmeter.outcome import jain
/// >>> jain([4.0, 4.0, 0.0, 0.0])
/// 0.5
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // As PyO3 hands it over.
fn jain(values: Vec<f64>) -> PyResult<f64> {
    Ok(measures::jain(&values).map_err(Fault::from)?)
}

/// The time that a job took on the shared cluster over what it would have taken on its own share:
/// above 1 it would have been better off alone. Raises `RangeError`.
#[pyfunction]
#[pyo3(signature = (*, shared_s, alone_s))]
fn finish_time_fairness(shared_s: f64, alone_s: f64) -> PyResult<f64> {
    Ok(measures::finish_time_fairness(shared_s, alone_s).map_err(Fault::from)?)
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Difference>()?;
    module.add_class::<AccountWork>()?;
    module.add_function(wrap_pyfunction!(jain, module)?)?;
    module.add_function(wrap_pyfunction!(finish_time_fairness, module)?)
}
