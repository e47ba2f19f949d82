//! A router against a plain model of what it should believe.

mod believed;
#[path = "../support/mod.rs"]
mod support;

use believed::{ADAPTER_S, Asked, BLOCK, Believed, DISK_S, HOST_S, KV_BLOCKS, SEATS, STEP_TOKENS};
use proptest::prelude::*;
use rampmeter::engine::{KvGeometry, Profile, StepModel};
use rampmeter::policy::Policy;
use rampmeter::route::{
    ReplicaId, ReplicaSpec, RouteId, RouteRequest, Routed, Router, RouterOptions, Tier,
};
use rampmeter::{Blocks, Nanos, Tokens};
use support::Prng;

/// A request on its way.
#[derive(Clone, Copy)]
struct Going {
    id: RouteId,
    replica: usize,
    could_begin: f64,
    begun: Option<f64>,
    first: Option<f64>,
    work: f64,
    alone: f64,
    shared: f64,
    held_up: bool,
    prompt: f64,
    context: f64,
    blocks: f64,
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
        let options = RouterOptions {
            replicas_max: 8,
            requests_max: 1_000,
            blocks_max: 4_000,
            sets_max: 4_000,
            prompt_blocks_max: 64,
            adapters_max: 2,
            ..RouterOptions::default()
        };
        let mut router = Router::new(&policy, &options).unwrap();
        let mut believed = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..replicas {
            let faster = 1.0 + prng.below(3) as f64 / 2.0;
            let profile = Profile::named("llama-3.1-8b").unwrap();
            let model = profile.coefficients.map(|seconds| seconds / faster);
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
        let costs: Vec<(f64, f64, bool)> =
            self.replicas.iter().map(|replica| replica.cost(now, &asked, &hashes)).collect();
        let (cost, cached, held_up) = costs[place];
        prop_assert!(self.replicas[place].ready);
        prop_assert!((routed.cost - cost).abs() <= 1e-6 * cost, "{} is {}", routed.cost, cost);
        prop_assert_eq!(f64::from(routed.cached_tokens.get()), cached);
        for (other, (theirs, ..)) in self.replicas.iter().zip(&costs) {
            prop_assert!(!other.ready || cost <= theirs * (1.0 + 1e-6), "{cost} over {theirs}");
        }
        self.keep(place, &routed, &asked, &hashes, held_up);
        Ok(())
    }

    fn keep(
        &mut self,
        place: usize,
        routed: &Routed,
        asked: &Asked,
        hashes: &[u64],
        held_up: bool,
    ) {
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
        mean(&mut self.means.computed, computed, self.decisions as f64);
        let shared = replica.shared(computed, cached);
        let work = replica.pace() * shared;
        let entry = replica.entry((replica.free_at - now).max(0.0));
        replica.free_at = replica.free_at.max(now) + entry + work;
        replica.work.push((routed.request.to_raw(), work));
        replica.waiting += 1.0;
        let blocks = (computed / f64::from(BLOCK)).ceil();
        replica.kv_free -= blocks;
        replica.chosen = self.decisions;
        if asked.adapter > 0 {
            let loaded = now + replica.adapter(now, asked.adapter);
            replica.adapters.retain(|(adapter, _)| *adapter != asked.adapter);
            replica.adapters.push((asked.adapter, loaded));
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
            could_begin: now + entry,
            begun: None,
            first: None,
            work,
            alone: replica.alone(computed, cached),
            shared,
            held_up,
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
        let name = going.id.to_raw();
        replica.begins(name);
        let left = work + replica.after(name);
        replica.free_at = (replica.free_at + work - going.work).max(now + left);
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
        let own = going.begun.unwrap_or(going.could_begin);
        let expected = if replica.last_first > own { going.shared } else { going.alone };
        let took = (now - own.max(replica.last_first)).clamp(0.0, 10.0 * expected);
        if going.begun.is_some() || !going.held_up {
            let keep = 10.0 / (10.0 + expected);
            replica.took = replica.took * keep + took;
            replica.expected = replica.expected * keep + expected;
            replica.took = replica.took.clamp(0.1 * replica.expected, 10.0 * replica.expected);
        }
        replica.last_first = now;
        replica.begins(going.id.to_raw());
        replica.free_at = now + replica.after(going.id.to_raw());
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
        // Before its first token it has no answer.
        let tokens = going.first.map_or(0, |_| prng.below(300) as u32);
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
            let after = replica.work.iter().rev().take_while(|(id, _)| *id != going.id.to_raw());
            let behind = after.map(|(_, work)| work).sum::<f64>();
            let left = (replica.free_at - now).max(0.0);
            replica.free_at -= (left - behind).clamp(0.0, going.work);
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
