//! Packing: every list under every policy with every seed.

use std::path::PathBuf;
use std::time::Instant;

use rampmeter_sim::InputError;
use rampmeter_sim::cluster::pack::{self, SEED_FIRST};
use rampmeter_sim::cluster::{NodeList, PackOptions, PackPolicy, PackRun, openb};

use super::{named, once};

/// What is packed, and by whom.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PackJob {
    /// A list of nodes, or so many equal ones.
    pub(crate) nodes: String,
    /// Lists of tasks.
    pub(crate) tasks: Vec<PathBuf>,
    /// Names of policies.
    pub(crate) policies: Vec<String>,
    /// How many seeds.
    pub(crate) seeds: u32,
    /// GPU demand over capacity at which a run ends.
    pub(crate) until: f64,
}

/// Every policy that packs.
pub(crate) fn pack_policy_names() -> Vec<&'static str> {
    PackPolicy::ALL.map(PackPolicy::name).to_vec()
}

/// Packs; `tell` hears how many of how many runs are done and which is next. Runs follow one
/// another, since they are timed.
pub(crate) fn pack(
    job: &PackJob,
    tell: &dyn Fn(u64, u64, &str),
) -> Result<Vec<PackRun>, InputError> {
    let policies: Vec<PackPolicy> =
        job.policies.iter().map(|name| named("--policy", name)).collect::<Result<_, _>>()?;
    once("--policy", &policies)?;
    let mut nodes = NodeList::read(&job.nodes)?;
    let lists: Vec<_> =
        job.tasks.iter().map(|path| openb::read(path, &mut nodes)).collect::<Result<_, _>>()?;
    let names: Vec<&str> = lists.iter().map(|list| list.name.as_str()).collect();
    once("--tasks", &names)?;
    let begin = Instant::now();
    let clock = || u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let total = lists.len() as u64 * policies.len() as u64 * u64::from(job.seeds);
    let mut runs = Vec::new();
    for list in &lists {
        for &policy in &policies {
            for seed in (SEED_FIRST..).take(job.seeds as usize) {
                tell(runs.len() as u64, total, policy.name());
                let options = PackOptions { policy, seed, until: job.until };
                runs.push(pack::run(&nodes, list, &options, &clock)?);
            }
        }
    }
    Ok(runs)
}
