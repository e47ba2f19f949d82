//! The library's own router in the simulator: the same compiled core as in production.

use std::collections::HashMap;

use rampmeter::policy::Policy;
use rampmeter::route::{
    self, ReplicaId, ReplicaSpec, ReplicaState, RouteId, RouteRequest, RouterOptions, Tier,
};
use rampmeter::{Nanos, Tokens};

use super::foreseen::Foreseen;
use super::news::News;
use super::options::{ReplicaOptions, Told};
use super::router::{Router, View};
use crate::engine::Engine;
use crate::workload::Workload;

type Answer = Result<(), rampmeter::Error>;

/// Most blocks that the index is built for.
const BLOCKS_MAX: u64 = 1 << 24;

/// Drives a [`route::Router`].
pub(super) struct Rampmeter {
    router: route::Router,
    spec: ReplicaSpec,
    /// Of those that it was told of.
    replicas: Vec<Option<ReplicaId>>,
    routed: HashMap<u32, (RouteId, Foreseen)>,
    /// By request.
    adapters: Box<[u64]>,
    told: Told,
}

impl Rampmeter {
    pub(super) fn new(
        workload: &Workload,
        engine: &Engine,
        options: &ReplicaOptions,
    ) -> Result<Self, rampmeter::Error> {
        let told = options.told;
        let tiers = options.tiers.filter(|_| told.tiers && told.events.is_some());
        let adapters = options.adapters.as_ref().filter(|_| told.adapters);
        let mut policy = Policy::default().with_classes(workload.classes.clone());
        policy.limits.steps_in_flight_max = options.run.steps_in_flight;
        let mut router = route::Router::new(&policy, &router_options(workload, engine, options))?;
        let seconds = |load: Option<Nanos>| load.map_or(0.0, Nanos::as_seconds);
        let spec = ReplicaSpec {
            running_max: engine.running_max,
            step_tokens_max: engine.step_tokens_max,
            host_load_s_per_block: seconds(tiers.map(|tiers| tiers.host_load)),
            disk_load_s_per_block: seconds(tiers.map(|tiers| tiers.disk_load)),
            adapter_load_s: seconds(adapters.map(|adapters| adapters.load)),
            ..ReplicaSpec::new(engine.model, engine.kv)
        };
        let late = options.cold_start.map(|start| start.replica);
        let added = (0..options.replicas).map(|replica| {
            let there = late != Some(replica);
            there.then(|| router.add_replica(Nanos::ZERO, &spec)).transpose()
        });
        let replicas = added.collect::<Result<_, _>>()?;
        let adapters = adapters.map(|adapters| adapters.of.clone()).unwrap_or_default();
        Ok(Self { router, spec, replicas, routed: HashMap::new(), adapters, told })
    }

    fn id(&self, request: u32) -> Option<RouteId> {
        self.routed.get(&request).map(|(id, _)| *id)
    }

    fn add(&mut self, now: Nanos, replica: usize, ready_at: Nanos) -> Answer {
        let spec = ReplicaSpec { ready_at, ..self.spec };
        self.replicas[replica] = Some(self.router.add_replica(now, &spec)?);
        Ok(())
    }
}

/// Room for all requests, and for as many blocks as all caches and their slower tiers hold.
fn router_options(workload: &Workload, engine: &Engine, options: &ReplicaOptions) -> RouterOptions {
    let block_tokens = workload.prefix_block_tokens.max(1);
    let replicas = u64::from(options.replicas);
    let device = engine.kv.tokens_max() / u64::from(block_tokens);
    let slower = options
        .tiers
        .map_or(0, |tiers| u64::from(tiers.host_blocks) + u64::from(tiers.disk_blocks));
    let blocks_max = (replicas * (device + slower)).clamp(replicas, BLOCKS_MAX) as u32;
    RouterOptions {
        replicas_max: options.replicas,
        requests_max: (workload.requests.len() as u32).max(1),
        block_tokens,
        blocks_max,
        sets_max: blocks_max,
        adapters_max: options.adapters.as_ref().map_or(0, |adapters| adapters.slots),
        ..RouterOptions::default()
    }
}

