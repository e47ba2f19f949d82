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
    /// Share of requests answered in time, the least and the mean over the seeds.
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

/// The desk with its defaults; it is told the largest batch, the instances, and a guess of the
/// curve (10 ms and 1 ms a request) from which it learns.
fn rampmeter(server: &Server) -> Box<dyn Policy> {
    let guess =
        LatencyCurve::linear(10e-3, 1e-3).and_then(|guess| guess.learning(server.batch_size_max));
    let options = Options {
        instances: server.instances,
        ..Options::new(server.batch_size_max, guess.unwrap_or_else(|_| server.curve.clone()))
    };
    let options = Options { requests_max: 1 << 17, ..options };
    Box::new(Rampmeter::new(&options).expect("the defaults are valid"))
}

/// Every policy in one case at one load: the desk, fixed batching, greedy and AIMD, each of them
/// with the setting that is best there.
pub fn contest(
    case: &Case,
    process: Process,
    load: f64,
    count: usize,
    seeds: &[u64],
) -> [Score; 4] {
    let rate_per_s = load * case.server.rate_per_s();
    let workloads: Vec<Vec<Item>> = seeds
        .iter()
        .map(|seed| workload(process, rate_per_s, &case.targets_s, count, *seed))
        .collect();
    let desk = score(case, &workloads, "rampmeter".into(), &|| rampmeter(&case.server));
    let (mut fixed, mut greedy, mut aimd) = (None, None, None);
    let preferred: [&[usize]; 2] = [&[], &[8, 16, 24, 32]];
    for (size_max, rejects, sizes) in [8, 16, 32].into_iter().flat_map(|size_max| {
        let sizes = preferred.into_iter().filter(move |sizes| sizes.is_empty() || size_max == 32);
        sizes.flat_map(move |sizes| [(size_max, false, sizes), (size_max, true, sizes)])
    }) {
        for delay_ms in DELAYS_MS {
            let name = format!(
                "fixed {size_max}, {delay_ms} ms{}{}",
                if sizes.is_empty() { "" } else { ", by 8" },
                if rejects { ", rejects" } else { "" }
            );
            let delay = Nanos::from_millis(delay_ms);
            let make =
                || -> Box<dyn Policy> { Box::new(Fixed::new(size_max, sizes, delay, rejects)) };
            let score = score(case, &workloads, name, &make);
            if delay_ms == 0 && size_max == 32 && !rejects && sizes.is_empty() {
                greedy = Some(Score { policy: "greedy".into(), ..score.clone() });
            }
            fixed = better(fixed, score);
        }
    }
    let target_s = case.targets_s.iter().copied().fold(f64::INFINITY, f64::min);
    for share in [0.25, 0.5, 0.75, 1.0] {
        let make = || -> Box<dyn Policy> {
            Box::new(Aimd::new(case.server.batch_size_max, share * target_s))
        };
        aimd = better(aimd, score(case, &workloads, format!("AIMD {share}"), &make));
    }
    [desk, fixed.unwrap_or_default(), greedy.unwrap_or_default(), aimd.unwrap_or_default()]
}
