//! The seam between the command line and the library: one function for each job, plain data in
//! and out. Nothing here prints, and nothing outside calls the simulator.

use std::path::{Path, PathBuf};

use rampmeter::engine::profile::PROFILES;
use rampmeter_sim::InputError;
use rampmeter_sim::report::ClassTarget;
use rampmeter_sim::results::ServingRun;
use serde::Serialize;

/// An engine, and what the user states about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EngineChoice {
    /// Profile or folder.
    pub(crate) spec: String,
    /// GPUs that share every layer.
    pub(crate) tensor_parallel: Option<u32>,
    /// Blocks of the KV cache.
    pub(crate) kv_blocks: Option<u32>,
    /// Requests that may run at once.
    pub(crate) running_max: Option<u32>,
    /// Tokens that one step may compute.
    pub(crate) step_tokens_max: Option<u32>,
}

/// Where requests come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Requests {
    /// The workload generator.
    Generated {
        /// Kind of service.
        preset: String,
        /// Minutes at the service's own rate.
        minutes: f64,
    },
    /// A recorded trace.
    Trace {
        /// `PATH[:FORMAT]`.
        spec: String,
        /// For a trace without arrivals.
        rate_per_s: Option<f64>,
        /// For a trace without lengths.
        lengths: Option<PathBuf>,
    },
}

/// Policies by loads over one workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServingJob {
    /// The requests.
    pub(crate) requests: Requests,
    /// How they get classes and accounts.
    pub(crate) mix: String,
    /// The engine that serves them.
    pub(crate) engine: EngineChoice,
    /// Policies as named on the command line.
    pub(crate) policies: Vec<String>,
    /// Loads; none means as recorded.
    pub(crate) loads: Vec<f64>,
    /// Seed of everything random.
    pub(crate) seed: u64,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Served {
    /// Name of the engine.
    pub(crate) engine: String,
    /// Where its step times come from.
    pub(crate) engine_source: String,
    /// Where the requests come from.
    pub(crate) workload: String,
    /// Classes in order of precedence.
    pub(crate) classes: Vec<ClassTarget>,
    /// Share of requests that must meet their targets for the service to count as good.
    pub(crate) attainment_min_ratio: f64,
    /// Policy by policy, loads rising.
    pub(crate) runs: Vec<ServingRun>,
}

/// One figure, measured and simulated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct QuantileError {
    /// `ttft_s`, `tpot_s` or `latency_s`.
    pub(crate) metric: String,
    /// `mean`, `median`, `p90`, `p95` or `p99`.
    pub(crate) stat: String,
    /// On the real engine, in seconds.
    pub(crate) measured: f64,
    /// In the simulator, in seconds.
    pub(crate) simulated: f64,
    /// How far off, in percent of what was measured.
    pub(crate) error_pct: f64,
}

/// The simulator against a measured run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Validation {
    /// Every figure.
    pub(crate) quantiles: Vec<QuantileError>,
}

/// A fitted step-time model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Fitted {
    /// The engine that it describes.
    pub(crate) engine: String,
    /// Name (with its unit) and value of each coefficient.
    pub(crate) coefficients: Vec<(String, f64)>,
    /// Mean absolute error over all steps, in percent.
    pub(crate) mape_pct: f64,
    /// The same over steps that contain prompt tokens.
    pub(crate) mape_prefill_pct: f64,
    /// 95th percentile of the absolute error, in percent.
    pub(crate) p95_pct: f64,
    /// Largest absolute error, in percent.
    pub(crate) max_pct: f64,
    /// Steps that it was fitted on.
    pub(crate) samples: u64,
}

/// A valid policy document, in both forms, with every default.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    /// As TOML.
    pub(crate) toml: String,
    /// As JSON.
    pub(crate) json: serde_json::Value,
    /// Names of its classes.
    pub(crate) classes: Vec<String>,
    /// Number of its accounts.
    pub(crate) accounts: usize,
}

/// Every policy that `--policy` takes.
pub(crate) fn policy_names() -> Vec<&'static str> {
    vec!["rampmeter", "fcfs", "priority", "sarathi", "vtc", "past-future"]
}

/// Every trace format.
pub(crate) fn format_names() -> Vec<&'static str> {
    vec!["azure", "mooncake", "lengths", "vtc", "servegen", "csv"]
}

