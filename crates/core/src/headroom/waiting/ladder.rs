//! How long did requests wait? The observed tail, at multiples of the target.
//!
//! # Formula
//! ```text
//! rungs       t_j = target * 2^j,  j = -5 .. 5
//! P(W > t)    at a rung: late / samples, with forgetting; in between, straight in log P
//! row         late requests up to one that waits no longer than the first rung
//! ```
//! Late requests of a row have one cause; rows are independent. A row is over where the queue is next
//! to empty, a 32nd of the target long: no wait that a host measures is exactly nothing, and so short
//! a queue makes the next late request likelier by a tenth where one in twenty is late (`e^(ln 20 /
//! 32)`, for waits that are exponential).
//!
//! # Bounds and cost
//! O(1) a wait, 432 bytes a class, no allocation.
//!
//! # What it is bad at
//! It knows the load that there was, and no other. A host that takes more than a 32nd of the target
//! to hand a request to a free server has one row without an end, which tells next to nothing.

use super::rehearsal::Tally;
use crate::error::Error;
use crate::snapshot::Words;

/// Rungs, and which of them is the target.
const RUNGS: usize = 11;
const TARGET: usize = 5;

/// Rungs over the target.
const SCALES: [f64; RUNGS] = [0.031_25, 0.062_5, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

/// Waits of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ladder {
    rungs: [Tally; RUNGS],
    delayed: Tally,
}

impl Ladder {
    /// One started, after it waited.
    pub(in crate::headroom) fn note(&mut self, waited_s: f64, target_s: f64, keep: f64) {
        let free = waited_s <= rung_s(0, target_s);
        for (index, rung) in self.rungs.iter_mut().enumerate() {
            rung.note(waited_s > rung_s(index, target_s), free, keep);
        }
        self.delayed.note(waited_s > 0.0, free, keep);
    }

    /// What happened at the target.
    #[must_use]
    pub const fn at_target(&self) -> &Tally {
        &self.rungs[TARGET]
    }

    /// The observed `P(W > t)`, and the tally of the rung at or below `t`. Beyond the last rung it
    /// goes on falling as it did between the last two.
    #[must_use]
    pub fn tail(&self, seconds: f64, target_s: f64) -> (f64, &Tally) {
        let above = (0..RUNGS).find(|index| rung_s(*index, target_s) > seconds);
        let (low, high) = match above {
            Some(0) => return self.below_rungs(seconds, target_s),
            Some(high) => (high - 1, high),
            None => (RUNGS - 2, RUNGS - 1),
        };
        let (from, to) = (rung_s(low, target_s), rung_s(high, target_s));
        let part = (seconds - from) / (to - from);
        let nearest = if above.is_some() { low } else { high };
        (between(&self.rungs[low], &self.rungs[high], part), &self.rungs[nearest])
    }

    fn below_rungs(&self, seconds: f64, target_s: f64) -> (f64, &Tally) {
        let part = seconds.max(0.0) / rung_s(0, target_s);
        (between(&self.delayed, &self.rungs[0], part), &self.delayed)
    }

    pub(in crate::headroom) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { rungs, delayed } = self;
        rungs.iter().chain([delayed]).for_each(|tally| tally.save_state(save));
    }

    pub(in crate::headroom) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let mut ladder = Self::default();
        for tally in ladder.rungs.iter_mut().chain([&mut ladder.delayed]) {
            *tally = Tally::load_state(words)?;
        }
        Ok(ladder)
    }
}

fn rung_s(index: usize, target_s: f64) -> f64 {
    target_s * SCALES[index]
}

/// Straight in the logarithm where there is one.
fn between(low: &Tally, high: &Tally, part: f64) -> f64 {
    let (from, to) = (low.late_ratio(), high.late_ratio());
    if to > 0.0 { from * libm::pow(to / from, part) } else { from * (1.0 - part).max(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponential_tail_is_found_again() {
        let mut ladder = Ladder::default();
        // Quantiles of an exponential wait of mean 1 s.
        for rank in 0..10_000 {
            let waited_s = -libm::log((f64::from(rank) + 0.5) / 10_000.0);
            ladder.note(waited_s, 1.0, 1.0);
        }
        for t in [0.01, 0.1, 0.7, 1.0, 3.0, 5.0] {
            let (got, _) = ladder.tail(t, 1.0);
            assert!((got / libm::exp(-t) - 1.0).abs() < 0.04, "{t}: {got}");
        }
        assert!(ladder.tail(f64::MAX, 1.0).0 <= 1e-6);
        assert_eq!(Ladder::default().tail(1.0, 1.0).0, 0.0);
    }
}
