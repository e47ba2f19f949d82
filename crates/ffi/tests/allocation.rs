//! What the header says of memory: a gate, a router and a desk of headroom take what they announce
//! when they are created, and nothing later, whether a call succeeds or fails.
#![allow(unsafe_code, reason = "these are calls as C makes them")]

mod caller;
#[path = "../../core/tests/counting/mod.rs"]
mod counting;

use std::ptr;

use caller::{Prng, Said, policy, sized, zeros};
use counting::tally;
use rampmeter::error::codes;
use rampmeter_ffi::engine::{rampmeter_engine, rampmeter_engine_named};
use rampmeter_ffi::gate::*;
use rampmeter_ffi::headroom::*;
use rampmeter_ffi::policy::rampmeter_policy_destroy;
use rampmeter_ffi::router::*;

const MS: u64 = 1_000_000;

/// Fixed fields of a desk, which its bytes do not count: 1.4 KB at most.
const FIXED: isize = 2_048;

const DOCUMENT: &str =
    "[limits]\nrequests_max = 64\nrunning_max = 32\naccounts_max = 8\n[[account]]\nname = \"a\"\n";

/// What was created takes what it said.
fn announced(live_before: isize, bytes: u64) {
    let (took, bytes) = (tally().bytes_live - live_before, bytes.cast_signed() as isize);
    assert!((bytes..=bytes + FIXED).contains(&took), "{took} bytes, announced {bytes}");
}

#[test]
fn the_counter_sees_an_allocation() {
    let before = tally().calls;
    drop(std::hint::black_box(Box::new(7_u8)));
    assert_eq!(tally().calls - before, 2, "one to allocate, one to free");
}

#[test]
fn a_gate_allocates_once() {
    let ((terms, _), mut said, none) = (policy(DOCUMENT), Said::nothing(), ptr::null_mut());
    let (mut gate, mut bytes, mut account) = (ptr::null_mut(), 0, 0);
    let live = tally().bytes_live;
    // SAFETY: policy and places are good.
    unsafe {
        assert_eq!(rampmeter_gate_bytes_needed(terms, &raw mut bytes, none), codes::OK);
        assert_eq!(rampmeter_gate_create(terms, 3, &raw mut gate, none), codes::OK);
        assert_eq!(rampmeter_gate_policy_account(gate, 0, &raw mut account, none), codes::OK);
    }
    announced(live, bytes);
    let (mut prng, mut now, mut failed, mut next) = (Prng(1), 0, 0, 0);
    let (mut admission, mut dequeued) =
        (sized::<rampmeter_gate_admission>(), sized::<rampmeter_gate_dequeued>());
    let mut refusal = sized::<rampmeter_gate_refusal>();
    let (mut snapshot, mut written) = (vec![0_u8; 1 << 20], 0);
    let before = tally().calls;
    for _ in 0..20_000 {
        now += prng.below(20) * MS;
        let (work, error) = (prng.below(9) as u32, said.place());
        let ticket = if prng.chance(80) { admission.ticket } else { prng.draw() };
        let (to, len) = (snapshot.as_mut_ptr(), snapshot.len());
        // SAFETY: the gate is good, and all places may be written.
        let status = unsafe {
            match prng.below(10) {
                0..4 => {
                    rampmeter_gate_admit(gate, now, 0, account, work, &raw mut admission, error)
                }
                4..6 => rampmeter_gate_ended(gate, now, ticket, error),
                6 => rampmeter_gate_dequeue(gate, now, next, &raw mut dequeued, error),
                7 => rampmeter_gate_next(gate, now, &raw mut next, error),
                8 => rampmeter_gate_given_up(gate, now, &raw mut refusal, error),
                _ if prng.chance(5) => rampmeter_gate_set_policy(gate, terms, error),
                _ => rampmeter_gate_save(gate, to, len, &raw mut written, error),
            }
        };
        failed += u32::from(status != codes::OK);
    }
    assert_eq!(tally().calls, before);
    assert!((1_000..19_000).contains(&failed), "{failed}");
    // SAFETY: neither is used later.
    unsafe {
        rampmeter_gate_destroy(gate);
        rampmeter_policy_destroy(terms);
    }
}

