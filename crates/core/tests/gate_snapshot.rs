//! A restored gate is the one that was saved, and nothing that is no snapshot becomes one.

mod support;

use proptest::prelude::*;
use rampmeter::Error;
use rampmeter::error::SnapshotFault;
use rampmeter::headroom::gate::Gate;
use rampmeter::policy::Policy;
use support::Prng;
use support::forgery::{
    Desk, every_damage_is_refused, fault, faults_are_named, is_believed, saved, some_are_believed,
};
use support::gates::{Host, policy};

impl Desk for Gate {
    type Terms = Policy;

    /// What it was built from: sizes, a name of each of four accounts and two classes, two words for
    /// each class, rules.
    const COMPARED_WORDS: usize = 18;

    fn size(&self) -> u64 {
        self.snapshot_bytes()
    }

    fn write(&self, out: &mut [u8]) -> Result<usize, Error> {
        self.save(out)
    }

    fn read(terms: &Self::Terms, bytes: &[u8]) -> Result<Self, Error> {
        Self::restore(terms, bytes)
    }
}

/// A gate after so many calls, its policy, and its host.
fn busy(seed: u64, calls: u32) -> (Policy, Gate, Host) {
    let mut prng = Prng(seed);
    let policy = policy(&mut prng);
    let mut gate = Gate::new(&policy, 1 + prng.below(5) as u32).unwrap();
    let mut host = Host::new(seed);
    for _ in 0..calls {
        let _ = host.call(&mut gate);
    }
    (policy, gate, host)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// From any moment on both answer the same, to the bit.
    #[test]
    fn a_restored_gate_goes_on_identically(seed in any::<u64>(), calls in 0u32..300) {
        let (policy, mut gate, mut host) = busy(seed, calls);
        let mut restored = Gate::restore(&policy, &saved(&gate)).unwrap();
        let mut same = Host {
            prng: host.prng.clone(),
            now: host.now,
            waiting: host.waiting.clone(),
            running: host.running.clone(),
            gone: host.gone.clone(),
        };
        for _ in 0..200 {
            prop_assert_eq!(host.call(&mut gate), same.call(&mut restored));
        }
        prop_assert!(saved(&gate) == saved(&restored));
    }

    #[test]
    fn damage_is_noticed(seed in any::<u64>(), calls in 0u32..300) {
        let (policy, gate, mut host) = busy(seed, calls);
        every_damage_is_refused::<Gate>(&policy, &saved(&gate), &mut host.prng);
    }
}

#[test]
fn forged_snapshots_are_refused_or_work() {
    some_are_believed(|seed| {
        let (policy, gate, mut host) = busy(seed, 150);
        let whole = saved(&gate);
        let mut prng = host.prng.clone();
        is_believed::<Gate>(&policy, &whole, &mut prng, |mut gate| {
            for _ in 0..100 {
                let _ = host.call(&mut gate);
            }
            Some(gate)
        })
    });
}

#[test]
fn what_is_wrong_is_named() {
    let (policy, gate, _) = busy(3, 200);
    faults_are_named(&policy, &gate);
    let mut other = policy.clone();
    other.classes[0].ttft_target = rampmeter::Nanos::from_millis(7_777);
    let answer = Gate::restore(&other, &saved(&gate));
    assert_eq!(fault(&answer), Some(SnapshotFault::OtherCapacity));
    let mut turned = policy.clone();
    turned.accounts.swap(2, 3);
    let answer = Gate::restore(&turned, &saved(&gate));
    assert_eq!(fault(&answer), Some(SnapshotFault::OtherCapacity), "names in another order");
}
