//! The library's own router in the simulator: the same compiled core as in production.

use std::collections::HashMap;

use rampmeter::policy::Policy;
use rampmeter::route::{
    self, ReplicaId, ReplicaSpec, ReplicaState, RouteId, RouteRequest, RouterOptions,
};
use rampmeter::{Nanos, Tokens};

use super::router::{Router, View};
use crate::engine::Engine;
use crate::workload::Workload;

type Answer = Result<(), rampmeter::Error>;

/// Drives a [`route::Router`].
pub(super) struct Rampmeter {
    router: route::Router,
    replicas: Vec<ReplicaId>,
    ids: HashMap<u32, RouteId>,
}

impl Rampmeter {
    pub(super) fn new(
        workload: &Workload,
        engine: &Engine,
        replicas: u32,
    ) -> Result<Self, rampmeter::Error> {
        let policy = Policy::default().with_classes(workload.classes.clone());
        let block_tokens = workload.prefix_block_tokens.max(1);
        let tokens = engine.kv.tokens_max() * u64::from(replicas);
        // As many blocks as all caches hold.
        let blocks_max =
            (tokens / u64::from(block_tokens)).clamp(u64::from(replicas), 1 << 24) as u32;
        let options = RouterOptions {
            replicas_max: replicas,
            requests_max: (workload.requests.len() as u32).max(1),
            block_tokens,
            blocks_max,
            sets_max: blocks_max,
            ..RouterOptions::default()
        };
        let mut router = route::Router::new(&policy, &options)?;
        let spec = ReplicaSpec {
            running_max: engine.running_max,
            step_tokens_max: engine.step_tokens_max,
            ..ReplicaSpec::new(engine.model, engine.kv)
        };
        let added = (0..replicas).map(|_| router.add_replica(Nanos::ZERO, &spec));
        let replicas = added.collect::<Result<_, _>>()?;
        Ok(Self { router, replicas, ids: HashMap::new() })
    }
}

impl Router for Rampmeter {
    fn route(
        &mut self,
        now: Nanos,
        request: u32,
        view: &View<'_, '_>,
    ) -> Result<Option<usize>, rampmeter::Error> {
        let asked = view.request(request);
        // The last block of a prompt may be one that is not full.
        let full = asked.prompt_tokens / view.workload.prefix_block_tokens.max(1);
        let hashes = &asked.prefix[..asked.prefix.len().min(full as usize)];
        let wanted = RouteRequest {
            class: asked.class,
            prompt_tokens: Tokens(asked.prompt_tokens),
            adapter: 0,
        };
        let Some(routed) = self.router.route(now, &wanted, hashes)? else { return Ok(None) };
        self.ids.insert(request, routed.request);
        Ok(self.replicas.iter().position(|replica| *replica == routed.replica))
    }

    fn started(&mut self, now: Nanos, request: u32, cached: u32) -> Answer {
        self.ids.get(&request).map_or(Ok(()), |id| self.router.started(now, *id, Tokens(cached)))
    }

    fn first_token(&mut self, now: Nanos, request: u32) -> Answer {
        self.ids.get(&request).map_or(Ok(()), |id| self.router.first_token(now, *id))
    }

    fn ended(&mut self, now: Nanos, request: u32, tokens: u32) -> Answer {
        let id = self.ids.remove(&request);
        id.map_or(Ok(()), |id| self.router.ended(now, id, Tokens(tokens)))
    }

    fn report(&mut self, now: Nanos, replica: usize, state: &ReplicaState) -> Answer {
        self.router.report(now, self.replicas[replica], state).map(drop)
    }

    fn changed(&mut self, now: Nanos, replica: usize, up: bool) -> Answer {
        let id = self.replicas[replica];
        if up { self.router.resume(now, id, now) } else { self.router.fail(now, id).map(drop) }
    }
}
