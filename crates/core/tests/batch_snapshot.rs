//! A restored batcher is the one that was saved, and nothing that is no snapshot becomes one.

mod lean;
mod support;

use std::sync::OnceLock;

use lean::Lean;
use proptest::prelude::*;
use rampmeter::batch::Batcher;
use rampmeter::engine::KvGeometry;
use rampmeter::error::SnapshotFault;
use rampmeter::policy::{EngineMode, Policy};
use rampmeter::{Blocks, Error};
use support::forgery::{
    Desk, every_damage_is_refused, fault, faults_are_named, is_believed, saved, some_are_believed,
};
use support::swarm::{round, swarm};
use support::{Host, Prng, Setup, model};

impl Desk for Batcher {
    type Terms = (Policy, KvGeometry);

    /// The lengths of outputs are half of it: the rest comes first.
    const BUSY_WORDS: usize = 900;

    fn size(&self) -> u64 {
        self.snapshot_bytes()
    }

    fn write(&self, out: &mut [u8]) -> Result<usize, Error> {
        self.save(out)
    }

    fn read((policy, kv): &Self::Terms, bytes: &[u8]) -> Result<Self, Error> {
        Self::restore(policy, *kv, bytes)
    }
}

/// The whole state on the way and at the end, and every answer.
type Run = (Vec<u8>, Vec<u8>, u64);

/// One seed is one whole run of a host. At `cut` its batcher is saved and another one goes on.
fn run_host(seed: u64, steps: u32, cut: Option<u32>) -> Run {
    let (setup, mut prng) = swarm(seed);
    let arrivals_percent = prng.below(120);
    let cancels_percent = if prng.chance(30) { prng.below(10) } else { 0 };
    let mut host = Host::new(setup);
    for at in 0..steps {
        round(&mut host, &mut prng, arrivals_percent, cancels_percent);
        if cut == Some(at) {
            let (bytes, setup) = (saved(&host.batcher), &host.setup);
            let restored = Batcher::restore(&setup.policy(), setup.kv(), &bytes).unwrap();
            assert_eq!(saved(&restored), bytes);
            assert_eq!(restored.stats(), host.batcher.stats());
            assert_eq!(restored.next_event(host.now), host.batcher.next_event(host.now));
            for id in host.known.keys() {
                assert_eq!(restored.progress(*id), host.batcher.progress(*id));
            }
            host.batcher = restored;
        }
    }
    let on_the_way = saved(&host.batcher);
    host.drain(&mut prng);
    (on_the_way, saved(&host.batcher), host.digest)
}

/// The same with calls of every kind, right and wrong: queue limits, expiry, changes, changed
/// policies, learning, guests, and engines of every mode.
fn lean(seed: u64) -> Lean {
    let mut prng = Prng(seed);
    let mode = EngineMode::ALL[prng.below(3) as usize];
    let dials = Setup {
        overflow_risk: [1.0, 0.2, 0.01, 0.0][prng.below(4) as usize],
        swap_blocks: [0, 20, 500][prng.below(3) as usize],
        ..Setup::default()
    };
    Lean::with(seed, mode, &dials)
}

fn run_lean(seed: u64, calls: u32, cut: Option<u32>) -> (Vec<u8>, [u64; 16]) {
    let mut lean = lean(seed);
    lean.drive(cut.unwrap_or(0));
    if cut.is_some() {
        let (policy, kv, bytes) = lean.saved();
        let restored = Batcher::restore(&policy, kv, &bytes).unwrap();
        assert_eq!(saved(&restored), bytes);
        lean.go_on_with(restored);
    }
    lean.drive(calls - cut.unwrap_or(0));
    (lean.saved().2, lean.counts.answers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn a_restored_batcher_goes_on_as_the_saved_one(seed in any::<u64>(), cut in 0_u32..120) {
        let (cut, whole) = (run_host(seed, 120, Some(cut)), run_host(seed, 120, None));
        prop_assert!(cut == whole);
    }

    #[test]
    fn so_it_does_under_calls_of_every_kind(seed in any::<u64>(), cut in 0_u32..3_000) {
        let (cut, whole) = (run_lean(seed, 3_000, Some(cut)), run_lean(seed, 3_000, None));
        prop_assert_eq!(cut.1, whole.1);
        prop_assert!(cut.0 == whole.0);
    }
}

/// A seed, the number of calls, and what they led to.
type Specimen = (u64, u32, (Policy, KvGeometry), Vec<u8>);

const SPECIMENS_LEN: u64 = 24;

/// Snapshots of busy batchers of all kinds, with the number of calls that led there.
fn specimens() -> &'static [Specimen] {
    static SPECIMENS: OnceLock<Vec<Specimen>> = OnceLock::new();
    SPECIMENS.get_or_init(|| {
        let specimen = |seed: u64| {
            let calls = 500 + 100 * seed as u32;
            let mut lean = lean(seed);
            lean.drive(calls);
            let (policy, kv, bytes) = lean.saved();
            (seed, calls, (policy, kv), bytes)
        };
        (0..SPECIMENS_LEN).map(specimen).collect()
    })
}

