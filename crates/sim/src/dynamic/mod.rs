//! Whole-request batching: an event simulator of instances with a latency curve, and the policies
//! that servers ship today.
//!
//! # Model
//! Requests come at given moments, each with a deadline. A policy says, whenever something
//! happened, whether to launch a batch on an idle instance and of whom, or until when to wait. A
//! batch of `b` takes exactly `L(b)`; instances do not disturb each other. What is not modelled:
//! the network, queues inside the device, and noise in batch times.
//!
//! # Load
//! 1.0 is what all instances answer at the most efficient size up to the largest batch:
//! `instances * max b / L(b)` requests a second.

pub mod arrivals;
pub mod contest;
pub mod peers;
mod rampmeter;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ::rampmeter::Nanos;
use ::rampmeter::engine::LatencyCurve;

pub use rampmeter::Rampmeter;

/// A request of a workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Item {
    /// When it comes.
    pub arrival: Nanos,
    /// When its answer is due.
    pub deadline: Nanos,
}

/// What there is to run on.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Seconds of a batch.
    pub curve: LatencyCurve,
    /// Largest batch.
    pub batch_size_max: u32,
    /// Batches that can run at the same time.
    pub instances: u32,
}

impl Server {
    /// Requests a second at load 1.0.
    pub fn rate_per_s(&self) -> f64 {
        self.curve.best_rate(self.batch_size_max).1 * f64::from(self.instances)
    }
}

/// What a policy wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Choice {
    /// Run the batch that was written; its name for [`Policy::ended`].
    Launch(u64),
    /// Ask again at this moment, or when something happened.
    Wait(Nanos),
    /// Ask again when something happened.
    Idle,
}

/// Whoever decides about batches. Requests are named by their place in the workload.
pub trait Policy {
    /// A request came.
    fn arrive(&mut self, now: Nanos, index: usize, item: &Item);

    /// An instance is idle. A launched batch goes into `batch`, which is empty; requests that are
    /// given up without an answer go into `dropped`.
    fn decide(&mut self, now: Nanos, batch: &mut Vec<usize>, dropped: &mut Vec<usize>) -> Choice;

    /// A batch ended.
    fn ended(&mut self, now: Nanos, batch: u64, size: u32, duration: Nanos);
}

/// What became of a workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// When each request was answered; `None` if it was dropped.
    pub answered: Vec<Option<Nanos>>,
    /// Batches that ran.
    pub batches: u64,
}

impl Outcome {
    /// Share of all requests that were answered by their deadline.
    pub fn attainment(&self, items: &[Item]) -> f64 {
        let met = self.answered.iter().zip(items);
        let met = met.filter(|(at, item)| at.is_some_and(|at| at <= item.deadline)).count();
        met as f64 / items.len().max(1) as f64
    }

    /// Share of all requests that were answered at all.
    pub fn answered_ratio(&self) -> f64 {
        let answered = self.answered.iter().flatten().count();
        answered as f64 / self.answered.len().max(1) as f64
    }

    /// Mean and 99th percentile (nearest rank) of the latencies of what was answered, in seconds.
    pub fn latency_s(&self, items: &[Item]) -> (f64, f64) {
        let answered = self.answered.iter().zip(items);
        let mut all: Vec<f64> = answered
            .filter_map(|(at, item)| Some(at.as_ref()?.saturating_sub(item.arrival).as_seconds()))
            .collect();
        all.sort_unstable_by(f64::total_cmp);
        let mean = all.iter().sum::<f64>() / all.len().max(1) as f64;
        let rank = (all.len() as f64 * 0.99).ceil() as usize;
        (mean, all.get(rank.saturating_sub(1)).copied().unwrap_or(0.0))
    }
}

/// A batch that runs; the one that ends first is the greatest.
type Running = Reverse<(Nanos, u64, Vec<usize>, Nanos)>;

/// Runs a workload, which is in order of arrival, to its end.
///
/// # Panics
/// If the policy cheats: launches more than the largest batch, nothing, or a request that is not
/// waiting; or if it stops while requests wait.
pub fn run(server: &Server, items: &[Item], policy: &mut dyn Policy) -> Outcome {
    let mut outcome = Outcome { answered: vec![None; items.len()], batches: 0 };
    let mut waiting = vec![false; items.len()];
    let mut running: BinaryHeap<Running> = BinaryHeap::new();
    let (mut next, mut open) = (0, items.len());
    let mut wake: Option<Nanos> = None;
    let (mut batch, mut dropped) = (Vec::new(), Vec::new());
    while open > 0 {
        let ends = running.peek().map(|Reverse((at, ..))| *at);
        let comes = items.get(next).map(|item| item.arrival);
        let now = [ends, comes, wake].into_iter().flatten().min();
        let Some(now) = now else { panic!("{open} requests wait and nothing will happen") };
        while running.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((_, name, done, took))) = running.pop() else { break };
            policy.ended(now, name, done.len() as u32, took);
            open -= done.len();
            for index in done {
                outcome.answered[index] = Some(now);
            }
        }
        while items.get(next).is_some_and(|item| item.arrival <= now) {
            waiting[next] = true;
            policy.arrive(now, next, &items[next]);
            next += 1;
        }
        wake = None;
        while running.len() < server.instances as usize {
            let choice = policy.decide(now, &mut batch, &mut dropped);
            open -= dropped.len();
            for index in dropped.drain(..).chain(batch.iter().copied()) {
                assert!(std::mem::take(&mut waiting[index]), "request {index} does not wait");
            }
            match choice {
                Choice::Launch(name) => {
                    let size = batch.len() as u32;
                    assert!((1..=server.batch_size_max).contains(&size), "a batch of {size}");
                    let took = Nanos::from_seconds(server.curve.seconds(size));
                    let done = std::mem::take(&mut batch);
                    running.push(Reverse((now.saturating_add(took), name, done, took)));
                    outcome.batches += 1;
                }
                Choice::Wait(until) => {
                    wake = Some(until.max(now.saturating_add(Nanos(1))));
                    break;
                }
                Choice::Idle => break,
            }
        }
    }
    outcome
}
