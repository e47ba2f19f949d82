//! After construction a router allocates nothing, in success or refusal, takes the memory that it
//! said it would, and outlives its process: a restored one goes on as the saved one.

mod counting;
mod support;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::OnceLock;

use counting::tally;
use proptest::prelude::*;
use rampmeter::engine::{KvGeometry, Profile};
use rampmeter::policy::{Account, EngineMode, Policy};
use rampmeter::route::{
    Candidate, ReplicaId, ReplicaSpec, ReplicaState, RouteId, RouteRequest, Router, RouterOptions,
    Tier, hash_blocks,
};
use rampmeter::{Blocks, Error, Nanos, Tokens};
use support::Prng;
use support::forgery::{
    Desk, every_damage_is_refused, fault, faults_are_named, is_believed, saved, some_are_believed,
};

const OPTIONS: RouterOptions = RouterOptions {
    replicas_max: 70,
    requests_max: 24,
    block_tokens: 16,
    blocks_max: 60,
    sets_max: 80,
    prompt_blocks_max: 20,
    adapters_max: 2,
    link_groups_max: 3,
    kv_bytes_per_token: 1_000,
    link_bytes_per_s: 1e9,
    network_bytes_per_s: 1e8,
};

/// A host that makes every call, right and wrong.
struct Host {
    router: Router,
    policy: Policy,
    prng: Prng,
    now: u64,
    replicas: [ReplicaId; 8],
    requests: [RouteId; 16],
    digest: u64,
    /// By call: answered, refused.
    calls: [(u64, u64); CALLS],
}

const CALLS: usize = 20;

impl Host {
    fn new(seed: u64) -> Self {
        let mut policy = Policy::default().with_accounts([Account::new("a", 1.0)]);
        policy.route.sample_above_replicas = 2 + (seed % 7) as u32;
        Self {
            router: Router::new(&policy, &OPTIONS).unwrap(),
            policy,
            prng: Prng(seed),
            now: 1,
            replicas: [ReplicaId::default(); 8],
            requests: [RouteId::default(); 16],
            digest: 0,
            calls: [(0, 0); CALLS],
        }
    }

    fn with_router(&self, router: Router) -> Self {
        let Self { prng, now, replicas, requests, digest, calls, .. } = self;
        let (prng, policy) = (prng.clone(), self.policy.clone());
        Self {
            router,
            policy,
            prng,
            now: *now,
            replicas: *replicas,
            requests: *requests,
            digest: *digest,
            calls: *calls,
        }
    }

    fn note<T: core::fmt::Debug>(&mut self, call: usize, answer: &Result<T, Error>) {
        struct Fold(u64);
        impl core::fmt::Write for Fold {
            fn write_str(&mut self, text: &str) -> core::fmt::Result {
                for byte in text.bytes() {
                    self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                }
                Ok(())
            }
        }
        let mut fold = Fold(self.digest);
        core::fmt::write(&mut fold, format_args!("{call} {answer:?}")).unwrap();
        self.digest = fold.0;
        let (answered, refused) = &mut self.calls[call];
        *if answer.is_ok() { answered } else { refused } += 1;
    }

    fn replica(&mut self) -> ReplicaId {
        self.replicas[self.prng.below(8) as usize]
    }

    fn spec(&mut self) -> ReplicaSpec {
        let profile = Profile::named("llama-3.1-8b").unwrap();
        let blocks = Blocks(20 + self.prng.below(200) as u32);
        ReplicaSpec {
            kv: KvGeometry::new(blocks, 16).unwrap(),
            running_max: self.prng.below(9) as u32,
            mode: EngineMode::ALL[self.prng.below(4).saturating_sub(1) as usize],
            link_group: self.prng.below(4) as u32,
            ready_at: Nanos(self.now).saturating_add(Nanos(self.prng.below(2_000_000_000))),
            host_load_s_per_block: 1e-4,
            disk_load_s_per_block: 1e-3,
            adapter_load_s: 0.1,
            ..ReplicaSpec::of(profile).unwrap()
        }
    }

    fn drive(&mut self, calls: u32, out: &mut [u8]) {
        for _ in 0..calls {
            self.now = self.now.saturating_add(self.prng.below(30_000_000));
            let call = self.prng.below(30) as usize;
            self.call(call, out);
        }
    }

