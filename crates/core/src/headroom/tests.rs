//! The desk as a whole.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::estimate::servers::Replica;
use super::waiting::{Queue, largest};
use super::*;

/// A small source of uniform numbers.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

fn options(servers: u32, target_s: f64) -> Options {
    let target = Nanos::from_seconds(target_s);
    let class = ClassOptions { target, ..ClassOptions::default() };
    Options { replicas_max: 64, ..Options::new([class], Replica::server(), servers) }
}

/// Independent arrivals, exponential service of one second, first come first served.
fn feed(desk: &mut Headroom, from_s: f64, rate: f64, requests: u32, seed: u64) -> f64 {
    feed_and_ask(desk, from_s, rate, requests, seed, |_, _| {})
}

/// The same, and somebody asks every second, whatever happens or does not.
fn feed_and_ask(
    desk: &mut Headroom,
    from_s: f64,
    rate: f64,
    requests: u32,
    seed: u64,
    mut ask: impl FnMut(&mut Headroom, Nanos),
) -> f64 {
    let (mut state, mut now_s, mut asked_s) = (seed, from_s, from_s);
    let mut free_s = vec![from_s; desk.seats() as usize];
    for index in 0..requests {
        now_s -= libm::log(uniform(&mut state)) / rate;
        while asked_s + 1.0 < now_s {
            asked_s += 1.0;
            ask(desk, Nanos::from_seconds(asked_s));
        }
        let (now, class) = (Nanos::from_seconds(now_s), index % desk.classes.len() as u32);
        let ran_s = -libm::log(uniform(&mut state));
        free_s.sort_by(f64::total_cmp);
        let start_s = free_s[0].max(now_s);
        free_s[0] = start_s + ran_s;
        desk.arrived(now, class).unwrap();
        desk.started(now, class, Nanos::from_seconds(start_s - now_s).min(now)).unwrap();
        desk.ended(now, class, Nanos::from_seconds(ran_s).min(now)).unwrap();
    }
    now_s
}

fn saved(desk: &Headroom) -> Vec<u8> {
    let mut bytes = vec![0; desk.snapshot_bytes() as usize];
    assert_eq!(desk.save(&mut bytes).unwrap(), bytes.len());
    bytes
}

#[test]
fn the_knee_of_independent_requests_is_that_of_erlang() {
    for (servers, target_s) in [(1, 4.0), (4, 1.0), (16, 0.5)] {
        let c = f64::from(servers);
        let exact = largest(0.0, 0.999, 0.05, |rho| Queue::markov(c, rho, 1.0).tail(target_s));
        let mut desk = Headroom::new(&options(servers, target_s)).unwrap();
        feed(&mut desk, 0.0, 0.9 * exact * c, 40_000, 5);
        let knee = desk.knee(0).unwrap().known().unwrap();
        assert!((knee.value / (exact * c) - 1.0).abs() < 0.05, "{servers}: {knee:?} {exact}");
        assert!(knee.low < knee.value && knee.value < knee.high);
        assert_eq!((knee.basis, knee.samples > 10_000), (Basis::Rehearsed, true));
    }
}

#[test]
fn too_little_is_said_to_be_too_little() {
    let mut desk = Headroom::new(&options(2, 1.0)).unwrap();
    let missing = Answer::NotEnoughData { samples: 0, needed: REQUESTS_NEEDED };
    assert_eq!(desk.knee(0), Ok(missing));
    assert_eq!(desk.headroom(0), Ok(missing));
    assert_eq!(desk.replicas_needed(), missing);
    assert_eq!(desk.wait_tail(0, Nanos(1)), Ok(missing));
    let unknown = CanRemove::NotEnoughData { samples: 0, needed: REQUESTS_NEEDED };
    assert_eq!(desk.can_remove(), unknown);
    feed(&mut desk, 0.0, 1.0, 150, 1);
    assert!(matches!(desk.knee(0), Ok(Answer::NotEnoughData { samples, .. }) if samples > 100));
}

