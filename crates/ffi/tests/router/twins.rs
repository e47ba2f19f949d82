//! A router behind a pointer and one of the core, which hear the same.
#![allow(unreachable_pub, reason = "a test binary has no other users")]

use std::ptr;

use rampmeter::engine::Profile;
use rampmeter::error::codes;
use rampmeter::policy::{EngineMode, Policy};
use rampmeter::route::{
    Candidate, ReplicaId, ReplicaSpec, ReplicaState, RouteId, RouteRequest, Router, RouterOptions,
    Tier,
};
use rampmeter::{Blocks, Nanos, Tokens};
use rampmeter_ffi::engine::{rampmeter_engine, rampmeter_engine_named};
use rampmeter_ffi::policy::{rampmeter_policy, rampmeter_policy_destroy};
use rampmeter_ffi::router::*;

use crate::caller::{Prng, Said, policy, sized, zeros};

pub const MS: u64 = 1_000_000;
pub const REPLICAS: usize = 6;

pub const DOCUMENT: &str = r#"
[route]
stale_after_s = 1.0

[[class]]
name = "chat"

[[class]]
name = "batch"
delay_value = 0.2
"#;

pub fn options() -> (rampmeter_router_options, RouterOptions) {
    let mut ours = sized::<rampmeter_router_options>();
    (ours.replicas_max, ours.requests_max) = (REPLICAS as u32, 40);
    (ours.blocks_max, ours.sets_max, ours.adapters_max) = (300, 300, 2);
    let core = RouterOptions {
        replicas_max: REPLICAS as u32,
        requests_max: 40,
        blocks_max: 300,
        sets_max: 300,
        adapters_max: 2,
        ..RouterOptions::default()
    };
    (ours, core)
}

pub fn engine() -> (rampmeter_engine, ReplicaSpec) {
    let mut engine = sized::<rampmeter_engine>();
    // SAFETY: a text that a zero closes, and a place that may be written.
    let status = unsafe {
        rampmeter_engine_named(c"llama-3.1-8b".as_ptr(), &raw mut engine, ptr::null_mut())
    };
    assert_eq!(status, codes::OK);
    let profile = Profile::named("llama-3.1-8b").unwrap();
    (engine, ReplicaSpec::new(profile.step_model().unwrap(), profile.kv().unwrap()))
}

/// A router behind a pointer and one of the core, which hear the same.
pub struct Twins {
    pub router: *mut rampmeter_router,
    pub core: Router,
    pub terms: (*mut rampmeter_policy, Policy),
    pub said: Said,
    pub candidates: Vec<rampmeter_candidate>,
    pub replicas: Vec<u64>,
    pub requests: Vec<u64>,
    pub routed: [u32; 2],
    pub refused: u32,
}

impl Drop for Twins {
    fn drop(&mut self) {
        // SAFETY: both came from C and are not used later.
        unsafe {
            rampmeter_router_destroy(self.router);
            rampmeter_policy_destroy(self.terms.0);
        }
    }
}

impl Twins {
    pub fn new() -> Self {
        let (terms, mut router) = (policy(DOCUMENT), ptr::null_mut());
        let (ours, core) = options();
        // SAFETY: policy and options are good, and the place may be written.
        let status = unsafe {
            rampmeter_router_create(terms.0, &raw const ours, &raw mut router, ptr::null_mut())
        };
        assert_eq!(status, codes::OK);
        Self {
            router,
            core: Router::new(&terms.1, &core).unwrap(),
            terms,
            said: Said::nothing(),
            candidates: zeros(REPLICAS),
            replicas: Vec::new(),
            requests: Vec::new(),
            routed: [0; 2],
            refused: 0,
        }
    }

    /// The core agrees with what a call came to.
    fn hears<T>(&mut self, status: i32, core: Result<T, rampmeter::Error>) -> Option<T> {
        let heard = self.said.agrees(status, core);
        self.refused += u32::from(heard.is_none());
        heard
    }

