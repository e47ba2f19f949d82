//! Finds an engine by name: a built-in profile, or a folder of measured tables.
//!
//! # Folders
//! ```text
//! RTXPRO6000/               a GPU that is known, or anything
//!   Llama-3.1-8B/           <- this folder is named; a model that is known, or
//!     engine.toml              any name with an engine.toml (see `config`)
//!     tp1/                  one folder for each tensor parallelism
//!       dense.csv           layer, tokens, time_us
//!       per_sequence.csv    layer, sequences, time_us
//!       attention.csv       prefill_chunk, kv_prefill, n_decode, kv_decode, time_us
//! ```
//! What a call states goes before `engine.toml`, that before the known model, that before the
//! defaults.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rampmeter::Blocks;
use rampmeter::engine::profile::PROFILES;
use rampmeter::engine::{KvGeometry, Profile};

use super::config::EngineConfig;
use super::fit::{FitReport, fit};
use super::models::{GPUS, Gpu, KV_BLOCK_TOKENS, Model, kv_bytes_per_token};
use super::sampler::{Limits, sample_steps};
use super::tables::{Layout, STEP_OVERHEAD_US, TableClock};
use super::{Engine, ProfileClock};
use crate::InputError;
use crate::input::unreadable;
use crate::nearest::unknown;

/// Seats unless stated: those of both measured vLLM runs (`max_num_seqs`).
const RUNNING_MAX: u32 = 128;

/// Tokens a step unless stated: those of both measured vLLM runs (`max_num_batched_tokens`).
const STEP_TOKENS_MAX: u32 = 2_048;

const BYTES_PER_GIB: f64 = 1_073_741_824.0;

/// What a caller states about an engine, before anything that its folder or profile says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EngineOverrides {
    /// GPUs that share every layer; picks the folder `tpN`. Default 1.
    pub tensor_parallel: Option<u32>,
    /// Blocks of the KV cache.
    pub kv_blocks: Option<u32>,
    /// Requests that may run at once (seats).
    pub running_max: Option<u32>,
    /// Tokens that one step may compute.
    pub step_tokens_max: Option<u32>,
}

impl Engine {
    /// The engine `spec`: the name of a built-in profile, or a folder of measured tables.
    ///
    /// # Errors
    /// A sentence naming the file, line and field, or the option, that cannot be used.
    pub fn load(spec: &str, overrides: &EngineOverrides) -> Result<Self, InputError> {
        overrides.check()?;
        if let Some(profile) = Profile::named(spec) {
            return Self::from_profile(profile, overrides);
        }
        let folder = Path::new(spec);
        if !folder.exists() {
            let names = PROFILES.iter().map(|profile| profile.name);
            let problem = unknown(spec, "engine profile or folder of tables", names);
            return Err(InputError::new("--engine", problem));
        }
        Self::fitted(folder, overrides).map(|(engine, _)| engine)
    }

    /// The engine of a folder of tables, and how well the step-time model fits them.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn fitted(
        folder: &Path,
        overrides: &EngineOverrides,
    ) -> Result<(Self, FitReport), InputError> {
        overrides.check()?;
        let tables = Tables::find(folder, overrides)?;
        let clock = TableClock::read(&tables.folder, &tables.layout)?;
        let limits = Limits {
            running_max: tables.running_max,
            step_tokens_max: tables.step_tokens_max,
            kv_tokens_max: tables.kv.tokens_max(),
        };
        let samples = sample_steps(&clock, &limits);
        let (model, report) = fit(&samples)
            .map_err(|error| InputError::new(&tables.folder, format!("no model fits: {error}")))?;
        let engine = Self {
            name: tables.name,
            source: tables.source,
            clock: Arc::new(clock),
            model,
            kv: tables.kv,
            running_max: tables.running_max,
            step_tokens_max: tables.step_tokens_max,
        };
        Ok((engine, report))
    }

    fn from_profile(profile: &Profile, overrides: &EngineOverrides) -> Result<Self, InputError> {
        if let Some(gpus) = overrides.tensor_parallel.filter(|n| *n != profile.tensor_parallel) {
            let problem = format!(
                "{gpus} GPUs, but profile `{}` was measured on {}",
                profile.name, profile.tensor_parallel
            );
            return Err(InputError::new("--tp", problem));
        }
        let invalid = |error: rampmeter::Error| InputError::new(profile.name, error.to_string());
        let model = profile.step_model().map_err(invalid)?;
        let kv_blocks = overrides.kv_blocks.unwrap_or(profile.kv_blocks);
        Ok(Self {
            name: profile.name.to_owned(),
            source: profile.source.to_owned(),
            clock: Arc::new(ProfileClock(model)),
            model,
            kv: KvGeometry::new(Blocks(kv_blocks), profile.kv_block_tokens).map_err(invalid)?,
            running_max: overrides.running_max.unwrap_or(profile.running_max),
            step_tokens_max: overrides.step_tokens_max.unwrap_or(profile.step_tokens_max),
        })
    }
}

