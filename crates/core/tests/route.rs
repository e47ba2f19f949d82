//! The rules of a router, one by one.

use rampmeter::engine::Profile;
use rampmeter::policy::{EngineMode, Policy};
use rampmeter::route::{
    Candidate, ReplicaId, ReplicaSpec, ReplicaState, RouteId, RouteRequest, Routed, Router,
    RouterOptions, Tier,
};
use rampmeter::{Blocks, Error, Nanos, Tokens};

fn spec() -> ReplicaSpec {
    ReplicaSpec::of(Profile::named("llama-3.1-8b").unwrap()).unwrap()
}

fn options(replicas_max: u32) -> RouterOptions {
    RouterOptions {
        replicas_max,
        requests_max: 1_000,
        blocks_max: 4_000,
        sets_max: 4_000,
        prompt_blocks_max: 64,
        ..RouterOptions::default()
    }
}

fn router(replicas: u32) -> (Router, Vec<ReplicaId>) {
    let mut router = Router::new(&Policy::default(), &options(replicas.max(4))).unwrap();
    let ids = (0..replicas).map(|_| router.add_replica(Nanos(0), &spec()).unwrap()).collect();
    (router, ids)
}

fn request(tokens: u32) -> RouteRequest {
    RouteRequest { prompt_tokens: Tokens(tokens), ..RouteRequest::default() }
}

