//! The cluster of a contest, and what comes to it.
//!
//! # Where it comes from
//! Nodes: every tenth of a list. Shapes: those of a list of tasks that ask for GPUs; interactive ones
//! for one at most. Run times: interactive ones are exponential; those of batch work are drawn from a
//! trace of jobs, cut to [`BATCH_S`]. Tasks are drawn until those of each class ask for its part of the
//! load given, and come at independent times: Poisson arrivals, given what they ask for, so that a short
//! run is at its load. With bursts the rate of interactive work changes between two.
//!
//! Without such lists [`Ground::generated`] makes up a cluster of the same size.

use rampmeter::Nanos;
use rampmeter::fleet::{Demand, DeviceDemand};
use rand::RngExt;
use rand_distr::{Distribution, Exp1, LogNormal};

use super::super::jobs::JobList;
use super::super::nodes::NodeList;
use crate::trace::seed::{Purpose, random_stream};

/// Mean run time of interactive tasks, in seconds.
pub const INTERACTIVE_S: f64 = 400.0;

/// Share of the GPU-seconds asked for that is interactive.
pub const INTERACTIVE_SHARE: f64 = 0.15;

/// Batch tasks run for so many seconds at least and at most: from a minute to four hours, so that a
/// cluster is full soon and a run is short.
pub const BATCH_S: [f64; 2] = [60.0, 14_400.0];

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
        for run_s in &mut durations_s {
            *run_s = run_s.clamp(BATCH_S[0], BATCH_S[1]);
        }
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
        let asked = load.load * self.gpus() * load.span_s;
        let mut random = random_stream(seed, Purpose::Tasks, 1);
        let mut times = random_stream(seed, Purpose::Arrivals, 1);
        let modulation = Modulation::new(load, seed);
        let mut arrivals = Vec::new();
        for is_interactive in [true, false] {
            let share = if is_interactive { INTERACTIVE_SHARE } else { 1.0 - INTERACTIVE_SHARE };
            let shapes = if is_interactive { &self.interactive } else { &self.batch };
            let mut left = share * asked;
            while left > 0.0 {
                let run_s = if is_interactive {
                    INTERACTIVE_S * Distribution::<f64>::sample(&Exp1, &mut random)
                } else {
                    self.durations_s[random.random_range(0..self.durations_s.len())]
                };
                let demand = shapes[random.random_range(0..shapes.len())];
                left -= gpus(&demand) * run_s;
                let part = times.random::<f64>();
                let at = if is_interactive { modulation.at(part) } else { part * load.span_s };
                arrivals.push(arrival(at, run_s, demand, is_interactive));
            }
        }
        arrivals.sort_by_key(|arrival| arrival.at);
        let task_gpus = mean(self.interactive.iter().map(gpus));
        let tasks = INTERACTIVE_SHARE * load.load * self.gpus() / task_gpus;
        Traffic {
            arrivals,
            counted_from: Nanos::from_seconds(load.warm_s),
            interactive: [tasks, task_gpus],
        }
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

/// When interactive work comes: stretches of time, each with a part of all of it.
struct Modulation {
    /// Where each begins, in seconds and as a part of all work; the last is the end.
    stretches: Vec<(f64, f64)>,
}

impl Modulation {
    fn new(load: &Load, seed: u64) -> Self {
        let times = match load.bursts {
            Bursts::Poisson => 1.0,
            Bursts::Times(times) => times,
        };
        let quiet = (1.0 - BURST_SHARE * times) / (1.0 - BURST_SHARE);
        let quiet_s = BURST_S * (1.0 - BURST_SHARE) / BURST_SHARE;
        let mut random = random_stream(seed, Purpose::Modulation, 1);
        let (mut at, mut done, mut is_burst) = (0.0, 0.0, false);
        let mut stretches = vec![(0.0, 0.0)];
        while at < load.span_s {
            let (rate, mean_s) = if is_burst { (times, BURST_S) } else { (quiet, quiet_s) };
            let stays_s: f64 = mean_s * Distribution::<f64>::sample(&Exp1, &mut random);
            let end = (at + stays_s).min(load.span_s);
            (done, at, is_burst) = (done + rate * (end - at), end, !is_burst);
            stretches.push((at, done));
        }
        for (_, part) in &mut stretches {
            *part /= done;
        }
        Self { stretches }
    }

    /// The time by which this part of all has come.
    fn at(&self, part: f64) -> f64 {
        let after = self.stretches.partition_point(|(_, done)| *done <= part);
        let last = self.stretches.len() - 1;
        let (begin, end) =
            (self.stretches[after.clamp(1, last) - 1], self.stretches[after.clamp(1, last)]);
        begin.0 + (part - begin.1) / (end.1 - begin.1) * (end.0 - begin.0)
    }
}