    pub fn add(&mut self, now: u64, mode: u32, ready_at: u64) {
        let (engine, core) = engine();
        let mut spec = sized::<rampmeter_replica_spec>();
        (spec.mode, spec.running_max, spec.ready_at_ns) = (mode, 4, ready_at);
        (spec.link_group, spec.adapter_load_s) = (mode, 0.3);
        (spec.host_load_s_per_block, spec.disk_load_s_per_block) = (1e-5, 1e-4);
        let core = ReplicaSpec {
            mode: EngineMode::ALL[mode as usize],
            running_max: 4,
            ready_at: Nanos(ready_at),
            link_group: mode,
            adapter_load_s: 0.3,
            host_load_s_per_block: 1e-5,
            disk_load_s_per_block: 1e-4,
            ..core
        };
        let (mut got, said) = (0, self.said.place());
        let (engine, spec) = (&raw const engine, &raw const spec);
        // SAFETY: router, engine and spec are good, and both places may be written.
        let status = unsafe {
            rampmeter_router_add_replica(self.router, now, engine, spec, &raw mut got, said)
        };
        let core = self.core.add_replica(Nanos(now), &core);
        if let Some(core) = self.hears(status, core) {
            assert_eq!(got, core.to_raw());
            self.replicas.push(got);
        }
    }

    pub fn route(&mut self, now: u64, class: u32, prompt: u32, hashes: &[u64], adapter: u64) {
        let (ours, core) = request(class, prompt, hashes, adapter);
        let mut got = sized::<rampmeter_routed>();
        let (place, said) = (&raw mut got, self.said.place());
        // SAFETY: router and request are good, and both places may be written.
        let status =
            unsafe { rampmeter_router_route(self.router, now, &raw const ours, place, said) };
        let core = self.core.route(Nanos(now), &core, hashes);
        let Some(core) = self.hears(status, core) else { return };
        let Some(core) = core else { return assert_eq!((got.request, got.replica), (0, 0)) };
        assert_eq!((got.request, got.replica), (core.request.to_raw(), core.replica.to_raw()));
        assert_eq!((got.ttft_s, got.cost), (core.ttft_s, core.cost));
        assert_eq!(got.cached_tokens, core.cached_tokens.get());
        assert_eq!((got.candidates, got.stale), (core.candidates, u8::from(core.stale)));
        self.requests.push(got.request);
        self.routed[0] += 1;
    }

    pub fn route_pair(&mut self, now: u64, prompt: u32, hashes: &[u64]) {
        let (ours, core) = request(0, prompt, hashes, 0);
        let mut got = sized::<rampmeter_routed_pair>();
        let (place, said) = (&raw mut got, self.said.place());
        // SAFETY: router and request are good, and both places may be written.
        let status =
            unsafe { rampmeter_router_route_pair(self.router, now, &raw const ours, place, said) };
        let core = self.core.route_pair(Nanos(now), &core, hashes);
        let Some(core) = self.hears(status, core) else { return };
        let Some(core) = core else { return assert_eq!(got.request, 0) };
        assert_eq!(got.request, core.request.to_raw());
        assert_eq!((got.prefill, got.decode), (core.prefill.to_raw(), core.decode.to_raw()));
        assert_eq!((got.transfer_s, got.ttft_s), (core.transfer_s, core.ttft_s));
        assert_eq!((got.cost, got.cached_tokens), (core.cost, core.cached_tokens.get()));
        assert_eq!(got.stale, u8::from(core.stale));
        self.requests.push(got.request);
        self.routed[1] += 1;
    }

    pub fn explain(&mut self, now: u64, prompt: u32, hashes: &[u64], room: usize) {
        let (ours, core) = request(0, prompt, hashes, 3);
        let (mut len, said) = (usize::MAX, self.said.place());
        let (place, ours) = (self.candidates.as_mut_ptr(), &raw const ours);
        // SAFETY: router and request are good, and so much may be written.
        let status = unsafe {
            rampmeter_router_explain(self.router, now, ours, place, room, &raw mut len, said)
        };
        let mut wanted = [Candidate::default(); REPLICAS];
        let core = self.core.explain(Nanos(now), &core, hashes, &mut wanted[..room]);
        let Some(written) = self.hears(status, core) else { return assert_eq!(len, usize::MAX) };
        assert_eq!(len, written);
        for (got, want) in self.candidates.iter().zip(&wanted[..written]) {
            assert_eq!((got.replica, got.pace_ratio), (want.replica.to_raw(), want.pace_ratio));
            assert_eq!(got.stale, u8::from(want.stale));
            let (got, want) = (got.prices, want.prices);
            assert_eq!((got.cold_start_s, got.queue_s), (want.cold_start_s, want.queue_s));
            assert_eq!((got.step_s, got.seats_s, got.kv_s), (want.step_s, want.seats_s, want.kv_s));
            assert_eq!((got.adapter_s, got.load_s), (want.adapter_s, want.load_s));
            assert_eq!((got.prefill_s, got.transfer_s), (want.prefill_s, want.transfer_s));
            assert_eq!((got.interference_s, got.later_s), (want.interference_s, want.later_s));
            assert_eq!((got.ttft_s, got.cost), (want.ttft_s, want.cost));
            assert_eq!(got.cached_tokens, want.cached_tokens.get());
        }
    }

