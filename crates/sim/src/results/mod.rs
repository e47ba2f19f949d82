//! What a run reports: the stable JSON of `--json`. Keys carry their unit.
//!
//! Everything stands in one [`Document`]: `{"schema": 1, "runs": [...]}`. A key never changes its
//! meaning; new keys may be added.

mod fairness;
mod felt;
mod mean;
mod recorder;
mod refusals;
mod validation;
mod well_behaved;

use std::collections::BTreeMap;

use serde::Serialize;

pub use mean::mean;
pub use recorder::{Labels, Recorder};
pub use validation::{Latency, QuantileError, Validation, ValidationError, interpolated_quantile};

/// Version of the documents. It grows when a key is removed or changes its meaning.
pub const SCHEMA: u32 = 1;

/// The top level of everything that `--json` writes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document<Run> {
    /// [`SCHEMA`].
    pub schema: u32,
    /// One entry for each policy at each load, or for each comparison.
    pub runs: Vec<Run>,
}

impl<Run> Document<Run> {
    /// A document of the present schema.
    pub const fn new(runs: Vec<Run>) -> Self {
        Self { schema: SCHEMA, runs }
    }
}

/// Quantiles of one measure, in seconds where its key ends so. Nearest rank; at most 0.8% off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Mean, exact.
    pub mean: f64,
    /// Largest, exact.
    pub max: f64,
}

/// What the users of one class, or of one account, felt.
///
/// No number is ever missing. A request that was not served when the run ended counts with the
/// times it has felt so far, which are lower bounds. A refused one has no times (of one that
/// lost its seat before it expired, the first wait for that seat). A measure of
/// which there is no sample at all is the length of the run, for nobody got that far within it
/// (`slowdown`: the length over the floor of the run time); but `tpot_s` is 0 when requests were
/// completed and none had a second token to wait for. All is 0 when nothing was offered.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Felt {
    /// Requests that arrived.
    pub offered: u64,
    /// Requests that were served to the end.
    pub completed: u64,
    /// Requests that were refused: shed, expired, or too long to be served at all.
    pub refused: u64,
    /// Of these, requests turned away as they came because a queue was full.
    pub shed: u64,
    /// Of these, requests given up after they had waited for too long.
    pub expired: u64,
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
    /// From arrival to last token.
    pub e2e_s: Quantiles,
    /// Bounded slowdown: end to end over the time since it was first scheduled, at least 1.
    pub slowdown: Quantiles,
}

/// How well a policy that learns step times predicted them, when the run was over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LearnedModel {
    /// Mean error over about the last hundred steps of each kind, in percent of the step's time;
    /// each was predicted before it was learned from.
    pub error_pct: f64,
    /// The same over steps with prompts.
    pub error_prefill_pct: f64,
    /// Steps learned from.
    pub samples: u64,
}

/// One policy at one load.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServingRun {
    /// The policy's name with its options.
    pub policy: String,
    /// The policy as it ran: [`Self::policy`], or the one of its variants that was best here.
    pub variant: String,
    /// Seed of everything random.
    pub seed: u64,
    /// The admission gate in front of the policy, `none` without one.
    pub gate: String,
    /// The router, `none` with one replica.
    pub router: String,
    /// Offered work over what saturated FCFS completes; `null` when arrivals were not rescaled.
    pub load: Option<f64>,
    /// From the start of the run to its end, in its own time.
    pub elapsed_s: f64,
    /// Engine steps, over all replicas.
    pub steps: u64,
    /// Requests that arrived.
    pub offered: u64,
    /// Requests that were served to the end.
    pub completed: u64,
    /// Requests that were refused: shed, expired, or too long to be served at all.
    pub refused: u64,
    /// Of these, requests turned away as they came because a queue was full.
    pub shed: u64,
    /// Of these, requests given up after they had waited for too long.
    pub expired: u64,
    /// Mean of how long requests that were shed were told to wait before they come again, over
    /// those that may; 0 if there was none.
    pub retry_after_mean_s: f64,
    /// Prompt and output tokens of completed requests, per second of the run.
    pub tokens_per_s: f64,
    /// Prompt tokens found in the cache over all prompt tokens, of requests that got a seat, when
    /// they first got it.
    pub prefix_hit_rate: f64,
    /// Busy seconds of the busiest replica over the mean of all.
    pub replica_load_max_over_mean: f64,
    /// Share of the run during which the GPU was busy: an effect, not a goal.
    pub utilization: f64,
    /// Times that a request lost its KV and had to wait again.
    pub preemptions: u64,
    /// Tokens that steps computed for prompts, those computed again included.
    pub prefill_tokens: u64,
    /// Tokens, of prompts and outputs alike, that were computed again after a preemption.
    pub recomputed_tokens: u64,
    /// [`Self::recomputed_tokens`] over [`Self::prefill_tokens`].
    pub recompute_share: f64,
    /// Jain's index over the weighted service of accounts in the whole run. Where all is served
    /// in the end it says what accounts asked for, whatever the policy.
    pub jain: f64,
    /// Jain's index over the share of its demand that each well-behaved account had been served
    /// when the last request arrived. An account is well behaved if it asks for no more than its
    /// share by weight of all that is asked for.
    pub jain_well_behaved: f64,
    /// Largest difference in weighted service between accounts backlogged together, since the
    /// later of the two became backlogged.
    pub service_difference_max: f64,
    /// Mean of that difference over time and over pairs of accounts backlogged together.
    pub service_difference_mean: f64,
    /// Times that an account was backlogged and not compared, because too many were.
    pub service_uncompared: u64,
    /// [`Self::service_difference_max`] within each class: accounts that wait in it, by the
    /// service of that class. A policy that ranks classes can be held to this one; the difference
    /// over all classes grows wherever one class waits for another.
    pub class_service_difference_max: BTreeMap<String, f64>,
    /// The bound on that difference which the policy states for itself, for runs without
    /// preemption; absent where it states none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_bound: Option<f64>,
    /// What the policy learned of the engine's step times; absent where it does not learn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_model: Option<LearnedModel>,
    /// By class.
    pub classes: BTreeMap<String, Felt>,
    /// By account.
    pub accounts: BTreeMap<String, Felt>,
}

#[cfg(test)]
mod tests;
