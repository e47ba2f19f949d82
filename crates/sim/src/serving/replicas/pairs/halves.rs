//! Routers of pairs: the library's own, and peers that choose each half by itself.

use std::collections::HashMap;

use rampmeter::policy::{EngineMode, Policy};
use rampmeter::route::{self, ReplicaId, ReplicaSpec, ReplicaState, RouteId, RouterOptions};
use rampmeter::{Error, Nanos, Tokens};

use super::PairOptions;
use crate::engine::Engine;
use crate::serving::replicas::foreseen::Foreseen;
use crate::serving::replicas::options::ReplicaOptions;
use crate::serving::replicas::rampmeter::asked;
use crate::serving::replicas::router::{Router, RouterKind, View};
use crate::workload::Workload;

/// Which half of a pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Half {
    Prefill,
    Decode,
}

/// What a router of pairs may look at: each half by itself.
pub(super) struct Views<'a, 'w> {
    pub(super) prefill: View<'a, 'w>,
    pub(super) decode: View<'a, 'w>,
}

/// Chooses a pair for each request, and hears what becomes of it.
pub(super) trait PairRouter {
    fn route(
        &mut self,
        now: Nanos,
        request: u32,
        views: &Views<'_, '_>,
    ) -> Result<(usize, usize), Error>;

    /// Its prompt is begun, with so much of it cached.
    fn started(&mut self, now: Nanos, request: u32, cached: u32) -> Result<(), Error>;

    /// Its prompt is computed.
    fn computed(&mut self, now: Nanos, request: u32) -> Result<(), Error>;

    /// It ended after so many tokens.
    fn ended(&mut self, now: Nanos, request: u32, tokens: u32) -> Result<(), Error>;

    fn report(&mut self, now: Nanos, of: (Half, usize), state: &ReplicaState) -> Result<(), Error>;

    fn foreseen(&self, request: u32) -> Option<Foreseen>;
}

/// A router of this kind for these pairs.
pub(super) fn build(
    kind: RouterKind,
    workload: &Workload,
    engine: &Engine,
    options: &PairOptions,
    seed: u64,
) -> Result<Box<dyn PairRouter>, Error> {
    if kind == RouterKind::Rampmeter {
        return Ok(Box::new(Pairs::new(workload, engine, options)?));
    }
    let half =
        |count: usize, seed| kind.build(workload, engine, &ReplicaOptions::new(count as u32), seed);
    let (prefill, decode) =
        (half(options.prefill.len(), seed)?, half(options.decode.len(), !seed)?);
    Ok(Box::new(Apart { prefill, decode }))
}

/// Each half by a router of its own.
struct Apart {
    prefill: Box<dyn Router>,
    decode: Box<dyn Router>,
}

impl PairRouter for Apart {
    fn route(
        &mut self,
        now: Nanos,
        request: u32,
        views: &Views<'_, '_>,
    ) -> Result<(usize, usize), Error> {
        let prefill = self.prefill.route(now, request, &views.prefill)?;
        let decode = self.decode.route(now, request, &views.decode)?;
        // Nobody fails here: there is always one.
        Ok((prefill.unwrap_or_default(), decode.unwrap_or_default()))
    }

    fn started(&mut self, now: Nanos, request: u32, cached: u32) -> Result<(), Error> {
        self.prefill.started(now, request, cached)
    }

    fn computed(&mut self, now: Nanos, request: u32) -> Result<(), Error> {
        self.prefill.first_token(now, request)?;
        self.prefill.ended(now, request, 1)?;
        self.decode.first_token(now, request)
    }

    fn ended(&mut self, now: Nanos, request: u32, tokens: u32) -> Result<(), Error> {
        self.decode.ended(now, request, tokens)
    }

    fn report(
        &mut self,
        now: Nanos,
        (half, replica): (Half, usize),
        state: &ReplicaState,
    ) -> Result<(), Error> {
        match half {
            Half::Prefill => self.prefill.report(now, replica, state),
            Half::Decode => self.decode.report(now, replica, state),
        }
    }

    fn foreseen(&self, _request: u32) -> Option<Foreseen> {
        None
    }
}

