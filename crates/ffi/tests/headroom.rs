//! Headroom, reserve and shadow price by their C functions answer as the core does.
#![allow(unsafe_code, reason = "these are calls as C makes them")]

mod caller;

use std::ptr;

use caller::{Prng, Said, policy, sized};
use rampmeter::engine::Profile;
use rampmeter::error::codes;
use rampmeter::headroom::estimate::servers::{Replica, RequestShape};
use rampmeter::headroom::hold::{BatchJob, Reserve};
use rampmeter::headroom::{
    Answer, CanRemove, ClassOptions, Estimate, Headroom, Options, ShadowPrice,
};
use rampmeter::{Error, Nanos, Tokens};
use rampmeter_ffi::engine::{rampmeter_engine, rampmeter_engine_named};
use rampmeter_ffi::error::rampmeter_error;
use rampmeter_ffi::headroom::*;
use rampmeter_ffi::policy::rampmeter_policy_destroy;

const MS: u64 = 1_000_000;

/// Two classes, the second with all defaults, on four replicas of at most six.
fn options(classes: &[rampmeter_headroom_class]) -> (rampmeter_headroom_options, Options) {
    let mut ours = sized::<rampmeter_headroom_options>();
    (ours.classes, ours.classes_len) = (classes.as_ptr(), classes.len() as u32);
    (ours.replicas, ours.replicas_max, ours.memory_requests) = (4, 6, 5_000);
    let first =
        ClassOptions { target: Nanos(300 * MS), late_ratio_max: 0.1, ..ClassOptions::default() };
    let mut core = Options::new([first, ClassOptions::default()], Replica::server(), 4);
    (core.replicas_max, core.memory_requests) = (6, 5_000);
    (ours, core)
}

fn classes() -> [rampmeter_headroom_class; 2] {
    let none = rampmeter_headroom_class { target_ns: 0, late_ratio_max: 0.0, delay_value: 0.0 };
    [rampmeter_headroom_class { target_ns: 300 * MS, late_ratio_max: 0.1, ..none }, none]
}

/// A desk behind a pointer and one of the core, which hear the same.
struct Twins {
    desk: *mut rampmeter_headroom,
    core: Headroom,
    said: Said,
}

impl Drop for Twins {
    fn drop(&mut self) {
        // SAFETY: it came from C and is not used later.
        unsafe { rampmeter_headroom_destroy(self.desk) }
    }
}

/// Which event of a request.
#[derive(Clone, Copy)]
enum Event {
    Arrived,
    Started,
    Ended,
    Left,
}

impl Twins {
    fn new() -> Self {
        let (classes, mut desk) = (classes(), ptr::null_mut());
        let (ours, core) = options(&classes);
        // SAFETY: the options are good, and the place may be written.
        let status =
            unsafe { rampmeter_headroom_create(&raw const ours, &raw mut desk, ptr::null_mut()) };
        assert_eq!(status, codes::OK);
        Self { desk, core: Headroom::new(&core).unwrap(), said: Said::nothing() }
    }

    fn hears(&mut self, event: Event, now: u64, class: u32, took: u64) -> bool {
        let (desk, said, core) = (self.desk, self.said.place(), &mut self.core);
        let (at, span) = (Nanos(now), Nanos(took));
        // SAFETY: the desk is good, and the error may be written.
        let (status, core) = unsafe {
            match event {
                Event::Arrived => {
                    (rampmeter_headroom_arrived(desk, now, class, said), core.arrived(at, class))
                }
                Event::Started => (
                    rampmeter_headroom_started(desk, now, class, took, said),
                    core.started(at, class, span),
                ),
                Event::Ended => (
                    rampmeter_headroom_ended(desk, now, class, took, said),
                    core.ended(at, class, span),
                ),
                Event::Left => (
                    rampmeter_headroom_left(desk, now, class, took, said),
                    core.left(at, class, span),
                ),
            }
        };
        self.said.agrees(status, core).is_some()
    }

