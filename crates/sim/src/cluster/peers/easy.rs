//! EASY backfilling: first come, first served, but who fits beside the first that waits, and does
//! not delay it, goes ahead.
//!
//! # Formula
//! The first that waits is promised the *shadow time*, at which by the users' estimates enough
//! GPUs will be free. Another one may start now if it ends by then, or if it takes no more than the
//! GPUs that the first will leave over at that time.
//!
//! # Bounds and cost
//! With estimates that are never too short, and GPUs that are all in reach of each other, the first
//! never starts later than promised. O(running log running + waiting) for a decision.
//!
//! # What it is bad at
//! It counts GPUs: where the free ones are scattered over nodes, a promise may be broken. Only one
//! job has a promise at a time.
//!
//! # Source
//! Lifka, "The ANL/IBM SP Scheduling System" (JSSPP 1995).

use rampmeter::Nanos;

use super::super::discipline::Discipline;
use super::super::error::ClusterError;
use super::super::state::Cluster;

/// EASY backfilling.
#[derive(Debug)]
pub(in super::super) struct Backfill;

/// What the first that waits was promised.
struct Shadow {
    at: Nanos,
    /// GPUs that will be left over then, in thousandths.
    extra_milli: u64,
}

/// When enough will be free for a job; `None` where nothing that runs would ever make it so.
fn shadow(cluster: &Cluster<'_>, wanted_milli: u64) -> Option<Shadow> {
    let mut ends: Vec<(Nanos, u64)> = cluster
        .running()
        .iter()
        .map(|&job| (cluster.estimated_end(job), cluster.job(job).gpu_milli()))
        .collect();
    ends.sort_unstable();
    let mut free = cluster.free_milli();
    let mut at = None;
    for (end, given_back) in ends {
        // All that end together count.
        if at.is_some_and(|at| end > at) {
            break;
        }
        free += given_back;
        if free >= wanted_milli {
            at = Some(end);
        }
    }
    at.map(|at| Shadow { at, extra_milli: free - wanted_milli })
}

impl Discipline for Backfill {
    fn decide(&mut self, cluster: &mut Cluster<'_>) -> Result<(), ClusterError> {
        let mut first = None;
        while let Some(&job) = cluster.waiting().first() {
            if !cluster.start(job)? {
                first = Some(job);
                break;
            }
        }
        let Some(first) = first else { return Ok(()) };
        let Some(mut shadow) = shadow(cluster, cluster.job(first).gpu_milli()) else {
            return Ok(());
        };
        cluster.promise(first, shadow.at)?;
        let behind: Vec<usize> = cluster.waiting().range(first + 1..).copied().collect();
        for job in behind {
            let &asked = cluster.job(job);
            let in_time = cluster.now().saturating_add(asked.estimate) <= shadow.at;
            let beside = asked.gpu_milli() <= shadow.extra_milli;
            if !(in_time || beside) || !cluster.start(job)? {
                continue;
            }
            if !in_time {
                shadow.extra_milli -= asked.gpu_milli();
            }
        }
        Ok(())
    }
}
