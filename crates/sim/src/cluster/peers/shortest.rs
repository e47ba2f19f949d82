//! Shortest first, preemptive, by what only a simulator knows: how much work a job has left.
//!
//! `srtf` goes by time, which is optimal for the mean completion time on one machine (Schrage
//! 1968); `srsf` by time multiplied by GPUs. Both are the rules of that name in Gu et al.,
//! "Tiresias: A GPU Cluster Manager for Distributed Deep Learning" (NSDI 2019).

use super::super::discipline::Discipline;
use super::super::error::ClusterError;
use super::super::room::prefer;
use super::super::state::Cluster;

/// Shortest first.
#[derive(Debug)]
pub(in super::super) struct Shortest {
    by_service: bool,
}

impl Shortest {
    /// By time that is left.
    pub(in super::super) const fn by_time() -> Self {
        Self { by_service: false }
    }

    /// By GPU time that is left.
    pub(in super::super) const fn by_service() -> Self {
        Self { by_service: true }
    }
}

impl Discipline for Shortest {
    fn decide(&mut self, cluster: &mut Cluster<'_>) -> Result<(), ClusterError> {
        let runnable = cluster.running().union(cluster.waiting());
        let mut order: Vec<(u128, usize)> = runnable
            .map(|&job| {
                let width = if self.by_service { cluster.job(job).gpu_milli() } else { 1 };
                (u128::from(cluster.remaining(job).get()) * u128::from(width), job)
            })
            .collect();
        order.sort_unstable();
        let order: Vec<usize> = order.into_iter().map(|(_, job)| job).collect();
        prefer(cluster, &order)
    }
}
