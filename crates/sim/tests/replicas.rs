//! Routers over small workloads.

use std::collections::HashMap;

use rampmeter::Nanos;
use rampmeter_sim::engine::{Engine, EngineOverrides};
use rampmeter_sim::results::ServingRun;
use rampmeter_sim::serving::replay::replay;
use rampmeter_sim::serving::replicas::{Failure, ReplicaOptions, RouterKind, serve};
use rampmeter_sim::serving::{GateKind, capacity};
use rampmeter_sim::trace::TOKENS_MAX;
use rampmeter_sim::workload::{Extent, Generator, Mix, Preset, SystemPrompts, Workload};

fn engine() -> Engine {
    Engine::load("llama-3.1-8b", &EngineOverrides::default()).unwrap()
}

/// Chat with system prompts, for so many replicas at a load.
fn workload(load: f64, replicas: u32, requests: usize) -> Workload {
    let extent = Extent::Requests(requests);
    let generator = Generator { extent, continue_ratio: 0.5, ..Generator::new(Preset::Chat, 3) };
    let mut trace = generator.generate().unwrap();
    SystemPrompts { count: 8, tokens: 1_024 }.apply(&mut trace, 3).unwrap();
    let mut workload = Mix::Single.apply(trace, 3).unwrap();
    let factor =
        capacity::measure(&workload, &engine()).unwrap().arrival_factor(load, replicas).unwrap();
    capacity::rescale(&mut workload, factor);
    workload
}

fn attained(run: &ServingRun) -> f64 {
    run.classes["interactive"].attainment
}

#[test]
fn every_router_serves_everybody_once() {
    let workload = workload(0.8, 3, 600);
    let failure =
        Failure { replica: 1, from: Nanos::from_millis(8_000), until: Nanos::from_millis(12_000) };
    for options in [
        ReplicaOptions::new(3),
        ReplicaOptions { slow: Some((2, "2@0".parse().unwrap())), ..ReplicaOptions::new(3) },
        ReplicaOptions { failure: Some(failure), ..ReplicaOptions::new(3) },
        ReplicaOptions { policy: "rampmeter".parse().unwrap(), ..ReplicaOptions::new(3) },
    ] {
        for router in RouterKind::ALL {
            let run = serve(&workload, &engine(), router, &options, Some(0.8), 3).unwrap();
            assert_eq!((run.offered, run.completed, run.refused), (600, 600, 0), "{router}");
            assert_eq!(run.router, router.name());
            assert!(run.replica_load_max_over_mean >= 1.0);
        }
    }
}

#[test]
fn one_replica_is_the_same_behind_any_router() {
    let workload = workload(0.7, 1, 300);
    let options = ReplicaOptions::new(1);
    let runs = RouterKind::ALL.map(|router| {
        let run = serve(&workload, &engine(), router, &options, None, 3).unwrap();
        ServingRun { router: String::new(), ..run }
    });
    assert!(runs.iter().all(|run| *run == runs[0]));
    let alone = replay(&workload, &engine(), &options.policy, GateKind::None, options.run, None, 3);
    assert_eq!(alone.unwrap().classes, runs[0].classes);
}

#[test]
fn while_all_are_away_requests_are_held() {
    let workload = workload(0.3, 1, 60);
    let failure =
        Failure { replica: 0, from: Nanos::from_millis(10), until: Nanos::from_millis(60_000) };
    let options = ReplicaOptions { failure: Some(failure), ..ReplicaOptions::new(1) };
    for router in RouterKind::ALL {
        let run = serve(&workload, &engine(), router, &options, None, 3).unwrap();
        assert_eq!(run.completed, 60, "{router}");
        assert!(run.elapsed_s > 60.0);
    }
}

#[test]
fn knowing_prefixes_and_queues_pays() {
    let workload = workload(0.9, 4, 1_500);
    let options = ReplicaOptions::new(4);
    let [blind, ours] = [RouterKind::RoundRobin, RouterKind::Rampmeter]
        .map(|router| serve(&workload, &engine(), router, &options, None, 3).unwrap());
    assert!(ours.prefix_hit_rate > blind.prefix_hit_rate, "{}", ours.prefix_hit_rate);
    assert!(attained(&ours) >= attained(&blind), "{} {}", attained(&ours), attained(&blind));
}

#[test]
fn wrong_options_are_named() {
    let workload = workload(0.7, 1, 10);
    let wrong = |options: ReplicaOptions| {
        let served = serve(&workload, &engine(), RouterKind::Dynamo, &options, None, 3);
        served.unwrap_err().to_string()
    };
    assert!(wrong(ReplicaOptions::new(0)).contains("`replicas` = 0"));
    let slow = Some((2, "2@0".parse().unwrap()));
    let problem = wrong(ReplicaOptions { slow, ..ReplicaOptions::new(2) });
    assert!(problem.contains("`slow_replica` = 2 is outside 0..=1"), "{problem}");
    assert!("dynamite".parse::<RouterKind>().unwrap_err().to_string().contains("`dynamo`"));
}

#[test]
fn conversations_keep_their_system_prompt_and_the_first_is_the_commonest() {
    let generator = Generator { continue_ratio: 0.9, ..Generator::new(Preset::Chat, 5) };
    let before = generator.generate().unwrap();
    let mut trace = before.clone();
    SystemPrompts { count: 4, tokens: 1_000 }.apply(&mut trace, 5).unwrap();
    let mut counts = HashMap::new();
    let mut of_conversation = HashMap::new();
    for (request, old) in trace.requests.iter().zip(&before.requests) {
        assert_eq!(request.prompt_tokens, old.prompt_tokens + 1_024);
        assert_eq!(request.prefix.len(), old.prefix.len() + 16);
        let first = request.prefix[0];
        *counts.entry(first).or_insert(0) += 1;
        assert_eq!(*of_conversation.entry(old.prefix[0]).or_insert(first), first);
    }
    let mut shares: Vec<i32> = counts.values().copied().collect();
    shares.sort_unstable();
    assert_eq!(shares.len(), 4);
    // 1, 1/2, 1/3 and 1/4 of 25/12.
    let share = f64::from(shares[3]) / trace.requests.len() as f64;
    assert!((0.43..0.53).contains(&share), "{share}");
}

#[test]
fn refuses_what_is_no_prompt() {
    let mut trace = Generator::new(Preset::Chat, 5).generate().unwrap();
    for (count, tokens) in [(0, 1), (1, u32::MAX), (1, TOKENS_MAX)] {
        let problem = SystemPrompts { count, tokens }.apply(&mut trace, 5).unwrap_err();
        assert!(problem.to_string().contains("system_prompts"), "{problem}");
    }
}
