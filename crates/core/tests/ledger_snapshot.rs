//! A restored ledger is the one that was saved, whatever parts it has, and nothing that is no
//! snapshot becomes one.

mod lean;
mod support;

use std::sync::OnceLock;

use lean::parts::{LeanParts, options};
use proptest::prelude::*;
use rampmeter::batch::Batcher;
use rampmeter::error::SnapshotFault;
use rampmeter::share::{Ledger, LedgerOptions};
use rampmeter::{Error, Nanos};
use support::forgery::{
    Desk, every_damage_is_refused, fault, faults_are_named, is_believed, saved, some_are_believed,
};
use support::{Prng, Setup, model};

impl Desk for Ledger {
    type Terms = LedgerOptions;

    const COMPARED_WORDS: usize = 9;

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

fn host(seed: u64) -> LeanParts {
    let mut prng = Prng(seed);
    let all = prng.chance(40);
    LeanParts::new(prng.draw(), &options(&mut prng, all))
}

/// A digest of all answers, and the state at the end.
fn run(seed: u64, calls: u32, cut: Option<u32>) -> (u64, Vec<u8>) {
    let mut host = host(seed);
    host.drive(cut.unwrap_or(0));
    if cut.is_some() {
        let bytes = saved(&host.ledger);
        let restored = Ledger::restore(host.ledger.options(), &bytes).unwrap();
        assert!(saved(&restored) == bytes);
        host = host.with_ledger(restored);
    }
    host.drive(calls - cut.unwrap_or(0));
    (host.log.digest, saved(&host.ledger))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    /// Every answer is compared, by its digest, and the bytes at the end.
    #[test]
    fn a_restored_ledger_goes_on_as_the_saved_one(seed in any::<u64>(), cut in 0_u32..600) {
        let (cut, whole) = (run(seed, 600, Some(cut)), run(seed, 600, None));
        prop_assert_eq!(cut.0, whole.0);
        prop_assert!(cut.1 == whole.1);
    }
}

const SPECIMENS_LEN: u64 = 60;

/// Hosts with busy ledgers of all kinds, and their snapshots.
fn specimens() -> &'static [(LeanParts, Vec<u8>)] {
    static SPECIMENS: OnceLock<Vec<(LeanParts, Vec<u8>)>> = OnceLock::new();
    SPECIMENS.get_or_init(|| {
        let specimen = |seed: u64| {
            let mut host = host(seed);
            host.drive(300 + 20 * seed as u32);
            let bytes = saved(&host.ledger);
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
    is_believed(host.ledger.options(), bytes, &mut prng, |restored: Ledger| {
        let mut host = host.with_ledger(restored);
        for now in [host.now, 1 << 62, u64::MAX] {
            host.now = now;
            host.drive(80);
        }
        Some(host.ledger)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]
    /// A forged snapshot with a right checksum is refused, or becomes a ledger that works.
    #[test]
    fn forged_state_is_refused_or_works(seed in any::<u64>()) {
        bears(seed);
    }

    #[test]
    fn every_damage_is_noticed(seed in any::<u64>()) {
        let mut prng = Prng(seed);
        let (host, whole) = &specimens()[prng.below(SPECIMENS_LEN) as usize];
        every_damage_is_refused::<Ledger>(host.ledger.options(), whole, &mut prng);
    }

    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(fault(&Ledger::restore(&LedgerOptions::default(), &bytes)).is_some());
    }
}

#[test]
fn some_of_what_is_forged_is_believed() {
    some_are_believed(bears);
}

/// The swarms take every call with success and, where it can be refused, without, in ledgers of
/// all kinds.
#[test]
fn swarms_take_every_call() {
    let mut sums = std::collections::BTreeMap::<_, (u64, u64)>::new();
    for (host, _) in specimens() {
        for (call, answered, refused) in host.log.calls() {
            let sum = sums.entry(*call).or_default();
            *sum = (sum.0 + answered, sum.1 + refused);
        }
    }
    println!("{sums:?}");
    assert!(sums.values().all(|sum| sum.0 >= 20), "{sums:?}");
    assert!(sums.values().filter(|sum| sum.1 >= 20).count() >= 60, "{sums:?}");
}

#[test]
fn what_is_wrong_is_said() {
    let options = LedgerOptions { accounts_max: 9, resources: 2, ..LedgerOptions::default() };
    let ledger = Ledger::new(&options).unwrap();
    faults_are_named(&options, &ledger);
    let invalid = LedgerOptions { accounts_max: 0, ..options };
    assert_eq!(Ledger::restore(&invalid, &saved(&ledger)).unwrap_err().field(), "accounts_max");
}

/// A ledger of other parts or sizes is recognised by every single option.
#[test]
fn another_option_is_another_capacity() {
    let all = options(&mut Prng(1), true);
    let bytes = saved(&Ledger::new(&all).unwrap());
    let others = [
        LedgerOptions { accounts_max: all.accounts_max + 1, ..all },
        LedgerOptions { lanes: all.lanes + 1, ..all },
        LedgerOptions { resources: all.resources + 1, ..all },
        LedgerOptions { dominant: false, ..all },
        LedgerOptions { borrowing: false, ..all },
        LedgerOptions { half_life: Nanos(all.half_life.get() + 1), ..all },
        LedgerOptions { half_life: Nanos::ZERO, ..all },
        LedgerOptions { rates: false, ..all },
        LedgerOptions { names: false, ..all },
        LedgerOptions { replicas_max: all.replicas_max + 1, ..all },
    ];
    assert_eq!(fault(&Ledger::restore(&all, &bytes)), None);
    for other in others {
        let found = fault(&Ledger::restore(&other, &bytes));
        assert_eq!(found, Some(SnapshotFault::OtherCapacity), "{other:?}");
        let bytes = saved(&Ledger::new(&other).unwrap());
        let found = fault(&Ledger::restore(&all, &bytes));
        assert_eq!(found, Some(SnapshotFault::OtherCapacity), "{other:?}");
    }
}

/// No desk takes the snapshot of another one.
#[test]
fn the_snapshot_of_another_desk_is_refused() {
    let setup = Setup::default();
    let (policy, kv) = (setup.policy(), setup.kv());
    let batcher = Batcher::new(&policy, kv, model()).unwrap();
    let mut bytes = vec![0; batcher.snapshot_bytes() as usize];
    batcher.save(&mut bytes).unwrap();
    let (options, refused) = (LedgerOptions::default(), Some(SnapshotFault::OtherDesk));
    assert_eq!(fault(&Ledger::restore(&options, &bytes)), refused);
    let bytes = saved(&Ledger::new(&options).unwrap());
    assert_eq!(fault(&Batcher::restore(&policy, kv, &bytes)), refused);
}
