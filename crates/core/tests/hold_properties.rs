//! What holding batch work back promises, against its formula worked out by hand.

mod support;

use proptest::prelude::*;
use rampmeter::Nanos;
use rampmeter::headroom::hold::{BatchJob, HoldReason, Reserve, Verdict};
use rampmeter::policy::{HoldRules, Policy};

fn at(seconds: f64) -> Nanos {
    Nanos::from_seconds(seconds)
}

fn rules(reserve_beta_min: f64) -> HoldRules {
    HoldRules { reserve_beta_min, ..HoldRules::default() }
}

/// Requests of two GPUs and ten minutes, `size` of them every 50 s, until 100,000 s.
fn busy(rules: HoldRules, size: u32) -> Reserve {
    let mut reserve = Reserve::new(at(0.0), &Policy::default().with_hold(rules), 0, 400.0).unwrap();
    for round in 0..2_000_u32 {
        let now = at(50.0 * f64::from(round));
        for _ in 0..size {
            if round >= 12 {
                reserve.ended(now, at(600.0)).unwrap();
            }
        }
        for _ in 0..size {
            reserve.arrived(now, 2.0).unwrap();
            reserve.started(now).unwrap();
        }
    }
    reserve
}

fn job(gpus: f64, gpus_free: f64, delay_value: f64) -> BatchJob {
    BatchJob { gpus, delay_value, waiting: 10, gpus_free }
}

fn ask(reserve: &Reserve, job: &BatchJob) -> Verdict {
    reserve.hold(at(100_000.0), job).unwrap()
}

#[test]
fn the_price_is_that_of_the_formula() {
    let reserve = busy(rules(0.0), 5);
    let verdict = ask(&reserve, &job(8.0, 20.0, 0.033));
    // 0.1 a second for 600 s: 60 at any time, without variance; the floor is a quarter of them.
    let sigma = (0.25 * 60.0_f64).sqrt();
    assert!((verdict.sigma / sigma - 1.0).abs() < 0.01, "{verdict:?}");
    assert_eq!(verdict.slots_left, 6.0);
    let wait_s = |k: f64| {
        let beta = k / sigma;
        let (mut below, mut x) = (0.0, -12.0);
        let density = |x: f64| (-x * x / 2.0_f64).exp() / (2.0 * std::f64::consts::PI).sqrt();
        while x < beta {
            below += density(x + 5e-5) * 1e-4;
            x += 1e-4;
        }
        1.0 / (1.0 + beta * below / density(beta)) / (k / 600.0 + 1.0 / 600.0)
    };
    let urgent = 0.1 * (wait_s(6.0) - wait_s(10.0));
    assert!((verdict.urgent_price / urgent - 1.0).abs() < 0.02, "{verdict:?} {urgent}");
    let batch = 0.033 * (1.0 + 10.0 * 8.0 / (0.97 * 400.0));
    assert!((verdict.batch_price / batch - 1.0).abs() < 1e-12);
    assert_eq!((verdict.hold, verdict.reason), (urgent > batch, HoldReason::Price));
    assert!(verdict.hold, "a batch job of little worth waits");
    assert!(!ask(&reserve, &job(8.0, 300.0, 0.033)).hold, "with room for all it starts");
    assert!(!ask(&reserve, &job(8.0, 20.0, 100.0)).hold, "and so does one that is worth more");
}

/// The variance is that of the number of urgent requests over time.
#[test]
fn bursts_are_measured() {
    // On for 1,000 s with 40, off for 1,000 s: mean 20, deviation 20.
    let mut reserve = Reserve::new(at(0.0), &Policy::default(), 0, 400.0).unwrap();
    for round in 0..100_u32 {
        let now = 2_000.0 * f64::from(round);
        for _ in 0..40 {
            reserve.arrived(at(now), 1.0).unwrap();
            reserve.started(at(now)).unwrap();
        }
        for _ in 0..40 {
            reserve.ended(at(now + 1_000.0), at(1_000.0)).unwrap();
        }
    }
    let verdict = reserve.hold(at(200_000.0), &job(1.0, 50.0, 1.0)).unwrap();
    assert!((verdict.sigma - 20.0).abs() < 0.5, "{verdict:?}");
}

