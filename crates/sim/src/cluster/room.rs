//! Running exactly those who come first in an order, preempting whom that takes.
//!
//! # Formula
//! 1. By counts: in the order given, whoever still fits the GPUs of the cluster is chosen, and who
//!    does not is passed over.
//! 2. Who runs and is not chosen stops.
//! 3. Who is chosen starts, in order. Where the free GPUs are scattered so that it has no room,
//!    those chosen after it, the last first, stop until it has; who was stopped in vain goes on.
//! 4. What is left over is filled with anybody who fits, in order.
//!
//! # What it is bad at
//! Jobs that share devices: room is made on whole devices only. CPU and memory are not looked at
//! when room is made; where they are what is lacking, a job waits.

use std::collections::BTreeSet;

use rampmeter::fleet::DeviceDemand;

use super::error::ClusterError;
use super::jobs::Job;
use super::state::Cluster;

/// Lets those run who come first in `order`, which names every job that waits or runs.
pub(super) fn prefer(cluster: &mut Cluster<'_>, order: &[usize]) -> Result<(), ClusterError> {
    let mut free = cluster.capacity_milli();
    let mut chosen = Vec::new();
    for &job in order {
        let wanted = cluster.job(job).gpu_milli();
        if wanted <= free {
            free -= wanted;
            chosen.push(job);
        }
    }
    let stays: BTreeSet<usize> = chosen.iter().copied().collect();
    let leaving: Vec<usize> = cluster.running().difference(&stays).copied().collect();
    for job in leaving {
        cluster.stop(job)?;
    }
    for (place, &job) in chosen.iter().enumerate() {
        if cluster.running().contains(&job) || cluster.start(job)? {
            continue;
        }
        for victim in victims(cluster, job, &chosen[place + 1..]) {
            cluster.stop(victim)?;
        }
        cluster.start(job)?;
    }
    for &job in order {
        if cluster.waiting().contains(&job) {
            cluster.start(job)?;
        }
    }
    Ok(())
}

/// Jobs of `after` whose end makes room for a job, or nobody if that cannot be had.
fn victims(cluster: &Cluster<'_>, job: usize, after: &[usize]) -> Vec<usize> {
    let wanted = *cluster.job(job);
    let mut free = cluster.free_devices();
    let mut victims = Vec::new();
    for &other in after.iter().rev().filter(|other| cluster.running().contains(other)) {
        if fits(&wanted, &free) {
            break;
        }
        for (node, devices) in cluster.held_devices(other) {
            free[node] += devices;
        }
        victims.push(other);
    }
    if !fits(&wanted, &free) {
        return Vec::new();
    }
    // Those whose devices are in the wrong places: the foremost in the order is spared first.
    for at in (0..victims.len()).rev() {
        let held = cluster.held_devices(victims[at]);
        for &(node, devices) in &held {
            free[node] -= devices;
        }
        if fits(&wanted, &free) {
            victims.remove(at);
        } else {
            for (node, devices) in held {
                free[node] += devices;
            }
        }
    }
    victims
}

/// Whether the members of a job of whole devices fit nodes with so many free.
fn fits(job: &Job, free: &[u32]) -> bool {
    let DeviceDemand::Whole { count, .. } = job.member.devices else { return false };
    let each = u32::from(count.max(1));
    free.iter().map(|free| u64::from(free / each)).sum::<u64>() >= u64::from(job.members)
}