/// What the router is asked: the request, and the hashes of the full blocks of its prompt.
pub(super) fn asked(workload: &Workload, request: u32, adapter: u64) -> (RouteRequest, &[u64]) {
    let asked = &workload.requests[request as usize];
    // The last block of a prompt may be one that is not full.
    let full = asked.prompt_tokens / workload.prefix_block_tokens.max(1);
    let hashes = &asked.prefix[..asked.prefix.len().min(full as usize)];
    let prompt_tokens = Tokens(asked.prompt_tokens);
    (RouteRequest { class: asked.class, prompt_tokens, adapter }, hashes)
}

impl Router for Rampmeter {
    fn route(
        &mut self,
        now: Nanos,
        request: u32,
        view: &View<'_, '_>,
    ) -> Result<Option<usize>, rampmeter::Error> {
        let adapter = self.adapters.get(request as usize).copied().unwrap_or(0);
        let (wanted, hashes) = asked(view.workload, request, adapter);
        let Some(routed) = self.router.route(now, &wanted, hashes)? else { return Ok(None) };
        let foreseen = Foreseen {
            cached_tokens: routed.cached_tokens.get(),
            ttft_s: routed.ttft_s,
            transfer_s: 0.0,
        };
        self.routed.insert(request, (routed.request, foreseen));
        Ok(self.replicas.iter().position(|replica| *replica == Some(routed.replica)))
    }

    fn started(&mut self, now: Nanos, request: u32, cached: u32) -> Answer {
        self.id(request).map_or(Ok(()), |id| self.router.started(now, id, Tokens(cached)))
    }

    fn first_token(&mut self, now: Nanos, request: u32) -> Answer {
        self.id(request).map_or(Ok(()), |id| self.router.first_token(now, id))
    }

    fn ended(&mut self, now: Nanos, request: u32, tokens: u32) -> Answer {
        let routed = self.routed.remove(&request);
        routed.map_or(Ok(()), |(id, _)| self.router.ended(now, id, Tokens(tokens)))
    }

    fn report(&mut self, now: Nanos, replica: usize, state: &ReplicaState) -> Answer {
        let Some(id) = self.replicas[replica] else { return Ok(()) };
        self.router.report(now, id, state).map(drop)
    }

    fn changed(&mut self, now: Nanos, replica: usize, up: bool) -> Answer {
        match (self.replicas[replica], up) {
            (Some(id), true) => self.router.resume(now, id, now),
            (Some(id), false) => self.router.fail(now, id).map(drop),
            (None, true) => self.add(now, replica, now),
            (None, false) => Ok(()),
        }
    }

    fn starts(&mut self, now: Nanos, replica: usize, ready_at: Nanos) -> Answer {
        if self.told.starts { self.add(now, replica, ready_at) } else { Ok(()) }
    }

    fn published(&mut self, now: Nanos, replica: usize, news: News) -> Answer {
        let Some(id) = self.replicas[replica] else { return Ok(()) };
        let (listens, tiers) = (self.told.events.is_some(), self.told.tiers);
        let tells = |tier: Tier| listens && (tiers || tier == Tier::Device);
        match news {
            News::Stored(tier, hash) if tells(tier) => self.router.stored(now, id, tier, &[hash]),
            News::Removed(tier, hash) if tells(tier) => self.router.removed(now, id, tier, &[hash]),
            News::AdapterLoaded(adapter) if self.told.adapters => {
                self.router.adapter_loaded(now, id, adapter)
            }
            News::AdapterUnloaded(adapter) if self.told.adapters => {
                self.router.adapter_unloaded(now, id, adapter)
            }
            News::Stored(..)
            | News::Removed(..)
            | News::AdapterLoaded(_)
            | News::AdapterUnloaded(_) => Ok(()),
        }
    }

    fn foreseen(&self, request: u32) -> Option<Foreseen> {
        self.routed.get(&request).map(|(_, foreseen)| *foreseen)
    }
}
