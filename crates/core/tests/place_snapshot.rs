//! A restored placer is the one that was saved, and nothing that is no snapshot becomes one.

mod lean;
mod support;

use std::sync::OnceLock;

use lean::placer::{FLEET, LeanPlacer, OPTIONS};
use proptest::prelude::*;
use rampmeter::error::SnapshotFault;
use rampmeter::fleet::partition::{Layout, Profile};
use rampmeter::fleet::{Fleet, FleetOptions, NodeSpec};
use rampmeter::place::{Placer, PlacerOptions, Task};
use rampmeter::policy::Policy;
use rampmeter::share::{Ledger, LedgerOptions};
use rampmeter::{Error, Nanos};
use support::Prng;
use support::forgery::{
    Desk, every_damage_is_refused, fault, faults_are_named, is_believed, saved, some_are_believed,
};

/// Calls by which a swarm is full and busy.
const CALLS: u32 = 500;

impl Desk for Placer {
    type Terms = (FleetOptions, Policy, PlacerOptions);

    const COMPARED_WORDS: usize = 7;

    fn size(&self) -> u64 {
        self.snapshot_bytes()
    }

    fn write(&self, out: &mut [u8]) -> Result<usize, Error> {
        self.save(out)
    }

    fn read((fleet, policy, options): &Self::Terms, bytes: &[u8]) -> Result<Self, Error> {
        Self::restore(Fleet::new(fleet)?, policy, options, bytes)
    }
}

/// What the placer of a host is restored with.
fn terms(host: &LeanPlacer) -> (FleetOptions, Policy, PlacerOptions) {
    (FLEET, host.policy().clone(), OPTIONS)
}

/// A digest of all answers, and the state at the end.
fn run(seed: u64, calls: u32, cut: Option<u32>) -> (u64, Vec<u8>) {
    let mut host = LeanPlacer::new(seed);
    host.drive(cut.unwrap_or(0));
    if cut.is_some() {
        let bytes = saved(&host.placer);
        let restored = Placer::read(&terms(&host), &bytes).unwrap();
        assert!(saved(&restored) == bytes);
        host = host.with_placer(restored);
    }
    host.drive(calls - cut.unwrap_or(0));
    (host.log.digest, saved(&host.placer))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Every answer is compared, by its digest, and the bytes at the end.
    #[test]
    fn a_restored_placer_goes_on_as_the_saved_one(seed in any::<u64>(), cut in 0_u32..CALLS) {
        let (cut, whole) = (run(seed, CALLS, Some(cut)), run(seed, CALLS, None));
        prop_assert_eq!(cut.0, whole.0);
        prop_assert!(cut.1 == whole.1);
    }
}

const SPECIMENS_LEN: u64 = 30;

