//! How large is a router, and what are the replicas that it chooses among?

use crate::engine::{KvGeometry, Profile, StepModel};
use crate::error::{Error, check_range, check_real};
use crate::policy::EngineMode;
use crate::units::{Blocks, Nanos};

/// Most replicas of one router, 2^20.
pub const REPLICAS_MAX: u32 = 1 << 20;

/// Most blocks and sets of an index, 2^28: 21 GB.
const INDEX_MAX: u64 = 1 << 28;

/// Most requests that a router can know at once, 2^24.
const REQUESTS_MAX: u64 = 1 << 24;

/// Most blocks of a prompt that are looked up: a prompt of 2^24 tokens in blocks of 1.
const PROMPT_BLOCKS_MAX: u64 = 1 << 24;

/// Most adapters that a replica can be known to have loaded.
const ADAPTERS_MAX: u64 = 1 << 12;

/// Most link groups.
const LINK_GROUPS_MAX: u64 = 1 << 20;

/// Longest that loading anything can take, in seconds: an hour.
const LOAD_MAX_S: f64 = 3600.0;

/// Most KV bytes of a token, 2^30: a thousand times those of a large model of today.
const KV_BYTES_MAX: u64 = 1 << 30;

/// Slowest and fastest link, in bytes a second: a modem's 1 KB, and 1 PB.
const BANDWIDTH: (f64, f64) = (1e3, 1e15);

/// Where a replica holds the KV of a block, fastest first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Tier {
    /// Memory of the device: nothing to load.
    #[default]
    Device,
    /// Memory of the host.
    Host,
    /// A local disk, or a store that the replica can read.
    Disk,
}

impl Tier {
    /// Every tier, fastest first.
    pub const ALL: [Self; TIERS] = [Self::Device, Self::Host, Self::Disk];
}

/// Number of tiers.
pub const TIERS: usize = 3;

/// Capacities of a router. Everything is taken from the heap when it is built.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouterOptions {
    /// Replicas that may be there at once, 1 to [`REPLICAS_MAX`].
    pub replicas_max: u32,
    /// Requests that may be routed and not ended, 1 to 2^24.
    pub requests_max: u32,
    /// Tokens in a block of the hashes that requests and events come with, 1 to 65,536.
    pub block_tokens: u32,
    /// Blocks that the index can know, 1 to 2^28. As many as the caches of all replicas hold is
    /// enough; with fewer, those that nobody asked for are forgotten first.
    pub blocks_max: u32,
    /// Sets of holders that the index can know, 1 to 2^28: a block takes one for each 64 replicas
    /// among which it has a holder.
    pub sets_max: u32,
    /// Blocks of a prompt that are looked up, from its beginning; the rest counts as not cached.
    pub prompt_blocks_max: u32,
    /// Adapters that a replica can have loaded, 0 to 4,096; the least recently used one goes.
    pub adapters_max: u32,
    /// Link groups, 1 to 2^20.
    pub link_groups_max: u32,
    /// KV bytes of a token, over all layers: what a prefill replica hands to a decode replica.
    pub kv_bytes_per_token: u64,
    /// Bytes a second between replicas of one link group.
    pub link_bytes_per_s: f64,
    /// Bytes a second between replicas of two link groups.
    pub network_bytes_per_s: f64,
}

impl Default for RouterOptions {
    /// 64 replicas of 36,000 blocks that share half of them, in 75 MB. A token of a model of 32
    /// layers, 8 KV heads of 128 and 16 bits has 131,072 bytes of KV; `NVLink` of 400 GB/s within a
    /// group, and a network of 400 Gbit/s between groups.
    fn default() -> Self {
        Self {
            replicas_max: 64,
            requests_max: 16_384,
            block_tokens: 16,
            blocks_max: 1 << 20,
            sets_max: 1 << 20,
            prompt_blocks_max: 8_192,
            adapters_max: 8,
            link_groups_max: 64,
            kv_bytes_per_token: 131_072,
            link_bytes_per_s: 400e9,
            network_bytes_per_s: 50e9,
        }
    }
}

