//! No call of the ledger, the dynamic batcher or the outcomes allocates but those that create, in
//! success or refusal, and with the text of the error asked for; nor does any that reads what a poller
//! published, but a thread's first.
#![allow(unsafe_code, reason = "calls the functions as C does")]

#[path = "../../core/tests/counting/mod.rs"]
mod counting;

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use counting::tally;
use rampmeter::error::codes;
use rampmeter_ffi::batcher::{rampmeter_admission, rampmeter_expiry};
use rampmeter_ffi::dynamic::*;
use rampmeter_ffi::error::rampmeter_error;
use rampmeter_ffi::exchange::*;
use rampmeter_ffi::ledger::*;
use rampmeter_ffi::outcomes::*;
use rampmeter_ffi::policy::*;

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

/// How many of these calls succeeded and failed, none of which may have allocated.
fn lean(calls: impl FnOnce(&mut dyn FnMut(i32))) -> [u32; 2] {
    let (before, mut ended) = (tally().calls, [0; 2]);
    calls(&mut |status| ended[usize::from(status != codes::OK)] += 1);
    assert_eq!(tally().calls, before);
    ended
}

#[test]
fn the_counter_sees_an_allocation() {
    let before = tally().calls;
    drop(black_box(Box::new(7_u8)));
    assert_eq!(tally().calls, before + 2);
}

#[test]
fn a_ledger_is_lean() {
    let options = sized!(rampmeter_ledger_options {
        accounts_max: 16,
        lanes: 1,
        resources: 1,
        dominant: 1,
        borrowing: 1,
        names: 1,
        half_life_ns: 1_000,
        replicas_max: 1,
    });
    let (mut ledger, mut error) = (null_mut(), MaybeUninit::<rampmeter_error>::uninit());
    // SAFETY: everything that is pointed to is there.
    unsafe {
        let e = error.as_mut_ptr();
        assert_eq!(rampmeter_ledger_create(&raw const options, &raw mut ledger, e), codes::OK);
        let ended = lean(|told| {
            let (mut account, mut wrong, amounts) = (0, zeroed::<rampmeter_amounts>(), zeroed());
            wrong.of[7] = 1;
            told(rampmeter_ledger_open(ledger, 0, 1.0, &raw mut account, e));
            told(rampmeter_ledger_set_name(ledger, account, c"team".as_ptr(), e));
            told(rampmeter_ledger_set_name(ledger, account, c"a/b".as_ptr(), e));
            told(rampmeter_ledger_named(ledger, 0, c"nobody".as_ptr(), &raw mut account, e));
            told(rampmeter_ledger_at_path(ledger, c"team".as_ptr(), &raw mut account, e));
            told(rampmeter_ledger_set_replica(ledger, 0, 1, e));
            told(rampmeter_ledger_set_key(ledger, account, 5, e));
            let quota = sized!(rampmeter_quota {});
            told(rampmeter_ledger_set_quota(ledger, account, &raw const quota, e));
            for step in 0..50_u64 {
                told(rampmeter_ledger_arrive(ledger, 0, account, e));
                told(rampmeter_ledger_charge(ledger, 0, account, step as f64, e));
                told(rampmeter_ledger_charge(ledger, 0, account, -1.0, e));
                told(rampmeter_ledger_allocate(ledger, account, &raw const amounts, e));
                told(rampmeter_ledger_allocate(ledger, account, &raw const wrong, e));
                told(rampmeter_ledger_record_usage(ledger, step, account, 1.0, e));
                let division = sized!(rampmeter_division {});
                told(rampmeter_ledger_divide(ledger, &raw const division, e));
                let (mut all, mut len) = ([zeroed::<rampmeter_standing>(); 16], 0);
                let to = all.as_mut_ptr();
                told(rampmeter_ledger_standings(ledger, step, 0, 0.0, to, 16, e));
                let mut ranked = [zeroed::<rampmeter_ranked>(); 2];
                let to = ranked.as_mut_ptr();
                told(rampmeter_ledger_rank_users(ledger, 1, 0.0, to, 2, &raw mut len, e));
                let mut entries = [zeroed::<rampmeter_delta_entry>(); 2];
                let (to, mut delta) = (entries.as_mut_ptr(), sized!(rampmeter_delta {}));
                told(rampmeter_ledger_delta(ledger, to, 2, &raw mut delta, e));
                let (mut key, mut eligible) = (0, [zeroed::<rampmeter_eligible>(); 2]);
                told(rampmeter_path_key(c"a/b".as_ptr(), &raw mut key, e));
                let to = eligible.as_mut_ptr();
                told(rampmeter_ledger_eligible(ledger, 0, 0.0, to, 2, &raw mut len, e));
                told(rampmeter_ledger_close(ledger, account, e));
                told(rampmeter_ledger_close(ledger, step, e));
            }
        });
        assert_eq!(ended, [7 + 50 * 10, 1 + 50 * 4]);
        rampmeter_ledger_destroy(ledger);
    }
}

