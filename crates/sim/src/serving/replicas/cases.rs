//! What else a router may know: each case with the same replicas and requests, once told and once not.
//!
//! Requests are chat conversations on Llama-3.1-8B, in caches of blocks of 64 tokens, as long as those
//! that the hashes of generated conversations name. Load 1 is what all replicas complete together
//! without any cache.

use rampmeter::engine::KvGeometry;
use rampmeter::{Blocks, Nanos};

use super::options::{AdapterOptions, ColdStart, ReplicaOptions, TierOptions, Told};
use super::pairs::PairOptions;
use crate::engine::{Engine, EngineOverrides};
use crate::serving::capacity;
use crate::serving::run::RunError;
use crate::workload::{Extent, Generator, Mix, Preset, SystemPrompts, Workload};

/// Tokens of a block, those of a generated conversation.
const BLOCK_TOKENS: u32 = 64;

/// KV of a block of a model of 8 billion parameters: 64 times 131,072 bytes.
const BLOCK_BYTES: f64 = 8_388_608.0;

/// Bytes a second from the host's memory (`PCIe` 4.0, sixteen lanes: 32 GB/s, four fifths of it used)
/// and from a disk (an `NVMe` disk of the same generation).
const HOST_BYTES_PER_S: f64 = 25e9;
const DISK_BYTES_PER_S: f64 = 6e9;

/// To load an adapter: one of rank 64 of such a model has 300 MB, from a disk of 1 GB/s with what
/// reading the file takes.
const ADAPTER_LOAD: Nanos = Nanos(400_000_000);

/// Adapters, and slots of each replica (vLLM's `max_loras` is set from 1 to some dozen).
const ADAPTERS: u32 = 32;
const SLOTS: u32 = 12;

/// Documents that are asked about, and the tokens of each: more than caches hold.
const DOCUMENTS: SystemPrompts = SystemPrompts { count: 1_024, tokens: 4_096 };

/// Events come so much later: they are published after every step, over a local network.
const EVENT_DELAY: Nanos = Nanos(5_000_000);

/// Weights are loaded in this time, in seconds: 16 GB from a disk of 1 GB/s, and a warm-up.
const START_S: f64 = 30.0;

/// What there is, besides prefixes and queues.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Case {
    /// Caches that are too small for the documents, and tell what they hold.
    Events,
    /// The same with memory of the host and a disk behind each cache.
    Tiers,
    /// Adapters, more of them than a replica has slots.
    Adapters,
    /// A replica that is started while the others have too much to do.
    ColdStart,
}

/// One case, ready to be served.
#[derive(Clone)]
pub struct Setting {
    /// Requests.
    pub workload: Workload,
    /// Each engine.
    pub engine: Engine,
    /// The replicas; the library's router is told all of it.
    pub options: ReplicaOptions,
    /// What a router is told that does not know of the case.
    pub untold: Told,
    /// The load, over what all replicas complete.
    pub load: f64,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Events, Self::Tiers, Self::Adapters, Self::ColdStart];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "caches that are too small, and tell what they hold",
            Self::Tiers => "the same with host memory and a disk behind each cache",
            Self::Adapters => "32 adapters, 12 slots a replica, 0.4 s to load one",
            Self::ColdStart => "three replicas with too much to do, and one that starts for 30 s",
        }
    }

    /// So many replicas and minutes of it.
    ///
    /// # Errors
    /// [`RunError`] for what no generator or engine can do.
    pub fn setting(self, replicas: u32, minutes: f64, seed: u64) -> Result<Setting, RunError> {
        let engine = engine()?;
        let (load, documents) = match self {
            Self::Events | Self::Tiers => (1.0, Some(DOCUMENTS)),
            Self::Adapters => (0.6, None),
            Self::ColdStart => (0.85, None),
        };
        let workload = workload(&engine, documents, load, replicas, minutes, seed)?;
        let mut options = ReplicaOptions::new(replicas);
        let mut untold = options.told;
        match self {
            Self::Events => options.told.events = Some(EVENT_DELAY),
            Self::Tiers => {
                options.told.events = Some(EVENT_DELAY);
                options.tiers = Some(tiers(&engine));
                untold = Told { tiers: false, ..options.told };
            }
            Self::Adapters => {
                let drawn = AdapterOptions::drawn(ADAPTERS, SLOTS, ADAPTER_LOAD, &workload, seed);
                options.adapters = Some(drawn);
                untold.adapters = false;
            }
            Self::ColdStart => {
                let span = workload.requests.last().map_or(Nanos::ZERO, |last| last.arrival);
                let from = Nanos(span.get() / 4);
                let ready_at = from.offset_seconds(START_S);
                options.cold_start = Some(ColdStart { replica: 0, from, ready_at });
                untold.starts = false;
            }
        }
        Ok(Setting { workload, engine, options, untold, load })
    }
}

/// Pairs in two link groups, each with so many engines of both kinds.
///
/// # Errors
/// As [`Case::setting`].
pub fn pairs(
    each: u32,
    minutes: f64,
    seed: u64,
) -> Result<(Workload, Engine, PairOptions), RunError> {
    let engine = engine()?;
    let prompts = SystemPrompts { count: 32, tokens: 2_048 };
    let workload = workload(&engine, Some(prompts), 0.6, 4 * each, minutes, seed)?;
    Ok((workload, engine, PairOptions::new(2, each, each)))
}

/// An engine whose blocks are those of the hashes.
fn engine() -> Result<Engine, RunError> {
    let engine = Engine::load("llama-3.1-8b", &EngineOverrides::default())?;
    let blocks = (engine.kv.tokens_max() / u64::from(BLOCK_TOKENS)) as u32;
    Ok(Engine { kv: KvGeometry::new(Blocks(blocks), BLOCK_TOKENS)?, ..engine })
}

/// As much in the host's memory as on the device, and four times as much on the disk.
fn tiers(engine: &Engine) -> TierOptions {
    let blocks = engine.kv.blocks().get();
    let load = |bytes_per_s: f64| Nanos::from_seconds(BLOCK_BYTES / bytes_per_s);
    TierOptions {
        host_blocks: blocks,
        disk_blocks: 4 * blocks,
        host_load: load(HOST_BYTES_PER_S),
        disk_load: load(DISK_BYTES_PER_S),
    }
}

/// Half of the requests continue a conversation; each begins with one of the documents, if there are
/// any.
fn workload(
    engine: &Engine,
    documents: Option<SystemPrompts>,
    load: f64,
    replicas: u32,
    minutes: f64,
    seed: u64,
) -> Result<Workload, RunError> {
    let generator = Generator::new(Preset::Chat, seed);
    let rate_per_s = generator.rate_per_s * f64::from(replicas);
    let extent = Extent::Seconds(minutes * 60.0);
    let generator = Generator { rate_per_s, extent, continue_ratio: 0.5, ..generator };
    let mut trace = generator.generate()?;
    if let Some(documents) = documents {
        documents.apply(&mut trace, seed)?;
    }
    let mut workload = Mix::Single.apply(trace, seed)?;
    let factor = capacity::measure(&workload, engine)?.arrival_factor(load, replicas)?;
    capacity::rescale(&mut workload, factor);
    Ok(workload)
}
