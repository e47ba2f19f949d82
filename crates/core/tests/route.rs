//! A router against a plain model of what it should believe, and its rules one by one.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rampmeter::engine::{KvGeometry, Profile, StepModel};
use rampmeter::policy::{EngineMode, Policy};
use rampmeter::route::{
    Candidate, ReplicaId, ReplicaSpec, ReplicaState, RouteId, RouteRequest, Routed, Router,
    RouterOptions, Tier,
};
use rampmeter::{Blocks, Error, Nanos, Tokens};
use support::Prng;

const BLOCK: u32 = 16;

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

/// What is believed of one replica, in plain numbers.
#[derive(Clone, Default)]
struct Believed {
    ready: bool,
    model: [f64; 7],
    free_at: f64,
    running: f64,
    waiting: f64,
    context: f64,
    kv_free: f64,
    took: f64,
    expected: f64,
    stay: f64,
    last_first: f64,
    /// By request: seconds of work, in order of routing, ever.
    work: Vec<(u64, f64)>,
    chosen: u64,
    adapters: Vec<u64>,
    holds: BTreeMap<u64, BTreeSet<u8>>,
}

/// A request on its way.
#[derive(Clone, Copy)]
struct Going {
    id: RouteId,
    replica: usize,
    routed: f64,
    begun: Option<f64>,
    first: Option<f64>,
    work: f64,
    alone: f64,
    shared: f64,
    prompt: f64,
    context: f64,
    blocks: f64,
}

const SEATS: f64 = 4.0;
const STEP_TOKENS: f64 = 512.0;
const KV_BLOCKS: f64 = 300.0;
const HOST_S: f64 = 0.000_3;
const DISK_S: f64 = 0.002;
const ADAPTER_S: f64 = 0.25;

impl Believed {
    fn pace(&self) -> f64 {
        self.took / self.expected
    }

    fn chunk(&self) -> f64 {
        (STEP_TOKENS - self.running).max(1.0)
    }

    fn decode(&self) -> f64 {
        self.model[0] + self.model[2] * self.running + self.model[3] * self.context
    }

    fn mixed(&self) -> f64 {
        (self.decode() + self.model[5] + self.model[6] * self.context).max(0.0)
    }

    fn dense(&self, tokens: f64, history: f64) -> f64 {
        self.model[1] * tokens + self.model[4] * tokens * (history + tokens / 2.0)
    }

    fn alone(&self, computed: f64, cached: f64) -> f64 {
        (computed / self.chunk()).ceil() * self.mixed() + self.dense(computed, cached)
    }

    fn shared(&self, computed: f64, cached: f64) -> f64 {
        computed / self.chunk() * self.mixed() + self.dense(computed, cached)
    }

    /// Leading blocks of the prompt in the fastest so many tiers.
    fn held(&self, hashes: &[u64], tiers: u8) -> f64 {
        let holds = |hash: &&u64| {
            self.holds.get(hash).is_some_and(|in_tiers| in_tiers.iter().any(|tier| *tier < tiers))
        };
        hashes.iter().take_while(holds).count() as f64
    }

    /// The cost, and how many tokens are not computed.
    fn cost(&self, now: f64, asked: &Asked, hashes: &[u64]) -> (f64, f64) {
        let (p, v) = (asked.prompt, asked.value);
        let [device, host, disk] = [1, 2, 3].map(|tiers| self.held(hashes, tiers));
        let ways = [
            (device, 0.0),
            (host, (host - device) * HOST_S),
            (disk, (host - device) * HOST_S + (disk - host) * DISK_S),
        ];
        let (mut cached, mut load, mut prefill) = (0.0, 0.0, f64::INFINITY);
        for (blocks, load_s) in ways {
            let tokens = (blocks * f64::from(BLOCK)).min(p - 1.0);
            let prefill_s = self.pace() * self.alone(p - tokens, tokens);
            if load_s + prefill_s < load + prefill {
                (cached, load, prefill) = (tokens, load_s, prefill_s);
            }
        }
        let queue = (self.free_at - now).max(0.0);
        let step = if self.running > 0.0 && queue == 0.0 {
            self.pace() * self.decode() / 2.0
        } else {
            0.0
        };
        let stay = if self.stay > 0.0 { self.stay } else { asked.stay };
        let seats = (self.running + self.waiting + 1.0 - SEATS).max(0.0) * stay / SEATS;
        let needed = ((p - cached) / f64::from(BLOCK)).ceil();
        let kv = (needed - self.kv_free).max(0.0) * stay / KV_BLOCKS;
        let adapter = if asked.adapter == 0 || self.adapters.contains(&asked.adapter) {
            0.0
        } else {
            ADAPTER_S
        };
        let ttft = (queue + step).max(seats).max(kv) + adapter + load + prefill;
        let chunks = ((p - cached) / self.chunk()).ceil();
        let added =
            (self.mixed() - self.decode()).max(0.0) * chunks + self.dense(p - cached, cached);
        let one_more = self.model[2] + self.model[3] * (p + asked.output / 2.0);
        let own = v * (self.decode() - self.model[0]);
        let theirs = asked.value_mean * self.running * one_more;
        let interference =
            self.pace() * (asked.value_mean * self.running * added + asked.output * (own + theirs));
        let later = asked.value_mean * asked.rate * queue * prefill;
        (v * ttft + interference + later, cached)
    }
}