    fn call(&mut self, call: usize, out: &mut [u8]) {
        let late = u64::from(self.prng.chance(2));
        let now = Nanos(self.now - late);
        let mut hashes = [0; 24];
        let (first, len) = (self.prng.below(4) * 40, self.prng.below(24) as usize);
        hashes.iter_mut().zip(first..).for_each(|(hash, name)| *hash = name);
        let (hashes, place) = (&hashes[..len], self.prng.below(16) as usize);
        let tier = Tier::ALL[self.prng.below(3) as usize];
        let request = RouteRequest {
            class: self.prng.below(3).min(1 + u64::from(self.prng.chance(2))) as u16,
            prompt_tokens: Tokens(len as u32 * 16 + self.prng.below(16) as u32),
            adapter: self.prng.below(4),
        };
        match call {
            0 => {
                let (spec, at) = (self.spec(), self.prng.below(8) as usize);
                let answer = self.router.add_replica(now, &spec);
                self.note(0, &answer);
                self.replicas[at] = answer.unwrap_or(self.replicas[at]);
            }
            1 => self.told(1, |router, it| router.drain(now, it)),
            2 => self.told(2, |router, it| router.resume(now, it, now)),
            3 if self.prng.chance(50) => self.told(3, |router, it| router.fail(now, it).map(drop)),
            4 if self.prng.chance(30) => self.told(4, |router, it| router.remove_replica(now, it)),
            5 => self.told(5, |router, it| router.stored(now, it, tier, hashes)),
            6 => self.told(6, |router, it| router.removed(now, it, tier, hashes)),
            7 if self.prng.chance(30) => self.told(7, |router, it| router.cleared(now, it)),
            8 => self.told(8, |router, it| router.adapter_loaded(now, it, 1 + len as u64 % 3)),
            9 => self.told(9, |router, it| router.adapter_unloaded(now, it, 1 + len as u64 % 3)),
            10 | 11 => self.report(now),
            12..15 => {
                let request = self.requests[place];
                let answer = self.router.started(now, request, Tokens(len as u32 * 8));
                self.note(11, &answer);
            }
            15..18 => {
                let answer = self.router.first_token(now, self.requests[place]);
                self.note(12, &answer);
            }
            18..20 => {
                let answer = self.router.ended(now, self.requests[place], Tokens(9));
                self.note(13, &answer);
            }
            20 => {
                let mut candidates = [Candidate::default(); 9];
                let room = 1 + len.min(8);
                let answer = self.router.explain(now, &request, hashes, &mut candidates[..room]);
                self.note(14, &answer.map(|len| (len, candidates[0].prices.cost.to_bits())));
            }
            21 | 22 => {
                let answer = self.router.route_pair(now, &request, hashes);
                self.note(15, &answer);
                if let Ok(Some(routed)) = answer {
                    self.requests[place] = routed.request;
                }
            }
            23 => {
                let before = self.policy.route.later_weight;
                self.policy.route.later_weight = len as f64 - 1.0;
                let answer = self.router.set_policy(&self.policy);
                if answer.is_err() {
                    self.policy.route.later_weight = before;
                }
                self.note(16, &answer);
            }
            24 => {
                let room = if late > 0 { 80 } else { out.len() };
                let answer = self.router.save(&mut out[..room]);
                self.note(17, &answer.map(drop));
                self.note(18, &Ok((self.router.stats(), self.router.snapshot_bytes())));
                let status = self.replica();
                let answer = self.router.status(status);
                self.note(18, &answer);
            }
            _ => {
                let answer = self.router.route(now, &request, hashes);
                self.note(19, &answer);
                if let Ok(Some(routed)) = answer {
                    self.requests[place] = routed.request;
                }
            }
        }
    }

    fn told(
        &mut self,
        call: usize,
        tell: impl FnOnce(&mut Router, ReplicaId) -> Result<(), Error>,
    ) {
        let replica = self.replica();
        let answer = tell(&mut self.router, replica);
        self.note(call, &answer);
    }

    fn report(&mut self, now: Nanos) {
        let replica = self.replica();
        let state = ReplicaState {
            as_of: Nanos(now.get().saturating_sub(self.prng.below(50_000_000))),
            running: self.prng.below(9) as u32,
            waiting: self.prng.below(9) as u32,
            context_tokens: self.prng.below(9_000),
            kv_free: Blocks(self.prng.below(70) as u32),
            prefill_tokens: self.prng.chance(50).then(|| self.prng.below(9_000)),
        };
        let answer = self.router.report(now, replica, &state);
        self.note(10, &answer);
    }
}

#[test]
fn no_call_allocates() {
    // Positive control: a counter that counts nothing would pass.
    let before = tally().calls;
    drop(black_box(Box::new(7_u8)));
    assert_eq!(tally().calls - before, 2, "one to allocate, one to free");

    let mut out = vec![0; 1 << 18];
    let mut sums = [(0, 0); CALLS];
    for seed in 0..6 {
        let mut host = Host::new(seed);
        let before = tally().calls;
        host.drive(4_000, &mut out);
        let mut names = [0; 4];
        black_box(hash_blocks(1, &[1, 2, 3, 4], 1, &mut names));
        assert_eq!(tally().calls, before, "{:?}", host.calls);
        for (sum, calls) in sums.iter_mut().zip(host.calls) {
            *sum = (sum.0 + calls.0, sum.1 + calls.1);
        }
    }
    for (call, (answered, refused)) in sums.into_iter().enumerate() {
        assert!(answered > 20, "call {call}: {answered} answered, {refused} refused");
        assert!(refused > 0 || call == 18, "call {call}: {answered} answered, {refused} refused");
    }
}

