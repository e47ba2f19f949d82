//! The dynamic batcher through C decides as the batcher itself: same calls, same answers.
#![allow(unsafe_code, reason = "calls the functions as C does")]

use std::ptr::{null, null_mut};

use rampmeter::Nanos;
use rampmeter::batch::dynamic::{
    Admission, BatchId, ClassOptions, Decision, DynamicBatcher, Ending, Expired, Expiry,
    Observation, Options, Plan, PlanEntry, RequestId, Submission,
};
use rampmeter::engine::LatencyCurve;
use rampmeter::error::codes;
use rampmeter::share::AccountId;
use rampmeter_ffi::batcher::{RAMPMETER_NEVER, rampmeter_admission, rampmeter_expiry};
use rampmeter_ffi::dynamic::*;
use rampmeter_ffi::error::rampmeter_error;
use rampmeter_ffi::policy::*;
use rampmeter_ffi::status::RAMPMETER_ZERO;

const MS: u64 = 1_000_000;
const SIZE: u32 = 8;

/// A structure with nothing in it but its size, and what is said.
macro_rules! sized {
    ($name:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {
        $name { size: size_of::<$name>() as u32, $($field $(: $value)?,)* ..zeroed::<$name>() }
    };
}

fn zeroed<T: Copy>() -> T {
    // SAFETY: only asked for structures of whole numbers, fractions and pointers.
    unsafe { std::mem::zeroed() }
}

fn none() -> *mut rampmeter_error {
    null_mut()
}

fn ok(status: i32) {
    assert_eq!(status, codes::OK);
}

const CLASSES: [rampmeter_dynamic_class; 2] = [
    rampmeter_dynamic_class {
        latency_target_ns: 40 * MS,
        timeout_ns: 0,
        delay_value: 2.0,
        guaranteed_ratio: RAMPMETER_ZERO,
        queue_max: 30,
        expiry: RAMPMETER_EXPIRY_REJECT,
    },
    rampmeter_dynamic_class {
        latency_target_ns: 0,
        timeout_ns: 60 * MS,
        delay_value: 0.0,
        guaranteed_ratio: 0.1,
        queue_max: 0,
        expiry: RAMPMETER_EXPIRY_DELAY,
    },
];

const POINTS: [rampmeter_curve_point; 2] = [
    rampmeter_curve_point { seconds: 6e-3, batch_size: 1, reserved: 0 },
    rampmeter_curve_point { seconds: 20e-3, batch_size: 8, reserved: 0 },
];

fn curves() -> [rampmeter_curve; 2] {
    let line = rampmeter_curve { fixed_s: 4e-3, each_s: 1e-3, ..zeroed() };
    let points = rampmeter_curve { points: POINTS.as_ptr(), points_len: 2, fixed: 1, ..zeroed() };
    [line, points]
}

fn options(buckets: &[rampmeter_curve]) -> rampmeter_dynamic_options {
    sized!(rampmeter_dynamic_options {
        batch_size_max: SIZE,
        requests_max: 64,
        instances: 2,
        accounts_max: 4,
        classes: CLASSES.as_ptr(),
        classes_len: 2,
        buckets: buckets.as_ptr(),
        buckets_len: buckets.len() as u32,
        preferred_sizes: [4_u32].as_ptr(),
        preferred_sizes_len: 1,
        padding: 1,
        wait_max_ns: 100 * MS,
        late_ratio: 0.02,
    })
}

/// The same by hand.
fn known() -> Options {
    let line = LatencyCurve::linear(4e-3, 1e-3).and_then(|curve| curve.learning(SIZE));
    let points = LatencyCurve::from_points(&[(1, 6e-3), (8, 20e-3)]);
    let [line, points] = [line, points].map(|curve| curve.expect("in range"));
    let interactive = ClassOptions {
        latency_target: Some(Nanos(40 * MS)),
        delay_value: 2.0,
        guaranteed_ratio: 0.0,
        queue_max: 30,
        ..ClassOptions::default()
    };
    let batch = ClassOptions {
        timeout: Some(Nanos(60 * MS)),
        guaranteed_ratio: 0.1,
        expiry: Expiry::Delay,
        ..ClassOptions::default()
    };
    Options {
        requests_max: 64,
        instances: 2,
        accounts_max: 4,
        preferred_sizes: Box::new([4]),
        padding: true,
        wait_max: Some(Nanos(100 * MS)),
        late_ratio: 0.02,
        classes: Box::new([interactive, batch]),
        buckets: Box::new([line.clone(), points]),
        ..Options::new(SIZE, line)
    }
}

struct Pair {
    c: *mut rampmeter_dynamic,
    core: DynamicBatcher,
    entries: [rampmeter_dynamic_entry; SIZE as usize],
    expired: [rampmeter_expiry; 2],
}

impl Drop for Pair {
    fn drop(&mut self) {
        // SAFETY: it came from `create`.
        unsafe { rampmeter_dynamic_destroy(self.c) }
    }
}

impl Pair {
    fn new() -> (Self, [u64; 2]) {
        let (mut c, curves) = (null_mut(), curves());
        let given = options(&curves);
        // SAFETY: everything that is pointed to is there.
        ok(unsafe { rampmeter_dynamic_create(&raw const given, &raw mut c, none()) });
        let mut core = DynamicBatcher::new(&known()).expect("options are in range");
        let mut accounts = [0; 2];
        for (account, weight) in accounts.iter_mut().zip([1.0, 2.0]) {
            // SAFETY: as above.
            ok(unsafe { rampmeter_dynamic_open_account(c, 0, weight, account, none()) });
            let known = core.open_account(None, weight).expect("room");
            assert_eq!(*account, known.to_raw());
        }
        (Self { c, core, entries: zeroed(), expired: zeroed() }, accounts)
    }

    fn submit(&mut self, now: u64, tag: u64, account: u64) -> u64 {
        let given = sized!(rampmeter_dynamic_submission {
            class_index: tag.is_multiple_of(3).into(),
            tag,
            account,
            bucket: tag.is_multiple_of(5).into(),
        });
        let mut admission: rampmeter_admission = zeroed();
        let (of, to) = (&raw const given, &raw mut admission);
        // SAFETY: as above.
        ok(unsafe { rampmeter_dynamic_submit(self.c, now, of, to, none()) });
        let submission = Submission {
            tag,
            class: given.class_index as u16,
            account: AccountId::from_raw(account),
            bucket: given.bucket as u16,
            arrival: Nanos(now),
            deadline: None,
            expires_at: None,
        };
        match self.core.submit(Nanos(now), &submission).expect("in range") {
            Admission::Queued(request) => assert_eq!(admission.request, request.to_raw()),
            Admission::Shed(shed) => {
                assert_eq!(
                    (admission.request, admission.retry_after_ns),
                    (0, shed.retry_after.get())
                );
                assert_eq!(admission.shed_reason, shed.reason as u32 + 1);
            }
        }
        admission.request
    }

    /// Asks what to do, twice, and returns the batch that was launched.
    fn form(&mut self, now: u64) -> Option<(u64, u64)> {
        let plan = sized!(rampmeter_dynamic_plan {
            entries_capacity: SIZE,
            expired_capacity: 2,
            entries: self.entries.as_mut_ptr(),
            expired: self.expired.as_mut_ptr(),
        });
        let mut formed = sized!(rampmeter_dynamic_formed {});
        let (of, to) = (&raw const plan, &raw mut formed);
        // SAFETY: as above.
        ok(unsafe { rampmeter_dynamic_form(self.c, now, of, to, none()) });
        let mut entries = [PlanEntry::default(); SIZE as usize];
        let mut expired = [Expired::default(); 2];
        let plan = &mut Plan { entries: &mut entries, expired: &mut expired };
        let known = self.core.form(Nanos(now), plan).expect("room");
        assert_eq!(formed.expired_len, known.expired_len);
        for (told, known) in self.expired.iter().zip(expired).take(known.expired_len as usize) {
            assert_eq!((told.request, told.tag), (known.request.to_raw(), known.tag));
        }
        match known.decision {
            Decision::Idle => assert_eq!(formed.decision, RAMPMETER_DYNAMIC_IDLE),
            Decision::Wait { until, why } => {
                assert_eq!(formed.decision, RAMPMETER_DYNAMIC_WAIT);
                assert_eq!((formed.until_ns, formed.why), (until.get(), why as u8));
            }
            Decision::Launch(launch) => {
                assert_eq!(formed.decision, RAMPMETER_DYNAMIC_LAUNCH);
                assert_eq!((formed.batch, formed.why), (launch.batch.to_raw(), launch.why as u8));
                assert_eq!(
                    (formed.bucket, formed.instance),
                    (launch.bucket.into(), launch.instance)
                );
                assert_eq!(
                    (formed.entries_len, formed.ends_at_ns),
                    (launch.len, launch.ends_at.get())
                );
                for (told, known) in self.entries.iter().zip(entries).take(launch.len as usize) {
                    let known = (known.request.to_raw(), known.tag, known.late);
                    assert_eq!((told.request, told.tag, told.late == 1), known);
                }
                return Some((formed.batch, formed.ends_at_ns));
            }
        }
        None
    }

    fn observe(&mut self, now: u64, batch: u64, failed: bool) {
        let seen = sized!(rampmeter_dynamic_observation { ending: failed.into(), batch });
        let mut observed = sized!(rampmeter_dynamic_observed {});
        let (of, to) = (&raw const seen, &raw mut observed);
        // SAFETY: as above.
        ok(unsafe { rampmeter_dynamic_observe(self.c, now, of, to, none()) });
        let ending = if failed { Ending::Failed } else { Ending::Completed };
        let seen = Observation { batch: BatchId::from_raw(batch), duration: None, ending };
        let known = self.core.observe(Nanos(now), &seen).expect("it runs");
        assert_eq!((observed.finished, observed.in_time), (known.finished, known.in_time));
        assert_eq!(observed.missed, known.missed);
    }

    fn next_event(&self, now: u64) -> u64 {
        let mut next = 0;
        // SAFETY: as above.
        ok(unsafe { rampmeter_dynamic_next_event(self.c, now, &raw mut next, none()) });
        assert_eq!(next, self.core.next_event(Nanos(now)).map_or(RAMPMETER_NEVER, Nanos::get));
        next
    }

    fn same_state(&self) -> Vec<u8> {
        let (mut bytes, mut written) = (0, 0);
        // SAFETY: as above.
        let saved = unsafe {
            ok(rampmeter_dynamic_snapshot_bytes(self.c, &raw mut bytes, none()));
            let mut saved = vec![0; bytes as usize];
            let (to, len) = (saved.as_mut_ptr(), saved.len());
            ok(rampmeter_dynamic_save(self.c, to, len, &raw mut written, none()));
            saved
        };
        let mut known = vec![0; self.core.snapshot_bytes() as usize];
        assert_eq!(self.core.save(&mut known), Ok(written));
        assert_eq!(saved, known);
        saved
    }
}

#[test]
fn decides_as_the_core_does() {
    let (mut pair, accounts) = Pair::new();
    let mut running: Vec<(u64, u64)> = Vec::new();
    let (mut waiting, mut launched) = (0, 0);
    for step in 0..400_u64 {
        let now = 10 * MS + step * 700_000;
        running.retain(|(batch, ends)| {
            if *ends <= now {
                pair.observe(now, *batch, step.is_multiple_of(11));
            }
            *ends > now
        });
        if step % 40 < 25 {
            for part in 0..2 {
                waiting = pair.submit(now, 2 * step + part, accounts[(step % 2) as usize]);
            }
        }
        while let Some((batch, ends)) = pair.form(now) {
            // A little longer than was thought, so that there is something to learn.
            running.push((batch, ends + MS));
            launched += 1;
        }
        pair.next_event(now);
        if step % 37 == 5 && waiting != 0 {
            // SAFETY: as above.
            let status = unsafe { rampmeter_dynamic_cancel(pair.c, now, waiting, none()) };
            let known = pair.core.cancel(Nanos(now), RequestId::from_raw(waiting));
            assert_eq!(status, known.map_or_else(rampmeter::Error::code, |()| codes::OK));
        }
        if waiting != 0 {
            explained(&pair, waiting);
        }
    }
    assert!(launched > 30, "{launched}");
    let (mut stats, known) = (sized!(rampmeter_stats_dynamic {}), pair.core.stats());
    // SAFETY: as above.
    ok(unsafe { rampmeter_dynamic_stats(pair.c, &raw mut stats, none()) });
    assert_eq!((stats.batches, stats.launched), (known.batches, known.launched));
    assert_eq!((stats.shed, stats.expired), (known.shed, known.expired));
    assert_eq!((stats.waiting, stats.requests_max, stats.accounts), (known.waiting, 64, 2));
    pair.same_state();
}

fn explained(pair: &Pair, request: u64) {
    let mut told = sized!(rampmeter_dynamic_explanation {});
    // SAFETY: as above.
    let status = unsafe { rampmeter_dynamic_explain(pair.c, request, &raw mut told, none()) };
    match pair.core.explain(RequestId::from_raw(request)) {
        Err(error) => assert_eq!(status, error.code()),
        Ok(known) => {
            assert_eq!((status, told.stage), (codes::OK, known.stage as u8));
            assert_eq!((told.waiting, told.late), (known.waiting, known.late));
            assert_eq!(told.deadline_ns, known.deadline.map_or(RAMPMETER_NEVER, Nanos::get));
            assert_eq!(told.rate_per_s, known.rate_per_s);
            let verdict = known.verdict.map(|verdict| (verdict.size, verdict.launch_cost));
            assert_eq!(
                (told.decided == 1).then_some((told.launch_size, told.launch_cost)),
                verdict
            );
        }
    }
}

#[test]
fn curves_are_those_that_were_given() {
    let (pair, _) = Pair::new();
    for (bucket, size) in [(0, 1), (0, 5), (1, 3), (1, 8)] {
        let curve = pair.core.curve(bucket).expect("a bucket");
        let (mut told, mut within) = (sized!(rampmeter_stats_curve {}), 0);
        // SAFETY: everything that is pointed to is there.
        unsafe {
            let bucket = bucket.into();
            ok(rampmeter_dynamic_curve(pair.c, bucket, size, &raw mut told, none()));
            let to = &raw mut within;
            ok(rampmeter_dynamic_batch_within(pair.c, bucket, 0.01, SIZE, to, none()));
        }
        assert_eq!((told.seconds, told.learns == 1), (curve.seconds(size), curve.is_learning()));
        assert_eq!((told.best_size, told.best_rate_per_s), curve.best_rate(size));
        assert_eq!(told.next_knot, curve.knot_after(size).unwrap_or(0));
        assert_eq!(within, curve.batch_within(0.01, SIZE));
    }
    let mut told = sized!(rampmeter_stats_curve {});
    // SAFETY: as above.
    let outside = unsafe { rampmeter_dynamic_curve(pair.c, 2, 1, &raw mut told, none()) };
    assert_eq!(outside, codes::RANGE);
}

#[test]
fn restored_it_goes_on() {
    let (mut pair, accounts) = Pair::new();
    for tag in 0..20 {
        pair.submit(MS, tag, accounts[0]);
    }
    let batch = pair.form(MS).expect("full batches wait");
    let mut bytes = pair.same_state();
    let (mut copy, curves) = (null_mut(), curves());
    let given = options(&curves);
    let (from, out) = (&raw const given, &raw mut copy);
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_dynamic_restore(from, bytes.as_ptr(), bytes.len(), out, none()));
        std::mem::swap(&mut pair.c, &mut copy);
        rampmeter_dynamic_destroy(copy);
    }
    pair.observe(batch.1, batch.0, false);
    assert!(pair.form(batch.1).is_some());
    bytes[50] ^= 4;
    // SAFETY: as above.
    let forged =
        unsafe { rampmeter_dynamic_restore(from, bytes.as_ptr(), bytes.len(), out, none()) };
    assert_eq!((forged, copy), (codes::SNAPSHOT, null_mut()));
}

