//! The contest: one default setting of the desk against each peer, tuned for each load.

use ::rampmeter::batch::dynamic::Options;
use ::rampmeter::engine::LatencyCurve;
use ::rampmeter::{Error, Nanos};

use super::arrivals::{Process, workload};
use super::peers::{Aimd, Fixed};
use super::{Item, Policy, Rampmeter, Server, run};

/// A model, and what its users were promised.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name in tables.
    pub name: &'static str,
    /// What it runs on.
    pub server: Server,
    /// Times from arrival to deadline, all equally likely.
    pub targets_s: Vec<f64>,
}

/// Means over seeds of one policy in one case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// The policy, with its setting.
    pub policy: String,
    /// Share of requests answered in time.
    pub attainment: f64,
    /// Mean latency of what was answered, in seconds.
    pub mean_s: f64,
    /// Its 99th percentile.
    pub p99_s: f64,
    /// Share of requests answered at all.
    pub answered: f64,
}

/// Delays that fixed batching is tuned over, in milliseconds.
const DELAYS_MS: [u64; 6] = [0, 1, 2, 5, 10, 20];

/// A linear curve and a staircase, each with one deadline, with a tight one, and with a mix.
///
/// # Errors
/// None in practice: the curves are constants.
pub fn cases() -> Result<Vec<Case>, Error> {
    let steps: Vec<(u32, f64)> =
        (1..=32_u32).map(|size| (size, 4e-3 + 4e-3 * f64::from(size.div_ceil(8)))).collect();
    let linear = LatencyCurve::linear(5e-3, 1e-3)?;
    let stairs = LatencyCurve::from_points(&steps)?;
    let case = |name, curve: &LatencyCurve, instances, targets_s: &[f64]| Case {
        name,
        server: Server { curve: curve.clone(), batch_size_max: 32, instances },
        targets_s: targets_s.to_vec(),
    };
    Ok(vec![
        case("linear 5+b ms, due in 90 ms", &linear, 1, &[90e-3]),
        case("linear 5+b ms, due in 40 ms", &linear, 1, &[40e-3]),
        case("linear 5+b ms, due in 30 or 300 ms", &linear, 1, &[30e-3, 300e-3]),
        case("stairs of 8, due in 50 ms", &stairs, 1, &[50e-3]),
        case("stairs of 8, due in 25 or 250 ms", &stairs, 1, &[25e-3, 250e-3]),
        case("stairs of 8, 4 instances, due in 50 ms", &stairs, 4, &[50e-3]),
    ])
}

/// Runs `make` on the same workload for each seed.
fn score(
    case: &Case,
    workloads: &[Vec<Item>],
    policy: String,
    make: &dyn Fn() -> Box<dyn Policy>,
) -> Score {
    let mut score = Score { policy, ..Score::default() };
    let part = (workloads.len().max(1) as f64).recip();
    for items in workloads {
        let outcome = run(&case.server, items, make().as_mut());
        let (mean_s, p99_s) = outcome.latency_s(items);
        score.attainment += part * outcome.attainment(items);
        score.mean_s += part * mean_s;
        score.p99_s += part * p99_s;
        score.answered += part * outcome.answered_ratio();
    }
    score
}

/// The better of two: more in time, then, within a thousandth, the lower mean latency.
fn better(best: Option<Score>, other: Score) -> Option<Score> {
    let wins = best.as_ref().is_none_or(|best| {
        let gain = other.attainment - best.attainment;
        gain > 1e-3 || (gain > -1e-3 && other.mean_s < best.mean_s)
    });
    if wins { Some(other) } else { best }
}

/// The defaults of the desk; it is told the largest batch, the instances, and a guess of the curve
/// (10 ms and 1 ms a request) from which it learns.
fn defaults(server: &Server) -> Result<Options, Error> {
    let guess = LatencyCurve::linear(10e-3, 1e-3)?.learning(server.batch_size_max)?;
    let options = Options::new(server.batch_size_max, guess);
    Ok(Options { instances: server.instances, requests_max: 1 << 17, ..options })
}

fn desk(options: &Options) -> Box<dyn Policy> {
    Box::new(Rampmeter::new(options).expect("the settings are valid"))
}