/// To the byte, whatever the sizes.
#[test]
fn bytes_needed_is_what_construction_takes() {
    for (replicas_max, blocks_max) in [(1, 1), (64, 1_000), (65, 1_025), (1_000, 30_000)] {
        let options = RouterOptions { replicas_max, blocks_max, ..RouterOptions::default() };
        let policy = Policy::default().with_accounts([Account::new("a", 1.0)]);
        let before = tally().bytes_live;
        let router = Router::new(&policy, &options).unwrap();
        let taken = (tally().bytes_live - before).cast_unsigned() as u64;
        assert_eq!(taken, Router::bytes_needed(&policy, &options), "{options:?}");
        drop(router);
        assert_eq!(tally().bytes_live, before, "it gives back what it took");
    }
}

impl Desk for Router {
    type Terms = Policy;

    const COMPARED_WORDS: usize = 11;

    fn size(&self) -> u64 {
        self.snapshot_bytes()
    }

    fn write(&self, out: &mut [u8]) -> Result<usize, Error> {
        self.save(out)
    }

    fn read(policy: &Policy, bytes: &[u8]) -> Result<Self, Error> {
        Self::restore(policy, &OPTIONS, bytes)
    }
}

const STEPS: u32 = 600;

fn run(seed: u64, cut: Option<u32>) -> (u64, Vec<u8>) {
    let (mut host, mut out) = (Host::new(seed), vec![0; 1 << 18]);
    host.drive(cut.unwrap_or(0), &mut out);
    if cut.is_some() {
        let bytes = saved(&host.router);
        let restored = Router::read(&host.policy, &bytes).unwrap();
        assert!(saved(&restored) == bytes);
        host = host.with_router(restored);
    }
    host.drive(STEPS - cut.unwrap_or(0), &mut out);
    (host.digest, saved(&host.router))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    /// Every answer is compared, by its digest, and the bytes at the end.
    #[test]
    fn a_restored_router_goes_on_as_the_saved_one(seed in any::<u64>(), cut in 0..STEPS) {
        let (cut, whole) = (run(seed, Some(cut)), run(seed, None));
        prop_assert_eq!(cut.0, whole.0);
        prop_assert!(cut.1 == whole.1);
    }
}

const SPECIMENS_LEN: u64 = 20;

fn specimens() -> &'static [(Host, Vec<u8>)] {
    static SPECIMENS: OnceLock<Vec<(Host, Vec<u8>)>> = OnceLock::new();
    SPECIMENS.get_or_init(|| {
        let specimen = |seed: u64| {
            let mut host = Host::new(seed);
            host.drive(100 + 20 * seed as u32, &mut vec![0; 1 << 18]);
            let bytes = saved(&host.router);
            (host, bytes)
        };
        (0..SPECIMENS_LEN).map(specimen).collect()
    })
}

/// True if what was forged was believed; it then bears calls of every kind, now, much later and at
/// the end of time.
fn bears(seed: u64) -> bool {
    let mut prng = Prng(seed);
    let (host, bytes) = &specimens()[prng.below(SPECIMENS_LEN) as usize];
    is_believed(&host.policy, bytes, &mut prng, |restored: Router| {
        let mut host = host.with_router(restored);
        let mut out = vec![0; 1 << 18];
        for now in [host.now, 1 << 62, u64::MAX] {
            host.now = now;
            host.drive(60, &mut out);
        }
        Some(host.router)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]
    /// A forged snapshot with a right checksum is refused, or becomes a router that works.
    #[test]
    fn forged_state_is_refused_or_works(seed in any::<u64>()) {
        bears(seed);
    }

    #[test]
    fn every_damage_is_noticed(seed in any::<u64>()) {
        let mut prng = Prng(seed);
        let (host, whole) = &specimens()[prng.below(SPECIMENS_LEN) as usize];
        every_damage_is_refused::<Router>(&host.policy, whole, &mut prng);
    }

    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(fault(&Router::read(&Policy::default(), &bytes)).is_some());
    }
}

#[test]
fn some_of_what_is_forged_is_believed() {
    some_are_believed(bears);
}

#[test]
fn faults_have_names() {
    let (host, _) = &specimens()[7];
    faults_are_named(&host.policy, &host.router);
    let mut sums = BTreeMap::<usize, u64>::new();
    for (host, _) in specimens() {
        *sums.entry(host.router.stats().blocks as usize / 20).or_default() += 1;
    }
    assert!(sums.len() > 1, "snapshots are of full and of empty indexes: {sums:?}");
}