#[test]
fn a_dynamic_batcher_is_lean() {
    let curve = rampmeter_curve { fixed_s: 5e-3, each_s: 1e-3, ..zeroed() };
    let options = sized!(rampmeter_dynamic_options {
        batch_size_max: 4,
        requests_max: 32,
        buckets: &raw const curve,
        buckets_len: 1,
    });
    let (mut dynamic, mut error) = (null_mut(), MaybeUninit::<rampmeter_error>::uninit());
    // SAFETY: everything that is pointed to is there.
    unsafe {
        let e = error.as_mut_ptr();
        assert_eq!(rampmeter_dynamic_create(&raw const options, &raw mut dynamic, e), codes::OK);
        let ended = lean(|told| {
            let (mut account, mut batch) = (0, 0);
            told(rampmeter_dynamic_open_account(dynamic, 0, 1.0, &raw mut account, e));
            let mut entries = [zeroed::<rampmeter_dynamic_entry>(); 4];
            let mut expired = [zeroed::<rampmeter_expiry>(); 1];
            let plan = sized!(rampmeter_dynamic_plan {
                entries_capacity: 4,
                expired_capacity: 1,
                entries: entries.as_mut_ptr(),
                expired: expired.as_mut_ptr(),
            });
            for step in 1..200_u64 {
                let now = step * 3_000_000;
                let mut given = sized!(rampmeter_dynamic_submission { account });
                let (of, mut admission) = (&raw const given, zeroed::<rampmeter_admission>());
                told(rampmeter_dynamic_submit(dynamic, now, of, &raw mut admission, e));
                given.bucket = 1;
                let of = &raw const given;
                told(rampmeter_dynamic_submit(dynamic, now, of, &raw mut admission, e));
                let mut formed = sized!(rampmeter_dynamic_formed {});
                let of = &raw const plan;
                told(rampmeter_dynamic_form(dynamic, now, of, &raw mut formed, e));
                let was = std::mem::replace(&mut batch, formed.batch);
                let seen = sized!(rampmeter_dynamic_observation { batch: was });
                let mut observed = sized!(rampmeter_dynamic_observed {});
                let of = &raw const seen;
                told(rampmeter_dynamic_observe(dynamic, now, of, &raw mut observed, e));
            }
        });
        assert!(ended[0] > 400 && ended[1] >= 199, "{ended:?}");
        rampmeter_dynamic_destroy(dynamic);
    }
}

