//! The router by its C functions answers as the core does.
#![allow(unsafe_code, reason = "these are calls as C makes them")]

mod caller;
#[path = "router/twins.rs"]
mod twins;

use std::ptr;

use caller::{Prng, policy, sized};
use rampmeter::error::codes;
use rampmeter::policy::Policy;
use rampmeter::route::{Router, RouterOptions};
use rampmeter_ffi::policy::rampmeter_policy_destroy;
use rampmeter_ffi::router::*;
use twins::{DOCUMENT, MS, REPLICAS, Twins, engine, request};

fn one_of(prng: &mut Prng, known: &[u64]) -> u64 {
    let at = prng.below(known.len() as u64) as usize;
    let known = known.get(at).copied();
    known.filter(|_| prng.chance(97)).unwrap_or_else(|| prng.draw())
}

#[test]
fn the_same_calls_have_the_same_answers() {
    let (mut routed, mut refused) = ([0; 2], 0);
    for seed in 0..25 {
        let (mut prng, mut now) = (Prng(seed), 0);
        let mut twins = Twins::new();
        for replica in 0..4 {
            twins.add(now, prng.below(5).min(2 + replica % 2) as u32 % 3, 0);
        }
        for _ in 0..400 {
            now += prng.below(40) * MS;
            let at = if prng.chance(2) { now / 2 } else { now };
            // Prompts of three families that agree for a while.
            let (family, len) = (prng.below(3), prng.below(30));
            let hashes: Vec<u64> = (0..len).map(|block| 1 + family * 100 + block).collect();
            let prompt = prng.below(40) as u32 + len as u32 * 16;
            let (replica, request) =
                (one_of(&mut prng, &twins.replicas), one_of(&mut prng, &twins.requests));
            match prng.below(100) {
                0..30 => {
                    twins.route(at, prng.below(21) as u32 / 10, prompt, &hashes, prng.below(4));
                }
                30..40 => twins.route_pair(at, prompt, &hashes),
                40..72 => twins.lives(at, request, prng.below(4), prng.below(60) as u32),
                72..80 => twins.report(at, replica, &mut prng),
                80..88 => {
                    twins.cache(at, replica, prng.below(5), prng.below(3) as u32, &hashes);
                }
                88..91 => twins.fleet(at, replica, prng.below(9)),
                91..93 => twins.add(at, prng.below(3) as u32, at + prng.below(2_000) * MS),
                93 => twins.moves_house(),
                94 => twins.stats(),
                _ => twins.explain(at, prompt, &hashes, REPLICAS - prng.below(4) as usize),
            }
        }
        routed = [routed[0] + twins.routed[0], routed[1] + twins.routed[1]];
        refused += twins.refused;
    }
    assert!(routed[0] > 1_000 && routed[1] > 100 && refused > 500, "{routed:?} {refused}");
}

#[test]
fn hashes_are_those_of_the_core() {
    let tokens: Vec<u32> = (0..100).map(|token| token * token % 37).collect();
    let (mut got, mut want, mut len) = ([0_u64; 5], [0_u64; 5], 0);
    let (from, to) = (tokens.as_ptr(), got.as_mut_ptr());
    for (block, room) in [(16, 5), (30, 5), (7, 2), (0, 5), (101, 5)] {
        let none = ptr::null_mut();
        // SAFETY: so much may be read and written.
        let status = unsafe {
            rampmeter_hash_blocks(7, from, tokens.len(), block, to, room, &raw mut len, none)
        };
        let written = rampmeter::route::hash_blocks(7, &tokens, block, &mut want[..room]);
        assert_eq!((status, len), (codes::OK, written));
        assert_eq!(got, want);
    }
}

#[test]
fn zero_means_the_default() {
    let (none, mut bytes) = (ptr::null_mut(), 0);
    let ((terms, core), mut ours) = (policy(DOCUMENT), sized::<rampmeter_router_options>());
    // SAFETY: policy and options are good, and the place may be written.
    unsafe {
        let place = &raw mut bytes;
        assert_eq!(rampmeter_router_bytes_needed(terms, &raw const ours, place, none), codes::OK);
        assert_eq!(bytes, Router::bytes_needed(&core, &RouterOptions::default()));
        ours.block_tokens = 65_537;
        bytes = 5;
        let status = rampmeter_router_bytes_needed(terms, &raw const ours, place, none);
        assert_eq!((status, bytes), (codes::RANGE, 5));
        (ours.block_tokens, ours.reserved) = (16, 1);
        let status = rampmeter_router_bytes_needed(terms, &raw const ours, place, none);
        assert_eq!(status, codes::RANGE);
        (ours.reserved, ours.link_bytes_per_s) = (0, f64::NAN);
        let status = rampmeter_router_bytes_needed(terms, &raw const ours, place, none);
        assert_eq!(status, codes::RANGE_REAL);
        rampmeter_policy_destroy(terms);
    }
}

