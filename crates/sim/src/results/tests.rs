use super::*;
use proptest::prelude::*;
use rampmeter::policy::{Account, BatchRules, Class, Limits, Objectives, Policy};
use rampmeter::{Nanos, Tokens};
use serde_json::Value;

use rampmeter::engine::StepShape;

use crate::engine::Step;
use crate::serving::{Observer, Refusal};
use crate::workload::{Request, Workload};

fn policy() -> Policy {
    Policy {
        classes: [].into(),
        accounts: [].into(),
        objectives: Objectives {
            attainment_min_ratio: 0.95,
            slowdown_floor: Nanos::from_millis(500),
        },
        limits: Limits {
            requests_max: 100,
            running_max: 10,
            accounts_max: 4,
            step_tokens_max: Tokens(2_048),
            steps_in_flight_max: 1,
            prompt_tokens_max: Tokens(1_000),
            output_tokens_max: Tokens(1_000),
            ..Limits::default()
        },
        batch: BatchRules {
            prefill_floor_tokens: Tokens(64),
            deadline_margin_ratio: 0.95,
            background_step_ratio: 0.65,
            urgency_credit_tokens: 0.0,
            late_ratio: 0.1,
            prompt_token_cost: 1.0,
            cached_token_cost: 0.5,
            output_token_cost: 2.0,
            preemptions_max: 3,
            ..BatchRules::default()
        },
        ..Policy::default()
    }
}

fn class(name: &str) -> Class {
    Class {
        ttft_target: Nanos::from_seconds(2.0),
        tpot_target: Nanos::from_seconds(1.0),
        delay_value: 1.0,
        ..Class::new(name)
    }
}

fn request(arrival_s: f64, account: u32, class: u16, prompt_tokens: u32) -> Request {
    let arrival = Nanos::from_seconds(arrival_s);
    let (output_tokens, output_tokens_max) = (3, 8);
    let prefix = [].into();
    Request { arrival, prompt_tokens, output_tokens, output_tokens_max, class, account, prefix }
}

fn workload(requests: Vec<Request>) -> Workload {
    Workload {
        source: "by hand".to_owned(),
        requests,
        classes: ["chat", "batch", "unused"].map(class).into(),
        accounts: [("a", 1.0), ("b", 2.0), ("c", 1.0)]
            .map(|(name, weight)| Account::new(name, weight))
            .into(),
        prefix_block_tokens: 16,
    }
}

fn labels() -> Labels {
    let none = || "none".to_owned();
    let (policy, load) = ("fcfs".to_owned(), Some(0.5));
    Labels { policy, gate: none(), router: none(), load, seed: 42, service_bound: None }
}

fn s(seconds: f64) -> Nanos {
    Nanos::from_seconds(seconds)
}

/// Request 0 is served from 1 s to 4 s; 1 waits throughout; 2 is refused; 3 never arrives.
fn by_hand() -> ServingRun {
    let mut requests = vec![request(0.0, 0, 0, 10), request(2.0, 1, 1, 20)];
    requests.extend([request(3.0, 2, 0, 30), request(99.0, 2, 0, 30)]);
    let workload = workload(requests);
    let mut books = Recorder::new(&workload, &policy(), 1).unwrap();
    books.arrived(s(0.0), 0);
    books.admitted(s(1.0), 0, 4);
    books.step(s(1.0), s(2.0), &Step::default());
    books.served(s(2.0), 0, 6, 1);
    books.first_token(s(2.0), 0);
    books.arrived(s(2.0), 1);
    books.preempted(s(2.0), 0);
    books.admitted(s(2.5), 0, 4);
    let shape = StepShape::default().with_prefill(8, 4);
    books.step(s(2.5), s(3.0), &Step { shape, sampled_requests: 1 });
    books.served(s(3.0), 0, 0, 1);
    books.recomputed(s(3.0), 0, 6);
    books.arrived(s(3.0), 2);
    books.refused(s(3.0), 2, Refusal::TooLong);
    books.step(s(3.0), s(4.0), &Step::default());
    books.served(s(4.0), 0, 0, 1);
    books.finished(s(4.0), 0);
    books.finish(s(8.0), labels()).unwrap()
}