#[test]
fn outcomes_are_lean() {
    let options = sized!(rampmeter_outcomes_options {});
    let (mut policy, mut outcomes) = (null_mut(), null_mut());
    let mut error = MaybeUninit::<rampmeter_error>::uninit();
    // SAFETY: everything that is pointed to is there.
    unsafe {
        let e = error.as_mut_ptr();
        let made = rampmeter_policy_preset(c"balanced".as_ptr(), &raw mut policy, e);
        assert_eq!(made, codes::OK);
        let (of, out) = (&raw const options, &raw mut outcomes);
        assert_eq!(rampmeter_outcomes_create(policy, of, out, e), codes::OK);
        let ended = lean(|told| {
            for step in 1..100_u64 {
                let mut given = sized!(rampmeter_ended {
                    output_tokens: 1,
                    arrival_ns: step,
                    first_token_ns: 2 * step,
                    ended_ns: 3 * step,
                });
                told(rampmeter_outcomes_record(outcomes, &raw const given, e));
                given.status = 9;
                told(rampmeter_outcomes_record(outcomes, &raw const given, e));
                let work = sized!(rampmeter_work { output_tokens: 3 });
                told(rampmeter_outcomes_served(outcomes, step, 0, &raw const work, e));
                let (mut counts, part, mut value) = (sized!(rampmeter_counts {}), 0.5, 0);
                told(rampmeter_outcomes_counts(outcomes, 0, 0, &raw mut counts, e));
                let (of, to) = (&raw const part, &raw mut value);
                told(rampmeter_outcomes_quantiles(outcomes, 0, 0, 1, of, 1, to, e));
                told(rampmeter_outcomes_quantiles(outcomes, 1, 0, 1, of, 1, to, e));
            }
        });
        assert_eq!(ended, [99 * 4, 99 * 2]);
        rampmeter_outcomes_destroy(outcomes);
        rampmeter_policy_destroy(policy);
    }
}

#[test]
#[cfg(feature = "probe")]
fn readers_of_a_poller_are_lean() {
    use rampmeter_ffi::probe::*;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/probe/mixed.json\0");
    let cadence = sized!(rampmeter_cadence { memory_ns: 100_000_000 });
    let (mut poller, mut seen, mut is_read) = (null_mut(), null_mut(), 0);
    let mut error = MaybeUninit::<rampmeter_error>::uninit();
    // SAFETY: everything that is pointed to is there.
    unsafe {
        let (e, out) = (error.as_mut_ptr(), &raw mut poller);
        let of = (RAMPMETER_BACKEND_FIXTURE, path.as_ptr().cast(), &raw const cadence);
        assert_eq!(rampmeter_poller_start(of.0, of.1, of.2, out, e), codes::OK);
        assert_eq!(rampmeter_snapshot_create(&raw mut seen, e), codes::OK);
        let waited = rampmeter_poller_wait_first(poller, 20_000_000_000, &raw mut is_read, e);
        assert_eq!((waited, is_read), (codes::OK, 1));
        let (before, bytes) = (tally().calls, tally().bytes_live);
        assert_eq!(rampmeter_poller_latest(poller, seen, e), codes::OK);
        let first = (tally().calls - before, tally().bytes_live - bytes);
        assert!(first.0 <= 1 && first.1 <= 512, "the first one: {first:?}");
        let begin = std::time::Instant::now();
        let (mut seqs, mut stats) =
            (Vec::with_capacity(4_096), sized!(rampmeter_stats_snapshot {}));
        let ended = lean(|told| {
            let (mut gpu, mut memory) = (sized!(rampmeter_gpu {}), sized!(rampmeter_gpu_memory {}));
            let (mut load, mut place) = (sized!(rampmeter_gpu_load {}), 0);
            // Until some snapshots came and went.
            while stats.seq < 5 && begin.elapsed().as_secs() < 20 {
                let now = rampmeter_clock_ns();
                told(rampmeter_poller_latest(poller, seen, e));
                told(rampmeter_snapshot_stats(seen, now, &raw mut stats, e));
                told(rampmeter_snapshot_gpu(seen, now, 0, &raw mut gpu, e));
                told(rampmeter_snapshot_memory(seen, now, 0, &raw mut memory, e));
                told(rampmeter_snapshot_load(seen, now, 0, &raw mut load, e));
                told(rampmeter_snapshot_find(seen, gpu.uuid.as_ptr(), &raw mut place, e));
                told(rampmeter_snapshot_memory(seen, now, 99, &raw mut memory, e));
                if seqs.len() < seqs.capacity() {
                    seqs.push(stats.seq);
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        seqs.dedup();
        assert!(seqs.len() >= 4, "{seqs:?}");
        assert_eq!(ended[0], 6 * ended[1]);
        rampmeter_poller_destroy(poller);
        rampmeter_snapshot_destroy(seen);
    }
}