/// Every mix.
pub(crate) fn mix_names() -> Vec<&'static str> {
    vec!["a", "b", "single"]
}

/// Every kind of service that can be imitated.
pub(crate) fn traffic_names() -> Vec<&'static str> {
    vec!["chat", "code", "mixed", "summarisation"]
}

/// Every preset of the policy document.
pub(crate) fn policy_preset_names() -> Vec<&'static str> {
    vec!["interactive", "balanced", "throughput"]
}

/// Every built-in engine profile.
pub(crate) fn profile_names() -> Vec<&'static str> {
    PROFILES.iter().map(|profile| profile.name).collect()
}

/// Refuses a job that names something unknown, before anything is read.
pub(crate) fn check(job: &ServingJob) -> Result<(), InputError> {
    for policy in &job.policies {
        check_policy(policy)?;
    }
    known("--mix", "mix", &job.mix, &mix_names())?;
    if let Requests::Generated { preset, .. } = &job.requests {
        known("--preset", "preset of traffic", preset, &traffic_names())?;
    }
    if !Path::new(&job.engine.spec).exists() {
        let what = "engine profile, and no folder of tables";
        known("--engine", what, &job.engine.spec, &profile_names())?;
    }
    Ok(())
}

fn check_policy(text: &str) -> Result<(), InputError> {
    let path = Path::new(text);
    let is_document = path.extension().is_some_and(|extension| {
        extension.eq_ignore_ascii_case("toml") || extension.eq_ignore_ascii_case("json")
    });
    if is_document {
        return if path.is_file() {
            Ok(())
        } else {
            Err(InputError::new(path, "is no file that can be read"))
        };
    }
    let mut parts = text.split('+');
    known("--policy", "policy", parts.next().unwrap_or_default(), &policy_names())?;
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        known("--policy", "option of a policy", key, &["chunk", "triage"])?;
        let sound = match key {
            "chunk" => value.parse::<u32>().is_ok_and(|tokens| tokens > 0),
            _ => part == key,
        };
        if !sound {
            let problem = format!("`+{part}` in `{text}` must be `+chunk=N`, N > 0, or `+triage`");
            return Err(InputError::new("--policy", problem));
        }
    }
    Ok(())
}

/// `name` is one of `names`, or the error says which of them is spelt most like it.
pub(crate) fn known(
    option: &str,
    what: &str,
    name: &str,
    names: &[&str],
) -> Result<(), InputError> {
    if names.contains(&name) {
        return Ok(());
    }
    let distance = |known: &&&str| strsim::damerau_levenshtein(&name.to_lowercase(), known);
    let nearest = names.iter().min_by_key(distance).copied().unwrap_or_default();
    let shown: String =
        name.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let problem =
        format!("`{shown}` is no {what}; the nearest is `{nearest}` (known: {})", names.join(", "));
    Err(InputError::new(option, problem))
}

/// Runs every policy at every load. `tell` hears how many runs are done, of how many, and the
/// policy that comes next.
pub(crate) fn serve(job: &ServingJob, tell: &dyn Fn(u64, u64, &str)) -> Result<Served, InputError> {
    tell(0, (job.policies.len() * job.loads.len().max(1)) as u64, &job.policies[0]);
    Err(InputError::new("replay serving", "not wired"))
}

/// Replays a measured run in the simulator.
pub(crate) fn validate(
    measured: &Path,
    _tables: &Path,
    _kv_blocks: Option<u32>,
) -> Result<Validation, InputError> {
    Err(InputError::new(measured, "not wired"))
}

/// Fits the step-time model to a folder of tables.
pub(crate) fn fit(tables: &Path, _tensor_parallel: Option<u32>) -> Result<Fitted, InputError> {
    Err(InputError::new(tables, "not wired"))
}

/// Reads and checks a policy document. The outer error: it cannot be read; the inner: it can,
/// and is not valid.
pub(crate) fn document(path: &Path) -> Result<Result<Document, InputError>, InputError> {
    Err(InputError::new(path, "not wired"))
}

/// A preset as a document; `None` where there is no such preset.
pub(crate) fn preset(name: &str) -> Option<Document> {
    let _ = name;
    None
}