    fn passed(&mut self, now: u64) -> bool {
        // SAFETY: the desk is good, and the error may be written.
        let status = unsafe { rampmeter_headroom_passed(self.desk, now, self.said.place()) };
        self.said.agrees(status, self.core.passed(Nanos(now))).is_some()
    }

    fn set_replicas(&mut self, now: u64, replicas: u32) {
        let said = self.said.place();
        // SAFETY: the desk is good, and the error may be written.
        let status = unsafe { rampmeter_headroom_set_replicas(self.desk, now, replicas, said) };
        self.said.agrees(status, self.core.capacity(Nanos(now), replicas));
    }

    /// All answers about one class; how many were known.
    fn answers(&mut self, now: u64, class: u32) -> u32 {
        let mut got = [sized::<rampmeter_estimate>(); 4];
        let [knee, ratio, tail, needed] = &mut got;
        let (desk, none) = (self.desk, ptr::null_mut());
        // SAFETY: the desk is good, and all places may be written.
        let status = unsafe {
            [
                rampmeter_headroom_knee(desk, class, knee, none),
                rampmeter_headroom_ratio(desk, class, ratio, none),
                rampmeter_headroom_wait_tail(desk, class, 100 * MS, tail, none),
                rampmeter_headroom_replicas_needed(desk, needed, none),
            ]
        };
        let core = [
            self.core.knee(class),
            self.core.headroom(class),
            self.core.wait_tail(class, Nanos(100 * MS)),
            Ok(self.core.replicas_needed()),
        ];
        let mut known = 0;
        for ((status, got), core) in status.into_iter().zip(got).zip(core) {
            assert_eq!(status, core.as_ref().map_or_else(|error| error.code(), |_| codes::OK));
            known += core.map_or(0, |core| same_answer(&got, core));
        }
        self.other_answers(now);
        known
    }

    fn other_answers(&mut self, now: u64) {
        let (mut removes, mut stats) =
            (sized::<rampmeter_can_remove>(), sized::<rampmeter_stats_headroom>());
        let (mut price, none) = (-1.0, ptr::null_mut());
        // SAFETY: the desk is good, and all places may be written.
        let status = unsafe {
            assert_eq!(rampmeter_headroom_can_remove(self.desk, &raw mut removes, none), codes::OK);
            assert_eq!(rampmeter_headroom_stats(self.desk, &raw mut stats, none), codes::OK);
            let said = self.said.place();
            rampmeter_headroom_shadow_price(self.desk, now, &raw mut price, said)
        };
        if let Some(core) = self.said.agrees(status, self.core.shadow_price(Nanos(now))) {
            assert_eq!(price, core);
        }
        let wanted = match self.core.can_remove() {
            CanRemove::Yes => (RAMPMETER_REMOVE_YES, 0, 0),
            CanRemove::Perhaps => (RAMPMETER_REMOVE_PERHAPS, 0, 0),
            CanRemove::No => (RAMPMETER_REMOVE_NO, 0, 0),
            CanRemove::NotEnoughData { samples, needed } => {
                (RAMPMETER_REMOVE_NOT_ENOUGH_DATA, samples, needed)
            }
        };
        assert_eq!((removes.answer, removes.samples, removes.samples_needed), wanted);
        let core = self.core.stats();
        assert_eq!((stats.replicas, stats.arrived), (core.replicas, core.arrived));
        assert_eq!((stats.ended, stats.waiting), (core.ended, core.waiting));
        assert_eq!((stats.running, stats.rate_per_s), (core.running, core.rate_per_s));
        assert_eq!((stats.service_s, stats.service_scv), (core.service_s, core.service_scv));
        assert_eq!((stats.dispersion, stats.rho), (core.dispersion, core.rho));
    }

