//! Least attained service in levels (Tiresias-L), preemptive, without any knowledge of run times.
//!
//! A job begins in the first level and sinks as the GPU time it has had passes the limits between
//! levels. Lower levels run on what higher ones leave. Inside a level who runs goes on before who
//! waits, and then the order is that of arrival in the level.
//!
//! Source: Gu et al., "Tiresias: A GPU Cluster Manager for Distributed Deep Learning" (NSDI 2019),
//! section 3.3, with the limits of the simulator that its authors published, which the Muri
//! artifact runs unchanged. Nobody is promoted again, as there by default.

use rampmeter::Nanos;

use super::super::discipline::Discipline;
use super::super::error::ClusterError;
use super::super::room::prefer;
use super::super::state::Cluster;

/// Levels.
const LEVELS: usize = 3;

/// GPU seconds at which a job leaves each level but the last.
const LIMITS_GPU_S: [u64; LEVELS - 1] = [3_250, 7_200];

/// Thousandths of a GPU for a nanosecond, in a GPU second.
const MILLI_NANOS: u128 = 1_000 * 1_000_000_000;

/// Least attained service.
#[derive(Debug, Default)]
pub(in super::super) struct Las {
    levels: [Vec<usize>; LEVELS],
}

fn limit(level: usize) -> Option<u128> {
    LIMITS_GPU_S.get(level).map(|seconds| u128::from(*seconds) * MILLI_NANOS)
}

fn attained(cluster: &Cluster<'_>, job: usize) -> u128 {
    u128::from(cluster.held(job).get()) * u128::from(cluster.job(job).gpu_milli())
}

impl Las {
    fn sink(&mut self, cluster: &Cluster<'_>) {
        for level in 0..LEVELS - 1 {
            let Some(limit) = limit(level) else { continue };
            let (below, stays) = self.levels[level]
                .iter()
                .copied()
                .partition::<Vec<usize>, _>(|job| attained(cluster, *job) >= limit);
            self.levels[level] = stays;
            self.levels[level + 1].extend(below);
        }
    }
}

impl Discipline for Las {
    fn arrived(&mut self, job: usize) {
        self.levels[0].push(job);
    }

    fn ended(&mut self, _cluster: &Cluster<'_>, job: usize) {
        for level in &mut self.levels {
            level.retain(|other| *other != job);
        }
    }

    fn decide(&mut self, cluster: &mut Cluster<'_>) -> Result<(), ClusterError> {
        self.sink(cluster);
        prefer(cluster, &self.levels.concat())?;
        for level in &mut self.levels {
            level.sort_by_key(|job| !cluster.running().contains(job));
        }
        Ok(())
    }

    /// When the next running job sinks.
    fn next_event(&self, cluster: &Cluster<'_>) -> Option<Nanos> {
        let sinks = |(level, jobs): (usize, &Vec<usize>)| {
            let limit = limit(level)?;
            let running = jobs.iter().filter(|job| cluster.running().contains(job));
            let left = running.filter_map(|&job| {
                let width = u128::from(cluster.job(job).gpu_milli());
                let left = limit.saturating_sub(attained(cluster, job));
                (width > 0).then(|| left.div_ceil(width))
            });
            left.min()
        };
        let left = self.levels.iter().enumerate().filter_map(sinks).min()?;
        Some(cluster.now().saturating_add(Nanos(left.min(u128::from(u64::MAX)) as u64)))
    }
}
