//! How full can a cluster be packed? Tasks arrive and never leave.
//!
//! # What it measures
//! Tasks of a list come in a random order until they ask for more GPUs than there are; who finds no
//! room is turned away for good. Allocation is the share of all GPU thousandths that are taken;
//! fragmentation is the share of the idle ones that the typical task cannot use.
//!
//! # Protocol
//! For each seed: the list is shuffled, then samples of it, drawn with replacement, are appended
//! until GPU demand reaches `until` times capacity (a list that asks for more loses its end). The
//! sum counts the thousandths of one device for an appended task, however many it asks for, because
//! the original does. Nodes stand in a random order, by which ties are decided, and which is part of
//! the result: with random ties FGD packs worse than best fit. Each figure stands for a whole
//! percentage of capacity that has arrived, and is the mean over the arrivals that round to it.
//!
//! # Source
//! Weng et al., "Beware of Fragmentation" (ATC'23), section 6, and its simulator. Its generator of
//! random numbers is another one: figures agree as means over seeds.

use std::fmt;
use std::str::FromStr;

use rampmeter::Nanos;
use rampmeter::fleet::{Demand, DeviceDemand, Hold};
use rampmeter::place::{MixEntry, Placed, Placer, PlacerOptions, Task};
use rampmeter::policy::{Measure, MixWeight, PlacementRules, Policy};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use serde::Serialize;

use super::fgd::{FreeNode, Mix, Naive, Spot};
use super::jobs::{Job, JobList};
use super::nodes::NodeList;
use super::openb::TASKS_MAX;
use crate::InputError;
use crate::nearest::unknown;
use crate::trace::seed::{Purpose, random_stream};

/// Seed of the first run of an experiment; the others follow.
pub const SEED_FIRST: u64 = 42;

/// Least and most GPU demand of an experiment, over capacity.
pub const UNTIL_MIN: f64 = 0.01;
/// See [`UNTIL_MIN`].
pub const UNTIL_MAX: f64 = 10.0;

/// Who chooses the nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PackPolicy {
    /// The library, with this measure.
    Desk(Measure),
    /// FGD as it is defined.
    Naive,
}

impl PackPolicy {
    /// Every policy.
    pub const ALL: [Self; 9] = [
        Self::Desk(Measure::Value),
        Self::Desk(Measure::Fgd),
        Self::Desk(Measure::BestFit),
        Self::Desk(Measure::DotProduct),
        Self::Desk(Measure::Packing),
        Self::Desk(Measure::Clustering),
        Self::Desk(Measure::Random),
        Self::Desk(Measure::Spread),
        Self::Naive,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Desk(Measure::Value) => "rampmeter",
            Self::Desk(measure) => Measure::NAMES[measure as usize],
            Self::Naive => "naive",
        }
    }
}

impl fmt::Display for PackPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PackPolicy {
    type Err = String;

    /// By name; the error is a sentence that names the nearest policy.
    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|policy| policy.name() == name);
        known.ok_or_else(|| unknown(name, "policy", Self::ALL.map(Self::name)))
    }
}

/// One run of the experiment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PackOptions {
    /// Who chooses.
    pub policy: PackPolicy,
    /// Seed of the orders of tasks and nodes.
    pub seed: u64,
    /// GPU demand at which arrivals end, over capacity: [`UNTIL_MIN`] to [`UNTIL_MAX`].
    pub until: f64,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PackRun {
    /// Who chose.
    pub policy: &'static str,
    /// The list of tasks.
    pub list: String,
    /// The seed.
    pub seed: u64,
    /// Share of GPUs taken when so many percent of capacity have arrived, by that percentage.
    pub allocation_pct: Vec<f64>,
    /// Share of idle GPUs that the typical task cannot use, likewise.
    pub fragmentation_pct: Vec<f64>,
    /// Tasks that came.
    pub decisions: u64,
    /// Of them, those of a shape that the library had no costs of yet (or no more), so that it priced
    /// every node; 0 for rules that keep no costs.
    pub new_shapes: u64,
    /// How long deciding took, without those.
    pub decision_ns: DecisionNs,
    /// How long those took.
    pub new_shape_ns: DecisionNs,
}

/// Quantiles (nearest rank) of the time of a decision.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct DecisionNs {
    /// Median.
    pub p50: u64,
    /// Of a hundred one is longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl DecisionNs {
    fn of(mut each: Vec<u64>) -> Self {
        each.sort_unstable();
        let rank = |pct: usize| (each.len() * pct).div_ceil(100).saturating_sub(1);
        let at = |pct: usize| each.get(rank(pct)).copied().unwrap_or_default();
        Self { p50: at(50), p99: at(99), max: at(100) }
    }
}