    /// Both say the same in bytes, and go on from them.
    fn moves_house(&mut self) {
        let classes = classes();
        let (mut bytes_len, mut written, none) = (0, 0, ptr::null_mut());
        let mut core = vec![0; self.core.snapshot_bytes() as usize];
        self.core.save(&mut core).unwrap();
        let mut bytes = vec![0_u8; core.len()];
        let (place, len) = (bytes.as_mut_ptr(), bytes.len());
        let (ours, core_options) = options(&classes);
        let (ours, mut again) = (&raw const ours, ptr::null_mut());
        // SAFETY: desk and options are good, and so much may be written.
        unsafe {
            let size = rampmeter_headroom_snapshot_bytes(self.desk, &raw mut bytes_len, none);
            assert_eq!((size, bytes_len), (codes::OK, len as u64));
            let saved = rampmeter_headroom_save(self.desk, place, len, &raw mut written, none);
            assert_eq!((saved, written), (codes::OK, len));
            assert_eq!(bytes, core);
            let from = bytes.as_ptr();
            let cut = rampmeter_headroom_restore(ours, from, len - 1, &raw mut again, none);
            assert_eq!((cut, again.is_null()), (codes::SNAPSHOT, true));
            let whole = rampmeter_headroom_restore(ours, from, len, &raw mut again, none);
            assert_eq!(whole, codes::OK);
            rampmeter_headroom_destroy(self.desk);
        }
        self.desk = again;
        self.core = Headroom::restore(&core_options, &core).unwrap();
    }
}

/// 1 if it is known.
fn same_answer(got: &rampmeter_estimate, core: Answer) -> u32 {
    match core {
        Answer::Known(Estimate { value, low, high, basis, samples }) => {
            assert_eq!((got.known, got.basis), (1, basis as u8));
            assert_eq!((got.value, got.low, got.high), (value, low, high));
            assert_eq!((got.samples, got.samples_needed), (samples, 0));
            1
        }
        Answer::NotEnoughData { samples, needed } => {
            assert_eq!((got.known, got.value, got.low, got.high), (0, 0.0, 0.0, 0.0));
            assert_eq!((got.samples, got.samples_needed), (samples, needed));
            0
        }
    }
}

#[test]
fn the_same_events_have_the_same_answers() {
    let mut known = [0; 2];
    for seed in 0..4 {
        let (mut prng, mut now) = (Prng(seed), 10_000 * MS);
        let mut twins = Twins::new();
        known[0] += twins.answers(now, 0);
        for request in 0..1_500 {
            now += prng.below(60) * MS;
            let class = u32::from(prng.chance(30));
            twins.hears(Event::Arrived, now, class, 0);
            if prng.chance(95) {
                let (waited, ran) = (prng.below(200) * MS, prng.below(180) * MS);
                twins.hears(Event::Started, now, class, waited);
                twins.hears(Event::Ended, now, class, ran);
            } else if prng.chance(80) {
                twins.hears(Event::Left, now, class, prng.below(900) * MS);
            }
            match request {
                700 => twins.set_replicas(now, 5),
                1_100 => twins.moves_house(),
                _ if request % 300 == 299 => {
                    now += prng.below(20_000) * MS;
                    assert!(twins.passed(now) && !twins.passed(now - 1));
                    known[1] += twins.answers(now, 0) + twins.answers(now, 1);
                    // Of a class that is not there only what is asked of the whole pool is known.
                    assert_eq!(twins.answers(now, 2), 1);
                }
                _ => {}
            }
        }
    }
    assert_eq!(known[0], 0);
    assert!(known[1] > 100, "{known:?}");
}

