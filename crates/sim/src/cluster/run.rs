//! The simulator: from one event to the next.
//!
//! # What it does
//! Jobs come, end, are stopped and go on; after every event the discipline decides. Work is
//! integer nanoseconds, so that none of it is ever rounded away: for every job that ended,
//! `time on devices = duration + lost work + restarts`, exactly.
//!
//! # Preemption
//! A job that is stopped for others waits again. When it goes on it spends [`Costs::restart`]
//! first, and of its work it keeps what [`Costs::checkpoint`] says.
//!
//! # Failures
//! Nodes fail and are repaired as [`Failures`] says. A job that loses a member stops as a whole; it
//! keeps what it had saved, which without checkpoints is nothing of what it did since it last
//! started.
//!
//! # What is not modelled
//! Jobs run at one speed wherever they are: no interference, no slow links, no loading of what is
//! not there. Stopping takes no time. Nobody resubmits or gives up.

use rampmeter::Nanos;
use rampmeter::policy::Policy;

use super::discipline::Discipline;
use super::error::ClusterError;
use super::failures::{Failures, Schedule};
use super::jobs::JobList;
use super::nodes::NodeList;
use super::state::Cluster;

/// What a preemption costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Costs {
    /// Time on its GPUs that a job needs before it goes on with its work.
    pub restart: Nanos,
    /// A job saves its state each time it has worked for so long, and loses what it did since when
    /// it is stopped. `None`: it saves its state when it is told to stop, and loses nothing.
    pub checkpoint: Option<Nanos>,
}

impl Default for Costs {
    /// 10 s, and state is saved on the way out: what the Muri artifact takes for models that it
    /// did not measure (4 to 46 s for those it did).
    fn default() -> Self {
        Self { restart: Nanos::from_millis(10_000), checkpoint: None }
    }
}

/// How a simulation runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// What a preemption costs.
    pub costs: Costs,
    /// Decisions are made at multiples of this only; zero: after every event.
    pub interval: Nanos,
    /// How often nodes fail; `None`: never.
    pub failures: Option<Failures>,
}

/// What became of one job.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record {
    /// When it first ran; `None` if not even the empty cluster has room for it.
    pub started: Option<Nanos>,
    /// When it ended.
    pub ended: Option<Nanos>,
    /// The earliest start that it was ever promised while it waited.
    pub promised: Option<Nanos>,
    /// Time on its devices, restarts and lost work included.
    pub held: Nanos,
    /// Work that was done and then lost.
    pub lost: Nanos,
    /// Time spent restarting.
    pub restarting: Nanos,
    /// Times that it was made to stop for others.
    pub preemptions: u32,
    /// Times that it was stopped by the failure of a node.
    pub failures: u32,
    /// Mean number of jobs that waited or ran between its arrival and its end, itself included.
    pub contention: f64,
}

/// What became of all jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Simulated {
    /// Job by job, in the order of the list.
    pub records: Vec<Record>,
    /// Thousandths of GPUs that there are.
    pub capacity_milli: u64,
    /// When the last job ended.
    pub end: Nanos,
    /// Thousandths of GPUs held by all jobs together, at most.
    pub held_milli_max: u64,
}

/// Runs all jobs to their end. `tell` hears how many of them have ended.
///
/// # Errors
/// [`ClusterError`]; with the disciplines of this crate only for a cluster or policy that the
/// library refuses.
pub fn simulate(
    nodes: &NodeList,
    jobs: &JobList,
    policy: &Policy,
    discipline: &mut dyn Discipline,
    options: &Options,
    tell: &mut dyn FnMut(usize),
) -> Result<Simulated, ClusterError> {
    let mut cluster = Cluster::new(nodes, &jobs.jobs, policy, options.costs)?;
    let impossible = cluster.impossible()?;
    let capacity_milli = cluster.capacity_milli();
    let mut run = Run {
        arrivals: (0..jobs.jobs.len()).filter(|job| !impossible[*job]).collect(),
        arrived: 0,
        ended: 0,
        present: Present::default(),
        contention: vec![0.0; jobs.jobs.len()],
        interval: options.interval,
        failures: options.failures.map(|failures| Schedule::new(failures, nodes.nodes.len())),
        undecided: false,
        held_milli_max: 0,
    };
    while let Some(now) = run.next(&cluster, discipline) {
        run.present.advance(now);
        cluster.advance(now);
        run.ends(&mut cluster, discipline)?;
        run.fail(&mut cluster, discipline)?;
        run.come(&mut cluster, discipline);
        if run.is_time(now) {
            discipline.decide(&mut cluster)?;
            run.undecided = false;
        }
        let held = cluster.capacity_milli() - cluster.free_milli();
        run.held_milli_max = run.held_milli_max.max(held);
        tell(run.ended);
    }
    if !cluster.waiting().is_empty() {
        return Err(ClusterError::Stuck { waiting: cluster.waiting().len() });
    }
    Ok(run.finish(&cluster, capacity_milli))
}

