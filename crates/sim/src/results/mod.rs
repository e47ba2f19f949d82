//! What a run reports: the stable JSON of `--json`. Keys carry their unit.

use std::collections::BTreeMap;

use serde::Serialize;

/// Quantiles of one measure, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Mean.
    pub mean: f64,
}

/// What the users of one class, or of one account, felt.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Felt {
    /// Requests that arrived.
    pub offered: u64,
    /// Requests that were served to the end.
    pub completed: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Share of all offered requests that met both targets; refused and unfinished ones missed.
    pub attainment: f64,
    /// Requests a second that met both targets.
    pub goodput_per_s: f64,
    /// Apdex of TTFT at its target, failures frustrated.
    pub apdex: f64,
    /// Time to first token.
    pub ttft_s: Quantiles,
    /// Time per output token after the first.
    pub tpot_s: Quantiles,
    /// Wait before the first prompt token was computed.
    pub queue_wait_s: Quantiles,
}

/// One policy at one load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServingRun {
    /// The policy's name with its options.
    pub policy: String,
    /// The admission gate, `none` when nobody is refused.
    pub gate: String,
    /// The router, `none` with one replica.
    pub router: String,
    /// Offered work over what saturated FCFS completes; `null` when arrivals were not rescaled.
    pub load: Option<f64>,
    /// Requests that arrived.
    pub offered: u64,
    /// Requests that were served to the end.
    pub completed: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Prompt and output tokens of completed requests, per second of the run.
    pub tokens_per_s: f64,
    /// Prompt tokens found in the cache over all prompt tokens.
    pub prefix_hit_rate: f64,
    /// Busy seconds of the busiest replica over the mean of all.
    pub replica_load_max_over_mean: f64,
    /// Share of the run during which the GPU was busy: an effect, not a goal.
    pub utilization: f64,
    /// Requests that lost their KV and were computed again.
    pub preemptions: u64,
    /// Jain's index over the weighted service of accounts.
    pub jain: f64,
    /// Largest difference in weighted service between accounts backlogged together.
    pub service_difference_max: f64,
    /// Mean over time of that difference.
    pub service_difference_mean: f64,
    /// By class.
    pub classes: BTreeMap<String, Felt>,
    /// By account.
    pub accounts: BTreeMap<String, Felt>,
}
