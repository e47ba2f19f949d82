//! The simulated engine's clock: how long each step really takes.
//!
//! An [`Engine`] is loaded by name: a built-in profile, or a folder of measured kernel tables
//! (`load`). Its clock is the truth ([`TableClock`], [`ProfileClock`]); its [`StepModel`] is what a
//! policy is told of it, fitted ([`fit()`]) on steps like those of a replay ([`sample_steps`]).

mod attention;
mod config;
mod fit;
mod grid;
mod load;
mod models;
mod profile;
mod rows;
mod sampler;
mod slowdown;
mod tables;

use std::sync::Arc;

use rampmeter::Nanos;
use rampmeter::engine::{KvGeometry, StepModel, StepShape};

pub use fit::{FitError, FitReport, fit};
pub use load::EngineOverrides;
pub use models::{GPUS, Gpu, MODELS, Model};
pub use profile::ProfileClock;
pub use sampler::{Limits, sample_steps};
pub use slowdown::Slowdown;
pub use tables::{Layout, STEP_OVERHEAD_US, TableClock};

/// A step as the clock sees it: the model's features and what the tables need besides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Prompt and decode totals.
    pub shape: StepShape,
    /// Requests that produce a token at the end of the step (decodes and finished prompts). An
    /// engine that also runs its head over unfinished prompts, and drops the result, may count
    /// those: one more takes a few microseconds.
    pub sampled_requests: u32,
}

/// The truth about step times: measured tables, or a fitted profile.
pub trait StepClock {
    /// Seconds that this step takes.
    fn seconds(&self, step: &Step) -> f64;

    /// Seconds that it takes if it starts at `start`, for an engine that changes its speed.
    fn seconds_at(&self, _start: Nanos, step: &Step) -> f64 {
        self.seconds(step)
    }
}

/// One simulated engine: its clock, its memory, its limits.
#[derive(Clone)]
pub struct Engine {
    /// Profile name, or model and tensor parallelism of the tables.
    pub name: String,
    /// Where its step times come from.
    pub source: String,
    /// How long steps really take.
    pub clock: Arc<dyn StepClock + Send + Sync>,
    /// What a policy is told about step times.
    pub model: StepModel,
    /// The KV cache.
    pub kv: KvGeometry,
    /// Requests that may run at once (seats).
    pub running_max: u32,
    /// Tokens that one step may compute.
    pub step_tokens_max: u32,
}
