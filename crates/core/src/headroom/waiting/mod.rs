//! How long will requests wait?
//!
//! # What it decides
//! Nothing. `P(W > t)`: the share of requests that wait longer than `t` for a server, first come
//! first served.
//!
//! # Formula
//! ```text
//! P(W > t) = D * e^(-(1 - rho) * c * t / (S * v))
//! D        = delay probability of `c / z` servers under the same utilization `rho`     [erlang]
//! v        = (I + Cs^2) / 2      I over the time that a queue needs to clear
//! z        = (1 + I) / 2         I over a service time, Cs^2 the variability of service
//! ```
//! With independent arrivals and exponential service both are 1 and it is Erlang's formula exactly;
//! with one server and independent arrivals it is M/G/1 with the mean wait of Pollaczek and
//! Khinchine. Dividing the servers by the peakedness `z` is Hayward's approximation; the index of
//! dispersion takes the place of the variability of single gaps (Allen and Cunneen), which is wrong
//! where many servers see many gaps at once, or where gaps depend on each other.
//!
//! What formulas do not know (tails of service that are no exponentials, bursts of every kind) is
//! tried out: [`rehearsal`] sends the same requests through the same servers at higher loads.
//!
//! # Bounds and cost
//! O(servers) a tail up to 1,024 equivalent servers, O(1) above.
//!
//! # Source
//! Hayward: Fredericks, "Congestion in blocking systems: a simple approximation technique", Bell
//! System Technical Journal 59 (1980). Tail and variability: Whitt, "Approximations for the GI/G/m
//! queue", Production and Operations Management 2 (1993).

pub mod erlang;
pub mod ladder;
pub mod rehearsal;
pub mod rushes;
mod seats;

/// What a wait depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queue {
    /// Requests served at once, at least 1.
    pub servers: f64,
    /// Offered load over capacity, of servers that are all busy.
    pub rho: f64,
    /// Mean service time of a busy pool, in seconds.
    pub service_s: f64,
    /// Squared coefficient of variation of service.
    pub service_scv: f64,
    /// Index of dispersion of arrivals over a service time.
    pub dispersion_short: f64,
    /// The same over the time that a queue needs to clear.
    pub dispersion_long: f64,
    /// Part of a full step that is due to the load, see
    /// [`super::estimate::servers::Replica::loaded_share`].
    pub loaded_share: f64,
    /// By how much variability is larger than measured; 1 by the formula alone.
    pub correction: f64,
}

/// Least variability in a formula: arrivals and service by a clock still wait where there are many.
const VARIABILITY_MIN: f64 = 0.05;

impl Queue {
    /// Independent arrivals and exponential service.
    #[must_use]
    pub const fn markov(servers: f64, rho: f64, service_s: f64) -> Self {
        Self {
            servers,
            rho,
            service_s,
            service_scv: 1.0,
            dispersion_short: 1.0,
            dispersion_long: 1.0,
            loaded_share: 0.0,
            correction: 1.0,
        }
    }

    /// `P(W > seconds)`. 1 at and beyond saturation; 0 without load or servers' work.
    #[must_use]
    pub fn tail(&self, seconds: f64) -> f64 {
        if self.rho.is_nan() || self.rho <= 0.0 || self.service_s <= 0.0 {
            return 0.0;
        }
        if self.rho >= 1.0 || self.servers < 1.0 {
            return 1.0;
        }
        let peakedness = (0.5 + self.dispersion_short / 2.0) * self.correction;
        let variability = f64::midpoint(self.dispersion_long, self.service_scv) * self.correction;
        let equivalent = self.servers / peakedness.max(VARIABILITY_MIN);
        let delayed = erlang::delay_probability(equivalent, self.rho, self.loaded_share);
        let relaxation_s =
            self.service_s * variability.max(VARIABILITY_MIN) / ((1.0 - self.rho) * self.servers);
        (delayed * libm::exp(-seconds.max(0.0) / relaxation_s)).min(1.0)
    }
}

/// The largest of `low..=high` at which `late` is still at most `limit`, where `late` grows; `low`
/// if it is too much even there. 50 halvings: the last digit of any load.
pub(super) fn largest(low: f64, high: f64, limit: f64, late: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (low, high);
    if late(high) <= limit {
        return high;
    }
    for _ in 0..50 {
        let middle = low + (high - low) / 2.0;
        if late(middle) <= limit {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_server_is_pollaczek_and_khinchine() {
        // Mean wait is the integral of the tail: rho * S * (1 + Cs^2) / (2 * (1 - rho)).
        for (rho, scv) in [(0.5, 0.0), (0.8, 1.0), (0.9, 6.0)] {
            let queue = Queue { service_scv: scv, ..Queue::markov(1.0, rho, 2.0) };
            let step_s = 0.01;
            let mean_s: f64 = (0..2_000_000)
                .map(|step| queue.tail(step_s * (f64::from(step) + 0.5)) * step_s)
                .take_while(|part| *part > 1e-12)
                .sum();
            let exact_s = rho * 2.0 * (1.0 + scv) / (2.0 * (1.0 - rho));
            assert!((mean_s / exact_s - 1.0).abs() < 1e-3, "{rho} {scv}: {mean_s} {exact_s}");
        }
    }

    proptest! {
        /// A tail is a share that falls with time and grows with load and variability.
        #[test]
        fn tails_are_ordered(
            servers in 1u32..300, rho in 0.01f64..0.99, t in 0.0f64..20.0, scv in 0.0f64..20.0,
            burst in 0.1f64..20.0, share in 0.0f64..0.9,
        ) {
            let queue = Queue {
                service_scv: scv, dispersion_short: burst, dispersion_long: burst,
                loaded_share: share, ..Queue::markov(f64::from(servers), rho, 1.0)
            };
            let tail = queue.tail(t);
            prop_assert!((0.0..=1.0).contains(&tail));
            prop_assert!(queue.tail(t + 1.0) <= tail);
            let least = tail * (1.0 - 1e-9);
            let (busier, wilder) = (Queue { rho: rho + 0.005, ..queue }, Queue { correction: 1.3, ..queue });
            let plain = Queue { loaded_share: 0.0, ..queue };
            prop_assert!(busier.tail(t) >= least, "load");
            prop_assert!(wilder.tail(t) >= least, "variability");
            prop_assert!(plain.tail(t) >= least, "engines are faster while they are not full");
        }

        /// Hostile numbers are answered with a share.
        #[test]
        fn any_numbers_are_answered(numbers in prop::array::uniform8(any::<f64>()), t in any::<f64>()) {
            let [servers, rho, service_s, service_scv, short, long, share, correction] = numbers;
            let queue = Queue { servers, rho, service_s, service_scv, dispersion_short: short,
                dispersion_long: long, loaded_share: share, correction };
            let tail = queue.tail(t);
            prop_assert!(tail.is_nan() || (0.0..=1.0).contains(&tail), "{:?} {}", queue, tail);
        }
    }
}