#[test]
fn wrong_events_change_nothing() {
    let mut twins = Twins::new();
    assert!(twins.hears(Event::Arrived, 9, 0, 0));
    assert!(!twins.hears(Event::Arrived, 8, 0, 0));
    assert!(!twins.hears(Event::Arrived, 9, 2, 0));
    assert!(!twins.hears(Event::Started, 9, 0, 10));
    assert!(!twins.hears(Event::Started, 9, 1, 0));
    assert!(!twins.hears(Event::Ended, 9, 0, 0));
    assert!(!twins.hears(Event::Left, 9, 1, 0));
    assert!(!twins.passed(8));
    twins.set_replicas(9, 7);
    let (mut small, none) = (sized::<rampmeter_estimate>(), ptr::null_mut());
    small.size = 40;
    // SAFETY: null is allowed everywhere, and the rest may be written.
    unsafe {
        let nowhere = ptr::null_mut();
        assert_eq!(rampmeter_headroom_knee(twins.desk, 0, nowhere, none), codes::POINTER);
        assert_eq!(rampmeter_headroom_knee(twins.desk, 0, &raw mut small, none), codes::SIZE);
        assert_eq!(
            rampmeter_headroom_knee(nowhere.cast(), 0, &raw mut small, none),
            codes::POINTER
        );
        let price = rampmeter_headroom_shadow_price(twins.desk, 9, nowhere.cast(), none);
        assert_eq!(price, codes::POINTER);
    }
    twins.moves_house();
    twins.answers(9, 0);
}

#[test]
fn options_are_checked_and_zero_means_the_default() {
    let classes = classes();
    let (mut ours, core) = options(&classes);
    let (mut bytes, none) = (0, ptr::null_mut());
    let needed = |options: &rampmeter_headroom_options, bytes: &mut u64| {
        // SAFETY: the options are good, and the place may be written.
        unsafe { rampmeter_headroom_bytes_needed(options, bytes, none) }
    };
    assert_eq!(needed(&ours, &mut bytes), codes::OK);
    assert_eq!(bytes, Headroom::bytes_needed(&core));
    let good = ours;
    for (wrong, code) in [
        (rampmeter_headroom_options { classes_len: 0, ..good }, codes::RANGE),
        (rampmeter_headroom_options { classes_len: 17, ..good }, codes::RANGE),
        (rampmeter_headroom_options { classes: ptr::null(), ..good }, codes::POINTER),
        (rampmeter_headroom_options { seats: 5_000, ..good }, codes::RANGE),
        (rampmeter_headroom_options { replicas: 7, ..good }, codes::RANGE),
        (rampmeter_headroom_options { memory_requests: 1, ..good }, codes::RANGE),
        (rampmeter_headroom_options { loaded_share: f64::NAN, ..good }, codes::RANGE_REAL),
        (rampmeter_headroom_options { gpus_per_replica: -1.0, ..good }, codes::RANGE_REAL),
        (rampmeter_headroom_options { size: 47, ..good }, codes::SIZE),
    ] {
        // The list is read only as far as it is allowed to be long.
        if wrong.classes_len <= 2 {
            assert_eq!(needed(&wrong, &mut bytes), code);
            let mut out = ptr::null_mut();
            // SAFETY: the options are good, and the place may be written.
            let status = unsafe { rampmeter_headroom_create(&raw const wrong, &raw mut out, none) };
            assert_eq!((status, out.is_null()), (code, true));
        }
    }
    assert_eq!(bytes, Headroom::bytes_needed(&core));
    (ours.replicas_max, ours.memory_requests) = (0, 0);
    let plain = Options::new(core.classes.clone(), Replica::server(), 4);
    assert_eq!(needed(&ours, &mut bytes), codes::OK);
    assert_eq!(bytes, Headroom::bytes_needed(&plain));
}

