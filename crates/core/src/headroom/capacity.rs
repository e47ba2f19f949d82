//! How many replicas are needed?
//!
//! # What it decides
//! Nothing. The fewest replicas that keep every class's target under the present load, and whether
//! one could be taken away.
//!
//! # Formula
//! ```text
//! needed   fewest r with  P(W > target | r replicas, rho = lambda S / (r * seats)) <= eps, every class
//! P        by `waiting`, its variability multiplied by kappa
//! kappa    such that at the servers that there are the model has its knee where `knee` found it
//! ```
//! The rehearsal knows one number of servers. What it found is carried to others as one number:
//! by how much more variable requests are than the formula knew. `kappa` survives a change of
//! capacity, so that a pool that grows does not begin from nothing. A pool without servers has no knee:
//! there it is the `kappa` of the last servers that there were, and the limits are those of a model,
//! `P * e^(+-1.64 / sqrt(4))`.
//!
//! # Bounds and cost
//! O(log replicas) tails a class, up to 1,024 equivalent servers each. No allocation.
//!
//! # What it is bad at
//! It plans for the present rate: what is on its way (and how long a replica takes to come) is for
//! the host to add. Classes with targets far shorter than service need more than it says when
//! bursts are compressed: see `waiting::rehearsal`.

use super::answer::{Answer, Basis, Estimate};
use super::knee::{MODEL_ROWS, SIDE};
use super::waiting::{Queue, largest};
use super::{Headroom, REPLICAS_MAX, REQUESTS_NEEDED};

/// Range of `kappa`: beyond, the model says nothing any more.
const CORRECTION: (f64, f64) = (1.0 / 64.0, 64.0);

/// Largest share that may be late: in saturation all are.
const LIMIT_MAX: f64 = 0.999;

/// Whether a replica can be taken away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CanRemove {
    /// Every target holds without it, nineteen times out of twenty.
    Yes,
    /// Every target likely holds without it; it may turn out to be needed.
    Perhaps,
    /// Some target is likely missed without it.
    No,
    /// Too few requests were seen to say anything.
    NotEnoughData {
        /// Requests seen.
        samples: u64,
        /// Requests that are needed.
        needed: u64,
    },
}

impl Headroom {
    /// Fewest replicas that keep every class's target under the present load, as of the last call
    /// ([`Headroom::passed`]), with limits of confidence, all three whole numbers. At most 65,536; infinite where not even those do (a
    /// target that cannot be kept at all).
    #[must_use]
    pub fn replicas_needed(&self) -> Answer {
        let samples = self.known();
        if samples < REQUESTS_NEEDED || self.load() <= 0.0 {
            return Answer::NotEnoughData { samples, needed: REQUESTS_NEEDED };
        }
        let mut needed =
            Estimate { value: 1.0, low: 1.0, high: 1.0, samples, ..Estimate::default() };
        for class in 0..self.options.classes.len() as u32 {
            // Nobody of it can be late.
            if self.classes[class as usize].share <= 0.0 {
                continue;
            }
            let Some(class) = self.class_needs(class) else { continue };
            needed.value = needed.value.max(class.value);
            needed.low = needed.low.max(class.low);
            needed.high = needed.high.max(class.high);
            if class.basis == Basis::Rehearsed {
                needed.basis = Basis::Rehearsed;
            }
        }
        Answer::Known(needed)
    }

    /// The same for one class alone.
    fn class_needs(&self, class: u32) -> Option<Estimate> {
        let limit = self.options.classes[class as usize].late_ratio_max;
        if self.seats() == 0 {
            let correction = self.classes[class as usize].correction;
            let factor = libm::exp(SIDE / libm::sqrt(MODEL_ROWS));
            let [value, low, high] = [limit, limit * factor, limit / factor]
                .map(|limit| self.fewest(class, correction, limit.min(LIMIT_MAX)));
            return Some(Estimate { value, low, high, ..Estimate::default() });
        }
        let knee = self.knee_load(class).known()?;
        let [value, low, high] = [knee.value, knee.high, knee.low]
            .map(|knee| self.fewest(class, self.correction_for(class, knee), limit));
        Some(Estimate { value, low, high, ..knee })
    }

    /// Can one replica be taken away, as of the last call ([`Headroom::passed`])?
    #[must_use]
    pub fn can_remove(&self) -> CanRemove {
        let left = f64::from(self.replicas) - 1.0;
        match self.replicas_needed() {
            Answer::NotEnoughData { samples, needed } => {
                CanRemove::NotEnoughData { samples, needed }
            }
            Answer::Known(needed) if needed.high <= left => CanRemove::Yes,
            Answer::Known(needed) if needed.value <= left => CanRemove::Perhaps,
            Answer::Known(_) => CanRemove::No,
        }
    }

    /// Fewest replicas that leave at most so many of a class late.
    fn fewest(&self, class: u32, correction: f64, limit: f64) -> f64 {
        let target_s = self.options.classes[class as usize].target.as_seconds();
        let work = self.load_recent();
        // At the present load the pattern is the one that was measured.
        let here = self.queue(class, work / f64::from(self.seats().max(1)));
        let each = f64::from(self.options.replica.seats);
        let late = |replicas: u32| {
            let servers = f64::from(replicas) * each;
            Queue { servers, rho: work / servers, correction, ..here }.tail(target_s)
        };
        if late(REPLICAS_MAX) > limit {
            return f64::INFINITY;
        }
        let (mut few, mut enough) = (0, REPLICAS_MAX);
        while enough - few > 1 {
            let middle = few + (enough - few) / 2;
            if late(middle) <= limit {
                enough = middle;
            } else {
                few = middle;
            }
        }
        f64::from(enough)
    }

    /// By how much variability must be multiplied for the model to have its knee there.
    pub(super) fn correction_for(&self, class: u32, knee: f64) -> f64 {
        let options = &self.options.classes[class as usize];
        let queue = self.queue(class, knee);
        let (low, high) = (libm::log(CORRECTION.0), libm::log(CORRECTION.1));
        let late = |ln: f64| {
            Queue { correction: libm::exp(ln), ..queue }.tail(options.target.as_seconds())
        };
        libm::exp(largest(low, high, options.late_ratio_max, late))
    }
}