/// True if what was forged was believed; it then bears 200 calls of every kind.
fn bears(seed: u64) -> bool {
    let mut prng = Prng(seed);
    let (lean_seed, calls, terms, bytes) = &specimens()[prng.below(SPECIMENS_LEN) as usize];
    is_believed(terms, bytes, &mut prng, |restored: Batcher| {
        let mut lean = lean(*lean_seed);
        lean.drive(*calls);
        lean.go_on_with(restored);
        lean.drive(200);
        None
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    /// A forged snapshot with a right checksum is refused, or becomes a batcher that works.
    #[test]
    fn what_is_forged_is_refused_or_harmless(seed in any::<u64>()) {
        bears(seed);
    }

    #[test]
    fn every_damage_is_noticed(seed in any::<u64>()) {
        let mut prng = Prng(seed);
        let (.., terms, bytes) = &specimens()[prng.below(SPECIMENS_LEN) as usize];
        every_damage_is_refused::<Batcher>(terms, bytes, &mut prng);
    }
}

#[test]
fn some_of_what_is_forged_is_believed() {
    some_are_believed(bears);
}

#[test]
fn what_is_wrong_is_said() {
    let setup = Setup::default();
    let (policy, kv) = (setup.policy(), setup.kv());
    let batcher = Batcher::new(&policy, kv, model()).unwrap();
    faults_are_named(&(policy.clone(), kv), &batcher);

    let bytes = saved(&batcher);
    let restore = |policy: &Policy, kv, bytes: &[u8]| fault(&Batcher::restore(policy, kv, bytes));
    let other = Some(SnapshotFault::OtherCapacity);
    let smaller = KvGeometry::new(Blocks(kv.blocks().get() - 1), kv.block_tokens()).unwrap();
    assert_eq!(restore(&policy, smaller, &bytes), other);
    let half = Setup { accounts: 3, ..setup.clone() };
    assert_eq!(restore(&half.policy(), kv, &bytes), other);
    let limited = |change: fn(&mut Policy)| {
        let mut policy = setup.policy();
        change(&mut policy);
        restore(&policy, kv, &bytes)
    };
    assert_eq!(limited(|policy| policy.limits.requests_max += 1), other);
    assert_eq!(limited(|policy| policy.limits.running_max -= 1), other);
    assert_eq!(limited(|policy| policy.limits.replicas_max += 1), other);
    assert_eq!(limited(|policy| policy.limits.steps_in_flight_max = 1), other);
    assert_eq!(limited(|policy| policy.batch.mode = EngineMode::Prefill), other);
    assert_eq!(limited(|policy| policy.batch.late_ratio = 0.1), None);
}

/// Restored under a changed policy it is what a changed policy would have made of it.
#[test]
fn a_changed_policy_is_taken() {
    for seed in 0..40 {
        let mut lean = lean(seed);
        lean.drive(800);
        let (policy, kv, bytes) = lean.saved();
        let mut changed = policy.clone();
        changed.accounts[0].weight = 3.0;
        changed.classes[0].queue.requests_max = 5;
        changed.batch.late_ratio = 0.07;
        changed.batch.model_memory_steps = 90;
        let mut expected = Batcher::restore(&policy, kv, &bytes).unwrap();
        expected.set_policy(&changed).unwrap();
        let restored = Batcher::restore(&changed, kv, &bytes).unwrap();
        assert!(saved(&restored) == saved(&expected), "seed {seed}");
    }
}
