//! What a gate before an engine must keep, whatever stands behind it.

use proptest::prelude::*;

use super::*;
use crate::serving::run::RunOptions;
use crate::serving::spec::{PolicySpec, build};
use crate::serving::testing::{Log, engine, log_of, realistic_engine, request, workload};
use crate::workload::Request;

fn log(kind: &str, policy: &str, requests: Vec<Request>, engine: &Engine) -> Log {
    let (workload, options) = (workload(requests), RunOptions::default());
    let spec: PolicySpec = policy.parse().unwrap();
    let inner = build(&spec, &workload, engine, options.steps_in_flight).unwrap();
    let scheduler = gated(kind.parse().unwrap(), inner, &workload, engine).unwrap();
    log_of(&workload, engine, scheduler, options).unwrap()
}

#[test]
fn a_cap_turns_away_at_once_and_lets_in_again() {
    let requests =
        vec![request(0.0, 4, 3), request(0.0, 4, 3), request(0.5, 4, 3), request(20.0, 4, 1)];
    let log = log("cap=2", "fcfs", requests, &engine(100, 8, 100));
    assert_eq!(log.refused, [2]);
    assert!((0..4).all(|at| at == 2 || log.finished[at].len() == 1));
}

/// Two seats: once the gate knows how fast requests leave, it holds for as long as the target.
#[test]
fn our_gate_holds_and_gives_up() {
    let mut requests: Vec<Request> = (0..20).map(|at| request(f64::from(at) * 9.0, 4, 3)).collect();
    requests.extend((0..40).map(|_| request(200.0, 4, 5)));
    let log = log("rampmeter=2", "fcfs", requests, &engine(1_000, 2, 100));
    assert!(!log.refused.is_empty());
    assert!(log.finished[20..].iter().filter(|times| times.len() == 1).count() >= 2);
    assert_eq!(
        log.finished.iter().filter(|times| !times.is_empty()).count() + log.refused.len(),
        60
    );
}

/// A hundredth of a second more a token is fewer that run together; a target that nobody can keep
/// lets one in.
#[test]
fn servers_follow_the_targets() {
    let requests = (0..50).map(|at| request(f64::from(at), 400, 200)).collect();
    let engine = realistic_engine(36_578);
    let servers = |target_ms| {
        let mut workload = workload(Vec::clone(&requests));
        for class in &mut workload.classes {
            class.tpot_target = Nanos::from_millis(target_ms);
        }
        pace::requests_in_time(&workload, &engine, 0.9)
    };
    assert_eq!((servers(1), servers(60_000)), (1, engine.running_max));
    let all: Vec<u32> = (15..60).map(servers).collect();
    assert!(all.is_sorted() && all[0] < all[44], "{all:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Everybody ends or is sent away, once; and what a cap lets in is what it may.
    #[test]
    fn nobody_is_lost(
        policy in prop::sample::select(vec!["fcfs", "priority", "vtc", "rampmeter"]),
        kind in prop::sample::select(vec!["none", "cap=1", "cap=7", "rampmeter", "rampmeter=3"]),
        requests in prop::collection::vec((0_u32..60, 1_u32..600, 1_u32..40, 0_u16..2, 0_u32..4), 1..60),
        seats in 1_u32..9,
    ) {
        let mut all: Vec<Request> = requests
            .iter()
            .map(|&(at, prompt, output, class, account)| Request {
                class,
                account,
                ..request(f64::from(at) * 0.1, prompt, output)
            })
            .collect();
        all.sort_by_key(|request| request.arrival);
        let engine = Engine { running_max: seats, ..realistic_engine(200) };
        let log = log(kind, policy, all, &engine);
        for (at, finished) in log.finished.iter().enumerate() {
            let refused = log.refused.iter().filter(|gone| **gone == at as u32).count();
            prop_assert_eq!(finished.len() + refused, 1, "request {}", at);
        }
    }
}
