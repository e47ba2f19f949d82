//! What is safe, and how sure that is.

use pyo3::prelude::*;
use rampmeter::headroom::{Answer, Basis, CanRemove as CoreCanRemove, Stats};

use crate::record::record;

record! {
    /// A number, and between which it lies nine times out of ten. `basis` is what weighed most in
    /// it: "model" (formulas, from measured rates), "rehearsed" (the requests that came, tried out at
    /// other loads) or "observed" (it holds for the load that there was).
    "rampmeter.headroom" Estimate {
        value: f64,
        low: f64,
        high: f64,
        basis: &'static str,
        samples: u64,
    }
}
record! {
    /// Too few requests were seen to say anything.
    "rampmeter.headroom" NotEnoughData {
        samples: u64,
        samples_needed: u64,
    }
}
record! {
    /// Whether one replica can be taken away: "yes" (every target holds without it, nineteen times
    /// out of twenty), "perhaps" (likely), "no", or "not_enough_data", the only answer with
    /// `samples` and `samples_needed`.
    "rampmeter.headroom" CanRemove {
        answer: &'static str,
        samples: u64,
        samples_needed: u64,
    }
}
record! {
    /// What a desk of headroom knows and did. `service_s` is what a request takes of a server of a
    /// full pool, `rho` the offered load over capacity, `dispersion` 1 where arrivals are
    /// independent.
    "rampmeter.headroom" HeadroomStats {
        replicas: u32,
        arrived: u64,
        ended: u64,
        waiting: u64,
        running: u64,
        rate_per_s: f64,
        service_s: f64,
        service_scv: f64,
        dispersion: f64,
        rho: f64,
    }
}

/// An answer of [`super::Headroom`], known or not.
#[derive(IntoPyObject)]
pub(crate) enum Estimated {
    Known(Estimate),
    Unknown(NotEnoughData),
}

impl From<Answer> for Estimated {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Known(estimate) => Self::Known(Estimate {
                value: estimate.value,
                low: estimate.low,
                high: estimate.high,
                basis: match estimate.basis {
                    Basis::Model => "model",
                    Basis::Rehearsed => "rehearsed",
                    Basis::Observed => "observed",
                },
                samples: estimate.samples,
            }),
            Answer::NotEnoughData { samples, needed } => {
                Self::Unknown(NotEnoughData { samples, samples_needed: needed })
            }
        }
    }
}

impl From<CoreCanRemove> for CanRemove {
    fn from(answer: CoreCanRemove) -> Self {
        let (answer, samples, samples_needed) = match answer {
            CoreCanRemove::Yes => ("yes", 0, 0),
            CoreCanRemove::Perhaps => ("perhaps", 0, 0),
            CoreCanRemove::No => ("no", 0, 0),
            CoreCanRemove::NotEnoughData { samples, needed } => {
                ("not_enough_data", samples, needed)
            }
        };
        Self { answer, samples, samples_needed }
    }
}

impl From<Stats> for HeadroomStats {
    fn from(stats: Stats) -> Self {
        Self {
            replicas: stats.replicas,
            arrived: stats.arrived,
            ended: stats.ended,
            waiting: stats.waiting,
            running: stats.running,
            rate_per_s: stats.rate_per_s,
            service_s: stats.service_s,
            service_scv: stats.service_scv,
            dispersion: stats.dispersion,
            rho: stats.rho,
        }
    }
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Estimate>()?;
    module.add_class::<NotEnoughData>()?;
    module.add_class::<CanRemove>()?;
    module.add_class::<HeadroomStats>()
}