/// What the model knows of all requests.
#[derive(Clone, Copy, Default)]
struct Asked {
    prompt: f64,
    adapter: u64,
    value: f64,
    value_mean: f64,
    output: f64,
    stay: f64,
    rate: f64,
}

struct Model {
    router: Router,
    ids: Vec<ReplicaId>,
    replicas: Vec<Believed>,
    going: Vec<Going>,
    now: u64,
    decisions: u64,
    last_routed: u64,
    gap: f64,
    ended: f64,
    means: Asked,
}

fn mean(mean: &mut f64, value: f64, count: f64) {
    *mean += (value - *mean) / count.min(200.0);
}

impl Model {
    fn new(replicas: usize, prng: &mut Prng) -> Self {
        let mut policy = Policy::default();
        policy.route.stale_after = Nanos(0);
        policy.route.interference_weight = 1.0;
        policy.route.later_weight = 1.0;
        let mut options = options(8);
        options.adapters_max = 2;
        let mut router = Router::new(&policy, &options).unwrap();
        let mut believed = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..replicas {
            let faster = 1.0 + prng.below(3) as f64 / 2.0;
            let model = spec().model.coefficients().map(|seconds| seconds / faster);
            let kv = KvGeometry::new(Blocks(KV_BLOCKS as u32), BLOCK).unwrap();
            let spec = ReplicaSpec {
                running_max: SEATS as u32,
                step_tokens_max: STEP_TOKENS as u32,
                host_load_s_per_block: HOST_S,
                disk_load_s_per_block: DISK_S,
                adapter_load_s: ADAPTER_S,
                ..ReplicaSpec::new(StepModel::new(model).unwrap(), kv)
            };
            let id = router.add_replica(Nanos(0), &spec).unwrap();
            // From its first event on, nothing is forgotten by age.
            router.stored(Nanos(0), id, Tier::Device, &[]).unwrap();
            ids.push(id);
            believed.push(Believed {
                ready: true,
                model,
                took: 1.0,
                expected: 1.0,
                kv_free: KV_BLOCKS,
                ..Believed::default()
            });
        }
        Self {
            router,
            ids,
            replicas: believed,
            going: Vec::new(),
            now: 0,
            decisions: 0,
            last_routed: 0,
            gap: 0.0,
            ended: 0.0,
            means: Asked::default(),
        }
    }

    fn seconds(&self) -> f64 {
        self.now as f64 / 1e9
    }