fn near(got: f64, exact: f64) -> bool {
    (got - exact).abs() <= exact.abs() * 0.008 + 1e-12
}

#[test]
fn a_run_by_hand() {
    let run = by_hand();
    assert_eq!((run.offered, run.completed, run.refused), (3, 1, 1));
    assert_eq!((run.elapsed_s, run.steps, run.preemptions), (8.0, 3, 1));
    assert_eq!((run.prefill_tokens, run.recomputed_tokens, run.recompute_share), (8, 6, 0.75));
    assert_eq!((run.policy.as_str(), run.variant.as_str(), run.seed), ("fcfs", "fcfs", 42));
    assert_eq!(run.tokens_per_s, 13.0 / 8.0);
    assert_eq!(run.prefix_hit_rate, 0.4);
    assert_eq!((run.utilization, run.replica_load_max_over_mean), (2.5 / 8.0, 1.0));
    // Account a: 4 * 0.5 cached, 6 prompt, 3 * 2 output = 14; b and c were offered and got none.
    assert!((run.jain - 1.0 / 3.0).abs() < 1e-12);
    // a and b wait together from 2.0 to 2.5 s, c with b for no time. Nothing was served then.
    assert_eq!((run.service_difference_max, run.service_difference_mean), (0.0, 0.0));
    let chat = &run.classes["chat"];
    assert_eq!((chat.offered, chat.completed, chat.refused), (2, 1, 1));
    assert_eq!((chat.attainment, chat.apdex, chat.goodput_per_s), (0.5, 0.5, 0.125));
    assert!(near(chat.ttft_s.p50, 2.0) && near(chat.tpot_s.p99, 1.0));
    assert!(near(chat.queue_wait_s.mean, 1.0) && near(chat.e2e_s.mean, 4.0));
    assert_eq!((chat.queue_wait_s.max, chat.ttft_s.max), (1.0, 2.0));
    assert!(near(chat.slowdown.p90, 4.0 / 3.0));
}

#[test]
fn who_was_not_served_counts_with_the_time_waited_so_far() {
    let run = by_hand();
    for felt in [&run.classes["batch"], &run.accounts["b"]] {
        assert_eq!((felt.offered, felt.completed, felt.attainment), (1, 0, 0.0));
        for waited in [&felt.ttft_s, &felt.queue_wait_s, &felt.e2e_s] {
            assert!(near(waited.p50, 6.0) && near(waited.mean, 6.0));
        }
        assert_eq!(felt.tpot_s.p50, 8.0);
    }
    let refused = &run.accounts["c"];
    assert_eq!((refused.refused, refused.ttft_s.p50, refused.slowdown.p50), (1, 8.0, 16.0));
    assert_eq!(run.classes["unused"], Felt::default());
}

