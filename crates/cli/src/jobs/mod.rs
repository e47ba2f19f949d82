//! The seam between the command line and the library: one function for each job, plain data in
//! and out. Nothing here prints, and nothing outside calls the simulator.

mod cluster;
mod pack;
mod parallel;
mod probe;
mod serving;
mod share;

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use rampmeter::engine::profile::PROFILES;
use rampmeter::policy::{self, Policy};
use rampmeter_sim::InputError;
pub(crate) use rampmeter_sim::engine::EngineOverrides;
use rampmeter_sim::engine::{Engine, FitReport};
use rampmeter_sim::results::{Latency, Validation};
use rampmeter_sim::serving::replay::steps_of;
use rampmeter_sim::serving::replicas::RouterKind;
use rampmeter_sim::serving::spec::PeerKind;
use rampmeter_sim::serving::{
    PolicySpec, RunOptions, capacity, read_policy, validate as ground_truth,
};
use rampmeter_sim::trace::Format;
use rampmeter_sim::workload::{Generator, Mix, Preset};
use serde::Serialize;

pub(crate) use cluster::{
    ClusterJob, Clustered, job_format_names, placement_names, replay_cluster,
};
pub(crate) use pack::{PackJob, pack, pack_policy_names};
pub(crate) use probe::{Look, Machine, ProbeJob};
pub(crate) use serving::{Requests, ServingJob, check, serve};
pub(crate) use share::{Holding, RankingName, Row, ShareJob, Shares, Standings, standings};

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

impl EngineChoice {
    fn overrides(&self) -> EngineOverrides {
        EngineOverrides {
            tensor_parallel: self.tensor_parallel,
            kv_blocks: self.kv_blocks,
            running_max: self.running_max,
            step_tokens_max: self.step_tokens_max,
        }
    }
}

/// A fitted step-time model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Fitted {
    /// The engine that it describes.
    pub(crate) engine: String,
    /// Where its step times come from.
    pub(crate) source: String,
    /// Coefficients, and errors over the steps that they were fitted to.
    #[serde(flatten)]
    pub(crate) report: FitReport,
    /// Errors over the steps of a replay that they were not fitted to.
    pub(crate) replay: FitReport,
}

/// Load of the replay that a fit is tried on: busy, with a queue now and then.
const FIT_LOAD: f64 = 0.8;

/// Seed of that replay; any fixed number.
const FIT_SEED: u64 = 42;

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
    PolicySpec::names().collect()
}

/// Every router that `--router` takes.
pub(crate) fn router_names() -> Vec<&'static str> {
    RouterKind::ALL.map(RouterKind::name).to_vec()
}

/// Every trace format.
pub(crate) fn format_names() -> Vec<&'static str> {
    Format::ALL.map(Format::name).to_vec()
}

/// Every kind of service that can be imitated.
pub(crate) fn traffic_names() -> Vec<&'static str> {
    Preset::ALL.map(Preset::name).to_vec()
}

/// Every preset of the policy document.
pub(crate) fn policy_preset_names() -> Vec<&'static str> {
    policy::Preset::ALL.map(policy::Preset::name).to_vec()
}

/// Every built-in engine profile.
pub(crate) fn profile_names() -> Vec<&'static str> {
    PROFILES.iter().map(|profile| profile.name).collect()
}

/// Any failure of the simulator as one sentence about where it came from.
fn about(place: impl AsRef<Path>, error: &dyn Display) -> InputError {
    InputError::new(place, error.to_string())
}

/// A named thing, or a sentence about the option that misnames it.
fn named<T: FromStr<Err = String>>(option: &str, name: &str) -> Result<T, InputError> {
    name.parse().map_err(|problem: String| InputError::new(option, problem))
}

/// Two runs of one name cannot be told apart in a report.
fn once<T: PartialEq + Display>(option: &str, given: &[T]) -> Result<(), InputError> {
    for (index, one) in given.iter().enumerate() {
        if given[..index].contains(one) {
            return Err(InputError::new(option, format!("`{one}` is given twice")));
        }
    }
    Ok(())
}

/// Replays a measured run in the simulator.
pub(crate) fn validate(
    measured: &Path,
    tables: &Path,
    kv_blocks: Option<u32>,
) -> Result<Validation, InputError> {
    let run = ground_truth::read(measured)?;
    let overrides = EngineOverrides {
        tensor_parallel: Some(run.tensor_parallel),
        kv_blocks: run.kv_blocks.or(kv_blocks),
        running_max: Some(run.running_max),
        step_tokens_max: Some(run.step_tokens_max),
    };
    let (engine, _) = Engine::fitted(tables, &overrides)?;
    let compared = ground_truth::replay(&run, &engine).map_err(|error| about(measured, &error))?;
    let side = |of: fn(&ground_truth::Compared) -> Latency| -> Vec<Latency> {
        compared.iter().map(of).collect()
    };
    Validation::compare(&side(|row| row.measured), &side(|row| row.simulated))
        .map_err(|error| about(measured, &error))
}

/// Fits the step-time model to a folder of tables, and tries it on a replay that it was not
/// fitted to: ten minutes of generated chat traffic at [`FIT_LOAD`], served first come, first
/// served, with step times from the tables.
pub(crate) fn fit(tables: &Path, tensor_parallel: Option<u32>) -> Result<Fitted, InputError> {
    let overrides = EngineOverrides { tensor_parallel, ..EngineOverrides::default() };
    let (engine, report) = Engine::fitted(tables, &overrides)?;
    let trace = Generator::new(Preset::Chat, FIT_SEED).generate()?;
    let mut workload = Mix::A.apply(trace, FIT_SEED)?;
    let capacity = capacity::measure(&workload, &engine).map_err(|error| about(tables, &error))?;
    capacity::rescale(&mut workload, capacity.arrival_factor(FIT_LOAD, 1)?);
    let fcfs = PolicySpec::peer(PeerKind::Fcfs);
    let steps = steps_of(&workload, &engine, &fcfs, RunOptions::default())
        .map_err(|error| about(tables, &error))?;
    let replay = FitReport::of(&engine.model, &steps);
    Ok(Fitted { engine: engine.name, source: engine.source, report, replay })
}

/// Reads and checks a policy document. The outer error: it cannot be read; the inner: it can,
/// and is not valid.
pub(crate) fn document(path: &Path) -> Result<Result<Document, InputError>, InputError> {
    Ok(read_policy(path)?.map(|policy| Document::of(&policy)))
}

/// A preset as a document; `None` where there is no such preset.
pub(crate) fn preset(name: &str) -> Option<Document> {
    policy::Preset::from_name(name).map(|preset| Document::of(&preset.policy()))
}

impl Document {
    fn of(policy: &Policy) -> Self {
        Self {
            toml: policy.to_toml_with_comments(),
            // The core writes JSON; should it not parse, the text itself is still the truth.
            json: serde_json::from_str(&policy.to_json()).unwrap_or_default(),
            classes: policy.classes.iter().map(|class| class.name.clone()).collect(),
            accounts: policy.accounts.len(),
        }
    }
}
