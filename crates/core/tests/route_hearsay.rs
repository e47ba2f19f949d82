//! What a router believes of replicas of which it is told little.

use proptest::prelude::*;
use rampmeter::engine::Profile;
use rampmeter::policy::{EngineMode, Policy};
use rampmeter::route::{
    Candidate, ReplicaId, ReplicaSpec, RouteRequest, Routed, Router, RouterOptions, Tier,
};
use rampmeter::{Error, Nanos, Tokens};

fn spec() -> ReplicaSpec {
    ReplicaSpec::of(Profile::named("llama-3.1-8b").unwrap()).unwrap()
}

const OPTIONS: RouterOptions = RouterOptions {
    replicas_max: 32,
    requests_max: 4_000,
    block_tokens: 16,
    blocks_max: 40_000,
    sets_max: 40_000,
    prompt_blocks_max: 10_000,
    adapters_max: 8,
    link_groups_max: 1,
    kv_bytes_per_token: 0,
    link_bytes_per_s: 1e12,
    network_bytes_per_s: 1e12,
};

fn router(specs: &[ReplicaSpec]) -> (Router, Vec<ReplicaId>) {
    let mut router = Router::new(&Policy::default(), &OPTIONS).unwrap();
    let ids = specs.iter().map(|spec| router.add_replica(Nanos(0), spec).unwrap()).collect();
    (router, ids)
}

fn request(tokens: u32, adapter: u64) -> RouteRequest {
    RouteRequest { prompt_tokens: Tokens(tokens), adapter, ..RouteRequest::default() }
}

