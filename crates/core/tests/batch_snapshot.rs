//! A restored batcher is the one that was saved, and nothing that is no snapshot becomes one.

mod lean;
mod support;

use std::sync::OnceLock;

use lean::Lean;
use proptest::prelude::*;
use rampmeter::Blocks;
use rampmeter::batch::Batcher;
use rampmeter::engine::KvGeometry;
use rampmeter::error::SnapshotFault;
use rampmeter::policy::{EngineMode, Policy};
use support::forgery::{fault, sign};
use support::swarm::{round, swarm};
use support::{Host, Prng, Setup, model};

fn saved(batcher: &Batcher) -> Vec<u8> {
    let mut bytes = vec![0; batcher.snapshot_bytes() as usize];
    assert_eq!(batcher.save(&mut bytes), Ok(bytes.len()));
    bytes
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
type Specimen = (u64, u32, Policy, KvGeometry, Vec<u8>);

/// Snapshots of busy batchers of all kinds, with the number of calls that led there.
fn specimens() -> &'static [Specimen] {
    static SPECIMENS: OnceLock<Vec<Specimen>> = OnceLock::new();
    SPECIMENS.get_or_init(|| {
        let specimen = |seed: u64| {
            let calls = 500 + 100 * seed as u32;
            let mut lean = lean(seed);
            lean.drive(calls);
            let (policy, kv, bytes) = lean.saved();
            (seed, calls, policy, kv, bytes)
        };
        (0..24).map(specimen).collect()
    })
}

/// Alters some words of the state in the ways in which words go wrong.
fn forge(bytes: &mut [u8], prng: &mut Prng) {
    let (words, _) = bytes.as_chunks_mut::<8>();
    let (first, state) = (3, words.len() as u64 - 4);
    for _ in 0..=prng.below(5) {
        let other = words[first + prng.below(state) as usize];
        // The lengths of outputs are half of it: the rest comes first.
        let state = if prng.chance(70) { state.min(900) } else { state };
        let at = first + prng.below(state) as usize;
        let word = u64::from_le_bytes(words[at]);
        words[at] = match prng.below(8) {
            0 => prng.draw(),
            1 => prng.below(50),
            2 => word.wrapping_add(1),
            3 => word.wrapping_sub(1),
            4 => word ^ 1 << prng.below(64),
            5 => u64::from_le_bytes(other),
            6 => [0, u64::MAX, u32::MAX.into(), 1 << 32, 1 << 62][prng.below(5) as usize],
            _ => word ^ (prng.below(256) << (8 * prng.below(8))),
        }
        .to_le_bytes();
    }
}

/// True if what was forged was believed; it then bears 200 calls of every kind.
fn bears(seed: u64) -> bool {
    let mut prng = Prng(seed);
    let specimens = specimens();
    let pick = prng.below(specimens.len() as u64) as usize;
    let (lean_seed, calls, policy, kv, bytes) = &specimens[pick];
    let mut bytes = bytes.clone();
    forge(&mut bytes, &mut prng);
    sign(&mut bytes);
    let Ok(restored) = Batcher::restore(policy, *kv, &bytes) else { return false };
    // What was believed can be saved, and is then believed again.
    let again = saved(&restored);
    Batcher::restore(policy, *kv, &again).unwrap();
    let mut lean = lean(*lean_seed);
    lean.drive(*calls);
    lean.go_on_with(restored);
    lean.drive(200);
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    /// A forged snapshot with a right checksum is refused, or becomes a batcher that works.
    #[test]
    fn what_is_forged_is_refused_or_harmless(seed in any::<u64>()) {
        bears(seed);
    }

    /// What was damaged by accident is noticed, whatever it was.
    #[test]
    fn every_damage_is_noticed(seed in any::<u64>(), by in 1_u8..) {
        let mut prng = Prng(seed);
        let (.., policy, kv, bytes) = &specimens()[prng.below(24) as usize];
        let mut bytes = bytes.clone();
        let at = prng.below(bytes.len() as u64) as usize;
        bytes[at] ^= by;
        prop_assert!(fault(&Batcher::restore(policy, *kv, &bytes)).is_some());
        bytes[at] ^= by;
        bytes.truncate(at);
        prop_assert!(fault(&Batcher::restore(policy, *kv, &bytes)).is_some());
    }
}

/// The forger must get through at times, or the test above tests nothing.
#[test]
fn some_of_what_is_forged_is_believed() {
    let believed = (0..1_000).filter(|seed| bears(*seed)).count();
    assert!((50..950).contains(&believed), "{believed} of 1000");
}

#[test]
fn what_is_wrong_is_said() {
    let setup = Setup::default();
    let (policy, kv) = (setup.policy(), setup.kv());
    let bytes = saved(&Batcher::new(&policy, kv, model()).unwrap());
    let restore = |policy: &Policy, kv, bytes: &[u8]| fault(&Batcher::restore(policy, kv, bytes));
    assert_eq!(restore(&policy, kv, &bytes), None);
    assert_eq!(restore(&policy, kv, b"{}"), Some(SnapshotFault::NoSnapshot));
    assert_eq!(restore(&policy, kv, &bytes[..99]), Some(SnapshotFault::Truncated));
    let with = |at: usize, by: u8| {
        let mut bytes = bytes.clone();
        bytes[at] ^= by;
        sign(&mut bytes);
        restore(&policy, kv, &bytes)
    };
    assert_eq!(with(8, 4), Some(SnapshotFault::OtherDesk));
    assert_eq!(with(12, 4), Some(SnapshotFault::OtherVersion));
    let mut damaged = bytes.clone();
    damaged[200] ^= 1;
    assert_eq!(restore(&policy, kv, &damaged), Some(SnapshotFault::Checksum));

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

    let mut short = vec![7; bytes.len() - 1];
    let batcher = Batcher::new(&policy, kv, model()).unwrap();
    assert_eq!(batcher.save(&mut short).unwrap_err().field(), "snapshot");
    assert!(short.iter().all(|byte| *byte == 7), "nothing is written");
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
