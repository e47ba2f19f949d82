//! The books through C say what the books themselves say: same calls, same answers.
#![allow(unsafe_code, reason = "calls the functions as C does")]

use std::ptr::{null, null_mut};

use rampmeter::Nanos;
use rampmeter::error::codes;
use rampmeter::outcome::{Ended, Histograms, Options, Outcomes, Status, Work, measures};
use rampmeter::policy::Policy;
use rampmeter_ffi::error::rampmeter_error;
use rampmeter_ffi::outcomes::*;
use rampmeter_ffi::policy::*;

const MS: u64 = 1_000_000;
const DOCUMENT: &str = "\
[limits]
accounts_max = 4

[[account]]
name = \"a\"
weight = 2.0

[[account]]
name = \"b\"
";

/// A structure with nothing in it but its size, and what is said.
macro_rules! sized {
    ($name:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {
        $name { size: size_of::<$name>() as u32, $($field $(: $value)?,)* ..zeroed::<$name>() }
    };
}

fn zeroed<T: Copy>() -> T {
    // SAFETY: only asked for structures of whole numbers and fractions.
    unsafe { std::mem::zeroed() }
}

fn none() -> *mut rampmeter_error {
    null_mut()
}

fn ok(status: i32) {
    assert_eq!(status, codes::OK);
}

struct Pair {
    c: *mut rampmeter_outcomes,
    policy: *mut rampmeter_policy,
    core: Outcomes,
}

impl Drop for Pair {
    fn drop(&mut self) {
        // SAFETY: they came from `create`.
        unsafe {
            rampmeter_outcomes_destroy(self.c);
            rampmeter_policy_destroy(self.policy);
        }
    }
}

impl Pair {
    fn new() -> Self {
        let (mut policy, mut c) = (null_mut(), null_mut());
        let given = sized!(rampmeter_outcomes_options { account_histograms: 1 });
        // SAFETY: everything that is pointed to is there.
        unsafe {
            let (text, len) = (DOCUMENT.as_ptr().cast(), DOCUMENT.len());
            ok(rampmeter_policy_from_toml(text, len, &raw mut policy, none()));
            ok(rampmeter_outcomes_create(policy, &raw const given, &raw mut c, none()));
        }
        let known = Policy::from_toml(DOCUMENT).expect("a document");
        let options = Options { account_histograms: true, ..Options::default() };
        Self { c, policy, core: Outcomes::new(&known, options).expect("in range") }
    }

    /// One request that ended, from a number.
    fn record(&mut self, n: u64) {
        let arrival = 1 + n * 3 * MS;
        let scheduled = arrival + n % 7 * 40 * MS;
        let token = scheduled + (1 + n % 5) * 60 * MS;
        let tokens = (1 + n % 50) as u32;
        let ended = token + u64::from(tokens - 1) * (20 + n % 60) * MS;
        let (status, served) = match n % 9 {
            0 => (RAMPMETER_ENDED_REFUSED, false),
            1 => (RAMPMETER_ENDED_FAILED, true),
            2 => (RAMPMETER_ENDED_CANCELLED, n.is_multiple_of(2)),
            3 => (RAMPMETER_ENDED_UNFINISHED, n.is_multiple_of(2)),
            _ => (RAMPMETER_ENDED_COMPLETED, true),
        };
        let if_served = |time: u64| if served { time } else { 0 };
        let given = sized!(rampmeter_ended {
            class_index: (n % 2) as u32,
            account_index: (n % 3) as u32,
            output_tokens: if served { tokens } else { 0 },
            arrival_ns: arrival,
            first_scheduled_ns: if_served(scheduled),
            first_token_ns: if_served(token),
            ended_ns: ended,
            status,
        });
        // SAFETY: everything that is pointed to is there.
        ok(unsafe { rampmeter_outcomes_record(self.c, &raw const given, none()) });
        let all = [
            Status::Completed,
            Status::Refused,
            Status::Failed,
            Status::Cancelled,
            Status::Unfinished,
        ];
        let known = Ended {
            class: (n % 2) as u16,
            account: (n % 3) as u32,
            arrival: Nanos(arrival),
            first_scheduled: served.then_some(Nanos(scheduled)),
            first_token: served.then_some(Nanos(token)),
            ended: Nanos(ended),
            output_tokens: given.output_tokens,
            status: all[status as usize],
        };
        self.core.record(&known).expect("it can have happened");
    }

    fn serve(&mut self, n: u64) {
        let (now, account) = (n * MS, (n % 3) as u32);
        let backlogged = n % 4 < 3;
        let work = sized!(rampmeter_work {
            prompt_tokens: 100 + n,
            cached_tokens: n,
            output_tokens: 7 * n,
        });
        // SAFETY: everything that is pointed to is there.
        unsafe {
            let is = backlogged.into();
            ok(rampmeter_outcomes_set_backlogged(self.c, now, account, is, none()));
            ok(rampmeter_outcomes_served(self.c, now, account, &raw const work, none()));
            ok(rampmeter_outcomes_add_gpu_busy(self.c, n * 1_000, none()));
        }
        let work = Work { prompt_tokens: 100 + n, cached_tokens: n, output_tokens: 7 * n };
        self.core.set_backlogged(Nanos(now), account, backlogged).expect("in range");
        self.core.served(Nanos(now), account, work).expect("in range");
        self.core.add_gpu_busy(Nanos(n * 1_000));
    }

    fn compare(&mut self, now: u64) {
        let (mut stats, mut told) =
            (sized!(rampmeter_stats_outcomes {}), sized!(rampmeter_difference {}));
        // SAFETY: everything that is pointed to is there.
        unsafe {
            ok(rampmeter_outcomes_difference(self.c, now, &raw mut told, none()));
            ok(rampmeter_outcomes_stats(self.c, 2, &raw mut stats, none()));
        }
        let known = self.core.difference(Nanos(now)).expect("later");
        assert_eq!((told.difference_max, told.difference_mean), (known.max, known.mean));
        let rest = (told.compared_pair_s, told.uncompared);
        assert_eq!(rest, (known.compared_pair_s, known.uncompared));
        assert_eq!((stats.accounts_max, stats.span_ns), (4, self.core.span().get()));
        assert_eq!((stats.jain, stats.utilization), (self.core.jain(), self.core.utilization(2)));
        assert_eq!(stats.gpu_busy_ns, self.core.gpu_busy().get());
        for index in 0..2 {
            let tally = self.core.class(index).expect("a class");
            let goodput = self.core.goodput_per_s(index).expect("a class");
            let told = counts(self.c, RAMPMETER_GROUP_CLASS, index.into());
            same_counts(&told, &tally.counts());
            assert_eq!(told.goodput_per_s, goodput);
            let histograms = tally.histograms().expect("classes have them");
            same_distributions(self.c, RAMPMETER_GROUP_CLASS, index.into(), histograms);
        }
        for index in 0..4 {
            let tally = self.core.account(index).expect("an account");
            same_counts(&counts(self.c, RAMPMETER_GROUP_ACCOUNT, index), &tally.counts());
            let histograms = tally.histograms().expect("asked for");
            same_distributions(self.c, RAMPMETER_GROUP_ACCOUNT, index, histograms);
            let (mut work, mut service) = (sized!(rampmeter_work {}), 0.0);
            let (to, also_to) = (&raw mut work, &raw mut service);
            // SAFETY: as above.
            ok(unsafe { rampmeter_outcomes_work(self.c, index, to, also_to, none()) });
            let known = self.core.service().work(index).expect("an account");
            assert_eq!(
                (work.prompt_tokens, work.output_tokens),
                (known.prompt_tokens, known.output_tokens)
            );
            assert_eq!(Some(service), self.core.service().weighted_service(index));
        }
    }
}

fn counts(c: *const rampmeter_outcomes, group: u32, index: u32) -> rampmeter_counts {
    let mut counts = sized!(rampmeter_counts {});
    // SAFETY: everything that is pointed to is there.
    ok(unsafe { rampmeter_outcomes_counts(c, group, index, &raw mut counts, none()) });
    counts
}

fn same_counts(told: &rampmeter_counts, known: &rampmeter::outcome::Counts) {
    let ended = [told.offered, told.completed, told.refused, told.failed, told.cancelled];
    let expected = [known.offered, known.completed, known.refused, known.failed, known.cancelled];
    assert_eq!(ended, expected);
    let judged = [told.cancelled_late, told.unfinished, told.attained, told.satisfied];
    assert_eq!(judged, [known.cancelled_late, known.unfinished, known.attained, known.satisfied]);
    assert_eq!((told.tolerating, told.output_tokens), (known.tolerating, known.output_tokens));
    assert_eq!(told.judged, known.judged());
    let is_judged = told.judged > 0;
    assert_eq!(is_judged.then_some(told.attainment), known.attainment());
    assert_eq!(is_judged.then_some(told.apdex), known.apdex());
}

fn same_distributions(c: *const rampmeter_outcomes, group: u32, index: u32, known: &Histograms) {
    let all = [
        (RAMPMETER_FELT_QUEUE_WAIT, &known.queue_wait),
        (RAMPMETER_FELT_TTFT, &known.ttft),
        (RAMPMETER_FELT_TPOT, &known.tpot),
        (RAMPMETER_FELT_END_TO_END, &known.end_to_end),
        (RAMPMETER_FELT_SLOWDOWN, &known.slowdown),
    ];
    for (felt, known) in all {
        let (mut told, parts) = (sized!(rampmeter_distribution {}), [0.5, 0.99, 1.0]);
        let mut values = [0; 3];
        // SAFETY: everything that is pointed to is there.
        unsafe {
            ok(rampmeter_outcomes_distribution(c, group, index, felt, &raw mut told, none()));
            let (of, to) = (parts.as_ptr(), values.as_mut_ptr());
            ok(rampmeter_outcomes_quantiles(c, group, index, felt, of, 3, to, none()));
        }
        assert_eq!((told.count, told.mean), (known.count(), known.mean().unwrap_or(0.0)));
        let ends = (told.value_min, told.value_max);
        assert_eq!(ends, (known.min().unwrap_or(0), known.max().unwrap_or(0)));
        assert_eq!((told.underflow, told.overflow), (known.underflow(), known.overflow()));
        for (part, value) in parts.into_iter().zip(values) {
            assert_eq!(Ok(value), known.quantile(part).map(Option::unwrap_or_default));
        }
    }
}

#[test]
fn the_books_are_the_same() {
    let mut pair = Pair::new();
    pair.compare(0);
    for n in 0..300 {
        pair.record(n);
        pair.serve(n);
    }
    pair.compare(400 * MS);
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_outcomes_set_weight(pair.c, 2, 5.0, none()));
        ok(rampmeter_outcomes_forget_account(pair.c, 500 * MS, 1, none()));
        ok(rampmeter_outcomes_set_policy(pair.c, pair.policy, none()));
    }
    pair.core.set_weight(2, 5.0).expect("in range");
    pair.core.forget_account(Nanos(500 * MS), 1).expect("in range");
    pair.core.adopt(&Policy::from_toml(DOCUMENT).expect("a document")).expect("the same");
    pair.compare(600 * MS);
    assert_eq!(counts(pair.c, RAMPMETER_GROUP_ACCOUNT, 1).offered, 0);
}

