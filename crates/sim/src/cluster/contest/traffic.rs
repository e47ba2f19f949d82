//! The cluster of a contest, and what comes to it.
//!
//! # Where it comes from
//! Nodes: every tenth of a list. Shapes: those of a list of tasks that ask for GPUs; interactive ones
//! for one at most. Run times: interactive ones are exponential; those of batch work are drawn from a
//! trace of jobs, cut to [`BATCH_S`]. Arrivals are Poisson, and so many that both classes together ask
//! for the load given of all GPUs. With bursts the rate of interactive work changes between two.
//!
//! Without such lists [`Ground::generated`] makes up a cluster of the same size.

use rampmeter::Nanos;
use rampmeter::fleet::{Demand, DeviceDemand};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1, LogNormal};

use super::super::jobs::JobList;
use super::super::nodes::NodeList;
use crate::trace::seed::{Purpose, random_stream};

/// Mean run time of interactive tasks, in seconds.
pub const INTERACTIVE_S: f64 = 400.0;

/// Share of the GPU-seconds asked for that is interactive.
pub const INTERACTIVE_SHARE: f64 = 0.25;

/// Batch tasks run for so many seconds at least and at most: from a minute to a working day.
pub const BATCH_S: [f64; 2] = [60.0, 28_800.0];

/// Share of the time that bursts last, and how long one does on average, in seconds.
const BURST_SHARE: f64 = 0.25;
const BURST_S: f64 = 3_600.0;

/// A cluster, and the kinds of task that come to it.
#[derive(Clone, Debug)]
pub struct Ground {
    /// What it is, in words.
    pub name: String,
    /// The nodes.
    pub nodes: NodeList,
    /// Shapes of batch tasks, as often as they come.
    batch: Vec<Demand>,
    /// Shapes of interactive tasks.
    interactive: Vec<Demand>,
    /// Run times of batch tasks.
    durations_s: Vec<f64>,
}

/// How the rate of interactive tasks changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bursts {
    /// It does not.
    Poisson,
    /// For a quarter of the time, an hour at a time, it is so many times the mean.
    Times(f64),
}

/// How much comes, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// GPU-seconds asked for a second, over all GPUs.
    pub load: f64,
    /// How it changes.
    pub bursts: Bursts,
    /// Seconds for which tasks come.
    pub span_s: f64,
    /// Seconds from the start whose tasks are not counted: the cluster fills.
    pub warm_s: f64,
}

/// A task that comes.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When.
    pub at: Nanos,
    /// How long it runs, alone on its node.
    pub duration: Nanos,
    /// What it asks for.
    pub demand: Demand,
    /// Of which of the two classes.
    pub is_interactive: bool,
}

/// All that comes in one run, in order.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// The tasks.
    pub arrivals: Vec<Arrival>,
    /// Those that come before are not counted.
    pub counted_from: Nanos,
    /// Interactive tasks that run on average, and the GPUs of one.
    pub interactive: [f64; 2],
}

const fn gpus(demand: &Demand) -> f64 {
    demand.gpu_milli() as f64 / 1e3
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let len = values.len().max(1);
    values.sum::<f64>() / len as f64
}

impl Ground {
    /// Every tenth node of a list from the fourth on, shapes of a list of tasks, and run times of a
    /// list of jobs; `None` where nothing is left of one of them.
    #[must_use]
    pub fn of_lists(nodes: &NodeList, tasks: &JobList, jobs: &JobList) -> Option<Self> {
        let tenth = nodes.nodes.iter().skip(3).step_by(10).cloned().collect();
        let nodes = NodeList { nodes: tenth, ..nodes.clone() };
        let shapes: Vec<Demand> = tasks.jobs.iter().map(|task| task.member).collect();
        let durations_s = jobs.jobs.iter().map(|job| job.duration.as_seconds()).collect();
        let name = format!("{}, {}", tasks.name, jobs.name);
        Self::new(name, nodes, &shapes, durations_s)
    }

    /// A cluster of 600 GPUs with nodes of 8, 4 and 2, shapes from a fifth of a GPU to eight, and
    /// lognormal run times with the median and the upper decile of the Philly trace.
    #[must_use]
    pub fn generated() -> Option<Self> {
        let mut nodes = NodeList { name: "generated".to_owned(), ..NodeList::default() };
        for (devices, count) in [(8, 60), (4, 20), (2, 20)] {
            let some = NodeList::uniform(count, devices, "gpu");
            let cpu_milli = 12_000 * u32::from(devices);
            let fitted = some.nodes.into_iter().map(|node| super::super::NodeRecord {
                cpu_milli,
                memory_mib: 64 << 10 << devices.ilog2(),
                ..node
            });
            nodes.nodes.extend(fitted);
            nodes.models = some.models;
        }
        let mut shapes = Vec::new();
        let counts = [(200, 1, 10), (500, 1, 15), (1_000, 1, 50), (1_000, 2, 8), (1_000, 4, 7)];
        for (milli, count, weight) in counts.into_iter().chain([(1_000, 8, 10)]) {
            for turn in 0..weight {
                let cores = u32::from(count) * [4_000, 8_000, 12_000][turn % 3] * milli / 1_000;
                let devices = match milli {
                    1_000 => DeviceDemand::Whole { count, memory_mib: 0 },
                    milli => DeviceDemand::Share { count, milli: milli as u16, memory_mib: 0 },
                };
                shapes.push(Demand { cpu_milli: cores, devices, ..Demand::default() });
            }
        }
        let mut random = random_stream(0, Purpose::Lengths, 0);
        let drawn = LogNormal::new(1_829.0_f64.ln(), 1.49).ok()?;
        let durations_s = (0..20_000).map(|_| drawn.sample(&mut random)).collect();
        Self::new("generated".to_owned(), nodes, &shapes, durations_s)
    }

