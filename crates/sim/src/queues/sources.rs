//! How requests come, and what they take.

use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};

use super::Queue;

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gaps {
    /// Independent of each other.
    Poisson,
    /// Gaps of two kinds, each exponential, as much of the time spent in either (hyperexponential
    /// with balanced means), of this coefficient of variation.
    Hyper {
        /// Above 1.
        cv: f64,
    },
    /// Poisson at a rate that switches between `low` and `2 - low` of the mean.
    Modulated {
        /// Rate of the quiet times over the mean, 0 to 1.
        low: f64,
        /// Mean time in either state, in service times.
        stay_s: f64,
    },
    /// Several at once, independent of each other: each so many.
    Batches {
        /// At least 1.
        size: u32,
    },
}

/// What requests take; the mean is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Service {
    /// All the same.
    Fixed,
    /// Exponential.
    Exponential,
    /// Lognormal with this coefficient of variation.
    Lognormal {
        /// Above 0.
        cv: f64,
    },
    /// Pareto with this shape: no variance at 2 and below.
    Pareto {
        /// Above 1.
        shape: f64,
    },
}

impl Service {
    fn sample(self, random: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Fixed => 1.0,
            Self::Exponential => Exp1.sample(random),
            Self::Lognormal { cv } => {
                let variance = (1.0 + cv * cv).ln();
                let normal: f64 = StandardNormal.sample(random);
                (variance.sqrt() * normal - variance / 2.0).exp()
            }
            Self::Pareto { shape } => {
                let uniform = 1.0 - random.random::<f64>();
                (shape - 1.0) / shape * uniform.powf(-1.0 / shape)
            }
        }
    }
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) at_s: f64,
    /// Seconds of a full server.
    pub(super) work_s: f64,
}

/// Requests without end.
pub(super) struct Requests {
    gaps: Gaps,
    service: Service,
    rate_per_s: f64,
    now_s: f64,
    /// Whether the rate is high, and until when.
    high: bool,
    until_s: f64,
    at_once: u32,
    arrivals: ChaCha8Rng,
    works: ChaCha8Rng,
}

impl Requests {
    pub(super) fn new(queue: &Queue, load: f64, seed: u64) -> Self {
        let mut works = ChaCha8Rng::seed_from_u64(seed);
        works.set_stream(1);
        Self {
            gaps: queue.gaps,
            service: queue.service,
            rate_per_s: load * f64::from(queue.seats()),
            now_s: 0.0,
            high: false,
            until_s: 0.0,
            at_once: 0,
            arrivals: ChaCha8Rng::seed_from_u64(seed),
            works,
        }
    }

    fn gap_s(&mut self) -> f64 {
        let random = &mut self.arrivals;
        match self.gaps {
            Gaps::Poisson => exponential(random) / self.rate_per_s,
            Gaps::Hyper { cv } => {
                let scv = cv * cv;
                let often = 0.5 * (1.0 + ((scv - 1.0) / (scv + 1.0)).sqrt());
                let part = if random.random::<f64>() < often { often } else { 1.0 - often };
                exponential(random) / (2.0 * part * self.rate_per_s)
            }
            Gaps::Modulated { low, stay_s } => self.modulated_s(low, stay_s),
            Gaps::Batches { size } => {
                self.at_once = (self.at_once + 1) % size;
                if self.at_once == 1 % size {
                    exponential(random) * f64::from(size) / self.rate_per_s
                } else {
                    0.0
                }
            }
        }
    }

    /// Memoryless, so that a gap begins anew where the rate changes.
    fn modulated_s(&mut self, low: f64, stay_s: f64) -> f64 {
        let from_s = self.now_s;
        let mut at_s = from_s;
        loop {
            let rate = self.rate_per_s * if self.high { 2.0 - low } else { low };
            let next_s = at_s + exponential(&mut self.arrivals) / rate;
            if next_s <= self.until_s {
                return next_s - from_s;
            }
            at_s = self.until_s;
            self.high = !self.high;
            self.until_s += stay_s * exponential(&mut self.arrivals);
        }
    }
}

fn exponential(random: &mut ChaCha8Rng) -> f64 {
    Exp1.sample(random)
}

impl Iterator for Requests {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        self.now_s += self.gap_s();
        let work_s = self.service.sample(&mut self.works);
        Some(Request { at_s: self.now_s, work_s })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Servers;
    use super::*;

    /// Means are those that were asked for, and gaps vary as they should.
    #[test]
    fn sources_have_the_moments_that_they_say() {
        let kinds = [
            (Gaps::Poisson, Service::Fixed, 1.0, 0.0),
            (Gaps::Hyper { cv: 3.0 }, Service::Lognormal { cv: 1.5 }, 9.0, 2.25),
            (Gaps::Batches { size: 3 }, Service::Exponential, 5.0, 1.0),
            (Gaps::Modulated { low: 0.4, stay_s: 5.0 }, Service::Pareto { shape: 2.8 }, 0.0, 0.0),
        ];
        for (gaps, service, gap_scv, work_scv) in kinds {
            let queue = Queue { gaps, service, servers: Servers::Plain(4) };
            let n = 200_000;
            let (mut last_s, mut sums) = (0.0, [0.0; 4]);
            for request in Requests::new(&queue, 0.5, 9).take(n) {
                let gap_s = request.at_s - last_s;
                last_s = request.at_s;
                let parts = [gap_s, gap_s * gap_s, request.work_s, request.work_s * request.work_s];
                sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part / n as f64);
            }
            assert!((sums[0] - 0.5).abs() < 0.02, "{gaps:?}: {}", sums[0]);
            assert!((sums[2] - 1.0).abs() < 0.03, "{service:?}: {}", sums[2]);
            if gap_scv > 0.0 {
                let scvs = [sums[1] / sums[0].powi(2) - 1.0, sums[3] / sums[2].powi(2) - 1.0];
                assert!((scvs[0] - gap_scv).abs() < 0.1 * gap_scv + 0.02, "{gaps:?}: {}", scvs[0]);
                assert!((scvs[1] - work_scv).abs() < 0.2 * work_scv + 0.01, "{service:?}");
            }
        }
    }
}
