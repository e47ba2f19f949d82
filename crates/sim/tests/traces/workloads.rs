//! Mixes and scaling: the documented rule, and what must not change under it.

use proptest::prelude::*;
use rampmeter::Nanos;
use rampmeter_sim::trace::{Trace, TraceRequest};
use rampmeter_sim::workload::{Mix, Workload};

use crate::shared::assert_near;

fn trace(requests: usize) -> Trace {
    let request = |index: usize| TraceRequest {
        arrival: Nanos(index as u64 * 1_000_003),
        prompt_tokens: 10 + index as u32 % 7,
        output_tokens: 1 + index as u32 % 5,
        output_tokens_max: None,
        class: None,
        account: None,
        prefix: Box::default(),
    };
    Trace {
        source: "made up".into(),
        requests: (0..requests).map(request).collect(),
        classes: Vec::new(),
        accounts: Vec::new(),
        prefix_block_tokens: 0,
    }
}

fn mixed(mix: Mix, trace: Trace, seed: u64) -> Workload {
    let workload = mix.apply(trace, seed).unwrap();
    workload.check().unwrap();
    workload
}

fn share_of_account(workload: &Workload, name: &str) -> f64 {
    let index = workload.accounts.iter().position(|account| account.name == name).unwrap() as u32;
    let count = workload.requests.iter().filter(|request| request.account == index).count();
    count as f64 / workload.requests.len() as f64
}

fn share_of_class(workload: &Workload, name: &str) -> f64 {
    let index = workload.classes.iter().position(|class| class.name == name).unwrap() as u16;
    let count = workload.requests.iter().filter(|request| request.class == index).count();
    count as f64 / workload.requests.len() as f64
}

#[test]
fn mixes_have_their_documented_shares() {
    for (mix, batch) in [(Mix::A, 0.17), (Mix::B, 0.30)] {
        let workload = mixed(mix, trace(100_000), 5);
        assert_near("batch", share_of_class(&workload, "batch"), batch, 0.03);
        assert_near("greedy", share_of_account(&workload, "greedy"), 0.4, 0.02);
        assert_eq!(workload.accounts.len(), 8);
        for account in 1..8 {
            let share = share_of_account(&workload, &format!("account-{account}"));
            assert_near("account", share, 0.6 / 7.0, 0.04);
        }
        // Class and account are independent.
        let both = workload.requests.iter().filter(|request| {
            request.account == 0 && workload.classes[usize::from(request.class)].name == "batch"
        });
        assert_near("greedy batch", both.count() as f64 / 100_000.0, 0.4 * batch, 0.05);
    }
    let pair = mixed(Mix::Pair, trace(100_000), 5);
    assert_near("heavy", share_of_account(&pair, "heavy"), 2.0 / 3.0, 0.02);
    assert_eq!((pair.accounts.len(), pair.classes.len()), (2, 1));
    let single = mixed(Mix::Single, trace(100), 5);
    assert_eq!((single.accounts.len(), single.classes.len()), (1, 1));
}

#[test]
fn classes_have_their_documented_targets() {
    let workload = mixed(Mix::A, trace(10), 5);
    let seen: Vec<_> = workload
        .classes
        .iter()
        .map(|class| {
            (class.name.as_str(), class.ttft_target.as_seconds(), class.tpot_target.as_seconds())
        })
        .collect();
    assert_eq!(seen, [("interactive", 2.0, 0.05), ("batch", 60.0, 0.2)]);
    assert_eq!(workload.classes[0].delay_value, 1.0);
    assert_eq!(workload.classes[1].delay_value, 2.0 / 60.0);
}

#[test]
fn nobody_is_told_how_long_an_output_will_be() {
    let mut told = trace(10);
    told.requests[3].output_tokens_max = Some(99);
    let workload = mixed(Mix::A, told, 5);
    for (index, request) in workload.requests.iter().enumerate() {
        assert_eq!(request.output_tokens_max, if index == 3 { 99 } else { 5 });
    }
}