#[test]
fn books_are_added() {
    let (mut one, mut other) = (Pair::new(), Pair::new());
    for n in 0..90 {
        one.record(n);
        other.record(200 + n);
        other.serve(n);
    }
    // SAFETY: everything that is pointed to is there.
    ok(unsafe { rampmeter_outcomes_merge(one.c, other.c, none()) });
    one.core.merge(&other.core).expect("alike");
    one.compare(300 * MS);
}

#[test]
fn saved_books_are_those_of_the_core_and_come_back() {
    let mut pair = Pair::new();
    for n in 0..200 {
        pair.record(n);
        pair.serve(n);
    }
    let mut bytes = vec![0; pair.core.snapshot_bytes() as usize];
    let core_len = pair.core.save(&mut bytes).expect("room");
    let options = sized!(rampmeter_outcomes_options { account_histograms: 1 });
    let (mut needed, mut len, mut restored) = (0, 0, null_mut());
    let mut saved = vec![0; bytes.len()];
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_outcomes_snapshot_bytes(pair.c, &raw mut needed, none()));
        assert_eq!(needed as usize, core_len);
        let short = rampmeter_outcomes_save(pair.c, saved.as_mut_ptr(), 9, &raw mut len, none());
        assert_eq!((short, len), (codes::BUFFER_TOO_SMALL, 0));
        let room = saved.len();
        ok(rampmeter_outcomes_save(pair.c, saved.as_mut_ptr(), room, &raw mut len, none()));
        assert!(saved == bytes && len == core_len);
        let mut restore = |options: &rampmeter_outcomes_options, len| {
            let (policy, bytes) = (pair.policy, saved.as_ptr());
            rampmeter_outcomes_restore(policy, options, bytes, len, &raw mut restored, none())
        };
        assert_eq!(restore(&options, len - 8), codes::SNAPSHOT);
        let other = rampmeter_outcomes_options { backlogged_max: 3, ..options };
        assert_eq!(restore(&other, len), codes::SNAPSHOT);
        ok(restore(&options, len));
        rampmeter_outcomes_destroy(pair.c);
    }
    pair.c = restored;
    pair.compare(300 * MS);
    pair.record(7);
    pair.compare(400 * MS);
}