#[test]
fn seats_of_an_engine_are_those_of_the_core() {
    let (mut engine, none) = (sized::<rampmeter_engine>(), ptr::null_mut());
    let mut shape = sized::<rampmeter_request_shape>();
    (shape.prompt_tokens, shape.output_tokens, shape.output_scv) = (900, 250, 1.0);
    let (mut seats, mut share) = (0, 0.0);
    // SAFETY: a text that a zero closes, and places that may be written.
    unsafe {
        let name = c"llama-3.1-8b".as_ptr();
        assert_eq!(rampmeter_engine_named(name, &raw mut engine, none), codes::OK);
        let (from, of, to) = (&raw const engine, &raw mut shape, &raw mut share);
        let status = rampmeter_engine_seats(from, 128, of, &raw mut seats, to, none);
        assert_eq!(status, codes::OK);
        let status = rampmeter_engine_seats(from, 0, of, &raw mut seats, to, none);
        assert_eq!(status, codes::RANGE);
        (*of).output_scv = 101.0;
        let status = rampmeter_engine_seats(from, 128, of, &raw mut seats, to, none);
        assert_eq!(status, codes::RANGE_REAL);
    }
    let profile = Profile::named("llama-3.1-8b").unwrap();
    let shape =
        RequestShape { prompt_tokens: Tokens(900), output_tokens: Tokens(250), output_scv: 1.0 };
    let (model, kv) = (profile.step_model().unwrap(), profile.kv().unwrap());
    let core = Replica::engine(&model, &kv, 128, &shape).unwrap();
    assert_eq!((seats, share), (core.seats, core.loaded_share));
}

const URGENT: &str = "[hold]\nreserve_beta_min = 0.5\n\
                      [[class]]\nname = \"batch\"\n[[class]]\nname = \"chat\"\ndelay_value = 3.0\n";

/// An event of urgent or batch work, on both sides.
fn hears(
    reserve: *mut rampmeter_reserve,
    core: &mut Reserve,
    event: u64,
    (at, gpus, ran): (u64, f64, u64),
    error: *mut rampmeter_error,
) -> (i32, Result<(), Error>) {
    let then = Nanos(at);
    // SAFETY: the reserve is good, and the error may be written.
    unsafe {
        match event {
            0..6 => (rampmeter_reserve_arrived(reserve, at, gpus, error), core.arrived(then, gpus)),
            6..11 => (rampmeter_reserve_started(reserve, at, error), core.started(then)),
            11..16 => {
                (rampmeter_reserve_ended(reserve, at, ran, error), core.ended(then, Nanos(ran)))
            }
            16 => (rampmeter_reserve_left(reserve, at, error), core.left(then)),
            17 => (rampmeter_reserve_released(reserve, at, gpus, error), core.released(then, gpus)),
            _ => {
                let gpus = gpus * 20.0;
                (rampmeter_reserve_set_gpus(reserve, at, gpus, error), core.capacity(then, gpus))
            }
        }
    }
}