#[test]
fn what_the_trace_brings_stays_and_disturbs_nothing_else() {
    let plain = mixed(Mix::A, trace(1_000), 9);
    let mut brought = trace(1_000);
    brought.classes = vec!["batch".into(), "offline".into()];
    brought.accounts = vec!["acme".into(), "greedy".into()];
    brought.requests[7].class = Some(1);
    brought.requests[8].class = Some(0);
    brought.requests[9].account = Some(0);
    let workload = mixed(Mix::A, brought, 9);
    let names: Vec<_> = workload.classes.iter().map(|class| class.name.as_str()).collect();
    assert_eq!(names, ["interactive", "offline", "batch"]);
    let class_of = |workload: &Workload, index: usize| {
        workload.classes[usize::from(workload.requests[index].class)].name.clone()
    };
    let account_of = |workload: &Workload, index: usize| {
        workload.accounts[workload.requests[index].account as usize].name.clone()
    };
    assert_eq!(class_of(&workload, 7), "offline");
    assert_eq!(class_of(&workload, 8), "batch");
    assert_eq!(account_of(&workload, 9), "acme");
    // "greedy" of the trace and of the mix are one account.
    assert_eq!(workload.accounts.len(), 9);
    for index in 0..1_000 {
        if ![7, 8].contains(&index) {
            assert_eq!(class_of(&workload, index), class_of(&plain, index), "{index}");
        }
        if index != 9 {
            assert_eq!(account_of(&workload, index), account_of(&plain, index), "{index}");
        }
    }
}

#[test]
fn a_trace_that_brings_all_gets_nothing_added() {
    let mut brought = trace(10);
    brought.classes = vec!["gold".into()];
    brought.accounts = vec!["acme".into()];
    for request in &mut brought.requests {
        (request.class, request.account) = (Some(0), Some(0));
    }
    let workload = mixed(Mix::B, brought, 1);
    assert_eq!((workload.classes.len(), workload.accounts.len()), (1, 1));
    assert_eq!(workload.classes[0].name, "gold");
}

#[test]
fn too_many_classes_are_refused() {
    let mut brought = trace(1);
    brought.classes = (0..15).map(|number| format!("class-{number}")).collect();
    let error = Mix::A.apply(brought, 1).unwrap_err().to_string();
    assert_eq!(error, "made up: field `class`: 17 classes, more than the 16 accepted");
}

#[test]
fn the_seed_decides_and_a_shorter_trace_changes_nothing() {
    let long = mixed(Mix::A, trace(2_000), 1);
    assert_eq!(long, mixed(Mix::A, trace(2_000), 1));
    assert_ne!(long, mixed(Mix::A, trace(2_000), 2));
    let mut cut = long.clone();
    cut.truncate_requests(500);
    let short = mixed(Mix::A, trace(500), 1);
    assert_eq!(cut.requests, short.requests);
}

#[test]
fn names_of_mixes() {
    for mix in Mix::ALL {
        assert_eq!(mix.name().parse(), Ok(mix));
    }
    assert_eq!("c".parse::<Mix>(), Err("unknown mix `c`; known are a, b, pair, single".to_owned()));
}

#[test]
fn wrong_factors_change_nothing() {
    let before = mixed(Mix::A, trace(10), 1);
    for factor in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e7] {
        let mut workload = before.clone();
        let error = workload.rescale(factor).unwrap_err().to_string();
        assert!(error.contains("field `factor`"), "{error}");
        assert_eq!(workload, before);
    }
}

#[test]
fn truncation_and_offered_work() {
    let mut workload = mixed(Mix::Single, trace(100), 1);
    workload.truncate_at(Nanos(10 * 1_000_003));
    let offered = workload.offered();
    assert_eq!(offered.requests, 10);
    assert_eq!(offered.prompt_tokens, 10 * 10 + (1 + 2 + 3 + 4 + 5 + 6) + 1 + 2);
    assert_eq!(offered.output_tokens, 10 + 2 * (1 + 2 + 3 + 4));
    assert_near("span", offered.span_s, 0.009_000_027, 1e-12);
    assert_near("rate", offered.requests_per_s(), 10.0 / offered.span_s, 1e-12);
    workload.truncate_at(Nanos::ZERO);
    assert_eq!(workload.offered(), rampmeter_sim::workload::Offered::default());
}