#[test]
fn who_was_sent_away_is_counted_by_why() {
    let workload = workload((0..5).map(|n| request(0.0, n % 2, 0, 100)).collect());
    let mut books = Recorder::new(&workload, &policy(), 1).unwrap();
    (0..5).for_each(|request| books.arrived(s(0.0), request));
    let shed = |retry_after| Refusal::Shed { retry_after };
    books.refused(s(0.0), 0, shed(s(3.0)));
    books.refused(s(0.0), 1, shed(s(5.0)));
    books.refused(s(0.0), 2, shed(Nanos::MAX));
    // It had a seat, lost it before its first token, and then expired.
    books.admitted(s(1.0), 3, 0);
    books.admitted(s(1.0), 4, 0);
    books.served(s(2.0), 3, 50, 0);
    books.preempted(s(2.0), 3);
    books.served(s(2.0), 4, 100, 1);
    books.first_token(s(2.0), 4);
    books.finished(s(2.0), 4);
    books.refused(s(9.0), 3, Refusal::Expired);
    books.learned(&rampmeter::engine::StepFitStats {
        samples: 7,
        error_ratio: 0.01,
        error_ratio_prefill: 0.02,
        limited: 0,
        time_scale: 1.0,
        determined_ratio: [0.0; 7],
    });
    let run = books.finish(s(10.0), labels()).unwrap();
    assert_eq!((run.offered, run.completed, run.refused), (5, 1, 4));
    assert_eq!((run.shed, run.expired, run.retry_after_mean_s), (3, 1, 4.0));
    let learned = LearnedModel { error_pct: 1.0, error_prefill_pct: 2.0, samples: 7 };
    assert_eq!(run.step_model, Some(learned));
    let counts =
        |felt: &Felt| (felt.offered, felt.completed, felt.refused, felt.shed, felt.expired);
    assert_eq!(counts(&run.accounts["a"]), (3, 1, 2, 2, 0));
    assert_eq!(counts(&run.accounts["b"]), (2, 0, 2, 1, 1));
    // One of five met its targets; the refused have no time to first token, and no end.
    let chat = &run.classes["chat"];
    assert_eq!((chat.attainment, chat.goodput_per_s), (0.2, 0.1));
    assert!(near(chat.ttft_s.max, 2.0) && near(chat.e2e_s.max, 2.0), "{chat:?}");
    let twice = mean(&[&run, &by_hand()]).unwrap();
    assert_eq!((twice.shed, twice.retry_after_mean_s, twice.step_model), (2, 4.0, Some(learned)));
}

#[test]
fn service_is_compared_while_accounts_wait_together() {
    let workload = workload((0..4).map(|n| request(0.0, n % 2, 0, 100)).collect());
    let mut books = Recorder::new(&workload, &policy(), 1).unwrap();
    (0..4).for_each(|request| books.arrived(s(0.0), request));
    books.admitted(s(0.0), 0, 0);
    books.admitted(s(0.0), 1, 0);
    books.served(s(1.0), 0, 100, 1);
    books.served(s(1.0), 1, 100, 1);
    books.first_token(s(1.0), 0);
    books.first_token(s(1.0), 1);
    // a: 102, b: 102 / 2. They wait together for 4 s, in 3 of which they are 51 apart.
    books.admitted(s(4.0), 2, 0);
    let run = books.finish(s(6.0), labels()).unwrap();
    assert_eq!((run.service_difference_max, run.service_difference_mean), (51.0, 38.25));
}

#[test]
fn replicas_are_told_apart() {
    let workload = workload(vec![request(0.0, 0, 0, 1)]);
    let mut books = Recorder::new(&workload, &policy(), 2).unwrap();
    books.step(s(0.0), s(3.0), &Step::default());
    books.on_replica(1);
    books.step(s(0.0), s(1.0), &Step::default());
    let run = books.finish(s(4.0), labels()).unwrap();
    assert_eq!((run.replica_load_max_over_mean, run.utilization), (1.5, 0.5));
    let empty = Recorder::new(&workload, &policy(), 2).unwrap();
    let run = empty.finish(Nanos::ZERO, labels()).unwrap();
    assert_eq!((run.replica_load_max_over_mean, run.tokens_per_s, run.jain), (1.0, 0.0, 1.0));
}

#[test]
fn what_cannot_be_is_said_at_the_end() {
    let workload = workload(vec![request(5.0, 0, 0, 1)]);
    let told = |tell: &dyn Fn(&mut Recorder<'_>)| {
        let mut books = Recorder::new(&workload, &policy(), 1).unwrap();
        tell(&mut books);
        books.finish(s(9.0), labels()).unwrap_err().field()
    };
    assert_eq!(told(&|books| books.finished(s(6.0), 1)), "request");
    assert_eq!(told(&|books| books.on_replica(1)), "replica");
    assert_eq!(told(&|books| books.arrived(s(10.0), 0)), "now_ns");
    assert_eq!(told(&|books| books.refused(s(4.0), 0, Refusal::Expired)), "ended_ns");
    assert_eq!(told(&|books| books.finished(s(6.0), 0)), "first_token_ns");
    assert!(Recorder::new(&workload, &policy(), 0).is_err());
}

