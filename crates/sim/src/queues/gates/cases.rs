//! The scenarios of the contest, and who takes part.

use rampmeter::policy::GateRules;

use super::ours::Ours;
use super::peers::Peer;
use super::{Fare, Offer, simulate};
use crate::queues::{Gaps, Queue, Servers, Service};

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// How requests come and what they take, in words.
    pub name: &'static str,
    /// What is offered.
    pub offer: Offer,
}

/// Mean service time, in seconds.
const SERVICE_S: f64 = 2.0;

/// Arrivals, service and load.
const KINDS: [(&str, Gaps, Service, f64); 5] = [
    ("load .95", Gaps::Poisson, Service::Exponential, 0.95),
    ("load 1.2", Gaps::Poisson, Service::Exponential, 1.2),
    ("bursts .4/1.6", Gaps::Modulated { low: 0.4, stay_s: 5.0 }, Service::Exponential, 1.2),
    ("bursts CV 5", Gaps::Hyper { cv: 5.0 }, Service::Exponential, 1.2),
    // A third of its mean is in works longer than any of 100,000: this is about 1.2 of the others.
    ("Pareto 1.1", Gaps::Poisson, Service::Pareto { shape: 1.1 }, 1.8),
];

/// All scenarios: 8 and 64 servers, targets of half a second and five.
pub fn all(requests: usize) -> impl Iterator<Item = Case> {
    let shapes = [(8, 0.5), (8, 5.0), (64, 0.5), (64, 5.0)];
    shapes.into_iter().flat_map(move |(servers, target_s)| {
        KINDS.into_iter().map(move |(name, gaps, service, load)| {
            let queue = Queue { gaps, service, servers: Servers::Plain(servers) };
            let (service_s, seed, second_share) = (SERVICE_S, 0, 0.0);
            let offer = Offer { queue, load, service_s, target_s, requests, seed, second_share };
            Case { name, offer }
        })
    })
}

/// Who takes part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entrant {
    /// Everybody waits.
    None,
    /// At most so many wait.
    Cap(usize),
    /// Additive increase, multiplicative decrease.
    Aimd,
    /// By the gradient of round trips.
    Gradient2,
    /// Controlled delay.
    CoDel,
    /// Dropped at the head beyond the target.
    Expire,
    /// The gate of the core, without expiry.
    GateLasting,
    /// The gate of the core.
    Gate,
}

impl Entrant {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 9] = [
        ("none", Self::None),
        ("cap 8", Self::Cap(8)),
        ("cap 64", Self::Cap(64)),
        ("AIMD", Self::Aimd),
        ("Gradient2", Self::Gradient2),
        ("CoDel", Self::CoDel),
        ("expire", Self::Expire),
        ("no expiry", Self::GateLasting),
        ("gate", Self::Gate),
    ];

    /// How all requests of an offer fare.
    ///
    /// # Errors
    /// As [`Ours::new`].
    pub fn run(self, offer: &Offer) -> Result<Fare, rampmeter::Error> {
        let rules = GateRules::default();
        let mut peer = match self {
            Self::None => Peer::none(offer),
            Self::Cap(most) => Peer::cap(offer, most),
            Self::Aimd => Peer::aimd(offer),
            Self::Gradient2 => Peer::gradient2(offer),
            Self::CoDel => Peer::codel(offer),
            Self::Expire => Peer::expire(offer),
            Self::Gate => return Self::gate(offer, rules),
            Self::GateLasting => return Self::gate(offer, GateRules { expiry: false, ..rules }),
        };
        let [fare, _] = simulate(offer, &mut peer);
        Ok(fare)
    }

    /// The gate of the core under some rules.
    ///
    /// # Errors
    /// As [`Ours::new`].
    pub fn gate(offer: &Offer, rules: GateRules) -> Result<Fare, rampmeter::Error> {
        let [fare, _] = simulate(offer, &mut Ours::new(offer, rules)?);
        Ok(fare)
    }
}