#[test]
fn merging_joins_by_name() {
    let first = mixed(Mix::Single, trace(5), 1);
    let second = mixed(Mix::A, trace(5), 2);
    let merged = Workload::merge(vec![first.clone(), second.clone()]).unwrap();
    merged.check().unwrap();
    assert_eq!(merged.requests.len(), 10);
    assert_eq!((merged.classes.len(), merged.accounts.len()), (2, 9));
    // Equal arrivals: the first workload's requests stand first.
    assert!(merged.requests.iter().step_by(2).all(|request| request.account == 0));

    let mut other = second.clone();
    other.classes[0].ttft_target = Nanos::from_millis(1);
    let error = Workload::merge(vec![first.clone(), other]).unwrap_err().to_string();
    assert!(error.ends_with("class `interactive` has other targets elsewhere"), "{error}");
    let mut other = second.clone();
    other.accounts[0].weight = 3.0;
    assert!(Workload::merge(vec![second.clone(), other]).is_err());
    let mut cached = first.clone();
    cached.prefix_block_tokens = 16;
    cached.requests[0].prefix = Box::new([0]);
    let twice = Workload::merge(vec![cached.clone(), cached.clone()]).unwrap();
    assert_eq!(twice.requests[0].prefix, cached.requests[0].prefix);
    assert_ne!(twice.requests[0].prefix, twice.requests[1].prefix);
    let sized = |size| Workload { prefix_block_tokens: size, ..second.clone() };
    assert!(Workload::merge(vec![sized(16), sized(64)]).is_err());
    assert_eq!(Workload::merge(vec![sized(0), sized(64)]).unwrap().prefix_block_tokens, 64);
}

#[test]
fn check_finds_each_fault() {
    let good = mixed(Mix::Single, trace(5), 1);
    let fault = |change: fn(&mut Workload)| {
        let mut workload = good.clone();
        change(&mut workload);
        workload.check().unwrap_err().field.unwrap()
    };
    assert_eq!(fault(|workload| workload.requests[2].arrival = Nanos::ZERO), "arrival");
    assert_eq!(fault(|workload| workload.requests[2].prompt_tokens = 0), "prompt_tokens");
    assert_eq!(fault(|workload| workload.requests[2].output_tokens = 0), "output_tokens");
    assert_eq!(fault(|workload| workload.requests[2].output_tokens_max = 1), "output_tokens_max");
    assert_eq!(fault(|workload| workload.requests[2].class = 1), "class");
    assert_eq!(fault(|workload| workload.requests[2].account = 1), "account");
    assert_eq!(fault(|workload| workload.requests[2].prefix = Box::new([1])), "prefix");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rescaling_keeps_order_lengths_and_shape(
        arrivals in prop::collection::vec(0..4_000_000_000_000_u64, 2..60),
        factor in 0.001..50.0_f64,
    ) {
        let mut arrivals = arrivals;
        arrivals.sort_unstable();
        let mut source = trace(arrivals.len());
        for (request, &arrival) in source.requests.iter_mut().zip(&arrivals) {
            request.arrival = Nanos(arrival);
        }
        let before = mixed(Mix::A, source, 3);
        let mut after = before.clone();
        after.rescale(factor).unwrap();
        after.check().unwrap();
        for (old, new) in before.requests.iter().zip(&after.requests) {
            let expected = old.arrival.get() as f64 * factor;
            prop_assert!((new.arrival.get() as f64 - expected).abs() <= 1.0);
            let moved = rampmeter_sim::workload::Request { arrival: old.arrival, ..new.clone() };
            prop_assert_eq!(&moved, old);
        }
        prop_assert_eq!(before.offered().prompt_tokens, after.offered().prompt_tokens);
    }
}
