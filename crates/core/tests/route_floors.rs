//! Replicas that are not priced would not have been chosen: every choice is the cheapest of the
//! prices that `explain` gives for all.

mod support;

use proptest::prelude::*;
use rampmeter::engine::{KvGeometry, Profile, StepModel};
use rampmeter::policy::{Account, EngineMode, Policy};
use rampmeter::route::{
    Candidate, ReplicaId, ReplicaSpec, ReplicaState, RouteId, RouteRequest, Router, RouterOptions,
    Tier,
};
use rampmeter::{Blocks, Nanos, Tokens};
use support::Prng;

const REPLICAS: u32 = 150;

/// A host that makes the calls of a router's life, at random.
struct Host {
    router: Router,
    prng: Prng,
    now: u64,
    replicas: Vec<ReplicaId>,
    going: Vec<RouteId>,
    alike: bool,
}

impl Host {
    /// `alike`: replicas are of one kind and few, so that prices are often the same.
    fn new(seed: u64, clock_s: f64, weights: (f64, f64), stale_after_s: f64, alike: bool) -> Self {
        let mut policy = Policy::default().with_accounts([Account::new("a", 1.0)]);
        policy.route.interference_weight = weights.0;
        policy.route.later_weight = weights.1;
        policy.route.stale_after = Nanos::from_seconds(stale_after_s);
        let options = RouterOptions {
            replicas_max: REPLICAS,
            requests_max: 2_000,
            blocks_max: 900,
            sets_max: 1_500,
            prompt_blocks_max: 24,
            adapters_max: 2,
            ..RouterOptions::default()
        };
        let mut host = Self {
            router: Router::new(&policy, &options).unwrap(),
            prng: Prng(seed),
            now: Nanos::from_seconds(clock_s).get() + 1,
            replicas: Vec::new(),
            going: Vec::new(),
            alike,
        };
        for _ in 0..if alike { 12 } else { REPLICAS - 10 } {
            host.add();
        }
        host
    }

    fn add(&mut self) {
        let mut spec = ReplicaSpec::of(Profile::named("llama-3.1-8b").unwrap()).unwrap();
        if !self.alike {
            let slower = 1.0 + self.prng.below(30) as f64 / 100.0;
            let kv = Blocks(40 + self.prng.below(4_000) as u32);
            spec.model = StepModel::new(spec.model.coefficients().map(|c| c * slower)).unwrap();
            spec.kv = KvGeometry::new(kv, 16).unwrap();
            spec.running_max = 1 + self.prng.below(20) as u32;
            spec.step_tokens_max = 1 + self.prng.below(300) as u32;
            spec.ready_at = Nanos(self.now + self.prng.below(3) * self.prng.below(500_000_000));
            spec.host_load_s_per_block = 1e-4;
            spec.disk_load_s_per_block = 1e-3;
            spec.adapter_load_s = 0.05;
            spec.mode = EngineMode::ALL[self.prng.below(8).saturating_sub(5) as usize];
        }
        let added = self.router.add_replica(Nanos(self.now), &spec);
        self.replicas.extend(added);
    }

    fn any(&mut self) -> ReplicaId {
        self.replicas[self.prng.below(self.replicas.len() as u64) as usize]
    }

    fn lives(&mut self) {
        self.now += self.prng.below(20_000_000);
        let now = Nanos(self.now);
        match self.prng.below(12) {
            0..6 if !self.going.is_empty() => {
                let place = self.prng.below(self.going.len() as u64) as usize;
                let request = self.going[place];
                if self.router.first_token(now, request).is_err() {
                    self.going.swap_remove(place);
                    let answer = Tokens(self.prng.below(400) as u32);
                    self.router.ended(now, request, answer).unwrap();
                }
            }
            6 | 7 => {
                let state = ReplicaState {
                    as_of: Nanos(self.now - self.prng.below(50_000_000).min(self.now)),
                    running: self.prng.below(20) as u32,
                    waiting: self.prng.below(4) as u32,
                    context_tokens: self.prng.below(20_000),
                    kv_free: Blocks(self.prng.below(40) as u32),
                    prefill_tokens: Some(self.prng.below(3_000)).filter(|all| all % 2 == 0),
                };
                let it = self.any();
                self.router.report(now, it, &state).unwrap();
            }
            8 => {
                let (it, first) = (self.any(), self.prng.below(8) * 40);
                let blocks: Vec<u64> = (first..first + self.prng.below(20)).collect();
                let tier = Tier::ALL[self.prng.below(3) as usize];
                self.router.stored(now, it, tier, &blocks).unwrap();
            }
            9 => {
                let it = self.any();
                self.router.drain(now, it).unwrap();
            }
            10 => {
                let (it, cold) = (self.any(), self.prng.below(200_000_000));
                self.router.resume(now, it, Nanos(self.now + cold)).unwrap();
            }
            _ if self.prng.chance(20) => {
                let it = self.any();
                self.router.fail(now, it).unwrap();
            }
            _ => {}
        }
    }

    /// Routes one request; its price, and the prices of all.
    fn route(&mut self) -> Result<(), TestCaseError> {
        let (first, len) = (self.prng.below(8) * 40, self.prng.below(24));
        let prompt: Vec<u64> = (first..first + len).collect();
        let request = RouteRequest {
            class: self.prng.below(2) as u16,
            prompt_tokens: Tokens(1 + (len * 16 + self.prng.below(600)) as u32),
            adapter: self.prng.below(6).saturating_sub(3),
        };
        let now = Nanos(self.now);
        let mut all = vec![Candidate::default(); REPLICAS as usize];
        let count = self.router.explain(now, &request, &prompt, &mut all).unwrap();
        let fresh = all[..count].iter().any(|one| !one.stale);
        let open = all[..count].iter().filter(|one| !(fresh && one.stale));
        let least = open.map(|one| one.prices.cost).min_by(f64::total_cmp);
        let routed = self.router.route(now, &request, &prompt).unwrap();
        let Some(routed) = routed else {
            prop_assert_eq!(count, 0);
            return Ok(());
        };
        prop_assert_eq!(Some(routed.cost), least);
        let chosen = all[..count].iter().find(|one| one.replica == routed.replica);
        let chosen = chosen.expect("it may be chosen");
        prop_assert_eq!((chosen.prices.cost, chosen.stale), (routed.cost, routed.stale));
        self.going.push(routed.request);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_choice_is_the_cheapest_of_all(
        seed: u64,
        clock_s in prop_oneof![Just(0.0), Just(1e5), 1e9..1.8e10_f64],
        weights in (prop_oneof![Just(0.02), 0.0..1000.0_f64], prop_oneof![Just(1.0), 0.0..1000.0_f64]),
        stale_after_s in prop_oneof![Just(0.0), 0.01..2.0_f64],
        alike: bool,
    ) {
        let mut host = Host::new(seed, clock_s, weights, stale_after_s, alike);
        for _ in 0..400 {
            host.lives();
            host.route()?;
        }
    }
}
