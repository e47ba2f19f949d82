//! Policy documents that limit queues and group accounts, driven as `highway` drives them.

use std::path::{Path, PathBuf};

use rampmeter::Nanos;
use rampmeter_sim::engine::{Engine, EngineOverrides, Slowdown};
use rampmeter_sim::results::{Felt, ServingRun};
use rampmeter_sim::serving::replay::replay;
use rampmeter_sim::serving::{
    GateKind, Observer, PolicySpec, Rampmeter, Refusal, RunOptions, capacity, measure_capacity, run,
};
use rampmeter_sim::workload::{Extent, Generator, Mix, Preset, Workload};

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(path)
}

fn engine() -> Engine {
    Engine::load("llama-3.1-8b", &EngineOverrides::default()).unwrap()
}

/// Chat traffic of so many seconds, at a load.
fn chat(engine: &Engine, seconds: f64, load: f64) -> Workload {
    let generator =
        Generator { extent: Extent::Seconds(seconds), ..Generator::new(Preset::Chat, 42) };
    let mut workload = Mix::A.apply(generator.generate().unwrap(), 42).unwrap();
    let factor = measure_capacity(&workload, engine).unwrap().arrival_factor(load, 1).unwrap();
    capacity::rescale(&mut workload, factor);
    workload
}

fn served(workload: &Workload, engine: &Engine, document: Option<PathBuf>) -> ServingRun {
    let spec = PolicySpec::Rampmeter { document };
    replay(workload, engine, &spec, GateKind::None, RunOptions::default(), None, 42).unwrap()
}

#[test]
fn full_queues_and_long_waits_are_told_and_counted() {
    let engine = engine();
    let workload = chat(&engine, 240.0, 1.5);
    let limited = served(&workload, &engine, Some(example("queues/limits.toml")));
    let open = served(&workload, &engine, None);
    assert_eq!((open.refused, open.completed), (0, open.offered));
    assert!(limited.shed > 0 && limited.expired > 0, "{limited:?}");
    assert!(limited.retry_after_mean_s > 0.0 && limited.retry_after_mean_s < 3_600.0);
    let groups = limited.classes.values().chain(limited.accounts.values());
    for felt in groups {
        assert_eq!(felt.completed + felt.refused, felt.offered, "everybody hears in the end");
        assert_eq!(felt.shed + felt.expired, felt.refused);
        // A refusal is a miss, however little was waited for it.
        let met = felt.attainment * felt.offered as f64;
        assert!(met <= felt.completed as f64 + 1e-6);
        assert!(felt.apdex * felt.offered as f64 <= felt.completed as f64 + 1e-6);
    }
    let sum = |count: fn(&Felt) -> u64| limited.classes.values().map(count).sum::<u64>();
    assert_eq!(sum(|felt| felt.shed), limited.shed);
    assert_eq!(sum(|felt| felt.expired), limited.expired);
    assert_eq!(limited.completed + limited.refused, limited.offered);
    // Nobody gets a seat after the second that a request may wait, and the step that was under
    // way when it got one; and more are served in time.
    let (with, without) = (&limited.classes["interactive"], &open.classes["interactive"]);
    assert!(with.queue_wait_s.max <= 1.2, "{with:?}");
    assert!(with.ttft_s.p99 < without.ttft_s.p99 / 2.0, "{with:?}\n{without:?}");
    assert!(with.attainment > without.attainment, "{with:?}\n{without:?}");
}

/// Service by team, of interactive work, while both teams have some of it waiting.
struct Teams<'w> {
    workload: &'w Workload,
    team_of: Vec<usize>,
    waiting: [u32; 2],
    service: [f64; 2],
}

impl Teams<'_> {
    fn count(&mut self, request: u32, change: impl Fn(&mut u32)) {
        let request = &self.workload.requests[request as usize];
        if request.class == 0 {
            change(&mut self.waiting[self.team_of[request.account as usize]]);
        }
    }
}

impl Observer for Teams<'_> {
    fn arrived(&mut self, _now: Nanos, request: u32) {
        self.count(request, |waiting| *waiting += 1);
    }
    fn admitted(&mut self, _now: Nanos, request: u32, _cached_tokens: u32) {
        self.count(request, |waiting| *waiting -= 1);
    }
    fn preempted(&mut self, _now: Nanos, request: u32) {
        self.count(request, |waiting| *waiting += 1);
    }
    fn refused(&mut self, _now: Nanos, request: u32, _why: Refusal) {
        self.count(request, |waiting| *waiting -= 1);
    }
    fn served(&mut self, _now: Nanos, request: u32, prompt_tokens: u32, output_tokens: u32) {
        let request = &self.workload.requests[request as usize];
        if request.class == 0 && self.waiting.iter().all(|waiting| *waiting > 0) {
            // As `examples/accounts/teams.toml` weighs them.
            self.service[self.team_of[request.account as usize]] +=
                f64::from(prompt_tokens) + 5.0 * f64::from(output_tokens);
        }
    }
}

#[test]
fn teams_get_their_shares_while_both_have_work_waiting() {
    let engine = engine();
    // Long enough for what one team may be ahead by its credit to be little beside its service.
    let workload = chat(&engine, 1_200.0, 3.0);
    let product = ["greedy", "account-1", "account-2", "account-3"];
    let of = |name: &String| usize::from(!product.contains(&name.as_str()));
    let mut teams = Teams {
        workload: &workload,
        team_of: workload.accounts.iter().map(|account| of(&account.name)).collect(),
        waiting: [0; 2],
        service: [0.0; 2],
    };
    let options = RunOptions::default();
    let document = example("accounts/teams.toml");
    let policy =
        Rampmeter::new(Some(&document), &workload, &engine, options.steps_in_flight).unwrap();
    run(&workload, &engine, Box::new(policy), options, &mut teams).unwrap();
    let [product, research] = teams.service;
    let ratio = product / research;
    eprintln!("service of product {product:.0}, of research {research:.0}: {ratio:.3} to 1");
    assert!(research > 100_000.0, "both had work waiting for long");
    assert!((ratio / 3.0 - 1.0).abs() < 0.05, "{ratio}");
}

#[test]
fn a_policy_learns_an_engine_that_becomes_slower() {
    let usual = engine();
    let workload = chat(&usual, 120.0, 0.9);
    let slower = "1.3@30".parse::<Slowdown>().unwrap().apply(&usual);
    let learned = served(&workload, &slower, None).step_model.unwrap();
    assert!(learned.samples > 1_000 && learned.error_pct < 3.0, "{learned:?}");
    let peer = PolicySpec::peer(rampmeter_sim::serving::spec::PeerKind::Fcfs);
    let run =
        replay(&workload, &slower, &peer, GateKind::None, RunOptions::default(), None, 42).unwrap();
    assert_eq!(run.step_model, None);
}