fn ms(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

fn go(router: &mut Router, now: Nanos, tokens: u32, hashes: &[u64]) -> Routed {
    router.route(now, &request(tokens), hashes).unwrap().unwrap()
}

#[test]
fn equal_replicas_take_turns() {
    let (mut router, ids) = router(3);
    let chosen: Vec<ReplicaId> = (0..6)
        .map(|at| {
            let routed = go(&mut router, ms(1_000 * at), 100, &[]);
            router.ended(ms(1_000 * at + 1), routed.request, Tokens(0)).unwrap();
            routed.replica
        })
        .collect();
    assert_eq!(chosen, [ids[0], ids[1], ids[2], ids[0], ids[1], ids[2]]);
}

#[test]
fn a_replica_that_is_silent_is_passed_over_while_another_is_not() {
    let (mut router, ids) = router(2);
    let busy = |as_of: Nanos| ReplicaState {
        as_of,
        prefill_tokens: Some(50_000),
        kv_free: Blocks(10_000),
        ..ReplicaState::default()
    };
    // The other one is idle as far as anybody knows, but nobody knows.
    assert_eq!(router.report(ms(6_000), ids[0], &busy(ms(6_000))), Ok(true));
    let routed = go(&mut router, ms(6_001), 100, &[]);
    assert_eq!((routed.replica, routed.stale), (ids[0], false));
    // None has reported in time: the best by what was known last.
    let routed = go(&mut router, ms(20_000), 100, &[]);
    assert!(routed.stale);
    // An older report that comes late changes nothing.
    assert_eq!(router.report(ms(20_000), ids[0], &busy(ms(5_000))), Ok(false));
    assert_eq!(router.report(ms(20_000), ids[1], &busy(ms(20_000))), Ok(true));
    assert_eq!(go(&mut router, ms(20_000), 100, &[]).replica, ids[1]);
}

#[test]
fn a_replica_that_starts_is_not_silent() {
    let (mut router, ids) = router(1);
    let ready_at = ms(60_000);
    let cold = router.add_replica(ms(1), &ReplicaSpec { ready_at, ..spec() }).unwrap();
    // A queue of minutes before the other one, which reports: the rest of the start is shorter.
    let busy = ReplicaState {
        as_of: ms(50_000),
        prefill_tokens: Some(4_000_000),
        kv_free: Blocks(10_000),
        ..ReplicaState::default()
    };
    router.report(ms(50_000), ids[0], &busy).unwrap();
    let routed = go(&mut router, ms(50_000), 100, &[]);
    assert_eq!((routed.replica, routed.stale), (cold, false));
    assert!((10.0..11.0).contains(&routed.ttft_s), "{}", routed.ttft_s);
    // Once it should have begun, silence is silence.
    router.report(ms(66_000), ids[0], &ReplicaState { as_of: ms(66_000), ..busy }).unwrap();
    assert_eq!(go(&mut router, ms(66_000), 100, &[]).replica, ids[0]);
}

#[test]
fn what_was_routed_since_a_report_is_added_to_it() {
    let (mut router, ids) = router(1);
    let idle = |as_of| ReplicaState { as_of, kv_free: Blocks(36_578), ..ReplicaState::default() };
    let before = go(&mut router, ms(100), 10_000, &[]).ttft_s;
    let queued = go(&mut router, ms(200), 10_000, &[]).ttft_s;
    assert!(queued > 1.7 * before, "{queued} after {before}");
    // It had nothing to do at 150 ms, so only the second one is still before the next.
    let state = ReplicaState { prefill_tokens: Some(0), ..idle(ms(150)) };
    router.report(ms(210), ids[0], &state).unwrap();
    let third = go(&mut router, ms(210), 10_000, &[]).ttft_s;
    // With half a chunk of those who come at that rate meanwhile, 35 ms, in its last step.
    assert!(third > before + 0.44 && third < before + 0.48, "{third} over {before}");
    // Without an account of its prompts, the router's own stays.
    router.report(ms(211), ids[0], &idle(ms(211))).unwrap();
    assert!(go(&mut router, ms(211), 10_000, &[]).ttft_s > third);
}

#[test]
fn drained_failed_and_returned() {
    let (mut router, ids) = router(2);
    let hashes: Vec<u64> = (0..60).collect();
    let first = go(&mut router, ms(1), 1_000, &hashes);
    assert_eq!(first.replica, ids[0]);
    router.drain(ms(2), ids[0]).unwrap();
    assert_eq!(go(&mut router, ms(3), 1_000, &hashes).replica, ids[1]);
    assert_eq!(router.fail(ms(4), ids[1]), Ok(1));
    assert_eq!(router.route(ms(5), &request(1_000), &hashes), Ok(None));
    // It comes back without its cache, after a minute; the other one still has its own.
    router.resume(ms(6), ids[1], ms(60_000)).unwrap();
    let cold = go(&mut router, ms(7), 1_000, &hashes);
    assert_eq!((cold.replica, cold.cached_tokens), (ids[1], Tokens(0)));
    assert!(cold.ttft_s > 59.0, "{}", cold.ttft_s);
    router.resume(ms(8), ids[0], ms(8)).unwrap();
    let warm = go(&mut router, ms(9), 1_000, &hashes);
    assert_eq!((warm.replica, warm.cached_tokens), (ids[0], Tokens(960)));
    // What became of a request that was lost is nobody's.
    router.ended(ms(10), first.request, Tokens(3)).unwrap();
    router.remove_replica(ms(11), ids[0]).unwrap();
    assert!(matches!(router.drain(ms(12), ids[0]), Err(Error::Stale { .. })));
    assert!(matches!(router.ended(ms(13), warm.request, Tokens(3)), Err(Error::Stale { .. })));
    // Of one that failed, requests keep their places until they are said to have ended.
    router.first_token(ms(14), cold.request).unwrap();
    assert_eq!(router.stats().replicas_ready, 1);
}

#[test]
fn a_slow_replica_gets_less() {
    let (mut router, ids) = router(2);
    let mut counts = [0, 0];
    let mut busy_until = [0_u64; 2];
    let mut waiting: Vec<(u64, usize, RouteId)> = Vec::new();
    for at in 0..600_u64 {
        let now = at * 25;
        waiting.sort_unstable();
        while let Some((done, _, id)) = waiting.first().copied()
            && done <= now
        {
            router.first_token(ms(done), id).unwrap();
            router.ended(ms(done), id, Tokens(1)).unwrap();
            waiting.remove(0);
        }
        let routed = go(&mut router, ms(now), 1_000, &[]);
        let place = usize::from(routed.replica == ids[1]);
        counts[place] += 1;
        busy_until[place] = busy_until[place].max(now) + [40, 120][place];
        waiting.push((busy_until[place], place, routed.request));
    }
    assert!(counts[1] * 2 < counts[0], "{counts:?}");
    let mut candidates = [Candidate::default(); 4];
    let len = router.explain(ms(15_000), &request(1_000), &[], &mut candidates).unwrap();
    assert_eq!(len, 2);
    let ratio = candidates[1].pace_ratio / candidates[0].pace_ratio;
    assert!((2.0..4.0).contains(&ratio), "{ratio}");
}

#[test]
fn a_cache_that_tells_nothing_forgets_what_is_old() {
    let (mut router, _) = router(1);
    let old: Vec<u64> = (0..60).collect();
    go(&mut router, ms(1), 1_000, &old);
    let first = go(&mut router, ms(2), 1_000, &old).cached_tokens;
    assert_eq!(first, Tokens(960));
    // 36,578 blocks: forty prompts of 16,000 tokens turn the cache over.
    for at in 0..40 {
        go(&mut router, ms(10 + at), 16_000, &[]);
    }
    assert_eq!(go(&mut router, ms(100), 1_000, &old).cached_tokens, Tokens(0));
}

/// Of many replicas a few are priced; of two, the cheaper one is taken.
#[test]
fn a_sample_is_the_cheaper_of_two_and_ends_in_short_queues() {
    let mut policy = Policy::default();
    policy.route.sample_above_replicas = 2;
    let longest = |sampled: bool| {
        let mut rules = policy.clone();
        rules.route.sample_above_replicas = if sampled { 2 } else { 1 << 20 };
        let mut router = Router::new(&rules, &options(200)).unwrap();
        let ids: Vec<ReplicaId> =
            (0..200).map(|_| router.add_replica(Nanos(0), &spec()).unwrap()).collect();
        let mut counts = vec![0_u32; ids.len()];
        let mut candidates = vec![Candidate::default(); 200];
        for _ in 0..400 {
            router.explain(Nanos(1), &request(1_000), &[], &mut candidates).unwrap();
            let routed = go(&mut router, Nanos(1), 1_000, &[]);
            let place = ids.iter().position(|id| *id == routed.replica).unwrap();
            counts[place] += 1;
            assert_eq!(routed.candidates, if sampled { 2 } else { 200 });
            // No cheaper one was passed over by more than half of the draws.
            let cheaper =
                candidates.iter().filter(|one| one.prices.cost < routed.cost * 0.999).count();
            assert!(sampled || cheaper == 0);
        }
        counts.into_iter().max().unwrap()
    };
    assert_eq!(longest(false), 2);
    // One random choice of 400 balls in 200 bins: 8 or 9 at the fullest; two choices: 4.
    assert!((3..=5).contains(&longest(true)), "{}", longest(true));
}

#[test]
fn a_sample_knows_who_holds_the_prompt() {
    let mut policy = Policy::default();
    policy.route.sample_above_replicas = 2;
    let mut router = Router::new(&policy, &options(200)).unwrap();
    let ids: Vec<ReplicaId> =
        (0..200).map(|_| router.add_replica(Nanos(0), &spec()).unwrap()).collect();
    let hashes: Vec<u64> = (0..60).collect();
    router.stored(Nanos(1), ids[123], Tier::Device, &hashes).unwrap();
    let routed = go(&mut router, Nanos(2), 1_000, &hashes);
    assert_eq!((routed.replica, routed.candidates), (ids[123], 3));
    router.drain(Nanos(3), ids[123]).unwrap();
    assert_eq!(go(&mut router, Nanos(4), 1_000, &hashes).candidates, 2);
}

/// Every pair by hand: nothing is cheaper than the pair that is chosen.
#[test]
fn pairs_are_priced_with_their_transfer() {
    let options = RouterOptions { network_bytes_per_s: 1e9, ..options(16) };
    let mut router = Router::new(&Policy::default(), &options).unwrap();
    let half = |mode, link_group| ReplicaSpec { mode, link_group, ..spec() };
    let near = router.add_replica(Nanos(0), &half(EngineMode::Prefill, 1)).unwrap();
    assert_eq!(router.route_pair(Nanos(0), &request(8_000), &[]), Ok(None));
    let far = router.add_replica(Nanos(0), &half(EngineMode::Decode, 2)).unwrap();
    let routed = router.route_pair(Nanos(0), &request(8_000), &[]).unwrap().unwrap();
    assert_eq!((routed.prefill, routed.decode), (near, far));
    // 500 blocks of 16 tokens of 128 KiB at 1 GB/s.
    assert!((routed.transfer_s - 1.048_576).abs() < 1e-9, "{}", routed.transfer_s);
    let mate = router.add_replica(Nanos(0), &half(EngineMode::Decode, 1)).unwrap();
    let routed = router.route_pair(Nanos(1), &request(8_000), &[]).unwrap().unwrap();
    assert_eq!(routed.decode, mate);
    assert!(routed.transfer_s < 0.003);
    // Nobody computes both halves.
    assert_eq!(router.route(Nanos(1), &request(10), &[]), Ok(None));
    router.started(Nanos(2), routed.request, Tokens(0)).unwrap();
    router.first_token(ms(500), routed.request).unwrap();
    router.ended(ms(900), routed.request, Tokens(9)).unwrap();
    assert_eq!(router.stats().requests, 1);
}

#[test]
fn wrong_calls_are_refused_and_change_nothing() {
    let (mut router, ids) = router(2);
    let routed = go(&mut router, ms(10), 100, &[1, 2, 3]);
    let mut before = vec![0; router.snapshot_bytes() as usize];
    router.save(&mut before).unwrap();
    let stale = ReplicaId::from_raw(77 << 32);
    let state = ReplicaState { as_of: ms(10), ..ReplicaState::default() };
    let wrong = |field: &str, answer: Result<(), Error>| {
        assert_eq!(answer.unwrap_err().field(), field);
    };
    let mut out = [Candidate::default(); 1];
    wrong("now_ns", router.route(ms(9), &request(1), &[]).map(drop));
    wrong("prompt_tokens", router.route(ms(10), &request(0), &[]).map(drop));
    wrong("prompt_tokens", router.route_pair(ms(10), &request(u32::MAX), &[]).map(drop));
    let class = RouteRequest { class: 2, ..request(1) };
    wrong("class", router.route(ms(10), &class, &[]).map(drop));
    wrong("candidates", router.explain(ms(10), &request(1), &[], &mut out).map(drop));
    wrong("replicas", router.report(ms(10), stale, &state).map(drop));
    let future = ReplicaState { as_of: ms(11), ..state };
    wrong("as_of_ns", router.report(ms(10), ids[0], &future).map(drop));
    let many = ReplicaState { kv_free: Blocks(36_579), ..state };
    wrong("kv_free", router.report(ms(10), ids[0], &many).map(drop));
    wrong("requests", router.first_token(ms(10), RouteId::from_raw(5)));
    wrong("cached_tokens", router.started(ms(10), routed.request, Tokens(101)));
    wrong("output_tokens", router.ended(ms(10), routed.request, Tokens(u32::MAX)));
    for answer in [
        router.drain(ms(10), stale),
        router.fail(ms(10), stale).map(drop),
        router.resume(ms(10), stale, ms(1)),
        router.remove_replica(ms(10), stale),
        router.stored(ms(10), stale, Tier::Host, &[1]),
        router.removed(ms(10), stale, Tier::Host, &[1]),
        router.cleared(ms(10), stale),
        router.adapter_loaded(ms(10), stale, 1),
        router.adapter_unloaded(ms(10), stale, 1),
        router.status(stale).map(drop),
    ] {
        wrong("replicas", answer);
    }
    let seats = ReplicaSpec { running_max: 0, ..spec() };
    wrong("running_max", router.add_replica(ms(10), &seats).map(drop));
    let load = ReplicaSpec { adapter_load_s: f64::NAN, ..spec() };
    wrong("adapter_load_s", router.add_replica(ms(10), &load).map(drop));
    let mut policy = Policy::default();
    policy.route.later_weight = -1.0;
    wrong("route.later_weight", router.set_policy(&policy));
    let mut after = vec![0; router.snapshot_bytes() as usize];
    router.save(&mut after).unwrap();
    assert_eq!(before, after);
}

#[test]
fn a_changed_policy_holds_from_the_next_request_on() {
    let (mut router, _) = router(2);
    go(&mut router, ms(0), 1_000, &[]);
    let mut policy = Policy::default();
    policy.classes[0].delay_value = 100.0;
    router.set_policy(&policy).unwrap();
    let routed = go(&mut router, ms(1), 1_000, &[]);
    assert!(routed.cost > 50.0 * routed.ttft_s, "{routed:?}");
}