/// Runs the experiment once. `clock` gives nanoseconds of some steady clock: figures but the times
/// do not depend on it.
///
/// # Errors
/// A list that asks for no GPU, or for so little that more than [`TASKS_MAX`] tasks would have to
/// come; nodes without GPUs.
pub fn run(
    nodes: &NodeList,
    list: &JobList,
    options: &PackOptions,
    clock: &dyn Fn() -> u64,
) -> Result<PackRun, InputError> {
    let capacity = nodes.gpu_milli();
    if capacity == 0 {
        return Err(InputError::new(&nodes.name, "has no GPU to pack"));
    }
    let mut random = random_stream(options.seed, Purpose::Tasks, 0);
    let arrivals = arrivals(list, capacity, options.until, &mut random)?;
    let mut order: Vec<usize> = (0..nodes.nodes.len()).collect();
    order.shuffle(&mut random_stream(options.seed, Purpose::Nodes, 0));
    let mix = Mix::of(&list.jobs);
    let mut free: Vec<FreeNode> =
        order.iter().map(|&place| FreeNode::new(&nodes.nodes[place])).collect();
    let mut chooser = chooser(options.policy, nodes, &order, &mix, arrivals.len())?;
    let mut curves = Curves::new(&free, &mix, capacity, options.until);
    let (mut known_ns, mut new_ns) = (Vec::with_capacity(arrivals.len()), Vec::new());
    for job in &arrivals {
        let times = if chooser.knows_shape(&job.member) { &mut known_ns } else { &mut new_ns };
        let start = clock();
        let spot = chooser.choose(&free, &job.member)?;
        times.push(clock().saturating_sub(start));
        let changed = spot.map(|spot| (free[spot.node], spot.node));
        if let Some(spot) = spot
            && !free[spot.node].take(&job.member, spot.devices)
        {
            let problem =
                format!("chose node {} for {:?}, which is not free", spot.node, job.member);
            return Err(InputError::new(options.policy.name(), problem));
        }
        curves.arrived(job, changed.map(|(before, node)| (before, free[node])), &mix);
    }
    let (allocation_pct, fragmentation_pct) = curves.finish();
    Ok(PackRun {
        policy: options.policy.name(),
        list: list.name.clone(),
        seed: options.seed,
        allocation_pct,
        fragmentation_pct,
        decisions: arrivals.len() as u64,
        new_shapes: new_ns.len() as u64,
        decision_ns: DecisionNs::of(known_ns),
        new_shape_ns: DecisionNs::of(new_ns),
    })
}

/// The tasks of one run, in order.
fn arrivals(
    list: &JobList,
    capacity: u64,
    until: f64,
    random: &mut impl Rng,
) -> Result<Vec<Job>, InputError> {
    let wrong = |problem: String| InputError::new(&list.name, problem);
    let limit = (until * capacity as f64) as u64;
    let asked = |job: &Job| u64::from(job.member.gpu_milli());
    let mut jobs = list.jobs.clone();
    jobs.shuffle(random);
    let mut total: u64 = jobs.iter().map(asked).sum();
    if total == 0 {
        return Err(wrong("asks for no GPU at all".to_owned()));
    }
    if total > limit {
        while total > limit
            && let Some(last) = jobs.pop()
        {
            total -= asked(&last);
        }
        return Ok(jobs);
    }
    while total < limit {
        if jobs.len() == TASKS_MAX {
            let problem =
                format!("asks for so little that {TASKS_MAX} tasks do not fill the nodes");
            return Err(wrong(problem));
        }
        let job = list.jobs[random.random_range(0..list.jobs.len())];
        // Of one device: the original's sum, see above.
        total += asked(&job) / u64::from(job.member.devices.devices().max(1));
        jobs.push(job);
    }
    Ok(jobs)
}

/// Allocation and fragmentation, arrival by arrival.
struct Curves {
    capacity_milli: u64,
    arrived_milli: u64,
    idle_milli: u64,
    /// In milli-GPU times the mix's total.
    fragmentation: u64,
    mix_total: u64,
    /// Sums and number of arrivals, by whole percent of capacity that has arrived.
    sums: Vec<(f64, f64, u32)>,
    start: (f64, f64),
}

impl Curves {
    fn new(free: &[FreeNode], mix: &Mix, capacity_milli: u64, until: f64) -> Self {
        let mut curves = Self {
            capacity_milli,
            arrived_milli: 0,
            idle_milli: free.iter().map(FreeNode::idle_milli).sum(),
            fragmentation: free.iter().map(|node| mix.fragmentation(node)).sum(),
            mix_total: mix.total.max(1),
            sums: vec![(0.0, 0.0, 0); (until * 100.0).round() as usize + 1],
            start: (0.0, 0.0),
        };
        curves.start = curves.now();
        curves
    }

    /// A task came, and a node changed if it found room.
    fn arrived(&mut self, job: &Job, change: Option<(FreeNode, FreeNode)>, mix: &Mix) {
        self.arrived_milli += u64::from(job.member.gpu_milli());
        if let Some((before, after)) = change {
            self.idle_milli -= before.idle_milli() - after.idle_milli();
            self.fragmentation -= mix.fragmentation(&before);
            self.fragmentation += mix.fragmentation(&after);
        }
        let (allocation, fragmentation) = self.now();
        let arrived_pct = self.arrived_milli as f64 * 100.0 / self.capacity_milli as f64;
        if let Some((allocations, fragmentations, count)) =
            self.sums.get_mut(arrived_pct.round() as usize)
        {
            *allocations += allocation;
            *fragmentations += fragmentation;
            *count += 1;
        }
    }