#[test]
fn well_behaved_accounts_are_compared_by_what_they_asked_for() {
    // Costs 1 and 2: a asks for 106, b for 52, c for 26: 184 in all, 46 for each of the four
    // units of weight. Only a asks for more than that.
    let mut requests = vec![request(0.0, 0, 0, 100), request(0.0, 2, 0, 20)];
    requests.extend([request(0.0, 1, 0, 20), request(5.0, 1, 0, 20)]);
    let workload = workload(requests);
    let mut books = Recorder::new(&workload, &policy(), 1).unwrap();
    (0..3).for_each(|request| books.arrived(s(0.0), request));
    (0..3).for_each(|request| books.admitted(s(1.0), request, 0));
    for (time, request, prompt, outputs) in [(2.0, 0, 100, 1), (2.0, 1, 20, 3), (5.0, 2, 20, 3)] {
        books.served(s(time), request, prompt, outputs);
        books.first_token(s(time), request);
    }
    books.arrived(s(5.0), 3);
    books.admitted(s(5.0), 3, 0);
    // After the last arrival nothing counts.
    books.served(s(5.1), 3, 20, 3);
    books.first_token(s(5.1), 3);
    let run = books.finish(s(6.0), labels()).unwrap();
    // Shares of 1 and 0.5.
    assert!((run.jain_well_behaved - 1.5 * 1.5 / (2.0 * 1.25)).abs() < 1e-12);
}

