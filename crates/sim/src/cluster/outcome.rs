//! What users felt of a simulated run, and beside it how busy the GPUs were.

use std::collections::BTreeMap;

use rampmeter::Nanos;
use rampmeter::outcome::Histogram;
use rampmeter::outcome::measures::{bounded_slowdown, finish_time_fairness};
use serde::Serialize;

use super::jobs::{Job, JobList};
use super::run::{Record, Simulated};
use crate::results::Quantiles;

/// Parts of a second in which times are kept: the histograms reach from 1 ms to 142 years then,
/// where jobs of the public traces run for months.
const PARTS_PER_S: f64 = 1e6;

/// Parts of one in which ratios are kept.
const PARTS_PER_ONE: f64 = 1e6;

/// What the users of all jobs, or of those of one account, felt. All is 0 where there is no job.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Felt {
    /// Jobs that came.
    pub offered: u64,
    /// Jobs that ran to their end.
    pub completed: u64,
    /// Jobs for which not even the empty cluster has room.
    pub too_large: u64,
    /// From arrival to first start.
    pub queue_wait_s: Quantiles,
    /// From arrival to end.
    pub jct_s: Quantiles,
    /// Bounded slowdown: completion time over the run time, at least 1.
    pub slowdown: Quantiles,
    /// Finish-time fairness: completion time over what the job would have taken alone on its share
    /// of the cluster, which is the cluster divided by the mean number of jobs that were there
    /// with it. Above 1 it would have been better off alone.
    pub finish_time_fairness: Quantiles,
}

/// GPU seconds, by what they were good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct GpuSeconds {
    /// Work that lasted.
    pub work: f64,
    /// Work that was done and then lost.
    pub lost: f64,
    /// Restarts.
    pub restarting: f64,
    /// All that there were from the first arrival to the last end.
    pub capacity: f64,
}

/// What became of promises to start by some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Reservations {
    /// Jobs that were given any.
    pub jobs: u64,
    /// Of them, those that started in time.
    pub kept: u64,
    /// Those that started late.
    pub late: u64,
    /// By how much at most.
    pub late_s_max: f64,
}

/// One placement policy with one queue discipline.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClusterRun {
    /// Who chose the nodes.
    pub policy: String,
    /// Who chose the jobs.
    pub queue: String,
    /// The nodes.
    pub nodes: String,
    /// The jobs.
    pub tasks: String,
    /// From the first arrival to the last end.
    pub makespan_s: f64,
    /// Share of all GPU seconds that were held: an effect, not a goal.
    pub utilization: f64,
    /// What they were good for.
    pub gpu_s: GpuSeconds,
    /// Times that a job was made to stop for others.
    pub preemptions: u64,
    /// Times that a job was stopped by the failure of a node.
    pub failures: u64,
    /// Promised starts.
    pub reservations: Reservations,
    /// What the users of all jobs felt.
    #[serde(flatten)]
    pub felt: Felt,
    /// By account.
    pub accounts: BTreeMap<String, Felt>,
}

/// The report of a run; `slowdown_floor` is the floor of the run time in bounded slowdown.
pub fn report(
    policy: &str,
    queue: &str,
    nodes: &str,
    jobs: &JobList,
    simulated: &Simulated,
    slowdown_floor: Nanos,
) -> ClusterRun {
    let pairs: Vec<(&Job, &Record)> = jobs.jobs.iter().zip(&simulated.records).collect();
    let mut tally = Tally::default();
    let mut felt_by =
        |pairs: &[(&Job, &Record)]| tally.felt(pairs, simulated.capacity_milli, slowdown_floor);
    let mut by_account: Vec<Vec<(&Job, &Record)>> = vec![Vec::new(); jobs.accounts.len()];
    for pair in &pairs {
        if let Some(account) = by_account.get_mut(pair.0.account as usize) {
            account.push(*pair);
        }
    }
    let accounts = jobs.accounts.iter().zip(&by_account);
    let first = jobs.jobs.first().map_or(Nanos::ZERO, |job| job.arrival);
    let makespan_s = simulated.end.saturating_sub(first).as_seconds();
    let gpu_s = gpu_seconds(&pairs, simulated.capacity_milli, makespan_s);
    let held_s = gpu_s.work + gpu_s.lost + gpu_s.restarting;
    ClusterRun {
        policy: policy.to_owned(),
        queue: queue.to_owned(),
        nodes: nodes.to_owned(),
        tasks: jobs.name.clone(),
        makespan_s,
        utilization: if gpu_s.capacity > 0.0 { held_s / gpu_s.capacity } else { 0.0 },
        gpu_s,
        preemptions: pairs.iter().map(|(_, record)| u64::from(record.preemptions)).sum(),
        failures: pairs.iter().map(|(_, record)| u64::from(record.failures)).sum(),
        reservations: reservations(&pairs),
        felt: felt_by(&pairs),
        accounts: accounts.map(|(name, pairs)| (name.clone(), felt_by(pairs))).collect(),
    }
}