    /// Allocation and fragmentation in hundredths. Nothing idle is nothing fragmented.
    fn now(&self) -> (f64, f64) {
        let taken = (self.capacity_milli - self.idle_milli) as f64;
        let fragmented = self.fragmentation as f64 / self.mix_total as f64;
        let idle = self.idle_milli.max(1) as f64;
        (taken * 100.0 / self.capacity_milli as f64, fragmented * 100.0 / idle)
    }

    /// Both curves. A percentage that no arrival rounds to has the value of the one before.
    fn finish(self) -> (Vec<f64>, Vec<f64>) {
        let mut last = self.start;
        let mean = |&(allocations, fragmentations, count): &(f64, f64, u32)| {
            if count > 0 {
                last = (allocations / f64::from(count), fragmentations / f64::from(count));
            }
            last
        };
        self.sums.iter().map(mean).unzip()
    }
}

/// Somebody who chooses nodes.
trait Chooser {
    /// Where a task goes, given what is free; `None`: nowhere.
    fn choose(&mut self, free: &[FreeNode], demand: &Demand) -> Result<Option<Spot>, InputError>;

    /// Whether this task is as much work as any other; else more has to be found out for the first of
    /// its shape.
    fn knows_shape(&self, _: &Demand) -> bool {
        true
    }
}

fn chooser(
    policy: PackPolicy,
    nodes: &NodeList,
    order: &[usize],
    mix: &Mix,
    tasks: usize,
) -> Result<Box<dyn Chooser>, InputError> {
    Ok(match policy {
        PackPolicy::Naive => Box::new(Naive::new(mix.clone())),
        PackPolicy::Desk(measure) => {
            let mut desk = Desk::new(measure, nodes, order, tasks)?;
            if measure == Measure::Fgd {
                // As published: by the list's own mix.
                desk.set_mix(mix)?;
            }
            Box::new(desk)
        }
    })
}

impl Chooser for Naive {
    fn choose(&mut self, free: &[FreeNode], demand: &Demand) -> Result<Option<Spot>, InputError> {
        Ok(Self::choose(self, free, demand))
    }
}

/// The library's desk, as any host would call it.
struct Desk {
    placer: Placer,
    /// Whether its measure keeps what shapes cost.
    keeps_costs: bool,
    name: String,
}

impl Desk {
    fn new(
        measure: Measure,
        nodes: &NodeList,
        order: &[usize],
        tasks: usize,
    ) -> Result<Self, InputError> {
        let wrong = |error: rampmeter::Error| InputError::new(&nodes.name, error.to_string());
        let rules = PlacementRules {
            measure,
            mix_weight: MixWeight::Arrivals,
            shadow_price: 1.0,
            // Nothing ends: any time will do, since all costs are multiplied by it.
            holding: Nanos::from_millis(1_000),
            ..PlacementRules::default()
        };
        let tasks_max = tasks.clamp(1, TASKS_MAX) as u32;
        let options = PlacerOptions {
            tasks_max,
            members_max: tasks_max,
            task_members_max: 1,
            accounts_max: 1,
        };
        let policy = Policy::default().with_placement(rules);
        let placer =
            Placer::new(nodes.fleet(order).map_err(wrong)?, &policy, &options).map_err(wrong)?;
        let keeps_costs = matches!(measure, Measure::Value | Measure::Fgd);
        Ok(Self { placer, keeps_costs, name: nodes.name.clone() })
    }
}

impl Desk {
    /// Shares of several devices are left out: the desk's mix has none.
    fn set_mix(&mut self, mix: &Mix) -> Result<(), InputError> {
        let wrong = |error: rampmeter::Error| InputError::new(&self.name, error.to_string());
        let entry = |&(demand, count): &(Demand, u64)| {
            // Tasks of a list are fewer than a weight may be.
            let weight = u32::try_from(count).ok()?;
            let known = !matches!(demand.devices, DeviceDemand::Share { count: 2.., .. });
            known.then_some(MixEntry { demand, weight })
        };
        let entries: Vec<MixEntry> = mix.shapes.iter().filter_map(entry).collect();
        self.placer.set_mix(&entries).map_err(wrong)
    }
}

impl Chooser for Desk {
    fn choose(&mut self, _: &[FreeNode], demand: &Demand) -> Result<Option<Spot>, InputError> {
        let task = Task { member: *demand, ..Task::default() };
        let mut hold = [Hold::default()];
        let placed = self.placer.place(Nanos::ZERO, &task, &mut hold);
        let [hold] = hold;
        match placed {
            Ok(Placed::Running { .. }) => {
                Ok(Some(Spot { node: hold.node.index() as usize, devices: hold.devices }))
            }
            Ok(_) => Ok(None),
            Err(error) => Err(InputError::new(&self.name, error.to_string())),
        }
    }

    fn knows_shape(&self, demand: &Demand) -> bool {
        !self.keeps_costs || self.placer.knows_shape(demand)
    }
}

#[cfg(test)]
mod tests;
