//! Conservative backfilling: everybody who waits is promised a start, and nobody may go ahead if
//! that delays anybody's promise.
//!
//! # Formula
//! Free GPUs over time are a step function, from the users' estimates of who runs and from all
//! promises. A job that comes is promised the earliest stretch that is long and wide enough. When
//! somebody ends early, each in order of arrival gives up its promise and takes the earliest stretch
//! then, which is never later.
//!
//! # Bounds and cost
//! With estimates that are never too short, and GPUs that are all in reach of each other, nobody
//! starts later than ever promised. O(waiting * (running + waiting)) when somebody ends early.
//!
//! # What it is bad at
//! It counts GPUs: where the free ones are scattered over nodes, a promise may be broken. Long
//! queues are slow.
//!
//! # Source
//! Mu'alem and Feitelson, "Utilization, Predictability, Workloads, and User Runtime Estimates in
//! Scheduling the IBM SP2 with Backfilling" (IEEE TPDS 12:6, 2001).

use std::collections::BTreeMap;

use rampmeter::Nanos;

use super::super::discipline::Discipline;
use super::super::error::ClusterError;
use super::super::jobs::Job;
use super::super::state::Cluster;

/// Conservative backfilling.
#[derive(Debug, Default)]
pub(in super::super) struct Conservative {
    /// Promised starts, by job: in order of arrival.
    promises: BTreeMap<usize, Nanos>,
    /// Jobs that came since the last decision.
    new: Vec<usize>,
    /// Somebody ended early since then.
    freed: bool,
}

/// Free thousandths of GPUs over time, as differences at points in time.
#[derive(Debug, Default)]
struct Profile {
    steps: BTreeMap<Nanos, i64>,
}

impl Profile {
    /// Takes GPUs (or with a negative count gives them) from `start` to `end`.
    fn take(&mut self, start: Nanos, end: Nanos, milli: i64) {
        *self.steps.entry(start).or_default() -= milli;
        *self.steps.entry(end).or_default() += milli;
    }

    /// The earliest time from `now` on from which so much stays free for so long.
    fn earliest(&self, now: Nanos, length: Nanos, milli: i64) -> Nanos {
        let mut free = 0;
        // Since when, from now on, so much has been free.
        let mut since: Option<Nanos> = None;
        for (&at, step) in &self.steps {
            if let Some(since) = since.filter(|since| since.saturating_add(length) <= at) {
                return since;
            }
            free += step;
            since = if free < milli { None } else { since.or(Some(at.max(now))) };
        }
        since.unwrap_or(now)
    }
}

fn length(job: &Job) -> Nanos {
    // A job of no length still needs its GPUs free for a moment.
    job.estimate.max(Nanos(1))
}

impl Conservative {
    /// Who runs and all promises; those that are due begin now.
    fn profile(&self, cluster: &Cluster<'_>) -> Profile {
        let now = cluster.now();
        let mut profile = Profile::default();
        profile.steps.insert(Nanos::ZERO, cluster.capacity_milli().cast_signed());
        for &job in cluster.running() {
            let end = cluster.estimated_end(job).max(Nanos(now.get().saturating_add(1)));
            profile.take(Nanos::ZERO, end, cluster.job(job).gpu_milli().cast_signed());
        }
        for (&job, start) in &self.promises {
            let start = (*start).max(now);
            let asked = cluster.job(job);
            profile.take(
                start,
                start.saturating_add(length(asked)),
                asked.gpu_milli().cast_signed(),
            );
        }
        profile
    }

    fn plan(&mut self, cluster: &mut Cluster<'_>) -> Result<(), ClusterError> {
        let now = cluster.now();
        let mut profile = self.profile(cluster);
        if self.freed {
            for (&job, promise) in &mut self.promises {
                let &asked = cluster.job(job);
                let (length, milli) = (length(&asked), asked.gpu_milli().cast_signed());
                let before = (*promise).max(now);
                profile.take(before, before.saturating_add(length), -milli);
                let start = profile.earliest(now, length, milli);
                profile.take(start, start.saturating_add(length), milli);
                *promise = start;
                cluster.promise(job, start)?;
            }
        }
        for job in std::mem::take(&mut self.new) {
            let &asked = cluster.job(job);
            let (length, milli) = (length(&asked), asked.gpu_milli().cast_signed());
            let start = profile.earliest(now, length, milli);
            profile.take(start, start.saturating_add(length), milli);
            self.promises.insert(job, start);
            cluster.promise(job, start)?;
        }
        self.freed = false;
        Ok(())
    }
}

impl Discipline for Conservative {
    fn arrived(&mut self, job: usize) {
        self.new.push(job);
    }

    /// An end that was expected frees nothing that is not promised already.
    fn ended(&mut self, cluster: &Cluster<'_>, job: usize) {
        let ended = cluster.job(job);
        self.freed |= ended.estimate > ended.duration;
    }

    fn decide(&mut self, cluster: &mut Cluster<'_>) -> Result<(), ClusterError> {
        self.plan(cluster)?;
        let now = cluster.now();
        let due: Vec<usize> =
            self.promises.iter().filter(|(_, at)| **at <= now).map(|(job, _)| *job).collect();
        for job in due {
            if cluster.start(job)? {
                self.promises.remove(&job);
            }
        }
        Ok(())
    }

    /// Promises were made with nodes that are gone: all are made anew.
    fn lost(&mut self, job: usize) {
        self.new.push(job);
        self.freed = true;
    }

    /// When the next promise is due.
    fn next_event(&self, cluster: &Cluster<'_>) -> Option<Nanos> {
        self.promises.values().copied().filter(|at| *at > cluster.now()).min()
    }
}
