//! What stands behind a router.

use std::collections::HashMap;

use rampmeter::Nanos;
use rampmeter::error::check_range;
use rand::RngExt;

use crate::engine::{Engine, Slowdown};
use crate::serving::gated::GateKind;
use crate::serving::run::{RunError, RunOptions};
use crate::serving::spec::{PeerKind, PolicySpec};
use crate::trace::{Purpose, random_stream};
use crate::workload::Workload;

/// Most replicas of a run: each keeps a record of every request.
pub const REPLICAS_MAX: u64 = 1_024;

/// Most blocks of a slower tier: a petabyte of blocks of 8 MB.
const TIER_BLOCKS_MAX: u64 = 1 << 27;

/// A replica that is away for a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Which one.
    pub replica: u32,
    /// When it loses what it has.
    pub from: Nanos,
    /// When it is back, with an empty cache.
    pub until: Nanos,
}

/// A replica that is started while others serve.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ColdStart {
    /// Which one.
    pub replica: u32,
    /// When it is started, and takes requests that wait for it.
    pub from: Nanos,
    /// When it begins to compute.
    pub ready_at: Nanos,
}

/// Slower memory behind the cache of each replica. Blocks are those of the workload's hashes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TierOptions {
    /// Blocks that the host's memory holds.
    pub host_blocks: u32,
    /// Blocks that a disk holds.
    pub disk_blocks: u32,
    /// To load one from the host's memory.
    pub host_load: Nanos,
    /// To load one from the disk.
    pub disk_load: Nanos,
}

/// Adapters (`LoRA`) that requests need, each its own or none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AdapterOptions {
    /// Adapters that a replica can have loaded, at least 1.
    pub slots: u32,
    /// To load one.
    pub load: Nanos,
    /// By request, from 1 on; 0 for none.
    pub of: Box<[u64]>,
}

impl AdapterOptions {
    /// Each conversation is of one of `count` adapters, the k-th with a probability that goes as
    /// 1/k, as models that are asked for are.
    pub fn drawn(count: u32, slots: u32, load: Nanos, workload: &Workload, seed: u64) -> Self {
        let mut random = random_stream(seed, Purpose::Adapters, 0);
        let total: f64 = (1..=count).map(|rank| f64::from(rank).recip()).sum();
        let mut draw = || {
            let mut place = random.random::<f64>() * total;
            let rank = (1..=count).find(|rank| {
                place -= f64::from(*rank).recip();
                place < 0.0
            });
            u64::from(rank.unwrap_or(count))
        };
        let mut of_conversation = HashMap::new();
        let of = workload.requests.iter().map(|request| match request.prefix.first() {
            Some(first) => *of_conversation.entry(*first).or_insert_with(&mut draw),
            None => draw(),
        });
        Self { slots, load, of: of.collect() }
    }
}

/// What the library's router is told, besides what becomes of its requests and what is reported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Told {
    /// What caches hold, so much later; `None`: nothing.
    pub events: Option<Nanos>,
    /// What is in slower tiers, and how long loading takes. Only with events.
    pub tiers: bool,
    /// Which adapter a request needs, and how long loading takes.
    pub adapters: bool,
    /// That a replica was started and when it will be ready; else only that it is, once it is.
    pub starts: bool,
}

/// What stands behind a router.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaOptions {
    /// How many engines, 1 to 1,024.
    pub replicas: u32,
    /// The batch policy of each.
    pub policy: PolicySpec,
    /// The gate of each.
    pub gate: GateKind,
    /// How each runs.
    pub run: RunOptions,
    /// From one report of a replica to its next.
    pub report_every: Nanos,
    /// From sending a report until the router has it.
    pub report_delay: Nanos,
    /// A replica whose steps take longer than its step model says.
    pub slow: Option<(u32, Slowdown)>,
    /// A replica that fails.
    pub failure: Option<Failure>,
    /// A replica that comes later than the others.
    pub cold_start: Option<ColdStart>,
    /// Slower memory behind each cache.
    pub tiers: Option<TierOptions>,
    /// Adapters that requests need.
    pub adapters: Option<AdapterOptions>,
    /// What the library's router is told of the last three.
    pub told: Told,
}

impl ReplicaOptions {
    /// So many replicas as vLLM runs them, that report every second and are heard 50 ms later, and
    /// tell no events. No tiers and no adapters; where there are, the router is told of them.
    pub fn new(replicas: u32) -> Self {
        Self {
            replicas,
            policy: PolicySpec::peer(PeerKind::Fcfs),
            gate: GateKind::None,
            run: RunOptions::default(),
            report_every: Nanos::from_millis(1_000),
            report_delay: Nanos::from_millis(50),
            slow: None,
            failure: None,
            cold_start: None,
            tiers: None,
            adapters: None,
            told: Told { events: None, tiers: true, adapters: true, starts: true },
        }
    }

    /// The adapter that a request needs; 0 for none.
    pub(super) fn adapter(&self, request: u32) -> u64 {
        let of = self.adapters.as_ref().and_then(|adapters| adapters.of.get(request as usize));
        of.copied().unwrap_or(0)
    }

    /// True if caches must say what they hold.
    pub(super) fn has_events(&self) -> bool {
        self.tiers.is_some() || self.told.events.is_some()
    }

    pub(super) fn check(&self, workload: &Workload, engine: &Engine) -> Result<(), RunError> {
        check_range("replicas", self.replicas.into(), 1, REPLICAS_MAX)?;
        check_range("report_every_ns", self.report_every.get(), 1, u64::MAX)?;
        let last = u64::from(self.replicas) - 1;
        if let Some((replica, _)) = self.slow {
            check_range("slow_replica", replica.into(), 0, last)?;
        }
        if let Some(Failure { replica, from, until }) = self.failure {
            check_range("failed_replica", replica.into(), 0, last)?;
            check_range("failure_until_ns", until.get(), from.get(), u64::MAX)?;
        }
        if let Some(ColdStart { replica, from, ready_at }) = self.cold_start {
            check_range("started_replica", replica.into(), 0, last)?;
            check_range("started_ready_ns", ready_at.get(), from.get(), u64::MAX)?;
        }
        if let Some(TierOptions { host_blocks, disk_blocks, .. }) = self.tiers {
            check_range("host_blocks", host_blocks.into(), 0, TIER_BLOCKS_MAX)?;
            check_range("disk_blocks", disk_blocks.into(), 0, TIER_BLOCKS_MAX)?;
        }
        if let Some(adapters) = &self.adapters {
            check_range("adapter_slots", adapters.slots.into(), 1, 4_096)?;
            let requests = workload.requests.len() as u64;
            check_range("adapters", adapters.of.len() as u64, requests, requests)?;
        }
        if self.has_events() {
            // A hash names a block of the cache only where both are as long.
            let size = u64::from(workload.prefix_block_tokens);
            check_range("kv_block_tokens", engine.kv.block_tokens().into(), size, size)?;
        }
        Ok(())
    }
}