#[test]
fn a_reserve_weighs_as_the_core_does() {
    let (terms, core_terms) = policy(URGENT);
    let (mut reserve, mut said, none) = (ptr::null_mut(), Said::nothing(), ptr::null_mut());
    let mut core = Reserve::new(Nanos(5), &core_terms, 1, 64.0).unwrap();
    // SAFETY: policy and places are good throughout.
    unsafe {
        let create = rampmeter_reserve_create;
        assert_eq!(create(5, terms, 2, 64.0, &raw mut reserve, none), codes::RANGE);
        assert_eq!(create(5, terms, 1, 0.0, &raw mut reserve, none), codes::RANGE_REAL);
        assert!(reserve.is_null());
        assert_eq!(create(5, terms, 1, 64.0, &raw mut reserve, none), codes::OK);
    }
    let (mut prng, mut now, mut verdicts) = (Prng(3), 1_000 * MS, [0; 4]);
    for _ in 0..4_000 {
        now += prng.below(20_000) * MS;
        let at = if prng.chance(2) { now / 2 } else { now };
        let (gpus, ran) = (prng.below(12) as f64 / 2.0, prng.below(600_000) * MS);
        let kinds = if prng.chance(5) { 20 } else { 18 };
        let event = prng.below(kinds);
        let (status, heard) = match event {
            // SAFETY: both are good, and the error may be written.
            19 => unsafe {
                let status = rampmeter_reserve_set_policy(reserve, terms, 1, said.place());
                (status, core.apply(&core_terms, 1))
            },
            _ => hears(reserve, &mut core, event, (at, gpus, ran), said.place()),
        };
        said.agrees(status, heard);
        let mut job = sized::<rampmeter_batch_job>();
        (job.waiting, job.gpus) = (prng.below(9) as u32, prng.below(17) as f64);
        (job.delay_value, job.gpus_free) = (0.1, prng.below(30) as f64);
        let mut got = sized::<rampmeter_hold_verdict>();
        // SAFETY: the reserve is good, and both places may be written.
        let status = unsafe {
            rampmeter_reserve_hold(reserve, at, &raw const job, &raw mut got, said.place())
        };
        let asked = BatchJob {
            gpus: job.gpus,
            delay_value: job.delay_value,
            waiting: job.waiting,
            gpus_free: job.gpus_free,
        };
        let Some(want) = said.agrees(status, core.hold(Nanos(at), &asked)) else {
            verdicts[3] += 1;
            continue;
        };
        assert_eq!((got.hold, got.reason), (u8::from(want.hold), want.reason as u8));
        assert_eq!((got.urgent_price, got.batch_price), (want.urgent_price, want.batch_price));
        assert_eq!((got.slots_left, got.sigma), (want.slots_left, want.sigma));
        verdicts[got.reason as usize] += 1;
    }
    assert!(verdicts.iter().all(|count| *count > 20), "{verdicts:?}");
    // SAFETY: both came from C and are not used later.
    unsafe {
        rampmeter_reserve_destroy(reserve);
        rampmeter_policy_destroy(terms);
    }
}

#[test]
fn a_shadow_price_is_that_of_the_core() {
    let (mut price, mut said, none) = (ptr::null_mut(), Said::nothing(), ptr::null_mut());
    let mut core = ShadowPrice::new(Nanos(5), 8.0).unwrap();
    // SAFETY: the place may be written.
    unsafe {
        assert_eq!(rampmeter_shadow_price_create(5, -1.0, &raw mut price, none), codes::RANGE_REAL);
        assert_eq!(rampmeter_shadow_price_create(5, 8.0, &raw mut price, none), codes::OK);
    }
    let (mut prng, mut now, mut paid) = (Prng(9), 5, 0);
    for _ in 0..2_000 {
        now += prng.below(90_000) * MS;
        let at = if prng.chance(2) { now / 2 } else { now };
        let (amount, then, error) = (prng.below(500) as f64 - 5.0, Nanos(at), said.place());
        // SAFETY: the price is good, and the error may be written.
        let (status, heard) = unsafe {
            match prng.below(9) {
                0 => (
                    rampmeter_shadow_price_set_gpus(price, at, amount, error),
                    core.capacity(then, amount),
                ),
                1..5 => (
                    rampmeter_shadow_price_waiting(price, at, amount, error),
                    core.waiting(then, amount),
                ),
                _ => (
                    rampmeter_shadow_price_offered(price, at, amount, error),
                    core.offered(then, amount),
                ),
            }
        };
        said.agrees(status, heard);
        let (mut got, mut rho) = (-1.0, -1.0);
        // SAFETY: the price is good, and all places may be written.
        let status = unsafe {
            rampmeter_shadow_price_price(price, at, &raw mut got, &raw mut rho, said.place())
        };
        match said.agrees(status, core.price(then)) {
            Some(want) => {
                assert_eq!((got, rho), (want, core.rho()));
                paid += u32::from(got > 0.0);
            }
            None => assert_eq!((got, rho), (-1.0, -1.0)),
        }
    }
    assert!(paid > 1_000, "{paid}");
    // SAFETY: it came from C and is not used later.
    unsafe { rampmeter_shadow_price_destroy(price) };
}