    fn route(&mut self, prng: &mut Prng) -> Result<(), TestCaseError> {
        let first = 100 * prng.below(3);
        let blocks = 1 + prng.below(20);
        let hashes: Vec<u64> = (first..first + blocks).collect();
        let tokens = blocks as u32 * BLOCK + prng.below(u64::from(BLOCK)) as u32;
        let class = prng.below(2) as u16;
        let adapter = if prng.chance(30) { 1 + prng.below(3) } else { 0 };
        let request = RouteRequest { class, prompt_tokens: Tokens(tokens), adapter };
        let ready = self.replicas.iter().filter(|replica| replica.ready).count();
        let value = Policy::default().classes[usize::from(class)].delay_value;
        let asked = Asked {
            prompt: tokens.into(),
            adapter,
            value,
            rate: if self.decisions > 1 { 1.0 / self.gap.max(1e-6) / ready as f64 } else { 0.0 },
            ..self.means
        };
        let now = self.seconds();
        let answer = self.router.route(Nanos(self.now), &request, &hashes).unwrap();
        let Some(routed) = answer else {
            prop_assert_eq!(ready, 0);
            return Ok(());
        };
        let place = self.ids.iter().position(|id| *id == routed.replica).unwrap();
        let costs: Vec<(f64, f64)> =
            self.replicas.iter().map(|replica| replica.cost(now, &asked, &hashes)).collect();
        let (cost, cached) = costs[place];
        prop_assert!(self.replicas[place].ready);
        prop_assert!((routed.cost - cost).abs() <= 1e-6 * cost, "{} is {}", routed.cost, cost);
        prop_assert_eq!(f64::from(routed.cached_tokens.get()), cached);
        for (other, (theirs, _)) in self.replicas.iter().zip(&costs) {
            prop_assert!(!other.ready || cost <= theirs * (1.0 + 1e-6), "{cost} over {theirs}");
        }
        self.keep(place, &routed, &asked, &hashes);
        Ok(())
    }

    fn keep(&mut self, place: usize, routed: &Routed, asked: &Asked, hashes: &[u64]) {
        let now = self.seconds();
        if self.decisions > 0 {
            let gap = (self.now - self.last_routed) as f64 / 1e9;
            mean(&mut self.gap, gap, self.decisions as f64);
        }
        self.decisions += 1;
        self.last_routed = self.now;
        mean(&mut self.means.value_mean, asked.value, self.decisions as f64);
        let replica = &mut self.replicas[place];
        let cached = f64::from(routed.cached_tokens.get());
        let computed = asked.prompt - cached;
        let shared = replica.shared(computed, cached);
        let work = replica.pace() * shared;
        replica.free_at = replica.free_at.max(now) + work;
        replica.work.push((routed.request.to_raw(), work));
        replica.waiting += 1.0;
        let blocks = (computed / f64::from(BLOCK)).ceil();
        replica.kv_free -= blocks;
        replica.chosen = self.decisions;
        if asked.adapter > 0 {
            replica.adapters.retain(|adapter| *adapter != asked.adapter);
            replica.adapters.push(asked.adapter);
            if replica.adapters.len() > 2 {
                replica.adapters.remove(0);
            }
        }
        for hash in hashes {
            replica.holds.entry(*hash).or_default().insert(0);
        }
        self.going.push(Going {
            id: routed.request,
            replica: place,
            routed: now,
            begun: None,
            first: None,
            work,
            alone: replica.alone(computed, cached),
            shared,
            prompt: asked.prompt,
            context: asked.prompt + (asked.output / 2.0).floor(),
            blocks,
        });
    }

    fn started(&mut self, place: usize, prng: &mut Prng) {
        let now = self.seconds();
        let going = &mut self.going[place];
        if going.begun.is_some() || going.first.is_some() {
            assert!(self.router.started(Nanos(self.now), going.id, Tokens(0)).is_err());
            return;
        }
        let cached = prng.below(going.prompt as u64) as u32;
        self.router.started(Nanos(self.now), going.id, Tokens(cached)).unwrap();
        let replica = &mut self.replicas[going.replica];
        let shared = replica.shared(going.prompt - f64::from(cached), cached.into());
        let work = replica.pace() * shared;
        replica.free_at = (replica.free_at + work - going.work).max(now);
        let ratio = work / going.work;
        going.alone *= ratio;
        going.shared *= ratio;
        going.work = work;
        going.begun = Some(now);
        replica.waiting -= 1.0;
        replica.running += 1.0;
    }

    fn first_token(&mut self, place: usize) {
        let now = self.seconds();
        let going = &mut self.going[place];
        if going.first.is_some() {
            assert!(self.router.first_token(Nanos(self.now), going.id).is_err());
            return;
        }
        self.router.first_token(Nanos(self.now), going.id).unwrap();
        let replica = &mut self.replicas[going.replica];
        let own = going.begun.unwrap_or(going.routed);
        let expected = if replica.last_first > own { going.shared } else { going.alone };
        let took = (now - own.max(replica.last_first)).clamp(0.0, 10.0 * expected);
        let keep = 10.0 / (10.0 + expected);
        replica.took = replica.took * keep + took;
        replica.expected = replica.expected * keep + expected;
        replica.took = replica.took.clamp(0.1 * replica.expected, 10.0 * replica.expected);
        replica.last_first = now;
        let after = replica.work.iter().rev().take_while(|(id, _)| *id != going.id.to_raw());
        replica.free_at = now + after.map(|(_, work)| work).sum::<f64>();
        if going.begun.is_none() {
            replica.waiting -= 1.0;
            replica.running += 1.0;
        }
        replica.context += going.context;
        going.first = Some(now);
    }

