//! Placements by queue disciplines over one trace of jobs.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rampmeter::Nanos;
use rampmeter::policy::Policy;
use rampmeter_sim::InputError;
use rampmeter_sim::cluster::{
    ClusterRun, Costs, Failures, Format, NodeList, Options, Placement, Queue, ReadOptions, Spec,
    report, simulate,
};

use super::parallel::in_parallel;
use super::{about, named, once};

/// Parts of a run after which progress is told.
const TOLD_PARTS: usize = 100;

/// Placements by disciplines over one trace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClusterJob {
    /// `PATH|NxG[:MODEL]`.
    pub(crate) nodes: String,
    /// `PATH[:FORMAT]`.
    pub(crate) tasks: String,
    /// Placements as named on the command line.
    pub(crate) policies: Vec<String>,
    /// Queue disciplines as named on the command line.
    pub(crate) queues: Vec<String>,
    /// What a job that was stopped needs to go on.
    pub(crate) restart_s: f64,
    /// How often jobs save their state; without it, on their way out.
    pub(crate) checkpoint_s: Option<f64>,
    /// Decisions are made at multiples of this only; 0: after every event.
    pub(crate) interval_s: f64,
    /// Mean time between failures of each node; without it none fails.
    pub(crate) mtbf_s: Option<f64>,
    /// Mean time to its repair.
    pub(crate) mttr_s: f64,
    /// Seed of failures.
    pub(crate) seed: u64,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Clustered {
    /// The nodes.
    pub(crate) nodes: String,
    /// GPUs on all of them.
    pub(crate) gpus: u64,
    /// The jobs.
    pub(crate) tasks: String,
    /// Jobs of the file that are left out: it does not tell how long they ran.
    pub(crate) skipped: u64,
    /// What a preemption costs.
    pub(crate) options: Options,
    /// Placement by placement, discipline by discipline.
    pub(crate) runs: Vec<ClusterRun>,
}

/// Every placement that `--policy` takes.
pub(crate) fn placement_names() -> Vec<String> {
    Placement::names()
}

/// Every format of jobs.
pub(crate) fn job_format_names() -> Vec<&'static str> {
    Format::ALL.map(Format::name).to_vec()
}

/// One run to do.
struct Task<'a> {
    placement: &'a Placement,
    policy: &'a Policy,
    queue: Queue,
}

/// Runs the jobs under every placement with every discipline, on all cores. `tell` hears how many
/// jobs have ended, of how many over all runs, and in which run the last one did.
pub(crate) fn replay_cluster(
    job: &ClusterJob,
    tell: &(dyn Fn(u64, u64, &str) + Sync),
) -> Result<Clustered, InputError> {
    let each = |name: &String| named::<Placement>("--policy", name);
    let placements: Vec<Placement> = job.policies.iter().map(each).collect::<Result<_, _>>()?;
    let each = |name: &String| named::<Queue>("--queue", name);
    let queues: Vec<Queue> = job.queues.iter().map(each).collect::<Result<_, _>>()?;
    once("--policy", &placements)?;
    once("--queue", &queues)?;
    let policies: Vec<Policy> =
        placements.iter().map(Placement::policy).collect::<Result<_, _>>()?;
    let mut nodes = NodeList::read(&job.nodes)?;
    let devices = nodes.nodes.iter().map(|node| u32::from(node.devices));
    let (gpus, most) =
        devices.fold((0, 0), |(all, most), each| (all + u64::from(each), most.max(each)));
    let jobs = Spec::parse(&job.tasks)?.read(ReadOptions { devices_per_node: most }, &mut nodes)?;
    let options = Options {
        costs: Costs {
            restart: Nanos::from_seconds(job.restart_s),
            checkpoint: job.checkpoint_s.map(Nanos::from_seconds),
        },
        interval: Nanos::from_seconds(job.interval_s),
        failures: job.mtbf_s.map(|mtbf_s| Failures {
            mtbf: Nanos::from_seconds(mtbf_s),
            mttr: Nanos::from_seconds(job.mttr_s),
            seed: job.seed,
        }),
    };
    let of_each = placements.iter().zip(&policies);
    let tasks: Vec<Task<'_>> = of_each
        .flat_map(|(placement, policy)| {
            queues.iter().map(move |&queue| Task { placement, policy, queue })
        })
        .collect();
    let total = (tasks.len() * jobs.jobs.len()) as u64;
    let ended = AtomicU64::new(0);
    let runs = in_parallel(&tasks, |task| {
        let name = format!("{} {}", task.placement, task.queue);
        let mut told = 0;
        let mut hears = |done: usize| {
            if done - told > jobs.jobs.len() / TOLD_PARTS {
                let more = (done - told) as u64;
                told = done;
                tell(ended.fetch_add(more, Ordering::Relaxed) + more, total, &name);
            }
        };
        let mut queue = task.queue.discipline();
        simulate(&nodes, &jobs, task.policy, &mut *queue, &options, &mut hears)
            .map(|simulated| {
                let floor = task.policy.objectives.slowdown_floor;
                let (placement, queue) = (task.placement.to_string(), task.queue.name());
                report(&placement, queue, &nodes.name, &jobs, &simulated, floor)
            })
            .map_err(|error| about(Path::new(&name), &error))
    })?;
    let (tasks, skipped) = (jobs.name, jobs.skipped);
    Ok(Clustered { nodes: nodes.name, gpus, tasks, skipped, options, runs })
}