#[test]
fn a_router_allocates_once() {
    let ((terms, _), mut said, none) = (policy(DOCUMENT), Said::nothing(), ptr::null_mut());
    let (mut options, mut spec) =
        (sized::<rampmeter_router_options>(), sized::<rampmeter_replica_spec>());
    let mut engine = sized::<rampmeter_engine>();
    (options.replicas_max, options.requests_max, options.blocks_max) = (4, 64, 500);
    options.sets_max = 500;
    let (mut router, mut bytes, mut replicas) = (ptr::null_mut(), 0, [0_u64; 4]);
    let live = tally().bytes_live;
    // SAFETY: all of it is good.
    unsafe {
        let given = &raw const options;
        assert_eq!(rampmeter_router_bytes_needed(terms, given, &raw mut bytes, none), codes::OK);
        assert_eq!(rampmeter_router_create(terms, given, &raw mut router, none), codes::OK);
    }
    announced(live, bytes);
    let (mut request, mut routed) =
        (sized::<rampmeter_route_request>(), sized::<rampmeter_routed>());
    let mut state = sized::<rampmeter_replica_state>();
    let (mut candidates, mut len, mut news) = (zeros::<rampmeter_candidate>(4), 0, 0);
    let (mut hashes, mut prng, mut now, mut failed) = ([0_u64; 30], Prng(2), 0, 0);
    let (mut snapshot, mut written) = (vec![0_u8; 1 << 20], 0);
    let before = tally().calls;
    // SAFETY: all of it is good.
    unsafe {
        rampmeter_engine_named(c"qwen3-32b".as_ptr(), &raw mut engine, none);
        for (mode, replica) in replicas.iter_mut().enumerate() {
            spec.mode = (mode as u32).saturating_sub(1);
            let (engine, spec) = (&raw const engine, &raw const spec);
            rampmeter_router_add_replica(router, 0, engine, spec, replica, none);
        }
    }
    for _ in 0..20_000 {
        now += prng.below(20) * MS;
        let (error, family) = (said.place(), prng.below(50) * 100);
        hashes.iter_mut().zip(family..).for_each(|(hash, name)| *hash = name + 1);
        (request.hashes, request.hashes_len) = (hashes.as_ptr(), prng.below(30) as u32);
        request.prompt_tokens = prng.below(600) as u32;
        let id = if prng.chance(80) { routed.request } else { prng.draw() };
        let replica = replicas[prng.below(4) as usize];
        let (asked, to, room) = (&raw const request, snapshot.as_mut_ptr(), snapshot.len());
        // SAFETY: the router is good, and all places may be written.
        let status = unsafe {
            match prng.below(12) {
                0..3 => rampmeter_router_route(router, now, asked, &raw mut routed, error),
                3..5 => rampmeter_router_first_token(router, now, id, error),
                5..8 => rampmeter_router_ended(router, now, id, 40, error),
                8 => {
                    let to = candidates.as_mut_ptr();
                    rampmeter_router_explain(router, now, asked, to, 4, &raw mut len, error)
                }
                9 => {
                    state.running = prng.below(4) as u32;
                    let state = &raw const state;
                    rampmeter_router_report(router, now, replica, state, &raw mut news, error)
                }
                10 => rampmeter_router_stored(router, now, replica, 0, hashes.as_ptr(), 30, error),
                _ if prng.chance(5) => rampmeter_router_set_policy(router, terms, error),
                _ => rampmeter_router_save(router, to, room, &raw mut written, error),
            }
        };
        failed += u32::from(status != codes::OK);
    }
    assert_eq!(tally().calls, before);
    assert!((1_000..19_000).contains(&failed), "{failed}");
    // SAFETY: neither is used later.
    unsafe {
        rampmeter_router_destroy(router);
        rampmeter_policy_destroy(terms);
    }
}

#[test]
fn a_desk_of_headroom_allocates_once() {
    let (mut options, mut said) = (sized::<rampmeter_headroom_options>(), Said::nothing());
    let classes = zeros::<rampmeter_headroom_class>(2);
    (options.classes, options.classes_len, options.replicas) = (classes.as_ptr(), 2, 8);
    let (mut desk, mut bytes, none) = (ptr::null_mut(), 0, ptr::null_mut());
    let live = tally().bytes_live;
    // SAFETY: all of it is good.
    unsafe {
        let given = &raw const options;
        assert_eq!(rampmeter_headroom_bytes_needed(given, &raw mut bytes, none), codes::OK);
        assert_eq!(rampmeter_headroom_create(given, &raw mut desk, none), codes::OK);
    }
    announced(live, bytes);
    let mut estimate = sized::<rampmeter_estimate>();
    let (mut prng, mut now, mut failed) = (Prng(3), 1_000 * MS, 0);
    let before = tally().calls;
    for _ in 0..5_000 {
        now += prng.below(20) * MS;
        let (class, error, to) = (prng.below(21) as u32 / 10, said.place(), &raw mut estimate);
        // SAFETY: the desk is good, and all places may be written.
        let status = unsafe {
            match prng.below(30) {
                0..10 => rampmeter_headroom_arrived(desk, now, class, error),
                10..19 => rampmeter_headroom_started(desk, now, class, prng.below(MS), error),
                19..28 => rampmeter_headroom_ended(desk, now, class, prng.below(99 * MS), error),
                28 => rampmeter_headroom_left(desk, now, class, 0, error),
                _ if prng.chance(50) => rampmeter_headroom_knee(desk, class, to, error),
                _ => rampmeter_headroom_replicas_needed(desk, to, error),
            }
        };
        failed += u32::from(status != codes::OK);
    }
    assert_eq!(tally().calls, before);
    assert!((100..4_000).contains(&failed), "{failed}");
    // SAFETY: it is not used later.
    unsafe { rampmeter_headroom_destroy(desk) };
}
