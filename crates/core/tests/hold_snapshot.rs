//! A restored reserve is the one that was saved, and nothing that is no snapshot becomes one.

mod support;

use proptest::prelude::*;
use rampmeter::headroom::hold::{BatchJob, Reserve, Verdict};
use rampmeter::policy::{HoldRules, Policy};
use rampmeter::{Error, Nanos};
use support::Prng;
use support::forgery::{
    Desk, every_damage_is_refused, faults_are_named, is_believed, saved, some_are_believed,
};

impl Desk for Reserve {
    type Terms = Policy;

    fn size(&self) -> u64 {
        self.snapshot_bytes()
    }

    fn write(&self, out: &mut [u8]) -> Result<usize, Error> {
        self.save(out)
    }

    fn read(policy: &Self::Terms, bytes: &[u8]) -> Result<Self, Error> {
        Self::restore(policy, 0, bytes)
    }
}

/// A host that mostly calls right.
#[derive(Clone)]
struct Host {
    prng: Prng,
    now: u64,
}

impl Host {
    fn call(&mut self, reserve: &mut Reserve) -> (Result<(), Error>, Result<Verdict, Error>) {
        let Self { prng, now } = self;
        *now += prng.below(60_000_000_000);
        let at = Nanos(*now - prng.below(50) / 49);
        let gpus = prng.below(9) as f64;
        let answer = match prng.below(12) {
            0..4 => reserve.arrived(at, gpus),
            4..7 => reserve.started(at),
            7..9 => reserve.ended(at, Nanos(prng.below(at.get() + 2))),
            9 => reserve.left(at),
            10 => reserve.released(at, gpus),
            _ => reserve.capacity(at, 10.0 * gpus),
        };
        let job = BatchJob { gpus: 4.0, delay_value: 0.5, waiting: 7, gpus_free: 9.0 };
        (answer, reserve.hold(Nanos(*now), &job))
    }
}

fn policy() -> Policy {
    Policy::default().with_hold(HoldRules { reserve_beta_min: 1.0, ..HoldRules::default() })
}

fn busy(seed: u64, calls: u32) -> (Reserve, Host) {
    let mut host = Host { prng: Prng(seed), now: seed % 1_000 };
    let mut reserve = Reserve::new(Nanos(seed % 1_000), &policy(), 0, 64.0).unwrap();
    for _ in 0..calls {
        let _ = host.call(&mut reserve);
    }
    (reserve, host)
}

proptest! {
    /// From any moment on both answer the same, to the bit.
    #[test]
    fn a_restored_reserve_goes_on_identically(seed in any::<u64>(), calls in 0_u32..600) {
        let (mut reserve, mut host) = busy(seed, calls);
        let mut restored = Reserve::restore(&policy(), 0, &saved(&reserve)).unwrap();
        prop_assert_eq!(restored, reserve);
        prop_assert_eq!(restored.stats(), reserve.stats());
        let mut same = host.clone();
        for _ in 0..200 {
            prop_assert_eq!(host.call(&mut reserve), same.call(&mut restored));
        }
        prop_assert!(saved(&reserve) == saved(&restored));
    }

    #[test]
    fn damage_is_noticed(seed in any::<u64>(), calls in 0_u32..600) {
        let (reserve, mut host) = busy(seed, calls);
        every_damage_is_refused::<Reserve>(&policy(), &saved(&reserve), &mut host.prng);
    }
}

#[test]
fn forged_snapshots_are_refused_or_work() {
    some_are_believed(|seed| {
        let (reserve, mut host) = busy(seed, 300);
        let mut prng = host.prng.clone();
        is_believed::<Reserve>(&policy(), &saved(&reserve), &mut prng, |mut reserve| {
            for _ in 0..100 {
                if let (_, Ok(verdict)) = host.call(&mut reserve) {
                    let Verdict { urgent_price, batch_price, slots_left, sigma, .. } = verdict;
                    let numbers = [urgent_price, batch_price, slots_left, sigma];
                    assert!(numbers.iter().all(|number| number.is_finite()), "{verdict:?}");
                }
            }
            Some(reserve)
        })
    });
}

#[test]
fn what_is_wrong_is_named() {
    let (reserve, _) = busy(3, 400);
    faults_are_named(&policy(), &reserve);
    let bytes = saved(&reserve);
    assert_eq!(Reserve::restore(&policy(), 9, &bytes).unwrap_err().field(), "class");
    // Another policy is one that was changed.
    let mut changed = reserve;
    changed.apply(&Policy::default(), 1).unwrap();
    assert_eq!(Reserve::restore(&Policy::default(), 1, &bytes), Ok(changed));
}

/// What it knows is what came, counted by hand.
#[test]
fn stats_are_what_came() {
    let at = Nanos::from_seconds;
    let mut reserve = Reserve::new(at(0.0), &Policy::default(), 0, 64.0).unwrap();
    assert_eq!(reserve.stats().run_s, 0.0);
    for round in 0..5_000_u32 {
        let now = at(10.0 * f64::from(round));
        reserve.arrived(now, 2.0).unwrap();
        reserve.started(now).unwrap();
        reserve.released(now, 5.0).unwrap();
        if round >= 4 {
            reserve.ended(now, at(40.0)).unwrap();
        }
    }
    let stats = reserve.stats();
    assert_eq!((stats.waiting, stats.running, stats.gpus), (0, 4, 64.0));
    assert_eq!((stats.run_s, stats.request_gpus), (40.0, 2.0));
    assert!((stats.rate_per_s * 10.0 - 1.0).abs() < 0.01, "{stats:?}");
    assert!((stats.load - 4.0).abs() < 0.04 && (stats.released_per_s - 0.5).abs() < 0.01);
    assert!(stats.sigma >= 1.0, "at least a quarter of the load: {stats:?}");
}
