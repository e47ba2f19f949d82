//! The policies that servers ship today.
//!
//! | peer | launches | source |
//! |---|---|---|
//! | [`Fixed`] | at a preferred size, or when the oldest has waited `delay` | Triton, TF Serving |
//! | greedy | whatever is there, at once: [`Fixed`] without a delay | Triton's default |
//! | [`Aimd`] | whatever is there, up to a size that follows the latency | Clipper (NSDI 2017) |

use std::collections::VecDeque;

use ::rampmeter::Nanos;

use super::{Choice, Item, Policy};

/// Triton's dynamic batcher as documented, for requests of one priority.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// Largest batch.
    pub size_max: usize,
    /// Sizes to launch at once, growing; empty: only `size_max`.
    pub preferred: Vec<usize>,
    /// How long the oldest may wait; zero: nobody waits.
    pub delay: Nanos,
    /// Requests still waiting at their deadline are rejected.
    pub rejects: bool,
    queue: VecDeque<(usize, Item)>,
}

impl Fixed {
    /// With nobody waiting.
    pub fn new(size_max: usize, preferred: &[usize], delay: Nanos, rejects: bool) -> Self {
        Self { size_max, preferred: preferred.to_vec(), delay, rejects, queue: VecDeque::new() }
    }

    fn size(&self, now: Nanos) -> Option<usize> {
        let there = self.queue.len().min(self.size_max);
        let only = [self.size_max];
        let preferred = if self.preferred.is_empty() { &only[..] } else { &self.preferred };
        let oldest = self.queue.front()?.1.arrival;
        let waited = now.saturating_sub(oldest);
        let over = self.delay > Nanos::ZERO && waited >= self.delay;
        let best = preferred.iter().rev().find(|size| **size <= there);
        if let Some(best) = best.filter(|_| !over) {
            return Some(*best);
        }
        let full = preferred.last().is_some_and(|largest| there >= *largest);
        (full || over || self.delay == Nanos::ZERO).then_some(there)
    }
}

impl Policy for Fixed {
    fn arrive(&mut self, _: Nanos, index: usize, item: &Item) {
        self.queue.push_back((index, *item));
    }

    fn decide(&mut self, now: Nanos, batch: &mut Vec<usize>, dropped: &mut Vec<usize>) -> Choice {
        if self.rejects {
            self.queue.retain(|(index, item)| {
                let alive = now < item.deadline;
                if !alive {
                    dropped.push(*index);
                }
                alive
            });
        }
        if let Some(size) = self.size(now) {
            batch.extend(self.queue.drain(..size).map(|(index, _)| index));
            return Choice::Launch(0);
        }
        let oldest = self.queue.front().map(|(_, item)| item.arrival);
        oldest.map_or(Choice::Idle, |at| Choice::Wait(at.saturating_add(self.delay)))
    }

    fn ended(&mut self, _: Nanos, _: u64, _: u32, _: Nanos) {}
}

/// Clipper's batch size: one more while batches keep the latency objective, a tenth less when one
/// does not.
#[derive(Clone, Debug)]
pub struct Aimd {
    size_max: f64,
    /// What a batch may take, in seconds.
    objective_s: f64,
    size: f64,
    queue: VecDeque<usize>,
}

impl Aimd {
    /// Begins with batches of one.
    pub fn new(size_max: u32, objective_s: f64) -> Self {
        Self { size_max: f64::from(size_max), objective_s, size: 1.0, queue: VecDeque::new() }
    }
}

impl Policy for Aimd {
    fn arrive(&mut self, _: Nanos, index: usize, _: &Item) {
        self.queue.push_back(index);
    }

    fn decide(&mut self, _: Nanos, batch: &mut Vec<usize>, _: &mut Vec<usize>) -> Choice {
        let size = self.queue.len().min(self.size as usize);
        if size == 0 {
            return Choice::Idle;
        }
        batch.extend(self.queue.drain(..size));
        Choice::Launch(0)
    }

    fn ended(&mut self, _: Nanos, _: u64, size: u32, duration: Nanos) {
        if duration.as_seconds() > self.objective_s {
            self.size = (self.size * 0.9).max(1.0);
        } else if f64::from(size) >= self.size.floor() {
            self.size = (self.size + 1.0).min(self.size_max);
        }
    }
}