#[test]
fn wrong_memory_and_numbers_are_refused_before_anything_changes() {
    let mut twins = Twins::new();
    twins.add(0, RAMPMETER_REPLICA_MIXED, 0);
    let (router, replica, none) = (twins.router, twins.replicas[0], ptr::null_mut());
    let (good, _) = request(0, 100, &[], 0);
    let (mut far, mut lost) = (good, good);
    (far.class_index, lost.hashes, lost.hashes_len) = (70_000, ptr::null(), 3);
    let (engine, _) = engine();
    let mut spec = sized::<rampmeter_replica_spec>();
    spec.mode = 3;
    let mut state = sized::<rampmeter_replica_state>();
    state.prefill_tokens_known = 2;
    let (mut routed, mut small) = (sized::<rampmeter_routed>(), sized::<rampmeter_routed>());
    (small.size, routed.request) = (47, 99);
    let (mut id, mut news, mut len) = (99, 9, 9);
    // SAFETY: null is allowed everywhere, and the rest may be read and written.
    unsafe {
        let (place, nowhere) = (&raw mut routed, ptr::null_mut());
        let route = rampmeter_router_route;
        assert_eq!(route(router, 1, &raw const good, nowhere, none), codes::POINTER);
        assert_eq!(route(router, 1, ptr::null(), place, none), codes::POINTER);
        assert_eq!(route(router, 1, &raw const good, &raw mut small, none), codes::SIZE);
        assert_eq!(route(router, 1, &raw const lost, place, none), codes::POINTER);
        assert_eq!(route(router, 1, &raw const far, place, none), codes::RANGE);
        assert_eq!(route(nowhere.cast(), 1, &raw const good, place, none), codes::POINTER);
        let (engine, spec) = (&raw const engine, &raw const spec);
        let status = rampmeter_router_add_replica(router, 1, engine, spec, &raw mut id, none);
        assert_eq!((status, id), (codes::RANGE, 99));
        let state = &raw const state;
        let status = rampmeter_router_report(router, 1, replica, state, &raw mut news, none);
        assert_eq!((status, news), (codes::RANGE, 9));
        let status = rampmeter_router_stored(router, 1, replica, 3, [1_u64].as_ptr(), 1, none);
        assert_eq!(status, codes::RANGE);
        assert_eq!(rampmeter_router_fail(router, 1, replica, nowhere.cast(), none), codes::POINTER);
        let (good, place) = (&raw const good, &raw mut len);
        let status = rampmeter_router_explain(router, 1, good, nowhere.cast(), 0, place, none);
        assert_eq!((status, len), (codes::BUFFER_TOO_SMALL, 9));
        let status = rampmeter_router_explain(router, 1, good, nowhere.cast(), 1, place, none);
        assert_eq!((status, len), (codes::POINTER, 9));
    }
    assert_eq!(routed.request, 99);
    twins.stats();
    // Both took nothing for said, the time among it.
    twins.route(0, 0, 100, &[], 0);
    twins.moves_house();
    let (other, core) = policy(&DOCUMENT.replace("0.2", "0.5"));
    let (fewer, _) = policy("");
    // SAFETY: router and policies are good.
    unsafe {
        assert_eq!(rampmeter_router_set_policy(twins.router, other, none), codes::OK);
        twins.core.set_policy(&core).unwrap();
        assert_eq!(rampmeter_router_set_policy(twins.router, ptr::null(), none), codes::POINTER);
        let code = twins
            .core
            .set_policy(&Policy::from_toml("").unwrap())
            .map_or_else(rampmeter::Error::code, |()| codes::OK);
        assert_eq!(rampmeter_router_set_policy(twins.router, fewer, none), code);
        rampmeter_policy_destroy(other);
        rampmeter_policy_destroy(fewer);
    }
    twins.route(1, 1, 100, &[], 0);
}