#[test]
fn the_least_reserve_is_kept_unless_it_can_never_be() {
    let reserve = busy(rules(2.0), 5);
    // Two deviations are 7.7 slots; a worthy job that leaves 6 is held, one that leaves 8 is not.
    let held = ask(&reserve, &job(8.0, 20.0, 100.0));
    assert_eq!((held.hold, held.reason), (true, HoldReason::Reserve));
    assert!(!ask(&reserve, &job(8.0, 24.0, 100.0)).hold);
    // 194 slots less 60 and 130 leave 4 on a cluster without other batch work: it goes by its
    // price.
    let large = ask(&reserve, &job(260.0, 270.0, 100.0));
    assert_eq!((large.hold, large.reason), (false, HoldReason::Price));
}

/// Whether a walk that starts with so many free slots loses all of them, where one is taken at 0.1 a
/// second, and comes free at that rate and `released` more.
fn is_ruined(prng: &mut support::Prng, slots: i64, released: f64) -> bool {
    let mut free = slots;
    // From 200 on all are taken once in 10^15 times at the most.
    while (1..200).contains(&free) {
        let part = (prng.draw() >> 11) as f64 / (1_u64 << 53) as f64;
        free += if part * (0.2 + released) < 0.1 { -1 } else { 1 };
    }
    free == 0
}

