//! Nodes that fail and are repaired.
//!
//! Each node is up and down in turn, for times drawn from exponential distributions; each has its
//! own seeded stream, so that what happens to a node does not depend on what jobs do.

use std::collections::BTreeSet;

use rampmeter::Nanos;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use crate::trace::{Purpose, random_stream};

/// Shortest time up or down: the draws are of hours.
const SHORTEST: Nanos = Nanos(1_000_000);

/// How often nodes fail, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Failures {
    /// Mean time that a node is up.
    pub mtbf: Nanos,
    /// Mean time that it is down.
    pub mttr: Nanos,
    /// Seed of all draws.
    pub seed: u64,
}

/// What happens to which node when.
#[derive(Debug)]
pub(super) struct Schedule {
    failures: Failures,
    /// Time, node, whether it comes back then.
    events: BTreeSet<(Nanos, usize, bool)>,
    streams: Vec<ChaCha8Rng>,
}

impl Schedule {
    /// All nodes are up at first.
    pub(super) fn new(failures: Failures, nodes: usize) -> Self {
        let stream = |node| random_stream(failures.seed, Purpose::Failures, node as u64);
        let streams = (0..nodes).map(stream).collect();
        let mut schedule = Self { failures, events: BTreeSet::new(), streams };
        for node in 0..nodes {
            schedule.draw(Nanos::ZERO, node, false);
        }
        schedule
    }

    pub(super) fn next(&self) -> Option<Nanos> {
        self.events.first().map(|(at, ..)| *at)
    }

    /// The next node that something happens to until now, and whether it comes back.
    pub(super) fn take(&mut self, now: Nanos) -> Option<(usize, bool)> {
        let (at, node, returns) = *self.events.first().filter(|(at, ..)| *at <= now)?;
        self.events.pop_first();
        self.draw(at, node, !returns);
        Some((node, returns))
    }

    fn draw(&mut self, from: Nanos, node: usize, returns: bool) {
        let mean = if returns { self.failures.mttr } else { self.failures.mtbf };
        let times: f64 = Exp1.sample(&mut self.streams[node]);
        let lasts = Nanos::from_seconds(mean.as_seconds() * times).max(SHORTEST);
        self.events.insert((from.saturating_add(lasts), node, returns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_up_for_their_share_of_the_time() {
        let hours = |hours: u64| Nanos::from_millis(hours * 3_600_000);
        let failures = Failures { mtbf: hours(90), mttr: hours(10), seed: 7 };
        let mut schedule = Schedule::new(failures, 10);
        let end = hours(100_000);
        let (mut up_s, mut since) = (0.0, [Nanos::ZERO; 10]);
        while let Some(at) = schedule.next().filter(|at| *at < end) {
            let (node, returns) = schedule.take(at).unwrap();
            if !returns {
                up_s += at.saturating_sub(since[node]).as_seconds();
            }
            since[node] = at;
        }
        let share = up_s / (10.0 * end.as_seconds());
        assert!((share - 0.9).abs() < 0.01, "{share}");
    }
}
