//! Where does the simulated tail cross the target?

use super::{Event, Queue, simulate};

/// What a queue is asked to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Longest wait in time, in mean service times.
    pub wait_s: f64,
    /// Share of requests that may wait longer.
    pub late_ratio_max: f64,
}

/// How much is simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Requests of one run; a tenth of them is left out at the beginning.
    pub requests: u64,
    /// Runs, each with random numbers of its own.
    pub seeds: u64,
}

/// Share of requests that wait longer than the target, at a load.
#[must_use]
pub fn late_ratio(queue: &Queue, load: f64, target: &Target, effort: &Effort) -> f64 {
    let (mut late, mut started) = (0_u64, 0_u64);
    for seed in 0..effort.seeds {
        let mut seen = 0;
        simulate(queue, load, effort.requests, 1_000 + seed, |_, event| {
            if let Event::Started { waited_s } = event {
                seen += 1;
                if seen > effort.requests / 10 {
                    started += 1;
                    late += u64::from(waited_s > target.wait_s);
                }
            }
        });
    }
    late as f64 / (started as f64).max(1.0)
}

/// The load at which just so many are late: between `low` and `high`, to 0.1% of the load. Every
/// load meets the same random numbers, so that the tail grows with it.
#[must_use]
pub fn simulated(queue: &Queue, target: &Target, effort: &Effort) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while high - low > 1e-3 * high {
        let middle = f64::midpoint(low, high);
        if late_ratio(queue, middle, target, effort) <= target.late_ratio_max {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::super::{Gaps, Servers, Service};
    use super::*;

    /// Where there is an exact answer the simulator has it: M/M/1, P(W > t) = rho e^-(1-rho)t, and
    /// M/M/8 by Erlang's C from a table.
    #[test]
    fn the_simulator_agrees_with_what_is_known() {
        let effort = Effort { requests: 200_000, seeds: 2 };
        let queue = |servers| Queue {
            gaps: Gaps::Poisson,
            service: Service::Exponential,
            servers: Servers::Plain(servers),
        };
        let target = Target { wait_s: 2.0, late_ratio_max: 0.1 };
        let got = late_ratio(&queue(1), 0.6, &target, &effort);
        assert!((got / (0.6 * (-0.8_f64).exp()) - 1.0).abs() < 0.04, "{got}");
        // Ten servers, eight erlangs: C = 0.4092.
        let target = Target { wait_s: 0.1, ..target };
        let got = late_ratio(&queue(10), 0.8, &target, &effort);
        assert!((got / (0.409_18 * (-0.2_f64).exp()) - 1.0).abs() < 0.04, "{got}");
    }
}