#[test]
fn wrong_calls_change_nothing() {
    let (pair, accounts) = Pair::new();
    let before = pair.same_state();
    let (curves, mut out, mut bytes) = (curves(), null_mut(), 0);
    let good = options(&curves);
    let refused = [
        (rampmeter_dynamic_options { size: 4, ..good }, codes::SIZE),
        (rampmeter_dynamic_options { buckets_len: 0, ..good }, codes::RANGE),
        (rampmeter_dynamic_options { buckets: null(), ..good }, codes::POINTER),
        (rampmeter_dynamic_options { rule: 2, ..good }, codes::RANGE),
        (rampmeter_dynamic_options { padding: 2, ..good }, codes::RANGE),
        (rampmeter_dynamic_options { late_ratio: -0.5, ..good }, codes::RANGE_REAL),
        (rampmeter_dynamic_options { reserved: [1, 0], ..good }, codes::RANGE),
    ];
    let submission = sized!(rampmeter_dynamic_submission { account: accounts[0], bucket: 9 });
    let mut admission: rampmeter_admission = zeroed();
    let (mut policy, mut class) = (null_mut(), zeroed::<rampmeter_dynamic_class>());
    // SAFETY: everything that is pointed to is there, or null.
    unsafe {
        for (given, status) in &refused {
            assert_eq!(rampmeter_dynamic_create(given, &raw mut out, none()), *status);
            assert!(out.is_null());
        }
        ok(rampmeter_dynamic_bytes_needed(&raw const good, &raw mut bytes, none()));
        assert_eq!(bytes, DynamicBatcher::bytes_needed(&known()));
        let (of, to) = (&raw const submission, &raw mut admission);
        assert_eq!(rampmeter_dynamic_submit(pair.c, 5, of, to, none()), codes::RANGE);
        assert_eq!(rampmeter_dynamic_submit(pair.c, 5, of, null_mut(), none()), codes::POINTER);
        assert_eq!(rampmeter_dynamic_cancel(pair.c, 5, 7, none()), codes::STALE);
        assert_eq!(rampmeter_dynamic_close_account(pair.c, 7, none()), codes::STALE);
        rampmeter_dynamic_destroy(null_mut());
        ok(rampmeter_policy_preset(c"balanced".as_ptr(), &raw mut policy, none()));
        ok(rampmeter_dynamic_policy_class(policy, 0, &raw mut class, none()));
        let outside = rampmeter_dynamic_policy_class(policy, 99, &raw mut class, none());
        assert_eq!(outside, codes::RANGE);
        rampmeter_policy_destroy(policy);
    }
    assert!(class.latency_target_ns > 0 && class.delay_value > 0.0);
    assert_eq!(pair.same_state(), before);
}
