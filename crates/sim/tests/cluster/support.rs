//! Clusters, jobs and runs for these tests.

use std::path::PathBuf;

use rampmeter::Nanos;
use rampmeter_sim::cluster::jobs::gang;
use rampmeter_sim::cluster::{
    ClusterRun, Costs, Job, JobList, NodeList, Options, Placement, Queue, ReadOptions, Simulated,
    Spec, report, simulate,
};

/// A file among the shared traces, or `None` (and a line saying so) without them.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("RAMPMETER_SHARED").map_or_else(|| default.into(), PathBuf::from);
    let path = root.join("traces").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("shared traces absent at {}: real-data checks not run", path.display());
    None
}

/// The jobs of a shared trace, for nodes with so many devices.
pub(crate) fn shared_jobs(name: &str, devices_per_node: u32) -> Option<JobList> {
    let spec = Spec { path: shared(name)?, given: None };
    let mut nodes = NodeList::default();
    let read = spec.read(ReadOptions { devices_per_node }, &mut nodes);
    Some(read.unwrap_or_else(|error| panic!("{error}")))
}

/// Jobs of (arrival, duration, estimate) in seconds and GPUs, all of one account.
pub(crate) fn jobs_of(list: &[(f64, f64, f64, u32)], devices_per_node: u32) -> JobList {
    let job = |&(arrival_s, duration_s, estimate_s, gpus): &(f64, f64, f64, u32)| {
        let (members, member) = gang(gpus, devices_per_node);
        Job {
            arrival: Nanos::from_seconds(arrival_s),
            duration: Nanos::from_seconds(duration_s),
            estimate: Nanos::from_seconds(estimate_s),
            member,
            members,
            account: 0,
        }
    };
    let jobs = list.iter().map(job).collect();
    JobList { name: "test".to_owned(), jobs, accounts: vec!["all".to_owned()], skipped: 0 }
}

/// Preemption that costs nothing.
pub(crate) const FREE: Options = Options {
    costs: Costs { restart: Nanos::ZERO, checkpoint: None },
    interval: Nanos::ZERO,
    failures: None,
};

pub(crate) fn run(nodes: &NodeList, jobs: &JobList, queue: Queue, options: &Options) -> Simulated {
    let policy = "best_fit".parse::<Placement>().unwrap().policy().unwrap();
    simulate(nodes, jobs, &policy, &mut *queue.discipline(), options, &mut |_| ())
        .unwrap_or_else(|error| panic!("{queue}: {error}"))
}

pub(crate) fn reported(
    nodes: &NodeList,
    jobs: &JobList,
    queue: Queue,
    options: &Options,
) -> ClusterRun {
    let simulated = run(nodes, jobs, queue, options);
    let floor = Nanos::from_seconds(1.0);
    report("best_fit", queue.name(), &nodes.name, jobs, &simulated, floor)
}
