//! A restored desk of headroom is the one that was saved, and nothing that is no snapshot becomes one.

mod support;

use proptest::prelude::*;
use rampmeter::error::SnapshotFault;
use rampmeter::headroom::estimate::servers::Replica;
use rampmeter::headroom::{ClassOptions, Headroom, Options};
use rampmeter::{Error, Nanos};
use support::Prng;
use support::forgery::{
    Desk, every_damage_is_refused, fault, faults_are_named, is_believed, saved, some_are_believed,
};

impl Desk for Headroom {
    type Terms = Options;

    /// Two classes of three words, and five of the pool.
    const COMPARED_WORDS: usize = 12;

    /// Replicas, time, the pool, and the first class as far as its samples; the imagined pools are
    /// 24 times the same.
    const BUSY_WORDS: usize = 60;

    fn size(&self) -> u64 {
        self.snapshot_bytes()
    }

    fn write(&self, out: &mut [u8]) -> Result<usize, Error> {
        self.save(out)
    }

    fn read(options: &Self::Terms, bytes: &[u8]) -> Result<Self, Error> {
        Self::restore(options, bytes)
    }
}

fn options() -> Options {
    let classes =
        [ClassOptions::default(), ClassOptions { delay_value: 0.1, ..ClassOptions::default() }];
    let replica = Replica { seats: 2, loaded_share: 0.4 };
    Options { replicas_max: 6, memory_requests: 1_000, ..Options::new(classes, replica, 3) }
}

/// A host that mostly calls right.
#[derive(Clone)]
struct Host {
    prng: Prng,
    now: u64,
}

impl Host {
    fn call(&mut self, desk: &mut Headroom) -> Result<(), Error> {
        let Self { prng, now } = self;
        *now += prng.below(900_000_000);
        let at = Nanos(*now - prng.below(50) / 49);
        let (class, span) =
            (u32::from(prng.chance(30)), Nanos(prng.below(at.get().min(5 << 30) + 2)));
        match prng.below(100) {
            0..36 => desk.arrived(at, class),
            36..66 => desk.started(at, class, span),
            66..94 => desk.ended(at, class, span),
            94..97 => desk.left(at, class, span),
            97 => desk.passed(at),
            _ => desk.capacity(at, prng.below(20) as u32 / 3),
        }
    }
}

/// A desk after so many calls, and its host.
fn busy(seed: u64, calls: u32) -> (Headroom, Host) {
    let mut host = Host { prng: Prng(seed), now: seed % 1_000 };
    let mut desk = Headroom::new(&options()).unwrap();
    for _ in 0..calls {
        let _ = host.call(&mut desk);
    }
    (desk, host)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// From any moment on both answer the same, to the bit.
    #[test]
    fn a_restored_desk_goes_on_identically(seed in any::<u64>(), calls in 0_u32..1_200) {
        let (mut desk, mut host) = busy(seed, calls);
        let mut restored = Headroom::restore(&options(), &saved(&desk)).unwrap();
        let mut same = host.clone();
        for _ in 0..200 {
            prop_assert_eq!(host.call(&mut desk), same.call(&mut restored));
        }
        prop_assert!(saved(&desk) == saved(&restored));
        prop_assert_eq!(desk.replicas_needed(), restored.replicas_needed());
    }

    #[test]
    fn damage_is_noticed(seed in any::<u64>(), calls in 0_u32..1_200) {
        let (desk, mut host) = busy(seed, calls);
        every_damage_is_refused::<Headroom>(&options(), &saved(&desk), &mut host.prng);
    }
}

#[test]
fn forged_snapshots_are_refused_or_work() {
    some_are_believed(|seed| {
        let (desk, mut host) = busy(seed, 900);
        let mut prng = host.prng.clone();
        is_believed::<Headroom>(&options(), &saved(&desk), &mut prng, |mut desk| {
            for _ in 0..60 {
                let before = saved(&desk);
                let refused = host.call(&mut desk).is_err();
                assert!(!refused || saved(&desk) == before, "who is refused has changed nothing");
            }
            let _ = (desk.knee(0), desk.headroom(1), desk.replicas_needed(), desk.can_remove());
            let _ = (desk.wait_tail(0, Nanos(9)), desk.stats());
            Some(desk)
        })
    });
}

/// More seats that are taken than there are, in a pool of fewer replicas than were saved.
#[test]
fn seats_that_are_not_there_are_refused() {
    let alone = Options {
        replicas_max: 12,
        ..Options::new([ClassOptions::default()], Replica::server(), 10)
    };
    let mut desk = Headroom::new(&alone).unwrap();
    for request in 0..2_000 {
        let now = Nanos::from_millis(10_000 + 111 * request);
        desk.arrived(now, 0).unwrap();
        desk.started(now, 0, Nanos::ZERO).unwrap();
        desk.ended(now, 0, Nanos::from_millis(1_000)).unwrap();
    }
    let whole = saved(&desk);
    let with = |word: usize, value: u64| {
        let mut bytes = whole.clone();
        bytes[8 * word..][..8].copy_from_slice(&value.to_le_bytes());
        support::forgery::sign(&mut bytes);
        Headroom::restore(&alone, &bytes)
    };
    // Behind the head come nine words of options, then the replicas.
    let replicas = 3 + 9;
    assert_eq!(whole[8 * replicas], 10);
    assert!(with(replicas, 11).is_ok());
    assert_eq!(fault(&with(replicas, 1)), Some(SnapshotFault::Contradiction));
    // The last word but one is the time of the price, which is not after that of the desk.
    let time = whole.len() / 8 - 2;
    let now = u64::from_le_bytes(whole[8 * time..][..8].try_into().unwrap());
    assert!(with(time, now).is_ok());
    assert_eq!(fault(&with(time, now + 1)), Some(SnapshotFault::Contradiction));
}

#[test]
fn what_is_wrong_is_named() {
    let (desk, _) = busy(3, 900);
    faults_are_named(&options(), &desk);
    let other = Options { memory_requests: 2_000, ..options() };
    let answer = Headroom::restore(&other, &saved(&desk));
    assert_eq!(fault(&answer), Some(SnapshotFault::OtherCapacity));
}