/// A host that never tells what requests took: waits say that the present load is right.
#[test]
fn without_service_times_observed_waits_speak() {
    let mut desk = Headroom::new(&options(2, 1.0)).unwrap();
    for request in 0..1_000_u64 {
        let now = Nanos::from_millis(100 * request);
        desk.arrived(now, 0).unwrap();
        desk.started(now, 0, Nanos::from_millis(request % 50).min(now)).unwrap();
    }
    let knee = desk.knee(0).unwrap().known().unwrap();
    assert!((knee.value - 10.0).abs() < 1e-6 && knee.high.is_infinite());
    assert_eq!(knee.basis, Basis::Observed);
    let tail = desk.wait_tail(0, Nanos::from_millis(40)).unwrap().known().unwrap();
    assert!((0.1..0.35).contains(&tail.value) && tail.basis == Basis::Observed, "{tail:?}");
}

/// Hosts measure waits: a request that found a free server waited for some microseconds. Here one of
/// five waits three seconds longer than its queue explains, and only observed waits know that.
#[test]
fn a_wait_of_microseconds_is_none() {
    let answers = [Nanos::ZERO, Nanos(1_000), Nanos::from_millis(5)].map(|hand_over| {
        let mut desk = Headroom::new(&options(1, 1.0)).unwrap();
        let (mut state, mut now_s, mut free_s) = (7, 10.0, 0.0_f64);
        for request in 0..20_000_u32 {
            now_s -= libm::log(uniform(&mut state)) / 0.3;
            let ran_s = -libm::log(uniform(&mut state));
            let start_s = free_s.max(now_s);
            free_s = start_s + ran_s;
            let more_s = if request % 5 == 0 { 3.0 } else { 0.0 };
            let waited = Nanos::from_seconds(start_s - now_s + more_s);
            let now = Nanos::from_seconds(now_s);
            desk.arrived(now, 0).unwrap();
            desk.started(now, 0, waited.saturating_add(hand_over).min(now)).unwrap();
            desk.ended(now, 0, Nanos::from_seconds(ran_s).min(now)).unwrap();
        }
        let tail = desk.wait_tail(0, Nanos::from_seconds(1.0)).unwrap().known().unwrap();
        assert_eq!(tail.basis, Basis::Observed, "{hand_over:?}: {tail:?}");
        (tail.value, desk.knee(0).unwrap().known().unwrap().value)
    });
    let [exact, rest @ ..] = answers;
    // Of requests that nothing delays 0.3 e^-0.7 = 0.149 wait longer than a second.
    assert!((exact.0 - (0.2 + 0.8 * 0.149)).abs() < 0.02, "{exact:?}");
    for (tail, knee) in rest {
        assert!((tail / exact.0 - 1.0).abs() < 0.03, "{tail} {exact:?}");
        assert!((knee / exact.1 - 1.0).abs() < 0.03, "{knee} {exact:?}");
    }
}

#[test]
fn more_replicas_for_more_load_and_fewer_for_less() {
    let mut desk = Headroom::new(&options(16, 1.0)).unwrap();
    let now_s = feed(&mut desk, 0.0, 6.0, 20_000, 3);
    let needed = desk.replicas_needed().known().unwrap();
    // Erlang by hand: 6 erlangs, P(W > 1 s) is 0.072 with 8 and 0.018 with 9 servers.
    assert!((8.0..=10.0).contains(&needed.value), "{needed:?}");
    assert!(needed.low <= needed.value && needed.value <= needed.high);
    assert_eq!(desk.can_remove(), CanRemove::Yes);
    let headroom = desk.headroom(0).unwrap().known().unwrap();
    assert!((0.3..0.7).contains(&headroom.value), "{headroom:?}");
    // What was learned goes along to another number of servers.
    desk.capacity(Nanos::from_seconds(now_s), 9).unwrap();
    let after = desk.replicas_needed().known().unwrap();
    assert!((after.value - needed.value).abs() <= 1.0, "{after:?}");
    assert_ne!(desk.can_remove(), CanRemove::Yes);
    desk.capacity(Nanos::from_seconds(now_s), 0).unwrap();
    assert_eq!(desk.knee(0).unwrap().known().unwrap().value, 0.0);
    assert!(desk.replicas_needed().known().is_some());
    desk.arrived(Nanos::from_seconds(now_s), 0).unwrap();
}

