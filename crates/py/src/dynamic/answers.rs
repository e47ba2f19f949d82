//! What a dynamic batcher holds, what it has learned, and why a request is where it is.

use pyo3::prelude::*;
use rampmeter::Nanos;
use rampmeter::batch::dynamic::{Explanation, Stage, Stats, Verdict as CoreVerdict};
use rampmeter::engine::LatencyCurve;

use super::batches::name;
use crate::record::record;

record! {
    /// What a dynamic batcher holds, how full it is, and what it did. `waiting` has the `late` in it,
    /// whose deadline is lost; `requests` those that run.
    "rampmeter.dynamic" DynamicStats {
        waiting: u32,
        late: u32,
        requests: u32,
        requests_max: u32,
        batches_running: u32,
        accounts: u32,
        batches: u64,
        launched: u64,
        expired: u64,
        shed: u64,
    }
}
record! {
    /// The latency curve of a bucket at one size: seconds, the batches observed, how many recent ones
    /// speak for this size (`weight`, at most 64) and how far they lay off; the size up to this that
    /// serves most requests a second; and the next size at which the slope changes.
    "rampmeter.dynamic" CurveStats {
        seconds: f64,
        learns: bool,
        samples: u64,
        weight: f64,
        spread_ratio: f64,
        best_size: u32,
        best_rate_per_s: f64,
        next_knot: Option<u32>,
    }
}
record! {
    /// What was last decided about a bucket: requests to launch (0: it was to wait), and what
    /// launching and the best waiting were expected to cost in value-seconds.
    "rampmeter.dynamic" Verdict {
        launch_size: u32,
        wait_s: f64,
        why: &'static str,
        launch_cost: f64,
        wait_cost: f64,
    }
}
record! {
    /// Where a request is, and what was last decided about its bucket. `latest_launch_ns` is the last
    /// moment at which it could be launched alone and be in time.
    "rampmeter.dynamic" DynamicExplanation {
        stage: &'static str,
        deadline_ns: Option<u64>,
        latest_launch_ns: Option<u64>,
        waiting: u32,
        late: u32,
        rate_per_s: f64,
        verdict: Option<Verdict>,
    }
}

impl From<Stats> for DynamicStats {
    fn from(stats: Stats) -> Self {
        Self {
            waiting: stats.waiting,
            late: stats.late,
            requests: stats.requests,
            requests_max: stats.requests_max,
            batches_running: stats.batches_running,
            accounts: stats.accounts,
            batches: stats.batches,
            launched: stats.launched,
            expired: stats.expired,
            shed: stats.shed,
        }
    }
}

impl CurveStats {
    pub(super) fn read(curve: &LatencyCurve, batch_size: u32) -> Self {
        let sure = curve.confidence(batch_size);
        let (best_size, best_rate_per_s) = curve.best_rate(batch_size);
        Self {
            seconds: curve.seconds(batch_size),
            learns: curve.is_learning(),
            samples: sure.samples,
            weight: sure.weight,
            spread_ratio: sure.spread_ratio,
            best_size,
            best_rate_per_s,
            next_knot: curve.knot_after(batch_size),
        }
    }
}

impl From<CoreVerdict> for Verdict {
    fn from(verdict: CoreVerdict) -> Self {
        Self {
            launch_size: verdict.size,
            wait_s: verdict.wait_s,
            why: name(verdict.why),
            launch_cost: verdict.launch_cost,
            wait_cost: verdict.wait_cost,
        }
    }
}

impl From<Explanation> for DynamicExplanation {
    fn from(known: Explanation) -> Self {
        Self {
            stage: match known.stage {
                Stage::Waiting => "waiting",
                Stage::Delayed => "delayed",
                Stage::Late => "late",
                Stage::Running => "running",
                Stage::Cancelled => "cancelled",
            },
            deadline_ns: known.deadline.map(Nanos::get),
            latest_launch_ns: known.latest_launch.map(Nanos::get),
            waiting: known.waiting,
            late: known.late,
            rate_per_s: known.rate_per_s,
            verdict: known.verdict.map(Verdict::from),
        }
    }
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<DynamicStats>()?;
    module.add_class::<CurveStats>()?;
    module.add_class::<Verdict>()?;
    module.add_class::<DynamicExplanation>()
}