/// The library's router.
struct Pairs {
    router: route::Router,
    prefill: Vec<ReplicaId>,
    decode: Vec<ReplicaId>,
    routed: HashMap<u32, (RouteId, Foreseen)>,
}

impl Pairs {
    fn new(workload: &Workload, engine: &Engine, options: &PairOptions) -> Result<Self, Error> {
        let replicas = (options.prefill.len() + options.decode.len()) as u32;
        let block_tokens = workload.prefix_block_tokens.max(1);
        let blocks = engine.kv.tokens_max() / u64::from(block_tokens) * u64::from(replicas);
        let blocks_max = blocks.clamp(replicas.into(), 1 << 24) as u32;
        let router_options = RouterOptions {
            replicas_max: replicas,
            requests_max: (workload.requests.len() as u32).max(1),
            block_tokens,
            blocks_max,
            sets_max: blocks_max,
            adapters_max: 0,
            link_groups_max: options.groups(),
            kv_bytes_per_token: options.kv_bytes_per_token,
            link_bytes_per_s: options.link_bytes_per_s,
            network_bytes_per_s: options.network_bytes_per_s,
            ..RouterOptions::default()
        };
        let mut policy = Policy::default().with_classes(workload.classes.clone());
        policy.limits.steps_in_flight_max = options.run.steps_in_flight;
        let mut router = route::Router::new(&policy, &router_options)?;
        let mut add = |mode, groups: &[u32]| {
            let specs = groups.iter().map(|group| ReplicaSpec {
                mode,
                link_group: *group,
                running_max: engine.running_max,
                step_tokens_max: engine.step_tokens_max,
                ..ReplicaSpec::new(engine.model, engine.kv)
            });
            specs.map(|spec| router.add_replica(Nanos::ZERO, &spec)).collect()
        };
        let prefill: Result<_, Error> = add(EngineMode::Prefill, &options.prefill);
        let decode: Result<_, Error> = add(EngineMode::Decode, &options.decode);
        Ok(Self { prefill: prefill?, decode: decode?, router, routed: HashMap::new() })
    }
}

impl PairRouter for Pairs {
    fn route(
        &mut self,
        now: Nanos,
        request: u32,
        views: &Views<'_, '_>,
    ) -> Result<(usize, usize), Error> {
        let (wanted, hashes) = asked(views.prefill.workload, request, 0);
        let Some(routed) = self.router.route_pair(now, &wanted, hashes)? else {
            return Ok((0, 0));
        };
        let foreseen = Foreseen {
            cached_tokens: routed.cached_tokens.get(),
            ttft_s: routed.ttft_s,
            transfer_s: routed.transfer_s,
        };
        self.routed.insert(request, (routed.request, foreseen));
        let place = |of: &[ReplicaId], id| of.iter().position(|other| *other == id);
        let (prefill, decode) =
            (place(&self.prefill, routed.prefill), place(&self.decode, routed.decode));
        Ok((prefill.unwrap_or_default(), decode.unwrap_or_default()))
    }

    fn started(&mut self, now: Nanos, request: u32, cached: u32) -> Result<(), Error> {
        let routed = self.routed.get(&request);
        routed.map_or(Ok(()), |(id, _)| self.router.started(now, *id, Tokens(cached)))
    }

    fn computed(&mut self, now: Nanos, request: u32) -> Result<(), Error> {
        let routed = self.routed.get(&request);
        routed.map_or(Ok(()), |(id, _)| self.router.first_token(now, *id))
    }

    fn ended(&mut self, now: Nanos, request: u32, tokens: u32) -> Result<(), Error> {
        let routed = self.routed.remove(&request);
        routed.map_or(Ok(()), |(id, _)| self.router.ended(now, id, Tokens(tokens)))
    }

    fn report(
        &mut self,
        now: Nanos,
        (half, replica): (Half, usize),
        state: &ReplicaState,
    ) -> Result<(), Error> {
        let of = if half == Half::Prefill { &self.prefill } else { &self.decode };
        self.router.report(now, of[replica], state).map(drop)
    }

    fn foreseen(&self, request: u32) -> Option<Foreseen> {
        self.routed.get(&request).map(|(_, foreseen)| *foreseen)
    }
}