impl RouterOptions {
    /// `Ok` if a router can be built with them.
    ///
    /// # Errors
    /// [`Error::Range`] and [`Error::RangeReal`] on the first field outside its range;
    /// [`Error::Range`] on `sets_max` below what one block that all replicas hold takes.
    pub fn validate(&self) -> Result<(), Error> {
        check_range("replicas_max", self.replicas_max.into(), 1, REPLICAS_MAX.into())?;
        check_range("requests_max", self.requests_max.into(), 1, REQUESTS_MAX)?;
        check_range("block_tokens", self.block_tokens.into(), 1, 65_536)?;
        check_range("blocks_max", self.blocks_max.into(), 1, INDEX_MAX)?;
        check_range("sets_max", self.sets_max.into(), self.groups().into(), INDEX_MAX)?;
        check_range("prompt_blocks_max", self.prompt_blocks_max.into(), 1, PROMPT_BLOCKS_MAX)?;
        check_range("adapters_max", self.adapters_max.into(), 0, ADAPTERS_MAX)?;
        check_range("link_groups_max", self.link_groups_max.into(), 1, LINK_GROUPS_MAX)?;
        check_range("kv_bytes_per_token", self.kv_bytes_per_token, 0, KV_BYTES_MAX)?;
        let (slowest, fastest) = BANDWIDTH;
        check_real("link_bytes_per_s", self.link_bytes_per_s, slowest, fastest)?;
        check_real("network_bytes_per_s", self.network_bytes_per_s, slowest, fastest)?;
        Ok(())
    }

    /// Groups of 64 replicas.
    pub(super) const fn groups(&self) -> u32 {
        self.replicas_max.div_ceil(u64::BITS)
    }
}

/// What a replica is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplicaSpec {
    /// How long its steps take. Errors of the model are learned, see [`super::price`].
    pub model: StepModel,
    /// Its KV cache.
    pub kv: KvGeometry,
    /// Requests that may run at once, at least 1.
    pub running_max: u32,
    /// Tokens that one step may compute, at least 1.
    pub step_tokens_max: u32,
    /// Prompts and decodes, or one half of a pair.
    pub mode: EngineMode,
    /// Replicas of one group reach each other over fast links.
    pub link_group: u32,
    /// When it can begin: later than now while weights are loaded.
    pub ready_at: Nanos,
    /// Seconds to load a block of [`RouterOptions::block_tokens`] from memory of the host.
    pub host_load_s_per_block: f64,
    /// Seconds to load such a block from a disk.
    pub disk_load_s_per_block: f64,
    /// Seconds to load an adapter.
    pub adapter_load_s: f64,
}

impl ReplicaSpec {
    /// A replica of this profile that is ready, computes prompts and decodes, and loads nothing.
    ///
    /// # Errors
    /// As [`StepModel::new`] and [`KvGeometry::new`]; never for a built-in profile.
    pub fn of(profile: &Profile) -> Result<Self, Error> {
        let mut spec = Self::new(profile.step_model()?, profile.kv()?);
        (spec.running_max, spec.step_tokens_max) = (profile.running_max, profile.step_tokens_max);
        Ok(spec)
    }

    /// A replica that is ready, computes prompts and decodes, and loads nothing, with the seats
    /// and step tokens that vLLM has by default.
    #[must_use]
    pub const fn new(model: StepModel, kv: KvGeometry) -> Self {
        Self {
            model,
            kv,
            running_max: 128,
            step_tokens_max: 2_048,
            mode: EngineMode::Mixed,
            link_group: 0,
            ready_at: Nanos::ZERO,
            host_load_s_per_block: 0.0,
            disk_load_s_per_block: 0.0,
            adapter_load_s: 0.0,
        }
    }

    /// `Ok` if a router with these options can take it.
    pub(super) fn check(&self, options: &RouterOptions) -> Result<(), Error> {
        check_range("running_max", self.running_max.into(), 1, REQUESTS_MAX)?;
        check_range("step_tokens_max", self.step_tokens_max.into(), 1, 1 << 24)?;
        let groups = u64::from(options.link_groups_max);
        check_range("link_group", self.link_group.into(), 0, groups - 1)?;
        check_real("host_load_s_per_block", self.host_load_s_per_block, 0.0, LOAD_MAX_S)?;
        check_real("disk_load_s_per_block", self.disk_load_s_per_block, 0.0, LOAD_MAX_S)?;
        check_real("adapter_load_s", self.adapter_load_s, 0.0, LOAD_MAX_S)?;
        Ok(())
    }
}

/// What an engine says about itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReplicaState {
    /// When it was so, on the router's clock; not after the call that reports it.
    pub as_of: Nanos,
    /// Requests that have begun and not ended.
    pub running: u32,
    /// Requests that have not begun.
    pub waiting: u32,
    /// KV tokens of the running ones.
    pub context_tokens: u64,
    /// KV blocks that nobody holds.
    pub kv_free: Blocks,
    /// Prompt tokens that are still to be computed, of waiting and running requests. `None` where
    /// the engine does not say: the router then keeps its own account.
    pub prefill_tokens: Option<u64>,
}