    pub fn lives(&mut self, now: u64, request: u64, what: u64, tokens: u32) {
        let (router, said) = (self.router, self.said.place());
        let (at, id, tokens_core) = (Nanos(now), RouteId::from_raw(request), Tokens(tokens));
        // SAFETY: the router is good, and the error may be written.
        let (status, core) = unsafe {
            match what {
                0 => (
                    rampmeter_router_started(router, now, request, tokens, said),
                    self.core.started(at, id, tokens_core),
                ),
                1 => (
                    rampmeter_router_first_token(router, now, request, said),
                    self.core.first_token(at, id),
                ),
                _ => (
                    rampmeter_router_ended(router, now, request, tokens, said),
                    self.core.ended(at, id, tokens_core),
                ),
            }
        };
        self.hears(status, core);
    }

    pub fn fleet(&mut self, now: u64, replica: u64, what: u64) {
        let (router, said) = (self.router, self.said.place());
        let (at, id, mut lost) = (Nanos(now), ReplicaId::from_raw(replica), u32::MAX);
        // SAFETY: the router is good, and all places may be written.
        let (status, core) = unsafe {
            match what {
                0 => (rampmeter_router_drain(router, now, replica, said), self.core.drain(at, id)),
                1 => {
                    let status = rampmeter_router_fail(router, now, replica, &raw mut lost, said);
                    let core = self.core.fail(at, id);
                    assert_eq!(lost, *core.as_ref().unwrap_or(&u32::MAX));
                    (status, core.map(drop))
                }
                2 => (
                    rampmeter_router_remove_replica(router, now, replica, said),
                    self.core.remove_replica(at, id),
                ),
                _ => (
                    rampmeter_router_resume(router, now, replica, now + 9, said),
                    self.core.resume(at, id, Nanos(now + 9)),
                ),
            }
        };
        if self.hears(status, core).is_some() && what == 2 {
            self.replicas.retain(|other| *other != replica);
        }
        let mut status = 9;
        // SAFETY: as above.
        let code =
            unsafe { rampmeter_router_status(router, replica, &raw mut status, self.said.place()) };
        let core = self.core.status(id);
        if let Some(core) = self.hears(code, core) {
            assert_eq!(status, core as u32);
        }
    }

    pub fn cache(&mut self, now: u64, replica: u64, what: u64, tier: u32, hashes: &[u64]) {
        let (router, said) = (self.router, self.said.place());
        let (at, id) = (Nanos(now), ReplicaId::from_raw(replica));
        let (from, len) = (hashes.as_ptr(), hashes.len());
        let (adapter, core_tier) = (hashes.len() as u64 % 4, Tier::ALL[tier as usize]);
        // SAFETY: the router is good, the hashes may be read, and the error may be written.
        let (status, core) = unsafe {
            match what {
                0 => (
                    rampmeter_router_stored(router, now, replica, tier, from, len, said),
                    self.core.stored(at, id, core_tier, hashes),
                ),
                1 => (
                    rampmeter_router_removed(router, now, replica, tier, from, len, said),
                    self.core.removed(at, id, core_tier, hashes),
                ),
                2 => (
                    rampmeter_router_cleared(router, now, replica, said),
                    self.core.cleared(at, id),
                ),
                3 => (
                    rampmeter_router_adapter_loaded(router, now, replica, adapter, said),
                    self.core.adapter_loaded(at, id, adapter),
                ),
                _ => (
                    rampmeter_router_adapter_unloaded(router, now, replica, adapter, said),
                    self.core.adapter_unloaded(at, id, adapter),
                ),
            }
        };
        self.hears(status, core);
    }