#[test]
fn formulas_are_those_of_the_core() {
    let (values, mut index, mut ratio) = ([3.0, 1.0, 0.0], 0.0, 0.0);
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_jain(values.as_ptr(), 3, &raw mut index, none()));
        ok(rampmeter_finish_time_fairness(30.0, 20.0, &raw mut ratio, none()));
        let nothing = rampmeter_finish_time_fairness(1.0, 0.0, &raw mut ratio, none());
        assert_eq!(nothing, codes::RANGE_REAL);
    }
    assert_eq!(Ok(index), measures::jain(&values));
    assert_eq!(ratio, 1.5);
}

#[test]
fn wrong_calls_change_nothing() {
    let mut pair = Pair::new();
    pair.record(5);
    let good =
        sized!(rampmeter_ended { arrival_ns: 5, first_token_ns: 6, ended_ns: 7, output_tokens: 1 });
    let refused = [
        (rampmeter_ended { size: 8, ..good }, codes::SIZE),
        (rampmeter_ended { class_index: 70_000, ..good }, codes::RANGE),
        (rampmeter_ended { account_index: 4, ..good }, codes::RANGE),
        (rampmeter_ended { status: 5, ..good }, codes::RANGE),
        (rampmeter_ended { reserved: 1, ..good }, codes::RANGE),
        (rampmeter_ended { ended_ns: 4, ..good }, codes::CONTRADICTION),
    ];
    let (mut counts, mut bytes) = (sized!(rampmeter_counts {}), 0);
    let options = sized!(rampmeter_outcomes_options {});
    let strange = rampmeter_outcomes_options { account_histograms: 2, ..options };
    let (mut out, mut value) = (null_mut(), 9);
    // SAFETY: everything that is pointed to is there, or null.
    unsafe {
        for (ended, status) in &refused {
            assert_eq!(rampmeter_outcomes_record(pair.c, ended, none()), *status);
        }
        assert_eq!(rampmeter_outcomes_record(pair.c, null(), none()), codes::POINTER);
        assert_eq!(rampmeter_outcomes_record(null_mut(), &raw const good, none()), codes::POINTER);
        for (group, index) in [(2, 0), (RAMPMETER_GROUP_CLASS, 9), (RAMPMETER_GROUP_ACCOUNT, 4)] {
            let to = &raw mut counts;
            let status = rampmeter_outcomes_counts(pair.c, group, index, to, none());
            assert_eq!(status, codes::RANGE);
        }
        let (half, twice) = ([0.5], [2.0]);
        let quantile = |felt, of: &[f64; 1], to: *mut u64| {
            rampmeter_outcomes_quantiles(pair.c, 0, 0, felt, of.as_ptr(), 1, to, none())
        };
        assert_eq!(quantile(5, &half, &raw mut value), codes::RANGE);
        assert_eq!(quantile(1, &twice, &raw mut value), codes::RANGE_REAL);
        assert_eq!(quantile(1, &half, null_mut()), codes::POINTER);
        assert_eq!(value, 9);
        let made = rampmeter_outcomes_create(pair.policy, &raw const strange, &raw mut out, none());
        assert_eq!((made, out), (codes::RANGE, null_mut()));
        let to = &raw mut bytes;
        ok(rampmeter_outcomes_bytes_needed(pair.policy, &raw const options, to, none()));
        rampmeter_outcomes_destroy(null_mut());
        // Books without distributions for accounts say so.
        ok(rampmeter_outcomes_create(pair.policy, &raw const options, &raw mut out, none()));
        let (of, to) = (half.as_ptr(), &raw mut value);
        let status = rampmeter_outcomes_quantiles(out, 1, 0, 1, of, 1, to, none());
        assert_eq!(status, codes::RANGE);
        assert_eq!(rampmeter_outcomes_merge(pair.c, out, none()), codes::CONTRADICTION);
        rampmeter_outcomes_destroy(out);
    }
    let known = Policy::from_toml(DOCUMENT).expect("a document");
    assert_eq!(bytes, Outcomes::bytes_needed(&known, Options::default()));
    pair.compare(10);
}