impl EngineOverrides {
    /// Most GPUs that one tensor-parallel group may have: more than any rack links.
    pub const TENSOR_PARALLEL_MAX: u32 = 1_024;
    /// Most blocks that a KV cache may have: their numbers fit 32 bits with one to spare.
    pub const KV_BLOCKS_MAX: u32 = u32::MAX - 1;
    /// Most seats, a thousand times what engines have.
    pub const RUNNING_MAX: u32 = 1_000_000;
    /// Most tokens that a step may compute: the longest context window announced for any model.
    pub const STEP_TOKENS_MAX: u32 = 10_000_000;

    /// Refuses a count that is zero or absurd, naming the option.
    fn check(&self) -> Result<(), InputError> {
        for (option, value, max) in [
            ("--tp", self.tensor_parallel, Self::TENSOR_PARALLEL_MAX),
            ("--kv-blocks", self.kv_blocks, Self::KV_BLOCKS_MAX),
            ("--seats", self.running_max, Self::RUNNING_MAX),
            ("--step-tokens", self.step_tokens_max, Self::STEP_TOKENS_MAX),
        ] {
            if let Some(value) = value.filter(|value| !(1..=max).contains(value)) {
                return Err(InputError::new(option, format!("{value} is outside 1..={max}")));
            }
        }
        Ok(())
    }
}

/// A folder of tables, and everything about its engine but the times.
struct Tables {
    name: String,
    source: String,
    /// The folder `tpN` itself.
    folder: PathBuf,
    layout: Layout,
    kv: KvGeometry,
    running_max: u32,
    step_tokens_max: u32,
}

/// Where a folder's figures come from.
struct Origin {
    /// The folder, or its `engine.toml` where there is one: the place to name in an error.
    path: PathBuf,
    config: EngineConfig,
    model: Option<&'static Model>,
    gpu: &'static Gpu,
    tensor_parallel: u32,
}

impl Tables {
    fn find(folder: &Path, overrides: &EngineOverrides) -> Result<Self, InputError> {
        // Absolute, so that `.` has a name and a parent too.
        let folder = fs::canonicalize(folder).map_err(|error| unreadable(folder, &error))?;
        let tensor_parallel = overrides.tensor_parallel.unwrap_or(1);
        let tables = tables_folder(&folder, tensor_parallel)?;
        let name_of =
            |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name_of(&folder).unwrap_or_default();
        let file = folder.join("engine.toml");
        let config =
            if file.exists() { EngineConfig::read(&file)? } else { EngineConfig::default() };
        let gpu_name = folder.parent().and_then(name_of).unwrap_or_default();
        let gpu = Gpu::named(&gpu_name);
        let origin = Origin {
            path: if file.exists() { file } else { folder },
            model: config.model.or_else(|| Model::named(&name)),
            config,
            gpu: gpu.unwrap_or(&GPUS[0]),
            tensor_parallel,
        };
        let assumed = if gpu.is_some() { "" } else { " (assumed)" };
        Ok(Self {
            name: format!("{name} tp{tensor_parallel}"),
            source: format!("tables {} on {}{assumed}", tables.display(), origin.gpu.name),
            layout: origin.layout()?,
            kv: origin.kv(overrides.kv_blocks)?,
            running_max: overrides.running_max.or(origin.config.seats).unwrap_or(RUNNING_MAX),
            step_tokens_max: overrides
                .step_tokens_max
                .or(origin.config.step_tokens)
                .unwrap_or(STEP_TOKENS_MAX),
            folder: tables,
        })
    }
}