fn gpu_seconds(pairs: &[(&Job, &Record)], capacity_milli: u64, makespan_s: f64) -> GpuSeconds {
    let mut sum =
        GpuSeconds { capacity: capacity_milli as f64 / 1e3 * makespan_s, ..GpuSeconds::default() };
    for (job, record) in pairs.iter().filter(|(_, record)| record.ended.is_some()) {
        sum.work += job.gpus() * job.duration.as_seconds();
        sum.lost += job.gpus() * record.lost.as_seconds();
        sum.restarting += job.gpus() * record.restarting.as_seconds();
    }
    sum
}

fn reservations(pairs: &[(&Job, &Record)]) -> Reservations {
    let mut sum = Reservations::default();
    for (_, record) in pairs {
        let (Some(promised), Some(started)) = (record.promised, record.started) else { continue };
        sum.jobs += 1;
        if started <= promised {
            sum.kept += 1;
        } else {
            sum.late += 1;
            let late_s = started.saturating_sub(promised).as_seconds();
            sum.late_s_max = sum.late_s_max.max(late_s);
        }
    }
    sum
}

/// Histograms, used for one group after another.
#[derive(Debug, Default)]
struct Tally {
    queue_wait: Histogram,
    jct: Histogram,
    slowdown: Histogram,
    fairness: Histogram,
}

impl Tally {
    fn felt(&mut self, pairs: &[(&Job, &Record)], capacity_milli: u64, floor: Nanos) -> Felt {
        for histogram in
            [&mut self.queue_wait, &mut self.jct, &mut self.slowdown, &mut self.fairness]
        {
            histogram.reset();
        }
        for (job, record) in pairs {
            self.count(job, record, capacity_milli, floor);
        }
        let completed = self.jct.count();
        let offered = pairs.len() as u64;
        Felt {
            offered,
            completed,
            too_large: offered - completed,
            queue_wait_s: quantiles(&self.queue_wait, PARTS_PER_S),
            jct_s: quantiles(&self.jct, PARTS_PER_S),
            slowdown: quantiles(&self.slowdown, PARTS_PER_ONE),
            finish_time_fairness: quantiles(&self.fairness, PARTS_PER_ONE),
        }
    }

    fn count(&mut self, job: &Job, record: &Record, capacity_milli: u64, floor: Nanos) {
        let (Some(started), Some(ended)) = (record.started, record.ended) else { return };
        let jct = ended.saturating_sub(job.arrival);
        let micros = |time: Nanos| time.get() / 1_000;
        self.queue_wait.record(micros(started.saturating_sub(job.arrival)));
        self.jct.record(micros(jct));
        let waited = jct.saturating_sub(job.duration);
        let slowdown = bounded_slowdown(waited, job.duration, floor);
        self.slowdown.record((slowdown * PARTS_PER_ONE) as u64);
        let share_milli = capacity_milli as f64 / record.contention.max(1.0);
        let alone_s = job.duration.as_seconds() * (job.gpu_milli() as f64 / share_milli).max(1.0);
        // A job without length would have taken no time alone: there is nothing to compare.
        if let Ok(ratio) = finish_time_fairness(jct.as_seconds(), alone_s) {
            self.fairness.record((ratio * PARTS_PER_ONE) as u64);
        }
    }
}

fn quantiles(histogram: &Histogram, parts: f64) -> Quantiles {
    // The quantiles asked for are in range, so only an empty histogram has no answer.
    let at =
        |q: f64| histogram.quantile(q).ok().flatten().map_or(0.0, |value| value as f64 / parts);
    Quantiles {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        mean: histogram.mean().map_or(0.0, |mean| mean / parts),
        max: histogram.max().map_or(0.0, |max| max as f64 / parts),
    }
}