#[test]
fn several_seeds_are_one_run_of_means_and_maxima() {
    let felt = |offered, attainment, longest| Felt {
        offered,
        attainment,
        ttft_s: Quantiles { p99: longest / 2.0, max: longest, ..Quantiles::default() },
        ..Felt::default()
    };
    let run = |seed, steps, felt: Felt, apart| ServingRun {
        policy: "p".to_owned(),
        seed,
        steps,
        service_difference_max: apart,
        class_service_difference_max: [("a".to_owned(), apart)].into(),
        classes: [("a".to_owned(), felt)].into(),
        ..ServingRun::default()
    };
    let runs = [
        run(7, 10, felt(100, 0.5, 8.0), 30.0),
        run(8, 11, felt(0, 0.0, 0.0), 90.0),
        run(9, 11, felt(50, 0.9, 4.0), 20.0),
    ];
    let one = mean(&runs.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!((one.policy.as_str(), one.seed, one.steps), ("p", 7, 11));
    assert_eq!((one.service_difference_max, one.class_service_difference_max["a"]), (90.0, 90.0));
    let a = &one.classes["a"];
    // The seed that offered nothing has no say.
    assert_eq!((a.offered, a.attainment, a.ttft_s.p99, a.ttft_s.max), (75, 0.7, 3.0, 8.0));
    assert_eq!(mean(&[&runs[0]]).unwrap(), runs[0]);
    assert_eq!(mean(&[]), None);
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn has(value: &Value, wanted: &[&str]) {
    for key in wanted {
        assert!(keys(value).contains(key), "{key} is missing from {:?}", keys(value));
    }
}

/// No number is null for a class that was offered anything.
fn without_null(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(values) => values.iter().all(without_null),
        Value::Object(values) => values.values().all(without_null),
        _ => true,
    }
}

#[test]
fn keys_are_those_that_were_promised() {
    let document = serde_json::to_value(Document::new(vec![by_hand()])).unwrap();
    assert_eq!((keys(&document), &document["schema"]), (vec!["runs", "schema"], &Value::from(1)));
    let run = &document["runs"][0];
    let promised = "policy variant seed prefill_tokens recomputed_tokens recompute_share \
        jain_well_behaved gate router load offered completed refused tokens_per_s \
        prefix_hit_rate replica_load_max_over_mean utilization preemptions jain \
        service_difference_max service_difference_mean classes accounts";
    has(run, &promised.split_whitespace().collect::<Vec<_>>());
    assert_eq!(keys(&run["classes"]), ["batch", "chat", "unused"]);
    assert_eq!(keys(&run["accounts"]), ["a", "b", "c"]);
    for felt in [&run["classes"]["chat"], &run["accounts"]["c"]] {
        let promised = "offered completed refused attainment goodput_per_s apdex ttft_s tpot_s \
            queue_wait_s";
        has(felt, &promised.split_whitespace().collect::<Vec<_>>());
        for measure in ["ttft_s", "tpot_s", "queue_wait_s"] {
            has(&felt[measure], &["p50", "p90", "p99", "mean", "max"]);
        }
    }
    assert!(without_null(&document));
}

fn latencies(ttfts_s: &[f64]) -> Vec<Latency> {
    let of = |ttft_s: &f64| {
        let tpot_s = (*ttft_s > 1.0).then_some(ttft_s / 100.0);
        Latency { ttft_s: *ttft_s, tpot_s, latency_s: ttft_s * 10.0 }
    };
    ttfts_s.iter().map(of).collect()
}

#[test]
fn a_comparison_by_hand() {
    // Positions 0.9 * 3 = 2.7, 0.95 * 3 = 2.85 and 0.99 * 3 = 2.97 between 3 and 4.
    let measured = latencies(&[4.0, 2.0, 1.0, 3.0]);
    let simulated = latencies(&[2.0, 4.0, 6.0, 8.0]);
    let validation = Validation::compare(&measured, &simulated).unwrap();
    let names = validation.quantiles.iter().map(|entry| (entry.metric, entry.stat));
    let stats = ["mean", "median", "p90", "p95", "p99"];
    let wanted = ["ttft_s", "tpot_s", "latency_s"].iter().flat_map(|m| stats.map(|s| (*m, s)));
    assert!(names.eq(wanted));
    let ttft = |stat: &str| *validation.quantile("ttft_s", stat).unwrap();
    for (stat, exact) in [("mean", 2.5), ("median", 2.5), ("p90", 3.7), ("p95", 3.85)] {
        assert!((ttft(stat).measured - exact).abs() < 1e-12, "{stat}");
        assert!((ttft(stat).error_pct - 100.0).abs() < 1e-9, "{stat}");
    }
    // One token has no TPOT: the shortest request does not count there.
    let tpot = validation.quantile("tpot_s", "mean").unwrap();
    assert!((tpot.measured - 0.03).abs() < 1e-12 && (tpot.simulated - 0.05).abs() < 1e-12);
    let value = serde_json::to_value(Document::new(vec![validation])).unwrap();
    let entry = &value["runs"][0]["quantiles"][0];
    assert_eq!(keys(entry), ["error_pct", "measured", "metric", "simulated", "stat"]);
}

#[test]
fn runs_that_cannot_be_compared_are_refused() {
    let good = latencies(&[2.0]);
    let refused = |measured: &[f64], simulated: &[f64]| {
        let (measured, simulated) = (latencies(measured), latencies(simulated));
        Validation::compare(&measured, &simulated).unwrap_err().to_string()
    };
    assert_eq!(refused(&[], &[2.0]), "the measured run has no `ttft_s` of any request");
    assert_eq!(refused(&[2.0], &[0.5]), "the simulated run has no `tpot_s` of any request");
    assert!(refused(&[f64::NAN], &[2.0]).contains("`ttft_s` of NaN"));
    assert!(refused(&[2.0], &[-1.0]).contains("the simulated run has a `ttft_s` of -1"));
    assert!(refused(&[0.0, 0.0, 2.0], &[2.0]).contains("median of `ttft_s`"));
    assert!(Validation::compare(&good, &good).is_ok());
}

proptest! {
    /// The definition, walked: the share of the way from the value at floor to that at ceiling.
    #[test]
    fn interpolated_quantiles_lie_on_the_line(
        mut values in prop::collection::vec(0.0f64..1e6, 1..60), q in 0.0f64..=1.0,
    ) {
        values.sort_by(f64::total_cmp);
        let got = interpolated_quantile(&values, q).unwrap();
        let position = q * (values.len() - 1) as f64;
        let mut exact = values[0];
        for (index, pair) in values.windows(2).enumerate() {
            exact += (pair[1] - pair[0]) * (position - index as f64).clamp(0.0, 1.0);
        }
        prop_assert!((got - exact).abs() < 1e-6 * (1.0 + exact));
    }
}
