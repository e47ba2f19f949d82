//! Routers in front of the same replicas and the same requests: what users feel.
//!
//! `cargo run --release -p rampmeter-sim --example routers_contest [SEEDS [MINUTES [REPLICAS]]]`
//!
//! Requests are chat conversations. `high`: two of three requests continue a conversation, and each
//! conversation begins with one of 32 system prompts of 2,048 tokens. `low`: one of ten continues
//! one, without system prompts. Load 1 is what the replicas complete together without any cache.
//! What else a router may know has tables of its own: see `serving::replicas::cases`.

mod more;

use std::thread;

use rampmeter::Nanos;
use rampmeter_sim::engine::{Engine, EngineOverrides};
use rampmeter_sim::results::{ServingRun, mean};
use rampmeter_sim::serving::capacity;
use rampmeter_sim::serving::replicas::{Failure, ReplicaOptions, RouterKind, serve};
use rampmeter_sim::workload::{Extent, Generator, Mix, Preset, SystemPrompts, Workload};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Seeds begin here.
const SEED: u64 = 42;

/// How many replicas, how long, with how many seeds.
#[derive(Clone, Copy)]
struct Size {
    seeds: u64,
    minutes: f64,
    replicas: u32,
}

/// What happens to the replicas.
#[derive(Clone, Copy)]
enum Trouble {
    None,
    Slow,
    Failing,
}

/// One row of scenarios: how much is shared, at which load, with which trouble.
#[derive(Clone, Copy)]
struct Scenario {
    shared: bool,
    load: f64,
    trouble: Trouble,
}

fn main() -> Outcome<()> {
    let mut given = std::env::args().skip(1);
    let size = Size {
        seeds: given.next().map_or(Ok(3), |text| text.parse())?,
        minutes: given.next().map_or(Ok(10.0), |text| text.parse())?,
        replicas: given.next().map_or(Ok(4), |text| text.parse())?,
    };
    println!(
        "{} replicas of llama-3.1-8b, fcfs on each, {} min, mean of {} seeds from {SEED}",
        size.replicas, size.minutes, size.seeds
    );
    for scenario in scenarios() {
        let Scenario { shared, load, trouble } = scenario;
        let trouble = match trouble {
            Trouble::None => "",
            Trouble::Slow => ", one replica twice as slow",
            Trouble::Failing => ", one replica away for a tenth of the time",
        };
        let shared = if shared { "high" } else { "low" };
        println!("\nshared prefixes {shared}, load {load}{trouble}");
        println!(
            "  {:<15}{:>9}{:>9}{:>9}{:>9}{:>11}{:>7}{:>11}",
            "router", "ttft_s", "p50", "p99", "tpot_ms", "attainment", "hits", "imbalance"
        );
        let handles =
            RouterKind::ALL.map(|router| thread::spawn(move || run(scenario, size, router)));
        for (router, handle) in RouterKind::ALL.into_iter().zip(handles) {
            let run = handle.join().map_err(|_| "a run panicked")??;
            print(router, &run);
        }
    }
    more::tables(size)
}

fn scenarios() -> Vec<Scenario> {
    let healthy = [0.7, 0.9, 1.0].map(|load| (load, Trouble::None));
    let troubled = [(0.7, Trouble::Slow), (0.7, Trouble::Failing)];
    let each = |shared| {
        let all = healthy.into_iter().chain(troubled);
        all.map(move |(load, trouble)| Scenario { shared, load, trouble })
    };
    [true, false].into_iter().flat_map(each).collect()
}

fn print(router: RouterKind, run: &ServingRun) {
    let Some(felt) = run.classes.values().find(|felt| felt.offered > 0) else { return };
    println!(
        "  {:<15}{:>9.3}{:>9.3}{:>9.3}{:>9.1}{:>11.4}{:>7.3}{:>11.3}",
        router.name(),
        felt.ttft_s.mean,
        felt.ttft_s.p50,
        felt.ttft_s.p99,
        felt.tpot_s.mean * 1e3,
        felt.attainment,
        run.prefix_hit_rate,
        run.replica_load_max_over_mean
    );
}

fn run(scenario: Scenario, size: Size, router: RouterKind) -> Outcome<ServingRun> {
    let engine = Engine::load("llama-3.1-8b", &EngineOverrides::default())?;
    let mut runs = Vec::new();
    for seed in SEED..SEED + size.seeds {
        let workload = workload(scenario, size, &engine, seed)?;
        let options = options(scenario, size, &workload)?;
        runs.push(serve(&workload, &engine, router, &options, Some(scenario.load), seed)?);
    }
    Ok(mean(&runs.iter().collect::<Vec<_>>()).ok_or("no seeds")?)
}

fn workload(scenario: Scenario, size: Size, engine: &Engine, seed: u64) -> Outcome<Workload> {
    let generator = Generator::new(Preset::Chat, seed);
    let rate_per_s = generator.rate_per_s * f64::from(size.replicas);
    let extent = Extent::Seconds(size.minutes * 60.0);
    let continue_ratio = if scenario.shared { 2.0 / 3.0 } else { 0.1 };
    let generator = Generator { rate_per_s, extent, continue_ratio, ..generator };
    let mut trace = generator.generate()?;
    if scenario.shared {
        SystemPrompts { count: 32, tokens: 2_048 }.apply(&mut trace, seed)?;
    }
    let mut workload = Mix::Single.apply(trace, seed)?;
    let measured = capacity::measure(&workload, engine)?;
    let factor = measured.arrival_factor(scenario.load, size.replicas)?;
    capacity::rescale(&mut workload, factor);
    Ok(workload)
}

fn options(scenario: Scenario, size: Size, workload: &Workload) -> Outcome<ReplicaOptions> {
    let mut options = ReplicaOptions::new(size.replicas);
    match scenario.trouble {
        Trouble::None => {}
        Trouble::Slow => options.slow = Some((0, "2@0".parse()?)),
        Trouble::Failing => {
            let span = workload.requests.last().map_or(Nanos::ZERO, |last| last.arrival);
            let third = Nanos(span.get() / 3);
            let until = third.saturating_add(Nanos(span.get() / 10));
            options.failure = Some(Failure { replica: 0, from: third, until });
        }
    }
    Ok(options)
}