/// Hosts with busy placers, and their snapshots.
fn specimens() -> &'static [(LeanPlacer, Vec<u8>)] {
    static SPECIMENS: OnceLock<Vec<(LeanPlacer, Vec<u8>)>> = OnceLock::new();
    SPECIMENS.get_or_init(|| {
        let specimen = |seed: u64| {
            let mut host = LeanPlacer::new(seed);
            host.drive(200 + 20 * seed as u32);
            let bytes = saved(&host.placer);
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
    is_believed(&terms(host), bytes, &mut prng, |restored: Placer| {
        let mut host = host.with_placer(restored);
        for now in [host.now, 1 << 62, u64::MAX] {
            host.now = now;
            host.drive(60);
        }
        Some(host.placer)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    /// A forged snapshot with a right checksum is refused, or becomes a placer that works.
    #[test]
    fn forged_state_is_refused_or_works(seed in any::<u64>()) {
        bears(seed);
    }

    #[test]
    fn every_damage_is_noticed(seed in any::<u64>()) {
        let mut prng = Prng(seed);
        let (host, whole) = &specimens()[prng.below(SPECIMENS_LEN) as usize];
        every_damage_is_refused::<Placer>(&terms(host), whole, &mut prng);
    }

    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let terms = (FLEET, Policy::default(), OPTIONS);
        prop_assert!(fault(&Placer::read(&terms, &bytes)).is_some());
    }
}

#[test]
fn some_of_what_is_forged_is_believed() {
    some_are_believed(bears);
}

/// The swarms take every call with success and, where it can be refused, without; and what is saved
/// is of every kind.
#[test]
fn swarms_take_every_call() {
    let mut sums = std::collections::BTreeMap::<_, (u64, u64)>::new();
    let (mut pending, mut reservations, mut members) = (0, 0, 0);
    for (host, _) in specimens() {
        for (call, answered, refused) in host.log.calls() {
            let sum = sums.entry(*call).or_default();
            *sum = (sum.0 + answered, sum.1 + refused);
        }
        let stats = host.placer.stats();
        pending += stats.pending;
        reservations += stats.reservations;
        members += stats.members;
    }
    println!("{sums:?} {pending} {reservations} {members}");
    assert!(sums.values().all(|sum| sum.0 >= 10), "{sums:?}");
    assert!(sums.values().filter(|sum| sum.1 >= 15).count() >= 25, "{sums:?}");
    assert!(pending > 60 && reservations > 20 && members > 60);
}

fn small() -> (FleetOptions, Policy, PlacerOptions) {
    (FLEET, Policy::default(), OPTIONS)
}

fn empty((fleet, policy, options): &(FleetOptions, Policy, PlacerOptions)) -> Placer {
    Placer::new(Fleet::new(fleet).unwrap(), policy, options).unwrap()
}

#[test]
fn what_is_wrong_is_said() {
    let terms = small();
    faults_are_named(&terms, &empty(&terms));
    let bytes = saved(&empty(&terms));
    let mut fleet = Fleet::new(&FLEET).unwrap();
    fleet.add_node(&NodeSpec::default()).unwrap();
    let refused = Placer::restore(fleet, &terms.1, &OPTIONS, &bytes);
    assert_eq!(refused.unwrap_err().field(), "nodes");
    let mut wrong = terms.1.clone();
    wrong.classes[0].delay_value = f64::NAN;
    let refused = Placer::restore(Fleet::new(&FLEET).unwrap(), &wrong, &OPTIONS, &bytes);
    assert_eq!(refused.unwrap_err().field(), "class[].delay_value");
}

/// A placer of other sizes is recognised by every single one of them.
#[test]
fn another_size_is_another_capacity() {
    let terms = small();
    let bytes = saved(&empty(&terms));
    let mut fewer = terms.1.clone();
    fewer.classes = fewer.classes[..1].into();
    let fleet = |nodes_max, devices_per_node_max| FleetOptions { nodes_max, devices_per_node_max };
    let others = [
        (fleet(7, 4), terms.1.clone(), OPTIONS),
        (fleet(6, 3), terms.1.clone(), OPTIONS),
        (FLEET, fewer, OPTIONS),
        (FLEET, terms.1.clone(), PlacerOptions { tasks_max: 29, ..OPTIONS }),
        (FLEET, terms.1.clone(), PlacerOptions { members_max: 25, ..OPTIONS }),
        (FLEET, terms.1.clone(), PlacerOptions { task_members_max: 7, ..OPTIONS }),
        (FLEET, terms.1.clone(), PlacerOptions { accounts_max: 6, ..OPTIONS }),
    ];
    assert_eq!(fault(&Placer::read(&terms, &bytes)), None);
    for other in others {
        let found = fault(&Placer::read(&other, &bytes));
        assert_eq!(found, Some(SnapshotFault::OtherCapacity), "{other:?}");
    }
    // Room for reservations is that of the policy it was made by.
    let mut more = terms.1.clone();
    more.placement.reservations_max += 5;
    let restored = Placer::read(&(FLEET, more, OPTIONS), &bytes).unwrap();
    assert_eq!(saved(&restored), bytes);
}

/// Layouts of the host come with the fleet; with others the devices would be cut otherwise.
#[test]
fn layouts_of_the_host_are_kept() {
    let policy = Policy::default();
    let profile = Profile { compute_slices: 1, memory_slices: 1, memory_mib: 9, starts: 0b1111 };
    let layout = Layout { profiles: &[profile], compute_slices: 4 };
    let cut = || Fleet::with_layouts(&FLEET, &[layout]).unwrap();
    let mut placer = Placer::new(cut(), &policy, &OPTIONS).unwrap();
    placer.add_node(&NodeSpec::default()).unwrap();
    assert_eq!(placer.why(Nanos(0), &Task::default()).unwrap().fits, 1);
    let bytes = saved(&placer);
    let mut restored = Placer::restore(cut(), &policy, &OPTIONS, &bytes).unwrap();
    assert_eq!(restored.why(Nanos(0), &Task::default()).unwrap().fits, 1);
    let other = Placer::restore(Fleet::new(&FLEET).unwrap(), &policy, &OPTIONS, &bytes);
    assert_eq!(fault(&other), Some(SnapshotFault::Contradiction));
}

/// No desk takes the snapshot of another one.
#[test]
fn the_snapshot_of_another_desk_is_refused() {
    let (terms, refused) = (small(), Some(SnapshotFault::OtherDesk));
    let options = LedgerOptions::default();
    let ledger = Ledger::new(&options).unwrap();
    let mut bytes = vec![0; ledger.snapshot_bytes() as usize];
    ledger.save(&mut bytes).unwrap();
    assert_eq!(fault(&Placer::read(&terms, &bytes)), refused);
    assert_eq!(fault(&Ledger::restore(&options, &saved(&empty(&terms)))), refused);
}