/// A pool that went to nothing says what it needs when requests come again.
#[test]
fn a_pool_without_replicas_needs_as_many_as_before() {
    let mut desk = Headroom::new(&options(16, 1.0)).unwrap();
    let now_s = feed(&mut desk, 0.0, 6.0, 20_000, 3);
    let before = desk.replicas_needed().known().unwrap();
    desk.capacity(Nanos::from_seconds(now_s), 0).unwrap();
    let needed = desk.replicas_needed().known().unwrap();
    assert!((needed.value - before.value).abs() <= 1.0, "{needed:?} {before:?}");
    assert!(needed.low <= needed.value && needed.value <= needed.high, "{needed:?}");
    assert!(needed.low > 6.0 && needed.high < 14.0, "{needed:?}");
    assert_eq!(desk.can_remove(), CanRemove::No);
    let headroom = desk.headroom(0).unwrap().known().unwrap();
    assert_eq!(headroom.value, f64::NEG_INFINITY);
    // Most may be late, and still nobody plans for more than servers can do.
    let class = ClassOptions { late_ratio_max: 0.5, ..ClassOptions::default() };
    let mut lax = Headroom::new(&Options { classes: [class].into(), ..options(16, 1.0) }).unwrap();
    let now_s = feed(&mut lax, 0.0, 6.0, 20_000, 3);
    lax.capacity(Nanos::from_seconds(now_s), 0).unwrap();
    assert!(lax.replicas_needed().known().unwrap().low >= 6.0);
}

/// A class to which nobody belongs has nobody who could be late, however strict it is.
#[test]
fn a_class_that_nobody_uses_needs_nothing() {
    let one = options(16, 1.0);
    let strict = ClassOptions {
        target: Nanos::from_millis(1),
        late_ratio_max: 0.001,
        ..ClassOptions::default()
    };
    let both = Options { classes: [one.classes[0], strict].into(), ..one.clone() };
    let needed = [&one, &both].map(|options| {
        let mut desk = Headroom::new(options).unwrap();
        let (mut state, mut now_s) = (5, 100.0);
        for _ in 0..5_000 {
            now_s -= libm::log(uniform(&mut state)) / 8.0;
            let (now, ran_s) = (Nanos::from_seconds(now_s), -libm::log(uniform(&mut state)));
            desk.arrived(now, 0).unwrap();
            desk.started(now, 0, Nanos::ZERO).unwrap();
            desk.ended(now, 0, Nanos::from_seconds(ran_s)).unwrap();
        }
        let needed = desk.replicas_needed();
        // One request, and its target counts.
        let now = Nanos::from_seconds(now_s);
        let last = desk.classes.len() as u32 - 1;
        desk.arrived(now, last).unwrap();
        (needed, desk.replicas_needed().known().unwrap().value)
    });
    assert_eq!(needed[0].0, needed[1].0);
    assert!(needed[1].1 > needed[0].1, "{needed:?}");
}

/// Fewest servers that keep one second for nineteen of twenty, by Erlang.
fn needed_by_erlang(erlangs: f64) -> f64 {
    let late = |servers: f64| Queue::markov(servers, erlangs / servers, 1.0).tail(1.0);
    (1..200).map(f64::from).find(|servers| late(*servers) <= 0.05).unwrap()
}

/// Whoever asks at moments of his own mostly asks in the middle of a gap, and of a long one.
#[test]
fn asked_between_arrivals_it_needs_as_many() {
    for (rate, servers) in [(8.0, 12), (1.5, 4), (40.0, 50)] {
        let exact = needed_by_erlang(rate);
        let (mut asked, mut within, mut few) = (0, 0, 0);
        for seed in 1..=4 {
            let mut desk = Headroom::new(&options(servers, 1.0)).unwrap();
            let from_s = feed(&mut desk, 0.0, rate, 4_000, seed);
            feed_and_ask(&mut desk, from_s, rate, (rate * 100.0) as u32, seed + 9, |desk, now| {
                desk.passed(now).unwrap();
                let needed = desk.replicas_needed().known().unwrap();
                asked += 1;
                within += u32::from(needed.low <= exact && exact <= needed.high);
                few += u32::from(needed.high < exact);
            });
        }
        assert!(asked > 300, "{asked}");
        assert!(within * 10 >= asked * 9 && few * 20 <= asked, "{rate}: {asked} {within} {few}");
    }
}