/// Jobs that wait or run, and how many there have been over time.
#[derive(Debug, Default)]
struct Present {
    count: u64,
    at: Nanos,
    job_s: f64,
}

impl Present {
    fn advance(&mut self, now: Nanos) {
        self.job_s += self.count as f64 * now.saturating_sub(self.at).as_seconds();
        self.at = now;
    }
}

/// What the loop keeps in mind.
struct Run {
    /// Jobs that will come, in order.
    arrivals: Vec<usize>,
    arrived: usize,
    ended: usize,
    present: Present,
    /// By job: at first the job-seconds before it came, in the end the mean while it was there.
    contention: Vec<f64>,
    interval: Nanos,
    failures: Option<Schedule>,
    /// Something has happened since the last decision.
    undecided: bool,
    held_milli_max: u64,
}

impl Run {
    /// When something happens next.
    fn next(&self, cluster: &Cluster<'_>, discipline: &dyn Discipline) -> Option<Nanos> {
        let arrival = self.arrivals.get(self.arrived).map(|job| cluster.job(*job).arrival);
        let now = cluster.now();
        if arrival.is_none() && cluster.waiting().is_empty() && cluster.running().is_empty() {
            return None;
        }
        let failure = self.failures.as_ref().and_then(Schedule::next);
        let wanted = discipline.next_event(cluster).filter(|at| *at > now);
        let decision = if self.undecided { Some(Nanos(now.get() + 1)) } else { wanted };
        let decision = decision.map(|at| self.decided_at(at));
        [arrival, cluster.next_end(), failure, decision].into_iter().flatten().min()
    }

    /// The first time from `at` on at which decisions are made.
    fn decided_at(&self, at: Nanos) -> Nanos {
        match self.interval.get() {
            0 => at,
            every => Nanos(at.get().div_ceil(every).saturating_mul(every)),
        }
    }

    fn is_time(&self, now: Nanos) -> bool {
        self.decided_at(now) == now
    }

    fn ends(
        &mut self,
        cluster: &mut Cluster<'_>,
        discipline: &mut dyn Discipline,
    ) -> Result<(), ClusterError> {
        while let Some(job) = cluster.end_next()? {
            discipline.ended(cluster, job);
            let stayed_s = cluster.now().saturating_sub(cluster.job(job).arrival).as_seconds();
            let shared_s = self.present.job_s - self.contention[job];
            self.contention[job] = if stayed_s > 0.0 { shared_s / stayed_s } else { 1.0 };
            self.present.count -= 1;
            self.ended += 1;
            self.undecided = true;
        }
        Ok(())
    }

    fn fail(
        &mut self,
        cluster: &mut Cluster<'_>,
        discipline: &mut dyn Discipline,
    ) -> Result<(), ClusterError> {
        let Some(schedule) = &mut self.failures else { return Ok(()) };
        while let Some((node, returns)) = schedule.take(cluster.now()) {
            if returns {
                cluster.repair(node)?;
            } else {
                for job in cluster.fail(node)? {
                    discipline.lost(job);
                }
            }
            self.undecided = true;
        }
        Ok(())
    }

    fn come(&mut self, cluster: &mut Cluster<'_>, discipline: &mut dyn Discipline) {
        while let Some(&job) = self.arrivals.get(self.arrived)
            && cluster.job(job).arrival <= cluster.now()
        {
            cluster.arrive(job);
            discipline.arrived(job);
            self.contention[job] = self.present.job_s;
            self.present.count += 1;
            self.arrived += 1;
            self.undecided = true;
        }
    }

    fn finish(self, cluster: &Cluster<'_>, capacity_milli: u64) -> Simulated {
        let records = cluster.progress.iter().enumerate().map(|(job, progress)| Record {
            started: progress.started,
            ended: progress.ended,
            promised: progress.promised,
            held: cluster.held(job),
            lost: progress.lost,
            restarting: progress.restarting,
            preemptions: progress.preemptions,
            failures: progress.failures,
            contention: self.contention[job],
        });
        let records: Vec<Record> = records.collect();
        let end = records.iter().filter_map(|record| record.ended).max();
        Simulated {
            capacity_milli,
            end: end.unwrap_or_default(),
            held_milli_max: self.held_milli_max,
            records,
        }
    }
}