/// Settings of the desk that differ from its defaults in one thing.
pub type Variant = (&'static str, fn(&mut Options, &Server));

/// The defaults, and neighbours of each.
pub const VARIANTS: [Variant; 10] = [
    ("defaults", |_, _| {}),
    ("curve known", |options, server| options.buckets[0] = server.curve.clone()),
    ("wait gain 0", |options, _| options.wait_gain_ratio = 0.0),
    ("wait gain .03", |options, _| options.wait_gain_ratio = 0.03),
    ("wait gain .1", |options, _| options.wait_gain_ratio = 0.1),
    ("never waits", |options, _| options.wait_gain_ratio = 1.0),
    ("miss 1", |options, _| options.miss_ratio = 1.0),
    ("miss 16", |options, _| options.miss_ratio = 16.0),
    ("late 0", |options, _| options.late_ratio = 0.0),
    ("late .05", |options, _| options.late_ratio = 0.05),
];

/// One case at one load, under each of [`VARIANTS`].
///
/// # Errors
/// None in practice: the settings are constants.
pub fn sweep(
    case: &Case,
    process: Process,
    load: f64,
    count: usize,
    seeds: &[u64],
) -> Result<Vec<Score>, Error> {
    let workloads = workloads(case, process, load, count, seeds);
    let defaults = defaults(&case.server)?;
    let scores = VARIANTS.iter().map(|(name, change)| {
        let mut options = defaults.clone();
        change(&mut options, &case.server);
        score(case, &workloads, (*name).into(), &|| desk(&options))
    });
    Ok(scores.collect())
}

fn workloads(
    case: &Case,
    process: Process,
    load: f64,
    count: usize,
    seeds: &[u64],
) -> Vec<Vec<Item>> {
    let rate_per_s = load * case.server.rate_per_s();
    let one = |seed: &u64| workload(process, rate_per_s, &case.targets_s, count, *seed);
    seeds.iter().map(one).collect()
}

/// Every policy in one case at one load: the desk, fixed batching, greedy and AIMD, each of the
/// peers with the setting that is best there.
///
/// # Errors
/// None in practice: the settings are constants.
pub fn contest(
    case: &Case,
    process: Process,
    load: f64,
    count: usize,
    seeds: &[u64],
) -> Result<[Score; 4], Error> {
    let workloads = workloads(case, process, load, count, seeds);
    let options = defaults(&case.server)?;
    let ours = score(case, &workloads, "rampmeter".into(), &|| desk(&options));
    let greedy = score(case, &workloads, "greedy".into(), &|| {
        Box::new(Fixed::new(case.server.batch_size_max as usize, &[], Nanos::ZERO, false))
    });
    let [fixed, aimd] = [best_fixed(case, &workloads), best_aimd(case, &workloads)];
    Ok([ours, fixed.unwrap_or_default(), greedy, aimd.unwrap_or_default()])
}

/// Fixed batching with the best of 48 settings.
fn best_fixed(case: &Case, workloads: &[Vec<Item>]) -> Option<Score> {
    let mut best = None;
    let sizes: [(usize, &[usize], &str); 4] =
        [(8, &[], "8"), (16, &[], "16"), (32, &[], "32"), (32, &[8, 16, 24, 32], "32 by 8")];
    for (size_max, preferred, name) in sizes {
        for (rejects, delay_ms) in [false, true]
            .into_iter()
            .flat_map(|rejects| DELAYS_MS.into_iter().map(move |delay_ms| (rejects, delay_ms)))
        {
            let ending = if rejects { ", rejects" } else { "" };
            let name = format!("fixed {name}, {delay_ms} ms{ending}");
            let delay = Nanos::from_millis(delay_ms);
            let make =
                || -> Box<dyn Policy> { Box::new(Fixed::new(size_max, preferred, delay, rejects)) };
            best = better(best, score(case, workloads, name, &make));
        }
    }
    best
}

/// AIMD with the best of four latency objectives for a batch.
fn best_aimd(case: &Case, workloads: &[Vec<Item>]) -> Option<Score> {
    let target_s = case.targets_s.iter().copied().fold(f64::INFINITY, f64::min);
    let mut best = None;
    for share in [0.25, 0.5, 0.75, 1.0] {
        let make = || -> Box<dyn Policy> {
            Box::new(Aimd::new(case.server.batch_size_max, share * target_s))
        };
        best = better(best, score(case, workloads, format!("AIMD {share}"), &make));
    }
    best
}