    fn new(
        name: String,
        nodes: NodeList,
        shapes: &[Demand],
        mut durations_s: Vec<f64>,
    ) -> Option<Self> {
        let fits = |demand: &&Demand| demand.gpu_milli() > 0 && fits_somewhere(demand, &nodes);
        let batch: Vec<Demand> = shapes.iter().filter(fits).copied().collect();
        let small = |demand: &&Demand| demand.gpu_milli() <= 1_000;
        let interactive: Vec<Demand> = batch.iter().filter(small).copied().collect();
        durations_s.iter_mut().for_each(|run_s| *run_s = run_s.clamp(BATCH_S[0], BATCH_S[1]));
        let is_empty = batch.is_empty() || interactive.is_empty() || durations_s.is_empty();
        (!is_empty).then_some(Self { name, nodes, batch, interactive, durations_s })
    }

    /// GPUs of all nodes.
    #[must_use]
    pub fn gpus(&self) -> f64 {
        self.nodes.gpu_milli() as f64 / 1e3
    }

    /// What comes with one seed.
    #[must_use]
    pub fn traffic(&self, load: &Load, seed: u64) -> Traffic {
        let asked = load.load * self.gpus();
        let task_gpus = mean(self.interactive.iter().map(gpus));
        let batch_gpus = mean(self.batch.iter().map(gpus));
        let batch_s = mean(self.durations_s.iter().copied());
        let rate = INTERACTIVE_SHARE * asked / (task_gpus * INTERACTIVE_S);
        let batch_rate = (1.0 - INTERACTIVE_SHARE) * asked / (batch_gpus * batch_s);
        let mut random = random_stream(seed, Purpose::Tasks, 1);
        let mut arrivals = self.interactive(load, rate, seed);
        for at in poisson(batch_rate, load.span_s, &mut random) {
            let run_s = self.durations_s[random.random_range(0..self.durations_s.len())];
            let demand = self.batch[random.random_range(0..self.batch.len())];
            arrivals.push(arrival(at, run_s, demand, false));
        }
        arrivals.sort_by_key(|arrival| arrival.at);
        Traffic {
            arrivals,
            counted_from: Nanos::from_seconds(load.warm_s),
            interactive: [rate * INTERACTIVE_S, task_gpus],
        }
    }

    fn interactive(&self, load: &Load, rate: f64, seed: u64) -> Vec<Arrival> {
        let mut random = random_stream(seed, Purpose::Arrivals, 1);
        let times = match load.bursts {
            Bursts::Poisson => poisson(rate, load.span_s, &mut random),
            Bursts::Times(times) => bursts(rate, times, load.span_s, seed, &mut random),
        };
        let mut task = |at: f64| {
            let run_s: f64 = Exp1.sample(&mut random);
            let demand = self.interactive[random.random_range(0..self.interactive.len())];
            arrival(at, INTERACTIVE_S * run_s, demand, true)
        };
        times.into_iter().map(&mut task).collect()
    }
}

fn arrival(at_s: f64, run_s: f64, demand: Demand, is_interactive: bool) -> Arrival {
    let duration = Nanos::from_seconds(run_s).max(Nanos(1));
    Arrival { at: Nanos::from_seconds(at_s), duration, demand, is_interactive }
}

/// Whether one of the empty nodes has what is asked for.
fn fits_somewhere(demand: &Demand, nodes: &NodeList) -> bool {
    let fits = |node: &super::super::NodeRecord| {
        node.cpu_milli >= demand.cpu_milli
            && node.memory_mib >= demand.memory_mib
            && u32::from(node.devices) >= demand.devices.devices()
            && demand.models.contains(node.model)
    };
    nodes.nodes.iter().any(fits)
}

/// Times of independent arrivals at a rate, until the end.
fn poisson(rate: f64, span_s: f64, random: &mut impl Rng) -> Vec<f64> {
    let mut times = Vec::new();
    let mut at = gap(random) / rate;
    while at < span_s {
        times.push(at);
        at += gap(random) / rate;
    }
    times
}

/// The same at a rate that changes: in bursts it is `times` the mean, and less else.
fn bursts(rate: f64, times: f64, span_s: f64, seed: u64, random: &mut impl Rng) -> Vec<f64> {
    let quiet = (1.0 - BURST_SHARE * times) / (1.0 - BURST_SHARE);
    let quiet_s = BURST_S * (1.0 - BURST_SHARE) / BURST_SHARE;
    let mut modulation = random_stream(seed, Purpose::Modulation, 1);
    let (mut arrivals, mut begin, mut is_burst) = (Vec::new(), 0.0, false);
    while begin < span_s {
        let (factor, stays_s) = if is_burst { (times, BURST_S) } else { (quiet, quiet_s) };
        let end = (begin + stays_s * gap(&mut modulation)).min(span_s);
        let here = poisson(rate * factor, end - begin, random);
        arrivals.extend(here.into_iter().map(|at| begin + at));
        (begin, is_burst) = (end, !is_burst);
    }
    arrivals
}

fn gap(random: &mut impl Rng) -> f64 {
    Exp1.sample(random)
}