/// A night without requests is no gap, and the morning after it no rush.
#[test]
fn after_a_night_it_needs_as_many_as_before() {
    let exact = needed_by_erlang(8.0);
    for night_s in [3_600.0, 86_400.0] {
        let mut desk = Headroom::new(&options(12, 1.0)).unwrap();
        let evening_s = feed(&mut desk, 0.0, 8.0, 12_000, 1);
        let mut now_s = evening_s + night_s;
        for (requests, seed) in [(1, 2), (100, 3), (400, 4), (1_500, 5), (8_000, 6)] {
            now_s = feed(&mut desk, now_s, 8.0, requests, seed);
            let needed = desk.replicas_needed().known().unwrap();
            assert!(needed.low <= exact && exact <= needed.high, "{night_s} {requests} {needed:?}");
            assert!(needed.high <= exact + 3.0, "{night_s} {requests} {needed:?}");
        }
    }
}

/// What came all at once at the beginning does not make every gap after it a stop.
#[test]
fn who_comes_after_a_crowd_is_heard() {
    let mut desk = Headroom::new(&options(12, 1.0)).unwrap();
    for _ in 0..1_000 {
        desk.arrived(Nanos::ZERO, 0).unwrap();
        desk.left(Nanos::ZERO, 0, Nanos::ZERO).unwrap();
    }
    feed(&mut desk, 0.0, 8.0, 20_000, 3);
    let rate = desk.stats().rate_per_s;
    assert!((rate / 8.0 - 1.0).abs() < 0.1, "{rate}");
}

/// Once nothing comes any more, time alone says so.
#[test]
fn time_that_passes_is_seen() {
    let mut desk = Headroom::new(&options(12, 1.0)).unwrap();
    let now_s = feed(&mut desk, 0.0, 8.0, 4_000, 1);
    let needed = |desk: &Headroom| desk.replicas_needed().known().unwrap();
    let busy = needed(&desk);
    assert!(busy.value > 8.0, "{busy:?}");
    let mut last = busy;
    for silence_s in [1.0, 4.0, 16.0, 64.0, 86_400.0] {
        desk.passed(Nanos::from_seconds(now_s + silence_s)).unwrap();
        let now = needed(&desk);
        assert!(now.value <= last.value && now.high <= last.high, "{silence_s}: {now:?}");
        last = now;
    }
    assert_eq!((last.value, last.high), (1.0, 1.0));
    assert_eq!(desk.can_remove(), CanRemove::Yes);
    let headroom = desk.headroom(0).unwrap().known().unwrap();
    assert!(headroom.low > 0.99, "{headroom:?}");
}

#[test]
fn waiting_has_a_price_and_an_empty_queue_none() {
    let mut desk = Headroom::new(&options(4, 1.0)).unwrap();
    let now_s = feed(&mut desk, 0.0, 1.0, 1_000, 3);
    let at = |s: f64| Nanos::from_seconds(now_s + s);
    assert_eq!(desk.shadow_price(at(0.0)), Ok(0.0));
    (0..10).for_each(|_| desk.arrived(at(1.0), 0).unwrap());
    let price = desk.shadow_price(at(3_600.0)).unwrap();
    assert!(price > 0.0 && price.is_finite());
    (0..10).for_each(|_| desk.left(at(3_600.0), 0, Nanos::from_seconds(3_599.0)).unwrap());
    assert!(desk.shadow_price(at(40_000.0)).unwrap() < price / 1_000.0);
    assert_eq!(desk.stats().waiting, 0);
}