    pub fn report(&mut self, now: u64, replica: u64, prng: &mut Prng) {
        let mut ours = sized::<rampmeter_replica_state>();
        (ours.running, ours.waiting) = (prng.below(4) as u32, prng.below(3) as u32);
        (ours.kv_blocks_free, ours.context_tokens) = (prng.below(40_000) as u32, prng.below(9_000));
        ours.as_of_ns = if prng.chance(40) { 0 } else { now.saturating_sub(prng.below(50) * MS) };
        ours.prefill_tokens_known = u8::from(prng.chance(50));
        ours.prefill_tokens = prng.below(5_000);
        let known = ours.prefill_tokens_known == 1;
        let core = ReplicaState {
            as_of: Nanos(if ours.as_of_ns == 0 { now } else { ours.as_of_ns }),
            running: ours.running,
            waiting: ours.waiting,
            context_tokens: ours.context_tokens,
            kv_free: Blocks(ours.kv_blocks_free),
            prefill_tokens: known.then_some(ours.prefill_tokens),
        };
        let (mut news, said, ours) = (9, self.said.place(), &raw const ours);
        // SAFETY: router and state are good, and both places may be written.
        let status = unsafe {
            rampmeter_router_report(self.router, now, replica, ours, &raw mut news, said)
        };
        let core = self.core.report(Nanos(now), ReplicaId::from_raw(replica), &core);
        if let Some(core) = self.hears(status, core) {
            assert_eq!(news, u32::from(core));
        }
    }

    pub fn stats(&mut self) {
        let mut got = sized::<rampmeter_stats_router>();
        // SAFETY: the router is good, and both places may be written.
        let status =
            unsafe { rampmeter_router_stats(self.router, &raw mut got, self.said.place()) };
        let want = self.core.stats();
        assert_eq!((status, got.replicas, got.replicas_max), (0, want.replicas, want.replicas_max));
        assert_eq!((got.replicas_ready, got.requests), (want.replicas_ready, want.requests));
        assert_eq!((got.requests_max, got.blocks), (want.requests_max, want.blocks));
        assert_eq!((got.blocks_max, got.sets), (want.blocks_max, want.sets));
        assert_eq!((got.sets_max, got.blocks_evicted), (want.sets_max, want.blocks_evicted));
        assert_eq!((got.decisions, got.ended), (want.decisions, want.ended));
        assert_eq!(got.rate_per_s, want.rate_per_s);
        assert_eq!(got.output_tokens_mean, want.output_tokens_mean);
    }

    /// Both say the same in bytes, and go on from them.
    pub fn moves_house(&mut self) {
        let (mut bytes_len, mut written, none) = (0, 0, ptr::null_mut());
        let mut core = vec![0; self.core.snapshot_bytes() as usize];
        self.core.save(&mut core).unwrap();
        let mut bytes = vec![0_u8; core.len()];
        let (place, len) = (bytes.as_mut_ptr(), bytes.len());
        let (ours, core_options) = options();
        let (ours, mut again) = (&raw const ours, ptr::null_mut());
        // SAFETY: the router is good, and so much may be written.
        unsafe {
            let size = rampmeter_router_snapshot_bytes(self.router, &raw mut bytes_len, none);
            assert_eq!((size, bytes_len), (codes::OK, len as u64));
            let saved = rampmeter_router_save(self.router, place, len, &raw mut written, none);
            assert_eq!((saved, written), (codes::OK, len));
            assert_eq!(bytes, core);
            let (terms, from) = (self.terms.0, bytes.as_ptr());
            let cut = rampmeter_router_restore(terms, ours, from, len - 1, &raw mut again, none);
            assert_eq!((cut, again.is_null()), (codes::SNAPSHOT, true));
            let whole = rampmeter_router_restore(terms, ours, from, len, &raw mut again, none);
            assert_eq!(whole, codes::OK);
            rampmeter_router_destroy(self.router);
        }
        self.router = again;
        self.core = Router::restore(&self.terms.1, &core_options, &core).unwrap();
    }
}

pub fn request(
    class: u32,
    prompt: u32,
    hashes: &[u64],
    adapter: u64,
) -> (rampmeter_route_request, RouteRequest) {
    let mut ours = sized::<rampmeter_route_request>();
    (ours.class_index, ours.prompt_tokens, ours.adapter) = (class, prompt, adapter);
    (ours.hashes, ours.hashes_len) = (hashes.as_ptr(), hashes.len() as u32);
    (ours, RouteRequest { class: class as u16, prompt_tokens: Tokens(prompt), adapter })
}