impl Origin {
    fn layout(&self) -> Result<Layout, InputError> {
        let Self { config, model, gpu, .. } = self;
        let needed = |key: &str, stated: Option<u32>, known: Option<u32>| {
            stated.or(known).ok_or_else(|| self.missing(key))
        };
        Ok(Layout {
            layers: needed("layers", config.layers, model.map(|model| model.layers))?,
            hidden_size: needed("hidden_size", config.hidden_size, model.map(|m| m.hidden_size))?,
            tensor_parallel: self.tensor_parallel,
            link_gb_per_s: config.link_gb_per_s.unwrap_or(gpu.link_gb_per_s),
            link_latency_us: config.link_latency_us.unwrap_or(gpu.link_latency_us),
            step_overhead_us: config.step_overhead_us.unwrap_or(STEP_OVERHEAD_US),
        })
    }

    /// The KV cache: stated blocks, else stated memory, else what the known model leaves free.
    fn kv(&self, stated: Option<u32>) -> Result<KvGeometry, InputError> {
        let Self { config, model, gpu, tensor_parallel, .. } = self;
        let block_tokens = config.kv_block_tokens.unwrap_or(KV_BLOCK_TOKENS);
        let blocks = match (stated.or(config.kv_blocks), config.kv_memory_gib, model) {
            (Some(blocks), ..) => u64::from(blocks),
            (None, Some(gib), _) => {
                let bytes = gib * BYTES_PER_GIB * f64::from(*tensor_parallel);
                (bytes / (self.kv_bytes_per_token()? * f64::from(block_tokens))) as u64
            }
            (None, None, Some(model)) => {
                let tokens = model.kv_blocks(gpu, *tensor_parallel) * u64::from(KV_BLOCK_TOKENS);
                tokens / u64::from(block_tokens)
            }
            (None, None, None) => return Err(self.missing("kv_blocks")),
        };
        let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
        KvGeometry::new(Blocks(blocks), block_tokens).map_err(|error| {
            let problem = format!("{error}, with {tensor_parallel} GPUs; state `kv_blocks`");
            InputError::new(&self.path, problem).in_field("kv_blocks")
        })
    }

    fn kv_bytes_per_token(&self) -> Result<f64, InputError> {
        let config = &self.config;
        let layers = config.layers.or(self.model.map(|model| model.layers));
        let stated = config.kv_bytes_per_token.map(u64::from);
        let from_heads = || Some(kv_bytes_per_token(layers?, config.kv_heads?, config.head_dim?));
        let known = || self.model.map(Model::kv_bytes_per_token);
        let bytes = stated.or_else(from_heads).or_else(known);
        bytes.map(|bytes| bytes as f64).ok_or_else(|| self.missing("kv_bytes_per_token"))
    }

    fn missing(&self, key: &str) -> InputError {
        let problem = "is not stated, and the folder's name is no known model; \
                       state it in engine.toml";
        InputError::new(&self.path, problem).in_field(key)
    }
}

/// The folder `tpN` of the tables.
fn tables_folder(folder: &Path, tensor_parallel: u32) -> Result<PathBuf, InputError> {
    let tables = folder.join(format!("tp{tensor_parallel}"));
    if tables.is_dir() {
        return Ok(tables);
    }
    if folder.join("dense.csv").is_file() {
        return Err(InputError::new(folder, "holds tables itself; name the folder above it"));
    }
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_tables =
        |name: &String| name.strip_prefix("tp").is_some_and(|n| n.parse::<u32>().is_ok());
    let mut found: Vec<String> = names.filter(is_tables).collect();
    found.sort();
    let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    let problem = format!("has no folder `tp{tensor_parallel}` with tables; found: {found}");
    Err(InputError::new(folder, problem))
}