#[test]
fn wrong_calls_are_named_and_change_nothing() {
    let mut desk = Headroom::new(&options(2, 1.0)).unwrap();
    feed(&mut desk, 0.0, 1.0, 300, 2);
    let (before, later) = (saved(&desk), Nanos::from_seconds(1e6));
    let errors = [
        desk.arrived(Nanos::ZERO, 0),
        desk.arrived(later, 7),
        desk.started(later, 0, Nanos::ZERO),
        desk.ended(later, 0, Nanos::ZERO),
        desk.left(later, 0, Nanos::ZERO),
        desk.capacity(later, 65),
        desk.capacity(Nanos::ZERO, 1),
        desk.passed(Nanos::ZERO),
        desk.knee(1).map(drop),
        desk.wait_tail(9, Nanos(1)).map(drop),
    ];
    let fields = errors.map(|error| error.unwrap_err().field());
    let named = [
        "now_ns", "class", "started", "ended", "left", "replicas", "now_ns", "now_ns", "class",
        "class",
    ];
    assert_eq!(fields, named);
    assert_eq!(saved(&desk), before);
    desk.arrived(later, 0).unwrap();
    assert_eq!(desk.started(later, 0, Nanos::MAX).unwrap_err().field(), "waited_ns");
    let wrong = Options { memory_requests: 1, ..options(2, 1.0) };
    assert_eq!(Headroom::new(&wrong).unwrap_err().field(), "memory_requests");
    let wrong = Options { classes: Box::new([]), ..options(2, 1.0) };
    assert_eq!(Headroom::new(&wrong).unwrap_err().field(), "classes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// A restored desk says the same, and goes on in the same way, bit for bit.
    #[test]
    fn a_restored_desk_goes_on(seed in any::<u64>(), requests in 0u32..600, share in 0.0f64..0.9) {
        let two = [ClassOptions::default(), ClassOptions { delay_value: 0.1, ..ClassOptions::default() }];
        let replica = Replica { seats: 3, loaded_share: share };
        let options = Options { replicas_max: 4, ..Options::new(two, replica, 2) };
        let mut desk = Headroom::new(&options).unwrap();
        let now_s = feed(&mut desk, 0.0, 4.0, requests, seed);
        let bytes = saved(&desk);
        let mut again = Headroom::restore(&options, &bytes).unwrap();
        prop_assert_eq!(saved(&again), bytes.clone());
        feed(&mut desk, now_s, 5.0, 50, seed);
        feed(&mut again, now_s, 5.0, 50, seed);
        prop_assert_eq!(saved(&again), saved(&desk));
        prop_assert_eq!(again.knee(1), desk.knee(1));
        let other = Options { memory_requests: 5_000, ..options };
        prop_assert!(Headroom::restore(&other, &bytes).is_err());
    }

    /// Any change of a byte is refused, and so is any cut.
    #[test]
    fn changed_snapshots_are_refused(at in any::<usize>(), by in 1u8..) {
        let mut desk = Headroom::new(&options(2, 1.0)).unwrap();
        feed(&mut desk, 0.0, 1.0, 250, 4);
        let mut bytes = saved(&desk);
        let len = bytes.len();
        prop_assert!(Headroom::restore(&options(2, 1.0), &bytes[..at % len]).is_err());
        bytes[at % len] ^= by;
        prop_assert!(Headroom::restore(&options(2, 1.0), &bytes).is_err());
    }

    /// Any order of calls with any numbers is answered, and every answer is a number.
    #[test]
    fn nothing_panics(calls in prop::collection::vec((0u8..7, 0u64..1 << 40, 0u64..1 << 42), 1..300)) {
        let mut desk = Headroom::new(&options(3, 0.5)).unwrap();
        let mut now = 0_u64;
        for (kind, later, span) in calls {
            now += later >> (kind * 4);
            let (at, span) = (Nanos(now), Nanos(span.min(now)));
            let _ = match kind {
                0 | 1 => desk.arrived(at, 0),
                2 => desk.started(at, 0, span),
                3 => desk.ended(at, 0, span),
                4 => desk.left(at, 0, span),
                5 => desk.passed(at),
                _ => desk.capacity(at, (span.get() % 70) as u32),
            };
        }
        let price = desk.shadow_price(Nanos(now)).unwrap();
        prop_assert!(price.is_finite() && price >= 0.0);
        for answer in [desk.knee(0).unwrap(), desk.wait_tail(0, Nanos(now)).unwrap()] {
            if let Answer::Known(Estimate { value, low, high, .. }) = answer {
                prop_assert!(value >= 0.0 && low <= value && value <= high, "{:?}", answer);
            }
        }
    }
}