fn ms(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

fn go(router: &mut Router, now: Nanos, tokens: u32, hashes: &[u64]) -> Routed {
    router.route(now, &request(tokens, 0), hashes).unwrap().unwrap()
}

/// What the first replica is believed to be like for a prompt of 1,000 tokens.
fn believed(router: &mut Router, now: Nanos, hashes: &[u64]) -> Candidate {
    let mut all = [Candidate::default(); 32];
    router.explain(now, &request(1_000, 0), hashes, &mut all).unwrap();
    all[0]
}

#[test]
fn an_end_with_an_answer_tells_how_long_answers_are() {
    let (mut router, _) = router(&[spec()]);
    for at in 0..500 {
        let routed = go(&mut router, ms(10_000 * at), 1_000, &[]);
        router.ended(ms(10_000 * at + 5_000), routed.request, Tokens(300)).unwrap();
    }
    let stats = router.stats();
    assert_eq!((stats.output_tokens_mean, stats.ended, stats.requests), (300.0, 500, 0));
    // One that was cancelled on its way tells nothing of answers.
    let routed = go(&mut router, ms(5_000_000), 1_000, &[]);
    router.ended(ms(5_000_001), routed.request, Tokens(0)).unwrap();
    assert_eq!(router.stats().ended, 500);
}

#[test]
fn work_that_was_done_long_ago_leaves_the_queue_no_second_time() {
    for answer in [0, 100] {
        let (mut router, _) = router(&[spec()]);
        let old: Vec<Routed> =
            (0..50).map(|at| go(&mut router, ms(1_000 * at), 4_000, &[])).collect();
        for _ in 0..20 {
            go(&mut router, ms(100_000), 4_000, &[]);
        }
        let before = believed(&mut router, ms(100_000), &[]).prices.queue_s;
        assert!(before > 3.0, "{before}");
        for routed in old {
            router.ended(ms(100_000), routed.request, Tokens(answer)).unwrap();
        }
        let after = believed(&mut router, ms(100_000), &[]).prices.queue_s;
        assert!((after - before).abs() < 1e-6, "{before} became {after}, answers of {answer}");
    }
}

/// One host says when first tokens are out, just as foreseen; the other one never does.
#[test]
fn who_says_nothing_of_first_tokens_is_believed_to_decode_as_if_it_did() {
    let run = |tells: bool| {
        let (mut router, _) = router(&[spec()]);
        let mut events: Vec<(u64, bool, Routed)> = Vec::new();
        let (mut interference_s, mut seats_s) = (0.0, 0.0);
        for at in 0..1_000 {
            let now = ms(100 * at);
            events.sort_by_key(|(due, ..)| *due);
            while events.first().is_some_and(|(due, ..)| *due <= now.get()) {
                let (due, is_end, routed) = events.remove(0);
                if is_end {
                    router.ended(Nanos(due), routed.request, Tokens(250)).unwrap();
                } else if tells {
                    router.first_token(Nanos(due), routed.request).unwrap();
                }
            }
            let routed = go(&mut router, now, 1_000, &[]);
            let first = now.offset_seconds(routed.ttft_s);
            events.push((first.get(), false, routed));
            events.push((first.offset_seconds(6.0).get(), true, routed));
            if at >= 500 {
                // Who tells when they are out also tells how fast prompts are.
                let Candidate { prices, pace_ratio, .. } = believed(&mut router, now, &[]);
                interference_s += prices.interference_s / pace_ratio / 500.0;
                seats_s += prices.seats_s / 500.0;
            }
        }
        (interference_s, seats_s, router.stats().output_tokens_mean)
    };
    let (told, silent) = (run(true), run(false));
    assert!(told.0 > 0.5, "sixty decode: {told:?}");
    assert!((silent.0 / told.0 - 1.0).abs() < 0.05, "{silent:?} beside {told:?}");
    assert_eq!((silent.1, silent.2), (told.1, told.2));
}

/// Seats come free at the rate at which requests end, whoever says so.
#[test]
fn stays_are_learned_from_ends_alone() {
    let few = ReplicaSpec { running_max: 2, ..spec() };
    let (mut router, _) = router(&[few]);
    for at in 0..100 {
        let routed = go(&mut router, ms(20_000 * at), 1_000, &[]);
        let first = ms(20_000 * at).offset_seconds(routed.ttft_s);
        router.ended(first.offset_seconds(8.0), routed.request, Tokens(300)).unwrap();
    }
    for _ in 0..2 {
        go(&mut router, ms(2_000_000), 1_000, &[]);
    }
    // One seat too few, and each of two is free after 8 s.
    let seats_s = believed(&mut router, ms(2_000_010), &[]).prices.seats_s;
    assert!((seats_s - 4.0).abs() < 0.01, "{seats_s}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// What was used before fifteen sixteenths of the cache came is there, and before a whole one
    /// it is not, however large the prompts are.
    #[test]
    fn a_silent_cache_forgets_by_what_came(sizes in prop::collection::vec(1_u32..30_000, 1..40)) {
        let (mut router, _) = router(&[spec()]);
        let capacity = spec().kv.blocks().get();
        let turn = capacity.div_ceil(16);
        let first: Vec<u64> = (0..62).collect();
        go(&mut router, ms(0), 1_000, &first);
        let mut came = 0;
        for (at, blocks) in (1..).zip(sizes) {
            go(&mut router, ms(at), blocks * 16, &[]);
            came += blocks;
            let cached = believed(&mut router, ms(at), &first).prices.cached_tokens;
            if came <= 15 * turn {
                prop_assert_eq!(cached, Tokens(992), "{} of {} came", came, capacity);
            } else if came >= 16 * turn {
                prop_assert_eq!(cached, Tokens(0), "{} of {} came", came, capacity);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Whatever a host says and leaves out, who was routed and has not ended is counted once: with
    /// one seat, waits are in proportion to them.
    #[test]
    fn everybody_is_counted_once(steps in prop::collection::vec((0_u8..8, 0_usize..50, 0_u64..300), 1..200)) {
        let (mut router, _) = router(&[ReplicaSpec { running_max: 1, ..spec() }]);
        let mut now = ms(5_000);
        let taught = go(&mut router, ms(0), 1_000, &[]);
        router.ended(now, taught.request, Tokens(9)).unwrap();
        let mut going: Vec<Routed> = Vec::new();
        for (step, place, passes) in steps {
            now = now.saturating_add(ms(passes));
            let one = going.get(place % going.len().max(1)).copied();
            match (step, one) {
                (0 | 1, Some(one)) => {
                    let _ = router.first_token(now, one.request);
                }
                (2, Some(one)) => {
                    let _ = router.started(now, one.request, Tokens(0));
                }
                (3 | 4, Some(one)) => {
                    going.retain(|other| other.request != one.request);
                    router.ended(now, one.request, Tokens(u32::from(step == 3) * 40)).unwrap();
                }
                _ => {
                    let before = believed(&mut router, now, &[]).prices.seats_s;
                    going.push(go(&mut router, now, 1_000, &[]));
                    let after = believed(&mut router, now, &[]).prices.seats_s;
                    let (less, more) = ((going.len() - 1) as f64, going.len() as f64);
                    prop_assert!((before * more - after * less).abs() < 1e-6 * (1.0 + after));
                    prop_assert!(after > 0.0);
                }
            }
        }
    }
}

#[test]
fn a_first_event_brings_back_nothing_that_was_forgotten() {
    let (mut router, ids) = router(&[spec()]);
    let (old, unrelated): (Vec<u64>, Vec<u64>) = ((0..62).collect(), (9_000..9_004).collect());
    let first = go(&mut router, ms(0), 1_000, &old);
    for at in 1..10 {
        let routed = go(&mut router, ms(at), 160_000, &[]);
        router.first_token(ms(at), routed.request).unwrap();
    }
    assert_eq!(believed(&mut router, ms(10), &old).prices.cached_tokens, Tokens(0));
    router.stored(ms(10), ids[0], Tier::Device, &unrelated).unwrap();
    assert_eq!(believed(&mut router, ms(10), &old).prices.cached_tokens, Tokens(0));
    router.ended(ms(11), first.request, Tokens(1)).unwrap();
}

/// From then on what it holds is what it tells, besides what is on its way to it.
#[test]
fn a_first_event_ends_what_was_only_assumed() {
    let (mut router, ids) = router(&[spec(), spec()]);
    let prompt = |from: u64| (from..from + 62).collect::<Vec<u64>>();
    let computed = go(&mut router, ms(0), 1_000, &prompt(0));
    assert_eq!(computed.replica, ids[0]);
    router.first_token(ms(100), computed.request).unwrap();
    router.drain(ms(100), ids[1]).unwrap();
    let coming = go(&mut router, ms(200), 1_000, &prompt(1_000));
    assert_eq!(coming.replica, ids[0]);
    assert_eq!(believed(&mut router, ms(200), &prompt(0)).prices.cached_tokens, Tokens(992));
    router.stored(ms(201), ids[0], Tier::Device, &prompt(2_000)).unwrap();
    let mut cached = |from| believed(&mut router, ms(201), &prompt(from)).prices.cached_tokens;
    assert_eq!([cached(0), cached(1_000), cached(2_000)].map(Tokens::get), [0, 992, 992]);
    // The second event is like any other.
    router.removed(ms(202), ids[0], Tier::Device, &[9_999]).unwrap();
    let mut cached = |from| believed(&mut router, ms(202), &prompt(from)).prices.cached_tokens;
    assert_eq!([cached(0), cached(1_000), cached(2_000)].map(Tokens::get), [0, 992, 992]);
}

#[test]
fn who_goes_for_good_takes_its_requests_along() {
    let options = RouterOptions { requests_max: 4, ..OPTIONS };
    let mut router = Router::new(&Policy::default(), &options).unwrap();
    let gone = router.add_replica(Nanos(0), &spec()).unwrap();
    let lost: Vec<Routed> = (0..3).map(|at| go(&mut router, ms(at), 1_000, &[])).collect();
    router.first_token(ms(90), lost[0].request).unwrap();
    let stays = router.add_replica(ms(100), &spec()).unwrap();
    let kept = go(&mut router, ms(100), 1_000, &[]);
    assert_eq!(kept.replica, stays);
    assert!(router.route(ms(101), &request(1, 0), &[]).is_err(), "all places are taken");
    router.remove_replica(ms(102), gone).unwrap();
    assert_eq!(router.stats().requests, 1);
    for routed in lost {
        let Err(Error::Stale { field, handle }) = router.ended(ms(103), routed.request, Tokens(5))
        else {
            panic!("it ended with its replica");
        };
        assert_eq!((field, handle), ("requests", routed.request.to_raw()));
    }
    router.ended(ms(104), kept.request, Tokens(5)).unwrap();
    for at in 0..4 {
        go(&mut router, ms(105 + at), 1_000, &[]);
    }
    assert!(router.route(ms(110), &request(1, 0), &[]).is_err(), "as many places as before");
}

/// Of a pair, the half that stays has its place and memory back, if the request cannot go on.
#[test]
fn half_of_a_pair_goes() {
    let modes = [EngineMode::Prefill, EngineMode::Decode];
    let half = |mode| ReplicaSpec { mode, running_max: 1, ..spec() };
    let next = |leaves: EngineMode, lost: bool, decoding: bool| {
        let (mut router, ids) = router(&modes.map(half));
        let pair = |router: &mut Router, now| {
            router.route_pair(now, &request(8_000, 0), &[]).unwrap().unwrap()
        };
        // A stay of ten seconds, so that a seat that is taken is seen.
        let first = pair(&mut router, ms(0)).request;
        router.first_token(ms(800), first).unwrap();
        router.ended(ms(10_800), first, Tokens(300)).unwrap();
        if lost {
            let request = pair(&mut router, ms(20_000)).request;
            if decoding {
                router.first_token(ms(20_000), request).unwrap();
            }
            router.remove_replica(ms(20_000), ids[leaves as usize - 1]).unwrap();
            let goes_on = decoding && leaves == EngineMode::Prefill;
            assert_eq!(router.stats().requests, u32::from(goes_on));
            assert_eq!(router.ended(ms(20_000), request, Tokens(0)).is_ok(), goes_on);
        } else {
            router.remove_replica(ms(20_000), ids[leaves as usize - 1]).unwrap();
        }
        router.add_replica(ms(20_000), &half(leaves)).unwrap();
        pair(&mut router, ms(20_000)).ttft_s
    };
    for leaves in modes {
        assert!((next(leaves, true, false) - next(leaves, false, false)).abs() < 1e-6);
        // One that decodes where it can go on does so.
        next(leaves, true, true);
    }
}

/// How many decode says nothing of how many come to those that compute prompts.
#[test]
fn a_queue_of_prompts_is_priced_the_same_however_many_decode() {
    let cost = |decoders: usize| {
        let halves = [EngineMode::Prefill].into_iter();
        let halves = halves.chain(std::iter::repeat_n(EngineMode::Decode, decoders));
        let specs: Vec<ReplicaSpec> = halves.map(|mode| ReplicaSpec { mode, ..spec() }).collect();
        let (mut router, _) = router(&specs);
        let pair = |router: &mut Router, at: u64| {
            router.route_pair(ms(at), &request(8_000, 0), &[]).unwrap().unwrap()
        };
        for at in 0..10 {
            pair(&mut router, 10 * at);
        }
        pair(&mut router, 100).cost
    };
    let (one, many) = (cost(1), cost(15));
    assert!((many / one - 1.0).abs() < 1e-9, "{one} with one, {many} with fifteen");
}

/// Prompts that have begun on a replica that only computes prompts are no decodes.
#[test]
fn nobody_decodes_where_only_prompts_are_computed() {
    let cost = |interference_weight: f64| {
        let mut policy = Policy::default();
        policy.route.interference_weight = interference_weight;
        let mut router = Router::new(&policy, &OPTIONS).unwrap();
        for mode in [EngineMode::Prefill, EngineMode::Decode] {
            router.add_replica(Nanos(0), &ReplicaSpec { mode, ..spec() }).unwrap();
        }
        // One answer, so that answers have a length.
        let pair = |router: &mut Router, at: u64| {
            router.route_pair(ms(at), &request(8_000, 0), &[]).unwrap().unwrap()
        };
        let first = pair(&mut router, 0).request;
        router.first_token(ms(500), first).unwrap();
        router.ended(ms(1_000), first, Tokens(300)).unwrap();
        for at in 0..4 {
            let begun = pair(&mut router, 2_000 + at).request;
            router.started(ms(2_000 + at), begun, Tokens(0)).unwrap();
        }
        pair(&mut router, 2_010).cost
    };
    let (without, with) = (cost(0.0), cost(1.0));
    assert!((with / without - 1.0).abs() < 1e-9, "{without} became {with}");
}

#[test]
fn who_waits_for_weights_is_not_slow() {
    let cold = ReplicaSpec { ready_at: ms(30_000), ..spec() };
    let (mut router, _) = router(&[cold]);
    let all: Vec<Routed> = (0..3).map(|at| go(&mut router, ms(at), 4_000, &[])).collect();
    for (at, routed) in (0..).zip(all) {
        router.first_token(ms(at).offset_seconds(routed.ttft_s), routed.request).unwrap();
    }
    let pace = believed(&mut router, ms(40_000), &[]).pace_ratio;
    assert!((pace - 1.0).abs() < 0.05, "{pace}");
}

#[test]
fn who_waits_for_adapters_is_not_slow() {
    let (mut router, _) = router(&[ReplicaSpec { adapter_load_s: 2.0, ..spec() }]);
    for adapter in 1..=5 {
        let now = ms(10_000 * adapter);
        let routed = router.route(now, &request(1_000, adapter), &[]).unwrap().unwrap();
        router.first_token(now.offset_seconds(routed.ttft_s), routed.request).unwrap();
        router.ended(now.offset_seconds(routed.ttft_s), routed.request, Tokens(1)).unwrap();
    }
    let pace = believed(&mut router, ms(60_000), &[]).pace_ratio;
    assert!((pace - 1.0).abs() < 0.05, "{pace}");
}

/// Answers that fill the only seat for eight seconds each: those who wait for it are not slow.
#[test]
fn who_waits_for_a_seat_is_not_slow() {
    let (mut router, _) = router(&[ReplicaSpec { running_max: 1, ..spec() }]);
    // How long seats are taken is known from the first one on.
    let taught = go(&mut router, ms(0), 1_000, &[]);
    let prefill_s = taught.ttft_s;
    router.first_token(ms(0).offset_seconds(prefill_s), taught.request).unwrap();
    router.ended(ms(8_000), taught.request, Tokens(200)).unwrap();
    let mut now = ms(10_000);
    let mut next = go(&mut router, now, 1_000, &[]);
    for _ in 0..20 {
        let one = next;
        now = now.offset_seconds(prefill_s);
        router.first_token(now, one.request).unwrap();
        now = now.offset_seconds(1.0);
        next = go(&mut router, now, 1_000, &[]);
        now = now.offset_seconds(7.0);
        router.ended(now, one.request, Tokens(200)).unwrap();
    }
    let pace = believed(&mut router, now, &[]).pace_ratio;
    assert!((pace - 1.0).abs() < 0.05, "{pace}");
}