/// How likely nothing is free with so many standard deviations more than the mean (Halfin, Whitt).
fn all_taken(beta: f64) -> f64 {
    let above = 0.5 * libm::erfc(beta / std::f64::consts::SQRT_2);
    let density = (-beta * beta / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    1.0 / (1.0 + beta * (1.0 - above) / density)
}

/// Urgent requests of a GPU and ten minutes, one every 10 s, beside batch work that releases so much;
/// a reserve of two deviations is asked for.
fn beside_batch_work(released: f64) -> Reserve {
    let policy = Policy::default().with_hold(rules(2.0));
    let mut reserve = Reserve::new(at(0.0), &policy, 0, 400.0).unwrap();
    for round in 0..10_000_u32 {
        let now = at(10.0 * f64::from(round));
        if round >= 60 {
            reserve.ended(now, at(600.0)).unwrap();
        }
        reserve.arrived(now, 1.0).unwrap();
        reserve.started(now).unwrap();
        reserve.released(now, 10.0 * released).unwrap();
    }
    reserve
}

/// What batch work releases is a reserve as well: what must be left free besides is told by walks.
#[test]
fn what_is_released_need_not_be_kept_free() {
    let least = |reserve: &Reserve| {
        let is_held = |slots: &i64| ask(reserve, &job(1.0, *slots as f64 + 1.0, 1e4)).hold;
        (0..200_i64).find(|slots| !is_held(slots)).unwrap()
    };
    let still = beside_batch_work(0.0);
    let sigma = still.stats().sigma;
    let without = least(&still);
    assert_eq!(without, (2.0 * sigma).ceil() as i64, "two deviations where nothing is released");
    for released in [0.02, 0.05, 0.1] {
        let with = least(&beside_batch_work(released));
        assert!(with < without, "{with} {without}");
        let mut prng = support::Prng(7);
        let mut chance = |slots: i64| {
            let ruined = (0..20_000).filter(|_| is_ruined(&mut prng, slots, released)).count();
            ruined as f64 / 20_000.0 * all_taken(slots as f64 / sigma)
        };
        let (enough, too_few) = (chance(with + 1), chance(with - 2));
        assert!(enough < all_taken(2.0) && too_few > all_taken(2.0), "{with}: {enough} {too_few}");
    }
}

/// Rates are what they were when they are remembered for another time, by a changed policy or a
/// restart.
#[test]
fn another_memory_knows_the_same_rates() {
    let mut reserve = busy(rules(0.0), 5);
    reserve.released(at(100_000.0), 80.0).unwrap();
    let mut bytes = vec![0; reserve.snapshot_bytes() as usize];
    reserve.save(&mut bytes).unwrap();
    let before = reserve.stats();
    for memory_s in [60.0, 7_200.0, 86_400.0] {
        let changed = HoldRules { memory: at(memory_s), ..HoldRules::default() };
        let policy = Policy::default().with_hold(changed);
        reserve.apply(&policy, 0).unwrap();
        assert_eq!(reserve.stats(), before);
        assert_eq!(Reserve::restore(&policy, 0, &bytes).unwrap().stats(), before);
    }
}

#[test]
fn too_little_holds_nothing() {
    let mut reserve = Reserve::new(at(0.0), &Policy::default(), 0, 10.0).unwrap();
    reserve.arrived(at(1.0), 1.0).unwrap();
    let verdict = reserve.hold(at(2.0), &job(5.0, 5.0, 0.033)).unwrap();
    assert_eq!((verdict.hold, verdict.reason), (false, HoldReason::NotEnoughData));
}

#[test]
fn wrong_calls_change_nothing() {
    let mut reserve = busy(rules(0.0), 1);
    reserve.capacity(at(100_000.0), 300.0).unwrap();
    let before = reserve;
    let now = at(100_001.0);
    for bad in [f64::NAN, -1.0, 1e10, f64::INFINITY] {
        assert_eq!(reserve.arrived(now, bad).unwrap_err().field(), "gpus");
        assert_eq!(reserve.released(now, bad).unwrap_err().field(), "gpus");
        assert_eq!(reserve.capacity(now, bad).unwrap_err().field(), "gpus");
        assert_eq!(reserve.hold(now, &job(bad, 1.0, 1.0)).unwrap_err().field(), "gpus");
        assert_eq!(reserve.hold(now, &job(1.0, bad, 1.0)).unwrap_err().field(), "gpus_free");
        assert_eq!(reserve.hold(now, &job(1.0, 1.0, bad)).unwrap_err().field(), "delay_value");
    }
    assert_eq!(reserve.started(now).unwrap_err().field(), "started");
    assert_eq!(reserve.left(now).unwrap_err().field(), "left");
    assert_eq!(reserve.ended(now, Nanos::MAX).unwrap_err().field(), "ran_ns");
    assert_eq!(reserve.arrived(at(1.0), 1.0).unwrap_err().field(), "now_ns");
    assert_eq!(reserve.apply(&Policy::default(), 9).unwrap_err().field(), "class");
    assert_eq!(reserve, before);
    reserve.apply(&Policy::default().with_hold(rules(3.0)), 1).unwrap();
    assert_ne!(reserve, before);
}

proptest! {
    /// Worth more, smaller, or with more room: whoever started before starts now.
    #[test]
    fn nobody_is_held_for_having_less_in_the_way(
        gpus in 0.5f64..64.0, free in 0.0f64..400.0, value in 1e-4f64..10.0, more in 1.0f64..4.0,
        beta in 0.0f64..3.0, size in 1u32..8,
    ) {
        let reserve = busy(rules(beta), size);
        let asked = job(gpus, free, value);
        if !ask(&reserve, &asked).hold {
            let worthier = BatchJob { delay_value: (value * more).min(1e4), ..asked };
            let longer = BatchJob { waiting: 40, ..asked };
            let held = ask(&reserve, &worthier).hold || ask(&reserve, &longer).hold;
            prop_assert!(!held);
        }
        let (here, larger) = (ask(&reserve, &asked), ask(&reserve, &job(gpus * more, free, value)));
        prop_assert!(larger.urgent_price >= here.urgent_price);
        prop_assert!(here.urgent_price >= 0.0 && here.urgent_price.is_finite());
        if ask(&busy(rules(0.0), size), &asked).hold {
            prop_assert!(here.hold, "a reserve only adds");
        }
    }

    /// Calls in any order with any numbers are answered, and prices are numbers.
    #[test]
    fn any_calls_are_answered(
        calls in prop::collection::vec((0u8..7, any::<u64>(), any::<f64>()), 0..200),
    ) {
        let mut reserve = Reserve::new(at(0.0), &Policy::default(), 0, 8.0).unwrap();
        let mut now = 0_u64;
        for (call, later, number) in calls {
            now = now.saturating_add(later % 1_000_000_000_000);
            let number = if later % 3 == 0 { number } else { number.abs() % 64.0 };
            let now = Nanos(now);
            let _ = match call {
                0 | 1 => reserve.arrived(now, number),
                2 => reserve.started(now),
                3 => reserve.ended(now, Nanos(later % now.get().max(1))),
                4 => reserve.left(now),
                5 => reserve.released(now, number),
                _ => reserve.capacity(now, number),
            };
            if let Ok(verdict) = reserve.hold(now, &job(4.0, 8.0, 1.0)) {
                let Verdict { urgent_price, batch_price, slots_left, sigma, .. } = verdict;
                for number in [urgent_price, batch_price, slots_left, sigma] {
                    prop_assert!(number.is_finite(), "{verdict:?}");
                }
                prop_assert!(urgent_price >= 0.0 && batch_price > 0.0);
            }
        }
    }
}