    fn ended(&mut self, place: usize, prng: &mut Prng) {
        let now = self.seconds();
        let going = self.going.swap_remove(place);
        let tokens = 1 + prng.below(300) as u32;
        self.router.ended(Nanos(self.now), going.id, Tokens(tokens)).unwrap();
        assert!(self.router.ended(Nanos(self.now), going.id, Tokens(tokens)).is_err());
        let replica = &mut self.replicas[going.replica];
        replica.kv_free = (replica.kv_free + going.blocks).min(KV_BLOCKS);
        if let Some(first) = going.first {
            let stay = now - first;
            self.ended += 1.0;
            mean(&mut self.means.output, tokens.into(), self.ended);
            mean(&mut self.means.stay, stay, self.ended);
            replica.stay += if replica.stay == 0.0 { stay } else { (stay - replica.stay) / 32.0 };
            replica.running -= 1.0;
            replica.context -= going.context;
        } else {
            replica.free_at = (replica.free_at - going.work).max(now);
            if going.begun.is_some() { replica.running -= 1.0 } else { replica.waiting -= 1.0 }
        }
    }

    fn events(&mut self, prng: &mut Prng) {
        let place = prng.below(self.ids.len() as u64) as usize;
        let (id, replica) = (self.ids[place], &mut self.replicas[place]);
        let first = 100 * prng.below(3) + prng.below(8);
        let hashes: Vec<u64> = (first..=first + prng.below(8)).collect();
        let tier = prng.below(3) as u8;
        let named = Tier::ALL[usize::from(tier)];
        match prng.below(12) {
            0 => {
                self.router.cleared(Nanos(self.now), id).unwrap();
                replica.holds.clear();
            }
            1..6 => {
                self.router.stored(Nanos(self.now), id, named, &hashes).unwrap();
                for hash in hashes {
                    replica.holds.entry(hash).or_default().insert(tier);
                }
            }
            _ => {
                self.router.removed(Nanos(self.now), id, named, &hashes).unwrap();
                for hash in hashes {
                    if let Some(tiers) = replica.holds.get_mut(&hash) {
                        tiers.remove(&tier);
                    }
                }
            }
        }
    }

    fn status(&mut self, prng: &mut Prng) {
        let place = prng.below(self.ids.len() as u64) as usize;
        let (id, now) = (self.ids[place], Nanos(self.now));
        if self.replicas[place].ready && prng.chance(30) {
            self.router.drain(now, id).unwrap();
            self.replicas[place].ready = false;
        } else {
            self.router.resume(now, id, now).unwrap();
            self.replicas[place].ready = true;
        }
    }

    fn drive(&mut self, prng: &mut Prng) -> Result<(), TestCaseError> {
        for _ in 0..150 {
            self.now += prng.below(40_000_000);
            let place = prng.below(self.going.len().max(1) as u64) as usize;
            match prng.below(20) {
                0..7 => self.route(prng)?,
                7..10 if !self.going.is_empty() => self.started(place, prng),
                10..14 if !self.going.is_empty() => self.first_token(place),
                14..17 if !self.going.is_empty() => self.ended(place, prng),
                17..19 => self.events(prng),
                _ => self.status(prng),
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    /// Priced by hand from plain maps, nothing is cheaper than what is chosen, and it costs what is
    /// said.
    #[test]
    fn the_choice_is_the_cheapest_of_a_plain_model(seed in any::<u64>(), replicas in 1_usize..6) {
        let mut prng = Prng(seed);
        Model::new(replicas, &mut prng).drive(&mut prng)?;
    }
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
    assert!(third > before + 0.4 && third < before + 0.45, "{third} over {before}");
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
    router.first_token(ms(13), warm.request).unwrap();
    router.ended(ms(14), warm.request, Tokens(3)).unwrap();
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
